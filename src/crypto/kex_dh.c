/* Finite field Diffie-Hellman: RFC 4253 8, 8268, and the arithmetic of RFC 4419. Whether a group of the peer's is prime is not
 * asked: who sends it also signs the exchange hash over it, and could as well give K away. */
#include "crypto/kex_int.h"

#include "crypto/libcrypto_int.h"

#include <openssl/bn.h>

/* The shortest exponent for a group of the peer's. */
enum {
    DH_MIN_EXPONENT_BITS = 320,
    DH_MAX_BYTES = DH_MAX_BITS / 8
};

struct dh {
    BN_CTX *ctx;
    BIGNUM *p, *g, *p_minus_1;
    BIGNUM *exponent, *peer, *result;
    unsigned exponent_bits;
};

static void dh_done(struct dh *d)
{
    BN_free(d->p);
    BN_free(d->g);
    BN_free(d->p_minus_1);
    BN_clear_free(d->exponent);
    BN_free(d->peer);
    BN_clear_free(d->result);
    BN_CTX_free(d->ctx);
}

static int dh_alloc(struct dh *d)
{
    d->ctx = BN_CTX_new();
    d->p = BN_new();
    d->g = BN_new();
    d->p_minus_1 = BN_new();
    d->exponent = BN_new();
    d->peer = BN_new();
    d->result = BN_new();
    if (!d->ctx || !d->p || !d->g || !d->p_minus_1 || !d->exponent || !d->peer || !d->result) return ERR_NOMEM;
    BN_set_flags(d->exponent, BN_FLG_CONSTTIME);
    return 0;
}

static int bn_set(BIGNUM *n, struct view magnitude)
{
    if (magnitude.len > DH_MAX_BYTES + 1) return ERR_KEX_VALUE;
    return BN_bin2bn(magnitude.p, (int)magnitude.len, n) ? 0 : ERR_NOMEM;
}

/* 1 < n < p - 1: RFC 4253 8 as RFC 8268 4 narrows it. */
static bool dh_in_range(const struct dh *d, const BIGNUM *n)
{
    return !BN_is_zero(n) && !BN_is_one(n) && BN_ucmp(n, d->p_minus_1) < 0;
}

/* Exponents: RFC 4419 6.2, at least twice the strength; never longer than the group. */
static int dh_set_peer_group(struct dh *d, const struct kex_group *group)
{
    TRY(bn_set(d->p, group->p));
    TRY(bn_set(d->g, group->g));
    unsigned bits = (unsigned)BN_num_bits(d->p);
    if (bits < DH_MIN_BITS || bits > DH_MAX_BITS || !BN_is_odd(d->p)) return ERR_KEX_VALUE;
    unsigned wanted = 2 * MIN(group->strength_bits, bits);
    d->exponent_bits = wanted < DH_MIN_EXPONENT_BITS ? DH_MIN_EXPONENT_BITS : MIN(wanted, bits - 1);
    return 0;
}

static int dh_set_fixed_group(struct dh *d, const struct kex_dh_group *group)
{
    TRY(bn_set(d->p, group->p));
    d->exponent_bits = group->exponent_bits;
    return BN_set_word(d->g, 2) == 1 ? 0 : ERR_NOMEM;
}

static int dh_init(struct dh *d, const struct kex_method *m, const struct kex_group *group)
{
    TRY(dh_alloc(d));
    TRY(m->impl->dh_group ? dh_set_fixed_group(d, m->impl->dh_group) : dh_set_peer_group(d, group));
    if (!BN_copy(d->p_minus_1, d->p) || BN_sub_word(d->p_minus_1, 1) != 1) return ERR_NOMEM;
    return dh_in_range(d, d->g) ? 0 : ERR_KEX_VALUE;
}

/* Uniform with the top bit set, so that its length, which the exponentiation's time shows, is no secret. */
static int dh_draw_exponent(const struct dh *d, const struct random *rnd, struct secret *ret_exponent)
{
    CLEANUP(secret_done) struct secret x = SECRET_INIT;
    TRY(secret_new((d->exponent_bits + 7) / 8, &x));
    TRY(random_fill(rnd, x.p, x.len));
    unsigned top_bit = (d->exponent_bits - 1) % 8;
    x.p[0] = (uint8_t)((x.p[0] & ((1u << top_bit) - 1)) | 1u << top_bit);
    *ret_exponent = x;
    x = (struct secret)SECRET_INIT;
    return 0;
}

static int dh_power(struct dh *d, const BIGNUM *base, struct view exponent)
{
    TRY(bn_set(d->exponent, exponent));
    return BN_mod_exp_mont_consttime(d->result, base, d->exponent, d->p, d->ctx, NULL) == 1 ? 0 : ERR_CRYPTO;
}

static int dh_start(const struct kex_method *m, const struct kex_group *group, const struct random *rnd, struct secret *ret_private,
                    struct buf *ret_public)
{
    CLEANUP(dh_done) struct dh d = { 0 };
    CLEANUP(secret_done) struct secret x = SECRET_INIT;
    TRY(dh_init(&d, m, group));
    TRY(dh_draw_exponent(&d, rnd, &x));
    TRY(dh_power(&d, d.g, secret_view(&x)));
    size_t len = (size_t)BN_num_bytes(d.result);
    uint8_t *p;
    TRY(buf_reserve(ret_public, len, &p));
    BN_bn2bin(d.result, p);
    buf_commit(ret_public, len);
    *ret_private = x;
    x = (struct secret)SECRET_INIT;
    return 0;
}

static int dh_finish(const struct kex_method *m, const struct kex_group *group, struct view private, struct view peer_public,
                     struct secret *ret_shared)
{
    CLEANUP(dh_done) struct dh d = { 0 };
    CLEANUP(secret_done) struct secret k = SECRET_INIT;
    TRY(dh_init(&d, m, group));
    TRY(bn_set(d.peer, peer_public));
    if (!dh_in_range(&d, d.peer)) return ERR_KEX_VALUE;
    TRY(dh_power(&d, d.peer, private));
    /* A K of 1 or p - 1 shows a group of small order. */
    if (!dh_in_range(&d, d.result)) return ERR_KEX_VALUE;
    TRY(secret_new((size_t)BN_num_bytes(d.p), &k));
    if (BN_bn2binpad(d.result, k.p, (int)k.len) != (int)k.len) return ERR_CRYPTO;
    return kex_shared_mpint(secret_view(&k), ret_shared);
}

#define DH(a_group)                                                   \
    {                                                                 \
        .start = dh_start, .finish = dh_finish, .dh_group = (a_group) \
    }
const struct kex_impl kex_impl_dh_group1 = DH(&kex_dh_group1);
const struct kex_impl kex_impl_dh_group14 = DH(&kex_dh_group14);
const struct kex_impl kex_impl_dh_group16 = DH(&kex_dh_group16);
const struct kex_impl kex_impl_dh_group18 = DH(&kex_dh_group18);
const struct kex_impl kex_impl_dh_gex = DH(NULL);

int kex_builtin_group(unsigned min_bits, unsigned bits, unsigned max_bits, struct view *ret_p, struct view *ret_g)
{
    static const struct kex_dh_group *const groups[] = { &kex_dh_group14, &kex_dh_group15, &kex_dh_group16, &kex_dh_group17,
                                                         &kex_dh_group18 };
    static const uint8_t two = 2;
    const struct kex_dh_group *best = NULL;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (groups[i]->bits < min_bits || groups[i]->bits > max_bits) continue;
        best = groups[i];
        if (best->bits >= bits) break;
    }
    if (!best) return ERR_NOT_FOUND;
    *ret_p = best->p;
    *ret_g = view_of(&two, 1);
    return 0;
}
