/* The SFTP client engine against answers made by hand: the first words, answers out of order, what no server may say, room. */
#include "proto/limits.h"
#include "proto/sftp/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define V(s) VIEW_LIT(s)

static void feed(struct sftp_client *c, struct view bytes)
{
    uint8_t *area;
    size_t room;
    assert_int_equal(sftp_client_area(c, &area, &room), 0);
    assert_true(room >= bytes.len);
    if (bytes.len) memcpy(area, bytes.p, bytes.len);
    sftp_client_received(c, bytes.len);
}

/* One packet of the server's. */
#define SAY(client_, name_, ...)                                  \
    {                                                             \
        CLEANUP(buf_done) struct buf b_ = BUF_INIT(512 * 1024);   \
        assert_int_equal(SFTP_PUT(&b_, name_, ##__VA_ARGS__), 0); \
        feed((client_), buf_view(&b_));                           \
    }

static void say_version(struct sftp_client *c, uint32_t version, struct view extensions)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(1024);
    size_t mark = buf_len(&b);
    struct msg_sftp_version m = { .version = version, .extensions = extensions };
    assert_int_equal(sftp_packet_open(&b), 0);
    struct wr w = wr_of(&b);
    assert_int_equal(msg_sftp_version_put(&w, &m), 0);
    sftp_packet_close(&b, mark);
    feed(c, buf_view(&b));
}

static struct view put_extension(struct buf *b, const char *name, const char *version)
{
    struct wr w = wr_of(b);
    wr_cstr(&w, name);
    wr_cstr(&w, version);
    assert_int_equal(wr_end(&w), 0);
    return buf_view(b);
}

static struct sftp_client *fresh(void)
{
    struct sftp_client *c;
    assert_int_equal(sftp_client_new(NULL, &c), 0);
    assert_true(view_eq(sftp_client_output(c), V("\0\0\0\5\1\0\0\0\3")));
    sftp_client_sent(c, 9);
    return c;
}

static struct sftp_client *ready(void)
{
    struct sftp_client *c = fresh();
    struct sftp_answer a;
    say_version(c, 3, VIEW_EMPTY);
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_int_equal(a.type, MSG_sftp_version_NUMBER);
    return c;
}

/* The id of the next request in the output, which is then sent. */
static uint32_t take_request(struct sftp_client *c, uint8_t type)
{
    struct view payload;
    size_t used;
    assert_int_equal(sftp_packet_next(sftp_client_output(c), &payload, &used), 1);
    assert_int_equal(payload.p[0], type);
    struct rd r = rd_of(view_sub(payload, 1, 4));
    uint32_t id = rd_u32(&r);
    sftp_client_sent(c, used);
    return id;
}

static void test_limits_are_asked_for(UNUSED void **state)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = fresh();
    CLEANUP(buf_done) struct buf b = BUF_INIT(1024), limits = BUF_INIT(64);
    struct sftp_answer a;
    int who;
    assert_int_equal(SFTP_CALL(c, &who, sftp_stat, .path = V("/early")), 0); /* waits for the first words */
    assert_int_equal(sftp_client_output(c).len, 0);
    put_extension(&b, "limits@openssh.com", "1");
    put_extension(&b, "statvfs@openssh.com", "1"); /* another revision than ours */
    say_version(c, 3, put_extension(&b, "fsync@openssh.com", "1"));
    assert_int_equal(sftp_client_next(c, &a), 0);
    assert_false(sftp_client_facts(c)->known);
    uint32_t id = take_request(c, MSG_sftp_extended_NUMBER);
    struct wr w = wr_of(&limits);
    struct body_sftp_limits l = {
        .packet_max_bytes = 1 << 18, .read_max_bytes = UINT64_MAX, .write_max_bytes = 65536, .handles_max = 7
    };
    assert_int_equal(body_sftp_limits_put(&w, &l), 0);
    SAY(c, sftp_extended_reply, .id = id, .data = buf_view(&limits));
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_int_equal(a.type, MSG_sftp_version_NUMBER);
    const struct sftp_client_facts *f = sftp_client_facts(c);
    assert_true(f->known && f->has[SFTP_EXT_FSYNC] && !f->has[SFTP_EXT_STATVFS]);
    assert_int_equal(f->read_max_bytes, SFTP_DATA_MAX_BYTES);
    assert_int_equal(f->write_max_bytes, 65536);
    assert_int_equal(f->handles_max, 7);
    id = take_request(c, MSG_sftp_stat_NUMBER);
    SAY(c, sftp_attrs, .id = id, .attrs = V("\0\0\0\1\0\0\0\0\0\0\0\5"));
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_ptr_equal(a.call, &who);
    assert_int_equal(a.attrs.size, 5);
}

static void test_answers_find_who_asked(UNUSED void **state)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = ready();
    struct sftp_answer a;
    char who[3];
    uint32_t ids[3];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(SFTP_CALL(c, &who[i], sftp_read, .handle = V("h"), .offset = i, .length = 10), 0);
        ids[i] = take_request(c, MSG_sftp_read_NUMBER);
    }
    assert_int_equal(sftp_client_pending(c), 3);
    sftp_client_forget(c, &who[1]);
    SAY(c, sftp_data, .id = ids[2], .data = V("two"));
    SAY(c, sftp_status, .id = ids[1], .status = SFTP_EOF, .message = V("end"));
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_true(a.call == &who[2] && a.type == MSG_sftp_data_NUMBER && view_eq(a.data, V("two")));
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_true(a.call == NULL && a.status == SFTP_EOF && view_eq(a.message, V("end")));
    assert_int_equal(sftp_client_next(c, &a), 0);
    feed(c, V("\0\0\0\x09\x65")); /* a status without words, cut in two */
    assert_int_equal(sftp_client_next(c, &a), 0);
    CLEANUP(buf_done) struct buf rest = BUF_INIT(16);
    struct wr w = wr_of(&rest);
    wr_u32(&w, ids[0]);
    wr_u32(&w, SFTP_FAILURE);
    feed(c, buf_view(&rest));
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_true(a.call == &who[0] && a.status == SFTP_FAILURE && a.message.len == 0);
    assert_int_equal(sftp_client_pending(c), 0);
}

static void test_extensions_may_be_answered_by_names(UNUSED void **state)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = ready();
    struct sftp_answer a;
    assert_int_equal(SFTP_CALL(c, &a, sftp_extended, .name = V("expand-path@openssh.com"), .data = V("")), 0);
    SAY(c, sftp_name, .id = take_request(c, MSG_sftp_extended_NUMBER), .n_names = 1, .names = V("\0\0\0\1/\0\0\0\0\0\0\0\0"));
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_true(a.type == MSG_sftp_name_NUMBER && a.n_names == 1 && view_eq(sftp_name_read(&a.names).name, V("/")));
}

static void assert_refused(struct sftp_client *c, int err)
{
    struct sftp_answer a;
    uint8_t *area;
    size_t room;
    assert_int_equal(sftp_client_next(c, &a), err);
    assert_int_equal(sftp_client_next(c, &a), err); /* for good */
    assert_int_equal(SFTP_CALL(c, NULL, sftp_stat, .path = V("/")), err);
    assert_int_equal(sftp_client_area(c, &area, &room), err);
}

static void test_wrong_answers_end_it(UNUSED void **state)
{
    for (int what = 0; what < 8; what++) {
        CLEANUP(sftp_client_freep) struct sftp_client *c = ready();
        struct sftp_answer a;
        int err = ERR_UNEXPECTED_MESSAGE;
        assert_int_equal(SFTP_CALL(c, NULL, sftp_open, .path = V("/x"), .attrs = V("\0\0\0\0")), 0);
        uint32_t id = take_request(c, MSG_sftp_open_NUMBER);
        switch (what) {
        case 0:
            SAY(c, sftp_data, .id = id, .data = V("x")); /* of a kind that open cannot have */
            break;
        case 1:
            SAY(c, sftp_handle, .id = id + 1, .handle = V("x")); /* nobody asked */
            break;
        case 2:
            SAY(c, sftp_handle, .id = id, .handle = V("x"));
            assert_int_equal(sftp_client_next(c, &a), 1);
            SAY(c, sftp_handle, .id = id, .handle = V("x")); /* twice */
            break;
        case 3:
            feed(c, V("\0\0\0\0"));
            err = ERR_PACKET_LENGTH;
            break;
        case 4:
            feed(c, V("\xff\xff\xff\xff"));
            err = ERR_PACKET_LENGTH;
            break;
        case 5:
            feed(c, V("\0\0\0\2\x66\1"));
            err = ERR_TRUNCATED;
            break;
        case 6: {
            static const uint8_t long_handle[SFTP_HANDLE_MAX_BYTES + 1];
            SAY(c, sftp_handle, .id = id, .handle = view_of(long_handle, sizeof long_handle));
            err = ERR_FORMAT;
            break;
        }
        default:
            SAY(c, sftp_open, .id = id, .path = V("x"), .attrs = V("\0\0\0\0")); /* a request */
        }
        assert_refused(c, err);
    }
}

static void test_other_versions(UNUSED void **state)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = fresh();
    say_version(c, 6, VIEW_EMPTY);
    assert_refused(c, ERR_UNSUPPORTED);
    assert_int_equal(sftp_client_facts(c)->version, 6);
}

static void test_limits_refused(UNUSED void **state)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = fresh();
    CLEANUP(buf_done) struct buf b = BUF_INIT(1024);
    struct sftp_answer a;
    say_version(c, 3, put_extension(&b, "limits@openssh.com", "1"));
    assert_int_equal(sftp_client_next(c, &a), 0);
    uint32_t id = take_request(c, MSG_sftp_extended_NUMBER);
    SAY(c, sftp_status, .id = id, .status = SFTP_OP_UNSUPPORTED);
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_int_equal(sftp_client_facts(c)->read_max_bytes, 32 * 1024);
}

static void test_writes_are_put_in_place(UNUSED void **state)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = ready();
    uint8_t *area;
    size_t len;
    char who;
    assert_int_equal(sftp_client_write_reserve(c, V("hdl"), 0x0102030405060708, 100000, &area, &len), 0);
    assert_int_equal(len, 32 * 1024);
    sftp_client_write_commit(c, 0, &who); /* the file had nothing to give */
    assert_int_equal(sftp_client_output(c).len, 0);
    assert_int_equal(sftp_client_write_reserve(c, V("hdl"), 0x0102030405060708, 5, &area, &len), 0);
    assert_int_equal(len, 5);
    memcpy(area, "data", 4);
    sftp_client_write_commit(c, 4, &who);
    struct view payload;
    size_t used;
    struct msg_sftp_write m;
    assert_int_equal(sftp_packet_next(sftp_client_output(c), &payload, &used), 1);
    assert_int_equal(used, sftp_client_output(c).len);
    assert_int_equal(msg_sftp_write_get(payload, &m), 0);
    assert_true(view_eq(m.handle, V("hdl")) && m.offset == 0x0102030405060708 && view_eq(m.data, V("data")));
    assert_int_equal(sftp_client_pending(c), 1);
}

static void test_room_ends_and_comes_back(UNUSED void **state)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = ready();
    struct sftp_answer a;
    size_t n = 0;
    uint32_t first = 0;
    while (SFTP_CALL(c, NULL, sftp_lstat, .path = V("/a")) == 0) {
        uint32_t id = take_request(c, MSG_sftp_lstat_NUMBER);
        if (n++ == 0) first = id;
    }
    assert_int_equal(n, LIMIT_SFTP_CALLS);
    SAY(c, sftp_status, .id = first, .status = SFTP_NO_SUCH_FILE);
    assert_int_equal(sftp_client_next(c, &a), 1);
    assert_int_equal(SFTP_CALL(c, NULL, sftp_lstat, .path = V("/a")), 0);
    assert_int_equal(SFTP_CALL(c, NULL, sftp_lstat, .path = V("/a")), ERR_AGAIN);
    assert_true(take_request(c, MSG_sftp_lstat_NUMBER) != first); /* a late second answer would be found out */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_are_asked_for),
        cmocka_unit_test(test_answers_find_who_asked),
        cmocka_unit_test(test_extensions_may_be_answered_by_names),
        cmocka_unit_test(test_wrong_answers_end_it),
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_limits_refused),
        cmocka_unit_test(test_writes_are_put_in_place),
        cmocka_unit_test(test_room_ends_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
