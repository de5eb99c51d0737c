/* ssh-keygen: what the command line asked for, and the functions that do it. Each mode is a function that gives the exit status;
 * errors are said where they are met. Files: main.c (table of options, table of modes), ask.c (prompts and loading keys), make.c
 * (new keys, -A), change.c (-p, -c), show.c (-l, -B, -y), convert.c (-e, -i), hosts.c (-F, -R, -H), certs.c (-L), dns.c (-r),
 * certify.c (-s), krl.c (-k, -Q), sign_file.c
 * (-Y), moduli.c (-M), token.c (-D), sk.c (keys on security keys, -K). */
#pragma once

#include "base/strv.h"
#include "crypto/digest.h"
#include "key/private_file.h"

enum {
    EXIT_DONE = 0,
    EXIT_SAID_NO = 1, /* usage, not found, not confirmed */
    EXIT_FATAL = 255,
    PATH_BYTES_MAX = 4096,
    PASSPHRASE_BYTES_MAX = 1024,
};

struct keygen_options {
    const char *file, *comment, *passphrase, *new_passphrase, *type, *format, *cipher;
    const char *host;         /* -F, -R, -r; with -Y the file of revoked keys */
    const char *signing_file; /* -s: the CA's key; with -Y the signature */
    const char *identity;     /* -I: a certificate's key id; with -Y who signed */
    const char *names;        /* -n: a certificate's principals; with -Y the namespace */
    const char *validity;
    const char *operation;   /* behind -Y or -M */
    struct strv options;     /* -O */
    const char *pkcs11;      /* -D */
    const char *sk_provider; /* -w */
    char **files;            /* words behind the flags */
    size_t n_files;
    uint64_t serial;
    bool has_serial, serial_counts;
    unsigned host_certificate, use_agent, update_list;
    int64_t bits, rounds;
    bool has_bits;
    unsigned generic_dns;
    unsigned quiet, verbose;
    enum digest_alg hash;
    bool has_hash;
    /* modes that combine with others */
    bool fingerprint, hash_hosts;
    enum private_file_form form;
    enum keygen_conversion {
        CONVERT_RFC4716,
        CONVERT_PKCS8,
        CONVERT_PEM
    } conversion;
};

typedef int keygen_mode_fn(struct keygen_options *o);
keygen_mode_fn make_key, make_host_keys, change_passphrase, change_comment, show_fingerprint, show_bubblebabble, show_public,
    convert_export, convert_import, hosts_find, hosts_remove, hosts_hash, show_certificates, show_dns, certify, krl_make, krl_ask,
    sign_file, moduli_work, show_token, sk_download;

/* Prints how the program is called. Gives EXIT_SAID_NO. */
int usage(void);

/* stderr, one line; gives EXIT_FATAL. */
int say_fatal(const char *fmt, ...) PRINTF(1, 2);
void say_error(const char *fmt, ...) PRINTF(1, 2);
/* err_text in the words that scripts know from OpenSSH. */
const char *say_text(int err);

/* stdout, control characters escaped: what stands in a file must not reach the terminal raw. */
void print_clean(struct view text);

/* o->file, or asks for it ("Enter file in which the key is"), with the default below the home directory. The answer is in o->file
 * afterwards. */
int ask_file(struct keygen_options *o, const char *prompt) MUST_USE;
/* The user's home directory by the account, not by $HOME, as OpenSSH. NULL: said why. */
const char *ask_home(void);
/* "user@host" for comments. */
void ask_default_comment(char *ret_text, size_t cap);
/* A line from the terminal, from standard input if that is none, or by askpass where SSH_ASKPASS_REQUIRE asks for it; into out,
 * which should be secret. ERR_NOT_FOUND, ERR_CANCELLED as prompt_ask. */
int ask_secret(const char *prompt, struct buf *out) MUST_USE;
/* The same; nobody there and the end of the input are an empty one. */
int ask_passphrase(const char *prompt, struct buf *out) MUST_USE;
/* Twice, compared. first is the prompt for the first time. again_on_mismatch: until they are equal; else ERR_DENIED after one try.
 */
int ask_new_passphrase(const char *first, const char *mismatch, bool again_on_mismatch, struct buf *out) MUST_USE;
/* A line on stdout's prompt from stdin, without its end; false at end of file. */
bool ask_line(const char *prompt, char *ret_line, size_t cap);
/* Asks "Overwrite (y/n)? " if the file exists; false: leave it. */
bool ask_overwrite(const char *path);

/* The private key of a file: permission check, then without passphrase, with o->passphrase, or with one that is asked for by prompt
 * (NULL: "Enter passphrase: "). Errors are given, and said: said_as ("Load key"), the file's name, quoted or not as OpenSSH's
 * message is, and why. The passphrase that opened it is appended to used if that is not NULL. */
int load_private(const struct keygen_options *o, const char *prompt, const char *said_as, bool said_quoted, struct buf *used,
                 struct key **ret) MUST_USE;
/* The public key that belongs to a file: itself, the clear half of a private file, or FILE.pub. ERR_FORMAT when there is none. */
int load_public(const char *path, struct key **ret) MUST_USE;
/* The bytes are those of a private key file of some form. */
bool has_private(struct view file);
/* Reads a file, "-" is stdin. */
int load_file(const char *path, struct buf *out) MUST_USE;

/* Loads the module of -D and lists its keys. 0, or the exit status after saying what is wrong. */
struct token_pkcs11;
int token_open(const struct keygen_options *o, struct token_pkcs11 **ret) MUST_USE;
/* Signs with a key of it, asking for the PIN. Errors are said. */
int token_sign(struct token_pkcs11 *t, size_t key_idx, struct view algorithm, struct view data, struct buf *ret_signature) MUST_USE;

/* Signs with a security key's file: tells the user to touch it, asks for the PIN. Errors are said. */
int sk_sign(const char *provider, struct key *k, struct view data, struct buf *ret_signature) MUST_USE;
/* A new key on a security key, by the -O of the command line. 0, or the exit status after saying what is wrong. */
int sk_enroll_key(const struct keygen_options *o, const struct key_type *type, struct key **ret) MUST_USE;
/* -N, or asked for twice. */
int ask_key_passphrase(const struct keygen_options *o, struct buf *out) MUST_USE;

/* Writes FILE and FILE.pub. Failures are said; false. */
bool save_private(const struct keygen_options *o, const struct key *k, const char *path, struct view passphrase, bool keep_mode);
bool save_public(const struct key *k, const char *path);
