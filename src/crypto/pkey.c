/* Public key pairs: counting, making from parts, signing and verifying. What differs between the families is in their tables. */
#include "crypto/pkey_int.h"

#include "crypto/digest_int.h"

#include <stdlib.h>

static const struct pkey_family *const families[PKEY_TYPE_MAX] = {
    [PKEY_ED25519] = &pkey_ed25519_family, [PKEY_ECDSA_P256] = &pkey_ec_family, [PKEY_ECDSA_P384] = &pkey_ec_family,
    [PKEY_ECDSA_P521] = &pkey_ec_family,   [PKEY_RSA] = &pkey_rsa_family,
};

const struct pkey_family *pkey_family_of(enum pkey_type type)
{
    CHECK(type < PKEY_TYPE_MAX);
    return families[type];
}

struct pkey *pkey_ref(struct pkey *k)
{
    k->refs++;
    return k;
}

void pkey_unref(struct pkey *k)
{
    if (!k || --k->refs) return;
    EVP_PKEY_free(k->evp);
    free(k->public_bytes);
    for (size_t i = 0; i < PKEY_N_PRIVATE; i++) secret_done(&k->private[i]);
    free(k);
}

void pkey_numbers_done(struct pkey_numbers *numbers)
{
    for (size_t i = 0; i < PKEY_N_PUBLIC; i++) secret_done(&numbers->public[i]);
    for (size_t i = 0; i < PKEY_N_PRIVATE; i++) secret_done(&numbers->private[i]);
}

BIGNUM *pkey_bn_of(struct view magnitude)
{
    BIGNUM *bn = BN_secure_new();
    if (bn && magnitude.len <= PKEY_RSA_MAX_BITS / 8 && BN_bin2bn(magnitude.p, (int)magnitude.len, bn)) {
        BN_set_flags(bn, BN_FLG_CONSTTIME);
        return bn;
    }
    BN_clear_free(bn);
    return NULL;
}

int pkey_bn_param(EVP_PKEY *evp, const char *name, size_t len, struct secret *ret)
{
    CLEANUP(pkey_bn_freep) BIGNUM *bn = NULL;
    struct secret s;
    if (EVP_PKEY_get_bn_param(evp, name, &bn) != 1) return ERR_KEY_INVALID;
    if (len == 0) len = (size_t)BN_num_bytes(bn);
    TRY(secret_new(len, &s));
    if (BN_bn2binpad(bn, s.p, (int)len) < 0) {
        secret_done(&s);
        return ERR_KEY_INVALID;
    }
    *ret = s;
    return 0;
}

int pkey_evp_of(const char *family, OSSL_PARAM_BLD *bld, bool with_private, EVP_PKEY **ret)
{
    EVP_PKEY *evp = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, family, NULL);
    bool ok = params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
              EVP_PKEY_fromdata(ctx, &evp, with_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    if (!ok) return ERR_KEY_INVALID;
    *ret = evp;
    return 0;
}

static int keep_public(struct pkey *k, const struct pkey_public_parts *pub)
{
    k->public_bytes = malloc(pub->a.len + pub->b.len);
    if (!k->public_bytes) return ERR_NOMEM;
    memcpy(k->public_bytes, pub->a.p, pub->a.len);
    if (pub->b.len) memcpy(k->public_bytes + pub->a.len, pub->b.p, pub->b.len);
    k->public[0] = view_of(k->public_bytes, pub->a.len);
    k->public[1] = view_of(k->public_bytes + pub->a.len, pub->b.len);
    return 0;
}

static int keep_private(struct pkey *k, const struct pkey_private_parts *priv)
{
    const struct view parts[PKEY_N_PRIVATE] = { priv->a, priv->rsa_iqmp, priv->rsa_p, priv->rsa_q };
    k->has_private = true;
    for (size_t i = 0; i < PKEY_N_PRIVATE; i++) TRY(secret_dup(parts[i], &k->private[i]));
    return 0;
}

static struct view strip_zeros(struct view number)
{
    while (number.len && number.p[0] == 0) number = view_sub(number, 1, number.len);
    return number;
}

static int from_parts(enum pkey_type type, struct pkey_public_parts pub, const struct pkey_private_parts *priv, struct pkey **ret)
{
    CLEANUP(pkey_unrefp) struct pkey *k = calloc(1, sizeof *k);
    if (!k) return ERR_NOMEM;
    k->refs = 1;
    k->type = type;
    if (type == PKEY_RSA) pub = (struct pkey_public_parts){ strip_zeros(pub.a), strip_zeros(pub.b) };
    struct pkey_private_parts numbers = { 0 };
    if (priv) {
        numbers = *priv;
        if (type != PKEY_ED25519) numbers.a = strip_zeros(priv->a);
        numbers.rsa_iqmp = strip_zeros(priv->rsa_iqmp);
        numbers.rsa_p = strip_zeros(priv->rsa_p);
        numbers.rsa_q = strip_zeros(priv->rsa_q);
    }
    int err = pkey_family_of(type)->build(type, &pub, priv ? &numbers : NULL, &k->evp);
    if (err < 0) ERR_clear_error();
    TRY(err);
    TRY(keep_public(k, &pub));
    if (priv) TRY(keep_private(k, &numbers));
    *ret = TAKE(k);
    return 0;
}

int pkey_from_public(enum pkey_type type, const struct pkey_public_parts *pub, struct pkey **ret)
{
    return from_parts(type, *pub, NULL, ret);
}

int pkey_from_private(enum pkey_type type, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv,
                      struct pkey **ret)
{
    return from_parts(type, *pub, priv, ret);
}

int pkey_from_evp(EVP_PKEY *evp, enum pkey_type type, bool with_private, struct pkey **ret)
{
    CLEANUP(pkey_numbers_done) struct pkey_numbers numbers = { 0 };
    TRY(pkey_family_of(type)->take_apart(type, evp, with_private, &numbers));
    struct pkey_public_parts pub = { secret_view(&numbers.public[0]), secret_view(&numbers.public[1]) };
    struct pkey_private_parts priv = { secret_view(&numbers.private[0]), secret_view(&numbers.private[1]),
                                       secret_view(&numbers.private[2]), secret_view(&numbers.private[3]) };
    return from_parts(type, pub, with_private ? &priv : NULL, ret);
}

int pkey_generate(enum pkey_type type, unsigned rsa_bits, struct pkey **ret)
{
    CLEANUP(pkey_evp_freep) EVP_PKEY *evp = NULL;
    TRY(pkey_family_of(type)->generate(type, rsa_bits, &evp));
    return pkey_from_evp(evp, type, true, ret);
}

enum pkey_type pkey_type_of(const struct pkey *k) { return k->type; }

bool pkey_has_private(const struct pkey *k) { return k->has_private; }

unsigned pkey_bits(const struct pkey *k)
{
    /* libcrypto says 253 for Ed25519; everybody else 256. */
    return k->type == PKEY_ED25519 ? 256 : (unsigned)EVP_PKEY_get_bits(k->evp);
}

void pkey_public(const struct pkey *k, struct pkey_public_parts *ret)
{
    *ret = (struct pkey_public_parts){ k->public[0], k -> public[1] };
}

int pkey_private(const struct pkey *k, struct pkey_private_parts *ret)
{
    if (!k->has_private) return ERR_KEY_INVALID;
    *ret = (struct pkey_private_parts){ secret_view(&k->private[0]), secret_view(&k->private[1]), secret_view(&k->private[2]),
                                        secret_view(&k->private[3]) };
    return 0;
}

static const EVP_MD *md_for(const struct pkey *k, enum digest_alg digest)
{
    return pkey_family_of(k->type)->has_digest ? digest_evp(digest) : NULL;
}

static int sign_raw(const struct pkey *k, enum digest_alg digest, struct view data, uint8_t *ret_raw, size_t *ret_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx) return ERR_NOMEM;
    *ret_len = PKEY_RAW_SIGNATURE_MAX_BYTES;
    bool ok = EVP_DigestSignInit(ctx, NULL, md_for(k, digest), NULL, k->evp) == 1 &&
              EVP_DigestSign(ctx, ret_raw, ret_len, data.p, data.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : ERR_CRYPTO;
}

static int sign_append(const struct pkey *k, enum digest_alg digest, struct view data, struct buf *out)
{
    uint8_t raw[PKEY_RAW_SIGNATURE_MAX_BYTES];
    size_t raw_len, before = buf_len(out);
    const struct pkey_family *family = pkey_family_of(k->type);
    TRY(sign_raw(k, digest, data, raw, &raw_len));
    TRY(family->signature_put(k, view_of(raw, raw_len), out));
    if (!family->sign_is_checked) return 0;
    return pkey_verify(k, digest, data, view_sub(buf_view(out), before, buf_len(out))) == 0 ? 0 : ERR_CRYPTO;
}

int pkey_sign(const struct pkey *k, enum digest_alg digest, struct view data, struct buf *ret_signature)
{
    size_t before = buf_len(ret_signature);
    if (!k->has_private) return ERR_KEY_INVALID;
    int err = sign_append(k, digest, data, ret_signature);
    if (err < 0) buf_truncate(ret_signature, before);
    return err;
}

int pkey_verify(const struct pkey *k, enum digest_alg digest, struct view data, struct view signature)
{
    uint8_t raw[PKEY_RAW_SIGNATURE_MAX_BYTES];
    size_t raw_len;
    if (pkey_family_of(k->type)->signature_get(k, signature, raw, &raw_len) < 0) return ERR_SIGNATURE;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, md_for(k, digest), NULL, k->evp) == 1 &&
              EVP_DigestVerify(ctx, raw, raw_len, data.p, data.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (ok) return 0;
    ERR_clear_error();
    return ERR_SIGNATURE;
}
