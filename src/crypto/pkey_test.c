/* Key pairs: RFC 8032 and RFC 6979 vectors, every type signing and being verified (also by libcrypto on its own), damage, all the
 * checks of parts, PEM in every form. */
#include "base/rd.h"
#include "base/wr.h"
#include "crypto/crypto.h"
#include "crypto/digest_int.h"
#include "crypto/pkey_int.h"
#include "crypto/test_hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    TEST_RSA_BITS = 1024,
    OUT_MAX = 65536
};
static const struct view message = VIEW_LIT("what is signed");

/* One pair of each type, made once. */
static struct pkey *pairs[PKEY_TYPE_MAX];

static int make_pairs(void **state)
{
    (void)state;
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++)
        if (pkey_generate(type, TEST_RSA_BITS, &pairs[type]) < 0) return -1;
    return 0;
}

static int drop_pairs(void **state)
{
    (void)state;
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++) pkey_unref(pairs[type]);
    return 0;
}

static struct pkey *public_of(const struct pkey *pair)
{
    struct pkey_public_parts parts;
    struct pkey *k = NULL;
    pkey_public(pair, &parts);
    assert_int_equal(pkey_from_public(pkey_type_of(pair), &parts, &k), 0);
    return k;
}

static void test_rfc8032(void **state)
{
    (void)state;
    static const struct {
        const char *seed, *public_key, *text, *signature;
    } vectors[] = {
        { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465514143"
          "8e7a100b" },
        { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
          "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d2916"
          "12bb0c00" },
        { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
          "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
          "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027bece"
          "ea1ec40a" },
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        uint8_t seed[32], public_key[32], text[2], signature[64];
        struct pkey_public_parts pub = { .a = from_hex(vectors[i].public_key, public_key, sizeof public_key) };
        struct pkey_private_parts priv = { .a = from_hex(vectors[i].seed, seed, sizeof seed) };
        struct view data = from_hex(vectors[i].text, text, sizeof text);
        CLEANUP(pkey_unrefp) struct pkey *pair = NULL, *k = NULL;
        CLEANUP(buf_done) struct buf out = BUF_INIT(OUT_MAX);
        assert_int_equal(pkey_from_private(PKEY_ED25519, &pub, &priv, &pair), 0);
        assert_int_equal(pkey_from_public(PKEY_ED25519, &pub, &k), 0);
        assert_int_equal(pkey_sign(pair, DIGEST_SHA512, data, &out), 0);
        assert_true(view_eq(buf_view(&out), from_hex(vectors[i].signature, signature, sizeof signature)));
        assert_int_equal(pkey_verify(k, DIGEST_SHA512, data, buf_view(&out)), 0);
        assert_int_equal(pkey_verify(k, DIGEST_SHA512, VIEW_LIT("x"), buf_view(&out)), ERR_SIGNATURE);
    }
}

/* RFC 6979 A.2.5, P-256 with SHA-256, "sample". */
static void test_rfc6979(void **state)
{
    (void)state;
    uint8_t point[65], scalar[32], r[32], s[32];
    struct pkey_public_parts pub = { .a = from_hex("0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                                                   "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
                                                   point, sizeof point) };
    struct pkey_private_parts priv = { .a = from_hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721", scalar,
                                                     sizeof scalar) };
    CLEANUP(pkey_unrefp) struct pkey *k = NULL;
    CLEANUP(buf_done) struct buf signature = BUF_INIT(OUT_MAX);
    struct wr w = wr_of(&signature);
    wr_mpint(&w, from_hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716", r, sizeof r));
    wr_mpint(&w, from_hex("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8", s, sizeof s));
    assert_int_equal(wr_end(&w), 0);
    assert_int_equal(pkey_from_private(PKEY_ECDSA_P256, &pub, &priv, &k), 0);
    assert_int_equal(pkey_verify(k, DIGEST_SHA256, VIEW_LIT("sample"), buf_view(&signature)), 0);
    assert_int_equal(pkey_verify(k, DIGEST_SHA512, VIEW_LIT("sample"), buf_view(&signature)), ERR_SIGNATURE);
}

static void test_sign_verify_damage(void **state)
{
    (void)state;
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++) {
        CLEANUP(pkey_unrefp) struct pkey *k = public_of(pairs[type]);
        CLEANUP(buf_done) struct buf out = BUF_INIT(OUT_MAX);
        assert_int_equal(buf_put_str(&out, "before"), 0);
        assert_int_equal(pkey_sign(pairs[type], DIGEST_SHA384, message, &out), 0);
        assert_true(view_has_prefix(buf_view(&out), "before"));
        buf_consume(&out, 6);
        struct view good = buf_view(&out);
        assert_int_equal(pkey_verify(k, DIGEST_SHA384, message, good), 0);
        assert_int_equal(pkey_verify(k, DIGEST_SHA384, VIEW_LIT("what is signeD"), good), ERR_SIGNATURE);
        if (type != PKEY_ED25519) assert_int_equal(pkey_verify(k, DIGEST_SHA256, message, good), ERR_SIGNATURE);

        for (size_t i = 0; i < good.len; i++) {
            buf_bytes(&out)[i] ^= 0x01;
            assert_int_equal(pkey_verify(k, DIGEST_SHA384, message, good), ERR_SIGNATURE);
            buf_bytes(&out)[i] ^= 0x01;
            assert_int_equal(pkey_verify(k, DIGEST_SHA384, message, view_of(good.p, i)), ERR_SIGNATURE);
        }
        assert_int_equal(buf_put_u8(&out, 0), 0);
        assert_int_equal(pkey_verify(k, DIGEST_SHA384, message, buf_view(&out)), ERR_SIGNATURE);

        size_t before = buf_len(&out);
        assert_int_equal(pkey_sign(k, DIGEST_SHA256, message, &out), ERR_KEY_INVALID); /* public only */
        assert_int_equal(buf_len(&out), before);
        CLEANUP(buf_done) struct buf narrow = BUF_INIT(40);
        assert_int_equal(pkey_sign(pairs[type], DIGEST_SHA256, message, &narrow), ERR_LIMIT);
        assert_int_equal(buf_len(&narrow), 0);
    }
}

/* The same signature in libcrypto's form, against a key that went there by PEM. */
static void test_libcrypto_agrees(void **state)
{
    (void)state;
    static const enum digest_alg digests[] = { DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512 };
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++)
        for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
            CLEANUP(buf_done) struct buf pem = BUF_INIT(OUT_MAX), out = BUF_INIT(OUT_MAX);
            assert_int_equal(pkey_to_pem(pairs[type], PKEY_PEM_PUBLIC_PKCS8, VIEW_EMPTY, &pem), 0);
            BIO *bio = BIO_new_mem_buf(buf_bytes(&pem), (int)buf_len(&pem));
            EVP_PKEY *evp = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
            BIO_free(bio);
            assert_non_null(evp);

            assert_int_equal(pkey_sign(pairs[type], digests[i], message, &out), 0);
            struct view signature = buf_view(&out);
            uint8_t *der = NULL;
            if (type != PKEY_RSA && type != PKEY_ED25519) {
                struct rd in = rd_of(signature);
                struct view r = rd_mpint(&in), s = rd_mpint(&in);
                assert_int_equal(rd_end(&in), 0);
                ECDSA_SIG *sig = ECDSA_SIG_new();
                ECDSA_SIG_set0(sig, BN_bin2bn(r.p, (int)r.len, NULL), BN_bin2bn(s.p, (int)s.len, NULL));
                int len = i2d_ECDSA_SIG(sig, &der);
                ECDSA_SIG_free(sig);
                assert_true(len > 0);
                signature = view_of(der, (size_t)len);
            }
            EVP_MD_CTX *ctx = EVP_MD_CTX_new();
            const EVP_MD *md = type == PKEY_ED25519 ? NULL : digest_evp(digests[i]);
            assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, md, NULL, evp), 1);
            assert_int_equal(EVP_DigestVerify(ctx, signature.p, signature.len, message.p, message.len), 1);
            EVP_MD_CTX_free(ctx);
            EVP_PKEY_free(evp);
            OPENSSL_free(der);
        }
}

/* Signs until a signature begins with a zero byte, and takes that away. */
static void test_rsa_short_signature(void **state)
{
    (void)state;
    CLEANUP(buf_done) struct buf out = BUF_INIT(OUT_MAX);
    uint8_t text[4] = { 0 };
    struct view data = view_of(text, sizeof text);
    do {
        buf_reset(&out);
        if (++text[0] == 0) text[1]++;
        assert_true(text[1] < 100);
        assert_int_equal(pkey_sign(pairs[PKEY_RSA], DIGEST_SHA256, data, &out), 0);
        assert_int_equal(buf_len(&out), TEST_RSA_BITS / 8);
    } while (buf_bytes(&out)[0] != 0);
    struct view whole = buf_view(&out);
    assert_int_equal(pkey_verify(pairs[PKEY_RSA], DIGEST_SHA256, data, whole), 0);
    assert_int_equal(pkey_verify(pairs[PKEY_RSA], DIGEST_SHA256, data, view_sub(whole, 1, whole.len)), 0);
    uint8_t longer[TEST_RSA_BITS / 8 + 1] = { 0 };
    memcpy(longer + 1, whole.p, whole.len);
    assert_int_equal(pkey_verify(pairs[PKEY_RSA], DIGEST_SHA256, data, view_of(longer, sizeof longer)), ERR_SIGNATURE);
    assert_int_equal(pkey_verify(pairs[PKEY_RSA], DIGEST_SHA256, data, VIEW_EMPTY), ERR_SIGNATURE);
}

static void test_ecdsa_odd_signatures(void **state)
{
    (void)state;
    static const uint8_t zeros[] = { 0, 0, 0, 0, 0, 0, 0, 0 };
    uint8_t big[4 + 67 + 5] = { 0, 0, 0, 67, 1 };
    big[4 + 67 + 3] = 1;
    big[4 + 67 + 4] = 1;
    for (enum pkey_type type = PKEY_ECDSA_P256; type <= PKEY_ECDSA_P521; type++) {
        assert_int_equal(pkey_verify(pairs[type], DIGEST_SHA256, message, view_of(zeros, sizeof zeros)), ERR_SIGNATURE);
        assert_int_equal(pkey_verify(pairs[type], DIGEST_SHA256, message, view_of(big, sizeof big)), ERR_SIGNATURE);
    }
}

static void test_parts_round_trip(void **state)
{
    (void)state;
    static const unsigned bits[PKEY_TYPE_MAX] = { 256, 256, 384, 521, TEST_RSA_BITS };
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++) {
        struct pkey_public_parts pub, pub2;
        struct pkey_private_parts priv, priv2;
        struct pkey *k = NULL;
        pkey_public(pairs[type], &pub);
        assert_int_equal(pkey_private(pairs[type], &priv), 0);
        assert_int_equal(pkey_bits(pairs[type]), bits[type]);
        assert_int_equal(pkey_type_of(pairs[type]), type);
        assert_int_equal(pkey_from_private(type, &pub, &priv, &k), 0);
        assert_true(pkey_has_private(k));
        pkey_public(k, &pub2);
        assert_int_equal(pkey_private(k, &priv2), 0);
        assert_true(view_eq(pub.a, pub2.a) && view_eq(pub.b, pub2.b) && view_eq(priv.a, priv2.a));
        assert_true(view_eq(priv.rsa_iqmp, priv2.rsa_iqmp) && view_eq(priv.rsa_p, priv2.rsa_p) && view_eq(priv.rsa_q, priv2.rsa_q));
        assert_ptr_equal(pkey_ref(k), k);
        pkey_unref(k);
        pkey_unref(k);

        CLEANUP(pkey_unrefp) struct pkey *only = public_of(pairs[type]);
        assert_false(pkey_has_private(only));
        assert_int_equal(pkey_private(only, &priv2), ERR_KEY_INVALID);
        assert_int_equal(pkey_bits(only), bits[type]);
    }
    pkey_unref(NULL);
}

static int try_public(enum pkey_type type, struct view a, struct view b)
{
    struct pkey_public_parts pub = { a, b };
    struct pkey *k = NULL;
    int err = pkey_from_public(type, &pub, &k);
    assert_true((err == 0) == (k != NULL));
    pkey_unref(k);
    return err;
}

static void test_public_checks(void **state)
{
    (void)state;
    struct pkey_public_parts pub;
    uint8_t bytes[2 * 2049] = { 0 };
    for (enum pkey_type type = PKEY_ECDSA_P256; type <= PKEY_ECDSA_P521; type++) {
        pkey_public(pairs[type], &pub);
        memcpy(bytes, pub.a.p, pub.a.len);
        struct view point = view_of(bytes, pub.a.len);
        assert_int_equal(try_public(type, point, VIEW_EMPTY), 0);
        bytes[pub.a.len - 1] ^= 1;
        assert_int_equal(try_public(type, point, VIEW_EMPTY), ERR_KEY_INVALID);
        bytes[pub.a.len - 1] ^= 1;
        bytes[0] = 6; /* hybrid form */
        assert_int_equal(try_public(type, point, VIEW_EMPTY), ERR_KEY_INVALID);
        bytes[0] = 2;
        assert_int_equal(try_public(type, view_sub(point, 0, point.len / 2 + 1), VIEW_EMPTY), ERR_KEY_INVALID);
        bytes[0] = 0;
        assert_int_equal(try_public(type, view_of(bytes, 1), VIEW_EMPTY), ERR_KEY_INVALID);
        memset(bytes, 0xff, sizeof bytes); /* coordinates beyond the field */
        bytes[0] = 4;
        assert_int_equal(try_public(type, point, VIEW_EMPTY), ERR_KEY_INVALID);
        assert_int_equal(try_public(type, VIEW_EMPTY, VIEW_EMPTY), ERR_KEY_INVALID);
    }
    assert_int_equal(try_public(PKEY_ED25519, view_of(bytes, 31), VIEW_EMPTY), ERR_KEY_INVALID);
    assert_int_equal(try_public(PKEY_ED25519, view_of(bytes, 33), VIEW_EMPTY), ERR_KEY_INVALID);

    static const uint8_t e3[] = { 3 }, e4[] = { 4 }, e1[] = { 1 };
    memset(bytes, 0xff, sizeof bytes);
    pkey_public(pairs[PKEY_RSA], &pub);
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), pub.b), 0);
    assert_int_equal(try_public(PKEY_RSA, view_of(e4, 1), pub.b), ERR_KEY_INVALID);
    assert_int_equal(try_public(PKEY_RSA, view_of(e1, 1), pub.b), ERR_KEY_INVALID);
    assert_int_equal(try_public(PKEY_RSA, VIEW_EMPTY, pub.b), ERR_KEY_INVALID);
    assert_int_equal(try_public(PKEY_RSA, view_of(bytes, pub.b.len + 1), pub.b), ERR_KEY_INVALID);
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), VIEW_EMPTY), ERR_KEY_LENGTH);
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), view_of(bytes, 127)), ERR_KEY_LENGTH);
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), view_of(bytes, 2048)), 0);
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), view_of(bytes, 2049)), ERR_KEY_LENGTH);
    bytes[0] = 0x7f; /* 1023 bits */
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), view_of(bytes, 128)), ERR_KEY_LENGTH);
    bytes[0] = 0x80;
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), view_of(bytes, 128)), 0);
    bytes[127] = 0xfe;
    assert_int_equal(try_public(PKEY_RSA, view_of(e3, 1), view_of(bytes, 128)), ERR_KEY_INVALID);
    struct pkey *k = NULL;
    assert_int_equal(pkey_generate(PKEY_RSA, 1023, &k), ERR_KEY_LENGTH);
    assert_int_equal(pkey_generate(PKEY_RSA, 16385, &k), ERR_KEY_LENGTH);
}

static int try_private(enum pkey_type type, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv)
{
    struct pkey *k = NULL;
    int err = pkey_from_private(type, pub, priv, &k);
    assert_true((err == 0) == (k != NULL));
    pkey_unref(k);
    return err;
}

static void test_private_checks(void **state)
{
    (void)state;
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++) {
        CLEANUP(pkey_unrefp) struct pkey *other = NULL;
        struct pkey_public_parts pub;
        struct pkey_private_parts priv, bad;
        assert_int_equal(pkey_generate(type, TEST_RSA_BITS, &other), 0);
        assert_int_equal(pkey_private(pairs[type], &priv), 0);
        pkey_public(other, &pub);
        assert_int_equal(try_private(type, &pub, &priv), ERR_KEY_MISMATCH);
        pkey_public(pairs[type], &pub);
        assert_int_equal(try_private(type, &pub, &priv), 0);

        uint8_t ones[2048];
        memset(ones, 0xff, sizeof ones);
        bad = priv;
        bad.a = VIEW_EMPTY;
        assert_int_equal(try_private(type, &pub, &bad), ERR_KEY_INVALID);
        bad.a = view_of(ones, type == PKEY_ECDSA_P521 ? 66 : priv.a.len + 1); /* too long, or not under the order */
        assert_int_not_equal(try_private(type, &pub, &bad), 0);
    }
}

static void test_rsa_private_checks(void **state)
{
    (void)state;
    struct pkey_public_parts pub;
    struct pkey_private_parts priv;
    pkey_public(pairs[PKEY_RSA], &pub);
    assert_int_equal(pkey_private(pairs[PKEY_RSA], &priv), 0);
    struct view *parts[] = { &priv.a, &priv.rsa_iqmp, &priv.rsa_p, &priv.rsa_q };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct view was = *parts[i];
        uint8_t changed[TEST_RSA_BITS / 8];
        memcpy(changed, was.p, was.len);
        changed[was.len / 2] ^= 0x10;
        *parts[i] = view_of(changed, was.len);
        assert_int_equal(try_private(PKEY_RSA, &pub, &priv), ERR_KEY_MISMATCH);
        *parts[i] = VIEW_EMPTY;
        assert_int_equal(try_private(PKEY_RSA, &pub, &priv), ERR_KEY_INVALID);
        *parts[i] = was;
    }
    /* n = n * 1 */
    static const uint8_t one[] = { 1 };
    struct pkey_private_parts trivial = priv;
    trivial.rsa_p = pub.b;
    trivial.rsa_q = view_of(one, 1);
    assert_int_equal(try_private(PKEY_RSA, &pub, &trivial), ERR_KEY_INVALID);
}

static bool same_key(const struct pkey *a, const struct pkey *b)
{
    struct pkey_public_parts x, y;
    pkey_public(a, &x);
    pkey_public(b, &y);
    return pkey_type_of(a) == pkey_type_of(b) && view_eq(x.a, y.a) && view_eq(x.b, y.b);
}

static void check_private_pem(const struct pkey *pair, enum pkey_pem form, struct view passphrase)
{
    CLEANUP(buf_done) struct buf pem = BUF_INIT_SECRET(OUT_MAX);
    CLEANUP(pkey_unrefp) struct pkey *k = NULL;
    assert_int_equal(pkey_to_pem(pair, form, passphrase, &pem), 0);
    if (passphrase.len) {
        assert_int_equal(pkey_from_pem(buf_view(&pem), VIEW_EMPTY, &k), ERR_PASSPHRASE_NEEDED);
        assert_int_equal(pkey_from_pem(buf_view(&pem), VIEW_LIT("wrong"), &k), ERR_PASSPHRASE);
        assert_int_equal(pkey_from_pem(buf_view(&pem), VIEW_LIT(""), &k), ERR_PASSPHRASE);
        assert_null(k);
    }
    assert_int_equal(pkey_from_pem(buf_view(&pem), passphrase, &k), 0);
    assert_true(pkey_has_private(k) && same_key(k, pair));
    CLEANUP(pkey_unrefp) struct pkey *cut = NULL;
    assert_int_not_equal(pkey_from_pem(view_of(buf_bytes(&pem), buf_len(&pem) / 2), passphrase, &cut), 0);
}

static void test_private_pem(void **state)
{
    (void)state;
    static const struct view passphrases[] = { VIEW_EMPTY, VIEW_LIT("a passphrase of some length") };
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++)
        for (size_t i = 0; i < ARRAY_LEN(passphrases); i++) {
            check_private_pem(pairs[type], PKEY_PEM_PKCS8, passphrases[i]);
            if (type != PKEY_ED25519) check_private_pem(pairs[type], PKEY_PEM_TRADITIONAL, passphrases[i]);
        }
    CLEANUP(buf_done) struct buf pem = BUF_INIT(OUT_MAX);
    CLEANUP(pkey_unrefp) struct pkey *only = public_of(pairs[PKEY_RSA]);
    assert_int_equal(pkey_to_pem(pairs[PKEY_ED25519], PKEY_PEM_TRADITIONAL, VIEW_EMPTY, &pem), ERR_UNSUPPORTED);
    assert_int_equal(pkey_to_pem(only, PKEY_PEM_PKCS8, VIEW_EMPTY, &pem), ERR_KEY_INVALID);
    assert_int_equal(buf_len(&pem), 0);
    assert_int_equal(pkey_to_pem(pairs[PKEY_RSA], PKEY_PEM_TRADITIONAL, VIEW_LIT("x"), &pem), 0);
    assert_true(view_has_prefix(buf_view(&pem), "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"));
}

static void test_public_pem(void **state)
{
    (void)state;
    static const enum pkey_pem forms[] = { PKEY_PEM_PUBLIC_PKCS8, PKEY_PEM_PUBLIC_PKCS1 };
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++)
        for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
            CLEANUP(buf_done) struct buf pem = BUF_INIT(OUT_MAX);
            CLEANUP(pkey_unrefp) struct pkey *k = NULL;
            int err = pkey_to_pem(pairs[type], forms[i], VIEW_EMPTY, &pem);
            if (type == PKEY_ED25519 && forms[i] == PKEY_PEM_PUBLIC_PKCS1) {
                assert_int_equal(err, ERR_UNSUPPORTED);
                continue;
            }
            assert_int_equal(err, 0);
            bool pkcs1 = type == PKEY_RSA && forms[i] == PKEY_PEM_PUBLIC_PKCS1;
            assert_true(
                view_has_prefix(buf_view(&pem), pkcs1 ? "-----BEGIN RSA PUBLIC KEY-----\n" : "-----BEGIN PUBLIC KEY-----\n"));
            assert_int_equal(pkey_from_public_pem(buf_view(&pem), &k), 0);
            assert_true(!pkey_has_private(k) && same_key(k, pairs[type]));
        }
}

/* RFC 8410 10.1, 10.3. */
static void test_rfc8410(void **state)
{
    (void)state;
    CLEANUP(pkey_unrefp) struct pkey *pair = NULL, *k = NULL;
    assert_int_equal(pkey_from_pem(VIEW_LIT("-----BEGIN PRIVATE KEY-----\n"
                                            "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
                                            "-----END PRIVATE KEY-----\n"),
                                   VIEW_EMPTY, &pair),
                     0);
    assert_int_equal(pkey_from_public_pem(VIEW_LIT("-----BEGIN PUBLIC KEY-----\n"
                                                   "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                                                   "-----END PUBLIC KEY-----\n"),
                                          &k),
                     0);
    assert_true(same_key(pair, k));
}

static int from_evp_pem(EVP_PKEY *evp)
{
    char *text;
    struct pkey *k = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_non_null(evp);
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, evp, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &text);
    int err = pkey_from_pem(view_of(text, (size_t)len), VIEW_EMPTY, &k);
    pkey_unref(k);
    BIO_free(bio);
    EVP_PKEY_free(evp);
    return err;
}

static void test_refused_pem(void **state)
{
    (void)state;
    struct pkey *k = NULL;
    assert_int_equal(from_evp_pem(EVP_PKEY_Q_keygen(NULL, NULL, "X25519")), ERR_KEY_TYPE);
    assert_int_equal(from_evp_pem(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp224r1")), ERR_KEY_TYPE);
    assert_int_equal(from_evp_pem(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)768)), ERR_KEY_LENGTH);
    EVP_PKEY *compressed = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    assert_int_equal(EVP_PKEY_set_utf8_string_param(compressed, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"), 1);
    assert_int_equal(from_evp_pem(compressed), 0);
    assert_int_equal(pkey_from_pem(VIEW_EMPTY, VIEW_EMPTY, &k), ERR_FORMAT);
    assert_int_equal(pkey_from_public_pem(VIEW_EMPTY, &k), ERR_FORMAT);
    assert_int_equal(pkey_from_pem(VIEW_LIT("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"), VIEW_EMPTY, &k),
                     ERR_FORMAT);
    assert_null(k);
}

int main(void)
{
    crypto_start_alone();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc8032),
        cmocka_unit_test(test_rfc6979),
        cmocka_unit_test(test_sign_verify_damage),
        cmocka_unit_test(test_libcrypto_agrees),
        cmocka_unit_test(test_rsa_short_signature),
        cmocka_unit_test(test_ecdsa_odd_signatures),
        cmocka_unit_test(test_parts_round_trip),
        cmocka_unit_test(test_public_checks),
        cmocka_unit_test(test_private_checks),
        cmocka_unit_test(test_rsa_private_checks),
        cmocka_unit_test(test_private_pem),
        cmocka_unit_test(test_public_pem),
        cmocka_unit_test(test_rfc8410),
        cmocka_unit_test(test_refused_pem),
    };
    return cmocka_run_group_tests(tests, make_pairs, drop_pairs);
}
