/* Fingerprints, pictures, and public keys shown. */
#include "prog/keygen/keygen.h"

#include "base/log.h"
#include "key/authorized_keys.h"
#include "key/public_line.h"

#include <errno.h>
#include <stdio.h>

typedef int print_fn(const struct keygen_options *o, const struct key *k, struct view comment);

static void print_line(const struct key *k, const char *digest, struct view comment)
{
    printf("%u %s ", key_bits(k), digest);
    print_clean(comment.len ? comment : view_str("no comment"));
    printf(" (%s)\n", key_type_of(k)->short_name);
}

static int print_fingerprint(const struct keygen_options *o, const struct key *k, struct view comment)
{
    CLEANUP(freep) char *fingerprint = NULL, *art = NULL;
    TRY(key_fingerprint(key_blob(k), o->hash, &fingerprint));
    print_line(k, fingerprint, comment);
    if (!o->verbose) return 0;
    TRY(key_randomart(k, o->hash, &art));
    printf("%s\n", art);
    return 0;
}

static int print_babble(const struct keygen_options *o, const struct key *k, struct view comment)
{
    (void)o;
    CLEANUP(freep) char *babble = NULL;
    TRY(key_bubblebabble(key_blob(k), &babble));
    print_line(k, babble, comment);
    return 0;
}

/* Lines of .pub, authorized_keys and known_hosts files: what stands before the key (options, host names) is the comment when there
 * is no other. */
static int print_lines(const struct keygen_options *o, print_fn *print, struct view file)
{
    struct view text;
    int found = 0;
    while (public_file_next_line(&file, &text)) {
        struct authorized_keys_line l = {};
        if (authorized_keys_line_parse(text, &l) <= 0) continue;
        CLEANUP(key_unrefp) struct key *k = NULL;
        struct public_line key = { l.type, l.base64, l.comment };
        if (public_line_key(&key, &k) < 0) continue;
        TRY(print(o, k, l.comment.len ? l.comment : l.options));
        found++;
    }
    return found;
}

static int show(struct keygen_options *o, print_fn *print)
{
    if (ask_file(o, "Enter file in which the key is") < 0) return EXIT_SAID_NO;
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(64u << 20);
    bool is_stdin = strcmp(o->file, "-") == 0;
    const char *name = is_stdin ? "(stdin)" : o->file;
    int err = load_file(o->file, &file);
    if (err < 0) return say_fatal("ssh-keygen: %s: %s", name, err_text(err));
    if (has_private(buf_view(&file))) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        err = is_stdin ? private_file_public(buf_view(&file), &k) : load_public(o->file, &k);
        if (err < 0) return say_fatal("%s is not a key file.", name);
        err = print(o, k, view_str(key_comment(k)));
        return err < 0 ? say_fatal("%s", err_text(err)) : EXIT_DONE;
    }
    err = print_lines(o, print, buf_view(&file));
    if (err < 0) return say_fatal("%s", err_text(err));
    return err == 0 ? say_fatal("%s is not a public key file.", name) : EXIT_DONE;
}

int show_fingerprint(struct keygen_options *o) { return show(o, print_fingerprint); }
int show_bubblebabble(struct keygen_options *o) { return show(o, print_babble); }

int show_public(struct keygen_options *o)
{
    if (ask_file(o, "Enter file in which the key is") < 0) return EXIT_SAID_NO;
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(buf_done) struct buf line = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    if (load_private(o, NULL, "Load key", true, NULL, &k) < 0) return EXIT_FATAL;
    int err = public_line_put(k, &line);
    if (err < 0) return say_fatal("%s", err_text(err));
    printf("%.*s\n", VIEW_ARG(buf_view(&line)));
    return EXIT_DONE;
}
