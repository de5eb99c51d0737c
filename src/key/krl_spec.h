/* What ssh-keygen -k reads: files of keys and of KRL specification lines (ssh-keygen(1), KEY REVOCATION LISTS): serial:, id:, key:,
 * sha1:, sha256: and hash: lines, and public keys without a word before them. */
#pragma once

#include "key/krl.h"

enum {
    KRL_SPEC_WHY_BYTES = 256
};
struct krl_spec_ca {
    bool is_given;    /* serial: and id: need one */
    struct view blob; /* empty: every CA */
};
/* Adds all lines to k. A certificate without a word is added by its serial or key id, under its own CA. On failure k holds what
 * stood before the line: ERR_FORMAT with its number and a sentence about it; ERR_NOT_FOUND with a sentence alone (*ret_line 0)
 * where a CA is missing; ERR_LIMIT, ERR_NOMEM with an empty sentence. */
int krl_spec_add(struct krl *k, const struct krl_spec_ca *ca, struct view text, size_t *ret_line, char ret_why[KRL_SPEC_WHY_BYTES])
    MUST_USE;
