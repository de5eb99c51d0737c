/* The NIST curves of RFC 5656 by libcrypto's group arithmetic, and the plain exchange over one curve (RFC 5656 4, RFC 8731).
 * EC_POINT_mul and not EVP: EVP can make keys only from its own random source, and imports a given scalar only with its point. */
#include "crypto/kex_int.h"

#include "crypto/libcrypto_int.h"

#include <openssl/bn.h>
#include <openssl/ec.h>

/* A scalar that is out of range is drawn again; for the worst curve here that happens once in 2^32. */
enum {
    SCALAR_TRIES = 16,
    POINT_UNCOMPRESSED = 4
};

/* What one multiplication needs. */
struct nist {
    EC_GROUP *group;
    BN_CTX *ctx;
    BIGNUM *scalar, *x;
    EC_POINT *point, *result;
};

static void nist_done(struct nist *n)
{
    EC_POINT_clear_free(n->result);
    EC_POINT_free(n->point);
    BN_clear_free(n->scalar);
    BN_clear_free(n->x);
    BN_CTX_free(n->ctx);
    EC_GROUP_free(n->group);
}

static int nist_init(struct nist *n, const struct kex_curve *c)
{
    n->group = EC_GROUP_new_by_curve_name(c->curve_id);
    if (!n->group) return ERR_CRYPTO;
    n->ctx = BN_CTX_new();
    n->scalar = BN_new();
    n->x = BN_new();
    n->point = EC_POINT_new(n->group);
    n->result = EC_POINT_new(n->group);
    if (!n->ctx || !n->scalar || !n->x || !n->point || !n->result) return ERR_NOMEM;
    BN_set_flags(n->scalar, BN_FLG_CONSTTIME);
    return 0;
}

/* FIPS 186-5 A.2.2, rejection: the scalar in 1..n-1 is uniform, and only bytes that are thrown away are branched on. */
static int nist_draw_scalar(struct nist *n, const struct kex_curve *c, const struct random *rnd, uint8_t *ret_scalar)
{
    const BIGNUM *order = EC_GROUP_get0_order(n->group);
    unsigned top_bits = (unsigned)BN_num_bits(order) % 8;
    for (int i = 0; i < SCALAR_TRIES; i++) {
        TRY(random_fill(rnd, ret_scalar, c->scalar_bytes));
        if (top_bits) ret_scalar[0] &= (uint8_t)((1u << top_bits) - 1);
        if (!BN_bin2bn(ret_scalar, (int)c->scalar_bytes, n->scalar)) return ERR_NOMEM;
        if (!BN_is_zero(n->scalar) && BN_ucmp(n->scalar, order) < 0) return 0;
    }
    return ERR_CRYPTO;
}

static int nist_make(const struct kex_curve *c, const struct random *rnd, uint8_t *ret_scalar, uint8_t *ret_public)
{
    CLEANUP(nist_done) struct nist n = { 0 };
    TRY(nist_init(&n, c));
    TRY(nist_draw_scalar(&n, c, rnd, ret_scalar));
    if (EC_POINT_mul(n.group, n.result, n.scalar, NULL, NULL, n.ctx) != 1) return ERR_CRYPTO;
    size_t len = EC_POINT_point2oct(n.group, n.result, POINT_CONVERSION_UNCOMPRESSED, ret_public, c->public_bytes, n.ctx);
    return len == c->public_bytes ? 0 : ERR_CRYPTO;
}

static int nist_shared(const struct kex_curve *c, const uint8_t *scalar, const uint8_t *peer_public, uint8_t *ret_shared)
{
    CLEANUP(nist_done) struct nist n = { 0 };
    TRY(nist_init(&n, c));
    /* 5656 4: the point must be valid (SEC1 3.2.2): of full length, uncompressed, on the curve. The cofactor of these curves is 1.
     */
    if (peer_public[0] != POINT_UNCOMPRESSED || EC_POINT_oct2point(n.group, n.point, peer_public, c->public_bytes, n.ctx) != 1) {
        ERR_clear_error();
        return ERR_KEX_VALUE;
    }
    if (!BN_bin2bn(scalar, (int)c->scalar_bytes, n.scalar)) return ERR_NOMEM;
    if (EC_POINT_mul(n.group, n.result, NULL, n.point, n.scalar, n.ctx) != 1) return ERR_CRYPTO;
    if (EC_POINT_is_at_infinity(n.group, n.result)) return ERR_KEX_VALUE;
    if (EC_POINT_get_affine_coordinates(n.group, n.result, n.x, NULL, n.ctx) != 1) return ERR_CRYPTO;
    return BN_bn2binpad(n.x, ret_shared, (int)c->shared_bytes) == (int)c->shared_bytes ? 0 : ERR_CRYPTO;
}

const struct kex_curve kex_curve_nistp256 = { 32, 65, 32, NID_X9_62_prime256v1, nist_make, nist_shared };
const struct kex_curve kex_curve_nistp384 = { 48, 97, 48, NID_secp384r1, nist_make, nist_shared };
const struct kex_curve kex_curve_nistp521 = { 66, 133, 66, NID_secp521r1, nist_make, nist_shared };

static int ecdh_start(const struct kex_method *m, const struct kex_group *group UNUSED, const struct random *rnd,
                      struct secret *ret_private, struct buf *ret_public)
{
    const struct kex_curve *c = m->impl->curve;
    CLEANUP(secret_done) struct secret private = SECRET_INIT;
    uint8_t public[KEX_CURVE_PUBLIC_MAX];
    TRY(secret_new(c->scalar_bytes, &private));
    TRY(c->make(c, rnd, private.p, public));
    TRY(buf_put(ret_public, public, c->public_bytes));
    *ret_private = private;
    private = (struct secret)SECRET_INIT;
    return 0;
}

static int ecdh_finish(const struct kex_method *m, const struct kex_group *group UNUSED, struct view private,
                       struct view peer_public, struct secret *ret_shared)
{
    const struct kex_curve *c = m->impl->curve;
    if (peer_public.len != c->public_bytes) return ERR_KEX_VALUE;
    uint8_t shared[KEX_CURVE_SHARED_MAX];
    int err = c->shared(c, private.p, peer_public.p, shared);
    if (err == 0) err = kex_shared_mpint(view_of(shared, c->shared_bytes), ret_shared);
    secret_wipe(shared, sizeof shared);
    return err;
}

const struct kex_impl kex_impl_curve25519 = { .start = ecdh_start, .finish = ecdh_finish, .curve = &kex_curve_x25519 };
const struct kex_impl kex_impl_nistp256 = { .start = ecdh_start, .finish = ecdh_finish, .curve = &kex_curve_nistp256 };
const struct kex_impl kex_impl_nistp384 = { .start = ecdh_start, .finish = ecdh_finish, .curve = &kex_curve_nistp384 };
const struct kex_impl kex_impl_nistp521 = { .start = ecdh_start, .finish = ecdh_finish, .curve = &kex_curve_nistp521 };
