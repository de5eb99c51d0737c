/* After login: what needs root for a user's session - PAM session, credentials, terminals, login records - and signatures for later
 * key exchanges. The user child asks for each by a message; it never gets rights of its own. */
#include "prog/sshd/monitor.h"

#include "os/clock.h"
#include "os/fd.h"
#include "os/login_record.h"
#include "os/proctitle.h"
#include "os/pty.h"
#include "os/spawn.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PTYS_MAX = 1024
};

struct terminal {
    char name[PTY_NAME_BYTES];
    bool has_record;
};

struct session {
    struct monitor *m;
    struct terminal *terminals;
    size_t n_terminals;
};

/* ---- terminals ---- */

static void log_out(struct session *s, struct terminal *t)
{
    struct login_record r = { .pid = getpid(), .line = t->name, .user = s->m->who.user->name, .wall_s = clock_wall_s() };
    if (t->has_record) (void)!login_record_logout(NULL, &r);
    pty_release(t->name);
    *t = s->terminals[--s->n_terminals];
}

static struct terminal *find_terminal(struct session *s, struct view name)
{
    for (size_t i = 0; i < s->n_terminals; i++)
        if (view_eq_str(name, s->terminals[i].name)) return &s->terminals[i];
    return NULL;
}

static int make_terminal(struct session *s, struct pty *p)
{
    const struct user *u = s->m->who.user;
    struct terminal *v = s->n_terminals < PTYS_MAX ? reallocarray(s->terminals, s->n_terminals + 1, sizeof *v) : NULL;
    if (!v) return ERR_LIMIT;
    s->terminals = v;
    TRY(pty_open(p));
    TRY(pty_give(p, u->uid, u->gid));
    struct terminal *t = &v[s->n_terminals++];
    *t = (struct terminal){ .has_record = false };
    snprintf(t->name, sizeof t->name, "%s", p->name);
    return 0;
}

static int on_pty_open(struct session *s, UNUSED struct view fields)
{
    struct pty p = PTY_INIT;
    int err = make_terminal(s, &p);
    if (err < 0) {
        monitor_log(s->m, LOG_LEVEL_ERROR, "cannot make a terminal for %s: %s", s->m->who.user->name, err_text(err));
        err = IPC_SEND(&s->m->user_child, pty_refused, .text = view_str(err_text(err)));
    } else {
        const int fds[2] = { p.master, p.slave };
        err = IPC_SEND_FDS(&s->m->user_child, pty_opened, fds, 2, .tty_name = view_str(p.name));
    }
    pty_done(&p);
    return err;
}

static int on_pty_login(struct session *s, struct view fields)
{
    struct ipc_pty_login q;
    TRY(ipc_pty_login_get(fields, &q));
    struct terminal *t = find_terminal(s, q.tty_name);
    if (!t || t->has_record) return ERR_UNEXPECTED_MESSAGE;
    t->has_record = true;
    bool fits = strlen(s->m->peer_host) <= s->m->setup.utmp_host_bytes; /* -u */
    struct login_record r = { .pid = getpid(),
                              .line = t->name,
                              .user = s->m->who.user->name,
                              .host = fits ? s->m->peer_host : s->m->peer.host,
                              .addr = &s->m->peer_addr,
                              .wall_s = clock_wall_s() };
    (void)!login_record_login(NULL, &r, s->m->who.user->uid);
    return 0;
}

static int on_pty_close(struct session *s, struct view fields)
{
    struct ipc_pty_close q;
    TRY(ipc_pty_close_get(fields, &q));
    struct terminal *t = find_terminal(s, q.tty_name);
    if (!t) return ERR_UNEXPECTED_MESSAGE;
    log_out(s, t);
    return 0;
}

/* ---- keys, log ---- */

static int on_user_sign(struct session *s, struct view fields)
{
    struct ipc_user_sign q;
    CLEANUP(buf_done) struct buf signature = BUF_INIT(65536);
    TRY(ipc_user_sign_get(fields, &q));
    TRY(monitor_sign(s->m, q.algorithm, q.hash, &signature));
    return IPC_SEND(&s->m->user_child, user_signed, .signature = buf_view(&signature));
}

static int on_user_prove(struct session *s, struct view fields)
{
    struct ipc_user_prove q;
    CLEANUP(buf_done) struct buf signature = BUF_INIT(65536);
    TRY(ipc_user_prove_get(fields, &q));
    TRY(monitor_prove(s->m, q.key, q.algorithm, &signature));
    return IPC_SEND(&s->m->user_child, user_signed, .signature = buf_view(&signature));
}

static int on_user_group(struct session *s, struct view fields)
{
    struct ipc_user_group q;
    CLEANUP(buf_done) struct buf p = BUF_INIT(4096), g = BUF_INIT(4096);
    TRY(ipc_user_group_get(fields, &q));
    TRY(monitor_choose_group(s->m, q.min_bits, q.bits, q.max_bits, &p, &g));
    return IPC_SEND(&s->m->user_child, user_group_is, .p = buf_view(&p), .g = buf_view(&g));
}

static int on_user_log(struct session *s, struct view fields)
{
    struct ipc_user_log l;
    TRY(ipc_user_log_get(fields, &l));
    if (l.level < LOG_LEVEL_MAX) monitor_log(s->m, (enum log_level)l.level, "%.*s", VIEW_ARG(l.line));
    return 0;
}

static int on_user_end(struct session *s, struct view fields)
{
    struct ipc_user_end e;
    TRY(ipc_user_end_get(fields, &e));
    s->m->user_said_end = true;
    if (e.text.len) monitor_log(s->m, LOG_LEVEL_INFO, "%.*s", VIEW_ARG(e.text));
    return 0;
}

static const struct {
    uint8_t number;
    int (*handle)(struct session *s, struct view fields);
} handlers[] = {
    { IPC_user_sign_NUMBER, on_user_sign }, { IPC_user_group_NUMBER, on_user_group }, { IPC_pty_open_NUMBER, on_pty_open },
    { IPC_pty_login_NUMBER, on_pty_login }, { IPC_pty_close_NUMBER, on_pty_close },   { IPC_user_log_NUMBER, on_user_log },
    { IPC_user_end_NUMBER, on_user_end },   { IPC_user_prove_NUMBER, on_user_prove },
};

static int serve_user_child(struct session *s)
{
    for (;;) {
        struct ipc_message msg;
        int err = ipc_recv(&s->m->user_child, MS_NEVER, &msg);
        if (err == ERR_PEER_CLOSED || err == ERR_CANCELLED) return 0;
        TRY(err);
        for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
            if (handlers[i].number == msg.number) err = handlers[i].handle(s, msg.fields);
        TRY(err);
    }
}

/* ---- start of the user child ---- */

static int open_pam_session(struct monitor *m)
{
    if (!m->who.pam) return 0;
    char connection[2 * SOCK_TEXT_BYTES + 64];
    snprintf(connection, sizeof connection, "SSH_CONNECTION=%s %d %s %d", m->peer.host, m->peer.port, m->local.host, m->local.port);
    TRY(pam_set_env(m->who.pam, connection));
    bool is_root = geteuid() == 0;
    /* Modules such as pam_group add to the groups that are there. */
    if (is_root) TRY(user_set_groups(m->who.user));
    int err = pam_open_credentials(m->who.pam, false);
    if (err == 0) err = pam_open_user_session(m->who.pam);
    if (is_root) TRY(user_load_groups_of_process(m->who.user));
    if (err == 0) return 0;
    monitor_log(m, LOG_LEVEL_ERROR, "PAM: cannot open a session for %s: %s", m->who.user->name, pam_reason(m->who.pam));
    return is_root ? err : 0; /* an ordinary user who serves himself may lack what modules want */
}

static int put_last_login(const struct monitor *m, struct buf *out)
{
    struct login_record_last last;
    char when[64];
    if (!m->options.print_last_log || login_record_last(NULL, m->who.user->uid, &last) < 0 || last.wall_s == 0) return 0;
    clock_text(last.wall_s, "%a %b %e %H:%M:%S %Y", when, sizeof when);
    return buf_printf(out, "Last login: %s%s%s\n", when, last.host[0] ? " from " : "", last.host);
}

static int put_strings(const struct strv *list, struct buf *out)
{
    struct wr w = wr_of(out);
    for (size_t i = 0; i < list->n; i++) wr_cstr(&w, list->v[i]);
    return wr_end(&w);
}

static int pack_session(struct monitor *m, struct buf *out)
{
    CLEANUP(buf_done) struct buf options = BUF_INIT(64 << 20), key_env = BUF_INIT(1 << 20), last = BUF_INIT(1024);
    CLEANUP(buf_done) struct buf may_open = BUF_INIT(16 << 20), may_listen = BUF_INIT(16 << 20);
    const struct authorized_keys_options *key = m->who.has_key_options ? &m->who.key_options : NULL;
    TRY(sshd_options_export(&m->options, &options));
    if (key) TRY(put_strings(&key->environment, &key_env));
    if (key) TRY(put_strings(&key->permitopen, &may_open));
    if (key) TRY(put_strings(&key->permitlisten, &may_listen));
    TRY(put_last_login(m, &last));
    struct body_user_session s = {
        .options = buf_view(&options),
        .peer_address = view_str(m->peer.host),
        .peer_port = (uint32_t)m->peer.port,
        .local_address = view_str(m->local.host),
        .local_port = (uint32_t)m->local.port,
        .forced_command = view_str(key ? key->command : NULL),
        .key_environment = buf_view(&key_env),
        .permit_pty = !key || key->permit_pty,
        .permit_user_rc = !key || key->permit_user_rc,
        .permit_port_forwarding = !key || key->permit_port_forwarding,
        .permit_agent = !key || key->permit_agent,
        .permit_open = buf_view(&may_open),
        .permit_listen = buf_view(&may_listen),
        .must_change_password = m->who.must_change_password,
        .greeting = m->who.pam ? pam_messages(m->who.pam) : VIEW_EMPTY,
        .last_login = buf_view(&last),
        .all_host_keys = m->setup.host_keys,
        .auth_info = buf_view(&m->who.auth_info),
    };
    struct wr w = wr_of(out);
    return body_user_session_put(&w, &s);
}

static int start_user_child(struct monitor *m, struct view transport)
{
    CLEANUP(buf_done) struct buf session = BUF_INIT(128 << 20), groups = BUF_INIT(1 << 20), env = BUF_INIT(1 << 20);
    CLEANUP(buf_done) struct buf algorithms = BUF_INIT(65536), host_keys = BUF_INIT(1 << 20);
    CLEANUP(strv_done) struct strv pam_vars = STRV_INIT;
    struct user *u = m->who.user;
    struct wr w = wr_of(&groups);
    if (m->who.pam) TRY(pam_env(m->who.pam, &pam_vars));
    TRY(put_strings(&pam_vars, &env));
    TRY(user_load_groups(u));
    for (size_t i = 0; i < u->n_groups; i++) wr_u32(&w, u->groups[i]);
    TRY(wr_end(&w));
    TRY(pack_session(m, &session));
    TRY(monitor_list_host_keys(m, &algorithms, &host_keys));
    const int fds[2] = { m->in_fd, m->one_socket ? m->in_fd : m->out_fd };
    return IPC_SEND_FDS(&m->user_child, user_start, fds, 2, .one_socket = m->one_socket, .user = view_str(u->name), .uid = u->uid,
                        .gid = u->gid, .groups = buf_view(&groups), .home = view_str(u->home), .shell = view_str(u->shell),
                        .log_level = m->sink.log.level, .env = buf_view(&env), .session = buf_view(&session),
                        .host_keys = buf_view(&host_keys), .transport = transport);
}

/* What was needed for the login only. The monitor lives as long as the session and should cost little. */
static void forget_login(struct monitor *m)
{
    int status;
    fd_close(m->in_fd);
    fd_close(m->out_fd);
    m->in_fd = m->out_fd = -1;
    ipc_done(&m->net);
    (void)kill(m->net_pid, SIGKILL); /* it has nothing more to say */
    (void)!spawn_wait(m->net_pid, &status);
    ipc_done(&m->listener);
    algorithms_done(&m->algs);
    malloc_trim(0);
}

static void close_session(struct session *s)
{
    monitor_end_user_child(s->m);
    while (s->n_terminals) log_out(s, &s->terminals[s->n_terminals - 1]);
    free(s->terminals);
}

int session_run(struct monitor *m, struct view transport)
{
    struct session s = { .m = m };
    (void)!IPC_SEND(&m->listener, startup_done, .outcome = IPC_OUTCOME_AUTHENTICATED);
    TRY(open_pam_session(m));
    if (m->user_child.fd < 0) TRY(monitor_start_user_child(m));
    if (m->user_pid) monitor_log(m, LOG_LEVEL_VERBOSE, "User child is on pid %d", (int)m->user_pid);
    m->user_child.state = IPC_SESSION;
    TRY(start_user_child(m, transport));
    forget_login(m);
    m->net.state = IPC_SESSION;
    proctitle_set("sshd: %s [priv]", m->who.user->name);
    int err = serve_user_child(&s);
    if (err < 0)
        monitor_log(m, LOG_LEVEL_ERROR, "the session of %s ended: its process %s", m->who.user->name, err_text(err));
    else if (!m->user_said_end && !m->is_terminated)
        monitor_log(m, LOG_LEVEL_ERROR, "the session of %s ended: its process died", m->who.user->name);
    close_session(&s);
    return 0;
}
