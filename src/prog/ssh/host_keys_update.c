/* UpdateHostKeys (OpenSSH's PROTOCOL 2.5): behind the login the server names all of its host keys. Those that are new have to be
 * proved; then the user's files get them, and lose those that the server has no more. Nothing is touched that the user wrote by
 * hand: patterns, lists of names, markers, keys that stand under other names too. */
#include "prog/ssh/host_key_int.h"

#include "base/rd.h"
#include "base/base64.h"
#include "key/known_hosts_update.h"
#include "os/file.h"
#include "os/random.h"
#include "prog/ssh/session_int.h"
#include "wire/messages.h"

#include <stdlib.h>
#include <strings.h>

enum {
    KEY_BYTES_MAX = 1 << 16,
    PROVE_BYTES_MAX = 1 << 20,
    FILE_BYTES_MAX = 256 << 20,
    ASK_TRIES = 3
};

static const char prove_name[] = "hostkeys-prove-00@openssh.com";

struct host_keys {
    struct buf blobs[KNOWN_HOSTS_KEYS_MAX];
    struct view keys[KNOWN_HOSTS_KEYS_MAX], names[2];
    struct known_hosts_server server;
    struct known_files files;
    struct known_hosts_survey survey;
    bool is_new[KNOWN_HOSTS_KEYS_MAX];
    size_t n_new;
    bool is_asked; /* proofs are under way */
};

void host_keys_free(struct host_keys *h)
{
    if (!h) return;
    for (size_t i = 0; i < h->server.n_keys; i++) buf_done(&h->blobs[i]);
    known_files_done(&h->files);
    free(h);
}

void host_keys_no_update(struct client *c, const char *why)
{
    if (c->options.update_host_keys == CONF_NO) return;
    client_log(c, LOG_LEVEL_DEBUG1, "%s", why);
    c->options.update_host_keys = CONF_NO;
}

/* ---- what the server has ---- */

/* HostKeyAlgorithms names signatures: an RSA key counts when one of its own is there. */
static bool is_permitted(const struct client *c, const struct key *k)
{
    struct view list = view_str(c->options.host_key_algorithms), name;
    while (view_next_in_list(&list, &name)) {
        const struct key_type *t = key_type_find(name);
        if (t && !t->is_cert && strcmp(t->blob_name, key_type_of(k)->name) == 0) return true;
    }
    return false;
}

static bool is_taken(const struct client *c, const struct host_keys *h, struct view blob)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    if (key_from_blob(blob, &k) < 0) return false; /* of a type that we do not know */
    const char *name = key_short_name(blob);
    client_log(c, LOG_LEVEL_DEBUG3, "received %s key", name);
    if (key_type_of(k)->is_cert) {
        client_log(c, LOG_LEVEL_DEBUG3, "%s key is a certificate; skipping", name);
        return false;
    }
    bool is_small = key_type_of(k)->pkey == PKEY_RSA && key_bits(k) < (unsigned)c->options.required_rsa_size;
    if (!is_permitted(c, k) || is_small) {
        client_log(c, LOG_LEVEL_DEBUG3, "%s key not permitted by %s", name, is_small ? "RequiredRSASize" : "HostkeyAlgorithms");
        return false;
    }
    for (size_t i = 0; i < h->server.n_keys; i++)
        if (view_eq(h->keys[i], blob)) return false;
    return true;
}

static int take_keys(const struct client *c, struct view list, struct host_keys *h)
{
    struct rd r = rd_of(list);
    while (rd_left(&r)) {
        struct view blob = rd_string(&r);
        TRY(rd_stop(&r));
        size_t at = h->server.n_keys;
        if (!is_taken(c, h, blob)) continue;
        if (at == KNOWN_HOSTS_KEYS_MAX) return ERR_LIMIT;
        h->blobs[at] = (struct buf)BUF_INIT(KEY_BYTES_MAX);
        h->server.n_keys++;
        TRY(buf_put_view(&h->blobs[at], blob));
        h->keys[at] = buf_view(&h->blobs[at]);
    }
    return rd_end(&r);
}

/* ---- writing ---- */

static int write_file(struct client *c, struct host_keys *h, const struct known_file *file, bool is_first)
{
    CLEANUP(buf_done) struct buf now = BUF_INIT(FILE_BYTES_MAX), out = BUF_INIT(FILE_BYTES_MAX);
    const struct file_write how = { .mode = 0600, .keep_mode = true };
    bool changed;
    int err = file_read(file->path, &now); /* anew: others may have written meanwhile */
    if (file_err_is_missing(err)) {
        client_log(c, LOG_LEVEL_DEBUG1, "known hosts file %s does not exist", file->path);
        return 0;
    }
    if (err == 0)
        err = known_hosts_replace(buf_view(&now), &h->server, is_first ? h->is_new : NULL, c->options.hash_known_hosts, &os_random,
                                  &out, &changed);
    if (err == 0 && changed) err = file_write(file->path, buf_view(&out), &how);
    if (err < 0) log_error(&c->sink.log, "The host keys in %s could not be updated: %s", file->path, err_text(err));
    return err;
}

static bool user_agrees(struct client *c)
{
    bool agrees = false, was_raw = c->session && c->session->raw.active;
    session_restore_terminal(c);
    for (int i = 0; i < ASK_TRIES; i++) {
        CLEANUP(buf_done) struct buf answer = BUF_INIT(1024);
        if (prompt_line(c, "Accept updated hostkeys? (yes/no): ", &answer) < 0) break;
        const char *text = buf_cstr(&answer);
        agrees = text && strcasecmp(text, "yes") == 0;
        if (!text || agrees || strcasecmp(text, "no") == 0) break;
        log_error(&c->sink.log, "Please enter \"yes\" or \"no\"");
    }
    if (was_raw) (void)!session_raw_enter(c->session);
    return agrees;
}

static void say_changes(struct client *c, const struct host_keys *h)
{
    bool asks = c->options.update_host_keys == CONF_ASK;
    enum log_level level = asks ? LOG_LEVEL_INFO : LOG_LEVEL_VERBOSE;
    if (asks) {
        client_log(c, level, "The server has updated its host keys.");
        client_log(c, level, "These changes were verified by the server's existing trusted key.");
    }
    for (size_t i = 0; i < h->server.n_keys; i++) {
        CLEANUP(freep) char *print = h->is_new[i] ? host_key_fingerprint(c, h->keys[i]) : NULL;
        if (print) client_log(c, level, "Learned new hostkey: %s %s", key_short_name(h->keys[i]), print);
    }
    for (size_t i = 0; i < h->survey.n_old; i++) {
        CLEANUP(freep) char *print = NULL;
        CLEANUP(buf_done) struct buf blob = BUF_INIT(KEY_BYTES_MAX);
        if (base64_get(h->survey.old[i].base64, &blob) < 0 || !(print = host_key_fingerprint(c, buf_view(&blob)))) continue;
        client_log(c, level, "Deprecating obsolete hostkey: %s %s", key_short_name(buf_view(&blob)), print);
    }
}

static void write_files(struct client *c, struct host_keys *h)
{
    say_changes(c, h);
    if (c->options.update_host_keys == CONF_ASK && !user_agrees(c)) return;
    for (size_t i = 0; i < h->files.n_user; i++)
        if (write_file(c, h, &h->files.v[i], i == 0) < 0) return;
}

/* ---- asking for proofs ---- */

static int ask_for_proofs(struct client *c, struct host_keys *h)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(PROVE_BYTES_MAX);
    struct wr w = wr_of(&data);
    for (size_t i = 0; i < h->server.n_keys; i++)
        if (h->is_new[i]) wr_string(&w, h->keys[i]);
    TRY(wr_end(&w));
    client_log(c, LOG_LEVEL_DEBUG1, "asking server to prove ownership for %zu keys", h->n_new);
    h->is_asked = true;
    return conn_global_request(conn_io_conn(c->conn_io), prove_name, true, CLIENT_TAG_HOST_KEYS, buf_view(&data));
}

/* What speaks against touching the files, NULL: nothing. */
static const char *obstacle(const struct host_keys *h)
{
    if (h->n_new == 0 && h->survey.n_old == 0) return "no new or deprecated keys from server";
    if (h->survey.is_complex)
        return "CA/revocation marker, manual host list or wildcard host pattern found, skipping UserKnownHostsFile update";
    if (h->survey.has_other_names) return "host key found matching a different name/address, skipping UserKnownHostsFile update";
    for (size_t i = 0; i < h->files.n_user; i++)
        if (known_hosts_old_has_other_names(buf_view(&h->files.v[i].bytes), &h->server, &h->survey))
            return "deprecated keys exist under other names; skipping UserKnownHostsFile update";
    return NULL;
}

static int compare(struct client *c, struct host_keys *h)
{
    h->names[0] = view_str(c->known_name);
    h->names[1] = view_str(c->known_address ? c->known_address : "");
    h->server.names = h->names;
    h->server.n_names = c->known_address ? 2 : 1;
    h->server.keys = h->keys;
    TRY(known_files_load(c, &h->files));
    for (size_t i = 0; i < h->files.n_user; i++) TRY(known_hosts_survey(buf_view(&h->files.v[i].bytes), &h->server, &h->survey));
    for (size_t i = 0; i < h->server.n_keys; i++) {
        h->is_new[i] = !h->survey.known[i];
        h->n_new += h->is_new[i];
    }
    client_log(c, LOG_LEVEL_DEBUG3, "%zu server keys: %zu new, %zu to remove", h->server.n_keys, h->n_new, h->survey.n_old);
    return 0;
}

int host_keys_announced(struct client *c, struct view list)
{
    const char *why;
    if (c->options.update_host_keys == CONF_NO || c->host_keys) return 0;
    struct host_keys *h = c->host_keys = calloc(1, sizeof *h);
    if (!h) return ERR_NOMEM;
    int err = take_keys(c, list, h);
    if (err == 0) err = compare(c, h);
    if (err < 0) {
        client_log(c, LOG_LEVEL_DEBUG1, "the server's host keys are not looked at: %s", err_text(err));
        return err == ERR_NOMEM ? err : 0;
    }
    if (h->server.n_keys == 0)
        client_log(c, LOG_LEVEL_DEBUG1, "server sent no hostkeys");
    else if ((why = obstacle(h)))
        client_log(c, LOG_LEVEL_DEBUG1, "%s", why);
    else if (h->n_new)
        return ask_for_proofs(c, h);
    else
        write_files(c, h);
    return 0;
}

/* ---- proofs ---- */

/* SHA-1 proves nothing. */
static bool is_trusted_algorithm(struct view signature)
{
    struct rd r = rd_of(signature);
    return !view_eq_str(rd_string(&r), "ssh-rsa");
}

static int check_proof(struct client *c, struct view key, struct view signature)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(PROVE_BYTES_MAX);
    struct wr w = wr_of(&data);
    wr_cstr(&w, prove_name);
    wr_string(&w, transport_session_id(wire_io_transport(c->wire)));
    wr_string(&w, key);
    TRY(wr_end(&w));
    if (!is_trusted_algorithm(signature)) return ERR_SIGNATURE;
    return key_verify_blob(key, VIEW_EMPTY, buf_view(&data), signature);
}

static int check_proofs(struct client *c, const struct host_keys *h, struct view signatures)
{
    struct rd r = rd_of(signatures);
    for (size_t i = 0; i < h->server.n_keys; i++) {
        if (!h->is_new[i]) continue;
        struct view signature = rd_string(&r);
        TRY(rd_stop(&r));
        int err = check_proof(c, h->keys[i], signature);
        if (err == 0) continue;
        log_error(&c->sink.log, "server gave bad signature for %s key %zu", key_short_name(h->keys[i]), i);
        return err;
    }
    return rd_end(&r);
}

int host_keys_proved(struct client *c, bool ok, struct view signatures)
{
    struct host_keys *h = c->host_keys;
    if (!h || !h->is_asked) return ERR_UNEXPECTED_MESSAGE;
    h->is_asked = false;
    if (!ok) {
        log_error(&c->sink.log, "Server failed to confirm ownership of private host keys");
        return 0;
    }
    int err = check_proofs(c, h, signatures);
    if (err == ERR_NOMEM) return err;
    if (err == 0) write_files(c, h);
    return 0;
}
