/* Packet ciphers: published vectors, ChaCha20-Poly1305 and the GCM packet against compositions of their own, damage, export. */
#include "crypto/cipher.h"
#include "crypto/crypto.h"
#include "crypto/libcrypto_int.h"
#include "crypto/test_hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    KEY_MAX = 64,
    IV_MAX = 16,
    TAG_MAX = 16,
    LENGTH_BYTES = 4,
    PACKET_MAX = 1024
};

static struct cipher *make(const struct cipher_desc *desc, bool for_sealing)
{
    uint8_t key[KEY_MAX], iv[IV_MAX];
    struct cipher *c = NULL;
    fill_pattern(key, sizeof key, 1);
    fill_pattern(iv, sizeof iv, 2);
    assert_int_equal(cipher_new(desc, view_of(key, desc->key_bytes), view_of(iv, desc->iv_bytes), for_sealing, &c), 0);
    return c;
}

/* A packet with its length field, in clear. */
static void make_packet(uint8_t *packet, size_t len, uint32_t seed)
{
    packet[0] = packet[1] = 0;
    packet[2] = (uint8_t)(len >> 8);
    packet[3] = (uint8_t)len;
    fill_pattern(packet + LENGTH_BYTES, len, seed);
}

#define SP800_38A_PLAIN                                                                                                            \
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c" \
    "3710"
#define KEY_128 "2b7e151628aed2a6abf7158809cf4f3c"
#define KEY_192 "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
#define KEY_256 "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
#define CTR_IV "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
#define CBC_IV "000102030405060708090a0b0c0d0e0f"

/* NIST SP 800-38A F.2 and F.5; for GCM the test cases 3 and 15 of McGrew and Viega's submission. */
static const struct {
    const char *name, *key, *iv, *plain, *sealed;
} vectors[] = {
    { "aes128-ctr", KEY_128, CTR_IV, SP800_38A_PLAIN,
      "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f300"
      "9cee" },
    { "aes192-ctr", KEY_192, CTR_IV, SP800_38A_PLAIN,
      "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e941e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6"
      "b050" },
    { "aes256-ctr", KEY_256, CTR_IV, SP800_38A_PLAIN,
      "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd084579"
      "41a6" },
    { "aes128-cbc", KEY_128, CBC_IV, SP800_38A_PLAIN,
      "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586"
      "e1a7" },
    { "aes192-cbc", KEY_192, CBC_IV, SP800_38A_PLAIN,
      "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f56"
      "15cd" },
    { "aes256-cbc", KEY_256, CBC_IV, SP800_38A_PLAIN,
      "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a"
      "9d1b" },
    { "aes128-gcm@openssh.com", "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aaf"
      "d255",
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f"
      "5985"
      "4d5c2af327cd64a62cf35abd2ba6fab4" },
    { "aes256-gcm@openssh.com", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aaf"
      "d255",
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f6628980"
      "15ad"
      "b094dac5d93471bdec1a502270e3cc6c" },
};

static void test_published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        uint8_t key[KEY_MAX], iv[IV_MAX], plain[PACKET_MAX], sealed[PACKET_MAX], work[PACKET_MAX];
        const struct cipher_desc *d = cipher_find(view_str(vectors[i].name));
        assert_non_null(d);
        struct view k = from_hex(vectors[i].key, key, sizeof key), v = from_hex(vectors[i].iv, iv, sizeof iv);
        struct view p = from_hex(vectors[i].plain, plain, sizeof plain), s = from_hex(vectors[i].sealed, sealed, sizeof sealed);
        assert_int_equal(s.len, p.len + d->tag_bytes);

        memcpy(work, p.p, p.len);
        assert_int_equal(cipher_whole(d, k, v, true, work, p.len), 0);
        assert_memory_equal(work, s.p, s.len);
        assert_int_equal(cipher_whole(d, k, v, false, work, p.len), 0);
        assert_memory_equal(work, p.p, p.len);
        if (d->kind != CIPHER_AEAD) continue;
        memcpy(work, s.p, s.len);
        work[s.len - 1] ^= 1;
        assert_int_equal(cipher_whole(d, k, v, false, work, p.len), ERR_MAC);
    }
}

static void chacha20(const uint8_t *key, uint32_t counter, uint32_t sequence, uint8_t *bytes, size_t len)
{
    int n;
    uint8_t iv[16] = { (uint8_t)counter };
    for (int i = 0; i < 4; i++) iv[15 - i] = (uint8_t)(sequence >> 8 * i);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_chacha20(), NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, bytes, &n, bytes, (int)len), 1);
    EVP_CIPHER_CTX_free(ctx);
}

/* The description in PROTOCOL.chacha20poly1305, step by step. */
static void test_chachapoly_composition(void **state)
{
    (void)state;
    static const uint32_t sequences[] = { 0, 1, 0x01020304, 0xffffffff };
    static const size_t lens[] = { 8, 16, 56, 64, 72, 504 };
    const struct cipher_desc *d = cipher_find(VIEW_LIT("chacha20-poly1305@openssh.com"));
    CLEANUP(cipher_freep) struct cipher *sealer = make(d, true), *opener = make(d, false);
    uint8_t key[KEY_MAX];
    fill_pattern(key, sizeof key, 1);

    for (size_t i = 0; i < ARRAY_LEN(sequences) * ARRAY_LEN(lens); i++) {
        uint32_t sequence = sequences[i / ARRAY_LEN(lens)], said = 0;
        size_t len = lens[i % ARRAY_LEN(lens)], tag_len;
        uint8_t packet[PACKET_MAX], want[PACKET_MAX], poly_key[32] = { 0 };
        make_packet(packet, len, (uint32_t)i);
        memcpy(want, packet, LENGTH_BYTES + len);
        chacha20(key + 32, 0, sequence, want, LENGTH_BYTES);
        chacha20(key, 1, sequence, want + LENGTH_BYTES, len);
        chacha20(key, 0, sequence, poly_key, sizeof poly_key);
        assert_non_null(EVP_Q_mac(NULL, "POLY1305", NULL, NULL, NULL, poly_key, sizeof poly_key, want, LENGTH_BYTES + len,
                                  want + LENGTH_BYTES + len, TAG_MAX, &tag_len));

        assert_int_equal(cipher_aead_seal(sealer, sequence, packet, len), 0);
        assert_memory_equal(packet, want, LENGTH_BYTES + len + TAG_MAX);
        assert_int_equal(cipher_aead_length(opener, sequence, packet, &said), 0);
        assert_int_equal(said, len);
        assert_memory_equal(packet, want, LENGTH_BYTES + len + TAG_MAX);
        assert_int_equal(cipher_aead_open(opener, sequence, packet, len), 0);
        assert_memory_equal(packet, want, LENGTH_BYTES);
        make_packet(want, len, (uint32_t)i);
        assert_memory_equal(packet + LENGTH_BYTES, want + LENGTH_BYTES, len);
    }
}

/* In key files: sequence 0, nothing under the tag but the ciphertext. */
static void test_chachapoly_whole(void **state)
{
    (void)state;
    enum {
        LEN = 200
    };
    const struct cipher_desc *d = cipher_find(VIEW_LIT("chacha20-poly1305@openssh.com"));
    uint8_t key[KEY_MAX], bytes[LEN + TAG_MAX], want[LEN + TAG_MAX], clear[LEN], poly_key[32] = { 0 };
    size_t tag_len;
    fill_pattern(key, sizeof key, 1);
    fill_pattern(clear, LEN, 2);
    memcpy(bytes, clear, LEN);
    memcpy(want, clear, LEN);
    chacha20(key, 1, 0, want, LEN);
    chacha20(key, 0, 0, poly_key, sizeof poly_key);
    assert_non_null(
        EVP_Q_mac(NULL, "POLY1305", NULL, NULL, NULL, poly_key, sizeof poly_key, want, LEN, want + LEN, TAG_MAX, &tag_len));
    assert_int_equal(cipher_whole(d, view_of(key, sizeof key), VIEW_EMPTY, true, bytes, LEN), 0);
    assert_memory_equal(bytes, want, sizeof want);
    bytes[0] ^= 1;
    assert_int_equal(cipher_whole(d, view_of(key, sizeof key), VIEW_EMPTY, false, bytes, LEN), ERR_MAC);
    bytes[0] ^= 1;
    assert_int_equal(cipher_whole(d, view_of(key, sizeof key), VIEW_EMPTY, false, bytes, LEN), 0);
    assert_memory_equal(bytes, clear, LEN);
}

/* PROTOCOL 1.6 and RFC 5647 7: the length is additional data, the last 8 bytes of the IV count the packets. */
static void test_gcm_composition(void **state)
{
    (void)state;
    static const uint8_t ivs[3][12] = { { 9, 9, 9, 9, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },
                                        { 9, 9, 9, 9, 0, 0, 0, 1, 0, 0, 0, 0 },
                                        { 9, 9, 9, 9, 0, 0, 0, 1, 0, 0, 0, 1 } };
    const struct cipher_desc *d = cipher_find(VIEW_LIT("aes256-gcm@openssh.com"));
    uint8_t key[32];
    fill_pattern(key, sizeof key, 7);
    CLEANUP(cipher_freep) struct cipher *sealer = NULL, *opener = NULL;
    assert_int_equal(cipher_new(d, view_of(key, 32), view_of(ivs[0], 12), true, &sealer), 0);
    assert_int_equal(cipher_new(d, view_of(key, 32), view_of(ivs[0], 12), false, &opener), 0);
    for (size_t i = 0; i < ARRAY_LEN(ivs); i++) {
        enum {
            LEN = 48
        };
        int n;
        uint8_t packet[LENGTH_BYTES + LEN + TAG_MAX], want[sizeof packet];
        make_packet(packet, LEN, (uint32_t)i);
        memcpy(want, packet, sizeof want);
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, ivs[i]), 1);
        assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, want, LENGTH_BYTES), 1);
        assert_int_equal(EVP_EncryptUpdate(ctx, want + LENGTH_BYTES, &n, want + LENGTH_BYTES, LEN), 1);
        assert_int_equal(EVP_EncryptFinal_ex(ctx, want, &n), 1);
        assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_MAX, want + LENGTH_BYTES + LEN), 1);
        EVP_CIPHER_CTX_free(ctx);

        uint32_t said = 0;
        assert_int_equal(cipher_aead_seal(sealer, 12345, packet, LEN), 0);
        assert_memory_equal(packet, want, sizeof want);
        assert_int_equal(cipher_aead_length(opener, 0, packet, &said), 0);
        assert_int_equal(said, LEN);
        assert_int_equal(cipher_aead_open(opener, 0, packet, LEN), 0);
        make_packet(want, LEN, (uint32_t)i);
        assert_memory_equal(packet, want, LENGTH_BYTES + LEN);
    }
}

/* Any one bit, in length, payload or tag; and the wrong sequence number for the cipher that has it as nonce. */
static void test_aead_damage(void **state)
{
    (void)state;
    enum {
        LEN = 32,
        WHOLE = LENGTH_BYTES + LEN + TAG_MAX
    };
    for (const struct cipher_desc *d = cipher_table; d->name; d++) {
        if (d->kind != CIPHER_AEAD) continue;
        uint8_t good[WHOLE], bad[WHOLE];
        CLEANUP(cipher_freep) struct cipher *sealer = make(d, true);
        make_packet(good, LEN, 5);
        assert_int_equal(cipher_aead_seal(sealer, 3, good, LEN), 0);
        for (size_t bit = 0; bit < 8 * WHOLE; bit++) {
            CLEANUP(cipher_freep) struct cipher *opener = make(d, false);
            memcpy(bad, good, WHOLE);
            bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(cipher_aead_open(opener, 3, bad, LEN), ERR_MAC);
            assert_int_equal(bad[0] ^ good[0], bit < 8 ? 1 << bit : 0);
        }
        CLEANUP(cipher_freep) struct cipher *opener = make(d, false);
        memcpy(bad, good, WHOLE);
        assert_int_equal(cipher_aead_open(opener, 3, bad, LEN - 8), ERR_MAC); /* a tag that is ciphertext */
        if (d->iv_bytes == 0) assert_int_equal(cipher_aead_open(opener, 4, good, LEN), ERR_MAC);
    }
}

static int process(struct cipher *c, const struct cipher_desc *d, bool for_sealing, uint32_t sequence, uint8_t *packet, size_t len)
{
    if (d->kind != CIPHER_AEAD) return cipher_stream(c, packet + LENGTH_BYTES, len);
    return for_sealing ? cipher_aead_seal(c, sequence, packet, len) : cipher_aead_open(c, sequence, packet, len);
}

static void hand_over(struct cipher **c, const struct cipher_desc *d, bool for_sealing)
{
    CLEANUP(secret_done) struct secret key = SECRET_INIT, iv = SECRET_INIT;
    struct cipher *next = NULL;
    assert_int_equal(cipher_state(*c, &key, &iv), 0);
    assert_int_equal(key.len, d->key_bytes);
    assert_int_equal(iv.len, d->iv_bytes);
    assert_int_equal(cipher_new(d, secret_view(&key), secret_view(&iv), for_sealing, &next), 0);
    cipher_free(*c);
    *c = next;
}

/* For every cipher, both directions: an export at any packet changes no later byte. */
static void test_export_changes_nothing(void **state)
{
    (void)state;
    enum {
        N_PACKETS = 5
    };
    static const size_t lens[N_PACKETS] = { 16, 48, 512, 16, 64 };
    for (const struct cipher_desc *d = cipher_table; d->name; d++)
        for (size_t split = 0; split <= N_PACKETS; split++) {
            CLEANUP(cipher_freep) struct cipher *sealer = make(d, true), *moving = make(d, true), *opener = make(d, false);
            for (size_t i = 0; i < N_PACKETS; i++) {
                uint8_t clear[PACKET_MAX] = { 0 }, a[PACKET_MAX], b[PACKET_MAX];
                if (i == split) {
                    hand_over(&moving, d, true);
                    hand_over(&opener, d, false);
                }
                make_packet(clear, lens[i], (uint32_t)i);
                memcpy(a, clear, sizeof a);
                memcpy(b, clear, sizeof b);
                assert_int_equal(process(sealer, d, true, (uint32_t)i, a, lens[i]), 0);
                assert_int_equal(process(moving, d, true, (uint32_t)i, b, lens[i]), 0);
                assert_memory_equal(a, b, sizeof a);
                if (d->kind != CIPHER_NONE) assert_memory_not_equal(a + LENGTH_BYTES, clear + LENGTH_BYTES, lens[i]);
                assert_int_equal(process(opener, d, false, (uint32_t)i, a, lens[i]), 0);
                assert_memory_equal(a + LENGTH_BYTES, clear + LENGTH_BYTES, lens[i]);
            }
        }
}

/* The order is what is offered: a change has to be meant. */
static void test_table(void **state)
{
    (void)state;
    static const char *const defaults[] = { "aes128-gcm@openssh.com",
                                            "aes256-gcm@openssh.com",
                                            "chacha20-poly1305@openssh.com",
                                            "aes128-ctr",
                                            "aes192-ctr",
                                            "aes256-ctr" };
    size_t n = 0;
    for (const struct cipher_desc *d = cipher_table; d->name; d++) {
        assert_ptr_equal(cipher_find(view_str(d->name)), d);
        if (!d->is_default) continue;
        assert_true(n < ARRAY_LEN(defaults));
        assert_string_equal(d->name, defaults[n++]);
    }
    assert_int_equal(n, ARRAY_LEN(defaults));
    assert_null(cipher_find(VIEW_LIT("aes128-ct")));
    assert_null(cipher_find(VIEW_LIT("aes128-ctrx")));
    assert_null(cipher_find(VIEW_EMPTY));
}

static void test_misuse(void **state)
{
    (void)state;
    uint8_t bytes[64] = { 0 };
    struct cipher *c = NULL;
    const struct cipher_desc *ctr = cipher_find(VIEW_LIT("aes128-ctr")), *gcm = cipher_find(VIEW_LIT("aes128-gcm@openssh.com"));
    assert_int_equal(cipher_new(ctr, view_of(bytes, 15), view_of(bytes, 16), true, &c), ERR_BUG);
    assert_int_equal(cipher_new(ctr, view_of(bytes, 16), view_of(bytes, 15), true, &c), ERR_BUG);
    assert_null(c);
    CLEANUP(cipher_freep) struct cipher *stream = make(ctr, true), *aead = make(gcm, true);
    uint32_t len;
    assert_int_equal(cipher_stream(stream, bytes, 15), ERR_BUG);
    assert_int_equal(cipher_aead_seal(stream, 0, bytes, 16), ERR_BUG);
    assert_int_equal(cipher_aead_length(stream, 0, bytes, &len), ERR_BUG);
    assert_int_equal(cipher_stream(aead, bytes, 16), ERR_BUG);
    assert_int_equal(cipher_aead_open(aead, 0, bytes, 16), ERR_BUG);
    cipher_free(NULL);
}

int main(void)
{
    crypto_start_alone();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_chachapoly_composition),
        cmocka_unit_test(test_chachapoly_whole),
        cmocka_unit_test(test_gcm_composition),
        cmocka_unit_test(test_aead_damage),
        cmocka_unit_test(test_export_changes_nothing),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
