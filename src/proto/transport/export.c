/* A transport as data, between two packets, and back. One column of puts and one of gets for each part, in the same order; the
 * layout is nobody else's and bound to this build by LAYOUT. Compression is in zstream.c, cipher states in crypto/. */
#include "proto/transport/transport_int.h"

#define LAYOUT "nacre transport 1 " NACRE_VERSION

/* Text that may be missing: a NULL differs from "". */
static void put_text(struct wr *w, const char *s)
{
    wr_bool(w, s != NULL);
    wr_cstr(w, s);
}

static int get_text(struct rd *r, char **ret)
{
    bool is_there = rd_bool(r);
    struct view v = rd_cstring(r);
    TRY(rd_stop(r));
    if (!is_there) return 0;
    *ret = view_dup_str(v);
    return *ret ? 0 : ERR_NOMEM;
}

static int get_buf(struct rd *r, struct buf *ret)
{
    struct view v = rd_string(r);
    TRY(rd_stop(r));
    return buf_put_view(ret, v);
}

/* ---- configuration ---- */

static void put_config(struct wr *w, const struct transport *t)
{
    wr_u8(w, (uint8_t)t->role);
    put_text(w, t->ident);
    for (int i = 0; i < SLOT_MAX; i++) put_text(w, t->lists[i]);
    put_text(w, t->server_sig_algs);
    wr_u64(w, t->rekey_bytes);
    wr_u64(w, (uint64_t)t->rekey_interval_ms);
    wr_u32(w, t->gex_min_bits);
    wr_u32(w, t->gex_max_bits);
}

static int get_config(struct rd *r, struct transport *t)
{
    uint8_t role = rd_u8(r);
    if (role > TRANSPORT_SERVER) return ERR_FORMAT;
    t->role = role;
    TRY(get_text(r, &t->ident));
    for (int i = 0; i < SLOT_MAX; i++) TRY(get_text(r, &t->lists[i]));
    TRY(get_text(r, &t->server_sig_algs));
    t->rekey_bytes = rd_u64(r);
    t->rekey_interval_ms = (ms)rd_u64(r);
    t->gex_min_bits = rd_u32(r);
    t->gex_max_bits = rd_u32(r);
    TRY(rd_stop(r));
    if (!t->ident) return ERR_FORMAT;
    for (int i = 0; i < SLOT_MAX; i++)
        if (!t->lists[i]) return ERR_FORMAT;
    return kexinit_check_lists(t);
}

/* ---- what was agreed ---- */

static void put_direction(struct wr *w, const struct direction *d)
{
    wr_cstr(w, d->cipher->name);
    wr_cstr(w, d->mac ? d->mac->name : "");
    wr_u8(w, (uint8_t)d->compression);
}

static int get_direction(struct rd *r, struct direction *ret)
{
    struct view cipher = rd_string(r), mac = rd_string(r);
    uint8_t compression = rd_u8(r);
    TRY(rd_stop(r));
    struct direction d = { .cipher = cipher_find(cipher), .mac = mac.len ? mac_find(mac) : NULL };
    if (!d.cipher || d.cipher->kind == CIPHER_NONE || compression >= COMPRESSION_MAX) return ERR_FORMAT;
    if ((d.cipher->kind == CIPHER_STREAM) != (d.mac != NULL)) return ERR_FORMAT;
    d.compression = compression;
    *ret = d;
    return 0;
}

static void put_agreed(struct wr *w, const struct transport *t)
{
    wr_string(w, buf_view(&t->peer_ident));
    wr_string(w, view_of(t->session_id, t->session_id_len));
    wr_string(w, buf_view(&t->host_key));
    wr_cstr(w, t->kex.method->name);
    wr_cstr(w, t->kex.host_key_name);
    put_direction(w, &t->kex.c2s);
    put_direction(w, &t->kex.s2c);
    wr_bool(w, t->strict);
    wr_bool(w, t->peer_first_choice);
    wr_u64(w, t->rekeys);
}

static int get_agreed(struct rd *r, struct transport *t)
{
    TRY(get_buf(r, &t->peer_ident));
    struct view session_id = rd_string(r);
    TRY(get_buf(r, &t->host_key));
    t->kex.method = kex_method_find(rd_string(r));
    struct view host_key_name = rd_cstring(r);
    if (session_id.len == 0 || session_id.len > sizeof t->session_id || !t->kex.method || host_key_name.len >= HOST_KEY_NAME_BYTES)
        return ERR_FORMAT;
    memcpy(t->session_id, session_id.p, session_id.len);
    t->session_id_len = session_id.len;
    if (host_key_name.len) memcpy(t->kex.host_key_name, host_key_name.p, host_key_name.len);
    TRY(get_direction(r, &t->kex.c2s));
    TRY(get_direction(r, &t->kex.s2c));
    t->strict = rd_bool(r);
    t->peer_first_choice = rd_bool(r);
    t->rekeys = rd_u64(r);
    return rd_stop(r);
}

/* ---- where it stands ---- */

static void put_standing(struct wr *w, const struct transport *t)
{
    wr_bool(w, t->authenticated);
    wr_bool(w, t->in_eof);
    wr_bool(w, t->peer_has_ping);
    wr_bool(w, t->service_requested);
    wr_bool(w, t->newkeys_came);
    wr_u32(w, t->last_sequence);
    wr_u64(w, (uint64_t)t->keys_since);
}

static int get_standing(struct rd *r, struct transport *t)
{
    t->authenticated = rd_bool(r);
    t->in_eof = rd_bool(r);
    t->peer_has_ping = rd_bool(r);
    t->service_requested = rd_bool(r);
    t->newkeys_came = rd_bool(r);
    t->last_sequence = rd_u32(r);
    t->keys_since = (ms)rd_u64(r);
    t->state = STATE_RUN;
    t->first_done = true;
    return rd_stop(r);
}

static void put_counters(struct wr *w, const struct packet_counters *n)
{
    wr_u32(w, n->sequence);
    wr_u64(w, n->bytes);
    wr_u64(w, n->packets);
    wr_u64(w, n->key_blocks);
    wr_u64(w, n->key_packets);
}

static void get_counters(struct rd *r, struct packet_counters *n)
{
    n->sequence = rd_u32(r);
    n->bytes = rd_u64(r);
    n->packets = rd_u64(r);
    n->key_blocks = rd_u64(r);
    n->key_packets = rd_u64(r);
}

/* ---- keys: their kinds are those of the direction that was agreed ---- */

static int put_keys(struct wr *w, const struct packet_keys *k)
{
    CLEANUP(secret_done) struct secret key = SECRET_INIT;
    CLEANUP(secret_done) struct secret iv = SECRET_INIT;
    TRY(cipher_state(k->cipher, &key, &iv));
    wr_string(w, secret_view(&key));
    wr_string(w, secret_view(&iv));
    wr_string(w, secret_view(&k->mac_key));
    return 0;
}

static int get_keys(struct rd *r, const struct direction *d, bool for_sealing, struct packet_keys *k)
{
    struct view key = rd_string(r), iv = rd_string(r), mac_key = rd_string(r);
    TRY(rd_stop(r));
    if (key.len != d->cipher->key_bytes || iv.len != d->cipher->iv_bytes || mac_key.len != (d->mac ? d->mac->key_bytes : 0))
        return ERR_FORMAT;
    *k = (struct packet_keys){ .cipher_desc = d->cipher, .mac_desc = d->mac, .compression = d->compression };
    return packet_keys_set(k, for_sealing, key, iv, mac_key);
}

static int put_zstream(struct wr *w, struct zstream *z)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT_SECRET(LIMIT_PACKET_BYTES);
    if (z) TRY(zstream_export(z, &b));
    wr_string(w, buf_view(&b));
    return 0;
}

static int get_zstream(struct rd *r, bool for_deflate, struct zstream **ret)
{
    struct view v = rd_string(r);
    TRY(rd_stop(r));
    return v.len ? zstream_import(for_deflate, v, ret) : 0;
}

/* ---- bytes on their way ---- */

static int put_in(struct wr *w, struct packet_in *in)
{
    put_counters(w, &in->n);
    TRY(put_keys(w, &in->keys));
    TRY(put_zstream(w, in->inflate));
    wr_u32(w, in->packet_len);
    wr_u32(w, (uint32_t)in->opened);
    wr_u32(w, (uint32_t)in->doomed);
    wr_string(w, packet_in_raw(in));
    return wr_end(w);
}

static int get_in(struct rd *r, const struct direction *d, struct packet_in *in)
{
    struct packet_counters n;
    get_counters(r, &n);
    TRY(get_keys(r, d, false, &in->keys));
    TRY(get_zstream(r, false, &in->inflate));
    in->packet_len = rd_u32(r);
    in->opened = rd_u32(r);
    in->doomed = rd_u32(r);
    struct view bytes = rd_string(r);
    TRY(rd_stop(r));
    if (in->packet_len > LIMIT_PACKET_BYTES || in->opened > bytes.len || in->opened > 4 + in->packet_len ||
        bytes.len > PACKET_IN_AREA_BYTES)
        return ERR_FORMAT;
    if (bytes.len) memcpy(in->area, bytes.p, bytes.len);
    packet_in_received(in, bytes.len);
    in->n = n;
    return 0;
}

static int put_out(struct wr *w, struct packet_out *o)
{
    put_counters(w, &o->n);
    TRY(put_keys(w, &o->keys));
    TRY(put_zstream(w, o->deflate));
    wr_string(w, view_of(o->pool + o->pool_used, sizeof o->pool - o->pool_used));
    size_t mark = wr_string_open(w);
    for (const struct segment *s = o->first; s; s = s->next) wr_bytes(w, view_of(s->bytes + s->off, s->end - s->off));
    wr_string_close(w, mark);
    return wr_end(w);
}

static int get_out(struct rd *r, const struct direction *d, struct packet_out *o)
{
    struct packet_counters n;
    get_counters(r, &n);
    TRY(get_keys(r, d, true, &o->keys));
    TRY(get_zstream(r, true, &o->deflate));
    struct view pool = rd_string(r), bytes = rd_string(r);
    TRY(rd_stop(r));
    if (pool.len > sizeof o->pool) return ERR_FORMAT;
    o->pool_used = (uint16_t)(sizeof o->pool - pool.len);
    if (pool.len) memcpy(o->pool + o->pool_used, pool.p, pool.len);
    if (bytes.len) TRY(packet_out_raw(o, bytes));
    o->n = n;
    return 0;
}

/* ---- the whole ---- */

int transport_export(struct transport *t, struct buf *out)
{
    if (t->err) return t->err;
    if (t->peer_gone) return ERR_PEER_DISCONNECTED;
    if (t->state != STATE_RUN || t->question != QUESTION_NONE || t->has_event || t->n_extensions) return ERR_AGAIN;
    size_t before = buf_len(out);
    struct wr w = wr_of(out);
    wr_cstr(&w, LAYOUT);
    put_config(&w, t);
    put_agreed(&w, t);
    put_standing(&w, t);
    int err = put_in(&w, &t->in);
    if (err == 0) err = put_out(&w, &t->out);
    if (err < 0) buf_truncate(out, before);
    return err;
}

int transport_import(struct view data, const struct random *rnd, const struct log *log, ms now, struct transport **ret)
{
    CLEANUP(transport_freep) struct transport *t = NULL;
    struct rd r = rd_of(data);
    if (!view_eq_str(rd_string(&r), LAYOUT)) return ERR_FORMAT;
    TRY(transport_alloc(rnd, log, now, &t));
    TRY(get_config(&r, t));
    TRY(get_agreed(&r, t));
    TRY(get_standing(&r, t));
    bool server = transport_is_server(t);
    TRY(get_in(&r, server ? &t->kex.c2s : &t->kex.s2c, &t->in));
    TRY(get_out(&r, server ? &t->kex.s2c : &t->kex.c2s, &t->out));
    TRY(rd_end(&r));
    *ret = TAKE(t);
    return 0;
}
