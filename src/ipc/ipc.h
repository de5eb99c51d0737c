/* Messages between the project's own processes over a unix stream socket: length, number, fields, and file descriptors where the
 * row says so. messages.def is the table; what it does not allow for a direction, a state, a size or a number of descriptors is an
 * error, and the receiver ends the sender. */
#pragma once

#include "base/buf.h"
#include "wire/codec.h"

enum ipc_role {
    IPC_L,
    IPC_K,
    IPC_M,
    IPC_N,
    IPC_U,
    IPC_Z
};

/* States of a connection, as bits. */
enum ipc_state {
    IPC_IDLE = 1,          /* process started ahead of need */
    IPC_UNKEYED = 2,       /* before the first exchange hash was signed */
    IPC_KEYED = 4,         /* then until login */
    IPC_AUTHENTICATED = 8, /* SUCCESS was said, the transport is on its way */
    IPC_SESSION = 16,
    IPC_PREAUTH = IPC_UNKEYED | IPC_KEYED,
    IPC_ANY = 31,
};

/* Why a connection ended before login. The texts are what net_end carries. */
enum ipc_end {
    IPC_END_CLOSED,       /* by the peer, without a word; text empty */
    IPC_END_DISCONNECTED, /* by the peer; text "11: Bye" */
    IPC_END_IDENT,        /* no SSH on the other side; text "invalid format" */
    IPC_END_NEGOTIATION,  /* text "no matching cipher found. Their offer: ..." */
    IPC_END_PROTOCOL,     /* it broke a rule, or the socket failed; text of the error */
    IPC_END_OURS,         /* a verdict said so; text its */
    IPC_END_MAX,
};

/* What came of a connection, for the listener's penalties. */
enum ipc_outcome {
    IPC_OUTCOME_AUTHENTICATED,
    IPC_OUTCOME_NOTHING,      /* nobody's fault */
    IPC_OUTCOME_CRASH,        /* a process died or said what it may not */
    IPC_OUTCOME_AUTHFAIL,     /* attempts, none of them successful */
    IPC_OUTCOME_INVALID_USER, /* the same as somebody who cannot log in */
    IPC_OUTCOME_REFUSED,      /* RefuseConnection */
    IPC_OUTCOME_NOAUTH,       /* no attempt */
    IPC_OUTCOME_GRACE,        /* LoginGraceTime passed */
    IPC_OUTCOME_MAX,
};

/* struct ipc_NAME with fields, enum IPC_NAME_NUMBER, ipc_NAME_get, ipc_NAME_put (fields only). */
#include "wire/codec_fields_struct.h"
#define IPC(name, number, from, to, states, max_bytes, n_fds, fields)                \
    enum {                                                                           \
        IPC_##name##_NUMBER = (number)                                               \
    };                                                                               \
    struct ipc_##name {                                                              \
        fields                                                                       \
    };                                                                               \
    int ipc_##name##_get(struct view fields_bytes, struct ipc_##name *ret) MUST_USE; \
    int ipc_##name##_put(struct wr *w, const struct ipc_##name *m);
#include "ipc/messages.def"
#undef IPC
#include "wire/codec_fields_undef.h"

enum {
    IPC_FDS_MAX = 3
};

struct ipc {
    int fd; /* owned */
    enum ipc_role us, them;
    unsigned state; /* the owner sets it; one bit of enum ipc_state */
    struct buf in;  /* secret: passwords pass through here */
    int fds[8];     /* received, not yet handed out */
    size_t n_fds;
};

struct ipc_message {
    uint8_t number;
    struct view fields;   /* lent until the next call with this ipc */
    int fds[IPC_FDS_MAX]; /* the caller's from now on; -1 where none */
};

/* take_fd is c's also on failure. */
int ipc_init(struct ipc *c, int take_fd, enum ipc_role us, enum ipc_role them) MUST_USE;
void ipc_done(struct ipc *c); /* closes */

/* Sends a whole message, waiting for room where the socket has none. fds stay the caller's. ERR_BUG for a row that is not ours to
 * send. */
int ipc_send_fields(struct ipc *c, uint8_t number, struct view fields, const int *fds, size_t n_fds) MUST_USE;
/* IPC_SEND(&c, net_sign, .algorithm = a, .hash = h) */
#define IPC_SEND(c_, name_, ...) IPC_SEND_FDS(c_, name_, NULL, 0, __VA_ARGS__)
#define IPC_SEND_FDS(c_, name_, fds_, n_fds_, ...)                                                                 \
    ({                                                                                                             \
        CLEANUP(buf_done) struct buf fields_ = BUF_INIT_SECRET(32 << 20);                                          \
        struct wr w_ = wr_of(&fields_);                                                                            \
        struct ipc_##name_ m_ = { __VA_ARGS__ };                                                                   \
        int err__ = ipc_##name_##_put(&w_, &m_);                                                                   \
        if (err__ == 0) err__ = ipc_send_fields((c_), IPC_##name_##_NUMBER, buf_view(&fields_), (fds_), (n_fds_)); \
        err__;                                                                                                     \
    })

/* Takes what the socket has without waiting. ERR_PEER_CLOSED at its end. ERR_AGAIN: nothing there. */
int ipc_fill(struct ipc *c) MUST_USE;
/* 1: the next whole message, checked against its row; 0: none whole yet; negative: the sender broke the rules. */
int ipc_next(struct ipc *c, struct ipc_message *ret) MUST_USE;
/* Both, waiting. deadline on clock_now()'s clock, MS_NEVER for none: ERR_TIMEOUT. */
int ipc_recv(struct ipc *c, ms deadline, struct ipc_message *ret) MUST_USE;
/* ipc_recv that takes no other message than `number`: ERR_UNEXPECTED_MESSAGE. */
int ipc_expect(struct ipc *c, ms deadline, uint8_t number, struct ipc_message *ret) MUST_USE;

/* "auth_password"; "unknown". */
const char *ipc_name(uint8_t number);
