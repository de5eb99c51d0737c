/* KEXINIT: our lists, the choice from both (RFC 4253 7.1), the guess (7), and the names in the list of methods that are none:
 * ext-info-c/s (RFC 8308 2.1) and kex-strict-c/s-v00@openssh.com (OpenSSH PROTOCOL 1.9). Those are said in the first KEXINIT only.
 */
#include "proto/transport/transport_int.h"

#define EXT_INFO_C "ext-info-c"
#define EXT_INFO_S "ext-info-s"
#define STRICT_C "kex-strict-c-v00@openssh.com"
#define STRICT_S "kex-strict-s-v00@openssh.com"

/* What a slot is called in debug lines, what nothing in common means, and whether a name is known. */
static bool knows_kex(struct view name) { return kex_method_find(name) != NULL; }
static bool knows_host_key(struct view name) { return name.len > 0 && name.len < HOST_KEY_NAME_BYTES; }
static bool knows_cipher(struct view name)
{
    const struct cipher_desc *d = cipher_find(name);
    return d && d->kind != CIPHER_NONE;
}
static bool knows_mac(struct view name) { return mac_find(name) != NULL; }
static bool knows_compression(struct view name)
{
    for (int i = 0; i < COMPRESSION_MAX; i++)
        if (view_eq_str(name, compression_names[i])) return true;
    return false;
}

static const struct {
    const char *title;
    int err;
    bool (*knows)(struct view name);
} slots[SLOT_MAX] = {
    [SLOT_KEX] = { "KEX algorithms", ERR_NO_KEX_ALG, knows_kex },
    [SLOT_HOST_KEY] = { "host key algorithms", ERR_NO_HOST_KEY_ALG, knows_host_key },
    [SLOT_CIPHER_C2S] = { "ciphers ctos", ERR_NO_CIPHER_ALG, knows_cipher },
    [SLOT_CIPHER_S2C] = { "ciphers stoc", ERR_NO_CIPHER_ALG, knows_cipher },
    [SLOT_MAC_C2S] = { "MACs ctos", ERR_NO_MAC_ALG, knows_mac },
    [SLOT_MAC_S2C] = { "MACs stoc", ERR_NO_MAC_ALG, knows_mac },
    [SLOT_COMPRESSION_C2S] = { "compression ctos", ERR_NO_COMPRESSION_ALG, knows_compression },
    [SLOT_COMPRESSION_S2C] = { "compression stoc", ERR_NO_COMPRESSION_ALG, knows_compression },
};

int kexinit_check_lists(struct transport *t)
{
    for (int s = 0; s < SLOT_MAX; s++) {
        struct view list = view_str(t->lists[s]), name;
        if (!list.len) return ERR_UNSUPPORTED;
        if (list.len > LIMIT_NAME_LIST_BYTES / 2) return ERR_LIMIT;
        while (view_next_in_list(&list, &name))
            if (!slots[s].knows(name)) return ERR_UNSUPPORTED;
    }
    return 0;
}

/* ---- ours ---- */

static int add_name(struct buf *b, struct view name)
{
    if (buf_len(b)) TRY(buf_put_u8(b, ','));
    return buf_put_view(b, name);
}

/* The list with `first` moved to its front. */
static int put_list(struct buf *b, const char *list, struct view first)
{
    struct view rest = view_str(list), name;
    if (first.len) TRY(add_name(b, first));
    while (view_next_in_list(&rest, &name))
        if (!first.len || !view_eq(name, first)) TRY(add_name(b, name));
    return 0;
}

static int put_kex_list(struct transport *t, struct buf *b, struct view first)
{
    bool server = transport_is_server(t);
    TRY(put_list(b, t->lists[SLOT_KEX], first));
    if (t->first_done) return 0;
    TRY(add_name(b, view_str(server ? EXT_INFO_S : EXT_INFO_C)));
    return add_name(b, view_str(server ? STRICT_S : STRICT_C));
}

/* Whether the guess that the owner gave can be sent: both names are ours, and the method's first message is known without an
 * answer. */
static const struct kex_method *guess_method(const struct transport *t)
{
    struct view kex = view_str(t->guess_kex), host_key = view_str(t->guess_host_key);
    if (transport_is_server(t) || t->first_done || !kex.len || !host_key.len) return NULL;
    if (!view_list_has(view_str(t->lists[SLOT_KEX]), kex) || !view_list_has(view_str(t->lists[SLOT_HOST_KEY]), host_key))
        return NULL;
    const struct kex_method *m = kex_method_find(kex);
    return m && m->kind != KEX_DH_GEX ? m : NULL;
}

static int build(struct transport *t, struct buf *ret_payload)
{
    CLEANUP(buf_done) struct buf kex = BUF_INIT(LIMIT_NAME_LIST_BYTES);
    CLEANUP(buf_done) struct buf host_key = BUF_INIT(LIMIT_NAME_LIST_BYTES);
    uint8_t cookie[16];
    bool guess = t->kex.guess != NULL;
    TRY(random_fill(t->rnd, cookie, sizeof cookie));
    TRY(put_kex_list(t, &kex, guess ? view_str(t->guess_kex) : VIEW_EMPTY));
    TRY(put_list(&host_key, t->lists[SLOT_HOST_KEY], guess ? view_str(t->guess_host_key) : VIEW_EMPTY));
    struct msg_kexinit m = {
        .cookie = view_of(cookie, sizeof cookie),
        .kex = buf_view(&kex),
        .host_key = buf_view(&host_key),
        .cipher_c2s = view_str(t->lists[SLOT_CIPHER_C2S]),
        .cipher_s2c = view_str(t->lists[SLOT_CIPHER_S2C]),
        .mac_c2s = view_str(t->lists[SLOT_MAC_C2S]),
        .mac_s2c = view_str(t->lists[SLOT_MAC_S2C]),
        .compression_c2s = view_str(t->lists[SLOT_COMPRESSION_C2S]),
        .compression_s2c = view_str(t->lists[SLOT_COMPRESSION_S2C]),
        .first_kex_follows = guess,
    };
    struct wr w = wr_of(ret_payload);
    return msg_kexinit_put(&w, &m);
}

int kexinit_send(struct transport *t)
{
    struct kex *k = &t->kex;
    uint8_t *area;
    k->guess = guess_method(t);
    buf_reset(&k->own_init);
    TRY(build(t, &k->own_init));
    TRY(packet_out_reserve(&t->out, buf_len(&k->own_init), &area));
    memcpy(area, buf_bytes(&k->own_init), buf_len(&k->own_init));
    TRY(packet_out_commit(&t->out, buf_len(&k->own_init)));
    log_debug(t->log, "SSH2_MSG_KEXINIT sent");
    t->out_closed = true;
    if (k->guess) TRY(kex_send_guess(t));
    return 0;
}

/* ---- the choice ---- */

static void slots_of(const struct msg_kexinit *m, struct view ret[SLOT_MAX])
{
    ret[SLOT_KEX] = m->kex;
    ret[SLOT_HOST_KEY] = m->host_key;
    ret[SLOT_CIPHER_C2S] = m->cipher_c2s;
    ret[SLOT_CIPHER_S2C] = m->cipher_s2c;
    ret[SLOT_MAC_C2S] = m->mac_c2s;
    ret[SLOT_MAC_S2C] = m->mac_s2c;
    ret[SLOT_COMPRESSION_C2S] = m->compression_c2s;
    ret[SLOT_COMPRESSION_S2C] = m->compression_s2c;
}

static void log_proposal(const struct transport *t, const char *whose, const struct msg_kexinit *m)
{
    if (!log_wants(t->log, LOG_LEVEL_DEBUG2)) return;
    struct view lists[SLOT_MAX];
    slots_of(m, lists);
    log_debug2(t->log, "%s KEXINIT proposal", whose);
    for (int s = 0; s < SLOT_MAX; s++) log_debug2(t->log, "%s: %.*s", slots[s].title, VIEW_ARG(lists[s]));
    log_debug2(t->log, "languages ctos: %.*s", VIEW_ARG(m->language_c2s));
    log_debug2(t->log, "languages stoc: %.*s", VIEW_ARG(m->language_s2c));
    log_debug2(t->log, "first_kex_follows %d ", m->first_kex_follows);
    log_debug2(t->log, "reserved %u ", m->reserved);
}

/* 4253 7.1: the first name of the client's list that the server's has. Never one of the names that are no methods: they are not in
 * the list that we were given. */
static int choose(struct transport *t, enum slot s, const struct view *own, const struct view *peer, struct view *ret)
{
    bool server = transport_is_server(t);
    struct view clients = server ? peer[s] : own[s], servers = server ? own[s] : peer[s], name;
    while (view_next_in_list(&clients, &name))
        if (name.len && view_list_has(servers, name) && view_list_has(view_str(t->lists[s]), name)) {
            *ret = name;
            return 0;
        }
    t->kex.failed_slot = s;
    return slots[s].err;
}

static int choose_direction(struct transport *t, bool s2c, const struct view *own, const struct view *peer, struct direction *ret)
{
    struct view cipher, mac = VIEW_EMPTY, compression;
    TRY(choose(t, s2c ? SLOT_CIPHER_S2C : SLOT_CIPHER_C2S, own, peer, &cipher));
    struct direction d = { .cipher = cipher_find(cipher) };
    if (!d.cipher) return ERR_BUG;
    if (d.cipher->kind != CIPHER_AEAD) {
        TRY(choose(t, s2c ? SLOT_MAC_S2C : SLOT_MAC_C2S, own, peer, &mac));
        d.mac = mac_find(mac);
        if (!d.mac) return ERR_BUG;
    }
    TRY(choose(t, s2c ? SLOT_COMPRESSION_S2C : SLOT_COMPRESSION_C2S, own, peer, &compression));
    while (d.compression < COMPRESSION_MAX && !view_eq_str(compression, compression_names[d.compression])) d.compression++;
    *ret = d;
    return 0;
}

static void log_direction(const struct transport *t, bool s2c, const struct direction *d)
{
    log_debug(t->log, "kex: %s cipher: %s MAC: %s compression: %s", s2c ? "server->client" : "client->server", d->cipher->name,
              d->mac ? d->mac->name : "<implicit>", compression_names[d->compression]);
}

static struct view first_of(struct view list)
{
    struct view name = VIEW_EMPTY;
    (void)view_next_in_list(&list, &name);
    return name;
}

static bool same_first(const struct view *a, const struct view *b, enum slot s) { return view_eq(first_of(a[s]), first_of(b[s])); }

static int choose_all(struct transport *t, const struct view *own, const struct view *peer)
{
    struct kex *k = &t->kex;
    struct view kex, host_key;
    TRY(choose(t, SLOT_KEX, own, peer, &kex));
    TRY(choose(t, SLOT_HOST_KEY, own, peer, &host_key));
    TRY(choose_direction(t, false, own, peer, &k->c2s));
    TRY(choose_direction(t, true, own, peer, &k->s2c));
    k->method = kex_method_find(kex);
    if (!k->method || host_key.len >= HOST_KEY_NAME_BYTES) return ERR_BUG;
    memcpy(k->host_key_name, host_key.p, host_key.len);
    k->host_key_name[host_key.len] = 0;
    t->peer_first_choice = view_eq(first_of(peer[SLOT_KEX]), kex) && view_eq(first_of(peer[SLOT_HOST_KEY]), host_key);
    return 0;
}

static void log_choice(const struct transport *t)
{
    const struct kex *k = &t->kex;
    bool server = transport_is_server(t);
    log_debug(t->log, "kex: algorithm: %s", k->method->name);
    log_debug(t->log, "kex: host key algorithm: %s", k->host_key_name);
    log_direction(t, !server, server ? &k->c2s : &k->s2c);
    log_direction(t, server, server ? &k->s2c : &k->c2s);
}

/* Strict key exchange is agreed once, in the first KEXINIT of both, and then wants this to be the peer's very first packet: what
 * came before was not covered by the exchange hash (CVE-2023-48795). */
static int take_extensions(struct transport *t, struct view kex_list)
{
    if (t->first_done) return 0;
    bool server = transport_is_server(t);
    t->peer_wants_ext_info = view_list_has(kex_list, view_str(server ? EXT_INFO_C : EXT_INFO_S));
    t->strict = view_list_has(kex_list, view_str(server ? STRICT_C : STRICT_S));
    if (!t->strict) return 0;
    log_debug3(t->log, "will use strict KEX ordering");
    return t->in.n.packets == 1 ? 0 : ERR_UNEXPECTED_MESSAGE;
}

int kexinit_choose(struct transport *t, struct view payload)
{
    struct kex *k = &t->kex;
    struct msg_kexinit peer_msg, own_msg;
    struct view own[SLOT_MAX], peer[SLOT_MAX];
    log_debug(t->log, "SSH2_MSG_KEXINIT received");
    buf_reset(&k->peer_init);
    TRY(buf_put_view(&k->peer_init, payload));
    TRY(msg_kexinit_get(buf_view(&k->peer_init), &peer_msg));
    TRY(msg_kexinit_get(buf_view(&k->own_init), &own_msg));
    log_proposal(t, transport_is_server(t) ? "local server" : "local client", &own_msg);
    log_proposal(t, transport_is_server(t) ? "peer client" : "peer server", &peer_msg);
    slots_of(&own_msg, own);
    slots_of(&peer_msg, peer);
    for (int s = 0; s < SLOT_MAX; s++)
        if (peer[s].len > LIMIT_NAME_LIST_BYTES) return ERR_LIMIT;
    TRY(take_extensions(t, peer_msg.kex));
    TRY(choose_all(t, own, peer));
    log_choice(t);
    /* 4253 7: a guess is right only when both sides like the same method and the same kind of host key best. */
    bool guess_holds = same_first(own, peer, SLOT_KEX) && same_first(own, peer, SLOT_HOST_KEY);
    k->ignore_next = peer_msg.first_kex_follows && !guess_holds;
    if (!guess_holds) k->guess = NULL;
    return 0;
}
