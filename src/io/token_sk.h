/* FIDO security keys, for ssh, ssh-agent, ssh-add and ssh-keygen. The library that speaks to them lives in a helper process
 * (token_helper.h), one for each operation: most of them wait for a person's touch, and an operation that is freed is over. */
#pragma once

#include "io/token_helper.h"
#include "key/sk_key.h"

struct token_sk;

struct token_sk_config {
    const char *provider; /* "internal": libfido2; or the path of a middleware library (OpenSSH's PROTOCOL.u2f) */
    const char *device;   /* NULL: any */
    struct view pin;      /* p NULL: none */
    bool verbose;
};

struct token_sk_enroll {
    enum sk_algorithm algorithm;
    uint8_t flags; /* SK_* */
    const char *application;
    const char *user; /* of a resident key; NULL: none */
    struct view challenge;
};
/* Each starts an operation: ERR_SYS: the helper cannot be started; ERR_LIMIT: something is too long. */
int token_sk_start_enroll(const struct token_sk_config *config, const struct token_sk_enroll *what, struct token_sk **ret) MUST_USE;
/* k: a private half with its handle; it is referenced. ERR_KEY_INVALID: it is none. */
int token_sk_start_sign(const struct token_sk_config *config, struct key *k, struct view data, struct token_sk **ret) MUST_USE;
/* Resident keys: a PIN is needed. */
int token_sk_start_list(const struct token_sk_config *config, struct token_sk **ret) MUST_USE;
void token_sk_free(struct token_sk *s); /* also in the midst of it; NULL is fine */
DEFINE_FREEP(struct token_sk, token_sk_free)

int token_sk_fd(const struct token_sk *s); /* to be watched for reading */
/* Without waiting. True: ENROLLED, SIGNED, LISTED or FAILED; it is over then. */
bool token_sk_next(struct token_sk *s, struct token_event *ret) MUST_USE;
struct token_event token_sk_wait(struct token_sk *s);

/* After ENROLLED (one) and LISTED: private halves, lent by s. user: the user id that a resident key was made for. */
struct token_sk_key {
    struct key *key;
    struct view user;
};
size_t token_sk_n_keys(const struct token_sk *s);
struct token_sk_key token_sk_key(const struct token_sk *s, size_t idx);
/* After ENROLLED: what ssh-keygen writes as attestation (PROTOCOL.u2f: "ssh-sk-attest-v01"). */
int token_sk_attestation(const struct token_sk *s, struct buf *out) MUST_USE;
