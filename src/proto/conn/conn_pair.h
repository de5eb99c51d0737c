/* For tests only: two engines and the link between them as two queues of packets, with what an owner would do by hand. */
#pragma once

#include "proto/conn/conn_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct pair_packet {
    struct pair_packet *next;
    size_t len;
    uint8_t bytes[];
};
struct pair_end {
    struct conn *conn;
    struct pair_end *peer;
    struct pair_packet *head, **tail; /* on their way from this end */
    size_t n_packets, room;
    int fail; /* what reserve gives instead of an area */
    uint8_t area[LIMIT_PACKET_PAYLOAD_BYTES];
    struct buf *trace;         /* when set: every payload sent, as strings */
    struct pair_packet *taken; /* lends the last event its bytes */
};

static int pair_reserve(void *lower, size_t payload_max, uint8_t **ret_payload)
{
    struct pair_end *e = lower;
    if (e->fail) return e->fail;
    assert_true(payload_max <= sizeof(e->area));
    *ret_payload = e->area;
    return 0;
}

static int pair_commit(void *lower, size_t payload_len)
{
    struct pair_end *e = lower;
    struct pair_packet *p = test_malloc(sizeof(*p) + payload_len);
    p->next = NULL;
    p->len = payload_len;
    memcpy(p->bytes, e->area, payload_len);
    *e->tail = p;
    e->tail = &p->next;
    e->n_packets++;
    if (e->trace) {
        struct wr w = wr_of(e->trace);
        wr_string(&w, view_of(e->area, payload_len));
        assert_int_equal(wr_end(&w), 0);
    }
    return 0;
}

static size_t pair_room(void *lower) { return ((struct pair_end *)lower)->room; }

static const struct link_ops pair_ops = { pair_reserve, pair_commit, pair_room };
static inline struct link pair_link(struct pair_end *e) { return (struct link){ &pair_ops, e }; }

static inline void pair_end_init(struct pair_end *e, struct pair_end *peer, const struct conn_config *config)
{
    memset(e, 0, sizeof(*e));
    e->peer = peer;
    e->tail = &e->head;
    e->room = SIZE_MAX;
    assert_int_equal(conn_new(config, &e->conn), 0);
    conn_attach(e->conn, pair_link(e));
}

static inline struct pair_packet *pair_take(struct pair_end *from)
{
    struct pair_packet *p = from->head;
    if (!p) return NULL;
    from->head = p->next;
    if (!from->head) from->tail = &from->head;
    from->n_packets--;
    return p;
}

static inline void pair_end_done(struct pair_end *e)
{
    for (struct pair_packet *p; (p = pair_take(e));) test_free(p);
    if (e->taken) test_free(e->taken);
    e->taken = NULL;
    conn_free(e->conn);
}

/* Gives e the next packet on its way to it. ERR_NOT_FOUND: there is none. */
static inline int pair_next(struct pair_end *e, struct conn_event *ret)
{
    if (e->taken) test_free(e->taken);
    e->taken = pair_take(e->peer);
    return e->taken ? conn_packet(e->conn, view_of(e->taken->bytes, e->taken->len), ret) : ERR_NOT_FOUND;
}

/* The next event of that kind has to come, with nothing but silent packets before it. */
static inline struct conn_event pair_expect(struct pair_end *e, enum conn_event_kind kind)
{
    struct conn_event ev;
    int r;
    while ((r = pair_next(e, &ev)) == 0) continue;
    assert_int_equal(r, 1);
    assert_int_equal(ev.kind, kind);
    return ev;
}

/* Takes all that is under way to e; nothing of it may be an event. */
static inline void pair_quiet(struct pair_end *e)
{
    struct conn_event ev;
    int r;
    while ((r = pair_next(e, &ev)) == 0) continue;
    assert_int_equal(r, ERR_NOT_FOUND);
}

struct pair {
    struct pair_end a, b;
};

static inline struct pair *pair_new(const struct conn_config *config_a, const struct conn_config *config_b)
{
    static const struct conn_config plain;
    struct pair *p = test_malloc(sizeof(*p));
    pair_end_init(&p->a, &p->b, config_a ? config_a : &plain);
    pair_end_init(&p->b, &p->a, config_b ? config_b : &plain);
    return p;
}

static inline void pair_free(struct pair *p)
{
    pair_end_done(&p->a);
    pair_end_done(&p->b);
    test_free(p);
}

/* A session from a to b, open on both sides. */
static inline void pair_open(struct pair *p, channel_id *ret_a, channel_id *ret_b)
{
    assert_int_equal(conn_open(p->a.conn, "session", VIEW_EMPTY, ret_a), 0);
    struct conn_event ev = pair_expect(&p->b, CONN_OPEN);
    *ret_b = ev.channel;
    assert_int_equal(conn_open_accept(p->b.conn, *ret_b, VIEW_EMPTY), 0);
    ev = pair_expect(&p->a, CONN_OPENED);
    assert_int_equal(ev.channel, *ret_a);
}

/* Gives e one message as if the peer had sent it. */
#define PAIR_GIVE(end_, ret_, name_, ...)                           \
    ({                                                              \
        uint8_t bytes_[512];                                        \
        struct wr w_ = wr_area(bytes_, sizeof(bytes_));             \
        struct msg_##name_ m_ = { __VA_ARGS__ };                    \
        assert_int_equal(msg_##name_##_put(&w_, &m_), 0);           \
        conn_packet((end_)->conn, view_of(bytes_, w_.len), (ret_)); \
    })
