/* The user's keys, in the order they are tried: files that the agent holds too, the agent's other keys, files alone. */
#include "prog/ssh/client.h"

#include "io/agent_io.h"
#include "key/private_file.h"
#include "key/public_line.h"
#include "os/fd.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PUBLIC_FILE_BYTES_MAX = 1 << 20,
    PASSPHRASE_BYTES_MAX = 1024,
    IDENTITIES_MAX = 2048
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

/* IdentityAgent: none, SSH_AUTH_SOCK, $NAME or a path. NULL: no agent. */
static int agent_path(struct client *c, char **ret)
{
    const char *given = c->options.identity_agent, *path = getenv("SSH_AUTH_SOCK");
    *ret = NULL;
    if (given && strcmp(given, "none") == 0) return 0;
    if (given && strcmp(given, "SSH_AUTH_SOCK") != 0) {
        if (given[0] != '$' || given[1] == '{') return config_expand(c, given, true, "IdentityAgent", ret);
        path = getenv(given + 1);
    }
    if (!path || !*path) return 0;
    *ret = view_dup_str(view_str(path));
    return *ret ? 0 : ERR_NOMEM;
}

static int agent_open(struct client *c, int *ret_fd)
{
    CLEANUP(freep) char *path = NULL;
    TRY(agent_path(c, &path));
    if (!path) return ERR_NOT_FOUND;
    int err = sock_connect_unix(path, ret_fd);
    if (err < 0) client_log(c, LOG_LEVEL_DEBUG1, "cannot reach the agent at %s: %s", path, err_text(err));
    return err;
}

static int agent_ask(struct client *c, struct view request, struct buf *ret_body)
{
    CLEANUP(fd_closep) int fd = -1;
    TRY(agent_open(c, &fd));
    return agent_io_call(fd, request, ret_body);
}

static int agent_list(struct client *c, struct identity **ret)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(1024), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct agent_identities list;
    struct view blob, comment;
    struct identity **tail = ret;
    TRY(agent_put_request_identities(&request));
    TRY(agent_ask(c, buf_view(&request), &body));
    TRY(agent_get_identities(buf_view(&body), &list));
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

static int read_private(struct client *c, const char *path, struct buf *out)
{
    CLEANUP(fd_closep) int fd = -1;
    mode_t mode;
    TRY(file_open(path, O_RDONLY, 0, &fd));
    int err = file_check_private(fd, &mode);
    if (err == ERR_DENIED) {
        log_error(&c->sink.log, "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
        log_error(&c->sink.log, "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @");
        log_error(&c->sink.log, "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
        log_error(&c->sink.log, "Permissions %04o for '%s' are too open.", mode & 07777, path);
        log_error(&c->sink.log, "A private key that others may read is not used; the remedy is: chmod 600 \"%s\"", path);
    }
    TRY(err);
    return file_read_fd(fd, out);
}

static struct key *read_public_file(const char *private_path)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(PUBLIC_FILE_BYTES_MAX);
    char path[4200];
    struct key *k;
    snprintf(path, sizeof path, "%s.pub", private_path);
    return file_read(path, &file) == 0 && public_file_parse(buf_view(&file), &k) == 0 ? k : NULL;
}

/* The number by which OpenSSH's debug line names a type. */
static int type_number(const struct key *k)
{
    static const struct {
        const char *name;
        int number;
    } numbers[] = { { "RSA", 0 }, { "ECDSA", 2 }, { "ED25519", 3 }, { "ECDSA-SK", 10 }, { "ED25519-SK", 12 } };
    for (size_t i = 0; k && i < ARRAY_LEN(numbers); i++)
        if (strcmp(numbers[i].name, key_short_name(key_blob(k))) == 0) return numbers[i].number;
    return -1;
}

/* The public half: of the .pub file beside it, of the file itself if it is a public one, or from the private file. */
static int load_public(struct client *c, struct identity *id)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    id->public = read_public_file(id->path);
    int err = file_read(id->path, &file);
    if (err == 0 && !id->public && private_file_public(buf_view(&file), &id->public) < 0)
        (void)!public_file_parse(buf_view(&file), &id->public);
    client_log(c, LOG_LEVEL_DEBUG1, "identity file %s type %d", id->path, type_number(id->public));
    if (!id->public) return err < 0 ? err : 0; /* an encrypted PEM file tells nothing before its passphrase */
    id->blob = key_blob(id->public);
    return 0;
}

static int file_list(struct client *c, struct identity **ret)
{
    struct identity **tail = ret;
    const struct strv *paths = &c->options.identity_file;
    bool is_explicit = ssh_options_is_set(&c->options, SSH_OPT_identity_file);
    for (size_t i = 0; i < paths->n; i++) {
        if (strcmp(paths->v[i], "none") == 0) continue;
        struct identity *id = calloc(1, sizeof *id);
        if (!id) return ERR_NOMEM;
        id->is_explicit = is_explicit;
        int err = config_expand(c, paths->v[i], true, "IdentityFile", &id->path);
        if (err == 0) err = load_public(c, id);
        if (err < 0) {
            if (is_explicit && id->path && !file_err_is_missing(err))
                log_error(&c->sink.log, "Load key \"%s\": %s", id->path, err_text(err));
            if (is_explicit && id->path && file_err_is_missing(err))
                client_log(c, LOG_LEVEL_INFO, "no such identity: %s: %s", id->path, err_text(err));
            identity_free(id);
            continue;
        }
        *tail = id;
        tail = &id->next;
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

/* A key that both have is the file's entry, signed for by the agent. */
static void merge(struct identity *files, struct identity **agent)
{
    for (struct identity *f = files; f; f = f->next)
        for (struct identity **a = agent; *a; a = &(*a)->next) {
            struct identity *twin = *a;
            if (!same_key(f, twin)) continue;
            f->in_agent = true;
            *a = twin->next;
            identity_free(twin);
            break;
        }
}

void identity_log(const struct client *c, const char *what, const struct identity *id)
{
    CLEANUP(freep) char *fingerprint = NULL;
    if (!log_wants(&c->sink.log, LOG_LEVEL_DEBUG1)) return;
    if (id->public)
        (void)!key_fingerprint(id->blob, c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256, &fingerprint);
    client_log(c, LOG_LEVEL_DEBUG1, "%s: %s %s%s%s%s%s", what, id->path ? id->path : "(no comment)",
               id->public ? key_short_name(id->blob) : "", fingerprint ? " " : "", fingerprint ? fingerprint : "",
               id->is_explicit ? " explicit" : "", id->in_agent ? " agent" : "");
}

int identity_list(struct client *c, struct identity **ret)
{
    struct identity *files = NULL, *agent = NULL, *all = NULL;
    int err = file_list(c, &files);
    if (err == 0 && agent_list(c, &agent) == ERR_NOMEM) err = ERR_NOMEM; /* no agent is no error */
    merge(files, &agent);
    if (c->options.identities_only) {
        identity_free_all(agent);
        agent = NULL;
    }
    move_if(&files, &all, is_in_agent);
    move_if(&agent, &all, is_any);
    move_if(&files, &all, is_any);
    for (const struct identity *id = all; id; id = id->next) identity_log(c, "Will attempt key", id);
    *ret = all;
    return err;
}

/* ---- use ---- */

static int ask_passphrase(struct client *c, struct identity *id, struct view file)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(8192);
    if (c->options.batch_mode) return ERR_PASSPHRASE_NEEDED;
    TRY(buf_printf(&question, "Enter passphrase for key '%s': ", id->path));
    const char *text = buf_cstr(&question);
    for (int i = 0; text && i < c->options.number_of_password_prompts; i++) {
        CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
        TRY(prompt_secret(c, text, false, &passphrase));
        if (buf_len(&passphrase) == 0) return ERR_CANCELLED; /* an empty one: go on to the next key */
        int err = private_file_parse(file, buf_view(&passphrase), &id->private);
        if (err != ERR_PASSPHRASE) return err;
        client_log(c, LOG_LEVEL_DEBUG1, "bad passphrase given, try again...");
    }
    return ERR_PASSPHRASE;
}

static int read_and_open(struct client *c, struct identity *id, bool may_ask)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    TRY(read_private(c, id->path, &file));
    int err = private_file_parse(buf_view(&file), view_of(NULL, 0), &id->private);
    if (err == ERR_PASSPHRASE_NEEDED) {
        id->is_encrypted = true;
        if (may_ask) err = ask_passphrase(c, id, buf_view(&file));
    }
    TRY(err);
    if (!id->public || key_equal_public(id->public, id->private)) return 0;
    key_unref(id->private);
    id->private = NULL;
    return ERR_KEY_MISMATCH;
}

static void say_not_loaded(struct client *c, const struct identity *id, int err)
{
    if (err == ERR_KEY_MISMATCH)
        log_error(&c->sink.log, "Load key \"%s\": private key contents do not match public (%s.pub belongs to another key)",
                  id->path, id->path);
    else
        log_error(&c->sink.log, "Load key \"%s\": %s", id->path, err == ERR_DENIED ? "bad permissions" : err_text(err));
}

/* Whether another try may go better: when somebody is there to ask, or the passphrase is right. */
static bool is_about_passphrase(int err)
{
    return err == ERR_PASSPHRASE_NEEDED || err == ERR_PASSPHRASE || err == ERR_CANCELLED || err == ERR_NOT_FOUND;
}

static int load_private(struct client *c, struct identity *id, bool may_ask)
{
    if (id->private) return 0;
    if (!id->path) return ERR_NOT_FOUND;
    TRY(id->load_err);
    int err = read_and_open(c, id, may_ask);
    if (err < 0 && !is_about_passphrase(err)) {
        id->load_err = err;
        if (!file_err_is_missing(err)) say_not_loaded(c, id, err);
    }
    TRY(err);
    if (!id->public) {
        id->public = key_ref(id->private);
        id->blob = key_blob(id->public);
    }
    return 0;
}

bool identity_is_ready(struct client *c, struct identity *id)
{
    return !id->in_agent && !id->is_encrypted && load_private(c, id, false) == 0;
}

bool identity_is_too_small(const struct client *c, const struct identity *id)
{
    return key_type_of(id->public)->pkey == PKEY_RSA && key_bits(id->public) < (unsigned)c->options.required_rsa_size;
}

const char *identity_algorithm(const struct client *c, const struct identity *id)
{
    static const char *const rsa[] = { "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa" };
    const struct key_type *type = key_type_of(id->public);
    struct view accepted = view_str(c->options.pubkey_accepted_algorithms), server = buf_view(&c->server_sig_algs);
    bool is_rsa = type->pkey == PKEY_RSA && !type->is_cert && !type->is_sk;
    if (identity_is_too_small(c, id)) return NULL;
    if (!is_rsa) return view_list_has(accepted, view_str(type->name)) ? type->name : NULL;
    for (size_t i = 0; i < ARRAY_LEN(rsa); i++)
        if (view_list_has(accepted, view_str(rsa[i])) && (server.len == 0 || view_list_has(server, view_str(rsa[i]))))
            return rsa[i];
    return NULL;
}

static int sign_by_agent(struct client *c, const struct identity *id, const char *algorithm, struct view data,
                         struct buf *ret_signature)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(AGENT_FRAME_BYTES_MAX + 4), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct view signature;
    TRY(agent_put_sign(&request, id->blob, data, view_str(algorithm)));
    TRY(agent_ask(c, buf_view(&request), &body));
    TRY(agent_get_signature(buf_view(&body), &signature));
    return buf_put_view(ret_signature, signature);
}

int identity_sign(struct client *c, struct identity *id, const char *algorithm, struct view data, struct buf *ret_signature)
{
    int err = id->in_agent ? sign_by_agent(c, id, algorithm, data, ret_signature) : load_private(c, id, true);
    if (err == 0 && !id->in_agent) err = key_sign(id->private, view_str(algorithm), data, ret_signature);
    if (err < 0 && !id->in_agent && (is_about_passphrase(err) || id->load_err))
        client_log(c, LOG_LEVEL_DEBUG1, "%s: no private key to sign with: %s", id->path ? id->path : "", err_text(err));
    else if (err < 0)
        log_error(&c->sink.log, "sign_and_send_pubkey: signing failed for %s \"%s\"%s: %s", key_short_name(id->blob),
                  id->path ? id->path : "", id->in_agent ? " from agent" : "", err_text(err));
    return err;
}
