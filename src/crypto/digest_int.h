/* libcrypto's side of digest.h, for the rest of crypto/. */
#pragma once

#include "crypto/digest.h"
#include "crypto/libcrypto_int.h"

const EVP_MD *digest_evp(enum digest_alg alg); /* static */
