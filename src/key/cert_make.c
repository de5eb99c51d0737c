/* Making certificates: PROTOCOL.certkeys. */
#include "key/cert.h"

#include "key/key_int.h"

#include <stdlib.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct cert_option_text *const *)a)->name, (*(const struct cert_option_text *const *)b)->name);
}

static void put_option(struct wr *w, const struct cert_option_text *o)
{
    wr_cstr(w, o->name);
    size_t mark = wr_string_open(w);
    if (o->value) wr_cstr(w, o->value);
    wr_string_close(w, mark);
}

static int put_options(struct wr *w, const struct cert_option_text *options, size_t n)
{
    const struct cert_option_text *sorted[CERT_OPTIONS_MAX];
    if (n > CERT_OPTIONS_MAX) return ERR_LIMIT;
    for (size_t i = 0; i < n; i++) sorted[i] = &options[i];
    if (n) qsort(sorted, n, sizeof(sorted[0]), compare_names);
    size_t mark = wr_string_open(w);
    for (size_t i = 0; i < n; i++) {
        if (i && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) return ERR_FORMAT;
        put_option(w, sorted[i]);
    }
    wr_string_close(w, mark);
    return wr_end(w);
}

static int put_principals(struct wr *w, const struct cert_request *q)
{
    if (q->n_principals > CERT_PRINCIPALS_MAX) return ERR_LIMIT;
    size_t mark = wr_string_open(w);
    for (size_t i = 0; i < q->n_principals; i++) {
        if (view_has_nul(q->principals[i])) return ERR_FORMAT;
        wr_string(w, q->principals[i]);
    }
    wr_string_close(w, mark);
    return wr_end(w);
}

/* The row of certificates for a plain type. */
static const struct key_type *cert_row(const struct key_type *plain)
{
    for (const struct key_type *t = key_type_table; t->name; t++)
        if (t->is_cert && !t->sig_only && strcmp(t->plain_name, plain->name) == 0) return t;
    return NULL;
}

static int check_request(const struct key_type *t, const struct cert_request *q, struct view ca_blob)
{
    struct rd r = rd_of(ca_blob);
    const struct key_type *ca = key_type_read(&r);
    TRY(rd_stop(&r));
    if (!t || !ca || ca->is_cert) return ERR_KEY_TYPE;
    return q->valid_before > q->valid_after ? 0 : ERR_RANGE;
}

int cert_put_unsigned(const struct key *key, const struct cert_request *q, struct view ca_blob, struct buf *out)
{
    const struct key_type *t = cert_row(key->type);
    TRY(check_request(t, q, ca_blob));
    CLEANUP(buf_done) struct buf body = BUF_INIT(KEY_BLOB_BYTES_MAX);
    struct wr w = wr_of(&body);
    struct key_fields f = { .application = buf_view(&key->application) };
    pkey_public(key->pkey, &f.parts);
    wr_cstr(&w, t->name);
    wr_string(&w, q->nonce);
    key_fields_put(&w, t, &f);
    wr_u64(&w, q->serial);
    wr_u32(&w, q->kind);
    wr_string(&w, q->key_id);
    TRY(put_principals(&w, q));
    wr_u64(&w, q->valid_after);
    wr_u64(&w, q->valid_before);
    TRY(put_options(&w, q->critical, q->n_critical));
    TRY(put_options(&w, q->extensions, q->n_extensions));
    wr_string(&w, VIEW_EMPTY); /* reserved */
    wr_string(&w, ca_blob);
    TRY(wr_end(&w));
    return buf_put_view(out, buf_view(&body));
}

int cert_finish(struct view unsigned_bytes, struct view signature_blob, struct key **ret)
{
    CLEANUP(buf_done) struct buf whole = BUF_INIT(KEY_BLOB_BYTES_MAX);
    struct wr w = wr_of(&whole);
    wr_bytes(&w, unsigned_bytes);
    wr_string(&w, signature_blob);
    TRY(wr_end(&w));
    struct cert c;
    TRY(cert_parse(buf_view(&whole), &c));
    TRY(cert_verify_signature(&c));
    return key_from_blob(buf_view(&whole), ret);
}

int cert_sign(const struct key *key, const struct cert_request *q, const struct key *ca, struct view algorithm, struct key **ret)
{
    CLEANUP(buf_done) struct buf body = BUF_INIT(KEY_BLOB_BYTES_MAX), signature = BUF_INIT(KEY_BLOB_BYTES_MAX);
    TRY(cert_put_unsigned(key, q, key_blob(ca), &body));
    TRY(key_sign(ca, algorithm, buf_view(&body), &signature));
    return cert_finish(buf_view(&body), buf_view(&signature), ret);
}
