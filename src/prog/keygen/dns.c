/* SSHFP records: RFC 4255, 6594, 7479. */
#include "prog/keygen/keygen.h"

#include "base/log.h"
#include "key/sshfp.h"

#include <stdio.h>

enum {
    RECORD_BYTES_MAX = 8192
};

static int print_records(const struct keygen_options *o, const struct key *k)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(RECORD_BYTES_MAX);
    static const enum digest_alg hashes[] = { DIGEST_SHA1, DIGEST_SHA256 };
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) TRY(sshfp_put(view_str(o->host), k, hashes[i], o->generic_dns, &out));
    printf("%.*s", VIEW_ARG(buf_view(&out)));
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
