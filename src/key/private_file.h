/* Files with a private key: openssh-key-v1 (OpenSSH's PROTOCOL.key) and, through libcrypto, PEM and PKCS#8. Bytes in, keys out:
 * reading the file, its permissions and asking for the passphrase are the caller's. */
#pragma once

#include "base/random.h"
#include "key/key.h"

enum {
    PRIVATE_FILE_BYTES_MAX = 1024 * 1024, /* larger files are refused with ERR_LIMIT, as OpenSSH does */
    PRIVATE_FILE_ROUNDS = 24,             /* default of ssh-keygen -a */
    PRIVATE_FILE_ROUNDS_MAX = 1 << 20,    /* a foreign file may not keep us busy for days */
};
#define PRIVATE_FILE_CIPHER "aes256-ctr"

/* passphrase.p NULL: none was asked for yet, an encrypted file gives ERR_PASSPHRASE_NEEDED. Wrong one: ERR_PASSPHRASE. ERR_FORMAT
 * for what is no private key at all, ERR_UNSUPPORTED for an unknown cipher or KDF, ERR_KEY_TYPE, and key_from_blob's. A passphrase
 * for a file without one is ignored. The comment in the file becomes the key's. */
int private_file_parse(struct view file, struct view passphrase, struct key **ret) MUST_USE;
/* The public key in clear, without passphrase. ERR_PASSPHRASE_NEEDED for an encrypted PEM file, which has none. No comment: it is
 * encrypted with the rest. */
int private_file_public(struct view file, struct key **ret) MUST_USE;

enum private_file_form {
    PRIVATE_FILE_OPENSSH,
    PRIVATE_FILE_PEM,
    PRIVATE_FILE_PKCS8
};
struct private_file_options {
    enum private_file_form form;
    struct view passphrase;      /* empty: not encrypted */
    struct view cipher;          /* wire name; empty: PRIVATE_FILE_CIPHER. OPENSSH form only */
    uint32_t rounds;             /* 0: PRIVATE_FILE_ROUNDS */
    const struct random *random; /* salt and check number; may be NULL for the other forms */
};
/* Appends the file's text. out should be BUF_INIT_SECRET. ERR_UNSUPPORTED for an unknown cipher, ERR_KEY_TYPE for a form that the
 * type does not have. */
int private_file_format(const struct key *k, const struct private_file_options *o, struct buf *out) MUST_USE;
/* Whether this cipher name would do. */
bool private_file_cipher_known(struct view name);
