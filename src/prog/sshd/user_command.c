/* Starts what a session is to run and reports how it ended. The steps of a session that was asked to run something:
 *
 *   asked -> (reply sent) -> [rc file runs ->] command runs -> exited and its output at the end -> channel closed
 */
#include "prog/sshd/user_child.h"

#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"
#include "wire/messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TEXT_BYTES_MAX = 64 * 1024,
    EXIT_NOLOGIN = 254,
    EXIT_CANNOT_RUN = 1
};

static struct conn *conn_of(struct session *s) { return conn_io_conn(s->c->conn_io); }

/* ---- the end ---- */

static void report_exit(struct session *s, int status)
{
    CLEANUP(buf_done) struct buf body = BUF_INIT(256);
    struct wr w = wr_of(&body);
    if (WIFSIGNALED(status)) {
        const char *name = spawn_signal_name(WTERMSIG(status));
        struct body_exit_signal b = { .name = view_str(name ? name : "TERM"), .core_dumped = WCOREDUMP(status) };
        if (body_exit_signal_put(&w, &b) == 0) (void)!conn_request(conn_of(s), s->ch, "exit-signal", false, 0, buf_view(&body));
    } else {
        struct body_exit_status b = { .status = (uint32_t)WEXITSTATUS(status) };
        if (body_exit_status_put(&w, &b) == 0) (void)!conn_request(conn_of(s), s->ch, "exit-status", false, 0, buf_view(&body));
    }
    conn_io_wake(s->c->conn_io);
}

/* Not from inside a chan_io's call, which it frees: by loop_later. */
static void close_channel(void *arg)
{
    struct session *s = arg;
    conn_io_detach(s->c->conn_io, s->ch);
    s->io = NULL;
    (void)!conn_close(conn_of(s), s->ch);
    conn_io_wake(s->c->conn_io);
}

static void check_end(struct session *s)
{
    if (s->exited && s->input_ended) (void)!loop_later(s->c->loop, close_channel, s);
}

static void on_input_ended(void *arg)
{
    struct session *s = arg;
    s->input_ended = true;
    check_end(s);
}

void command_stop_output(struct session *s)
{
    if (!s->io || s->input_ended) return;
    chan_io_stop_input(s->io);
    (void)!conn_send_eof(conn_of(s), s->ch);
    on_input_ended(s);
}

/* The command does not read any more: the client is told to stop sending (OpenSSH PROTOCOL 2.1). */
static void on_output_ended(void *arg, int err)
{
    struct session *s = arg;
    if (err < 0) (void)!conn_request(conn_of(s), s->ch, "eow@openssh.com", false, 0, VIEW_EMPTY);
}

static void launch(void *arg);

static void on_exit_of(void *arg, UNUSED pid_t pid, int status)
{
    struct session *s = arg;
    s->pid = 0;
    if (s->peer_closed) {
        if (s->rc_done) report_exit(s, status);
        (void)!conn_close(conn_of(s), s->ch);
        session_free(s);
        return;
    }
    if (!s->rc_done) {
        s->rc_done = true;
        launch(s);
        return;
    }
    s->exited = true;
    report_exit(s, status);
    check_end(s);
}

/* A terminal that nobody reads yet turns no line ends. */
static int put_terminal_text(struct view text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\n') TRY(buf_put_u8(out, '\r'));
        TRY(buf_put_u8(out, text.p[i]));
    }
    return 0;
}

/* Nothing is run: a text and a status. */
static void end_with_text(struct session *s, struct view text, int status)
{
    CLEANUP(buf_done) struct buf lines = BUF_INIT(2 * TEXT_BYTES_MAX);
    size_t n;
    bool on_terminal = s->pty_master >= 0;
    if (on_terminal && put_terminal_text(text, &lines) == 0) text = buf_view(&lines);
    (void)!conn_write(conn_of(s), s->ch, on_terminal ? 0 : EXTENDED_DATA_STDERR, text, &n);
    report_exit(s, status << 8);
    (void)!conn_send_eof(conn_of(s), s->ch);
    (void)!loop_later(s->c->loop, close_channel, s);
}

/* ---- texts before a login shell ---- */

static void put_file(const char *path, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    if (file_read(path, &text) == 0) (void)!put_terminal_text(buf_view(&text), out);
}

static bool is_hushed(const struct session *s)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/.hushlogin", s->c->me->home);
    return file_exists(path);
}

static void greet(struct session *s)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(4 * TEXT_BYTES_MAX);
    if (!s->is_login_shell || s->pty_master < 0 || is_hushed(s)) return;
    (void)!put_terminal_text(s->c->setup.greeting, &text);
    (void)!put_terminal_text(s->c->setup.last_login, &text);
    if (s->c->options.print_motd) put_file("/etc/motd", &text);
    (void)!chan_io_type(s->io, buf_view(&text));
}

static bool may_not_login(struct session *s)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    if (s->c->me->uid == 0 || !file_exists("/etc/nologin")) return false;
    if (file_read("/etc/nologin", &text) < 0) buf_reset(&text);
    log_info(&s->c->log, "User %s not allowed because /etc/nologin exists", s->c->me->name);
    end_with_text(s, buf_view(&text), EXIT_NOLOGIN);
    return true;
}

/* ---- programs ---- */

struct program {
    char path[4200];
    char name[256]; /* argv[0] */
    struct strv args;
};

static void set_shell(const struct session *s, struct program *p)
{
    const char *shell = s->c->me->shell, *base = strrchr(shell, '/');
    base = base ? base + 1 : shell;
    snprintf(p->path, sizeof p->path, "%s", shell);
    snprintf(p->name, sizeof p->name, "%s%s", s->is_login_shell ? "-" : "", base);
}

/* internal-sftp: our sftp-server without a shell between, so that it works for accounts that have none. */
static int set_internal_sftp(struct program *p, const char *arguments)
{
    CLEANUP(freep) char *self = NULL;
    static const char *const places[] = { "/sftp-server", "/../sftp-server/sftp-server" };
    TRY(spawn_self_path(&self));
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(p->path, sizeof p->path, "%s%s", self, places[i]);
        if (access(p->path, X_OK) == 0) break;
    }
    snprintf(p->name, sizeof p->name, "internal-sftp");
    while (*arguments) {
        size_t n = strcspn(arguments, " \t");
        if (n) TRY(strv_add(&p->args, view_of(arguments, n)));
        arguments += n + strspn(arguments + n, " \t");
    }
    return 0;
}

static int set_program(const struct session *s, struct program *p)
{
    static const char internal[] = "internal-sftp";
    size_t n = sizeof internal - 1;
    if (s->c->setup.must_change_password) {
        snprintf(p->path, sizeof p->path, "/usr/bin/passwd");
        snprintf(p->name, sizeof p->name, "passwd");
        return 0;
    }
    if (s->command && strncmp(s->command, internal, n) == 0 && strchr(" \t", s->command[n]))
        return set_internal_sftp(p, s->command + n);
    set_shell(s, p);
    if (!s->command) return 0;
    TRY(strv_add(&p->args, VIEW_LIT("-c")));
    return strv_add(&p->args, view_str(s->command));
}

/* ~/.ssh/rc, else /etc/ssh/sshrc; false when neither is to run. */
static bool set_rc(const struct session *s, struct program *p)
{
    char user_rc[4200];
    const struct user_child *c = s->c;
    bool may = c->options.permit_user_rc && c->setup.permit_user_rc && !s->is_subsystem && !c->options.force_command &&
               !c->setup.must_change_password;
    snprintf(user_rc, sizeof user_rc, "%s/.ssh/rc", c->me->home);
    const char *rc = may && file_exists(user_rc)              ? user_rc
                     : file_exists(NACRE_SYSCONFDIR "/sshrc") ? NACRE_SYSCONFDIR "/sshrc"
                                                              : NULL;
    if (!rc) return false;
    snprintf(p->path, sizeof p->path, "/bin/sh");
    snprintf(p->name, sizeof p->name, "sh");
    return strv_add(&p->args, view_str(rc)) == 0;
}

static int run_program(struct session *s, const struct program *p)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    CLEANUP(strv_done) struct strv argv = STRV_INIT;
    const char *home = s->c->me->home;
    bool home_is_there = file_is_dir(home);
    TRY(user_env_build(s, &env));
    TRY(strv_add(&argv, view_str(p->name)));
    for (size_t i = 0; i < p->args.n; i++) TRY(strv_add(&argv, view_str(p->args.v[i])));
    if (!home_is_there && s->rc_done) {
        char line[4400];
        int n = snprintf(line, sizeof line, "Could not chdir to home directory %s: No such file or directory\r\n", home);
        size_t sent;
        (void)!conn_write(conn_of(s), s->ch, s->pty_master >= 0 ? 0 : EXTENDED_DATA_STDERR, view_of(line, (size_t)n), &sent);
    }
    const struct spawn_fd fds[] = { { s->child_fds[0], 0 }, { s->child_fds[1], 1 }, { s->child_fds[2], 2 } };
    struct spawn how = { .path = p->path,
                         .argv = (const char *const *)argv.v,
                         .env = (const char *const *)env.v,
                         .cwd = home_is_there ? home : "/",
                         .fds = fds,
                         .n_fds = ARRAY_LEN(fds),
                         .ctty = s->pty_slave >= 0 ? s->pty_slave : 0,
                         .new_session = s->pty_slave < 0 };
    TRY(spawn_run(&how, &s->pid));
    return loop_child(s->c->loop, s->pid, on_exit_of, s);
}

static void close_child_fds(struct session *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->child_fds); i++) fd_closep(&s->child_fds[i]);
    fd_closep(&s->pty_slave);
}

static void log_start(const struct session *s)
{
    const struct body_user_session *u = &s->c->setup;
    const char *what = s->is_forced ? "forced-command" : s->is_subsystem ? "subsystem" : s->command ? "command" : "shell";
    log_verbose(&s->c->log, "Starting session: %s%s%s for %s from %.*s port %u id %u", what, s->tty_name[0] ? " on " : "",
                session_tty_short(s), s->c->me->name, VIEW_ARG(u->peer_address), u->peer_port, s->ch);
}

/* First the rc file, then, when it has ended, the command itself. */
static void launch(void *arg)
{
    struct session *s = arg;
    struct program p = { .args = STRV_INIT };
    int err = 0;
    if (!s->rc_done && !set_rc(s, &p)) s->rc_done = true;
    if (s->rc_done) {
        log_start(s);
        err = set_program(s, &p);
    }
    if (err == 0) err = run_program(s, &p);
    strv_done(&p.args);
    if (err == 0 && !s->rc_done) return;
    close_child_fds(s);
    if (err == 0) {
        if (s->tty_name[0]) (void)!IPC_SEND(&s->c->monitor, pty_login, .tty_name = view_str(s->tty_name));
        return;
    }
    char text[4400];
    int n = snprintf(text, sizeof text, "%s: %s\n", p.path, err_text(err));
    end_with_text(s, view_of(text, (size_t)n), EXIT_CANNOT_RUN);
}

/* ---- descriptors ---- */

static int open_terminal(struct session *s, struct chan_io_fds *ours)
{
    TRY(fd_dup(s->pty_master, &ours->in));
    ours->out = ours->in;
    for (size_t i = 0; i < ARRAY_LEN(s->child_fds); i++) TRY(fd_dup(s->pty_slave, &s->child_fds[i]));
    return 0;
}

static int open_pipes(struct session *s, struct chan_io_fds *ours)
{
    int in[2], out[2], err[2];
    TRY(fd_pipe(in));
    s->child_fds[0] = in[0];
    ours->out = in[1];
    TRY(fd_pipe(out));
    s->child_fds[1] = out[1];
    ours->in = out[0];
    TRY(fd_pipe(err));
    s->child_fds[2] = err[1];
    ours->in_ext = err[0];
    return 0;
}

/* Behind the reply: what there is to say comes after it on the wire. */
static void begin(void *arg)
{
    struct session *s = arg;
    static const char must_change[] =
        "WARNING: Your password has expired.\r\nYou must change your password now and login again!\r\n";
    static const char no_tty[] = "WARNING: Your password has expired.\nPassword change required but no TTY available.\n";
    if (may_not_login(s)) return;
    if (s->c->setup.must_change_password && s->pty_master < 0) {
        end_with_text(s, VIEW_LIT(no_tty), EXIT_CANNOT_RUN);
        return;
    }
    if (s->c->setup.must_change_password)
        (void)!chan_io_type(s->io, VIEW_LIT(must_change));
    else
        greet(s);
    launch(s);
}

bool command_start(struct session *s)
{
    struct chan_io_fds ours = { -1, -1, -1, -1, false };
    struct chan_io_owner owner = { on_input_ended, on_output_ended, NULL, s };
    int err = s->pty_master >= 0 ? open_terminal(s, &ours) : open_pipes(s, &ours);
    if (err < 0) {
        fd_close(ours.in);
        fd_close(ours.in_ext);
        if (ours.out != ours.in) fd_close(ours.out);
        return false;
    }
    err = conn_io_join(s->c->conn_io, s->ch, &ours, &owner, &s->io);
    return err == 0 && loop_later(s->c->loop, begin, s) == 0;
}

void command_forget(struct session *s)
{
    loop_forget(s->c->loop, begin, s);
    loop_forget(s->c->loop, close_channel, s);
}
