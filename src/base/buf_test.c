/* The byte queue against a plain model, its bounds, and that secrets are wiped. */
#include "base/buf.h"
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Random puts, consumes and truncates; contents are numbered so that each byte's place is known. */
static void test_against_model(UNUSED void **state)
{
    static uint8_t model[1 << 20];
    size_t from = 0, to = 0;
    uint32_t x = 7;
    CLEANUP(buf_done) struct buf b = BUF_INIT(5000);
    for (int i = 0; i < 200000 && to + 300 < sizeof model; i++) {
        x = x * 1664525u + 1013904223u;
        size_t n = x >> 8 & 255;
        switch (x >> 29) {
        case 0:
        case 1:
        case 2:
        case 3: {
            for (size_t k = 0; k < n; k++) model[to + k] = (uint8_t)(to + k * 3);
            int err = buf_put(&b, model + to, n);
            if (to - from + n > 5000)
                assert_int_equal(err, ERR_LIMIT);
            else
                assert_int_equal(err, 0), to += n;
            break;
        }
        case 4:
        case 5:
        case 6:
            n = MIN(n, to - from);
            buf_consume(&b, n);
            from += n;
            break;
        default:
            n = MIN(n / 8, to - from);
            buf_truncate(&b, to - from - n);
            to -= n;
        }
        assert_int_equal(buf_len(&b), to - from);
        assert_int_equal(buf_room(&b), 5000 - (to - from));
        assert_true(view_eq(buf_view(&b), view_of(model + from, to - from)));
    }
    assert_true(b.cap <= 16384);
}

static void test_reserve(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(10);
    uint8_t *p;
    assert_int_equal(buf_reserve(&b, 10, &p), 0);
    assert_int_equal(buf_len(&b), 0);
    memcpy(p, "abc", 3);
    buf_commit(&b, 3);
    assert_int_equal(buf_reserve(&b, 8, &p), ERR_LIMIT);
    assert_true(view_eq_str(buf_view(&b), "abc"));
    assert_int_equal(buf_reserve(&b, 7, &p), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX, &p), ERR_LIMIT);
    assert_int_equal(buf_put_str(&b, "defghijk"), ERR_LIMIT);
    assert_int_equal(buf_put_str(&b, "defghij"), 0);
    assert_int_equal(buf_put_u8(&b, 'x'), ERR_LIMIT);
    assert_int_equal(buf_put(&b, NULL, 0), 0);
    assert_true(view_eq_str(buf_view(&b), "abcdefghij"));
    buf_done(&b);
    assert_int_equal(buf_len(&b), 0);
    assert_int_equal(buf_put_str(&b, "again"), 0);
}

static void test_text(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(8);
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "ab"), 0);
    assert_string_equal(buf_cstr(&b), "42-ab");
    assert_int_equal(buf_printf(&b, "%s", "cde"), 0); /* exactly full: the NUL does not count */
    assert_string_equal(buf_cstr(&b), "42-abcde");
    assert_int_equal(buf_len(&b), 8);
    assert_int_equal(buf_printf(&b, "%s", "f"), ERR_LIMIT);
    assert_string_equal(buf_cstr(&b), "42-abcde");
}

static bool all_zero(const uint8_t *p, size_t n)
{
    while (n && *p == 0) p++, n--;
    return n == 0;
}

static void test_secrets_are_wiped(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT_SECRET(1000);
    assert_int_equal(buf_put_str(&b, "secret secret"), 0);
    buf_consume(&b, 6);
    assert_true(all_zero(b.base, 6));
    buf_truncate(&b, 3);
    assert_true(all_zero(b.base + 9, 4));
    assert_true(view_eq_str(buf_view(&b), " se"));
    buf_reset(&b);
    assert_true(all_zero(b.base, 13));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_secrets_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
