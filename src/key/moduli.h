/* The file of Diffie-Hellman groups, moduli(5). */
#pragma once

#include "base/buf.h"
#include "base/random.h"

enum {
    MODULI_TYPE_SAFE = 2,           /* the number is p */
    MODULI_TYPE_SOPHIE_GERMAIN = 4, /* the number is q of p = 2q + 1 */
    MODULI_TESTS_COMPOSITE = 1,     /* bits of tests */
    MODULI_TESTS_SIEVE = 2,
    MODULI_TESTS_MILLER_RABIN = 4,
    MODULI_NUMBER_BYTES_MAX = 16384 / 8,
};
/* A line: time, type, tests, trials, size (bits - 1), generator, number. */
struct moduli_line {
    unsigned type, tests, trials, bits, generator;
    struct view hex; /* of the number */
};
/* False for comments, blank lines and what is no such line; the digits of hex, which is lent by it, are not looked at. */
bool moduli_line_parse(struct view text, struct moduli_line *ret);
/* hex as bytes, appended. ERR_FORMAT. */
int moduli_line_number(const struct moduli_line *l, struct buf *out) MUST_USE;
/* Appends the line; time is YYYYMMDDHHMMSS. The number is given by its bytes, bits and hex of l are not looked at. */
int moduli_line_put(const struct moduli_line *l, const char *time, struct view number, struct buf *out) MUST_USE;

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
