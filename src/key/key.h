/* SSH keys and signatures in their wire forms: RFC 4253 6.6, 5656 3, 8332, 8709; OpenSSH's PROTOCOL.certkeys and PROTOCOL.u2f. A
 * key type is one row of key_type_table. Files and lines that hold keys: private_file.h, public_line.h, known_hosts.h,
 * authorized_keys.h. */
#pragma once

#include "base/buf.h"
#include "crypto/digest.h"
#include "crypto/pkey.h"

/* A row for every wire name of a key or signature algorithm. */
struct key_type {
    const char *name;       /* wire name: "ssh-ed25519", "rsa-sha2-512", "ssh-ed25519-cert-v01@openssh.com" */
    const char *short_name; /* as ssh-keygen -l prints: "ED25519" */
    const char
        *blob_name; /* name inside the key blob: "ssh-rsa" for rsa-sha2-512; the plain name for a certificate's is plain_name */
    const char *plain_name; /* of a certificate algorithm the plain algorithm, else name */
    enum pkey_type pkey;
    enum digest_alg digest;
    bool is_cert, is_sk;
    bool sig_only;   /* no key blob has this name: rsa-sha2-256, rsa-sha2-512, webauthn-... */
    bool is_default; /* in the default lists of HostKeyAlgorithms, PubkeyAcceptedAlgorithms */
};
extern const struct key_type key_type_table[]; /* order of preference, ended by a NULL name */
const struct key_type *key_type_find(struct view name);

struct key; /* public or private, plain, certificate or sk; counted */
struct key *key_ref(struct key *k);
void key_unref(struct key *k);
DEFINE_FREEP(struct key, key_unref)

/* The row whose name is in the blob: for RSA "ssh-rsa". */
const struct key_type *key_type_of(const struct key *k);
unsigned key_bits(const struct key *k);
bool key_has_private(const struct key *k);
struct view key_blob(const struct key *k);    /* public blob, lent by k */
const char *key_comment(const struct key *k); /* "" if none; lent */
int key_set_comment(struct key *k, struct view comment) MUST_USE;
bool key_equal_public(const struct key *a, const struct key *b); /* certificates: the certified key counts, not the certificate */
struct view key_sk_application(const struct key *k);             /* of a security key's: "ssh:"; else empty; lent */
const struct pkey *key_pkey(const struct key *k);                /* NULL for sk private halves */

/* ERR_FORMAT, ERR_TRUNCATED, ERR_TRAILING, ERR_KEY_TYPE, ERR_KEY_INVALID, ERR_KEY_LENGTH. */
int key_from_blob(struct view blob, struct key **ret) MUST_USE;
int key_generate(const struct key_type *type, unsigned bits /* 0: default */, struct key **ret) MUST_USE;
int key_from_pkey(struct pkey *take_pkey, struct key **ret) MUST_USE; /* swallows the reference, also on failure */

/* Signature blobs: string algorithm, string signature (4253 6.6). algorithm: wire name to sign with ("rsa-sha2-512"); empty: the
 * key's own. */
int key_sign(const struct key *k, struct view algorithm, struct view data, struct buf *ret_signature_blob) MUST_USE;
/* 0; ERR_SIGNATURE; ERR_FORMAT; ERR_KEY_TYPE when the signature's algorithm does not belong to the key or is not `algorithm`
 * (empty: any that belongs), and when `algorithm` is a certificate's and the key is none or the other way round. For certificate
 * keys checks with the certified key; validity of the certificate is another question (cert.h). */
int key_verify(const struct key *k, struct view algorithm, struct view data, struct view signature_blob) MUST_USE;
/* The same from blobs: what transport and monitor use. */
int key_verify_blob(struct view key_blob, struct view algorithm, struct view data, struct view signature_blob) MUST_USE;
/* What a security key said of its user in a signature (PROTOCOL.u2f): whoever wants touch or verification checks the flags after
 * key_verify. ERR_NOT_FOUND: not made by a security key. */
enum {
    KEY_SK_USER_PRESENT = 0x01,
    KEY_SK_USER_VERIFIED = 0x04
};
int key_signature_sk_details(struct view signature_blob, uint8_t *ret_flags, uint32_t *ret_counter) MUST_USE;

/* "SHA256:base64" or "MD5:aa:bb". Heap string in *ret. A certificate's is that of the certified key. */
int key_fingerprint(struct view blob, enum digest_alg alg, char **ret) MUST_USE;
/* The drunken bishop: 11 lines with frame, newline between them. */
int key_randomart(const struct key *k, enum digest_alg alg, char **ret) MUST_USE;
/* The SHA-1 of a blob as pronounceable syllables ("xibac-...-xux"), ssh-keygen -B. */
int key_bubblebabble(struct view blob, char **ret) MUST_USE;
/* "ED25519" etc. of a blob, "unknown" when it is not a key. */
const char *key_short_name(struct view blob);
