/* Tests of the codec and the rules of ipc/messages.def: every row there and back, and every way of breaking one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "ipc/ipc.h"
#include "os/clock.h"
#include "os/fd.h"

#include <fcntl.h>
#include <unistd.h>

#define assert_ok(call) assert_int_equal((call), 0)

/* ---- what the rows say, and a struct of each filled with something ---- */

struct row {
    const char *name;
    uint8_t number, from, to, n_fds;
    uint16_t states;
    uint32_t max_bytes;
    int (*put)(struct wr *w);                /* the filled struct */
    int (*get_and_compare)(struct view got); /* 1: equal to the filled one; 0: not; negative: not parsed */
};

/* fill_NAME */
#include "wire/codec_fields_undef.h"
#define F_U8(x) m.x = 0xa0;
#define F_BOOL(x) m.x = true;
#define F_U32(x) m.x = 0xa1b2c3d4;
#define F_U64(x) m.x = 0xa1b2c3d4e5f60718;
#define F_STRING(x) m.x = VIEW_LIT("\0 bytes of " #x "\xff");
#define F_CSTRING(x) m.x = VIEW_LIT("text of " #x);
#define F_REST(x) m.x = VIEW_LIT("rest " #x "\0");
#define IPC(name, number, from, to, states, max_bytes, n_fds, fields) \
    static struct ipc_##name fill_##name(void)                        \
    {                                                                 \
        struct ipc_##name m = {};                                     \
        fields return m;                                              \
    }                                                                 \
    static int put_##name(struct wr *w)                               \
    {                                                                 \
        struct ipc_##name m = fill_##name();                          \
        return ipc_##name##_put(w, &m);                               \
    }
#include "ipc/messages.def"
#undef IPC

/* compare_NAME */
#include "wire/codec_fields_undef.h"
#define F_U8(x) \
    if (m.x != want.x) return 0;
#define F_BOOL(x) \
    if (m.x != want.x) return 0;
#define F_U32(x) \
    if (m.x != want.x) return 0;
#define F_U64(x) \
    if (m.x != want.x) return 0;
#define F_STRING(x) \
    if (!view_eq(m.x, want.x)) return 0;
#define F_CSTRING(x) \
    if (!view_eq(m.x, want.x)) return 0;
#define F_REST(x) \
    if (!view_eq(m.x, want.x)) return 0;
#define IPC(name, number, from, to, states, max_bytes, n_fds, fields) \
    static int compare_##name(struct view got)                        \
    {                                                                 \
        struct ipc_##name want = fill_##name(), m;                    \
        TRY(ipc_##name##_get(got, &m));                               \
        fields return 1;                                              \
    }
#include "ipc/messages.def"
#undef IPC
#include "wire/codec_fields_undef.h"

static const struct row rows[] = {
#define IPC(name, number, from, to, states, max_bytes, n_fds, fields) \
    { #name, number, IPC_##from, IPC_##to, n_fds, states, max_bytes, put_##name, compare_##name },
#include "ipc/messages.def"
#undef IPC
};

/* ---- two ends of a socket ---- */

struct pair {
    struct ipc a, b; /* a sends */
};

static unsigned lowest_bit(unsigned states) { return states & -states; }

static struct pair pair_of(enum ipc_role from, enum ipc_role to, unsigned state)
{
    struct pair p;
    int fds[2];
    assert_ok(fd_socketpair(fds));
    assert_ok(ipc_init(&p.a, fds[0], from, to));
    assert_ok(ipc_init(&p.b, fds[1], to, from));
    p.b.state = state;
    return p;
}

static struct pair pair_for(const struct row *row) { return pair_of(row->from, row->to, lowest_bit(row->states)); }

static void pair_done(struct pair *p)
{
    ipc_done(&p->a);
    ipc_done(&p->b);
}

static struct view filled(const struct row *row, struct buf *fields)
{
    struct wr w = wr_of(fields);
    assert_ok(row->put(&w));
    return buf_view(fields);
}

/* A message as no honest sender would make it. */
static void send_raw(struct pair *p, uint32_t len, uint8_t number, struct view fields, const int *fds, size_t n_fds)
{
    uint8_t bytes[4096];
    struct wr w = wr_area(bytes, sizeof bytes);
    wr_u32(&w, len);
    wr_u8(&w, number);
    wr_bytes(&w, fields);
    assert_ok(wr_end(&w));
    assert_ok(fd_send(p->a.fd, view_of(bytes, w.len), fds, n_fds));
}

static int receive(struct pair *p, struct ipc_message *ret)
{
    TRY(ipc_fill(&p->b));
    return ipc_next(&p->b, ret);
}

static void null_fds(int fds[4])
{
    for (size_t i = 0; i < 4; i++) assert_ok(fd_devnull(&fds[i]));
}

static void close_fds(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) fd_close(fds[i]);
}

static size_t n_open_fds(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- tests ---- */

static void test_round_trip(UNUSED void **state)
{
    size_t open_before = n_open_fds();
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct pair p = pair_for(row);
        CLEANUP(buf_done) struct buf fields = BUF_INIT(1 << 16);
        struct ipc_message m;
        int fds[4];
        null_fds(fds);
        assert_ok(ipc_send_fields(&p.a, row->number, filled(row, &fields), fds, row->n_fds));
        close_fds(fds, 4);
        assert_ok(ipc_recv(&p.b, clock_now() + 5000, &m));
        assert_int_equal(m.number, row->number);
        assert_string_equal(ipc_name(m.number), row->name);
        assert_int_equal(row->get_and_compare(m.fields), 1);
        for (size_t i = 0; i < IPC_FDS_MAX; i++) assert_int_equal(m.fds[i] >= 0, i < row->n_fds);
        close_fds(m.fds, row->n_fds);
        assert_int_equal(ipc_next(&p.b, &m), 0);
        pair_done(&p);
    }
    assert_int_equal(n_open_fds(), open_before);
}

/* Only the row's own receiver takes it, and only from the row's sender. */
static void test_wrong_direction(UNUSED void **state)
{
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++)
        for (enum ipc_role from = IPC_L; from < IPC_ROLE_MAX; from++)
            for (enum ipc_role to = IPC_L; to < IPC_ROLE_MAX; to++) {
                if (from == row->from && to == row->to) continue;
                struct pair p = pair_of(from, to, lowest_bit(row->states));
                struct ipc_message m;
                assert_int_equal(ipc_send_fields(&p.a, row->number, VIEW_EMPTY, NULL, row->n_fds), ERR_BUG);
                send_raw(&p, 1, row->number, VIEW_EMPTY, NULL, 0);
                assert_int_equal(receive(&p, &m), ERR_UNEXPECTED_MESSAGE);
                pair_done(&p);
            }
}

static void test_every_state(UNUSED void **state)
{
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++)
        for (unsigned bit = 1; bit <= IPC_STATE_LAST; bit <<= 1) {
            struct pair p = pair_for(row);
            CLEANUP(buf_done) struct buf fields = BUF_INIT(1 << 16);
            struct ipc_message m;
            int fds[4];
            null_fds(fds);
            p.b.state = bit;
            assert_ok(ipc_send_fields(&p.a, row->number, filled(row, &fields), fds, row->n_fds));
            int got = receive(&p, &m);
            assert_int_equal(got, row->states & bit ? 1 : ERR_UNEXPECTED_MESSAGE);
            if (got == 1) close_fds(m.fds, row->n_fds);
            close_fds(fds, 4);
            pair_done(&p);
        }
}

static void test_unknown_number(UNUSED void **state)
{
    for (unsigned number = 0; number < 256; number++) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) known |= rows[i].number == number;
        if (known) continue;
        struct pair p = pair_of(IPC_N, IPC_M, IPC_KEYED);
        struct ipc_message m;
        send_raw(&p, 1, (uint8_t)number, VIEW_EMPTY, NULL, 0);
        assert_int_equal(receive(&p, &m), ERR_UNEXPECTED_MESSAGE);
        assert_string_equal(ipc_name((uint8_t)number), "unknown");
        pair_done(&p);
    }
}

/* A length over the row's bound is refused as soon as it is read, not when that much has come; the bound itself is fine. */
static void test_length_bounds(UNUSED void **state)
{
    const uint32_t over[] = { 2, 3, 1000, UINT32_MAX };
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct ipc_message m;
        for (size_t i = 0; i < ARRAY_LEN(over); i++) {
            struct pair p = pair_for(row);
            send_raw(&p, over[i] == UINT32_MAX ? UINT32_MAX : row->max_bytes + over[i], row->number, VIEW_EMPTY, NULL, 0);
            assert_int_equal(receive(&p, &m), ERR_LIMIT);
            pair_done(&p);
        }
        struct pair p = pair_for(row);
        send_raw(&p, 0, row->number, VIEW_EMPTY, NULL, 0); /* not even a number */
        assert_int_equal(receive(&p, &m), ERR_LIMIT);
        pair_done(&p);
        p = pair_for(row);
        send_raw(&p, row->max_bytes + 1, row->number, VIEW_EMPTY, NULL, 0);
        assert_int_equal(receive(&p, &m), 0);
        pair_done(&p);
    }
}

static void test_send_too_long(UNUSED void **state)
{
    static uint8_t zeros[(16 << 20) + 1];
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct pair p = pair_for(row);
        int fds[4];
        null_fds(fds);
        assert_true(row->max_bytes < sizeof zeros);
        assert_int_equal(ipc_send_fields(&p.a, row->number, view_of(zeros, row->max_bytes + 1), fds, row->n_fds), ERR_BUG);
        close_fds(fds, 4);
        pair_done(&p);
    }
}

/* Fields cut at every byte, and one byte more, do not parse. F_REST takes any bytes, so such a row may. */
static void test_fields_length(UNUSED void **state)
{
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        CLEANUP(buf_done) struct buf fields = BUF_INIT(1 << 16);
        struct view all = filled(row, &fields);
        bool has_rest = row->number == IPC_auth_kbdint_response_NUMBER;
        for (size_t len = 0; len < all.len; len++) {
            int got = row->get_and_compare(view_sub(all, 0, len));
            assert_true(got == ERR_TRUNCATED || (has_rest && got == 0));
        }
        assert_ok(buf_put(&fields, "x", 1));
        assert_int_equal(row->get_and_compare(buf_view(&fields)), has_rest ? 0 : ERR_TRAILING);
    }
}

/* Text that goes to logs and C strings has no NUL in it. */
static void test_nul_in_text(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf fields = BUF_INIT(1 << 16);
    struct wr w = wr_of(&fields);
    struct ipc_auth_password p = { VIEW_LIT("ro\0ot"), VIEW_LIT("ssh-connection"), VIEW_LIT("x") };
    assert_ok(ipc_auth_password_put(&w, &p));
    struct ipc_auth_password got = { .user = VIEW_LIT("untouched") };
    assert_int_equal(ipc_auth_password_get(buf_view(&fields), &got), ERR_FORMAT);
    assert_true(view_eq_str(got.user, "untouched"));
}

static void test_send_wrong_fds(UNUSED void **state)
{
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++)
        for (size_t n = 0; n <= IPC_FDS_MAX + 1; n++) {
            if (n == row->n_fds) continue;
            struct pair p = pair_for(row);
            CLEANUP(buf_done) struct buf fields = BUF_INIT(1 << 16);
            int fds[4];
            null_fds(fds);
            assert_int_equal(ipc_send_fields(&p.a, row->number, filled(row, &fields), fds, n), ERR_BUG);
            close_fds(fds, 4);
            pair_done(&p);
        }
}

static void test_missing_and_extra_fds(UNUSED void **state)
{
    size_t open_before = n_open_fds();
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++)
        for (size_t n = 0; n <= 4; n++) {
            if (n == row->n_fds) continue;
            struct pair p = pair_for(row);
            CLEANUP(buf_done) struct buf fields = BUF_INIT(1 << 16);
            struct view f = filled(row, &fields);
            struct ipc_message m;
            int fds[4];
            null_fds(fds);
            send_raw(&p, (uint32_t)f.len + 1, row->number, f, fds, n);
            assert_int_equal(receive(&p, &m), ERR_UNEXPECTED_MESSAGE);
            close_fds(fds, 4);
            pair_done(&p);
        }
    assert_int_equal(n_open_fds(), open_before);
}

/* More descriptors than anybody keeps: closed, and an error. */
static void test_flood_of_fds(UNUSED void **state)
{
    size_t open_before = n_open_fds();
    struct pair p = pair_of(IPC_N, IPC_M, IPC_KEYED);
    int fds[FD_PASS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) assert_ok(fd_devnull(&fds[i]));
    assert_ok(fd_send(p.a.fd, VIEW_LIT("\0"), fds, ARRAY_LEN(fds)));
    close_fds(fds, ARRAY_LEN(fds));
    assert_int_equal(ipc_fill(&p.b), ERR_LIMIT);
    pair_done(&p);
    assert_int_equal(n_open_fds(), open_before);
}

/* Byte by byte: nothing until the last one. */
static void test_half_messages(UNUSED void **state)
{
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct pair p = pair_for(row);
        CLEANUP(buf_done) struct buf fields = BUF_INIT(1 << 16), whole = BUF_INIT(1 << 16);
        struct view f = filled(row, &fields);
        struct wr w = wr_of(&whole);
        struct ipc_message m;
        int fds[4];
        null_fds(fds);
        wr_u32(&w, (uint32_t)f.len + 1);
        wr_u8(&w, row->number);
        wr_bytes(&w, f);
        assert_ok(wr_end(&w));
        for (size_t i = 0; i < buf_len(&whole); i++) {
            assert_int_equal(ipc_next(&p.b, &m), 0);
            assert_ok(fd_send(p.a.fd, view_sub(buf_view(&whole), i, 1), fds, i == 0 ? row->n_fds : 0));
            assert_ok(ipc_fill(&p.b));
        }
        assert_int_equal(ipc_next(&p.b, &m), 1);
        assert_int_equal(row->get_and_compare(m.fields), 1);
        close_fds(m.fds, row->n_fds);
        close_fds(fds, 4);
        pair_done(&p);
    }
}

static void test_many_in_one_read(UNUSED void **state)
{
    struct pair p = pair_of(IPC_N, IPC_M, IPC_KEYED);
    struct ipc_message m;
    for (uint32_t i = 0; i < 100; i++) assert_ok(IPC_SEND(&p.a, net_log, .level = i, .line = VIEW_LIT("line")));
    assert_ok(ipc_fill(&p.b));
    for (uint32_t i = 0; i < 100; i++) {
        struct ipc_net_log got;
        assert_int_equal(ipc_next(&p.b, &m), 1);
        assert_ok(ipc_net_log_get(m.fields, &got));
        assert_int_equal(got.level, i);
    }
    assert_int_equal(ipc_next(&p.b, &m), 0);
    pair_done(&p);
}

/* Bigger than the socket holds: a second process reads. Also the largest message there is. */
static void test_large(UNUSED void **state)
{
    static uint8_t big[8 << 20];
    struct pair p = pair_of(IPC_N, IPC_M, IPC_AUTHENTICATED);
    memset(big, 'b', sizeof big);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(IPC_SEND(&p.a, handoff, .transport = view_of(big, sizeof big - 4)) == 0 ? 0 : 1);
    struct ipc_message m;
    struct ipc_handoff got;
    assert_ok(ipc_expect(&p.b, clock_now() + 30000, IPC_handoff_NUMBER, &m));
    assert_ok(ipc_handoff_get(m.fields, &got));
    assert_int_equal(got.transport.len, sizeof big - 4);
    assert_memory_equal(got.transport.p, big, got.transport.len);
    pair_done(&p);
}

static void test_expect(UNUSED void **state)
{
    size_t open_before = n_open_fds();
    struct pair p = pair_of(IPC_M, IPC_U, IPC_SESSION);
    struct ipc_message m;
    int fds[4];
    null_fds(fds);
    assert_ok(IPC_SEND_FDS(&p.a, pty_opened, fds, 2, .tty_name = VIEW_LIT("/dev/pts/9")));
    assert_int_equal(ipc_expect(&p.b, clock_now() + 5000, IPC_pty_refused_NUMBER, &m), ERR_UNEXPECTED_MESSAGE);
    close_fds(fds, 4);
    pair_done(&p);
    assert_int_equal(n_open_fds(), open_before);
}

static void test_nothing_there(UNUSED void **state)
{
    struct pair p = pair_of(IPC_N, IPC_M, IPC_KEYED);
    struct ipc_message m;
    assert_int_equal(ipc_fill(&p.b), ERR_AGAIN);
    assert_int_equal(ipc_recv(&p.b, clock_now() + 20, &m), ERR_TIMEOUT);
    ipc_done(&p.a);
    assert_int_equal(ipc_recv(&p.b, clock_now() + 5000, &m), ERR_PEER_CLOSED);
    ipc_done(&p.b);
}

static void test_send_to_closed(UNUSED void **state)
{
    struct pair p = pair_of(IPC_N, IPC_M, IPC_KEYED);
    ipc_done(&p.b);
    assert_int_equal(IPC_SEND(&p.a, net_log, .line = VIEW_LIT("x")), ERR_PEER_CLOSED);
    ipc_done(&p.a);
}

/* What was lent is wiped before the next bytes are taken: a password does not stay in the monitor's buffer. */
static void test_password_is_wiped(UNUSED void **state)
{
    struct pair p = pair_of(IPC_N, IPC_M, IPC_KEYED);
    struct ipc_message m;
    struct ipc_auth_password got;
    assert_ok(IPC_SEND(&p.a, auth_password, .user = VIEW_LIT("u"), .service = VIEW_LIT("s"), .password = VIEW_LIT("hunter2")));
    assert_int_equal(receive(&p, &m), 1);
    assert_ok(ipc_auth_password_get(m.fields, &got));
    assert_true(view_eq_str(got.password, "hunter2"));
    assert_int_equal(ipc_fill(&p.b), ERR_AGAIN);
    assert_memory_equal(got.password.p, "\0\0\0\0\0\0\0", 7);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_wrong_direction),
        cmocka_unit_test(test_every_state),      cmocka_unit_test(test_unknown_number),
        cmocka_unit_test(test_length_bounds),    cmocka_unit_test(test_send_too_long),
        cmocka_unit_test(test_fields_length),    cmocka_unit_test(test_nul_in_text),
        cmocka_unit_test(test_send_wrong_fds),   cmocka_unit_test(test_missing_and_extra_fds),
        cmocka_unit_test(test_flood_of_fds),     cmocka_unit_test(test_half_messages),
        cmocka_unit_test(test_many_in_one_read), cmocka_unit_test(test_large),
        cmocka_unit_test(test_expect),           cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_send_to_closed),   cmocka_unit_test(test_password_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
