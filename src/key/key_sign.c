/* Signature blobs: RFC 4253 6.6, 5656 3.1.2, 8332 3, 8709 6; security keys: PROTOCOL.u2f. */
#include "key/key_int.h"

enum {
    SIGNATURE_BYTES_MAX = 16 * 1024
};

/* The row to sign with. RSA without a wish signs with SHA-512: SHA-1 has to be asked for by name. */
static const struct key_type *signing_row(const struct key *k, struct view algorithm)
{
    if (algorithm.len == 0) algorithm = view_str(k->type->pkey == PKEY_RSA ? "rsa-sha2-512" : k->type->plain_name);
    const struct key_type *t = key_type_find(algorithm);
    return t ? key_type_find(view_str(t->plain_name)) : NULL;
}

static bool belongs(const struct key_type *sig, const struct key *k)
{
    return sig && !sig->is_cert && sig->pkey == k->type->pkey && sig->is_sk == k->type->is_sk;
}

int key_sign(const struct key *k, struct view algorithm, struct view data, struct buf *ret_signature_blob)
{
    const struct key_type *t = signing_row(k, algorithm);
    if (!belongs(t, k)) return ERR_KEY_TYPE;
    if (k->type->is_sk) return ERR_UNSUPPORTED; /* the token signs, through its helper process */
    if (!key_has_private(k)) return ERR_KEY_INVALID;
    CLEANUP(buf_done) struct buf sig = BUF_INIT(SIGNATURE_BYTES_MAX), blob = BUF_INIT(SIGNATURE_BYTES_MAX);
    TRY(pkey_sign(k->pkey, t->digest, data, &sig));
    struct wr w = wr_of(&blob);
    wr_cstr(&w, t->name);
    wr_string(&w, buf_view(&sig));
    TRY(wr_end(&w));
    return buf_put_view(ret_signature_blob, buf_view(&blob));
}

struct parsed_signature {
    const struct key_type *type;
    struct view raw;
    uint8_t sk_flags;
    uint32_t sk_counter;
};

static int signature_parse(struct view blob, struct parsed_signature *ret)
{
    struct rd r = rd_of(blob);
    struct parsed_signature s = {};
    struct view name = rd_string(&r);
    s.raw = rd_string(&r);
    TRY(rd_stop(&r));
    s.type = key_type_find(name);
    if (!s.type || s.type->is_cert) return ERR_KEY_TYPE;
    if (s.type->is_sk) {
        s.sk_flags = rd_u8(&r);
        s.sk_counter = rd_u32(&r);
    }
    TRY(rd_end(&r));
    *ret = s;
    return 0;
}

/* PROTOCOL.u2f: the token signs SHA256(application) || flags || counter || SHA256(message). */
static int verify_sk(const struct key *k, const struct parsed_signature *s, struct view data)
{
    uint8_t message[32 + 1 + 4 + 32];
    TRY(digest_once(DIGEST_SHA256, buf_view(&k->application), message));
    struct wr w = wr_area(message + 32, 5);
    wr_u8(&w, s->sk_flags);
    wr_u32(&w, s->sk_counter);
    TRY(wr_end(&w));
    TRY(digest_once(DIGEST_SHA256, data, message + 37));
    return pkey_verify(k->pkey, DIGEST_SHA256, view_of(message, sizeof(message)), s->raw);
}

int key_verify(const struct key *k, struct view algorithm, struct view data, struct view signature_blob)
{
    struct parsed_signature s;
    TRY(signature_parse(signature_blob, &s));
    if (!belongs(s.type, k)) return ERR_KEY_TYPE;
    /* 8332 3.2, PROTOCOL.certkeys: the signature's name is the algorithm's without the certificate */
    const struct key_type *wanted = algorithm.len ? key_type_find(algorithm) : NULL;
    if (algorithm.len && (!wanted || !view_eq_str(view_str(wanted->plain_name), s.type->name))) return ERR_KEY_TYPE;
    return s.type->is_sk ? verify_sk(k, &s, data) : pkey_verify(k->pkey, s.type->digest, data, s.raw);
}

int key_verify_blob(struct view blob, struct view algorithm, struct view data, struct view signature_blob)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    TRY(key_from_blob(blob, &k));
    return key_verify(k, algorithm, data, signature_blob);
}

int key_signature_sk_details(struct view signature_blob, uint8_t *ret_flags, uint32_t *ret_counter)
{
    struct parsed_signature s;
    TRY(signature_parse(signature_blob, &s));
    if (!s.type->is_sk) return ERR_NOT_FOUND;
    *ret_flags = s.sk_flags;
    *ret_counter = s.sk_counter;
    return 0;
}
