/* The escape machine: what passes, what acts, cut at every byte. */
#include "prog/ssh/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct outcome {
    struct buf out;
    char actions[32]; /* letters 'a' + action, in order, and '|' with how much had passed before as a check */
    size_t at[32];
    size_t n;
};

/* Feeds in pieces of `piece` bytes, as the session does. */
static void feed(struct escape *e, struct view in, size_t piece, struct outcome *o)
{
    while (in.len) {
        struct view part = view_sub(in, 0, piece);
        in = view_sub(in, piece, in.len);
        while (part.len) {
            enum escape_action action = ESCAPE_ACTION_MAX;
            size_t used = 0;
            assert_int_equal(escape_feed(e, part, &o->out, &used, &action), 0);
            assert_true(used > 0 && used <= part.len);
            part = view_sub(part, used, part.len);
            if (action == ESCAPE_NONE) {
                assert_int_equal(part.len, 0); /* only an action stops it */
                continue;
            }
            o->at[o->n] = buf_len(&o->out);
            o->actions[o->n++] = (char)('a' + action);
        }
    }
}

struct row {
    int character;
    const char *in, *out;
    const char *actions;
};

#define A(action) (char)('a' + ESCAPE_##action)
static const struct row rows[] = {
    { '~', "hello\r", "hello\r", "" },
    { '~', "~.", "", (const char[]){ A(TERMINATE), 0 } },
    { '~', "a~.", "a~.", "" },
    { '~', "a\r~.b", "a\rb", (const char[]){ A(TERMINATE), 0 } },
    { '~', "a\n~?", "a\n", (const char[]){ A(HELP), 0 } },
    { '~', "~~", "~", "" },
    { '~', "~~.", "~.", "" },
    { '~', "~x~.", "~x~.", "" },
    { '~', "~\r~.", "~\r", (const char[]){ A(TERMINATE), 0 } },
    { '~', "~?~#", "", (const char[]){ A(HELP), A(LIST), 0 } },
    { '~', "~\x1a~&", "", (const char[]){ A(SUSPEND), A(BACKGROUND), 0 } },
    { '~', "~B~C~I~R~V~v", "", (const char[]){ A(BREAK), A(COMMAND_LINE), A(INFO), A(REKEY), A(QUIETER), A(LOUDER), 0 } },
    { '%', "~.\r%.", "~.\r", (const char[]){ A(TERMINATE), 0 } },
    { 0x1d, "\x1d\x1d\r\x1d?", "\x1d\r", (const char[]){ A(HELP), 0 } },
    { 0xff, "\xff.", "", (const char[]){ A(TERMINATE), 0 } },
    { ESCAPE_OFF, "\r~.\r~~", "\r~.\r~~", "" },
};

static void test_rows_in_all_pieces(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece <= strlen(rows[i].in); piece++) {
            struct outcome o = { .out = BUF_INIT(256) };
            struct escape e;
            escape_init(&e, rows[i].character);
            feed(&e, view_str(rows[i].in), piece, &o);
            assert_true(view_eq_str(buf_view(&o.out), rows[i].out));
            assert_string_equal(o.actions, rows[i].actions);
            buf_done(&o.out);
        }
    }
}

static void test_order_of_bytes_and_actions(UNUSED void **state)
{
    struct outcome o = { .out = BUF_INIT(256) };
    struct escape e;
    escape_init(&e, '~');
    feed(&e, view_str("ls\r~#pwd\r~?"), 64, &o);
    assert_int_equal(o.n, 2);
    assert_int_equal(o.at[0], 3);
    assert_int_equal(o.at[1], 7);
    assert_true(view_eq_str(buf_view(&o.out), "ls\rpwd\r"));
    buf_done(&o.out);
}

static void test_full_output_changes_nothing(UNUSED void **state)
{
    struct buf small = BUF_INIT(4), big = BUF_INIT(64);
    struct escape e;
    enum escape_action action;
    size_t used;
    escape_init(&e, '~');
    assert_int_equal(escape_feed(&e, view_str("~"), &small, &used, &action), 0);
    assert_int_equal(escape_feed(&e, view_str("xabc\r~~"), &small, &used, &action), ERR_LIMIT);
    assert_int_equal(buf_len(&small), 0);
    assert_int_equal(escape_feed(&e, view_str("xabc\r~~"), &big, &used, &action), 0);
    assert_true(view_eq_str(buf_view(&big), "~xabc\r~"));
    buf_done(&small);
    buf_done(&big);
}

static bool has(struct buf *text, const char *part) { return strstr(buf_cstr(text), part) != NULL; }

static bool all(UNUSED const void *arg, UNUSED enum escape_action action) { return true; }
static bool all_but_command(UNUSED const void *arg, enum escape_action action) { return action != ESCAPE_COMMAND_LINE; }

static void test_help(UNUSED void **state)
{
    struct buf text = BUF_INIT(4096);
    struct escape e;
    escape_init(&e, '~');
    assert_int_equal(escape_help(&e, all_but_command, NULL, &text), 0);
    assert_true(view_has_prefix(buf_view(&text), "Supported escape sequences:\r\n ~."));
    assert_true(has(&text, "\r\n ~^Z ") && has(&text, "\r\n ~V/v") && has(&text, "\r\n ~~ "));
    assert_false(has(&text, " ~C "));
    buf_reset(&text);
    escape_init(&e, 0x1d);
    assert_int_equal(escape_help(&e, all, NULL, &text), 0);
    assert_true(has(&text, "\r\n ^].") || has(&text, " ^]."));
    assert_true(has(&text, "\r\n ^]C ") && has(&text, "\r\n ^]^] "));
    buf_done(&text);
}

static void test_names(UNUSED void **state)
{
    static const struct {
        int character;
        const char *name;
    } names[] = { { '~', "~" }, { 1, "^A" }, { 0x7f, "^?" }, { 0xff, "\\377" }, { 0, "^@" } };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char name[ESCAPE_NAME_BYTES];
        struct escape e;
        escape_init(&e, names[i].character);
        escape_name(&e, name);
        assert_string_equal(name, names[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_in_all_pieces),
        cmocka_unit_test(test_order_of_bytes_and_actions),
        cmocka_unit_test(test_full_output_changes_nothing),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("ssh/escape", tests, NULL, NULL);
}
