/* Tests of os/pty and os/tty on pseudo-terminals of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/fd.h"
#include "os/pty.h"
#include "os/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_pty(void **state)
{
    static struct pty p;
    p = (struct pty)PTY_INIT;
    *state = &p;
    return pty_open(&p);
}

static int close_pty(void **state)
{
    pty_done(*state);
    return 0;
}

static void test_open_and_size(void **state)
{
    const struct pty *p = *state;
    struct pty_size s = { 80, 25, 70000, 480 }, got;
    assert_true(tty_is(p->slave));
    assert_memory_equal(p->name, "/dev/pts/", 9);
    assert_int_equal(pty_set_size(p->master, &s), 0);
    assert_int_equal(pty_get_size(p->slave, &got), 0);
    assert_int_equal(got.cols, 80);
    assert_int_equal(got.rows, 25);
    assert_int_equal(got.width_px, 65535);
    assert_int_equal(got.height_px, 480);
    assert_int_equal(pty_get_size(-1, &got), ERR_SYS(EBADF));
    assert_true(fcntl(p->master, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(p->slave, F_GETFD) & FD_CLOEXEC);
}

static void test_give(void **state)
{
    const struct pty *p = *state;
    struct stat st;
    assert_int_equal(pty_give(p, getuid(), getgid()), 0);
    assert_int_equal(fstat(p->slave, &st), 0);
    assert_int_equal(st.st_mode & 0757, 0600);
    if (geteuid() != 0) skip();
    assert_int_equal(pty_give(p, 1234, 1234), 0);
    assert_int_equal(fstat(p->slave, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    pty_release(p->name);
    assert_int_equal(fstat(p->slave, &st), 0);
    assert_int_equal(st.st_uid, 0);
}

static void test_controlling(void **state)
{
    const struct pty *p = *state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (pty_make_controlling(p->slave) < 0) _exit(1);
        int fd = open("/dev/tty", O_RDWR);
        if (fd < 0) _exit(2);
        signal(SIGHUP, SIG_IGN);
        pty_drop_controlling();
        _exit(open("/dev/tty", O_RDWR) < 0 ? 0 : 3);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void test_raw(void **state)
{
    const struct pty *p = *state;
    struct tty_raw raw = TTY_RAW_INIT;
    struct termios before, in, after;
    assert_int_equal(tcgetattr(p->slave, &before), 0);
    assert_int_equal(tty_raw_enter(&raw, p->slave, false), 0);
    assert_int_equal(tty_raw_enter(&raw, p->slave, false), 0);
    assert_int_equal(tcgetattr(p->slave, &in), 0);
    assert_false(in.c_lflag & (ICANON | ECHO | ISIG | IEXTEN));
    assert_false(in.c_iflag & (ICRNL | IXON));
    assert_false(in.c_oflag & OPOST);
    tty_raw_leave(&raw);
    tty_raw_leave(&raw);
    assert_int_equal(tcgetattr(p->slave, &after), 0);
    assert_int_equal(after.c_lflag, before.c_lflag);
    assert_int_equal(after.c_iflag, before.c_iflag);
    assert_int_equal(after.c_oflag, before.c_oflag);
    assert_int_equal(tty_raw_enter(&raw, p->slave, true), 0);
    assert_int_equal(tcgetattr(p->slave, &in), 0);
    assert_true(in.c_lflag & ISIG);
    tty_raw_leave(&raw);
    CLEANUP(fd_closep) int null = -1;
    assert_int_equal(fd_devnull(&null), 0);
    assert_int_equal(tty_raw_enter(&raw, null, false), ERR_SYS(ENOTTY));
}

static void test_guard(void **state)
{
    const struct pty *p = *state;
    struct termios after;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        static struct tty_raw raw = TTY_RAW_INIT;
        if (tty_raw_enter(&raw, p->slave, false) < 0 || tty_raw_guard(&raw) < 0) _exit(1);
        raise(SIGTERM);
        _exit(2);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(tcgetattr(p->slave, &after), 0);
    assert_true(after.c_lflag & ICANON);
}

static uint32_t value_of(const struct tty_mode *modes, size_t n, uint8_t opcode)
{
    for (size_t i = 0; i < n; i++)
        if (modes[i].opcode == opcode) return modes[i].value;
    return UINT32_MAX;
}

/* Opcodes from RFC 4254 8: 1 VINTR, 8 VSTART, 36 ICRNL, 42 IUTF8 (RFC 8160), 53 ECHO, 72 ONLCR, 91 CS8, 128 and 129 speeds. */
static void test_modes(void **state)
{
    const struct pty *p = *state;
    struct tty_mode modes[TTY_MODES_MAX];
    size_t n;
    assert_int_equal(tty_modes_get(p->slave, modes, &n), 0);
    assert_int_equal(value_of(modes, n, 1), 3);
    assert_int_equal(value_of(modes, n, 53), 1);
    assert_int_equal(value_of(modes, n, 72), 1);
    assert_int_equal(value_of(modes, n, 91), 1);
    assert_int_equal(value_of(modes, n, 90), 0);
    assert_int_equal(value_of(modes, n, 128), 38400);
    struct tty_mode set[] = { { 1, 1 },  { 8, 255 },    { 36, 0 },       { 42, 1 },  { 53, 0 },
                              { 72, 0 }, { 128, 9600 }, { 129, 115201 }, { 200, 5 }, { 0, 1 } };
    assert_int_equal(tty_modes_set(p->slave, set, ARRAY_LEN(set)), 0);
    struct termios t;
    assert_int_equal(tcgetattr(p->slave, &t), 0);
    assert_int_equal(t.c_cc[VINTR], 1);
    assert_int_equal(t.c_cc[VSTART], _POSIX_VDISABLE);
    assert_false(t.c_iflag & ICRNL);
    assert_true(t.c_iflag & IUTF8);
    assert_false(t.c_lflag & ECHO);
    assert_false(t.c_oflag & ONLCR);
    assert_int_equal(cfgetospeed(&t), B115200);
    /* What was read, set again, is what was there. */
    assert_int_equal(tty_modes_set(p->slave, modes, n), 0);
    struct tty_mode again[TTY_MODES_MAX];
    size_t n_again;
    assert_int_equal(tty_modes_get(p->slave, again, &n_again), 0);
    assert_int_equal(n_again, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(again[i].value, value_of(modes, n, again[i].opcode));
    int pipe_fds[2];
    assert_int_equal(fd_pipe(pipe_fds), 0);
    assert_int_equal(tty_modes_get(pipe_fds[0], again, &n_again), ERR_SYS(ENOTTY));
    assert_int_equal(n_again, 0);
    fd_close(pipe_fds[0]);
    fd_close(pipe_fds[1]);
}

/* --- prompts: a child whose controlling terminal is the pty; we type and look --- */

struct dialogue {
    bool echo;
    const char *typed;
    const char *answer; /* NULL: the child must die of SIGINT */
};

static int prompt_child(const struct pty *p, const struct dialogue *d)
{
    if (pty_make_controlling(p->slave) < 0) return 1;
    CLEANUP(buf_done) struct buf b = BUF_INIT_SECRET(64);
    struct tty_prompt prompt = { .text = "Password: ", .echo = d->echo };
    int err = tty_read_line(&prompt, &b);
    if (err == ERR_CANCELLED && strcmp(d->answer, "cancelled") == 0) return 0;
    if (err < 0) return 2;
    return view_eq_str(buf_view(&b), d->answer) ? 0 : 3;
}

static void wait_for_prompt(int master, char *seen, size_t cap)
{
    size_t at = strlen(seen), n;
    while (!strstr(seen, "Password: ")) {
        assert_int_equal(fd_wait(master, false, 5000), 0);
        assert_int_equal(fd_read(master, seen + at, cap - at - 1, &n), 0);
        seen[at += n] = 0;
    }
}

static int talk(const struct pty *p, const struct dialogue *d, char *seen, size_t cap)
{
    int status;
    struct termios before, after;
    assert_int_equal(tcgetattr(p->slave, &before), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(prompt_child(p, d));
    wait_for_prompt(p->master, seen, cap);
    assert_int_equal(fd_write_all(p->master, view_str(d->typed)), 0);
    waitpid(pid, &status, 0);
    size_t at = strlen(seen), n;
    assert_int_equal(fd_read(p->master, seen + at, cap - at - 1, &n), 0);
    seen[at + n] = 0;
    assert_int_equal(tcgetattr(p->slave, &after), 0);
    assert_int_equal(before.c_lflag, after.c_lflag);
    return status;
}

static void test_password(void **state)
{
    char seen[256] = "";
    assert_int_equal(talk(*state, &(struct dialogue){ false, "sesame\n", "sesame" }, seen, sizeof seen), 0);
    assert_string_equal(seen, "Password: \r\n");
}

static void test_echoed_line_with_editing(void **state)
{
    char seen[256] = "";
    assert_int_equal(talk(*state, &(struct dialogue){ true, "yez\177s\n", "yes" }, seen, sizeof seen), 0);
    assert_non_null(strstr(seen, "yez"));
}

static void test_interrupt_restores(void **state)
{
    char seen[256] = "";
    int status = talk(*state, &(struct dialogue){ false, "ses\003", NULL }, seen, sizeof seen);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

static void test_end_of_file(void **state)
{
    char seen[256] = "";
    assert_int_equal(talk(*state, &(struct dialogue){ false, "\004", "cancelled" }, seen, sizeof seen), 0);
}

static int stdin_child(int fd, const char *want)
{
    dup2(fd, 0);
    close(2);
    CLEANUP(buf_done) struct buf b = BUF_INIT(8);
    struct tty_prompt prompt = { .text = NULL, .stdin_only = true };
    int err = tty_read_line(&prompt, &b);
    if (!want) return err == ERR_LIMIT && buf_len(&b) == 0 ? 0 : 1;
    if (err < 0 || !view_eq_str(buf_view(&b), want)) return 2;
    buf_reset(&b);
    return tty_read_line(&prompt, &b) == 0 && view_eq_str(buf_view(&b), "next") ? 0 : 3;
}

static void test_stdin(UNUSED void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = { { "first\nnext", "first" }, { "\nnext\n", "" }, { "too long for it\n", NULL } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int p[2], status;
        assert_int_equal(fd_pipe(p), 0);
        assert_int_equal(fd_write_all(p[1], view_str(rows[i].text)), 0);
        fd_close(p[1]);
        pid_t pid = fork();
        if (pid == 0) _exit(stdin_child(p[0], rows[i].want));
        waitpid(pid, &status, 0);
        assert_int_equal(status, 0);
        fd_close(p[0]);
    }
}

#define WITH_PTY(test) cmocka_unit_test_setup_teardown(test, open_pty, close_pty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PTY(test_open_and_size),
        WITH_PTY(test_give),
        WITH_PTY(test_controlling),
        WITH_PTY(test_raw),
        WITH_PTY(test_guard),
        WITH_PTY(test_modes),
        WITH_PTY(test_password),
        WITH_PTY(test_echoed_line_with_editing),
        WITH_PTY(test_interrupt_restores),
        WITH_PTY(test_end_of_file),
        WITH_PTY(test_stdin),
    };
    return cmocka_run_group_tests_name("os/pty", tests, NULL, NULL);
}
