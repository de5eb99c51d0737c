/* ssh -Q: what this build has, one name a line. */
#include "prog/ssh/client.h"

#include "crypto/cipher.h"
#include "crypto/kex.h"
#include "crypto/mac.h"
#include "os/fd.h"

#include <stdio.h>
#include <strings.h>
#include <unistd.h>

static int put(struct buf *out, const char *name) { return buf_printf(out, "%s\n", name); }

static int ciphers(struct buf *out, bool only_aead)
{
    for (const struct cipher_desc *c = cipher_table; c->name; c++)
        if (c->kind != CIPHER_NONE && (!only_aead || c->kind == CIPHER_AEAD)) TRY(put(out, c->name));
    return 0;
}

static int put_ciphers(struct buf *out) { return ciphers(out, false); }
static int put_aead_ciphers(struct buf *out) { return ciphers(out, true); }

static int put_kex(struct buf *out)
{
    for (const struct kex_method *m = kex_method_table; m->name; m++) TRY(put(out, m->name));
    return 0;
}

static int put_macs(struct buf *out)
{
    for (const struct mac_desc *m = mac_table; m->name; m++) TRY(put(out, m->name));
    return 0;
}

static int put_keys_if(struct buf *out, bool (*wanted)(const struct key_type *t))
{
    for (const struct key_type *t = key_type_table; t->name; t++)
        if (wanted(t)) TRY(put(out, t->name));
    return 0;
}

static bool is_key(const struct key_type *t) { return !t->sig_only; }
static bool is_cert(const struct key_type *t) { return t->is_cert && !t->sig_only; }
static bool is_plain(const struct key_type *t) { return !t->is_cert && !t->sig_only; }
static bool is_signature(const struct key_type *t) { return !t->is_cert; }
static bool is_any(UNUSED const struct key_type *t) { return true; }

static int put_keys(struct buf *out) { return put_keys_if(out, is_key); }
static int put_certs(struct buf *out) { return put_keys_if(out, is_cert); }
static int put_plain_keys(struct buf *out) { return put_keys_if(out, is_plain); }
static int put_signatures(struct buf *out) { return put_keys_if(out, is_signature); }
static int put_all_keys(struct buf *out) { return put_keys_if(out, is_any); }
static int put_compressions(struct buf *out) { return buf_put_str(out, "none\nzlib@openssh.com\nzlib\n"); }
static int put_versions(struct buf *out) { return put(out, "2"); }

static const struct {
    const char *name, *keyword; /* keyword: the option's own name gives the same list */
    int (*list)(struct buf *out);
} queries[] = {
    { "cipher", "Ciphers", put_ciphers },
    { "cipher-auth", NULL, put_aead_ciphers },
    { "compression", NULL, put_compressions },
    { "kex", "KexAlgorithms", put_kex },
    { "key", NULL, put_keys },
    { "key-ca-sign", "CASignatureAlgorithms", put_signatures },
    { "key-cert", NULL, put_certs },
    { "key-plain", NULL, put_plain_keys },
    { "key-sig", NULL, put_all_keys },
    { "mac", "MACs", put_macs },
    { "protocol-version", NULL, put_versions },
    { "sig", NULL, put_signatures },
    { "HostKeyAlgorithms", "PubkeyAcceptedAlgorithms", put_all_keys },
    { "HostbasedAcceptedAlgorithms", "PubkeyAcceptedKeyTypes", put_all_keys },
    { "HostbasedKeyTypes", NULL, put_all_keys },
};

static int put_help(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        if (queries[i].name[0] >= 'a') TRY(put(out, queries[i].name));
    return 0;
}

int query_print(struct client *c)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
    int err = strcasecmp(c->cmd.query, "help") == 0 ? put_help(&out) : ERR_NOT_FOUND;
    for (size_t i = 0; err == ERR_NOT_FOUND && i < ARRAY_LEN(queries); i++)
        if (strcasecmp(c->cmd.query, queries[i].name) == 0 ||
            (queries[i].keyword && strcasecmp(c->cmd.query, queries[i].keyword) == 0))
            err = queries[i].list(&out);
    if (err == ERR_NOT_FOUND) {
        dprintf(STDERR_FILENO, "Unsupported query \"%s\"\r\n", c->cmd.query);
        return err;
    }
    TRY(err);
    return fd_write_all(STDOUT_FILENO, buf_view(&out));
}
