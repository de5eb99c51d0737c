/* Exchange hash and keys: RFC 4253 7.2 and 8, RFC 4419 3, RFC 5656 4. */
#include "proto/transport/transport_int.h"

enum {
    HASH_INPUT_BYTES = 4 * LIMIT_PACKET_BYTES
};

static void put_public(struct wr *w, const struct kex_method *m, const struct buf *value)
{
    if (m->kind == KEX_ECDH)
        wr_string(w, buf_view(value));
    else
        wr_mpint(w, buf_view(value));
}

static void put_gex(struct wr *w, const struct kex *k)
{
    if (!k->gex_is_old) wr_u32(w, k->gex_min_bits);
    wr_u32(w, k->gex_bits);
    if (!k->gex_is_old) wr_u32(w, k->gex_max_bits);
    wr_mpint(w, buf_view(&k->gex_p));
    wr_mpint(w, buf_view(&k->gex_g));
}

int keys_exchange_hash(struct transport *t)
{
    struct kex *k = &t->kex;
    bool server = transport_is_server(t);
    CLEANUP(buf_done) struct buf b = BUF_INIT(HASH_INPUT_BYTES);
    struct wr w = wr_of(&b);
    struct view own = view_str(t->ident), peer = buf_view(&t->peer_ident);
    wr_string(&w, server ? peer : own);
    wr_string(&w, server ? own : peer);
    wr_string(&w, buf_view(server ? &k->peer_init : &k->own_init));
    wr_string(&w, buf_view(server ? &k->own_init : &k->peer_init));
    wr_string(&w, buf_view(&t->host_key));
    if (k->method->kind == KEX_DH_GEX) put_gex(&w, k);
    put_public(&w, k->method, server ? &k->peer_public : &k->own_public);
    put_public(&w, k->method, server ? &k->own_public : &k->peer_public);
    TRY(wr_end(&w));
    struct view parts[] = { buf_view(&b), secret_view(&k->shared) };
    TRY(digest_parts(k->method->digest, parts, ARRAY_LEN(parts), k->hash));
    k->hash_len = digest_len(k->method->digest);
    return 0;
}

/* 4253 7.2: HASH(K || H || X || session_id), and as long as it is too short HASH(K || H || all so far) behind it. */
static int derive(const struct transport *t, char letter, size_t len, struct secret *ret)
{
    const struct kex *k = &t->kex;
    size_t step = k->hash_len, have = 0;
    CLEANUP(secret_done) struct secret s = SECRET_INIT;
    TRY(secret_new((len + step - 1) / step * step, &s));
    struct view shared = secret_view(&k->shared), hash = view_of(k->hash, k->hash_len);
    for (; have < len; have += step) {
        struct view first[] = { shared, hash, view_of(&letter, 1), view_of(t->session_id, t->session_id_len) };
        struct view more[] = { shared, hash, view_of(s.p, have) };
        if (have == 0)
            TRY(digest_parts(k->method->digest, first, ARRAY_LEN(first), s.p));
        else
            TRY(digest_parts(k->method->digest, more, ARRAY_LEN(more), s.p + have));
    }
    return secret_dup(view_of(s.p, len), ret);
}

static int derive_direction(const struct transport *t, const struct direction *d, bool s2c, bool for_sealing,
                            struct packet_keys *ret)
{
    CLEANUP(secret_done) struct secret iv = SECRET_INIT;
    CLEANUP(secret_done) struct secret key = SECRET_INIT;
    CLEANUP(secret_done) struct secret mac_key = SECRET_INIT;
    TRY(derive(t, s2c ? 'B' : 'A', d->cipher->iv_bytes, &iv));
    TRY(derive(t, s2c ? 'D' : 'C', d->cipher->key_bytes, &key));
    if (d->mac) TRY(derive(t, s2c ? 'F' : 'E', d->mac->key_bytes, &mac_key));
    *ret = (struct packet_keys){ .cipher_desc = d->cipher, .mac_desc = d->mac, .compression = d->compression };
    return packet_keys_set(ret, for_sealing, secret_view(&key), secret_view(&iv), secret_view(&mac_key));
}

int keys_derive(struct transport *t)
{
    struct kex *k = &t->kex;
    bool server = transport_is_server(t);
    if (t->session_id_len == 0) {
        memcpy(t->session_id, k->hash, k->hash_len);
        t->session_id_len = k->hash_len;
    }
    TRY(derive_direction(t, &k->c2s, false, !server, server ? &k->next_in : &k->next_out));
    TRY(derive_direction(t, &k->s2c, true, server, server ? &k->next_out : &k->next_in));
    secret_done(&k->shared);
    return 0;
}
