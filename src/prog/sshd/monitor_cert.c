/* User certificates (OpenSSH's PROTOCOL.certkeys): whether one is good, whose CA is trusted by what, which of its names count, and
 * what it asks of the session. */
#include "prog/sshd/monitor.h"

#include "key/addr_match.h"
#include "key/public_line.h"
#include "os/clock.h"
#include "os/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CA_FILE_BYTES_MAX = 64 << 20,
    PRINCIPALS_BYTES_MAX = 16 << 20,
    PRINCIPALS_SHOWN_BYTES = 512
};

/* ---- is it a good one ---- */

bool cert_is_usable(struct monitor *m, const char *who, struct view blob, struct cert *ret)
{
    int err = cert_parse(blob, ret);
    if (err < 0) {
        monitor_log(m, LOG_LEVEL_INFO, "%s: parse certificate: %s [preauth]", who, err_text(err));
        return false;
    }
    if (!view_list_has(view_str(m->options.ca_signature_algorithms), ret->signature_algorithm)) {
        monitor_log(m, LOG_LEVEL_INFO, "%s: certificate signature algorithm %.*s: not in CASignatureAlgorithms [preauth]", who,
                    VIEW_ARG(ret->signature_algorithm));
        return false;
    }
    err = cert_verify_signature(ret);
    if (err < 0) monitor_log(m, LOG_LEVEL_INFO, "%s: signature of the certificate: %s [preauth]", who, err_text(err));
    return err == 0;
}

/* As ssh-keygen -L has it: "forever", "from 2026-01-01T00:00:00 to forever", ... */
static void put_times(const struct cert *c, char *ret_text, size_t cap)
{
    char from[32] = "always", to[32] = "forever";
    bool has_start = c->valid_after != 0, has_end = c->valid_before <= INT64_MAX;
    if (has_start && c->valid_after <= INT64_MAX) clock_text((int64_t)c->valid_after, "%Y-%m-%dT%H:%M:%S", from, sizeof from);
    if (has_end) clock_text((int64_t)c->valid_before, "%Y-%m-%dT%H:%M:%S", to, sizeof to);
    if (has_start || has_end)
        snprintf(ret_text, cap, "from %s to %s", from, to);
    else
        snprintf(ret_text, cap, "forever");
}

static void put_principals(const struct cert *c, struct buf *out)
{
    struct view list = c->principals, name;
    while (cert_next_principal(&list, &name))
        if (buf_printf(out, "%s%.*s", buf_len(out) ? "," : "", VIEW_ARG(name)) < 0) return;
}

/* OpenSSH's sentence, and behind it what would have been right. */
static void log_invalid(struct monitor *m, const struct cert *c, struct view principal, const char *reason)
{
    char times[80];
    CLEANUP(buf_done) struct buf names = BUF_INIT(PRINCIPALS_SHOWN_BYTES);
    put_times(c, times, sizeof times);
    put_principals(c, &names);
    monitor_log(m, LOG_LEVEL_ERROR, "%s (ID \"%.*s\" serial %" PRIu64 ", valid %s, names: %.*s%s%.*s)", reason, VIEW_ARG(c->key_id),
                c->serial, times, VIEW_ARG(buf_view(&names)), principal.p ? "; wanted: " : "", VIEW_ARG(principal));
}

/* ---- what it asks ---- */

static void log_unknown_extensions(struct monitor *m, const struct cert *c)
{
    struct view list = c->extensions;
    struct cert_option o;
    while (cert_next_option(&list, &o))
        if (!cert_extension_is_known(o.name))
            monitor_log(m, LOG_LEVEL_INFO, "Certificate extension \"%.*s\" is not supported", VIEW_ARG(o.name));
}

static int options_of(struct monitor *m, const struct cert *c, const char *where, struct authorized_keys_options *ret)
{
    struct cert_user_options o;
    struct view unknown = VIEW_EMPTY;
    int err = cert_user_options_get(c, &o, &unknown);
    if (err == ERR_UNSUPPORTED)
        monitor_log(m, LOG_LEVEL_ERROR, "Certificate critical option \"%.*s\" is not supported", VIEW_ARG(unknown));
    if (err < 0) {
        monitor_log(m, LOG_LEVEL_ERROR, "Invalid certificate options");
        return err;
    }
    log_unknown_extensions(m, c);
    if (o.source_address.p && addr_match_cidr_list(view_str(m->peer.host), o.source_address) != ADDR_MATCH_YES) {
        monitor_log(m, LOG_LEVEL_INFO,
                    "%s: Authentication tried for %s with valid certificate but not from a permitted source address (%s).", where,
                    m->who.name, m->peer.host);
        monitor_log(m, LOG_LEVEL_ERROR, "Refused by certificate options");
        return ERR_DENIED;
    }
    ret->permit_pty = o.permit_pty;
    ret->permit_port_forwarding = o.permit_port_forwarding;
    ret->permit_agent = o.permit_agent;
    ret->permit_x11 = o.permit_x11;
    ret->permit_user_rc = o.permit_user_rc;
    ret->no_touch_required = o.no_touch_required;
    ret->verify_required = o.verify_required;
    if (!o.force_command.p) return 0;
    ret->command = view_dup_str(o.force_command);
    return ret->command ? 0 : ERR_NOMEM;
}

bool cert_permits(struct monitor *m, const struct cert *c, struct view principal, const char *where,
                  struct authorized_keys_options *io)
{
    CLEANUP(authorized_keys_options_done) struct authorized_keys_options own;
    const char *reason = NULL;
    authorized_keys_options_init(&own);
    if (cert_check(c, CERT_USER, principal, clock_wall_s(), &reason) < 0) {
        log_invalid(m, c, principal, reason);
        return false;
    }
    if (options_of(m, c, where, &own) < 0) return false;
    int err = authorized_keys_options_merge(io, &own);
    if (err == ERR_DENIED) monitor_log(m, LOG_LEVEL_ERROR, "forced command options do not match");
    return err == 0;
}

static bool has_principal(const struct cert *c, struct view wanted)
{
    struct view list = c->principals, name;
    while (cert_next_principal(&list, &name))
        if (view_eq(name, wanted)) return true;
    return false;
}

/* principals= of a cert-authority line. */
bool cert_has_any_principal(struct monitor *m, const struct cert *c, struct view wanted)
{
    struct view list = wanted, one;
    while (view_next_in_list(&list, &one))
        if (has_principal(c, one)) return true;
    log_invalid(m, c, wanted, "Certificate does not contain an authorized principal");
    return false;
}

/* ---- AuthorizedPrincipalsFile, AuthorizedPrincipalsCommand ---- */

static bool take_principal_options(struct monitor *m, const char *where, struct view text, struct authorized_keys_options *ret)
{
    const char *why = NULL;
    int err = authorized_keys_options_parse(text, ret, &why);
    if (err < 0) monitor_log(m, LOG_LEVEL_INFO, "%s: bad principal options: %s", where, why ? why : err_text(err));
    if (err == 0 && key_options_let_in(m, where, ret)) return true;
    if (err == 0) monitor_log(m, LOG_LEVEL_ERROR, "Refused by certificate principals options");
    authorized_keys_options_done(ret);
    return false;
}

static bool list_has_principal(struct monitor *m, const char *name, struct view text, const struct cert *c,
                               struct authorized_keys_options *ret)
{
    struct view line, options, principal;
    for (size_t n = 1; public_file_next_line(&text, &line); n++) {
        char where[4300];
        snprintf(where, sizeof where, "%s:%zu", name, n);
        if (principals_line_parse(line, &options, &principal) && has_principal(c, principal) &&
            take_principal_options(m, where, options, ret))
            return true;
    }
    return false;
}

static bool files_have_principal(struct monitor *m, const struct cert *c, struct authorized_keys_options *ret)
{
    CLEANUP(strv_done) struct strv paths = STRV_INIT;
    const char *word = m->options.authorized_principals_file;
    if (!word || monitor_user_paths(m, "AuthorizedPrincipalsFile", word, &paths) < 0) return false;
    for (size_t i = 0; i < paths.n; i++) {
        CLEANUP(buf_done) struct buf file = BUF_INIT(PRINCIPALS_BYTES_MAX);
        if (monitor_read_user_file(m, paths.v[i], "authorized principals", &file) < 0) continue;
        if (list_has_principal(m, paths.v[i], buf_view(&file), c, ret)) return true;
    }
    return false;
}

static bool command_has_principal(struct monitor *m, struct view key, const struct cert *c, struct authorized_keys_options *ret)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(PRINCIPALS_BYTES_MAX);
    const struct monitor_command command = { .keyword = "AuthorizedPrincipalsCommand",
                                             .command = m->options.authorized_principals_command,
                                             .user = m->options.authorized_principals_command_user,
                                             .key = key,
                                             .cert = c };
    return monitor_run_command(m, &command, &text) == 0 && list_has_principal(m, command.keyword, buf_view(&text), c, ret);
}

/* ---- TrustedUserCAKeys ---- */

static bool ca_is_listed(struct monitor *m, struct view key)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(CA_FILE_BYTES_MAX);
    const char *path = m->options.trusted_user_ca_keys;
    struct authorized_keys_scan scan;
    struct authorized_keys_line line;
    int err = file_read(path, &file);
    if (err < 0) {
        monitor_log(m, LOG_LEVEL_ERROR, "TrustedUserCAKeys %s: %s", path, err_text(err));
        return false;
    }
    bool found = false;
    if (authorized_keys_scan_init(&scan, buf_view(&file), key) == 0)
        while (!found && authorized_keys_next(&scan, &line)) found = line.options.len == 0;
    authorized_keys_scan_done(&scan);
    return found;
}

/* With files or commands of names the user's own is not enough. */
static bool names_are_allowed(struct monitor *m, struct view key, const struct cert *c, struct authorized_keys_options *ret)
{
    bool asks = m->options.authorized_principals_file || m->options.authorized_principals_command;
    ret->no_touch_required = !asks; /* without a line of ours the certificate alone says it */
    if (!asks) return cert_permits(m, c, view_str(m->who.user->name), "cert", ret);
    if (!files_have_principal(m, c, ret) && !command_has_principal(m, key, c, ret)) {
        log_invalid(m, c, VIEW_EMPTY, "Certificate does not contain an authorized principal");
        return false;
    }
    return cert_permits(m, c, VIEW_EMPTY, "cert", ret);
}

bool cert_is_trusted(struct monitor *m, struct view key, const struct cert *c, struct attempt *a)
{
    CLEANUP(freep) char *ca_print = NULL;
    struct authorized_keys_options o;
    if (!m->options.trusted_user_ca_keys || c->kind != CERT_USER) return false;
    if (key_fingerprint(c->ca_key, monitor_print_digest(m), &ca_print) < 0) return false;
    if (!ca_is_listed(m, key)) {
        log_debug(&m->sink.log, "CA %s %s is not listed in %s", key_short_name(c->ca_key), ca_print,
                  m->options.trusted_user_ca_keys);
        return false;
    }
    authorized_keys_options_init(&o);
    if (!names_are_allowed(m, key, c, &o)) {
        authorized_keys_options_done(&o);
        return false;
    }
    a->key_options = o;
    a->has_key_options = true;
    if (m->who.valid)
        monitor_log(m, LOG_LEVEL_VERBOSE, "Accepted certificate ID \"%.*s\" (serial %" PRIu64 ") signed by %s CA %s via %s",
                    VIEW_ARG(c->key_id), c->serial, key_short_name(c->ca_key), ca_print, m->options.trusted_user_ca_keys);
    return true;
}
