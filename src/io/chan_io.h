/* Joins a channel to local file descriptors. Local bytes are read straight into the connection's output, the peer's go straight
 * from the packet to write(2). What a full pipe does not take is left in the packet where its lender allows that, for a moment;
 * else it is copied, bounded by the channel's window. */
#pragma once

#include "os/loop.h"
#include "proto/conn/conn.h"

struct chan_io;

/* Each fd -1 when there is none. They become the chan_io's. in and out may be the same socket or pty. */
struct chan_io_fds {
    int in;             /* read here, sent as data */
    int in_ext;         /* read here, sent as extended data (stderr of a server's command) */
    int out;            /* the peer's data is written here */
    int out_ext;        /* the peer's extended data 1 is written here */
    bool out_is_socket; /* at the peer's EOF shutdown(2) instead of close */
};

struct chan_io_owner {
    /* in (and in_ext) came to their end and EOF was sent to the peer. */
    void (*input_ended)(void *arg);
    /* What the peer sent before its EOF has been written and out is closed; or nobody reads out any more (err != 0: EPIPE, ENOSPC
     * ...). */
    void (*output_ended)(void *arg, int err);
    /* Bytes passed in some direction (true: from the peer); for keystroke timing, timeouts. NULL: not told. */
    void (*moved)(void *arg, bool from_peer, size_t n);
    void *arg;
};

int chan_io_new(struct loop *loop, struct conn *conn, channel_id ch, const struct chan_io_fds *take_fds,
                const struct chan_io_owner *owner, struct chan_io **ret) MUST_USE;
/* Closes the descriptors; leaves the channel alone. */
void chan_io_free(struct chan_io *c);
DEFINE_FREEP(struct chan_io, chan_io_free)

/* ---- from the owner of the connection (conn_io does it) ---- */
/* Whoever owns the bytes of a CONN_DATA and can leave them in place while no other event is given. */
struct chan_io_lender {
    void (*returned)(void *arg); /* after CHAN_IO_LENT: the bytes are not needed any more */
    void *arg;
};
enum {
    CHAN_IO_LENT = 1
};
/* CONN_DATA. 0: data is not needed any more. CHAN_IO_LENT, only with a lender (NULL: none): out is full, and data stays in use, and
 * chan_io_data is not called again, until the lender's returned is called or chan_io_return. lender lives as long as c. */
int chan_io_data(struct chan_io *c, uint32_t ext_type, struct view data, const struct chan_io_lender *lender) MUST_USE;
/* The lender wants its bytes back: what is left of them is copied. Does not call returned. */
int chan_io_return(struct chan_io *c) MUST_USE;
void chan_io_eof(struct chan_io *c);  /* CONN_EOF */
void chan_io_room(struct chan_io *c); /* CONN_WINDOW, or the link has drained */

/* Bytes for the peer that do not come from a descriptor (typed text after escapes): queued, bounded by CHAN_IO_TYPED_BYTES
 * (ERR_LIMIT). */
enum {
    CHAN_IO_TYPED_BYTES = 1 << 20
};
int chan_io_type(struct chan_io *c, struct view bytes) MUST_USE;
/* No more of them: EOF goes out behind what is queued. For a chan_io whose in is -1. */
void chan_io_type_eof(struct chan_io *c);
/* Stops reading in (and in_ext) for good without an EOF; what is there stays unread. */
void chan_io_stop_input(struct chan_io *c);
/* Whether everything the peer sent has been written. */
bool chan_io_is_drained(const struct chan_io *c);
