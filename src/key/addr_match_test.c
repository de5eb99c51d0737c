#include "key/addr_match.h"
#include "key/test_util.h"

static int host_list(const char *host, const char *address, const char *list)
{
    return addr_match_host_list(view_str(host), view_str(address), view_str(list));
}

static void from_lists_match(UNUSED void **state)
{
    assert_int_equal(host_list("h.org", "10.1.2.3", "*.org"), ADDR_MATCH_YES);
    assert_int_equal(host_list("H.org", "10.1.2.3", "h.ORG"), ADDR_MATCH_YES);
    assert_int_equal(host_list("h.org", "10.1.2.3", "10.0.0.0/8"), ADDR_MATCH_YES);
    assert_int_equal(host_list("h.org", "10.1.2.3", "10.1.*"), ADDR_MATCH_YES);
    assert_int_equal(host_list("h.org", "10.1.2.3", "*.com,11.0.0.0/8"), ADDR_MATCH_NONE);
    assert_int_equal(host_list("h.org", "10.1.2.3", "*,!h.org"), ADDR_MATCH_NEGATED);
    assert_int_equal(host_list("h.org", "10.1.2.3", "!10.1.2.3,*.org"), ADDR_MATCH_NEGATED);
    assert_int_equal(host_list("h.org", "2001:db8::1", "2001:db8::/32"), ADDR_MATCH_YES);
    assert_int_equal(host_list("h.org", "::ffff:10.0.0.1", "10.0.0.1"), ADDR_MATCH_YES);
    assert_true(host_list("h.org", "10.1.2.3", "10.1.2.3/8") < 0);
    assert_int_equal(host_list("h.org", "10.1.2.3", ""), ADDR_MATCH_NONE);
}

static int cidr_list(const char *address, const char *list) { return addr_match_cidr_list(view_str(address), view_str(list)); }

static void source_addresses_match(UNUSED void **state)
{
    assert_int_equal(cidr_list("10.1.2.3", "192.168.0.0/16,10.0.0.0/8"), ADDR_MATCH_YES);
    assert_int_equal(cidr_list("11.1.2.3", "192.168.0.0/16,10.0.0.0/8"), ADDR_MATCH_NONE);
    assert_int_equal(cidr_list("::1", "::1"), ADDR_MATCH_YES);
    assert_int_equal(cidr_list("UNKNOWN", "::1"), ADDR_MATCH_NONE);
    assert_int_equal(cidr_list("10.1.2.3", ""), ADDR_MATCH_NONE);
    assert_int_equal(cidr_list("10.1.2.3", "10.0.0.0/8,*"), ERR_FORMAT);
    assert_int_equal(cidr_list("10.1.2.3", "!10.0.0.0/8"), ERR_FORMAT);
    assert_int_equal(cidr_list("10.1.2.3", "10.0.0.0/8,10.0.0.1/8"), ERR_RANGE);
    assert_int_equal(cidr_list("10.1.2.3", "10.0.0.0/33"), ERR_RANGE);
    assert_int_equal(cidr_list("10.1.2.3", "10.0.0.0/"), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(from_lists_match), cmocka_unit_test(source_addresses_match) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
