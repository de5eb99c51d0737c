/* Certificates: OpenSSH's PROTOCOL.certkeys. A parsed certificate is views into its blob and owns nothing. What the options mean to
 * a session is asked by cert_user_options; whether the CA is trusted is the caller's question. */
#pragma once

#include "key/key.h"

enum cert_kind {
    CERT_USER = 1,
    CERT_HOST = 2
};

enum {
    CERT_PRINCIPALS_MAX = 256, /* as OpenSSH */
    CERT_OPTIONS_MAX = 1024,   /* critical options, or extensions */
};

struct cert {
    const struct key_type *type; /* the certificate's row */
    enum cert_kind kind;
    uint64_t serial;
    struct view key_id;                 /* may hold any byte: vis before it is shown */
    uint64_t valid_after, valid_before; /* seconds of wall time, after <= now < before; 0 and UINT64_MAX: no bound */
    size_t n_principals;
    struct view principals, critical, extensions; /* raw lists, for the _next functions */
    struct view nonce;
    struct view ca_key;              /* blob; a plain key */
    struct view signature;           /* blob */
    struct view signature_algorithm; /* wire name in the signature: CASignatureAlgorithms is asked about it */
    struct view signed_bytes;        /* what the signature is over */
};

/* Everything is checked but the signature: ERR_KEY_TYPE (not a certificate, CA key not usable), ERR_FORMAT, ERR_TRUNCATED,
 * ERR_TRAILING, ERR_LIMIT, ERR_KEY_INVALID. All views are lent by blob. */
int cert_parse(struct view blob, struct cert *ret) MUST_USE;
/* 0 when the CA key in it made the signature; ERR_SIGNATURE, ERR_KEY_TYPE. Any algorithm counts, SHA-1 too: the caller compares
 * signature_algorithm with CASignatureAlgorithms first. */
int cert_verify_signature(const struct cert *c) MUST_USE;

/* Cuts the next one off a list; give it a copy of c->principals. False at the end. The list was checked by cert_parse. */
bool cert_next_principal(struct view *list, struct view *ret_name);
struct cert_option {
    struct view name, data; /* data is raw: for options with an argument a string (RFC 4251) */
};
bool cert_next_option(struct view *list, struct cert_option *ret);

/* Kind, time and principal. principal.p NULL: not asked. Host certificates may name patterns with * and ?. A certificate without
 * principals matches nothing. ERR_DENIED, then *ret_reason is a sentence ("Certificate invalid: expired"). */
int cert_check(const struct cert *c, enum cert_kind kind, struct view principal, int64_t now_s, const char **ret_reason) MUST_USE;

/* What a user certificate asks of the session. Views lent by the certificate. */
struct cert_user_options {
    struct view force_command, source_address; /* p NULL: none */
    bool verify_required, no_touch_required;
    bool permit_x11, permit_agent, permit_port_forwarding, permit_pty, permit_user_rc;
};
/* ERR_UNSUPPORTED for a critical option that we do not know (*ret_unknown is its name), ERR_FORMAT. */
int cert_user_options_get(const struct cert *c, struct cert_user_options *ret, struct view *ret_unknown) MUST_USE;
/* Of user certificates; others are passed over. */
bool cert_extension_is_known(struct view name);

/* The private key k presented as this certificate: a new key whose blob is the certificate and whose private half is k's.
 * ERR_KEY_MISMATCH when it certifies another key. */
int cert_join(const struct key *k, struct view cert_blob, struct key **ret) MUST_USE;
/* The plain key blob that a certificate certifies, appended. For a plain blob: the blob itself. */
int cert_plain_blob(struct view blob, struct buf *out) MUST_USE;

/* Making one. */
struct cert_option_text {
    const char *name, *value; /* value NULL: an option without argument */
};
struct cert_request {
    enum cert_kind kind;
    uint64_t serial;
    struct view key_id;
    const struct view *principals;
    size_t n_principals;
    uint64_t valid_after, valid_before; /* as in struct cert */
    const struct cert_option_text *critical, *extensions;
    size_t n_critical, n_extensions; /* put in the order of their names, as PROTOCOL.certkeys wants */
    struct view nonce;               /* random bytes: CERT_NONCE_BYTES */
};
enum {
    CERT_NONCE_BYTES = 32
};
/* Appends the certificate of key's public half for the CA, up to the signature: what the CA has to sign. ERR_KEY_TYPE (ca_blob or
 * key is a certificate), ERR_LIMIT, ERR_FORMAT (a name twice, NUL in a name), ERR_RANGE (valid_before <= valid_after). */
int cert_put_unsigned(const struct key *key, const struct cert_request *request, struct view ca_blob, struct buf *out) MUST_USE;
/* Adds the CA's signature to what cert_put_unsigned gave, and checks the whole: ERR_SIGNATURE, cert_parse's. ret: the certificate
 * as a key without private half. */
int cert_finish(struct view unsigned_bytes, struct view signature_blob, struct key **ret) MUST_USE;
/* Both, with a CA key at hand. algorithm: as key_sign's. */
int cert_sign(const struct key *key, const struct cert_request *request, const struct key *ca, struct view algorithm,
              struct key **ret) MUST_USE;
