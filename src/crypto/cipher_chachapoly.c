/* chacha20-poly1305@openssh.com (PROTOCOL.chacha20poly1305): K_2, the first half of the key, for payload and Poly1305 key, K_1, the
 * second half, for the length field. The nonce is the packet's sequence number; no state goes from packet to packet. */
#include "crypto/cipher_int.h"

enum {
    HALF_KEY_BYTES = 32,
    POLY_KEY_BYTES = 32,
    TAG_BYTES = 16,
    BLOCK_BYTES = 64,
    NONCE_BYTES = 16,
    LENGTH_BYTES = 4
};

static int chachapoly_setup(struct cipher *c, struct view key, struct view iv UNUSED)
{
    TRY(cipher_evp_new(c->desc->evp(), key.p, NULL, true, &c->evp));
    TRY(cipher_evp_new(c->desc->evp(), key.p + HALF_KEY_BYTES, NULL, true, &c->evp_length));
    EVP_MAC *poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    if (!poly1305) return ERR_CRYPTO;
    c->poly1305 = EVP_MAC_CTX_new(poly1305);
    EVP_MAC_free(poly1305); /* the context has its own reference */
    return c->poly1305 ? 0 : ERR_NOMEM;
}

/* libcrypto's ChaCha20 takes 8 bytes of block counter and 8 of nonce. */
static bool start(EVP_CIPHER_CTX *evp, uint32_t sequence)
{
    const uint8_t nonce[NONCE_BYTES] = {
        [12] = (uint8_t)(sequence >> 24), (uint8_t)(sequence >> 16), (uint8_t)(sequence >> 8), (uint8_t)sequence
    };
    return EVP_CipherInit_ex(evp, NULL, NULL, NULL, nonce, -1) == 1;
}

static bool xor_stream(EVP_CIPHER_CTX *evp, uint8_t *to, const uint8_t *from, size_t len)
{
    int n;
    return EVP_CipherUpdate(evp, to, &n, from, (int)len) == 1;
}

/* Sets the payload's cipher to this packet. The Poly1305 key is the start of block 0, the payload begins with block 1: using up the
 * whole block 0 leaves the cipher right there. */
static bool start_payload(struct cipher *c, uint32_t sequence)
{
    static const uint8_t zeros[BLOCK_BYTES];
    uint8_t block[BLOCK_BYTES];
    bool ok = start(c->evp, sequence) && xor_stream(c->evp, block, zeros, BLOCK_BYTES) &&
              EVP_MAC_init(c->poly1305, block, POLY_KEY_BYTES, NULL) == 1;
    secret_wipe(block, sizeof block);
    return ok;
}

static bool tag_of(struct cipher *c, const uint8_t *bytes, size_t len, uint8_t *ret_tag)
{
    size_t n;
    return EVP_MAC_update(c->poly1305, bytes, len) == 1 && EVP_MAC_final(c->poly1305, ret_tag, &n, TAG_BYTES) == 1;
}

static int chachapoly_seal(struct cipher *c, uint32_t sequence, uint8_t *bytes, size_t n_clear, size_t len)
{
    uint8_t *payload = bytes + n_clear;
    if (n_clear && !(start(c->evp_length, sequence) && xor_stream(c->evp_length, bytes, bytes, n_clear))) return ERR_CRYPTO;
    if (!start_payload(c, sequence) || !xor_stream(c->evp, payload, payload, len)) return ERR_CRYPTO;
    return tag_of(c, bytes, n_clear + len, payload + len) ? 0 : ERR_CRYPTO;
}

static int chachapoly_open(struct cipher *c, uint32_t sequence, uint8_t *bytes, size_t n_clear, size_t len)
{
    uint8_t tag[TAG_BYTES], *payload = bytes + n_clear;
    if (!start_payload(c, sequence) || !tag_of(c, bytes, n_clear + len, tag)) return ERR_CRYPTO;
    if (!ct_equal(tag, payload + len, TAG_BYTES)) return ERR_MAC;
    return xor_stream(c->evp, payload, payload, len) ? 0 : ERR_CRYPTO;
}

static int chachapoly_length(struct cipher *c, uint32_t sequence, const uint8_t *packet, uint32_t *ret_len)
{
    uint8_t clear[LENGTH_BYTES];
    if (!start(c->evp_length, sequence) || !xor_stream(c->evp_length, clear, packet, LENGTH_BYTES)) return ERR_CRYPTO;
    *ret_len = (uint32_t)clear[0] << 24 | (uint32_t)clear[1] << 16 | (uint32_t)clear[2] << 8 | clear[3];
    return 0;
}

static int chachapoly_iv_now(const struct cipher *c UNUSED, uint8_t *ret_iv UNUSED) { return 0; }

const struct cipher_ops cipher_chachapoly_ops = { .setup = chachapoly_setup,
                                                  .seal = chachapoly_seal,
                                                  .open = chachapoly_open,
                                                  .length = chachapoly_length,
                                                  .iv_now = chachapoly_iv_now };
