/* Digests, from libcrypto. */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum digest_alg {
    DIGEST_MD5,
    DIGEST_SHA1,
    DIGEST_SHA256,
    DIGEST_SHA384,
    DIGEST_SHA512,
    DIGEST_MAX
};
enum {
    DIGEST_MAX_BYTES = 64
};

size_t digest_len(enum digest_alg alg);
const char *digest_name(enum digest_alg alg);                          /* "SHA256" */
int digest_from_name(const char *name, enum digest_alg *ret) MUST_USE; /* any case; ERR_NOT_FOUND */

/* Digest of the parts one behind the other. ret_digest has digest_len bytes. */
int digest_parts(enum digest_alg alg, const struct view *parts, size_t n_parts, uint8_t *ret_digest) MUST_USE;
static inline int digest_once(enum digest_alg alg, struct view data, uint8_t *ret_digest)
{
    return digest_parts(alg, &data, 1, ret_digest);
}

/* Streaming. _final ends it (it must still be freed). */
struct digest;
int digest_new(enum digest_alg alg, struct digest **ret) MUST_USE;
int digest_update(struct digest *d, struct view data) MUST_USE;
int digest_final(struct digest *d, uint8_t *ret_digest) MUST_USE;
void digest_free(struct digest *d);
DEFINE_FREEP(struct digest, digest_free)
