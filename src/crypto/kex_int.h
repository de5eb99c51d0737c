/* What kex.c and its kex_*.c share: how a method is put together. For this folder only. */
#pragma once

#include "crypto/kex.h"

/* A curve with fixed lengths, no state: the scalar is the private value of one agreement. */
struct kex_curve {
    size_t scalar_bytes, public_bytes, shared_bytes;
    int curve_id; /* libcrypto's NID */
    int (*make)(const struct kex_curve *c, const struct random *rnd, uint8_t *ret_scalar, uint8_t *ret_public) MUST_USE;
    /* ERR_KEX_VALUE when the peer's point is none or the result is one that must be refused. */
    int (*shared)(const struct kex_curve *c, const uint8_t *scalar, const uint8_t *peer_public, uint8_t *ret_shared) MUST_USE;
};
enum {
    KEX_CURVE_SCALAR_MAX = 66,
    KEX_CURVE_PUBLIC_MAX = 133,
    KEX_CURVE_SHARED_MAX = 66
};
extern const struct kex_curve kex_curve_x25519, kex_curve_nistp256, kex_curve_nistp384, kex_curve_nistp521;

/* A key encapsulation mechanism of which the client makes the key. */
struct kex_kem {
    size_t public_bytes, secret_bytes, ciphertext_bytes, shared_bytes;
    int (*keygen)(const struct random *rnd, uint8_t *ret_public, uint8_t *ret_secret) MUST_USE;
    int (*encaps)(const struct random *rnd, const uint8_t *public, uint8_t *ret_ciphertext, uint8_t *ret_shared) MUST_USE;
    int (*decaps)(const uint8_t *secret, const uint8_t *ciphertext, uint8_t *ret_shared) MUST_USE;
};
extern const struct kex_kem kex_kem_mlkem768, kex_kem_sntrup761;

/* A group of RFC 2409 6.2 or RFC 3526, whose generator is 2. */
struct kex_dh_group {
    struct view p;
    unsigned bits;
    unsigned exponent_bits;
};
extern const struct kex_dh_group kex_dh_group1, kex_dh_group14, kex_dh_group15, kex_dh_group16, kex_dh_group17, kex_dh_group18;

/* One construction. The secret of an agreement is a string of bytes in its own form. */
struct kex_impl {
    int (*start)(const struct kex_method *m, const struct kex_group *group, const struct random *rnd, struct secret *ret_private,
                 struct buf *ret_public) MUST_USE;
    int (*finish)(const struct kex_method *m, const struct kex_group *group, struct view private, struct view peer_public,
                  struct secret *ret_shared) MUST_USE;
    /* NULL: the server does what the client does. */
    int (*respond)(const struct kex_method *m, const struct kex_group *group, const struct random *rnd, struct view client_public,
                   struct buf *ret_public, struct secret *ret_shared) MUST_USE;
    const struct kex_curve *curve;
    const struct kex_kem *kem;
    const struct kex_dh_group *dh_group; /* NULL with start == kex_dh's: the group comes from the peer */
};
extern const struct kex_impl kex_impl_curve25519, kex_impl_nistp256, kex_impl_nistp384, kex_impl_nistp521;
extern const struct kex_impl kex_impl_dh_group1, kex_impl_dh_group14, kex_impl_dh_group16, kex_impl_dh_group18, kex_impl_dh_gex;
extern const struct kex_impl kex_impl_mlkem768_x25519, kex_impl_mlkem768_nistp256, kex_impl_sntrup761_x25519;

/* K as an mpint with its length, from a big-endian magnitude. Time depends on the number of leading zero bytes, as does the
 * encoding. */
int kex_shared_mpint(struct view magnitude, struct secret *ret_shared) MUST_USE;
/* K as a string with its length. */
int kex_shared_string(struct view k, struct secret *ret_shared) MUST_USE;
