/* The table of packet ciphers, and those without a tag: ctr and cbc. Knows no packets. */
#include "crypto/cipher_int.h"

#include <limits.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__x86_64__) || defined(__i386__)
#include <sys/platform/x86.h>
#endif

int cipher_evp_new(const EVP_CIPHER *primitive, const uint8_t *key, const uint8_t *iv, bool for_sealing, EVP_CIPHER_CTX **ret)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx) return ERR_NOMEM;
    if (EVP_CipherInit_ex(ctx, primitive, NULL, key, iv, for_sealing) != 1 || EVP_CIPHER_CTX_set_padding(ctx, 0) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return ERR_CRYPTO;
    }
    *ret = ctx;
    return 0;
}

static int none_setup(struct cipher *c UNUSED, struct view key UNUSED, struct view iv UNUSED) { return 0; }

static int none_stream(struct cipher *c UNUSED, uint8_t *bytes UNUSED, size_t len UNUSED) { return 0; }

static int none_iv_now(const struct cipher *c UNUSED, uint8_t *ret_iv UNUSED) { return 0; }

static int stream_setup(struct cipher *c, struct view key, struct view iv)
{
    return cipher_evp_new(c->desc->evp(), key.p, iv.p, c->for_sealing, &c->evp);
}

static int stream_run(struct cipher *c, uint8_t *bytes, size_t len)
{
    int n = 0;
    if (len % c->desc->block_bytes || len > INT_MAX) return ERR_BUG;
    if (EVP_CipherUpdate(c->evp, bytes, &n, bytes, (int)len) != 1 || (size_t)n != len) return ERR_CRYPTO;
    return 0;
}

/* Between whole blocks libcrypto's running IV is all there is: the next counter block of ctr, the last ciphertext block of cbc. */
static int stream_iv_now(const struct cipher *c, uint8_t *ret_iv)
{
    return EVP_CIPHER_CTX_get_updated_iv(c->evp, ret_iv, c->desc->iv_bytes) == 1 ? 0 : ERR_CRYPTO;
}

static const struct cipher_ops none_ops = { .setup = none_setup, .stream = none_stream, .iv_now = none_iv_now };
static const struct cipher_ops stream_ops = { .setup = stream_setup, .stream = stream_run, .iv_now = stream_iv_now };

/* clang-format off */
const struct cipher_desc cipher_table[] = {
    /* name                            kind         key  iv block tag  length  default strength */
    { "aes128-gcm@openssh.com",        CIPHER_AEAD,   16, 12, 16, 16, false, true,  128, &cipher_gcm_ops,        EVP_aes_128_gcm },
    { "aes256-gcm@openssh.com",        CIPHER_AEAD,   32, 12, 16, 16, false, true,  256, &cipher_gcm_ops,        EVP_aes_256_gcm },
    { "chacha20-poly1305@openssh.com", CIPHER_AEAD,   64,  0,  8, 16, true,  true,  256, &cipher_chachapoly_ops, EVP_chacha20 },
    { "aes128-ctr",                    CIPHER_STREAM, 16, 16, 16,  0, true,  true,  128, &stream_ops,            EVP_aes_128_ctr },
    { "aes192-ctr",                    CIPHER_STREAM, 24, 16, 16,  0, true,  true,  192, &stream_ops,            EVP_aes_192_ctr },
    { "aes256-ctr",                    CIPHER_STREAM, 32, 16, 16,  0, true,  true,  256, &stream_ops,            EVP_aes_256_ctr },
    { "aes128-cbc",                    CIPHER_STREAM, 16, 16, 16,  0, true,  false, 128, &stream_ops,            EVP_aes_128_cbc },
    { "aes192-cbc",                    CIPHER_STREAM, 24, 16, 16,  0, true,  false, 192, &stream_ops,            EVP_aes_192_cbc },
    { "aes256-cbc",                    CIPHER_STREAM, 32, 16, 16,  0, true,  false, 256, &stream_ops,            EVP_aes_256_cbc },
    { "3des-cbc",                      CIPHER_STREAM, 24,  8,  8,  0, true,  false, 112, &stream_ops,            EVP_des_ede3_cbc },
    { "none",                          CIPHER_NONE,    0,  0,  8,  0, false, false,   0, &none_ops,              NULL },
    { NULL },
};
/* clang-format on */

const struct cipher_desc *cipher_find(struct view name)
{
    for (const struct cipher_desc *d = cipher_table; d->name; d++)
        if (view_eq_str(name, d->name)) return d;
    return NULL;
}

bool cipher_has_fast_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    /* The C library knows it already. The compiler's __builtin_cpu_supports asks the processor anew at the start of each process,
     * and where that is a virtual one each such question is a trip to its host. */
    return CPU_FEATURE_ACTIVE(AES) && CPU_FEATURE_ACTIVE(PCLMULQDQ);
#elif defined(__aarch64__)
    enum {
        ARM_HWCAP_AES = 1 << 3,
        ARM_HWCAP_PMULL = 1 << 4
    };
    return (getauxval(AT_HWCAP) & (ARM_HWCAP_AES | ARM_HWCAP_PMULL)) == (ARM_HWCAP_AES | ARM_HWCAP_PMULL);
#else
    return false;
#endif
}

int cipher_new(const struct cipher_desc *desc, struct view key, struct view iv, bool for_sealing, struct cipher **ret)
{
    if (key.len != desc->key_bytes || iv.len != desc->iv_bytes) return ERR_BUG;
    CLEANUP(cipher_freep) struct cipher *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    c->desc = desc;
    c->for_sealing = for_sealing;
    TRY(secret_dup(key, &c->key));
    TRY(desc->ops->setup(c, key, iv));
    *ret = TAKE(c);
    return 0;
}

void cipher_free(struct cipher *c)
{
    if (!c) return;
    EVP_CIPHER_CTX_free(c->evp); /* these wipe what they hold */
    EVP_CIPHER_CTX_free(c->evp_length);
    EVP_MAC_CTX_free(c->poly1305);
    secret_done(&c->key);
    free(c);
}

enum {
    LENGTH_FIELD_BYTES = 4
};

static bool is_aead_use(const struct cipher *c, bool for_sealing, size_t len)
{
    return c->desc->kind == CIPHER_AEAD && c->for_sealing == for_sealing && len <= INT_MAX;
}

int cipher_aead_seal(struct cipher *c, uint32_t sequence, uint8_t *packet, size_t len)
{
    if (!is_aead_use(c, true, len)) return ERR_BUG;
    return c->desc->ops->seal(c, sequence, packet, LENGTH_FIELD_BYTES, len);
}

int cipher_aead_open(struct cipher *c, uint32_t sequence, uint8_t *packet, size_t len)
{
    if (!is_aead_use(c, false, len)) return ERR_BUG;
    return c->desc->ops->open(c, sequence, packet, LENGTH_FIELD_BYTES, len);
}

int cipher_aead_length(struct cipher *c, uint32_t sequence, const uint8_t *packet, uint32_t *ret_len)
{
    if (c->desc->kind != CIPHER_AEAD) return ERR_BUG;
    return c->desc->ops->length(c, sequence, packet, ret_len);
}

int cipher_stream(struct cipher *c, uint8_t *bytes, size_t len)
{
    if (c->desc->kind == CIPHER_AEAD) return ERR_BUG;
    return c->desc->ops->stream(c, bytes, len);
}

int cipher_state(const struct cipher *c, struct secret *ret_key, struct secret *ret_iv)
{
    CLEANUP(secret_done) struct secret key = SECRET_INIT, iv = SECRET_INIT;
    TRY(secret_dup(secret_view(&c->key), &key));
    TRY(secret_new(c->desc->iv_bytes, &iv));
    TRY(c->desc->ops->iv_now(c, iv.p));
    *ret_key = key;
    *ret_iv = iv;
    key = iv = (struct secret)SECRET_INIT;
    return 0;
}

int cipher_whole(const struct cipher_desc *desc, struct view key, struct view iv, bool for_sealing, uint8_t *bytes, size_t len)
{
    CLEANUP(cipher_freep) struct cipher *c = NULL;
    if (desc->kind == CIPHER_NONE || len > INT_MAX) return ERR_BUG;
    TRY(cipher_new(desc, key, iv, for_sealing, &c));
    if (desc->kind == CIPHER_STREAM) return cipher_stream(c, bytes, len);
    return (for_sealing ? desc->ops->seal : desc->ops->open)(c, 0, bytes, 0, len);
}
