#include "key/cert_validity.h"

#include "key/test_util.h"

#include <stdlib.h>
#include <time.h>

enum {
    NOW = 1700000000, /* 2023-11-14 22:13:20 UTC */
    DAY = 86400
};

static void good_times(UNUSED void **state)
{
    static const struct good {
        const char *text;
        uint64_t after, before;
    } good[] = {
        { "always:forever", 0, UINT64_MAX },
        { "+1d", (NOW - 59) / 60 * 60, NOW + DAY },
        { "+1w2d3h4m5", (NOW - 59) / 60 * 60, NOW + 9 * DAY + 3 * 3600 + 4 * 60 + 5 },
        { "-1d:+10", NOW - DAY, NOW + 10 },
        { "-1W5D:+0s", NOW - 12 * DAY, NOW },
        { "20200101:20300101", 1577836800, 1893456000 },
        { "202001010130Z:20200101013059", 1577842200, 1577842259 },
        { "0x10:0xffff", 16, 65535 },
        { "0x0:0xffffffffffffffff", 0, UINT64_MAX },
        { "always:20300101", 0, 1893456000 },
    };
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t after = 1, before = 1;
        char why[CERT_VALIDITY_WHY_BYTES] = "";
        assert_ok(cert_validity_parse(view_str(good[i].text), NOW, &after, &before, why));
        assert_int_equal(after, good[i].after);
        assert_int_equal(before, good[i].before);
    }
}

static void bad_times(UNUSED void **state)
{
    static const struct bad {
        const char *text, *why;
    } bad[] = {
        { "", "Invalid certificate life specification " },
        { "always", "Invalid certificate life specification always" },
        { ":+1d", "Invalid certificate life specification :+1d" },
        { "-1d:", "Invalid certificate life specification -1d:" },
        { "+1x", "Invalid relative certificate life +1x" },
        { "+", "Invalid relative certificate life +" },
        { "+99999999999", "Invalid relative certificate life +99999999999" },
        { "20301301:20310101", "Invalid from time \"20301301\"" },
        { "1:2", "Invalid from time \"1\"" },
        { "forever:forever", "Invalid from time \"forever\"" },
        { "always:always", "Invalid to time \"always\"" },
        { "always:0x", "Invalid to time \"0x\"" },
        { "always:0xg", "Invalid to time \"0xg\"" },
        { "always:0x-1", "Invalid to time \"0x-1\"" },
        { "always:0x10000000000000000", "Invalid to time \"0x10000000000000000\"" },
        { "+1d:+0d", "Empty certificate validity interval" },
        { "forever:always", "Invalid from time \"forever\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t after = 7, before = 7;
        char why[CERT_VALIDITY_WHY_BYTES] = "";
        assert_int_equal(cert_validity_parse(view_str(bad[i].text), NOW, &after, &before, why), ERR_FORMAT);
        assert_string_equal(why, bad[i].why);
        assert_true(after == 7 && before == 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(good_times), cmocka_unit_test(bad_times) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
