/* A key that signs: from a private file (a security key's signs through its token), one that an agent holds, or one on a PKCS#11
 * token. For certificates and for signatures of files. */
#pragma once

#include "prog/keygen/keygen.h"

struct signer {
    struct key *key;            /* private half there: signs itself; else the agent does */
    int agent;                  /* socket, -1: none */
    struct token_pkcs11 *token; /* that has the key; NULL: none */
    size_t token_idx;
    const char *sk_provider; /* -w; NULL: the default */
};
#define SIGNER_INIT \
    {               \
        NULL, -1    \
    }
void signer_done(struct signer *s); /* for CLEANUP */
/* Connects to the agent of SSH_AUTH_SOCK. ERR_NOT_FOUND: the variable is not set or empty; ERR_SYS. */
int signer_connect(struct signer *s) MUST_USE;
/* Asks the agent, which is connected, whether it has the key; then s signs with it. Swallows public_key on success only.
 * ERR_NOT_FOUND. */
int signer_find(struct signer *s, struct key *public_key) MUST_USE;
/* Loads the module of -D, which has to have the key; then s signs with it. Swallows public_key on success only. 0, or the exit
 * status after saying what is wrong. */
int signer_open_token(struct signer *s, const struct keygen_options *o, struct key *public_key) MUST_USE;
/* algorithm: as key_sign's. What an agent gave is verified. Appends the signature blob. */
int signer_sign(const struct signer *s, struct view algorithm, struct view data, struct buf *out) MUST_USE;
