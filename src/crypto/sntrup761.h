/* Streamlined NTRU Prime sntrup761 (round 3). Our own, constant time; SHA-512 from libcrypto. */
#pragma once

#include "base/random.h"

enum {
    SNTRUP761_PUBLIC_BYTES = 1158,
    SNTRUP761_SECRET_BYTES = 1763,
    SNTRUP761_CIPHERTEXT_BYTES = 1039,
    SNTRUP761_SHARED_BYTES = 32
};

int sntrup761_keygen(const struct random *rnd, uint8_t ret_public[1158], uint8_t ret_secret[1763]) MUST_USE;
int sntrup761_encaps(const struct random *rnd, const uint8_t public[1158], uint8_t ret_ciphertext[1039], uint8_t ret_shared[32])
    MUST_USE;
/* Implicit rejection. */
int sntrup761_decaps(const uint8_t secret[1763], const uint8_t ciphertext[1039], uint8_t ret_shared[32]) MUST_USE;
