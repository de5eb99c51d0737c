/* The server's half of SOCKS 4, 4a and 5 (RFC 1928, without authentication), up to the point where it is known where to connect.
 * Bytes of the client in, replies and a target out; what carries them, and connecting, are the caller's. Only CONNECT is served. A
 * name stays a name: it is resolved where the connection is made. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum {
    SOCKS_TEXT_BYTES = 255,                               /* of a name or a user; SOCKS 5 cannot say more */
    SOCKS_REQUEST_BYTES = 8 + 2 * (SOCKS_TEXT_BYTES + 1), /* the longest request, of 4a */
    SOCKS_REPLY_BYTES = 2 + 10                            /* the method, and the answer to the request */
};

/* How connecting went; the values are the reply codes of RFC 1928 6. */
enum socks_outcome {
    SOCKS_CONNECTED = 0,
    SOCKS_FAILED = 1,
    SOCKS_FORBIDDEN = 2,
    SOCKS_NET_UNREACHABLE = 3,
    SOCKS_HOST_UNREACHABLE = 4,
    SOCKS_REFUSED = 5,
    SOCKS_NO_SUCH_COMMAND = 7,
    SOCKS_NO_SUCH_ADDRESS = 8
};

enum socks_state {
    SOCKS_VERSION,
    SOCKS_V4_HEAD,
    SOCKS_V4_USER,
    SOCKS_V4_HOST,
    SOCKS_V5_METHODS,
    SOCKS_V5_HEAD,
    SOCKS_V5_ADDRESS,
    SOCKS_DONE,
    SOCKS_STATE_MAX
};

struct socks {
    enum socks_state state;
    uint8_t version; /* 0: not known yet */
    size_t n, mark;
    uint8_t got[SOCKS_REQUEST_BYTES];
    char host[SOCKS_TEXT_BYTES + 1]; /* the target, once known: a name or a numeric address */
    uint16_t port;
    uint8_t reply[SOCKS_REPLY_BYTES];
    size_t reply_len;
};

void socks_init(struct socks *s);
/* Takes bytes of the client up to the end of its request, *ret_used of them. 0: more is needed. 1: host and port are known.
 * ERR_DENIED: refused, ERR_FORMAT: this is no SOCKS; nothing more is to be fed then. In each case socks_reply may have something to
 * send. ERR_STATE: after another result than 0. */
int socks_feed(struct socks *s, struct view bytes, size_t *ret_used) MUST_USE;
/* What is to be sent to the client, lent until the next call; each reply is given once. */
struct view socks_reply(struct socks *s);
/* Makes the reply that says how connecting went. */
void socks_answer(struct socks *s, enum socks_outcome outcome);
