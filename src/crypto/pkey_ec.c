/* ECDSA keys on the NIST curves (RFC 5656). */
#include "crypto/pkey_int.h"

#include "base/rd.h"
#include "base/wr.h"

#include <strings.h>

static const struct curve {
    const char *name, *alias; /* libcrypto's two names */
    size_t field_bytes;
} curves[PKEY_TYPE_MAX] = {
    [PKEY_ECDSA_P256] = { "prime256v1", "P-256", 32 },
    [PKEY_ECDSA_P384] = { "secp384r1", "P-384", 48 },
    [PKEY_ECDSA_P521] = { "secp521r1", "P-521", 66 },
};

enum {
    POINT_UNCOMPRESSED = 4,
    CURVE_NAME_BYTES = 64,
    FIELD_MAX_BYTES = 66
};

int pkey_ec_type(EVP_PKEY *evp, enum pkey_type *ret)
{
    char name[CURVE_NAME_BYTES];
    /* A curve written out as numbers has a name if it is one that libcrypto knows. */
    if (EVP_PKEY_get_group_name(evp, name, sizeof name, NULL) != 1) return ERR_KEY_TYPE;
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++) {
        if (!curves[type].name || (strcasecmp(name, curves[type].name) != 0 && strcasecmp(name, curves[type].alias) != 0)) continue;
        *ret = type;
        return 0;
    }
    return ERR_KEY_TYPE;
}

static int check_pair(EVP_PKEY *evp)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, evp, NULL);
    if (!ctx) return ERR_NOMEM;
    int err = EVP_PKEY_private_check(ctx) != 1 ? ERR_KEY_INVALID : EVP_PKEY_pairwise_check(ctx) != 1 ? ERR_KEY_MISMATCH : 0;
    EVP_PKEY_CTX_free(ctx);
    return err;
}

static int ec_build(enum pkey_type type, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv, EVP_PKEY **ret)
{
    const struct curve *curve = &curves[type];
    CLEANUP(pkey_bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    CLEANUP(pkey_bn_freep) BIGNUM *scalar = NULL;
    CLEANUP(pkey_evp_freep) EVP_PKEY *evp = NULL;
    if (!bld) return ERR_NOMEM;
    /* Only the uncompressed form, as the wire has it; this keeps out the point at infinity too. */
    if (pub->a.len != 1 + 2 * curve->field_bytes || pub->a.p[0] != POINT_UNCOMPRESSED) return ERR_KEY_INVALID;
    if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, pub->a.p, pub->a.len) != 1)
        return ERR_NOMEM;
    if (priv) {
        if (priv->a.len == 0 || priv->a.len > curve->field_bytes) return ERR_KEY_INVALID;
        scalar = pkey_bn_of(priv->a);
        if (!scalar || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, scalar) != 1) return ERR_NOMEM;
    }
    TRY(pkey_evp_of("EC", bld, priv != NULL, &evp)); /* refuses points that are not on the curve */
    if (priv) TRY(check_pair(evp));
    *ret = TAKE(evp);
    return 0;
}

static int ec_take_apart(enum pkey_type type, EVP_PKEY *evp, bool with_private, struct pkey_numbers *ret)
{
    size_t field = curves[type].field_bytes;
    CLEANUP(secret_done) struct secret x = SECRET_INIT, y = SECRET_INIT;
    /* By coordinates: the encoded point comes in the form of the file it was read from. */
    TRY(pkey_bn_param(evp, OSSL_PKEY_PARAM_EC_PUB_X, field, &x));
    TRY(pkey_bn_param(evp, OSSL_PKEY_PARAM_EC_PUB_Y, field, &y));
    TRY(secret_new(1 + 2 * field, &ret->public[0]));
    ret->public[0].p[0] = POINT_UNCOMPRESSED;
    memcpy(ret->public[0].p + 1, x.p, field);
    memcpy(ret->public[0].p + 1 + field, y.p, field);
    return with_private ? pkey_bn_param(evp, OSSL_PKEY_PARAM_PRIV_KEY, 0, &ret->private[0]) : 0;
}

static int ec_generate(enum pkey_type type, unsigned rsa_bits UNUSED, EVP_PKEY **ret)
{
    *ret = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[type].name);
    return *ret ? 0 : ERR_CRYPTO;
}

/* r and s of libcrypto's DER as two mpints (RFC 5656 3.1.2). */
static int ec_signature_put(const struct pkey *k UNUSED, struct view raw, struct buf *out)
{
    const uint8_t *p = raw.p;
    uint8_t number[FIELD_MAX_BYTES];
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)raw.len);
    if (!sig) return ERR_CRYPTO;
    struct wr w = wr_of(out);
    const BIGNUM *const parts[] = { ECDSA_SIG_get0_r(sig), ECDSA_SIG_get0_s(sig) };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int len = BN_bn2binpad(parts[i], number, sizeof number);
        if (len < 0) wr_fail(&w, ERR_CRYPTO);
        wr_mpint(&w, view_of(number, len < 0 ? 0 : (size_t)len));
    }
    ECDSA_SIG_free(sig);
    return wr_end(&w);
}

static int ec_signature_get(const struct pkey *k, struct view signature, uint8_t *ret_raw, size_t *ret_len)
{
    struct rd in = rd_of(signature);
    struct view r = rd_mpint(&in), s = rd_mpint(&in);
    TRY(rd_end(&in));
    size_t most = curves[k->type].field_bytes;
    if (r.len == 0 || s.len == 0 || r.len > most || s.len > most) return ERR_SIGNATURE;

    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r_bn = BN_bin2bn(r.p, (int)r.len, NULL), *s_bn = BN_bin2bn(s.p, (int)s.len, NULL);
    if (!sig || !r_bn || !s_bn || ECDSA_SIG_set0(sig, r_bn, s_bn) != 1) {
        BN_free(r_bn);
        BN_free(s_bn);
        ECDSA_SIG_free(sig);
        return ERR_NOMEM;
    }
    int len = i2d_ECDSA_SIG(sig, &ret_raw);
    ECDSA_SIG_free(sig);
    if (len <= 0) return ERR_CRYPTO;
    *ret_len = (size_t)len;
    return 0;
}

const struct pkey_family pkey_ec_family = { .build = ec_build,
                                            .take_apart = ec_take_apart,
                                            .generate = ec_generate,
                                            .signature_put = ec_signature_put,
                                            .signature_get = ec_signature_get,
                                            .sign_is_checked = true,
                                            .has_digest = true };
