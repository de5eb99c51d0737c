/* String vectors stay NULL-terminated through growth; and the list functions of view.h. */
#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_growth(UNUSED void **state)
{
    CLEANUP(strv_done) struct strv s = STRV_INIT, copy = STRV_INIT;
    for (int i = 0; i < 3000; i++) {
        char text[20];
        snprintf(text, sizeof text, "text %d", i);
        assert_int_equal(strv_add(&s, view_str(text)), 0);
        assert_int_equal(s.n, i + 1);
        assert_string_equal(s.v[i], text);
        assert_null(s.v[i + 1]);
    }
    assert_string_equal(s.v[0], "text 0");
    assert_int_equal(strv_copy(&copy, &s), 0);
    assert_int_equal(copy.n, 3000);
    assert_ptr_not_equal(copy.v[5], s.v[5]);
    assert_string_equal(copy.v[2999], "text 2999");
    strv_done(&s);
    assert_null(s.v);
    assert_int_equal(s.n, 0);
    assert_int_equal(strv_add(&s, VIEW_EMPTY), 0);
    assert_string_equal(s.v[0], "");
}

static void test_take(UNUSED void **state)
{
    CLEANUP(strv_done) struct strv s = STRV_INIT;
    char *text = view_dup_str(VIEW_LIT("mine"));
    assert_int_equal(strv_add_take(&s, text), 0);
    assert_ptr_equal(s.v[0], text);
    assert_int_equal(strv_add_take(&s, NULL), ERR_NOMEM);
    assert_int_equal(s.n, 1);
}

static void test_lists(UNUSED void **state)
{
    struct view list = VIEW_LIT("a,,bc,"), one;
    static const char *const expected[] = { "a", "", "bc", "" };
    size_t n = 0;
    while (view_next_in_list(&list, &one)) {
        assert_true(n < 4);
        assert_true(view_eq_str(one, expected[n++]));
    }
    assert_int_equal(n, 4);
    list = VIEW_EMPTY;
    assert_false(view_next_in_list(&list, &one));
    assert_true(view_list_has(VIEW_LIT("ab,cd"), VIEW_LIT("cd")));
    assert_false(view_list_has(VIEW_LIT("ab,cd"), VIEW_LIT("c")));
    assert_false(view_list_has(VIEW_LIT("ab,cd"), VIEW_LIT("ab,cd")));
    assert_false(view_list_has(VIEW_EMPTY, VIEW_LIT("a")));
}

static void test_views(UNUSED void **state)
{
    struct view v = VIEW_LIT("abcdef");
    assert_true(view_eq_str(view_sub(v, 2, 2), "cd"));
    assert_true(view_eq_str(view_sub(v, 2, SIZE_MAX), "cdef"));
    assert_int_equal(view_sub(v, 9, 2).len, 0);
    assert_int_equal(view_sub(VIEW_EMPTY, 1, 1).len, 0);
    assert_true(view_has_prefix(v, "abc"));
    assert_false(view_has_prefix(v, "abcdefg"));
    assert_true(view_has_nul(VIEW_LIT("a\0")));
    assert_false(view_has_nul(VIEW_EMPTY));
    assert_true(view_eq(VIEW_EMPTY, view_str(NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
