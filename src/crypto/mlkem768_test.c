#include "crypto/mlkem768.h"
#include "crypto/digest.h"
#include "crypto/test_hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Made with an independent implementation of FIPS 203. Keys and ciphertexts as their SHA-256. */
static const struct vector {
    const char *coins, *message;
    const char *public, *secret, *ciphertext, *shared;
    size_t flip_byte; /* this bit of the ciphertext, flipped, gives `rejected` */
    uint8_t flip_bit;
    const char *rejected;
} vectors[] = {
    { "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
      "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
      "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7",
      "0b7934c83125c788995e2ba6bd761e33046b3e40571be53e023309a29f398cc9",
      "dac268bde6a8dd238e9887117d6b664e7a7a9350ad6b7c08a948e504809572a5",
      "45605f769fdefca64e76ecc79e68d206080ca73dafa7dee78337fc3c74ec0751",
      "bf290b679c23d05d40a6a5714647425c88a02e656f34a3124158c416c7c99aa0", 0, 0,
      "6ec828e9d0695beff5a8c3821173c3e1a7e068f7e5bcbe762cd5723cfbbae05e" },
    { "6e8f538163cd14c4bc4ec2babef49339b251119a7718b665bdae7ca58acf89f4"
      "0187226c2156d38ff81c46bda549db98b2251d53b5ba7b0c1773998e3861d58e",
      "b308172c78223be7321cd7dd1ba64b147082e72b87cc78b0ad7943b13b5e0674",
      "9a6981fe1cf02bb90ee4b15ba1a6866e5ac8c9c977744c9201a05a1596646d09",
      "121083b3d1b934a90b15c34d66557b8f58e3f96d68f90f8e910b732f7d0027b0",
      "588d67fbc6d42be1c4761415f5ab15a645f790fe9007cbb695c7d59d668cb52d",
      "afb3e7965663d33d654504a4de9610127817938e938fe7b0e6185316c8bd9ea5", 271, 1,
      "3a72890f1933afc5976f0c5fd19e56a902a26c0e66dd39cae9a7fe1969f4b06b" },
    { "32b83d7555e02c3c9bd87fc69dc1378e43259a8baf4f065bd99d94e8867c6e60"
      "c1eebc14e5747abdf46cc2a1405b8e8b47a0e8011363cb3596de25046e311181",
      "ccfb7d1ba5b7d366b3d12c50d6da7a4f45afab07f2536db22d1bc0a169289254",
      "7a6e3ed068867b8fbdaab1726ee18845fc0314c75911412533f2ff3b1a4adc04",
      "bf38bdbcf3e6f312b08a8f0e916225f29282e3f283fed544568356c8f2b2e05d",
      "28970340be138e35224f5fd0fccfdad342686f589eacf17bceeee3d3a3133faf",
      "02996ef6f282a246689e84c0cf4c0cb4b6ae34ed788065522299aded19fa145a", 542, 2,
      "be73aee311f4cf0f7225c010c934241843a6ae006bb306a44fa32ba52baf658a" },
    { "7488a1e7d981ab4bcbc940078f09099398e4a11ae79e8f4fbd36f73120c66720"
      "2e4bfa364ec116bb97b0e491c3d58b8c4961456a826875233817706352038958",
      "df745a6f60bc35a0445712c6c6e35a28182ef968598bfe7979adf4a0b1e79d88",
      "2fb89fef2e520224b60bc36cf359281bb8dac6b30012da8d433a3786cff96a24",
      "4d9085908dd0f156e3b5c27e3a8a697fd4741b0bf7acf6ce910f810feba5f5f2",
      "4c3d44c053568b8e6162697d2df0a93dc652a9c72907f3838f1a3112e68d20c7",
      "97abdca0cb2029063fa17e82a26d61b23a599d56394702f1705bbac190aa0dba", 813, 3,
      "f2d8fae8c287db425947869e9a4f7524384b54676eb26d0a9f265aed9ef674c2" },
};

struct keys {
    uint8_t public[MLKEM768_PUBLIC_BYTES], secret[MLKEM768_SECRET_BYTES];
    uint8_t ciphertext[MLKEM768_CIPHERTEXT_BYTES], shared[MLKEM768_SHARED_BYTES];
};

static void make_keys(const struct vector *v, struct keys *k)
{
    uint8_t coins[64], message[32];
    from_hex(v->coins, coins, sizeof coins);
    from_hex(v->message, message, sizeof message);
    assert_int_equal(mlkem768_keygen(coins, k->public, k->secret), 0);
    assert_int_equal(mlkem768_encaps(message, k->public, k->ciphertext, k->shared), 0);
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
        make_keys(v, &k);
        assert_sha256(k.public, sizeof k.public, v->public);
        assert_sha256(k.secret, sizeof k.secret, v->secret);
        assert_sha256(k.ciphertext, sizeof k.ciphertext, v->ciphertext);
        assert_hex(k.shared, v->shared);
        assert_int_equal(mlkem768_decaps(k.secret, k.ciphertext, shared), 0);
        assert_hex(shared, v->shared);
    }
}

static void test_implicit_rejection(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct keys k;
        uint8_t shared[32];
        make_keys(v, &k);
        k.ciphertext[v->flip_byte] ^= (uint8_t)(1u << v->flip_bit);
        assert_int_equal(mlkem768_decaps(k.secret, k.ciphertext, shared), 0);
        assert_hex(shared, v->rejected);
    }
}

/* Every byte of a ciphertext counts. */
static void test_each_byte_rejected(void **state UNUSED)
{
    struct keys k;
    uint8_t shared[32];
    make_keys(&vectors[0], &k);
    for (size_t i = 0; i < sizeof k.ciphertext; i += 17) {
        k.ciphertext[i] ^= 0x80;
        assert_int_equal(mlkem768_decaps(k.secret, k.ciphertext, shared), 0);
        assert_memory_not_equal(shared, k.shared, sizeof shared);
        k.ciphertext[i] ^= 0x80;
    }
}

/* FIPS 203 7.2: a coefficient of q is refused wherever it stands, q - 1 is not. */
static void test_modulus_check(void **state UNUSED)
{
    static const size_t places[] = { 0, 3, 384, 1149 };
    static const uint8_t message[32];
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct keys k;
        make_keys(&vectors[0], &k);
        uint8_t *two = k.public + places[i];
        two[0] = 0x00; /* 0xd00, q - 1 */
        two[1] = 0x0d;
        two[2] = 0xd0; /* and 0xd00 */
        assert_int_equal(mlkem768_encaps(message, k.public, k.ciphertext, k.shared), 0);
        two[0] = 0x01;
        assert_int_equal(mlkem768_encaps(message, k.public, k.ciphertext, k.shared), ERR_KEX_VALUE);
        two[0] = 0x00;
        two[1] = 0x1d;
        assert_int_equal(mlkem768_encaps(message, k.public, k.ciphertext, k.shared), ERR_KEX_VALUE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_implicit_rejection),
        cmocka_unit_test(test_each_byte_rejected),
        cmocka_unit_test(test_modulus_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
