/* The cursors: RFC 4251 5's own examples, stickiness, every truncation. */
#include "base/rd.h"
#include "base/wr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_round_trip(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
    struct wr w = wr_of(&b);
    wr_u8(&w, 0xfe);
    wr_bool(&w, true);
    wr_u16(&w, 0x1234);
    wr_u32(&w, 0x89abcdef);
    wr_u64(&w, 0x0123456789abcdef);
    wr_cstr(&w, "zlib,none");
    wr_mpint(&w, VIEW_LIT("\0\0\x80"));
    wr_bytes(&w, VIEW_LIT("end"));
    assert_int_equal(wr_end(&w), 0);
    assert_int_equal(w.len, buf_len(&b));
    for (size_t n = 0; n <= buf_len(&b); n++) {
        uint8_t *exact = malloc(n + 1);
        memcpy(exact, buf_bytes(&b), n);
        struct rd r = rd_of(view_of(exact, n));
        uint8_t u8 = rd_u8(&r);
        bool flag = rd_bool(&r);
        uint16_t u16 = rd_u16(&r);
        uint32_t u32 = rd_u32(&r);
        uint64_t u64 = rd_u64(&r);
        struct view names = rd_name_list(&r), m = rd_mpint(&r), rest = rd_bytes(&r, 3);
        if (n < buf_len(&b)) {
            assert_int_equal(rd_end(&r), ERR_TRUNCATED);
            assert_int_equal(rest.len, 0);
        } else {
            assert_int_equal(rd_end(&r), 0);
            assert_int_equal(u8, 0xfe);
            assert_true(flag);
            assert_int_equal(u16, 0x1234);
            assert_int_equal(u32, 0x89abcdef);
            assert_true(u64 == 0x0123456789abcdef);
            assert_true(view_eq_str(names, "zlib,none"));
            assert_true(view_eq(m, VIEW_LIT("\x80")));
            assert_true(view_eq_str(rest, "end"));
        }
        free(exact);
    }
}

/* RFC 4251 5, the examples of mpint that are not negative. */
static void test_mpint_examples(UNUSED void **state)
{
    static const struct {
        struct view magnitude, wire;
    } rows[] = {
        { VIEW_LIT(""), VIEW_LIT("\0\0\0\0") },
        { VIEW_LIT("\0"), VIEW_LIT("\0\0\0\0") },
        { VIEW_LIT("\x09\xa3\x78\xf9\xb2\xe3\x32\xa7"), VIEW_LIT("\0\0\0\x08\x09\xa3\x78\xf9\xb2\xe3\x32\xa7") },
        { VIEW_LIT("\x80"), VIEW_LIT("\0\0\0\x02\0\x80") },
        { VIEW_LIT("\0\0\x7f"), VIEW_LIT("\0\0\0\x01\x7f") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t area[20];
        struct wr w = wr_area(area, sizeof area);
        wr_mpint(&w, rows[i].magnitude);
        assert_true(view_eq(view_of(area, w.len), rows[i].wire));
    }
    /* -1234 and -deadbeef of the RFC: refused. */
    struct rd r = rd_of(VIEW_LIT("\0\0\0\2\xed\xcc"));
    rd_mpint(&r);
    assert_int_equal(rd_end(&r), ERR_FORMAT);
    r = rd_of(VIEW_LIT("\0\0\0\5\xff\x21\x52\x41\x11"));
    rd_mpint(&r);
    assert_int_equal(rd_end(&r), ERR_FORMAT);
}

static void test_first_error_stays(UNUSED void **state)
{
    struct rd r = rd_of(VIEW_LIT("\0\0\0\3a\0bxyz"));
    assert_int_equal(rd_cstring(&r).len, 0);
    assert_int_equal(rd_u8(&r), 0);
    assert_int_equal(rd_left(&r), 0);
    rd_fail(&r, ERR_RANGE);
    assert_int_equal(rd_stop(&r), ERR_FORMAT);
    assert_int_equal(rd_end(&r), ERR_FORMAT);
    r = rd_of(VIEW_LIT("ab"));
    assert_int_equal(rd_u8(&r), 'a');
    assert_int_equal(rd_stop(&r), 0);
    assert_int_equal(rd_end(&r), ERR_TRAILING);
    rd_fail(&r, ERR_RANGE);
    assert_int_equal(rd_end(&r), ERR_RANGE);
    r = rd_of(VIEW_EMPTY);
    assert_int_equal(rd_end(&r), 0);
    assert_int_equal(rd_rest(&r).len, 0);
    r = rd_of(VIEW_LIT("\xff\xff\xff\xff"));
    assert_int_equal(rd_string(&r).len, 0);
    assert_int_equal(rd_end(&r), ERR_TRUNCATED);
}

static void test_name_lists(UNUSED void **state)
{
    static const struct {
        struct view list;
        bool good;
    } rows[] = {
        { VIEW_LIT(""), true },     { VIEW_LIT("a"), true },     { VIEW_LIT("a,b"), true },       { VIEW_LIT(","), false },
        { VIEW_LIT("a,"), false },  { VIEW_LIT(",a"), false },   { VIEW_LIT("a,,b"), false },     { VIEW_LIT("a b"), false },
        { VIEW_LIT("a\0"), false }, { VIEW_LIT("\x7f"), false }, { VIEW_LIT("\xc3\xa4"), false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t area[20];
        struct wr w = wr_area(area, sizeof area);
        wr_string(&w, rows[i].list);
        struct rd r = rd_of(view_of(area, w.len));
        rd_name_list(&r);
        assert_int_equal(rd_end(&r), rows[i].good ? 0 : ERR_FORMAT);
    }
}

static void test_area_bounds(UNUSED void **state)
{
    uint8_t area[8] = { [4] = 0x77 };
    struct wr w = wr_area(area, 4);
    wr_u32(&w, 1);
    wr_u8(&w, 2);
    assert_int_equal(wr_end(&w), ERR_LIMIT);
    assert_int_equal(w.len, 4);
    assert_int_equal(area[4], 0x77);
    w = wr_area(area, 8);
    wr_fail(&w, ERR_RANGE);
    wr_u8(&w, 9);
    assert_int_equal(wr_end(&w), ERR_RANGE);
    assert_int_equal(w.len, 0);
    CLEANUP(buf_done) struct buf b = BUF_INIT(6);
    w = wr_of(&b);
    wr_u32(&w, 1);
    wr_string(&w, VIEW_LIT("abc"));
    assert_int_equal(wr_end(&w), ERR_LIMIT);
}

/* Strings whose length comes later, one in another; in a buf that moves meanwhile and in an area. */
static void test_open_strings(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(100000);
    uint8_t area[2000];
    assert_int_equal(buf_put_str(&b, "before"), 0);
    buf_consume(&b, 3);
    for (int in_area = 0; in_area < 2; in_area++) {
        struct wr w = in_area ? wr_area(area, sizeof area) : wr_of(&b);
        size_t outer = wr_string_open(&w);
        wr_u8(&w, 1);
        size_t inner = wr_string_open(&w);
        for (int i = 0; i < 1000; i++) wr_u8(&w, 'x');
        wr_string_close(&w, inner);
        wr_cstr(&w, "tail");
        wr_string_close(&w, outer);
        assert_int_equal(wr_end(&w), 0);
        struct rd r = rd_of(in_area ? view_of(area, w.len) : view_sub(buf_view(&b), 3, SIZE_MAX));
        struct rd in = rd_of(rd_string(&r));
        assert_int_equal(rd_end(&r), 0);
        assert_int_equal(rd_u8(&in), 1);
        assert_int_equal(rd_string(&in).len, 1000);
        assert_true(view_eq_str(rd_string(&in), "tail"));
        assert_int_equal(rd_end(&in), 0);
    }
    assert_true(view_has_prefix(buf_view(&b), "ore"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_mpint_examples), cmocka_unit_test(test_first_error_stays),
        cmocka_unit_test(test_name_lists), cmocka_unit_test(test_area_bounds),    cmocka_unit_test(test_open_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
