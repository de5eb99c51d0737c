/* A key that signs: from a private file, or one that an agent holds. For certificates and for signatures of files. */
#pragma once

#include "prog/keygen/keygen.h"

struct signer {
    struct key *key; /* private half there: signs itself; else the agent does */
    int agent;       /* socket, -1: none */
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
/* algorithm: as key_sign's. What an agent gave is verified. Appends the signature blob. */
int signer_sign(const struct signer *s, struct view algorithm, struct view data, struct buf *out) MUST_USE;
