/* X25519, RFC 7748 and 8731, by libcrypto. */
#include "crypto/kex_int.h"

#include "crypto/libcrypto_int.h"

enum {
    X25519_BYTES = 32
};

static void pkey_done(EVP_PKEY **key) { EVP_PKEY_free(*key); }
static void pkey_ctx_done(EVP_PKEY_CTX **ctx) { EVP_PKEY_CTX_free(*ctx); }

static int x25519_make(const struct kex_curve *c, const struct random *rnd, uint8_t *ret_scalar, uint8_t *ret_public)
{
    TRY(random_fill(rnd, ret_scalar, X25519_BYTES));
    CLEANUP(pkey_done) EVP_PKEY *key = EVP_PKEY_new_raw_private_key(c->curve_id, NULL, ret_scalar, X25519_BYTES);
    size_t len = X25519_BYTES;
    return key && EVP_PKEY_get_raw_public_key(key, ret_public, &len) == 1 && len == X25519_BYTES ? 0 : ERR_CRYPTO;
}

static int x25519_derive(EVP_PKEY *key, EVP_PKEY *peer, uint8_t *ret_shared)
{
    CLEANUP(pkey_ctx_done) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    if (!ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) != 1) return ERR_CRYPTO;
    size_t len = X25519_BYTES;
    /* libcrypto fails by itself when the result is all zero. */
    return EVP_PKEY_derive(ctx, ret_shared, &len) == 1 && len == X25519_BYTES ? 0 : ERR_KEX_VALUE;
}

static int x25519_shared(const struct kex_curve *c, const uint8_t *scalar, const uint8_t *peer_public, uint8_t *ret_shared)
{
    static const uint8_t zero[X25519_BYTES];
    CLEANUP(pkey_done) EVP_PKEY *key = EVP_PKEY_new_raw_private_key(c->curve_id, NULL, scalar, X25519_BYTES);
    CLEANUP(pkey_done) EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(c->curve_id, NULL, peer_public, X25519_BYTES);
    if (!key || !peer) return ERR_CRYPTO;
    TRY(x25519_derive(key, peer, ret_shared));
    /* 8731 3: abort on the all-zero value. */
    return ct_equal(ret_shared, zero, sizeof zero) ? ERR_KEX_VALUE : 0;
}

const struct kex_curve kex_curve_x25519 = { X25519_BYTES, X25519_BYTES, X25519_BYTES, NID_X25519, x25519_make, x25519_shared };
