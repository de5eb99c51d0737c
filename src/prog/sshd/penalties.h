/* PerSourcePenalties: for how long a source of connections is refused after what it did. A source is an address' leading bits
 * (PerSourceNetBlockSize). IPv4 and IPv6 sources are counted apart, each up to its maximum, so a flood from one kind changes
 * nothing for the other. Knows no sockets and no clock; the listener asks it before it takes a connection. */
#pragma once

#include "base/err.h"
#include "conf/values.h"
#include "os/sock.h"

enum penalty {
    PENALTY_NONE,
    PENALTY_CRASH,            /* a process of the connection died, or said what it may not */
    PENALTY_AUTHFAIL,         /* tried to log in and failed */
    PENALTY_INVALIDUSER,      /* the same as somebody who does not exist or may not log in */
    PENALTY_REFUSECONNECTION, /* RefuseConnection */
    PENALTY_NOAUTH,           /* went away without trying */
    PENALTY_GRACE_EXCEEDED,
    PENALTY_KINDS
};

struct penalties;

/* conf, block: copied. exempt: PerSourcePenaltyExemptList or NULL, borrowed for as long as the penalties are there. conf->on false
 * is fine: then there are none. */
int penalties_new(const struct conf_penalties *conf, const struct conf_net_block *block, const char *exempt, struct penalties **ret)
    MUST_USE;
void penalties_free(struct penalties *p); /* NULL is fine */

/* What became of a source. */
struct penalty_note {
    ms span_ms;         /* until it is forgotten; 0: nothing was noted */
    bool is_active;     /* it is refused meanwhile; else more would have to come together first (min) */
    const char *reason; /* "penalty: failed authentication" */
    char source[64];    /* "192.0.2.1/32" */
};
/* Adds to the account of a source. Out of memory, or no more sources than that with overflow deny-all: nothing is noted. */
void penalties_add(struct penalties *p, const struct sock_addr *peer, enum penalty kind, ms now, struct penalty_note *ret);
/* Why a connection from there is to be refused now; NULL: it is not. *ret_first: no connection was refused for this penalty before
 * (one line in the log is enough). */
const char *penalties_refuse(struct penalties *p, const struct sock_addr *peer, ms now, bool *ret_first);
/* How many sources are remembered. */
size_t penalties_n(struct penalties *p, ms now);
