/* Inside of a key, for this folder only. */
#pragma once

#include "base/rd.h"
#include "base/wr.h"
#include "key/key.h"

enum {
    KEY_BLOB_BYTES_MAX = 64 * 1024,    /* certificates with many principals included */
    KEY_COMMENT_BYTES_MAX = 16 * 1024, /* of a .pub line or a private file */
};

struct key {
    unsigned refs;
    const struct key_type *type;
    struct pkey *pkey;        /* always there; of an sk key the public half only */
    struct buf blob;          /* as it came */
    struct buf plain;         /* certificates: the blob of the certified key; else empty */
    struct buf application;   /* sk */
    struct secret sk_private; /* sk: byte flags, string key handle, string reserved, as in private key files */
    char *comment;            /* NULL: none */
};

/* The fields of a public key behind the type's name (and behind a certificate's nonce), lent by the blob. */
struct key_fields {
    struct pkey_public_parts parts;
    struct view application;
};
/* Only the shape is checked and, for ECDSA, the name of the curve; errors stay in r. */
struct key_fields key_fields_get(struct rd *r, const struct key_type *t);
void key_fields_put(struct wr *w, const struct key_type *t, const struct key_fields *f);

/* "nistp256" and so on; NULL for what is no curve. */
const char *key_curve_name(enum pkey_type type);

/* A key of the row t (one that has blobs) from a pkey and what belongs to its fields. blob empty: made here. */
int key_make(const struct key_type *t, struct pkey *take_pkey, struct view application, struct view blob, struct key **ret)
    MUST_USE;
/* The name of the row a plain blob of this kind of key has. */
const struct key_type *key_type_plain(const struct key_type *t);
/* The row of the plain signature algorithm to sign with; empty: the key's own. NULL: it does not belong to the key. */
const struct key_type *key_signing_type(const struct key *k, struct view algorithm);
/* First string of a blob as a row that blobs have; NULL otherwise. Reads on in r. */
const struct key_type *key_type_read(struct rd *r);
