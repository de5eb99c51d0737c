#include "key/test_util.h"

static void plain_files_are_read(UNUSED void **state)
{
    static const struct pair {
        const char *private, *public, *comment;
    } pairs[] = {
        { test_ed25519_private, test_ed25519_public, "ed25519@test" },
        { test_ecdsa_private, test_ecdsa_public, "ecdsa@test" },
        { test_ecdsa384_private, test_ecdsa384_public, "e384" },
        { test_ecdsa521_private, test_ecdsa521_public, "e521" },
        { test_rsa_private, test_rsa_public, "rsa@test" },
        { test_rsa_pem, test_rsa_public, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP(key_unrefp) struct key *k = NULL, *public = test_public(pairs[i].public), *clear = NULL;
        assert_ok(private_file_parse(view_str(pairs[i].private), VIEW_EMPTY, &k));
        assert_true(key_has_private(k));
        assert_true(key_equal_public(k, public));
        assert_string_equal(key_comment(k), pairs[i].comment);
        assert_ok(private_file_public(view_str(pairs[i].private), &clear));
        assert_true(key_equal_public(clear, public));
    }
}

static void encrypted_files_need_their_passphrase(UNUSED void **state)
{
    static const char *const files[] = { test_ed_enc, test_ed_gcm, test_ed_chacha, test_ed_cbc, test_ec_p8 };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(key_unrefp)
        struct key *k = NULL, *public = test_public(files[i] == test_ec_p8 ? test_ecdsa_public : test_ed25519_public);
        assert_int_equal(private_file_parse(view_str(files[i]), VIEW_EMPTY, &k), ERR_PASSPHRASE_NEEDED);
        assert_int_equal(private_file_parse(view_str(files[i]), view_str("Secret"), &k), ERR_PASSPHRASE);
        assert_int_equal(private_file_parse(view_str(files[i]), view_str(""), &k), ERR_PASSPHRASE);
        assert_null(k);
        assert_ok(private_file_parse(view_str(files[i]), view_str("secret"), &k));
        assert_true(key_equal_public(k, public));
        CLEANUP(key_unrefp) struct key *clear = NULL;
        int err = private_file_public(view_str(files[i]), &clear);
        assert_int_equal(err, files[i] == test_ec_p8 ? ERR_PASSPHRASE_NEEDED : 0);
        if (clear) assert_true(key_equal_public(clear, public));
    }
}

static void round_trip(const struct key *k, const char *cipher, enum private_file_form form, const char *passphrase)
{
    uint8_t counter = 1;
    const struct random random = { test_random_fill, &counter };
    struct private_file_options o = {
        .form = form, .passphrase = view_str(passphrase), .cipher = view_str(cipher), .rounds = 1, .random = &random
    };
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    CLEANUP(key_unrefp) struct key *again = NULL;
    assert_ok(private_file_format(k, &o, &file));
    if (*passphrase) assert_int_equal(private_file_parse(buf_view(&file), VIEW_EMPTY, &again), ERR_PASSPHRASE_NEEDED);
    assert_ok(private_file_parse(buf_view(&file), view_str(passphrase), &again));
    assert_true(key_has_private(again));
    assert_true(key_equal_public(again, k));
    if (form == PRIVATE_FILE_OPENSSH) assert_string_equal(key_comment(again), key_comment(k));
}

static void what_is_written_can_be_read(UNUSED void **state)
{
    static const char *const ciphers[] = { "",
                                           "aes128-ctr",
                                           "aes192-ctr",
                                           "aes256-ctr",
                                           "aes128-cbc",
                                           "aes256-cbc",
                                           "aes128-gcm@openssh.com",
                                           "aes256-gcm@openssh.com",
                                           "chacha20-poly1305@openssh.com" };
    static const char *const files[] = { test_ed25519_private, test_ecdsa521_private, test_rsa_private };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(key_unrefp) struct key *k = test_private(files[i]);
        for (size_t j = 0; j < ARRAY_LEN(ciphers); j++) round_trip(k, ciphers[j], PRIVATE_FILE_OPENSSH, "pass phrase");
        round_trip(k, "", PRIVATE_FILE_OPENSSH, "");
        round_trip(k, "", PRIVATE_FILE_PKCS8, "");
        round_trip(k, "", PRIVATE_FILE_PKCS8, "pass");
        if (i) round_trip(k, "", PRIVATE_FILE_PEM, "pass");
    }
}

static void unknown_ciphers_are_refused(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *k = test_private(test_ed25519_private);
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    struct private_file_options o = { .passphrase = view_str("x"), .cipher = view_str("rot13") };
    assert_int_equal(private_file_format(k, &o, &file), ERR_UNSUPPORTED);
    assert_false(private_file_cipher_known(view_str("rot13")));
    assert_false(private_file_cipher_known(view_str("none")));
    assert_true(private_file_cipher_known(view_str("aes256-ctr")));
}

/* Each bit of a plain file that is turned is noticed, or it is in the check number's pair, the comment, or nowhere. */
static void damaged_files_are_refused(UNUSED void **state)
{
    struct key *k = NULL;
    assert_int_equal(private_file_parse(view_str(""), VIEW_EMPTY, &k), ERR_FORMAT);
    assert_int_equal(private_file_parse(view_str("-----BEGIN OPENSSH PRIVATE KEY-----\n"), VIEW_EMPTY, &k), ERR_FORMAT);
    assert_int_equal(private_file_parse(view_str("nonsense"), VIEW_EMPTY, &k), ERR_FORMAT);
    size_t len = strlen(test_ed25519_private);
    for (size_t n = 0; n < len - 42; n += 7) {
        CLEANUP(buf_done) struct buf cut = BUF_INIT(8192);
        assert_ok(buf_put(&cut, test_ed25519_private, n));
        assert_ok(buf_put_str(&cut, "\n-----END OPENSSH PRIVATE KEY-----\n"));
        if (private_file_parse(buf_view(&cut), VIEW_EMPTY, &k) >= 0) fail_msg("cut at %zu of %zu", n, len);
    }
    assert_null(k);
}

static void halves_must_belong_together(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *k = NULL, *other = test_public(test_ca_public);
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(8192), file = BUF_INIT(8192);
    /* the clear half of the file becomes another key */
    const char *body = strchr(test_ed25519_private, '\n') + 1, *end = strstr(body, "-----END");
    for (const char *c = body; c < end; c++)
        if (*c != '\n') assert_ok(buf_put_u8(&file, (uint8_t)*c));
    assert_ok(base64_get(buf_view(&file), &bytes));
    CLEANUP(key_unrefp) struct key *own = test_public(test_ed25519_public);
    uint8_t *at = memmem(buf_bytes(&bytes), buf_len(&bytes), key_blob(own).p, key_blob(own).len);
    assert_non_null(at);
    memcpy(at, key_blob(other).p, key_blob(other).len);
    buf_reset(&file);
    assert_ok(buf_put_str(&file, "-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    assert_ok(base64_put(&file, buf_view(&bytes)));
    assert_ok(buf_put_str(&file, "\n-----END OPENSSH PRIVATE KEY-----\n"));
    assert_int_equal(private_file_parse(buf_view(&file), VIEW_EMPTY, &k), ERR_KEY_MISMATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_files_are_read),        cmocka_unit_test(encrypted_files_need_their_passphrase),
        cmocka_unit_test(what_is_written_can_be_read), cmocka_unit_test(unknown_ciphers_are_refused),
        cmocka_unit_test(damaged_files_are_refused),   cmocka_unit_test(halves_must_belong_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
