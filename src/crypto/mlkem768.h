/* ML-KEM-768 (FIPS 203). Our own, constant time; Keccak from libcrypto. Every function is deterministic in its arguments. */
#pragma once

#include "base/err.h"

enum {
    MLKEM768_PUBLIC_BYTES = 1184,
    MLKEM768_SECRET_BYTES = 2400,
    MLKEM768_CIPHERTEXT_BYTES = 1088,
    MLKEM768_SHARED_BYTES = 32,
    MLKEM768_KEYGEN_COINS = 64 /* d then z */,
    MLKEM768_ENCAPS_COINS = 32
};

/* Algorithms 16, 17, 18. ERR_CRYPTO when libcrypto fails. */
int mlkem768_keygen(const uint8_t coins[64], uint8_t ret_public[1184], uint8_t ret_secret[2400]) MUST_USE;
/* ERR_KEX_VALUE when the public key fails the modulus check of 7.2. */
int mlkem768_encaps(const uint8_t coins[32], const uint8_t public[1184], uint8_t ret_ciphertext[1088], uint8_t ret_shared[32])
    MUST_USE;
/* Implicit rejection: a bad ciphertext gives a pseudo-random secret, not an error. */
int mlkem768_decaps(const uint8_t secret[2400], const uint8_t ciphertext[1088], uint8_t ret_shared[32]) MUST_USE;
