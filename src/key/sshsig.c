/* PROTOCOL.sshsig: blob, armour, signed data. */
#include "key/sshsig.h"

#include "key/armour_int.h"
#include "key/key_int.h"

enum {
    SSHSIG_VERSION = 1
};
static const char label[] = "SSH SIGNATURE";
static const struct view magic = VIEW_LIT("SSHSIG");
static const struct hash_name {
    enum digest_alg alg;
    const char *name;
} hash_names[] = { { DIGEST_SHA256, "sha256" }, { DIGEST_SHA512, "sha512" } };

int sshsig_hash_from_name(struct view name, enum digest_alg *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(hash_names); i++) {
        if (!view_eq_str(name, hash_names[i].name)) continue;
        *ret = hash_names[i].alg;
        return 0;
    }
    return ERR_UNSUPPORTED;
}

static void put_hash_name(struct wr *w, enum digest_alg alg)
{
    for (size_t i = 0; i < ARRAY_LEN(hash_names); i++)
        if (hash_names[i].alg == alg) return wr_cstr(w, hash_names[i].name);
    wr_fail(w, ERR_UNSUPPORTED);
}

int sshsig_unarmour(struct view text, struct buf *out)
{
    if (text.len > SSHSIG_BYTES_MAX) return ERR_LIMIT;
    return armour_get(text, label, out);
}

int sshsig_armour(struct view bytes, struct buf *out) { return armour_put(bytes, label, out); }

int sshsig_parse(struct view bytes, struct sshsig *ret)
{
    struct rd r = rd_of(bytes);
    struct sshsig s = {};
    if (!view_eq(rd_bytes(&r, magic.len), magic)) rd_fail(&r, ERR_FORMAT);
    uint32_t version = rd_u32(&r);
    TRY(rd_stop(&r));
    if (version != SSHSIG_VERSION) return ERR_UNSUPPORTED;
    s.key_blob = rd_string(&r);
    s.name_space = rd_cstring(&r);
    rd_string(&r); /* reserved */
    struct view hash = rd_string(&r);
    s.signature = rd_string(&r);
    TRY(rd_end(&r));
    if (s.name_space.len == 0) return ERR_FORMAT;
    TRY(sshsig_hash_from_name(hash, &s.hash));
    *ret = s;
    return 0;
}

int sshsig_put(const struct sshsig *s, struct buf *out)
{
    struct wr w = wr_of(out);
    wr_bytes(&w, magic);
    wr_u32(&w, SSHSIG_VERSION);
    wr_string(&w, s->key_blob);
    wr_string(&w, s->name_space);
    wr_string(&w, VIEW_EMPTY); /* reserved */
    put_hash_name(&w, s->hash);
    wr_string(&w, s->signature);
    return wr_end(&w);
}

int sshsig_put_signed_data(const struct sshsig *s, const uint8_t *digest, struct buf *out)
{
    if (s->name_space.len == 0) return ERR_FORMAT;
    struct wr w = wr_of(out);
    wr_bytes(&w, magic);
    wr_string(&w, s->name_space);
    wr_string(&w, VIEW_EMPTY); /* reserved */
    put_hash_name(&w, s->hash);
    wr_string(&w, view_of(digest, digest_len(s->hash)));
    return wr_end(&w);
}

int sshsig_verify(const struct sshsig *s, const uint8_t *digest)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(SSHSIG_BYTES_MAX);
    struct rd r = rd_of(s->signature);
    if (view_eq_str(rd_string(&r), "ssh-rsa")) return ERR_KEY_TYPE; /* PROTOCOL.sshsig: SHA-2 only */
    TRY(rd_stop(&r));
    TRY(sshsig_put_signed_data(s, digest, &data));
    return key_verify_blob(s->key_blob, VIEW_EMPTY, buf_view(&data), s->signature);
}

int sshsig_sign(const struct key *k, struct view name_space, enum digest_alg hash, const uint8_t *digest, struct buf *out)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(SSHSIG_BYTES_MAX), signature = BUF_INIT(SSHSIG_BYTES_MAX);
    struct sshsig s = { .key_blob = key_blob(k), .name_space = name_space, .hash = hash };
    TRY(sshsig_put_signed_data(&s, digest, &data));
    TRY(key_sign(k, VIEW_EMPTY, buf_view(&data), &signature));
    s.signature = buf_view(&signature);
    return sshsig_put(&s, out);
}
