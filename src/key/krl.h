/* Key revocation lists in OpenSSH's binary form (PROTOCOL.krl): reading, asking, adding to, writing. Bytes in, bytes out: files and
 * the clock are the caller's. What sshd and ssh ask of a revocation file, which may also be text, is revoked.h's. */
#pragma once

#include "key/key.h"

enum {
    KRL_BYTES_MAX = 128 * 1024 * 1024, /* of a file, as OpenSSH */
    KRL_CAS_MAX = 4096,                /* certificate authorities in one list */
    KRL_RANGES_MAX = 1 << 24,          /* separate ranges of serials: a bitmap of 1 MiB can spell 4 million */
    KRL_BITMAP_BITS_MAX = 1 << 24,     /* of one bitmap, as OpenSSH */
    KRL_ITEMS_MAX = 1 << 24,           /* keys, hashes or key ids in one set */
};

struct krl;
/* Empty, version 0. ERR_NOMEM. */
int krl_new(struct krl **ret) MUST_USE;
void krl_free(struct krl *k);
DEFINE_FREEP(struct krl, krl_free)

/* Whether the file begins as a KRL does. */
bool krl_is_binary(struct view file);
/* Keeps nothing of file. ERR_FORMAT, ERR_TRUNCATED, ERR_TRAILING, ERR_LIMIT, ERR_NOMEM; ERR_UNSUPPORTED for what has to be
 * understood and is not: another format version, an unknown section, a critical extension, a signature. */
int krl_parse(struct view file, struct krl **ret) MUST_USE;

struct krl_header {
    uint64_t version, generated_s; /* seconds of wall time */
    struct view comment;           /* lent by the list; set: copied */
};
struct krl_header krl_header_get(const struct krl *k);
int krl_header_set(struct krl *k, struct krl_header h) MUST_USE;

/* Adding. ca: the CA's public blob (a plain key), empty for every CA. What is there already is no error. ERR_RANGE (serials with
 * first > last or first 0: a certificate without serial has 0, so it cannot be named), ERR_LIMIT, ERR_NOMEM, ERR_KEY_TYPE,
 * ERR_FORMAT. */
struct krl_serials {
    uint64_t first, last; /* both included */
};
int krl_add_serials(struct krl *k, struct view ca, struct krl_serials serials) MUST_USE;
int krl_add_key_id(struct krl *k, struct view ca, struct view key_id) MUST_USE;
/* A blob; of a certificate the certified key. */
int krl_add_key(struct krl *k, struct view blob) MUST_USE;
/* digest: DIGEST_SHA1 or DIGEST_SHA256 of a plain blob. */
int krl_add_digest(struct krl *k, enum digest_alg alg, struct view digest) MUST_USE;
/* The same, computed from the blob here. */
int krl_add_key_by_digest(struct krl *k, enum digest_alg alg, struct view blob) MUST_USE;
/* A certificate blob by its serial or, if that is 0, its key id, under its CA. ERR_KEY_TYPE: it is none. */
int krl_add_certificate(struct krl *k, struct view cert_blob) MUST_USE;

/* Whether the key is revoked, itself or by a hash; of a certificate also its CA's key, and its serial (never 0) and key id in its
 * CA's section or in the one for every CA. What cannot be decided (not a key, no memory) is revoked. Sorts what was added first. */
bool krl_has(struct krl *k, struct view blob);

/* Appends the file: sorted, serials in the shortest of list, range and bitmap. */
int krl_format(struct krl *k, struct buf *out) MUST_USE;

/* Everything in it, in the order of the file. Start with *cursor zeroed; false at the end. Views are lent until the next add. */
enum krl_entry_kind {
    KRL_ENTRY_KEY,
    KRL_ENTRY_SHA256,
    KRL_ENTRY_SHA1,
    KRL_ENTRY_CA, /* the following are of this CA; bytes: its blob, empty for every CA */
    KRL_ENTRY_SERIALS,
    KRL_ENTRY_KEY_ID,
};
struct krl_cursor {
    size_t part, idx;
};
struct krl_entry {
    enum krl_entry_kind kind;
    struct view bytes; /* blob, digest or key id */
    struct krl_serials serials;
};
bool krl_next(struct krl *k, struct krl_cursor *cursor, struct krl_entry *ret);
