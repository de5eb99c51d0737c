/* The line's shape in every range of its numbers. */
#include "io/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>

static void assert_line(const struct meter_line *l, unsigned width, const char *expected)
{
    char line[METER_LINE_BYTES];
    meter_format(l, width, line);
    assert_string_equal(line, expected);
}

static void test_shape(void **state)
{
    (void)state;
    /* As OpenSSH 9.2 drew them at 60 columns. */
    assert_line(&(struct meter_line){ .name = "python3.11", .bytes = 6831736, .bytes_s = 225548697, .percent = 100, .done = true },
                60, "python3.11                100% 6672KB 215.1MB/s   00:00    ");
    assert_line(&(struct meter_line){ .name = "big", .time_ms = MS_NEVER }, 60,
                "big                         0%    0     0.0KB/s   --:-- ETA");
    assert_line(&(struct meter_line){ .name = "big", .bytes = 9922560, .bytes_s = 9751757, .percent = 3, .time_ms = 29999 }, 60,
                "big                         3% 9690KB   9.3MB/s   00:29 ETA");
    assert_line(&(struct meter_line){ .name = "k.pub", .bytes = 9999, .bytes_s = 7577, .percent = 100, .time_ms = 4000000 }, 60,
                "k.pub                     100% 9999     7.3KB/s 1:06:40 ETA");
    assert_line(&(struct meter_line){ .name = "k", .bytes = UINT64_MAX, .bytes_s = UINT64_MAX, .percent = 1, .stalled = true }, 60,
                "k                           1%   16EB  16.0EB/s - stalled -");
}

static void test_names(void **state)
{
    (void)state;
    struct meter_line l = { .name = "\033[2J\n", .time_ms = 0 };
    assert_line(&l, 60, "\\033[2J\\012                 0%    0     0.0KB/s   00:00 ETA");
    l.name = "a name that is too long for its room, which is cut";
    assert_line(&l, 60, "a name that is too long f   0%    0     0.0KB/s   00:00 ETA");
    if (!setlocale(LC_CTYPE, "C.UTF-8")) return;
    l.name = "h\xc3\xa9llo";
    assert_line(&l, 60, "h\xc3\xa9llo                       0%    0     0.0KB/s   00:00 ETA");
    l.name = "\xe6\xbc\xa2\xe5\xad\x97"; /* two columns each */
    assert_line(&l, 60, "\xe6\xbc\xa2\xe5\xad\x97                        0%    0     0.0KB/s   00:00 ETA");
    assert_line(&l, 39, "\xe6\xbc\xa2\xe5\xad\x97   0%    0     0.0KB/s   00:00 ETA");
    assert_line(&l, 38, "\xe6\xbc\xa2    0%    0     0.0KB/s   00:00 ETA");
}

static void test_narrow(void **state)
{
    (void)state;
    char line[METER_LINE_BYTES];
    for (unsigned width = 0; width < 40; width++) {
        meter_format(&(struct meter_line){ .name = "name" }, width, line);
        assert_true(strlen(line) < MAX(width, 2u));
    }
    meter_format(&(struct meter_line){ .name = "name" }, 100000, line);
    assert_true(strlen(line) < METER_LINE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
