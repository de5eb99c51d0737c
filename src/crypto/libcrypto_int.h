/* The way to libcrypto's headers for the files of crypto/: <openssl/types.h> has a type named ERR_STATE, which is one of our error
 * codes. */
#pragma once

#define ERR_STATE OPENSSL_ERR_STATE_TYPE
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#undef ERR_STATE

#include "base/err.h"
