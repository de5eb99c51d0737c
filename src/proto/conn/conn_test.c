/* The engine against itself: the table of states and messages, opens, EOF and close in every order, requests and replies, numbers.
 */
#include "proto/conn/conn_pair.h"

static const struct view PING = VIEW_LIT("ping");

/* ---- the table ---- */

enum {
    N_MESSAGES = 10 /* 91..100 */
};

/* What the messages 91..100 do in each state: e event, s silently taken, . protocol error. ADJUST gives one if there was no room.
 */
static const struct {
    enum channel_state state;
    const char *row;
} EXPECTED[] = {
    /*                 CF OF WA DA XD EOF CLO REQ SUC FAI */
    { CH_OPENING, "ee........" },     { CH_ABANDONED, "se........" },   { CH_ASKED, ".........." },
    { CH_OPEN, "..seeeeeee" },        { CH_GOT_EOF, "..s...eeee" },     { CH_CLOSING, "..ssssesss" },
    { CH_CLOSING_EOF, "..s...esss" }, { CH_PEER_CLOSED, ".........." },
};

static int give_message(struct pair_end *e, channel_id id, unsigned number, struct conn_event *ret)
{
    switch (number) {
    case 91:
        return PAIR_GIVE(e, ret, channel_open_confirmation, .recipient = id, .sender = 7, .window_bytes = 100,
                         .packet_max_bytes = 50);
    case 92:
        return PAIR_GIVE(e, ret, channel_open_failure, .recipient = id, .reason = 1);
    case 93:
        return PAIR_GIVE(e, ret, channel_window_adjust, .recipient = id, .bytes = 5);
    case 94:
        return PAIR_GIVE(e, ret, channel_data, .recipient = id, .data = PING);
    case 95:
        return PAIR_GIVE(e, ret, channel_extended_data, .recipient = id, .type = 1, .data = PING);
    case 96:
        return PAIR_GIVE(e, ret, channel_eof, .recipient = id);
    case 97:
        return PAIR_GIVE(e, ret, channel_close, .recipient = id);
    case 98:
        return PAIR_GIVE(e, ret, channel_request, .recipient = id, .type = PING, .want_reply = true);
    case 99:
        return PAIR_GIVE(e, ret, channel_success, .recipient = id);
    default:
        return PAIR_GIVE(e, ret, channel_failure, .recipient = id);
    }
}

static channel_id bring_to_asked(struct pair_end *e)
{
    struct conn_event ev;
    assert_int_equal(
        PAIR_GIVE(e, &ev, channel_open, .type = VIEW_LIT("x11"), .sender = 3, .window_bytes = 9, .packet_max_bytes = 9), 1);
    assert_int_equal(ev.kind, CONN_OPEN);
    return ev.channel;
}

static channel_id bring_to(struct pair_end *e, enum channel_state state)
{
    struct conn_event ev;
    channel_id id;
    if (state == CH_ASKED) return bring_to_asked(e);
    assert_int_equal(conn_open(e->conn, "session", VIEW_EMPTY, &id), 0);
    if (state == CH_ABANDONED) assert_int_equal(conn_close(e->conn, id), 0);
    if (state == CH_ABANDONED || state == CH_OPENING) return id;
    assert_int_equal(give_message(e, id, 91, &ev), 1);
    assert_int_equal(conn_request(e->conn, id, "shell", true, 42, VIEW_EMPTY), 0);
    if (state == CH_GOT_EOF || state == CH_CLOSING_EOF) assert_int_equal(give_message(e, id, 96, &ev), 1);
    if (state == CH_CLOSING || state == CH_CLOSING_EOF) assert_int_equal(conn_close(e->conn, id), 0);
    if (state == CH_PEER_CLOSED) assert_int_equal(give_message(e, id, 97, &ev), 1);
    return id;
}

static void test_every_state_and_message(void **unused)
{
    (void)unused;
    for (size_t s = 0; s < ARRAY_LEN(EXPECTED); s++) {
        for (unsigned m = 0; m < N_MESSAGES; m++) {
            struct pair *p = pair_new(NULL, NULL);
            struct conn_event ev = { .kind = 99 };
            channel_id id = bring_to(&p->a, EXPECTED[s].state);
            assert_int_equal(p->a.conn->channels[id].state, EXPECTED[s].state);
            int r = give_message(&p->a, id, 91 + m, &ev);
            char want = EXPECTED[s].row[m];
            if (r != (want == 'e' ? 1 : want == 's' ? 0 : ERR_CHANNEL_STATE))
                fail_msg("state %s, message %u: %d", channel_state_name(EXPECTED[s].state), 91 + m, r);
            if (r == 1) assert_int_equal(ev.channel, id);
            pair_free(p);
        }
    }
}

static void test_unknown_channels_and_messages(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    for (unsigned m = 91; m <= 100; m++) {
        assert_int_equal(give_message(&p->a, 0, m, &ev), ERR_CHANNEL_UNKNOWN);
        assert_int_equal(give_message(&p->a, UINT32_MAX, m, &ev), ERR_CHANNEL_UNKNOWN);
    }
    for (unsigned n = 0; n < 256; n++) {
        uint8_t bytes[16] = { (uint8_t)n };
        bool known = (n >= 80 && n <= 82) || (n >= 90 && n <= 100);
        int r = conn_packet(p->a.conn, view_of(bytes, sizeof(bytes)), &ev);
        assert_true(known ? r != ERR_UNSUPPORTED : r == ERR_UNSUPPORTED);
    }
    assert_int_equal(conn_packet(p->a.conn, VIEW_EMPTY, &ev), ERR_TRUNCATED);
    assert_int_equal(PAIR_GIVE(&p->a, &ev, request_success, ), ERR_UNEXPECTED_MESSAGE);
    assert_int_equal(PAIR_GIVE(&p->a, &ev, request_failure, ), ERR_UNEXPECTED_MESSAGE);
    pair_free(p);
}

/* Every message cut at every byte, and with one byte too many, is an error and never an event. Messages that end in bytes of any
 * number, or that are whole when cut there, are left out where they are. */
static void test_truncated_messages(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    channel_id id = bring_to(&p->a, CH_OPEN);
    uint8_t b[64] = {};
    static const struct {
        unsigned number, len;
        bool open_end;
    } MESSAGES[] = { { 93, 9, false }, { 94, 13, false }, { 95, 17, false }, { 96, 5, false },
                     { 97, 5, false }, { 98, 14, true },  { 99, 5, false },  { 100, 5, false } };
    for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++) {
        struct wr w = wr_area(b, sizeof(b));
        wr_u8(&w, (uint8_t)MESSAGES[i].number);
        wr_u32(&w, id);
        if (MESSAGES[i].number == 95) wr_u32(&w, 1);
        if (MESSAGES[i].number == 93) wr_u32(&w, 1);
        if (MESSAGES[i].number == 94 || MESSAGES[i].number == 95 || MESSAGES[i].number == 98) wr_string(&w, PING);
        if (MESSAGES[i].number == 98) wr_bool(&w, true);
        assert_int_equal(w.len, MESSAGES[i].len);
        for (size_t n = 1; n < w.len; n++) assert_int_equal(conn_packet(p->a.conn, view_of(b, n), &ev), ERR_TRUNCATED);
        if (!MESSAGES[i].open_end) assert_int_equal(conn_packet(p->a.conn, view_of(b, w.len + 1), &ev), ERR_TRAILING);
    }
    pair_free(p);
}

/* ---- opens ---- */

static void test_open_accepted(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, a2;
    assert_int_equal(conn_open(p->a.conn, "direct-tcpip", VIEW_LIT("where"), &a), 0);
    assert_int_equal(conn_open(p->a.conn, "session", VIEW_EMPTY, &a2), 0);
    assert_int_equal(a, 0);
    assert_int_equal(a2, 1);
    struct conn_event one = pair_expect(&p->b, CONN_OPEN);
    assert_true(view_eq_str(one.name, "direct-tcpip") && view_eq_str(one.data, "where"));
    struct conn_event two = pair_expect(&p->b, CONN_OPEN);
    struct channel_info info;
    assert_int_equal(conn_channel_info(p->b.conn, one.channel, &info), 0);
    assert_string_equal(info.type, "direct-tcpip");
    assert_false(info.is_open || info.opened_by_us);
    /* late, and the second before the first */
    assert_int_equal(conn_open_accept(p->b.conn, two.channel, VIEW_LIT("yes")), 0);
    struct conn_event ev = pair_expect(&p->a, CONN_OPENED);
    assert_true(ev.channel == a2 && view_eq_str(ev.data, "yes"));
    assert_int_equal(conn_open_refuse(p->b.conn, one.channel, OPEN_CONNECT_FAILED, "no route"), 0);
    ev = pair_expect(&p->a, CONN_OPEN_FAILED);
    assert_true(ev.channel == a && ev.reason == OPEN_CONNECT_FAILED && view_eq_str(ev.text, "no route"));
    assert_int_equal(conn_channel_info(p->a.conn, a, &info), ERR_NOT_FOUND);
    assert_int_equal(conn_channel_info(p->b.conn, one.channel, &info), ERR_NOT_FOUND);
    assert_int_equal(conn_open_accept(p->b.conn, two.channel, VIEW_EMPTY), ERR_STATE);
    assert_int_equal(conn_open_refuse(p->b.conn, two.channel, 1, ""), ERR_STATE);
    assert_int_equal(conn_open_accept(p->b.conn, one.channel, VIEW_EMPTY), ERR_NOT_FOUND);
    assert_int_equal(conn_n_channels(p->a.conn), 1);
    assert_int_equal(conn_channel_next(p->a.conn, 0), a2);
    assert_int_equal(conn_channel_next(p->a.conn, a2 + 1), CHANNEL_NONE);
    pair_free(p);
}

static void test_not_before_opened(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a;
    uint8_t *area;
    size_t len;
    assert_int_equal(conn_open(p->a.conn, "session", VIEW_EMPTY, &a), 0);
    assert_int_equal(conn_request(p->a.conn, a, "shell", true, 0, VIEW_EMPTY), ERR_STATE);
    assert_int_equal(conn_write_reserve(p->a.conn, a, 0, 1, &area, &len), ERR_STATE);
    assert_int_equal(conn_send_eof(p->a.conn, a), ERR_STATE);
    assert_int_equal(conn_write_room(p->a.conn, a), 0);
    struct conn_event ev = pair_expect(&p->b, CONN_OPEN);
    assert_int_equal(conn_request(p->b.conn, ev.channel, "shell", true, 0, VIEW_EMPTY), ERR_STATE);
    assert_int_equal(conn_close(p->b.conn, ev.channel), ERR_STATE);
    pair_free(p);
}

/* Closed before the confirmation: CLOSE goes out with it; or the failure ends it. */
static void test_abandoned_open(void **unused)
{
    (void)unused;
    for (int refused = 0; refused < 2; refused++) {
        struct pair *p = pair_new(NULL, NULL);
        channel_id a;
        int user;
        assert_int_equal(conn_open(p->a.conn, "session", VIEW_EMPTY, &a), 0);
        conn_set_user(p->a.conn, a, &user);
        assert_int_equal(conn_close(p->a.conn, a), 0);
        assert_int_equal(conn_close(p->a.conn, a), ERR_STATE);
        struct conn_event ev = pair_expect(&p->b, CONN_OPEN);
        if (refused) {
            assert_int_equal(conn_open_refuse(p->b.conn, ev.channel, 1, "no"), 0);
            pair_expect(&p->a, CONN_OPEN_FAILED);
        } else {
            assert_int_equal(conn_open_accept(p->b.conn, ev.channel, VIEW_EMPTY), 0);
            pair_quiet(&p->a);
            pair_expect(&p->b, CONN_CLOSE);
            assert_int_equal(conn_close(p->b.conn, ev.channel), 0);
            pair_expect(&p->a, CONN_CLOSE);
        }
        assert_ptr_equal(conn_user(p->a.conn, a), &user); /* still there for the last event */
        assert_int_equal(conn_n_channels(p->a.conn) + conn_n_channels(p->b.conn), 0);
        pair_free(p);
    }
}

static void test_long_type_is_refused(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    char name[66];
    memset(name, 'x', 65);
    name[65] = 0;
    channel_id id;
    assert_int_equal(conn_open(p->a.conn, name, VIEW_EMPTY, &id), ERR_LIMIT);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_open, .type = view_of(name, 65), .sender = 5), 0);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_open, .type = view_of(name, 64), .sender = 6), 1);
    assert_int_equal(conn_n_channels(p->b.conn), 1);
    struct msg_channel_open_failure m;
    assert_int_equal(msg_channel_open_failure_get(view_of(p->b.head->bytes, p->b.head->len), &m), 0);
    assert_true(m.recipient == 5 && m.reason == OPEN_UNKNOWN_CHANNEL_TYPE);
    pair_free(p);
}

/* ---- numbers ---- */

static void test_ids_lowest_first(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    enum {
        N = 3000
    };
    channel_id a, b;
    for (channel_id i = 0; i < N; i++) {
        pair_open(p, &a, &b);
        assert_true(a == i && b == i);
    }
    /* every third goes */
    for (channel_id i = 0; i < N; i += 3) {
        assert_int_equal(conn_close(p->a.conn, i), 0);
        pair_expect(&p->b, CONN_CLOSE);
        assert_int_equal(conn_close(p->b.conn, i), 0);
        pair_expect(&p->a, CONN_CLOSE);
    }
    assert_int_equal(conn_n_channels(p->a.conn), N - N / 3);
    for (channel_id i = 0; i < N; i += 3) {
        pair_open(p, &a, &b);
        assert_true(a == i && b == i);
    }
    pair_open(p, &a, &b);
    assert_int_equal(a, N);
    channel_id n = 0;
    for (channel_id i = conn_channel_next(p->a.conn, 0); i != CHANNEL_NONE; i = conn_channel_next(p->a.conn, i + 1))
        assert_int_equal(i, n++);
    assert_int_equal(n, N + 1);
    pair_free(p);
}

static void test_channel_limit(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    channel_id id;
    for (unsigned i = 0; i < LIMIT_CHANNELS; i++)
        assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_open, .type = VIEW_LIT("session"), .sender = i), 1);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_open, .type = VIEW_LIT("session"), .sender = 77), 0);
    struct msg_channel_open_failure m;
    assert_int_equal(msg_channel_open_failure_get(view_of(p->b.head->bytes, p->b.head->len), &m), 0);
    assert_true(m.recipient == 77 && m.reason == OPEN_RESOURCE_SHORTAGE);
    assert_int_equal(conn_open(p->b.conn, "session", VIEW_EMPTY, &id), ERR_LIMIT);
    assert_int_equal(conn_open_refuse(p->b.conn, LIMIT_CHANNELS - 1, 1, ""), 0);
    assert_int_equal(conn_open(p->b.conn, "session", VIEW_EMPTY, &id), 0);
    assert_int_equal(id, LIMIT_CHANNELS - 1);
    pair_free(p);
}

/* ---- EOF and close ---- */

enum action {
    A_EOF,
    B_EOF,
    A_CLOSE,
    B_CLOSE,
    N_ACTIONS
};

static int act(struct pair *p, enum action action, channel_id a, channel_id b)
{
    switch (action) {
    case A_EOF:
        return conn_send_eof(p->a.conn, a);
    case B_EOF:
        return conn_send_eof(p->b.conn, b);
    case A_CLOSE:
        return conn_close(p->a.conn, a);
    default:
        return conn_close(p->b.conn, b);
    }
}

/* Takes what is under way to e; EOF and CLOSE at most once each. */
static void drain(struct pair_end *e, int *n_eof, int *n_close)
{
    struct conn_event ev;
    int r;
    while ((r = pair_next(e, &ev)) != ERR_NOT_FOUND) {
        assert_true(r >= 0);
        if (r == 1 && ev.kind == CONN_EOF) ++*n_eof;
        if (r == 1 && ev.kind == CONN_CLOSE) ++*n_close;
    }
}

/* Both EOFs and both CLOSEs in every order, with packets delivered after each step, or only at the end (both sides at once). */
static void eof_close_order(const enum action order[N_ACTIONS], unsigned deliver_mask)
{
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, b;
    int eof_a = 0, eof_b = 0, close_a = 0, close_b = 0;
    bool closed[2] = {};
    pair_open(p, &a, &b);
    for (int i = 0; i < N_ACTIONS; i++) {
        bool is_b = order[i] == B_EOF || order[i] == B_CLOSE;
        bool is_close = order[i] == A_CLOSE || order[i] == B_CLOSE;
        if (!is_close && closed[is_b]) {
            int r = act(p, order[i], a, b);
            assert_true(r == ERR_STATE || r == ERR_NOT_FOUND);
            continue;
        }
        assert_int_equal(act(p, order[i], a, b), 0);
        if (is_close) closed[is_b] = true;
        if (deliver_mask >> (2 * i) & 1) drain(&p->a, &eof_a, &close_a);
        if (deliver_mask >> (2 * i + 1) & 1) drain(&p->b, &eof_b, &close_b);
    }
    drain(&p->a, &eof_a, &close_a);
    drain(&p->b, &eof_b, &close_b);
    assert_true(close_a == 1 && close_b == 1 && eof_a <= 1 && eof_b <= 1);
    assert_int_equal(conn_n_channels(p->a.conn) + conn_n_channels(p->b.conn), 0);
    pair_free(p);
}

static void test_eof_and_close_in_every_order(void **unused)
{
    (void)unused;
    for (unsigned n = 0; n < 256; n++) {
        enum action order[N_ACTIONS] = { n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 & 3 };
        unsigned seen = 0;
        for (int i = 0; i < N_ACTIONS; i++) seen |= 1U << order[i];
        if (seen != 15) continue;
        for (unsigned mask = 0; mask < 256; mask++) eof_close_order(order, mask);
    }
}

static void test_eof_and_close_once(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, b;
    uint8_t *area;
    size_t len;
    pair_open(p, &a, &b);
    assert_int_equal(conn_send_eof(p->a.conn, a), 0);
    assert_int_equal(conn_send_eof(p->a.conn, a), ERR_STATE);
    assert_int_equal(conn_write_reserve(p->a.conn, a, 0, 1, &area, &len), ERR_STATE);
    assert_int_equal(conn_request(p->a.conn, a, "exit-status", false, 0, VIEW_EMPTY), 0); /* 5.3: EOF ends data only */
    pair_expect(&p->b, CONN_EOF);
    pair_expect(&p->b, CONN_REQUEST);
    assert_int_equal(conn_write(p->b.conn, b, 0, PING, &len), 0);
    pair_expect(&p->a, CONN_DATA);
    assert_int_equal(conn_close(p->a.conn, a), 0);
    assert_int_equal(conn_close(p->a.conn, a), ERR_STATE);
    assert_int_equal(conn_request(p->a.conn, a, "x", false, 0, VIEW_EMPTY), ERR_STATE);
    assert_int_equal(conn_consumed(p->a.conn, a, 4), 0);
    /* the peer's side of a closed channel: nothing to send, nothing wrong */
    pair_expect(&p->b, CONN_CLOSE);
    assert_int_equal(conn_write_room(p->b.conn, b), 0);
    assert_int_equal(conn_write(p->b.conn, b, 0, PING, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(conn_request(p->b.conn, b, "exit-status", false, 0, VIEW_EMPTY), 0);
    assert_int_equal(conn_send_eof(p->b.conn, b), 0);
    assert_int_equal(conn_close(p->b.conn, b), 0);
    assert_int_equal(conn_close(p->b.conn, b), ERR_NOT_FOUND);
    pair_expect(&p->a, CONN_CLOSE);
    assert_null(p->b.head);
    pair_free(p);
}

static void test_late_data_counts(void **unused)
{
    (void)unused;
    struct conn_config config = { .window_start_bytes = 10 };
    struct pair *p = pair_new(&config, NULL);
    struct conn_event ev;
    channel_id a, b;
    pair_open(p, &a, &b);
    assert_int_equal(conn_close(p->a.conn, a), 0);
    assert_int_equal(give_message(&p->a, a, 94, &ev), 0);
    assert_int_equal(give_message(&p->a, a, 95, &ev), 0);
    assert_int_equal(give_message(&p->a, a, 94, &ev), ERR_WINDOW_OVERFLOW);
    pair_free(p);
}

/* ---- requests ---- */

static void test_replies_in_order(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a[2], b[2];
    uint32_t q[2][4], global[4];
    pair_open(p, &a[0], &b[0]);
    pair_open(p, &a[1], &b[1]);
    for (uint32_t i = 0; i < 4; i++)
        for (int ch = 0; ch < 2; ch++) {
            assert_int_equal(conn_request(p->a.conn, a[ch], "env", true, 100 * (uint32_t)ch + i, PING), 0);
            struct conn_event ev = pair_expect(&p->b, CONN_REQUEST);
            assert_true(ev.want_reply && ev.question != 0 && ev.channel == b[ch] && view_eq_str(ev.name, "env") &&
                        view_eq(ev.data, PING));
            q[ch][i] = ev.question;
        }
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(conn_global_request(p->a.conn, "tcpip-forward", true, i, PING), 0);
        global[i] = pair_expect(&p->b, CONN_GLOBAL_REQUEST).question;
    }
    /* last first: nothing leaves */
    for (uint32_t i = 3; i > 0; i--) {
        assert_int_equal(conn_answer_global(p->b.conn, global[i], i % 2, VIEW_LIT("port")), 0);
        assert_int_equal(conn_answer_request(p->b.conn, q[0][i], i % 2), 0);
        assert_int_equal(conn_answer_request(p->b.conn, q[0][i], i % 2), ERR_STATE);
        assert_int_equal(conn_answer_global(p->b.conn, global[i], true, VIEW_EMPTY), ERR_STATE);
        assert_null(p->b.head);
    }
    /* the other channel does not wait */
    assert_int_equal(conn_answer_request(p->b.conn, q[1][0], true), 0);
    struct conn_event ev = pair_expect(&p->a, CONN_REPLY);
    assert_true(ev.channel == a[1] && ev.tag == 100 && ev.ok);
    assert_int_equal(conn_answer_request(p->b.conn, q[0][0], false), 0);
    for (uint32_t i = 0; i < 4; i++) {
        ev = pair_expect(&p->a, CONN_REPLY);
        assert_true(ev.channel == a[0] && ev.tag == i && ev.ok == (i % 2));
    }
    assert_int_equal(conn_answer_global(p->b.conn, global[0], false, VIEW_EMPTY), 0);
    for (uint32_t i = 0; i < 4; i++) {
        ev = pair_expect(&p->a, CONN_GLOBAL_REPLY);
        assert_true(ev.tag == i && ev.ok == (i % 2) && view_eq_str(ev.data, i % 2 ? "port" : ""));
    }
    assert_int_equal(conn_answer_request(p->b.conn, q[0][0], true), ERR_STATE);
    assert_int_equal(conn_answer_request(p->b.conn, 0, true), ERR_STATE);
    assert_int_equal(conn_answer_global(p->b.conn, q[1][1], true, VIEW_EMPTY), ERR_STATE);
    assert_int_equal(conn_answer_request(p->b.conn, q[1][1], true), 0);
    pair_free(p);
}

static void test_no_reply_wanted(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, b;
    pair_open(p, &a, &b);
    assert_int_equal(conn_request(p->a.conn, a, "signal", false, 9, PING), 0);
    struct conn_event ev = pair_expect(&p->b, CONN_REQUEST);
    assert_true(!ev.want_reply && ev.question == 0);
    assert_int_equal(conn_answer_request(p->b.conn, ev.question, true), ERR_STATE);
    assert_int_equal(conn_global_request(p->a.conn, "no-more-sessions@openssh.com", false, 9, VIEW_EMPTY), 0);
    ev = pair_expect(&p->b, CONN_GLOBAL_REQUEST);
    assert_int_equal(conn_answer_global(p->b.conn, ev.question, true, VIEW_EMPTY), ERR_STATE);
    pair_free(p);
}

/* A question's channel goes: its answer is dropped, also when the place has a newer question. */
static void test_answer_to_a_gone_channel(void **unused)
{
    (void)unused;
    for (int we_close = 0; we_close < 2; we_close++) {
        struct pair *p = pair_new(NULL, NULL);
        channel_id a, b;
        pair_open(p, &a, &b);
        assert_int_equal(conn_request(p->a.conn, a, "exec", true, 1, PING), 0);
        uint32_t old = pair_expect(&p->b, CONN_REQUEST).question;
        struct pair_end *first = we_close ? &p->b : &p->a, *second = we_close ? &p->a : &p->b;
        assert_int_equal(conn_close(first->conn, 0), 0);
        pair_expect(second, CONN_CLOSE);
        assert_int_equal(conn_answer_request(p->b.conn, old, true), 0);
        assert_int_equal(conn_close(second->conn, 0), 0);
        pair_expect(first, CONN_CLOSE);
        assert_int_equal(conn_answer_request(p->b.conn, old, true), 0);
        pair_open(p, &a, &b);
        assert_int_equal(conn_request(p->a.conn, a, "exec", true, 2, PING), 0);
        uint32_t new = pair_expect(&p->b, CONN_REQUEST).question;
        assert_int_not_equal(old, new);
        assert_int_equal(conn_answer_request(p->b.conn, old, true), 0);
        assert_null(p->b.head);
        assert_int_equal(conn_answer_request(p->b.conn, new, true), 0);
        assert_int_equal(pair_expect(&p->a, CONN_REPLY).tag, 2);
        pair_free(p);
    }
}

static void test_questions_and_replies_are_bounded(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, b;
    struct conn_event ev;
    pair_open(p, &a, &b);
    for (uint32_t i = 0; i < LIMIT_REPLIES; i++) {
        assert_int_equal(conn_request(p->a.conn, a, "env", true, i, PING), 0);
        pair_expect(&p->b, CONN_REQUEST);
    }
    assert_int_equal(conn_request(p->a.conn, a, "env", true, 0, PING), ERR_LIMIT);
    assert_int_equal(conn_global_request(p->a.conn, "keepalive@openssh.com", true, 0, VIEW_EMPTY), ERR_LIMIT);
    assert_int_equal(conn_request(p->a.conn, a, "env", false, 0, PING), 0);
    pair_expect(&p->b, CONN_REQUEST);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_request, .recipient = b, .type = PING, .want_reply = true), ERR_LIMIT);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, global_request, .name = PING, .want_reply = true), ERR_LIMIT);
    /* all of it comes back with the channel */
    assert_int_equal(conn_close(p->a.conn, a), 0);
    pair_expect(&p->b, CONN_CLOSE);
    assert_int_equal(conn_close(p->b.conn, b), 0);
    pair_expect(&p->a, CONN_CLOSE);
    assert_int_equal(conn_global_request(p->a.conn, "keepalive@openssh.com", true, 5, VIEW_EMPTY), 0);
    assert_int_equal(conn_answer_global(p->b.conn, pair_expect(&p->b, CONN_GLOBAL_REQUEST).question, false, VIEW_EMPTY), 0);
    assert_int_equal(pair_expect(&p->a, CONN_GLOBAL_REPLY).tag, 5);
    pair_free(p);
}

/* Questions are numbered so that 2^20 uses of one place pass before a number comes again, and 0 never comes. */
static void test_question_numbers_wrap(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    uint32_t last = 0;
    for (uint32_t i = 0; i < (1U << 20) + 5; i++) {
        assert_int_equal(PAIR_GIVE(&p->b, &ev, global_request, .name = PING, .want_reply = true), 1);
        assert_true(ev.question != 0 && ev.question != last);
        last = ev.question;
        assert_int_equal(conn_answer_global(p->b.conn, last, true, VIEW_EMPTY), 0);
        test_free(pair_take(&p->b));
    }
    pair_free(p);
}

/* ---- link ---- */

static void test_detached(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, b, id;
    uint8_t *area;
    size_t len;
    pair_open(p, &a, &b);
    assert_int_equal(conn_write_reserve(p->a.conn, a, 0, 4, &area, &len), 0);
    conn_detach(p->a.conn);
    assert_int_equal(conn_write_commit(p->a.conn, a, 4), ERR_STATE);
    assert_int_equal(conn_open(p->a.conn, "session", VIEW_EMPTY, &id), ERR_AGAIN);
    assert_int_equal(conn_request(p->a.conn, a, "x", true, 0, VIEW_EMPTY), ERR_AGAIN);
    assert_int_equal(conn_global_request(p->a.conn, "x", true, 0, VIEW_EMPTY), ERR_AGAIN);
    assert_int_equal(conn_write_reserve(p->a.conn, a, 0, 4, &area, &len), ERR_AGAIN);
    assert_int_equal(conn_write_room(p->a.conn, a), 0);
    assert_int_equal(conn_send_eof(p->a.conn, a), ERR_AGAIN);
    assert_int_equal(conn_close(p->a.conn, a), ERR_AGAIN);
    conn_attach(p->a.conn, pair_link(&p->a));
    assert_int_equal(conn_open(p->a.conn, "session", VIEW_EMPTY, &id), 0);
    assert_int_equal(id, 1);
    assert_int_equal(conn_request(p->a.conn, a, "x", true, 33, VIEW_EMPTY), 0);
    pair_expect(&p->b, CONN_OPEN);
    assert_int_equal(conn_answer_request(p->b.conn, pair_expect(&p->b, CONN_REQUEST).question, true), 0);
    assert_int_equal(pair_expect(&p->a, CONN_REPLY).tag, 33);
    pair_free(p);
}

/* A link that fails leaves the state as it was, and the call can be made again. */
static void test_failing_link(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    channel_id a, b, id;
    pair_open(p, &a, &b);
    p->a.fail = p->b.fail = ERR_LIMIT;
    assert_int_equal(conn_open(p->a.conn, "session", VIEW_EMPTY, &id), ERR_LIMIT);
    assert_int_equal(conn_request(p->a.conn, a, "x", true, 1, VIEW_EMPTY), ERR_LIMIT);
    assert_int_equal(conn_global_request(p->a.conn, "x", true, 1, VIEW_EMPTY), ERR_LIMIT);
    assert_int_equal(conn_send_eof(p->a.conn, a), ERR_LIMIT);
    assert_int_equal(conn_close(p->a.conn, a), ERR_LIMIT);
    p->a.fail = 0;
    assert_int_equal(conn_request(p->a.conn, a, "x", true, 1, VIEW_EMPTY), 0);
    assert_int_equal(conn_request(p->a.conn, a, "x", true, 2, VIEW_EMPTY), 0);
    uint32_t one = pair_expect(&p->b, CONN_REQUEST).question, two = pair_expect(&p->b, CONN_REQUEST).question;
    assert_int_equal(conn_answer_request(p->b.conn, two, true), 0);
    assert_int_equal(conn_answer_request(p->b.conn, one, false), ERR_LIMIT);
    p->b.fail = 0;
    assert_int_equal(conn_answer_request(p->b.conn, one, false), 0);
    assert_int_equal(pair_expect(&p->a, CONN_REPLY).tag, 1);
    assert_int_equal(pair_expect(&p->a, CONN_REPLY).tag, 2);
    assert_int_equal(conn_send_eof(p->a.conn, a), 0);
    assert_int_equal(conn_close(p->a.conn, a), 0);
    assert_int_equal(conn_n_channels(p->a.conn), 1);
    uint8_t *big = test_calloc(1, LIMIT_PACKET_PAYLOAD_BYTES);
    assert_int_equal(conn_global_request(p->a.conn, "x", true, 1, view_of(big, LIMIT_PACKET_PAYLOAD_BYTES)), ERR_LIMIT);
    test_free(big);
    pair_free(p);
}

/* ---- early session: requests behind an open, before its answer ---- */

static struct pair *early_pair(channel_id *ret)
{
    struct conn_config server = { .takes_early_session = true };
    struct pair *p = pair_new(NULL, &server);
    assert_int_equal(conn_open_early(p->a.conn, "session", VIEW_EMPTY, 0, ret), 0);
    assert_int_equal(conn_request(p->a.conn, *ret, "pty-req", true, 1, PING), 0);
    assert_int_equal(conn_request(p->a.conn, *ret, "env", false, 2, PING), 0);
    assert_int_equal(conn_request(p->a.conn, *ret, "shell", true, 3, PING), 0);
    return p;
}

static void test_early_session(UNUSED void **state)
{
    channel_id a;
    size_t len;
    struct pair *p = early_pair(&a);
    assert_int_equal(conn_write(p->a.conn, a, 0, PING, &len), ERR_STATE); /* the window is not known yet */
    assert_int_equal(conn_send_eof(p->a.conn, a), ERR_STATE);
    channel_id b = pair_expect(&p->b, CONN_OPEN).channel;
    assert_int_equal(conn_open_accept(p->b.conn, b, VIEW_EMPTY), 0);
    assert_int_equal(conn_answer_request(p->b.conn, pair_expect(&p->b, CONN_REQUEST).question, false), 0);
    pair_expect(&p->b, CONN_REQUEST);
    assert_int_equal(conn_answer_request(p->b.conn, pair_expect(&p->b, CONN_REQUEST).question, true), 0);
    assert_int_equal(pair_expect(&p->a, CONN_OPENED).channel, a);
    struct conn_event reply = pair_expect(&p->a, CONN_REPLY);
    assert_true(reply.tag == 1 && !reply.ok);
    reply = pair_expect(&p->a, CONN_REPLY);
    assert_true(reply.tag == 3 && reply.ok);
    pair_free(p);
}

/* The number was promised. Replies cannot come before the confirmation. */
static void test_early_session_broken_promise(UNUSED void **state)
{
    struct conn_event ev;
    channel_id a;
    struct pair *p = early_pair(&a);
    assert_int_equal(PAIR_GIVE(&p->a, &ev, channel_success, .recipient = a), ERR_CHANNEL_STATE);
    assert_int_equal(
        PAIR_GIVE(&p->a, &ev, channel_open_confirmation, .recipient = a, .sender = 1, .window_bytes = 9, .packet_max_bytes = 9),
        ERR_CHANNEL_STATE);
    pair_free(p);
    p = early_pair(&a);
    assert_int_equal(conn_close(p->a.conn, a), 0);
    assert_int_equal(
        PAIR_GIVE(&p->a, &ev, channel_open_confirmation, .recipient = a, .sender = 1, .window_bytes = 9, .packet_max_bytes = 9),
        ERR_CHANNEL_STATE);
    pair_free(p);
}

/* Its requests are dropped; the next open, early no more, ends that. */
static void test_early_session_refused(UNUSED void **state)
{
    struct conn_event ev;
    channel_id a;
    struct pair *p = early_pair(&a);
    channel_id b = pair_expect(&p->b, CONN_OPEN).channel;
    assert_int_equal(conn_open_refuse(p->b.conn, b, 1, "no"), 0);
    pair_quiet(&p->b);
    assert_int_equal(pair_expect(&p->a, CONN_OPEN_FAILED).channel, a);
    pair_quiet(&p->a);
    assert_int_equal(conn_n_channels(p->a.conn) + conn_n_channels(p->b.conn), 0);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_request, .recipient = 1, .type = PING), ERR_CHANNEL_UNKNOWN);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_data, .recipient = 0, .data = PING), ERR_CHANNEL_UNKNOWN);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_request, .recipient = 0, .type = PING, .want_reply = true), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_open, .type = PING, .sender = 0, .window_bytes = 9, .packet_max_bytes = 9),
                         1);
        assert_int_equal(conn_open_refuse(p->b.conn, ev.channel, 1, "no"), 0);
        assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_request, .recipient = 0, .type = PING), ERR_CHANNEL_UNKNOWN);
    }
    pair_free(p);
}

/* Only an engine that was told so drops anything. */
static void test_no_early_session(UNUSED void **state)
{
    struct conn_event ev;
    struct pair *p = pair_new(NULL, NULL);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_open, .type = PING, .sender = 0, .window_bytes = 9, .packet_max_bytes = 9), 1);
    assert_int_equal(conn_open_refuse(p->b.conn, ev.channel, 1, "no"), 0);
    assert_int_equal(PAIR_GIVE(&p->b, &ev, channel_request, .recipient = 0, .type = PING), ERR_CHANNEL_UNKNOWN);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state_and_message),
        cmocka_unit_test(test_unknown_channels_and_messages),
        cmocka_unit_test(test_truncated_messages),
        cmocka_unit_test(test_open_accepted),
        cmocka_unit_test(test_not_before_opened),
        cmocka_unit_test(test_abandoned_open),
        cmocka_unit_test(test_long_type_is_refused),
        cmocka_unit_test(test_ids_lowest_first),
        cmocka_unit_test(test_channel_limit),
        cmocka_unit_test(test_eof_and_close_in_every_order),
        cmocka_unit_test(test_eof_and_close_once),
        cmocka_unit_test(test_late_data_counts),
        cmocka_unit_test(test_replies_in_order),
        cmocka_unit_test(test_no_reply_wanted),
        cmocka_unit_test(test_answer_to_a_gone_channel),
        cmocka_unit_test(test_questions_and_replies_are_bounded),
        cmocka_unit_test(test_question_numbers_wrap),
        cmocka_unit_test(test_detached),
        cmocka_unit_test(test_failing_link),
        cmocka_unit_test(test_early_session),
        cmocka_unit_test(test_early_session_broken_promise),
        cmocka_unit_test(test_early_session_refused),
        cmocka_unit_test(test_no_early_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
