/* Packet ciphers: RFC 4253 6.3, 4344, 5647 as OpenSSH has it (PROTOCOL 1.6), PROTOCOL.chacha20poly1305. One const table entry
 * each. A `struct cipher` works in one direction with one key; contexts are set up once in cipher_new, a packet then
 * allocates nothing. In place throughout. */
#pragma once

#include "base/err.h"
#include "base/secret.h"
#include "base/view.h"

struct cipher_ops;
struct evp_cipher_st;

enum cipher_kind {
    CIPHER_NONE,   /* before the first NEWKEYS */
    CIPHER_STREAM, /* ctr, cbc: encrypts, knows no MAC */
    CIPHER_AEAD,   /* gcm, chachapoly: length field is additional data or encrypted apart, tag behind the packet */
};

struct cipher_desc {
    const char *name; /* wire name */
    enum cipher_kind kind;
    uint16_t key_bytes, iv_bytes, block_bytes, tag_bytes;
    bool length_encrypted;        /* the 4 length bytes are not readable as they come (ctr/cbc without etm, chachapoly) */
    bool is_default;              /* offered unless configured otherwise */
    uint16_t strength_bits;       /* for the size of DH groups: 112, 128, 192, 256 */
    const struct cipher_ops *ops; /* how it works, for cipher*.c only: its family, and libcrypto's getter of its primitive */
    const struct evp_cipher_st *(*evp)(void);
};

/* NULL when unknown. */
const struct cipher_desc *cipher_find(struct view name);
/* The table, in order of preference for a machine with AES instructions, ended by a NULL name. */
extern const struct cipher_desc cipher_table[];
/* Whether the CPU has AES instructions, which decides between AES-GCM and ChaCha20-Poly1305 as first choice. */
bool cipher_has_fast_aes(void);

struct cipher;
/* key and iv have the lengths of the description (ERR_BUG else); copied. for_sealing: encrypts, else decrypts. */
int cipher_new(const struct cipher_desc *desc, struct view key, struct view iv, bool for_sealing, struct cipher **ret) MUST_USE;
void cipher_free(struct cipher *c); /* NULL is fine; wipes */
DEFINE_FREEP(struct cipher, cipher_free)

/* AEAD. packet is 4 length bytes, then len bytes, then room for the tag. `sequence` is RFC 4253 6.4's. */
int cipher_aead_seal(struct cipher *c, uint32_t sequence, uint8_t *packet, size_t len) MUST_USE;
/* The tag is checked before anything is used; ERR_MAC (same time whatever was wrong; the packet's bytes are then of no use).
 * Length bytes are left as they came. */
int cipher_aead_open(struct cipher *c, uint32_t sequence, uint8_t *packet, size_t len) MUST_USE;
/* The packet length that the first 4 bytes say, without changing them. For CIPHER_AEAD only. */
int cipher_aead_length(struct cipher *c, uint32_t sequence, const uint8_t *packet, uint32_t *ret_len) MUST_USE;

/* STREAM. len is a multiple of block_bytes; state goes on from call to call. */
int cipher_stream(struct cipher *c, uint8_t *bytes, size_t len) MUST_USE;

/* The state between two packets: key and the IV as it is now, for export to another process. Each is desc's length; cipher_new with
 * them gives a cipher that goes on where this one stands. */
int cipher_state(const struct cipher *c, struct secret *ret_key, struct secret *ret_iv) MUST_USE;

/* Whole-buffer use by key files: any cipher but none, without length bytes and sequence. bytes is len bytes, for an AEAD with the
 * tag (or room for it) behind them. ERR_MAC as above. */
int cipher_whole(const struct cipher_desc *desc, struct view key, struct view iv, bool for_sealing, uint8_t *bytes, size_t len)
    MUST_USE;
