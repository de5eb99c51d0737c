#include "crypto/crypto.h"

#include "crypto/libcrypto_int.h"
#include "crypto/provider_int.h"

enum {
    START = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_ATEXIT
};

/* These fail only without memory; every later call then fails by itself and says so. */
void crypto_start(void) { (void)OPENSSL_init_crypto(START, NULL); }

/* The names of what we use ourselves have to be there before the first use of any of them: libcrypto looks its numeric identifiers
 * up there once, and PEM needs those. */
void crypto_start_alone(void)
{
    (void)OPENSSL_init_crypto(START | OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS, NULL);
    const EVP_CIPHER *const ciphers[] = { EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc(), EVP_des_ede3_cbc() };
    const EVP_MD *const digests[] = { EVP_md5(), EVP_sha1(), EVP_sha256(), EVP_sha384(), EVP_sha512() };
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) (void)EVP_add_cipher(ciphers[i]);
    for (size_t i = 0; i < ARRAY_LEN(digests); i++) (void)EVP_add_digest(digests[i]);
    provider_select();
}

const char *crypto_library_version(void) { return OpenSSL_version(OPENSSL_VERSION); }
