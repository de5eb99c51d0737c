/* What of foreign text reaches a terminal. */
#include "base/vis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void line(struct view text, const char *expected)
{
    char got[200];
    vis_line(text, got, sizeof got);
    assert_string_equal(got, expected);
}
#define LINE(text, expected) line(VIEW_LIT(text), expected)

static void test_line(UNUSED void **state)
{
    LINE("", "");
    LINE("plain ~text", "plain ~text");
    LINE("a\nb\rc", "a\\012b\\015c");
    LINE("\x1b[31mred\x07\x7f", "\\033[31mred\\007\\177");
    LINE("a\0b", "a\\000b");
    LINE("gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x90\x9a", "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x90\x9a");
    LINE("\xc2\x9b"
         "31m",
         "\\302\\23331m");                            /* C1 CSI */
    LINE("\xc0\xaf", "\\300\\257");                   /* overlong */
    LINE("\xe0\x80\x8a", "\\340\\200\\212");          /* overlong newline */
    LINE("\xed\xa0\x80", "\\355\\240\\200");          /* surrogate */
    LINE("\xf4\x90\x80\x80", "\\364\\220\\200\\200"); /* over U+10FFFF */
    LINE("\xe2\x80\xae", "\\342\\200\\256");          /* right-to-left override */
    LINE("\xc3", "\\303");                            /* cut */
    LINE("\xff\xfe", "\\377\\376");
}

static void test_line_is_cut(UNUSED void **state)
{
    char got[6];
    vis_line(VIEW_LIT("abc\nd"), got, sizeof got);
    assert_string_equal(got, "abc"); /* the escape does not fit and is not halved */
    vis_line(VIEW_LIT("abcdefgh"), got, sizeof got);
    assert_string_equal(got, "abcde");
    vis_line(VIEW_LIT("\xc3\xbc\xc3\xbc\xc3\xbc"), got, sizeof got);
    assert_string_equal(got, "\xc3\xbc\xc3\xbc");
    vis_line(VIEW_LIT("x"), got, 1);
    assert_string_equal(got, "");
}

static void test_text(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(100);
    assert_int_equal(vis_text(VIEW_LIT("a\tb\r\nc\rd\n\x1b[1m\xc3\xa4"), &b), 0);
    assert_string_equal(buf_cstr(&b), "a\tb\nc\\015d\n\\033[1m\xc3\xa4");
    CLEANUP(buf_done) struct buf small = BUF_INIT(3);
    assert_int_equal(vis_text(VIEW_LIT("abcd"), &small), ERR_LIMIT);
}

/* Whatever comes in, nothing but printable ASCII, tab and bytes over 159 goes out. */
static void test_every_byte(UNUSED void **state)
{
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            uint8_t text[] = { (uint8_t)a, (uint8_t)b };
            char got[20];
            vis_line(view_of(text, 2), got, sizeof got);
            for (const char *p = got; *p; p++) assert_true(*p == '\t' || (*p >= ' ' && *p != 0x7f) || (uint8_t)*p >= 0x80);
            assert_false(strstr(got, "\xc2\x9b"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_line_is_cut),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
