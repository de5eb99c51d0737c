/* Key agreement primitives, one const table entry per SSH key exchange method: RFC 4253 8, 8268, 4419 (the arithmetic), 5656, 8731,
 * draft-ietf-sshm-mlkem-hybrid-kex, draft-ietf-sshm-ntruprime-ssh. What travels in which message is proto/transport's. */
#pragma once

#include "base/buf.h"
#include "base/random.h"
#include "base/secret.h"
#include "crypto/digest.h"

enum kex_kind {
    KEX_ECDH,   /* opaque public strings in 30/31: ECDH, X25519, hybrids */
    KEX_DH,     /* mpints e and f in 30/31, fixed group */
    KEX_DH_GEX, /* RFC 4419 */
};

struct kex_method {
    const char *name; /* wire name */
    enum kex_kind kind;
    enum digest_alg digest;
    bool is_post_quantum;
    bool is_default_client, is_default_server;
    const struct kex_impl *impl;
};

const struct kex_method *kex_method_find(struct view name);
extern const struct kex_method kex_method_table[]; /* order of preference, ended by a NULL name */

/* One agreement. Public values: for KEX_ECDH the content of the string, for DH the magnitude of the mpint. */
struct kex_agreement;

/* For a KEX_DH_GEX method the group, else VIEW_EMPTY. Checks: p odd, 2048..8192 bits (min_bits may be lower only by
 * DH_MIN_BITS), g in 2..p-2; ERR_KEX_VALUE. secret_bits: RFC 4419 6.2, twice the strength wanted; 0 for fixed groups. */
struct kex_group {
    struct view p, g;
    unsigned strength_bits;
};
enum {
    DH_MIN_BITS = 2048,
    DH_MAX_BITS = 8192
};

/* Client: makes the ephemeral key and its public value (appended). group may be NULL for methods that have theirs. */
int kex_agreement_start(const struct kex_method *m, const struct kex_group *group, const struct random *rnd,
                        struct kex_agreement **ret, struct buf *ret_public) MUST_USE;
/* Client: the shared secret K from the server's public value, encoded as it enters the exchange hash and the key derivation
 * (mpint with its length, or for hybrids string with its length). ERR_KEX_VALUE for any value that must be refused: 0, 1, p-1, p
 * and above, a point not on the curve, the all-zero X25519 result, a wrong length. */
int kex_agreement_finish(struct kex_agreement *a, struct view server_public, struct secret *ret_shared) MUST_USE;
/* Server: both at once, from the client's public value. */
int kex_respond(const struct kex_method *m, const struct kex_group *group, const struct random *rnd, struct view client_public,
                struct buf *ret_public, struct secret *ret_shared) MUST_USE;
void kex_agreement_free(struct kex_agreement *a); /* wipes */
DEFINE_FREEP(struct kex_agreement, kex_agreement_free)

/* The built-in groups of RFC 3526 by size, for GEX when there is no moduli file: smallest with at least `bits`, within [min, max].
 * Views of static memory. ERR_NOT_FOUND. */
int kex_builtin_group(unsigned min_bits, unsigned bits, unsigned max_bits, struct view *ret_p, struct view *ret_g) MUST_USE;
