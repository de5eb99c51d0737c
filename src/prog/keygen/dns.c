/* SSHFP records: RFC 4255, 6594, 7479. */
#include "prog/keygen/keygen.h"

#include "base/log.h"
#include "key/sshfp.h"

#include <stdio.h>
#include <strings.h>

enum {
    RECORD_BYTES_MAX = 8192
};
static const struct hash_row {
    enum digest_alg alg;
    const char *name;
} hash_rows[] = { { DIGEST_SHA1, "sha1" }, { DIGEST_SHA256, "sha256" } };

static int print_records(const struct keygen_options *o, const struct key *k)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(RECORD_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_LEN(hash_rows); i++)
        if (!o->has_hash || o->hash == hash_rows[i].alg)
            TRY(sshfp_put(view_str(o->host), k, hash_rows[i].alg, o->generic_dns, &out));
    printf("%.*s", VIEW_ARG(buf_view(&out)));
    return 0;
}

/* -O hashalg=NAME: the records of one digest only. The last one counts. */
static int take_options(struct keygen_options *o)
{
    o->has_hash = false;
    for (size_t i = 0; i < o->options.n; i++) {
        const char *text = o->options.v[i], *name = strncasecmp(text, "hashalg=", 8) == 0 ? text + 8 : NULL;
        const struct hash_row *row = NULL;
        for (size_t k = 0; name && k < ARRAY_LEN(hash_rows); k++)
            if (strcasecmp(name, hash_rows[k].name) == 0) row = &hash_rows[k];
        if (!name) return say_fatal("Unsupported option \"%s\"", text);
        if (!row) return say_fatal("Unsupported hash algorithm \"%s\": sha1 and sha256 are known", name);
        o->hash = row->alg;
        o->has_hash = true;
    }
    return 0;
}

/* 0, ERR_SYS for a file that is not there, other errors said. */
static int print_file(const struct keygen_options *o, const char *path)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = load_public(path, &k);
    if (err_is_sys(err)) return err;
    if (err == 0) err = print_records(o, k);
    if (err < 0) say_error("%s: %s", path, err_text(err));
    return err;
}

int show_dns(struct keygen_options *o)
{
    static const char *const host_keys[] = { "rsa", "ecdsa", "ed25519" };
    int status = take_options(o);
    if (status) return status;
    if (o->file) {
        int err = print_file(o, o->file);
        if (err_is_sys(err)) say_error("%s: %s", o->file, err_text(err));
        return err < 0 ? EXIT_FATAL : EXIT_DONE;
    }
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(host_keys); i++) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof(path), SYSCONFDIR "/ssh_host_%s_key.pub", host_keys[i]);
        if (print_file(o, path) == 0) any = true;
    }
    return any ? EXIT_DONE : say_fatal("no keys found.");
}
