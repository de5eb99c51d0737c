/* A process with only the algorithms of our own tables: every row of them works, nothing else is there, and PEM brings the rest. */
#include "crypto/cipher.h"
#include "crypto/crypto.h"
#include "crypto/kex.h"
#include "crypto/libcrypto_int.h"
#include "crypto/mac.h"
#include "crypto/pkey.h"
#include "crypto/test_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    TEST_RSA_BITS = 1024,
    DATA_BYTES = 48,
};
static const uint8_t zeros[128];

static bool is_there(const char *name)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_free(cipher);
    ERR_clear_error();
    return cipher != NULL;
}

static void nothing_else_is_there(void **state)
{
    (void)state;
    assert_true(is_there("AES-128-GCM"));
    assert_false(is_there("CAMELLIA-128-CBC"));
    assert_false(is_there("AES-256-XTS"));
}

static void every_digest_and_mac_works(void **state)
{
    (void)state;
    uint8_t out[DIGEST_MAX_BYTES];
    for (enum digest_alg alg = 0; alg < DIGEST_MAX; alg++) assert_int_equal(digest_once(alg, VIEW_LIT("abc"), out), 0);
    for (const struct mac_desc *d = mac_table; d->name; d++) {
        struct mac *m;
        assert_int_equal(mac_new(d, view_of(zeros, d->key_bytes), &m), 0);
        assert_int_equal(mac_compute(m, 1, VIEW_LIT("abc"), out), 0);
        mac_free(m);
    }
}

static void every_cipher_works(void **state)
{
    (void)state;
    for (const struct cipher_desc *d = cipher_table; d->name; d++) {
        uint8_t bytes[DATA_BYTES + 4 + 16] = { 0, 0, 0, DATA_BYTES };
        struct cipher *to, *from;
        assert_int_equal(cipher_new(d, view_of(zeros, d->key_bytes), view_of(zeros, d->iv_bytes), true, &to), 0);
        assert_int_equal(cipher_new(d, view_of(zeros, d->key_bytes), view_of(zeros, d->iv_bytes), false, &from), 0);
        if (d->kind == CIPHER_AEAD) {
            assert_int_equal(cipher_aead_seal(to, 0, bytes, DATA_BYTES), 0);
            assert_int_equal(cipher_aead_open(from, 0, bytes, DATA_BYTES), 0);
        } else {
            assert_int_equal(cipher_stream(to, bytes, DATA_BYTES), 0);
            assert_int_equal(cipher_stream(from, bytes, DATA_BYTES), 0);
        }
        if (d->kind != CIPHER_AEAD) assert_int_equal(bytes[3], DATA_BYTES); /* its length may stay sealed */
        assert_memory_equal(bytes + 4, zeros, DATA_BYTES - 4);
        cipher_free(to);
        cipher_free(from);
    }
}

static void every_key_exchange_works(void **state)
{
    (void)state;
    uint64_t seed = 1;
    const struct random rnd = { fill_lcg, &seed };
    for (const struct kex_method *m = kex_method_table; m->name; m++) {
        CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
        CLEANUP(buf_done) struct buf client = BUF_INIT(4096), server = BUF_INIT(4096);
        CLEANUP(secret_done) struct secret ours = SECRET_INIT, theirs = SECRET_INIT;
        if (m->kind != KEX_ECDH) continue; /* those with bignums alone have no algorithm of libcrypto's but their digest */
        assert_int_equal(kex_agreement_start(m, NULL, &rnd, &a, &client), 0);
        assert_int_equal(kex_respond(m, NULL, &rnd, buf_view(&client), &server, &theirs), 0);
        assert_int_equal(kex_agreement_finish(a, buf_view(&server), &ours), 0);
        assert_int_equal(ours.len, theirs.len);
        assert_memory_equal(ours.p, theirs.p, ours.len);
    }
}

static struct pkey *pair_of(enum pkey_type type)
{
    struct pkey *k;
    assert_int_equal(pkey_generate(type, TEST_RSA_BITS, &k), 0);
    return k;
}

static void every_key_type_works(void **state)
{
    (void)state;
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++) {
        CLEANUP(buf_done) struct buf signature = BUF_INIT(4096);
        struct pkey *k = pair_of(type);
        assert_int_equal(pkey_sign(k, DIGEST_SHA512, VIEW_LIT("abc"), &signature), 0);
        assert_int_equal(pkey_verify(k, DIGEST_SHA512, VIEW_LIT("abc"), buf_view(&signature)), 0);
        assert_true(pkey_verify(k, DIGEST_SHA512, VIEW_LIT("abd"), buf_view(&signature)) < 0);
        pkey_unref(k);
    }
}

/* Last: it cannot be taken back. What was made before goes on working. */
static void pem_brings_the_rest(void **state)
{
    (void)state;
    for (enum pkey_type type = 0; type < PKEY_TYPE_MAX; type++) {
        CLEANUP(buf_done) struct buf pem = BUF_INIT(65536), signature = BUF_INIT(4096);
        struct pkey *k = pair_of(type), *again;
        assert_int_equal(pkey_to_pem(k, PKEY_PEM_PKCS8, VIEW_LIT("secret"), &pem), 0);
        assert_int_equal(pkey_from_pem(buf_view(&pem), VIEW_LIT("secret"), &again), 0);
        assert_int_equal(pkey_sign(again, DIGEST_SHA256, VIEW_LIT("abc"), &signature), 0);
        assert_int_equal(pkey_verify(k, DIGEST_SHA256, VIEW_LIT("abc"), buf_view(&signature)), 0);
        pkey_unref(again);
        pkey_unref(k);
    }
    assert_true(is_there("CAMELLIA-128-CBC"));
    every_cipher_works(state);
    every_digest_and_mac_works(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_else_is_there), cmocka_unit_test(every_digest_and_mac_works),
        cmocka_unit_test(every_cipher_works),    cmocka_unit_test(every_key_exchange_works),
        cmocka_unit_test(every_key_type_works),  cmocka_unit_test(pem_brings_the_rest),
    };
    crypto_start_alone();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
