/* The agent protocol for clients (draft-miller-ssh-agent, OpenSSH's PROTOCOL.agent): requests as bytes, answers parsed. A codec
 * without state and without I/O: the caller writes what a *_put makes, reads one frame (agent_frame_next) and gives its body to the
 * *_get of the same name. One request at a time, or several in a row: answers come in order. */
#pragma once

#include "base/buf.h"
#include "base/rd.h"
#include "key/key.h"

enum {
    AGENT_FRAME_BYTES_MAX = 256 * 1024, /* body of a message, as OpenSSH */
    AGENT_IDENTITIES_MAX = 2048,        /* in one answer, as OpenSSH */
    AGENT_SIGN_RSA_SHA256 = 2,
    AGENT_SIGN_RSA_SHA512 = 4,
};

/* Message numbers. */
enum agent_message {
    AGENT_FAILURE = 5,
    AGENT_SUCCESS = 6,
    AGENT_REQUEST_IDENTITIES = 11,
    AGENT_IDENTITIES_ANSWER = 12,
    AGENT_SIGN_REQUEST = 13,
    AGENT_SIGN_RESPONSE = 14,
    AGENT_ADD_IDENTITY = 17,
    AGENT_REMOVE_IDENTITY = 18,
    AGENT_REMOVE_ALL = 19,
    AGENT_ADD_SMARTCARD = 20,
    AGENT_REMOVE_SMARTCARD = 21,
    AGENT_LOCK = 22,
    AGENT_UNLOCK = 23,
    AGENT_ADD_ID_CONSTRAINED = 25,
    AGENT_ADD_SMARTCARD_CONSTRAINED = 26,
    AGENT_EXTENSION = 27,
    AGENT_EXTENSION_FAILURE = 28,
    AGENT_EXTENSION_RESPONSE = 29,
};

/* Framing: u32 length and body. 1: *ret_body is the first whole body in bytes and *ret_used what it takes with its length; 0: more
 * bytes are needed; ERR_LIMIT: longer than AGENT_FRAME_BYTES_MAX or empty. */
int agent_frame_next(struct view bytes, struct view *ret_body, size_t *ret_used) MUST_USE;

/* Requests: each appends one whole frame; on failure out is as before. */
int agent_put_request_identities(struct buf *out) MUST_USE;
/* algorithm: wire name to sign with; for RSA it sets the flag (rsa-sha2-256, rsa-sha2-512, their -cert- forms). */
int agent_put_sign(struct buf *out, struct view key_blob, struct view data, struct view algorithm) MUST_USE;
struct agent_constraints {
    uint32_t lifetime_s; /* 0: none */
    bool confirm;
    struct view sk_provider;  /* empty: none */
    struct view destinations; /* body of restrict-destination-v00@openssh.com; empty: none */
    struct view certs;        /* tokens only: certificates as strings, for its keys (associated-certs-v00@openssh.com) */
    bool certs_only;          /* tokens only: the keys themselves are not wanted */
};
/* The key with its private half and its comment. constraints may be NULL. */
int agent_put_add(struct buf *out, const struct key *k, struct view comment, const struct agent_constraints *constraints) MUST_USE;
int agent_put_remove(struct buf *out, struct view key_blob) MUST_USE;
int agent_put_remove_all(struct buf *out) MUST_USE;
/* A PKCS#11 provider, by its path: adds, or removes, the keys of its tokens. constraints may be NULL. */
int agent_put_token_add(struct buf *out, struct view provider, struct view pin, const struct agent_constraints *constraints)
    MUST_USE;
int agent_put_token_remove(struct buf *out, struct view provider, struct view pin) MUST_USE;
int agent_put_lock(struct buf *out, struct view passphrase, bool lock) MUST_USE;
/* session-bind@openssh.com: tells the agent which connection it is asked from or forwarded over. */
int agent_put_session_bind(struct buf *out, struct view host_key, struct view session_id, struct view signature, bool is_forwarding)
    MUST_USE;
/* The query extension; its answer is agent_get_extension_response. */
int agent_put_query(struct buf *out) MUST_USE;

/* Answers, from one body. ERR_AGENT_REFUSED: FAILURE or EXTENSION_FAILURE. ERR_UNEXPECTED_MESSAGE: another number than fits. All
 * views are lent by body. */
int agent_get_success(struct view body) MUST_USE;
struct agent_identities {
    uint32_t n;
    struct rd rest;
};
int agent_get_identities(struct view body, struct agent_identities *ret) MUST_USE; /* ERR_LIMIT over AGENT_IDENTITIES_MAX */
/* 1: one more; 0: that was all; negative: a malformed answer. Blobs are not checked: unknown types may be among them. */
int agent_identities_next(struct agent_identities *list, struct view *ret_blob, struct view *ret_comment) MUST_USE;
/* The signature blob, ready for the wire. Not verified. */
int agent_get_signature(struct view body, struct view *ret_signature) MUST_USE;
/* EXTENSION_RESPONSE: string name, then the extension's own bytes. */
int agent_get_extension_response(struct view body, struct view *ret_name, struct view *ret_data) MUST_USE;
