/* Terminal modes. */
#include "proto/conn/ptymodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_table(void **unused)
{
    (void)unused;
    int last = 0;
    size_t n = 0;
    for (const struct ptymodes_info *i; (i = ptymodes_at(n)); n++) {
        assert_true(i->opcode > last && i->opcode < PTYMODES_OP_ARGUMENT_END);
        last = i->opcode;
        assert_ptr_equal(ptymodes_of_opcode(i->opcode), i);
        assert_ptr_equal(ptymodes_of_name(view_str(i->name)), i);
    }
    assert_int_equal(n, PTYMODES_MAX);
    /* RFC 4254 8, RFC 8160 */
    static const struct {
        uint8_t opcode;
        const char *name;
    } KNOWN[] = { { 1, "VINTR" },   { 18, "VDISCARD" }, { 30, "IGNPAR" }, { 42, "IUTF8" },  { 50, "ISIG" },
                  { 53, "ECHO" },   { 62, "PENDIN" },   { 70, "OPOST" },  { 75, "ONLRET" }, { 90, "CS7" },
                  { 93, "PARODD" }, { 128, "ISPEED" },  { 129, "OSPEED" } };
    for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++) assert_string_equal(ptymodes_of_opcode(KNOWN[i].opcode)->name, KNOWN[i].name);
    assert_null(ptymodes_of_opcode(0));
    assert_null(ptymodes_of_opcode(19));
    assert_null(ptymodes_of_name(VIEW_LIT("VINT")));
}

static int parse(const char *bytes, size_t len, struct ptymodes *ret) { return ptymodes_parse(view_of(bytes, len), ret); }

static void test_parse(void **unused)
{
    (void)unused;
    struct ptymodes m;
    /* speeds first, an unknown opcode in the middle, a repeated one, bytes behind the end */
    static const char BYTES[] = "\x80\0\0\x96\0"
                                "\x81\0\0\x96\0"
                                "\x14\xff\xff\xff\xff"
                                "\x35\0\0\0\1"
                                "\x01\0\0\0\3"
                                "\x35\0\0\0\0"
                                "\0"
                                "\x02";
    assert_int_equal(parse(BYTES, sizeof(BYTES) - 1, &m), 0);
    assert_int_equal(m.n, 4);
    assert_true(m.at[0].opcode == 128 && m.at[0].value == 38400 && m.at[1].opcode == 129 && m.at[1].value == 38400);
    assert_true(m.at[2].opcode == 53 && m.at[2].value == 0 && m.at[3].opcode == 1 && m.at[3].value == 3);
    assert_int_equal(parse("", 0, &m), 0);
    assert_int_equal(m.n, 0);
    assert_int_equal(parse("\x35\0\0\0\1", 5, &m), 0); /* no TTY_OP_END */
    assert_int_equal(m.n, 1);
    assert_int_equal(parse("\x35\0\0\0\1\xa0\x01\0\0\0\3", 11, &m), 0); /* 160: undefined, ends it */
    assert_int_equal(m.n, 1);
    for (size_t n = 1; n < 5; n++) assert_int_equal(parse("\x9f\0\0\0\1", n, &m), ERR_TRUNCATED);
    assert_int_equal(m.n, 1);
}

static void test_round_trip(void **unused)
{
    (void)unused;
    struct ptymodes all = { .n = 0 }, back;
    for (unsigned opcode = 0; opcode < 256; opcode++)
        assert_int_equal(ptymodes_set(&all, (uint8_t)opcode, opcode * 0x01020304U),
                         ptymodes_of_opcode((uint8_t)opcode) ? 0 : ERR_RANGE);
    assert_int_equal(all.n, PTYMODES_MAX);
    CLEANUP(buf_done) struct buf out = BUF_INIT(PTYMODES_MAX * 5 + 1);
    assert_int_equal(ptymodes_encode(&all, &out), 0);
    assert_int_equal(buf_len(&out), PTYMODES_MAX * 5 + 1);
    assert_int_equal(ptymodes_parse(buf_view(&out), &back), 0);
    assert_int_equal(back.n, all.n);
    for (size_t i = 0; i < all.n; i++) assert_true(back.at[i].opcode == all.at[i].opcode && back.at[i].value == all.at[i].value);
    assert_int_equal(ptymodes_encode(&all, &out), ERR_LIMIT);
    assert_int_equal(buf_len(&out), PTYMODES_MAX * 5 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
