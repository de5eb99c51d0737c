/* The time of validity as ssh-keygen -V takes it: FROM:TO, or +TIME alone. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum {
    CERT_VALIDITY_WHY_BYTES = 160
};
/* FROM: always, a date (YYYYMMDD, with HHMM or HHMMSS, with Z for UTC), 0x and hexadecimal seconds, or +TIME or -TIME from now_s
 * on; TO: forever or the same. TIME is a number with s, m, h, d or w behind it (none: seconds), or several of them: 1w2d. +TIME
 * alone begins a minute before now, as clocks differ. ERR_FORMAT with a sentence. */
int cert_validity_parse(struct view text, int64_t now_s, uint64_t *ret_after, uint64_t *ret_before,
                        char ret_why[CERT_VALIDITY_WHY_BYTES]) MUST_USE;
