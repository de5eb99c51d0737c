/* Passwords, keyboard-interactive and the account, through PAM or crypt(3). For applicants who cannot get in the modules run as
 * well, with an answer that cannot be right, so that time and talk are the same. */
#include "prog/sshd/monitor.h"

#include "os/clock.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <stdlib.h>

static bool may_use_passwords(const struct monitor *m)
{
    bool is_root = m->who.user && m->who.user->uid == 0;
    return m->who.valid && (!is_root || m->options.permit_root_login == CONF_ROOT_YES);
}

static bool password_is_right_pam(struct monitor *m, struct view password)
{
    struct view answer = password;
    struct pam_authenticate how = { .allow_empty = m->options.permit_empty_passwords, .refuse = !may_use_passwords(m) };
    pam_set_converse(m->who.pam, pam_converse_password, &answer);
    int err = pam_authenticate_user(m->who.pam, &how);
    pam_set_converse(m->who.pam, NULL, NULL);
    if (err < 0)
        log_debug(&m->sink.log, "PAM: password authentication failed for %s%s: %s", m->who.valid ? "" : "an illegal user ",
                  m->who.name, pam_reason(m->who.pam));
    return err == 0;
}

bool password_is_right(struct monitor *m, struct view password)
{
    if (password.len > LIMIT_PASSWORD_BYTES || view_has_nul(password)) return false;
    if (password.len == 0 && !m->options.permit_empty_passwords) return false;
    if (m->who.pam) return password_is_right_pam(m, password);
    if (m->who.user && user_load_shadow(m->who.user) < 0) return false;
    bool empty_hash = m->who.user && m->who.user->hash && m->who.user->hash[0] == 0;
    bool right = user_password_matches(m->who.user, password) || (empty_hash && password.len == 0);
    return right && may_use_passwords(m);
}

/* ---- keyboard-interactive ---- */

static int keep_stray(struct monitor *m, const struct ipc_message *msg)
{
    m->stray_number = msg->number;
    m->has_stray = true;
    return buf_put_view(&m->stray_fields, msg->fields);
}

static int send_prompts(struct monitor *m, struct view name, struct view instruction, const struct pam_prompt *prompts, size_t n)
{
    CLEANUP(buf_done) struct buf packed = BUF_INIT(1 << 16);
    struct wr w = wr_of(&packed);
    for (size_t i = 0; i < n; i++) {
        wr_cstr(&w, prompts[i].text);
        wr_bool(&w, prompts[i].echo);
    }
    TRY(wr_end(&w));
    return method_postpone(m, &(struct ipc_auth_verdict){ .verdict = AUTH_VERDICT_INFO_REQUEST,
                                                          .text = name,
                                                          .instruction = instruction,
                                                          .n_prompts = (uint32_t)n,
                                                          .prompts = buf_view(&packed) });
}

static int take_responses(struct view fields, size_t n, struct secret *ret_answers)
{
    struct ipc_auth_kbdint_response q;
    TRY(ipc_auth_kbdint_response_get(fields, &q));
    if (q.n_responses != n) return ERR_FORMAT;
    struct rd r = rd_of(q.responses);
    for (size_t i = 0; i < n; i++) {
        struct view one = rd_string(&r);
        if (one.len > LIMIT_PASSWORD_BYTES) return ERR_LIMIT;
        TRY(secret_dup(one, &ret_answers[i]));
    }
    return rd_end(&r);
}

/* Asks the user through the network child and waits. Another request, or the end of the connection, makes the modules fail and is
 * looked at afterwards. */
static int ask_user(struct monitor *m, struct view instruction, const struct pam_prompt *prompts, size_t n,
                    struct secret *ret_answers)
{
    TRY(send_prompts(m, VIEW_EMPTY, instruction, prompts, n));
    for (;;) {
        struct ipc_message msg;
        TRY(ipc_recv(&m->net, m->grace_end, &msg));
        if (msg.number == IPC_auth_kbdint_response_NUMBER) return take_responses(msg.fields, n, ret_answers);
        struct ipc_net_log line;
        bool is_log = msg.number == IPC_net_log_NUMBER && ipc_net_log_get(msg.fields, &line) == 0 && line.level < LOG_LEVEL_MAX;
        if (is_log) {
            monitor_log(m, (enum log_level)line.level, "%.*s [preauth]", VIEW_ARG(line.line));
            continue;
        }
        TRY(keep_stray(m, &msg));
        return ERR_CANCELLED;
    }
}

static int converse(void *arg, const struct pam_prompt *prompts, size_t n, struct secret *ret_answers)
{
    struct monitor *m = arg;
    struct view said = pam_messages(m->who.pam);
    int err = ask_user(m, said, prompts, n, ret_answers);
    pam_messages_reset(m->who.pam);
    return err;
}

/* A last INFO_REQUEST without prompts carries what modules said and gave nobody a chance to read (RFC 4256 3.2). */
static int deliver_messages(struct monitor *m)
{
    struct view said = pam_messages(m->who.pam);
    if (said.len == 0) return 0;
    int err = ask_user(m, said, NULL, 0, NULL);
    pam_messages_reset(m->who.pam);
    return err;
}

static int kbdint_pam(struct monitor *m, struct attempt *a)
{
    struct pam_authenticate how = { .allow_empty = m->options.permit_empty_passwords, .refuse = !may_use_passwords(m) };
    pam_set_converse(m->who.pam, converse, m);
    int err = pam_authenticate_user(m->who.pam, &how);
    if (!m->has_stray && err == 0) {
        enum pam_account state;
        if (pam_check_account(m->who.pam, &state) == 0 && state == PAM_ACCOUNT_NEW_PASSWORD) err = pam_change_password(m->who.pam);
        if (err == 0) err = deliver_messages(m);
    }
    pam_set_converse(m->who.pam, NULL, NULL);
    a->passed = err == 0;
    if (err < 0 && !m->has_stray)
        monitor_log(m, LOG_LEVEL_ERROR, "PAM: %s for %s%s from %s", pam_reason(m->who.pam), m->who.valid ? "" : "illegal user ",
                    m->who.name, m->peer_host);
    return 0;
}

/* Without PAM it is the password with another wrapping. */
static int kbdint_crypt(struct monitor *m, struct attempt *a)
{
    static const struct pam_prompt prompt = { "Password: ", false };
    CLEANUP(secret_done) struct secret answer = SECRET_INIT;
    int err = ask_user(m, VIEW_EMPTY, &prompt, 1, &answer);
    if (m->has_stray) return 0;
    TRY(err);
    a->passed = password_is_right(m, secret_view(&answer));
    return 0;
}

int kbdint_run(struct monitor *m, struct attempt *a)
{
    if (!method_is_allowed(m, a)) return 0;
    TRY(m->who.pam ? kbdint_pam(m, a) : kbdint_crypt(m, a));
    /* The client gave this up for another request: no verdict on it is due any more. */
    if (m->has_stray) a->postponed = true;
    return 0;
}

/* ---- account ---- */

static bool account_is_open_shadow(struct monitor *m)
{
    const struct user *u = m->who.user;
    if (!u->shadow.known) return true;
    enum user_expiry state = user_expiry(u, clock_wall_s() / 86400, NULL);
    if (state == USER_PASSWORD_EXPIRED) m->who.must_change_password = true;
    return state != USER_EXPIRED;
}

bool account_is_open(struct monitor *m, struct attempt *a)
{
    if (!m->who.valid) return true; /* refused elsewhere, and not by asking modules about somebody who is not there */
    if (!m->who.pam) return account_is_open_shadow(m);
    enum pam_account state;
    int err = pam_check_account(m->who.pam, &state);
    if (err == 0) {
        m->who.must_change_password = state == PAM_ACCOUNT_NEW_PASSWORD && a->method != METHOD_KBDINT;
        return true;
    }
    log_debug(&m->sink.log, "PAM account modules say: %s", pam_reason(m->who.pam));
    a->denied = a->method != METHOD_KBDINT;
    return false;
}
