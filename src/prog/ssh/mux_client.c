/* The passenger: a session, a forward or an order on the connection of another ssh (OpenSSH's PROTOCOL.mux). It hands over its
 * descriptors and waits; all of it blocks, since there is nothing else to do. */
#include "prog/ssh/session_int.h"

#include "base/wr.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "proto/mux/mux.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct ride {
    struct client *c;
    char *path;
    int fd;
    uint32_t next_id;
    pid_t master;
    bool may_be_gone; /* a master that was told to end may do so before it has answered */
    struct buf in;
};

/* ---- messages ---- */

static int send_message(struct ride *r, const struct mux_message *m)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(2 * MUX_FRAME_BYTES_MAX);
    TRY(mux_put(&out, m));
    return fd_write_all(r->fd, buf_view(&out));
}

/* Each descriptor stands behind a byte of its own. */
static int send_fds(struct ride *r, const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) TRY(fd_send(r->fd, VIEW_LIT("\0"), &fds[i], 1));
    return 0;
}

/* Views in *ret live until the next one. */
static int receive(struct ride *r, bool has_hello, struct mux_message *ret)
{
    uint8_t head[4], *area;
    TRY(fd_read_all(r->fd, head, sizeof head));
    uint32_t len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    if (len < 4 || len > MUX_FRAME_BYTES_MAX) return ERR_LIMIT;
    buf_reset(&r->in);
    TRY(buf_reserve(&r->in, len, &area));
    TRY(fd_read_all(r->fd, area, len));
    buf_commit(&r->in, len);
    return mux_get(buf_view(&r->in), true, has_hello, ret);
}

/* A question and its answer. what: OpenSSH's name for it in its complaints. */
static int ask(struct ride *r, const char *what, struct mux_message *m, const int *fds, size_t n_fds, struct mux_message *ret)
{
    m->id = r->next_id++;
    int err = send_message(r, m);
    if (err == 0) err = send_fds(r, fds, n_fds);
    if (err < 0) {
        log_error(&r->c->sink.log, "%s: write packet: %s", what, err_text(err));
        return err;
    }
    err = receive(r, true, ret);
    bool is_gone = err == ERR_PEER_CLOSED || err == ERR_TRUNCATED || err_errno(err) == ECONNRESET;
    if (is_gone && r->may_be_gone) {
        *ret = (struct mux_message){ .type = MUX_OK, .id = m->id };
        return 0;
    }
    if (err < 0)
        log_error(&r->c->sink.log, "%s: read from master failed: %s", what, is_gone ? "Broken pipe" : err_text(err));
    else if (ret->id != m->id) {
        log_error(&r->c->sink.log, "%s: out of sequence reply: my id %u theirs %u", what, m->id, ret->id);
        err = ERR_UNEXPECTED_MESSAGE;
    }
    return err;
}

/* What is neither of the good answers. refused, failed: OpenSSH's words for both. */
static int say_refusal(struct ride *r, const char *what, const char *refused, const char *failed, const struct mux_message *m)
{
    const struct log *log = &r->c->sink.log;
    if (m->type == MUX_PERMISSION_DENIED)
        log_error(log, "%s: %.*s", refused, VIEW_ARG(m->text));
    else if (m->type == MUX_FAILURE)
        log_error(log, "%s: %.*s", failed, VIEW_ARG(m->text));
    else
        log_error(log, "%s: unexpected response from master 0x%08x", what, m->type);
    return ERR_DENIED;
}

static int check_alive(struct ride *r)
{
    struct mux_message m = { .type = MUX_ALIVE_CHECK }, got;
    TRY(ask(r, "mux_client_request_alive", &m, NULL, 0, &got));
    if (got.type != MUX_ALIVE || got.value == 0 || got.value > INT32_MAX) return ERR_UNEXPECTED_MESSAGE;
    r->master = (pid_t)got.value;
    return 0;
}

/* ---- forwards ---- */

static void put_side(const char *host, const char *path, int port, struct view *ret_host, uint32_t *ret_port)
{
    *ret_host = view_str(path ? path : host);
    *ret_port = path ? MUX_PATH_PORT : (uint32_t)port;
}

static int one_forward(struct ride *r, uint32_t kind, const struct conf_forward *what)
{
    static const char name[] = "mux_client_forward";
    bool cancels = r->c->cmd.control == MUX_CONTROL_CANCEL;
    struct mux_message m = { .type = cancels ? MUX_CLOSE_FORWARD : MUX_OPEN_FORWARD, .forward_kind = kind }, got;
    put_side(what->listen_host, what->listen_path, what->listen_port, &m.listen_host, &m.listen_port);
    put_side(what->socks ? "socks" : what->connect_host, what->connect_path, what->socks ? 0 : what->connect_port, &m.connect_host,
             &m.connect_port);
    TRY(ask(r, name, &m, NULL, 0, &got));
    if (got.type == MUX_OK) return 0;
    if (got.type != MUX_REMOTE_PORT || cancels)
        return say_refusal(r, name, "Master refused forwarding request", "mux_client_forward: forwarding request failed", &got);
    client_log(r->c, LOG_LEVEL_VERBOSE, "Allocated port %u for remote forward to %.*s:%u", got.value, VIEW_ARG(m.connect_host),
               m.connect_port);
    if (r->c->cmd.control == MUX_CONTROL_FORWARD) dprintf(STDOUT_FILENO, "%u\n", got.value);
    return 0;
}

static int forward_list(struct ride *r, uint32_t kind, const struct conf_forwards *list)
{
    for (size_t i = 0; i < list->n; i++) TRY(one_forward(r, kind, &list->v[i]));
    return 0;
}

static int all_forwards(struct ride *r)
{
    const struct ssh_options *o = &r->c->options;
    int err = forward_list(r, MUX_FORWARD_LOCAL, &o->local_forward);
    if (err == 0) err = forward_list(r, MUX_FORWARD_DYNAMIC, &o->dynamic_forward);
    if (err == 0) err = forward_list(r, MUX_FORWARD_REMOTE, &o->remote_forward);
    if (err < 0)
        log_error(&r->c->sink.log, "muxclient: master %sforward request failed",
                  r->c->cmd.control == MUX_CONTROL_CANCEL ? "cancel " : "");
    return err;
}

/* ---- session ---- */

static pid_t master_to_tell;

static void on_window_change(UNUSED int number)
{
    int saved = errno;
    (void)kill(master_to_tell, SIGWINCH);
    errno = saved;
}

static int put_env(struct ride *r, struct buf *out)
{
    const struct ssh_options *o = &r->c->options;
    struct wr w = wr_of(out);
    for (char **e = environ; o->send_env.n && e && *e; e++)
        if (strchr(*e, '=') && session_sends_env(r->c, *e)) wr_cstr(&w, *e);
    for (size_t i = 0; i < o->set_env.n; i++) {
        CLEANUP(freep) char *assignment = NULL;
        int err = config_expand(r->c, o->set_env.v[i], false, "SetEnv", &assignment);
        if (err == ERR_NOMEM) return err;
        if (err == 0) wr_cstr(&w, assignment);
    }
    return wr_end(&w);
}

static int session_command(struct ride *r, char **ret)
{
    struct client *c = r->c;
    if (!c->cmd.command && c->options.remote_command && *c->options.remote_command)
        return config_expand(c, c->options.remote_command, false, "RemoteCommand", ret);
    *ret = view_dup_str(view_str(c->cmd.command));
    return *ret ? 0 : ERR_NOMEM;
}

static int request_session(struct ride *r, bool wants_pty, int in, struct mux_message *ret)
{
    const struct ssh_options *o = &r->c->options;
    CLEANUP(buf_done) struct buf env = BUF_INIT(MUX_FRAME_BYTES_MAX);
    CLEANUP(freep) char *command = NULL;
    int fds[MUX_FDS_MAX] = { in, STDOUT_FILENO, STDERR_FILENO };
    TRY(session_command(r, &command));
    TRY(put_env(r, &env));
    struct mux_message m = { .type = MUX_NEW_SESSION,
                             .wants_tty = wants_pty,
                             .wants_agent = o->forward_agent.on,
                             .is_subsystem = o->session_type == CONF_SESSION_SUBSYSTEM,
                             .escape = o->escape_char == CONF_ESCAPE_NONE ? MUX_ESCAPE_NONE : (uint32_t)o->escape_char,
                             .term = view_str(session_term(r->c)),
                             .command = view_str(command),
                             .rest = buf_view(&env) };
    TRY(ask(r, "mux_client_request_session", &m, fds, MUX_FDS_MAX, ret));
    if (ret->type == MUX_SESSION_OPENED) return 0;
    return say_refusal(r, "mux_client_request_session", "Master refused session request",
                       "mux_client_request_session: session request failed", ret);
}

/* Until the master has said how it went, and has closed. */
static int wait_for_end(struct ride *r, uint32_t session, struct tty_raw *raw)
{
    static const char name[] = "mux_client_request_session";
    struct client *c = r->c;
    bool has_status = false;
    for (;;) {
        struct mux_message m;
        int err = receive(r, true, &m);
        if (err == ERR_PEER_CLOSED || err == ERR_TRUNCATED || err_errno(err) == ECONNRESET) break;
        if (err < 0) {
            client_fatal(c, "%s: parse error message: %s", name, err_text(err));
            return err;
        }
        if (m.type == MUX_TTY_ALLOC_FAIL && m.id == session)
            tty_raw_leave(raw);
        else if (m.type == MUX_EXIT_MESSAGE && m.id == session && !has_status) {
            has_status = true;
            c->exit_status = (int)(m.value & 0xff);
        } else if (m.type == MUX_EXIT_MESSAGE) {
            client_fatal(c, "%s: exit on unknown session: my id %u theirs %u", name, session, m.id);
            return ERR_UNEXPECTED_MESSAGE;
        } else {
            client_fatal(c, "%s: unexpected response from master 0x%08x", name, m.type);
            return ERR_UNEXPECTED_MESSAGE;
        }
    }
    if (!has_status) client_log(c, LOG_LEVEL_DEBUG1, "Control master terminated unexpectedly");
    return 0;
}

static int leave_foreground(struct client *c)
{
    if (!c->options.fork_after_authentication) return 0;
    int got = spawn_background();
    if (got == SPAWN_PARENT) _exit(0);
    if (got < 0) client_fatal(c, "Cannot go to the background: %s", err_text(got));
    return got;
}

/* -N: there is nothing to do but to be there as long as the connection. */
static int stay(struct ride *r)
{
    struct tty_raw none = TTY_RAW_INIT;
    TRY(leave_foreground(r->c));
    TRY(wait_for_end(r, UINT32_MAX, &none));
    return 1;
}

/* 1: it is over; 0: the master opens none. */
static int run_session(struct ride *r)
{
    struct client *c = r->c;
    CLEANUP(fd_closep) int null = -1;
    static struct tty_raw raw = TTY_RAW_INIT; /* as long as the process, for the guard */
    struct mux_message opened;
    bool wants_pty = session_wants_pty(c);
    if (check_alive(r) < 0) return 0;
    if (c->options.session_type == CONF_SESSION_NONE) return stay(r);
    if (c->options.stdin_null) TRY(fd_devnull(&null));
    if (request_session(r, wants_pty, null >= 0 ? null : STDIN_FILENO, &opened) < 0) return 0;
    uint32_t session = opened.value;
    TRY(leave_foreground(c));
    master_to_tell = r->master;
    if (wants_pty) {
        (void)signal(SIGWINCH, on_window_change);
        if (tty_is(STDIN_FILENO) && tty_raw_guard(&raw) == 0) (void)!tty_raw_enter(&raw, STDIN_FILENO, false);
    }
    int err = wait_for_end(r, session, &raw);
    tty_raw_leave(&raw);
    if (err == 0 && wants_pty) client_log(c, LOG_LEVEL_INFO, "Shared connection to %s closed.", c->host);
    return err < 0 ? err : 1;
}

/* -W through the master. */
static int run_stdio(struct ride *r)
{
    const struct conf_forward *to = &r->c->cmd.stdio_forward;
    struct mux_message m = { .type = MUX_NEW_STDIO_FORWARD }, got;
    const int fds[] = { STDIN_FILENO, STDOUT_FILENO };
    uint8_t byte;
    put_side(to->connect_host, to->connect_path, to->connect_port, &m.connect_host, &m.connect_port);
    TRY(check_alive(r));
    TRY(ask(r, "mux_client_request_stdio_fwd", &m, fds, ARRAY_LEN(fds), &got));
    if (got.type != MUX_SESSION_OPENED) {
        (void)say_refusal(r, "mux_client_request_stdio_fwd", "Master refused stdio forwarding request",
                          "Stdio forwarding request failed", &got);
        return ERR_DENIED;
    }
    while (fd_read_all(r->fd, &byte, 1) == 0) {
    } /* nothing more is said */
    r->c->exit_status = 0;
    return 1;
}

/* ---- -O ---- */

static int give_order(struct ride *r, uint32_t type, const char *what, const char *refused, const char *failed, const char *done)
{
    struct mux_message m = { .type = type }, got;
    TRY(ask(r, what, &m, NULL, 0, &got));
    if (got.type != MUX_OK) return say_refusal(r, what, refused, failed, &got);
    client_log(r->c, LOG_LEVEL_INFO, "%s", done);
    return 0;
}

static int control(struct ride *r)
{
    int err = 0;
    switch (r->c->cmd.control) {
    case MUX_CONTROL_CHECK:
        err = check_alive(r);
        if (err < 0)
            client_fatal(r->c, "mux_client_request_alive: master alive check failed");
        else
            client_log(r->c, LOG_LEVEL_INFO, "Master running (pid=%d)", (int)r->master);
        break;
    case MUX_CONTROL_EXIT:
        r->may_be_gone = true;
        err = give_order(r, MUX_TERMINATE, "mux_client_request_terminate", "Master refused termination request",
                         "mux_client_request_terminate: termination request failed", "Exit request sent.");
        break;
    case MUX_CONTROL_STOP:
        err = give_order(r, MUX_STOP_LISTENING, "mux_client_request_stop_listening", "Master refused stop listening request",
                         "mux_client_request_stop_listening: stop listening request failed", "Stop listening request sent.");
        break;
    case MUX_CONTROL_CANCEL:
        (void)!all_forwards(r); /* what cannot be cancelled is said, and is no failure, as with OpenSSH */
        break;
    default:
        err = all_forwards(r);
        break;
    }
    if (err == 0) r->c->exit_status = 0;
    return err < 0 ? err : 1;
}

/* ---- start ---- */

/* 0: there is none that could be used. */
static int find_master(struct ride *r)
{
    struct client *c = r->c;
    int err = sock_connect_unix(r->path, &r->fd), code = err_errno(err);
    if (err == 0) return 1;
    if (err == ERR_LIMIT) {
        client_fatal(c, "ControlPath too long ('%s' has no room in the address of a socket)", r->path);
        return err;
    }
    if (c->cmd.control) {
        client_fatal(c, "Control socket connect(%s): %s", r->path, err_text(err));
        return err;
    }
    if (code == ECONNREFUSED && c->options.control_master != CONF_MASTER_NO) {
        client_log(c, LOG_LEVEL_DEBUG1, "Stale control socket %s, unlinking", r->path);
        (void)!unlink(r->path);
    } else if (code == ENOENT)
        client_log(c, LOG_LEVEL_DEBUG1, "Control socket \"%s\" does not exist", r->path);
    else
        log_error(&c->sink.log, "Control socket connect(%s): %s", r->path, err_text(err));
    return 0;
}

static int greet(struct ride *r)
{
    struct mux_message hello = { .type = MUX_HELLO, .id = MUX_VERSION }, got;
    int timeout = r->c->options.connect_timeout;
    int err = send_message(r, &hello);
    if (err == 0) err = fd_wait(r->fd, false, timeout > 0 ? (ms)timeout * 1000 : MS_NEVER);
    if (err == 0) err = receive(r, false, &got);
    if (err == 0 && got.id != MUX_VERSION) err = ERR_UNSUPPORTED;
    if (err < 0) log_error(&r->c->sink.log, "mux_client_hello_exchange: %s", err_text(err));
    return err;
}

static int ride_on(struct ride *r)
{
    struct client *c = r->c;
    int got = find_master(r);
    if (got <= 0) return got;
    if (greet(r) < 0) return c->cmd.control ? ERR_DENIED : 0;
    if (c->cmd.control) return control(r);
    if (c->cmd.has_stdio_forward) return run_stdio(r);
    return all_forwards(r) < 0 ? 0 : run_session(r);
}

static void ride_done(struct ride *r)
{
    fd_close(r->fd);
    buf_done(&r->in);
    free(r->path);
}

int mux_client_run(struct client *c)
{
    struct ride r = { .c = c, .fd = -1, .in = BUF_INIT(MUX_FRAME_BYTES_MAX) };
    int mode = c->options.control_master;
    TRY(mux_path(c, &r.path));
    if (!r.path && c->cmd.control) {
        client_fatal(c, "No ControlPath specified for \"-O\" command");
        return ERR_FORMAT;
    }
    int got = 0;
    if (r.path && (c->cmd.control || (mode != CONF_MASTER_YES && mode != CONF_MASTER_ASK))) {
        if (mode != CONF_MASTER_NO) client_log(c, LOG_LEVEL_DEBUG1, "auto-mux: Trying existing master at '%s'", r.path);
        c->exit_status = EXIT_OWN_ERROR;
        got = ride_on(&r);
    }
    ride_done(&r);
    return got;
}

/* All that was opened for the connection is the child's. */
void mux_client_of_own_master(struct client *c)
{
    struct ride r = { .c = c, .fd = -1, .in = BUF_INIT(MUX_FRAME_BYTES_MAX) };
    int lowest = STDERR_FILENO + 1;
    if (c->sink.fd > STDERR_FILENO && dup2(c->sink.fd, lowest) == lowest) c->sink.fd = lowest++;
    fd_close_from(lowest);
    c->exit_status = EXIT_OWN_ERROR;
    int got = mux_path(c, &r.path);
    if (got == 0) got = sock_connect_unix(r.path, &r.fd);
    if (got == 0) got = greet(&r);
    if (got == 0) got = run_session(&r);
    ride_done(&r);
    _exit(got < 0 ? EXIT_OWN_ERROR : c->exit_status);
}
