/* libcrypto's low-level SHA-1, deprecated there: EVP costs several times the four blocks that are hashed here, and a file of 50,000
 * hashed names is gone through at every login. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hmac_sha1.h"

#include <openssl/sha.h>

enum {
    BLOCK_BYTES = 64
};

static bool keyed_sha1(struct view key, uint8_t pad, struct view data, uint8_t *ret)
{
    uint8_t block[BLOCK_BYTES];
    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < key.len; i++) block[i] ^= key.p[i];
    SHA_CTX sha;
    return SHA1_Init(&sha) && SHA1_Update(&sha, block, sizeof(block)) && SHA1_Update(&sha, data.p, data.len) &&
           SHA1_Final(ret, &sha);
}

int hmac_sha1(struct view key, struct view data, uint8_t ret_mac[20])
{
    if (key.len > BLOCK_BYTES) return ERR_BUG;
    uint8_t inner[HMAC_SHA1_BYTES];
    if (!keyed_sha1(key, 0x36, data, inner)) return ERR_CRYPTO;
    return keyed_sha1(key, 0x5c, view_of(inner, sizeof(inner)), ret_mac) ? 0 : ERR_CRYPTO;
}
