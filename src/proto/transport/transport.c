/* The engine: what it is made from, the table of (state, message), the events. Which packets the peer may send is in one table
 * below; what it lacks ends the connection. */
#include "proto/transport/transport_int.h"

#include <stdlib.h>

enum {
    PUBLIC_BYTES = 64 * 1024,
    GROUP_BYTES = 4096,
    GEX_MIN_BITS = DH_MIN_BITS,
    GEX_MAX_BITS = DH_MAX_BITS
};

/* ---- life ---- */

static int copy_str(const char *s, char **ret)
{
    if (!s) return 0;
    *ret = strdup(s);
    return *ret ? 0 : ERR_NOMEM;
}

static int copy_config(struct transport *t, const struct transport_config *c)
{
    const struct transport_algorithms *a = &c->algorithms;
    const char *lists[SLOT_MAX] = { a->kex,     a->host_key, a->cipher_c2s,      a->cipher_s2c,
                                    a->mac_c2s, a->mac_s2c,  a->compression_c2s, a->compression_s2c };
    if (!c->ident || strlen(c->ident) + 2 > LIMIT_IDENT_BYTES) return ERR_LIMIT;
    TRY(copy_str(c->ident, &t->ident));
    for (int i = 0; i < SLOT_MAX; i++) {
        if (!lists[i]) return ERR_UNSUPPORTED;
        TRY(copy_str(lists[i], &t->lists[i]));
    }
    TRY(copy_str(c->server_sig_algs, &t->server_sig_algs));
    TRY(copy_str(c->guess_kex, &t->guess_kex));
    TRY(copy_str(c->guess_host_key, &t->guess_host_key));
    t->role = c->role;
    t->early_session = c->early_session;
    t->rekey_bytes = c->rekey_bytes;
    t->rekey_interval_ms = c->rekey_interval_ms;
    t->gex_min_bits = c->gex_min_bits ? c->gex_min_bits : GEX_MIN_BITS;
    t->gex_max_bits = c->gex_max_bits ? c->gex_max_bits : GEX_MAX_BITS;
    return kexinit_check_lists(t);
}

int transport_alloc(const struct random *rnd, const struct log *log, ms now, struct transport **ret)
{
    struct transport *t = calloc(1, sizeof *t);
    if (!t) return ERR_NOMEM;
    t->rnd = rnd;
    t->log = log;
    t->now = t->keys_since = now;
    buf_init(&t->peer_ident, LIMIT_IDENT_BYTES);
    buf_init(&t->host_key, LIMIT_PACKET_BYTES);
    buf_init(&t->service, LIMIT_PACKET_BYTES);
    t->held = (struct buf)BUF_INIT_SECRET(LIMIT_HELD_BYTES);
    buf_init(&t->kex.own_init, LIMIT_PACKET_BYTES);
    buf_init(&t->kex.peer_init, LIMIT_PACKET_BYTES);
    buf_init(&t->kex.own_public, PUBLIC_BYTES);
    buf_init(&t->kex.peer_public, PUBLIC_BYTES);
    buf_init(&t->kex.gex_p, GROUP_BYTES);
    buf_init(&t->kex.gex_g, GROUP_BYTES);
    packet_out_init(&t->out, rnd);
    if (packet_in_init(&t->in, log) < 0) {
        transport_free(t);
        return ERR_NOMEM;
    }
    *ret = t;
    return 0;
}

int transport_new(const struct transport_config *config, ms now, struct transport **ret)
{
    CLEANUP(transport_freep) struct transport *t = NULL;
    TRY(transport_alloc(config->rnd, config->log, now, &t));
    TRY(copy_config(t, config));
    log_debug(t->log, "Local version string %s", t->ident);
    TRY(packet_out_raw(&t->out, view_str(t->ident)));
    TRY(packet_out_raw(&t->out, VIEW_LIT("\r\n")));
    TRY(kexinit_send(t));
    *ret = TAKE(t);
    return 0;
}

void transport_free(struct transport *t)
{
    if (!t) return;
    packet_in_done(&t->in);
    packet_out_done(&t->out);
    kex_done(&t->kex);
    buf_done(&t->peer_ident);
    buf_done(&t->host_key);
    buf_done(&t->held);
    buf_done(&t->service);
    free(t->ident);
    for (int i = 0; i < SLOT_MAX; i++) free(t->lists[i]);
    free(t->server_sig_algs);
    free(t->guess_kex);
    free(t->guess_host_key);
    secret_wipe(t, sizeof *t);
    free(t);
}

/* ---- bytes ---- */

void transport_input(struct transport *t, uint8_t **ret_area, size_t *ret_room)
{
    packet_in_room(&t->in, !t->lent, ret_area, ret_room);
}

void transport_received(struct transport *t, size_t n) { packet_in_received(&t->in, n); }
void transport_input_eof(struct transport *t) { t->in_eof = true; }
struct view transport_output(const struct transport *t) { return packet_out_view(&t->out); }
void transport_sent(struct transport *t, size_t n) { packet_out_sent(&t->out, n); }

/* ---- rekeying and time ---- */

static bool used_up(const struct packet_keys *k, const struct packet_counters *n, uint64_t limit_bytes)
{
    enum {
        KEY_PACKETS_BITS = 31
    }; /* 4344 3.1, and well before a sequence number comes twice */
    return n->key_packets > (uint64_t)1 << KEY_PACKETS_BITS || n->key_blocks > packet_keys_max_blocks(k, limit_bytes);
}

int transport_check_rekey(struct transport *t)
{
    if (t->state != STATE_RUN) return 0;
    uint64_t limit = t->authenticated ? t->rekey_bytes : 0;
    if (!used_up(&t->in.keys, &t->in.n, limit) && !used_up(&t->out.keys, &t->out.n, limit)) return 0;
    /* Nobody who logs in needs that much. */
    return t->authenticated ? transport_rekey(t) : ERR_LIMIT;
}

int transport_rekey(struct transport *t)
{
    if (t->err) return t->err;
    if (t->state != STATE_RUN) return 0;
    int err = kexinit_send(t);
    if (err < 0) return transport_set_error(t, err, NULL);
    t->state = STATE_RUN_KEXINIT;
    return 0;
}

ms transport_deadline(const struct transport *t)
{
    bool used = t->in.n.key_packets || t->out.n.key_packets;
    if (t->err || !t->rekey_interval_ms || t->state != STATE_RUN || !t->authenticated || !used) return MS_NEVER;
    return t->keys_since + t->rekey_interval_ms;
}

int transport_tick(struct transport *t, ms now)
{
    if (t->err) return t->err;
    t->now = now;
    return transport_deadline(t) <= now ? transport_rekey(t) : 0;
}

/* ---- compression ---- */

int transport_start_compression(struct transport *t, bool inbound)
{
    enum compression c = inbound ? t->in.keys.compression : t->out.keys.compression;
    struct zstream **z = inbound ? &t->in.inflate : &t->out.deflate;
    if (*z || c == COMPRESSION_NONE || (c == COMPRESSION_DELAYED && !t->authenticated)) return 0;
    log_debug2(t->log, "Enabling compression at level 6, %s.", inbound ? "in" : "out");
    return zstream_new(!inbound, z);
}

void transport_authenticated(struct transport *t)
{
    if (t->err || t->authenticated) return;
    t->authenticated = true;
    int err = transport_start_compression(t, true);
    if (err == 0) err = transport_start_compression(t, false);
    if (err < 0) (void)transport_set_error(t, err, NULL);
}

/* ---- messages ---- */

static int on_disconnect(struct transport *t, struct view payload)
{
    struct msg_disconnect m;
    TRY(msg_disconnect_get(payload, &m));
    t->peer_gone = true;
    transport_post(t, QUESTION_NONE,
                   &(struct transport_event){ .kind = TRANSPORT_DISCONNECT, .reason = m.reason, .text = m.description });
    return 0;
}

static int on_ignore(UNUSED struct transport *t, UNUSED struct view payload) { return 0; }

static int on_unimplemented(struct transport *t, struct view payload)
{
    struct msg_unimplemented m;
    TRY(msg_unimplemented_get(payload, &m));
    log_debug(t->log, "Received SSH2_MSG_UNIMPLEMENTED for %u", m.sequence);
    transport_post(t, QUESTION_NONE, &(struct transport_event){ .kind = TRANSPORT_UNIMPLEMENTED, .sequence = m.sequence });
    return 0;
}

static int on_debug(struct transport *t, struct view payload)
{
    struct msg_debug m;
    TRY(msg_debug_get(payload, &m));
    transport_post(t, QUESTION_NONE,
                   &(struct transport_event){ .kind = TRANSPORT_DEBUG, .text = m.text, .display = m.always_display });
    return 0;
}

static int on_service_request(struct transport *t, struct view payload)
{
    struct msg_service_request m;
    if (t->authenticated) return ERR_UNEXPECTED_MESSAGE;
    TRY(msg_service_request_get(payload, &m));
    transport_post(t, QUESTION_SERVICE, &(struct transport_event){ .kind = TRANSPORT_SERVICE_REQUEST, .text = m.service });
    /* The name must be there when the answer comes, after views of the receive area have ended. */
    buf_reset(&t->service);
    return buf_put_view(&t->service, m.service);
}

int transport_accept_service(struct transport *t)
{
    struct link l = transport_link(t);
    TRY(transport_answered(t, QUESTION_SERVICE));
    return LINK_SEND(&l, buf_len(&t->service) + 64, service_accept, .service = buf_view(&t->service));
}

static int on_service_accept(struct transport *t, struct view payload)
{
    struct msg_service_accept m;
    if (!t->service_requested) return ERR_UNEXPECTED_MESSAGE;
    TRY(msg_service_accept_get(payload, &m));
    log_debug(t->log, "SSH2_MSG_SERVICE_ACCEPT received");
    t->service_requested = false;
    transport_post(t, QUESTION_NONE, &(struct transport_event){ .kind = TRANSPORT_SERVICE_ACCEPT, .text = m.service });
    return 0;
}

/* RFC 8308 2.4: first behind NEWKEYS; a server's second one before USERAUTH_SUCCESS, or with ext-info-in-auth@openssh.com any time
 * in between. */
static int on_ext_info(struct transport *t, struct view payload)
{
    struct msg_ext_info m;
    bool in_auth = !transport_is_server(t) && !t->authenticated;
    if (!t->is_after_newkeys && !in_auth) return ERR_UNEXPECTED_MESSAGE;
    TRY(msg_ext_info_get(payload, &m));
    if (m.n_extensions > LIMIT_EXT_INFO) return ERR_LIMIT;
    log_debug(t->log, "SSH2_MSG_EXT_INFO received");
    t->extensions = rd_of(m.extensions);
    t->n_extensions = m.n_extensions;
    return 0;
}

/* Hands out one extension of the EXT_INFO that is being read. 1: *ret; 0: no more. */
static int next_extension(struct transport *t, struct transport_event *ret)
{
    if (t->n_extensions == 0) return 0;
    struct view name = rd_cstring(&t->extensions), value = rd_string(&t->extensions);
    TRY(--t->n_extensions ? rd_stop(&t->extensions) : rd_end(&t->extensions));
    log_debug(t->log, "kex_input_ext_info: %.*s=<%.*s>", VIEW_ARG(name), VIEW_ARG(value));
    if (view_eq_str(name, "ping@openssh.com") && view_eq_str(value, "0")) t->peer_has_ping = true;
    *ret = (struct transport_event){ .kind = TRANSPORT_EXT_INFO, .text = name, .data = value };
    return 1;
}

static int on_kexinit(struct transport *t, struct view payload)
{
    if (t->state == STATE_RUN) TRY(kexinit_send(t));
    TRY(kexinit_choose(t, payload));
    TRY(kex_begin(t));
    transport_post(t, QUESTION_NONE, &(struct transport_event){ .kind = TRANSPORT_ALGORITHMS, .first = !t->first_done });
    return 0;
}

static int on_packet(struct transport *t, struct view payload)
{
    transport_post(t, QUESTION_NONE,
                   &(struct transport_event){ .kind = TRANSPORT_PACKET, .data = payload, .sequence = t->last_sequence });
    return 0;
}

/* Before login and while keys are exchanged a PONG would only be work that a stranger can order. */
static int on_ping(struct transport *t, struct view payload)
{
    struct msg_ping m;
    struct link l = transport_link(t);
    TRY(msg_ping_get(payload, &m));
    if (!t->authenticated || t->state != STATE_RUN) return 0;
    return LINK_SEND(&l, m.data.len + 64, pong, .data = m.data);
}

static int on_pong(struct transport *t, struct view payload)
{
    struct msg_pong m;
    TRY(msg_pong_get(payload, &m));
    transport_post(t, QUESTION_NONE, &(struct transport_event){ .kind = TRANSPORT_PONG, .data = m.data });
    return 0;
}

static int on_unknown(struct transport *t, UNUSED struct view payload) { return transport_unimplemented(t); }

/* ---- the table ---- */

#define IN(state) (1u << STATE_##state)
#define IN_RUN (IN(RUN) | IN(RUN_KEXINIT))
#define IN_PACKETS (((1u << STATE_MAX) - 1) & ~IN(IDENT))
enum rule_flags {
    CLIENT_ONLY = 1, /* only when we are the client */
    SERVER_ONLY = 2,
    NOT_STRICT = 4, /* not in the first key exchange when it is strict */
};

static const struct rule {
    uint8_t min, max; /* message numbers */
    uint32_t states;
    unsigned flags;
    int (*handle)(struct transport *t, struct view payload);
} rules[] = {
    { 1, 1, IN_PACKETS, 0, on_disconnect },
    { 2, 2, IN_PACKETS, NOT_STRICT, on_ignore },
    { 3, 3, IN_PACKETS, NOT_STRICT, on_unimplemented },
    { 4, 4, IN_PACKETS, NOT_STRICT, on_debug },
    { 5, 5, IN_RUN, SERVER_ONLY, on_service_request },
    { 6, 6, IN_RUN, CLIENT_ONLY, on_service_accept },
    { 7, 7, IN_RUN, 0, on_ext_info },
    { 8, 19, IN_RUN, 0, on_unknown },
    { 20, 20, IN(KEXINIT) | IN_RUN, 0, on_kexinit },
    { 21, 21, IN(NEWKEYS), 0, kex_on_newkeys },
    { 22, 29, IN_RUN, 0, on_unknown },
    { 30, 30, IN(KEX_INIT), SERVER_ONLY, kex_on_init },
    { 30, 30, IN(GEX_REQUEST), SERVER_ONLY, kex_on_gex_request_old },
    { 31, 31, IN(KEX_REPLY), CLIENT_ONLY, kex_on_reply },
    { 31, 31, IN(GEX_GROUP), CLIENT_ONLY, kex_on_gex_group },
    { 32, 32, IN(GEX_INIT), SERVER_ONLY, kex_on_gex_init },
    { 33, 33, IN(GEX_REPLY), CLIENT_ONLY, kex_on_gex_reply },
    { 34, 34, IN(GEX_REQUEST), SERVER_ONLY, kex_on_gex_request },
    { 50, 191, IN_RUN, 0, on_packet },
    { 192, 192, IN_RUN, 0, on_ping },
    { 193, 193, IN_RUN, 0, on_pong },
    { 194, 255, IN_RUN, 0, on_unknown },
};

static bool rule_allows(const struct transport *t, const struct rule *r, uint8_t number)
{
    if (number < r->min || number > r->max || !(r->states & 1u << t->state)) return false;
    if ((r->flags & CLIENT_ONLY) && transport_is_server(t)) return false;
    if ((r->flags & SERVER_ONLY) && !transport_is_server(t)) return false;
    return !(r->flags & NOT_STRICT) || t->first_done || !t->strict;
}

static int dispatch(struct transport *t, struct view payload)
{
    uint8_t number = payload.p[0];
    if (t->kex.ignore_next) {
        /* 4253 7: the packet behind a wrong guess is passed over; it is one of the wrong method's. */
        t->kex.ignore_next = false;
        return number >= MSG_KEX_MIN && number <= MSG_KEX_MAX ? 0 : ERR_UNEXPECTED_MESSAGE;
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rule_allows(t, &rules[i], number)) return rules[i].handle(t, payload);
    log_debug(t->log, "message %u (%s) not allowed in state %d", number, msg_name(number), (int)t->state);
    return ERR_UNEXPECTED_MESSAGE;
}

/* ---- events ---- */

void transport_post(struct transport *t, enum question question, const struct transport_event *event)
{
    CHECK(!t->has_event && t->question == QUESTION_NONE);
    t->question = question;
    t->event = *event;
    t->has_event = true;
}

int transport_answered(struct transport *t, enum question question)
{
    if (t->err) return t->err;
    if (t->question != question || t->has_event) return ERR_STATE;
    t->question = QUESTION_NONE;
    return 0;
}

/* Takes one packet. 1: it was taken (and may have posted an event), 0: bytes lack. */
static int packet_step(struct transport *t)
{
    struct view payload;
    uint32_t max = t->authenticated ? LIMIT_PACKET_BYTES : LIMIT_PACKET_PREAUTH_BYTES;
    int r = packet_in_next(&t->in, max, &payload, &t->last_sequence);
    if (r <= 0) return r;
    if (!t->authenticated && t->in.n.packets > LIMIT_PREAUTH_PACKETS) return ERR_LIMIT;
    t->is_after_newkeys = t->newkeys_came;
    t->newkeys_came = false;
    TRY(dispatch(t, payload));
    TRY(transport_check_rekey(t));
    return 1;
}

/* 1: *ret is an event, 0: none now. */
static int next_event(struct transport *t, struct transport_event *ret)
{
    for (;;) {
        if (t->has_event) {
            t->has_event = false;
            *ret = t->event;
            return 1;
        }
        if (t->peer_gone) return ERR_PEER_DISCONNECTED;
        int r = next_extension(t, ret);
        if (r != 0) return r;
        if (t->question != QUESTION_NONE) return 0;
        bool in_ident = t->state == STATE_IDENT;
        r = in_ident ? ident_next(t, ret) : packet_step(t);
        if (r < 0 || (r > 0 && in_ident)) return r;
        if (r == 0) return t->in_eof ? ERR_PEER_CLOSED : 0;
    }
}

int transport_next(struct transport *t, ms now, struct transport_event *ret)
{
    if (t->err) return t->err;
    t->now = now;
    t->lent = false;
    int r = next_event(t, ret);
    if (r < 0) return transport_set_error(t, r, NULL);
    t->lent = r > 0;
    return r;
}

/* ---- facts ---- */

void transport_chosen(const struct transport *t, struct transport_chosen *ret)
{
    const struct kex *k = &t->kex;
    *ret = (struct transport_chosen){ "", "", "", "", "", "", "", "", false, false, false };
    if (!k->method) return;
    *ret = (struct transport_chosen){
        .kex = k->method->name,
        .host_key = k->host_key_name,
        .cipher_c2s = k->c2s.cipher->name,
        .cipher_s2c = k->s2c.cipher->name,
        .mac_c2s = k->c2s.mac ? k->c2s.mac->name : "<implicit>",
        .mac_s2c = k->s2c.mac ? k->s2c.mac->name : "<implicit>",
        .compression_c2s = compression_names[k->c2s.compression],
        .compression_s2c = compression_names[k->s2c.compression],
        .strict = t->strict,
        .kex_is_post_quantum = k->method->is_post_quantum,
        .guess_would_hold = t->peer_first_choice,
    };
}

struct view transport_session_id(const struct transport *t) { return view_of(t->session_id, t->session_id_len); }
struct view transport_peer_ident(const struct transport *t) { return buf_view(&t->peer_ident); }
const char *transport_host_key_algorithm(const struct transport *t) { return t->kex.host_key_name; }
struct view transport_host_key(const struct transport *t) { return buf_view(&t->host_key); }
bool transport_has_part(const struct transport *t) { return packet_in_raw(&t->in).len > 0; }
uint32_t transport_bad_length(const struct transport *t) { return t->in.bad_len; }
bool transport_in_kex(const struct transport *t) { return t->state != STATE_RUN; }
int transport_error(const struct transport *t) { return t->err; }

struct view transport_peer_offer(const struct transport *t, int err)
{
    struct msg_kexinit m;
    if (err != t->err || err > ERR_NO_KEX_ALG || err < ERR_NO_COMPRESSION_ALG) return VIEW_EMPTY;
    if (msg_kexinit_get(buf_view(&t->kex.peer_init), &m) < 0) return VIEW_EMPTY;
    const struct view lists[SLOT_MAX] = { m.kex,     m.host_key, m.cipher_c2s,      m.cipher_s2c,
                                          m.mac_c2s, m.mac_s2c,  m.compression_c2s, m.compression_s2c };
    return lists[t->kex.failed_slot];
}

void transport_traffic(const struct transport *t, struct transport_traffic *ret)
{
    *ret = (struct transport_traffic){
        .bytes_in = t->in.n.bytes,
        .bytes_out = t->out.n.bytes - t->out.queued,
        .packets_in = t->in.n.packets,
        .packets_out = t->out.n.packets,
        .rekeys = t->rekeys,
    };
}
