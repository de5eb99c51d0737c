/* Queries by libresolv, which also takes the answers apart. */
#include "os/dns.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_BYTES_MAX = 65535
};

static bool is_loopback(const struct sockaddr_in *v4, const struct sockaddr_in6 *v6)
{
    if (v6) return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    return v4->sin_family == AF_INET && (ntohl(v4->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

/* glibc keeps servers with IPv6 addresses beside the others, at the same index. */
static bool is_on_this_machine(const struct __res_state *state)
{
    for (int i = 0; i < state->nscount; i++) {
        const struct sockaddr_in6 *v6 = state->nsaddr_list[i].sin_family == 0 ? state->_u._ext.nsaddrs[i] : NULL;
        if (!is_loopback(&state->nsaddr_list[i], v6)) return false;
    }
    return state->nscount > 0;
}

static int error_of(int h_error) { return h_error == HOST_NOT_FOUND || h_error == NO_DATA ? ERR_NOT_FOUND : ERR_TIMEOUT; }

static int take_answer(const uint8_t *answer, int len, unsigned type, dns_record_fn *fn, void *arg, bool *ret_is_authentic)
{
    ns_msg msg;
    ns_rr record;
    if (ns_initparse(answer, len, &msg) < 0) return ERR_FORMAT;
    *ret_is_authentic = ns_msg_getflag(msg, ns_f_ad) != 0;
    for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
        if (ns_parserr(&msg, ns_s_an, i, &record) < 0) return ERR_FORMAT;
        if (ns_rr_class(record) != ns_c_in || ns_rr_type(record) != type) continue; /* aliases on the way */
        TRY(fn(arg, view_of(ns_rr_rdata(record), ns_rr_rdlen(record))));
    }
    return 0;
}

int dns_query(const char *name, unsigned type, dns_record_fn *fn, void *arg, bool *ret_is_authentic)
{
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) < 0) return ERR_TIMEOUT;
    state.options |= RES_USE_EDNS0;
    if (is_on_this_machine(&state))
        state.options |= RES_TRUSTAD; /* else glibc takes the bit off, unless resolv.conf says trust-ad */
    uint8_t *answer = malloc(ANSWER_BYTES_MAX);
    int err = ERR_NOMEM;
    if (answer) {
        int len = res_nquery(&state, name, ns_c_in, (int)type, answer, ANSWER_BYTES_MAX);
        if (len > ANSWER_BYTES_MAX) len = ANSWER_BYTES_MAX;
        err = len < 0 ? error_of(state.res_h_errno) : take_answer(answer, len, type, fn, arg, ret_is_authentic);
    }
    free(answer);
    res_nclose(&state);
    return err;
}
