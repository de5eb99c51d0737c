/* The messages of shared connections (OpenSSH's PROTOCOL.mux, version 4) between ssh, the passenger, and the ssh whose connection
 * it shares, the master. A codec without state and without I/O; which of them may come when is in its table. Each message stands on
 * the socket as u32 length and body; a message that has descriptors is followed by one byte for each, which carries it. */
#pragma once

#include "base/buf.h"

enum {
    MUX_VERSION = 4,
    MUX_FRAME_BYTES_MAX = 256 * 1024, /* body of a message: a command and its environment */
    MUX_ENV_MAX = 4096,               /* assignments in one NEW_SESSION */
    MUX_FDS_MAX = 3,
    MUX_PATH_PORT = 0xfffffffe,   /* -2, as the port of a host that is the path of a unix socket */
    MUX_ESCAPE_NONE = 0xffffffff, /* as escape character */
};

enum mux_type {
    MUX_HELLO = 1, /* of both, first */
    /* the passenger's */
    MUX_NEW_SESSION = 0x10000002,
    MUX_ALIVE_CHECK = 0x10000004,
    MUX_TERMINATE = 0x10000005,
    MUX_OPEN_FORWARD = 0x10000006,
    MUX_CLOSE_FORWARD = 0x10000007,
    MUX_NEW_STDIO_FORWARD = 0x10000008,
    MUX_STOP_LISTENING = 0x10000009,
    MUX_PROXY_REQUEST = 0x1000000f,
    /* the master's */
    MUX_OK = 0x80000001,
    MUX_PERMISSION_DENIED = 0x80000002,
    MUX_FAILURE = 0x80000003,
    MUX_EXIT_MESSAGE = 0x80000004,
    MUX_ALIVE = 0x80000005,
    MUX_SESSION_OPENED = 0x80000006,
    MUX_REMOTE_PORT = 0x80000007,
    MUX_TTY_ALLOC_FAIL = 0x80000008,
};

enum mux_forward {
    MUX_FORWARD_LOCAL = 1,
    MUX_FORWARD_REMOTE = 2,
    MUX_FORWARD_DYNAMIC = 3,
};

/* One of any type; which fields count is in the table of mux.c. Views of what was got are lent by the body. */
struct mux_message {
    uint32_t type;
    uint32_t id;      /* of the request; of the session in EXIT_MESSAGE and TTY_ALLOC_FAIL; the version in HELLO */
    uint32_t value;   /* SESSION_OPENED: its id; EXIT_MESSAGE: status; ALIVE: process id; REMOTE_PORT: the port */
    struct view text; /* why: of PERMISSION_DENIED and FAILURE */
    bool wants_tty, wants_x11, wants_agent, is_subsystem;
    uint32_t escape; /* a byte, or MUX_ESCAPE_NONE */
    struct view term, command;
    struct view rest;      /* NEW_SESSION: the environment, NAME=VALUE as strings; HELLO: extensions */
    uint32_t forward_kind; /* enum mux_forward */
    struct view listen_host, connect_host;
    uint32_t listen_port, connect_port; /* up to 65535, or MUX_PATH_PORT */
};

/* 1: *ret_body is the first whole body in bytes, *ret_used what it takes with its length; 0: more bytes are needed; ERR_LIMIT:
 * longer than MUX_FRAME_BYTES_MAX, or shorter than any message. */
int mux_frame_next(struct view bytes, struct view *ret_body, size_t *ret_used) MUST_USE;
/* A body from a passenger (from_master false) or from a master. ERR_UNEXPECTED_MESSAGE: HELLO is missing, or came again; or it is
 * the other side's. ERR_UNSUPPORTED: a type that is not known, whose request id is in ret->id. ERR_FORMAT, ERR_TRUNCATED,
 * ERR_TRAILING, ERR_RANGE, ERR_LIMIT: its fields. */
int mux_get(struct view body, bool from_master, bool has_hello, struct mux_message *ret) MUST_USE;
/* Appends the whole frame; on failure out is as before. */
int mux_put(struct buf *out, const struct mux_message *m) MUST_USE;
/* How many descriptors follow it. */
size_t mux_n_fds(uint32_t type);
/* The next assignment of rest; false at the end. */
bool mux_next_env(struct view *io_rest, struct view *ret_assignment);
