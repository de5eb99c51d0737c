/* Who wants in: the account, what the configuration says of it, and whether it is allowed at all. Somebody who does not exist or is
 * not allowed goes through the same motions as everybody else; only the log knows. */
#include "prog/sshd/monitor.h"

#include "base/pattern.h"
#include "key/addr_match.h"
#include "os/clock.h"
#include "os/proctitle.h"

#include <stdio.h>
#include <stdlib.h>

/* One entry of AllowUsers or DenyUsers: USER or USER@HOST, patterns; HOST may be a CIDR block. */
static bool user_entry_matches(const struct monitor *m, const char *entry)
{
    struct view e = view_str(entry), name = view_str(m->who.name);
    const char *at = strrchr(entry, '@');
    if (!at) return pattern_matches(name, e);
    struct view host = view_str(at + 1);
    if (!pattern_matches(name, view_of(entry, (size_t)(at - entry)))) return false;
    return addr_match_host_list(view_str(m->peer_host), view_str(m->peer.host), host) == ADDR_MATCH_YES;
}

static bool any_user_entry_matches(const struct monitor *m, const struct strv *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (user_entry_matches(m, list->v[i])) return true;
    return false;
}

static bool any_group_matches(const struct monitor *m, const struct strv *list)
{
    CLEANUP(strv_done) struct strv names = STRV_INIT;
    if (user_load_groups(m->who.user) < 0 || user_group_names(m->who.user, &names) < 0) return false;
    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < names.n; k++)
            if (pattern_matches(view_str(names.v[k]), view_str(list->v[i]))) return true;
    return false;
}

static void log_bad_account(struct monitor *m, const char *why)
{
    monitor_log(m, LOG_LEVEL_INFO, "User %s not allowed because %s", m->who.name, why);
}

static bool lists_allow(struct monitor *m)
{
    const struct sshd_options *o = &m->options;
    const char *why = NULL;
    if (o->deny_users.n && any_user_entry_matches(m, &o->deny_users))
        why = "listed in DenyUsers";
    else if (o->allow_users.n && !any_user_entry_matches(m, &o->allow_users))
        why = "not listed in AllowUsers";
    else if (o->deny_groups.n && any_group_matches(m, &o->deny_groups))
        why = "a group is listed in DenyGroups";
    else if (o->allow_groups.n && !any_group_matches(m, &o->allow_groups))
        why = "none of user's groups are listed in AllowGroups";
    if (why) monitor_log(m, LOG_LEVEL_INFO, "User %s from %s not allowed because %s", m->who.name, m->peer_host, why);
    return why == NULL;
}

static bool account_allows(struct monitor *m)
{
    struct user *u = m->who.user;
    bool uses_pam = m->options.use_pam;
    if (!uses_pam && user_load_shadow(u) == 0 && user_is_locked(u)) {
        log_bad_account(m, "account is locked");
        return false;
    }
    int err = user_shell_check(u);
    if (err < 0) {
        char why[4200];
        snprintf(why, sizeof why, "shell %s %s", u->shell, err == ERR_NOT_FOUND ? "does not exist" : "is not executable");
        log_bad_account(m, why);
        return false;
    }
    if (!uses_pam && u->shadow.known && user_expiry(u, clock_wall_s() / 86400, NULL) == USER_EXPIRED) {
        monitor_log(m, LOG_LEVEL_INFO, "Account %s has expired", u->name);
        return false;
    }
    return lists_allow(m);
}

static int start_pam(struct monitor *m)
{
    if (!m->options.use_pam) return 0;
    struct pam_start s = {
        .service = m->options.pam_service_name, .log_name = "sshd", .user = m->who.name, .rhost = m->peer_host, .tty = "ssh"
    };
    return pam_new(&s, &m->who.pam);
}

static int look_up(struct monitor *m)
{
    int err = user_by_name(m->who.name, &m->who.user);
    if (err < 0 && err != ERR_NOT_FOUND) monitor_log(m, LOG_LEVEL_ERROR, "cannot look up user %s: %s", m->who.name, err_text(err));
    /* An ordinary user can serve nobody else: becoming them would fail later. */
    TRY(monitor_eval_options(m));
    if (!m->who.user) {
        monitor_log(m, LOG_LEVEL_INFO, "Invalid user %s from %s port %d", m->who.name, m->peer.host, m->peer.port);
    } else
        m->who.valid = account_allows(m);
    if (!m->options.refuse_connection) return 0;
    monitor_log(m, LOG_LEVEL_INFO, "administratively prohibited connection for %s%s from %s port %d",
                m->who.user ? "" : "invalid user ", m->who.name, m->peer.host, m->peer.port);
    return method_dismiss(m, "the server's configuration refuses this connection");
}

static int same_applicant(struct monitor *m, struct view user, struct view service)
{
    CLEANUP(buf_done) struct buf whole = BUF_INIT(4096);
    TRY(buf_put_str(&whole, m->who.name));
    if (m->who.style) TRY(buf_printf(&whole, ":%s", m->who.style));
    if (view_eq(user, buf_view(&whole)) && view_eq_str(service, m->who.service)) return 0;
    char text[1024];
    snprintf(text, sizeof text, "Change of username or service not allowed: (%s,%s) -> (%.*s,%.*s)", m->who.name, m->who.service,
             VIEW_ARG(view_sub(user, 0, 256)), VIEW_ARG(view_sub(service, 0, 64)));
    return method_dismiss(m, text);
}

int monitor_set_applicant(struct monitor *m, struct view user, struct view service)
{
    if (m->who.name) return same_applicant(m, user, service);
    const uint8_t *colon = user.len ? memchr(user.p, ':', user.len) : NULL;
    size_t name_len = colon ? (size_t)(colon - user.p) : user.len;
    m->who.name = view_dup_str(view_sub(user, 0, name_len));
    m->who.service = view_dup_str(service);
    if (colon) m->who.style = view_dup_str(view_sub(user, name_len + 1, user.len));
    if (!m->who.name || !m->who.service || (colon && !m->who.style)) return ERR_NOMEM;
    TRY(look_up(m));
    proctitle_set("sshd: %s [priv]", m->who.valid ? m->who.name : "unknown");
    TRY(start_pam(m));
    return method_init_chains(m);
}

void monitor_applicant_done(struct applicant *who)
{
    free(who->name);
    free(who->style);
    free(who->service);
    user_free(who->user);
    strv_done(&who->chains);
    if (who->has_key_options) authorized_keys_options_done(&who->key_options);
    buf_done(&who->auth_info);
    buf_done(&who->used_keys);
    pam_free(who->pam);
    *who = (struct applicant){ .auth_info = BUF_INIT(0) };
}
