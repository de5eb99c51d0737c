/* Signatures of files in OpenSSH's form (PROTOCOL.sshsig): the blob, its armour, and what is really signed. Who may sign is
 * allowed_signers.h's; reading the message is the caller's, who gives its digest. */
#pragma once

#include "key/key.h"

enum {
    SSHSIG_BYTES_MAX = 1024 * 1024 /* of a signature's file */
};
#define SSHSIG_HASH DIGEST_SHA512 /* default */

/* Views lent by the decoded bytes. */
struct sshsig {
    struct view key_blob; /* plain or certificate */
    struct view name_space;
    enum digest_alg hash;
    struct view signature; /* blob */
};
/* sha256 or sha512, as they stand in the signature. ERR_UNSUPPORTED. */
int sshsig_hash_from_name(struct view name, enum digest_alg *ret) MUST_USE;

/* From the file's text to its bytes, appended. ERR_FORMAT, ERR_LIMIT. */
int sshsig_unarmour(struct view text, struct buf *out) MUST_USE;
int sshsig_armour(struct view bytes, struct buf *out) MUST_USE;

/* The signature itself is not checked. ERR_FORMAT, ERR_TRUNCATED, ERR_TRAILING; ERR_UNSUPPORTED for another version or hash. */
int sshsig_parse(struct view bytes, struct sshsig *ret) MUST_USE;
int sshsig_put(const struct sshsig *s, struct buf *out) MUST_USE;

/* Appends what the key signs for a message with this digest. s needs name_space, which may not be empty (ERR_FORMAT), and hash. */
int sshsig_put_signed_data(const struct sshsig *s, const uint8_t *digest, struct buf *out) MUST_USE;
/* 0 when key_blob's key made the signature for the digest. ERR_SIGNATURE; ERR_KEY_TYPE, also for RSA with SHA-1. Namespace and
 * right to sign are other questions. */
int sshsig_verify(const struct sshsig *s, const uint8_t *digest) MUST_USE;
/* With a key at hand. Appends the blob; RSA signs with SHA-512. */
int sshsig_sign(const struct key *k, struct view name_space, enum digest_alg hash, const uint8_t *digest, struct buf *out) MUST_USE;
