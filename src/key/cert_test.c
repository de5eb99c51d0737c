#include "key/cert.h"
#include "key/private_blob.h"
#include "key/test_util.h"

static struct key *cert_key(const char *line, struct cert *ret)
{
    struct key *k = test_public(line);
    assert_ok(cert_parse(key_blob(k), ret));
    return k;
}

static void user_certificate_is_read(UNUSED void **state)
{
    struct cert c;
    CLEANUP(key_unrefp)
    struct key *k = cert_key(test_ed25519_cert, &c), *ca = test_public(test_ca_public), *plain = test_public(test_ed25519_public);
    assert_string_equal(key_type_of(k)->name, "ssh-ed25519-cert-v01@openssh.com");
    assert_int_equal(c.kind, CERT_USER);
    assert_int_equal(c.serial, 77);
    assert_view(c.key_id, "user id");
    assert_int_equal(c.valid_after, 1577836800);
    assert_int_equal(c.valid_before, 1893456000);
    assert_int_equal(c.n_principals, 2);
    struct view list = c.principals, name;
    assert_true(cert_next_principal(&list, &name));
    assert_view(name, "alice");
    assert_true(cert_next_principal(&list, &name));
    assert_view(name, "bob");
    assert_false(cert_next_principal(&list, &name));
    assert_true(view_eq(c.ca_key, key_blob(ca)));
    assert_view(c.signature_algorithm, "ssh-ed25519");
    assert_true(key_equal_public(k, plain));
    assert_ok(cert_verify_signature(&c));
    CLEANUP(buf_done) struct buf blob = BUF_INIT(4096);
    assert_ok(cert_plain_blob(key_blob(k), &blob));
    assert_true(view_eq(buf_view(&blob), key_blob(plain)));
}

static void options_are_read(UNUSED void **state)
{
    struct cert c;
    struct cert_user_options o;
    struct view unknown;
    CLEANUP(key_unrefp) UNUSED struct key *k = cert_key(test_ed25519_cert, &c);
    assert_ok(cert_user_options_get(&c, &o, &unknown));
    assert_view(o.force_command, "/bin/true");
    assert_view(o.source_address, "10.0.0.0/8,::1/128");
    assert_true(o.permit_x11 && o.permit_agent && o.permit_port_forwarding && o.permit_user_rc);
    assert_false(o.permit_pty || o.verify_required || o.no_touch_required);
    c.critical = VIEW_LIT("\0\0\0\3new\0\0\0\0");
    assert_int_equal(cert_user_options_get(&c, &o, &unknown), ERR_UNSUPPORTED);
    assert_view(unknown, "new");
    c.critical = VIEW_EMPTY;
    c.extensions = VIEW_LIT("\0\0\0\3new\0\0\0\0");
    assert_ok(cert_user_options_get(&c, &o, &unknown));
    assert_false(o.permit_x11);
}

static void validity_is_judged(UNUSED void **state)
{
    struct cert c, host;
    const char *reason = NULL;
    CLEANUP(key_unrefp) UNUSED struct key *k = cert_key(test_ed25519_cert, &c);
    CLEANUP(key_unrefp) UNUSED struct key *h = cert_key(test_ecdsa_cert, &host);
    assert_ok(cert_check(&c, CERT_USER, view_str("bob"), 1600000000, &reason));
    assert_ok(cert_check(&c, CERT_USER, VIEW_EMPTY, 1577836800, &reason));
    assert_int_equal(cert_check(&c, CERT_USER, view_str("bob"), 1577836799, &reason), ERR_DENIED);
    assert_string_equal(reason, "Certificate invalid: not yet valid");
    assert_int_equal(cert_check(&c, CERT_USER, view_str("bob"), 1893456000, &reason), ERR_DENIED);
    assert_string_equal(reason, "Certificate invalid: expired");
    assert_int_equal(cert_check(&c, CERT_USER, view_str("carol"), 1600000000, &reason), ERR_DENIED);
    assert_string_equal(reason, "Certificate invalid: name is not a listed principal");
    assert_int_equal(cert_check(&c, CERT_HOST, view_str("bob"), 1600000000, &reason), ERR_DENIED);
    assert_ok(cert_check(&host, CERT_HOST, view_str("h1.example"), 1, &reason));
    assert_int_equal(cert_check(&host, CERT_USER, view_str("h1.example"), 1, &reason), ERR_DENIED);
    c.principals = host.principals = VIEW_EMPTY;
    c.n_principals = host.n_principals = 0;
    assert_int_equal(cert_check(&c, CERT_USER, view_str("bob"), 1600000000, &reason), ERR_DENIED);
    assert_string_equal(reason, "Certificate lacks principal list");
    host.principals = VIEW_LIT("\0\0\0\7*.b.org");
    host.n_principals = 1;
    assert_ok(cert_check(&host, CERT_HOST, view_str("a.b.org"), 1, &reason));
    c.principals = host.principals;
    c.n_principals = 1; /* no patterns for users */
    assert_int_equal(cert_check(&c, CERT_USER, view_str("a.b.org"), 1600000000, &reason), ERR_DENIED);
}

static void every_changed_byte_is_noticed(UNUSED void **state)
{
    static const char *const lines[] = { test_ed25519_cert, test_ecdsa_cert, test_rsa_cert };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct cert c;
        CLEANUP(key_unrefp) struct key *k = cert_key(lines[i], &c);
        assert_ok(cert_verify_signature(&c));
        CLEANUP(buf_done) struct buf blob = BUF_INIT(8192);
        assert_ok(buf_put_view(&blob, key_blob(k)));
        for (size_t at = 0; at < buf_len(&blob); at += 3) {
            buf_bytes(&blob)[at] ^= 4;
            assert_true(cert_parse(buf_view(&blob), &c) < 0 || cert_verify_signature(&c) < 0);
            buf_bytes(&blob)[at] ^= 4;
        }
        for (size_t n = 0; n < buf_len(&blob); n += 5) assert_true(cert_parse(view_sub(buf_view(&blob), 0, n), &c) < 0);
    }
}

static void certificates_join_their_keys(UNUSED void **state)
{
    static const char *const pairs[][2] = { { test_ed25519_private, test_ed25519_cert },
                                            { test_ecdsa_private, test_ecdsa_cert },
                                            { test_rsa_private, test_rsa_cert } };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP(key_unrefp)
        struct key *k = test_private(pairs[i][0]), *cert = test_public(pairs[i][1]), *joined = NULL, *back = NULL, *none = NULL;
        CLEANUP(buf_done) struct buf sig = BUF_INIT(4096), blob = BUF_INIT_SECRET(8192);
        assert_ok(cert_join(k, key_blob(cert), &joined));
        assert_true(key_has_private(joined));
        assert_true(view_eq(key_blob(joined), key_blob(cert)));
        assert_ok(key_sign(joined, VIEW_EMPTY, view_str("data"), &sig));
        assert_ok(key_verify(cert, VIEW_EMPTY, view_str("data"), buf_view(&sig)));
        assert_ok(key_verify(k, VIEW_EMPTY, view_str("data"), buf_view(&sig)));
        /* as it goes to an agent, and back */
        struct wr w = wr_of(&blob);
        assert_ok(private_blob_put(joined, &w));
        struct rd r = rd_of(buf_view(&blob));
        assert_ok(private_blob_get(&r, &back));
        assert_ok(rd_end(&r));
        assert_true(view_eq(key_blob(back), key_blob(cert)));
        CLEANUP(key_unrefp) struct key *wrong = test_private(test_ca_private);
        assert_int_equal(cert_join(wrong, key_blob(cert), &none), ERR_KEY_MISMATCH);
        assert_int_equal(cert_join(k, key_blob(k), &none), ERR_KEY_TYPE);
    }
}

/* ed25519 signs the same each time, so a certificate made from the same words is OpenSSH's, byte for byte. */
static void a_certificate_is_made_as_openssh_makes_it(UNUSED void **state)
{
    struct cert c;
    CLEANUP(key_unrefp)
    struct key *theirs = cert_key(test_ed25519_cert, &c), *ca = test_private(test_ca_private),
               *k = test_public(test_ed25519_public), *ours = NULL;
    static const struct cert_option_text critical[] = { { "source-address", "10.0.0.0/8,::1/128" },
                                                        { "force-command", "/bin/true" } };
    static const struct cert_option_text extensions[] = {
        { "permit-user-rc", NULL },
        { "permit-port-forwarding", NULL },
        { "permit-agent-forwarding", NULL },
        { "permit-X11-forwarding", NULL },
    };
    const struct view principals[] = { VIEW_LIT("alice"), VIEW_LIT("bob") };
    struct cert_request q = { .kind = CERT_USER,
                              .serial = 77,
                              .key_id = VIEW_LIT("user id"),
                              .principals = principals,
                              .n_principals = 2,
                              .valid_after = 1577836800,
                              .valid_before = 1893456000,
                              .critical = critical,
                              .n_critical = 2,
                              .extensions = extensions,
                              .n_extensions = 4,
                              .nonce = c.nonce };
    assert_ok(cert_sign(k, &q, ca, VIEW_EMPTY, &ours));
    assert_true(view_eq(key_blob(ours), key_blob(theirs)));

    struct key *none = NULL;
    CLEANUP(buf_done) struct buf body = BUF_INIT(8192);
    assert_ok(cert_put_unsigned(k, &q, key_blob(ca), &body));
    assert_int_equal(cert_finish(buf_view(&body), VIEW_LIT("\0\0\0\1a\0\0\0\1b"), &none), ERR_KEY_TYPE);
    assert_int_equal(cert_sign(theirs, &q, ca, VIEW_EMPTY, &none), ERR_KEY_TYPE);
    assert_int_equal(cert_sign(k, &q, k, VIEW_EMPTY, &none), ERR_KEY_INVALID);
    q.valid_before = q.valid_after;
    assert_int_equal(cert_sign(k, &q, ca, VIEW_EMPTY, &none), ERR_RANGE);
    q.valid_before = UINT64_MAX;
    q.n_principals = CERT_PRINCIPALS_MAX + 1;
    assert_int_equal(cert_sign(k, &q, ca, VIEW_EMPTY, &none), ERR_LIMIT);
    q.n_principals = 0;
    const struct cert_option_text twice[] = { { "a", NULL }, { "a", "b" } };
    q.critical = twice;
    assert_int_equal(cert_sign(k, &q, ca, VIEW_EMPTY, &none), ERR_FORMAT);
    assert_null(none);
}

static void every_type_certifies_every_type(UNUSED void **state)
{
    static const char *const privates[] = { test_ed25519_private, test_ecdsa_private, test_ecdsa384_private, test_ecdsa521_private,
                                            test_rsa_private };
    struct cert_request q = { .kind = CERT_HOST, .key_id = VIEW_LIT("h"), .valid_before = UINT64_MAX, .nonce = VIEW_LIT("nonce") };
    for (size_t i = 0; i < ARRAY_LEN(privates); i++) {
        for (size_t j = 0; j < ARRAY_LEN(privates); j++) {
            struct cert c;
            CLEANUP(key_unrefp) struct key *k = test_private(privates[i]), *ca = test_private(privates[j]), *cert = NULL;
            assert_ok(cert_sign(k, &q, ca, VIEW_EMPTY, &cert));
            assert_ok(cert_parse(key_blob(cert), &c));
            assert_ok(cert_verify_signature(&c));
            assert_true(key_equal_public(cert, k));
            assert_false(key_has_private(cert));
        }
    }
    struct cert c;
    CLEANUP(key_unrefp) struct key *ca = test_private(test_rsa_private), *cert = NULL;
    assert_ok(cert_sign(ca, &q, ca, VIEW_LIT("rsa-sha2-256"), &cert));
    assert_ok(cert_parse(key_blob(cert), &c));
    assert_view(c.signature_algorithm, "rsa-sha2-256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_certificate_is_read),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(validity_is_judged),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(certificates_join_their_keys),
        cmocka_unit_test(a_certificate_is_made_as_openssh_makes_it),
        cmocka_unit_test(every_type_certifies_every_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
