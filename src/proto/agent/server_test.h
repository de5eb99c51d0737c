/* What the tests of the agent's server share: an agent with two clients in memory, and hosts to go to. */
#pragma once

#include "proto/agent/agent_server.h"

#include "base/wr.h"
#include "key/cert.h"
#include "key/private_blob.h"
#include "key/test_util.h"

#include <stdio.h>
#include <stdlib.h>

/* An agent, two clients, and the last answer. */
struct fixture {
    struct agent_server *s;
    struct agent_client *a, *b;
    uint8_t counter;
    struct random random;
    struct buf request;
    struct buf body;
    ms now;
    int64_t wall_s;
};

enum {
    WALL_S = 1700000000
};

UNUSED static void start(struct fixture *f, struct agent_server_config config)
{
    *f = (struct fixture){ .now = 1000, .wall_s = WALL_S };
    f->random = (struct random){ test_random_fill, &f->counter };
    config.random = &f->random;
    config.fingerprint_hash = DIGEST_SHA256;
    f->request = (struct buf)BUF_INIT(1 << 20);
    f->body = (struct buf)BUF_INIT(1 << 20);
    assert_ok(agent_server_new(&config, &f->s));
    assert_ok(agent_client_new(f->s, &f->a));
    assert_ok(agent_client_new(f->s, &f->b));
    agent_server_tick(f->s, f->now, f->wall_s);
}

UNUSED static void stop(struct fixture *f)
{
    agent_client_free(f->a);
    agent_client_free(f->b);
    agent_server_free(f->s);
    buf_done(&f->request);
    buf_done(&f->body);
}

UNUSED static void feed(struct agent_client *c, struct view bytes)
{
    while (bytes.len) {
        uint8_t *area;
        size_t room;
        agent_client_input(c, &area, &room);
        assert_true(room > 0);
        room = MIN(room, bytes.len);
        memcpy(area, bytes.p, room);
        assert_ok(agent_client_received(c, room));
        bytes = view_sub(bytes, room, bytes.len);
    }
}

/* The next answer's number, its body in f->body; 0: none is there. */
UNUSED static int take(struct fixture *f, struct agent_client *c)
{
    struct view body;
    size_t used;
    if (agent_frame_next(agent_client_output(c), &body, &used) != 1) return 0;
    buf_reset(&f->body);
    assert_ok(buf_put_view(&f->body, body));
    assert_ok(agent_client_sent(c, used));
    return buf_view(&f->body).p[0];
}

/* Sends what stands in f->request. */
UNUSED static int ask(struct fixture *f, struct agent_client *c)
{
    feed(c, buf_view(&f->request));
    buf_reset(&f->request);
    return take(f, c);
}

UNUSED static int ask_raw(struct fixture *f, struct agent_client *c, struct view body)
{
    struct wr w = wr_of(&f->request);
    wr_string(&w, body);
    assert_ok(wr_end(&w));
    return ask(f, c);
}

UNUSED static int add(struct fixture *f, struct agent_client *c, const char *file, const struct agent_constraints *limits)
{
    CLEANUP(key_unrefp) struct key *k = test_private(file);
    assert_ok(agent_put_add(&f->request, k, view_str("a comment"), limits));
    return ask(f, c);
}

UNUSED static size_t count(struct fixture *f, struct agent_client *c)
{
    struct agent_identities list;
    assert_ok(agent_put_request_identities(&f->request));
    assert_int_equal(ask(f, c), AGENT_IDENTITIES_ANSWER);
    assert_ok(agent_get_identities(buf_view(&f->body), &list));
    return list.n;
}

UNUSED static int sign(struct fixture *f, struct agent_client *c, const char *public, struct view data, const char *algorithm)
{
    CLEANUP(key_unrefp) struct key *k = test_public(public);
    assert_ok(agent_put_sign(&f->request, key_blob(k), data, view_str(algorithm)));
    return ask(f, c);
}

UNUSED static void assert_signed(struct fixture *f, const char *public, struct view data, const char *algorithm)
{
    CLEANUP(key_unrefp) struct key *k = test_public(public);
    struct view signature;
    assert_ok(agent_get_signature(buf_view(&f->body), &signature));
    assert_ok(key_verify(k, view_str(algorithm), data, signature));
}

UNUSED static struct agent_question next_question(struct fixture *f, enum agent_question_kind kind)
{
    struct agent_question q, other;
    assert_true(agent_server_next(f->s, &q));
    assert_int_equal(q.kind, kind);
    assert_false(agent_server_next(f->s, &other));
    return q;
}

UNUSED static int lock(struct fixture *f, struct agent_client *c, const char *passphrase, bool is_locking)
{
    assert_ok(agent_put_lock(&f->request, view_str(passphrase), is_locking));
    return ask(f, c);
}

/* A host, for constraints and for connections to it. */
struct host {

    const char *name, *public, *private;
};
UNUSED static const struct host hosts[] = { { "alpha", test_ecdsa_public, test_ecdsa_private },
                                            { "beta", test_ecdsa384_public, test_ecdsa384_private },
                                            { "gamma", test_ecdsa521_public, test_ecdsa521_private } };

UNUSED static void put_hop(struct wr *w, const char *user, const struct host *h)
{
    size_t mark = wr_string_open(w);
    wr_cstr(w, user);
    wr_cstr(w, h ? h->name : "");
    wr_cstr(w, "");
    if (h) {
        CLEANUP(key_unrefp) struct key *k = test_public(h->public);
        wr_string(w, key_blob(k));
        wr_bool(w, false);
    }
    wr_string_close(w, mark);
}

UNUSED static void put_destination(struct buf *out, const struct host *from, const char *user, const struct host *to)
{
    struct wr w = wr_of(out);
    size_t mark = wr_string_open(&w);
    put_hop(&w, "", from);
    put_hop(&w, user, to);
    wr_cstr(&w, "");
    wr_string_close(&w, mark);
    assert_ok(wr_end(&w));
}

UNUSED static int bind(struct fixture *f, struct agent_client *c, const struct host *h, const char *id, bool is_forwarding)
{
    CLEANUP(key_unrefp) struct key *k = test_private(h->private);
    CLEANUP(buf_done) struct buf signature = BUF_INIT(4096);
    assert_ok(key_sign(k, VIEW_EMPTY, view_str(id), &signature));
    assert_ok(agent_put_session_bind(&f->request, key_blob(k), view_str(id), buf_view(&signature), is_forwarding));
    return ask(f, c);
}
