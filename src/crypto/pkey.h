/* Public key pairs and their signatures, on libcrypto. Knows numbers and curves, not SSH's encodings: those are key/'s. */
#pragma once

#include "base/buf.h"
#include "base/random.h"
#include "base/secret.h"
#include "crypto/digest.h"

enum pkey_type {
    PKEY_ED25519,
    PKEY_ECDSA_P256,
    PKEY_ECDSA_P384,
    PKEY_ECDSA_P521,
    PKEY_RSA,
    PKEY_TYPE_MAX
};

struct pkey; /* public or pair; counted */
struct pkey *pkey_ref(struct pkey *k);
void pkey_unref(struct pkey *k); /* NULL is fine */
DEFINE_FREEP(struct pkey, pkey_unref)

/* Parts, each lent by the key while it lives or given by the caller. Big-endian magnitudes without leading zeros for numbers.
 * ed25519: a = public 32 bytes, private = seed 32 bytes.  ecdsa: a = point 04||x||y, private = scalar.
 * rsa: a = e, b = n; private parts d, iqmp, p, q. */
struct pkey_public_parts {
    struct view a, b;
};
struct pkey_private_parts {
    struct view a; /* ed25519 seed, ecdsa scalar, rsa d */
    struct view rsa_iqmp, rsa_p, rsa_q;
};

int pkey_generate(enum pkey_type type, unsigned rsa_bits, struct pkey **ret) MUST_USE;
/* ERR_KEY_INVALID: point not on the curve, e even or 1, wrong length. ERR_KEY_LENGTH: RSA under 1024 or over 16384 bits. */
int pkey_from_public(enum pkey_type type, const struct pkey_public_parts *pub, struct pkey **ret) MUST_USE;
/* As above and ERR_KEY_MISMATCH when the halves do not belong together. */
int pkey_from_private(enum pkey_type type, const struct pkey_public_parts *pub, const struct pkey_private_parts *priv,
                      struct pkey **ret) MUST_USE;

enum pkey_type pkey_type_of(const struct pkey *k);
bool pkey_has_private(const struct pkey *k);
unsigned pkey_bits(const struct pkey *k);
void pkey_public(const struct pkey *k, struct pkey_public_parts *ret);           /* lent by k */
int pkey_private(const struct pkey *k, struct pkey_private_parts *ret) MUST_USE; /* lent by k; ERR_KEY_INVALID: public only */

/* Raw signatures: ed25519 64 bytes; rsa PKCS#1 v1.5 of modulus length; ecdsa r and s as two SSH mpints one behind the other.
 * digest is ignored for ed25519. What RSA and ECDSA made is verified before it is given out (ERR_CRYPTO). Appends, on failure
 * nothing. */
int pkey_sign(const struct pkey *k, enum digest_alg digest, struct view data, struct buf *ret_signature) MUST_USE;
/* 0 or ERR_SIGNATURE. An RSA signature shorter than the modulus is padded as OpenSSH does, a longer one refused. */
int pkey_verify(const struct pkey *k, enum digest_alg digest, struct view data, struct view signature) MUST_USE;

/* PEM and PKCS#8 private keys (RSA, EC, Ed25519; also "BEGIN RSA/EC PRIVATE KEY", encrypted ones too) by libcrypto.
 * ERR_PASSPHRASE_NEEDED (passphrase.p NULL), ERR_PASSPHRASE, ERR_FORMAT, ERR_KEY_TYPE. */
int pkey_from_pem(struct view pem, struct view passphrase, struct pkey **ret) MUST_USE;
enum pkey_pem {
    PKEY_PEM_TRADITIONAL,
    PKEY_PEM_PKCS8,
    PKEY_PEM_PUBLIC_PKCS8,
    PKEY_PEM_PUBLIC_PKCS1
};
/* A passphrase of no length: not encrypted. ERR_UNSUPPORTED: ed25519 as TRADITIONAL or PUBLIC_PKCS1; ERR_KEY_INVALID: the private
 * form of a public key. ECDSA as PUBLIC_PKCS1 is written as PUBLIC_PKCS8, as OpenSSH does. */
int pkey_to_pem(const struct pkey *k, enum pkey_pem form, struct view passphrase, struct buf *out) MUST_USE;
int pkey_from_public_pem(struct view pem, struct pkey **ret) MUST_USE;
/* The key that an X.509 certificate (DER) is about; nothing else in it is looked at, bytes behind it are not minded. ERR_FORMAT,
 * ERR_KEY_TYPE. */
int pkey_from_certificate(struct view der, struct pkey **ret) MUST_USE;
