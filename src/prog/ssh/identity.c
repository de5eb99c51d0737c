/* The user's keys, in the order they are tried: certificates of CertificateFile, files that the agent holds too, the agent's other
 * keys, files alone. What their private halves are used for is in identity_sign.c. */
#include "prog/ssh/client.h"

#include "base/vis.h"
#include "key/cert.h"
#include "key/private_file.h"
#include "key/public_line.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "proto/agent/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PUBLIC_FILE_BYTES_MAX = 1 << 20,
    IDENTITIES_MAX = 2048,
    PATH_BYTES = 4200,
    LINE_BYTES = 1 << 19, /* comments of an agent's keys may be long */
    SHOWN_BYTES = 8192,
};

static void identity_free(struct identity *id)
{
    if (!id) return;
    free(id->path);
    key_unref(id->public);
    key_unref(id->private);
    free(id);
}

void identity_free_all(struct identity *list)
{
    while (list) {
        struct identity *next = list->next;
        identity_free(list);
        list = next;
    }
}

/* ---- agent ---- */

static int agent_list(struct client *c, struct identity **ret)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(1024), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct agent_identities list;
    struct view blob, comment;
    struct identity **tail = ret;
    TRY(agent_put_request_identities(&request));
    TRY(agent_call(c, buf_view(&request), &body));
    TRY(agent_get_identities(buf_view(&body), &list));
    client_log(c, LOG_LEVEL_DEBUG1, "get_agent_identities: agent returned %u keys", list.n);
    for (int n = 0; n < IDENTITIES_MAX && agent_identities_next(&list, &blob, &comment) > 0; n++) {
        struct identity *id = calloc(1, sizeof *id);
        if (!id) return ERR_NOMEM;
        id->in_agent = true;
        if (key_from_blob(blob, &id->public) < 0) { /* of a type that we do not know */
            free(id);
            continue;
        }
        id->blob = key_blob(id->public);
        id->path = view_dup_str(comment);
        *tail = id;
        tail = &id->next;
    }
    return 0;
}

/* ---- files ---- */

static int read_public_file(const char *path, struct key **ret)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(PUBLIC_FILE_BYTES_MAX);
    TRY(file_read(path, &file));
    return public_file_parse(buf_view(&file), ret);
}

/* The number by which OpenSSH's debug line names a type. */
static int type_number(const struct key *k)
{
    static const struct {
        const char *name;
        int number;
    } numbers[] = { { "RSA", 0 },         { "ECDSA", 2 },           { "ED25519", 3 },   { "RSA-CERT", 4 },
                    { "ECDSA-CERT", 6 },  { "ED25519-CERT", 7 },    { "ECDSA-SK", 10 }, { "ECDSA-SK-CERT", 11 },
                    { "ED25519-SK", 12 }, { "ED25519-SK-CERT", 13 } };
    for (size_t i = 0; k && i < ARRAY_LEN(numbers); i++)
        if (strcmp(numbers[i].name, key_short_name(key_blob(k))) == 0) return numbers[i].number;
    return -1;
}

/* The public half: of the .pub file beside it, of the file itself if it is a public one, or from the private file. */
static int load_public(struct client *c, struct identity *id)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    char public_path[PATH_BYTES];
    snprintf(public_path, sizeof public_path, "%s.pub", id->path);
    if (read_public_file(public_path, &id->public) < 0) id->public = NULL;
    int err = file_read(id->path, &file);
    if (err == 0 && !id->public && private_file_public(buf_view(&file), &id->public) < 0)
        (void)!public_file_parse(buf_view(&file), &id->public);
    client_log(c, LOG_LEVEL_DEBUG1, "identity file %s type %d", id->path, type_number(id->public));
    if (!id->public) return err < 0 ? err : 0; /* an encrypted PEM file tells nothing before its passphrase */
    id->blob = key_blob(id->public);
    return 0;
}

/* Swallows path. */
static struct identity *identity_new(char *take_path, bool is_explicit)
{
    struct identity *id = calloc(1, sizeof *id);
    if (!id)
        free(take_path);
    else
        *id = (struct identity){ .path = take_path, .is_explicit = is_explicit };
    return id;
}

static void append(struct identity **list, struct identity *id)
{
    while (*list) list = &(*list)->next;
    *list = id;
}

/* ---- certificates ---- */

static bool is_certificate(const struct identity *id) { return id->public && key_type_of(id->public)->is_cert; }

static bool is_user_certificate(struct client *c, const struct identity *id)
{
    struct cert cert;
    if (cert_parse(id->blob, &cert) == 0 && cert.kind == CERT_USER) return true;
    client_log(c, LOG_LEVEL_DEBUG1, "ignoring certificate %s: not a user certificate", id->path);
    return false;
}

/* The file of a certificate, if there is one. ERR_NOMEM is the only error. */
static int add_certificate(struct client *c, char *take_path, const char *shown_path, bool is_file_option, bool is_explicit,
                           struct identity **list)
{
    CLEANUP(freep) char *path = take_path;
    struct key *k = NULL;
    int err = read_public_file(path, &k);
    client_log(c, LOG_LEVEL_DEBUG1, "%s file %s%s type %d", is_file_option ? "certificate" : "identity", shown_path,
               is_file_option ? "" : "-cert", type_number(k));
    if (err < 0) return err == ERR_NOMEM ? err : 0;
    struct identity *id = identity_new(view_dup_str(view_str(shown_path)), is_explicit);
    if (!id || !id->path) {
        key_unref(k);
        identity_free(id);
        return ERR_NOMEM;
    }
    id->is_certificate_file = is_file_option;
    id->public = k;
    id->blob = key_blob(k);
    if (is_certificate(id) && is_user_certificate(c, id)) {
        append(list, id);
        return 0;
    }
    if (is_file_option && !is_certificate(id))
        log_error(&c->sink.log, "key %s type %s is not a certificate", path, key_short_name(id->blob));
    identity_free(id);
    return 0;
}

static int certificate_list(struct client *c, struct identity **ret)
{
    const struct strv *paths = &c->options.certificate_file;
    for (size_t i = 0; i < paths->n; i++) {
        char *path;
        if (strcmp(paths->v[i], "none") == 0) continue;
        TRY(config_expand(c, paths->v[i], true, "CertificateFile", &path));
        CLEANUP(freep) char *shown = view_dup_str(view_str(path));
        if (!shown) {
            free(path);
            return ERR_NOMEM;
        }
        TRY(add_certificate(c, path, shown, true, true, ret));
    }
    return 0;
}

/* ---- the list of IdentityFile ---- */

static void say_not_read(struct client *c, const struct identity *id, int err)
{
    if (file_err_is_missing(err))
        client_log(c, LOG_LEVEL_INFO, "no such identity: %s: %s", id->path, err_text(err));
    else
        log_error(&c->sink.log, "Load key \"%s\": %s", id->path, err_text(err));
}

static int add_file(struct client *c, const char *name, bool is_explicit, struct identity **list)
{
    char *path, *cert_path;
    TRY(config_expand(c, name, true, "IdentityFile", &path));
    struct identity *id = identity_new(path, is_explicit);
    if (!id) return ERR_NOMEM;
    int err = load_public(c, id);
    if (asprintf(&cert_path, "%s-cert.pub", id->path) < 0) cert_path = NULL;
    CLEANUP(freep) char *shown = view_dup_str(view_str(id->path));
    bool is_usable = err == 0;
    if (!is_usable && is_explicit) say_not_read(c, id, err);
    if (is_usable && is_certificate(id) && !is_user_certificate(c, id)) is_usable = false;
    if (is_usable)
        append(list, id);
    else
        identity_free(id);
    if (!cert_path || !shown) {
        free(cert_path);
        return ERR_NOMEM;
    }
    /* As OpenSSH: once there is a CertificateFile, no certificate is looked for beside the keys. */
    if (c->options.certificate_file.n == 0) return add_certificate(c, cert_path, shown, false, is_explicit, list);
    free(cert_path);
    return 0;
}

static int file_list(struct client *c, struct identity **ret)
{
    const struct strv *paths = &c->options.identity_file;
    bool is_explicit = ssh_options_is_set(&c->options, SSH_OPT_identity_file);
    for (size_t i = 0; i < paths->n; i++) {
        if (strcmp(paths->v[i], "none") == 0) continue;
        int err = add_file(c, paths->v[i], is_explicit, ret);
        if (err == ERR_NOMEM) return err;
    }
    return 0;
}

/* ---- order ---- */

static bool same_key(const struct identity *a, const struct identity *b) { return a->blob.len && view_eq(a->blob, b->blob); }

/* Takes the identities that wanted() picks out of *from, and puts them at the end of *to. */
static void move_if(struct identity **from, struct identity **to, bool (*wanted)(const struct identity *id))
{
    while (*to) to = &(*to)->next;
    while (*from) {
        struct identity *id = *from;
        if (!wanted(id)) {
            from = &id->next;
            continue;
        }
        *from = id->next;
        id->next = NULL;
        *to = id;
        to = &id->next;
    }
}

static bool is_in_agent(const struct identity *id) { return id->in_agent; }
static bool is_any(UNUSED const struct identity *id) { return true; }

/* A key that both have is the file's entry, signed for by the agent or the token. */
static void merge(struct identity *files, struct identity **others)
{
    for (struct identity *f = files; f; f = f->next)
        for (struct identity **a = others; *a; a = &(*a)->next) {
            struct identity *twin = *a;
            if (!same_key(f, twin)) continue;
            f->in_agent = f->in_agent || twin->in_agent;
            if (twin->token) f->token = twin->token;
            f->token_idx = twin->token ? twin->token_idx : f->token_idx;
            *a = twin->next;
            identity_free(twin);
            break;
        }
}

/* "PATH TYPE FINGERPRINT explicit agent" */
static int put_line(const struct client *c, const struct identity *id, struct buf *out)
{
    CLEANUP(freep) char *fingerprint = NULL;
    enum digest_alg alg = c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
    if (id->public) TRY(key_fingerprint(id->blob, alg, &fingerprint));
    bool is_sk = id->public && key_type_of(id->public)->is_sk;
    return buf_printf(out, "%s %s%s%s%s%s%s%s", id->path ? id->path : "(no comment)", id->public ? key_short_name(id->blob) : "",
                      fingerprint ? " " : "", fingerprint ? fingerprint : "", id->is_explicit ? " explicit" : "",
                      id->token ? " token" : "", is_sk ? " authenticator" : "", id->in_agent ? " agent" : "");
}

void identity_log(const struct client *c, const char *what, const struct identity *id)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(LINE_BYTES);
    if (!log_wants(&c->sink.log, LOG_LEVEL_DEBUG1) || put_line(c, id, &line) < 0) return;
    client_log(c, LOG_LEVEL_DEBUG1, "%s: %.*s", what, VIEW_ARG(buf_view(&line)));
}

/* A certificate from a file is signed for with the key that it certifies, wherever that is; the agent may have both. */
static void find_signers(struct identity *all)
{
    for (struct identity *cert = all; cert; cert = cert->next) {
        if (!is_certificate(cert) || cert->in_agent) continue;
        for (struct identity *id = all; id && !cert->signer; id = id->next)
            if (id->public && !is_certificate(id) && key_equal_public(id->public, cert->public)) cert->signer = id;
    }
}

int identity_list(struct client *c, struct identity **ret)
{
    struct identity *files = NULL, *agent = NULL, *token = NULL, *all = NULL;
    int err = certificate_list(c, &all);
    if (err == 0) err = identity_token_list(c, &token);
    if (err == 0) err = file_list(c, &files);
    if (err == 0 && agent_list(c, &agent) == ERR_NOMEM) err = ERR_NOMEM; /* no agent is no error */
    merge(all, &agent);
    merge(files, &token);
    merge(files, &agent);
    merge(token, &agent);
    if (c->options.identities_only) {
        identity_free_all(agent);
        identity_free_all(token);
        agent = token = NULL;
    }
    move_if(&token, &all, is_any);
    move_if(&files, &all, is_in_agent);
    move_if(&agent, &all, is_any);
    move_if(&files, &all, is_any);
    find_signers(all);
    for (const struct identity *id = all; id; id = id->next) identity_log(c, "Will attempt key", id);
    *ret = all;
    return err;
}

int identity_print(struct client *c)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);
    struct identity *list = NULL;
    int err = identity_list(c, &list);
    for (const struct identity *id = list; err == 0 && id; id = id->next) {
        CLEANUP(buf_done) struct buf line = BUF_INIT(LINE_BYTES);
        err = put_line(c, id, &line);
        char shown[SHOWN_BYTES];
        vis_line(buf_view(&line), shown, sizeof shown); /* comments are whatever their authors liked */
        if (err == 0) err = buf_printf(&out, "%s\n", shown);
    }
    identity_free_all(list);
    TRY(err);
    return fd_write_all(STDOUT_FILENO, buf_view(&out));
}

/* ---- for the user ---- */

static const char *origin(const struct identity *id)
{
    if (id->is_certificate_file) return id->in_agent ? "CertificateFile, in agent" : "CertificateFile";
    if (id->token) return id->in_agent ? "PKCS11Provider, in agent" : "PKCS11Provider";
    if (id->is_explicit) return id->in_agent ? "IdentityFile, in agent" : "IdentityFile";
    return id->in_agent ? "agent" : "default file";
}

static bool is_certified(const struct cert *cert, const char *user)
{
    struct view list = cert->principals, name;
    while (cert_next_principal(&list, &name))
        if (view_eq_str(name, user)) return true;
    return false;
}

/* Why the server may not have taken a certificate, as far as it can be seen here: " [...]", or nothing. The server may have other
 * names for the user in mind (AuthorizedPrincipalsFile), so those of the certificate are told without a verdict. */
static int put_cert_remark(const struct client *c, const struct identity *id, struct buf *out)
{
    struct cert cert;
    const char *why = NULL;
    if (!is_certificate(id)) return 0;
    if (cert_parse(id->blob, &cert) < 0) return buf_put_str(out, " [the certificate is broken]");
    bool is_valid = cert_check(&cert, CERT_USER, view_of(NULL, 0), clock_wall_s(), &why) == 0;
    if (is_valid && is_certified(&cert, c->remote_user)) return 0;
    TRY(buf_printf(out, " [%s", is_valid ? "it is for: " : why));
    if (is_valid && cert.n_principals == 0) TRY(buf_put_str(out, "nobody"));
    if (is_valid) TRY(cert_put_principals(&cert, out));
    if (!is_valid) TRY(buf_put_str(out, ", valid "));
    if (!is_valid) TRY(cert_put_validity(&cert, out));
    return buf_put_str(out, "]");
}

static void report_one(const struct client *c, const struct identity *id)
{
    CLEANUP(freep) char *fingerprint = NULL;
    CLEANUP(buf_done) struct buf remark = BUF_INIT(LINE_BYTES);
    (void)!put_cert_remark(c, id, &remark); /* what fits */
    if (id->public)
        (void)!key_fingerprint(id->blob, c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256, &fingerprint);
    client_log(c, LOG_LEVEL_INFO, "  %s%s%s%s%s (%s): %s%.*s", id->path ? id->path : "(no comment)", id->public ? " " : "",
               id->public ? key_short_name(id->blob) : "", fingerprint ? " " : "", fingerprint ? fingerprint : "", origin(id),
               id->answer ? id->answer : "not tried", VIEW_ARG(buf_view(&remark)));
}

void identity_report(const struct client *c, const struct identity *list)
{
    int n = 0;
    for (const struct identity *id = list; id; id = id->next) n += id->answer != NULL;
    if (n == 0) return;
    client_log(c, LOG_LEVEL_INFO, "Keys of %s for %s@%s, in the order they were tried:", c->me->name, c->remote_user, c->host);
    for (const struct identity *id = list; id; id = id->next) report_one(c, id);
}
