/* Keys and signatures of PKCS#11 tokens. */
#include "key/token_key.h"

#include "key/key_int.h"

enum {
    DER_OCTET_STRING = 0x04,
    DER_LONG_LENGTH_1 = 0x81, /* the length is in the next byte */
    POINT_BYTES_MAX = 133,    /* nistp521 */
};

static struct view without_zeros(struct view number)
{
    while (number.len && number.p[0] == 0) number = view_sub(number, 1, number.len);
    return number;
}

static int key_of_parts(enum pkey_type type, struct view a, struct view b, struct key **ret)
{
    struct pkey *pkey;
    TRY(pkey_from_public(type, &(struct pkey_public_parts){ a, b }, &pkey));
    return key_from_pkey(pkey, ret);
}

int token_key_rsa(struct view modulus, struct view exponent, struct key **ret)
{
    return key_of_parts(PKEY_RSA, without_zeros(exponent), without_zeros(modulus), ret);
}

/* DER of the names of curves. Ed25519: RFC 8410's OID, the one in use before it, and PKCS#11 3.0's string. */
static const struct curve {
    enum pkey_type type;
    size_t point_bytes;
    struct view params;
} curves[] = {
    { PKEY_ECDSA_P256, 65, VIEW_LIT("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07") },
    { PKEY_ECDSA_P384, 97, VIEW_LIT("\x06\x05\x2b\x81\x04\x00\x22") },
    { PKEY_ECDSA_P521, 133, VIEW_LIT("\x06\x05\x2b\x81\x04\x00\x23") },
    { PKEY_ED25519, 32, VIEW_LIT("\x06\x03\x2b\x65\x70") },
    { PKEY_ED25519, 32, VIEW_LIT("\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01") },
    { PKEY_ED25519, 32,
      VIEW_LIT("\x13\x0c"
               "edwards25519") },
};

/* A point has a length of its own on each curve, so that one that stands bare (which begins with the same byte as an OCTET STRING)
 * is not taken for one that is wrapped. */
static int unwrap_point(struct view v, size_t want, struct view *ret)
{
    struct rd r = rd_of(v);
    if (v.len != want) {
        if (rd_u8(&r) != DER_OCTET_STRING) rd_fail(&r, ERR_FORMAT);
        if (want >= 0x80 && rd_u8(&r) != DER_LONG_LENGTH_1) rd_fail(&r, ERR_FORMAT);
        if (rd_u8(&r) != want) rd_fail(&r, ERR_FORMAT);
    }
    *ret = rd_bytes(&r, want);
    return rd_end(&r);
}

int token_key_ec(struct view params, struct view point, struct key **ret)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        struct view bare;
        if (!view_eq(curves[i].params, params)) continue;
        TRY(unwrap_point(point, curves[i].point_bytes, &bare));
        return key_of_parts(curves[i].type, bare, VIEW_EMPTY, ret);
    }
    return ERR_KEY_TYPE;
}

int token_key_certificate(struct view der, struct key **ret)
{
    struct pkey *pkey;
    TRY(pkey_from_certificate(der, &pkey));
    return key_from_pkey(pkey, ret);
}

/* RFC 8017 9.2, note 1: what stands before the digest. */
static const struct view digest_info[DIGEST_MAX] = {
    [DIGEST_SHA1] = VIEW_LIT("\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"),
    [DIGEST_SHA256] = VIEW_LIT("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"),
    [DIGEST_SHA512] = VIEW_LIT("\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"),
};

int token_sign_input(const struct key *k, struct view algorithm, struct view data, struct buf *out)
{
    const struct key_type *t = key_signing_type(k, algorithm);
    uint8_t digest[DIGEST_MAX_BYTES];
    if (!t || t->is_sk) return ERR_KEY_TYPE;
    if (t->pkey == PKEY_ED25519) return buf_put_view(out, data);
    if (t->pkey == PKEY_RSA) TRY(buf_put_view(out, digest_info[t->digest]));
    TRY(digest_once(t->digest, data, digest));
    return buf_put(out, digest, digest_len(t->digest));
}

static void put_raw(struct wr *w, const struct key_type *t, struct view raw)
{
    size_t mark = wr_string_open(w);
    if (t->pkey == PKEY_RSA || t->pkey == PKEY_ED25519) {
        wr_bytes(w, raw);
    } else {
        wr_mpint(w, view_sub(raw, 0, raw.len / 2));
        wr_mpint(w, view_sub(raw, raw.len / 2, raw.len));
    }
    wr_string_close(w, mark);
}

static bool has_shape(const struct key *k, enum pkey_type type, size_t len)
{
    size_t bytes = (key_bits(k) + 7) / 8;
    if (type == PKEY_RSA) return len == bytes;
    return type == PKEY_ED25519 ? len == 64 : len == 2 * bytes;
}

int token_sign_output(const struct key *k, struct view algorithm, struct view raw, struct buf *ret_signature_blob)
{
    const struct key_type *t = key_signing_type(k, algorithm);
    if (!t || t->is_sk) return ERR_KEY_TYPE;
    if (!has_shape(k, t->pkey, raw.len)) return ERR_SIGNATURE;
    CLEANUP(buf_done) struct buf blob = BUF_INIT(KEY_BLOB_BYTES_MAX);
    struct wr w = wr_of(&blob);
    wr_cstr(&w, t->name);
    put_raw(&w, t, raw);
    TRY(wr_end(&w));
    return buf_put_view(ret_signature_blob, buf_view(&blob));
}
