#include "crypto/sntrup761.h"
#include "crypto/digest.h"
#include "crypto/test_hex.h"
#include "crypto/test_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Made with a second, plain implementation from the specification (Euclid's algorithm instead of division steps, schoolbook
 * products, recursive Encode), fed the same random bytes: fill_lcg from `seed`, keygen and then encaps. Long values as their
 * SHA-256. */
static const struct vector {
    uint64_t seed;
    const char *public, *secret, *ciphertext, *shared;
    const char *rejected; /* with bit 0 of ciphertext[100] flipped */
} vectors[] = {
    { 1, "0a07f7db1192cb402b62ed69e1f7d66cd428ad6c38d412ab546141d7ddf7d390",
      "6f53d2327b3a884f115abf7c8f108508bc19a4d4b47a738cab7775b9599780ed",
      "7172f3f64253ddde2d802e6127ef6c0e2d09ffedf2d4ff83a599a0137c3ce224",
      "e24a34b7c2ade70b26e9e66bf04593fbed75dea13257f7e2eb2ab6a4787fec47",
      "adf9599e9338d4dd660f95da32265648ecf23c27f140eb7d34331d48005a0691" },
    { 2, "7318315370b7006edf645e7a718926e2e42b7bc60484cad20bc5f59b247c9e1b",
      "15ed583dad3768cc7cf0862ec18f1c76368b3b8df0042076a4dd67e5e7650128",
      "51bb1cc96a589ba724f545569ddba10fb83921c5a5198f238b4ab9e122857e4a",
      "8620cd919e7d9022145a0a73f60fa051e7fe4fce5c62f32c7fe2096b1a814c7e",
      "d0981d63d607db4c29b379bf2a7d1ff4f17f9bfa04bc90b88ad301f890decbe0" },
    { 0xdeadbeef, "eaf64497f4df926e6bf2d45c0a295ceea427faf8e5dbded5151ad0f41a3983cb",
      "691c8d60bd3e03d6cf9fe93fa1ac58d9857d0dfb8e10d837078a4d2371f0d927",
      "2e6fdbf561eb3067c50d0ba986a615eb592f81b14d3ab40d0b81f515a7d2374d",
      "01e369824d5d99494a150308a512a56186c5ee2fa55a3de1016625a3f3bc84b2",
      "36a0ebb6bf0703f0a12892e5b6863585bd5db308c3c928c3425dcd06cc45c959" },
};

struct keys {
    uint8_t public[SNTRUP761_PUBLIC_BYTES], secret[SNTRUP761_SECRET_BYTES];
    uint8_t ciphertext[SNTRUP761_CIPHERTEXT_BYTES], shared[SNTRUP761_SHARED_BYTES];
};

static void make_keys(uint64_t seed, struct keys *k)
{
    struct random rnd = { fill_lcg, &seed };
    assert_int_equal(sntrup761_keygen(&rnd, k->public, k->secret), 0);
    assert_int_equal(sntrup761_encaps(&rnd, k->public, k->ciphertext, k->shared), 0);
}

static void assert_hex(const void *p, const char *hex)
{
    uint8_t want[32];
    from_hex(hex, want, sizeof want);
    assert_memory_equal(p, want, sizeof want);
}

static void assert_sha256(const void *p, size_t len, const char *hex)
{
    uint8_t digest[32];
    assert_int_equal(digest_once(DIGEST_SHA256, view_of(p, len), digest), 0);
    assert_hex(digest, hex);
}

static void test_known_answers(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct keys k;
        uint8_t shared[32];
        make_keys(v->seed, &k);
        assert_sha256(k.public, sizeof k.public, v->public);
        assert_sha256(k.secret, sizeof k.secret, v->secret);
        assert_sha256(k.ciphertext, sizeof k.ciphertext, v->ciphertext);
        assert_hex(k.shared, v->shared);
        assert_int_equal(sntrup761_decaps(k.secret, k.ciphertext, shared), 0);
        assert_hex(shared, v->shared);
        k.ciphertext[100] ^= 1;
        assert_int_equal(sntrup761_decaps(k.secret, k.ciphertext, shared), 0);
        assert_hex(shared, v->rejected);
    }
}

/* Every byte of a ciphertext counts, those of the confirmation too. */
static void test_each_byte_rejected(void **state UNUSED)
{
    struct keys k;
    uint8_t shared[32];
    make_keys(5, &k);
    for (size_t i = 0; i < sizeof k.ciphertext; i += 17) {
        k.ciphertext[i] ^= 0x10;
        assert_int_equal(sntrup761_decaps(k.secret, k.ciphertext, shared), 0);
        assert_memory_not_equal(shared, k.shared, sizeof shared);
        k.ciphertext[i] ^= 0x10;
    }
}

static void test_many_keys_agree(void **state UNUSED)
{
    for (uint64_t seed = 100; seed < 120; seed++) {
        struct keys k;
        uint8_t shared[32];
        make_keys(seed, &k);
        assert_int_equal(sntrup761_decaps(k.secret, k.ciphertext, shared), 0);
        assert_memory_equal(shared, k.shared, sizeof shared);
    }
}

/* Any bytes are a public key and a ciphertext; the greatest show that decoding keeps its ranges. */
static void test_extreme_values(void **state UNUSED)
{
    struct keys k;
    uint8_t byte = 0xff, shared[32];
    struct random rnd = { fill_same, &byte };
    make_keys(7, &k);
    memset(k.public, 0xff, sizeof k.public);
    assert_int_equal(sntrup761_encaps(&rnd, k.public, k.ciphertext, k.shared), 0);
    memset(k.ciphertext, 0xff, sizeof k.ciphertext);
    assert_int_equal(sntrup761_decaps(k.secret, k.ciphertext, shared), 0);
}

/* A source that is stuck where g has no inverse ends the search. */
static void test_bad_random(void **state UNUSED)
{
    struct keys k;
    struct random broken = { fill_fails, NULL };
    assert_int_equal(sntrup761_keygen(&broken, k.public, k.secret), ERR_LIMIT);
    uint8_t byte = 0x20; /* every coefficient of g is 0 */
    struct random stuck = { fill_same, &byte };
    assert_int_equal(sntrup761_keygen(&stuck, k.public, k.secret), ERR_CRYPTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),  cmocka_unit_test(test_each_byte_rejected), cmocka_unit_test(test_many_keys_agree),
        cmocka_unit_test(test_extreme_values), cmocka_unit_test(test_bad_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
