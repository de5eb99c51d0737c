/* The error table: each row has words, a reason that RFC 4253 11.1 knows, and a text of its own. */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_rows(UNUSED void **state)
{
    for (int a = 1; a < ERR_IDX_MAX; a++) {
        const char *text = err_text(-a);
        assert_true(strlen(text) > 0);
        assert_true(text[strlen(text) - 1] != '.');
        assert_in_range(err_disconnect_reason(-a), 1, 15);
        assert_in_range(err_severity_of(-a), ERR_SEVERITY_GO_ON, ERR_SEVERITY_BUG);
        assert_false(err_is_sys(-a));
        assert_int_equal(err_errno(-a), 0);
        for (int b = 1; b < a; b++) assert_string_not_equal(text, err_text(-b));
    }
    assert_string_equal(err_text(0), "success");
    assert_int_equal(err_disconnect_reason(ERR_MAC), 5);
    assert_int_equal(err_severity_of(ERR_MAC), ERR_SEVERITY_FATAL);
    assert_int_equal(err_disconnect_reason(ERR_NO_KEX_ALG), 3);
}

static void test_outside(UNUSED void **state)
{
    assert_string_equal(err_text(1), "unknown error");
    assert_string_equal(err_text(-ERR_IDX_MAX), "unknown error");
    assert_int_equal(err_severity_of(-ERR_IDX_MAX), ERR_SEVERITY_BUG);
    assert_int_equal(err_disconnect_reason(-ERR_IDX_MAX), 2);
}

static void test_system(UNUSED void **state)
{
    int err = ERR_SYS(ENOENT);
    assert_true(err < 0 && err_is_sys(err));
    assert_int_equal(err_errno(err), ENOENT);
    assert_string_equal(err_text(err), strerror(ENOENT));
    assert_int_equal(err_severity_of(err), ERR_SEVERITY_FATAL);
}

static int tried(int r)
{
    TRY(r);
    return 7;
}

static void test_try(UNUSED void **state)
{
    assert_int_equal(tried(ERR_LIMIT), ERR_LIMIT);
    assert_int_equal(tried(0), 7);
    assert_int_equal(tried(1), 7); /* positive results are no errors */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_system),
        cmocka_unit_test(test_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
