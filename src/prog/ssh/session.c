/* The one session of a login: opened as soon as the server let us in, ended when the server has closed it and all of its output is
 * written. With -N there is none, and only signals and the server end the connection. */
#include "prog/ssh/session_int.h"

#include "os/fd.h"
#include "os/spawn.h"
#include "proto/mux/mux.h"
#include "wire/messages.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    TYPED_HELD_BYTES = 1 << 20
};

void session_restore_terminal(struct client *c)
{
    if (c->session) tty_raw_leave(&c->session->raw);
}

/* ---- the end ---- */

static void on_finish(void *arg);

static void finish_later(struct session *s)
{
    if (loop_later(s->c->loop, on_finish, s) < 0) client_end(s->c, EXIT_OWN_ERROR);
}

void session_fail(struct session *s)
{
    s->exit_status = EXIT_OWN_ERROR;
    if (session_is_guest(s))
        finish_later(s);
    else
        client_end(s->c, EXIT_OWN_ERROR);
}

/* The channel is given up. Its number may be another's from now on. */
static void leave_channel(struct session *s)
{
    struct client *c = s->c;
    if (s->channel == CHANNEL_NONE) return;
    session_typing_stop(s, false);
    if (s->io) conn_io_detach(c->conn_io, s->channel);
    s->io = NULL;
    (void)!conn_close(conn_io_conn(c->conn_io), s->channel);
    conn_io_wake(c->conn_io);
    client_log(c, LOG_LEVEL_DEBUG1, "channel %u: free: client-session, nchannels %zu", s->channel,
               conn_n_channels(conn_io_conn(c->conn_io)));
    s->channel = CHANNEL_NONE;
}

static void on_finish(void *arg)
{
    struct session *s = arg;
    struct client *c = s->c;
    if (c->ended) return;
    leave_channel(s);
    s->is_over = true;
    if (session_is_guest(s))
        s->guest.ended(s->guest.arg, s->exit_status);
    else
        session_forwards_idle(c);
}

/* When the command has ended, somebody may still talk through us. */
void session_forwards_idle(struct client *c)
{
    bool is_used = forwards_n_carried(c->forwards) || mux_master_is_used(c);
    if (c->session && c->session->is_over && !is_used) client_end(c, c->session->exit_status);
    mux_master_check_idle(c);
}

/* Later, since the channel's descriptors are closed by it, and this may be called from within them. */
static void check_finish(struct session *s)
{
    if (!s->peer_closed || !s->output_ended) return;
    finish_later(s);
}

static void say_traffic(const struct session *s)
{
    const struct client *c = s->c;
    struct transport_traffic sum;
    double seconds = (double)(loop_now(c->loop) - s->started) / 1000;
    if (!c->wire) return;
    transport_traffic(wire_io_transport(c->wire), &sum);
    client_log(c, LOG_LEVEL_VERBOSE, "Transferred: sent %llu, received %llu bytes, in %.1f seconds",
               (unsigned long long)sum.bytes_out, (unsigned long long)sum.bytes_in, seconds);
    if (seconds > 0)
        client_log(c, LOG_LEVEL_VERBOSE, "Bytes per second: sent %.1f, received %.1f", (double)sum.bytes_out / seconds,
                   (double)sum.bytes_in / seconds);
    client_log(c, LOG_LEVEL_DEBUG1, "Exit status %d", c->exit_status == EXIT_OWN_ERROR ? -1 : c->exit_status);
}

void session_farewell(struct client *c)
{
    const struct session *s = c->session;
    session_restore_terminal(c);
    if (!s || !c->authenticated) return;
    if (c->killed_by) {
        client_log(c, LOG_LEVEL_VERBOSE, "Killed by signal %d.", c->killed_by);
        return;
    }
    if (s->wants_pty) client_log(c, LOG_LEVEL_INFO, "Connection to %s closed.", c->host);
    say_traffic(s);
}

/* ---- signals ---- */

static void on_deadly(void *arg, int number)
{
    struct session *s = arg;
    s->c->killed_by = number;
    session_fail(s);
}

/* Passengers send us the signal that their terminal gives them. */
static void on_window_change(void *arg, UNUSED int number)
{
    struct client *c = arg;
    if (c->session) session_send_window_change(c->session);
    for (struct session *s = c->guests; s; s = s->next) session_send_window_change(s);
}

/* What whoever started us wants ignored (nohup) stays so. */
static int catch_deadly(struct session *s, int number)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN) return 0;
    return loop_signal(s->c->loop, number, on_deadly, s);
}

static int catch_signals(struct session *s)
{
    static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
    for (size_t i = 0; i < ARRAY_LEN(deadly); i++) TRY(catch_deadly(s, deadly[i]));
    return s->wants_pty || s->c->mux ? loop_signal(s->c->loop, SIGWINCH, on_window_change, s->c) : 0;
}

/* ---- events of the channel's descriptors ---- */

/* The command gets its SIGPIPE. Servers that know no such request can only be told by closing, and not all of them (dropbear) close
 * in turn while they have data to send. */
static void on_output_broken(struct session *s, int err)
{
    client_log(s->c, LOG_LEVEL_DEBUG2, "channel %u: output is broken: %s", s->channel, err_text(err));
    if (!s->peer_is_openssh) s->peer_closed = true;
    if (!s->peer_closed) (void)!conn_request(conn_io_conn(s->c->conn_io), s->channel, "eow@openssh.com", false, 0, VIEW_EMPTY);
    conn_io_wake(s->c->conn_io);
}

static void on_output_ended(void *arg, int err)
{
    struct session *s = arg;
    s->output_ended = true;
    if (err < 0) on_output_broken(s, err);
    check_finish(s);
}

static void on_moved(void *arg, bool from_peer, size_t n)
{
    struct session *s = arg;
    if (!from_peer && s->typing_fd >= 0) session_typing_moved(s, n);
}

/* ---- events of the connection ---- */

static int on_opened(struct session *s)
{
    struct chan_io_owner owner = { .output_ended = on_output_ended, .moved = on_moved, .arg = s };
    struct chan_io_fds fds = s->fds;
    s->fds = (struct chan_io_fds){ -1, -1, -1, -1, false };
    if (s->wants_pty) s->typing_fd = fd_take(&fds.in);
    if (!s->is_early) TRY(session_send_requests(s, conn_io_conn(s->c->conn_io)));
    TRY(conn_io_join(s->c->conn_io, s->channel, &fds, &owner, &s->io));
    session_check_window(s);
    if (session_is_guest(s)) s->guest.opened(s->guest.arg);
    return s->typing_fd >= 0 ? session_typing_start(s) : 0;
}

static int on_open_failed(struct session *s, const struct conn_event *e)
{
    static const char *const reasons[] = { "unknown reason", "administratively prohibited", "connect failed",
                                           "unknown channel type", "resource shortage" };
    const char *reason = reasons[e->reason < ARRAY_LEN(reasons) ? e->reason : 0];
    client_log(s->c, LOG_LEVEL_INFO, "channel %u: open failed: %s: %.*s", e->channel, reason, VIEW_ARG(e->text));
    s->channel = CHANNEL_NONE;
    if (session_is_guest(s)) s->guest.refused(s->guest.arg);
    session_fail(s);
    return 0;
}

static int on_close(struct session *s)
{
    s->peer_closed = true;
    session_typing_stop(s, false);
    if (s->io) {
        chan_io_stop_input(s->io);
        chan_io_eof(s->io); /* a server may close without an EOF; output that waits is still written */
    } else
        s->output_ended = true;
    check_finish(s);
    return 0;
}

static int on_eow(struct session *s)
{
    session_typing_stop(s, false);
    if (s->io) chan_io_stop_input(s->io);
    (void)!conn_send_eof(conn_io_conn(s->c->conn_io), s->channel); /* our input may have ended by itself: then it was sent */
    return 0;
}

static int on_exit_status(struct session *s, struct view data)
{
    struct body_exit_status body;
    TRY(body_exit_status_get(data, &body));
    s->exit_status = (int)(body.status & 0xff);
    return 0;
}

static int on_exit_signal(struct session *s, struct view data)
{
    struct body_exit_signal body;
    TRY(body_exit_signal_get(data, &body));
    s->exit_status = EXIT_OWN_ERROR;
    client_log(s->c, LOG_LEVEL_VERBOSE, "The command was killed by signal %.*s%s%s%.*s", VIEW_ARG(body.name),
               body.core_dumped ? " (core dumped)" : "", body.message.len ? ": " : "", VIEW_ARG(body.message));
    return 0;
}

static int on_request(struct session *s, const struct conn_event *e)
{
    bool known = true;
    client_log(s->c, LOG_LEVEL_DEBUG1, "client_input_channel_req: channel %u rtype %.*s reply %d", e->channel, VIEW_ARG(e->name),
               e->want_reply);
    if (view_eq_str(e->name, "exit-status"))
        TRY(on_exit_status(s, e->data));
    else if (view_eq_str(e->name, "exit-signal"))
        TRY(on_exit_signal(s, e->data));
    else if (view_eq_str(e->name, "eow@openssh.com"))
        TRY(on_eow(s));
    else
        known = false;
    return e->want_reply ? conn_answer_request(conn_io_conn(s->c->conn_io), e->question, known) : 0;
}

static int on_reply(struct session *s, const struct conn_event *e)
{
    bool is_pty = e->tag == SESSION_TAG_PTY;
    const char *what = is_pty ? "PTY allocation" : session_run_request(s);
    client_log(s->c, LOG_LEVEL_DEBUG2, "%s request %s on channel %u", what, e->ok ? "accepted" : "refused", e->channel);
    if (e->ok) return 0;
    client_log(s->c, LOG_LEVEL_INFO, "%s request failed on channel %u", what, e->channel);
    if (is_pty && session_is_guest(s)) {
        s->guest.no_terminal(s->guest.arg);
        return 0;
    }
    if (is_pty && s->c->options.request_tty == CONF_TTY_AUTO) {
        session_restore_terminal(s->c); /* without a terminal over there the local one edits the lines */
        return 0;
    }
    s->wants_pty = s->wants_pty && !is_pty;
    session_fail(s);
    return 0;
}

static int on_global_request(struct client *c, const struct conn_event *e)
{
    client_log(c, LOG_LEVEL_DEBUG1, "client_input_global_request: rtype %.*s want_reply %d", VIEW_ARG(e->name), e->want_reply);
    bool known = view_eq_str(e->name, "hostkeys-00@openssh.com");
    if (known) TRY(host_keys_announced(c, e->data));
    return e->want_reply ? conn_answer_global(conn_io_conn(c->conn_io), e->question, known, VIEW_EMPTY) : 0;
}

/* Nothing was asked to be forwarded, so nothing may come. */
static int on_open(struct client *c, const struct conn_event *e)
{
    static const char *const known[] = { "x11", "tun@openssh.com" };
    struct conn *conn = conn_io_conn(c->conn_io);
    int err;
    if (forwarding_open(c, e, &err) || agent_forward_open(c, e, &err)) return err;
    client_log(c, LOG_LEVEL_DEBUG1, "client_input_channel_open: ctype %.*s refused", VIEW_ARG(e->name));
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (view_eq_str(e->name, known[i]))
            return conn_open_refuse(conn, e->channel, OPEN_ADMINISTRATIVELY_PROHIBITED, "this was not asked for");
    return conn_open_refuse(conn, e->channel, OPEN_UNKNOWN_CHANNEL_TYPE, "unknown channel type");
}

static int on_channel_event(struct session *s, const struct conn_event *e)
{
    switch (e->kind) {
    case CONN_OPENED:
        return on_opened(s);
    case CONN_OPEN_FAILED:
        return on_open_failed(s, e);
    case CONN_CLOSE:
        return on_close(s);
    case CONN_REQUEST:
        return on_request(s, e);
    case CONN_REPLY:
        return on_reply(s, e);
    default:
        return 0;
    }
}

static void on_channel_gone(void *arg) { mux_master_check_idle(arg); }

static struct session *find(const struct client *c, channel_id channel)
{
    if (channel == CHANNEL_NONE) return NULL;
    if (c->session && c->session->channel == channel) return c->session;
    for (struct session *s = c->guests; s; s = s->next)
        if (s->channel == channel) return s;
    return NULL;
}

int session_event(struct client *c, const struct conn_event *e)
{
    channel_timeouts_event(c->timeouts, e);
    if (e->kind == CONN_GLOBAL_REQUEST) return on_global_request(c, e);
    if (e->kind == CONN_GLOBAL_REPLY && e->tag >= CLIENT_TAG_FORWARDS) return forwarding_reply(c, e);
    if (e->kind == CONN_GLOBAL_REPLY) return e->tag == CLIENT_TAG_HOST_KEYS ? host_keys_proved(c, e->ok, e->data) : 0;
    if (e->kind == CONN_OPEN) return on_open(c, e);
    if (forwards_has(c->forwards, e->channel)) return forwards_event(c->forwards, e);
    struct session *s = find(c, e->channel);
    if (!s && e->kind == CONN_CLOSE) return loop_later(c->loop, on_channel_gone, c); /* of a guest that left */
    return s ? on_channel_event(s, e) : 0;
}

/* ---- start ---- */

/* The command line's, else RemoteCommand with its tokens. */
static int set_command(struct session *s)
{
    struct client *c = s->c;
    const char *given = c->cmd.command;
    if (!given && c->options.remote_command && *c->options.remote_command)
        return config_expand(c, c->options.remote_command, false, "RemoteCommand", &s->command);
    if (!given || !*given) return 0;
    s->command = view_dup_str(view_str(given));
    return s->command ? 0 : ERR_NOMEM;
}

static int open_nonblocking(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* A terminal is opened anew, so that it can be non-blocking for us alone: one that takes nothing (stopped, or its program hangs)
 * must not keep us from escapes and signals. */
static int copy_output(int fd, int *ret_fd)
{
    int own = tty_is(fd) ? open_nonblocking(fd) : -1;
    if (own < 0) return fd_dup(fd, ret_fd);
    *ret_fd = own;
    return 0;
}

static int copy_descriptors(struct session *s)
{
    const struct ssh_options *o = &s->c->options;
    if (!session_is_guest(s) && (o->stdin_null || o->fork_after_authentication))
        TRY(fd_devnull(&s->fds.in));
    else
        TRY(fd_dup(s->std[0], &s->fds.in));
    TRY(copy_output(s->std[1], &s->fds.out));
    return copy_output(s->std[2], &s->fds.out_ext);
}

static bool peer_is_openssh(const struct client *c)
{
    struct view ident = transport_peer_ident(wire_io_transport(c->wire));
    return view_has_prefix(ident, "SSH-2.0-OpenSSH_") || view_has_prefix(ident, "SSH-2.0-Nacre_");
}

static int open_channel(struct session *s)
{
    struct client *c = s->c;
    if (!s->is_early) TRY(conn_open(conn_io_conn(c->conn_io), "session", VIEW_EMPTY, &s->channel));
    client_log(c, LOG_LEVEL_DEBUG1, "channel %u: new session [client-session] (inactive timeout: 0)", s->channel);
    return 0;
}

/* Behind the open, which it would else forbid. */
static int forbid_more_sessions(struct session *s)
{
    if (!s->peer_is_openssh || s->c->mux) return 0;
    client_log(s->c, LOG_LEVEL_DEBUG1, "Requesting no-more-sessions@openssh.com");
    return conn_global_request(conn_io_conn(s->c->conn_io), "no-more-sessions@openssh.com", false, 0, VIEW_EMPTY);
}

/* Its failure is the user's to see, not ours to act on. */
static int run_local_command(struct client *c)
{
    const struct ssh_options *o = &c->options;
    if (!o->permit_local_command || !o->local_command || !*o->local_command) return 0;
    CLEANUP(freep) char *command = NULL;
    TRY(config_expand(c, o->local_command, false, "LocalCommand", &command));
    const char *shell = getenv("SHELL");
    if (!shell || !*shell) shell = "/bin/sh";
    const char *argv[] = { shell, "-c", command, NULL };
    struct spawn how = { .path = shell, .argv = argv, .keep_std = true };
    pid_t pid;
    int status;
    client_log(c, LOG_LEVEL_DEBUG3, "Executing %s -c \"%s\"", shell, command);
    int err = spawn_run(&how, &pid);
    if (err == 0) err = spawn_wait(pid, &status);
    if (err < 0) log_error(&c->sink.log, "Couldn't execute %s -c \"%s\": %s", shell, command, err_text(err));
    return 0;
}

int session_background(struct session *s)
{
    struct client *c = s->c;
    int got = spawn_background();
    if (got == SPAWN_PARENT && s->leaves_passenger) mux_client_of_own_master(c);
    if (got == SPAWN_PARENT) _exit(0);
    if (got < 0) {
        log_error(&c->sink.log, "Cannot go to the background: %s", err_text(got));
        return got;
    }
    s->raw.active = false; /* the terminal was the parent's */
    (void)!tty_raw_guard(NULL);
    return loop_forked(c->loop);
}

/* -f: the standard descriptors are given up but for the copies that the command writes to, and stderr when it is wanted for
 * debugging. */
static int go_to_background(struct session *s)
{
    struct client *c = s->c;
    if (!c->options.fork_after_authentication && !s->leaves_passenger) return 0;
    TRY(session_background(s));
    s->leaves_passenger = false;
    bool keeps_stderr = c->sink.fd == STDERR_FILENO && c->sink.log.level >= LOG_LEVEL_DEBUG1;
    return fd_null_std(!keeps_stderr);
}

static void on_expired(void *arg, channel_id ch)
{
    struct client *c = arg;
    struct session *s = find(c, ch);
    if (!s) {
        forwards_end(c->forwards, ch);
        return;
    }
    s->peer_closed = s->output_ended = true;
    check_finish(s);
}

static int start_timeouts(struct client *c)
{
    struct channel_timeouts_config config = { .loop = c->loop,
                                              .conn = conn_io_conn(c->conn_io),
                                              .log = &c->sink.log,
                                              .list = &c->options.channel_timeout,
                                              .expired = on_expired,
                                              .arg = c };
    return channel_timeouts_new(&config, &c->timeouts);
}

static int finish_start(struct session *s)
{
    TRY(go_to_background(s));
    mux_master_check_idle(s->c);
    return catch_signals(s);
}

void session_forwards_ready(struct client *c)
{
    struct session *s = c->session;
    if (!s || !s->waits_for_forwards || c->ended) return;
    s->waits_for_forwards = false;
    if (finish_start(s) < 0) session_fail(s);
}

static int start(struct session *s)
{
    struct client *c = s->c;
    bool is_session = s->type != CONF_SESSION_NONE;
    s->peer_is_openssh = peer_is_openssh(c);
    s->started = loop_now(c->loop);
    s->exit_status = is_session ? EXIT_OWN_ERROR : 0;
    TRY(start_timeouts(c));
    TRY(forwarding_start(c));
    if (c->ended) return 0;
    if (is_session) TRY(open_channel(s));
    if (c->address.len) sock_tos(wire_io_out_fd(c->wire), s->wants_pty ? c->options.ipqos.interactive : c->options.ipqos.bulk);
    TRY(forbid_more_sessions(s));
    TRY(run_local_command(c));
    /* -f leaves only when what was asked for is there. */
    s->waits_for_forwards = c->options.exit_on_forward_failure && (c->options.fork_after_authentication || s->leaves_passenger) &&
                            forwarding_is_waiting(c);
    if (!s->waits_for_forwards) TRY(finish_start(s));
    client_log(c, LOG_LEVEL_DEBUG1, "Entering interactive session.");
    return 0;
}

static int prepare(struct session *s)
{
    if (s->type == CONF_SESSION_NONE) return 0;
    TRY(set_command(s));
    s->wants_pty = session_wants_pty(s->c);
    return copy_descriptors(s);
}

static int cannot_start(struct client *c, int err)
{
    if (err == 0 || err == ERR_NOMEM) return err;
    log_error(&c->sink.log, "The session cannot be started: %s", err_text(err));
    client_end(c, EXIT_OWN_ERROR);
    return 0;
}

static struct session *session_new(struct client *c)
{
    const struct ssh_options *o = &c->options;
    struct session *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    *s = (struct session){ .c = c,
                           .channel = CHANNEL_NONE,
                           .std = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO },
                           .text_fd = STDERR_FILENO,
                           .type = o->session_type,
                           .wants_agent = true,
                           .escape_char = o->escape_char == CONF_ESCAPE_NONE ? ESCAPE_OFF : o->escape_char,
                           .exit_status = EXIT_OWN_ERROR,
                           .fds = { -1, -1, -1, -1, false },
                           .typing_fd = -1,
                           .raw = TTY_RAW_INIT,
                           .passed = BUF_INIT_SECRET(TYPED_HELD_BYTES),
                           .held = BUF_INIT_SECRET(TYPED_HELD_BYTES) };
    return s;
}

int session_prepare(struct client *c)
{
    if (c->session) return 0;
    struct session *s = session_new(c);
    if (!s) return ERR_NOMEM;
    c->session = s;
    return cannot_start(c, prepare(s));
}

/* With ControlPersist the session is one of a passenger, which this process becomes; its child has the connection and no session.
 */
static int prepare_to_share(struct client *c)
{
    int type = c->options.session_type;
    int err = mux_master_start(c);
    if (err < 0) { /* said */
        client_end(c, EXIT_OWN_ERROR);
        return 0;
    }
    if (!c->mux || !mux_master_persists(c)) return session_prepare(c);
    c->options.session_type = CONF_SESSION_NONE;
    err = session_prepare(c);
    c->options.session_type = type;
    if (err == 0 && c->session) c->session->leaves_passenger = true;
    return err;
}

int session_start(struct client *c)
{
    TRY(cannot_start(c, prepare_to_share(c)));
    return c->ended ? 0 : cannot_start(c, start(c->session));
}

void session_free(struct session *s)
{
    if (!s) return;
    if (session_is_guest(s)) {
        for (size_t i = 0; i < ARRAY_LEN(s->std); i++) fd_close(s->std[i]);
        fd_close(s->text_fd);
    } else {
        tty_raw_leave(&s->raw);
        (void)!tty_raw_guard(NULL);
    }
    loop_forget(s->c->loop, on_finish, s);
    loop_fd_free(s->typing_watch);
    loop_timer_free(s->keys_timer);
    fd_close(s->typing_fd);
    fd_close(s->fds.in);
    fd_close(s->fds.out);
    fd_close(s->fds.out_ext);
    buf_done(&s->passed);
    buf_done(&s->held);
    conn_free(s->early);
    free(s->command);
    free(s->term);
    strv_done(&s->env);
    free(s);
}

/* ---- guests ---- */

static int take_wish(struct session *s, const struct session_wish *w)
{
    struct view one, env = w->env;
    s->guest = w->guest;
    memcpy(s->std, w->std, sizeof s->std);
    s->text_fd = open_nonblocking(w->std[2]);
    s->type = w->type;
    s->wants_pty = w->wants_pty;
    s->wants_agent = w->wants_agent;
    s->escape_char = w->escape_char;
    s->term = view_dup_str(w->term);
    if (w->command.len) s->command = view_dup_str(w->command);
    if (!s->term || (w->command.len && !s->command)) return ERR_NOMEM;
    while (mux_next_env(&env, &one)) TRY(strv_add(&s->env, one));
    return copy_descriptors(s);
}

int session_guest_open(struct client *c, const struct session_wish *take, struct session **ret)
{
    struct session *s = session_new(c);
    if (!s) {
        for (size_t i = 0; i < ARRAY_LEN(take->std); i++) fd_close(take->std[i]);
        return ERR_NOMEM;
    }
    s->next = c->guests;
    c->guests = s;
    int err = take_wish(s, take);
    s->started = loop_now(c->loop);
    s->peer_is_openssh = peer_is_openssh(c);
    if (err == 0) err = open_channel(s);
    if (err < 0)
        session_guest_free(s);
    else
        *ret = s;
    conn_io_wake(c->conn_io);
    return err;
}

void session_guest_free(struct session *s)
{
    struct session **at = &s->c->guests;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    leave_channel(s);
    session_free(s);
}
