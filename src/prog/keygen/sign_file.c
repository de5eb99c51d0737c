/* Signatures of files: -Y sign, verify, check-novalidate, find-principals, match-principals. */
#include "prog/keygen/keygen.h"

#include "base/log.h"
#include "key/allowed_signers.h"
#include "key/authorized_keys.h"
#include "key/cert.h"
#include "key/public_line.h"
#include "key/revoked.h"
#include "key/sshsig.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "prog/keygen/signer.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    ALLOWED_SIGNERS_BYTES_MAX = 256 << 20,
    REVOKED_BYTES_MAX = 128 << 20,
    READ_BYTES = 64 * 1024,
};

/* ---- options ---- */

struct sign_options {
    enum digest_alg hash;
    bool print_key;
    int64_t verify_at_s;
};
enum { /* which options an operation knows */
    TAKES_HASHALG = 1,
    TAKES_VERIFY_TIME = 2,
    TAKES_PRINT_KEY = 4
};

static int take_option(struct sign_options *to, unsigned takes, const char *text)
{
    if ((takes & TAKES_PRINT_KEY) && strcasecmp(text, "print-pubkey") == 0) {
        to->print_key = true;
        return 0;
    }
    if ((takes & TAKES_VERIFY_TIME) && strncasecmp(text, "verify-time=", 12) == 0) {
        if (authorized_keys_time_parse(view_str(text + 12), &to->verify_at_s) < 0 || to->verify_at_s == 0)
            return say_fatal("Invalid \"verify-time\" option");
        return 0;
    }
    if ((takes & TAKES_HASHALG) && strncasecmp(text, "hashalg=", 8) == 0) {
        if (sshsig_hash_from_name(view_str(text + 8), &to->hash) < 0)
            return say_fatal("unsupported hash algorithm \"%s\": sha256 and sha512 are known", text + 8);
        return 0;
    }
    return say_fatal("Invalid option \"%s\"", text);
}

static int take_options(const struct keygen_options *o, unsigned takes, struct sign_options *to)
{
    *to = (struct sign_options){ .hash = SSHSIG_HASH, .verify_at_s = clock_wall_s() };
    for (size_t i = 0; i < o->options.n; i++) {
        int status = take_option(to, takes, o->options.v[i]);
        if (status) return status;
    }
    return 0;
}

/* ---- messages ---- */

static int digest_fd(int fd, enum digest_alg alg, uint8_t *ret)
{
    CLEANUP(digest_freep) struct digest *d = NULL;
    uint8_t bytes[READ_BYTES];
    TRY(digest_new(alg, &d));
    for (;;) {
        size_t n;
        TRY(fd_read(fd, bytes, sizeof(bytes), &n));
        if (n == 0) return digest_final(d, ret);
        TRY(digest_update(d, view_of(bytes, n)));
    }
}

/* ---- sign ---- */

/* From the file beside the public one. A certificate that stands beside its key signs as the certificate. */
static int load_signer(struct keygen_options *o, const struct key *public_key, struct signer *s)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    static char path[PATH_BYTES_MAX]; /* o->file points here from now on */
    size_t len = strlen(o->file);
    bool is_public = len > 4 && strcmp(o->file + len - 4, ".pub") == 0;
    snprintf(path, sizeof(path), "%.*s", (int)(is_public ? len - 4 : len), o->file);
    if (!file_exists(path)) return say_fatal("No private key found for public key \"%s\"", o->file);
    o->file = path;
    if (load_private(o, NULL, "Load key", true, NULL, &k) < 0) return EXIT_FATAL;
    if (!key_equal_public(k, public_key)) return say_fatal("The private key %s is not the one of %s.pub", path, path);
    if (!key_type_of(public_key)->is_cert || key_type_of(k)->is_cert) {
        s->key = TAKE(k);
        return 0;
    }
    int err = cert_join(k, key_blob(public_key), &s->key);
    return err < 0 ? say_fatal("%s: %s", path, err_text(err)) : 0;
}

/* The agent has the key, or else a file. */
static int find_signer(struct keygen_options *o, struct signer *s)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    s->sk_provider = o->sk_provider;
    int err = load_public(o->file, &k);
    if (err < 0) return say_fatal("Couldn't load public key %s: %s", o->file, say_text(err));
    err = signer_connect(s);
    if (err < 0 && o->use_agent) return say_fatal("Couldn't get agent socket");
    if (err == 0) err = signer_find(s, k);
    if (err < 0) return o->use_agent ? say_fatal("Couldn't find key in agent") : load_signer(o, k, s);
    k = NULL;
    return 0;
}

static int make_signature(const struct keygen_options *o, const struct signer *s, enum digest_alg hash, int fd, struct buf *text)
{
    CLEANUP(buf_done)
    struct buf data = BUF_INIT(SSHSIG_BYTES_MAX), signature = BUF_INIT(SSHSIG_BYTES_MAX), bytes = BUF_INIT(SSHSIG_BYTES_MAX);
    struct sshsig sig = { .key_blob = key_blob(s->key), .name_space = view_str(o->names), .hash = hash };
    uint8_t digest[DIGEST_MAX_BYTES];
    TRY(digest_fd(fd, hash, digest));
    TRY(sshsig_put_signed_data(&sig, digest, &data));
    TRY(signer_sign(s, VIEW_EMPTY, buf_view(&data), &signature));
    sig.signature = buf_view(&signature);
    TRY(sshsig_put(&sig, &bytes));
    return sshsig_armour(buf_view(&bytes), text);
}

static int sign_stdin(const struct keygen_options *o, const struct signer *s, enum digest_alg hash)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(4 * SSHSIG_BYTES_MAX);
    if (!o->quiet) say_error("Signing data on standard input");
    int err = make_signature(o, s, hash, STDIN_FILENO, &text);
    if (err < 0) return say_fatal("Signing (stdin) failed: %s", err_text(err));
    printf("%.*s", VIEW_ARG(buf_view(&text)));
    return EXIT_DONE;
}

static int sign_one(const struct keygen_options *o, const struct signer *s, enum digest_alg hash, const char *path)
{
    CLEANUP(fd_closep) int fd = -1;
    CLEANUP(buf_done) struct buf text = BUF_INIT(4 * SSHSIG_BYTES_MAX);
    char signature_path[PATH_BYTES_MAX + 8];
    int err = file_open(path, O_RDONLY, 0, &fd);
    if (err < 0) return say_fatal("Cannot open %s for signing: %s", path, err_text(err));
    if (!o->quiet) say_error("Signing file %s", path);
    err = make_signature(o, s, hash, fd, &text);
    if (err < 0) return say_fatal("Signing %s failed: %s", path, err_text(err));
    snprintf(signature_path, sizeof(signature_path), "%s.sig", path);
    if (!ask_overwrite(signature_path)) return EXIT_DONE; /* as OpenSSH: not an error */
    err = file_write(signature_path, buf_view(&text), &(struct file_write){ .mode = 0666 });
    if (err < 0) return say_fatal("Unable to write signature to %s: %s", signature_path, err_text(err));
    if (!o->quiet) say_error("Write signature to %s", signature_path);
    return EXIT_DONE;
}

static int sign_files(struct keygen_options *o)
{
    CLEANUP(signer_done) struct signer s = SIGNER_INIT;
    struct sign_options options;
    int status = take_options(o, TAKES_HASHALG, &options);
    if (status == 0) status = find_signer(o, &s);
    if (status) return status;
    if (o->n_files == 0) return sign_stdin(o, &s, options.hash);
    for (size_t i = 0; i < o->n_files && status == EXIT_DONE; i++)
        status = strcmp(o->files[i], "-") == 0 ? sign_stdin(o, &s, options.hash) : sign_one(o, &s, options.hash, o->files[i]);
    return status;
}

/* ---- verify ---- */

/* The file's bytes, decoded, and what is in them. Said. */
static int load_signature(const char *path, struct buf *bytes, struct sshsig *ret)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(SSHSIG_BYTES_MAX);
    int err = load_file(path, &text);
    if (err < 0) {
        say_error("Couldn't read signature file: %s", err_text(err));
        return err;
    }
    err = sshsig_unarmour(buf_view(&text), bytes);
    if (err == 0) err = sshsig_parse(buf_view(bytes), ret);
    if (err < 0) say_error("Couldn't parse signature: %s", err == ERR_FORMAT ? "missing header" : err_text(err));
    return err;
}

static int check_message(const struct keygen_options *o, const struct sshsig *s)
{
    uint8_t digest[DIGEST_MAX_BYTES];
    if (!view_eq_str(s->name_space, o->names)) {
        say_error("Couldn't verify signature: namespace does not match");
        return ERR_SIGNATURE;
    }
    int err = digest_fd(STDIN_FILENO, s->hash, digest);
    if (err == 0) err = sshsig_verify(s, digest);
    if (err < 0) say_error("Signature verification failed: %s", err_text(err));
    return err;
}

static void complain(void *arg, size_t line_number, const char *text)
{
    say_error("%s:%zu: %s", (const char *)arg, line_number, text);
}

static int load_allowed(const struct keygen_options *o, struct buf *out)
{
    int err = load_file(o->file, out);
    if (err < 0) say_error("Unable to open allowed keys file \"%s\": %s", o->file, err_text(err));
    return err;
}

static struct allowed_signers_query query_of(const struct keygen_options *o, struct view file, const struct sshsig *s, int64_t at_s)
{
    return (struct allowed_signers_query){
        .file = file,
        .key_blob = s ? s->key_blob : VIEW_EMPTY,
        .principal = view_str(o->identity),
        .name_space = s ? s->name_space : VIEW_EMPTY,
        .at_s = at_s,
        .complain = complain,
        .arg = (void *)o->file,
    };
}

/* -r: here a file of revoked keys. */
static int check_revoked(const struct keygen_options *o, const struct sshsig *s)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(REVOKED_BYTES_MAX);
    CLEANUP(revoked_freep) struct revoked *r = NULL;
    if (!o->host) return 0;
    int err = load_file(o->host, &file);
    if (err == 0) err = revoked_parse(buf_view(&file), &r);
    if (err < 0) {
        say_error("Cannot use the revocation file %s, so every key counts as revoked: %s", o->host, err_text(err));
        return err;
    }
    if (!revoked_has(r, s->key_blob)) return 0;
    say_error("The signing key is revoked by %s", o->host);
    return ERR_DENIED;
}

static int check_allowed(const struct keygen_options *o, const struct sshsig *s, int64_t at_s)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(ALLOWED_SIGNERS_BYTES_MAX);
    TRY(load_allowed(o, &file));
    struct allowed_signers_query q = query_of(o, buf_view(&file), s, at_s);
    return allowed_signers_check(&q);
}

static int tell_good(const struct keygen_options *o, const struct sign_options *options, const struct sshsig *s)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(freep) char *fingerprint = NULL;
    CLEANUP(buf_done) struct buf line = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    TRY(key_from_blob(s->key_blob, &k));
    TRY(key_fingerprint(s->key_blob, o->hash, &fingerprint));
    if (!o->quiet) {
        printf("Good \"");
        print_clean(s->name_space);
        printf("\" signature ");
        if (o->identity) printf("for ");
        if (o->identity) print_clean(view_str(o->identity));
        printf("%swith %s key %s\n", o->identity ? " " : "", key_type_of(k)->short_name, fingerprint);
    }
    if (!options->print_key) return 0;
    TRY(public_line_put(k, &line));
    printf("%.*s\n", VIEW_ARG(buf_view(&line)));
    return 0;
}

static int verify_all(const struct keygen_options *o, bool ask_who, const struct sign_options *options)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(SSHSIG_BYTES_MAX);
    struct sshsig s;
    TRY(load_signature(o->signing_file, &bytes, &s));
    TRY(check_message(o, &s));
    if (ask_who) TRY(check_revoked(o, &s));
    if (ask_who) TRY(check_allowed(o, &s, options->verify_at_s));
    return tell_good(o, options, &s);
}

static int verify(struct keygen_options *o, bool ask_who)
{
    struct sign_options options;
    if (take_options(o, TAKES_VERIFY_TIME | TAKES_PRINT_KEY, &options) == 0 && verify_all(o, ask_who, &options) == 0)
        return EXIT_DONE;
    if (!o->quiet) printf("Could not verify signature.\n");
    return EXIT_FATAL;
}

static int verify_for(struct keygen_options *o) { return verify(o, true); }

static int check_novalidate(struct keygen_options *o)
{
    o->identity = NULL; /* nobody is asked about */
    return verify(o, false);
}

/* ---- principals ---- */

static int find_all(const struct keygen_options *o, const struct sign_options *options, struct buf *out)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(SSHSIG_BYTES_MAX), file = BUF_INIT(ALLOWED_SIGNERS_BYTES_MAX);
    struct sshsig s = {};
    if (o->signing_file) TRY(load_signature(o->signing_file, &bytes, &s));
    TRY(load_allowed(o, &file));
    struct allowed_signers_query q = query_of(o, buf_view(&file), &s, options->verify_at_s);
    return o->signing_file ? allowed_signers_find(&q, out) : allowed_signers_match(&q, out);
}

static int print_principals(const struct keygen_options *o)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(ALLOWED_SIGNERS_BYTES_MAX);
    struct sign_options options;
    struct view rest, line;
    if (take_options(o, TAKES_VERIFY_TIME, &options) || find_all(o, &options, &out) < 0) return say_fatal("No principal matched.");
    for (rest = buf_view(&out); !o->quiet && public_file_next_line(&rest, &line);) {
        print_clean(line);
        printf("\n");
    }
    return EXIT_DONE;
}

static int find_principals(struct keygen_options *o) { return print_principals(o); }

static int match_principals(struct keygen_options *o)
{
    o->signing_file = NULL; /* no signature: the name alone */
    return print_principals(o);
}

/* ---- which ---- */

static const struct operation {
    const char *name;
    keygen_mode_fn *run;
    bool needs_identity, needs_namespace, needs_file, needs_signature;
    const char *file_is;
} operations[] = {
    { "sign", sign_files, .needs_namespace = true, .needs_file = true, .file_is = "key" },
    { "verify", verify_for, true, true, true, true, "allowed keys file" },
    { "check-novalidate", check_novalidate, .needs_namespace = true, .needs_signature = true },
    { "find-principals", find_principals, .needs_file = true, .needs_signature = true, .file_is = "allowed keys file" },
    { "match-principals", match_principals, .needs_identity = true, .needs_file = true, .file_is = "allowed keys file" },
};

static const char *missing(const struct operation *op, const struct keygen_options *o)
{
    if (op->needs_signature && !o->signing_file) return "signature file";
    if (op->needs_namespace && (!o->names || !*o->names)) return "namespace";
    if (op->needs_identity && (!o->identity || !*o->identity)) return op->needs_namespace ? "principal identity" : "principal ID";
    if (op->needs_file && (!o->file || !*o->file)) return op->file_is;
    return NULL;
}

int sign_file(struct keygen_options *o)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        if (strcmp(o->operation, operations[i].name) != 0) continue;
        const char *lack = missing(&operations[i], o);
        if (!lack) return operations[i].run(o);
        say_error("Too few arguments for %s: missing %s", o->operation, lack);
        return usage();
    }
    say_error("Unsupported operation for -Y: \"%s\"", o->operation);
    return usage();
}
