/* SSHFP records: RFC 4255, 6594, 7479. */
#pragma once

#include "key/key.h"

/* Kinds of fingerprints. */
enum {
    SSHFP_SHA1 = 1,
    SSHFP_SHA256 = 2,
};
/* RFC 4255 3.1.1: RSA 1; 6594: ECDSA 3; 7479: Ed25519 4. 0: none, which goes for keys on tokens too. */
unsigned sshfp_algorithm(const struct key_type *t);
/* One line "HOST IN SSHFP ALGORITHM HASH HEX\n", or the generic form of RFC 3597 ("TYPE44 \# ..."), appended. A certificate's is
 * its plain key's. hash is SHA-1 or SHA-256. ERR_KEY_TYPE: there is no number for keys of this type. */
int sshfp_put(struct view host, const struct key *k, enum digest_alg hash, bool generic, struct buf *out) MUST_USE;
