/* AES-GCM as OpenSSH has it (PROTOCOL 1.6, shapes of RFC 5647): the length in clear as additional data; the IV is 4 fixed bytes and
 * a counter of 8 that goes up by one each packet. */
#include "crypto/cipher_int.h"

enum {
    IV_BYTES = 12,
    IV_FIXED_BYTES = 4,
    TAG_BYTES = 16
};

static int gcm_setup(struct cipher *c, struct view key, struct view iv)
{
    memcpy(c->iv, iv.p, IV_BYTES);
    return cipher_evp_new(c->desc->evp(), key.p, iv.p, c->for_sealing, &c->evp);
}

static void iv_step(uint8_t *iv)
{
    for (size_t i = IV_BYTES; i-- > IV_FIXED_BYTES;)
        if (++iv[i]) return;
}

/* Everything but the tag. */
static bool run(EVP_CIPHER_CTX *evp, uint8_t *bytes, size_t n_clear, size_t len)
{
    int n;
    if (n_clear && EVP_CipherUpdate(evp, NULL, &n, bytes, (int)n_clear) != 1) return false;
    return EVP_CipherUpdate(evp, bytes + n_clear, &n, bytes + n_clear, (int)len) == 1;
}

static int gcm_seal(struct cipher *c, uint32_t sequence UNUSED, uint8_t *bytes, size_t n_clear, size_t len)
{
    int n;
    uint8_t *tag = bytes + n_clear + len;
    if (EVP_CipherInit_ex(c->evp, NULL, NULL, NULL, c->iv, -1) != 1 || !run(c->evp, bytes, n_clear, len) ||
        EVP_CipherFinal_ex(c->evp, tag, &n) != 1 || EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) != 1)
        return ERR_CRYPTO;
    iv_step(c->iv);
    return 0;
}

static int gcm_open(struct cipher *c, uint32_t sequence UNUSED, uint8_t *bytes, size_t n_clear, size_t len)
{
    int n;
    uint8_t *tag = bytes + n_clear + len;
    if (EVP_CipherInit_ex(c->evp, NULL, NULL, NULL, c->iv, -1) != 1 ||
        EVP_CIPHER_CTX_ctrl(c->evp, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) != 1 || !run(c->evp, bytes, n_clear, len))
        return ERR_CRYPTO;
    if (EVP_CipherFinal_ex(c->evp, tag, &n) != 1) {
        /* Decrypting and checking is one pass: what came out must not be used by mistake. */
        secret_wipe(bytes + n_clear, len);
        return ERR_MAC;
    }
    iv_step(c->iv);
    return 0;
}

static int gcm_length(struct cipher *c UNUSED, uint32_t sequence UNUSED, const uint8_t *packet, uint32_t *ret_len)
{
    *ret_len = (uint32_t)packet[0] << 24 | (uint32_t)packet[1] << 16 | (uint32_t)packet[2] << 8 | packet[3];
    return 0;
}

static int gcm_iv_now(const struct cipher *c, uint8_t *ret_iv)
{
    memcpy(ret_iv, c->iv, IV_BYTES);
    return 0;
}

const struct cipher_ops cipher_gcm_ops = {
    .setup = gcm_setup, .seal = gcm_seal, .open = gcm_open, .length = gcm_length, .iv_now = gcm_iv_now
};
