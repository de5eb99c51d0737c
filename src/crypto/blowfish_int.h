/* Blowfish's key schedule as bcrypt needs it; libcrypto has the cipher only in its legacy provider, and no way to this schedule at
 * all. For this folder only. */
#pragma once

#include <stdint.h>

enum {
    BLOWFISH_ROUNDS = 16,
    BLOWFISH_P_WORDS = BLOWFISH_ROUNDS + 2
};

struct blowfish_key {
    uint32_t p[BLOWFISH_P_WORDS];
    uint32_t s[4][256];
};

extern const struct blowfish_key blowfish_pi;
