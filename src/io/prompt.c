/* Asking the user: on the terminal, or by the program of SSH_ASKPASS where there is none (ssh(1), ENVIRONMENT). */
#include "io/prompt.h"

#include "base/vis.h"
#include "os/env.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/tty.h"

#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum {
    PROMPT_BYTES = 1 << 16, /* of a foreign prompt, escaped */
    ANSWER_BYTES = 4096,    /* what is read of an askpass program */
};

static const char default_askpass[] = "/usr/bin/ssh-askpass";

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static bool has_terminal(void)
{
    CLEANUP(fd_closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    return fd >= 0;
}

static bool has_display(void) { return is_set("DISPLAY") || is_set("WAYLAND_DISPLAY"); }

/* What SSH_ASKPASS_REQUIRE says; NULL: nothing. */
static const char *askpass_rule(void) { return getenv("SSH_ASKPASS_REQUIRE"); }

static bool uses_askpass(const struct prompt *p)
{
    const char *require = askpass_rule();
    if (require && strcmp(require, "force") == 0) return true;
    if (require && strcmp(require, "never") == 0) return false;
    if (require && strcmp(require, "prefer") == 0) return has_display();
    return has_display() && !(p->from_stdin || p->may_be_piped ? tty_is(STDIN_FILENO) : has_terminal());
}

struct view prompt_first_line(struct view all)
{
    size_t len = 0;
    while (len < all.len && all.p[len] != '\n' && all.p[len] != '\r') len++;
    return view_sub(all, 0, len);
}

/* Its first line, without the end. */
static int read_answer(int fd, struct buf *answer)
{
    uint8_t *area;
    size_t n = 1;
    while (n && buf_room(answer)) {
        TRY(buf_reserve(answer, buf_room(answer), &area));
        TRY(fd_read(fd, area, buf_room(answer), &n));
        buf_commit(answer, n);
    }
    buf_truncate(answer, prompt_first_line(buf_view(answer)).len);
    return 0;
}

/* kind: SSH_ASKPASS_PROMPT for the program, which tells it what to show; NULL: a line of text is wanted. */
static int start_askpass(const struct log *log, const char *text, const char *kind, int *ret_fd, pid_t *ret_pid)
{
    const char *program = is_set("SSH_ASKPASS") ? getenv("SSH_ASKPASS") : default_askpass;
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    int ends[2];
    TRY(env_current(&env));
    if (kind) TRY(env_set(&env, "SSH_ASKPASS_PROMPT", kind));
    TRY(fd_pipe(ends));
    CLEANUP(fd_closep) int read_end = ends[0];
    CLEANUP(fd_closep) int write_end = ends[1];
    const char *argv[] = { program, text, NULL };
    const struct spawn_fd fds[] = { { write_end, STDOUT_FILENO }, { STDERR_FILENO, STDERR_FILENO } };
    struct spawn how = {
        .path = program, .search = true, .argv = argv, .env = (const char *const *)env.v, .fds = fds, .n_fds = ARRAY_LEN(fds)
    };
    int err = spawn_run(&how, ret_pid);
    if (err < 0) {
        log_error(log, "ssh_askpass: exec(%s): %s", program, err_text(err));
        return ERR_NOT_FOUND;
    }
    *ret_fd = fd_take(&read_end);
    return 0;
}

static int ask_program(const struct log *log, const char *text, struct buf *out)
{
    CLEANUP(buf_done) struct buf answer = BUF_INIT_SECRET(ANSWER_BYTES);
    CLEANUP(fd_closep) int fd = -1;
    pid_t pid;
    int status = 0;
    TRY(start_askpass(log, text, NULL, &fd, &pid));
    int err = read_answer(fd, &answer);
    fd_close(fd_take(&fd)); /* one that writes on is told that nobody listens */
    TRY(spawn_wait(pid, &status));
    TRY(err);
    return status == 0 ? buf_put_view(out, buf_view(&answer)) : ERR_CANCELLED;
}

int prompt_ask(const struct prompt *p, struct buf *out)
{
    CLEANUP(buf_done) struct buf clean = BUF_INIT(PROMPT_BYTES);
    TRY(vis_text(view_str(p->text), &clean));
    const char *shown = buf_cstr(&clean);
    if (!shown) return ERR_NOMEM;
    if (uses_askpass(p)) return ask_program(p->log, shown, out);
    return tty_read_line(
        &(struct tty_prompt){ .text = shown, .echo = p->echo, .stdin_only = p->from_stdin, .use_stdin = p->may_be_piped }, out);
}

static int start_window(const struct log *log, const char *text, const char *kind, int *ret_fd, pid_t *ret_pid)
{
    CLEANUP(buf_done) struct buf clean = BUF_INIT(PROMPT_BYTES);
    const char *require = askpass_rule();
    bool forced = require && strcmp(require, "force") == 0, forbidden = require && strcmp(require, "never") == 0;
    if (forbidden || !(forced || has_display())) return ERR_NOT_FOUND;
    TRY(vis_text(view_str(text), &clean));
    const char *shown = buf_cstr(&clean);
    return shown ? start_askpass(log, shown, kind, ret_fd, ret_pid) : ERR_NOMEM;
}

int prompt_confirm_start(const struct log *log, const char *text, int *ret_fd, pid_t *ret_pid)
{
    return start_window(log, text, "confirm", ret_fd, ret_pid);
}

int prompt_secret_start(const struct log *log, const char *text, int *ret_fd, pid_t *ret_pid)
{
    return start_window(log, text, NULL, ret_fd, ret_pid);
}

int prompt_notice_start(const struct log *log, const char *text, pid_t *ret_pid)
{
    CLEANUP(fd_closep) int unread = -1;
    return start_window(log, text, "none", &unread, ret_pid);
}

void prompt_notice_end(pid_t pid)
{
    int status;
    if (pid) (void)!spawn_wait_or_kill(pid, 0, &status);
}

bool prompt_confirm_is_yes(int status, struct view answer)
{
    struct view line = prompt_first_line(answer);
    return status == 0 && (line.len == 0 || (line.len == 3 && strncasecmp((const char *)line.p, "yes", 3) == 0));
}
