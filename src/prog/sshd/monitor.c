/* sshd-session, the monitor: decides for one connection, with all rights and without ever parsing an SSH packet. Started ahead of
 * need; its network child and its user child are started with it and wait as well. What a child asks has to be in ipc/messages.def
 * for the state the connection is in by the monitor's own account; anything else ends the connection. */
#include "prog/sshd/monitor.h"

#include "crypto/crypto.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/login_record.h"
#include "os/map.h"
#include "os/proctitle.h"
#include "os/spawn.h"
#include "prog/sshd/parts.h"
#include "prog/sshd/zygote.h"
#include "wire/messages.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHILD_WAIT_MS = 3000
};

/* ---- children ---- */

static int start_child(const char *name, int program_fd, enum ipc_role role, struct ipc *ret_ipc, pid_t *ret_pid)
{
    int pair[2];
    TRY(fd_socketpair(pair));
    CLEANUP(fd_closep) int theirs = pair[1];
    TRY(ipc_init(ret_ipc, pair[0], IPC_M, role));
    const struct spawn_fd fds[] = { { theirs, PART_IPC_FD }, { STDERR_FILENO, STDERR_FILENO } };
    const char *argv[] = { name, NULL };
    struct spawn s = {
        .path = name, .exec_fd = program_fd, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds), .die_with_parent = true
    };
    return spawn_run(&s, ret_pid);
}

int monitor_start_user_child(struct monitor *m)
{
    TRY(start_child(PART_USER, PART_USER_PROGRAM_FD, IPC_U, &m->user_child, &m->user_pid));
    fd_close(PART_USER_PROGRAM_FD);
    return 0;
}

void monitor_end_user_child(struct monitor *m)
{
    int status;
    if (m->user_child.fd < 0) return;
    ipc_done(&m->user_child);
    if (m->user_pid) (void)!spawn_wait_or_kill(m->user_pid, CHILD_WAIT_MS, &status); /* a zygote's copy is not our child */
}

/* Its last words to the peer may still be on their way, if it says that it ends. */
static void end_net_child(struct monitor *m)
{
    struct ipc_message msg;
    int status;
    ms end = clock_now() + CHILD_WAIT_MS;
    if (!m->net_pid) return;
    while (m->net_said_end && ipc_recv(&m->net, end, &msg) == 0)
        for (size_t i = 0; i < ARRAY_LEN(msg.fds); i++) fd_close(msg.fds[i]);
    ipc_done(&m->net);
    (void)kill(m->net_pid, SIGKILL);
    (void)!spawn_wait(m->net_pid, &status);
}

/* ---- log lines of the children ---- */

static void log_child_line(struct monitor *m, uint32_t level, struct view line, const char *suffix)
{
    if (level >= LOG_LEVEL_MAX) return;
    log_at(&m->sink.log, (enum log_level)level, "%.*s%s", VIEW_ARG(line), suffix);
}

static int start_log(struct monitor *m)
{
    enum log_level level = m->setup.quiet   ? LOG_LEVEL_QUIET
                           : m->setup.debug ? (enum log_level)(LOG_LEVEL_DEBUG1 + m->setup.debug - 1)
                                            : (enum log_level)m->options.log_level;
    bool to_stderr = m->setup.log_stderr;
    logsink_done(&m->sink);
    m->sink = (struct logsink){ .fd = -1 };
    if (m->setup.log_file.len) {
        CLEANUP(freep) char *path = view_dup_str(m->setup.log_file);
        return path ? logsink_init_file(&m->sink, level, path) : ERR_NOMEM;
    }
    if (to_stderr)
        logsink_init_fd(&m->sink, level, STDERR_FILENO);
    else
        logsink_init_syslog(&m->sink, level, "sshd", m->options.syslog_facility << 3);
    return 0;
}

int monitor_eval_options(struct monitor *m)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    struct sshd_conf_ctx ctx = {
        .user = m->who.name,
        .host = m->peer_host,
        .address = m->peer.host,
        .local_address = m->local.host,
        .local_port = m->local.port,
        .version = "Nacre_" NACRE_VERSION,
        .invalid_user = m->who.name && !m->who.user,
        .in_group = setup_in_group,
    };
    struct sshd_options fresh;
    int err = setup_options(&m->setup, m->who.name ? &ctx : NULL, &m->algs.conf, &diag, &fresh);
    for (size_t i = 0; i < diag.errors.n; i++) monitor_log(m, LOG_LEVEL_ERROR, "%s", diag.errors.v[i]);
    if (err < 0) {
        sshd_options_done(&fresh);
        return err;
    }
    sshd_options_done(&m->options);
    m->options = fresh;
    return 0;
}

/* ---- before login ---- */

/* "1.2.3.4 port 5", with whom it says it is. */
static void end_log(struct monitor *m, const char *what, const char *separator, const char *text)
{
    const char *kind = !m->who.name ? "" : m->who.valid ? "authenticating user " : "invalid user ";
    monitor_log(m, LOG_LEVEL_INFO, "%s%s%s%s%s port %d%s%s [preauth]", what, kind, m->who.name ? m->who.name : "",
                m->who.name ? " " : "", m->peer.host, m->peer.port, separator, text);
}

static int on_net_end(struct monitor *m, struct view fields)
{
    struct ipc_net_end e;
    TRY(ipc_net_end_get(fields, &e));
    m->net_said_end = true;
    char text[4200];
    snprintf(text, sizeof text, "%.*s", VIEW_ARG(e.text));
    switch (e.reason) {
    case IPC_END_CLOSED:
        if (m->peer_said_ident)
            end_log(m, "Connection closed by ", "", "");
        else
            monitor_log(m, LOG_LEVEL_INFO, "Connection closed by %s port %d", m->peer.host, m->peer.port);
        break;
    case IPC_END_DISCONNECTED:
        monitor_log(m, LOG_LEVEL_INFO, "Received disconnect from %s port %d:%s [preauth]", m->peer.host, m->peer.port, text);
        end_log(m, "Disconnected from ", "", "");
        break;
    case IPC_END_IDENT:
        monitor_log(m, LOG_LEVEL_INFO, "banner exchange: Connection from %s port %d: %s", m->peer.host, m->peer.port, text);
        break;
    case IPC_END_NEGOTIATION:
        monitor_log(m, LOG_LEVEL_INFO, "Unable to negotiate with %s port %d: %s [preauth]", m->peer.host, m->peer.port, text);
        break;
    case IPC_END_OURS:
        end_log(m, "Disconnecting ", ": ", text);
        break;
    default:
        monitor_log(m, LOG_LEVEL_INFO, "ssh_dispatch_run_fatal: Connection from %s%s%s port %d: %s [preauth]",
                    m->who.name ? (m->who.valid ? "authenticating user " : "invalid user ") : "", m->who.name ? m->who.name : "",
                    m->peer.host, m->peer.port, text);
        break;
    }
    return ERR_PEER_CLOSED;
}

static int on_net_sign(struct monitor *m, struct view fields)
{
    struct ipc_net_sign q;
    CLEANUP(buf_done) struct buf signature = BUF_INIT(65536);
    TRY(ipc_net_sign_get(fields, &q));
    if (buf_len(&m->session_id) == 0) {
        TRY(buf_put_view(&m->session_id, q.hash));
        m->net.state = IPC_KEYED;
    }
    TRY(monitor_sign(m, q.algorithm, q.hash, &signature));
    return IPC_SEND(&m->net, net_signed, .signature = buf_view(&signature));
}

static int on_net_group(struct monitor *m, struct view fields)
{
    struct ipc_net_group q;
    CLEANUP(buf_done) struct buf p = BUF_INIT(4096), g = BUF_INIT(4096);
    TRY(ipc_net_group_get(fields, &q));
    TRY(monitor_choose_group(m, q.min_bits, q.bits, q.max_bits, &p, &g));
    return IPC_SEND(&m->net, net_group_is, .p = buf_view(&p), .g = buf_view(&g));
}

static int on_net_log(struct monitor *m, struct view fields)
{
    struct ipc_net_log l;
    TRY(ipc_net_log_get(fields, &l));
    log_child_line(m, l.level, l.line, " [preauth]");
    return 0;
}

static int on_net_peer(struct monitor *m, struct view fields)
{
    struct ipc_net_peer p;
    TRY(ipc_net_peer_get(fields, &p));
    m->peer_said_ident = true;
    log_debug(&m->sink.log, "Remote protocol version 2.0, remote software version %.*s",
              VIEW_ARG(view_sub(p.ident, 8, p.ident.len)));
    return 0;
}

static int conclude(struct monitor *m, struct attempt *a, int err)
{
    bool success = false;
    TRY(err);
    if (a->passed && !account_is_open(m, a)) a->passed = false;
    if (!a->postponed) TRY(method_conclude(m, a, &success));
    if (success) m->net.state = IPC_AUTHENTICATED;
    return 0;
}

static int on_auth_none(struct monitor *m, struct view fields)
{
    struct ipc_auth_none q;
    struct attempt a = { .method = METHOD_NONE, .method_name = "none" };
    TRY(ipc_auth_none_get(fields, &q));
    TRY(monitor_set_applicant(m, q.user, q.service));
    bool is_none = view_eq_str(q.method, "none");
    a.passed = is_none && method_is_allowed(m, &a) && m->options.permit_empty_passwords && m->options.password_authentication &&
               password_is_right(m, VIEW_LIT(""));
    return conclude(m, &a, 0);
}

static int on_auth_publickey_query(struct monitor *m, struct view fields)
{
    struct ipc_auth_publickey_query q;
    struct attempt a = { .method = METHOD_PUBLICKEY, .method_name = "publickey" };
    TRY(ipc_auth_publickey_query_get(fields, &q));
    TRY(monitor_set_applicant(m, q.user, q.service));
    return conclude(m, &a, publickey_query(m, &q, &a));
}

static int on_auth_publickey(struct monitor *m, struct view fields)
{
    struct ipc_auth_publickey q;
    struct attempt a = { .method = METHOD_PUBLICKEY, .method_name = "publickey" };
    TRY(ipc_auth_publickey_get(fields, &q));
    TRY(monitor_set_applicant(m, q.user, q.service));
    return conclude(m, &a, publickey_check(m, &q, &a));
}

static int on_auth_hostbased(struct monitor *m, struct view fields)
{
    struct ipc_auth_hostbased q;
    struct attempt a = { .method = METHOD_HOSTBASED, .method_name = "hostbased" };
    TRY(ipc_auth_hostbased_get(fields, &q));
    TRY(monitor_set_applicant(m, q.user, q.service));
    return conclude(m, &a, hostbased_check(m, &q, &a));
}

static int on_auth_password(struct monitor *m, struct view fields)
{
    struct ipc_auth_password q;
    struct attempt a = { .method = METHOD_PASSWORD, .method_name = "password" };
    TRY(ipc_auth_password_get(fields, &q));
    TRY(monitor_set_applicant(m, q.user, q.service));
    a.passed = method_is_allowed(m, &a) && password_is_right(m, q.password);
    return conclude(m, &a, 0);
}

/* RFC 4252 8 lets a client change a password that way; like OpenSSH we never ask for it, and an unasked change is a failure. */
static int on_auth_password_change(struct monitor *m, struct view fields)
{
    struct ipc_auth_password_change q;
    struct attempt a = { .method = METHOD_PASSWORD, .method_name = "password" };
    TRY(ipc_auth_password_change_get(fields, &q));
    TRY(monitor_set_applicant(m, q.user, q.service));
    return conclude(m, &a, 0);
}

static int on_auth_kbdint_start(struct monitor *m, struct view fields)
{
    struct ipc_auth_kbdint_start q;
    struct attempt a = { .method = METHOD_KBDINT, .method_name = "keyboard-interactive" };
    TRY(ipc_auth_kbdint_start_get(fields, &q));
    TRY(monitor_set_applicant(m, q.user, q.service));
    if (m->who.pam) a.submethod = VIEW_LIT("pam");
    return conclude(m, &a, kbdint_run(m, &a));
}

/* A response without a question that waits for it. */
static int on_auth_kbdint_response(UNUSED struct monitor *m, UNUSED struct view fields) { return ERR_UNEXPECTED_MESSAGE; }

static int on_handoff(struct monitor *m, struct view fields)
{
    struct ipc_handoff h;
    TRY(ipc_handoff_get(fields, &h));
    TRY(session_run(m, h.transport));
    return ERR_PEER_CLOSED;
}

static const struct {
    uint8_t number;
    int (*handle)(struct monitor *m, struct view fields);
} net_handlers[] = {
    { IPC_net_sign_NUMBER, on_net_sign },
    { IPC_net_group_NUMBER, on_net_group },
    { IPC_net_log_NUMBER, on_net_log },
    { IPC_net_peer_NUMBER, on_net_peer },
    { IPC_net_end_NUMBER, on_net_end },
    { IPC_auth_none_NUMBER, on_auth_none },
    { IPC_auth_publickey_query_NUMBER, on_auth_publickey_query },
    { IPC_auth_publickey_NUMBER, on_auth_publickey },
    { IPC_auth_password_NUMBER, on_auth_password },
    { IPC_auth_hostbased_NUMBER, on_auth_hostbased },
    { IPC_auth_password_change_NUMBER, on_auth_password_change },
    { IPC_auth_kbdint_start_NUMBER, on_auth_kbdint_start },
    { IPC_auth_kbdint_response_NUMBER, on_auth_kbdint_response },
    { IPC_handoff_NUMBER, on_handoff },
};

static int handle_net(struct monitor *m, uint8_t number, struct view fields)
{
    m->request_began = clock_now();
    if (m->dismissed && number != IPC_net_end_NUMBER && number != IPC_net_log_NUMBER) return ERR_UNEXPECTED_MESSAGE;
    for (size_t i = 0; i < ARRAY_LEN(net_handlers); i++) {
        if (net_handlers[i].number != number) continue;
        int err = net_handlers[i].handle(m, fields);
        return err == ERR_DENIED && m->dismissed ? 0 : err; /* how it ended is told by net_end */
    }
    return ERR_UNEXPECTED_MESSAGE;
}

/* What arrived where an answer to a PAM conversation was expected comes first. */
static int handle_stray(struct monitor *m)
{
    CLEANUP(buf_done) struct buf fields = m->stray_fields;
    m->stray_fields = (struct buf)BUF_INIT_SECRET(1 << 20);
    m->has_stray = false;
    return handle_net(m, m->stray_number, buf_view(&fields));
}

static int serve_net_child(struct monitor *m)
{
    for (;;) {
        struct ipc_message msg;
        if (m->has_stray) {
            TRY(handle_stray(m));
            continue;
        }
        TRY(ipc_recv(&m->net, m->grace_end, &msg));
        TRY(handle_net(m, msg.number, msg.fields));
    }
}

/* A network child that closes its socket without a word was killed, by its sandbox or because it is not what it was any more. */
static void log_net_death(struct monitor *m)
{
    int status;
    char text[64];
    (void)!kill(m->net_pid, SIGKILL);
    int err = spawn_wait(m->net_pid, &status);
    m->net_pid = 0;
    if (err < 0) return;
    spawn_status_text(status, text, sizeof text);
    monitor_log(m, LOG_LEVEL_ERROR, "connection from %s port %d ended: the network process %s", m->peer.host, m->peer.port, text);
}

static void log_end_before_login(struct monitor *m, int err)
{
    if (err == ERR_PEER_CLOSED && !m->net_said_end && !m->is_terminated) log_net_death(m);
    if (err == ERR_TIMEOUT)
        monitor_log(m, LOG_LEVEL_INFO, "Timeout before authentication for %s port %d", m->peer.host, m->peer.port);
    else if (err != ERR_PEER_CLOSED)
        monitor_log(m, LOG_LEVEL_ERROR, "connection from %s port %d ended: the network process %s", m->peer.host, m->peer.port,
                    err == ERR_UNEXPECTED_MESSAGE ? "said what it may not" : err_text(err));
}

/* For PerSourcePenalties. */
static enum ipc_outcome outcome_of(const struct monitor *m, int err)
{
    if (m->is_terminated) return IPC_OUTCOME_NOTHING;
    if (err == ERR_TIMEOUT) return IPC_OUTCOME_GRACE;
    if (err != ERR_PEER_CLOSED || !m->net_said_end) return IPC_OUTCOME_CRASH;
    if (m->who.name && m->options.refuse_connection) return IPC_OUTCOME_REFUSED;
    if (m->who.failures == 0) return IPC_OUTCOME_NOAUTH;
    return m->who.valid ? IPC_OUTCOME_AUTHFAIL : IPC_OUTCOME_INVALID_USER;
}

/* ---- start ---- */

static int send_net_start(struct monitor *m)
{
    CLEANUP(buf_done) struct buf algorithms = BUF_INIT(65536), host_keys = BUF_INIT(1 << 20), ident = BUF_INIT(1024);
    const struct sshd_options *o = &m->options;
    TRY(monitor_list_host_keys(m, &algorithms, &host_keys));
    TRY(buf_printf(&ident, "SSH-2.0-Nacre_%s%s%s", NACRE_VERSION, o->version_addendum ? " " : "",
                   o->version_addendum ? o->version_addendum : ""));
    const int fds[2] = { m->in_fd, m->one_socket ? m->in_fd : m->out_fd };
    return IPC_SEND_FDS(
        &m->net, net_start, fds, 2, .one_socket = m->one_socket, .ident = buf_view(&ident), .kex = view_str(o->kex_algorithms),
        .host_key_algorithms = buf_view(&algorithms), .ciphers = view_str(o->ciphers), .macs = view_str(o->macs),
        .compression = o->compression ? view_str(algorithms_compression(false)) : VIEW_LIT("none"),
        .server_sig_algs = view_str(o->pubkey_accepted_algorithms), .rekey_bytes = o->rekey_limit.bytes,
        .rekey_ms = (uint64_t)o->rekey_limit.seconds * 1000, .log_level = m->sink.log.level, .host_keys = buf_view(&host_keys));
}

static int take_connection(struct monitor *m)
{
    struct ipc_message msg;
    struct ipc_connection c;
    TRY(ipc_expect(&m->listener, MS_NEVER, IPC_connection_NUMBER, &msg));
    m->in_fd = msg.fds[0];
    m->out_fd = msg.fds[1];
    TRY(ipc_connection_get(msg.fields, &c));
    m->one_socket = c.one_socket;
    sock_peer_text(m->in_fd, &m->peer);
    sock_local_text(m->in_fd, &m->local);
    (void)!sock_peer_addr(m->in_fd, &m->peer_addr);
    snprintf(m->peer_host, sizeof m->peer_host, "%s", m->peer.host);
    m->grace_end = m->options.login_grace_time ? clock_now() + (ms)m->options.login_grace_time * 1000 : MS_NEVER;
    proctitle_set("sshd: [accepted]");
    monitor_log(m, LOG_LEVEL_VERBOSE, "Connection from %s port %d on %s port %d rdomain \"\"", m->peer.host, m->peer.port,
                m->local.host, m->local.port);
    sock_tos(m->out_fd, m->options.ipqos.interactive);
    if (m->options.use_dns && m->setup.utmp_host_bytes) (void)!sock_reverse(&m->peer_addr, true, m->peer_host);
    m->net.state = IPC_UNKEYED;
    return send_net_start(m);
}

static int prepare(struct monitor *m)
{
    TRY(algorithms_init(&m->algs, ALGORITHMS_SERVER));
    struct view setup;
    TRY(map_file(PART_SETUP_FD, &setup));
    fd_close(PART_SETUP_FD);
    TRY(body_session_setup_get(setup, &m->setup));
    TRY(monitor_eval_options(m));
    return start_log(m);
}

/* What every monitor will use is loaded and set up once, before the copies are made. */
static void warm_up(void)
{
    static const char *const types[] = { "ssh-ed25519", "ecdsa-sha2-nistp256" };
    CLEANUP(user_freep) struct user *nobody = NULL;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        CLEANUP(buf_done) struct buf signature = BUF_INIT(1024);
        CLEANUP(freep) char *fingerprint = NULL;
        if (key_generate(key_type_find(view_str(types[i])), 0, &k) < 0 || key_sign(k, VIEW_EMPTY, VIEW_LIT("x"), &signature) < 0)
            continue;
        (void)!key_verify_blob(key_blob(k), view_str(types[i]), VIEW_LIT("x"), buf_view(&signature));
        (void)!key_fingerprint(key_blob(k), DIGEST_SHA256, &fingerprint);
    }
    /* Groups are asked of every service in nsswitch.conf, so that their modules are loaded here and not by each copy. */
    if (user_by_name(PART_USER_NAME, &nobody) == 0) (void)!user_load_groups(nobody);
}

static void on_copy_killed(pid_t pid, int status);

/* As a copy of a zygote, or executed for one connection only. */
static int take_sockets(struct monitor *m, bool is_zygote)
{
    int fds[IPC_FDS_MAX] = { PART_IPC_FD, PART_KEY_HOLDER_FD, -1 };
    struct ipc listener;
    uint8_t number;
    if (is_zygote) {
        warm_up();
        proctitle_set("sshd: [monitors]");
        TRY(ipc_init(&listener, PART_IPC_FD, IPC_Z, IPC_L));
        TRY(zygote_wait(&listener, on_copy_killed, &number, fds));
        proctitle_set("sshd: [ready]");
    }
    TRY(ipc_init(&m->listener, fds[0], IPC_M, IPC_L));
    TRY(ipc_init(&m->key_holder, fds[1], IPC_M, IPC_K));
    return fds[2] >= 0 ? ipc_init(&m->user_child, fds[2], IPC_M, IPC_U) : 0;
}

static int start_children(struct monitor *m)
{
    TRY(start_child(PART_AUTH, PART_AUTH_PROGRAM_FD, IPC_N, &m->net, &m->net_pid));
    fd_close(PART_AUTH_PROGRAM_FD);
    TRY(IPC_SEND(&m->net, net_cage, .uid = m->setup.net_uid, .gid = m->setup.net_gid, .filter = m->setup.net_filter));
    return m->options.use_pam || m->user_child.fd >= 0 ? 0 : monitor_start_user_child(m);
}

static struct monitor m = { .in_fd = -1,
                            .out_fd = -1,
                            .user_child = { .fd = -1 },
                            .net = { .fd = -1 },
                            .session_id = BUF_INIT(64),
                            .who = { .auth_info = BUF_INIT(1 << 20), .used_keys = BUF_INIT(1 << 20) },
                            .stray_fields = BUF_INIT_SECRET(1 << 20) };

/* In the zygote: what a killed monitor did not do any more. Its user child ends by itself. */
static void on_copy_killed(pid_t pid, int status)
{
    char text[64];
    spawn_status_text(status, text, sizeof text);
    log_error(&m.sink.log, "process %d of a connection %s: its login records are closed for it", (int)pid, text);
    (void)!login_record_lost(NULL, pid, clock_wall_s());
}

/* Who is waited for is cut off, now or as soon as it is asked something: the monitor then goes the way it goes when a child dies,
 * and PAM session, terminals and login records are closed. */
static void on_terminate(UNUSED int signal)
{
    int saved = errno;
    m.is_terminated = 1;
    if (m.net.fd >= 0) (void)shutdown(m.net.fd, SHUT_RDWR);
    if (m.user_child.fd >= 0) (void)shutdown(m.user_child.fd, SHUT_RDWR);
    if (m.net.fd < 0 && m.user_child.fd < 0) _exit(255);
    errno = saved;
}

static void catch_termination(void)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    struct sigaction how = { .sa_handler = on_terminate, .sa_flags = SA_RESTART };
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) (void)sigaction(signals[i], &how, NULL);
}

int main(int argc, char **argv)
{
    spawn_reset_signals(true);
    proctitle_init(argc, argv);
    crypto_start();
    (void)!spawn_hide_memory();
    sshd_options_init(&m.options);
    int err = prepare(&m);
    if (err == 0) err = take_sockets(&m, argc > 1 && strcmp(argv[1], PART_ZYGOTE) == 0);
    if (err == ERR_PEER_CLOSED) return 0; /* the listener ended */
    if (err == 0) err = start_children(&m);
    if (err < 0) {
        dprintf(STDERR_FILENO, "sshd-session: cannot start: %s\n", err_text(err));
        return 255;
    }
    catch_termination();
    err = take_connection(&m);
    if (err == ERR_PEER_CLOSED) return 0; /* the listener ended before there was a connection */
    if (err == 0) err = serve_net_child(&m);
    bool had_session = m.net.state == IPC_SESSION;
    if (!had_session) {
        enum ipc_outcome outcome = outcome_of(&m, err);
        log_end_before_login(&m, err);
        (void)!IPC_SEND(&m.listener, startup_done, .outcome = outcome);
        end_net_child(&m);
        monitor_end_user_child(&m);
    }
    monitor_applicant_done(&m.who); /* closes what PAM has open */
    return had_session ? 0 : 255;
}
