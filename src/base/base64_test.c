/* Base64: RFC 4648 10's vectors, round trips, what is refused. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_vectors(UNUSED void **state)
{
    static const struct {
        const char *plain, *text;
    } rows[] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf text = BUF_INIT(100), plain = BUF_INIT(100);
        assert_int_equal(base64_put(&text, view_str(rows[i].plain)), 0);
        assert_string_equal(buf_cstr(&text), rows[i].text);
        assert_int_equal(base64_get(buf_view(&text), &plain), 0);
        assert_string_equal(buf_cstr(&plain), rows[i].plain);
        /* The same without the final '='. */
        struct view bare = buf_view(&text);
        while (bare.len && bare.p[bare.len - 1] == '=') bare.len--;
        buf_reset(&plain);
        assert_int_equal(base64_get(bare, &plain), 0);
        assert_string_equal(buf_cstr(&plain), rows[i].plain);
    }
}

static void test_all_bytes(UNUSED void **state)
{
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37 + (i >> 8));
    for (size_t n = 0; n <= sizeof bytes; n++) {
        CLEANUP(buf_done) struct buf text = BUF_INIT(1000), plain = BUF_INIT(1000);
        assert_int_equal(base64_put(&text, view_of(bytes, n)), 0);
        assert_int_equal(base64_get(buf_view(&text), &plain), 0);
        assert_true(view_eq(buf_view(&plain), view_of(bytes, n)));
    }
}

static void test_refused(UNUSED void **state)
{
    static const char *const bad[] = { "Z",    "Zg=", "Zg===", "Zm9vY", "Zm 9v", "Zm9v\n", "Zm9-",
                                       "Zm9_", "=",   "====",  "Z===",  "Zm=v",  "Zh==",   "Zm9=" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buf_done) struct buf out = BUF_INIT(100);
        assert_int_equal(buf_put_str(&out, "kept"), 0);
        if (base64_get(view_str(bad[i]), &out) != ERR_FORMAT) fail_msg("%s is taken", bad[i]);
        assert_string_equal(buf_cstr(&out), "kept");
    }
    for (int c = 0; c < 256; c++) {
        CLEANUP(buf_done) struct buf out = BUF_INIT(100);
        uint8_t text[] = { 'A', (uint8_t)c, 'A', 'A' };
        bool is_digit = c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", c);
        assert_int_equal(base64_get(view_of(text, 4), &out), is_digit ? 0 : ERR_FORMAT);
    }
}

static void test_hex(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(10);
    assert_int_equal(hex_put(&out, VIEW_LIT("\x00\x9f\xfa")), 0);
    assert_string_equal(buf_cstr(&out), "009ffa");
    assert_int_equal(hex_put(&out, VIEW_LIT("abc")), ERR_LIMIT);
    assert_string_equal(buf_cstr(&out), "009ffa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_all_bytes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
