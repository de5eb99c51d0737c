/* Log lines: levels, escaping, cutting, names. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct seen {
    unsigned n;
    enum log_level level;
    char line[LOG_LINE_BYTES];
};

static void sink(void *arg, enum log_level level, const char *text)
{
    struct seen *s = arg;
    s->n++;
    s->level = level;
    assert_true(strlen(text) < sizeof s->line);
    strcpy(s->line, text);
}

static void test_levels(UNUSED void **state)
{
    static struct seen s;
    struct log log = { LOG_LEVEL_VERBOSE, sink, &s };
    log_debug(&log, "no");
    assert_int_equal(s.n, 0);
    log_verbose(&log, "%d %s", 5, "yes");
    assert_int_equal(s.n, 1);
    assert_int_equal(s.level, LOG_LEVEL_VERBOSE);
    assert_string_equal(s.line, "5 yes");
    log_error(&log, "e");
    assert_int_equal(s.level, LOG_LEVEL_ERROR);
    log.level = LOG_LEVEL_QUIET;
    log_error(&log, "e");
    assert_int_equal(s.n, 2);
    log_error(NULL, "swallowed");
    assert_false(log_wants(NULL, LOG_LEVEL_FATAL));
}

static void test_foreign_bytes(UNUSED void **state)
{
    static struct seen s;
    struct log log = { LOG_LEVEL_DEBUG3, sink, &s };
    log_info(&log, "name '%.*s'", VIEW_ARG(VIEW_LIT("a\n\x1b]0;x\x07")));
    assert_string_equal(s.line, "name 'a\\012\\033]0;x\\007'");
    log_info(&log, "%.*s", VIEW_ARG(VIEW_EMPTY));
    assert_string_equal(s.line, "");
}

static void test_long_lines(UNUSED void **state)
{
    static struct seen s;
    static char text[3 * LOG_LINE_BYTES];
    struct log log = { LOG_LEVEL_DEBUG3, sink, &s };
    memset(text, 'x', sizeof text - 1);
    log_info(&log, "%s", text);
    assert_int_equal(strlen(s.line), LOG_LINE_BYTES - 1);
    memset(text, '\n', sizeof text - 1);
    log_info(&log, "%s", text);
    assert_true(strlen(s.line) < LOG_LINE_BYTES && strlen(s.line) % 4 == 0);
}

static void test_names(UNUSED void **state)
{
    for (int l = 0; l < LOG_LEVEL_MAX; l++) assert_int_equal(log_level_from_name(log_level_name((enum log_level)l)), l);
    assert_int_equal(log_level_from_name("debug"), LOG_LEVEL_DEBUG1);
    assert_int_equal(log_level_from_name("Verbose"), LOG_LEVEL_VERBOSE);
    assert_int_equal(log_level_from_name("LOUD"), -1);
    assert_int_equal(log_level_from_name(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_foreign_bytes),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
