/* SSHFP records: RFC 4255, 6594, 7479. */
#include "prog/keygen/keygen.h"

#include "base/base64.h"
#include "base/log.h"
#include "key/cert.h"

#include <stdio.h>

enum {
    SSHFP_SHA1 = 1,
    SSHFP_SHA256 = 2
};

/* RFC 4255 3.1.1: RSA 1; 6594: ECDSA 3; 7479: Ed25519 4. 0: none, which goes for keys on tokens too. */
static unsigned algorithm_number(const struct key_type *t)
{
    static const uint8_t numbers[PKEY_TYPE_MAX] = {
        [PKEY_RSA] = 1, [PKEY_ECDSA_P256] = 3, [PKEY_ECDSA_P384] = 3, [PKEY_ECDSA_P521] = 3, [PKEY_ED25519] = 4
    };
    return t->is_sk ? 0 : numbers[t->pkey];
}

static int print_record(const struct keygen_options *o, unsigned algorithm, struct view blob, unsigned number, enum digest_alg alg)
{
    uint8_t digest[DIGEST_MAX_BYTES];
    CLEANUP(buf_done) struct buf hex = BUF_INIT(2 * DIGEST_MAX_BYTES);
    TRY(digest_once(alg, blob, digest));
    TRY(hex_put(&hex, view_of(digest, digest_len(alg))));
    if (o->generic_dns)
        printf("%s IN TYPE44 \\# %zu %02x %02x %.*s\n", o->host, 2 + digest_len(alg), algorithm, number, VIEW_ARG(buf_view(&hex)));
    else
        printf("%s IN SSHFP %u %u %.*s\n", o->host, algorithm, number, VIEW_ARG(buf_view(&hex)));
    return 0;
}

static int print_records(const struct keygen_options *o, const struct key *k)
{
    unsigned algorithm = algorithm_number(key_type_of(k));
    if (algorithm == 0) return ERR_KEY_TYPE;
    CLEANUP(buf_done) struct buf plain = BUF_INIT(64 * 1024);
    TRY(cert_plain_blob(key_blob(k), &plain));
    TRY(print_record(o, algorithm, buf_view(&plain), SSHFP_SHA1, DIGEST_SHA1));
    return print_record(o, algorithm, buf_view(&plain), SSHFP_SHA256, DIGEST_SHA256);
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
