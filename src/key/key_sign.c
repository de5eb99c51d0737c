/* Signature blobs: RFC 4253 6.6, 5656 3.1.2, 8332 3, 8709 6; security keys: PROTOCOL.u2f. */
#include "base/base64.h"
#include "key/key_int.h"

enum {
    SIGNATURE_BYTES_MAX = 16 * 1024,
    SIGN_DATA_BYTES_MAX = 1024 * 1024, /* as OpenSSH */
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

const struct key_type *key_signing_type(const struct key *k, struct view algorithm)
{
    const struct key_type *t = signing_row(k, algorithm);
    return belongs(t, k) ? t : NULL;
}

int key_sign(const struct key *k, struct view algorithm, struct view data, struct buf *ret_signature_blob)
{
    const struct key_type *t = key_signing_type(k, algorithm);
    if (!t) return ERR_KEY_TYPE;
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
    bool is_webauthn;
    struct view origin, client_data, extensions; /* webauthn */
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
    s.is_webauthn = s.type->is_sk && s.type->sig_only;
    if (s.is_webauthn) {
        s.origin = rd_cstring(&r);
        s.client_data = rd_cstring(&r);
        s.extensions = rd_string(&r);
    }
    TRY(rd_end(&r));
    *ret = s;
    return 0;
}

enum {
    WEBAUTHN_HAS_ATTESTED = 0x40,
    WEBAUTHN_HAS_EXTENSIONS = 0x80,
    SK_MESSAGE_MAX = 64 * 1024
};

static int put_base64url(struct view bytes, struct buf *out)
{
    size_t from = buf_len(out);
    TRY(base64_put(out, bytes));
    uint8_t *text = buf_bytes(out);
    size_t end = buf_len(out);
    for (size_t i = from; i < end; i++) text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    while (end > from && text[end - 1] == '=') end--;
    buf_truncate(out, end);
    return 0;
}

/* A browser signs what it was called with: the text has to begin with our data as the challenge and the origin that is named. */
static int check_client_data(const struct parsed_signature *s, struct view data)
{
    CLEANUP(buf_done) struct buf expected = BUF_INIT(2 * SIGN_DATA_BYTES_MAX);
    if (data.len > SIGN_DATA_BYTES_MAX || (s->origin.len && memchr(s->origin.p, '"', s->origin.len))) return ERR_SIGNATURE;
    TRY(buf_put_str(&expected, "{\"type\":\"webauthn.get\",\"challenge\":\""));
    TRY(put_base64url(data, &expected));
    TRY(buf_put_str(&expected, "\",\"origin\":\""));
    TRY(buf_put_view(&expected, s->origin));
    TRY(buf_put_str(&expected, "\""));
    bool flags_fit = !(s->sk_flags & WEBAUTHN_HAS_ATTESTED) && !(s->sk_flags & WEBAUTHN_HAS_EXTENSIONS) == (s->extensions.len == 0);
    return flags_fit && view_eq(view_sub(s->client_data, 0, buf_len(&expected)), buf_view(&expected)) ? 0 : ERR_SIGNATURE;
}

/* PROTOCOL.u2f: the token signs SHA256(application) || flags || counter || extensions || SHA256(message), where the message is the
 * data or, through a browser, its client data; extensions are there with webauthn only. */
static int verify_sk(const struct key *k, const struct parsed_signature *s, struct view data)
{
    if (s->is_webauthn) TRY(check_client_data(s, data));
    uint8_t application[32], message[32];
    TRY(digest_once(DIGEST_SHA256, buf_view(&k->application), application));
    TRY(digest_once(DIGEST_SHA256, s->is_webauthn ? s->client_data : data, message));
    CLEANUP(buf_done) struct buf to_verify = BUF_INIT(SK_MESSAGE_MAX);
    struct wr w = wr_of(&to_verify);
    wr_bytes(&w, view_of(application, sizeof(application)));
    wr_u8(&w, s->sk_flags);
    wr_u32(&w, s->sk_counter);
    wr_bytes(&w, s->extensions);
    wr_bytes(&w, view_of(message, sizeof(message)));
    TRY(wr_end(&w));
    return pkey_verify(k->pkey, DIGEST_SHA256, buf_view(&to_verify), s->raw);
}

/* 8332 3.2, PROTOCOL.certkeys: a certificate's algorithm goes with a certificate only, and the name in the signature is the plain
 * one. */
static bool is_algorithm(struct view algorithm, const struct key *k, const struct parsed_signature *s)
{
    const struct key_type *wanted = key_type_find(algorithm);
    return wanted && view_eq_str(view_str(wanted->blob_name), k->type->name) &&
           view_eq_str(view_str(wanted->plain_name), s->type->name);
}

int key_verify(const struct key *k, struct view algorithm, struct view data, struct view signature_blob)
{
    struct parsed_signature s;
    TRY(signature_parse(signature_blob, &s));
    if (!belongs(s.type, k)) return ERR_KEY_TYPE;
    if (algorithm.len && !is_algorithm(algorithm, k, &s)) return ERR_KEY_TYPE;
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
