/* bcrypt_pbkdf, the KDF of openssh-key-v1 private key files. */
#pragma once

#include "base/err.h"
#include "base/view.h"

/* ERR_RANGE for an empty passphrase or salt, rounds 0, or key_len 0 or over 1024. */
int bcrypt_pbkdf(struct view passphrase, struct view salt, uint32_t rounds, uint8_t *ret_key, size_t key_len) MUST_USE;
