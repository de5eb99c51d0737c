/* openssh-key-v1 in its armour, and the way to PEM and PKCS#8. */
#include "key/private_file.h"

#include "crypto/bcrypt_pbkdf.h"
#include "crypto/cipher.h"
#include "key/armour_int.h"
#include "key/key_int.h"
#include "key/private_blob.h"

enum {
    SALT_BYTES = 16,
    SALT_BYTES_MAX = 1024, /* of a foreign file */
    PAD_PLAIN = 8,         /* block size of cipher "none" */
    KEY_IV_BYTES_MAX = 64 + 16,
};
static const char label[] = "OPENSSH PRIVATE KEY";
static const struct view magic = VIEW_LIT("openssh-key-v1\0");

/* What stands in clear; views lent by the decoded file. */
struct container {
    struct view cipher, kdf, kdf_options, public_blob, encrypted;
    const struct cipher_desc *desc; /* NULL: not encrypted */
    struct view salt;
    uint32_t rounds;
};

static int read_kdf(struct container *c)
{
    bool plain = view_eq_str(c->cipher, "none");
    if (plain != view_eq_str(c->kdf, "none")) return ERR_FORMAT;
    if (plain) return c->kdf_options.len ? ERR_FORMAT : 0;
    if (!view_eq_str(c->kdf, "bcrypt")) return ERR_UNSUPPORTED;
    c->desc = cipher_find(c->cipher);
    if (!c->desc || c->desc->kind == CIPHER_NONE) return ERR_UNSUPPORTED;
    struct rd r = rd_of(c->kdf_options);
    c->salt = rd_string(&r);
    c->rounds = rd_u32(&r);
    TRY(rd_end(&r));
    if (c->salt.len == 0 || c->rounds == 0) return ERR_FORMAT;
    return c->salt.len > SALT_BYTES_MAX || c->rounds > PRIVATE_FILE_ROUNDS_MAX ? ERR_LIMIT : 0;
}

static int container_parse(struct view bytes, struct container *ret)
{
    struct rd r = rd_of(bytes);
    struct container c = {};
    if (!view_eq(rd_bytes(&r, magic.len), magic)) rd_fail(&r, ERR_FORMAT);
    c.cipher = rd_string(&r);
    c.kdf = rd_string(&r);
    c.kdf_options = rd_string(&r);
    if (rd_u32(&r) != 1) rd_fail(&r, ERR_FORMAT); /* more than one key was never written by anyone */
    c.public_blob = rd_string(&r);
    c.encrypted = rd_string(&r);
    TRY(rd_stop(&r));
    TRY(read_kdf(&c));
    if (c.desc) rd_bytes(&r, c.desc->tag_bytes); /* right behind the string, not in it */
    TRY(rd_end(&r));
    size_t block = c.desc ? c.desc->block_bytes : PAD_PLAIN;
    if (c.encrypted.len == 0 || c.encrypted.len % block) return ERR_FORMAT;
    *ret = c;
    return 0;
}

/* bytes are in place and, for an AEAD, followed by the tag or room for it. */
static int crypt_with_passphrase(const struct cipher_desc *desc, struct view passphrase, struct view salt, uint32_t rounds,
                                 bool seal, uint8_t *bytes, size_t len)
{
    uint8_t key_iv[KEY_IV_BYTES_MAX];
    size_t n = (size_t)desc->key_bytes + desc->iv_bytes;
    if (n > sizeof(key_iv)) return ERR_BUG;
    int err = bcrypt_pbkdf(passphrase, salt, rounds, key_iv, n);
    struct view key = view_of(key_iv, desc->key_bytes), iv = view_of(key_iv + desc->key_bytes, desc->iv_bytes);
    if (err == 0) err = cipher_whole(desc, key, iv, seal, bytes, len);
    secret_wipe(key_iv, sizeof(key_iv));
    return err;
}

/* Decrypts in place, where the decoded file lies. */
static int decrypt(const struct container *c, struct view passphrase)
{
    if (!c->desc) return 0;
    if (!passphrase.p) return ERR_PASSPHRASE_NEEDED;
    if (passphrase.len == 0) return ERR_PASSPHRASE;
    int err = crypt_with_passphrase(c->desc, passphrase, c->salt, c->rounds, false, (uint8_t *)c->encrypted.p, c->encrypted.len);
    return err == ERR_MAC ? ERR_PASSPHRASE : err;
}

static int check_padding(struct view pad)
{
    for (size_t i = 0; i < pad.len; i++)
        if (pad.p[i] != (uint8_t)(i + 1)) return ERR_FORMAT;
    return 0;
}

static int read_private(const struct container *c, struct key **ret)
{
    struct rd r = rd_of(c->encrypted);
    uint32_t check_a = rd_u32(&r), check_b = rd_u32(&r);
    TRY(rd_stop(&r));
    if (check_a != check_b) return c->desc ? ERR_PASSPHRASE : ERR_FORMAT;
    CLEANUP(key_unrefp) struct key *k = NULL;
    TRY(private_blob_get(&r, &k));
    struct view comment = rd_string(&r), pad = rd_rest(&r);
    TRY(rd_stop(&r));
    TRY(check_padding(pad));
    if (!view_eq(key_blob(k), c->public_blob)) return ERR_KEY_MISMATCH;
    TRY(key_set_comment(k, view_sub(comment, 0, KEY_COMMENT_BYTES_MAX)));
    *ret = TAKE(k);
    return 0;
}

int private_file_parse(struct view file, struct view passphrase, struct key **ret)
{
    if (file.len > PRIVATE_FILE_BYTES_MAX) return ERR_LIMIT;
    if (!armour_is(file, label)) {
        struct pkey *pkey;
        TRY(pkey_from_pem(file, passphrase, &pkey));
        return key_from_pkey(pkey, ret);
    }
    CLEANUP(buf_done) struct buf bytes = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    struct container c;
    TRY(armour_get(file, label, &bytes));
    TRY(container_parse(buf_view(&bytes), &c));
    TRY(decrypt(&c, passphrase));
    return read_private(&c, ret);
}

int private_file_public(struct view file, struct key **ret)
{
    if (file.len > PRIVATE_FILE_BYTES_MAX) return ERR_LIMIT;
    if (!armour_is(file, label)) return private_file_parse(file, VIEW_EMPTY, ret);
    CLEANUP(buf_done) struct buf bytes = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    struct container c;
    TRY(armour_get(file, label, &bytes));
    TRY(container_parse(buf_view(&bytes), &c));
    return key_from_blob(c.public_blob, ret);
}

bool private_file_cipher_known(struct view name)
{
    const struct cipher_desc *desc = cipher_find(name);
    return desc && desc->kind != CIPHER_NONE;
}

static int put_private(const struct key *k, const struct private_file_options *o, size_t block, struct buf *out)
{
    uint32_t check;
    TRY(random_fill(o->random, &check, sizeof(check)));
    struct wr w = wr_of(out);
    wr_u32(&w, check);
    wr_u32(&w, check);
    TRY(private_blob_put(k, &w));
    wr_cstr(&w, key_comment(k));
    for (uint8_t pad = 1; w.err == 0 && buf_len(out) % block; pad++) wr_u8(&w, pad);
    return wr_end(&w);
}

static void put_kdf_options(struct wr *w, const struct cipher_desc *desc, struct view salt, uint32_t rounds)
{
    size_t mark = wr_string_open(w);
    if (desc) {
        wr_string(w, salt);
        wr_u32(w, rounds);
    }
    wr_string_close(w, mark);
}

/* The private part, sealed, with the tag behind it. */
static int sealed_put(const struct key *k, const struct private_file_options *o, const struct cipher_desc *desc, struct view salt,
                      uint32_t rounds, struct buf *out)
{
    uint8_t *tag;
    TRY(put_private(k, o, desc ? desc->block_bytes : PAD_PLAIN, out));
    if (!desc) return 0;
    size_t len = buf_len(out);
    TRY(buf_reserve(out, desc->tag_bytes, &tag));
    buf_commit(out, desc->tag_bytes);
    return crypt_with_passphrase(desc, o->passphrase, salt, rounds, true, buf_bytes(out), len);
}

static int container_put(const struct key *k, const struct private_file_options *o, const struct cipher_desc *desc, struct buf *out)
{
    CLEANUP(buf_done) struct buf body = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX / 2);
    uint8_t salt_bytes[SALT_BYTES] = {};
    struct view salt = view_of(salt_bytes, sizeof(salt_bytes));
    uint32_t rounds = o->rounds ? o->rounds : PRIVATE_FILE_ROUNDS;
    if (desc) TRY(random_fill(o->random, salt_bytes, sizeof(salt_bytes)));
    TRY(sealed_put(k, o, desc, salt, rounds, &body));
    size_t tag_len = desc ? desc->tag_bytes : 0, len = buf_len(&body) - tag_len;
    struct wr w = wr_of(out);
    wr_bytes(&w, magic);
    wr_cstr(&w, desc ? desc->name : "none");
    wr_cstr(&w, desc ? "bcrypt" : "none");
    put_kdf_options(&w, desc, salt, rounds);
    wr_u32(&w, 1);
    wr_string(&w, key_blob(k));
    wr_string(&w, view_sub(buf_view(&body), 0, len));
    wr_bytes(&w, view_sub(buf_view(&body), len, tag_len));
    return wr_end(&w);
}

int private_file_format(const struct key *k, const struct private_file_options *o, struct buf *out)
{
    if (o->form != PRIVATE_FILE_OPENSSH) {
        if (key_type_of(k)->is_sk || key_type_of(k)->is_cert) return ERR_KEY_TYPE;
        return pkey_to_pem(key_pkey(k), o->form == PRIVATE_FILE_PEM ? PKEY_PEM_TRADITIONAL : PKEY_PEM_PKCS8, o->passphrase, out);
    }
    const struct cipher_desc *desc = NULL;
    if (o->passphrase.len) {
        desc = cipher_find(o->cipher.len ? o->cipher : view_str(PRIVATE_FILE_CIPHER));
        if (!desc || desc->kind == CIPHER_NONE) return ERR_UNSUPPORTED;
    }
    CLEANUP(buf_done) struct buf bytes = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    TRY(container_put(k, o, desc, &bytes));
    return armour_put(buf_view(&bytes), label, out);
}
