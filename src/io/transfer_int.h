/* Inside of transfers, for transfer*.c only. An item is a file or a directory on its way; what it does next is a row of the table
 * in transfer.c: ask sends the request of a state, answer takes what comes of it. */
#pragma once

#include "io/transfer.h"

#include <sys/queue.h>

enum {
    TRANSFER_DEPTH_MAX = 64,      /* of a tree, as OpenSSH: a loop of links ends here */
    TRANSFER_FILES_MAX = 64,      /* on their way at once */
    TRANSFER_ITEMS_MAX = 1 << 22, /* known and not done: a listing without end ends here */
    TRANSFER_FLIGHT_START_BYTES = 2 << 20,
    TRANSFER_FLIGHT_MAX_BYTES = 64 << 20, /* a second of 500 Mbit/s, or 100 ms of 5 Gbit/s */
    TRANSFER_LIMITED_BYTES = 32 << 10,    /* in one request, if the rate is limited: so that it is even */
    TRANSFER_READDIRS_MAX = 8,            /* requests for one listing at once */
    TRANSFER_CHECK_BYTES = 256 << 10,     /* of the end of what is there, compared before a transfer is resumed */
};

enum item_state {
    ITEM_STAT,    /* get: what is it? */
    ITEM_OPEN,    /* of the remote file */
    ITEM_TO_OPEN, /* across: of the file at the other server */
    ITEM_FSTAT,   /* put, resuming: how much is there? */
    ITEM_MOVE,    /* chunks are on their way */
    ITEM_SETSTAT, /* put and across: times and mode */
    ITEM_FSYNC,   /* put */
    ITEM_CLOSE,   /* of the remote handle, file or directory */
    ITEM_TO_CLOSE,
    ITEM_OPENDIR, /* get, of a directory */
    ITEM_READDIR,
    ITEM_MKDIR,       /* put and across, of a directory */
    ITEM_MKDIR_STAT,  /* it may have been there */
    ITEM_CHILDREN,    /* a directory whose items are not all done */
    ITEM_DIR_SETSTAT, /* put and across: its times, once its files are there */
    ITEM_DONE,
    ITEM_STATE_MAX
};

/* One request for data of a file, or of data for it. In the order of their offsets. */
struct chunk {
    struct sftp_call call;
    struct item *item;
    TAILQ_ENTRY(chunk) link;
    uint64_t offset;
    size_t len;
    bool check;    /* compared with what is there instead of written */
    uint8_t *held; /* across: len bytes that wait for room at the other server; NULL: none do */
};

struct item {
    struct sftp_call call;
    struct transfer *t;
    TAILQ_ENTRY(item) link;
    struct item *parent; /* a directory that waits for its items; NULL */
    size_t n_children;   /* that are not done */
    enum item_state state;
    bool asked; /* the state's request is out */
    bool is_put, is_dir, failed, said_begin;
    ms began; /* of its data, for the meter */
    unsigned depth;
    char *remote, *local;    /* across: local is the path at the other server */
    struct sftp_attrs attrs; /* of the source; flags 0: not known yet */
    uint8_t handle[SFTP_HANDLE_MAX_BYTES];
    size_t handle_len;                        /* 0: none open */
    uint8_t to_handle[SFTP_HANDLE_MAX_BYTES]; /* across: at the other server */
    size_t to_handle_len;
    int fd;                            /* -1: none */
    uint64_t check_end;                /* resuming: up to here what is there is compared */
    bool is_stream;                    /* the local target is no regular file: in order, one request at a time */
    bool at_end;                       /* of the source: nothing more to ask for */
    bool made;                         /* a directory that was not there: it gets its mode once its files are in it */
    uint64_t data_end;                 /* put: up to here there is none */
    unsigned n_calls, n_readdirs;      /* a listing: requests that are out, and how many may be */
    uint64_t start, next, moved, size; /* where it began, the next offset to ask for, bytes done, size (0: not known) */
    TAILQ_HEAD(, chunk) chunks;
};
TAILQ_HEAD(items, item);

struct transfer {
    struct sftp_conn *conn;
    struct sftp_conn *to; /* across: where everything goes; else NULL */
    struct loop *loop;
    const struct log *log;
    struct transfer_options options;
    struct transfer_owner owner;
    struct items waiting, active, parents; /* parents: directories whose items are not done */
    size_t n_items;                        /* all that are not done */
    size_t n_active;
    size_t flight, flight_max;    /* bytes asked for, and how many may be */
    struct transfer_progress sum; /* path and the numbers of one file are filled when it is told */
    bool failed, stopping;
    bool changed; /* some item has another state */
    struct loop_timer *rate_timer;
    ms rate_since;
    uint64_t rate_bytes;
};

static inline struct view item_handle(const struct item *i) { return view_of(i->handle, i->handle_len); }
static inline struct sftp_client *item_client(const struct item *i) { return sftp_conn_client(i->t->conn); }
/* The server that is written to: of a put, or across. */
static inline bool item_is_across(const struct item *i) { return i->t->to != NULL; }
static inline bool item_is_written_there(const struct item *i) { return i->is_put || item_is_across(i); }
static inline struct sftp_conn *item_to_conn(const struct item *i) { return i->t->to ? i->t->to : i->t->conn; }
static inline struct sftp_client *item_to_client(const struct item *i) { return sftp_conn_client(item_to_conn(i)); }
static inline const char *item_to_path(const struct item *i) { return i->is_put ? i->remote : i->local; }
static inline struct view item_to_handle(const struct item *i)
{
    return item_is_across(i) ? view_of(i->to_handle, i->to_handle_len) : item_handle(i);
}

/* ---- transfer.c ---- */
/* The next state; its request goes out as soon as there is room. */
void item_go(struct item *i, enum item_state state);
/* Says it; the item ends as a failed one. */
void item_say_failed(struct item *i, const char *fmt, ...) PRINTF(2, 3);
/* The same, and ends it as far as it is. */
void item_fail(struct item *i, const char *fmt, ...) PRINTF(2, 3);
/* What is left to do once nothing of it is on its way: closing. */
void item_settle(struct item *i);
/* A new one at the end of list, in the tree below parent (NULL: the root). Swallows the paths; NULL ones are ERR_NOMEM. */
struct item_start {
    bool is_put;
    char *take_local, *take_remote;
    const struct sftp_attrs *attrs; /* of the source; NULL: not known */
};
int item_add(struct transfer *t, struct items *list, struct item *parent, const struct item_start *start) MUST_USE;
void item_tell(struct item *i, bool began, bool done);

/* ---- transfer_file.c ---- */
int file_ask_open(struct item *i) MUST_USE;
void file_on_open(struct item *i, const struct sftp_answer *a);
int file_ask_fstat(struct item *i) MUST_USE;
void file_on_fstat(struct item *i, const struct sftp_answer *a);
int file_ask_chunks(struct item *i) MUST_USE;
int file_ask_setstat(struct item *i) MUST_USE;
void file_on_setstat(struct item *i, const struct sftp_answer *a);
int file_ask_fsync(struct item *i) MUST_USE;
void file_on_fsync(struct item *i, const struct sftp_answer *a);
/* A put: opens the local file and looks what it is. */
void file_begin(struct item *i);
/* What the local file has is made a prefix of the source, and it is closed. */
void file_close_local(struct item *i);

/* Takes a chunk that is done out of its item, which may go on. */
void chunk_done(struct chunk *c);
/* asked bytes are no more on their way, moved ones are where they belong. */
void chunk_count(struct item *i, size_t asked, size_t moved);
/* The source is open, and so is what it is written to. */
void file_begin_moving(struct item *i);

/* ---- transfer_across.c ---- */
int across_ask_open(struct item *i) MUST_USE;
void across_on_open(struct item *i, const struct sftp_answer *a);
int across_ask_close(struct item *i) MUST_USE;
void across_on_close(struct item *i, const struct sftp_answer *a);
/* Data that was read, behind the chunk that asked for it: written, or held until there is room. */
int across_write(struct chunk *read, struct view data) MUST_USE;
/* What is held is written as far as there is room: ERR_AGAIN, there is more. */
int across_write_held(struct item *i) MUST_USE;
/* What is held of an item that has failed is dropped. */
void across_drop_held(struct item *i);

/* ---- transfer_tree.c ---- */
/* A put of a directory: its items are added. */
void tree_list_local(struct item *i);
int tree_ask_opendir(struct item *i) MUST_USE;
void tree_on_opendir(struct item *i, const struct sftp_answer *a);
int tree_ask_readdir(struct item *i) MUST_USE;
void tree_on_readdir(struct item *i, const struct sftp_answer *a);
int tree_ask_mkdir(struct item *i) MUST_USE;
void tree_on_mkdir(struct item *i, const struct sftp_answer *a);
int tree_ask_mkdir_stat(struct item *i) MUST_USE;
void tree_on_mkdir_stat(struct item *i, const struct sftp_answer *a);
int tree_ask_setstat(struct item *i) MUST_USE;
void tree_on_setstat(struct item *i, const struct sftp_answer *a);
/* All items of a directory are done: what remains to be said of it. */
void tree_children_done(struct item *i);
