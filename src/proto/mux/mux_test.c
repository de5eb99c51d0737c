#include "proto/mux/mux.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct mux_message every[] = {
    { .type = MUX_HELLO, .id = 4 },
    { .type = MUX_NEW_SESSION,
      .id = 1,
      .wants_tty = true,
      .is_subsystem = true,
      .escape = '~',
      .term = VIEW_LIT("xterm"),
      .command = VIEW_LIT("echo hi"),
      .rest = VIEW_LIT("\0\0\0\3A=b") },
    { .type = MUX_ALIVE_CHECK, .id = 7 },
    { .type = MUX_TERMINATE, .id = 7 },
    { .type = MUX_OPEN_FORWARD,
      .id = 1,
      .forward_kind = MUX_FORWARD_REMOTE,
      .listen_host = VIEW_LIT("/a"),
      .listen_port = MUX_PATH_PORT,
      .connect_host = VIEW_LIT("b"),
      .connect_port = 80 },
    { .type = MUX_CLOSE_FORWARD, .id = 1, .forward_kind = MUX_FORWARD_LOCAL },
    { .type = MUX_NEW_STDIO_FORWARD, .id = 1, .connect_host = VIEW_LIT("h"), .connect_port = 22 },
    { .type = MUX_STOP_LISTENING, .id = 7 },
    { .type = MUX_PROXY_REQUEST, .id = 7 },
    { .type = MUX_OK, .id = 7 },
    { .type = MUX_PERMISSION_DENIED, .id = 7, .text = VIEW_LIT("no") },
    { .type = MUX_FAILURE, .id = 7, .text = VIEW_LIT("no") },
    { .type = MUX_EXIT_MESSAGE, .id = 7, .value = 3 },
    { .type = MUX_ALIVE, .id = 7, .value = 4711 },
    { .type = MUX_SESSION_OPENED, .id = 7, .value = 3 },
    { .type = MUX_REMOTE_PORT, .id = 7, .value = 8080 },
    { .type = MUX_TTY_ALLOC_FAIL, .id = 7 },
};

static bool of_master(const struct mux_message *m) { return m->type >= MUX_OK; }

static void same(const struct mux_message *a, const struct mux_message *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->value, b->value);
    assert_true(view_eq(a->text, b->text) && view_eq(a->term, b->term) && view_eq(a->command, b->command));
    assert_true(view_eq(a->rest, b->rest) && view_eq(a->listen_host, b->listen_host) && view_eq(a->connect_host, b->connect_host));
    assert_true(a->wants_tty == b->wants_tty && a->wants_x11 == b->wants_x11 && a->is_subsystem == b->is_subsystem);
    assert_int_equal(a->escape, b->escape);
    assert_int_equal(a->forward_kind, b->forward_kind);
    assert_true(a->listen_port == b->listen_port && a->connect_port == b->connect_port);
}

static void test_every_message_comes_back_and_no_part_of_it_does(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(every); i++) {
        CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
        struct mux_message got;
        struct view body;
        size_t used;
        bool has_hello = every[i].type != MUX_HELLO;
        assert_int_equal(mux_put(&out, &every[i]), 0);
        assert_int_equal(mux_frame_next(buf_view(&out), &body, &used), 1);
        assert_int_equal(used, buf_len(&out));
        assert_int_equal(mux_get(body, of_master(&every[i]), has_hello, &got), 0);
        same(&every[i], &got);
        for (size_t n = 0; n < buf_len(&out); n++)
            assert_int_equal(mux_frame_next(view_sub(buf_view(&out), 0, n), &body, &used), 0);
        /* HELLO may end after its version, NEW_SESSION after its command */
        size_t rest = every[i].rest.len;
        for (size_t n = 0; n < body.len - rest; n++)
            assert_true(mux_get(view_sub(body, 0, n), of_master(&every[i]), has_hello, &got) < 0);
    }
}

static void test_messages_out_of_turn(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(every); i++) {
        CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
        struct mux_message got;
        bool is_hello = every[i].type == MUX_HELLO;
        assert_int_equal(mux_put(&out, &every[i]), 0);
        struct view body = view_sub(buf_view(&out), 4, SIZE_MAX);
        assert_int_equal(mux_get(body, of_master(&every[i]), is_hello, &got), ERR_UNEXPECTED_MESSAGE);
        if (!is_hello) assert_int_equal(mux_get(body, !of_master(&every[i]), true, &got), ERR_UNEXPECTED_MESSAGE);
    }
}

static int get_changed(const struct mux_message *m, struct view more)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
    struct mux_message got;
    assert_int_equal(mux_put(&out, m), 0);
    assert_int_equal(buf_put_view(&out, more), 0);
    return mux_get(view_sub(buf_view(&out), 4, SIZE_MAX), of_master(m), m->type != MUX_HELLO, &got);
}

static void test_bad_fields(UNUSED void **state)
{
    struct mux_message m = every[4];
    assert_int_equal(get_changed(&m, VIEW_LIT("x")), ERR_TRAILING);
    m.forward_kind = 4;
    assert_int_equal(get_changed(&m, VIEW_EMPTY), ERR_RANGE);
    m.forward_kind = 1;
    m.connect_port = 65536;
    assert_int_equal(get_changed(&m, VIEW_EMPTY), ERR_RANGE);
    m.connect_port = 1;
    m.connect_host = VIEW_LIT("a\0b");
    assert_int_equal(get_changed(&m, VIEW_EMPTY), ERR_FORMAT);
    m = every[1];
    m.escape = 256;
    assert_int_equal(get_changed(&m, VIEW_EMPTY), ERR_RANGE);
    m.escape = MUX_ESCAPE_NONE;
    assert_int_equal(get_changed(&m, VIEW_EMPTY), 0);
    assert_true(get_changed(&m, VIEW_LIT("\0\0\0\4abc")) < 0);
    CLEANUP(buf_done) struct buf env = BUF_INIT(1 << 20);
    for (size_t i = 0; i < MUX_ENV_MAX; i++) assert_int_equal(buf_put_view(&env, VIEW_LIT("\0\0\0\1a")), 0);
    assert_int_equal(get_changed(&m, buf_view(&env)), ERR_LIMIT); /* one is there already */
}

static void test_frames_and_unknown_types(UNUSED void **state)
{
    struct view body;
    size_t used;
    struct mux_message got;
    assert_int_equal(mux_frame_next(VIEW_LIT("\0\0\0\3abc"), &body, &used), ERR_LIMIT);
    assert_int_equal(mux_frame_next(VIEW_LIT("\0\4\0\1"), &body, &used), ERR_LIMIT);
    assert_int_equal(mux_get(VIEW_LIT("\x10\0\0\x77\0\0\0\5"), false, true, &got), ERR_UNSUPPORTED);
    assert_int_equal(got.id, 5);
    assert_int_equal(mux_get(VIEW_LIT("\x10\0\0\x77"), false, true, &got), ERR_UNSUPPORTED);
    CLEANUP(buf_done) struct buf small = BUF_INIT(12);
    assert_int_equal(buf_put_u8(&small, 1), 0);
    assert_int_equal(mux_put(&small, &every[2]), ERR_LIMIT);
    assert_int_equal(buf_len(&small), 1);
}

static void test_environment(UNUSED void **state)
{
    struct view rest = VIEW_LIT("\0\0\0\3A=b\0\0\0\0"), one;
    assert_true(mux_next_env(&rest, &one) && view_eq_str(one, "A=b"));
    assert_true(mux_next_env(&rest, &one) && one.len == 0);
    assert_false(mux_next_env(&rest, &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_comes_back_and_no_part_of_it_does),
        cmocka_unit_test(test_messages_out_of_turn),
        cmocka_unit_test(test_bad_fields),
        cmocka_unit_test(test_frames_and_unknown_types),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
