/* RSA keys (RFC 8017), signatures of PKCS#1 v1.5. */
#include "crypto/pkey_int.h"

/* E and N are public. DP and DQ are made here. */
enum number {
    N,
    E,
    D,
    P,
    Q,
    DP,
    DQ,
    QINV,
    N_NUMBERS,
    N_PUBLIC_NUMBERS = D
};

static const char *const param_names[N_NUMBERS] = {
    [N] = OSSL_PKEY_PARAM_RSA_N,          [E] = OSSL_PKEY_PARAM_RSA_E,
    [D] = OSSL_PKEY_PARAM_RSA_D,          [P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
    [Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,    [DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
    [DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2, [QINV] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

struct numbers {
    BIGNUM *bn[N_NUMBERS];
    BIGNUM *p1, *q1, *t; /* p - 1, q - 1, anything */
    BN_CTX *ctx;
};

static void numbers_done(struct numbers *x)
{
    for (size_t i = 0; i < N_NUMBERS; i++) BN_clear_free(x->bn[i]);
    BN_clear_free(x->p1);
    BN_clear_free(x->q1);
    BN_clear_free(x->t);
    BN_CTX_free(x->ctx);
}

static bool is_odd(struct view number) { return number.len && number.p[number.len - 1] & 1; }

static unsigned bits_of(struct view number)
{
    return number.len ? (unsigned)(8 * number.len) - (unsigned)(__builtin_clz(number.p[0]) - 24) : 0;
}

static int check_public(struct view e, struct view n)
{
    if (n.len > PKEY_RSA_MAX_BITS / 8) return ERR_KEY_LENGTH;
    unsigned bits = bits_of(n);
    if (bits < PKEY_RSA_MIN_BITS || bits > PKEY_RSA_MAX_BITS) return ERR_KEY_LENGTH;
    if (!is_odd(n) || !is_odd(e) || bits_of(e) < 2 || e.len > n.len) return ERR_KEY_INVALID;
    return 0;
}

static int load(struct numbers *x, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv)
{
    const struct view parts[N_NUMBERS] = {
        [N] = pub->b, [E] = pub->a, [D] = priv->a, [P] = priv->rsa_p, [Q] = priv->rsa_q, [QINV] = priv->rsa_iqmp
    };
    for (size_t i = D; i < N_NUMBERS; i++)
        if (parts[i].len > pub->b.len || (i != DP && i != DQ && parts[i].len == 0)) return ERR_KEY_INVALID;
    if (!is_odd(priv->rsa_p) || !is_odd(priv->rsa_q) || bits_of(priv->rsa_p) < 2 || bits_of(priv->rsa_q) < 2)
        return ERR_KEY_INVALID;
    for (size_t i = 0; i < N_NUMBERS; i++) {
        x->bn[i] = pkey_bn_of(parts[i]);
        if (!x->bn[i]) return ERR_NOMEM;
    }
    x->p1 = pkey_bn_of(priv->rsa_p);
    x->q1 = pkey_bn_of(priv->rsa_q);
    x->t = pkey_bn_of(VIEW_EMPTY);
    x->ctx = BN_CTX_secure_new();
    return x->p1 && x->q1 && x->t && x->ctx && BN_sub_word(x->p1, 1) && BN_sub_word(x->q1, 1) ? 0 : ERR_NOMEM;
}

/* Whether a * b is 1 modulo m. */
static bool is_inverse(struct numbers *x, const BIGNUM *a, const BIGNUM *b, const BIGNUM *m)
{
    return BN_mod_mul(x->t, a, b, m, x->ctx) == 1 && BN_is_one(x->t);
}

/* Makes d modulo p - 1 and q - 1, and sees that all the numbers belong together. Whether p and q are prime is not looked at: that
 * takes longer than a login, and signatures are verified anyway. */
static int complete(struct numbers *x)
{
    BIGNUM **bn = x->bn;
    if (BN_mod(bn[DP], bn[D], x->p1, x->ctx) != 1 || BN_mod(bn[DQ], bn[D], x->q1, x->ctx) != 1) return ERR_CRYPTO;
    if (BN_mul(x->t, bn[P], bn[Q], x->ctx) != 1) return ERR_CRYPTO;
    if (BN_cmp(x->t, bn[N]) != 0) return ERR_KEY_MISMATCH;
    if (!is_inverse(x, bn[E], bn[DP], x->p1) || !is_inverse(x, bn[E], bn[DQ], x->q1)) return ERR_KEY_MISMATCH;
    return is_inverse(x, bn[QINV], bn[Q], bn[P]) ? 0 : ERR_KEY_MISMATCH;
}

static int rsa_build(enum pkey_type type UNUSED, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv,
                     EVP_PKEY **ret)
{
    CLEANUP(pkey_bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    CLEANUP(numbers_done) struct numbers x = { 0 };
    if (!bld) return ERR_NOMEM;
    TRY(check_public(pub->a, pub->b));
    if (priv) {
        TRY(load(&x, pub, priv));
        TRY(complete(&x));
    } else {
        x.bn[N] = BN_bin2bn(pub->b.p, (int)pub->b.len, NULL);
        x.bn[E] = BN_bin2bn(pub->a.p, (int)pub->a.len, NULL);
    }
    for (size_t i = 0; i < (priv ? N_NUMBERS : N_PUBLIC_NUMBERS); i++)
        if (!x.bn[i] || OSSL_PARAM_BLD_push_BN(bld, param_names[i], x.bn[i]) != 1) return ERR_NOMEM;
    return pkey_evp_of("RSA", bld, priv != NULL, ret);
}

static int rsa_take_apart(enum pkey_type type UNUSED, EVP_PKEY *evp, bool with_private, struct pkey_numbers *ret)
{
    static const enum number private[PKEY_N_PRIVATE] = { D, QINV, P, Q };
    TRY(pkey_bn_param(evp, param_names[E], 0, &ret->public[0]));
    TRY(pkey_bn_param(evp, param_names[N], 0, &ret->public[1]));
    for (size_t i = 0; with_private && i < PKEY_N_PRIVATE; i++)
        TRY(pkey_bn_param(evp, param_names[private[i]], 0, &ret->private[i]));
    return 0;
}

static int rsa_generate(enum pkey_type type UNUSED, unsigned rsa_bits, EVP_PKEY **ret)
{
    if (rsa_bits < PKEY_RSA_MIN_BITS || rsa_bits > PKEY_RSA_MAX_BITS) return ERR_KEY_LENGTH;
    *ret = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)rsa_bits);
    return *ret ? 0 : ERR_CRYPTO;
}

static int rsa_signature_put(const struct pkey *k UNUSED, struct view raw, struct buf *out) { return buf_put_view(out, raw); }

/* RFC 8017 8.2.2 wants exactly the modulus' length; some signers leave leading zeros out, and OpenSSH puts them back. */
static int rsa_signature_get(const struct pkey *k, struct view signature, uint8_t *ret_raw, size_t *ret_len)
{
    size_t modulus = k->public[1].len, missing = modulus - signature.len;
    if (signature.len == 0 || signature.len > modulus) return ERR_SIGNATURE;
    memset(ret_raw, 0, missing);
    memcpy(ret_raw + missing, signature.p, signature.len);
    *ret_len = modulus;
    return 0;
}

const struct pkey_family pkey_rsa_family = { .build = rsa_build,
                                             .take_apart = rsa_take_apart,
                                             .generate = rsa_generate,
                                             .signature_put = rsa_signature_put,
                                             .signature_get = rsa_signature_get,
                                             .sign_is_checked = true,
                                             .has_digest = true };
