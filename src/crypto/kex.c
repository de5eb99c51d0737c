/* The table of key exchange methods and what all of them have in common. The arithmetic is in kex_x25519.c and kex_ecdh.c (curves),
 * kex_dh.c and kex_hybrid.c; nothing here knows messages or the exchange hash. */
#include "crypto/kex_int.h"

#include "base/wr.h"

#include <stdlib.h>

#define ALWAYS true, true
#define CLIENT_ONLY true, false
#define ON_DEMAND false, false

const struct kex_method kex_method_table[] = {
    { "mlkem768x25519-sha256", KEX_ECDH, DIGEST_SHA256, true, ALWAYS, &kex_impl_mlkem768_x25519 },
    { "sntrup761x25519-sha512", KEX_ECDH, DIGEST_SHA512, true, ALWAYS, &kex_impl_sntrup761_x25519 },
    { "sntrup761x25519-sha512@openssh.com", KEX_ECDH, DIGEST_SHA512, true, ALWAYS, &kex_impl_sntrup761_x25519 },
    { "curve25519-sha256", KEX_ECDH, DIGEST_SHA256, false, ALWAYS, &kex_impl_curve25519 },
    { "curve25519-sha256@libssh.org", KEX_ECDH, DIGEST_SHA256, false, ALWAYS, &kex_impl_curve25519 },
    { "ecdh-sha2-nistp256", KEX_ECDH, DIGEST_SHA256, false, ALWAYS, &kex_impl_nistp256 },
    { "ecdh-sha2-nistp384", KEX_ECDH, DIGEST_SHA384, false, ALWAYS, &kex_impl_nistp384 },
    { "ecdh-sha2-nistp521", KEX_ECDH, DIGEST_SHA512, false, ALWAYS, &kex_impl_nistp521 },
    { "diffie-hellman-group-exchange-sha256", KEX_DH_GEX, DIGEST_SHA256, false, CLIENT_ONLY, &kex_impl_dh_gex },
    { "diffie-hellman-group16-sha512", KEX_DH, DIGEST_SHA512, false, CLIENT_ONLY, &kex_impl_dh_group16 },
    { "diffie-hellman-group18-sha512", KEX_DH, DIGEST_SHA512, false, CLIENT_ONLY, &kex_impl_dh_group18 },
    { "diffie-hellman-group14-sha256", KEX_DH, DIGEST_SHA256, false, CLIENT_ONLY, &kex_impl_dh_group14 },
    { "mlkem768nistp256-sha256", KEX_ECDH, DIGEST_SHA256, true, ON_DEMAND, &kex_impl_mlkem768_nistp256 },
    { "diffie-hellman-group14-sha1", KEX_DH, DIGEST_SHA1, false, ON_DEMAND, &kex_impl_dh_group14 },
    { "diffie-hellman-group1-sha1", KEX_DH, DIGEST_SHA1, false, ON_DEMAND, &kex_impl_dh_group1 },
    { "diffie-hellman-group-exchange-sha1", KEX_DH_GEX, DIGEST_SHA1, false, ON_DEMAND, &kex_impl_dh_gex },
    { NULL },
};

const struct kex_method *kex_method_find(struct view name)
{
    for (const struct kex_method *m = kex_method_table; m->name; m++)
        if (view_eq_str(name, m->name)) return m;
    return NULL;
}

struct kex_agreement {
    const struct kex_method *method;
    struct kex_group group; /* its views point into group_copy */
    uint8_t *group_copy;
    struct secret private;
};

void kex_agreement_free(struct kex_agreement *a)
{
    if (!a) return;
    secret_done(&a->private);
    free(a->group_copy);
    free(a);
}

/* The group of an agreement must live until the answer comes. */
static int group_keep(struct kex_agreement *a, const struct kex_group *group)
{
    a->group_copy = malloc(group->p.len + group->g.len + 1);
    if (!a->group_copy) return ERR_NOMEM;
    uint8_t *p = a->group_copy, *g = p + group->p.len;
    if (group->p.len) memcpy(p, group->p.p, group->p.len);
    if (group->g.len) memcpy(g, group->g.p, group->g.len);
    a->group = (struct kex_group){ view_of(p, group->p.len), view_of(g, group->g.len), group->strength_bits };
    return 0;
}

int kex_agreement_start(const struct kex_method *m, const struct kex_group *group, const struct random *rnd,
                        struct kex_agreement **ret, struct buf *ret_public)
{
    if (m->kind == KEX_DH_GEX && !group) return ERR_BUG;
    CLEANUP(kex_agreement_freep) struct kex_agreement *a = calloc(1, sizeof *a);
    if (!a) return ERR_NOMEM;
    a->method = m;
    if (m->kind == KEX_DH_GEX) TRY(group_keep(a, group));
    TRY(m->impl->start(m, &a->group, rnd, &a->private, ret_public));
    *ret = TAKE(a);
    return 0;
}

int kex_agreement_finish(struct kex_agreement *a, struct view server_public, struct secret *ret_shared)
{
    return a->method->impl->finish(a->method, &a->group, secret_view(&a->private), server_public, ret_shared);
}

int kex_respond(const struct kex_method *m, const struct kex_group *group, const struct random *rnd, struct view client_public,
                struct buf *ret_public, struct secret *ret_shared)
{
    if (m->kind == KEX_DH_GEX && !group) return ERR_BUG;
    if (m->impl->respond) return m->impl->respond(m, group, rnd, client_public, ret_public, ret_shared);
    CLEANUP(secret_done) struct secret private = SECRET_INIT;
    size_t len_before = buf_len(ret_public);
    TRY(m->impl->start(m, group, rnd, &private, ret_public));
    int err = m->impl->finish(m, group, secret_view(&private), client_public, ret_shared);
    if (err < 0) buf_truncate(ret_public, len_before);
    return err;
}

enum {
    K_OVERHEAD = 5
}; /* u32 length, and the zero byte before a set high bit */

static int shared_written(const struct wr *w, const uint8_t *area, struct secret *ret_shared)
{
    TRY(wr_end(w));
    return secret_dup(view_of(area, w->len), ret_shared);
}

int kex_shared_mpint(struct view magnitude, struct secret *ret_shared)
{
    CLEANUP(secret_done) struct secret area = SECRET_INIT;
    TRY(secret_new(magnitude.len + K_OVERHEAD, &area));
    struct wr w = wr_area(area.p, area.len);
    wr_mpint(&w, magnitude);
    return shared_written(&w, area.p, ret_shared);
}

int kex_shared_string(struct view k, struct secret *ret_shared)
{
    CLEANUP(secret_done) struct secret area = SECRET_INIT;
    TRY(secret_new(k.len + K_OVERHEAD, &area));
    struct wr w = wr_area(area.p, area.len);
    wr_string(&w, k);
    return shared_written(&w, area.p, ret_shared);
}
