/* What a packet cipher is inside: cipher.c holds table and streams, cipher_gcm.c and cipher_chachapoly.c their AEADs. */
#pragma once

#include "crypto/cipher.h"
#include "crypto/libcrypto_int.h"

struct cipher {
    const struct cipher_desc *desc;
    bool for_sealing;
    struct secret key;             /* for cipher_state alone */
    EVP_CIPHER_CTX *evp;           /* chachapoly: of the payload */
    EVP_CIPHER_CTX *evp_length;    /* chachapoly */
    EVP_MAC_CTX *poly1305;         /* chachapoly */
    uint8_t iv[EVP_MAX_IV_LENGTH]; /* gcm: of the next packet */
};

/* A family. Functions that its kind does not have are NULL. */
struct cipher_ops {
    int (*setup)(struct cipher *c, struct view key, struct view iv);
    /* bytes: n_clear bytes under the tag (the length field, or none in key files), len bytes, the tag. */
    int (*seal)(struct cipher *c, uint32_t sequence, uint8_t *bytes, size_t n_clear, size_t len);
    int (*open)(struct cipher *c, uint32_t sequence, uint8_t *bytes, size_t n_clear, size_t len);
    int (*length)(struct cipher *c, uint32_t sequence, const uint8_t *packet, uint32_t *ret_len);
    int (*stream)(struct cipher *c, uint8_t *bytes, size_t len);
    int (*iv_now)(const struct cipher *c, uint8_t *ret_iv); /* desc->iv_bytes of it */
};

/* A new context of c's primitive, or of any other given, for one direction. iv may be NULL. */
int cipher_evp_new(const EVP_CIPHER *primitive, const uint8_t *key, const uint8_t *iv, bool for_sealing, EVP_CIPHER_CTX **ret)
    MUST_USE;

extern const struct cipher_ops cipher_gcm_ops, cipher_chachapoly_ops;
