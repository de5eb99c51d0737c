/* Names from the tables of crypto/ and key/. AES-GCM comes first in the cipher table; where the CPU has no AES instructions,
 * ChaCha20-Poly1305 is put before it. */
#include "io/algorithms.h"

#include "crypto/cipher.h"
#include "crypto/kex.h"
#include "crypto/mac.h"
#include "key/key.h"

#include <stdlib.h>

enum {
    NAMES_BYTES_MAX = 8192
};

struct names {
    struct buf all, defaults;
};

static int add_to(struct buf *list, const char *name)
{
    if (buf_len(list)) TRY(buf_put_u8(list, ','));
    return buf_put_str(list, name);
}

static int add(struct names *n, const char *name, bool is_default)
{
    TRY(add_to(&n->all, name));
    return is_default ? add_to(&n->defaults, name) : 0;
}

static int kex_names(struct names *n, enum algorithms_side side)
{
    for (const struct kex_method *m = kex_method_table; m->name; m++)
        TRY(add(n, m->name, side == ALGORITHMS_CLIENT ? m->is_default_client : m->is_default_server));
    return 0;
}

static int cipher_names(struct names *n, UNUSED enum algorithms_side side)
{
    static const char first_without_aes[] = "chacha20-poly1305@openssh.com";
    bool fast_aes = cipher_has_fast_aes();
    if (!fast_aes) TRY(add(n, first_without_aes, true));
    for (const struct cipher_desc *c = cipher_table; c->name; c++)
        if (c->kind != CIPHER_NONE && (fast_aes || strcmp(c->name, first_without_aes) != 0)) TRY(add(n, c->name, c->is_default));
    return 0;
}

static int mac_names(struct names *n, UNUSED enum algorithms_side side)
{
    for (const struct mac_desc *m = mac_table; m->name; m++) TRY(add(n, m->name, m->is_default));
    return 0;
}

static int key_names(struct names *n, UNUSED enum algorithms_side side)
{
    for (const struct key_type *t = key_type_table; t->name; t++) TRY(add(n, t->name, t->is_default));
    return 0;
}

static int ca_names(struct names *n, UNUSED enum algorithms_side side)
{
    for (const struct key_type *t = key_type_table; t->name; t++)
        if (!t->is_cert) TRY(add(n, t->name, t->is_default));
    return 0;
}

static int (*const name_lists[CONF_ALGS_MAX])(struct names *, enum algorithms_side) = {
    [CONF_ALGS_KEX] = kex_names,  [CONF_ALGS_CIPHERS] = cipher_names, [CONF_ALGS_MACS] = mac_names,
    [CONF_ALGS_KEYS] = key_names, [CONF_ALGS_CA_SIGS] = ca_names,
};

static int fill(struct algorithms *a, enum conf_algs kind, enum algorithms_side side)
{
    CLEANUP(buf_done) struct buf all = BUF_INIT(NAMES_BYTES_MAX), defaults = BUF_INIT(NAMES_BYTES_MAX);
    struct names n = { BUF_INIT(NAMES_BYTES_MAX), BUF_INIT(NAMES_BYTES_MAX) };
    int err = name_lists[kind](&n, side);
    all = n.all;
    defaults = n.defaults;
    TRY(err);
    a->own[2 * kind] = view_dup_str(buf_view(&all));
    a->own[2 * kind + 1] = view_dup_str(buf_view(&defaults));
    a->conf.supported[kind] = a->own[2 * kind];
    a->conf.defaults[kind] = a->own[2 * kind + 1];
    return a->own[2 * kind] && a->own[2 * kind + 1] ? 0 : ERR_NOMEM;
}

int algorithms_init(struct algorithms *a, enum algorithms_side side)
{
    *a = (struct algorithms){ .own = { NULL } };
    for (int kind = 0; kind < CONF_ALGS_MAX; kind++) {
        int err = fill(a, kind, side);
        if (err == 0) continue;
        algorithms_done(a);
        return err;
    }
    return 0;
}

void algorithms_done(struct algorithms *a)
{
    for (size_t i = 0; i < ARRAY_LEN(a->own); i++) free(a->own[i]);
    *a = (struct algorithms){ .own = { NULL } };
}

const char *algorithms_compression(bool wanted) { return wanted ? "zlib@openssh.com,none" : "none,zlib@openssh.com"; }
