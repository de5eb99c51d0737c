/* Packet MACs: RFC 2202, RFC 4231 and RFC 4418 vectors in the shape that packets have, every table row against libcrypto's HMAC. */
#include "crypto/crypto.h"
#include "crypto/libcrypto_int.h"
#include "crypto/mac.h"
#include "crypto/test_hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void compute(const char *name, struct view key, uint32_t sequence, struct view data, uint8_t *ret_tag)
{
    const struct mac_desc *d = mac_find(view_str(name));
    CLEANUP(mac_freep) struct mac *m = NULL;
    assert_non_null(d);
    assert_int_equal(mac_new(d, key, &m), 0);
    assert_int_equal(mac_compute(m, sequence, data, ret_tag), 0);
}

/* The message of a published vector begins with what is the sequence number here: "Hi There", 50 times 0xdd, 50 times 0xcd. For
 * SHA-2 RFC 4231 has shorter keys than SSH: with zeros up to SSH's length they are the same keys to HMAC. */
static void test_hmac_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *name, *key, *tag;
        char byte; /* 50 times it; 0: "Hi There" */
    } vectors[] = {
        { "hmac-md5", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "9294727a3638bb1c13f48ef8158bfc9d", 0 },
        { "hmac-md5", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "56be34521d144c88dbb8c733f0e8b3f6", (char)0xdd },
        { "hmac-md5-96", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "56be34521d144c88dbb8c733", (char)0xdd },
        { "hmac-sha1", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "b617318655057264e28bc0b6fb378c8ef146be00", 0 },
        { "hmac-sha1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "125d7342b9ac11cd91a39af48aa17b4f63f175d3", (char)0xdd },
        { "hmac-sha1-96", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "125d7342b9ac11cd91a39af4", (char)0xdd },
        { "hmac-sha2-256", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", 0 },
        { "hmac-sha2-256", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", (char)0xdd },
        { "hmac-sha2-512", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
          "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c20"
          "3a126854",
          0 },
        { "hmac-sha2-512", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859"
          "e13292fb",
          (char)0xdd },
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        uint8_t key[64] = { 0 }, want[64], tag[MAC_MAX_BYTES], message[50];
        const struct mac_desc *d = mac_find(view_str(vectors[i].name));
        struct view data = vectors[i].byte ? view_of(message, sizeof message) : VIEW_LIT("Hi There");
        memset(message, vectors[i].byte, sizeof message);
        from_hex(vectors[i].key, key, sizeof key);
        struct view w = from_hex(vectors[i].tag, want, sizeof want);
        assert_int_equal(w.len, d->tag_bytes);
        uint32_t sequence = (uint32_t)data.p[0] << 24 | (uint32_t)data.p[1] << 16 | (uint32_t)data.p[2] << 8 | data.p[3];
        compute(vectors[i].name, view_of(key, d->key_bytes), sequence, view_sub(data, 4, data.len), tag);
        assert_memory_equal(tag, want, w.len);
    }
}

/* RFC 4418 3.3: the pad that goes over the hash. There the vectors have an ASCII nonce, here it is a number, so the published tag
 * is compared after its pad is exchanged for ours. */
static void umac_pad(struct view key, const uint8_t *nonce, size_t tag_bytes, uint8_t *ret_pad)
{
    uint8_t block[16] = { [15] = 1 }, pad_key[16], out[16];
    size_t per_block = sizeof block / tag_bytes;
    int n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key.p, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, pad_key, &n, block, sizeof block), 1);
    memset(block, 0, sizeof block);
    memcpy(block, nonce, 8);
    size_t part = nonce[7] % per_block;
    block[7] = (uint8_t)(nonce[7] - part);
    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, pad_key, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, out, &n, block, sizeof block), 1);
    memcpy(ret_pad, out + part * tag_bytes, tag_bytes);
    EVP_CIPHER_CTX_free(ctx);
}

static struct view repeated(const char *text, size_t times, uint8_t *area)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < times; i++) memcpy(area + i * n, text, n);
    return view_of(area, times * n);
}

/* RFC 4418 appendix, with the tags of 128 bits as its errata have them: key "abcdefghijklmnop", nonce "bcdefghi". */
static void test_umac_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t times;
        const char *tags[2];
    } vectors[] = {
        { "", 0, { "6e155fad26900be1", "32fedb100c79ad58f07ff7643cc60465" } },
        { "a", 3, { "44b5cb542f220104", "185e4fe905cba7bd85e4c2dc3d117d8d" } },
        { "a", 1 << 10, { "26bf2f5d60118bd9", "7a54abe04af82d60fb298c3cbd195bcb" } },
        { "a", 1 << 15, { "27f8ef643b0d118d", "7b136bd911e4b734286ef2be501f2c3c" } },
        { "a", 1 << 20, { "a4477e87e9f55853", "f8acfa3ac31cfeea047f7b115b03bef5" } },
        { "abc", 1, { "d4d7b9f6bd4fbfcf", "883c3d4b97a61976ffcf232308cba5a5" } },
        { "abc", 500, { "d4cf26ddefd5c01a", "8824a260c53c66a36c9260a62cb83aa1" } },
    };
    static const char *const names[] = { "umac-64@openssh.com", "umac-128@openssh.com" };
    static const uint32_t sequences[] = { 0, 7, 0xfffffffe };
    static uint8_t area[1 << 20];
    struct view key = VIEW_LIT("abcdefghijklmnop");
    for (size_t i = 0; i < ARRAY_LEN(vectors) * ARRAY_LEN(names) * ARRAY_LEN(sequences); i++) {
        size_t v = i % ARRAY_LEN(vectors), which = i / ARRAY_LEN(vectors) % ARRAY_LEN(names);
        uint32_t sequence = sequences[i / ARRAY_LEN(vectors) / ARRAY_LEN(names)];
        size_t tag_bytes = mac_find(view_str(names[which]))->tag_bytes;
        uint8_t tag[16], want[16], their_pad[16], our_pad[16], nonce[8] = { 0 };
        for (int k = 0; k < 4; k++) nonce[7 - k] = (uint8_t)(sequence >> 8 * k);
        compute(names[which], key, sequence, repeated(vectors[v].text, vectors[v].times, area), tag);
        from_hex(vectors[v].tags[which], want, sizeof want);
        umac_pad(key, (const uint8_t *)"bcdefghi", tag_bytes, their_pad);
        umac_pad(key, nonce, tag_bytes, our_pad);
        for (size_t k = 0; k < tag_bytes; k++) assert_int_equal(tag[k], want[k] ^ their_pad[k] ^ our_pad[k]);
    }
}

/* Every row of HMAC against libcrypto's own, several packets under one key. */
static void test_rows_against_libcrypto(void **state)
{
    (void)state;
    static const struct {
        const char *part, *digest;
    } digests[] = { { "hmac-sha2-256", "SHA256" }, { "hmac-sha2-512", "SHA512" }, { "hmac-sha1", "SHA1" }, { "hmac-md5", "MD5" } };
    uint8_t key[64], message[4 + 300], want[64], tag[64];
    size_t n, n_hmac = 0;
    fill_pattern(key, sizeof key, 3);
    for (const struct mac_desc *d = mac_table; d->name; d++)
        for (size_t k = 0; k < ARRAY_LEN(digests); k++) {
            if (!view_has_prefix(view_str(d->name), digests[k].part)) continue;
            CLEANUP(mac_freep) struct mac *m = NULL;
            assert_int_equal(mac_new(d, view_of(key, d->key_bytes), &m), 0);
            n_hmac++;
            for (size_t len = 0; len <= 300; len += 60) {
                fill_pattern(message, 4 + len, (uint32_t)len);
                uint32_t sequence =
                    (uint32_t)message[0] << 24 | (uint32_t)message[1] << 16 | (uint32_t)message[2] << 8 | message[3];
                assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, digests[k].digest, NULL, key, d->key_bytes, message, 4 + len, want,
                                          sizeof want, &n));
                assert_int_equal(mac_compute(m, sequence, view_of(message + 4, len), tag), 0);
                assert_memory_equal(tag, want, d->tag_bytes);
            }
        }
    assert_int_equal(n_hmac, 12);
}

/* One object gives for each sequence number what a fresh one gives: nothing is left over from packet to packet. */
static void test_umac_keeps_nothing(void **state)
{
    (void)state;
    static const char *const names[] = { "umac-64@openssh.com", "umac-128@openssh.com", "umac-64-etm@openssh.com",
                                         "umac-128-etm@openssh.com" };
    static const uint32_t sequences[] = { 0, 1, 2, 3, 2, 0xffffffff, 0, 0x80000001 };
    uint8_t message[4096], previous[MAC_MAX_BYTES] = { 0 };
    struct view key = VIEW_LIT("abcdefghijklmnop");
    fill_pattern(message, sizeof message, 4);
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        const struct mac_desc *d = mac_find(view_str(names[k]));
        CLEANUP(mac_freep) struct mac *m = NULL;
        assert_int_equal(mac_new(d, key, &m), 0);
        for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
            uint8_t tag[MAC_MAX_BYTES], fresh[MAC_MAX_BYTES];
            struct view data = view_of(message, 100 + 500 * i);
            assert_int_equal(mac_compute(m, sequences[i], data, tag), 0);
            compute(names[k], key, sequences[i], data, fresh);
            assert_memory_equal(tag, fresh, d->tag_bytes);
            assert_memory_not_equal(tag, previous, d->tag_bytes);
            memcpy(previous, tag, sizeof previous);
        }
    }
}

static void test_table(void **state)
{
    (void)state;
    static const char *const defaults[] = {
        "umac-64-etm@openssh.com",
        "umac-128-etm@openssh.com",
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha1-etm@openssh.com",
        "umac-64@openssh.com",
        "umac-128@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
        "hmac-sha1",
    };
    size_t n = 0;
    struct mac *m = NULL;
    for (const struct mac_desc *d = mac_table; d->name; d++) {
        assert_ptr_equal(mac_find(view_str(d->name)), d);
        assert_int_equal(d->etm, strstr(d->name, "-etm@") != NULL);
        assert_true(d->tag_bytes <= MAC_MAX_BYTES);
        assert_int_equal(mac_new(d, view_of("0123456789", 10), &m), ERR_BUG);
        if (!d->is_default) continue;
        assert_true(n < ARRAY_LEN(defaults));
        assert_string_equal(d->name, defaults[n++]);
    }
    assert_int_equal(n, ARRAY_LEN(defaults));
    assert_null(mac_find(VIEW_LIT("hmac-sha2-25")));
    mac_free(NULL);
}

int main(void)
{
    crypto_start(); /* not alone: libcrypto's own HMAC and AES are what is compared with */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac_vectors),
        cmocka_unit_test(test_umac_vectors),
        cmocka_unit_test(test_rows_against_libcrypto),
        cmocka_unit_test(test_umac_keeps_nothing),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
