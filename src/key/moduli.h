/* The file of Diffie-Hellman groups, moduli(5). */
#pragma once

#include "base/buf.h"
#include "base/random.h"

struct moduli_group {
    unsigned bits;
    struct buf p, g; /* big-endian magnitudes */
};
void moduli_group_done(struct moduli_group *g);
/* RFC 4419 3: a group of at least min_bits and at most max_bits, as close above want_bits as there is, else the largest; one of
 * those at random. Only safe primes that were tested. ERR_NOT_FOUND when the file has none. Broken lines are passed over. *ret is
 * made whole here. */
int moduli_choose(struct view file, unsigned min_bits, unsigned want_bits, unsigned max_bits, const struct random *random,
                  struct moduli_group *ret) MUST_USE;
