/* Certificates shown. */
#include "prog/keygen/keygen.h"

#include "base/base64.h"
#include "base/log.h"
#include "base/rd.h"
#include "key/cert.h"
#include "key/public_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void format_time(uint64_t at_s, char *ret_text, size_t cap)
{
    struct tm tm;
    time_t at = at_s > INT64_MAX ? (time_t)INT64_MAX : (time_t)at_s;
    if (!localtime_r(&at, &tm) || strftime(ret_text, cap, "%Y-%m-%dT%H:%M:%S", &tm) == 0) snprintf(ret_text, cap, "%" PRIu64, at_s);
}

static void print_validity(const struct cert *c)
{
    char after[64], before[64];
    bool from = c->valid_after != 0, to = c->valid_before != UINT64_MAX;
    format_time(c->valid_after, after, sizeof(after));
    format_time(c->valid_before, before, sizeof(before));
    if (from && to)
        printf("from %s to %s\n", after, before);
    else if (from)
        printf("after %s\n", after);
    else if (to)
        printf("before %s\n", before);
    else
        printf("forever\n");
}

static int print_unknown_option(struct view data)
{
    if (data.len == 0) {
        printf(" UNKNOWN FLAG OPTION\n");
        return 0;
    }
    CLEANUP(buf_done) struct buf hex = BUF_INIT(4 * PRIVATE_FILE_BYTES_MAX);
    TRY(hex_put(&hex, data));
    printf(" UNKNOWN OPTION: %.*s (len %zu)\n", VIEW_ARG(buf_view(&hex)), data.len);
    return 0;
}

static bool is_one_of(struct view name, const char *const *names)
{
    for (; *names; names++)
        if (view_eq_str(name, *names)) return true;
    return false;
}

static int print_option(const struct cert_option *o)
{
    static const char *const texts[] = { "force-command", "source-address", NULL };
    static const char *const flags[] = { "verify-required",        "no-touch-required",
                                         "permit-X11-forwarding",  "permit-agent-forwarding",
                                         "permit-port-forwarding", "permit-pty",
                                         "permit-user-rc",         NULL };
    printf("                ");
    print_clean(o->name);
    struct rd r = rd_of(o->data);
    if (is_one_of(o->name, texts)) {
        struct view text = rd_string(&r);
        TRY(rd_end(&r));
        printf(" ");
        print_clean(text);
    } else if (o->data.len || !is_one_of(o->name, flags)) {
        return print_unknown_option(o->data);
    }
    printf("\n");
    return 0;
}

static int print_options(const char *title, struct view list)
{
    struct cert_option o;
    printf("        %s: %s\n", title, list.len ? "" : "(none)");
    while (cert_next_option(&list, &o)) TRY(print_option(&o));
    return 0;
}

static int print_cert(const struct keygen_options *o, const struct key *k)
{
    struct cert c;
    struct view principals, name;
    CLEANUP(freep) char *own = NULL, *ca = NULL;
    TRY(cert_parse(key_blob(k), &c));
    TRY(key_fingerprint(key_blob(k), o->hash, &own));
    TRY(key_fingerprint(c.ca_key, o->hash, &ca));
    printf("        Type: %s %s certificate\n", c.type->name, c.kind == CERT_HOST ? "host" : "user");
    printf("        Public key: %s %s\n", c.type->short_name, own);
    printf("        Signing CA: %s %s (using %.*s)\n", key_short_name(c.ca_key), ca, VIEW_ARG(c.signature_algorithm));
    printf("        Key ID: \"");
    print_clean(c.key_id);
    printf("\"\n        Serial: %" PRIu64 "\n        Valid: ", c.serial);
    print_validity(&c);
    printf("        Principals: %s\n", c.n_principals ? "" : "(none)");
    for (principals = c.principals; cert_next_principal(&principals, &name);) {
        printf("                ");
        print_clean(name);
        printf("\n");
    }
    TRY(print_options("Critical Options", c.critical));
    return print_options("Extensions", c.extensions);
}

/* A line that says which, then the certificate. False: it was none, which is said. */
static bool show_line(const struct keygen_options *o, struct view line, const char *name, size_t number)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = public_line_parse(line, &k);
    if (err < 0) {
        say_error("%s:%zu: invalid key: %s", name, number, err_text(err));
        return false;
    }
    if (!key_type_of(k)->is_cert) {
        fflush(stdout);
        say_error("%s:%zu is not a certificate", name, number);
        return false;
    }
    if (number > 1 || strcmp(o->file, "-") == 0)
        printf("%s:%zu:\n", name, number);
    else
        printf("%s:\n", name);
    err = print_cert(o, k);
    if (err < 0) say_error("%s:%zu: %s", name, number, err_text(err));
    return err == 0;
}

int show_certificates(struct keygen_options *o)
{
    if (ask_file(o, "Enter file in which the key is") < 0) return EXIT_SAID_NO;
    CLEANUP(buf_done) struct buf file = BUF_INIT(64u << 20);
    const char *name = strcmp(o->file, "-") == 0 ? "(stdin)" : o->file;
    int err = load_file(o->file, &file);
    if (err < 0) return say_fatal("ssh-keygen: %s: %s", name, err_text(err));
    struct view rest = buf_view(&file), line;
    bool any = false;
    for (size_t number = 1; public_file_next_line(&rest, &line); number++)
        if (line.len && line.p[0] != '#' && show_line(o, line, name, number)) any = true;
    return any ? EXIT_DONE : EXIT_SAID_NO;
}
