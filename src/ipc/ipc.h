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
    IPC_Z,
    IPC_C,
    IPC_P,
    IPC_S,
    IPC_ROLE_MAX
};

/* States of a connection, as bits; those from IPC_TOKEN_READY on are of tokens' helpers and their clients, each with its own
 * account of what was asked. */
enum ipc_state {
    IPC_IDLE = 1,          /* process started ahead of need */
    IPC_UNKEYED = 2,       /* before the first exchange hash was signed */
    IPC_KEYED = 4,         /* then until login */
    IPC_AUTHENTICATED = 8, /* SUCCESS was said, the transport is on its way */
    IPC_SESSION = 16,
    IPC_PREAUTH = IPC_UNKEYED | IPC_KEYED,
    IPC_ANY = 31,
    IPC_TOKEN_READY = 32, /* PKCS#11 helper: the module is loaded */
    IPC_TOKEN_PIN = 64,   /* PKCS#11 helper: waits for the answer to token_pin_wanted */
    IPC_TOKEN_LOADING = 128,
    IPC_TOKEN_SIGNING = 256,
    IPC_TOKEN_ASKED = IPC_TOKEN_LOADING | IPC_TOKEN_SIGNING,
    IPC_SK_ENROLLING = 512,
    IPC_SK_SIGNING = 1024,
    IPC_SK_LISTING = 2048,
    IPC_SK_ASKED = IPC_SK_ENROLLING | IPC_SK_SIGNING | IPC_SK_LISTING,
    IPC_STATE_LAST = IPC_SK_LISTING,
};

/* What a helper says went wrong (token_failed, sk_failed). */
enum token_error {
    TOKEN_ERROR_GENERAL,     /* the text tells */
    TOKEN_ERROR_LIBRARY,     /* cannot be loaded, or is none of its kind */
    TOKEN_ERROR_NO_DEVICE,   /* no token there, or none that has this key */
    TOKEN_ERROR_PIN,         /* needed or wrong */
    TOKEN_ERROR_PIN_LOCKED,  /* too many wrong ones */
    TOKEN_ERROR_UNSUPPORTED, /* by the library, the token, or this build */
    TOKEN_ERROR_EXISTS,      /* a resident key of that name and user */
    TOKEN_ERROR_MAX,
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
    IPC_FDS_MAX = 3,
    TOKEN_HELPER_FD = 3, /* where a token's helper finds its socket */
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
