#include "key/known_hosts.h"
#include "key/test_util.h"

#include <stdio.h>
#include <time.h>

/* "type base64" of a .pub line */
static struct view key_text(const char *public)
{
    struct public_line l;
    assert_ok(public_line_split(view_str(public), &l));
    return view_of(l.type.p, (size_t)(l.base64.p + l.base64.len - l.type.p));
}

static void add(struct buf *file, const char *head, const char *public, const char *tail)
{
    assert_ok(buf_put_str(file, head));
    assert_ok(buf_put_str(file, " "));
    assert_ok(buf_put_view(file, key_text(public)));
    assert_ok(buf_put_str(file, tail));
}

static struct known_hosts_verdict check(const struct buf *file, const char *name, const char *public)
{
    CLEANUP(key_unrefp) struct key *k = test_public(public);
    struct view names[] = { view_str(name) };
    struct known_hosts_verdict v;
    assert_ok(known_hosts_check(buf_view(file), names, 1, key_blob(k), &v));
    return v;
}

static void names_have_ports(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf name = BUF_INIT(256);
    assert_ok(known_hosts_name_put(view_str("Host.Example"), 22, &name));
    assert_view(buf_view(&name), "host.example");
    buf_reset(&name);
    assert_ok(known_hosts_name_put(view_str("FE80::1"), 2222, &name));
    assert_view(buf_view(&name), "[fe80::1]:2222");
}

static void lines_are_parsed(UNUSED void **state)
{
    struct known_hosts_line l = {};
    assert_int_equal(known_hosts_line_parse(view_str("  "), &l), 0);
    assert_int_equal(known_hosts_line_parse(view_str(" # x y z"), &l), 0);
    assert_int_equal(known_hosts_line_parse(view_str("host ssh-rsa"), &l), ERR_FORMAT);
    assert_int_equal(known_hosts_line_parse(view_str("@other host ssh-rsa AAAA"), &l), ERR_FORMAT);
    assert_int_equal(known_hosts_line_parse(view_str("host 2048 35 1234567"), &l), ERR_FORMAT);
    assert_int_equal(known_hosts_line_parse(view_str("@cert-authority\t*.x,y  ssh-rsa AAAA a comment \r"), &l), 1);
    assert_int_equal(l.marker, KNOWN_HOSTS_CA);
    assert_view(l.names, "*.x,y");
    assert_view(l.type, "ssh-rsa");
    assert_view(l.base64, "AAAA");
    assert_view(l.comment, "a comment");
}

static void names_match(UNUSED void **state)
{
    static const struct row {
        const char *names, *name;
        bool matches;
    } rows[] = {
        { "host", "host", true },
        { "host", "hosts", false },
        { "HOST", "host", true },
        { "a,b,host", "host", true },
        { "*.x.org,!bad.x.org", "a.x.org", true },
        { "*.x.org,!bad.x.org", "bad.x.org", false },
        { "!host", "host", false },
        { "h?st", "host", true },
        { "*", "[host]:2222", true },
        { "[host]:2222", "host", false },
        { "[host]:2222", "[host]:2222", true },
        { "", "host", false },
        { ",host,", "host", true },
        { "!", "host", false },
        { "|1|JfKTdBh7rNbXkVAQCRp4OQoPfmI=|USECr3SWf1JUPsms5AqfD5QfxkM=", "www.example.org", false },
        { "|1|short|x", "host", false },
        { "|1|", "host", false },
        { "|2|JfKTdBh7rNbXkVAQCRp4OQoPfmI=|USECr3SWf1JUPsms5AqfD5QfxkM=", "x", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct known_hosts_line l = { .names = view_str(rows[i].names) };
        if (known_hosts_line_matches(&l, view_str(rows[i].name)) != rows[i].matches)
            fail_msg("%s against %s", rows[i].name, rows[i].names);
    }
}

static void hashed_names_match(UNUSED void **state)
{
    uint8_t counter = 3;
    const struct random random = { test_random_fill, &counter };
    CLEANUP(buf_done) struct buf hash = BUF_INIT(256);
    assert_ok(known_hosts_hash_put(view_str("MyHost"), &random, &hash));
    assert_int_equal(buf_len(&hash), 60);
    struct known_hosts_line l = { .names = buf_view(&hash) };
    assert_true(known_hosts_line_matches(&l, view_str("myhost")));
    assert_false(known_hosts_line_matches(&l, view_str("myhosts")));
    assert_true(known_hosts_is_hashed(l.names));
    /* by ssh-keygen -H of Debian 12 */
    l.names = view_str("|1|bv6B70gdOdzMIVFOe+kbyOpL76E=|sSAgyzTkB08UxigC3b3WDurJdN8=");
    assert_true(known_hosts_line_matches(&l, view_str("myhost")));
}

static void keys_are_judged(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536);
    assert_ok(buf_put_str(&f, "# comment\nbroken line\n"));
    add(&f, "a,10.0.0.1", test_ed25519_public, " comment\n");
    add(&f, "b", test_ca_public, "\n");
    add(&f, "b", test_ed25519_public, "\n");
    add(&f, "c", test_ca_public, "\r\n");
    add(&f, "c", test_ecdsa_public, "\n");
    add(&f, "d", test_ed25519_public, "\n");
    add(&f, "@revoked *", test_rsa_public, "\n");
    add(&f, "d", test_rsa_public, "");
    struct known_hosts_verdict v = check(&f, "a", test_ed25519_public);
    assert_int_equal(v.status, KNOWN_HOSTS_OK);
    assert_int_equal(v.line.number, 3);
    assert_view(v.line.comment, "comment");
    assert_int_equal(check(&f, "10.0.0.1", test_ed25519_public).status, KNOWN_HOSTS_OK);
    v = check(&f, "b", test_ed25519_public); /* a second line may have it */
    assert_int_equal(v.status, KNOWN_HOSTS_OK);
    assert_int_equal(v.line.number, 5);
    v = check(&f, "c", test_ed25519_public);
    assert_int_equal(v.status, KNOWN_HOSTS_CHANGED);
    assert_int_equal(v.line.number, 6);
    v = check(&f, "a", test_ecdsa_public);
    assert_int_equal(v.status, KNOWN_HOSTS_NEW);
    assert_int_equal(v.line.number, 0);
    assert_int_equal(v.other.number, 3);
    v = check(&f, "nowhere", test_ecdsa_public);
    assert_int_equal(v.status, KNOWN_HOSTS_NEW);
    assert_int_equal(v.other.number, 0);
    v = check(&f, "d", test_rsa_public); /* revoked wins over known */
    assert_int_equal(v.status, KNOWN_HOSTS_REFUSED);
    assert_int_equal(v.line.number, 9);
    assert_int_equal(check(&f, "nowhere", test_rsa_public).status, KNOWN_HOSTS_REFUSED);
}

static void certificates_are_judged(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536);
    add(&f, "h", test_ed25519_public, "\n");
    add(&f, "@cert-authority h*", test_ca_public, "\n");
    add(&f, "@cert-authority x", test_ecdsa_public, "\n");
    struct known_hosts_verdict v = check(&f, "h", test_ed25519_cert);
    assert_int_equal(v.status, KNOWN_HOSTS_OK);
    assert_int_equal(v.line.number, 2);
    assert_int_equal(check(&f, "x", test_ed25519_cert).status, KNOWN_HOSTS_NEW);
    assert_int_equal(check(&f, "h", test_ca_public).status, KNOWN_HOSTS_CHANGED); /* a CA's key is no host's key */
    add(&f, "@revoked h", test_ca_public, "\n");
    assert_int_equal(check(&f, "h", test_ed25519_cert).status, KNOWN_HOSTS_REFUSED);
    CLEANUP(buf_done) struct buf g = BUF_INIT(65536);
    add(&g, "@cert-authority h", test_ca_public, "\n");
    add(&g, "@revoked h", test_ed25519_public, "\n");
    assert_int_equal(check(&g, "h", test_ed25519_cert).status, KNOWN_HOSTS_REFUSED);
}

static void types_are_listed(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536);
    add(&f, "h", test_rsa_public, "\n");
    add(&f, "h", test_ecdsa_public, "\n");
    add(&f, "h", test_rsa_public, "\n");
    add(&f, "other", test_ed25519_public, "\n");
    struct view names[] = { view_str("h") };
    struct known_hosts_types types = {};
    known_hosts_types(buf_view(&f), names, 1, &types);
    assert_int_equal(types.n_plain, 2);
    assert_string_equal(types.plain[0]->name, "ssh-rsa");
    assert_string_equal(types.plain[1]->name, "ecdsa-sha2-nistp256");
    assert_false(types.has_ca);
    add(&f, "@cert-authority h", test_ca_public, "\n");
    known_hosts_types(buf_view(&f), names, 1, &types);
    assert_true(types.has_ca);
    assert_int_equal(types.n_plain, 2);
}

static void other_names_of_a_key_are_found(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536);
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    CLEANUP(buf_done) struct buf text = BUF_INIT(4096);
    assert_ok(base64_put(&text, key_blob(k)));
    add(&f, "a", test_rsa_public, "\n");
    add(&f, "b", test_ed25519_public, "\n");
    add(&f, "@cert-authority c", test_ed25519_public, "\n");
    add(&f, "d", test_ed25519_public, "");
    struct view rest = buf_view(&f);
    struct known_hosts_line l;
    size_t number = 0;
    assert_true(known_hosts_next_with_key(&rest, &number, buf_view(&text), &l));
    assert_int_equal(l.number, 2);
    assert_true(known_hosts_next_with_key(&rest, &number, buf_view(&text), &l));
    assert_int_equal(l.number, 4);
    assert_view(l.names, "d");
    assert_false(known_hosts_next_with_key(&rest, &number, buf_view(&text), &l));
}

static void lines_are_made(UNUSED void **state)
{
    uint8_t counter = 1;
    const struct random random = { test_random_fill, &counter };
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536), expected = BUF_INIT(4096);
    struct view names[] = { view_str("[h]:2"), view_str("10.0.0.1") };
    assert_ok(known_hosts_line_put(names, 2, key_blob(k), false, NULL, &f));
    add(&expected, "[h]:2,10.0.0.1", test_ed25519_public, "\n");
    assert_true(view_eq(buf_view(&f), buf_view(&expected)));
    buf_reset(&f);
    assert_ok(known_hosts_line_put(names, 2, key_blob(k), true, &random, &f));
    assert_int_equal(check(&f, "[h]:2", test_ed25519_public).line.number, 1);
    assert_int_equal(check(&f, "10.0.0.1", test_ed25519_public).line.number, 2);
    assert_int_equal(check(&f, "h", test_ed25519_public).status, KNOWN_HOSTS_NEW);
}

struct events {
    size_t changed, wildcard, invalid;
};

static void count_event(void *arg, enum known_hosts_event event, const struct known_hosts_line *l)
{
    struct events *e = arg;
    assert_true(l->number > 0);
    e->changed += event == KNOWN_HOSTS_EVENT_CHANGED;
    e->wildcard += event == KNOWN_HOSTS_EVENT_WILDCARD;
    e->invalid += event == KNOWN_HOSTS_EVENT_INVALID;
}

static void entries_are_removed(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536), kept = BUF_INIT(65536), out = BUF_INIT(65536);
    assert_ok(buf_put_str(&kept, "# comment\n\nbroken\n"));
    add(&kept, "@cert-authority h", test_ca_public, "\n");
    add(&kept, "other", test_ca_public, " c\n");
    assert_ok(buf_put_view(&f, buf_view(&kept)));
    add(&f, "h", test_ca_public, "\n");
    add(&f, "x,h*", test_rsa_public, "");
    struct known_hosts_edit_result result;
    struct events events = {};
    assert_ok(known_hosts_remove(buf_view(&f), view_str("h"), count_event, &events, &out, &result));
    assert_true(view_eq(buf_view(&out), buf_view(&kept)));
    assert_int_equal(result.n_changed, 2);
    assert_int_equal(result.n_invalid, 1);
    assert_int_equal(events.changed, 2);
    assert_int_equal(events.invalid, 1);
}

static void files_are_hashed(UNUSED void **state)
{
    uint8_t counter = 9;
    const struct random random = { test_random_fill, &counter };
    CLEANUP(buf_done) struct buf f = BUF_INIT(65536), out = BUF_INIT(65536), twice = BUF_INIT(65536);
    add(&f, "a,b", test_ca_public, " a comment\n");
    add(&f, "*.x", test_rsa_public, "\n");
    add(&f, "@revoked c", test_ecdsa_public, "\n");
    struct known_hosts_edit_result result;
    struct events events = {};
    assert_ok(known_hosts_hash(buf_view(&f), &random, count_event, &events, &out, &result));
    assert_true(result.has_unhashed);
    assert_int_equal(events.wildcard, 1);
    assert_int_equal(result.n_changed, 1);
    assert_int_equal(check(&out, "a", test_ca_public).line.number, 1);
    assert_int_equal(check(&out, "b", test_ca_public).line.number, 2);
    assert_view(check(&out, "b", test_ca_public).line.comment, "a comment");
    assert_int_equal(check(&out, "q.x", test_rsa_public).line.number, 3);
    assert_int_equal(check(&out, "c", test_ecdsa_public).status, KNOWN_HOSTS_REFUSED);
    assert_null(memmem(buf_bytes(&out), buf_len(&out), "a,b", 3));
    assert_ok(known_hosts_hash(buf_view(&out), &random, NULL, NULL, &twice, &result));
    assert_true(view_eq(buf_view(&out), buf_view(&twice)));
    assert_false(result.has_unhashed);
}

static double ms_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

enum {
    MANY = 50000
};

/* Bounds that only a change of algorithm would break, not a slow machine. */
static void many_lines_are_quick(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf f = BUF_INIT(64u << 20);
    for (unsigned i = 0; i < MANY; i++) {
        char head[64];
        snprintf(head, sizeof(head), "host%u.example.com,10.%u.%u.%u", i, i >> 16, i >> 8 & 255, i & 255);
        add(&f, head, test_ed25519_public, "\n");
    }
    double start = ms_now();
    assert_int_equal(check(&f, "host49999.example.com", test_ed25519_public).line.number, MANY);
    double plain = ms_now() - start;
    uint8_t counter = 0;
    const struct random random = { test_random_fill, &counter };
    CLEANUP(buf_done) struct buf g = BUF_INIT(64u << 20);
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    for (unsigned i = 0; i < MANY; i++) {
        struct view name = view_str(i + 1 == MANY ? "wanted" : "other");
        assert_ok(known_hosts_line_put(&name, 1, key_blob(k), true, &random, &g));
    }
    start = ms_now();
    assert_int_equal(check(&g, "wanted", test_ed25519_public).line.number, MANY);
    print_message("%u lines: %.1f ms, hashed %.1f ms\n", MANY, plain, ms_now() - start);
    assert_true(plain < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_ports), cmocka_unit_test(lines_are_parsed),
        cmocka_unit_test(names_match),      cmocka_unit_test(hashed_names_match),
        cmocka_unit_test(keys_are_judged),  cmocka_unit_test(certificates_are_judged),
        cmocka_unit_test(types_are_listed), cmocka_unit_test(other_names_of_a_key_are_found),
        cmocka_unit_test(lines_are_made),   cmocka_unit_test(entries_are_removed),
        cmocka_unit_test(files_are_hashed), cmocka_unit_test(many_lines_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
