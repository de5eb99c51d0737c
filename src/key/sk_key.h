/* Keys on FIDO security keys (OpenSSH's PROTOCOL.u2f): the private half is a handle that means something to the token alone, with
 * the application it was made for. */
#pragma once

#include "key/key.h"

/* Numbers of the middleware interface. */
enum sk_algorithm {
    SK_ECDSA = 0,
    SK_ED25519 = 1
};
enum {
    SK_USER_PRESENCE = 0x01,     /* a touch is required */
    SK_USER_VERIFICATION = 0x04, /* so is a PIN, a finger, ... */
    SK_FORCE = 0x10,             /* enroll: over a resident key of that name and user */
    SK_RESIDENT = 0x20,
    SK_HANDLE_BYTES_MAX = 4096,
};
#define SK_APPLICATION "ssh:"

/* A private key. public_key: 32 bytes, or a point 04||x||y. ERR_KEY_INVALID, ERR_KEY_TYPE (algorithm), ERR_LIMIT. */
int sk_key_make(uint32_t algorithm, struct view public_key, struct view application, uint8_t flags, struct view handle,
                struct key **ret) MUST_USE;

struct sk_key_parts {
    enum sk_algorithm algorithm;
    uint8_t flags;
    struct view application, handle; /* lent by the key */
};
/* ERR_KEY_INVALID: not the private half of a key on a security key. */
int sk_key_parts(const struct key *k, struct sk_key_parts *ret) MUST_USE;
/* Private halves only: another set of flags, as ssh-keygen -p -O does. ERR_KEY_INVALID. */
int sk_key_set_flags(struct key *k, uint8_t flags) MUST_USE;

/* Appends the signature blob of what a token gave: ECDSA's numbers, big-endian; Ed25519's 64 bytes in r. Not verified. */
int sk_signature_put(const struct key *k, uint8_t flags, uint32_t counter, struct view r, struct view s,
                     struct buf *ret_signature_blob) MUST_USE;
