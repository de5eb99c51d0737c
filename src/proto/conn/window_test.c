/* Flow control: limits in both directions, adjusts, growth and its bounds on simulated paths, budget. */
#include "proto/conn/conn_pair.h"

enum {
    KB = 1024,
    MB = 1024 * 1024
};
static uint8_t zeros[LIMIT_PACKET_PAYLOAD_BYTES];

static struct channel_info info_of(struct conn *c, channel_id id)
{
    struct channel_info info;
    assert_int_equal(conn_channel_info(c, id, &info), 0);
    return info;
}

static size_t write_once(struct pair_end *e, channel_id id, size_t want)
{
    uint8_t *area;
    size_t len;
    assert_int_equal(conn_write_reserve(e->conn, id, 0, want, &area, &len), 0);
    if (len) memset(area, 0x5a, len);
    assert_int_equal(conn_write_commit(e->conn, id, len), 0);
    return len;
}

/* ---- limits ---- */

static void test_write_is_the_least_of_all(void **unused)
{
    (void)unused;
    struct conn_config config = { .window_start_bytes = 1000, .packet_max_bytes = 300 };
    struct pair *p = pair_new(NULL, &config);
    channel_id a, b;
    pair_open(p, &a, &b);
    assert_int_equal(info_of(p->a.conn, a).window_out, 1000);
    assert_int_equal(write_once(&p->a, a, 20), 20);
    assert_int_equal(write_once(&p->a, a, 5000), 300);
    p->a.room = 100;
    assert_int_equal(conn_write_room(p->a.conn, a), 100);
    assert_int_equal(write_once(&p->a, a, 5000), 100);
    p->a.room = 0;
    assert_int_equal(write_once(&p->a, a, 5000), 0);
    p->a.room = SIZE_MAX;
    assert_int_equal(conn_write_room(p->a.conn, a), 580);
    size_t len;
    assert_int_equal(conn_write(p->a.conn, a, 0, view_of(zeros, 5000), &len), 0);
    assert_int_equal(len, 580);
    assert_int_equal(write_once(&p->a, a, 1), 0);
    /* exactly as announced: no error, and the bytes are what was written */
    size_t total = 0, lens[] = { 20, 300, 100, 300, 280 };
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct conn_event ev = pair_expect(&p->b, CONN_DATA);
        assert_true(ev.channel == b && ev.ext_type == 0 && ev.data.len == lens[i] && ev.data.p[0] == (i < 3 ? 0x5a : 0));
        total += ev.data.len;
    }
    assert_int_equal(total, info_of(p->b.conn, b).bytes_in);
    assert_int_equal(total, info_of(p->a.conn, a).bytes_out);
    assert_int_equal(info_of(p->b.conn, b).window_in, 0);
    /* CONN_WINDOW when the peer has consumed enough, once */
    assert_int_equal(conn_consumed(p->b.conn, b, 499), 0);
    pair_quiet(&p->a);
    assert_int_equal(conn_consumed(p->b.conn, b, 1), 0);
    assert_int_equal(pair_expect(&p->a, CONN_WINDOW).channel, a);
    assert_int_equal(conn_write_room(p->a.conn, a), 500);
    assert_int_equal(conn_consumed(p->b.conn, b, 500), 0);
    pair_quiet(&p->a);
    assert_int_equal(conn_write_room(p->a.conn, a), 1000);
    assert_int_equal(conn_consumed(p->b.conn, b, 1), ERR_STATE);
    pair_free(p);
}

static void test_reserve_and_commit(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, b;
    uint8_t *area;
    size_t len;
    pair_open(p, &a, &b);
    assert_int_equal(conn_write_commit(p->a.conn, a, 1), ERR_STATE);
    assert_int_equal(conn_write_reserve(p->a.conn, a, 7, 10, &area, &len), 0);
    assert_int_equal(len, 10);
    assert_int_equal(conn_write_commit(p->a.conn, a, 11), ERR_STATE);
    assert_int_equal(conn_write_reserve(p->a.conn, a, 7, 10, &area, &len), 0);
    memcpy(area, "abc", 3);
    assert_int_equal(conn_write_commit(p->a.conn, a, 3), 0);
    assert_int_equal(conn_write_commit(p->a.conn, a, 3), ERR_STATE);
    struct conn_event ev = pair_expect(&p->b, CONN_DATA);
    assert_true(ev.ext_type == 7 && view_eq_str(ev.data, "abc"));
    /* another message forgets a reserved write */
    assert_int_equal(conn_write_reserve(p->a.conn, a, 0, 10, &area, &len), 0);
    assert_int_equal(conn_global_request(p->a.conn, "x", false, 0, VIEW_EMPTY), 0);
    assert_int_equal(conn_write_commit(p->a.conn, a, 3), ERR_STATE);
    assert_int_equal(conn_write_commit(p->a.conn, a, 0), 0);
    assert_int_equal(conn_write_reserve(p->a.conn, a + 1, 0, 10, &area, &len), ERR_NOT_FOUND);
    assert_int_equal(info_of(p->a.conn, a).bytes_out, 3);
    pair_free(p);
}

static void test_received_limits(void **unused)
{
    (void)unused;
    struct conn_config config = { .window_start_bytes = 100, .packet_max_bytes = 60 };
    struct conn_event ev;
    for (int ext = 0; ext < 2; ext++) {
        struct pair *p = pair_new(&config, NULL);
        channel_id a, b;
        pair_open(p, &a, &b);
#define GIVE(n_)                                                                                                \
    (ext ? PAIR_GIVE(&p->a, &ev, channel_extended_data, .recipient = a, .type = 77, .data = view_of(zeros, n_)) \
         : PAIR_GIVE(&p->a, &ev, channel_data, .recipient = a, .data = view_of(zeros, n_)))
        assert_int_equal(GIVE(61), ERR_WINDOW_OVERFLOW);
        assert_int_equal(GIVE(0), 0);
        assert_int_equal(GIVE(60), 1);
        assert_int_equal(ev.ext_type, ext ? 77 : 0);
        assert_int_equal(GIVE(41), ERR_WINDOW_OVERFLOW);
        assert_int_equal(GIVE(40), 1);
        assert_int_equal(GIVE(0), 0);
        assert_int_equal(GIVE(1), ERR_WINDOW_OVERFLOW);
#undef GIVE
        pair_free(p);
    }
    struct pair *p = pair_new(&config, NULL);
    channel_id a, b;
    pair_open(p, &a, &b);
    assert_int_equal(PAIR_GIVE(&p->a, &ev, channel_extended_data, .recipient = a, .type = 0, .data = VIEW_LIT("x")), ERR_RANGE);
    pair_free(p);
}

static void test_adjust_overflow(void **unused)
{
    (void)unused;
    struct conn_config config = { .window_start_bytes = 10 };
    struct pair *p = pair_new(NULL, &config);
    struct conn_event ev;
    channel_id a, b;
    pair_open(p, &a, &b);
    assert_int_equal(PAIR_GIVE(&p->a, &ev, channel_window_adjust, .recipient = a, .bytes = UINT32_MAX - 10), 0);
    assert_int_equal(conn_write_room(p->a.conn, a), UINT32_MAX);
    assert_int_equal(PAIR_GIVE(&p->a, &ev, channel_window_adjust, .recipient = a, .bytes = 0), 0);
    assert_int_equal(PAIR_GIVE(&p->a, &ev, channel_window_adjust, .recipient = a, .bytes = 1), ERR_WINDOW_OVERFLOW);
    pair_free(p);
}

/* Windows of one byte, of two, ...: no deadlock, and never more than announced. */
static void test_small_windows_move(void **unused)
{
    (void)unused;
    for (size_t window = 1; window < 40; window++) {
        struct conn_config config = { .window_start_bytes = window, .packet_max_bytes = 7 };
        struct pair *p = pair_new(NULL, &config);
        channel_id a, b;
        size_t sent = 0, got = 0;
        struct conn_event ev;
        int r;
        pair_open(p, &a, &b);
        for (int i = 0; i < 1000 && got < 500; i++) {
            sent += write_once(&p->a, a, 500);
            while ((r = pair_next(&p->b, &ev)) != ERR_NOT_FOUND) {
                assert_int_equal(r, 1);
                got += ev.data.len;
                assert_int_equal(conn_consumed(p->b.conn, b, ev.data.len), 0);
            }
            while ((r = pair_next(&p->a, &ev)) != ERR_NOT_FOUND) assert_true(r >= 0);
        }
        assert_true(got >= 500 && sent == got);
        pair_free(p);
    }
}

static void test_consumed_while_detached(void **unused)
{
    (void)unused;
    struct conn_config config = { .window_start_bytes = 1000 };
    struct pair *p = pair_new(NULL, &config);
    channel_id a, b;
    pair_open(p, &a, &b);
    assert_int_equal(write_once(&p->a, a, 1000), 1000);
    pair_expect(&p->b, CONN_DATA);
    conn_detach(p->b.conn);
    assert_int_equal(conn_consumed(p->b.conn, b, 900), 0);
    assert_null(p->b.head);
    p->b.fail = ERR_NOMEM; /* not yet */
    conn_attach(p->b.conn, pair_link(&p->b));
    p->b.fail = 0;
    assert_int_equal(conn_global_request(p->a.conn, "x", false, 0, VIEW_EMPTY), 0);
    pair_expect(&p->b, CONN_GLOBAL_REQUEST);
    pair_expect(&p->a, CONN_WINDOW);
    assert_int_equal(conn_write_room(p->a.conn, a), 900);
    pair_free(p);
}

static void test_no_adjust_behind_eof_or_close(void **unused)
{
    (void)unused;
    struct conn_config config = { .window_start_bytes = 1000 };
    for (int close_it = 0; close_it < 3; close_it++) {
        struct pair *p = pair_new(NULL, &config);
        channel_id a, b;
        pair_open(p, &a, &b);
        assert_int_equal(write_once(&p->a, a, 1000), 1000);
        pair_expect(&p->b, CONN_DATA);
        if (close_it == 0) assert_int_equal(conn_send_eof(p->a.conn, a), 0);
        if (close_it == 1) assert_int_equal(conn_close(p->a.conn, a), 0);
        if (close_it == 2) assert_int_equal(conn_close(p->b.conn, b), 0);
        if (close_it == 2)
            pair_expect(&p->a, CONN_CLOSE);
        else
            pair_expect(&p->b, close_it ? CONN_CLOSE : CONN_EOF);
        assert_int_equal(conn_consumed(p->b.conn, b, 1000), 0);
        conn_attach(p->b.conn, pair_link(&p->b));
        assert_null(p->b.head);
        pair_free(p);
    }
}

/* ---- paths in simulated time: ticks of 1 ms ---- */

enum {
    SLOTS = 512
};
struct path {
    struct pair *pair;
    channel_id a, b;
    unsigned one_way_ms;
    size_t sender_per_ms, consumer_per_ms; /* bytes */
    size_t chunk;                          /* what the sender writes at a time */
    struct pair_packet *slots[2][SLOTS], **tails[2][SLOTS];
    unsigned now;
    size_t unread, max_unread, received, max_window;
    bool got_data; /* in this tick */
};

static void path_init(struct path *s, unsigned one_way_ms, size_t sender_per_ms, size_t consumer_per_ms)
{
    *s = (struct path){
        .one_way_ms = one_way_ms, .sender_per_ms = sender_per_ms, .consumer_per_ms = consumer_per_ms, .chunk = SIZE_MAX
    };
    s->pair = pair_new(NULL, NULL);
    pair_open(s->pair, &s->a, &s->b);
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < SLOTS; i++) s->tails[d][i] = &s->slots[d][i];
}

static void path_done(struct path *s)
{
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < SLOTS; i++)
            for (struct pair_packet *p; (p = s->slots[d][i]);) {
                s->slots[d][i] = p->next;
                test_free(p);
            }
    pair_free(s->pair);
}

static void depart(struct path *s, int direction, struct pair_end *from)
{
    unsigned slot = (s->now + s->one_way_ms) % SLOTS;
    for (struct pair_packet *p; (p = pair_take(from));) {
        p->next = NULL;
        *s->tails[direction][slot] = p;
        s->tails[direction][slot] = &p->next;
    }
}

static void arrive(struct path *s, int direction, struct pair_end *to)
{
    unsigned slot = s->now % SLOTS;
    struct conn_event ev;
    s->got_data = false;
    for (struct pair_packet *p; (p = s->slots[direction][slot]);) {
        s->slots[direction][slot] = p->next;
        int r = conn_packet(to->conn, view_of(p->bytes, p->len), &ev);
        assert_true(r >= 0);
        if (r == 1 && ev.kind == CONN_DATA) {
            s->got_data = true;
            s->unread += ev.data.len;
            s->received += ev.data.len;
            s->max_unread = MAX(s->max_unread, s->unread);
            size_t now = s->consumer_per_ms == SIZE_MAX ? s->unread : 0;
            s->unread -= now;
            assert_int_equal(conn_consumed(to->conn, s->b, now), 0);
        }
        test_free(p);
    }
    s->tails[direction][slot] = &s->slots[direction][slot];
}

static void path_run(struct path *s, unsigned n_ms)
{
    for (unsigned until = s->now + n_ms; s->now < until; s->now++) {
        arrive(s, 1, &s->pair->a);
        arrive(s, 0, &s->pair->b);
        if (!s->got_data) assert_int_equal(conn_ran_dry(s->pair->b.conn, s->b), 0);
        size_t n = MIN(s->unread, s->consumer_per_ms);
        s->unread -= n;
        assert_int_equal(conn_consumed(s->pair->b.conn, s->b, n), 0);
        for (size_t done = 0, len = 1; done < s->sender_per_ms && len; done += len) {
            size_t want = MIN(s->chunk, s->sender_per_ms - done);
            len = write_once(&s->pair->a, s->a, want);
        }
        depart(s, 0, &s->pair->a);
        depart(s, 1, &s->pair->b);
        size_t size = info_of(s->pair->b.conn, s->b).window_in_max;
        s->max_window = MAX(s->max_window, size);
    }
}

/* 100 ms, 320 MB/s: after half a second of growth the path is full, within the bound for one channel. */
static void test_long_path_fills(void **unused)
{
    (void)unused;
    struct path s;
    path_init(&s, 50, 320 * 1000, SIZE_MAX);
    for (int trips = 0; trips < 6; trips++) {
        size_t size = info_of(s.pair->b.conn, s.b).window_in_max;
        path_run(&s, 100);
        assert_true(info_of(s.pair->b.conn, s.b).window_in_max <=
                    8 * size); /* what was asked for has a round trip to show its effect */
    }
    assert_true(info_of(s.pair->b.conn, s.b).window_in_max >= 32 * MB);
    size_t before = s.received;
    path_run(&s, 500);
    size_t per_second = (s.received - before) * 2;
    if (per_second < 315 * 1000 * 1000) fail_msg("%zu bytes a second", per_second);
    assert_true(s.max_window <= 128 * MB);
    path_done(&s);
}

/* The same with a sender that writes odd pieces. */
static void test_long_path_fills_with_odd_writes(void **unused)
{
    (void)unused;
    struct path s;
    path_init(&s, 50, 320 * 1000, SIZE_MAX);
    s.chunk = 11111;
    path_run(&s, 600);
    assert_true(info_of(s.pair->b.conn, s.b).window_in_max >= 32 * MB);
    path_done(&s);
}

static void write_all_and_take(struct pair *p, channel_id a, channel_id b)
{
    while (write_once(&p->a, a, SIZE_MAX)) {
        struct conn_event ev = pair_expect(&p->b, CONN_DATA);
        assert_int_equal(conn_consumed(p->b.conn, b, ev.data.len), 0);
    }
    assert_int_equal(conn_ran_dry(p->b.conn, b), 0);
}

/* The peer runs out once more before it has heard of the growth: that says nothing of the new size. */
static void test_growth_is_given_time(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    channel_id a, b;
    pair_open(p, &a, &b);
    write_all_and_take(p, a, b);
    assert_int_equal(info_of(p->b.conn, b).window_in_max, 16 * MB);
    assert_true(p->b.n_packets >= 2);
    while (p->b.n_packets > 1) assert_true(pair_next(&p->a, &ev) >= 0);
    write_all_and_take(p, a, b);
    assert_int_equal(info_of(p->b.conn, b).window_in_max, 16 * MB);
    for (int i = 0; i < 2; i++) {
        while (p->b.n_packets) assert_true(pair_next(&p->a, &ev) >= 0);
        write_all_and_take(p, a, b);
    }
    assert_int_equal(info_of(p->b.conn, b).window_in_max, 128 * MB);
    pair_free(p);
}

/* A long path with a sender that needs no more than the first window, and a short path with a fast one: nothing grows. */
static void test_no_needless_growth(void **unused)
{
    (void)unused;
    static const struct {
        unsigned one_way_ms;
        size_t per_ms, chunk;
    } PATHS[] = {
        { 50, 9000, SIZE_MAX }, { 50, 8192, 4096 }, { 1, 400 * 1000, SIZE_MAX }, { 1, 15 * 32768, 32768 }, { 5, 65536, 8192 }
    };
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        struct path s;
        path_init(&s, PATHS[i].one_way_ms, PATHS[i].per_ms, SIZE_MAX);
        s.chunk = PATHS[i].chunk;
        path_run(&s, 3000);
        if (s.max_window != LIMIT_WINDOW_START_BYTES) fail_msg("path %zu: %zu", i, s.max_window);
        if (s.received < (s.now - PATHS[i].one_way_ms - 1) * PATHS[i].per_ms) fail_msg("path %zu: %zu received", i, s.received);
        path_done(&s);
    }
}

/* A loopback: each packet is taken and consumed before the next is written. */
static void test_loopback_does_not_grow(void **unused)
{
    (void)unused;
    static const size_t CHUNKS[] = { 32768, 16384, 4096, 1448, 20000, 32767 };
    for (size_t i = 0; i < ARRAY_LEN(CHUNKS); i++) {
        struct path s;
        struct conn_event ev;
        path_init(&s, 0, 0, SIZE_MAX);
        for (size_t sent = 0; sent < 100 * MB;) {
            sent += write_once(&s.pair->a, s.a, CHUNKS[i]);
            ev = pair_expect(&s.pair->b, CONN_DATA);
            assert_int_equal(conn_consumed(s.pair->b.conn, s.b, ev.data.len), 0);
            pair_quiet(&s.pair->a);
        }
        assert_int_equal(info_of(s.pair->b.conn, s.b).window_in_max, LIMIT_WINDOW_START_BYTES);
        path_done(&s);
    }
}

/* A slow owner: the first window is all it ever has in its hands, on a short and on a long path. */
static void test_slow_consumer_is_bounded(void **unused)
{
    (void)unused;
    for (unsigned one_way = 1; one_way <= 50; one_way += 49) {
        struct path s;
        path_init(&s, one_way, 320 * 1000, 5000);
        path_run(&s, 3000);
        if (s.max_unread > LIMIT_WINDOW_START_BYTES) fail_msg("%zu unread at %u ms", s.max_unread, one_way);
        assert_true(s.received >= 2900 * 5000U);
        path_done(&s);
    }
}

/* A grown window goes back when the owner becomes slow, and the budget with it. */
static void test_window_shrinks(void **unused)
{
    (void)unused;
    struct path s;
    path_init(&s, 50, 320 * 1000, SIZE_MAX);
    path_run(&s, 700);
    size_t grown = info_of(s.pair->b.conn, s.b).window_in_max;
    assert_true(grown >= 32 * MB);
    assert_int_equal(s.pair->b.conn->window_grown, grown - LIMIT_WINDOW_START_BYTES);
    s.consumer_per_ms = 50 * 1000;
    s.max_unread = 0;
    path_run(&s, 10000);
    assert_true(s.max_unread <= grown);
    assert_true(info_of(s.pair->b.conn, s.b).window_in_max <= 4 * MB);
    assert_true(s.pair->b.conn->window_grown <= 2 * MB);
    s.max_unread = 0;
    path_run(&s, 1000);
    assert_true(s.max_unread <= 4 * MB);
    /* a pause of an owner that is fast otherwise costs nothing */
    s.consumer_per_ms = SIZE_MAX;
    path_run(&s, 1000);
    grown = info_of(s.pair->b.conn, s.b).window_in_max;
    assert_true(grown >= 32 * MB);
    s.consumer_per_ms = 0;
    path_run(&s, 300);
    s.consumer_per_ms = SIZE_MAX;
    path_run(&s, 500);
    assert_true(info_of(s.pair->b.conn, s.b).window_in_max >= grown);
    path_done(&s);
}

/* ---- budget ---- */

/* A peer that always runs out of window just before our adjust comes: all 1000 channels want to grow, and the sum stays in the
 * budget. */
static void starve(struct pair *p, channel_id id)
{
    struct conn_event ev;
    struct channel_info before = info_of(p->b.conn, id);
    size_t sent;
    int r;
    while ((sent = write_once(&p->a, id, SIZE_MAX)) > 0) {
        r = pair_next(&p->b, &ev);
        assert_int_equal(r, 1);
        assert_int_equal(conn_consumed(p->b.conn, id, ev.data.len), 0);
    }
    assert_int_equal(conn_ran_dry(p->b.conn, id), 0);
    while ((r = pair_next(&p->a, &ev)) != ERR_NOT_FOUND) assert_true(r >= 0);
    assert_true(info_of(p->b.conn, id).window_in_max >= before.window_in_max);
}

static void test_budget_holds(void **unused)
{
    (void)unused;
    enum {
        N = 1000,
        START = 64 * KB,
        BUDGET = 3 * MB + 1234,
        LARGEST = 512 * KB
    };
    struct conn_config config = { .window_start_bytes = START, .window_budget_bytes = BUDGET, .window_max_bytes = LARGEST };
    struct pair *p = pair_new(NULL, &config);
    channel_id a, b;
    size_t sum = 0;
    for (int i = 0; i < N; i++) {
        pair_open(p, &a, &b);
        assert_int_equal(a, b);
    }
    for (int round = 0; round < 8; round++) {
        sum = 0;
        for (channel_id i = 0; i < N; i++) {
            starve(p, i);
            struct channel_info info = info_of(p->b.conn, i);
            assert_true(info.window_in <= info.window_in_max && info.window_in_max <= LARGEST);
            sum += info.window_in_max - START;
        }
        assert_true(sum <= BUDGET);
        assert_int_equal(sum, p->b.conn->window_grown);
    }
    assert_int_equal(sum, BUDGET); /* all of it is used */
    /* and all of it comes back when the channels close, whoever begins */
    for (channel_id i = 0; i < N; i++) {
        struct pair_end *first = i % 2 ? &p->a : &p->b, *second = i % 2 ? &p->b : &p->a;
        assert_int_equal(conn_close(first->conn, i), 0);
        pair_expect(second, CONN_CLOSE);
        assert_int_equal(conn_close(second->conn, i), 0);
        pair_expect(first, CONN_CLOSE);
    }
    assert_int_equal(p->b.conn->window_grown, 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_is_the_least_of_all),
        cmocka_unit_test(test_reserve_and_commit),
        cmocka_unit_test(test_received_limits),
        cmocka_unit_test(test_adjust_overflow),
        cmocka_unit_test(test_small_windows_move),
        cmocka_unit_test(test_consumed_while_detached),
        cmocka_unit_test(test_no_adjust_behind_eof_or_close),
        cmocka_unit_test(test_long_path_fills),
        cmocka_unit_test(test_long_path_fills_with_odd_writes),
        cmocka_unit_test(test_growth_is_given_time),
        cmocka_unit_test(test_no_needless_growth),
        cmocka_unit_test(test_loopback_does_not_grow),
        cmocka_unit_test(test_slow_consumer_is_bounded),
        cmocka_unit_test(test_window_shrinks),
        cmocka_unit_test(test_budget_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
