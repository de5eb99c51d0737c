/* Hybrids of a key encapsulation mechanism and a curve: draft-ietf-sshm-mlkem-hybrid-kex and draft-ietf-sshm-ntruprime-ssh. The
 * client sends KEM key || point, the server KEM ciphertext || point, and K is the string HASH(KEM secret || curve secret), where
 * the latter has its full length and is no mpint. */
#include "crypto/kex_int.h"

#include "crypto/mlkem768.h"
#include "crypto/sntrup761.h"

enum {
    KEM_SHARED_MAX = 32
};

static int mlkem_keygen(const struct random *rnd, uint8_t *ret_public, uint8_t *ret_secret)
{
    uint8_t coins[MLKEM768_KEYGEN_COINS];
    TRY(random_fill(rnd, coins, sizeof coins));
    int err = mlkem768_keygen(coins, ret_public, ret_secret);
    secret_wipe(coins, sizeof coins);
    return err;
}

static int mlkem_encaps(const struct random *rnd, const uint8_t *public, uint8_t *ret_ciphertext, uint8_t *ret_shared)
{
    uint8_t coins[MLKEM768_ENCAPS_COINS];
    TRY(random_fill(rnd, coins, sizeof coins));
    int err = mlkem768_encaps(coins, public, ret_ciphertext, ret_shared);
    secret_wipe(coins, sizeof coins);
    return err;
}

const struct kex_kem kex_kem_mlkem768 = { MLKEM768_PUBLIC_BYTES, MLKEM768_SECRET_BYTES, MLKEM768_CIPHERTEXT_BYTES,
                                          MLKEM768_SHARED_BYTES, mlkem_keygen,          mlkem_encaps,
                                          mlkem768_decaps };
const struct kex_kem kex_kem_sntrup761 = { SNTRUP761_PUBLIC_BYTES, SNTRUP761_SECRET_BYTES, SNTRUP761_CIPHERTEXT_BYTES,
                                           SNTRUP761_SHARED_BYTES, sntrup761_keygen,       sntrup761_encaps,
                                           sntrup761_decaps };

/* The two secrets and K, on the stack. */
struct shares {
    uint8_t kem[KEM_SHARED_MAX], curve[KEX_CURVE_SHARED_MAX];
    uint8_t k[DIGEST_MAX_BYTES];
};

static void shares_wipe(struct shares *s) { secret_wipe(s, sizeof *s); }

static int shares_combine(const struct kex_method *m, struct shares *s, struct secret *ret_shared)
{
    struct view parts[] = { { s->kem, m->impl->kem->shared_bytes }, { s->curve, m->impl->curve->shared_bytes } };
    TRY(digest_parts(m->digest, parts, ARRAY_LEN(parts), s->k));
    return kex_shared_string(view_of(s->k, digest_len(m->digest)), ret_shared);
}

/* The private part: KEM secret || scalar. */
static int hybrid_start(const struct kex_method *m, const struct kex_group *group UNUSED, const struct random *rnd,
                        struct secret *ret_private, struct buf *ret_public)
{
    const struct kex_kem *kem = m->impl->kem;
    const struct kex_curve *curve = m->impl->curve;
    CLEANUP(secret_done) struct secret private = SECRET_INIT;
    TRY(secret_new(kem->secret_bytes + curve->scalar_bytes, &private));
    uint8_t *p;
    TRY(buf_reserve(ret_public, kem->public_bytes + curve->public_bytes, &p));
    TRY(kem->keygen(rnd, p, private.p));
    TRY(curve->make(curve, rnd, private.p + kem->secret_bytes, p + kem->public_bytes));
    buf_commit(ret_public, kem->public_bytes + curve->public_bytes);
    *ret_private = private;
    private = (struct secret)SECRET_INIT;
    return 0;
}

static int hybrid_finish(const struct kex_method *m, const struct kex_group *group UNUSED, struct view private,
                         struct view peer_public, struct secret *ret_shared)
{
    const struct kex_kem *kem = m->impl->kem;
    const struct kex_curve *curve = m->impl->curve;
    if (peer_public.len != kem->ciphertext_bytes + curve->public_bytes) return ERR_KEX_VALUE;
    CLEANUP(shares_wipe) struct shares s;
    TRY(kem->decaps(private.p, peer_public.p, s.kem));
    TRY(curve->shared(curve, private.p + kem->secret_bytes, peer_public.p + kem->ciphertext_bytes, s.curve));
    return shares_combine(m, &s, ret_shared);
}

static int hybrid_respond_curve(const struct kex_curve *curve, const struct random *rnd, const uint8_t *client_public,
                                uint8_t *ret_public, uint8_t *ret_shared)
{
    uint8_t scalar[KEX_CURVE_SCALAR_MAX];
    int err = curve->make(curve, rnd, scalar, ret_public);
    if (err == 0) err = curve->shared(curve, scalar, client_public, ret_shared);
    secret_wipe(scalar, sizeof scalar);
    return err;
}

static int hybrid_respond(const struct kex_method *m, const struct kex_group *group UNUSED, const struct random *rnd,
                          struct view client_public, struct buf *ret_public, struct secret *ret_shared)
{
    const struct kex_kem *kem = m->impl->kem;
    const struct kex_curve *curve = m->impl->curve;
    if (client_public.len != kem->public_bytes + curve->public_bytes) return ERR_KEX_VALUE;
    CLEANUP(shares_wipe) struct shares s;
    uint8_t *p;
    TRY(buf_reserve(ret_public, kem->ciphertext_bytes + curve->public_bytes, &p));
    TRY(kem->encaps(rnd, client_public.p, p, s.kem));
    TRY(hybrid_respond_curve(curve, rnd, client_public.p + kem->public_bytes, p + kem->ciphertext_bytes, s.curve));
    TRY(shares_combine(m, &s, ret_shared));
    buf_commit(ret_public, kem->ciphertext_bytes + curve->public_bytes);
    return 0;
}

#define HYBRID(a_kem, a_curve)                                                                                          \
    {                                                                                                                   \
        .start = hybrid_start, .finish = hybrid_finish, .respond = hybrid_respond, .kem = &(a_kem), .curve = &(a_curve) \
    }
const struct kex_impl kex_impl_mlkem768_x25519 = HYBRID(kex_kem_mlkem768, kex_curve_x25519);
const struct kex_impl kex_impl_mlkem768_nistp256 = HYBRID(kex_kem_mlkem768, kex_curve_nistp256);
const struct kex_impl kex_impl_sntrup761_x25519 = HYBRID(kex_kem_sntrup761, kex_curve_x25519);
