/* What the lists of key lines and certificates say of a peer: from=, source-address, AllowUsers' host part. Address syntax is
 * base/ip_match.h's. */
#pragma once

#include "base/err.h"
#include "base/view.h"

/* Negated wins over yes. */
enum {
    ADDR_MATCH_NONE,
    ADDR_MATCH_YES,
    ADDR_MATCH_NEGATED
};

/* from=: elements (CIDR blocks, addresses, patterns with * and ?, ! negates) may match the host name or the address text. host may
 * be the address again when there is no name. Gives ADDR_MATCH_*, or ERR_RANGE for a list that cannot be right: 10.1.2.3/8. */
int addr_match_host_list(struct view host, struct view address, struct view list) MUST_USE;
/* Certificates' source-address: CIDR blocks and addresses only, no patterns, no negation. NONE, YES, ERR_FORMAT, ERR_RANGE. An
 * empty list is NONE. */
int addr_match_cidr_list(struct view address, struct view list) MUST_USE;
