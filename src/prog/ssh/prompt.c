/* Asking the user: on the terminal, or by the program of SSH_ASKPASS where there is none (ssh(1), ENVIRONMENT). */
#include "prog/ssh/client.h"

#include "base/vis.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/tty.h"

#include <fcntl.h>
#include <stdlib.h>
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

static bool uses_askpass(void)
{
    const char *require = getenv("SSH_ASKPASS_REQUIRE");
    bool has_display = is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
    if (require && strcmp(require, "force") == 0) return true;
    if (require && strcmp(require, "never") == 0) return false;
    if (require && strcmp(require, "prefer") == 0) return has_display;
    return has_display && !has_terminal();
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
    struct view all = buf_view(answer);
    size_t len = 0;
    while (len < all.len && all.p[len] != '\n' && all.p[len] != '\r') len++;
    buf_truncate(answer, len);
    return 0;
}

static int start_askpass(const char *program, const char *text, int *ret_fd, pid_t *ret_pid)
{
    int ends[2];
    TRY(fd_pipe(ends));
    CLEANUP(fd_closep) int read_end = ends[0];
    CLEANUP(fd_closep) int write_end = ends[1];
    const char *argv[] = { program, text, NULL };
    const struct spawn_fd fds[] = { { write_end, STDOUT_FILENO }, { STDERR_FILENO, STDERR_FILENO } };
    struct spawn how = { .path = program, .search = true, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds) };
    TRY(spawn_run(&how, ret_pid));
    *ret_fd = fd_take(&read_end);
    return 0;
}

static int ask_program(struct client *c, const char *text, struct buf *out)
{
    const char *program = is_set("SSH_ASKPASS") ? getenv("SSH_ASKPASS") : default_askpass;
    CLEANUP(buf_done) struct buf answer = BUF_INIT_SECRET(ANSWER_BYTES);
    CLEANUP(fd_closep) int fd = -1;
    pid_t pid;
    int status = 0;
    int err = start_askpass(program, text, &fd, &pid);
    if (err < 0) {
        log_error(&c->sink.log, "ssh_askpass: exec(%s): %s", program, err_text(err));
        return ERR_NOT_FOUND;
    }
    err = read_answer(fd, &answer);
    fd_close(fd_take(&fd)); /* one that writes on is told that nobody listens */
    TRY(spawn_wait(pid, &status));
    TRY(err);
    return status == 0 ? buf_put_view(out, buf_view(&answer)) : ERR_CANCELLED;
}

static int ask(struct client *c, const char *text, bool echo, struct buf *out)
{
    CLEANUP(buf_done) struct buf clean = BUF_INIT(PROMPT_BYTES);
    if (c->options.batch_mode) return ERR_CANCELLED;
    TRY(vis_text(view_str(text), &clean));
    const char *shown = buf_cstr(&clean);
    if (!shown) return ERR_NOMEM;
    if (uses_askpass()) return ask_program(c, shown, out);
    return tty_read_line(&(struct tty_prompt){ .text = shown, .echo = echo }, out);
}

int prompt_secret(struct client *c, const char *text, bool echo, struct buf *out) { return ask(c, text, echo, out); }
int prompt_line(struct client *c, const char *text, struct buf *out) { return ask(c, text, true, out); }
