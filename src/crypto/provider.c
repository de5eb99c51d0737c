/* A provider that offers some of another's algorithms. libcrypto's documentation has each piece of it: a provider can be built in
 * (OSSL_PROVIDER_add_builtin), anybody may ask a provider for its tables (OSSL_PROVIDER_query_operation), and what stands in them
 * wants the context of the provider that they are from (OSSL_PROVIDER_get0_provider_ctx), so that becomes our context too. The
 * other provider is loaded into a library context of its own, where its algorithms find each other; the default context, which
 * all of crypto/ uses, has ours alone. */
#include "crypto/provider_int.h"

#include "crypto/libcrypto_int.h"

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

enum {
    ALGORITHMS_MAX = 16
};

/* Names as libcrypto has them first in its own tables. */
static const char *const digests[] = { "MD5",      "SHA1",     "SHA2-256",  "SHA2-384",  "SHA2-512",
                                       "SHA3-256", "SHA3-512", "SHAKE-128", "SHAKE-256", NULL };
static const char *const ciphers[] = { "AES-128-GCM", "AES-256-GCM", "ChaCha20",    "AES-128-CTR",  "AES-192-CTR", "AES-256-CTR",
                                       "AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "DES-EDE3-CBC", NULL };
static const char *const macs[] = { "POLY1305", NULL };
static const char *const exchanges[] = { "X25519", NULL };
static const char *const signatures[] = { "RSA", "ED25519", "ECDSA", NULL };
static const char *const key_types[] = { "RSA", "EC", "X25519", "ED25519", NULL };

/* Random numbers have all there are: which of them feed each other is libcrypto's affair. */
static const struct operation {
    int id;
    const char *const *names;
} operations[] = {
    { OSSL_OP_DIGEST, digests },    { OSSL_OP_CIPHER, ciphers },       { OSSL_OP_MAC, macs },  { OSSL_OP_KEYMGMT, key_types },
    { OSSL_OP_KEYEXCH, exchanges }, { OSSL_OP_SIGNATURE, signatures }, { OSSL_OP_RAND, NULL },
};

/* At file scope because the context that libcrypto hands to query is the other provider's. Written once, by provider_select. */
static struct {
    OSSL_PROVIDER *whole;
    OSSL_ALGORITHM offered[ARRAY_LEN(operations)][ALGORITHMS_MAX + 1]; /* ended by one without names */
} selection;

/* "SHA2-256:SHA-256:SHA256:2.16.840.1.101.3.4.2.1" */
static bool is_named(const OSSL_ALGORITHM *a, const char *name)
{
    size_t len = strlen(name);
    return strncmp(a->algorithm_names, name, len) == 0 && (a->algorithm_names[len] == ':' || a->algorithm_names[len] == 0);
}

static bool is_wanted(const OSSL_ALGORITHM *a, const char *const *names)
{
    if (!names) return true;
    for (; *names; names++)
        if (is_named(a, *names)) return true;
    return false;
}

static void select_some(const struct operation *op, OSSL_ALGORITHM ret[ALGORITHMS_MAX + 1])
{
    int no_store;
    size_t n = 0;
    const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(selection.whole, op->id, &no_store);
    for (; a && a->algorithm_names && n < ALGORITHMS_MAX; a++)
        if (is_wanted(a, op->names)) ret[n++] = *a;
}

static const OSSL_ALGORITHM *query(void *context UNUSED, int id, int *ret_no_store)
{
    *ret_no_store = 0;
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (operations[i].id == id) return selection.offered[i];
    return NULL;
}

static int start(const OSSL_CORE_HANDLE *core UNUSED, const OSSL_DISPATCH *from_core UNUSED, const OSSL_DISPATCH **ret_ours,
                 void **ret_context)
{
    static const OSSL_DISPATCH ours[] = { { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query }, { 0, NULL } };
    *ret_ours = ours;
    *ret_context = OSSL_PROVIDER_get0_provider_ctx(selection.whole);
    return 1;
}

void provider_select(void)
{
    OSSL_LIB_CTX *apart = selection.whole ? NULL : OSSL_LIB_CTX_new();
    if (apart) selection.whole = OSSL_PROVIDER_load(apart, "default");
    if (!selection.whole) {
        OSSL_LIB_CTX_free(apart);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) select_some(&operations[i], selection.offered[i]);
    /* Where this fails, the default provider is taken by itself at the first use of anything. */
    if (OSSL_PROVIDER_add_builtin(NULL, "nacre", start) == 1) (void)OSSL_PROVIDER_load(NULL, "nacre");
    ERR_clear_error();
}

void provider_add_all(void)
{
    if (selection.whole) (void)OSSL_PROVIDER_load(NULL, "default");
}
