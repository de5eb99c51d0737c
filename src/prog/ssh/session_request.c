/* The requests that start a session (RFC 4254 6), sent behind each other without waiting for the replies. */
#include "prog/ssh/session_int.h"

#include "base/pattern.h"
#include "os/pty.h"
#include "proto/conn/ptymodes.h"
#include "wire/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = 2 << 20, /* a command line of the kernel's own maximum fits */
    BREAK_MS = 1000,
};

static const char not_a_terminal[] = "Pseudo-terminal will not be allocated because stdin is not a terminal.";

static bool pty_is_asked_for(const struct client *c)
{
    const struct ssh_options *o = &c->options;
    switch (o->request_tty) {
    case CONF_TTY_YES:
    case CONF_TTY_FORCE:
        return true;
    case CONF_TTY_NO:
        return false;
    default:
        return o->session_type == CONF_SESSION_DEFAULT && !c->cmd.command && !o->remote_command;
    }
}

bool session_wants_pty(const struct client *c)
{
    const struct ssh_options *o = &c->options;
    if (o->session_type == CONF_SESSION_NONE || !pty_is_asked_for(c)) return false;
    bool has_terminal = tty_is(STDIN_FILENO) && !o->stdin_null && !o->fork_after_authentication;
    if (has_terminal || o->request_tty == CONF_TTY_FORCE) return true;
    client_log(c, LOG_LEVEL_INFO, "%s", not_a_terminal);
    return false;
}

static int request(struct session *s, const char *type, const struct buf *data)
{
    return conn_request(conn_io_conn(s->c->conn_io), s->channel, type, false, 0, buf_view(data));
}

/* ---- environment ---- */

static int send_env(struct session *s, struct conn *conn, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals) return 0;
    CLEANUP(buf_done) struct buf data = BUF_INIT(REQUEST_BYTES);
    struct body_env env = { .name = view_of(assignment, (size_t)(equals - assignment)), .value = view_str(equals + 1) };
    struct wr w = wr_of(&data);
    client_log(s->c, LOG_LEVEL_DEBUG1, "channel %u: setting env %.*s = \"%s\"", s->channel, VIEW_ARG(env.name), equals + 1);
    TRY(body_env_put(&w, &env));
    return conn_request(conn, s->channel, "env", false, 0, buf_view(&data));
}

bool session_sends_env(const struct client *c, const char *assignment)
{
    const struct strv *patterns = &c->options.send_env;
    struct view name = view_of(assignment, strcspn(assignment, "="));
    for (size_t i = 0; i < patterns->n; i++)
        if (pattern_matches(name, view_str(patterns->v[i]))) return true;
    return false;
}

static int send_given(struct session *s, struct conn *conn)
{
    for (size_t i = 0; i < s->env.n; i++) TRY(send_env(s, conn, s->env.v[i]));
    return 0;
}

static int send_environment(struct session *s, struct conn *conn)
{
    const struct ssh_options *o = &s->c->options;
    if (session_is_guest(s)) return send_given(s, conn);
    if (o->send_env.n || o->set_env.n) client_log(s->c, LOG_LEVEL_DEBUG1, "Sending environment.");
    for (char **e = environ; o->send_env.n && e && *e; e++)
        if (session_sends_env(s->c, *e)) TRY(send_env(s, conn, *e));
    for (size_t i = 0; i < o->set_env.n; i++) {
        CLEANUP(freep) char *assignment = NULL;
        /* A value that cannot be expanded has been complained of; the others still count. */
        int err = config_expand(s->c, o->set_env.v[i], false, "SetEnv", &assignment);
        if (err == ERR_NOMEM) return err;
        if (err == 0) TRY(send_env(s, conn, assignment));
    }
    return 0;
}

/* ---- terminal ---- */

/* SetEnv knows better than the environment which terminal it is to be. */
const char *session_term(const struct client *c)
{
    const struct strv *set = &c->options.set_env;
    for (size_t i = 0; i < set->n; i++)
        if (strncmp(set->v[i], "TERM=", 5) == 0) return set->v[i] + 5;
    const char *name = getenv("TERM");
    return name ? name : "";
}

/* Of the first standard descriptor that is a terminal, so that a forced one is not 0 x 0 when input alone is a pipe. */
static struct pty_size window_size(const struct session *s)
{
    struct pty_size size = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(s->std); i++)
        if (pty_get_size(s->std[i], &size) == 0) return size;
    return (struct pty_size){ 0 };
}

static int encode_modes(const struct session *s, struct buf *out)
{
    struct tty_mode modes[TTY_MODES_MAX];
    struct ptymodes known = { 0 };
    size_t n = 0;
    if (tty_modes_get(s->std[0], modes, &n) < 0) n = 0;
    for (size_t i = 0; i < n; i++)
        (void)!ptymodes_set(&known, modes[i].opcode, modes[i].value); /* what has no name on the wire stays here */
    return ptymodes_encode(&known, out);
}

static int send_pty_request(struct session *s, struct conn *conn)
{
    CLEANUP(buf_done) struct buf modes = BUF_INIT(1024);
    CLEANUP(buf_done) struct buf data = BUF_INIT(REQUEST_BYTES);
    struct pty_size size = s->asked_size = window_size(s);
    TRY(encode_modes(s, &modes));
    struct body_pty_req req = { .term = view_str(session_is_guest(s) ? s->term : session_term(s->c)),
                                .columns = size.cols,
                                .rows = size.rows,
                                .width_px = size.width_px,
                                .height_px = size.height_px,
                                .modes = buf_view(&modes) };
    struct wr w = wr_of(&data);
    TRY(body_pty_req_put(&w, &req));
    return conn_request(conn, s->channel, "pty-req", true, SESSION_TAG_PTY, buf_view(&data));
}

void session_send_window_change(struct session *s)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(64);
    if (!s->wants_pty || !s->io) return;
    struct pty_size size = window_size(s);
    struct body_window_change req = { size.cols, size.rows, size.width_px, size.height_px };
    struct wr w = wr_of(&data);
    int err = body_window_change_put(&w, &req);
    if (err == 0) err = request(s, "window-change", &data);
    if (err < 0) client_log(s->c, LOG_LEVEL_DEBUG1, "window-change was not sent: %s", err_text(err));
    conn_io_wake(s->c->conn_io);
}

void session_check_window(struct session *s)
{
    struct pty_size now = window_size(s), then = s->asked_size;
    if (now.cols != then.cols || now.rows != then.rows) session_send_window_change(s);
}

/* RFC 4335 */
void session_send_break(struct session *s)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(64);
    struct body_break req = { .length_ms = BREAK_MS };
    struct wr w = wr_of(&data);
    int err = body_break_put(&w, &req);
    if (err == 0) err = request(s, "break", &data);
    if (err < 0) client_log(s->c, LOG_LEVEL_ERROR, "BREAK was not sent: %s", err_text(err));
    conn_io_wake(s->c->conn_io);
}

/* ---- command ---- */

const char *session_run_request(const struct session *s)
{
    if (s->type == CONF_SESSION_SUBSYSTEM) return "subsystem";
    return s->command ? "exec" : "shell";
}

static int send_run_request(struct session *s, struct conn *conn)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(REQUEST_BYTES);
    const char *type = session_run_request(s);
    bool is_subsystem = s->type == CONF_SESSION_SUBSYSTEM;
    struct wr w = wr_of(&data);
    /* exec and subsystem have the same form: one string */
    if (s->command || is_subsystem) {
        const char *text = s->command ? s->command : "";
        client_log(s->c, LOG_LEVEL_DEBUG1, "Sending %s: %s", is_subsystem ? "subsystem" : "command", text);
        wr_cstr(&w, text);
    }
    TRY(wr_end(&w));
    return conn_request(conn, s->channel, type, true, SESSION_TAG_RUN, buf_view(&data));
}

/* OpenSSH PROTOCOL.agent 4; no answer is asked for, since a server that refuses is none to give up for. */
static int send_agent_request(struct session *s, struct conn *conn)
{
    if (!s->wants_agent || !s->c->options.forward_agent.on || !agent_is_forwarded(s->c)) return 0;
    s->c->has_asked_for_agent = true;
    client_log(s->c, LOG_LEVEL_DEBUG1, "Requesting authentication agent forwarding.");
    return conn_request(conn, s->channel, "auth-agent-req@openssh.com", false, 0, VIEW_EMPTY);
}

int session_send_requests(struct session *s, struct conn *conn)
{
    TRY(send_agent_request(s, conn));
    if (s->wants_pty) TRY(send_pty_request(s, conn));
    TRY(send_environment(s, conn));
    return send_run_request(s, conn);
}
