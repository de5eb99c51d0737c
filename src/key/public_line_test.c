#include "key/test_util.h"

static void fields_are_split(UNUSED void **state)
{
    struct public_line l;
    assert_ok(public_line_split(view_str("  t\tb  a  comment \r"), &l));
    assert_view(l.type, "t");
    assert_view(l.base64, "b");
    assert_view(l.comment, "a  comment");
    assert_ok(public_line_split(view_str("t b"), &l));
    assert_view(l.comment, "");
    assert_int_equal(public_line_split(view_str("t"), &l), ERR_FORMAT);
    assert_int_equal(public_line_split(view_str(""), &l), ERR_FORMAT);
}

static void the_blob_has_the_type_named(UNUSED void **state)
{
    struct key *k = NULL;
    struct public_line l;
    assert_ok(public_line_split(view_str(test_ed25519_public), &l));
    l.type = view_str("ssh-rsa");
    assert_int_equal(public_line_key(&l, &k), ERR_KEY_TYPE);
    l.type = view_str("ssh-dss");
    assert_int_equal(public_line_key(&l, &k), ERR_KEY_TYPE);
    l.type = view_str("ssh-ed25519");
    l.base64 = view_sub(l.base64, 0, 40);
    assert_int_equal(public_line_key(&l, &k), ERR_TRUNCATED);
    l.base64 = view_str("!!!!");
    assert_int_equal(public_line_key(&l, &k), ERR_FORMAT);
}

static void files_are_read(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(8192);
    CLEANUP(key_unrefp) struct key *k = NULL, *none = NULL;
    assert_ok(buf_put_str(&f, "\n# comment\n  "));
    assert_ok(buf_put_str(&f, test_rsa_public));
    assert_ok(public_file_parse(buf_view(&f), &k));
    assert_string_equal(key_type_of(k)->name, "ssh-rsa");
    assert_string_equal(key_comment(k), "rsa@test");
    assert_int_equal(public_file_parse(view_str("\n#x\n"), &none), ERR_FORMAT);
}

static void comments_make_no_lines(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    CLEANUP(buf_done) struct buf line = BUF_INIT(8192);
    assert_ok(key_set_comment(k, view_str("a\nb\tc\x1b\xc3\xa9")));
    assert_ok(public_line_put(k, &line));
    struct public_line l;
    assert_ok(public_line_split(buf_view(&line), &l));
    assert_view(l.comment, "a?b\tc?\xc3\xa9");
}

static void rfc4716_goes_round(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *k = test_public(test_rsa_public), *again = NULL;
    CLEANUP(buf_done) struct buf f = BUF_INIT(8192);
    assert_ok(rfc4716_put(k, view_str("a comment"), &f));
    assert_ok(rfc4716_parse(buf_view(&f), &again));
    assert_true(key_equal_public(k, again));
    assert_string_equal(key_comment(again), "a comment");
}

/* The first example of RFC 4716 3.6: a header that goes on in a second line. */
static void rfc4716_headers_are_read(UNUSED void **state)
{
    static const char text[] = "---- BEGIN SSH2 PUBLIC KEY ----\n"
                               "Comment: \"1024-bit RSA, converted from OpenSSH by me@example.com\"\n"
                               "x-command: /home/me/bin/lock-in-guest.sh\n"
                               "AAAAB3NzaC1yc2EAAAABIwAAAIEA1on8gxCGJJWSRT4uOrR13mUaUk0hRf4RzxSZ1zRb\n"
                               "YYFw8pfGesIFoEuVth4HKyF8k1y4mRUnYHP1XNMNMJl1JcEArC2asV8sHf6zSPVffozZ\n"
                               "5TT4SfsUu/iKy9lUcCfXzwre4WWZSXXcPff+EHtWshahu3WzBdnGxm5Xoi89zcE=\n"
                               "---- END SSH2 PUBLIC KEY ----\n";
    CLEANUP(key_unrefp) struct key *k = NULL, *none = NULL;
    assert_ok(rfc4716_parse(view_str(text), &k));
    assert_int_equal(key_bits(k), 1024);
    assert_string_equal(key_comment(k), "1024-bit RSA, converted from OpenSSH by me@example.com");
    assert_int_equal(rfc4716_parse(view_str("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n"), &none), ERR_FORMAT);
    assert_int_equal(rfc4716_parse(view_str(""), &none), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_split),       cmocka_unit_test(the_blob_has_the_type_named),
        cmocka_unit_test(files_are_read),         cmocka_unit_test(rfc4716_goes_round),
        cmocka_unit_test(comments_make_no_lines), cmocka_unit_test(rfc4716_headers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
