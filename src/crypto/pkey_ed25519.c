/* Ed25519 (RFC 8032) keys. */
#include "crypto/pkey_int.h"

enum {
    KEY_BYTES = 32,
    SIGNATURE_BYTES = 64
};

static int build_pair(struct view public_key, struct view seed, EVP_PKEY **ret)
{
    uint8_t own[KEY_BYTES];
    size_t len = sizeof own;
    if (seed.len != KEY_BYTES) return ERR_KEY_INVALID;
    CLEANUP(pkey_evp_freep) EVP_PKEY *evp = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed.p, seed.len);
    if (!evp || EVP_PKEY_get_raw_public_key(evp, own, &len) != 1) return ERR_CRYPTO;
    /* Signing with a public half that is not the seed's gives the seed away. */
    if (len != KEY_BYTES || memcmp(own, public_key.p, KEY_BYTES) != 0) return ERR_KEY_MISMATCH;
    *ret = TAKE(evp);
    return 0;
}

static int ed25519_build(enum pkey_type type UNUSED, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv,
                         EVP_PKEY **ret)
{
    if (pub->a.len != KEY_BYTES) return ERR_KEY_INVALID;
    if (priv) return build_pair(pub->a, priv->a, ret);
    EVP_PKEY *evp = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub->a.p, pub->a.len);
    if (!evp) return ERR_CRYPTO;
    *ret = evp;
    return 0;
}

static int ed25519_take_apart(enum pkey_type type UNUSED, EVP_PKEY *evp, bool with_private, struct pkey_numbers *ret)
{
    size_t len = KEY_BYTES;
    TRY(secret_new(KEY_BYTES, &ret->public[0]));
    if (EVP_PKEY_get_raw_public_key(evp, ret->public[0].p, &len) != 1 || len != KEY_BYTES) return ERR_KEY_INVALID;
    if (!with_private) return 0;
    TRY(secret_new(KEY_BYTES, &ret->private[0]));
    if (EVP_PKEY_get_raw_private_key(evp, ret->private[0].p, &len) != 1 || len != KEY_BYTES) return ERR_KEY_INVALID;
    return 0;
}

static int ed25519_generate(enum pkey_type type UNUSED, unsigned rsa_bits UNUSED, EVP_PKEY **ret)
{
    *ret = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    return *ret ? 0 : ERR_CRYPTO;
}

static int ed25519_signature_put(const struct pkey *k UNUSED, struct view raw, struct buf *out) { return buf_put_view(out, raw); }

static int ed25519_signature_get(const struct pkey *k UNUSED, struct view signature, uint8_t *ret_raw, size_t *ret_len)
{
    if (signature.len != SIGNATURE_BYTES) return ERR_SIGNATURE;
    memcpy(ret_raw, signature.p, SIGNATURE_BYTES);
    *ret_len = SIGNATURE_BYTES;
    return 0;
}

/* Not checked: that would cost twice what signing does, and the login path signs. */
const struct pkey_family pkey_ed25519_family = { .build = ed25519_build,
                                                 .take_apart = ed25519_take_apart,
                                                 .generate = ed25519_generate,
                                                 .signature_put = ed25519_signature_put,
                                                 .signature_get = ed25519_signature_get };
