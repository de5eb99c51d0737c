#include "prog/sshd/penalties.h"

#include "key/test_util.h"

#include <arpa/inet.h>
#include <stdio.h>

static struct sock_addr address(const char *text)
{
    struct sock_addr a = { .len = sizeof a.in };
    a.in.sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) return a;
    a = (struct sock_addr){ .len = sizeof a.in6 };
    a.in6.sin6_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
    return a;
}

static struct penalties *make(struct conf_penalties c, const char *exempt)
{
    static const struct conf_net_block block = { 24, 64 };
    struct penalties *p;
    c.on = true;
    if (!c.max_sources4) c.max_sources4 = c.max_sources6 = 3;
    if (!c.max_ms) c.max_ms = 600000;
    assert_int_equal(penalties_new(&c, &block, exempt, &p), 0);
    return p;
}

static struct penalty_note add(struct penalties *p, const char *from, enum penalty kind, ms now)
{
    struct sock_addr a = address(from);
    struct penalty_note n;
    penalties_add(p, &a, kind, now, &n);
    return n;
}

static const char *refuse(struct penalties *p, const char *from, ms now)
{
    struct sock_addr a = address(from);
    bool first = false;
    return penalties_refuse(p, &a, now, &first);
}

static void they_accumulate_from_min_to_max(UNUSED void **state)
{
    struct penalties *p = make((struct conf_penalties){ .authfail_ms = 5000, .min_ms = 12000, .max_ms = 17000 }, NULL);
    struct penalty_note n = add(p, "10.1.1.1", PENALTY_AUTHFAIL, 0);
    assert_true(n.span_ms == 5000 && !n.is_active);
    assert_string_equal(n.source, "10.1.1.0/24");
    assert_null(refuse(p, "10.1.1.1", 1));
    n = add(p, "10.1.1.2", PENALTY_AUTHFAIL, 0);
    assert_true(n.span_ms == 10000 && !n.is_active);
    n = add(p, "10.1.1.1", PENALTY_AUTHFAIL, 1000);
    assert_true(n.span_ms == 14000 && n.is_active);
    n = add(p, "10.1.1.1", PENALTY_AUTHFAIL, 1000);
    assert_int_equal(n.span_ms, 17000);
    assert_string_equal(refuse(p, "10.1.1.77", 17999), "penalty: failed authentication");
    assert_null(refuse(p, "10.1.2.77", 17999));
    assert_null(refuse(p, "10.1.1.77", 18000));
    assert_int_equal(penalties_n(p, 18000), 0);
    assert_int_equal(add(p, "10.1.1.1", PENALTY_NOAUTH, 1000).span_ms, 0); /* costs nothing here */
    penalties_free(p);
}

static void some_are_exempt(UNUSED void **state)
{
    struct penalties *p = make((struct conf_penalties){ .crash_ms = 90000 }, "10.0.0.0/8,2001:db8::1");
    assert_int_equal(add(p, "10.1.1.1", PENALTY_CRASH, 0).span_ms, 0);
    assert_int_equal(add(p, "2001:db8::1", PENALTY_CRASH, 0).span_ms, 0);
    assert_int_equal(add(p, "2001:db8::2", PENALTY_CRASH, 0).span_ms, 90000);
    assert_string_equal(refuse(p, "2001:db8::3", 1), "penalty: caused crash");
    assert_null(refuse(p, "2001:db8::1", 1));
    assert_null(refuse(p, "2001:db8:0:1::3", 1));
    assert_string_equal(add(p, "::ffff:11.2.3.4", PENALTY_CRASH, 0).source, "11.2.3.0/24");
    penalties_free(p);
}

static void overflow(UNUSED void **state)
{
    struct penalties *p = make((struct conf_penalties){ .crash_ms = 1000, .authfail_ms = 500 }, NULL);
    add(p, "1.1.1.1", PENALTY_CRASH, 0);
    add(p, "2.1.1.1", PENALTY_AUTHFAIL, 0);
    add(p, "3.1.1.1", PENALTY_CRASH, 0);
    add(p, "4.1.1.1", PENALTY_CRASH, 0);
    assert_null(refuse(p, "2.1.1.1", 1)); /* gave way */
    assert_non_null(refuse(p, "1.1.1.1", 1));
    assert_non_null(refuse(p, "4.1.1.1", 1));
    assert_null(refuse(p, "5.1.1.1", 1));
    assert_int_equal(penalties_n(p, 1), 3);
    penalties_free(p);
    p = make((struct conf_penalties){ .crash_ms = 1000, .overflow4_deny_all = true }, NULL);
    for (int i = 1; i < 6; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d.1.1.1", i);
        add(p, text, PENALTY_CRASH, i);
    }
    assert_non_null(refuse(p, "9.1.1.1", 500));
    assert_null(refuse(p, "::9", 500)); /* the other family has room */
    assert_null(refuse(p, "9.1.1.1", 1001));
    penalties_free(p);
}

static void many_sources(UNUSED void **state)
{
    struct penalties *p = make((struct conf_penalties){ .crash_ms = 1000, .max_sources4 = 5000, .max_sources6 = 1 }, NULL);
    for (unsigned i = 0; i < 20000; i++) {
        struct sock_addr a = { .len = sizeof a.in };
        struct penalty_note n;
        a.in.sin_family = AF_INET;
        a.in.sin_addr.s_addr = htonl((i * 2654435761u) & 0xffffff00);
        penalties_add(p, &a, PENALTY_CRASH, (ms)(i / 16), &n);
        assert_int_equal(n.span_ms >= 1000, true);
    }
    assert_int_equal(penalties_n(p, 1250), 5000);
    assert_int_equal(penalties_n(p, 5000), 0);
    penalties_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_accumulate_from_min_to_max),
        cmocka_unit_test(some_are_exempt),
        cmocka_unit_test(overflow),
        cmocka_unit_test(many_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
