/* For tests and fuzz targets only: a client and a server engine with a wire between them that is cut where the test likes, and
 * owners that answer every question. */
#pragma once

#include "key/key.h"
#include "proto/transport/transport_int.h"

#include <stdio.h>
#include <stdlib.h>

/* Bytes that look random and are the same in each run. */
struct fake_random {
    uint64_t x;
};
static inline int fake_fill(void *arg, uint8_t *ret_bytes, size_t len)
{
    struct fake_random *f = arg;
    for (size_t i = 0; i < len; i++) {
        f->x = f->x * 6364136223846793005u + 1442695040888963407u;
        ret_bytes[i] = (uint8_t)(f->x >> 56);
    }
    return 0;
}

struct end {
    struct transport *t;
    struct end *peer;
    struct fake_random fake;
    struct random rnd;
    struct key *host_key; /* server */
    int err;
    bool reject_host_key, keep_questions;
    struct buf received; /* payloads of TRANSPORT_PACKET, as strings */
    unsigned n_keys, n_first, n_host_key, n_ext, n_service, n_accept, n_debug, n_unimplemented, n_pong, n_disconnect, n_group,
        n_lines, n_ident;
    uint32_t reason, unimplemented_sequence;
    char ext[4096], text[256];
    size_t wire_bytes; /* sent by this end */
};

struct pair {
    struct end c, s;
    ms now;
    size_t chunk; /* most bytes that cross the wire at once */
    struct transport_config cc, sc;
};

#define PAIR_KEX "curve25519-sha256"
#define PAIR_CIPHER "aes128-gcm@openssh.com"
static const struct transport_algorithms pair_algorithms = {
    .kex = PAIR_KEX,
    .host_key = "ssh-ed25519",
    .cipher_c2s = PAIR_CIPHER,
    .cipher_s2c = PAIR_CIPHER,
    .mac_c2s = "hmac-sha2-256-etm@openssh.com",
    .mac_s2c = "hmac-sha2-256-etm@openssh.com",
    .compression_c2s = "none",
    .compression_s2c = "none",
};

static inline void end_init(struct end *e, struct end *peer, uint64_t seed)
{
    *e = (struct end){ .peer = peer, .fake = { seed } };
    e->rnd = (struct random){ fake_fill, &e->fake };
    buf_init(&e->received, SIZE_MAX);
}

/* Configurations to change before pair_start. */
static inline void pair_init(struct pair *p, struct key *host_key)
{
    *p = (struct pair){ .chunk = SIZE_MAX };
    end_init(&p->c, &p->s, 1);
    end_init(&p->s, &p->c, 2);
    p->s.host_key = host_key;
    p->cc = (struct transport_config){ .role = TRANSPORT_CLIENT, .ident = "SSH-2.0-c", .algorithms = pair_algorithms };
    p->sc = (struct transport_config){
        .role = TRANSPORT_SERVER, .ident = "SSH-2.0-s x", .algorithms = pair_algorithms, .server_sig_algs = "a,b"
    };
    p->cc.rnd = &p->c.rnd;
    p->sc.rnd = &p->s.rnd;
}

static inline int pair_start(struct pair *p)
{
    TRY(transport_new(&p->cc, p->now, &p->c.t));
    return transport_new(&p->sc, p->now, &p->s.t);
}

/* Takes the announcement of strict key exchange out of a KEXINIT that is not sent yet, on the wire and in the copy for the hash. */
static inline void end_forget_strict(struct end *e)
{
    struct buf *init = &e->t->kex.own_init;
    struct view v = transport_output(e->t);
    uint8_t *on_wire = memmem(v.p, v.len, "kex-strict", 10), *kept = memmem(buf_bytes(init), buf_len(init), "kex-strict", 10);
    CHECK(on_wire && kept);
    on_wire[0] = kept[0] = 'x';
}

static inline void end_done(struct end *e)
{
    transport_free(e->t);
    e->t = NULL;
    buf_done(&e->received);
}

static inline void pair_done(struct pair *p)
{
    end_done(&p->c);
    end_done(&p->s);
}

static inline void copy_text(struct view v, char *ret, size_t cap) { snprintf(ret, cap, "%.*s", VIEW_ARG(v)); }

static inline int end_sign(struct end *e, const struct transport_event *ev)
{
    CLEANUP(buf_done) struct buf sig = BUF_INIT(65536);
    TRY(key_sign(e->host_key, ev->text, ev->data, &sig));
    return transport_answer_sign(e->t, buf_view(&sig));
}

static inline int end_group(struct end *e, const struct transport_event *ev)
{
    struct view p, g;
    TRY(kex_builtin_group(ev->gex_min_bits, ev->gex_bits, ev->gex_max_bits, &p, &g));
    return transport_answer_group(e->t, p, g);
}

static inline int end_packet(struct end *e, struct view payload)
{
    struct wr w = wr_of(&e->received);
    wr_string(&w, payload);
    return wr_end(&w);
}

static inline int end_act(struct end *e, const struct transport_event *ev)
{
    switch (ev->kind) {
    case TRANSPORT_PEER_IDENT:
        e->n_ident++;
        return 0;
    case TRANSPORT_IDENT_LINE:
        e->n_lines++;
        return 0;
    case TRANSPORT_ALGORITHMS:
        return 0;
    case TRANSPORT_HOST_KEY:
        e->n_host_key++;
        return e->keep_questions ? 0 : transport_answer_host_key(e->t, !e->reject_host_key);
    case TRANSPORT_HOST_KEY_BLOB:
        return e->keep_questions ? 0 : transport_answer_host_key_blob(e->t, key_blob(e->host_key));
    case TRANSPORT_SIGN:
        return e->keep_questions ? 0 : end_sign(e, ev);
    case TRANSPORT_GROUP:
        e->n_group++;
        return e->keep_questions ? 0 : end_group(e, ev);
    case TRANSPORT_KEYS_CHANGED:
        e->n_keys++;
        e->n_first += ev->first;
        return 0;
    case TRANSPORT_EXT_INFO:
        e->n_ext++;
        snprintf(e->ext + strlen(e->ext), sizeof e->ext - strlen(e->ext), "%.*s=%.*s;", VIEW_ARG(ev->text), VIEW_ARG(ev->data));
        return 0;
    case TRANSPORT_PACKET:
        return end_packet(e, ev->data);
    case TRANSPORT_SERVICE_REQUEST:
        e->n_service++;
        copy_text(ev->text, e->text, sizeof e->text);
        return e->keep_questions ? 0 : transport_accept_service(e->t);
    case TRANSPORT_SERVICE_ACCEPT:
        e->n_accept++;
        copy_text(ev->text, e->text, sizeof e->text);
        return 0;
    case TRANSPORT_UNIMPLEMENTED:
        e->n_unimplemented++;
        e->unimplemented_sequence = ev->sequence;
        return 0;
    case TRANSPORT_PONG:
        e->n_pong++;
        copy_text(ev->data, e->text, sizeof e->text);
        return 0;
    case TRANSPORT_DEBUG:
        e->n_debug++;
        copy_text(ev->text, e->text, sizeof e->text);
        return 0;
    case TRANSPORT_DISCONNECT:
        e->n_disconnect++;
        e->reason = ev->reason;
        copy_text(ev->text, e->text, sizeof e->text);
        return 0;
    }
    return ERR_BUG;
}

/* Takes events until there are none. */
static inline void end_events(struct end *e, ms now)
{
    struct transport_event ev;
    int r;
    while ((r = transport_next(e->t, now, &ev)) > 0) {
        int err = end_act(e, &ev);
        if (err < 0 && e->err == 0) e->err = err;
        if (err < 0) return;
    }
    if (r < 0 && e->err == 0) e->err = r;
}

/* Feeds bytes, as far as there is room. Returns how many were taken. */
static inline size_t end_feed(struct end *e, struct view bytes, ms now)
{
    uint8_t *area;
    size_t room;
    transport_input(e->t, &area, &room);
    size_t n = MIN(bytes.len, room);
    if (n) memcpy(area, bytes.p, n);
    transport_received(e->t, n);
    end_events(e, now);
    return n;
}

/* Moves at most chunk bytes from one end to the other. */
static inline size_t end_cross(struct end *from, size_t chunk, ms now)
{
    struct view out = transport_output(from->t);
    if (out.len == 0) return 0;
    size_t n = end_feed(from->peer, view_sub(out, 0, chunk), now);
    transport_sent(from->t, n);
    from->wire_bytes += n;
    return n;
}

/* Until nothing moves any more. */
static inline void pair_run(struct pair *p)
{
    while (end_cross(&p->c, p->chunk, p->now) + end_cross(&p->s, p->chunk, p->now)) {
    }
}

static inline int end_send(struct end *e, struct view payload)
{
    struct link l = transport_link(e->t);
    uint8_t *area;
    TRY(link_reserve(&l, payload.len, &area));
    memcpy(area, payload.p, payload.len);
    return link_commit(&l, payload.len);
}
