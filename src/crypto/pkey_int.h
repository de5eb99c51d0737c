/* What a public key pair is inside: pkey.c counts, signs and verifies, a file for each family of keys makes and takes apart
 * libcrypto's objects, pkey_pem.c reads and writes PEM. */
#pragma once

#include "crypto/libcrypto_int.h"
#include "crypto/pkey.h"

enum {
    PKEY_RSA_MIN_BITS = 1024,
    PKEY_RSA_MAX_BITS = 16384,
    PKEY_RAW_SIGNATURE_MAX_BYTES = PKEY_RSA_MAX_BITS / 8, /* libcrypto's form; ECDSA's DER is far shorter */
    PKEY_N_PUBLIC = 2,
    PKEY_N_PRIVATE = 4,
};

struct pkey {
    unsigned refs;
    enum pkey_type type;
    bool has_private;
    EVP_PKEY *evp;
    uint8_t *public_bytes; /* holds what public views */
    struct view public[PKEY_N_PUBLIC];
    struct secret private[PKEY_N_PRIVATE]; /* in the order of struct pkey_private_parts */
};

/* The numbers of a libcrypto key, taken out of it. */
struct pkey_numbers {
    struct secret public[PKEY_N_PUBLIC], private[PKEY_N_PRIVATE];
};
void pkey_numbers_done(struct pkey_numbers *numbers);

struct pkey_family {
    /* Makes libcrypto's object from parts without leading zeros; priv may be NULL. All checks that pkey.h promises. */
    int (*build)(enum pkey_type type, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv, EVP_PKEY **ret);
    /* Gets the parts of an object of this family. *ret is empty before; on failure it may be partly filled. */
    int (*take_apart)(enum pkey_type type, EVP_PKEY *evp, bool with_private, struct pkey_numbers *ret);
    int (*generate)(enum pkey_type type, unsigned rsa_bits, EVP_PKEY **ret);
    /* Between our raw form of a signature and libcrypto's (at most PKEY_RAW_SIGNATURE_MAX_BYTES). */
    int (*signature_put)(const struct pkey *k, struct view raw, struct buf *out);
    int (*signature_get)(const struct pkey *k, struct view signature, uint8_t *ret_raw, size_t *ret_len);
    bool sign_is_checked; /* a fault in signing can give the key away and checking is cheap next to signing */
    bool has_digest;
};

extern const struct pkey_family pkey_ed25519_family, pkey_ec_family, pkey_rsa_family;

const struct pkey_family *pkey_family_of(enum pkey_type type);
/* ecdsa: the curve's type for libcrypto's name of it. ERR_KEY_TYPE. */
int pkey_ec_type(EVP_PKEY *evp, enum pkey_type *ret) MUST_USE;
/* A counted key of a libcrypto key's numbers, through all checks of pkey_from_*. evp stays the caller's. */
int pkey_from_evp(EVP_PKEY *evp, enum pkey_type type, bool with_private, struct pkey **ret) MUST_USE;

/* Number from bytes, in memory that is wiped when freed (BN_clear_free). NULL without memory. */
BIGNUM *pkey_bn_of(struct view magnitude);
static inline void pkey_bn_freep(BIGNUM **bn) { BN_clear_free(*bn); }
/* The named number of a key. ERR_KEY_INVALID when it has none. len 0: as long as it is. */
int pkey_bn_param(EVP_PKEY *evp, const char *name, size_t len, struct secret *ret) MUST_USE;
/* EVP_PKEY_fromdata. ERR_KEY_INVALID when libcrypto does not want it. */
int pkey_evp_of(const char *family, OSSL_PARAM_BLD *bld, bool with_private, EVP_PKEY **ret) MUST_USE;
static inline void pkey_evp_freep(EVP_PKEY **evp) { EVP_PKEY_free(*evp); }
static inline void pkey_bld_freep(OSSL_PARAM_BLD **bld) { OSSL_PARAM_BLD_free(*bld); }
