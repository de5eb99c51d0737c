/* Numeric IP addresses and lists of them: "10.0.0.0/8,!10.1.2.3,2001:db8::/32,192.168.*" as in Match Address, from= and AllowUsers.
 * Knows no names and asks nobody. An IPv4 address mapped into IPv6 (::ffff:a.b.c.d) counts as the IPv4 address. */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct ip_addr {
    uint8_t len; /* 4 or 16 */
    uint8_t bytes[16];
};

/* A scope ("%eth0") is allowed and ignored. ERR_FORMAT. */
int ip_parse(struct view text, struct ip_addr *ret) MUST_USE;
/* "ADDRESS" or "ADDRESS/BITS". ERR_FORMAT when it is neither, ERR_RANGE when BITS is too large or bits of the address are set
 * beyond it. */
int ip_parse_cidr(struct view text, struct ip_addr *ret, unsigned *ret_bits) MUST_USE;
bool ip_in_cidr(const struct ip_addr *a, const struct ip_addr *net, unsigned bits);

/* *ret_verdict is 1 when some element matches and no negated one does, -1 when a negated one matches, else 0. Elements that are no
 * address are patterns for the address' text. ERR_RANGE for an element such as 10.1.2.3/8 or 10.0.0.0/40, whatever matched. */
int ip_list_match(struct view address, struct view list, int *ret_verdict) MUST_USE;
/* Whether ip_list_match would accept the list; without patterns if strict (ERR_FORMAT then). */
int ip_list_check(struct view list, bool strict) MUST_USE;
