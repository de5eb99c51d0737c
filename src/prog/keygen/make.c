/* New keys. */
#include "prog/keygen/keygen.h"

#include "key/public_line.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* What -t takes beside the wire names. */
static const struct type_name {
    const char *name, *wire;
} type_names[] = {
    { "ed25519", "ssh-ed25519" },
    { "ecdsa", "ecdsa-sha2-nistp256" },
    { "rsa", "ssh-rsa" },
    { "rsa-sha2-256", "ssh-rsa" },
    { "rsa-sha2-512", "ssh-rsa" },
    { "ed25519-sk", "sk-ssh-ed25519@openssh.com" },
    { "ecdsa-sk", "sk-ecdsa-sha2-nistp256@openssh.com" },
};

/* Sizes of ecdsa by -b. */
static const struct curve_size {
    int64_t bits;
    const char *wire;
} curve_sizes[] = { { 256, "ecdsa-sha2-nistp256" }, { 384, "ecdsa-sha2-nistp384" }, { 521, "ecdsa-sha2-nistp521" } };

static int refuse_type(const char *name)
{
    if (strcasecmp(name, "dsa") == 0 || strcasecmp(name, "ssh-dss") == 0)
        return say_fatal("DSA keys are no longer made: use ed25519");
    if (strncasecmp(name, "mldsa44", 7) == 0 || strncasecmp(name, "ssh-mldsa44", 11) == 0)
        return say_fatal("keys of type %s need ML-DSA, which this libcrypto does not have: use ed25519", name);
    return say_fatal("unknown key type %s", name);
}

static int find_curve(const struct keygen_options *o, const struct key_type **io)
{
    for (size_t i = 0; i < ARRAY_LEN(curve_sizes); i++) {
        if (curve_sizes[i].bits != o->bits) continue;
        *io = key_type_find(view_str(curve_sizes[i].wire));
        return 0;
    }
    return say_fatal("Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits");
}

static int check_rsa_bits(int64_t bits)
{
    if (bits < 1024) return say_fatal("Invalid RSA key length: minimum is 1024 bits");
    if (bits > 16384) return say_fatal("Invalid RSA key length: maximum is 16384 bits");
    return 0;
}

/* 0, or the exit status after saying what is wrong. */
static int find_type(const struct keygen_options *o, const struct key_type **ret)
{
    const char *name = o->type ? o->type : "ed25519", *wire = name;
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
        if (strcasecmp(name, type_names[i].name) == 0) wire = type_names[i].wire;
    const struct key_type *t = key_type_find(view_str(wire));
    if (!t || t->is_cert || t->sig_only) return refuse_type(name);
    *ret = t;
    if (!o->has_bits) return 0;
    if (strcasecmp(name, "ecdsa") == 0) return find_curve(o, ret);
    return t->pkey == PKEY_RSA ? check_rsa_bits(o->bits) : 0;
}

bool save_private(const struct keygen_options *o, const struct key *k, const char *path, struct view passphrase, bool keep_mode)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    struct private_file_options how = {
        .form = o->form,
        .passphrase = passphrase,
        .cipher = view_str(o->cipher),
        .rounds = (uint32_t)o->rounds,
        .random = &os_random,
    };
    /* ed25519 has no traditional PEM form: OpenSSH then writes its own */
    if (how.form == PRIVATE_FILE_PEM && key_type_of(k)->pkey == PKEY_ED25519) how.form = PRIVATE_FILE_OPENSSH;
    int err = private_file_format(k, &how, &text);
    if (err == 0) err = file_write(path, buf_view(&text), &(struct file_write){ .mode = 0600, .keep_mode = keep_mode });
    if (err < 0) say_error("Saving key \"%s\" failed: %s", path, err_text(err));
    return err == 0;
}

bool save_public(const struct key *k, const char *path)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    int err = public_line_put(k, &line);
    if (err == 0) err = buf_put_str(&line, "\n");
    if (err == 0) err = file_write(path, buf_view(&line), &(struct file_write){ .mode = 0644 });
    if (err < 0) say_error("Unable to save public key to %s: %s", path, err_text(err));
    return err == 0;
}

static int set_comment(const struct keygen_options *o, struct key *k)
{
    char comment[1024];
    ask_default_comment(comment, sizeof(comment));
    return key_set_comment(k, view_str(o->comment ? o->comment : comment));
}

/* The directory ~/.ssh is made when a key is to go there. */
static void make_ssh_directory(const char *path)
{
    char dir[PATH_BYTES_MAX];
    const char *home = ask_home();
    if (!home) return;
    int n = snprintf(dir, sizeof(dir), "%s/.ssh", home);
    if (strncmp(path, dir, (size_t)n) != 0 || path[n] != '/' || file_is_dir(dir)) return;
    int err = file_mkdir_p(dir, 0700);
    if (err < 0)
        say_error("Could not create directory '%s': %s", dir, err_text(err));
    else
        fprintf(stderr, "Created directory '%s'.\n", dir);
}

static int tell_new_key(const struct key *k, const char *path)
{
    CLEANUP(freep) char *fingerprint = NULL, *art = NULL;
    if (key_fingerprint(key_blob(k), DIGEST_SHA256, &fingerprint) < 0 || key_randomart(k, DIGEST_SHA256, &art) < 0)
        return say_fatal("%s", err_text(ERR_NOMEM));
    printf("Your identification has been saved in %s\nYour public key has been saved in %s.pub\n", path, path);
    printf("The key fingerprint is:\n%s %s\nThe key's randomart image is:\n%s\n", fingerprint, key_comment(k), art);
    return EXIT_DONE;
}

int ask_key_passphrase(const struct keygen_options *o, struct buf *out)
{
    if (o->new_passphrase) return buf_put_str(out, o->new_passphrase);
    return ask_new_passphrase("Enter passphrase (empty for no passphrase): ", "Passphrases do not match.  Try again.", true, out);
}

int make_key(struct keygen_options *o)
{
    const struct key_type *type = NULL;
    int status = find_type(o, &type);
    if (status) return status;
    CLEANUP(key_unrefp) struct key *k = NULL;
    if (o->options.n && !type->is_sk) return say_fatal("-O %s is not for what is asked here", o->options.v[0]);
    if (!o->quiet) printf("Generating public/private %s key pair.\n", o->type ? o->type : "ed25519");
    if (type->is_sk) status = sk_enroll_key(o, type, &k);
    if (status) return status;
    if (ask_file(o, "Enter file in which to save the key") < 0) return EXIT_SAID_NO;
    make_ssh_directory(o->file);
    if (!ask_overwrite(o->file)) return EXIT_SAID_NO;
    CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    int err = ask_key_passphrase(o, &passphrase);
    if (err < 0) return say_fatal("No passphrase: %s", err_text(err));
    if (!k) err = key_generate(type, (unsigned)o->bits, &k);
    if (err == 0) err = set_comment(o, k);
    if (err < 0) return say_fatal("Making the key failed: %s", err_text(err));
    char public_path[PATH_BYTES_MAX + 8];
    snprintf(public_path, sizeof(public_path), "%s.pub", o->file);
    if (!save_private(o, k, o->file, buf_view(&passphrase), false) || !save_public(k, public_path)) return EXIT_SAID_NO;
    return o->quiet ? EXIT_DONE : tell_new_key(k, o->file);
}

static bool is_empty_or_missing(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 || st.st_size == 0;
}

static bool make_host_key(const struct keygen_options *o, const struct key_type *type, const char *path)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    char public_path[PATH_BYTES_MAX + 8];
    snprintf(public_path, sizeof(public_path), "%s.pub", path);
    int err = key_generate(type, 0, &k);
    if (err == 0) err = set_comment(o, k);
    if (err < 0) {
        say_error("Making the key failed: %s", err_text(err));
        return false;
    }
    return save_private(o, k, path, VIEW_EMPTY, false) && save_public(k, public_path);
}

int make_host_keys(struct keygen_options *o)
{
    static const struct host_key {
        const char *name, *wire, *file;
    } host_keys[] = {
        { "RSA", "ssh-rsa", "ssh_host_rsa_key" },
        { "ECDSA", "ecdsa-sha2-nistp256", "ssh_host_ecdsa_key" },
        { "ED25519", "ssh-ed25519", "ssh_host_ed25519_key" },
    };
    bool any = false, failed = false;
    for (size_t i = 0; i < ARRAY_LEN(host_keys); i++) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof(path), "%s%s/%s", o->file ? o->file : "", SYSCONFDIR, host_keys[i].file);
        if (!is_empty_or_missing(path)) continue;
        printf("%s%s ", any ? "" : "ssh-keygen: generating new host keys: ", host_keys[i].name);
        fflush(stdout);
        any = true;
        if (!make_host_key(o, key_type_find(view_str(host_keys[i].wire)), path)) failed = true;
    }
    if (any) printf("\n");
    return failed ? EXIT_SAID_NO : EXIT_DONE;
}
