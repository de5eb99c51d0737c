/* Keys of PKCS#11 tokens listed (-D). */
#include "prog/keygen/keygen.h"

#include "io/token_pkcs11.h"
#include "key/public_line.h"

#include <stdio.h>

static int ask_pin(UNUSED void *arg, const char *prompt, bool has_keypad, struct buf *out)
{
    if (!has_keypad) return ask_secret(prompt, out);
    fprintf(stderr, "%s\n", prompt);
    return 0;
}

int token_open(const struct keygen_options *o, struct token_pkcs11 **ret)
{
    CLEANUP(token_pkcs11_freep) struct token_pkcs11 *t = NULL;
    int err = token_pkcs11_open(o->pkcs11, VIEW_EMPTY, o->verbose > 0, &t);
    if (err < 0) return say_fatal("cannot read public key from pkcs11: ssh-pkcs11-helper does not start: %s", err_text(err));
    struct token_event e = token_pkcs11_wait(t, ask_pin, NULL);
    if (e.kind != TOKEN_LOADED) return say_fatal("cannot read public key from pkcs11: provider %s: %s", o->pkcs11, e.why);
    *ret = TAKE(t);
    return 0;
}

int token_sign(struct token_pkcs11 *t, size_t key_idx, struct view algorithm, struct view data, struct buf *ret_signature)
{
    TRY(token_pkcs11_sign(t, key_idx, algorithm, data));
    struct token_event e = token_pkcs11_wait(t, ask_pin, NULL);
    if (e.kind == TOKEN_SIGNED) return buf_put_view(ret_signature, e.signature);
    say_error("%s", e.why);
    return e.err;
}

static int print_fingerprint(const struct keygen_options *o, const struct key *k)
{
    CLEANUP(freep) char *fingerprint = NULL, *art = NULL;
    TRY(key_fingerprint(key_blob(k), o->hash, &fingerprint));
    printf("%u %s %s (PKCS11 key)\n", key_bits(k), fingerprint, key_type_of(k)->short_name);
    if (!o->verbose) return 0;
    TRY(key_randomart(k, o->hash, &art));
    printf("%s\n", art);
    return 0;
}

static int print_line(const struct key *k)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    TRY(public_line_put(k, &line));
    print_clean(buf_view(&line));
    printf("\n");
    return 0;
}

int show_token(struct keygen_options *o)
{
    CLEANUP(token_pkcs11_freep) struct token_pkcs11 *t = NULL;
    int status = token_open(o, &t);
    if (status) return status;
    for (size_t i = 0; i < token_pkcs11_n_keys(t); i++) {
        const struct key *k = token_pkcs11_key(t, i);
        int err = o->fingerprint ? print_fingerprint(o, k) : print_line(k);
        if (err < 0) return say_fatal("%s", err_text(err));
    }
    return EXIT_DONE;
}
