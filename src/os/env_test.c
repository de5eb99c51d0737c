/* Tests of the small ones: os/env, os/clock, os/random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/env.h"
#include "os/random.h"

#include <stdlib.h>
#include <time.h>

static void test_set_get_unset(UNUSED void **state)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    assert_null(env_get(&env, "A"));
    assert_int_equal(env_set(&env, "A", "1"), 0);
    assert_int_equal(env_set(&env, "AB", "2"), 0);
    assert_int_equal(env_set(&env, "C", ""), 0);
    assert_string_equal(env_get(&env, "A"), "1");
    assert_string_equal(env_get(&env, "C"), "");
    assert_int_equal(env_set(&env, "A", "x=y"), 0);
    assert_int_equal(env.n, 3);
    assert_string_equal(env.v[0], "A=x=y");
    env_unset(&env, "AB");
    env_unset(&env, "nothing");
    assert_int_equal(env.n, 2);
    assert_null(env.v[2]);
    assert_string_equal(env_get(&env, "C"), "");
    for (int i = 0; i < 50; i++) {
        char name[2] = { (char)(64 + i), 0 };
        assert_int_equal(i == '=' - 64 ? 0 : env_set(&env, name, "v"), 0);
        env_unset(&env, name);
    }
    assert_int_equal(env.n, 0);
}

static void test_bad_names(UNUSED void **state)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    assert_int_equal(env_set(&env, "", "1"), ERR_FORMAT);
    assert_int_equal(env_set(&env, "A=B", "1"), ERR_FORMAT);
    assert_int_equal(env_set_view(&env, VIEW_LIT("A\0B"), VIEW_LIT("1")), ERR_FORMAT);
    assert_int_equal(env_set_view(&env, VIEW_LIT("A"), VIEW_LIT("1\0")), ERR_FORMAT);
    assert_int_equal(env_put(&env, "A", true), ERR_FORMAT);
    assert_int_equal(env_put(&env, "=A", true), ERR_FORMAT);
    assert_int_equal(env.n, 0);
}

static void count(void *arg, unsigned line) { *(unsigned *)arg = *(unsigned *)arg * 10 + line; }

static void test_lines(UNUSED void **state)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    unsigned bad = 0;
    struct view text = VIEW_LIT("# comment\nA=1\n\n  B=two words \r\nno sign\nA=3\n=x\nLAST=z");
    assert_int_equal(env_put(&env, "B=old", true), 0);
    assert_int_equal(env_put(&env, "B=ignored", false), 0);
    assert_string_equal(env_get(&env, "B"), "old");
    assert_int_equal(env_put_lines(&env, text, count, &bad), 0);
    assert_string_equal(env_get(&env, "A"), "3");
    assert_string_equal(env_get(&env, "B"), "two words");
    assert_string_equal(env_get(&env, "LAST"), "z");
    assert_int_equal(bad, 57);
    assert_int_equal(env_put_lines(&env, VIEW_EMPTY, NULL, NULL), 0);
}

static void test_current(UNUSED void **state)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    setenv("ENV_TEST_VARIABLE", "here", 1);
    assert_int_equal(env_current(&env), 0);
    assert_string_equal(env_get(&env, "ENV_TEST_VARIABLE"), "here");
}

static void test_clock(UNUSED void **state)
{
    char text[32];
    ms a = clock_now();
    nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    assert_true(clock_now() >= a + 3);
    assert_true(clock_wall_s() > 1700000000);
    assert_true(clock_wall_us() / 1000000 - clock_wall_s() <= 1);
    setenv("TZ", "UTC", 1);
    tzset();
    clock_text(86400, "%Y-%m-%d %H:%M", text, sizeof text);
    assert_string_equal(text, "1970-01-02 00:00");
    clock_text(86400, "%Y-%m-%d %H:%M", text, 4);
    assert_string_equal(text, "");
}

static void test_random(UNUSED void **state)
{
    static uint8_t a[100000], b[100000];
    assert_int_equal(random_fill(&os_random, a, sizeof a), 0);
    assert_int_equal(random_fill(&os_random, b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
    size_t seen[256] = { 0 };
    for (size_t i = 0; i < sizeof a; i++) seen[a[i]]++;
    for (size_t i = 0; i < 256; i++) assert_in_range(seen[i], 200, 600);
    assert_int_equal(random_fill(&os_random, a, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_get_unset), cmocka_unit_test(test_bad_names), cmocka_unit_test(test_lines),
        cmocka_unit_test(test_current),       cmocka_unit_test(test_clock),     cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("os/env", tests, NULL, NULL);
}
