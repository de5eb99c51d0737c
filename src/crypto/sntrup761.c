/* Streamlined NTRU Prime sntrup761, from the round 3 specification ("NTRU Prime: round 3", 20201007); names in capitals are its
 * functions. It knows SHA-512 through digest.h, and of SSH nothing.
 * R/q is Z[x]/(q, x^p - x - 1), R/3 the same modulo 3; "short" is a polynomial of coefficients -1, 0, 1 with W that are not 0.
 * No branch, no index and no division depends on a secret. The one thing that time tells is how often keygen drew an inverse-less
 * g, which is then thrown away. Public keys and ciphertexts are public: their decoding divides. */
#include "crypto/sntrup761.h"

#include "base/secret.h"
#include "crypto/digest.h"

enum {
    P = 761,
    Q = 4591,
    Q_HALF = (Q - 1) / 2,
    W = 286,
    P_PADDED = 768,              /* whole vectors in the inner loops, whole words for bits */
    Q_INVERSE = 15631,           /* q^-1 mod 2^16 */
    MONT_R = 1262,               /* 2^16 mod q */
    MONT_R2 = -433,              /* 2^32 mod q */
    DIVSTEPS = 2 * P - 1,        /* enough for degrees p and p - 1 */
    ROWS = 8,                    /* of a product, added up in one pass */
    ROWS_WINDOW = P_PADDED + 16, /* what they add to, in whole vectors */
    SMALL_BYTES = 191,           /* four coefficients a byte */
    ROUNDED_BYTES = 1007,
    HASH_BYTES = 32,
    G_TRIES = 16, /* nearly every g has an inverse: a source that fails so often is broken */
};

/* Coefficients beyond P are 0. */
struct poly {
    int16_t c[P_PADDED];
};

/* To -Q_HALF..Q_HALF, for every int16: two steps, as one of this precision can end just beyond. */
static inline int16_t mod_q(int16_t a)
{
    int32_t x = a;
    x -= Q * ((x * 14617 + (1 << 25)) >> 26);
    x -= Q & ((Q_HALF - x) >> 31);
    x += Q & ((x + Q_HALF) >> 31);
    return (int16_t)x;
}

/* To -1..1, |a| < 2^14. */
static inline int16_t mod_3(int16_t a) { return (int16_t)(a - 3 * ((10923 * a + (1 << 14)) >> 15)); }

/* 0 or -1: whether a is not 0. */
static inline int16_t mask_nonzero(int16_t a) { return (int16_t)((a | -a) >> 15); }

/* a * b / 2^16 mod q, within |a b| / 2^16 + q / 2. b_scaled is b / q mod 2^16. */
static inline int16_t mul_mont(int16_t a, int16_t b, int16_t b_scaled)
{
    int16_t t = (int16_t)(a * b_scaled);
    return (int16_t)(((int32_t)a * b >> 16) - ((int32_t)t * Q >> 16));
}

/* ---- R/q */

/* To within 2340 + 7 * 90 = 2970, by a multiplication and a shift of 16 bits: 2^16 / 14 = 4681 = q + 90. */
static inline int16_t mod_q_lazy(int16_t a)
{
    int16_t quotient = (int16_t)((int16_t)(a + 2340) * 14 >> 16);
    return (int16_t)(a - quotient * Q);
}

/* Adds g[0] f + g[1] x f + ... + g[7] x^7 f, g in -1..1. 2970 + 8 * Q_HALF + 2340 is below 2^15. f has ROWS zeros before it. */
static void rows_add(int16_t *restrict sum, const int16_t g[ROWS], const int16_t *restrict f)
{
    const int16_t g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3], g4 = g[4], g5 = g[5], g6 = g[6], g7 = g[7];
    for (int i = 0; i < ROWS_WINDOW; i++) {
        int16_t s = (int16_t)(sum[i] + g0 * f[i] + g1 * f[i - 1] + g2 * f[i - 2] + g3 * f[i - 3] + g4 * f[i - 4] + g5 * f[i - 5] +
                              g6 * f[i - 6] + g7 * f[i - 7]);
        sum[i] = mod_q_lazy(s);
    }
}

/* f * g in R/q, g in -1..1, f and the result within Q_HALF. For two such small ones it is exact over the integers: within 2 P. */
static void rq_mul_small(const struct poly *f, const struct poly *g, struct poly *ret)
{
    int16_t sum[P_PADDED + ROWS_WINDOW] = { 0 }, padded[ROWS + ROWS_WINDOW] = { 0 };
    memcpy(padded + ROWS, f->c, sizeof f->c);
    for (int i = 0; i < P_PADDED; i += ROWS) rows_add(sum + i, g->c + i, padded + ROWS);
    /* x^(P + i) = x^(i + 1) + x^i */
    for (int i = P - 2; i >= 0; i--) {
        sum[i] = (int16_t)(sum[i] + sum[P + i]);
        sum[i + 1] = (int16_t)(sum[i + 1] + sum[P + i]);
    }
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = mod_q(sum[i]);
    secret_wipe(sum, sizeof sum);
    secret_wipe(padded, sizeof padded);
}

static inline int16_t mul(int16_t a, int16_t b) { return mul_mont(a, b, (int16_t)(b * Q_INVERSE)); }

/* 1 / a mod q by a^(q - 2), the exponent being public. */
static int16_t fq_inverse(int16_t a)
{
    int16_t power = MONT_R, base = mul(a, MONT_R2);
    for (int e = Q - 2; e; e >>= 1) {
        if (e & 1) power = mul(power, base);
        base = mul(base, base);
    }
    return mul(power, 1);
}

/* The division steps of Bernstein and Yang, "Fast constant-time gcd computation and modular inversion", 2019, on f = x^p - x - 1
 * and the element, both reversed. v and r follow f and g: v / f[0] becomes the reversed inverse. */
struct divsteps {
    int delta;
    struct poly f, g, v, r;
};

static void divsteps_wipe(struct divsteps *d) { secret_wipe(d, sizeof *d); }

/* -1 when this step exchanges f and g; delta is moved on. */
static int16_t divstep_swap(int *delta, int16_t g0_nonzero)
{
    int swap = (-*delta >> 31) & g0_nonzero;
    *delta = (*delta ^ swap) - swap + 1;
    return (int16_t)swap;
}

/* f becomes g where swap says so, g becomes (f0 g - g0 f) / 2^16; below 2 q all stays below 2 q. That the sign of g differs from
 * the paper's after a swap is a unit that r shares and the end divides away, as it does the powers of 2^16. Not
 * inlined: clang 14 would forget what restrict says, and make no vectors of it. */
__attribute__((noinline)) static void rq_step(int16_t *restrict f, int16_t *restrict g, int16_t f0, int16_t g0, int16_t swap)
{
    int16_t f0_scaled = (int16_t)(f0 * Q_INVERSE), g0_scaled = (int16_t)(g0 * Q_INVERSE);
    for (int i = 0; i < P_PADDED; i++) {
        int16_t old_f = f[i], old_g = g[i];
        f[i] = (int16_t)(old_f ^ (swap & (old_f ^ old_g)));
        g[i] = (int16_t)(mul_mont(old_g, f0, f0_scaled) - mul_mont(old_f, g0, g0_scaled));
    }
}

/* 1 / (3 a) in R/q, a short. R/q is a field and a is not 0. */
static void rq_inverse_of_3(const struct poly *a, struct poly *ret)
{
    CLEANUP(divsteps_wipe) struct divsteps d = { .delta = 1 };
    d.f.c[0] = 1;
    d.f.c[P - 1] = d.f.c[P] = -1;
    for (int i = 0; i < P; i++) d.g.c[P - 1 - i] = a->c[i];
    d.r.c[0] = 1;
    for (int n = 0; n < DIVSTEPS; n++) {
        memmove(d.v.c + 1, d.v.c, sizeof d.v.c - sizeof d.v.c[0]);
        d.v.c[0] = 0;
        int16_t f0 = d.f.c[0], g0 = mod_q(d.g.c[0]);
        int16_t swap = divstep_swap(&d.delta, mask_nonzero(g0));
        rq_step(d.f.c, d.g.c, f0, g0, swap);
        rq_step(d.v.c, d.r.c, f0, g0, swap);
        memmove(d.g.c, d.g.c + 1, sizeof d.g.c - sizeof d.g.c[0]);
        d.g.c[P_PADDED - 1] = 0;
    }
    int16_t scale = mul(fq_inverse(mod_q((int16_t)(3 * mod_q(d.f.c[0])))), MONT_R2);
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = mod_q(mul(d.v.c[P - 1 - i], scale));
}

/* ---- R/3, 64 coefficients a word */

enum {
    WORDS = P_PADDED / 64
};

/* A coefficient is 1 where `plus` has its bit, -1 where `minus` has it. */
struct trits {
    uint64_t plus[WORDS], minus[WORDS];
};

static void trits_set(struct trits *t, int i, int value)
{
    t->plus[i / 64] |= (uint64_t)((value + 1) >> 1 & 1) << (i % 64);
    t->minus[i / 64] |= (uint64_t)((value >> 1) & 1) << (i % 64);
}

static int trits_get(const struct trits *t, int i)
{
    return (int)(t->plus[i / 64] >> (i % 64) & 1) - (int)(t->minus[i / 64] >> (i % 64) & 1);
}

/* Times x. */
static void trits_up(uint64_t *w)
{
    for (int i = WORDS - 1; i > 0; i--) w[i] = w[i] << 1 | w[i - 1] >> 63;
    w[0] <<= 1;
}

static void trits_down(uint64_t *w)
{
    for (int i = 0; i < WORDS - 1; i++) w[i] = w[i] >> 1 | w[i + 1] << 63;
    w[WORDS - 1] >>= 1;
}

/* A coefficient in every place: all bits or none. */
struct trit_mask {
    uint64_t plus, minus;
};

static struct trit_mask trit_mask_of(const struct trits *t) { return (struct trit_mask){ -(t->plus[0] & 1), -(t->minus[0] & 1) }; }

/* As rq_step. */
static void r3_step(struct trits *f, struct trits *g, struct trit_mask f0, struct trit_mask g0, uint64_t swap)
{
    for (int i = 0; i < WORDS; i++) {
        uint64_t fp = f->plus[i], fm = f->minus[i], gp = g->plus[i], gm = g->minus[i];
        uint64_t ap = (gp & f0.plus) | (gm & f0.minus), am = (gp & f0.minus) | (gm & f0.plus); /* f0 g */
        uint64_t bp = (fp & g0.minus) | (fm & g0.plus), bm = (fp & g0.plus) | (fm & g0.minus); /* -g0 f */
        uint64_t a_zero = ~(ap | am), b_zero = ~(bp | bm);
        g->plus[i] = (ap & b_zero) | (bp & a_zero) | (am & bm);
        g->minus[i] = (am & b_zero) | (bm & a_zero) | (ap & bp);
        f->plus[i] = fp ^ (swap & (fp ^ gp));
        f->minus[i] = fm ^ (swap & (fm ^ gm));
    }
}

struct divsteps3 {
    int delta;
    struct trits f, g, v, r;
};

static void divsteps3_wipe(struct divsteps3 *d) { secret_wipe(d, sizeof *d); }

/* 1 / a in R/3, or false when there is none. */
static bool r3_inverse(const struct poly *a, struct poly *ret)
{
    CLEANUP(divsteps3_wipe) struct divsteps3 d = { .delta = 1 };
    trits_set(&d.f, 0, 1);
    trits_set(&d.f, P - 1, -1);
    trits_set(&d.f, P, -1);
    for (int i = 0; i < P; i++) trits_set(&d.g, P - 1 - i, a->c[i]);
    trits_set(&d.r, 0, 1);
    for (int n = 0; n < DIVSTEPS; n++) {
        trits_up(d.v.plus);
        trits_up(d.v.minus);
        struct trit_mask f0 = trit_mask_of(&d.f), g0 = trit_mask_of(&d.g);
        int16_t swap = divstep_swap(&d.delta, (int16_t)(g0.plus | g0.minus));
        r3_step(&d.f, &d.g, f0, g0, (uint64_t)(int64_t)swap);
        r3_step(&d.v, &d.r, f0, g0, (uint64_t)(int64_t)swap);
        trits_down(d.g.plus);
        trits_down(d.g.minus);
    }
    int sign = trits_get(&d.f, 0);
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = (int16_t)(sign * trits_get(&d.v, P - 1 - i));
    return d.delta == 0;
}

/* f * g in R/3, both in -1..1. */
static void r3_mul(const struct poly *f, const struct poly *g, struct poly *ret)
{
    rq_mul_small(f, g, ret);
    for (int i = 0; i < P; i++) ret->c[i] = mod_3(ret->c[i]);
}

/* ---- bytes */

/* Encode and Decode for numbers below m (the last below m_last): each level puts its numbers together by twos, and gives away low
 * bytes of those of 2^14 and more. Here the shape of one level. */
struct radix_level {
    size_t n, offset; /* numbers; where this level's bytes begin */
    uint32_t m, m_last;
};
enum {
    RADIX_LEVELS = 11,
    RADIX_LIMIT = 1 << 14
};

/* How many bytes a number below *m gives away; *m becomes the bound of what stays. */
static size_t radix_bytes(uint32_t *m, uint32_t limit)
{
    size_t n = 0;
    for (; *m >= limit; n++) *m = (*m + 255) >> 8;
    return n;
}

/* The last level has one number. Returns the levels before it. */
static int radix_levels(uint32_t m, struct radix_level levels[RADIX_LEVELS])
{
    int i = 0;
    for (levels[0] = (struct radix_level){ P, 0, m, m }; levels[i].n > 1; i++) {
        const struct radix_level *l = &levels[i];
        size_t pairs = l->n / 2;
        bool even = l->n % 2 == 0;
        uint32_t pair = l->m * l->m, last_pair = l->m * l->m_last;
        size_t bytes = radix_bytes(&pair, RADIX_LIMIT), last_bytes = radix_bytes(&last_pair, RADIX_LIMIT);
        levels[i + 1].n = pairs + !even;
        levels[i + 1].offset = l->offset + (even ? (pairs - 1) * bytes + last_bytes : pairs * bytes);
        levels[i + 1].m = pair;
        levels[i + 1].m_last = even ? last_pair : l->m_last;
    }
    return i;
}

/* Bytes of pair k, which is made of numbers 2k and 2k + 1. */
static size_t radix_pair_bytes(const struct radix_level *l, size_t k, uint32_t *ret_m_second)
{
    *ret_m_second = 2 * k + 1 == l->n - 1 ? l->m_last : l->m;
    uint32_t m = l->m * *ret_m_second;
    return radix_bytes(&m, RADIX_LIMIT);
}

/* Divides by powers of 2 only: decaps encodes what is secret until it is compared. */
static void radix_encode(uint32_t r[P], uint32_t m, uint8_t *ret)
{
    struct radix_level levels[RADIX_LEVELS];
    int n_levels = radix_levels(m, levels);
    for (int i = 0; i < n_levels; i++) {
        const struct radix_level *l = &levels[i];
        for (size_t k = 0; k < l->n / 2; k++) {
            uint32_t m_second, value = r[2 * k] + r[2 * k + 1] * l->m;
            size_t bytes = radix_pair_bytes(l, k, &m_second);
            for (; bytes; bytes--, value >>= 8) *ret++ = (uint8_t)value;
            r[k] = value;
        }
        if (l->n % 2) r[l->n / 2] = r[l->n - 1];
    }
    uint32_t last = levels[n_levels].m_last;
    for (size_t bytes = radix_bytes(&last, 2); bytes; bytes--, r[0] >>= 8) *ret++ = (uint8_t)r[0];
}

/* Of public bytes. Whatever they are, each number is in its range. */
static void radix_decode(const uint8_t *p, uint32_t m, uint32_t ret[P])
{
    struct radix_level levels[RADIX_LEVELS];
    int n_levels = radix_levels(m, levels);
    const struct radix_level *last = &levels[n_levels];
    uint32_t bound = last->m_last, value = 0;
    size_t bytes = radix_bytes(&bound, 2);
    while (bytes--) value = value << 8 | p[last->offset + bytes];
    ret[0] = value % last->m_last;
    for (int i = n_levels - 1; i >= 0; i--) {
        const struct radix_level *l = &levels[i];
        uint32_t m_second;
        size_t regular_bytes = radix_pair_bytes(l, 0, &m_second);
        if (l->n % 2) ret[l->n - 1] = ret[l->n / 2];
        for (size_t k = l->n / 2; k-- > 0;) {
            const uint8_t *low = p + l->offset + k * regular_bytes;
            value = ret[k];
            for (bytes = radix_pair_bytes(l, k, &m_second); bytes; bytes--) value = value << 8 | low[bytes - 1];
            ret[2 * k] = value % l->m;
            ret[2 * k + 1] = value / l->m % m_second;
        }
    }
}

enum {
    ROUNDED_M = (Q + 2) / 3
};

static void rq_encode(const struct poly *f, uint8_t ret[SNTRUP761_PUBLIC_BYTES])
{
    uint32_t r[P];
    for (int i = 0; i < P; i++) r[i] = (uint32_t)(f->c[i] + Q_HALF);
    radix_encode(r, Q, ret);
}

static void rq_decode(const uint8_t *p, struct poly *ret)
{
    uint32_t r[P];
    radix_decode(p, Q, r);
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = (int16_t)((int)r[i] - Q_HALF);
}

/* Every coefficient a multiple of 3. */
static void rounded_encode(const struct poly *f, uint8_t ret[ROUNDED_BYTES])
{
    uint32_t r[P];
    for (int i = 0; i < P; i++) r[i] = ((uint32_t)(f->c[i] + Q_HALF) * 10923) >> 15; /* a third */
    radix_encode(r, ROUNDED_M, ret);
    secret_wipe(r, sizeof r);
}

static void rounded_decode(const uint8_t *p, struct poly *ret)
{
    uint32_t r[P];
    radix_decode(p, ROUNDED_M, r);
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = (int16_t)(3 * (int)r[i] - Q_HALF);
}

static void small_encode(const struct poly *f, uint8_t ret[SMALL_BYTES])
{
    for (int i = 0; i < SMALL_BYTES; i++) {
        int byte = 0;
        for (int j = 0; j < 4 && 4 * i + j < P; j++) byte |= (f->c[4 * i + j] + 1) << 2 * j;
        ret[i] = (uint8_t)byte;
    }
}

static void small_decode(const uint8_t *p, struct poly *ret)
{
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = (int16_t)((p[i / 4] >> 2 * (i % 4) & 3) - 1);
}

/* ---- random polynomials */

static int random_u32s(const struct random *rnd, uint32_t ret[P])
{
    uint8_t bytes[4 * P];
    TRY(random_fill(rnd, bytes, sizeof bytes));
    for (int i = 0; i < P; i++) {
        const uint8_t *b = bytes + 4 * i;
        ret[i] = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    }
    secret_wipe(bytes, sizeof bytes);
    return 0;
}

static int random_small(const struct random *rnd, struct poly *ret)
{
    uint32_t r[P];
    TRY(random_u32s(rnd, r));
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = (int16_t)((int)((r[i] & 0x3fffffff) * 3 >> 30) - 1);
    secret_wipe(r, sizeof r);
    return 0;
}

/* a to the lesser, b to the greater. */
static inline void exchange(uint32_t *a, uint32_t *b)
{
    uint32_t x = *a, y = *b;
    uint32_t out_of_order = (uint32_t)(((uint64_t)y - x) >> 32); /* 0 or all bits */
    uint32_t t = out_of_order & (x ^ y);
    *a = x ^ t;
    *b = y ^ t;
}

/* Knuth 5.2.2, algorithm M (Batcher): which are compared depends on n alone. */
static void sort_merge_exchange(uint32_t *x, size_t n)
{
    size_t top = 1;
    while (2 * top < n) top *= 2;
    for (size_t p = top; p; p /= 2) {
        size_t r = 0, d = p;
        for (size_t q = top;; q /= 2) {
            for (size_t i = 0; i + d < n; i++)
                if ((i & p) == r) exchange(&x[i], &x[i + d]);
            if (q == p) break;
            d = q - p;
            r = p;
        }
    }
}

/* W numbers that end in a 0 bit (-1 or 1), the others in 01 (0), shuffled by sorting. */
static int random_short(const struct random *rnd, struct poly *ret)
{
    uint32_t r[P];
    TRY(random_u32s(rnd, r));
    for (int i = 0; i < P; i++) r[i] = i < W ? r[i] & ~1u : (r[i] & ~2u) | 1;
    sort_merge_exchange(r, P);
    *ret = (struct poly){ { 0 } };
    for (int i = 0; i < P; i++) ret->c[i] = (int16_t)((int)(r[i] & 3) - 1);
    secret_wipe(r, sizeof r);
    return 0;
}

/* ---- the KEM */

/* Hash_b: the first half of SHA-512(b || x || y). */
static int hash_prefixed(uint8_t b, struct view x, struct view y, uint8_t ret[HASH_BYTES])
{
    uint8_t digest[DIGEST_MAX_BYTES];
    struct view parts[] = { { &b, 1 }, x, y };
    TRY(digest_parts(DIGEST_SHA512, parts, ARRAY_LEN(parts), digest));
    memcpy(ret, digest, HASH_BYTES);
    secret_wipe(digest, sizeof digest);
    return 0;
}

/* Where the parts of a secret key begin. */
enum {
    SECRET_F = 0,
    SECRET_V = SMALL_BYTES,
    SECRET_PUBLIC = 2 * SMALL_BYTES,
    SECRET_RHO = SECRET_PUBLIC + SNTRUP761_PUBLIC_BYTES,
    SECRET_PUBLIC_HASH = SECRET_RHO + SMALL_BYTES
};

struct work {
    struct poly a, b, c, d;
    uint8_t r_bytes[SMALL_BYTES], r_hash[HASH_BYTES];
    uint8_t again[SNTRUP761_CIPHERTEXT_BYTES];
};

static void work_wipe(struct work *w) { secret_wipe(w, sizeof *w); }

static int random_invertible(const struct random *rnd, struct poly *ret, struct poly *ret_inverse)
{
    for (int i = 0; i < G_TRIES; i++) {
        TRY(random_small(rnd, ret));
        if (r3_inverse(ret, ret_inverse)) return 0;
    }
    return ERR_CRYPTO;
}

/* KEM_KeyGen: h = g / (3 f), and the secret key f, 1/g, h, rho, Hash_4(h). Random bytes: for g (until it has an inverse), f, rho.
 */
int sntrup761_keygen(const struct random *rnd, uint8_t ret_public[1158], uint8_t ret_secret[1763])
{
    CLEANUP(work_wipe) struct work w;
    struct poly *g = &w.a, *v = &w.b, *f = &w.c, *h = &w.d;
    TRY(random_invertible(rnd, g, v));
    small_encode(v, ret_secret + SECRET_V);
    TRY(random_short(rnd, f));
    small_encode(f, ret_secret + SECRET_F);
    rq_inverse_of_3(f, v);
    rq_mul_small(v, g, h);
    rq_encode(h, ret_public);
    memcpy(ret_secret + SECRET_PUBLIC, ret_public, SNTRUP761_PUBLIC_BYTES);
    TRY(random_fill(rnd, ret_secret + SECRET_RHO, SMALL_BYTES));
    return hash_prefixed(4, view_of(ret_public, SNTRUP761_PUBLIC_BYTES), VIEW_EMPTY, ret_secret + SECRET_PUBLIC_HASH);
}

/* Hide: Encode(Round(h r)) || Hash_2(Hash_3(r) || Hash_4(h)). Leaves r_bytes and r_hash in w. Uses w->c and w->d. */
static int hide(struct work *w, const struct poly *r, const uint8_t *public, const uint8_t *public_hash, uint8_t *ret_ciphertext)
{
    small_encode(r, w->r_bytes);
    rq_decode(public, &w->c);
    rq_mul_small(&w->c, r, &w->d);
    for (int i = 0; i < P; i++) w->d.c[i] = (int16_t)(w->d.c[i] - mod_3(w->d.c[i]));
    rounded_encode(&w->d, ret_ciphertext);
    TRY(hash_prefixed(3, view_of(w->r_bytes, SMALL_BYTES), VIEW_EMPTY, w->r_hash));
    return hash_prefixed(2, view_of(w->r_hash, HASH_BYTES), view_of(public_hash, HASH_BYTES), ret_ciphertext + ROUNDED_BYTES);
}

/* Encap. */
int sntrup761_encaps(const struct random *rnd, const uint8_t public[1158], uint8_t ret_ciphertext[1039], uint8_t ret_shared[32])
{
    CLEANUP(work_wipe) struct work w;
    uint8_t public_hash[HASH_BYTES];
    TRY(hash_prefixed(4, view_of(public, SNTRUP761_PUBLIC_BYTES), VIEW_EMPTY, public_hash));
    TRY(random_short(rnd, &w.a));
    TRY(hide(&w, &w.a, public, public_hash, ret_ciphertext));
    return hash_prefixed(1, view_of(w.r_hash, HASH_BYTES), view_of(ret_ciphertext, SNTRUP761_CIPHERTEXT_BYTES), ret_shared);
}

/* Core Decrypt: r from c, or the fixed short polynomial when what comes out is not short. r in w->a. */
static void core_decrypt(struct work *w, const uint8_t *secret, const uint8_t *ciphertext)
{
    rounded_decode(ciphertext, &w->a);
    small_decode(secret + SECRET_F, &w->b);
    rq_mul_small(&w->a, &w->b, &w->c);
    for (int i = 0; i < P; i++) w->c.c[i] = mod_3(mod_q((int16_t)(3 * w->c.c[i])));
    small_decode(secret + SECRET_V, &w->b);
    r3_mul(&w->c, &w->b, &w->a);
    int weight = 0;
    for (int i = 0; i < P; i++) weight += w->a.c[i] & 1;
    int16_t wrong = mask_nonzero((int16_t)(weight - W));
    for (int i = 0; i < P; i++) w->a.c[i] = (int16_t)((w->a.c[i] & ~wrong) | (wrong & (i < W)));
}

/* Decap: the session key is Hash_1 over r, or Hash_0 over rho when c is not what r gives. */
int sntrup761_decaps(const uint8_t secret[1763], const uint8_t ciphertext[1039], uint8_t ret_shared[32])
{
    CLEANUP(work_wipe) struct work w;
    core_decrypt(&w, secret, ciphertext);
    TRY(hide(&w, &w.a, secret + SECRET_PUBLIC, secret + SECRET_PUBLIC_HASH, w.again));
    uint8_t differs = 0;
    for (size_t i = 0; i < SNTRUP761_CIPHERTEXT_BYTES; i++) differs |= (uint8_t)(ciphertext[i] ^ w.again[i]);
    uint8_t reject = (uint8_t)((0u - differs) >> 8); /* 0 or 255 */
    for (size_t i = 0; i < SMALL_BYTES; i++)
        w.r_bytes[i] = (uint8_t)(w.r_bytes[i] ^ (reject & (w.r_bytes[i] ^ secret[SECRET_RHO + i])));
    TRY(hash_prefixed(3, view_of(w.r_bytes, SMALL_BYTES), VIEW_EMPTY, w.r_hash));
    uint8_t prefix = (uint8_t)(1 + reject);
    return hash_prefixed(prefix, view_of(w.r_hash, HASH_BYTES), view_of(ciphertext, SNTRUP761_CIPHERTEXT_BYTES), ret_shared);
}
