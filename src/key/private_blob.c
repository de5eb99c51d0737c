/* Private halves in the form of key files and the agent. */
#include "key/private_blob.h"

#include "key/cert.h"
#include "key/key_int.h"

/* What a type has in a private blob, all lent by it. */
struct private_fields {
    struct key_fields pub;
    struct pkey_private_parts priv;
    struct view sk_private;
};

static void put_private_rsa(const struct key *k, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv,
                            struct wr *w)
{
    /* n and e stand in the other order than in the public blob; a certificate has them already */
    if (!k->type->is_cert) {
        wr_mpint(w, pub->b);
        wr_mpint(w, pub->a);
    }
    wr_mpint(w, priv->a);
    wr_mpint(w, priv->rsa_iqmp);
    wr_mpint(w, priv->rsa_p);
    wr_mpint(w, priv->rsa_q);
}

static int put_ed25519(const struct pkey_public_parts *pub, const struct pkey_private_parts *priv, struct wr *w)
{
    /* the public half stands here even behind a certificate, and once more behind the seed */
    wr_string(w, pub->a);
    size_t mark = wr_string_open(w);
    wr_bytes(w, priv->a);
    wr_bytes(w, pub->a);
    wr_string_close(w, mark);
    return wr_end(w);
}

static int put_sk(const struct key *k, const struct key_fields *f, struct wr *w)
{
    if (k->type->is_cert) {
        if (k->type->pkey == PKEY_ED25519) wr_string(w, f->parts.a);
        wr_string(w, f->application);
    } else {
        key_fields_put(w, k->type, f);
    }
    wr_bytes(w, secret_view(&k->sk_private));
    return wr_end(w);
}

int private_blob_put(const struct key *k, struct wr *w)
{
    if (!key_has_private(k)) return ERR_KEY_INVALID;
    struct key_fields f = { .application = buf_view(&k->application) };
    struct pkey_private_parts priv = {};
    pkey_public(k->pkey, &f.parts);
    if (!k->type->is_sk) TRY(pkey_private(k->pkey, &priv));
    wr_cstr(w, k->type->name);
    if (k->type->is_cert) wr_string(w, key_blob(k));
    if (k->type->is_sk) return put_sk(k, &f, w);
    if (k->type->pkey == PKEY_ED25519) return put_ed25519(&f.parts, &priv, w);
    if (k->type->pkey == PKEY_RSA) {
        put_private_rsa(k, &f.parts, &priv, w);
        return wr_end(w);
    }
    if (!k->type->is_cert) key_fields_put(w, k->type, &f);
    wr_mpint(w, priv.a);
    return wr_end(w);
}

static void get_ed25519(struct rd *r, struct private_fields *f)
{
    f->pub.parts.a = rd_string(r);
    struct view both = rd_string(r);
    if (f->pub.parts.a.len != 32 || both.len != 64 || !view_eq(view_sub(both, 32, 32), f->pub.parts.a)) rd_fail(r, ERR_FORMAT);
    f->priv.a = view_sub(both, 0, 32);
}

static void get_rsa(struct rd *r, bool is_cert, struct private_fields *f)
{
    if (!is_cert) {
        f->pub.parts.b = rd_mpint(r);
        f->pub.parts.a = rd_mpint(r);
    }
    f->priv.a = rd_mpint(r);
    f->priv.rsa_iqmp = rd_mpint(r);
    f->priv.rsa_p = rd_mpint(r);
    f->priv.rsa_q = rd_mpint(r);
}

static void get_sk(struct rd *r, const struct key_type *t, struct private_fields *f)
{
    if (t->is_cert) {
        if (t->pkey == PKEY_ED25519) f->pub.parts.a = rd_string(r);
        f->pub.application = rd_cstring(r);
    } else {
        f->pub = key_fields_get(r, t);
    }
    const uint8_t *from = r->p;
    rd_u8(r);
    rd_string(r);
    rd_string(r);
    if (r->err == 0) f->sk_private = view_of(from, (size_t)(r->p - from));
}

static void get_fields(struct rd *r, const struct key_type *t, struct private_fields *f)
{
    if (t->is_sk) {
        get_sk(r, t, f);
    } else if (t->pkey == PKEY_ED25519) {
        get_ed25519(r, f);
    } else if (t->pkey == PKEY_RSA) {
        get_rsa(r, t->is_cert, f);
    } else {
        if (!t->is_cert) f->pub = key_fields_get(r, t);
        f->priv.a = rd_mpint(r);
    }
}

/* The public fields as the certificate has them, which the blob does not repeat for every type. */
static int certified_fields(struct view cert_blob, const struct key_type *t, struct key_fields *ret)
{
    struct cert c;
    TRY(cert_parse(cert_blob, &c));
    if (c.type != t) return ERR_KEY_MISMATCH;
    struct rd r = rd_of(cert_blob);
    rd_string(&r);
    rd_string(&r);
    *ret = key_fields_get(&r, t);
    return rd_stop(&r);
}

static int make_pkey(const struct key_type *t, const struct private_fields *f, struct pkey **ret)
{
    return t->is_sk ? pkey_from_public(t->pkey, &f->pub.parts, ret) : pkey_from_private(t->pkey, &f->pub.parts, &f->priv, ret);
}

int private_blob_get(struct rd *r, struct key **ret)
{
    struct view name = rd_string(r);
    TRY(rd_stop(r));
    const struct key_type *t = key_type_find(name);
    if (!t || t->sig_only) return ERR_KEY_TYPE;
    struct view cert_blob = t->is_cert ? rd_string(r) : VIEW_EMPTY;
    struct private_fields f = {};
    get_fields(r, t, &f);
    TRY(rd_stop(r));
    if (t->is_cert) {
        struct key_fields certified;
        TRY(certified_fields(cert_blob, t, &certified));
        if (f.pub.parts.a.p && !view_eq(f.pub.parts.a, certified.parts.a)) return ERR_KEY_MISMATCH;
        if (t->is_sk && !view_eq(f.pub.application, certified.application)) return ERR_KEY_MISMATCH;
        f.pub = certified;
    }
    struct pkey *pkey;
    TRY(make_pkey(t, &f, &pkey));
    CLEANUP(key_unrefp) struct key *k = NULL;
    TRY(key_make(t, pkey, f.pub.application, cert_blob, &k));
    TRY(secret_dup(f.sk_private, &k->sk_private));
    *ret = TAKE(k);
    return 0;
}
