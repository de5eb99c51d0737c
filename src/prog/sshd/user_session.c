/* Session channels: their requests (RFC 4254 6), their terminals, and their end. */
#include "prog/sshd/user_child.h"

#include "base/pattern.h"
#include "os/fd.h"
#include "os/proctitle.h"
#include "os/pty.h"
#include "os/sock.h"
#include "os/spawn.h"
#include "os/tty.h"
#include "proto/conn/ptymodes.h"
#include "wire/messages.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum {
    ENV_MAX = 1024,
    ENV_VALUE_BYTES_MAX = 64 * 1024
};

int session_new(struct user_child *c, channel_id ch)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) return ERR_NOMEM;
    *s = (struct session){
        .c = c, .next = c->sessions, .ch = ch, .ch_first = ch, .pty_master = -1, .pty_slave = -1, .child_fds = { -1, -1, -1 }
    };
    c->sessions = s;
    c->n_sessions++;
    return 0;
}

struct session *session_find(struct user_child *c, channel_id ch)
{
    struct session *s = c->sessions;
    while (s && s->ch != ch) s = s->next;
    return s;
}

static void release_terminal(struct session *s)
{
    fd_closep(&s->pty_master);
    fd_closep(&s->pty_slave);
    if (s->tty_name[0]) (void)!IPC_SEND(&s->c->monitor, pty_close, .tty_name = view_str(s->tty_name));
    s->tty_name[0] = 0;
}

void session_free(struct session *s)
{
    struct session **link = &s->c->sessions;
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    s->c->n_sessions--;
    command_forget(s);
    if (s->started && !s->c->ended)
        log_verbose(&s->c->log, "Close session: user %s from %.*s port %u id %u", s->c->me->name,
                    VIEW_ARG(s->c->setup.peer_address), s->c->setup.peer_port, s->ch_first);
    release_terminal(s);
    for (size_t i = 0; i < ARRAY_LEN(s->child_fds); i++) fd_closep(&s->child_fds[i]);
    strv_done(&s->env);
    free(s->term);
    free(s->command);
    free(s->original_command);
    free(s);
}

void session_peer_closed(struct session *s)
{
    struct user_child *c = s->c;
    conn_io_detach(c->conn_io, s->ch);
    s->io = NULL;
    if (s->pid) { /* our half stays open for the exit-status: some clients close as soon as they have seen EOF */
        s->peer_closed = true;
        release_terminal(s);
        return;
    }
    (void)!conn_close(conn_io_conn(c->conn_io), s->ch);
    conn_io_wake(c->conn_io);
    session_free(s);
}

void session_expired(struct session *s)
{
    struct user_child *c = s->c;
    conn_io_detach(c->conn_io, s->ch);
    s->io = NULL;
    (void)!conn_close(conn_io_conn(c->conn_io), s->ch);
    conn_io_wake(c->conn_io);
    s->ch = CHANNEL_NONE; /* the number may soon be another's */
    s->peer_closed = true;
    release_terminal(s);
    if (!s->pid) session_free(s);
}

const char *session_tty_short(const struct session *s)
{
    return strncmp(s->tty_name, "/dev/", 5) == 0 ? s->tty_name + 5 : s->tty_name;
}

/* IPQoS: with a terminal somewhere somebody waits for each key; commands alone are bulk. */
static void set_qos(const struct user_child *c)
{
    bool has_terminal = false, has_command = false;
    for (const struct session *s = c->sessions; s; s = s->next) {
        has_terminal |= s->pty_master >= 0;
        has_command |= s->started;
    }
    sock_tos(wire_io_out_fd(c->wire), has_command && !has_terminal ? c->options.ipqos.bulk : c->options.ipqos.interactive);
}

/* "sshd: user@pts/1,pts/0"; w(1), and people, find sessions by it. */
void session_show_title(const struct user_child *c)
{
    char list[512] = "";
    size_t n = 0;
    for (const struct session *s = c->sessions; s; s = s->next)
        if (s->tty_name[0] && n < sizeof list - sizeof s->tty_name)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? "," : "", session_tty_short(s));
    proctitle_set("sshd: %s@%s", c->me->name, n ? list : "notty");
}

/* ---- terminal ---- */

static void apply_modes(int fd, struct view encoded)
{
    struct ptymodes asked = { .n = 0 };
    struct tty_mode modes[PTYMODES_MAX];
    if (ptymodes_parse(encoded, &asked) < 0) return;
    for (size_t i = 0; i < asked.n; i++) modes[i] = (struct tty_mode){ asked.at[i].opcode, asked.at[i].value };
    (void)!tty_modes_set(fd, modes, asked.n);
}

static bool set_size(int fd, uint32_t columns, uint32_t rows, uint32_t width_px, uint32_t height_px)
{
    return pty_set_size(fd, &(struct pty_size){ columns, rows, width_px, height_px }) == 0;
}

static bool on_pty_req(struct session *s, struct view data)
{
    struct user_child *c = s->c;
    struct body_pty_req q;
    struct ipc_message m;
    struct ipc_pty_opened opened;
    if (!c->options.permit_tty || !c->setup.permit_pty || s->pty_master >= 0 || s->started) return false;
    if (body_pty_req_get(data, &q) < 0) return false;
    if (IPC_SEND(&c->monitor, pty_open, .reserved = 0) < 0 || ipc_recv(&c->monitor, MS_NEVER, &m) < 0) return false;
    if (m.number != IPC_pty_opened_NUMBER || ipc_pty_opened_get(m.fields, &opened) < 0) return false;
    s->pty_master = m.fds[0];
    s->pty_slave = m.fds[1];
    snprintf(s->tty_name, sizeof s->tty_name, "%.*s", VIEW_ARG(opened.tty_name));
    s->term = view_dup_str(q.term);
    apply_modes(s->pty_slave, q.modes);
    (void)set_size(s->pty_master, q.columns, q.rows, q.width_px, q.height_px);
    session_show_title(c);
    return s->term != NULL;
}

static bool on_window_change(struct session *s, struct view data)
{
    struct body_window_change q;
    if (body_window_change_get(data, &q) < 0 || s->pty_master < 0) return false;
    return set_size(s->pty_master, q.columns, q.rows, q.width_px, q.height_px);
}

static bool on_break(struct session *s, struct view data)
{
    struct body_break q;
    return body_break_get(data, &q) == 0 && s->pty_master >= 0 && tcsendbreak(s->pty_master, 0) == 0;
}

/* ---- environment, signals ---- */

static bool env_is_accepted(const struct user_child *c, struct view name)
{
    for (size_t i = 0; i < c->options.accept_env.n; i++)
        if (pattern_matches(name, view_str(c->options.accept_env.v[i]))) return true;
    return false;
}

static bool on_env(struct session *s, struct view data)
{
    struct body_env q;
    if (body_env_get(data, &q) < 0 || s->env.n >= ENV_MAX || q.value.len > ENV_VALUE_BYTES_MAX) return false;
    return env_is_accepted(s->c, q.name) && env_set_view(&s->env, q.name, q.value) == 0;
}

static bool on_signal(struct session *s, struct view data)
{
    struct body_signal q;
    char name[32];
    if (body_signal_get(data, &q) < 0 || s->pid == 0 || s->is_forced || s->is_subsystem) return false;
    snprintf(name, sizeof name, "%.*s", VIEW_ARG(view_sub(q.name, 0, sizeof name - 1)));
    int number = spawn_signal_number(name);
    return number != 0 && kill(-s->pid, number) == 0;
}

/* ---- what is to run ---- */

static bool run(struct session *s, struct view command, bool is_subsystem)
{
    struct user_child *c = s->c;
    const char *forced = c->options.force_command ? c->options.force_command : NULL;
    CLEANUP(freep) char *key_forced = c->setup.forced_command.len ? view_dup_str(c->setup.forced_command) : NULL;
    if (s->started) return false;
    if (!forced) forced = key_forced;
    s->started = true;
    s->is_subsystem = is_subsystem;
    s->is_forced = forced != NULL;
    if (command.p) s->command = view_dup_str(command);
    if (forced) {
        s->original_command = s->command;
        s->command = view_dup_str(view_str(forced));
    }
    if ((command.p || forced) && !s->command) return false;
    s->is_login_shell = !s->command;
    set_qos(c);
    return command_start(s);
}

static bool on_shell(struct session *s, struct view data) { return data.len == 0 && run(s, VIEW_EMPTY, false); }

static bool on_exec(struct session *s, struct view data)
{
    struct body_exec q;
    if (body_exec_get(data, &q) < 0) return false;
    return run(s, q.command.p ? q.command : VIEW_LIT(""), false);
}

static bool on_subsystem(struct session *s, struct view data)
{
    struct body_subsystem q;
    if (body_subsystem_get(data, &q) < 0) return false;
    const struct conf_subsystems *all = &s->c->options.subsystem;
    for (size_t i = 0; i < all->n; i++)
        if (view_eq_str(q.name, all->v[i].name)) return run(s, view_str(all->v[i].command), true);
    log_error(&s->c->log, "subsystem request for %.*s by user %s failed, subsystem not found", VIEW_ARG(q.name), s->c->me->name);
    return false;
}

/* OpenSSH PROTOCOL 2.1 */
static bool on_eow(struct session *s, UNUSED struct view data)
{
    command_stop_output(s);
    return true;
}

static bool on_agent_req(struct session *s, struct view data) { return data.len == 0 && user_forward_agent(s->c); }

static const struct {
    const char *name;
    bool (*handle)(struct session *s, struct view data);
} requests[] = {
    { "pty-req", on_pty_req },     { "env", on_env },
    { "shell", on_shell },         { "exec", on_exec },
    { "subsystem", on_subsystem }, { "window-change", on_window_change },
    { "signal", on_signal },       { "break", on_break },
    { "eow@openssh.com", on_eow }, { "auth-agent-req@openssh.com", on_agent_req },
    { "agent-req", on_agent_req },
};

bool session_request(struct session *s, struct view name, struct view data)
{
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        if (view_eq_str(name, requests[i].name)) return requests[i].handle(s, data);
    log_debug(&s->c->log, "session request %.*s is not served", VIEW_ARG(name));
    return false;
}
