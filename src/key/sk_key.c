/* Keys of security keys, made and taken apart. */
#include "key/sk_key.h"

#include "key/key_int.h"

enum {
    SK_SIGNATURE_BYTES_MAX = 1024
};

static const char *type_name(uint32_t algorithm)
{
    if (algorithm == SK_ECDSA) return "sk-ecdsa-sha2-nistp256@openssh.com";
    return algorithm == SK_ED25519 ? "sk-ssh-ed25519@openssh.com" : NULL;
}

/* byte flags, string key handle, string reserved: as private key files have it. */
static int put_private(uint8_t flags, struct view handle, struct secret *ret)
{
    CLEANUP(buf_done) struct buf fields = BUF_INIT_SECRET(SK_HANDLE_BYTES_MAX + 16);
    struct wr w = wr_of(&fields);
    wr_u8(&w, flags);
    wr_string(&w, handle);
    wr_cstr(&w, "");
    TRY(wr_end(&w));
    return secret_dup(buf_view(&fields), ret);
}

int sk_key_make(uint32_t algorithm, struct view public_key, struct view application, uint8_t flags, struct view handle,
                struct key **ret)
{
    const char *name = type_name(algorithm);
    struct pkey *pkey;
    if (!name) return ERR_KEY_TYPE;
    if (handle.len == 0) return ERR_KEY_INVALID;
    const struct key_type *t = key_type_find(view_str(name));
    TRY(pkey_from_public(t->pkey, &(struct pkey_public_parts){ .a = public_key }, &pkey));
    CLEANUP(key_unrefp) struct key *k = NULL;
    TRY(key_make(t, pkey, application, VIEW_EMPTY, &k));
    TRY(put_private(flags, handle, &k->sk_private));
    *ret = TAKE(k);
    return 0;
}

int sk_key_parts(const struct key *k, struct sk_key_parts *ret)
{
    if (!k->type->is_sk || !k->sk_private.len) return ERR_KEY_INVALID;
    struct rd r = rd_of(secret_view(&k->sk_private));
    struct sk_key_parts p = { .algorithm = k->type->pkey == PKEY_ED25519 ? SK_ED25519 : SK_ECDSA,
                              .application = buf_view(&k->application) };
    p.flags = rd_u8(&r);
    p.handle = rd_string(&r);
    TRY(rd_stop(&r));
    *ret = p;
    return 0;
}

int sk_key_set_flags(struct key *k, uint8_t flags)
{
    struct sk_key_parts p;
    TRY(sk_key_parts(k, &p));
    k->sk_private.p[0] = flags;
    return 0;
}

int sk_signature_put(const struct key *k, uint8_t flags, uint32_t counter, struct view r, struct view s,
                     struct buf *ret_signature_blob)
{
    const struct key_type *t = key_type_plain(k->type);
    CLEANUP(buf_done) struct buf blob = BUF_INIT(SK_SIGNATURE_BYTES_MAX);
    struct wr w = wr_of(&blob);
    wr_cstr(&w, t->name);
    size_t mark = wr_string_open(&w);
    if (t->pkey == PKEY_ED25519) {
        wr_bytes(&w, r);
    } else {
        wr_mpint(&w, r);
        wr_mpint(&w, s);
    }
    wr_string_close(&w, mark);
    wr_u8(&w, flags);
    wr_u32(&w, counter);
    TRY(wr_end(&w));
    return buf_put_view(ret_signature_blob, buf_view(&blob));
}
