/* What a packet MAC is inside: mac.c holds table and HMAC, mac_umac.c UMAC. */
#pragma once

#include "base/secret.h"
#include "crypto/libcrypto_int.h"
#include "crypto/mac.h"

struct mac {
    const struct mac_desc *desc;
    struct {
        EVP_MD_CTX *inner, *outer, *work;
    } hmac;
};

/* A family. Its objects begin with a struct mac and are `bytes` long. */
struct mac_ops {
    size_t bytes;
    int (*setup)(struct mac *m, struct view key);
    int (*compute)(struct mac *m, uint32_t sequence, struct view data, uint8_t *ret_tag);
    void (*done)(struct mac *m); /* may be NULL; memory is wiped and freed after it */
};

extern const struct mac_ops mac_umac64_ops, mac_umac128_ops;
