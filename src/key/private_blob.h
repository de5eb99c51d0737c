/* The private half of a key as it stands in openssh-key-v1 files and in the agent's messages (draft-miller-ssh-agent 3.2): string
 * type, then the fields of the type. The comment stands behind it and is not part of it. */
#pragma once

#include "base/rd.h"
#include "base/wr.h"
#include "key/key.h"

/* ERR_KEY_INVALID for a key without private half. A certificate gives its type, the certificate, and the private fields. */
int private_blob_put(const struct key *k, struct wr *w) MUST_USE;
/* Gets one key from r. ERR_KEY_TYPE for unknown types, whose length nobody knows: nothing behind it can be read. ERR_FORMAT,
 * ERR_TRUNCATED, ERR_KEY_INVALID, ERR_KEY_MISMATCH. */
int private_blob_get(struct rd *r, struct key **ret) MUST_USE;
