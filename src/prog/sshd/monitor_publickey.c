/* Public keys: whether a key may be used for the applicant (authorized_keys files, read with the user's rights, and their options),
 * and whether the signature is right over what the monitor itself puts together. */
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

enum {
    AUTHORIZED_KEYS_BYTES_MAX = 64 << 20,
    SIGNED_BYTES_MAX = 256 * 1024
};

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
    if (!method_is_allowed(m, a)) return false;
    if (!algorithm_is_accepted(m, algorithm, blob)) {
        monitor_log(m, LOG_LEVEL_INFO, "userauth_pubkey: signature algorithm %.*s not in PubkeyAcceptedAlgorithms [preauth]",
                    VIEW_ARG(algorithm));
        return false;
    }
    if (key_from_blob(blob, &k) < 0) return false;
    bool is_rsa = key_type_of(k)->pkey == PKEY_RSA;
    if (is_rsa && key_bits(k) < (unsigned)m->options.required_rsa_size) {
        monitor_log(m, LOG_LEVEL_INFO, "refusing RSA key of %u bits: RequiredRSASize is %d", key_bits(k),
                    m->options.required_rsa_size);
        return false;
    }
    return true;
}

/* ---- authorized_keys ---- */

static bool line_lets_in(struct monitor *m, const char *path, const struct authorized_keys_line *line,
                         const struct authorized_keys_options *o)
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
        monitor_log(m, LOG_LEVEL_INFO,
                    "Authentication tried for %s with correct key but not from a permitted host (host=%s, ip=%s, required=%s).",
                    m->who.name, m->peer_host, m->peer.host, o->from);
    return false;
}

/* Goes through the lines with this key. Found: its options are in the attempt. */
static bool file_has_key(struct monitor *m, const char *path, struct view file, struct view key, struct attempt *a)
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
            a->key_options = o;
            a->has_key_options = true;
            if (m->who.valid)
                monitor_log(m, LOG_LEVEL_VERBOSE, "Accepted key%s found at %s:%zu", a->detail[0] ? a->detail + 1 : "", path,
                            line.number);
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

static bool path_has_key(struct monitor *m, const char *path, struct view key, struct attempt *a)
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
    return file_has_key(m, path, buf_view(&file), key, a);
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

static bool user_has_key(struct monitor *m, struct view key, struct attempt *a)
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
            if (path_has_key(m, paths.v[k], key, a)) return true;
    }
    return false;
}

/* A line for SSH_USER_AUTH. */
static int put_auth_info(struct view key, struct buf *out)
{
    struct rd r = rd_of(key);
    CLEANUP(buf_done) struct buf base64 = BUF_INIT(128 * 1024);
    TRY(base64_put(&base64, key));
    struct view type = rd_string(&r);
    TRY(rd_stop(&r));
    return buf_printf(out, "publickey %.*s %.*s\n", VIEW_ARG(type), VIEW_ARG(buf_view(&base64)));
}

/* AuthenticationMethods publickey,publickey asks for two different keys. */
static bool key_was_used(struct monitor *m, struct view key)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(256 * 1024);
    struct view all = buf_view(&m->who.auth_info);
    if (all.len == 0) return false;
    if (put_auth_info(key, &line) < 0) return true;
    if (!memmem(all.p, all.len, buf_view(&line).p, buf_len(&line))) return false;
    monitor_log(m, LOG_LEVEL_INFO, "refusing previously-used %s key", key_short_name(key));
    return true;
}

static bool key_is_allowed(struct monitor *m, struct view algorithm, struct view key, struct attempt *a)
{
    /* An applicant who cannot get in takes the same road as far as there is one. */
    return key_is_usable(m, algorithm, key, a) && !key_was_used(m, key) && m->who.user && user_has_key(m, key, a) && m->who.valid;
}

static void forget_options(struct attempt *a)
{
    if (a->has_key_options) authorized_keys_options_done(&a->key_options);
    a->has_key_options = false;
}

int publickey_query(struct monitor *m, const struct ipc_auth_publickey_query *q, struct attempt *a)
{
    bool allowed = key_is_allowed(m, q->algorithm, q->key, a);
    forget_options(a);
    if (!allowed) return 0;
    a->postponed = true;
    monitor_log(m, LOG_LEVEL_VERBOSE, "Postponed publickey for %s from %s port %d ssh2 [preauth]", m->who.name, m->peer.host,
                m->peer.port);
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

/* PROTOCOL.u2f: a security key says in its signature whether somebody touched it and showed who they are. PubkeyAuthOptions can
 * only ask for more than the key's line does. */
static bool user_was_there(struct monitor *m, const struct attempt *a, struct view signature)
{
    const struct authorized_keys_options *key = &a->key_options;
    bool touch = (m->options.pubkey_auth_options & CONF_PUBKEY_TOUCH_REQUIRED) || !key->no_touch_required;
    bool verify = (m->options.pubkey_auth_options & CONF_PUBKEY_VERIFY_REQUIRED) || key->verify_required;
    uint8_t flags;
    uint32_t counter;
    int err = key_signature_sk_details(signature, &flags, &counter);
    if (err == ERR_NOT_FOUND) return true; /* no security key */
    if (err < 0) return false;
    const char *lacks = touch && !(flags & KEY_SK_USER_PRESENT)     ? "user presence (authenticator touch)"
                        : verify && !(flags & KEY_SK_USER_VERIFIED) ? "user verification"
                                                                    : NULL;
    if (!lacks) return true;
    monitor_log(m, LOG_LEVEL_ERROR, "public key signature for %s from %s port %d rejected: %s requirement not met", m->who.name,
                m->peer.host, m->peer.port, lacks);
    return false;
}

/* What several keys of one login permit together is what each of them permits; two that force different commands contradict each
 * other. */
static bool take_options(struct monitor *m, struct attempt *a)
{
    struct authorized_keys_options *had = &m->who.key_options, *more = &a->key_options;
    if (!m->who.has_key_options) {
        *had = *more;
        m->who.has_key_options = true;
        a->has_key_options = false;
        return true;
    }
    if (had->command && more->command && strcmp(had->command, more->command) != 0) {
        monitor_log(m, LOG_LEVEL_ERROR, "the keys of %s force different commands", m->who.name);
        return false;
    }
    if (!had->command) {
        had->command = more->command;
        more->command = NULL;
    }
    had->permit_pty &= more->permit_pty;
    had->permit_port_forwarding &= more->permit_port_forwarding;
    had->permit_agent &= more->permit_agent;
    had->permit_x11 &= more->permit_x11;
    had->permit_user_rc &= more->permit_user_rc;
    had->restricted |= more->restricted;
    return true;
}

int publickey_check(struct monitor *m, const struct ipc_auth_publickey *q, struct attempt *a)
{
    a->passed = key_is_allowed(m, q->algorithm, q->key, a) && signature_is_right(m, q) && user_was_there(m, a, q->signature) &&
                take_options(m, a);
    forget_options(a);
    return a->passed ? put_auth_info(q->key, &m->who.auth_info) : 0;
}
