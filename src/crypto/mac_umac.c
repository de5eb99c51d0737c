/* UMAC (RFC 4418) by nettle, as SSH has it (draft-miller-secsh-umac): the nonce is the sequence number as 8 bytes, and the tag is
 * over the packet alone. */
#include "crypto/mac_int.h"

#include <nettle/umac.h>

enum {
    NONCE_BYTES = 8
};

struct umac64 {
    struct mac mac; /* first */
    struct umac64_ctx ctx;
};

struct umac128 {
    struct mac mac; /* first */
    struct umac128_ctx ctx;
};

struct nonce {
    uint8_t bytes[NONCE_BYTES];
};

static struct nonce nonce_of(uint32_t sequence)
{
    return (struct nonce){
        { [4] = (uint8_t)(sequence >> 24), (uint8_t)(sequence >> 16), (uint8_t)(sequence >> 8), (uint8_t)sequence }
    };
}

static int umac64_setup(struct mac *m, struct view key)
{
    umac64_set_key(&((struct umac64 *)m)->ctx, key.p);
    return 0;
}

static int umac64_compute(struct mac *m, uint32_t sequence, struct view data, uint8_t *ret_tag)
{
    struct umac64_ctx *ctx = &((struct umac64 *)m)->ctx;
    struct nonce nonce = nonce_of(sequence);
    umac64_set_nonce(ctx, NONCE_BYTES, nonce.bytes);
    umac64_update(ctx, data.len, data.p);
    umac64_digest(ctx, m->desc->tag_bytes, ret_tag);
    return 0;
}

static int umac128_setup(struct mac *m, struct view key)
{
    umac128_set_key(&((struct umac128 *)m)->ctx, key.p);
    return 0;
}

static int umac128_compute(struct mac *m, uint32_t sequence, struct view data, uint8_t *ret_tag)
{
    struct umac128_ctx *ctx = &((struct umac128 *)m)->ctx;
    struct nonce nonce = nonce_of(sequence);
    umac128_set_nonce(ctx, NONCE_BYTES, nonce.bytes);
    umac128_update(ctx, data.len, data.p);
    umac128_digest(ctx, m->desc->tag_bytes, ret_tag);
    return 0;
}

const struct mac_ops mac_umac64_ops = { .bytes = sizeof(struct umac64), .setup = umac64_setup, .compute = umac64_compute };
const struct mac_ops mac_umac128_ops = { .bytes = sizeof(struct umac128), .setup = umac128_setup, .compute = umac128_compute };
