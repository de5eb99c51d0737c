#include "key/sshfp.h"

#include "base/base64.h"
#include "base/log.h"
#include "key/cert.h"

enum {
    BLOB_BYTES_MAX = 64 * 1024,
};

unsigned sshfp_algorithm(const struct key_type *t)
{
    static const uint8_t numbers[PKEY_TYPE_MAX] = {
        [PKEY_RSA] = 1, [PKEY_ECDSA_P256] = 3, [PKEY_ECDSA_P384] = 3, [PKEY_ECDSA_P521] = 3, [PKEY_ED25519] = 4
    };
    return t->is_sk ? 0 : numbers[t->pkey];
}

int sshfp_put(struct view host, const struct key *k, enum digest_alg hash, bool generic, struct buf *out)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(BLOB_BYTES_MAX), hex = BUF_INIT(2 * DIGEST_MAX_BYTES);
    unsigned algorithm = sshfp_algorithm(key_type_of(k)), number = hash == DIGEST_SHA1 ? SSHFP_SHA1 : SSHFP_SHA256;
    uint8_t digest[DIGEST_MAX_BYTES];
    if (algorithm == 0) return ERR_KEY_TYPE;
    TRY(cert_plain_blob(key_blob(k), &plain));
    TRY(digest_once(hash, buf_view(&plain), digest));
    TRY(hex_put(&hex, view_of(digest, digest_len(hash))));
    if (!generic) return buf_printf(out, "%.*s IN SSHFP %u %u %.*s\n", VIEW_ARG(host), algorithm, number, VIEW_ARG(buf_view(&hex)));
    return buf_printf(out, "%.*s IN TYPE44 \\# %zu %02x %02x %.*s\n", VIEW_ARG(host), 2 + digest_len(hash), algorithm, number,
                      VIEW_ARG(buf_view(&hex)));
}
