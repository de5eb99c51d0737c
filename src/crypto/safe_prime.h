/* Safe primes p = 2q + 1 for Diffie-Hellman groups: candidates by a sieve, and the proof by Miller and Rabin's test. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum {
    SAFE_PRIME_SIEVE_LIMIT = 1 << 20, /* candidates have no factor below it, neither q nor p */
    SAFE_PRIME_BITS_MIN = 512,
    SAFE_PRIME_BITS_MAX = 16384,
};

/* Tries the odd q from start (big-endian, its highest bit set) on, one for each bit of sieve_bytes; start's length in bits stays.
 * found is told each candidate, lent for the call; what it gives but 0 ends the search and is handed on. ERR_RANGE: too few or too
 * many bits. ERR_NOMEM, ERR_CRYPTO. */
typedef int safe_prime_found_fn(void *arg, struct view q);
int safe_prime_sieve(struct view start, size_t sieve_bytes, safe_prime_found_fn *found, void *arg) MUST_USE;

/* Whether p and (p - 1) / 2 are prime, by at least this many rounds each. *ret_generator: 2 or 5, whichever generates the whole
 * group; 0: neither. */
int safe_prime_check(struct view p, unsigned rounds, bool *ret, unsigned *ret_generator) MUST_USE;
