/* Bytes decide what the peer sends and what the owner does. Beyond not crashing: every event names a channel in use (or just
 * freed), unread never passes the window, every question may be answered, and the engine survives a move in the middle. */
#include "proto/conn/conn.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sink {
    uint8_t area[LIMIT_PACKET_PAYLOAD_BYTES];
    size_t reserved, room;
};

static int sink_reserve(void *lower, size_t payload_max, uint8_t **ret_payload)
{
    struct sink *s = lower;
    CHECK(payload_max <= sizeof(s->area));
    s->reserved = payload_max;
    *ret_payload = s->area;
    return 0;
}

static int sink_commit(void *lower, size_t payload_len)
{
    struct sink *s = lower;
    CHECK(payload_len > 0 && payload_len <= s->reserved);
    CHECK(s->area[0] >= MSG_CONN_MIN && s->area[0] <= MSG_CONN_MAX);
    s->reserved = 0;
    return 0;
}

static size_t sink_room(void *lower) { return ((struct sink *)lower)->room; }

static const struct link_ops SINK_OPS = { sink_reserve, sink_commit, sink_room };
static const struct conn_config CONFIG = {
    .window_start_bytes = 600,
    .window_max_bytes = 5000,
    .window_budget_bytes = 7000,
    .packet_max_bytes = 200,
    .takes_early_session = true,
};

enum {
    N_QUESTIONS = 32
};
struct game {
    struct sink sink;
    struct conn *conn;
    uint32_t questions[N_QUESTIONS];
    bool is_global[N_QUESTIONS];
    size_t n_questions, unread[256];
};

static void look_at(struct game *g, const struct conn_event *ev)
{
    struct channel_info info;
    bool is_last = ev->kind == CONN_CLOSE || ev->kind == CONN_OPEN_FAILED;
    if (ev->channel != CHANNEL_NONE && !is_last) CHECK(conn_channel_info(g->conn, ev->channel, &info) == 0);
    if (ev->kind == CONN_OPEN && ev->channel < 256) g->unread[ev->channel] = 0;
    if (ev->kind == CONN_DATA) {
        CHECK(ev->data.len > 0 && ev->data.len <= CONFIG.packet_max_bytes);
        if (ev->channel < 256) {
            g->unread[ev->channel] += ev->data.len;
            CHECK(g->unread[ev->channel] + info.window_in <= CONFIG.window_max_bytes);
        }
    }
    CHECK((ev->question != 0) == ((ev->kind == CONN_GLOBAL_REQUEST || ev->kind == CONN_REQUEST) && ev->want_reply));
    if (ev->question && g->n_questions < N_QUESTIONS) {
        g->is_global[g->n_questions] = ev->kind == CONN_GLOBAL_REQUEST;
        g->questions[g->n_questions++] = ev->question;
    }
}

static void give_up_question(struct game *g, size_t i, bool ok)
{
    int r = g->is_global[i] ? conn_answer_global(g->conn, g->questions[i], ok, VIEW_LIT("data"))
                            : conn_answer_request(g->conn, g->questions[i], ok);
    CHECK(r == 0);
    g->n_questions--;
    g->questions[i] = g->questions[g->n_questions];
    g->is_global[i] = g->is_global[g->n_questions];
}

static void move_house(struct game *g)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(SIZE_MAX);
    struct conn *moved = NULL;
    CHECK(conn_export(g->conn, &out) == 0);
    CHECK(conn_import(&CONFIG, buf_view(&out), &moved) == 0);
    conn_free(g->conn);
    g->conn = moved;
    conn_attach(moved, (struct link){ &SINK_OPS, &g->sink });
}

static void owner_writes(struct game *g, channel_id id, uint8_t how)
{
    uint8_t *area;
    size_t len = 0;
    g->sink.room = how & 1 ? SIZE_MAX : how;
    if (conn_write_reserve(g->conn, id, how & 3, (size_t)how * 4, &area, &len) < 0) return;
    CHECK(len <= (size_t)how * 4 && len <= g->sink.room);
    if (len) memset(area, how, len);
    CHECK(conn_write_commit(g->conn, id, len) == 0);
}

/* Any call in any state: an error code at most. */
static void owner_does(struct game *g, uint8_t what, channel_id id, uint8_t how)
{
    int r = 0;
    channel_id opened;
    size_t n = id < 256 ? MIN(g->unread[id], (size_t)how * 4) : 0;
    struct channel_info info;
    switch (what % 12) {
    case 0:
        r = conn_open_accept(g->conn, id, VIEW_EMPTY);
        break;
    case 1:
        r = conn_open_refuse(g->conn, id, how, "no");
        break;
    case 2:
        r = how & 1 ? conn_open(g->conn, "session", VIEW_EMPTY, &opened)
                    : conn_open_early(g->conn, "session", VIEW_EMPTY, 9, &opened);
        if (r == 0 && opened < 256) g->unread[opened] = 0;
        break;
    case 3:
        r = conn_request(g->conn, id, "env", how & 1, how, VIEW_LIT("x"));
        break;
    case 4:
        r = conn_global_request(g->conn, "g", how & 1, how, VIEW_LIT("x"));
        break;
    case 5:
        owner_writes(g, id, how);
        break;
    case 6:
        r = conn_send_eof(g->conn, id);
        break;
    case 7:
        r = conn_close(g->conn, id);
        break;
    case 8:
        if (conn_channel_info(g->conn, id, &info) < 0) break;
        CHECK(conn_consumed(g->conn, id, n) == 0);
        if (n % 2) CHECK(conn_ran_dry(g->conn, id) == 0);
        if (id < 256) g->unread[id] -= n;
        break;
    case 9:
        if (g->n_questions) give_up_question(g, how % g->n_questions, how & 64);
        break;
    case 10:
        move_house(g);
        break;
    default:
        conn_detach(g->conn);
        conn_attach(g->conn, (struct link){ &SINK_OPS, &g->sink });
        break;
    }
    CHECK(r == 0 || r == ERR_STATE || r == ERR_NOT_FOUND || r == ERR_LIMIT);
}

/* A packet that is well formed but for what the bytes say: number, channel, one number, one string. */
static int peer_sends(struct game *g, uint8_t number, channel_id id, uint8_t how, struct conn_event *ret)
{
    uint8_t bytes[300];
    struct wr w = wr_area(bytes, sizeof(bytes));
    static const char text[255];
    wr_u8(&w, number);
    if (number == MSG_channel_open_NUMBER || number == MSG_global_request_NUMBER) wr_cstr(&w, "session");
    if (number == MSG_global_request_NUMBER) wr_bool(&w, how & 1);
    if (number > MSG_request_failure_NUMBER) wr_u32(&w, id);
    if (number == MSG_channel_request_NUMBER) wr_cstr(&w, "env");
    if (number == MSG_channel_request_NUMBER) wr_bool(&w, how & 1);
    if (number == MSG_channel_open_confirmation_NUMBER) wr_u32(&w, 9);
    if (number >= MSG_channel_open_NUMBER && number <= MSG_channel_window_adjust_NUMBER)
        wr_u32(&w, how & 128 ? UINT32_MAX - how : how);
    if (number == MSG_channel_open_NUMBER || number == MSG_channel_open_confirmation_NUMBER) wr_u32(&w, how);
    if (number == MSG_channel_open_failure_NUMBER) wr_cstr(&w, "why");
    if (number == MSG_channel_open_failure_NUMBER) wr_cstr(&w, "");
    if (number == MSG_channel_extended_data_NUMBER) wr_u32(&w, how);
    if (number == MSG_channel_data_NUMBER || number == MSG_channel_extended_data_NUMBER) wr_string(&w, view_of(text, how));
    return conn_packet(g->conn, view_of(bytes, w.len), ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct game *g = calloc(1, sizeof(*g));
    struct rd r = rd_of(view_of(data, size));
    if (!g) return 0;
    CHECK(conn_new(&CONFIG, &g->conn) == 0);
    conn_attach(g->conn, (struct link){ &SINK_OPS, &g->sink });
    while (rd_left(&r)) {
        struct conn_event ev = {};
        uint8_t what = rd_u8(&r), id = rd_u8(&r), how = rd_u8(&r);
        int result = 0;
        if (what < 96)
            owner_does(g, what, id, how);
        else if (what < 250)
            result = peer_sends(g, what < 125 ? (uint8_t)(80 + what % 3) : (uint8_t)(90 + what % 11), id, how, &ev);
        else
            result = conn_packet(g->conn, rd_bytes(&r, MIN((size_t)how, rd_left(&r))), &ev);
        if (result == 1) look_at(g, &ev);
        /* An owner ends here; the engine has to hold without that too, so only some errors end the game. */
        if (result < 0 && id & 1) break;
    }
    while (g->n_questions) give_up_question(g, 0, true);
    conn_free(g->conn);
    struct conn *imported = NULL;
    if (conn_import(&CONFIG, view_of(data, size), &imported) == 0) conn_free(imported);
    free(g);
    return 0;
}
