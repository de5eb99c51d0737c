/* Patterns: examples, a slow and obvious matcher beside the fast one, and the time that a nasty pattern takes. */
#include "base/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static bool obvious(const char *t, const char *p)
{
    if (*p == '*') return obvious(t, p + 1) || (*t && obvious(t + 1, p));
    if (!*p) return !*t;
    return *t && (*p == '?' || *p == *t) && obvious(t + 1, p + 1);
}

static void test_against_obvious(UNUSED void **state)
{
    uint32_t x = 3;
    for (int i = 0; i < 200000; i++) {
        char t[9] = "", p[9] = "";
        x = x * 1664525u + 1013904223u;
        for (size_t k = 0, n = x >> 29; k < n; k++) t[k] = "ab"[x >> (8 + k) & 1];
        x = x * 1664525u + 1013904223u;
        for (size_t k = 0, n = x >> 29; k < n; k++) p[k] = "ab*?"[x >> (8 + 2 * k) & 3];
        if (pattern_matches(view_str(t), view_str(p)) != obvious(t, p)) fail_msg("'%s' and '%s'", t, p);
    }
}

static void test_case(UNUSED void **state)
{
    assert_false(pattern_matches(VIEW_LIT("Host"), VIEW_LIT("host")));
    assert_true(pattern_matches_nocase(VIEW_LIT("HOST.example"), VIEW_LIT("h?st.EX*")));
}

static void test_lists(UNUSED void **state)
{
#define LIST(text, list) pattern_list_match(VIEW_LIT(text), VIEW_LIT(list))
    assert_int_equal(LIST("a.example", "*.example"), 1);
    assert_int_equal(LIST("a.example", "b,*.example"), 1);
    assert_int_equal(LIST("a.example", "*.example,!a.*"), -1);
    assert_int_equal(LIST("a.example", "!a.*,*.example"), -1);
    assert_int_equal(LIST("b.example", "!a.*,*.example"), 1);
    assert_int_equal(LIST("b.example", "!a.*"), 0); /* a negated pattern alone matches nothing */
    assert_int_equal(LIST("b", ""), 0);
    assert_int_equal(LIST("A", "a"), 0);
    assert_int_equal(pattern_list_match_nocase(VIEW_LIT("A"), VIEW_LIT("x,a")), 1);
    assert_int_equal(pattern_list_match_nocase(VIEW_LIT("A"), VIEW_LIT("*,!a")), -1);
}

/* With recursion this would not end today. */
static void test_no_blow_up(UNUSED void **state)
{
    char text[2001], pattern[401];
    memset(text, 'a', 2000);
    for (int i = 0; i < 400; i += 2) memcpy(pattern + i, "*a", 2);
    pattern[399] = 'b';
    assert_false(pattern_matches(view_of(text, 2000), view_of(pattern, 400)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_obvious),
        cmocka_unit_test(test_case),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_no_blow_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
