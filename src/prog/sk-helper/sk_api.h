/* The C interface of OpenSSH's middleware libraries for security keys, written from its PROTOCOL.u2f. What a library gives it has
 * allocated with malloc(3) and is ours to free. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SK_API_VERSION_MAJOR 0x000a0000u
#define SK_API_VERSION_MAJOR_MASK 0xffff0000u

enum sk_api_error {
    SK_API_GENERAL = -1,
    SK_API_UNSUPPORTED = -2,
    SK_API_PIN_REQUIRED = -3,
    SK_API_DEVICE_NOT_FOUND = -4,
    SK_API_CREDENTIAL_EXISTS = -5,
};

struct sk_enroll_response {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};

struct sk_sign_response {
    uint8_t flags;
    uint32_t counter;
    uint8_t *sig_r;
    size_t sig_r_len;
    uint8_t *sig_s;
    size_t sig_s_len;
};

struct sk_resident_key {
    uint32_t alg;
    size_t slot;
    char *application;
    struct sk_enroll_response key;
    uint8_t flags;
    uint8_t *user_id;
    size_t user_id_len;
};

struct sk_option {
    char *name;
    char *value;
    uint8_t required; /* one that is not known is then an error */
};

struct sk_api {
    uint32_t (*version)(void);
    int (*enroll)(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
                  const char *pin, struct sk_option **options, struct sk_enroll_response **ret);
    int (*sign)(uint32_t alg, const uint8_t *message, size_t message_len, const char *application, const uint8_t *key_handle,
                size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options, struct sk_sign_response **ret);
    int (*load_resident_keys)(const char *pin, struct sk_option **options, struct sk_resident_key ***ret, size_t *ret_n);
};

void sk_enroll_response_free(struct sk_enroll_response *r);
void sk_sign_response_free(struct sk_sign_response *r);
void sk_resident_keys_free(struct sk_resident_key **keys, size_t n);
