/* Each message number in each state, for both roles, strict and not, before and after the first keys: what the table of transport.c
 * lets in, checked against the RFCs' words written down again here. */
#include "proto/transport/transport_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct key *ed25519;

static int setup(UNUSED void **state)
{
    assert_int_equal(key_generate(key_type_find(VIEW_LIT("ssh-ed25519")), 0, &ed25519), 0);
    return 0;
}

static int teardown(UNUSED void **state)
{
    key_unref(ed25519);
    return 0;
}

enum verdict {
    DENY,    /* ends with ERR_UNEXPECTED_MESSAGE */
    UNKNOWN, /* UNIMPLEMENTED goes back */
    UPPER,   /* handed to the layer above */
    TAKEN,   /* looked at: whatever its contents are worth */
};

struct situation {
    const char *name;
    enum transport_role role; /* of the engine that is looked at */
    enum state state;
    bool strict, first, authenticated, gex, service_requested;
};

static bool in_run(enum state s) { return s == STATE_RUN || s == STATE_RUN_KEXINIT; }

static enum verdict kex_verdict(const struct situation *s, unsigned n)
{
    bool server = s->role == TRANSPORT_SERVER;
    switch (s->state) {
    case STATE_KEX_REPLY:
        return !server && n == 31 ? TAKEN : DENY;
    case STATE_GEX_GROUP:
        return !server && n == 31 ? TAKEN : DENY;
    case STATE_GEX_REPLY:
        return !server && n == 33 ? TAKEN : DENY;
    case STATE_KEX_INIT:
        return server && n == 30 ? TAKEN : DENY;
    case STATE_GEX_REQUEST:
        return server && (n == 30 || n == 34) ? TAKEN : DENY;
    case STATE_GEX_INIT:
        return server && n == 32 ? TAKEN : DENY;
    default:
        return DENY;
    }
}

static enum verdict expected(const struct situation *s, unsigned n)
{
    bool server = s->role == TRANSPORT_SERVER, run = in_run(s->state);
    if (n == 1) return TAKEN;
    if (n >= 2 && n <= 4) return s->first && s->strict && s->state != STATE_KEXINIT ? DENY : TAKEN;
    if (n == 5) return run && server && !s->authenticated ? TAKEN : DENY;
    if (n == 6) return run && !server && s->service_requested ? TAKEN : DENY;
    if (n == 7) return run && !server && !s->authenticated ? TAKEN : DENY;
    if (n == 20) return run || s->state == STATE_KEXINIT ? TAKEN : DENY;
    if (n == 21) return s->state == STATE_NEWKEYS ? TAKEN : DENY;
    if (n >= 30 && n <= 49) return kex_verdict(s, n);
    if (!run || n == 0) return DENY;
    if (n >= 50 && n <= 191) return UPPER;
    return n == 192 || n == 193 ? TAKEN : UNKNOWN;
}

/* Brings a pair to the point where the engine of the role stands in the state and its input is empty. */
static void arrive(struct pair *p, const struct situation *s)
{
    pair_init(p, ed25519);
    struct end *victim = s->role == TRANSPORT_SERVER ? &p->s : &p->c, *peer = victim->peer;
    if (s->gex) p->cc.algorithms.kex = p->sc.algorithms.kex = "diffie-hellman-group-exchange-sha256";
    p->cc.gex_max_bits = 2048;
    assert_int_equal(pair_start(p), 0);
    if (!s->strict) {
        end_forget_strict(&p->c);
        end_forget_strict(&p->s);
    }
    if (!s->first) {
        pair_run(p);
        if (s->authenticated) {
            transport_authenticated(p->c.t);
            transport_authenticated(p->s.t);
        }
        if (s->state == STATE_RUN_KEXINIT) assert_int_equal(transport_rekey(victim->t), 0);
        if (s->state != STATE_RUN && s->state != STATE_RUN_KEXINIT) assert_int_equal(transport_rekey(p->c.t), 0);
        /* The client's answer changes its keys: it must not come before what is to be sent under the old ones. */
        if (s->state == STATE_NEWKEYS) p->c.keep_questions = true;
    }
    if (s->service_requested) assert_int_equal(transport_request_service(p->c.t, "x"), 0);
    while (victim->t->state != s->state || victim->t->in.n.packets == 0) {
        if (in_run(s->state) || (s->state == STATE_KEXINIT && victim->t->state == s->state)) break;
        size_t moved = end_cross(peer, 1, 0);
        if (victim->t->state == s->state) break;
        moved += end_cross(victim, SIZE_MAX, 0);
        assert_true(moved > 0);
    }
    assert_int_equal(victim->t->state, s->state);
    assert_int_equal(victim->err, 0);
    assert_int_equal(packet_in_raw(&victim->t->in).len, 0);
}

/* One packet with the payload as the peer would send it now; in the first key exchange without keys, which it may have already. */
static void inject(struct pair *p, const struct situation *s, struct view payload)
{
    struct end *victim = s->role == TRANSPORT_SERVER ? &p->s : &p->c, *peer = victim->peer;
    struct packet_out plain, *o = s->first ? &plain : &peer->t->out;
    uint8_t *area;
    packet_out_init(&plain, &peer->rnd);
    if (!s->first) transport_sent(peer->t, o->queued);
    assert_int_equal(packet_out_reserve(o, payload.len, &area), 0);
    memcpy(area, payload.p, payload.len);
    assert_int_equal(packet_out_commit(o, payload.len), 0);
    struct view v = packet_out_view(o);
    assert_int_equal(end_feed(victim, v, 0), v.len);
    packet_out_done(&plain);
}

static void check(const struct situation *s, unsigned n)
{
    struct pair p;
    arrive(&p, s);
    struct end *victim = s->role == TRANSPORT_SERVER ? &p.s : &p.c;
    /* What is on the way to the peer already is not the answer. */
    transport_sent(victim->t, victim->t->out.queued);
    buf_reset(&victim->received);
    bool parked = victim->t->question != QUESTION_NONE;
    assert_false(parked);
    uint8_t payload[] = { (uint8_t)n };
    inject(&p, s, view_of(payload, 1));
    enum verdict got = victim->err == ERR_UNEXPECTED_MESSAGE ? DENY
                       : buf_len(&victim->received)          ? UPPER
                       : victim->err == 0 && (victim->t->out.queued || buf_len(&victim->t->held)) && n != 21 && n != 2 && n != 5
                           ? UNKNOWN
                           : TAKEN;
    if (got != expected(s, n))
        fail_msg("%s: message %u: verdict %d, not %d (%s)", s->name, n, got, expected(s, n), err_text(victim->err));
    pair_done(&p);
}

#define CLIENT .role = TRANSPORT_CLIENT
#define SERVER .role = TRANSPORT_SERVER
static const struct situation situations[] = {
    { "client before KEXINIT", CLIENT, .state = STATE_KEXINIT, .first = true },
    { "server before KEXINIT", SERVER, .state = STATE_KEXINIT, .first = true },
    { "client, first reply", CLIENT, .state = STATE_KEX_REPLY, .first = true },
    { "client, first reply, strict", CLIENT, .state = STATE_KEX_REPLY, .first = true, .strict = true },
    { "client, first group", CLIENT, .state = STATE_GEX_GROUP, .first = true, .gex = true },
    { "client, first group, strict", CLIENT, .state = STATE_GEX_GROUP, .first = true, .gex = true, .strict = true },
    { "client, first gex reply, strict", CLIENT, .state = STATE_GEX_REPLY, .first = true, .gex = true, .strict = true },
    { "server, first init", SERVER, .state = STATE_KEX_INIT, .first = true },
    { "server, first init, strict", SERVER, .state = STATE_KEX_INIT, .first = true, .strict = true },
    { "server, first gex request", SERVER, .state = STATE_GEX_REQUEST, .first = true, .gex = true },
    { "server, first gex request, strict", SERVER, .state = STATE_GEX_REQUEST, .first = true, .gex = true, .strict = true },
    { "client, first gex reply", CLIENT, .state = STATE_GEX_REPLY, .first = true, .gex = true },
    { "server, first gex init", SERVER, .state = STATE_GEX_INIT, .first = true, .gex = true },
    { "server, first gex init, strict", SERVER, .state = STATE_GEX_INIT, .first = true, .gex = true, .strict = true },
    { "client, first NEWKEYS", CLIENT, .state = STATE_NEWKEYS, .first = true },
    { "client, first NEWKEYS, strict", CLIENT, .state = STATE_NEWKEYS, .first = true, .strict = true },
    { "server, first NEWKEYS", SERVER, .state = STATE_NEWKEYS, .first = true },
    { "server, first NEWKEYS, strict", SERVER, .state = STATE_NEWKEYS, .first = true, .strict = true },
    { "client running", CLIENT, .state = STATE_RUN, .strict = true },
    { "server running", SERVER, .state = STATE_RUN, .strict = true },
    { "client that asked for a service", CLIENT, .state = STATE_RUN, .strict = true, .service_requested = true },
    { "client logged in", CLIENT, .state = STATE_RUN, .strict = true, .authenticated = true },
    { "server logged in", SERVER, .state = STATE_RUN, .authenticated = true },
    { "client, own KEXINIT sent", CLIENT, .state = STATE_RUN_KEXINIT, .strict = true, .authenticated = true },
    { "server, own KEXINIT sent", SERVER, .state = STATE_RUN_KEXINIT, .strict = true, .authenticated = true },
    { "client rekeying, reply", CLIENT, .state = STATE_KEX_REPLY, .strict = true, .authenticated = true },
    { "server rekeying, init", SERVER, .state = STATE_KEX_INIT, .strict = true, .authenticated = true },
    { "server rekeying, init, not strict", SERVER, .state = STATE_KEX_INIT, .authenticated = true },
    { "server rekeying, gex request", SERVER, .state = STATE_GEX_REQUEST, .strict = true, .authenticated = true, .gex = true },
    { "client rekeying, group", CLIENT, .state = STATE_GEX_GROUP, .strict = true, .authenticated = true, .gex = true },
    { "server rekeying, gex init", SERVER, .state = STATE_GEX_INIT, .strict = true, .authenticated = true, .gex = true },
    { "client rekeying, gex reply", CLIENT, .state = STATE_GEX_REPLY, .strict = true, .authenticated = true, .gex = true },
    { "server rekeying, NEWKEYS", SERVER, .state = STATE_NEWKEYS, .strict = true, .authenticated = true },
};

static void test_every_message_in_every_state(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(situations); i++)
        for (unsigned n = 0; n < 256; n++) check(&situations[i], n);
}

/* With strict key exchange nothing may come before the peer's KEXINIT either; that is only known when it has come. */
static void test_strict_first_packet(UNUSED void **state)
{
    struct situation s = { "", SERVER, .state = STATE_KEXINIT, .first = true, .strict = true };
    for (int strict = 0; strict < 2; strict++) {
        struct pair p;
        s.strict = strict;
        arrive(&p, &s);
        inject(&p, &s, VIEW_LIT("\x02\x00\x00\x00\x00"));
        assert_int_equal(p.s.err, 0);
        pair_run(&p);
        assert_int_equal(p.s.err, strict ? ERR_UNEXPECTED_MESSAGE : 0);
        pair_done(&p);
    }
}

/* EXT_INFO is the first packet behind NEWKEYS or it is refused (server). */
static void test_ext_info_position(UNUSED void **state)
{
    struct situation s = { "", SERVER, .state = STATE_RUN };
    struct pair p;
    arrive(&p, &s);
    assert_string_equal(p.s.ext, "ext-info-in-auth@openssh.com=0;");
    inject(&p, &s, VIEW_LIT("\x07\x00\x00\x00\x00"));
    assert_int_equal(p.s.err, ERR_UNEXPECTED_MESSAGE);
    pair_done(&p);
}

static void ext_info(const char *payload, size_t len, int err, unsigned n_ext)
{
    struct situation s = { "", CLIENT, .state = STATE_RUN };
    struct pair p;
    arrive(&p, &s);
    p.c.n_ext = 0;
    inject(&p, &s, view_of(payload, len));
    assert_int_equal(p.c.err, err);
    assert_int_equal(p.c.n_ext, n_ext);
    pair_done(&p);
}
#define EXT_INFO(payload, err, n) ext_info(payload, sizeof(payload) - 1, err, n)

static void test_ext_info_contents(UNUSED void **state)
{
    EXT_INFO("\x07\0\0\0\0", 0, 0);
    EXT_INFO("\x07\0\0\0\2\0\0\0\1a\0\0\0\0\0\0\0\1b\0\0\0\2\0\1", 0, 2);
    EXT_INFO("\x07\0\0\0\1\0\0\0\1a\0\0\0\0\0\0\0\1b", ERR_TRAILING, 0);
    EXT_INFO("\x07\0\0\0\2\0\0\0\1a\0\0\0\0\0\0\0\1b", ERR_TRUNCATED, 1);
    EXT_INFO("\x07\0\0\0\2\0\0\0\1a\0\0\0\0", ERR_TRUNCATED, 1);
    EXT_INFO("\x07\0\0\4\1\0\0\0\1a\0\0\0\0", ERR_LIMIT, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_in_every_state),
        cmocka_unit_test(test_strict_first_packet),
        cmocka_unit_test(test_ext_info_position),
        cmocka_unit_test(test_ext_info_contents),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
