/* To and from the key formats of other programs. */
#include "prog/keygen/keygen.h"

#include "base/log.h"
#include "key/public_line.h"

#include <stdio.h>

static int put_rfc4716(const struct key *k, struct buf *out)
{
    char who[512], comment[1024];
    ask_default_comment(who, sizeof(who));
    snprintf(comment, sizeof(comment), "%u-bit %s, converted by %s from OpenSSH", key_bits(k), key_type_of(k)->short_name, who);
    return rfc4716_put(k, view_str(comment), out);
}

/* As OpenSSH, PEM is the traditional form for RSA only; the other types have but one. */
static enum pkey_pem public_form(const struct keygen_options *o, const struct key *k)
{
    return o->conversion == CONVERT_PEM && key_type_of(k)->pkey == PKEY_RSA ? PKEY_PEM_PUBLIC_PKCS1 : PKEY_PEM_PUBLIC_PKCS8;
}

int convert_export(struct keygen_options *o)
{
    if (ask_file(o, "Enter file in which the key is") < 0) return EXIT_SAID_NO;
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(buf_done) struct buf text = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    int err = load_public(o->file, &k);
    if (err_is_sys(err)) return say_fatal("ssh-keygen: %s: %s", o->file, err_text(err));
    if (err < 0) return say_fatal("%s is not a public key file: %s", o->file, say_text(err));
    if (o->conversion == CONVERT_RFC4716)
        err = put_rfc4716(k, &text);
    else
        err =
            key_pkey(k) && !key_type_of(k)->is_cert ? pkey_to_pem(key_pkey(k), public_form(o, k), VIEW_EMPTY, &text) : ERR_KEY_TYPE;
    if (err < 0) return say_fatal("%s keys have no form %s: %s", key_type_of(k)->short_name, o->format, err_text(err));
    printf("%.*s", VIEW_ARG(buf_view(&text)));
    return EXIT_DONE;
}

static int import_pem(struct view file, struct key **ret)
{
    struct pkey *pkey;
    TRY(pkey_from_public_pem(file, &pkey));
    return key_from_pkey(pkey, ret);
}

int convert_import(struct keygen_options *o)
{
    if (ask_file(o, "Enter file in which the key is") < 0) return EXIT_SAID_NO;
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX), line = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    int err = load_file(o->file, &file);
    if (err < 0) return say_fatal("ssh-keygen: %s: %s", o->file, err_text(err));
    err = o->conversion == CONVERT_RFC4716 ? rfc4716_parse(buf_view(&file), &k) : import_pem(buf_view(&file), &k);
    if (err == 0) err = key_set_comment(k, VIEW_EMPTY);
    if (err == 0) err = public_line_put(k, &line);
    if (err < 0) return say_fatal("%s has no key in the form %s: %s", o->file, o->format ? o->format : "RFC4716", err_text(err));
    printf("%.*s\n", VIEW_ARG(buf_view(&line)));
    return EXIT_DONE;
}
