/* The table of packet MACs, and HMAC (RFC 2104) on libcrypto's digests. */
#include "crypto/mac_int.h"

#include <stdlib.h>

/* Inner and outer state with the padded key already hashed in: a packet costs two copies of a state instead of two more blocks.
 * That is the fastest of what libcrypto has (EVP_MAC's HMAC, reinitialised, costs half as much again on small packets), and the
 * copy draws its memory from inside libcrypto, as HMAC there does too. */
static int hmac_setup(struct mac *m, struct view key)
{
    uint8_t pad[EVP_MAX_MD_SIZE * 2];
    EVP_MD_CTX **states[] = { &m->hmac.inner, &m->hmac.outer };
    static const uint8_t masks[] = { 0x36, 0x5c };
    const EVP_MD *md = m->desc->evp();
    size_t block = (size_t)EVP_MD_get_block_size(md);
    CHECK(block <= sizeof pad && key.len <= block);

    m->hmac.work = EVP_MD_CTX_new();
    if (!m->hmac.work) return ERR_NOMEM;
    for (size_t k = 0; k < ARRAY_LEN(states); k++) {
        memset(pad, masks[k], block);
        for (size_t i = 0; i < key.len; i++) pad[i] ^= key.p[i];
        *states[k] = EVP_MD_CTX_new();
        bool ok = *states[k] && EVP_DigestInit_ex(*states[k], md, NULL) == 1 && EVP_DigestUpdate(*states[k], pad, block) == 1;
        secret_wipe(pad, sizeof pad);
        if (!ok) return ERR_CRYPTO;
    }
    return 0;
}

/* RFC 4253 6.4: over the sequence number and the packet. */
static int hmac_compute(struct mac *m, uint32_t sequence, struct view data, uint8_t *ret_tag)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len;
    const uint8_t seq[4] = { (uint8_t)(sequence >> 24), (uint8_t)(sequence >> 16), (uint8_t)(sequence >> 8), (uint8_t)sequence };
    EVP_MD_CTX *w = m->hmac.work;
    bool ok = EVP_MD_CTX_copy_ex(w, m->hmac.inner) == 1 && EVP_DigestUpdate(w, seq, sizeof seq) == 1 &&
              EVP_DigestUpdate(w, data.p, data.len) == 1 && EVP_DigestFinal_ex(w, digest, &len) == 1 &&
              EVP_MD_CTX_copy_ex(w, m->hmac.outer) == 1 && EVP_DigestUpdate(w, digest, len) == 1 &&
              EVP_DigestFinal_ex(w, digest, &len) == 1;
    if (!ok) return ERR_CRYPTO;
    CHECK(len >= m->desc->tag_bytes);
    memcpy(ret_tag, digest, m->desc->tag_bytes);
    return 0;
}

static void hmac_done(struct mac *m)
{
    EVP_MD_CTX_free(m->hmac.inner); /* these wipe what they hold */
    EVP_MD_CTX_free(m->hmac.outer);
    EVP_MD_CTX_free(m->hmac.work);
}

static const struct mac_ops hmac_ops = {
    .bytes = sizeof(struct mac), .setup = hmac_setup, .compute = hmac_compute, .done = hmac_done
};

/* clang-format off */
const struct mac_desc mac_table[] = {
    /* name                            key tag etm   default */
    { "umac-64-etm@openssh.com",        16,  8, true,  true,  &mac_umac64_ops,  NULL },
    { "umac-128-etm@openssh.com",       16, 16, true,  true,  &mac_umac128_ops, NULL },
    { "hmac-sha2-256-etm@openssh.com",  32, 32, true,  true,  &hmac_ops, EVP_sha256 },
    { "hmac-sha2-512-etm@openssh.com",  64, 64, true,  true,  &hmac_ops, EVP_sha512 },
    { "hmac-sha1-etm@openssh.com",      20, 20, true,  true,  &hmac_ops, EVP_sha1 },
    { "umac-64@openssh.com",            16,  8, false, true,  &mac_umac64_ops,  NULL },
    { "umac-128@openssh.com",           16, 16, false, true,  &mac_umac128_ops, NULL },
    { "hmac-sha2-256",                  32, 32, false, true,  &hmac_ops, EVP_sha256 },
    { "hmac-sha2-512",                  64, 64, false, true,  &hmac_ops, EVP_sha512 },
    { "hmac-sha1",                      20, 20, false, true,  &hmac_ops, EVP_sha1 },
    { "hmac-sha1-96",                   20, 12, false, false, &hmac_ops, EVP_sha1 },
    { "hmac-md5",                       16, 16, false, false, &hmac_ops, EVP_md5 },
    { "hmac-md5-96",                    16, 12, false, false, &hmac_ops, EVP_md5 },
    { "hmac-sha1-96-etm@openssh.com",   20, 12, true,  false, &hmac_ops, EVP_sha1 },
    { "hmac-md5-etm@openssh.com",       16, 16, true,  false, &hmac_ops, EVP_md5 },
    { "hmac-md5-96-etm@openssh.com",    16, 12, true,  false, &hmac_ops, EVP_md5 },
    { NULL },
};
/* clang-format on */

const struct mac_desc *mac_find(struct view name)
{
    for (const struct mac_desc *d = mac_table; d->name; d++)
        if (view_eq_str(name, d->name)) return d;
    return NULL;
}

int mac_new(const struct mac_desc *desc, struct view key, struct mac **ret)
{
    if (key.len != desc->key_bytes) return ERR_BUG;
    CLEANUP(mac_freep) struct mac *m = calloc(1, desc->ops->bytes);
    if (!m) return ERR_NOMEM;
    m->desc = desc;
    TRY(desc->ops->setup(m, key));
    *ret = TAKE(m);
    return 0;
}

void mac_free(struct mac *m)
{
    if (!m) return;
    if (m->desc->ops->done) m->desc->ops->done(m);
    secret_wipe(m, m->desc->ops->bytes);
    free(m);
}

int mac_compute(struct mac *m, uint32_t sequence, struct view data, uint8_t *ret_tag)
{
    return m->desc->ops->compute(m, sequence, data, ret_tag);
}
