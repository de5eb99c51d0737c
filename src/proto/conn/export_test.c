/* State is data: an engine that is exported and imported in the middle goes on with the same bytes as one that was not; and what an
 * import may be given. */
#include "proto/conn/conn_pair.h"

static const struct conn_config PLAIN = { .window_start_bytes = 4096, .window_max_bytes = 65536 };

/* The engine as a new object with the same state. */
static void move_house(struct pair_end *e)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(SIZE_MAX);
    CLEANUP(buf_done) struct buf again = BUF_INIT(SIZE_MAX);
    struct conn *moved = NULL;
    assert_int_equal(conn_export(e->conn, &out), 0);
    assert_int_equal(conn_import(&PLAIN, buf_view(&out), &moved), 0);
    assert_int_equal(conn_export(moved, &again), 0);
    assert_true(view_eq(buf_view(&out), buf_view(&again)));
    assert_int_equal(moved->window_grown, e->conn->window_grown);
    conn_free(e->conn);
    e->conn = moved;
    conn_attach(moved, pair_link(e));
}

/* A random session from a seed: what each side does depends on the seed and on what it receives only. */
struct player {
    struct pair_end *end;
    uint32_t questions[64];
    bool is_global[64];
    size_t n_questions;
    size_t unread[16];
};

static uint32_t next_random(uint32_t *seed) { return (*seed = *seed * 1664525U + 1013904223U) >> 8; }

static void take_one(struct player *pl)
{
    struct conn_event ev;
    int r = pair_next(pl->end, &ev);
    if (r == 0 || r == ERR_NOT_FOUND) return;
    assert_int_equal(r, 1);
    if (ev.kind == CONN_DATA) pl->unread[ev.channel] += ev.data.len;
    if (ev.kind == CONN_OPEN || ev.kind == CONN_OPENED) pl->unread[ev.channel] = 0;
    if (ev.want_reply && pl->n_questions < ARRAY_LEN(pl->questions)) {
        pl->is_global[pl->n_questions] = ev.kind == CONN_GLOBAL_REQUEST;
        pl->questions[pl->n_questions++] = ev.question;
    }
}

static void answer_one(struct player *pl, uint32_t choice)
{
    if (pl->n_questions == 0) return;
    size_t i = choice % pl->n_questions;
    int r = pl->is_global[i] ? conn_answer_global(pl->end->conn, pl->questions[i], choice & 64, VIEW_LIT("data"))
                             : conn_answer_request(pl->end->conn, pl->questions[i], choice & 64);
    assert_int_equal(r, 0);
    pl->n_questions--;
    pl->questions[i] = pl->questions[pl->n_questions];
    pl->is_global[i] = pl->is_global[pl->n_questions];
}

/* Whatever the state does not allow is refused without effect, in both runs alike. */
static void owner_does(struct player *pl, uint32_t choice)
{
    struct conn *c = pl->end->conn;
    channel_id id = choice >> 8 & 7;
    size_t len;
    uint8_t bytes[700] = { (uint8_t)choice };
    struct channel_info info;
    int r = 0;
    switch (choice & 15) {
    case 0:
        if (conn_n_channels(c) < 8) r = conn_open(c, "session", VIEW_LIT("x"), &id);
        break;
    case 1:
        r = conn_open_accept(c, id, VIEW_LIT("y"));
        break;
    case 2:
        r = choice & 0x30 ? conn_open_accept(c, id, VIEW_EMPTY) : conn_open_refuse(c, id, 1, "no");
        break;
    case 3:
        r = choice & 0xf0 ? 0 : conn_close(c, id);
        break;
    case 4:
        r = choice & 0x70 ? 0 : conn_send_eof(c, id);
        break;
    case 5:
        r = conn_request(c, id, "env", choice & 16, choice, VIEW_LIT("z"));
        break;
    case 6:
        r = conn_global_request(c, "g", choice & 16, choice, VIEW_LIT("z"));
        break;
    case 7:
    case 8:
        answer_one(pl, choice >> 4);
        break;
    case 9:
    case 10:
        if (conn_channel_info(c, id, &info) < 0) break;
        len = MIN(pl->unread[id], (size_t)(choice >> 11));
        pl->unread[id] -= len;
        r = conn_consumed(c, id, len);
        break;
    default:
        r = conn_write(c, id, choice >> 14 & 1, view_of(bytes, choice >> 4 & 511), &len);
        break;
    }
    assert_true(r == 0 || r == ERR_STATE || r == ERR_NOT_FOUND);
}

static void play(uint32_t seed, unsigned move_every, struct buf *trace_a, struct buf *trace_b)
{
    struct pair *p = pair_new(&PLAIN, &PLAIN);
    struct player *pl = test_calloc(2, sizeof(*pl));
    p->a.trace = trace_a;
    p->b.trace = trace_b;
    pl[0].end = &p->a;
    pl[1].end = &p->b;
    for (unsigned step = 1; step <= 4000; step++) {
        struct player *who = &pl[next_random(&seed) & 1];
        uint32_t choice = next_random(&seed);
        if (choice & 0x800000)
            take_one(who);
        else
            owner_does(who, choice);
        if (move_every && step % move_every == 0) move_house(who->end);
    }
    test_free(pl);
    pair_free(p);
}

static void test_moving_changes_no_byte(void **unused)
{
    (void)unused;
    size_t total = 0;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        CLEANUP(buf_done) struct buf a = BUF_INIT(SIZE_MAX);
        CLEANUP(buf_done) struct buf b = BUF_INIT(SIZE_MAX);
        CLEANUP(buf_done) struct buf moved_a = BUF_INIT(SIZE_MAX);
        CLEANUP(buf_done) struct buf moved_b = BUF_INIT(SIZE_MAX);
        play(seed, 0, &a, &b);
        play(seed, 1 + seed % 7, &moved_a, &moved_b);
        assert_true(view_eq(buf_view(&a), buf_view(&moved_a)));
        assert_true(view_eq(buf_view(&b), buf_view(&moved_b)));
        total += buf_len(&a) + buf_len(&b);
    }
    assert_true(total > 40 * 4000);
}

/* A session with everything in it. */
static void rich_state(struct pair *p, struct buf *out)
{
    channel_id a, b;
    size_t len;
    pair_open(p, &a, &b);
    pair_open(p, &a, &b);
    assert_int_equal(conn_open(p->b.conn, "x11", VIEW_EMPTY, &b), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(conn_request(p->a.conn, a, "env", true, i, VIEW_EMPTY), 0);
        assert_int_equal(conn_global_request(p->a.conn, "g", true, i, VIEW_EMPTY), 0);
        uint32_t request = pair_expect(&p->b, CONN_REQUEST).question, global = pair_expect(&p->b, CONN_GLOBAL_REQUEST).question;
        if (i == 1) assert_int_equal(conn_answer_request(p->b.conn, request, true), 0);
        if (i == 1) assert_int_equal(conn_answer_global(p->b.conn, global, true, VIEW_LIT("kept")), 0);
    }
    assert_int_equal(conn_global_request(p->b.conn, "g", true, 9, VIEW_EMPTY), 0);
    assert_int_equal(conn_request(p->b.conn, a, "exit-status", true, 9, VIEW_EMPTY), 0);
    assert_int_equal(conn_write(p->a.conn, a, 0, VIEW_LIT("hello"), &len), 0);
    pair_expect(&p->b, CONN_DATA);
    assert_int_equal(conn_export(p->b.conn, out), 0);
}

/* What the writer may have been made to write: cut, changed in any byte. Never more than an error. */
static void test_import_of_anything(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(&PLAIN, &PLAIN);
    CLEANUP(buf_done) struct buf out = BUF_INIT(SIZE_MAX);
    struct conn *c;
    rich_state(p, &out);
    for (size_t n = 0; n < buf_len(&out); n++) assert_true(conn_import(&PLAIN, view_of(buf_bytes(&out), n), &c) < 0);
    for (size_t i = 0; i < buf_len(&out); i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            buf_bytes(&out)[i] ^= (uint8_t)(1U << bit);
            c = NULL;
            int r = conn_import(&PLAIN, buf_view(&out), &c);
            assert_true((r == 0) == (c != NULL));
            if (c) {
                struct conn_event ev;
                uint8_t data[] = { 94, 0, 0, 0, 1, 0, 0, 0, 1, 'x' };
                conn_attach(c, pair_link(&p->b));
                r = conn_packet(c, view_of(data, sizeof(data)), &ev);
                for (channel_id id = conn_channel_next(c, 0); id != CHANNEL_NONE; id = conn_channel_next(c, id + 1))
                    r = conn_consumed(c, id, 1);
            }
            conn_free(c);
            buf_bytes(&out)[i] ^= (uint8_t)(1U << bit);
        }
    assert_int_equal(buf_put_u8(&out, 0), 0);
    assert_int_equal(conn_import(&PLAIN, buf_view(&out), &c), ERR_TRAILING);
    pair_free(p);
}

static void test_export_that_does_not_fit(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(&PLAIN, &PLAIN);
    CLEANUP(buf_done) struct buf whole = BUF_INIT(SIZE_MAX);
    rich_state(p, &whole);
    CLEANUP(buf_done) struct buf small = BUF_INIT(buf_len(&whole) + 2);
    assert_int_equal(buf_put_str(&small, "abc"), 0);
    assert_int_equal(conn_export(p->b.conn, &small), ERR_LIMIT);
    assert_int_equal(buf_len(&small), 3);
    buf_truncate(&small, 2);
    assert_int_equal(conn_export(p->b.conn, &small), 0);
    pair_free(p);
}

/* An engine that goes to a configuration with other limits keeps what it announced. */
static void test_import_with_other_limits(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    CLEANUP(buf_done) struct buf out = BUF_INIT(SIZE_MAX);
    struct conn_config other = {
        .window_start_bytes = 100, .window_max_bytes = 200, .packet_max_bytes = 10, .window_budget_bytes = 50
    };
    struct conn *moved;
    channel_id a, b;
    size_t len;
    pair_open(p, &a, &b);
    uint8_t *bytes = test_calloc(1, 3 * LIMIT_WINDOW_START_BYTES);
    assert_int_equal(conn_write(p->a.conn, a, 0, view_of(bytes, 3 * LIMIT_WINDOW_START_BYTES), &len), 0);
    assert_int_equal(conn_export(p->b.conn, &out), 0);
    assert_int_equal(conn_import(&other, buf_view(&out), &moved), 0);
    conn_free(p->b.conn);
    p->b.conn = moved;
    conn_attach(moved, pair_link(&p->b));
    while (p->a.n_packets) {
        struct conn_event ev = pair_expect(&p->b, CONN_DATA);
        assert_int_equal(conn_consumed(moved, b, ev.data.len), 0);
    }
    assert_int_equal(conn_write(p->a.conn, a, 0, view_of(bytes, 1), &len), 0);
    while (p->b.n_packets) {
        struct conn_event ev;
        assert_true(pair_next(&p->a, &ev) >= 0);
    }
    assert_int_equal(conn_close(p->a.conn, a), 0);
    pair_expect(&p->b, CONN_CLOSE);
    assert_int_equal(conn_close(moved, b), 0);
    assert_int_equal(moved->window_grown, 0);
    test_free(bytes);
    pair_free(p);
}

/* An early session that is refused, with a move of each side wherever it may be. */
static void test_early_session_moves(void **unused)
{
    (void)unused;
    struct conn_config server = PLAIN;
    server.takes_early_session = true;
    struct conn_event ev;
    struct pair *p = pair_new(&PLAIN, &server);
    channel_id a;
    move_house(&p->b);
    assert_int_equal(conn_open_early(p->a.conn, "session", VIEW_EMPTY, 7, &a), 0);
    move_house(&p->a);
    assert_int_equal(conn_request(p->a.conn, a, "env", false, 0, VIEW_EMPTY), 0);
    assert_int_equal(
        PAIR_GIVE(&p->a, &ev, channel_open_confirmation, .recipient = a, .sender = 0, .window_bytes = 9, .packet_max_bytes = 9),
        ERR_CHANNEL_STATE);
    channel_id b = pair_expect(&p->b, CONN_OPEN).channel;
    move_house(&p->b);
    assert_int_equal(conn_open_refuse(p->b.conn, b, 1, "no"), 0);
    move_house(&p->b);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_request, .recipient = 0, .type = VIEW_LIT("env")), 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moving_changes_no_byte),   cmocka_unit_test(test_import_of_anything),
        cmocka_unit_test(test_export_that_does_not_fit), cmocka_unit_test(test_import_with_other_limits),
        cmocka_unit_test(test_early_session_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
