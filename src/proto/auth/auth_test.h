/* For the tests of this folder: two engines back to back over a link in memory that holds the last packet each way. */
#pragma once

#include "proto/auth/auth.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- a link that holds the last packet ---- */
struct pipe {
    uint8_t area[LIMIT_PACKET_PAYLOAD_BYTES];
    uint8_t packet[LIMIT_PACKET_PAYLOAD_BYTES];
    size_t len, area_max;
    int n, fail;
};

UNUSED static int pipe_reserve(void *lower, size_t payload_max, uint8_t **ret)
{
    struct pipe *p = lower;
    if (p->fail) return p->fail;
    if (payload_max > sizeof(p->area)) return ERR_LIMIT;
    p->area_max = payload_max;
    *ret = p->area;
    return 0;
}
UNUSED static int pipe_commit(void *lower, size_t payload_len)
{
    struct pipe *p = lower;
    assert_true(payload_len <= p->area_max);
    memcpy(p->packet, p->area, payload_len);
    p->len = payload_len;
    p->n++;
    return 0;
}
UNUSED static size_t pipe_room(UNUSED void *lower) { return 65536; }
static const struct link_ops pipe_ops = { pipe_reserve, pipe_commit, pipe_room };

struct pair {
    struct pipe up, down; /* to the server, to the client */
    struct auth_client *c;
    struct auth_server *s;
};

UNUSED static const struct view SESSION = VIEW_LIT("0123456789abcdef0123456789ABCDEF");
UNUSED static const struct view HOST_KEY = VIEW_LIT("\0\0\0\3hkeyblob");
UNUSED static const struct view METHODS = VIEW_LIT("publickey,password");
#define V(s) VIEW_LIT(s)

UNUSED static struct pair *pair_new(void)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    struct auth_client_config cc = { .user = V("alice"), .service = V("ssh-connection"), .link = { &pipe_ops, &p->up } };
    struct auth_server_config sc = { .link = { &pipe_ops, &p->down }, .session_id = SESSION, .host_key = HOST_KEY };
    assert_int_equal(auth_client_new(&cc, &p->c), 0);
    assert_int_equal(auth_server_new(&sc, &p->s), 0);
    return p;
}
UNUSED static void pair_free(struct pair *p)
{
    auth_client_free(p->c);
    auth_server_free(p->s);
    free(p);
}

UNUSED static struct view sent(const struct pipe *p) { return view_of(p->packet, p->len); }
UNUSED static void assert_view(struct view v, struct view want)
{
    assert_int_equal(v.len, want.len);
    if (want.len) assert_memory_equal(v.p, want.p, want.len);
}

/* The client's last packet into the server: the question. */
UNUSED static struct auth_server_event asked(struct pair *p, enum auth_server_event_kind kind)
{
    struct auth_server_event e = {};
    assert_int_equal(auth_server_packet(p->s, sent(&p->up), &e), 1);
    assert_int_equal(e.kind, kind);
    assert_view(e.user, V("alice"));
    assert_view(e.service, V("ssh-connection"));
    return e;
}
/* The server's answer into the client: the event. */
UNUSED static struct auth_client_event answered(struct pair *p, struct auth_server_answer answer, enum auth_client_event_kind kind)
{
    struct auth_client_event e = {};
    assert_int_equal(auth_server_answer(p->s, &answer), 0);
    assert_int_equal(auth_client_packet(p->c, sent(&p->down), &e), 1);
    assert_int_equal(e.kind, kind);
    return e;
}
UNUSED static void refuse(struct pair *p)
{
    struct auth_client_event e =
        answered(p, (struct auth_server_answer){ .verdict = AUTH_VERDICT_FAILURE, .methods = METHODS }, AUTH_CLIENT_FAILURE);
    assert_view(e.methods, METHODS);
    assert_false(e.partial);
}
UNUSED static void succeed(struct pair *p)
{
    answered(p, (struct auth_server_answer){ .verdict = AUTH_VERDICT_SUCCESS }, AUTH_CLIENT_SUCCESS);
}

UNUSED static const struct auth_prompt PROMPTS[2] = { { VIEW_LIT("Password: "), false }, { VIEW_LIT("Token: "), true } };
