/* What tokens say of keys, right and wrong; and that a signature put together from a token's pieces is one. */
#include "key/test_util.h"
#include "key/token_key.h"

#define P256_PARAMS VIEW_LIT("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")
#define P521_PARAMS VIEW_LIT("\x06\x05\x2b\x81\x04\x00\x23")
#define ED25519_PARAMS VIEW_LIT("\x06\x03\x2b\x65\x70")

static struct view point_of(const struct key *k)
{
    struct pkey_public_parts parts;
    pkey_public(key_pkey(k), &parts);
    return parts.a;
}

/* DER OCTET STRING round it, or another tag. */
static struct view wrap(struct buf *out, uint8_t tag, struct view v)
{
    assert_ok(buf_put_u8(out, tag));
    if (v.len >= 0x80) assert_ok(buf_put_u8(out, 0x81));
    assert_ok(buf_put_u8(out, (uint8_t)v.len));
    assert_ok(buf_put_view(out, v));
    return buf_view(out);
}

static void points_bare_and_wrapped(UNUSED void **state)
{
    const struct curve {
        const char *line;
        struct view params;
    } curves[] = { { test_ecdsa_public, P256_PARAMS },
                   { test_ecdsa521_public, P521_PARAMS },
                   { test_ed25519_public, ED25519_PARAMS },
                   { test_ed25519_public, VIEW_LIT("\x13\x0c"
                                                   "edwards25519") } };
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        CLEANUP(key_unrefp) struct key *want = test_public(curves[i].line), *bare = NULL, *wrapped = NULL, *none = NULL;
        CLEANUP(buf_done) struct buf der = BUF_INIT(256), other = BUF_INIT(256);
        assert_ok(token_key_ec(curves[i].params, point_of(want), &bare));
        assert_ok(token_key_ec(curves[i].params, wrap(&der, 4, point_of(want)), &wrapped));
        assert_true(key_equal_public(want, bare) && key_equal_public(want, wrapped));
        assert_int_equal(token_key_ec(curves[i].params, wrap(&other, 5, point_of(want)), &none), ERR_FORMAT);
        for (size_t len = 0; len < buf_len(&der); len++) {
            struct view cut = view_sub(buf_view(&der), 0, len);
            if (len != point_of(want).len) assert_true(token_key_ec(curves[i].params, cut, &none) < 0);
        }
        assert_ok(buf_put_u8(&der, 0));
        assert_int_equal(token_key_ec(curves[i].params, buf_view(&der), &none), ERR_TRAILING);
        assert_null(none);
    }
}

static void foreign_curves_are_refused(UNUSED void **state)
{
    struct key *k = NULL;
    CLEANUP(key_unrefp) struct key *p256 = test_public(test_ecdsa_public);
    assert_int_equal(token_key_ec(VIEW_EMPTY, point_of(p256), &k), ERR_KEY_TYPE);
    assert_int_equal(token_key_ec(VIEW_LIT("\x06\x05\x2b\x81\x04\x00\x0a"), point_of(p256), &k), ERR_KEY_TYPE);
    assert_int_equal(token_key_ec(P256_PARAMS, VIEW_EMPTY, &k), ERR_TRUNCATED);
    uint8_t off[65] = { 4, 1, 2, 3 };
    assert_int_equal(token_key_ec(P256_PARAMS, view_of(off, sizeof off), &k), ERR_KEY_INVALID);
}

static void rsa_numbers(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *want = test_public(test_rsa_public), *k = NULL, *none = NULL;
    CLEANUP(buf_done) struct buf n = BUF_INIT(4096);
    struct pkey_public_parts parts;
    pkey_public(key_pkey(want), &parts);
    assert_ok(buf_put(&n, "\0\0", 2));
    assert_ok(buf_put_view(&n, parts.b));
    assert_ok(token_key_rsa(buf_view(&n), VIEW_LIT("\0\1\0\1"), &k));
    assert_true(key_equal_public(want, k));
    assert_true(token_key_rsa(VIEW_EMPTY, VIEW_EMPTY, &none) < 0);
    assert_true(token_key_rsa(VIEW_LIT("\0\0"), VIEW_LIT("\3"), &none) < 0);
    assert_int_equal(token_key_rsa(view_sub(parts.b, 0, 64), parts.a, &none), ERR_KEY_LENGTH);
    static uint8_t huge[4096];
    memset(huge, 0xff, sizeof huge);
    assert_int_equal(token_key_rsa(view_of(huge, sizeof huge), parts.a, &none), ERR_KEY_LENGTH);
}

/* What pkey_sign gives for a digest's data, in a token's form: here only of Ed25519, whose form is the same. */
static void ed25519_signature(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *k = test_private(test_ed25519_private);
    CLEANUP(buf_done) struct buf input = BUF_INIT(1024), raw = BUF_INIT(1024), blob = BUF_INIT(1024);
    struct view data = VIEW_LIT("to be signed");
    assert_ok(token_sign_input(k, VIEW_EMPTY, data, &input));
    assert_true(view_eq(buf_view(&input), data));
    assert_ok(pkey_sign(key_pkey(k), DIGEST_SHA512, buf_view(&input), &raw));
    assert_ok(token_sign_output(k, VIEW_EMPTY, buf_view(&raw), &blob));
    assert_ok(key_verify(k, VIEW_LIT("ssh-ed25519"), data, buf_view(&blob)));
    for (size_t len = 0; len < 64; len++)
        assert_int_equal(token_sign_output(k, VIEW_EMPTY, view_sub(buf_view(&raw), 0, len), &blob), ERR_SIGNATURE);
}

static void inputs_of_rsa_and_ecdsa(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *rsa = test_public(test_rsa_public), *p384 = test_public(test_ecdsa384_public);
    const struct input {
        const char *algorithm;
        size_t bytes;
    } inputs[] = { { "", 19 + 64 },
                   { "rsa-sha2-512", 19 + 64 },
                   { "rsa-sha2-256", 19 + 32 },
                   { "ssh-rsa", 15 + 20 },
                   { "rsa-sha2-256-cert-v01@openssh.com", 19 + 32 } };
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        CLEANUP(buf_done) struct buf out = BUF_INIT(256);
        assert_ok(token_sign_input(rsa, view_str(inputs[i].algorithm), VIEW_LIT("x"), &out));
        assert_int_equal(buf_len(&out), inputs[i].bytes);
        assert_int_equal(buf_bytes(&out)[1], inputs[i].bytes - 2); /* the DER's own length */
    }
    CLEANUP(buf_done) struct buf out = BUF_INIT(256);
    assert_ok(token_sign_input(p384, VIEW_EMPTY, VIEW_LIT("x"), &out));
    assert_int_equal(buf_len(&out), 48);
    assert_int_equal(token_sign_input(p384, VIEW_LIT("rsa-sha2-512"), VIEW_LIT("x"), &out), ERR_KEY_TYPE);
    assert_int_equal(token_sign_input(p384, VIEW_LIT("ecdsa-sha2-nistp256"), VIEW_LIT("x"), &out), ERR_KEY_TYPE);
    uint8_t raw[98] = { 0 };
    assert_int_equal(token_sign_output(p384, VIEW_EMPTY, view_of(raw, 97), &out), ERR_SIGNATURE);
    assert_int_equal(token_sign_output(p384, VIEW_EMPTY, view_of(raw, 98), &out), ERR_SIGNATURE);
    assert_ok(token_sign_output(p384, VIEW_EMPTY, view_of(raw, 96), &out));
}

static void certificates(UNUSED void **state)
{
    struct key *k = NULL;
    assert_int_equal(token_key_certificate(VIEW_EMPTY, &k), ERR_FORMAT);
    assert_int_equal(token_key_certificate(VIEW_LIT("\x30\x82\xff\xff no certificate"), &k), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_bare_and_wrapped), cmocka_unit_test(foreign_curves_are_refused), cmocka_unit_test(rsa_numbers),
        cmocka_unit_test(ed25519_signature),       cmocka_unit_test(inputs_of_rsa_and_ecdsa),    cmocka_unit_test(certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
