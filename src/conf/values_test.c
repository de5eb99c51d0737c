/* Pieces of values: tokens, forwards, algorithm lists, times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "conf/conf_int.h"
#include "conf/forward.h"
#include "conf/tokens.h"

static const char *get_env(void *arg UNUSED, const char *name) { return strcmp(name, "HOME") == 0 ? "/home/me" : NULL; }

static void expect_expansion(const char *text, const char *expanded)
{
    static const struct conf_token tokens[] = { { 'h', "host" }, { 'p', "22" }, { 'j', NULL } };
    const struct conf_expand x = { tokens, ARRAY_LEN(tokens), get_env, NULL };
    CLEANUP(freep) char *result = NULL;
    char message[100];
    int err = conf_expand_str(&x, text, &result, message, sizeof(message));
    if (!expanded) {
        assert_int_equal(err, ERR_FORMAT);
        assert_true(message[0]);
        return;
    }
    assert_int_equal(err, 0);
    assert_string_equal(result, expanded);
}

static void test_tokens(void **state UNUSED)
{
    expect_expansion("", "");
    expect_expansion("a%hb%%p%p", "ahostb%p22");
    expect_expansion("${HOME}/%h", "/home/me/host");
    expect_expansion("$HOME $", "$HOME $");
    expect_expansion("%x", NULL);
    expect_expansion("%j", NULL);
    expect_expansion("a%", NULL);
    expect_expansion("${NOTHING}", NULL);
    expect_expansion("${HOME", NULL);
    expect_expansion("${}", NULL);
    const struct conf_expand without_env = { NULL, 0, NULL, NULL };
    CLEANUP(freep) char *result = NULL, *home = NULL;
    char message[100];
    assert_int_equal(conf_expand_str(&without_env, "${HOME}", &result, message, sizeof(message)), 0);
    assert_string_equal(result, "${HOME}");
    assert_int_equal(conf_expand_home("~/x", "/h", &home), 0);
    assert_string_equal(home, "/h/x");
}

/* "listen_host|listen_port|listen_path|connect_host|connect_port|connect_path|socks" */
static void expect_forward(enum conf_forward_kind kind, const char *spec, const char *fields)
{
    struct conf_forward f;
    char text[256];
    int err = conf_forward_parse(kind, view_str(spec), &f);
    if (!fields) {
        if (err != ERR_FORMAT) fail_msg("%s is taken", spec);
        return;
    }
    if (err != 0) fail_msg("%s is refused", spec);
    snprintf(text, sizeof(text), "%s|%d|%s|%s|%d|%s|%d", f.listen_host ? f.listen_host : "-", f.listen_port,
             f.listen_path ? f.listen_path : "-", f.connect_host ? f.connect_host : "-", f.connect_port,
             f.connect_path ? f.connect_path : "-", f.socks);
    assert_string_equal(text, fields);
    conf_forward_done(&f);
}

static void test_forwards(void **state UNUSED)
{
    expect_forward(CONF_FORWARD_LOCAL, "8080:host:80", "-|8080|-|host|80|-|0");
    expect_forward(CONF_FORWARD_LOCAL, "*:8080:host:80", "*|8080|-|host|80|-|0");
    expect_forward(CONF_FORWARD_LOCAL, ":8080:host:80", "|8080|-|host|80|-|0");
    expect_forward(CONF_FORWARD_LOCAL, "[::1]:8080:[fe80::2]:80", "::1|8080|-|fe80::2|80|-|0");
    expect_forward(CONF_FORWARD_LOCAL, "8080:/run/x", "-|8080|-|-|0|/run/x|0");
    expect_forward(CONF_FORWARD_LOCAL, "a:8080:/run/x", "a|8080|-|-|0|/run/x|0");
    expect_forward(CONF_FORWARD_LOCAL, "/s:host:80", "-|0|/s|host|80|-|0");
    expect_forward(CONF_FORWARD_LOCAL, "/s:/t", "-|0|/s|-|0|/t|0");
    expect_forward(CONF_FORWARD_REMOTE, "0:host:80", "-|0|-|host|80|-|0");
    expect_forward(CONF_FORWARD_REMOTE, "1080", "-|1080|-|-|0|-|1");
    expect_forward(CONF_FORWARD_REMOTE, "a:1080", "a|1080|-|-|0|-|1");
    expect_forward(CONF_FORWARD_DYNAMIC, "1080", "-|1080|-|-|0|-|1");
    expect_forward(CONF_FORWARD_DYNAMIC, "[::1]:1080", "::1|1080|-|-|0|-|1");
    static const char *const bad_local[] = {
        "",          "8080",        "8080:80",   "0:host:80", "8080:host:0",   "8080:host:x",   "8080::80",
        "a:b:c:d:e", "[::1:80:h:1", "65536:h:1", "-1:h:1",    "[::1]x:80:h:1", "1080:[socks]:0"
    };
    for (size_t i = 0; i < ARRAY_LEN(bad_local); i++) expect_forward(CONF_FORWARD_LOCAL, bad_local[i], NULL);
    expect_forward(CONF_FORWARD_DYNAMIC, "1080:host:80", NULL);
    expect_forward(CONF_FORWARD_DYNAMIC, "/x", NULL);
    expect_forward(CONF_FORWARD_DYNAMIC, "0", NULL);
}

static void expect_algs(enum conf_algs kind, const char *list, const char *expanded)
{
    static const struct conf_algorithms algs = {
        .supported = { "k1,k2,k3,old", "c1,c2", "m1", "ssh-a,ssh-b,rsa-1,rsa-2", "ssh-a,rsa-1" },
        .defaults = { "k1,k2,k3", "c1,c2", "m1", "ssh-a,rsa-1", "ssh-a" },
    };
    CLEANUP(freep) char *result = NULL;
    struct view bad = VIEW_EMPTY;
    int err = conf_algorithms_expand(kind, &algs, list, &result, &bad);
    if (!expanded) {
        assert_int_equal(err, ERR_UNSUPPORTED);
        assert_true(bad.len > 0);
        return;
    }
    assert_int_equal(err, 0);
    assert_string_equal(result, expanded);
}

static void test_algorithm_lists(void **state UNUSED)
{
    expect_algs(CONF_ALGS_KEX, NULL, "k1,k2,k3");
    expect_algs(CONF_ALGS_KEX, "k3,k1,k3,,old", "k3,k1,old");
    expect_algs(CONF_ALGS_KEX, "+old,k1", "k1,k2,k3,old");
    expect_algs(CONF_ALGS_KEX, "-k*", "");
    expect_algs(CONF_ALGS_KEX, "-k2,none", "k1,k3");
    expect_algs(CONF_ALGS_KEX, "^k3,old", "k3,old,k1,k2");
    expect_algs(CONF_ALGS_KEX, "k*", NULL);
    expect_algs(CONF_ALGS_KEX, "+nope", NULL);
    expect_algs(CONF_ALGS_KEX, "^nope", NULL);
    expect_algs(CONF_ALGS_KEYS, "ssh-*", "ssh-a,ssh-b");
    expect_algs(CONF_ALGS_KEYS, "+*", "ssh-a,rsa-1,ssh-b,rsa-2");
    expect_algs(CONF_ALGS_KEYS, "^rsa-*", "rsa-1,rsa-2,ssh-a");
}

static void test_times(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool fraction;
        int64_t span;
    } cases[] = {
        { "0", false, 0 },         { "90", false, 90000 },   { "1h30m", false, 5400000 }, { "1W2d3H4m5s", false, 788645000 },
        { "1.5", true, 1500 },     { "0.25m", true, 15000 }, { "", false, -1 },           { "-1", false, -1 },
        { "1.5", false, -1 },      { "1x", false, -1 },      { "m", false, -1 },          { "99999999999999999999", false, -1 },
        { "9999999w", false, -1 }, { "1 h", false, -1 }
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t span = -1;
        int err = conf_time(view_str(cases[i].text), cases[i].fraction, &span);
        if (err != (cases[i].span < 0 ? ERR_FORMAT : 0) || span != cases[i].span)
            fail_msg("%s gives %d, %lld", cases[i].text, err, (long long)span);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_tokens), cmocka_unit_test(test_forwards),
                                        cmocka_unit_test(test_algorithm_lists), cmocka_unit_test(test_times) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
