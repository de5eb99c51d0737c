/* Records from DNS, through the C library's resolver and its resolv.conf. Names to addresses are sock.h's. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum {
    DNS_TYPE_SSHFP = 44 /* RFC 4255 */
};

/* One record's data as it stands in the answer; lent for the call. A negative result ends the query with it. */
typedef int dns_record_fn(void *arg, struct view rdata);

/* Asks for the records of one type of a name, which is taken as it is, without the search list. Blocks. fn is called for each of
 * them. *ret_is_authentic: the resolver vouches for the answer by DNSSEC (the AD bit), and is to be believed in that: resolv.conf
 * says trust-ad, or all of its servers are on this machine. ERR_NOT_FOUND: no such name or no such records; ERR_TIMEOUT: no server
 * answers, or it failed; ERR_FORMAT: an answer that is none. */
int dns_query(const char *name, unsigned type, dns_record_fn *fn, void *arg, bool *ret_is_authentic) MUST_USE;
