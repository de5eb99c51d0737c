/* Inside of io/forward*.c. */
#pragma once

#include "io/forward.h"
#include "io/lookup.h"
#include "proto/socks/socks.h"
#include "wire/messages.h"

#include <sys/queue.h>

enum carried_state {
    CARRIED_SOCKS,      /* a local client, or the peer's, has not said yet where to */
    CARRIED_OPENING,    /* the peer was asked to open */
    CARRIED_CONNECTING, /* looking for a name, or waiting for a handshake */
    CARRIED_JOINED      /* socket and channel */
};

/* One connection, from the accept or the peer's open to the close of both of its ends. */
struct carried {
    struct forwards *f;
    LIST_ENTRY(carried) link;
    enum carried_state state;
    channel_id ch; /* CHANNEL_NONE: not open(ing) yet */
    int fd;        /* -1 once the chan_io has it */
    int out_fd;    /* is written instead; -1: fd is a socket */
    struct loop_fd *watch;
    struct chan_io *io;
    struct socks *socks; /* until it is answered; NULL: none */
    char *label;
    bool input_ended, output_ended, is_finishing, was_open, is_socket;
    void (*opened)(void *arg, channel_id ch);
    void (*ended)(void *arg, bool was_open);
    void *ended_arg; /* of both */

    /* what connects */
    bool is_accepted; /* the peer's channel is open already (SOCKS) */
    char *host, *path;
    int port;
    struct sock_addrs addrs;
    size_t next_addr;
    int last_err;
    struct loop_timer *retry;
    ms give_up_at;
    struct buf early; /* came behind a SOCKS request, before there was a connection */
    bool early_eof;
};

struct listener;
struct listen_socket {
    struct listener *l;
    int fd;
    struct loop_fd *watch;
};
struct listener {
    struct forwards *f;
    LIST_ENTRY(listener) link;
    struct forward_listen what; /* its strings are own copies */
    int bound_port;
    struct stat made; /* of a path */
    struct listen_socket at[FORWARD_ADDRESSES_MAX];
    size_t n;
};

struct forwards {
    struct forwards_config config;
    struct conn *conn;
    struct lookups *lookups;
    LIST_HEAD(, carried) carried;
    LIST_HEAD(, listener) listeners;
    size_t n_carried, n_listeners;
    struct carried **by_channel;
    size_t by_channel_cap;
    bool is_starved; /* of descriptors */
    bool is_ending;
    struct loop_timer *starved_timer;
};

/* ---- forward.c ---- */
/* fd, which may be -1, becomes the carried's; on failure it is closed. */
int carried_new(struct forwards *f, int take_fd, struct carried **ret) MUST_USE;
/* Closes what there is of socket and channel. */
void carried_free(struct carried *c);
/* From within a callback of its own parts: at the end of the turn. */
void carried_finish(struct carried *c);
int carried_set_channel(struct carried *c, channel_id ch) MUST_USE;
/* Channel and socket are both open: data flows. */
int carried_join(struct carried *c) MUST_USE;
int carried_set_label(struct carried *c, const char *fmt, ...) MUST_USE PRINTF(2, 3);

/* ---- forward_listen.c ---- */
void listener_free(struct listener *l);
/* While starved no socket is looked at. */
void listeners_watch(struct forwards *f);
/* The channel that a local connection asked for is open, or is not; a SOCKS client is told. */
int accepted_opened(struct carried *c) MUST_USE;
void accepted_refused(struct carried *c, uint32_t reason, struct view text);

/* ---- forward_connect.c ---- */
/* Data of a peer's SOCKS client, before there is a connection. */
int connecting_data(struct carried *c, struct view data) MUST_USE;
void connecting_done(struct carried *c);
