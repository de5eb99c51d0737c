/* Is this the server's key? What files, certificates, DNS and the user say of it, put together. */
#include "prog/ssh/host_key_int.h"

#include "base/rd.h"
#include "key/cert.h"
#include "key/revoked.h"
#include "os/file.h"

enum {
    REVOKED_FILE_BYTES_MAX = 128 << 20
};

static void add_key(struct client *c, const struct known_files *files, struct view key)
{
    const struct view names[] = { view_str(c->known_name), view_str(c->known_address ? c->known_address : "") };
    if (known_files_remember(c, files, names, c->known_address ? 2 : 1, key) < 0) return;
    client_log(c, LOG_LEVEL_INFO, "Warning: Permanently added '%s%s%s' (%s) to the list of known hosts.", c->known_name,
               c->known_address ? "," : "", c->known_address ? c->known_address : "", key_short_name(key));
}

static bool accept_new(struct client *c, const struct known_files *files, struct view key, enum host_dns dns)
{
    bool is_confirmed = false;
    switch (c->options.strict_host_key_checking) {
    case CONF_HOST_KEYS_YES:
        log_error(&c->sink.log, "No %s host key is known for %s and you have requested strict checking.", key_short_name(key),
                  c->known_name);
        return false;
    case CONF_HOST_KEYS_ASK:
        if (c->options.batch_mode || !host_key_ask(c, files, key, dns)) return false;
        is_confirmed = true;
        break;
    default:
        break;
    }
    add_key(c, files, key);
    if (!is_confirmed) host_keys_no_update(c, "hostkey not known or explicitly trusted: disabling UpdateHostkeys");
    return true;
}

/* CheckHostIP: the name has another key, and the address does not share that. The name may lead somewhere else now. */
static void warn_of_spoofing(struct client *c, const struct known_files *files, const struct finding *by_name, struct view key)
{
    struct finding f;
    if (!c->known_address || known_files_look_up(files, c->known_address, key, &f) < 0) return;
    bool has_changed_too = f.verdict.status == KNOWN_HOSTS_CHANGED;
    if (has_changed_too && view_eq(f.verdict.line.base64, by_name->verdict.line.base64)) return;
    const char *what = has_changed_too                      ? "has a different value"
                       : f.verdict.status == KNOWN_HOSTS_OK ? "is unchanged"
                                                            : "is unknown";
    host_key_say_framed(c, "WARNING: POSSIBLE DNS SPOOFING DETECTED!");
    log_error(&c->sink.log, "The %s host key for %s has changed,", key_short_name(key), c->known_name);
    log_error(&c->sink.log, "and the key for its address %s %s.", c->known_address, what);
    log_error(&c->sink.log,
              "Either the name leads to another machine than before, or address and key of the host were both changed.");
    if (f.verdict.line.number) log_error(&c->sink.log, "Offending key for IP in %s:%zu", f.file->path, f.verdict.line.number);
}

static void say_disabled(struct client *c, const char *what)
{
    log_error(&c->sink.log, "%s is disabled to avoid man-in-the-middle attacks.", what);
}

/* As OpenSSH: the connection may go on, but nothing that a man in the middle could use is typed into it or reached through it. */
static bool give_up_what_is_worth_attacking(struct client *c)
{
    struct ssh_options *o = &c->options;
    struct {
        const char *what;
        int *option;
    } rows[] = { { "Password authentication", &o->password_authentication },
                 { "Keyboard-interactive authentication", &o->kbd_interactive_authentication },
                 { "X11 forwarding", &o->forward_x11 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (*rows[i].option) say_disabled(c, rows[i].what);
        *rows[i].option = 0;
    }
    if (o->forward_agent.on) say_disabled(c, "Agent forwarding");
    o->forward_agent.on = false;
    if (o->local_forward.n + o->remote_forward.n + o->dynamic_forward.n == 0) return true;
    say_disabled(c, "Port forwarding");
    ssh_options_clear_forwards(o);
    if (o->exit_on_forward_failure) log_error(&c->sink.log, "Error: forwarding disabled due to host key check failure");
    return !o->exit_on_forward_failure;
}

static bool accept_changed(struct client *c, const struct known_files *files, const struct finding *f, struct view key)
{
    warn_of_spoofing(c, files, f, key);
    host_key_say_changed(c, f, c->known_name, key);
    if (c->options.strict_host_key_checking != CONF_HOST_KEYS_NO) {
        log_error(&c->sink.log, "Host key for %s has changed and you have requested strict checking.", c->known_name);
        return false;
    }
    host_keys_no_update(c, "UpdateHostkeys is disabled because the host key is not trusted.");
    return give_up_what_is_worth_attacking(c);
}

/* The name is known with this key and its address with another: one of them has moved. */
static bool accept_other_address(struct client *c, const struct finding *by_name, const struct finding *by_address, struct view key)
{
    int strict = c->options.strict_host_key_checking;
    log_error(&c->sink.log, "Warning: the %s host key for '%s' differs from the key for the IP address '%s'", key_short_name(key),
              c->known_name, c->known_address);
    log_error(&c->sink.log, "Offending key for IP in %s:%zu", by_address->file->path, by_address->verdict.line.number);
    log_error(&c->sink.log, "Matching host key in %s:%zu", by_name->file->path, by_name->verdict.line.number);
    if (strict == CONF_HOST_KEYS_NO || strict == CONF_HOST_KEYS_ACCEPT_NEW) return true;
    if (strict == CONF_HOST_KEYS_ASK && !c->options.batch_mode &&
        host_key_confirm(c, "Are you sure you want to continue connecting (yes/no)? ", NULL))
        return true;
    log_error(&c->sink.log, "Exiting, you have requested strict checking.");
    return false;
}

static bool check_address(struct client *c, struct known_files *files, const struct finding *by_name, struct view key)
{
    struct finding f;
    if (!c->known_address) return true;
    if (known_files_run_command(c, "ADDRESS", c->known_address, key, files) < 0) return false;
    if (known_files_look_up(files, c->known_address, key, &f) < 0) return true;
    if (f.verdict.status == KNOWN_HOSTS_CHANGED) return accept_other_address(c, by_name, &f, key);
    const struct view name = view_str(c->known_address);
    if (f.verdict.status == KNOWN_HOSTS_NEW && known_files_remember(c, files, &name, 1, key) == 0)
        client_log(c, LOG_LEVEL_INFO, "Warning: Permanently added the %s host key for IP address '%s' to the list of known hosts.",
                   key_short_name(key), c->known_address);
    return f.verdict.status != KNOWN_HOSTS_REFUSED;
}

static void trust_of_source(struct client *c, const struct finding *f)
{
    if (f->file->source == KNOWN_FROM_SYSTEM)
        host_keys_no_update(c, "host key found in GlobalKnownHostsFile; disabling UpdateHostkeys");
    else if (f->file->source == KNOWN_FROM_COMMAND)
        host_keys_no_update(c, "host key found via KnownHostsCommand; disabling UpdateHostkeys");
}

/* A server on another port than 22 may stand in the file without the port, from before ports were written. That says yes, never no.
 */
static bool is_known_without_port(struct client *c, const struct known_files *files, struct view key)
{
    struct finding f;
    if (c->options.host_key_alias || c->options.port == 22) return false;
    client_log(c, LOG_LEVEL_DEBUG1, "checking without port identifier");
    if (known_files_look_up(files, c->host, key, &f) < 0 || f.verdict.status != KNOWN_HOSTS_OK) return false;
    client_log(c, LOG_LEVEL_DEBUG1, "found matching key w/o port: %s:%zu", f.file->path, f.verdict.line.number);
    trust_of_source(c, &f);
    return true;
}

/* ---- certificates ---- */

/* 1: by its certificate the key is good. 0: it says nothing, and the plain key counts. Negative: revoked. */
static int judge_certificate(struct client *c, const struct known_files *files, struct view key)
{
    struct finding f;
    host_cert_log(c, key);
    TRY(known_files_look_up(files, c->known_name, key, &f));
    if (f.verdict.status == KNOWN_HOSTS_REFUSED) {
        host_key_say_revoked(c, &f, key);
        return ERR_DENIED;
    }
    bool has_ca = f.verdict.status == KNOWN_HOSTS_OK;
    if (has_ca) {
        client_log(c, LOG_LEVEL_DEBUG1, "Host '%s' is known and matches the %s host certificate.", c->known_name,
                   key_short_name(key));
        client_log(c, LOG_LEVEL_DEBUG1, "Found CA key in %s:%zu", f.file->path, f.verdict.line.number);
    } else
        has_ca = is_known_without_port(c, files, key);
    if (has_ca && host_cert_is_valid(c, key)) return 1;
    client_log(c, LOG_LEVEL_DEBUG1, "No matching CA found. Retry with plain key");
    return 0;
}

/* ---- decision ---- */

static bool judge_plain(struct client *c, struct known_files *files, struct view key, enum host_dns dns)
{
    struct finding f;
    if (known_files_look_up(files, c->known_name, key, &f) < 0) return false;
    switch (f.verdict.status) {
    case KNOWN_HOSTS_OK:
        client_log(c, LOG_LEVEL_DEBUG1, "Host '%s' is known and matches the %s host key.", c->known_name, key_short_name(key));
        client_log(c, LOG_LEVEL_DEBUG1, "Found key in %s:%zu", f.file->path, f.verdict.line.number);
        trust_of_source(c, &f);
        host_key_show(c, key);
        return check_address(c, files, &f, key);
    case KNOWN_HOSTS_REFUSED:
        host_key_say_revoked(c, &f, key);
        return false;
    case KNOWN_HOSTS_CHANGED:
        return accept_changed(c, files, &f, key);
    default:
        break;
    }
    if (!is_known_without_port(c, files, key)) return accept_new(c, files, key, dns);
    host_key_show(c, key);
    return true;
}

static bool decide(struct client *c, struct known_files *files, struct view key)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(1 << 20);
    if (known_files_run_command(c, "HOSTNAME", c->known_name, key, files) < 0) return false;
    if (host_cert_is(key)) {
        int by_cert = judge_certificate(c, files, key);
        if (by_cert) {
            if (by_cert > 0) host_keys_no_update(c, "certificate host key in use; disabling UpdateHostkeys");
            return by_cert > 0;
        }
    }
    if (cert_plain_blob(key, &plain) < 0) return false;
    enum host_dns dns = host_dns_verify(c, buf_view(&plain));
    struct finding f;
    bool is_vouched_for = dns == HOST_DNS_SECURE_MATCH && c->options.verify_host_key_dns == CONF_YES &&
                          known_files_look_up(files, c->known_name, buf_view(&plain), &f) == 0 &&
                          f.verdict.status != KNOWN_HOSTS_REFUSED; /* a mark by the user's own hand counts more */
    return is_vouched_for || judge_plain(c, files, buf_view(&plain), dns);
}

/* ---- RevokedHostKeys ---- */

static int ask_revoked(const char *path, struct view key, bool *ret_is_revoked)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(REVOKED_FILE_BYTES_MAX);
    CLEANUP(revoked_freep) struct revoked *list = NULL;
    TRY(file_read(path, &file));
    TRY(revoked_parse(buf_view(&file), &list));
    *ret_is_revoked = revoked_has(list, key);
    return 0;
}

/* A list that cannot be read revokes every key: it may hold this one. */
static bool is_revoked(struct client *c, struct view key)
{
    const struct strv *paths = &c->options.revoked_host_keys;
    CLEANUP(freep) char *fingerprint = host_key_fingerprint(c, key);
    for (size_t i = 0; i < paths->n; i++) {
        CLEANUP(freep) char *path = NULL;
        bool found = false;
        if (strcmp(paths->v[i], "none") == 0) continue;
        if (config_expand(c, paths->v[i], true, "RevokedHostKeys", &path) < 0) return true;
        int err = ask_revoked(path, key, &found);
        if (err < 0)
            log_error(&c->sink.log, "Error checking host key %s %s in revoked keys file %s: %s", key_short_name(key),
                      fingerprint ? fingerprint : "", path, err_text(err));
        else if (found)
            log_error(&c->sink.log, "Host key %s %s revoked by file %s", key_short_name(key), fingerprint ? fingerprint : "", path);
        if (err < 0 || found) return true;
    }
    return false;
}

static void log_key(struct client *c, struct view key)
{
    CLEANUP(freep) char *fingerprint = host_key_fingerprint(c, key);
    struct rd r = rd_of(key);
    struct view type = rd_string(&r);
    client_log(c, LOG_LEVEL_DEBUG1, "Server host key: %.*s %s", VIEW_ARG(type), fingerprint ? fingerprint : "");
}

static bool is_long_enough(const struct client *c, struct view blob)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int least = c->options.required_rsa_size;
    int err = key_from_blob(blob, &k);
    if (err == 0 && (key_type_of(k)->pkey != PKEY_RSA || key_bits(k) >= (unsigned)least)) return true;
    if (err < 0)
        log_error(&c->sink.log, "Bad server host key: %s", err_text(err));
    else
        log_error(&c->sink.log, "Bad server host key: Invalid key length (%u bits, and RequiredRSASize is %d)", key_bits(k), least);
    return false;
}

bool host_key_is_good(struct client *c, struct view key)
{
    CLEANUP(known_files_done) struct known_files files = { .n = 0 };
    if (buf_len(&c->host_key)) return view_eq(buf_view(&c->host_key), key); /* a later exchange: the same key or none */
    log_key(c, key);
    if (!is_long_enough(c, key)) return false;
    bool good = known_files_set_names(c) == 0 && known_files_load(c, &files) == 0 && !is_revoked(c, key);
    if (good && c->options.no_host_authentication_for_localhost && known_files_is_loopback(c)) {
        client_log(c, LOG_LEVEL_DEBUG1, "Forcing accepting of host key for loopback/localhost.");
        host_keys_no_update(c, "host key of the loopback was not checked: disabling UpdateHostkeys");
    } else
        good = good && decide(c, &files, key);
    if (!good) {
        log_error(&c->sink.log, "Host key verification failed.");
        return false;
    }
    return buf_put_view(&c->host_key, key) == 0;
}
