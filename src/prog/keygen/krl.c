/* Revocation lists: made or added to (-k, -u), and asked (-Q). */
#include "prog/keygen/keygen.h"

#include "base/base64.h"
#include "base/log.h"
#include "key/krl_spec.h"
#include "os/clock.h"
#include "os/file.h"

#include <inttypes.h>
#include <stdio.h>

static int read_list(const char *path, struct krl **ret)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(KRL_BYTES_MAX);
    TRY(load_file(path, &file));
    return krl_parse(buf_view(&file), ret);
}

static int say_list_error(const char *path, int err)
{
    if (err_is_sys(err)) return say_fatal("Unable to load KRL %s: %s", path, err_text(err));
    return say_fatal("Invalid KRL file %s: %s", path, err == ERR_FORMAT ? "KRL file has invalid magic number" : err_text(err));
}

/* ---- making ---- */

static int load_ca(const struct keygen_options *o, struct krl_spec_ca *ca, struct key **ret_key)
{
    if (!o->signing_file) return 0;
    ca->is_given = true;
    if (strcmp(o->signing_file, "none") == 0) return 0;
    int err = load_public(o->signing_file, ret_key);
    if (err < 0) return say_fatal("Cannot load CA public key %s: %s", o->signing_file, say_text(err));
    if (key_type_of(*ret_key)->is_cert) return say_fatal("CA public key %s is a certificate", o->signing_file);
    ca->blob = key_blob(*ret_key);
    return 0;
}

static int add_file(const struct keygen_options *o, struct krl *k, const struct krl_spec_ca *ca, const char *path)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(KRL_BYTES_MAX);
    CLEANUP(key_unrefp) struct key *private_key = NULL;
    const char *name = strcmp(path, "-") == 0 ? "(standard input)" : path;
    char why[KRL_SPEC_WHY_BYTES] = "";
    size_t line = 0;
    int err = load_file(path, &text);
    if (err < 0) return say_fatal("fopen %s: %s", name, err_text(err));
    if (!o->quiet) printf("Revoking from %s\n", name);
    if (has_private(buf_view(&text))) {
        err = load_public(path, &private_key);
        if (err == 0) err = krl_add_key(k, key_blob(private_key));
    } else {
        err = krl_spec_add(k, ca, buf_view(&text), &line, why);
    }
    if (err == 0) return 0;
    if (line) return say_fatal("%s:%zu: %s", name, line, why);
    return *why ? say_fatal("%s", why) : say_fatal("%s: %s", name, err_text(err));
}

static int save_list(const struct keygen_options *o, struct krl *k)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(KRL_BYTES_MAX);
    struct krl_header h = krl_header_get(k);
    h.generated_s = (uint64_t)clock_wall_s();
    if (o->has_serial) h.version = o->serial;
    if (o->comment) h.comment = view_str(o->comment);
    int err = krl_header_set(k, h);
    if (err == 0) err = krl_format(k, &out);
    if (err == 0) err = file_write(o->file, buf_view(&out), &(struct file_write){ .mode = 0644, .keep_mode = true });
    return err < 0 ? say_fatal("write %s: %s", o->file, err_text(err)) : EXIT_DONE;
}

int krl_make(struct keygen_options *o)
{
    CLEANUP(krl_freep) struct krl *k = NULL;
    CLEANUP(key_unrefp) struct key *ca_key = NULL;
    struct krl_spec_ca ca = {};
    if (!o->file) return say_fatal("KRL generation requires an output file");
    if (o->update_list && !file_exists(o->file)) return say_fatal("KRL \"%s\" does not exist", o->file);
    int status = load_ca(o, &ca, &ca_key);
    if (status) return status;
    int err = o->update_list ? read_list(o->file, &k) : krl_new(&k);
    if (err < 0) return say_list_error(o->file, err);
    for (size_t i = 0; i < o->n_files && status == 0; i++) status = add_file(o, k, &ca, o->files[i]);
    return status ? status : save_list(o, k);
}

/* ---- asking ---- */

static int put_digest_line(const char *before, struct view digest, bool as_hex)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(4 * DIGEST_MAX_BYTES);
    TRY(as_hex ? hex_put(&text, digest) : base64_put(&text, digest));
    while (buf_len(&text) && buf_bytes(&text)[buf_len(&text) - 1] == '=') buf_truncate(&text, buf_len(&text) - 1);
    printf("%s%.*s\n", before, VIEW_ARG(buf_view(&text)));
    return 0;
}

/* "SHA256:..." and the wire name. */
static int describe_key(struct view blob, char **ret_fingerprint, const char **ret_name)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    *ret_name = key_from_blob(blob, &k) == 0 ? key_type_of(k)->name : "unknown";
    return key_fingerprint(blob, DIGEST_SHA256, ret_fingerprint);
}

static int print_entry(const struct krl_entry *e)
{
    CLEANUP(freep) char *fingerprint = NULL;
    const char *name = "";
    if (e->kind == KRL_ENTRY_KEY || (e->kind == KRL_ENTRY_CA && e->bytes.len)) TRY(describe_key(e->bytes, &fingerprint, &name));
    switch (e->kind) {
    case KRL_ENTRY_KEY:
        printf("hash: %s # %s\n", fingerprint, name);
        break;
    case KRL_ENTRY_SHA256:
        return put_digest_line("hash: SHA256:", e->bytes, false);
    case KRL_ENTRY_SHA1:
        return put_digest_line("# hash SHA1:", e->bytes, true);
    case KRL_ENTRY_CA:
        if (fingerprint)
            printf("\n# CA key %s %s\n", name, fingerprint);
        else
            printf("\n# Wildcard CA\n");
        break;
    case KRL_ENTRY_SERIALS:
        printf("serial: %" PRIu64, e->serials.first);
        if (e->serials.last != e->serials.first) printf("-%" PRIu64, e->serials.last);
        printf("\n");
        break;
    case KRL_ENTRY_KEY_ID:
        printf("id: ");
        print_clean(e->bytes);
        printf("\n");
        break;
    }
    return 0;
}

/* In the form of a specification, from which the list could be made again. */
static int print_list(struct krl *k)
{
    struct krl_header h = krl_header_get(k);
    struct krl_cursor cursor = {};
    char at[64];
    clock_text(h.generated_s > INT64_MAX ? INT64_MAX : (int64_t)h.generated_s, "%Y%m%dT%H%M%S", at, sizeof(at));
    printf("# KRL version %" PRIu64 "\n# Generated at %s\n", h.version, at);
    if (h.comment.len) {
        printf("# Comment: ");
        print_clean(h.comment);
        printf("\n");
    }
    printf("\n");
    for (struct krl_entry e; krl_next(k, &cursor, &e);) TRY(print_entry(&e));
    return 0;
}

int krl_ask(struct keygen_options *o)
{
    CLEANUP(krl_freep) struct krl *k = NULL;
    int status = EXIT_DONE;
    if (!o->file) return say_fatal("KRL checking requires an input file");
    int err = read_list(o->file, &k);
    if (err < 0) return say_list_error(o->file, err);
    if (o->fingerprint) err = print_list(k);
    if (err < 0) return say_fatal("%s", err_text(err));
    for (size_t i = 0; i < o->n_files; i++) {
        CLEANUP(key_unrefp) struct key *key = NULL;
        err = load_public(o->files[i], &key);
        if (err < 0) return say_fatal("Cannot load public key %s: %s", o->files[i], say_text(err));
        bool revoked = krl_has(k, key_blob(key));
        printf("%s", o->files[i]);
        if (*key_comment(key)) printf(" (");
        print_clean(view_str(key_comment(key)));
        printf("%s: %s\n", *key_comment(key) ? ")" : "", revoked ? "REVOKED" : "ok");
        if (revoked) status = EXIT_SAID_NO;
    }
    return status;
}
