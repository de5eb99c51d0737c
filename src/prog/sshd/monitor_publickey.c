/* Public keys: whether a key may be used for the applicant (authorized_keys files, read with the user's rights, and their options), and whether the
 * signature is right over what the monitor itself puts together. */
#include "prog/sshd/monitor.h"

#include "base/base64.h"
#include "conf/tokens.h"
#include "key/addr_match.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "wire/messages.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { AUTHORIZED_KEYS_BYTES_MAX = 64 << 20, SIGNED_BYTES_MAX = 256 * 1024 };

/* ---- is this algorithm and key wanted at all ---- */

static bool algorithm_is_accepted(const struct monitor *m, struct view algorithm, struct view key)
{
    const struct key_type *type = key_type_find(algorithm);
    struct rd r = rd_of(key);
    if (!type || type->is_cert || !view_eq_str(rd_string(&r), type->blob_name)) return false;
    return view_list_has(view_str(m->options.pubkey_accepted_algorithms), algorithm);
}

static void describe(const struct monitor *m, struct view key, char *ret_text, size_t cap)
{
    CLEANUP(freep) char *fingerprint = NULL;
    enum digest_alg alg = m->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
    if (key_fingerprint(key, alg, &fingerprint) < 0) return;
    snprintf(ret_text, cap, ": %s %s", key_short_name(key), fingerprint);
}

static bool key_is_usable(struct monitor *m, struct view algorithm, struct view blob, struct attempt *a)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    describe(m, blob, a->detail, sizeof a->detail);
    if (!method_is_enabled(m, METHOD_PUBLICKEY)) return false;
    if (!algorithm_is_accepted(m, algorithm, blob)) {
        monitor_log(m, LOG_LEVEL_INFO, "userauth_pubkey: signature algorithm %.*s not in PubkeyAcceptedAlgorithms [preauth]", VIEW_ARG(algorithm));
        return false;
    }
    if (key_from_blob(blob, &k) < 0) return false;
    bool is_rsa = key_type_of(k)->pkey == PKEY_RSA;
    if (is_rsa && key_bits(k) < (unsigned)m->options.required_rsa_size) {
        monitor_log(m, LOG_LEVEL_INFO, "refusing RSA key of %u bits: RequiredRSASize is %d", key_bits(k), m->options.required_rsa_size);
        return false;
    }
    return true;
}

/* ---- authorized_keys ---- */

static bool line_lets_in(struct monitor *m, const char *path, const struct authorized_keys_line *line, const struct authorized_keys_options *o)
{
    if (o->cert_authority) return false; /* such a line is about certificates only */
    if (o->expiry_s && o->expiry_s < clock_wall_s()) {
        monitor_log(m, LOG_LEVEL_INFO, "%s:%zu: key has expired (expiry-time)", path, line->number);
        return false;
    }
    if (!o->from) return true;
    int match = addr_match_host_list(view_str(m->peer_host), view_str(m->peer.host), view_str(o->from));
    if (match == ADDR_MATCH_YES) return true;
    if (match < 0)
        monitor_log(m, LOG_LEVEL_INFO, "%s:%zu: bad from= list: %s", path, line->number, err_text(match));
    else
        monitor_log(m, LOG_LEVEL_INFO, "Authentication tried for %s with correct key but not from a permitted host (host=%s, ip=%s, required=%s).",
                    m->who.name, m->peer_host, m->peer.host, o->from);
    return false;
}

/* Goes through the lines with this key. Found: its options are kept. */
static bool file_has_key(struct monitor *m, const char *path, struct view file, struct view key)
{
    struct authorized_keys_scan scan;
    struct authorized_keys_line line;
    bool found = false;
    if (authorized_keys_scan_init(&scan, file, key) == 0) {
        while (!found && authorized_keys_next(&scan, &line)) {
            struct authorized_keys_options o;
            const char *why = NULL;
            authorized_keys_options_init(&o);
            int err = authorized_keys_options_parse(line.options, &o, &why);
            if (err < 0)
                monitor_log(m, LOG_LEVEL_INFO, "%s:%zu: bad key options: %s", path, line.number, why ? why : err_text(err));
            else
                found = line_lets_in(m, path, &line, &o);
            if (!found) {
                authorized_keys_options_done(&o);
                continue;
            }
            if (m->who.has_key_options) authorized_keys_options_done(&m->who.key_options);
            m->who.key_options = o;
            m->who.has_key_options = true;
            log_debug(&m->sink.log, "%s:%zu: matching key found", path, line.number);
        }
    }
    authorized_keys_scan_done(&scan);
    return found;
}

static int open_safely(struct monitor *m, const char *path, int *ret_fd)
{
    CLEANUP(fd_closep) int fd = -1;
    char why[FILE_WHY_BYTES];
    /* O_NONBLOCK: a FIFO in the place of the file must not hold us. */
    TRY(file_open(path, O_RDONLY | O_NONBLOCK, 0, &fd));
    if (m->options.strict_modes) {
        int err = file_check_safe(fd, path, m->who.user->uid, m->who.user->home, why);
        if (err < 0) {
            monitor_log(m, LOG_LEVEL_INFO, "Authentication refused: %s", why);
            return err;
        }
    }
    *ret_fd = fd_take(&fd);
    return 0;
}

static bool path_has_key(struct monitor *m, const char *path, struct view key)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(AUTHORIZED_KEYS_BYTES_MAX);
    CLEANUP(fd_closep) int fd = -1;
    CLEANUP(user_as_end) struct user_as as = { .active = false };
    int err = user_as_begin(m->who.user, &as);
    if (err == 0) err = open_safely(m, path, &fd);
    if (err == 0) err = file_read_fd(fd, &file);
    user_as_end(&as);
    if (err < 0) {
        log_debug(&m->sink.log, "Could not open user '%s' authorized keys '%s': %s", m->who.name, path, err_text(err));
        return false;
    }
    return file_has_key(m, path, buf_view(&file), key);
}

/* AuthorizedKeysFile's words: tokens %% %h %u %U, relative paths below the home directory, globs. */
static int expand_path(const struct monitor *m, const char *word, struct buf *out)
{
    const struct user *u = m->who.user;
    char uid[16];
    snprintf(uid, sizeof uid, "%u", (unsigned)u->uid);
    const struct conf_token tokens[] = { { 'h', u->home }, { 'u', u->name }, { 'U', uid } };
    const struct conf_expand x = { .tokens = tokens, .n_tokens = ARRAY_LEN(tokens) };
    char why[256];
    CLEANUP(freep) char *text = NULL;
    int err = conf_expand_str(&x, word, &text, why, sizeof why);
    if (err < 0) {
        monitor_log(m, LOG_LEVEL_ERROR, "AuthorizedKeysFile %s: %s", word, why);
        return err;
    }
    if (text[0] != '/') TRY(buf_printf(out, "%s/", u->home));
    return buf_put_str(out, text);
}

static bool user_has_key(struct monitor *m, struct view key)
{
    for (size_t i = 0; i < m->options.authorized_keys_file.n; i++) {
        const char *word = m->options.authorized_keys_file.v[i];
        CLEANUP(buf_done) struct buf pattern = BUF_INIT(8192);
        CLEANUP(strv_done) struct strv paths = STRV_INIT;
        if (strcmp(word, "none") == 0) continue;
        const char *text = expand_path(m, word, &pattern) == 0 ? buf_cstr(&pattern) : NULL;
        if (!text) continue;
        bool has_wildcards = strpbrk(word, "*?[") != NULL;
        int err = has_wildcards ? file_glob(text, &paths) : strv_add(&paths, view_str(text));
        for (size_t k = 0; err == 0 && k < paths.n; k++)
            if (path_has_key(m, paths.v[k], key)) return true;
    }
    return false;
}

static bool key_is_allowed(struct monitor *m, struct view algorithm, struct view key, struct attempt *a)
{
    /* An applicant who cannot get in takes the same road as far as there is one. */
    return key_is_usable(m, algorithm, key, a) && m->who.user && user_has_key(m, key) && m->who.valid;
}

int publickey_query(struct monitor *m, const struct ipc_auth_publickey_query *q, struct attempt *a)
{
    if (!key_is_allowed(m, q->algorithm, q->key, a)) return 0;
    a->postponed = true;
    log_debug(&m->sink.log, "Postponed publickey for %s from %s port %d ssh2 [preauth]", m->who.name, m->peer.host, m->peer.port);
    return method_postpone(m, &(struct ipc_auth_verdict){ .verdict = AUTH_VERDICT_PK_OK });
}

/* ---- the signature ---- */

/* RFC 4252 7; with the server's host key behind it for publickey-hostbound-v00@openssh.com. */
static int signed_data(const struct monitor *m, const struct ipc_auth_publickey *q, struct view host_key, struct buf *out)
{
    struct wr w = wr_of(out);
    wr_string(&w, buf_view(&m->session_id));
    wr_u8(&w, MSG_userauth_request_NUMBER);
    wr_string(&w, q->user);
    wr_string(&w, q->service);
    wr_string(&w, q->method);
    wr_bool(&w, true);
    wr_string(&w, q->algorithm);
    wr_string(&w, q->key);
    if (host_key.len) wr_string(&w, host_key);
    return wr_end(&w);
}

static bool signature_is_right(const struct monitor *m, const struct ipc_auth_publickey *q)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(SIGNED_BYTES_MAX);
    struct view host_key = VIEW_EMPTY;
    if (view_eq_str(q->method, "publickey-hostbound-v00@openssh.com")) {
        host_key = monitor_host_key_blob(m);
        if (host_key.len == 0) return false;
    } else if (!view_eq_str(q->method, "publickey"))
        return false;
    return signed_data(m, q, host_key, &data) == 0 && key_verify_blob(q->key, q->algorithm, buf_view(&data), q->signature) == 0;
}

static int note_auth_info(struct monitor *m, struct view key)
{
    struct rd r = rd_of(key);
    CLEANUP(buf_done) struct buf base64 = BUF_INIT(128 * 1024);
    TRY(base64_put(&base64, key));
    struct view type = rd_string(&r);
    return buf_printf(&m->who.auth_info, "publickey %.*s %.*s\n", VIEW_ARG(type), VIEW_ARG(buf_view(&base64)));
}

int publickey_check(struct monitor *m, const struct ipc_auth_publickey *q, struct attempt *a)
{
    a->passed = key_is_allowed(m, q->algorithm, q->key, a) && signature_is_right(m, q);
    return a->passed ? note_auth_info(m, q->key) : 0;
}
