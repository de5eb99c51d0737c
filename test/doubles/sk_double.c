/* A stand-in for a FIDO security key behind OpenSSH's middleware interface (PROTOCOL.u2f), for tests: there is no hardware.
 * Software keys by libcrypto; as with many real tokens the key handle is the private key, wrapped (here: not at all). It touches
 * itself.
 *
 * What there is of state is in the folder that SK_DOUBLE names:
 *   pin        if there: the PIN
 *   counter    of signatures
 *   resident.N resident keys
 *   log        a line for each call
 *   mode       how to misbehave: no-device, refuse, crash, wrong-signature, no-answer, long-handle, old-version; wait: until it is
 * another */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prog/sk-helper/sk_api.h"

#define EXPORT __attribute__((visibility("default")))

enum {
    MAGIC_BYTES = 6,
    PRESENCE = 0x01,
    VERIFICATION = 0x04,
    FORCE = 0x10,
    RESIDENT = 0x20,
    RESIDENT_MAX = 16,
};
static const char magic[] = "DOUBLE";

uint32_t sk_api_version(void);
int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags, const char *pin,
              struct sk_option **options, struct sk_enroll_response **ret);
int sk_sign(uint32_t alg, const uint8_t *message, size_t message_len, const char *application, const uint8_t *key_handle,
            size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options, struct sk_sign_response **ret);
int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***ret, size_t *ret_n);

/* ---- the folder ---- */

static FILE *state_file(const char *name, const char *how)
{
    char path[4096];
    const char *dir = getenv("SK_DOUBLE");
    snprintf(path, sizeof path, "%s/%s", dir ? dir : "/nonexistent", name);
    return fopen(path, how);
}

/* Whole contents without the newline; "" if there are none. */
static void state_read(const char *name, char *ret, size_t cap)
{
    FILE *f = state_file(name, "r");
    size_t n = f ? fread(ret, 1, cap - 1, f) : 0;
    if (f) fclose(f);
    ret[n] = 0;
    ret[strcspn(ret, "\n")] = 0;
}

static int has_mode(const char *mode)
{
    char text[64];
    state_read("mode", text, sizeof text);
    return strcmp(text, mode) == 0;
}

static const char *option(struct sk_option **options, const char *name)
{
    for (; options && *options; options++)
        if (strcmp((*options)->name, name) == 0) return (*options)->value;
    return "";
}

static void note(const char *call, uint32_t alg, const char *application, uint8_t flags, const char *pin,
                 struct sk_option **options)
{
    FILE *f = state_file("log", "a");
    if (!f) return;
    fprintf(f, "%s alg=%u application=%s flags=0x%02x pin=%s user=%s device=%s\n", call, alg, application, flags,
            pin ? "given" : "none", option(options, "user"), option(options, "device"));
    fclose(f);
}

static int misbehaves(int *ret)
{
    while (has_mode("wait")) usleep(5000);
    if (has_mode("crash")) abort();
    *ret = has_mode("no-device") ? SK_API_DEVICE_NOT_FOUND : SK_API_GENERAL;
    return has_mode("no-device") || has_mode("refuse");
}

static int pin_is_right(const char *pin)
{
    char want[256];
    state_read("pin", want, sizeof want);
    return *want ? pin && strcmp(pin, want) == 0 : 0;
}

/* ---- keys ---- */

static EVP_PKEY *make_key(uint32_t alg)
{
    return alg == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static uint8_t *bytes_dup(const void *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, p, len);
    return copy;
}

/* "DOUBLE", SHA-256 of the application, the private key. */
static void put_handle(EVP_PKEY *key, const char *application, struct sk_enroll_response *r)
{
    uint8_t *der = NULL;
    int len = i2d_PrivateKey(key, &der);
    r->key_handle_len = MAGIC_BYTES + SHA256_DIGEST_LENGTH + (size_t)len;
    r->key_handle = malloc(has_mode("long-handle") ? 1 << 20 : r->key_handle_len);
    memcpy(r->key_handle, magic, MAGIC_BYTES);
    SHA256((const uint8_t *)application, strlen(application), r->key_handle + MAGIC_BYTES);
    memcpy(r->key_handle + MAGIC_BYTES + SHA256_DIGEST_LENGTH, der, (size_t)len);
    if (has_mode("long-handle")) r->key_handle_len = 1 << 20;
    OPENSSL_free(der);
}

static EVP_PKEY *key_of_handle(const uint8_t *handle, size_t len, const char *application)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    const size_t head = MAGIC_BYTES + sizeof hash;
    SHA256((const uint8_t *)application, strlen(application), hash);
    if (len <= head || memcmp(handle, magic, MAGIC_BYTES) || memcmp(handle + MAGIC_BYTES, hash, sizeof hash)) return NULL;
    const uint8_t *der = handle + head;
    return d2i_AutoPrivateKey(NULL, &der, (long)(len - head));
}

static void put_public(uint32_t alg, EVP_PKEY *key, struct sk_enroll_response *r)
{
    uint8_t *point = NULL, raw[32];
    size_t len = sizeof raw;
    if (alg == 0) {
        len = EVP_PKEY_get1_encoded_public_key(key, &point);
    } else {
        EVP_PKEY_get_raw_public_key(key, raw, &len);
    }
    r->public_key = bytes_dup(alg == 0 ? point : raw, len);
    r->public_key_len = len;
    OPENSSL_free(point);
}

static struct sk_enroll_response *response_of(uint32_t alg, EVP_PKEY *key, const char *application, uint8_t flags)
{
    struct sk_enroll_response *r = calloc(1, sizeof *r);
    r->flags = flags;
    put_public(alg, key, r);
    put_handle(key, application, r);
    return r;
}

/* ---- resident keys: alg, flags, application, user and key, a line each ---- */

static int resident_exists(const char *application, const char *user)
{
    char name[32], text[4096], want[1024];
    snprintf(want, sizeof want, "%s %s ", application, *user ? user : "-");
    for (int i = 0; i < RESIDENT_MAX; i++) {
        snprintf(name, sizeof name, "resident.%d", i);
        state_read(name, text, sizeof text);
        if (strncmp(text, want, strlen(want)) == 0) return i + 1;
    }
    return 0;
}

static void resident_store(uint32_t alg, EVP_PKEY *key, const char *application, const char *user, uint8_t flags)
{
    char name[32], text[8];
    int at = resident_exists(application, user) - 1;
    for (int i = 0; at < 0 && i < RESIDENT_MAX; i++) {
        snprintf(name, sizeof name, "resident.%d", i);
        state_read(name, text, sizeof text);
        if (!*text) at = i;
    }
    snprintf(name, sizeof name, "resident.%d", at);
    FILE *f = state_file(name, "w");
    uint8_t *der = NULL;
    int len = i2d_PrivateKey(key, &der);
    fprintf(f, "%s %s %u %u ", application, *user ? user : "-", alg, flags);
    for (int i = 0; i < len; i++) fprintf(f, "%02x", der[i]);
    fprintf(f, "\n");
    fclose(f);
    OPENSSL_free(der);
}

static struct sk_resident_key *resident_load(int at)
{
    char name[32], text[4096], application[512], user[512], hex[2048];
    unsigned alg, flags, byte;
    uint8_t der[1024];
    const uint8_t *p = der;
    size_t len = 0;
    snprintf(name, sizeof name, "resident.%d", at);
    state_read(name, text, sizeof text);
    if (sscanf(text, "%511s %511s %u %u %2047s", application, user, &alg, &flags, hex) != 5) return NULL;
    for (; sscanf(hex + 2 * len, "%2x", &byte) == 1; len++) der[len] = (uint8_t)byte;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)len);
    struct sk_enroll_response *r = response_of(alg, key, application, (uint8_t)flags);
    struct sk_resident_key *k = calloc(1, sizeof *k);
    k->alg = alg;
    k->application = strdup(application);
    k->flags = (uint8_t)flags;
    k->key = *r;
    k->user_id_len = 32;
    k->user_id = calloc(1, k->user_id_len);
    if (strcmp(user, "-")) memcpy(k->user_id, user, strlen(user) < 32 ? strlen(user) : 31);
    free(r);
    EVP_PKEY_free(key);
    return k;
}

/* ---- the interface ---- */

EXPORT uint32_t sk_api_version(void) { return has_mode("old-version") ? 0x00010000 : SK_API_VERSION_MAJOR; }

EXPORT int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
                     const char *pin, struct sk_option **options, struct sk_enroll_response **ret)
{
    int bad;
    const char *user = option(options, "user");
    note("enroll", alg, application, flags, pin, options);
    if (misbehaves(&bad)) return bad;
    if (alg > 1) return SK_API_UNSUPPORTED;
    if (pin && !pin_is_right(pin)) return SK_API_PIN_REQUIRED;
    if ((flags & (VERIFICATION | RESIDENT)) && !pin_is_right(pin)) return SK_API_PIN_REQUIRED;
    if ((flags & RESIDENT) && !(flags & FORCE) && resident_exists(application, user)) return SK_API_CREDENTIAL_EXISTS;
    EVP_PKEY *key = make_key(alg);
    struct sk_enroll_response *r = response_of(alg, key, application, flags);
    r->signature = bytes_dup(challenge, challenge_len); /* so that a test sees the challenge */
    r->signature_len = challenge_len;
    r->attestation_cert = bytes_dup("a certificate", 13);
    r->attestation_cert_len = 13;
    r->authdata = bytes_dup("authenticator data", 18);
    r->authdata_len = 18;
    if (flags & RESIDENT) resident_store(alg, key, application, user, flags & ~FORCE);
    EVP_PKEY_free(key);
    *ret = has_mode("no-answer") ? NULL : r;
    return 0;
}

static uint32_t next_counter(void)
{
    char text[32];
    state_read("counter", text, sizeof text);
    uint32_t n = (uint32_t)strtoul(text, NULL, 10) + 1;
    FILE *f = state_file("counter", "w");
    fprintf(f, "%u\n", n);
    fclose(f);
    return n;
}

static void put_signature(uint32_t alg, const uint8_t *sig, size_t len, struct sk_sign_response *r)
{
    if (alg != 0) {
        r->sig_r = bytes_dup(sig, len);
        r->sig_r_len = len;
        return;
    }
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &sig, (long)len);
    r->sig_r_len = (size_t)BN_num_bytes(ECDSA_SIG_get0_r(parts));
    r->sig_s_len = (size_t)BN_num_bytes(ECDSA_SIG_get0_s(parts));
    r->sig_r = malloc(r->sig_r_len);
    r->sig_s = malloc(r->sig_s_len);
    BN_bn2bin(ECDSA_SIG_get0_r(parts), r->sig_r);
    BN_bn2bin(ECDSA_SIG_get0_s(parts), r->sig_s);
    ECDSA_SIG_free(parts);
}

/* PROTOCOL.u2f: what the token signs. */
static void sign_message(uint32_t alg, EVP_PKEY *key, const char *application, const uint8_t *message, size_t len,
                         struct sk_sign_response *r)
{
    uint8_t text[2 * SHA256_DIGEST_LENGTH + 5], sig[256];
    size_t sig_len = sizeof sig;
    SHA256((const uint8_t *)application, strlen(application), text);
    text[32] = r->flags;
    for (int i = 0; i < 4; i++) text[33 + i] = (uint8_t)(r->counter >> (24 - 8 * i));
    SHA256(message, len, text + 37);
    if (has_mode("wrong-signature")) text[40] ^= 1;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestSignInit(ctx, NULL, alg == 0 ? EVP_sha256() : NULL, NULL, key);
    EVP_DigestSign(ctx, sig, &sig_len, text, sizeof text);
    EVP_MD_CTX_free(ctx);
    put_signature(alg, sig, sig_len, r);
}

EXPORT int sk_sign(uint32_t alg, const uint8_t *message, size_t message_len, const char *application, const uint8_t *key_handle,
                   size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options, struct sk_sign_response **ret)
{
    int bad;
    note("sign", alg, application, flags, pin, options);
    if (misbehaves(&bad)) return bad;
    if (pin && !pin_is_right(pin)) return SK_API_PIN_REQUIRED;
    if ((flags & VERIFICATION) && !pin_is_right(pin)) return SK_API_PIN_REQUIRED;
    EVP_PKEY *key = key_of_handle(key_handle, key_handle_len, application);
    if (!key) return SK_API_DEVICE_NOT_FOUND;
    struct sk_sign_response *r = calloc(1, sizeof *r);
    r->flags = (flags & PRESENCE) | (flags & VERIFICATION);
    r->counter = next_counter();
    sign_message(alg, key, application, message, message_len, r);
    EVP_PKEY_free(key);
    *ret = r;
    return 0;
}

EXPORT int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***ret, size_t *ret_n)
{
    int bad;
    note("resident", 0, "", 0, pin, options);
    if (misbehaves(&bad)) return bad;
    if (!pin_is_right(pin)) return SK_API_PIN_REQUIRED;
    *ret = calloc(RESIDENT_MAX, sizeof **ret);
    *ret_n = 0;
    for (int i = 0; i < RESIDENT_MAX; i++) {
        struct sk_resident_key *k = resident_load(i);
        if (k) (*ret)[(*ret_n)++] = k;
    }
    return 0;
}
