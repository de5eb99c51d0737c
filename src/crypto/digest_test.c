/* Digests: FIPS 180-4 and RFC 1321 vectors, parts against the whole, names. */
#include "crypto/crypto.h"
#include "crypto/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
    enum digest_alg alg;
    const char *name, *hex_abc;
} vectors[] = {
    { DIGEST_MD5, "MD5", "900150983cd24fb0d6963f7d28e17f72" },
    { DIGEST_SHA1, "SHA1", "a9993e364706816aba3e25717850c26c9cd0d89d" },
    { DIGEST_SHA256, "SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { DIGEST_SHA384, "SHA384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
    { DIGEST_SHA512, "SHA512",
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54c"
      "a49f" },
};

static void hex_of(const uint8_t *bytes, size_t len, char *ret_text)
{
    for (size_t i = 0; i < len; i++) sprintf(ret_text + 2 * i, "%02x", bytes[i]);
}

static void test_known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        uint8_t out[DIGEST_MAX_BYTES];
        char hex[2 * DIGEST_MAX_BYTES + 1];
        assert_int_equal(digest_once(vectors[i].alg, VIEW_LIT("abc"), out), 0);
        hex_of(out, digest_len(vectors[i].alg), hex);
        assert_string_equal(hex, vectors[i].hex_abc);
    }
}

static void test_parts_are_one_message(void **state)
{
    (void)state;
    const struct view parts[] = { VIEW_LIT("a"), VIEW_EMPTY, VIEW_LIT("bc") };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        uint8_t whole[DIGEST_MAX_BYTES] = { 0 }, cut[DIGEST_MAX_BYTES] = { 0 }, streamed[DIGEST_MAX_BYTES] = { 0 };
        assert_int_equal(digest_once(vectors[i].alg, VIEW_LIT("abc"), whole), 0);
        assert_int_equal(digest_parts(vectors[i].alg, parts, ARRAY_LEN(parts), cut), 0);
        assert_memory_equal(whole, cut, sizeof whole);

        CLEANUP(digest_freep) struct digest *d = NULL;
        assert_int_equal(digest_new(vectors[i].alg, &d), 0);
        for (size_t k = 0; k < ARRAY_LEN(parts); k++) assert_int_equal(digest_update(d, parts[k]), 0);
        assert_int_equal(digest_final(d, streamed), 0);
        assert_memory_equal(whole, streamed, sizeof whole);
    }
}

static void test_names(void **state)
{
    (void)state;
    enum digest_alg alg;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        assert_string_equal(digest_name(vectors[i].alg), vectors[i].name);
        assert_int_equal(digest_from_name(vectors[i].name, &alg), 0);
        assert_int_equal(alg, vectors[i].alg);
    }
    assert_int_equal(digest_from_name("sha256", &alg), 0);
    assert_int_equal(alg, DIGEST_SHA256);
    assert_int_equal(digest_from_name("sha257", &alg), ERR_NOT_FOUND);
    assert_int_equal(digest_from_name("", &alg), ERR_NOT_FOUND);
    assert_int_equal(alg, DIGEST_SHA256);
}

int main(void)
{
    crypto_start_alone();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_parts_are_one_message),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
