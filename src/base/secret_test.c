/* Secret memory: many of every size at once do not overlap, freed ones are wiped, small ones share pages. */
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static bool all_are(const struct secret *s, uint8_t value)
{
    for (size_t i = 0; i < s->len; i++)
        if (s->p[i] != value) return false;
    return true;
}

static void test_many(UNUSED void **state)
{
    enum {
        N = 600
    };
    static struct secret s[N];
    uint32_t x = 11;
    for (int round = 0; round < 20000; round++) {
        x = x * 1664525u + 1013904223u;
        size_t i = (x >> 8) % N, len = (x >> 20) % 300 + (x >> 30 == 3 ? 9000 : 1);
        if (s[i].p) {
            assert_true(all_are(&s[i], (uint8_t)i));
            secret_done(&s[i]);
            assert_null(s[i].p);
        } else {
            assert_int_equal(secret_new(len, &s[i]), 0);
            assert_int_equal(s[i].len, len);
            assert_true(all_are(&s[i], 0)); /* zeroed, whoever had it before */
            memset(s[i].p, (int)i, len);
        }
    }
    for (size_t i = 0; i < N; i++) {
        assert_true(all_are(&s[i], (uint8_t)i));
        secret_done(&s[i]);
    }
}

static void test_small_ones_share(UNUSED void **state)
{
    struct secret a, b;
    assert_int_equal(secret_new(32, &a), 0);
    assert_int_equal(secret_new(32, &b), 0);
    assert_true(labs((long)(a.p - b.p)) < 4096);
    uint8_t *p = a.p;
    memset(p, 0xaa, 32);
    secret_done(&a);
    for (int i = 0; i < 32; i++) assert_int_equal(p[i], 0); /* the page lives on with b */
    secret_done(&b);
}

static void test_empty_and_dup(UNUSED void **state)
{
    struct secret s = SECRET_INIT;
    secret_done(&s);
    assert_int_equal(secret_new(0, &s), 0);
    assert_null(s.p);
    assert_int_equal(secret_dup(VIEW_LIT("abc"), &s), 0);
    assert_true(view_eq_str(secret_view(&s), "abc"));
    secret_done(&s);
    secret_done(&s);
    assert_int_equal(secret_dup(VIEW_EMPTY, &s), 0);
    assert_int_equal(s.len, 0);
}

static void test_ct_equal(UNUSED void **state)
{
    uint8_t a[64] = { 0 }, b[64] = { 0 };
    assert_true(ct_equal(a, b, 64));
    assert_true(ct_equal(a, b, 0));
    for (size_t i = 0; i < 64; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b[i] = (uint8_t)(1u << bit);
            assert_false(ct_equal(a, b, 64));
            assert_true(ct_equal(a, b, i));
        }
        b[i] = 0;
    }
}

static void test_wipe(UNUSED void **state)
{
    char s[] = "secret";
    secret_wipe(s, 6);
    assert_memory_equal(s, "\0\0\0\0\0\0", 7);
    secret_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),          cmocka_unit_test(test_small_ones_share),
        cmocka_unit_test(test_empty_and_dup), cmocka_unit_test(test_ct_equal),
        cmocka_unit_test(test_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
