/* The forwards of one connection (RFC 4254 7; OpenSSH PROTOCOL 2.4): listening sockets whose connections become channels, and
 * channels of the peer that become connections. ssh and sshd's user child use it alike. What is allowed, what is asked of the peer
 * and what the user is told about it is theirs: nothing listens, and no channel leads anywhere, that was not asked for here.
 * Listeners are added and taken away at any time; what they have accepted lives on.
 * Files: forward.c (the connections carried: from opening to close), forward_listen.c (listeners, SOCKS of local clients),
 * forward_connect.c (names, addresses, SOCKS of the peer's clients). */
#pragma once

#include "io/conn_io.h"

struct forwards;

/* Types of channel that listeners open. */
enum forward_channel {
    FORWARD_DIRECT_TCPIP,
    FORWARD_DIRECT_STREAMLOCAL,
    FORWARD_FORWARDED_TCPIP,
    FORWARD_FORWARDED_STREAMLOCAL,
    FORWARD_AGENT, /* auth-agent@openssh.com; says nothing */
    FORWARD_CHANNEL_MAX
};

enum {
    FORWARD_LISTENERS_MAX = 4096,     /* of one connection */
    FORWARD_ADDRESSES_MAX = 16,       /* sockets of one listener, as a name may have several addresses */
    FORWARD_STARVED_MS = 1000,        /* without descriptors nothing is accepted for so long, or until one is free */
    FORWARD_UNIX_RETRY_MS = 20,       /* a unix socket whose queue is full is tried again after so long */
    FORWARD_UNIX_PATIENCE_MS = 10000, /* and given up after so long */
    FORWARD_EARLY_BYTES = 4 << 20     /* what a peer's SOCKS client may send before it is connected */
};

struct forwards_config {
    struct loop *loop;
    struct conn_io *conn_io;
    const struct log *log;
    int family;       /* AF_UNSPEC, AF_INET, AF_INET6: of the addresses to listen on and to connect to */
    mode_t unix_mask; /* StreamLocalBindMask */
    bool unix_unlink; /* StreamLocalBindUnlink */
    /* The last connection has ended. NULL: not told. */
    void (*idle)(void *arg);
    /* May a SOCKS client of the peer (forwards_connect) be led there? NULL: anywhere. */
    bool (*may_connect)(void *arg, const char *host, int port);
    void *arg;
};
int forwards_new(const struct forwards_config *config, struct forwards **ret) MUST_USE;
/* Before the conn_io. Closes all, without a word to the peer. */
void forwards_free(struct forwards *f);
DEFINE_FREEP(struct forwards, forwards_free)

/* ---- listening ---- */

struct forward_listen {
    const char *host; /* NULL: the loopback addresses; "": all; else a name or address */
    int port;         /* 0: the system chooses */
    const char *path; /* a unix socket, instead of both */
    enum forward_channel channel;
    /* What the channel's open says. DIRECT: the target. FORWARDED_TCPIP: the address as it was asked for; port 0 is the one that
     * was bound. */
    const char *to_host;
    int to_port;
    const char *to_path;
    bool socks; /* DIRECT_TCPIP to where its SOCKS client wants */
};
/* *ret_port: the port that was bound (0 for a path). One address of several is enough. Which addresses failed, and why, has been
 * logged: the last at error level, others at verbose. ERR_NOT_FOUND: the name is unknown; ERR_SYS of the last bind; ERR_LIMIT. */
int forwards_listen(struct forwards *f, const struct forward_listen *l, int *ret_port) MUST_USE;
/* Ends the listener with this host (NULL is not ""), and port as given or as bound; or with this path. ERR_NOT_FOUND. */
int forwards_unlisten(struct forwards *f, const char *host, int port, const char *path) MUST_USE;

/* A channel for two descriptors of our own (ssh -W). */
struct forward_stdio {
    enum forward_channel channel; /* DIRECT_TCPIP or DIRECT_STREAMLOCAL, with the target as in forward_listen */
    const char *to_host;
    int to_port;
    const char *to_path;
    void (*opened)(void *arg, channel_id ch); /* NULL: not told */
    void (*ended)(void *arg, bool was_open);  /* once, when nothing is carried any more */
    void *arg;
};
/* in is read, out is written; both become the forwards'. Failing to open has been logged. */
int forwards_open_stdio(struct forwards *f, int take_in, int take_out, const struct forward_stdio *s) MUST_USE;

/* ---- connecting ---- */

struct forward_connect {
    const char *host; /* name or address */
    int port;
    const char *path; /* a unix socket, instead of both */
    bool socks;       /* neither: the channel is accepted, and its data says in SOCKS where to connect */
};
/* Answers the CONN_OPEN of this channel: accepts and carries it once connected, refuses it with the reason otherwise. Addresses are
 * tried one after the other. A negative result ends the transport. */
int forwards_connect(struct forwards *f, channel_id ch, const struct forward_connect *to) MUST_USE;

/* The same with a socket that is connected already. label as forwards_label. */
int forwards_adopt(struct forwards *f, channel_id ch, int take_fd, const char *label) MUST_USE;

/* ---- from the owner of the connection ---- */

/* Whether this is a channel of ours; its events go to forwards_event. Result as conn_io_owner.event. */
bool forwards_has(const struct forwards *f, channel_id ch);
int forwards_event(struct forwards *f, const struct conn_event *e) MUST_USE;
/* What a channel carries, "listening port 8080 for localhost port 80, connect from 127.0.0.1 port 40112"; lent, NULL: not ours. */
const char *forwards_label(const struct forwards *f, channel_id ch);
/* Ends a carried connection (ChannelTimeout). */
void forwards_end(struct forwards *f, channel_id ch);
size_t forwards_n_carried(const struct forwards *f);
size_t forwards_n_listeners(const struct forwards *f);
