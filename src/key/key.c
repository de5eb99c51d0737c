/* Keys as objects and their public blobs: RFC 4253 6.6, 5656 3.1, 8709 4, PROTOCOL.u2f, PROTOCOL.certkeys. */
#include "key/cert.h"
#include "key/key_int.h"

#include <stdlib.h>

struct key *key_ref(struct key *k)
{
    k->refs++;
    return k;
}

void key_unref(struct key *k)
{
    if (!k || --k->refs > 0) return;
    pkey_unref(k->pkey);
    buf_done(&k->blob);
    buf_done(&k->plain);
    buf_done(&k->application);
    secret_done(&k->sk_private);
    free(k->comment);
    free(k);
}

const struct key_type *key_type_of(const struct key *k) { return k->type; }
unsigned key_bits(const struct key *k) { return pkey_bits(k->pkey); }
bool key_has_private(const struct key *k) { return k->type->is_sk ? k->sk_private.len > 0 : pkey_has_private(k->pkey); }
struct view key_blob(const struct key *k) { return buf_view(&k->blob); }
const char *key_comment(const struct key *k) { return k->comment ? k->comment : ""; }
struct view key_sk_application(const struct key *k) { return buf_view(&k->application); }
const struct pkey *key_pkey(const struct key *k) { return k->type->is_sk ? NULL : k->pkey; }

int key_set_comment(struct key *k, struct view comment)
{
    if (comment.len > KEY_COMMENT_BYTES_MAX) return ERR_LIMIT;
    char *copy = view_dup_str(comment);
    if (!copy) return ERR_NOMEM;
    free(k->comment);
    k->comment = copy;
    return 0;
}

static struct view plain_blob(const struct key *k) { return buf_view(k->type->is_cert ? &k->plain : &k->blob); }
bool key_equal_public(const struct key *a, const struct key *b) { return view_eq(plain_blob(a), plain_blob(b)); }

struct key_fields key_fields_get(struct rd *r, const struct key_type *t)
{
    struct key_fields f = {};
    const char *curve = key_curve_name(t->pkey);
    if (t->pkey == PKEY_RSA) {
        f.parts.a = rd_mpint(r);
        f.parts.b = rd_mpint(r);
        return f;
    }
    if (curve && !view_eq_str(rd_string(r), curve)) rd_fail(r, ERR_FORMAT); /* 5656 3.1 */
    f.parts.a = rd_string(r);
    if (t->is_sk) f.application = rd_cstring(r);
    return f;
}

void key_fields_put(struct wr *w, const struct key_type *t, const struct key_fields *f)
{
    const char *curve = key_curve_name(t->pkey);
    if (t->pkey == PKEY_RSA) {
        wr_mpint(w, f->parts.a);
        wr_mpint(w, f->parts.b);
        return;
    }
    if (curve) wr_cstr(w, curve);
    wr_string(w, f->parts.a);
    if (t->is_sk) wr_string(w, f->application);
}

static int put_blob(const struct key_type *t, const struct key_fields *f, struct buf *out)
{
    struct wr w = wr_of(out);
    wr_cstr(&w, t->blob_name);
    key_fields_put(&w, t, f);
    return wr_end(&w);
}

int key_make(const struct key_type *t, struct pkey *take_pkey, struct view application, struct view blob, struct key **ret)
{
    CLEANUP(pkey_unrefp) struct pkey *pkey = take_pkey;
    CLEANUP(key_unrefp) struct key *k = calloc(1, sizeof(*k));
    if (!k) return ERR_NOMEM;
    k->refs = 1;
    k->type = t;
    buf_init(&k->blob, KEY_BLOB_BYTES_MAX);
    buf_init(&k->plain, KEY_BLOB_BYTES_MAX);
    buf_init(&k->application, KEY_BLOB_BYTES_MAX);
    TRY(buf_put_view(&k->application, application));
    struct key_fields f = { .application = application };
    pkey_public(pkey, &f.parts);
    if (t->is_cert) TRY(put_blob(key_type_plain(t), &f, &k->plain));
    TRY(blob.len ? buf_put_view(&k->blob, blob) : put_blob(t, &f, &k->blob));
    k->pkey = TAKE(pkey);
    *ret = TAKE(k);
    return 0;
}

int key_from_blob(struct view blob, struct key **ret)
{
    struct rd r = rd_of(blob);
    const struct key_type *t = key_type_read(&r);
    TRY(rd_stop(&r));
    if (!t) return ERR_KEY_TYPE;
    if (blob.len > KEY_BLOB_BYTES_MAX) return ERR_LIMIT;
    if (t->is_cert) {
        struct cert c;
        TRY(cert_parse(blob, &c));
        rd_string(&r);
    }
    struct key_fields f = key_fields_get(&r, t);
    TRY(t->is_cert ? rd_stop(&r) : rd_end(&r));
    struct pkey *pkey;
    TRY(pkey_from_public(t->pkey, &f.parts, &pkey));
    return key_make(t, pkey, f.application, blob, ret);
}

int key_from_pkey(struct pkey *take_pkey, struct key **ret)
{
    for (const struct key_type *t = key_type_table; t->name; t++)
        if (!t->is_cert && !t->is_sk && !t->sig_only && t->pkey == pkey_type_of(take_pkey))
            return key_make(t, take_pkey, VIEW_EMPTY, VIEW_EMPTY, ret);
    pkey_unref(take_pkey);
    return ERR_KEY_TYPE;
}

enum {
    RSA_BITS_DEFAULT = 3072
};

int key_generate(const struct key_type *type, unsigned bits, struct key **ret)
{
    if (type->is_sk || type->is_cert) return ERR_KEY_TYPE;
    struct pkey *pkey;
    TRY(pkey_generate(type->pkey, bits ? bits : RSA_BITS_DEFAULT, &pkey));
    return key_from_pkey(pkey, ret);
}
