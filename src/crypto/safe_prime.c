/* Sieve and test for safe primes, on libcrypto's numbers. */
#include "crypto/safe_prime.h"

#include "crypto/libcrypto_int.h"

#include <stdlib.h>

enum {
    ROUNDS_OF_LIBCRYPTO = 64 /* what BN_check_prime does at least */
};

static void bn_freep(BIGNUM **n) { BN_free(*n); }
static void bn_ctx_freep(BN_CTX **c) { BN_CTX_free(*c); }

static void strike(uint8_t *bits, size_t n, size_t from, size_t step)
{
    for (size_t i = from; i < n; i += step) bits[i / 8] |= (uint8_t)(1u << (i % 8));
}

/* Number i of the sieve is start + 2i. For a small prime s, q is a multiple of s where 2i = -start (mod s), and 2q + 1 where
 * 2i = (s - 1) / 2 - start. */
static int strike_prime(uint8_t *bits, size_t n, const BIGNUM *start, uint64_t s)
{
    uint64_t rest = BN_mod_word(start, (BN_ULONG)s), half = (s + 1) / 2;
    if (rest == (uint64_t)(BN_ULONG)-1) return ERR_CRYPTO;
    strike(bits, n, (s - rest) * half % s, s);
    strike(bits, n, ((s - 1) / 2 + s - rest) * half % s, s);
    return 0;
}

static int strike_all(uint8_t *bits, size_t n, const BIGNUM *start)
{
    CLEANUP(freep) uint8_t *composite = calloc(SAFE_PRIME_SIEVE_LIMIT, 1);
    if (!composite) return ERR_NOMEM;
    for (size_t s = 3; s < SAFE_PRIME_SIEVE_LIMIT; s += 2) {
        if (composite[s]) continue;
        for (size_t i = s * s; i < SAFE_PRIME_SIEVE_LIMIT; i += 2 * s) composite[i] = 1;
        TRY(strike_prime(bits, n, start, s));
    }
    return 0;
}

static int tell_found(const uint8_t *bits, size_t n, const BIGNUM *start, size_t len, safe_prime_found_fn *found, void *arg)
{
    CLEANUP(bn_freep) BIGNUM *q = BN_new();
    uint8_t bytes[SAFE_PRIME_BITS_MAX / 8];
    if (!q) return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        if (bits[i / 8] >> (i % 8) & 1) continue;
        if (!BN_copy(q, start) || !BN_add_word(q, 2 * (BN_ULONG)i)) return ERR_CRYPTO;
        if (BN_num_bits(q) != BN_num_bits(start)) return 0;
        if (BN_bn2binpad(q, bytes, (int)len) < 0) return ERR_CRYPTO;
        TRY(found(arg, view_of(bytes, len)));
    }
    return 0;
}

int safe_prime_sieve(struct view start, size_t sieve_bytes, safe_prime_found_fn *found, void *arg)
{
    if (start.len > SAFE_PRIME_BITS_MAX / 8) return ERR_RANGE;
    CLEANUP(bn_freep) BIGNUM *first = BN_bin2bn(start.p, (int)start.len, NULL);
    CLEANUP(freep) uint8_t *bits = calloc(sieve_bytes, 1);
    if (!first || !bits) return ERR_NOMEM;
    if (BN_num_bits(first) + 1 < SAFE_PRIME_BITS_MIN || BN_num_bits(first) + 1 > SAFE_PRIME_BITS_MAX) return ERR_RANGE;
    if (!BN_is_odd(first) && !BN_add_word(first, 1)) return ERR_CRYPTO;
    TRY(strike_all(bits, 8 * sieve_bytes, first));
    return tell_found(bits, 8 * sieve_bytes, first, start.len, found, arg);
}

static int is_prime(const BIGNUM *n, unsigned rounds, BN_CTX *ctx, bool *ret)
{
    for (unsigned done = 0; done < rounds; done += ROUNDS_OF_LIBCRYPTO) {
        int verdict = BN_check_prime(n, ctx, NULL);
        if (verdict < 0) return ERR_CRYPTO;
        *ret = verdict == 1;
        if (!*ret) break;
    }
    return 0;
}

/* p = 3 (mod 8) makes 2 no square, and so a generator of all; 5 likewise for p = 3 or 7 (mod 10). */
static unsigned generator_of(const BIGNUM *p)
{
    if (BN_mod_word(p, 24) == 11) return 2;
    BN_ULONG rest = BN_mod_word(p, 10);
    return rest == 3 || rest == 7 ? 5 : 0;
}

int safe_prime_check(struct view p_bytes, unsigned rounds, bool *ret, unsigned *ret_generator)
{
    if (p_bytes.len > SAFE_PRIME_BITS_MAX / 8 + 1) return ERR_RANGE;
    CLEANUP(bn_freep) BIGNUM *p = BN_bin2bn(p_bytes.p, (int)p_bytes.len, NULL), *q = BN_new();
    CLEANUP(bn_ctx_freep) BN_CTX *ctx = BN_CTX_new();
    bool good = false;
    if (!p || !q || !ctx) return ERR_NOMEM;
    if (!BN_rshift1(q, p)) return ERR_CRYPTO;
    TRY(is_prime(q, rounds, ctx, &good));
    if (good) TRY(is_prime(p, rounds, ctx, &good));
    *ret = good && BN_is_odd(p);
    *ret_generator = generator_of(p);
    return 0;
}
