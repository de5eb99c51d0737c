/* Public keys: whether a key may be used for the applicant (authorized_keys files, read with the user's rights, and their options),
 * and whether the signature is right over what the monitor itself puts together. */
#include "prog/sshd/monitor.h"

#include "base/base64.h"
#include "key/addr_match.h"
#include "os/clock.h"
#include "wire/messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    AUTHORIZED_KEYS_BYTES_MAX = 64 << 20,
    SIGNED_BYTES_MAX = 256 * 1024
};

/* ---- is this algorithm and key wanted at all ---- */

static bool algorithm_is_accepted(const struct key_rules *rules, const struct key_type *type, const struct offered *o)
{
    struct rd r = rd_of(o->blob);
    if (!type || !view_eq_str(rd_string(&r), type->blob_name)) return false;
    return view_list_has(view_str(rules->accepted), o->algorithm);
}

void key_describe(const struct monitor *m, const struct offered *o, char *ret_text, size_t cap)
{
    CLEANUP(freep) char *fingerprint = NULL, *ca_print = NULL;
    struct cert c;
    if (key_fingerprint(o->blob, monitor_print_digest(m), &fingerprint) < 0) return;
    int n = snprintf(ret_text, cap, ": %s %s", key_short_name(o->blob), fingerprint);
    if (n < 0 || (size_t)n >= cap || cert_parse(o->blob, &c) < 0) return;
    if (key_fingerprint(c.ca_key, monitor_print_digest(m), &ca_print) < 0) return;
    snprintf(ret_text + n, cap - (size_t)n, " ID %.*s (serial %" PRIu64 ") CA %s %s", VIEW_ARG(view_sub(c.key_id, 0, cap / 2)),
             c.serial, key_short_name(c.ca_key), ca_print);
}

static bool rsa_is_long_enough(struct monitor *m, const struct key *k)
{
    if (key_type_of(k)->pkey != PKEY_RSA || key_bits(k) >= (unsigned)m->options.required_rsa_size) return true;
    monitor_log(m, LOG_LEVEL_INFO, "refusing RSA key of %u bits: RequiredRSASize is %d", key_bits(k), m->options.required_rsa_size);
    return false;
}

bool key_is_usable(struct monitor *m, const struct key_rules *rules, struct offered *o)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    const struct key_type *type = key_type_find(o->algorithm);
    if (!algorithm_is_accepted(rules, type, o)) {
        monitor_log(m, LOG_LEVEL_INFO, "%s: signature algorithm %.*s not in %s [preauth]", rules->who, VIEW_ARG(o->algorithm),
                    rules->keyword);
        return false;
    }
    if (key_from_blob(o->blob, &k) < 0 || !rsa_is_long_enough(m, k)) return false;
    o->is_cert = type->is_cert;
    if (o->is_cert && !cert_is_usable(m, rules->who, o->blob, &o->cert)) return false;
    return !monitor_key_is_revoked(m, o->blob);
}

/* ---- authorized_keys ---- */

bool key_options_let_in(struct monitor *m, const char *where, const struct authorized_keys_options *o)
{
    if (o->expiry_s && o->expiry_s < clock_wall_s()) {
        monitor_log(m, LOG_LEVEL_INFO, "%s: key has expired (expiry-time)", where);
        return false;
    }
    if (!o->from) return true;
    int match = addr_match_host_list(view_str(m->peer_host), view_str(m->peer.host), view_str(o->from));
    if (match == ADDR_MATCH_YES) return true;
    if (match < 0)
        monitor_log(m, LOG_LEVEL_INFO, "%s: bad from= list: %s", where, err_text(match));
    else
        monitor_log(m, LOG_LEVEL_INFO,
                    "Authentication tried for %s with correct key but not from a permitted host (host=%s, ip=%s, required=%s).",
                    m->who.name, m->peer_host, m->peer.host, o->from);
    return false;
}

/* A line with this key, or with the key of its CA. */
static bool line_lets_in(struct monitor *m, const char *where, const struct offered *k, struct authorized_keys_options *o)
{
    if (o->cert_authority != k->is_cert || !key_options_let_in(m, where, o)) return false;
    if (!k->is_cert) return true;
    bool by_list = o->principals != NULL;
    if (by_list && !cert_has_any_principal(m, &k->cert, view_str(o->principals))) return false;
    return cert_permits(m, &k->cert, by_list ? VIEW_EMPTY : view_str(m->who.user->name), where, o);
}

static void log_line(struct monitor *m, const char *where, const struct offered *k, const struct attempt *a)
{
    CLEANUP(freep) char *ca_print = NULL;
    if (!m->who.valid) return;
    if (!k->is_cert)
        monitor_log(m, LOG_LEVEL_VERBOSE, "Accepted key%s found at %s", a->detail[0] ? a->detail + 1 : "", where);
    else if (key_fingerprint(k->cert.ca_key, monitor_print_digest(m), &ca_print) == 0)
        monitor_log(m, LOG_LEVEL_VERBOSE, "Accepted certificate ID \"%.*s\" (serial %" PRIu64 ") signed by CA %s %s found at %s",
                    VIEW_ARG(k->cert.key_id), k->cert.serial, key_short_name(k->cert.ca_key), ca_print, where);
}

static bool try_line(struct monitor *m, const char *path, const struct authorized_keys_line *line, const struct offered *k,
                     struct attempt *a)
{
    struct authorized_keys_options o;
    const char *why = NULL;
    char where[4300];
    snprintf(where, sizeof where, "%s:%zu", path, line->number);
    authorized_keys_options_init(&o);
    int err = authorized_keys_options_parse(line->options, &o, &why);
    if (err < 0) monitor_log(m, LOG_LEVEL_INFO, "%s: bad key options: %s", where, why ? why : err_text(err));
    if (err < 0 || !line_lets_in(m, where, k, &o)) {
        authorized_keys_options_done(&o);
        return false;
    }
    a->key_options = o;
    a->has_key_options = true;
    log_line(m, where, k, a);
    return true;
}

/* Goes through the lines with this key. Found: its options are in the attempt. */
static bool list_has_key(struct monitor *m, const char *path, struct view file, const struct offered *k, struct attempt *a)
{
    struct authorized_keys_scan scan;
    struct authorized_keys_line line;
    bool found = false;
    if (authorized_keys_scan_init(&scan, file, k->blob) == 0)
        while (!found && authorized_keys_next(&scan, &line)) found = try_line(m, path, &line, k, a);
    authorized_keys_scan_done(&scan);
    return found;
}

static bool files_have_key(struct monitor *m, const struct offered *k, struct attempt *a)
{
    for (size_t i = 0; i < m->options.authorized_keys_file.n; i++) {
        CLEANUP(strv_done) struct strv paths = STRV_INIT;
        if (monitor_user_paths(m, "AuthorizedKeysFile", m->options.authorized_keys_file.v[i], &paths) < 0) continue;
        for (size_t n = 0; n < paths.n; n++) {
            CLEANUP(buf_done) struct buf file = BUF_INIT(AUTHORIZED_KEYS_BYTES_MAX);
            if (monitor_read_user_file(m, paths.v[n], "authorized keys", &file) < 0) continue;
            if (list_has_key(m, paths.v[n], buf_view(&file), k, a)) return true;
        }
    }
    return false;
}

static bool command_has_key(struct monitor *m, const struct offered *k, struct attempt *a)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(AUTHORIZED_KEYS_BYTES_MAX);
    const struct monitor_command command = { .keyword = "AuthorizedKeysCommand",
                                             .command = m->options.authorized_keys_command,
                                             .user = m->options.authorized_keys_command_user,
                                             .key = k->blob };
    return monitor_run_command(m, &command, &text) == 0 && list_has_key(m, command.keyword, buf_view(&text), k, a);
}

/* What costs least comes first. */
static bool user_has_key(struct monitor *m, const struct offered *k, struct attempt *a)
{
    return files_have_key(m, k, a) || (k->is_cert && cert_is_trusted(m, k->blob, &k->cert, a)) || command_has_key(m, k, a);
}

int key_put_auth_info(const char *method, struct view key, struct buf *out)
{
    struct rd r = rd_of(key);
    CLEANUP(buf_done) struct buf base64 = BUF_INIT(128 * 1024);
    TRY(base64_put(&base64, key));
    struct view type = rd_string(&r);
    TRY(rd_stop(&r));
    return buf_printf(out, "%s %.*s %.*s\n", method, VIEW_ARG(type), VIEW_ARG(buf_view(&base64)));
}

/* AuthenticationMethods publickey,publickey asks for two different keys; another certificate for the same key is none. */
static bool key_was_used(struct monitor *m, struct view key)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(65536);
    struct rd r = rd_of(buf_view(&m->who.used_keys));
    if (rd_left(&r) && cert_plain_blob(key, &plain) < 0) return true;
    while (rd_left(&r)) {
        if (!view_eq(rd_string(&r), buf_view(&plain))) continue;
        monitor_log(m, LOG_LEVEL_INFO, "refusing previously-used %s key", key_short_name(key));
        return true;
    }
    return rd_stop(&r) < 0;
}

static int note_use(struct monitor *m, struct view key)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(65536);
    struct wr w = wr_of(&m->who.used_keys);
    TRY(cert_plain_blob(key, &plain));
    wr_string(&w, buf_view(&plain));
    TRY(wr_end(&w));
    return key_put_auth_info("publickey", key, &m->who.auth_info);
}

static bool key_is_allowed(struct monitor *m, struct view algorithm, struct view key, struct attempt *a)
{
    struct offered k = { .algorithm = algorithm, .blob = key };
    const struct key_rules rules = { "userauth_pubkey", "PubkeyAcceptedAlgorithms", m->options.pubkey_accepted_algorithms };
    key_describe(m, &k, a->detail, sizeof a->detail);
    if (!method_is_allowed(m, a) || !key_is_usable(m, &rules, &k) || key_was_used(m, key)) return false;
    /* An applicant who cannot get in takes the same road as far as there is one. */
    return m->who.user && user_has_key(m, &k, a) && m->who.valid;
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
        host_key = m->host_key_used;
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
    if (!m->who.has_key_options) {
        m->who.key_options = a->key_options;
        m->who.has_key_options = true;
        a->has_key_options = false;
        return true;
    }
    int err = authorized_keys_options_merge(&m->who.key_options, &a->key_options);
    if (err < 0) monitor_log(m, LOG_LEVEL_ERROR, "the keys of %s force different commands", m->who.name);
    return err == 0;
}

int publickey_check(struct monitor *m, const struct ipc_auth_publickey *q, struct attempt *a)
{
    a->passed = key_is_allowed(m, q->algorithm, q->key, a) && signature_is_right(m, q) && user_was_there(m, a, q->signature) &&
                take_options(m, a);
    forget_options(a);
    return a->passed ? note_use(m, q->key) : 0;
}
