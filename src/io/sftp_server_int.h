/* Inside the SFTP server: its state, and what its files share. */
#pragma once

#include "base/buf.h"
#include "io/sftp_server.h"
#include "proto/sftp/sftp.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

enum {
    SFTP_SERVER_IN_CHUNK_BYTES = 256 * 1024,  /* read at once */
    SFTP_SERVER_OUT_BATCH_BYTES = 128 * 1024, /* answers gathered for one write while requests wait */
    SFTP_SERVER_OUT_HIGH_BYTES = 1024 * 1024, /* unsent bytes from which on no request is taken up */
    SFTP_SERVER_NAMES_BYTES = 64 * 1024,      /* one answer of readdir */
    SFTP_SERVER_LINKS_MAX = 40,               /* of one realpath, as the kernel's */
    SFTP_SERVER_FDS_KEPT = 5,                 /* descriptors that are no handles: 0, 1, 2, syslog, one for work */
    SFTP_SERVER_NAME_CACHE = 64,              /* names of users and of groups */
};

enum sftp_server_handle_kind {
    HANDLE_FREE,
    HANDLE_FILE,
    HANDLE_DIR
};

struct sftp_server_handle {
    enum sftp_server_handle_kind kind;
    int fd;   /* FILE */
    DIR *dir; /* DIR */
    char *path;
    bool append;
    uint64_t n_read, n_written; /* bytes, for the log */
};

struct sftp_server_id_name { /* name NULL: not looked up yet */
    uint32_t id;
    char *name;
};

struct sftp_server {
    const struct sftp_server_config *config;
    const struct log *log;
    char *user, *home;
    int in_fd, out_fd;
    struct buf in, out;
    size_t flush_at_bytes; /* unsent bytes at which the next write is tried */
    bool started;          /* init has come */
    bool ended;            /* end of input */
    uint32_t id;           /* of the request in work */
    struct sftp_server_handle *handles;
    size_t n_handles, max_handles;
    struct sftp_server_id_name users[SFTP_SERVER_NAME_CACHE], groups[SFTP_SERVER_NAME_CACHE];
    char path[PATH_MAX], path2[PATH_MAX]; /* of the request in work */
};

/* A request's work: the answer is put into s->out. An error ends the session; ERR_TRAILING alone is answered. */
typedef int sftp_server_fn(struct sftp_server *s, struct view packet_or_data);

/* ---- answers (sftp_server.c) ---- */
int sftp_server_status(struct sftp_server *s, enum sftp_status status) MUST_USE;
int sftp_server_status_text(struct sftp_server *s, enum sftp_status status, const char *text) MUST_USE;
enum sftp_status sftp_server_status_of(int errno_value);
/* Of a system call: errno's status if failed, else OK. */
int sftp_server_result(struct sftp_server *s, bool failed) MUST_USE;
int sftp_server_one_name(struct sftp_server *s, const char *name) MUST_USE;
int sftp_server_extended_reply(struct sftp_server *s, struct view data) MUST_USE;

/* ---- handles (_handle.c): their wire form is their index, as a u32 ---- */
/* Takes fd (or dir) and path; gives the index, or ERR_LIMIT or ERR_NOMEM, which leave them the caller's. */
int sftp_server_handle_new(struct sftp_server *s, const struct sftp_server_handle *take_handle) MUST_USE;
/* NULL: never given, closed, or of another kind (kind HANDLE_FREE: any kind). */
struct sftp_server_handle *sftp_server_handle_get(const struct sftp_server *s, struct view handle,
                                                  enum sftp_server_handle_kind kind);
/* For log lines: UINT32_MAX and "(null)" when it is none. */
uint32_t sftp_server_handle_number(struct view handle);
const char *sftp_server_handle_path(const struct sftp_server *s, struct view handle);
int sftp_server_handle_answer(struct sftp_server *s, int idx) MUST_USE;
/* close(2)'s result; the handle is free in any case. */
int sftp_server_handle_close(struct sftp_server *s, struct sftp_server_handle *h, const char *how) MUST_USE;
void sftp_server_handles_done(struct sftp_server *s);

/* ---- paths and names (_path.c) ---- */
/* A NUL-terminated copy in `into`; false when it is too long for any path. */
bool sftp_server_path_take(char into[PATH_MAX], struct view path);
/* Absolute, without links and dots; the last component need not exist. 0 or an errno. */
int sftp_server_real_path(const char *path, char ret[PATH_MAX]);
/* "~", "~user" at the front; other relative paths are made absolute. 0 or an errno. */
int sftp_server_expand_path(struct sftp_server *s, const char *path, char ret[PATH_MAX]);
/* Lent by the cache until the next call; "" for an id without a name. */
const char *sftp_server_user_name(struct sftp_server *s, uint32_t uid);
const char *sftp_server_group_name(struct sftp_server *s, uint32_t gid);
void sftp_server_names_done(struct sftp_server *s);

/* ---- attributes (_file.c) ---- */
struct sftp_attrs sftp_server_attrs_of(const struct stat *st);
/* Changes what attrs names, of an open file (fd >= 0) or of the path; follow false: of a link itself. Each is tried; the last
 * failure's status. */
enum sftp_status sftp_server_attrs_apply(struct sftp_server *s, int fd, const char *path, bool follow,
                                         const struct sftp_attrs *attrs);

/* ---- requests ---- */
sftp_server_fn sftp_server_on_open, sftp_server_on_close, sftp_server_on_read, sftp_server_on_write, sftp_server_on_lstat,
    sftp_server_on_fstat, sftp_server_on_setstat, sftp_server_on_fsetstat, sftp_server_on_opendir, sftp_server_on_readdir,
    sftp_server_on_remove, sftp_server_on_mkdir, sftp_server_on_rmdir, sftp_server_on_realpath, sftp_server_on_stat,
    sftp_server_on_rename, sftp_server_on_readlink, sftp_server_on_symlink;
sftp_server_fn sftp_server_on_posix_rename, sftp_server_on_statvfs, sftp_server_on_fstatvfs, sftp_server_on_hardlink,
    sftp_server_on_fsync, sftp_server_on_lsetstat, sftp_server_on_limits, sftp_server_on_expand_path, sftp_server_on_copy_data,
    sftp_server_on_home_directory, sftp_server_on_users_groups;
