#include "key/authorized_keys.h"
#include "key/test_util.h"

#include <stdlib.h>
#include <time.h>

static const char *parse(const char *text, struct authorized_keys_options *o)
{
    const char *reason = NULL;
    int err = authorized_keys_options_parse(view_str(text), o, &reason);
    if (err == 0) return NULL;
    assert_int_equal(err, ERR_FORMAT);
    assert_non_null(reason);
    return reason;
}

static void no_options_permit_all(UNUSED void **state)
{
    struct authorized_keys_options o;
    authorized_keys_options_init(&o);
    assert_null(parse("", &o));
    assert_true(o.permit_pty && o.permit_port_forwarding && o.permit_agent && o.permit_x11 && o.permit_user_rc);
    assert_false(o.cert_authority || o.restricted || o.no_touch_required || o.verify_required);
    assert_int_equal(o.tunnel_device, -1);
    assert_int_equal(o.expiry_s, 0);
    authorized_keys_options_done(&o);
}

static void all_options_are_known(UNUSED void **state)
{
    struct authorized_keys_options o;
    authorized_keys_options_init(&o);
    assert_null(parse(
        "restrict,PTY,no-touch-required,verify-required,cert-authority,principals=\"a,b\",command=\"say \\\"hi, you\\\" \\n\","
        "environment=\"A=1\",environment=\"A=2\",environment=\"B_2=x y\",from=\"10.0.0.0/8,!*.bad\",permitopen=\"h:80\","
        "permitopen=\"[::1]:*\",permitlisten=\"8080\",permitlisten=\"localhost:22\",tunnel=\"3\",expiry-time=\"20300102Z\","
        "expiry-time=\"203001010000Z\"",
        &o));
    assert_true(o.restricted && o.permit_pty && o.no_touch_required && o.verify_required && o.cert_authority);
    assert_false(o.permit_port_forwarding || o.permit_agent || o.permit_x11 || o.permit_user_rc);
    assert_string_equal(o.principals, "a,b");
    assert_string_equal(o.command, "say \"hi, you\" \\n");
    assert_int_equal(o.environment.n, 2);
    assert_string_equal(o.environment.v[0], "A=1");
    assert_string_equal(o.environment.v[1], "B_2=x y");
    assert_string_equal(o.from, "10.0.0.0/8,!*.bad");
    assert_int_equal(o.permitopen.n, 2);
    assert_string_equal(o.permitopen.v[1], "[::1]:*");
    assert_string_equal(o.permitlisten.v[0], "*:8080");
    assert_string_equal(o.permitlisten.v[1], "localhost:22");
    assert_int_equal(o.tunnel_device, 3);
    assert_int_equal(o.expiry_s, 1893456000);
    assert_null(parse("no-pty,no-agent-forwarding,no-port-forwarding,no-X11-forwarding,no-user-rc", &o));
    assert_false(o.permit_pty || o.permit_agent || o.permit_port_forwarding || o.permit_x11 || o.permit_user_rc);
    assert_null(o.command); /* nothing of the line before is left */
    assert_null(parse("pty,no-pty,pty,tunnel=\"any\"", &o));
    assert_true(o.permit_pty);
    assert_int_equal(o.tunnel_device, 0x7fffffff);
    authorized_keys_options_done(&o);
}

static void wrong_options_are_refused(UNUSED void **state)
{
    static const struct row {
        const char *text, *reason;
    } rows[] = {
        { "unknown", "unknown key option" },
        { "unknown=\"x\"", "unknown key option" },
        { "pty=\"x\"", "unknown key option" },
        { "command", "unknown key option" },
        { "command=x", "missing start quote" },
        { "command=\"x", "missing end quote" },
        { "command=\"x\\\"", "missing end quote" },
        { "command=\"x\"pty", "invalid option list" },
        { "command=\"x\",command=\"y\"", "multiple \"command\" clauses" },
        { "from=\"x\",from=\"y\"", "multiple \"from\" clauses" },
        { "principals=\"x\",principals=\"y\"", "multiple \"principals\" clauses" },
        { "tunnel=\"1\",tunnel=\"2\"", "multiple \"tunnel\" clauses" },
        { "tunnel=\"x\"", "invalid tun device" },
        { "tunnel=\"\"", "invalid tun device" },
        { "pty,", "unexpected end-of-options" },
        { ",pty", "unknown key option" },
        { "environment=\"=x\"", "invalid environment string" },
        { "environment=\"A B=x\"", "invalid environment string" },
        { "environment=\"AB\"", "invalid environment string" },
        { "permitopen=\"80\"", "invalid permission hostname" },
        { "permitopen=\"h:0\"", "invalid permission hostname" },
        { "permitopen=\"h:65536\"", "invalid permission hostname" },
        { "permitopen=\"::1:80\"", "invalid permission hostname" },
        { "permitopen=\":80\"", "invalid permission hostname" },
        { "permitlisten=\"x\"", "invalid permission hostname" },
        { "expiry-time=\"2030\"", "invalid expires time" },
        { "expiry-time=\"20301301\"", "invalid expires time" },
    };
    struct authorized_keys_options o;
    authorized_keys_options_init(&o);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *reason = parse(rows[i].text, &o);
        if (!reason) fail_msg("accepted: %s", rows[i].text);
        assert_string_equal(reason, rows[i].reason);
    }
    authorized_keys_options_done(&o);
}

static void times_are_parsed(UNUSED void **state)
{
    int64_t t;
    assert_ok(authorized_keys_time_parse(view_str("20240229Z"), &t));
    assert_int_equal(t, 1709164800);
    assert_ok(authorized_keys_time_parse(view_str("202402291234Z"), &t));
    assert_int_equal(t, 1709164800 + 12 * 3600 + 34 * 60);
    assert_ok(authorized_keys_time_parse(view_str("20240229123456Z"), &t));
    assert_int_equal(t, 1709164800 + 12 * 3600 + 34 * 60 + 56);
    assert_int_equal(authorized_keys_time_parse(view_str("20230229Z"), &t), ERR_FORMAT);
    assert_int_equal(authorized_keys_time_parse(view_str("202302291"), &t), ERR_FORMAT);
    assert_int_equal(authorized_keys_time_parse(view_str(""), &t), ERR_FORMAT);
    assert_int_equal(authorized_keys_time_parse(view_str("20240101245959Z"), &t), ERR_FORMAT);
    setenv("TZ", "UTC-2", 1);
    tzset();
    assert_ok(authorized_keys_time_parse(view_str("20240229"), &t));
    assert_int_equal(t, 1709164800 - 7200);
    unsetenv("TZ");
    tzset();
}

static void lines_are_parsed(UNUSED void **state)
{
    struct authorized_keys_line l = {};
    assert_int_equal(authorized_keys_line_parse(view_str(" "), &l), 0);
    assert_int_equal(authorized_keys_line_parse(view_str("\t# ssh-rsa AAAA"), &l), 0);
    assert_int_equal(authorized_keys_line_parse(view_str("ssh-rsa"), &l), ERR_FORMAT);
    assert_int_equal(authorized_keys_line_parse(view_str("ssh-rsa AAAA me and you "), &l), 1);
    assert_view(l.options, "");
    assert_view(l.comment, "me and you");
    assert_int_equal(authorized_keys_line_parse(view_str("command=\"a b \\\" c\",pty ssh-rsa AAAA"), &l), 1);
    assert_view(l.options, "command=\"a b \\\" c\",pty");
    assert_view(l.type, "ssh-rsa");
    assert_view(l.base64, "AAAA");
    assert_view(l.comment, "");
    assert_int_equal(authorized_keys_line_parse(view_str("command=\"open ssh-rsa AAAA"), &l), ERR_FORMAT);
}

static void add(struct buf *file, const char *options, const char *public)
{
    assert_ok(buf_put_str(file, options));
    assert_ok(buf_put_str(file, public));
    assert_ok(buf_put_str(file, "\n"));
}

static void keys_are_found(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536);
    CLEANUP(key_unrefp)
    struct key *k = test_public(test_ed25519_public), *cert = test_public(test_ed25519_cert), *rsa = test_public(test_rsa_public);
    add(&f, "# ", test_ed25519_public);
    add(&f, "", test_ecdsa_public);
    add(&f, "no-pty ", test_ed25519_public);
    add(&f, "command=\"x ", test_ed25519_public); /* inside of a quote that never ends */
    add(&f, "ssh-rsa ", test_ed25519_public);     /* the wrong type before it */
    add(&f, "cert-authority ", test_ca_public);
    add(&f, "", test_ed25519_public);
    struct authorized_keys_scan scan;
    struct authorized_keys_line l;
    assert_ok(authorized_keys_scan_init(&scan, buf_view(&f), key_blob(k)));
    assert_true(authorized_keys_next(&scan, &l));
    assert_int_equal(l.number, 3);
    assert_view(l.options, "no-pty");
    assert_view(l.comment, "ed25519@test");
    assert_true(authorized_keys_next(&scan, &l));
    assert_int_equal(l.number, 7);
    assert_false(authorized_keys_next(&scan, &l));
    assert_false(authorized_keys_next(&scan, &l));
    authorized_keys_scan_done(&scan);
    assert_ok(authorized_keys_scan_init(&scan, buf_view(&f), key_blob(cert)));
    assert_true(scan.is_cert);
    assert_true(authorized_keys_next(&scan, &l));
    assert_int_equal(l.number, 6);
    assert_view(l.options, "cert-authority");
    assert_false(authorized_keys_next(&scan, &l));
    authorized_keys_scan_done(&scan);
    assert_ok(authorized_keys_scan_init(&scan, buf_view(&f), key_blob(rsa)));
    assert_false(authorized_keys_next(&scan, &l));
    authorized_keys_scan_done(&scan);
    assert_true(authorized_keys_scan_init(&scan, buf_view(&f), view_str("nonsense")) < 0);
    authorized_keys_scan_done(&scan);
}

static void many_lines_are_quick(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(64u << 20);
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    for (unsigned i = 0; i < 20000; i++) add(&f, i % 2 ? "no-pty " : "", test_rsa_public);
    add(&f, "", test_ed25519_public);
    struct authorized_keys_scan scan;
    struct authorized_keys_line l;
    clock_t start = clock();
    assert_ok(authorized_keys_scan_init(&scan, buf_view(&f), key_blob(k)));
    assert_true(authorized_keys_next(&scan, &l));
    double ms_used = (double)(clock() - start) * 1e3 / CLOCKS_PER_SEC;
    assert_int_equal(l.number, 20001);
    print_message("20,000 lines: %.1f ms\n", ms_used);
    assert_true(ms_used < 500);
    authorized_keys_scan_done(&scan);
}

static void principals_lines(UNUSED void **state)
{
    struct view options, principal;
    assert_int_equal(principals_line_parse(VIEW_LIT("  # only this"), &options, &principal), 0);
    assert_int_equal(principals_line_parse(VIEW_LIT(" \t"), &options, &principal), 0);
    assert_int_equal(principals_line_parse(VIEW_LIT(" web "), &options, &principal), 1);
    assert_true(options.len == 0 && view_eq_str(principal, "web"));
    assert_int_equal(principals_line_parse(VIEW_LIT("command=\"a \\\"# b\",no-pty \tweb# c"), &options, &principal), 1);
    assert_true(view_eq_str(options, "command=\"a \\\"# b\",no-pty") && view_eq_str(principal, "web"));
}

static void merged_options_permit_what_both_do(UNUSED void **state)
{
    struct authorized_keys_options a, b;
    authorized_keys_options_init(&a);
    authorized_keys_options_init(&b);
    assert_null(parse("no-pty,no-touch-required,permitopen=\"h:1\",expiry-time=\"20300102Z\"", &a));
    assert_null(
        parse("no-user-rc,command=\"x\",verify-required,permitopen=\"h:2\",environment=\"A=1\",expiry-time=\"20290102Z\"", &b));
    assert_int_equal(authorized_keys_options_merge(&a, &b), 0);
    assert_false(a.permit_pty || a.permit_user_rc || a.no_touch_required);
    assert_true(a.verify_required && a.permit_agent);
    assert_string_equal(a.command, "x");
    assert_true(a.permitopen.n == 1 && strcmp(a.permitopen.v[0], "h:1") == 0 && a.environment.n == 1);
    int64_t earliest;
    assert_int_equal(authorized_keys_time_parse(VIEW_LIT("20290102Z"), &earliest), 0);
    assert_true(a.expiry_s == earliest);
    assert_null(parse("command=\"x\"", &b));
    assert_int_equal(authorized_keys_options_merge(&a, &b), 0);
    assert_null(parse("command=\"y\"", &b));
    assert_int_equal(authorized_keys_options_merge(&a, &b), ERR_DENIED);
    authorized_keys_options_done(&a);
    authorized_keys_options_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_options_permit_all),
        cmocka_unit_test(all_options_are_known),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(times_are_parsed),
        cmocka_unit_test(lines_are_parsed),
        cmocka_unit_test(keys_are_found),
        cmocka_unit_test(many_lines_are_quick),
        cmocka_unit_test(principals_lines),
        cmocka_unit_test(merged_options_permit_what_both_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
