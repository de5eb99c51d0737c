/* Certificates made: -s with -I, -n, -h, -V, -z, -O, -t, -U. */
#include "prog/keygen/keygen.h"

#include "key/addr_match.h"
#include "key/cert.h"
#include "key/cert_validity.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "prog/keygen/signer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    CERT_OPTIONS_ASKED_MAX = 256
};

/* What all the certificates of one call have in common. */
struct order {
    struct cert_request request;
    struct view principals[CERT_PRINCIPALS_MAX];
    struct cert_option_text critical[CERT_OPTIONS_ASKED_MAX], extensions[CERT_OPTIONS_ASKED_MAX];
    struct strv names; /* of options that were cut out of longer words */
};

/* ---- options ---- */

/* The flags that a user certificate has unless -O takes them away. */
static const struct flag_row {
    const char *permit, *no; /* -O words */
    const char *name;
} flag_rows[] = {
    { "permit-X11-forwarding", "no-x11-forwarding", "permit-X11-forwarding" },
    { "permit-agent-forwarding", "no-agent-forwarding", "permit-agent-forwarding" },
    { "permit-port-forwarding", "no-port-forwarding", "permit-port-forwarding" },
    { "permit-pty", "no-pty", "permit-pty" },
    { "permit-user-rc", "no-user-rc", "permit-user-rc" },
};

struct wanted {
    bool flags[ARRAY_LEN(flag_rows)];
    bool verify_required, no_touch_required;
    const char *force_command, *source_address;
};

static int add_option(struct cert_option_text *list, size_t *n, const char *name, const char *value)
{
    if (*n == CERT_OPTIONS_ASKED_MAX) return say_fatal("Too many certificate options specified");
    list[(*n)++] = (struct cert_option_text){ name, value };
    return 0;
}

/* critical:name[=value], extension:name[=value] */
static int add_custom(struct order *order, const char *text, bool is_critical)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    if (len == 0) return say_fatal("Empty certificate option name");
    if (strv_add(&order->names, view_of(text, len)) < 0) return say_fatal("%s", err_text(ERR_NOMEM));
    const char *name = order->names.v[order->names.n - 1], *value = equals ? equals + 1 : NULL;
    return is_critical ? add_option(order->critical, &order->request.n_critical, name, value)
                       : add_option(order->extensions, &order->request.n_extensions, name, value);
}

static int set_text(const char **to, const char *name, const char *value)
{
    if (!*value) return say_fatal("Empty %s option", name);
    if (*to) return say_fatal("%s already specified", name);
    *to = value;
    return 0;
}

static int set_source_address(struct wanted *w, const char *value)
{
    int status = set_text(&w->source_address, "source-address", value);
    if (status) return status;
    int err = addr_match_cidr_list(VIEW_LIT("127.0.0.1"), view_str(value));
    if (err == ERR_RANGE) say_error("Inconsistent mask length for network \"%s\"", value);
    return err < 0 ? say_fatal("Invalid source-address list") : 0;
}

/* 0, the exit status, or -1: no such word. */
static int take_flag(struct wanted *w, const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_rows); i++) {
        bool permit = strcasecmp(word, flag_rows[i].permit) == 0;
        if (!permit && strcasecmp(word, flag_rows[i].no) != 0) continue;
        w->flags[i] = permit;
        return 0;
    }
    if (strcasecmp(word, "clear") == 0) {
        memset(w->flags, 0, sizeof(w->flags));
        return w->verify_required = w->no_touch_required = false, 0;
    }
    if (strcasecmp(word, "verify-required") == 0) return w->verify_required = true, 0;
    if (strcasecmp(word, "no-verify-required") == 0) return w->verify_required = false, 0;
    if (strcasecmp(word, "no-touch-required") == 0) return w->no_touch_required = true, 0;
    if (strcasecmp(word, "touch-required") == 0) return w->no_touch_required = false, 0;
    return -1;
}

static const char *after_prefix(const char *word, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncasecmp(word, prefix, n) == 0 ? word + n : NULL;
}

static int take_word(struct order *order, struct wanted *w, const char *word)
{
    const char *value;
    int status = take_flag(w, word);
    if (status != -1) return status;
    if ((value = after_prefix(word, "force-command="))) return set_text(&w->force_command, "force-command", value);
    if ((value = after_prefix(word, "source-address="))) return set_source_address(w, value);
    if ((value = after_prefix(word, "critical:"))) return add_custom(order, value, true);
    if ((value = after_prefix(word, "extension:"))) return add_custom(order, value, false);
    return say_fatal("Unsupported certificate option \"%s\"", word);
}

/* A host certificate has no extension but those asked for. */
static int take_options(const struct keygen_options *o, struct order *order)
{
    struct cert_request *q = &order->request;
    struct wanted w = {};
    int status = 0;
    memset(w.flags, q->kind == CERT_USER, sizeof(w.flags));
    for (size_t i = 0; i < o->options.n && status == 0; i++) status = take_word(order, &w, o->options.v[i]);
    if (status == 0 && w.force_command) status = add_option(order->critical, &q->n_critical, "force-command", w.force_command);
    if (status == 0 && w.source_address) status = add_option(order->critical, &q->n_critical, "source-address", w.source_address);
    if (status == 0 && w.verify_required) status = add_option(order->critical, &q->n_critical, "verify-required", NULL);
    for (size_t i = 0; i < ARRAY_LEN(flag_rows) && status == 0; i++)
        if (w.flags[i]) status = add_option(order->extensions, &q->n_extensions, flag_rows[i].name, NULL);
    if (status == 0 && w.no_touch_required) status = add_option(order->extensions, &q->n_extensions, "no-touch-required", NULL);
    q->critical = order->critical;
    q->extensions = order->extensions;
    return status;
}

/* ---- the order ---- */

static int take_principals(const struct keygen_options *o, struct order *order)
{
    struct cert_request *q = &order->request;
    struct view list = view_str(o->names), name;
    while (o->names && *o->names && view_next_in_list(&list, &name)) {
        if (name.len == 0) return say_fatal("Empty principal name");
        if (q->n_principals == CERT_PRINCIPALS_MAX) return say_fatal("Too many certificate principals specified");
        order->principals[q->n_principals++] = name;
    }
    q->principals = order->principals;
    return 0;
}

static int take_order(const struct keygen_options *o, struct order *order)
{
    struct cert_request *q = &order->request;
    char why[CERT_VALIDITY_WHY_BYTES];
    q->kind = o->host_certificate ? CERT_HOST : CERT_USER;
    q->serial = o->serial;
    q->key_id = view_str(o->identity);
    q->valid_before = UINT64_MAX;
    if (o->validity && cert_validity_parse(view_str(o->validity), clock_wall_s(), &q->valid_after, &q->valid_before, why) < 0)
        return say_fatal("%s", why);
    int status = take_options(o, order);
    return status ? status : take_principals(o, order);
}

/* ---- the CA ---- */

static int find_ca_in_agent(const struct keygen_options *o, struct signer *ca)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = load_public(o->signing_file, &k);
    if (err < 0) return say_fatal("Cannot load CA public key %s: %s", o->signing_file, say_text(err));
    err = signer_connect(ca);
    if (err < 0)
        return say_fatal("Cannot use public key for CA signature: %s", err == ERR_NOT_FOUND ? "agent not present" : err_text(err));
    err = signer_find(ca, k);
    if (err == ERR_NOT_FOUND) return say_fatal("CA key %s not found in agent", o->signing_file);
    if (err < 0) return say_fatal("Retrieve agent key list: %s", err_text(err));
    k = NULL;
    return 0;
}

static int find_ca_on_token(const struct keygen_options *o, struct signer *ca)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = load_public(o->signing_file, &k);
    if (err < 0) return say_fatal("Cannot load CA public key %s: %s", o->signing_file, say_text(err));
    int status = signer_open_token(ca, o, k);
    if (status == 0) k = NULL;
    return status;
}

static int load_ca(struct keygen_options *o, struct signer *ca)
{
    ca->sk_provider = o->sk_provider;
    if (o->pkcs11) return find_ca_on_token(o, ca);
    if (o->use_agent) return find_ca_in_agent(o, ca);
    const char *file = o->file;
    if (!file_exists(o->signing_file)) return say_fatal("Load key \"%s\": %s", o->signing_file, strerror(ENOENT));
    o->file = o->signing_file;
    int err = load_private(o, NULL, "Load key", true, NULL, &ca->key);
    o->file = file;
    return err < 0 ? EXIT_FATAL : 0;
}

/* -t chooses what an RSA key signs with; for others it may only say what is so. */
static int check_algorithm(const struct keygen_options *o, const struct key *ca)
{
    if (!o->type) return 0;
    const struct key_type *wanted = key_type_find(view_str(o->type)), *t = key_type_of(ca);
    bool fits = wanted && !wanted->is_cert && strcmp(wanted->blob_name, t->name) == 0;
    return fits ? 0 : say_fatal("CA key type %s doesn't match specified %s", t->name, o->type);
}

/* ---- making ---- */

/* KEY.pub becomes KEY-cert.pub. */
static void certificate_path(const char *key_path, char *ret_path, size_t cap)
{
    size_t len = strlen(key_path);
    if (len > 4 && strcmp(key_path + len - 4, ".pub") == 0) len -= 4;
    snprintf(ret_path, cap, "%.*s-cert.pub", (int)len, key_path);
}

static void format_time(uint64_t at_s, char *ret_text, size_t cap)
{
    clock_text(at_s > INT64_MAX ? INT64_MAX : (int64_t)at_s, "%Y-%m-%dT%H:%M:%S", ret_text, cap);
}

static void tell(const struct keygen_options *o, const struct cert_request *q, const char *path)
{
    char after[64], before[64], valid[160] = "forever";
    format_time(q->valid_after, after, sizeof(after));
    format_time(q->valid_before, before, sizeof(before));
    if (q->valid_after && q->valid_before != UINT64_MAX)
        snprintf(valid, sizeof(valid), "from %s to %s", after, before);
    else if (q->valid_after)
        snprintf(valid, sizeof(valid), "after %s", after);
    else if (q->valid_before != UINT64_MAX)
        snprintf(valid, sizeof(valid), "before %s", before);
    bool named = q->n_principals > 0;
    say_error("Signed %s key %s: id \"%s\" serial %" PRIu64 "%s%s valid %s", q->kind == CERT_HOST ? "host" : "user", path,
              o->identity, q->serial, named ? " for " : "", named ? o->names : "", valid);
    if (!named) say_error("Warning: without -n the certificate names nobody, and newer programs accept it for nobody");
}

static int make_certificate(const struct keygen_options *o, struct cert_request *q, const struct signer *ca, const struct key *k,
                            struct key **ret)
{
    CLEANUP(buf_done) struct buf body = BUF_INIT(PRIVATE_FILE_BYTES_MAX), signature = BUF_INIT(PRIVATE_FILE_BYTES_MAX);
    uint8_t nonce[CERT_NONCE_BYTES];
    TRY(random_fill(&os_random, nonce, sizeof(nonce)));
    q->nonce = view_of(nonce, sizeof(nonce));
    TRY(cert_put_unsigned(k, q, key_blob(ca->key), &body));
    TRY(signer_sign(ca, view_str(o->type), buf_view(&body), &signature));
    TRY(cert_finish(buf_view(&body), buf_view(&signature), ret));
    return key_set_comment(*ret, view_str(key_comment(k)));
}

static int certify_file(const struct keygen_options *o, struct cert_request *q, const struct signer *ca, const char *path)
{
    CLEANUP(key_unrefp) struct key *k = NULL, *certificate = NULL;
    char certificate_file[PATH_BYTES_MAX + 16];
    int err = load_public(path, &k);
    if (err < 0) return say_fatal("load pubkey \"%s\": %s", path, say_text(err));
    if (key_type_of(k)->is_cert) return say_fatal("key \"%s\" type %s cannot be certified", path, key_type_of(k)->short_name);
    err = make_certificate(o, q, ca, k, &certificate);
    if (err == ERR_FORMAT) return say_fatal("Couldn't certify key %s: a certificate option is given twice", path);
    if (err < 0) return say_fatal("Couldn't certify key %s: %s", path, err_text(err));
    certificate_path(path, certificate_file, sizeof(certificate_file));
    if (!save_public(certificate, certificate_file)) return EXIT_FATAL;
    if (!o->quiet) tell(o, q, certificate_file);
    return EXIT_DONE;
}

static int certify_all(struct keygen_options *o, struct order *order)
{
    CLEANUP(signer_done) struct signer ca = SIGNER_INIT;
    int status = take_order(o, order);
    if (status == 0) status = load_ca(o, &ca);
    if (status == 0) status = check_algorithm(o, ca.key);
    for (size_t i = 0; i < o->n_files && status == 0; i++) {
        status = certify_file(o, &order->request, &ca, o->files[i]);
        if (o->serial_counts) order->request.serial++;
    }
    return status;
}

int certify(struct keygen_options *o)
{
    if (!o->identity) return say_fatal("Must specify key id (-I) when certifying");
    CLEANUP(freep) struct order *order = calloc(1, sizeof(*order));
    if (!order) return say_fatal("%s", err_text(ERR_NOMEM));
    int status = certify_all(o, order);
    strv_done(&order->names);
    return status;
}
