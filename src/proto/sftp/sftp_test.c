/* The SFTP codec: bytes of the draft by hand, every packet type there and back, truncation at every byte, framing. */
#include "proto/sftp/sftp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define V(s) VIEW_LIT(s)

static void assert_view(struct view v, struct view want)
{
    assert_int_equal(v.len, want.len);
    if (want.len) assert_memory_equal(v.p, want.p, want.len);
}

static void test_open_by_hand(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(1024);
    assert_int_equal(buf_put_str(&out, "before"), 0);
    assert_int_equal(
        SFTP_PUT(&out, sftp_open, .id = 7, .path = V("/a"), .flags = SFTP_OPEN_READ | SFTP_OPEN_CREAT, .attrs = V("\0\0\0\0")), 0);
    assert_view(buf_view(&out), V("before\0\0\0\x13\x03\0\0\0\7\0\0\0\2/a\0\0\0\x09\0\0\0\0"));
    buf_consume(&out, 6);
    struct view payload;
    size_t used;
    assert_int_equal(sftp_packet_next(buf_view(&out), &payload, &used), 1);
    assert_int_equal(used, buf_len(&out));
    struct msg_sftp_open m;
    assert_int_equal(msg_sftp_open_get(payload, &m), 0);
    assert_int_equal(m.id, 7);
    assert_view(m.path, V("/a"));
    assert_int_equal(m.flags, 9);
    assert_view(m.attrs, V("\0\0\0\0"));
}

static void test_framing(UNUSED void **state)
{
    static const uint8_t two[] = "\0\0\0\5\x0b\0\0\0\1\0\0\0\2xy"; /* the second one is whole, too */
    struct view payload;
    size_t used;
    for (size_t len = 0; len < 9; len++) assert_int_equal(sftp_packet_next(view_of(two, len), &payload, &used), 0);
    assert_int_equal(sftp_packet_next(view_of(two, 15), &payload, &used), 1);
    assert_view(payload, V("\x0b\0\0\0\1"));
    assert_int_equal(used, 9);
    assert_int_equal(sftp_packet_next(view_of(two + used, 6), &payload, &used), 1);
    assert_view(payload, V("xy"));
    assert_int_equal(sftp_packet_next(V("\0\0\0\0"), &payload, &used), ERR_PACKET_LENGTH);
    assert_int_equal(sftp_packet_next(V("\0\4\0\0"), &payload, &used), 0);
    assert_int_equal(sftp_packet_next(V("\0\4\0\1"), &payload, &used), ERR_PACKET_LENGTH);
    assert_int_equal(sftp_packet_next(V("\xff\xff\xff\xff"), &payload, &used), ERR_PACKET_LENGTH);
}

/* A packet that does not fit leaves nothing behind. */
static void test_put_is_whole_or_nothing(UNUSED void **state)
{
    for (size_t max = 0; max < 24; max++) {
        CLEANUP(buf_done) struct buf out = BUF_INIT(max);
        assert_int_equal(SFTP_PUT(&out, sftp_rename, .id = 1, .old_path = V("ab"), .new_path = V("c")), max < 20 ? ERR_LIMIT : 0);
        assert_int_equal(buf_len(&out), max < 20 ? 0 : 20);
    }
}

static void test_attrs(UNUSED void **state)
{
    /* Each set of flags alone and together, against bytes by hand. */
    static const struct view parts[4] = { VIEW_LIT("\0\0\0\1\0\0\0\2"), VIEW_LIT("\0\0\0\3\0\0\0\4"), VIEW_LIT("\0\0\x81\xa4"),
                                          VIEW_LIT("\0\0\0\6\0\0\0\7") };
    for (uint32_t flags = 0; flags < 16; flags++) {
        CLEANUP(buf_done) struct buf want = BUF_INIT(256), got = BUF_INIT(256);
        struct wr w = wr_of(&want);
        wr_u32(&w, flags);
        for (int i = 0; i < 4; i++)
            if (flags & (1u << i)) wr_bytes(&w, parts[i]);
        assert_int_equal(wr_end(&w), 0);
        struct sftp_attrs a;
        assert_int_equal(sftp_attrs_get(buf_view(&want), &a), 0);
        assert_int_equal(a.flags, flags);
        assert_true(a.size == (flags & SFTP_ATTR_SIZE ? 0x100000002 : 0));
        assert_int_equal(a.uid, flags & SFTP_ATTR_UIDGID ? 3 : 0);
        assert_int_equal(a.gid, flags & SFTP_ATTR_UIDGID ? 4 : 0);
        assert_int_equal(a.permissions, flags & SFTP_ATTR_PERMISSIONS ? 0100644 : 0);
        assert_int_equal(a.atime, flags & SFTP_ATTR_TIMES ? 6 : 0);
        assert_int_equal(a.mtime, flags & SFTP_ATTR_TIMES ? 7 : 0);
        struct wr back = wr_of(&got);
        sftp_attrs_write(&back, &a);
        assert_int_equal(wr_end(&back), 0);
        assert_view(buf_view(&got), buf_view(&want));
        for (size_t len = 0; len < buf_len(&want); len++)
            assert_int_equal(sftp_attrs_get(view_sub(buf_view(&want), 0, len), &a), ERR_TRUNCATED);
    }
}

static void test_attrs_extended(UNUSED void **state)
{
    struct sftp_attrs a;
    struct rd r = rd_of(V("\x80\0\0\4\0\0\1\xff\0\0\0\2\0\0\0\1k\0\0\0\1v\0\0\0\0\0\0\0\0rest"));
    a = sftp_attrs_read(&r);
    assert_int_equal(a.permissions, 0777);
    assert_view(rd_rest(&r), V("rest"));
    /* Four thousand million pairs that are not there end at once. */
    assert_int_equal(sftp_attrs_get(V("\x80\0\0\0\xff\xff\xff\xff"), &a), ERR_TRUNCATED);
    /* Flags of later versions are not ours. */
    assert_int_equal(sftp_attrs_get(V("\0\0\1\0whatever"), &a), 0);
    uint8_t out[16];
    struct wr w = wr_area(out, sizeof(out));
    sftp_attrs_write(&w, &(struct sftp_attrs){ .flags = SFTP_ATTR_EXTENDED });
    assert_view(view_of(out, w.len), V("\0\0\0\0"));
}

static void test_names(UNUSED void **state)
{
    uint8_t out[256];
    struct wr w = wr_area(out, sizeof(out));
    struct sftp_name in[2] = { { .name = V("a"), .long_name = V("-rw a"), .attrs = { .flags = SFTP_ATTR_SIZE, .size = 5 } },
                               { .name = V("\xc3\xa4"), .long_name = V("") } };
    sftp_name_write(&w, &in[0]);
    sftp_name_write(&w, &in[1]);
    assert_int_equal(wr_end(&w), 0);
    struct rd r = rd_of(view_of(out, w.len));
    for (int i = 0; i < 2; i++) {
        struct sftp_name n = sftp_name_read(&r);
        assert_view(n.name, in[i].name);
        assert_view(n.long_name, in[i].long_name);
        assert_int_equal(n.attrs.flags, in[i].attrs.flags);
        assert_true(n.attrs.size == in[i].attrs.size);
    }
    assert_int_equal(rd_end(&r), 0);
    r = rd_of(V("\0\0\0\3a\0b\0\0\0\0\0\0\0\0"));
    sftp_name_read(&r);
    assert_int_equal(rd_stop(&r), ERR_FORMAT); /* a name with NUL would become another one */
}

static void test_status_text(UNUSED void **state)
{
    assert_string_equal(sftp_status_text(SFTP_NO_SUCH_FILE), "No such file");
    assert_string_equal(sftp_status_text(SFTP_OP_UNSUPPORTED), "Operation unsupported");
    assert_string_equal(sftp_status_text(SFTP_STATUS_MAX), "Unknown status");
    assert_string_equal(sftp_status_text(UINT32_MAX), "Unknown status");
}

/* Round trip of a row: fields are filled by a pattern, put, got, put again: the same bytes; and each prefix is refused. min is how
 * many bytes the fields with a fixed or counted size need. */
#define ROUND_TRIP(name_, min_, ...)                                                                                          \
    do {                                                                                                                      \
        uint8_t one[256], two[256];                                                                                           \
        struct wr w1 = wr_area(one, sizeof(one)), w2 = wr_area(two, sizeof(two));                                             \
        struct msg_##name_ m1 = { __VA_ARGS__ }, m2;                                                                          \
        assert_int_equal(msg_##name_##_put(&w1, &m1), 0);                                                                     \
        assert_int_equal(one[0], MSG_##name_##_NUMBER);                                                                       \
        assert_int_equal(msg_##name_##_get(view_of(one, w1.len), &m2), 0);                                                    \
        assert_int_equal(msg_##name_##_put(&w2, &m2), 0);                                                                     \
        assert_view(view_of(two, w2.len), view_of(one, w1.len));                                                              \
        for (size_t len = 0; len < (min_); len++) assert_int_equal(msg_##name_##_get(view_of(one, len), &m2), ERR_TRUNCATED); \
        one[0] ^= 0x40;                                                                                                       \
        assert_int_equal(msg_##name_##_get(view_of(one, w1.len), &m2), ERR_UNEXPECTED_MESSAGE);                               \
    } while (0)

static void test_round_trips(UNUSED void **state)
{
    struct view p = V("/path"), h = V("\0\0\0\1"), rest = V("\0\0\0\0");
    ROUND_TRIP(sftp_init, 5, .version = 3, .extensions = rest);
    ROUND_TRIP(sftp_version, 5, .version = 3, .extensions = rest);
    ROUND_TRIP(sftp_open, 18, .id = 1, .path = p, .flags = 2, .attrs = rest);
    ROUND_TRIP(sftp_close, 13, .id = 1, .handle = h);
    ROUND_TRIP(sftp_read, 25, .id = 1, .handle = h, .offset = 1ull << 40, .length = 9);
    ROUND_TRIP(sftp_write, 28, .id = 1, .handle = h, .offset = 1ull << 40, .data = V("abc"));
    ROUND_TRIP(sftp_lstat, 14, .id = 1, .path = p);
    ROUND_TRIP(sftp_fstat, 13, .id = 1, .handle = h);
    ROUND_TRIP(sftp_setstat, 14, .id = 1, .path = p, .attrs = rest);
    ROUND_TRIP(sftp_fsetstat, 13, .id = 1, .handle = h, .attrs = rest);
    ROUND_TRIP(sftp_opendir, 14, .id = 1, .path = p);
    ROUND_TRIP(sftp_readdir, 13, .id = 1, .handle = h);
    ROUND_TRIP(sftp_remove, 14, .id = 1, .path = p);
    ROUND_TRIP(sftp_mkdir, 14, .id = 1, .path = p, .attrs = rest);
    ROUND_TRIP(sftp_rmdir, 14, .id = 1, .path = p);
    ROUND_TRIP(sftp_realpath, 14, .id = 1, .path = p);
    ROUND_TRIP(sftp_stat, 14, .id = 1, .path = p);
    ROUND_TRIP(sftp_rename, 23, .id = 1, .old_path = p, .new_path = p);
    ROUND_TRIP(sftp_readlink, 14, .id = 1, .path = p);
    ROUND_TRIP(sftp_symlink, 23, .id = 1, .target = p, .link_path = p);
    ROUND_TRIP(sftp_status, 20, .id = 1, .status = 4, .message = V("abc"));
    ROUND_TRIP(sftp_handle, 13, .id = 1, .handle = h);
    ROUND_TRIP(sftp_data, 12, .id = 1, .data = V("abc"));
    ROUND_TRIP(sftp_name, 9, .id = 1, .n_names = 1, .names = rest);
    ROUND_TRIP(sftp_attrs, 5, .id = 1, .attrs = rest);
    ROUND_TRIP(sftp_extended, 14, .id = 1, .name = p, .data = rest);
    ROUND_TRIP(sftp_extended_reply, 5, .id = 1, .data = rest);
}

/* OpenSSH PROTOCOL 4.1: what the symlink and copy-data requests look like. */
static void test_odd_ones(UNUSED void **state)
{
    struct msg_sftp_symlink m;
    assert_int_equal(msg_sftp_symlink_get(V("\x14\0\0\0\1\0\0\0\6target\0\0\0\4link"), &m), 0);
    assert_view(m.target, V("target"));
    assert_view(m.link_path, V("link"));
    struct body_sftp_copy_data c;
    assert_int_equal(body_sftp_copy_data_get(V("\0\0\0\1f\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\1t\0\0\0\0\0\0\0\3"), &c), 0);
    assert_view(c.from, V("f"));
    assert_true(c.from_offset == 1 && c.length == 2 && c.to_offset == 3);
    assert_view(c.to, V("t"));
    assert_int_equal(body_sftp_copy_data_get(V("\0\0\0\1f\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\1t\0\0\0\0\0\0\0\3x"), &c),
                     ERR_TRAILING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_by_hand), cmocka_unit_test(test_framing),        cmocka_unit_test(test_put_is_whole_or_nothing),
        cmocka_unit_test(test_attrs),        cmocka_unit_test(test_attrs_extended), cmocka_unit_test(test_names),
        cmocka_unit_test(test_status_text),  cmocka_unit_test(test_round_trips),    cmocka_unit_test(test_odd_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
