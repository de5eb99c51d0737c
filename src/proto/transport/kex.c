/* The key exchange methods as messages: RFC 4253 8 (fixed groups), 5656 4 and the hybrids (30/31), RFC 4419 (group exchange,
 * 30-34), and NEWKEYS (4253 7.3). The arithmetic is crypto/kex.h's. Questions of the owner cut each flow in two: the message's
 * handler asks, the answer goes on. */
#include "proto/transport/transport_int.h"
#include "key/key.h"

#define SEND(t, max, name, ...)                         \
    ({                                                  \
        struct link direct_ = transport_direct_link(t); \
        LINK_SEND(&direct_, max, name, __VA_ARGS__);    \
    })

enum {
    SMALL_BYTES = 64
};

/* Drops what one exchange needed; what facts are read from stays. */
static void kex_reset(struct kex *k)
{
    buf_done(&k->own_init);
    buf_done(&k->peer_init);
    k->guess = NULL;
    k->ignore_next = false;
    kex_agreement_free(k->agreement);
    k->agreement = NULL;
    buf_done(&k->own_public);
    buf_done(&k->peer_public);
    buf_done(&k->gex_p);
    buf_done(&k->gex_g);
    k->gex_is_old = false;
    secret_done(&k->shared);
    secret_wipe(k->hash, sizeof k->hash);
    k->hash_len = 0;
    packet_keys_done(&k->next_in);
    packet_keys_done(&k->next_out);
}

void kex_done(struct kex *k)
{
    kex_reset(k);
    *k = (struct kex){};
}

/* ---- strengths and sizes of groups ---- */

static unsigned magnitude_bits(struct view v)
{
    while (v.len && v.p[0] == 0) v = view_sub(v, 1, v.len);
    return v.len ? (unsigned)(v.len * 8) - ((unsigned)__builtin_clz(v.p[0]) - 24) : 0;
}

/* OpenSSH says this of each public value of a group exchange, and its tests read it. */
static void log_bits_set(const struct transport *t, struct view public_value)
{
    if (t->kex.method->kind == KEX_ECDH || !log_wants(t->log, LOG_LEVEL_DEBUG2)) return;
    unsigned n = 0, bits = magnitude_bits(buf_view(&t->kex.gex_p));
    for (size_t i = 0; i < public_value.len; i++) n += (unsigned)__builtin_popcount(public_value.p[i]);
    log_debug2(t->log, "bits set: %u/%u", n, bits ? bits : (unsigned)public_value.len * 8);
}

static unsigned strength_bits(const struct kex *k) { return MAX(k->c2s.cipher->strength_bits, k->s2c.cipher->strength_bits); }

/* Sizes of about the same strength as the cipher: SP 800-57, with 7680 and 8192 as OpenSSH. */
static unsigned gex_want_bits(unsigned strength)
{
    return strength <= 112 ? 2048 : strength <= 128 ? 3072 : strength <= 192 ? 7680 : 8192;
}

/* Only after the choice, and only for a group exchange: a guess knows no ciphers yet. */
static struct kex_group gex_group(const struct kex *k)
{
    if (!k->method || k->method->kind != KEX_DH_GEX) return (struct kex_group){};
    return (struct kex_group){ .p = buf_view(&k->gex_p), .g = buf_view(&k->gex_g), .strength_bits = strength_bits(k) };
}

static int gex_set_group(struct transport *t, struct view p, struct view g, unsigned min_bits, unsigned max_bits)
{
    struct kex *k = &t->kex;
    unsigned bits = magnitude_bits(p);
    if (bits < min_bits || bits > max_bits) return ERR_KEX_VALUE;
    TRY(buf_put_view(&k->gex_p, p));
    return buf_put_view(&k->gex_g, g);
}

/* ---- client ---- */

static int start_agreement(struct transport *t, const struct kex_method *m)
{
    struct kex *k = &t->kex;
    struct kex_group group = gex_group(k);
    kex_agreement_free(k->agreement);
    k->agreement = NULL;
    buf_reset(&k->own_public);
    return kex_agreement_start(m, m->kind == KEX_DH_GEX ? &group : NULL, t->rnd, &k->agreement, &k->own_public);
}

static int send_init(struct transport *t, const struct kex_method *m)
{
    struct kex *k = &t->kex;
    TRY(start_agreement(t, m));
    struct view own = buf_view(&k->own_public);
    if (m->kind == KEX_ECDH) return SEND(t, own.len + SMALL_BYTES, kex_ecdh_init, .client_public = own);
    return SEND(t, own.len + SMALL_BYTES, kexdh_init, .e = own);
}

int kex_send_guess(struct transport *t) { return send_init(t, t->kex.guess); }

static unsigned clamp_bits(unsigned bits, unsigned min_bits, unsigned max_bits)
{
    return bits < min_bits ? min_bits : bits > max_bits ? max_bits : bits;
}

static int client_begin_gex(struct transport *t)
{
    struct kex *k = &t->kex;
    k->gex_min_bits = t->gex_min_bits;
    k->gex_max_bits = t->gex_max_bits;
    k->gex_bits = clamp_bits(gex_want_bits(strength_bits(k)), k->gex_min_bits, k->gex_max_bits);
    TRY(SEND(t, SMALL_BYTES, gex_request, .min_bits = k->gex_min_bits, .bits = k->gex_bits, .max_bits = k->gex_max_bits));
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_REQUEST(%u<%u<%u) sent", k->gex_min_bits, k->gex_bits, k->gex_max_bits);
    log_debug(t->log, "expecting SSH2_MSG_KEX_DH_GEX_GROUP");
    t->state = STATE_GEX_GROUP;
    return 0;
}

static int client_begin(struct transport *t)
{
    struct kex *k = &t->kex;
    if (k->method->kind == KEX_DH_GEX) return client_begin_gex(t);
    if (!k->guess) TRY(send_init(t, k->method));
    log_debug(t->log, "expecting SSH2_MSG_KEX_ECDH_REPLY");
    t->state = STATE_KEX_REPLY;
    return 0;
}

static int server_begin(struct transport *t)
{
    bool gex = t->kex.method->kind == KEX_DH_GEX;
    log_debug(t->log, "expecting %s", gex ? "SSH2_MSG_KEX_DH_GEX_REQUEST" : "SSH2_MSG_KEX_ECDH_INIT");
    t->state = gex ? STATE_GEX_REQUEST : STATE_KEX_INIT;
    return 0;
}

int kex_begin(struct transport *t) { return transport_is_server(t) ? server_begin(t) : client_begin(t); }

int kex_on_gex_group(struct transport *t, struct view payload)
{
    struct kex *k = &t->kex;
    struct msg_gex_group m;
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_GROUP received");
    TRY(msg_gex_group_get(payload, &m));
    TRY(gex_set_group(t, m.p, m.g, k->gex_min_bits, k->gex_max_bits));
    TRY(start_agreement(t, k->method));
    log_bits_set(t, buf_view(&k->own_public));
    TRY(SEND(t, buf_len(&k->own_public) + SMALL_BYTES, gex_init, .e = buf_view(&k->own_public)));
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_INIT sent");
    log_debug(t->log, "expecting SSH2_MSG_KEX_DH_GEX_REPLY");
    t->state = STATE_GEX_REPLY;
    return 0;
}

/* The server's half is here: K, H and its signature, then the question whether the key is the right one. */
static int client_finish(struct transport *t, struct view host_key, struct view server_public, struct view signature)
{
    struct kex *k = &t->kex;
    log_bits_set(t, server_public);
    buf_reset(&t->host_key);
    TRY(buf_put_view(&t->host_key, host_key));
    TRY(buf_put_view(&k->peer_public, server_public));
    TRY(kex_agreement_finish(k->agreement, server_public, &k->shared));
    TRY(keys_exchange_hash(t));
    int err = key_verify_blob(host_key, view_str(k->host_key_name), view_of(k->hash, k->hash_len), signature);
    if (err < 0) {
        log_debug(t->log, "host key signature of %s: %s", k->host_key_name, err_text(err));
        return err;
    }
    transport_post(t, QUESTION_HOST_KEY,
                   &(struct transport_event){
                       .kind = TRANSPORT_HOST_KEY, .key = buf_view(&t->host_key), .data = signature, .first = !t->first_done });
    return 0;
}

int kex_on_reply(struct transport *t, struct view payload)
{
    struct msg_kex_ecdh_reply m;
    struct msg_kexdh_reply dh;
    log_debug(t->log, "SSH2_MSG_KEX_ECDH_REPLY received");
    if (t->kex.method->kind == KEX_ECDH) {
        TRY(msg_kex_ecdh_reply_get(payload, &m));
        return client_finish(t, m.host_key, m.server_public, m.signature);
    }
    TRY(msg_kexdh_reply_get(payload, &dh));
    return client_finish(t, dh.host_key, dh.f, dh.signature);
}

int kex_on_gex_reply(struct transport *t, struct view payload)
{
    struct msg_gex_reply m;
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_REPLY received");
    TRY(msg_gex_reply_get(payload, &m));
    return client_finish(t, m.host_key, m.f, m.signature);
}

/* ---- server ---- */

static int server_public_came(struct transport *t, struct view client_public)
{
    log_bits_set(t, client_public);
    TRY(buf_put_view(&t->kex.peer_public, client_public));
    transport_post(t, QUESTION_HOST_KEY_BLOB,
                   &(struct transport_event){ .kind = TRANSPORT_HOST_KEY_BLOB, .text = view_str(t->kex.host_key_name) });
    return 0;
}

int kex_on_init(struct transport *t, struct view payload)
{
    struct msg_kex_ecdh_init m;
    struct msg_kexdh_init dh;
    log_debug(t->log, "SSH2_MSG_KEX_ECDH_INIT received");
    if (t->kex.method->kind == KEX_ECDH) {
        TRY(msg_kex_ecdh_init_get(payload, &m));
        return server_public_came(t, m.client_public);
    }
    TRY(msg_kexdh_init_get(payload, &dh));
    return server_public_came(t, dh.e);
}

static int ask_group(struct transport *t)
{
    struct kex *k = &t->kex;
    struct transport_event ev = {
        .kind = TRANSPORT_GROUP,
        .gex_min_bits = MAX(k->gex_min_bits, t->gex_min_bits),
        .gex_max_bits = MIN(k->gex_max_bits, t->gex_max_bits),
    };
    if (k->gex_min_bits > k->gex_bits || k->gex_bits > k->gex_max_bits || ev.gex_min_bits > ev.gex_max_bits) return ERR_KEX_VALUE;
    ev.gex_bits = clamp_bits(k->gex_bits, ev.gex_min_bits, ev.gex_max_bits);
    transport_post(t, QUESTION_GROUP, &ev);
    return 0;
}

int kex_on_gex_request(struct transport *t, struct view payload)
{
    struct kex *k = &t->kex;
    struct msg_gex_request m;
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_REQUEST received");
    TRY(msg_gex_request_get(payload, &m));
    k->gex_min_bits = m.min_bits;
    k->gex_bits = m.bits;
    k->gex_max_bits = m.max_bits;
    return ask_group(t);
}

/* 4419 5: the old request has one number; it leaves the bounds to us and they stay out of the hash. */
int kex_on_gex_request_old(struct transport *t, struct view payload)
{
    struct kex *k = &t->kex;
    struct msg_gex_request_old m;
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_REQUEST_OLD received");
    TRY(msg_gex_request_old_get(payload, &m));
    k->gex_is_old = true;
    k->gex_bits = m.bits;
    k->gex_min_bits = MIN(m.bits, t->gex_min_bits);
    k->gex_max_bits = MAX(m.bits, t->gex_max_bits);
    return ask_group(t);
}

int kex_on_gex_init(struct transport *t, struct view payload)
{
    struct msg_gex_init m;
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_INIT received");
    TRY(msg_gex_init_get(payload, &m));
    return server_public_came(t, m.e);
}

/* ---- NEWKEYS ---- */

static void log_rekey_after(const struct transport *t, const char *direction, const struct packet_keys *k)
{
    log_debug(t->log, "rekey %s after %llu blocks", direction, (unsigned long long)packet_keys_max_blocks(k, t->rekey_bytes));
}

/* RFC 8308 2.4: the packet behind our first NEWKEYS. */
static int send_ext_info(struct transport *t)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_PACKET_PAYLOAD_BYTES / 2);
    struct wr w = wr_of(&b);
    uint32_t n = 0;
    if (!t->peer_wants_ext_info) return 0;
    if (!transport_is_server(t)) {
        wr_cstr(&w, "ext-info-in-auth@openssh.com");
        wr_cstr(&w, "0");
        n = 1;
    } else {
        if (t->server_sig_algs) {
            wr_cstr(&w, "server-sig-algs");
            wr_cstr(&w, t->server_sig_algs);
            n++;
        }
        wr_cstr(&w, "publickey-hostbound@openssh.com");
        wr_cstr(&w, "0");
        wr_cstr(&w, "ping@openssh.com");
        wr_cstr(&w, "0");
        n += 2;
        if (t->early_session) {
            wr_cstr(&w, EXT_EARLY_SESSION);
            wr_cstr(&w, "0");
            n++;
        }
    }
    TRY(wr_end(&w));
    log_debug3(t->log, "Sending SSH2_MSG_EXT_INFO");
    return SEND(t, buf_len(&b) + SMALL_BYTES, ext_info, .n_extensions = n, .extensions = buf_view(&b));
}

static int send_newkeys(struct transport *t)
{
    log_rekey_after(t, "out", &t->kex.next_out);
    TRY(SEND(t, SMALL_BYTES, newkeys, ));
    packet_out_rekey(&t->out, &t->kex.next_out, t->strict);
    zstream_free(TAKE(t->out.deflate));
    TRY(transport_start_compression(t, false));
    log_debug(t->log, "SSH2_MSG_NEWKEYS sent");
    if (!t->first_done) TRY(send_ext_info(t));
    t->out_closed = false;
    TRY(transport_release_held(t));
    log_debug(t->log, "expecting SSH2_MSG_NEWKEYS");
    t->state = STATE_NEWKEYS;
    return 0;
}

int kex_on_newkeys(struct transport *t, struct view payload)
{
    struct msg_newkeys m;
    TRY(msg_newkeys_get(payload, &m));
    log_debug(t->log, "SSH2_MSG_NEWKEYS received");
    log_rekey_after(t, "in", &t->kex.next_in);
    packet_in_rekey(&t->in, &t->kex.next_in, t->strict);
    zstream_free(TAKE(t->in.inflate));
    TRY(transport_start_compression(t, true));
    kex_reset(&t->kex);
    bool first = !t->first_done;
    if (!first) t->rekeys++;
    t->first_done = true;
    t->newkeys_came = true;
    t->keys_since = t->now;
    t->state = STATE_RUN;
    transport_post(t, QUESTION_NONE, &(struct transport_event){ .kind = TRANSPORT_KEYS_CHANGED, .first = first });
    return 0;
}

/* ---- answers ---- */

int transport_answer_host_key(struct transport *t, bool accept)
{
    TRY(transport_answered(t, QUESTION_HOST_KEY));
    int err = accept ? keys_derive(t) : ERR_HOST_KEY_REJECTED;
    if (err == 0) err = send_newkeys(t);
    return err < 0 ? transport_set_error(t, err, NULL) : 0;
}

static int server_respond(struct transport *t, struct view blob)
{
    struct kex *k = &t->kex;
    struct kex_group group = gex_group(k);
    bool gex = k->method->kind == KEX_DH_GEX;
    buf_reset(&t->host_key);
    TRY(buf_put_view(&t->host_key, blob));
    TRY(kex_respond(k->method, gex ? &group : NULL, t->rnd, buf_view(&k->peer_public), &k->own_public, &k->shared));
    log_bits_set(t, buf_view(&k->own_public));
    TRY(keys_exchange_hash(t));
    transport_post(t, QUESTION_SIGN,
                   &(struct transport_event){ .kind = TRANSPORT_SIGN,
                                              .text = view_str(k->host_key_name),
                                              .data = view_of(k->hash, k->hash_len),
                                              .key = buf_view(&t->host_key),
                                              .first = !t->first_done });
    return 0;
}

int transport_answer_host_key_blob(struct transport *t, struct view blob)
{
    TRY(transport_answered(t, QUESTION_HOST_KEY_BLOB));
    int err = server_respond(t, blob);
    return err < 0 ? transport_set_error(t, err, NULL) : 0;
}

static int send_reply(struct transport *t, struct view signature)
{
    struct kex *k = &t->kex;
    struct view own = buf_view(&k->own_public), blob = buf_view(&t->host_key);
    size_t max = own.len + blob.len + signature.len + SMALL_BYTES;
    switch (k->method->kind) {
    case KEX_ECDH:
        return SEND(t, max, kex_ecdh_reply, .host_key = blob, .server_public = own, .signature = signature);
    case KEX_DH:
        return SEND(t, max, kexdh_reply, .host_key = blob, .f = own, .signature = signature);
    case KEX_DH_GEX:
        return SEND(t, max, gex_reply, .host_key = blob, .f = own, .signature = signature);
    }
    return ERR_BUG;
}

int transport_answer_sign(struct transport *t, struct view signature_blob)
{
    TRY(transport_answered(t, QUESTION_SIGN));
    int err = send_reply(t, signature_blob);
    log_debug(t->log, "%s sent", t->kex.method->kind == KEX_DH_GEX ? "SSH2_MSG_KEX_DH_GEX_REPLY" : "SSH2_MSG_KEX_ECDH_REPLY");
    if (err == 0) err = keys_derive(t);
    if (err == 0) err = send_newkeys(t);
    return err < 0 ? transport_set_error(t, err, NULL) : 0;
}

int transport_answer_group(struct transport *t, struct view p, struct view g)
{
    TRY(transport_answered(t, QUESTION_GROUP));
    int err = gex_set_group(t, p, g, t->gex_min_bits, t->gex_max_bits);
    if (err == 0) err = SEND(t, p.len + g.len + SMALL_BYTES, gex_group, .p = p, .g = g);
    if (err < 0) return transport_set_error(t, err, NULL);
    log_debug(t->log, "SSH2_MSG_KEX_DH_GEX_GROUP sent");
    log_debug(t->log, "expecting SSH2_MSG_KEX_DH_GEX_INIT");
    t->state = STATE_GEX_INIT;
    return 0;
}
