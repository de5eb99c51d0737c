/* What a PKCS#11 token says of its keys, and what it signs, in SSH's terms: attributes of PKCS#11 2.40 and 3.0 (CKA_MODULUS,
 * CKA_EC_PARAMS, ...) to public keys, data to the input of a mechanism, raw signatures to signature blobs. Bytes in, structs out:
 * it knows no module. All of it is foreign: a token's attributes are whatever was stored there. */
#pragma once

#include "key/key.h"

/* CKK_RSA: big-endian numbers, leading zeros allowed. ERR_KEY_INVALID, ERR_KEY_LENGTH. */
int token_key_rsa(struct view modulus, struct view exponent, struct key **ret) MUST_USE;
/* CKK_EC, CKK_EC_EDWARDS: params is the DER of a curve's name (an OID; for Ed25519 also the PrintableString "edwards25519"); the
 * point stands in a DER OCTET STRING as PKCS#11 wants, or bare as some modules have it. ERR_KEY_TYPE: another curve; ERR_FORMAT;
 * ERR_KEY_INVALID. */
int token_key_ec(struct view params, struct view point, struct key **ret) MUST_USE;
/* CKC_X_509: the key that the certificate (DER) is about. ERR_FORMAT, ERR_KEY_TYPE. */
int token_key_certificate(struct view der, struct key **ret) MUST_USE;

/* Appends what the token is to sign so that it is a signature of data with algorithm (empty: the key's own; RSA: rsa-sha2-512).
 * RSA for CKM_RSA_PKCS: a DigestInfo (RFC 8017 9.2); ECDSA for CKM_ECDSA: the digest; Ed25519 for CKM_EDDSA: the data.
 * ERR_KEY_TYPE: no algorithm of this key. */
int token_sign_input(const struct key *k, struct view algorithm, struct view data, struct buf *out) MUST_USE;
/* Appends the signature blob (RFC 4253 6.6) of what the mechanism gave: RSA of modulus length; ECDSA r and s of one length, one
 * behind the other; Ed25519 64 bytes. ERR_SIGNATURE: of no such shape. It is not verified. */
int token_sign_output(const struct key *k, struct view algorithm, struct view raw, struct buf *ret_signature_blob) MUST_USE;
