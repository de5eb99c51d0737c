/* PEM of private and public keys. No passphrase is given: deriving a key with as many rounds as the file likes is no finding. What
 * is accepted must be written and read again as the same key. */
#include "crypto/crypto.h"
#include "crypto/pkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum {
    OUT_MAX = 65536
};

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    crypto_start_alone();
    return 0;
}

static void written_and_read(const struct pkey *k)
{
    CLEANUP(buf_done) struct buf pem = BUF_INIT(OUT_MAX);
    CLEANUP(pkey_unrefp) struct pkey *again = NULL;
    struct pkey_public_parts a, b;
    CHECK(pkey_to_pem(k, PKEY_PEM_PUBLIC_PKCS8, VIEW_EMPTY, &pem) == 0);
    CHECK(pkey_from_public_pem(buf_view(&pem), &again) == 0);
    pkey_public(k, &a);
    pkey_public(again, &b);
    CHECK(view_eq(a.a, b.a) && view_eq(a.b, b.b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(pkey_unrefp) struct pkey *pair = NULL, *public_key = NULL;
    if (pkey_from_pem(view_of(data, size), VIEW_EMPTY, &pair) == 0) written_and_read(pair);
    if (pkey_from_public_pem(view_of(data, size), &public_key) == 0) written_and_read(public_key);
    return 0;
}
