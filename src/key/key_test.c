#include "key/test_util.h"

#include "base/wr.h"

static const struct sample {
    const char *type, *public, *private, *signature, *sha256, *md5, *art, *babble;
    unsigned bits;
} samples[] = {
#define SAMPLE(type_, name_, bits_)                                                                                   \
    {                                                                                                                 \
        type_, test_##name_##_public, test_##name_##_private, test_##name_##_signature_base64, test_##name_##_sha256, \
            test_##name_##_md5, test_##name_##_art, test_##name_##_babble, bits_                                      \
    }
    SAMPLE("ssh-ed25519", ed25519, 256),
    SAMPLE("ecdsa-sha2-nistp256", ecdsa, 256),
    SAMPLE("ecdsa-sha2-nistp384", ecdsa384, 384),
    SAMPLE("ecdsa-sha2-nistp521", ecdsa521, 521),
    SAMPLE("ssh-rsa", rsa, 2048),
};

static void public_keys_are_read(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        CLEANUP(key_unrefp) struct key *k = test_public(samples[i].public);
        assert_string_equal(key_type_of(k)->name, samples[i].type);
        assert_int_equal(key_bits(k), samples[i].bits);
        assert_false(key_has_private(k));
        CLEANUP(key_unrefp) struct key *again = NULL;
        assert_ok(key_from_blob(key_blob(k), &again));
        assert_true(key_equal_public(k, again));
        CLEANUP(buf_done) struct buf line = BUF_INIT(8192);
        assert_ok(public_line_put(k, &line));
        assert_view(buf_view(&line), samples[i].public);
    }
}

static void fingerprints_are_openssh_s(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        CLEANUP(key_unrefp) struct key *k = test_public(samples[i].public);
        CLEANUP(freep) char *sha = NULL, *md5 = NULL, *art = NULL, *babble = NULL;
        assert_ok(key_fingerprint(key_blob(k), DIGEST_SHA256, &sha));
        assert_ok(key_fingerprint(key_blob(k), DIGEST_MD5, &md5));
        assert_ok(key_randomart(k, DIGEST_SHA256, &art));
        assert_ok(key_bubblebabble(key_blob(k), &babble));
        assert_string_equal(sha, samples[i].sha256);
        assert_string_equal(md5, samples[i].md5);
        assert_string_equal(art, samples[i].art);
        assert_string_equal(babble, samples[i].babble);
    }
}

static void foreign_signatures_verify(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(4096);
    test_decode(test_signed_base64, &data);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        CLEANUP(key_unrefp) struct key *k = test_public(samples[i].public);
        CLEANUP(buf_done) struct buf sig = BUF_INIT(4096);
        test_decode(samples[i].signature, &sig);
        assert_ok(key_verify(k, VIEW_EMPTY, buf_view(&data), buf_view(&sig)));
        assert_ok(key_verify_blob(key_blob(k), VIEW_EMPTY, buf_view(&data), buf_view(&sig)));
        assert_int_equal(key_verify(k, VIEW_EMPTY, view_str("other"), buf_view(&sig)), ERR_SIGNATURE);
        assert_true(key_verify(k, VIEW_EMPTY, buf_view(&data), view_sub(buf_view(&sig), 0, buf_len(&sig) - 1)) < 0);
        CLEANUP(key_unrefp) struct key *other = test_public(samples[(i + 1) % ARRAY_LEN(samples)].public);
        assert_int_equal(key_verify(other, VIEW_EMPTY, buf_view(&data), buf_view(&sig)), ERR_KEY_TYPE);
    }
}

static void own_signatures_verify(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        CLEANUP(key_unrefp) struct key *k = test_private(samples[i].private);
        CLEANUP(buf_done) struct buf sig = BUF_INIT(4096);
        assert_true(key_has_private(k));
        assert_ok(key_sign(k, VIEW_EMPTY, view_str("data"), &sig));
        assert_ok(key_verify(k, VIEW_EMPTY, view_str("data"), buf_view(&sig)));
        buf_bytes(&sig)[buf_len(&sig) - 1] ^= 1;
        assert_int_equal(key_verify(k, VIEW_EMPTY, view_str("data"), buf_view(&sig)), ERR_SIGNATURE);
        CLEANUP(key_unrefp) struct key *public = test_public(samples[i].public);
        assert_true(key_equal_public(k, public));
        assert_int_equal(key_sign(public, VIEW_EMPTY, view_str("data"), &sig), ERR_KEY_INVALID);
    }
}

/* RFC 8332: one key, three signature algorithms; the name asked for is the name in the signature. */
static void rsa_algorithms_are_kept_apart(UNUSED void **state)
{
    static const char *const names[] = { "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512" };
    CLEANUP(key_unrefp) struct key *k = test_private(test_rsa_private);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(buf_done) struct buf sig = BUF_INIT(4096);
        assert_ok(key_sign(k, view_str(names[i]), view_str("data"), &sig));
        assert_true(buf_len(&sig) > 4 + strlen(names[i]));
        assert_memory_equal(buf_bytes(&sig) + 4, names[i], strlen(names[i]));
        for (size_t j = 0; j < ARRAY_LEN(names); j++)
            assert_int_equal(key_verify(k, view_str(names[j]), view_str("data"), buf_view(&sig)), i == j ? 0 : ERR_KEY_TYPE);
    }
    CLEANUP(buf_done) struct buf own = BUF_INIT(4096);
    assert_ok(key_sign(k, VIEW_EMPTY, view_str("data"), &own));
    assert_ok(key_verify(k, view_str("rsa-sha2-512"), view_str("data"), buf_view(&own)));
    CLEANUP(key_unrefp) struct key *cert = test_public(test_rsa_cert);
    assert_ok(key_verify(cert, view_str("rsa-sha2-512-cert-v01@openssh.com"), view_str("data"), buf_view(&own)));
    assert_int_equal(key_verify(cert, view_str("rsa-sha2-512"), view_str("data"), buf_view(&own)), ERR_KEY_TYPE);
    assert_int_equal(key_verify(k, view_str("rsa-sha2-512-cert-v01@openssh.com"), view_str("data"), buf_view(&own)), ERR_KEY_TYPE);
    assert_int_equal(key_sign(k, view_str("ssh-ed25519"), view_str("data"), &own), ERR_KEY_TYPE);
    assert_int_equal(key_verify(k, view_str("no-such"), view_str("data"), buf_view(&own)), ERR_KEY_TYPE);
}

/* PROTOCOL.u2f, with an ordinary key in the token's place: the message the token signs is put together here by hand. */
static void security_key_signatures_verify(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *token = test_private(test_ed25519_private);
    CLEANUP(buf_done) struct buf blob = BUF_INIT(4096), message = BUF_INIT(4096), raw = BUF_INIT(4096), sig = BUF_INIT(4096);
    struct pkey_public_parts pub;
    pkey_public(key_pkey(token), &pub);
    struct wr w = wr_of(&blob);
    wr_cstr(&w, "sk-ssh-ed25519@openssh.com");
    wr_string(&w, pub.a);
    wr_cstr(&w, "ssh:");
    assert_ok(wr_end(&w));
    uint8_t digest[32];
    w = wr_of(&message);
    assert_ok(digest_once(DIGEST_SHA256, view_str("ssh:"), digest));
    wr_bytes(&w, view_of(digest, 32));
    wr_u8(&w, KEY_SK_USER_PRESENT);
    wr_u32(&w, 7);
    assert_ok(digest_once(DIGEST_SHA256, view_str("data"), digest));
    wr_bytes(&w, view_of(digest, 32));
    assert_ok(wr_end(&w));
    assert_ok(pkey_sign(key_pkey(token), DIGEST_SHA512, buf_view(&message), &raw));
    w = wr_of(&sig);
    wr_cstr(&w, "sk-ssh-ed25519@openssh.com");
    wr_string(&w, buf_view(&raw));
    wr_u8(&w, KEY_SK_USER_PRESENT);
    wr_u32(&w, 7);
    assert_ok(wr_end(&w));
    assert_ok(key_verify_blob(buf_view(&blob), VIEW_EMPTY, view_str("data"), buf_view(&sig)));
    assert_int_equal(key_verify_blob(buf_view(&blob), VIEW_EMPTY, view_str("Data"), buf_view(&sig)), ERR_SIGNATURE);
    uint8_t flags;
    uint32_t counter;
    assert_ok(key_signature_sk_details(buf_view(&sig), &flags, &counter));
    assert_int_equal(flags, KEY_SK_USER_PRESENT);
    assert_int_equal(counter, 7);
    buf_bytes(&sig)[buf_len(&sig) - 1] ^= 1; /* the counter is signed too */
    assert_int_equal(key_verify_blob(buf_view(&blob), VIEW_EMPTY, view_str("data"), buf_view(&sig)), ERR_SIGNATURE);
    assert_int_equal(key_verify(token, VIEW_EMPTY, view_str("data"), buf_view(&sig)), ERR_KEY_TYPE);
}

/* The same through a browser: the token signs the client data, which has to begin with the challenge. */
static int verify_webauthn(const char *client_data, const char *origin, uint8_t flags, const char *extensions)
{
    CLEANUP(key_unrefp) struct key *token = test_private(test_ecdsa_private);
    CLEANUP(buf_done) struct buf blob = BUF_INIT(4096), message = BUF_INIT(4096), raw = BUF_INIT(4096), sig = BUF_INIT(4096);
    struct pkey_public_parts pub;
    uint8_t digest[32];
    pkey_public(key_pkey(token), &pub);
    struct wr w = wr_of(&blob);
    wr_cstr(&w, "sk-ecdsa-sha2-nistp256@openssh.com");
    wr_cstr(&w, "nistp256");
    wr_string(&w, pub.a);
    wr_cstr(&w, "example.com");
    w = wr_of(&message);
    assert_ok(digest_once(DIGEST_SHA256, view_str("example.com"), digest));
    wr_bytes(&w, view_of(digest, 32));
    wr_u8(&w, flags);
    wr_u32(&w, 9);
    wr_bytes(&w, view_str(extensions));
    assert_ok(digest_once(DIGEST_SHA256, view_str(client_data), digest));
    wr_bytes(&w, view_of(digest, 32));
    assert_ok(pkey_sign(key_pkey(token), DIGEST_SHA256, buf_view(&message), &raw));
    w = wr_of(&sig);
    wr_cstr(&w, "webauthn-sk-ecdsa-sha2-nistp256@openssh.com");
    wr_string(&w, buf_view(&raw));
    wr_u8(&w, flags);
    wr_u32(&w, 9);
    wr_cstr(&w, origin);
    wr_cstr(&w, client_data);
    wr_cstr(&w, extensions);
    return key_verify_blob(buf_view(&blob), view_str("webauthn-sk-ecdsa-sha2-nistp256@openssh.com"),
                           view_of("\xff\xfe"
                                   "a",
                                   3),
                           buf_view(&sig));
}

static void browser_signatures_verify(UNUSED void **state)
{
    static const char good[] = "{\"type\":\"webauthn.get\",\"challenge\":\"__5h\",\"origin\":\"https://example.com\",\"x\":1}";
    static const char other[] = "{\"type\":\"webauthn.get\",\"challenge\":\"__5i\",\"origin\":\"https://example.com\",\"x\":1}";
    assert_ok(verify_webauthn(good, "https://example.com", 1, ""));
    assert_ok(verify_webauthn(good, "https://example.com", 0x81, "ext"));
    assert_int_equal(verify_webauthn(good, "https://example.org", 1, ""), ERR_SIGNATURE);
    assert_int_equal(verify_webauthn(other, "https://example.com", 1, ""), ERR_SIGNATURE);
    assert_int_equal(verify_webauthn(good, "https://example.com", 0x41, ""), ERR_SIGNATURE);
    assert_int_equal(verify_webauthn(good, "https://example.com", 0x81, ""), ERR_SIGNATURE);
    assert_int_equal(verify_webauthn(good, "https://example.com", 1, "ext"), ERR_SIGNATURE);
    assert_int_equal(verify_webauthn(good, "https://example.com\",\"x", 1, ""), ERR_SIGNATURE);
}

static void broken_blobs_are_refused(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        CLEANUP(key_unrefp) struct key *k = test_public(samples[i].public), *other = NULL;
        CLEANUP(buf_done) struct buf blob = BUF_INIT(4096);
        for (size_t n = 0; n < key_blob(k).len; n++) assert_true(key_from_blob(view_sub(key_blob(k), 0, n), &other) < 0);
        assert_ok(buf_put_view(&blob, key_blob(k)));
        assert_ok(buf_put_u8(&blob, 0));
        assert_int_equal(key_from_blob(buf_view(&blob), &other), ERR_TRAILING);
        assert_null(other);
    }
    struct key *none = NULL;
    assert_int_equal(key_from_blob(VIEW_LIT("\0\0\0\7ssh-dss"), &none), ERR_KEY_TYPE);
    assert_int_equal(key_from_blob(VIEW_LIT("\0\0\0\14rsa-sha2-512"), &none), ERR_KEY_TYPE);
    assert_string_equal(key_short_name(VIEW_LIT("\0\0\0\7ssh-dss")), "unknown");
}

static void a_curve_under_another_name_is_refused(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *k = test_public(test_ecdsa_public), *other = NULL;
    CLEANUP(buf_done) struct buf blob = BUF_INIT(4096);
    assert_ok(buf_put_view(&blob, key_blob(k)));
    uint8_t *curve = memmem(buf_bytes(&blob), buf_len(&blob), "\0\0\0\10nistp256", 12);
    assert_non_null(curve);
    memcpy(curve + 4, "nistp384", 8);
    assert_true(key_from_blob(buf_view(&blob), &other) < 0);
}

static void table_is_sound(UNUSED void **state)
{
    for (const struct key_type *t = key_type_table; t->name; t++) {
        assert_ptr_equal(key_type_find(view_str(t->name)), t);
        const struct key_type *plain = key_type_find(view_str(t->plain_name)), *blob = key_type_find(view_str(t->blob_name));
        assert_non_null(plain);
        assert_non_null(blob);
        assert_false(plain->is_cert);
        assert_false(blob->sig_only);
        assert_int_equal(blob->is_cert, t->is_cert);
        assert_int_equal(plain->pkey, t->pkey);
        assert_int_equal(plain->is_sk, t->is_sk);
        assert_int_equal(plain->digest, t->digest);
    }
    assert_null(key_type_find(view_str("ssh-dss")));
    assert_false(key_type_find(view_str("ssh-rsa"))->is_default);
}

static void generated_keys_work(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        CLEANUP(buf_done) struct buf sig = BUF_INIT(4096);
        assert_ok(key_generate(key_type_find(view_str(samples[i].type)), 2048, &k));
        assert_string_equal(key_type_of(k)->name, samples[i].type);
        assert_int_equal(key_bits(k), samples[i].bits);
        assert_ok(key_sign(k, VIEW_EMPTY, view_str("x"), &sig));
        assert_ok(key_verify_blob(key_blob(k), VIEW_EMPTY, view_str("x"), buf_view(&sig)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_keys_are_read),
        cmocka_unit_test(fingerprints_are_openssh_s),
        cmocka_unit_test(foreign_signatures_verify),
        cmocka_unit_test(own_signatures_verify),
        cmocka_unit_test(rsa_algorithms_are_kept_apart),
        cmocka_unit_test(security_key_signatures_verify),
        cmocka_unit_test(browser_signatures_verify),
        cmocka_unit_test(broken_blobs_are_refused),
        cmocka_unit_test(a_curve_under_another_name_is_refused),
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(generated_keys_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
