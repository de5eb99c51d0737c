/* Keys of security keys: made, written to files and read back, and signatures put together. */
#include "base/wr.h"
#include "key/sk_key.h"
#include "key/test_util.h"

static struct view public_bytes(const struct key *k)
{
    struct pkey_public_parts parts;
    pkey_public(key_pkey(k), &parts);
    return parts.a;
}

static struct key *make(uint32_t algorithm, const char *line, uint8_t flags)
{
    CLEANUP(key_unrefp) struct key *plain = test_public(line);
    struct key *k = NULL;
    assert_ok(sk_key_make(algorithm, public_bytes(plain), VIEW_LIT("ssh:test"), flags, VIEW_LIT("handle\0of it"), &k));
    return k;
}

static void check_parts(const struct key *k, uint32_t algorithm, uint8_t flags)
{
    struct sk_key_parts p;
    assert_ok(sk_key_parts(k, &p));
    assert_int_equal(p.algorithm, algorithm);
    assert_int_equal(p.flags, flags);
    assert_view(p.application, "ssh:test");
    assert_true(view_eq(p.handle, VIEW_LIT("handle\0of it")));
}

static void round_trip(UNUSED void **state)
{
    for (uint32_t algorithm = SK_ECDSA; algorithm <= SK_ED25519; algorithm++)
        for (int encrypted = 0; encrypted < 2; encrypted++) {
            CLEANUP(key_unrefp)
            struct key *again = NULL, *k = make(algorithm, algorithm == SK_ED25519 ? test_ed25519_public : test_ecdsa_public, 0x21);
            CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
            uint8_t counter = 1;
            const struct random random = { test_random_fill, &counter };
            struct private_file_options o = { .passphrase = view_str(encrypted ? "secret" : ""), .rounds = 1, .random = &random };
            assert_ok(private_file_format(k, &o, &file));
            assert_ok(private_file_parse(buf_view(&file), view_str(encrypted ? "secret" : ""), &again));
            assert_true(key_equal_public(k, again));
            check_parts(again, algorithm, 0x21);
            assert_ok(sk_key_set_flags(again, 0x05));
            check_parts(again, algorithm, 0x05);
            CLEANUP(buf_done) struct buf sig = BUF_INIT(1024);
            assert_int_equal(key_sign(k, VIEW_EMPTY, VIEW_LIT("x"), &sig), ERR_UNSUPPORTED);
        }
}

/* PROTOCOL.u2f's message, signed as a token would. */
static void signature(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *token = test_private(test_ed25519_private), *k = make(SK_ED25519, test_ed25519_public, 1);
    CLEANUP(buf_done) struct buf message = BUF_INIT(256), raw = BUF_INIT(64), blob = BUF_INIT(256);
    uint8_t digest[32], flags;
    uint32_t counter;
    struct wr w = wr_of(&message);
    assert_ok(digest_once(DIGEST_SHA256, VIEW_LIT("ssh:test"), digest));
    wr_bytes(&w, view_of(digest, 32));
    wr_u8(&w, 1);
    wr_u32(&w, 7);
    assert_ok(digest_once(DIGEST_SHA256, VIEW_LIT("data"), digest));
    wr_bytes(&w, view_of(digest, 32));
    assert_ok(wr_end(&w));
    assert_ok(pkey_sign(key_pkey(token), DIGEST_SHA512, buf_view(&message), &raw));
    assert_ok(sk_signature_put(k, 1, 7, buf_view(&raw), VIEW_EMPTY, &blob));
    assert_ok(key_verify(k, VIEW_EMPTY, VIEW_LIT("data"), buf_view(&blob)));
    assert_int_equal(key_verify(k, VIEW_EMPTY, VIEW_LIT("datA"), buf_view(&blob)), ERR_SIGNATURE);
    assert_ok(key_signature_sk_details(buf_view(&blob), &flags, &counter));
    assert_true(flags == 1 && counter == 7);
}

static void what_is_none(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *plain = test_private(test_ed25519_private), *k = NULL;
    struct sk_key_parts p;
    assert_int_equal(sk_key_parts(plain, &p), ERR_KEY_INVALID);
    assert_int_equal(sk_key_make(2, public_bytes(plain), VIEW_LIT("ssh:"), 0, VIEW_LIT("h"), &k), ERR_KEY_TYPE);
    assert_int_equal(sk_key_make(SK_ECDSA, public_bytes(plain), VIEW_LIT("ssh:"), 0, VIEW_LIT("h"), &k), ERR_KEY_INVALID);
    assert_int_equal(sk_key_make(SK_ED25519, public_bytes(plain), VIEW_LIT("ssh:"), 0, VIEW_EMPTY, &k), ERR_KEY_INVALID);
    static uint8_t long_handle[2 * SK_HANDLE_BYTES_MAX];
    assert_int_equal(
        sk_key_make(SK_ED25519, public_bytes(plain), VIEW_LIT("ssh:"), 0, view_of(long_handle, sizeof long_handle), &k), ERR_LIMIT);
    assert_null(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(round_trip), cmocka_unit_test(signature), cmocka_unit_test(what_is_none) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
