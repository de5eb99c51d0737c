/* Digests by libcrypto's EVP. The getters (EVP_sha256...) and not EVP_MD_fetch: the fetch behind them is answered from libcrypto's
 * cache, and nothing has to be kept between calls. */
#include "crypto/digest_int.h"

#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t len;
    const EVP_MD *(*md)(void);
} digests[DIGEST_MAX] = {
    [DIGEST_MD5] = { "MD5", 16, EVP_md5 },          [DIGEST_SHA1] = { "SHA1", 20, EVP_sha1 },
    [DIGEST_SHA256] = { "SHA256", 32, EVP_sha256 }, [DIGEST_SHA384] = { "SHA384", 48, EVP_sha384 },
    [DIGEST_SHA512] = { "SHA512", 64, EVP_sha512 },
};

size_t digest_len(enum digest_alg alg)
{
    CHECK(alg < DIGEST_MAX);
    return digests[alg].len;
}

const char *digest_name(enum digest_alg alg)
{
    CHECK(alg < DIGEST_MAX);
    return digests[alg].name;
}

const EVP_MD *digest_evp(enum digest_alg alg)
{
    CHECK(alg < DIGEST_MAX);
    return digests[alg].md();
}

int digest_from_name(const char *name, enum digest_alg *ret)
{
    for (enum digest_alg alg = 0; alg < DIGEST_MAX; alg++)
        if (strcasecmp(name, digests[alg].name) == 0) {
            *ret = alg;
            return 0;
        }
    return ERR_NOT_FOUND;
}

struct digest {
    EVP_MD_CTX *ctx;
};

int digest_new(enum digest_alg alg, struct digest **ret)
{
    CHECK(alg < DIGEST_MAX);
    CLEANUP(digest_freep) struct digest *d = calloc(1, sizeof *d);
    if (!d) return ERR_NOMEM;
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx) return ERR_NOMEM;
    if (EVP_DigestInit_ex(d->ctx, digests[alg].md(), NULL) != 1) return ERR_CRYPTO;
    *ret = TAKE(d);
    return 0;
}

int digest_update(struct digest *d, struct view data) { return EVP_DigestUpdate(d->ctx, data.p, data.len) == 1 ? 0 : ERR_CRYPTO; }

int digest_final(struct digest *d, uint8_t *ret_digest)
{
    return EVP_DigestFinal_ex(d->ctx, ret_digest, NULL) == 1 ? 0 : ERR_CRYPTO;
}

void digest_free(struct digest *d)
{
    if (!d) return;
    EVP_MD_CTX_free(d->ctx); /* wipes the state */
    free(d);
}

int digest_parts(enum digest_alg alg, const struct view *parts, size_t n_parts, uint8_t *ret_digest)
{
    CLEANUP(digest_freep) struct digest *d = NULL;
    TRY(digest_new(alg, &d));
    for (size_t i = 0; i < n_parts; i++) TRY(digest_update(d, parts[i]));
    return digest_final(d, ret_digest);
}
