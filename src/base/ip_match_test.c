#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/ip_match.h"

static int verdict(const char *address, const char *list)
{
    int v = 99;
    int err = ip_list_match(view_str(address), view_str(list), &v);
    return err < 0 ? err * 100 : v;
}

static void test_lists(void **state UNUSED)
{
    assert_int_equal(verdict("10.1.2.3", "10.0.0.0/8"), 1);
    assert_int_equal(verdict("11.1.2.3", "10.0.0.0/8"), 0);
    assert_int_equal(verdict("10.1.2.3", "10.0.0.0/8,!10.1.2.3"), -1);
    assert_int_equal(verdict("10.1.2.3", "!10.1.2.3,10.0.0.0/8"), -1);
    assert_int_equal(verdict("10.1.2.4", "!10.1.2.3,10.0.0.0/8"), 1);
    assert_int_equal(verdict("10.1.2.4", "10.1.2.*"), 1);
    assert_int_equal(verdict("10.1.2.4", "10.1.2"), 0);
    assert_int_equal(verdict("2001:db8::1", "2001:DB8::/33"), 1);
    assert_int_equal(verdict("2001:db8:8000::1", "2001:db8::/33"), 0);
    assert_int_equal(verdict("::ffff:10.1.2.3", "10.1.0.0/16"), 1);
    assert_int_equal(verdict("10.1.2.3", "::ffff:10.1.0.0/112"), 1);
    assert_int_equal(verdict("fe80::1%eth0", "fe80::/10"), 1);
    assert_int_equal(verdict("1.2.3.4", "0.0.0.0/0"), 1);
    assert_int_equal(verdict("1.2.3.4", "::/0"), 0);
    assert_int_equal(verdict("UNKNOWN", "unk*"), 1);
    assert_int_equal(verdict("UNKNOWN", "0.0.0.0/0"), 0);
    assert_int_equal(verdict("1.2.3.4", ""), 0);
}

static void test_host_bits_are_an_error(void **state UNUSED)
{
    assert_int_equal(verdict("1.2.3.4", "1.2.3.4/24"), ERR_RANGE * 100);
    assert_int_equal(verdict("1.2.3.4", "1.2.3.4,1.2.3.0/33"), ERR_RANGE * 100);
    assert_int_equal(verdict("1.2.3.4", "2001:db8::1/64"), ERR_RANGE * 100);
    assert_int_equal(ip_list_check(view_str("1.2.3.0/24,!::1,a*"), false), 0);
    assert_int_equal(ip_list_check(view_str("1.2.3.0/24,!::1,a*"), true), ERR_FORMAT);
    assert_int_equal(ip_list_check(view_str("1.2.3.1/24"), false), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_lists), cmocka_unit_test(test_host_bits_are_an_error) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
