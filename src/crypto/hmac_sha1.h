/* HMAC-SHA-1 (RFC 2104) of short strings, many in a row: the hashed host names of known_hosts, where each line has its own salt as
 * key. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum {
    HMAC_SHA1_BYTES = 20
};

/* key has at most 64 bytes (ERR_BUG). Allocates nothing. */
int hmac_sha1(struct view key, struct view data, uint8_t ret_mac[20]) MUST_USE;
