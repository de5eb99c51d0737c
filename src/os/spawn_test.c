/* Tests of os/spawn and os/proctitle: real children that look at what they got. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/fd.h"
#include "os/file.h"
#include "os/proctitle.h"
#include "os/spawn.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a shell script with its output caught. s is completed. */
static int shell(struct spawn s, const char *script, char ret_out[512])
{
    const char *argv[] = { "sh", "-c", script, NULL };
    struct spawn_fd fds[8];
    int p[2], status;
    pid_t pid;
    assert_int_equal(fd_pipe(p), 0);
    assert_true(s.n_fds < ARRAY_LEN(fds));
    for (size_t i = 0; i < s.n_fds; i++) fds[i] = s.fds[i];
    fds[s.n_fds] = (struct spawn_fd){ p[1], 1 };
    s.fds = fds;
    s.n_fds++;
    s.path = "/bin/sh";
    s.argv = argv;
    assert_int_equal(spawn_run(&s, &pid), 0);
    fd_close(p[1]);
    CLEANUP(buf_done) struct buf out = BUF_INIT(511);
    assert_int_equal(file_read_fd(p[0], &out), 0);
    fd_close(p[0]);
    snprintf(ret_out, 512, "%s", buf_cstr(&out));
    assert_int_equal(spawn_wait(pid, &status), 0);
    return status;
}

static void test_plain(UNUSED void **state)
{
    char out[512];
    const char *const env[] = { "ONE=1", NULL };
    int status = shell((struct spawn){ .env = env, .cwd = "/usr", .new_session = true }, "echo $ONE $HOME `pwd`; exit 5", out);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
    assert_string_equal(out, "1 /usr\n");
}

static void test_errors_come_back(UNUSED void **state)
{
    static const char *const argv[] = { "x", NULL };
    pid_t pid = -5;
    assert_int_equal(spawn_run(&(struct spawn){ .path = "/no/such/program", .argv = argv }, &pid), ERR_SYS(ENOENT));
    assert_int_equal(spawn_run(&(struct spawn){ .path = "/etc/passwd", .argv = argv }, &pid), ERR_SYS(EACCES));
    assert_int_equal(spawn_run(&(struct spawn){ .path = "/bin/true", .argv = argv, .cwd = "/none" }, &pid), ERR_SYS(ENOENT));
    assert_int_equal(spawn_run(&(struct spawn){ .path = "/bin/true" }, &pid), ERR_STATE);
    assert_int_equal(spawn_run(&(struct spawn){ .path = "no-such-in-path", .search = true, .argv = argv }, &pid), ERR_SYS(ENOENT));
    struct spawn_fd bad = { 900, 0 };
    assert_int_equal(spawn_run(&(struct spawn){ .path = "/bin/true", .argv = argv, .fds = &bad, .n_fds = 1 }, &pid),
                     ERR_SYS(EBADF));
    assert_int_equal(pid, -5);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left over */
    assert_int_equal(spawn_run(&(struct spawn){ .path = "true", .search = true, .argv = argv }, &pid), 0);
    int status;
    assert_int_equal(spawn_wait(pid, &status), 0);
    assert_int_equal(status, 0);
}

static void test_descriptors(UNUSED void **state)
{
    char out[512];
    int a[2], b[2];
    assert_int_equal(fd_pipe(a), 0);
    assert_int_equal(fd_pipe(b), 0);
    int leaked = fcntl(a[0], F_DUPFD, 40); /* without close-on-exec */
    assert_int_equal(fd_write_all(a[1], VIEW_LIT("A\n")), 0);
    assert_int_equal(fd_write_all(b[1], VIEW_LIT("B\n")), 0);
    /* Crossing: each one goes where the other one is. */
    struct spawn_fd map[] = { { a[0], b[0] }, { b[0], a[0] }, { -1, 7 } };
    char script[256];
    snprintf(script, sizeof script,
             "read x <&%d; read y <&%d; echo $x $y; cat <&7; cat; exec 2>&1; ls /proc/$$/fd | grep -c '^%d$'", a[0], b[0], leaked);
    int status = shell((struct spawn){ .fds = map, .n_fds = 3 }, script, out);
    assert_true(WIFEXITED(status));
    assert_string_equal(out, "B A\n0\n");
    int all[] = { a[0], a[1], b[0], b[1], leaked };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) fd_close(all[i]);
}

static void test_signals_are_reset(UNUSED void **state)
{
    char out[512];
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* exec: a shell that waits for a child blocks signals of its own. */
    int status =
        shell((struct spawn){ 0 }, "exec awk '/^Sig(Blk|Ign)/ { gsub(/[\\t0]/, \"\"); printf \"%s\", $0 }' /proc/self/status", out);
    assert_int_equal(status, 0);
    assert_string_equal(out, "SigBlk:SigIgn:");
    sigset_t now;
    sigprocmask(SIG_UNBLOCK, &usr1, &now);
    assert_true(sigismember(&now, SIGUSR1)); /* the parent's own were left alone */
}

static void test_limits_and_rights(UNUSED void **state)
{
    char out[512];
    struct spawn_limit limits[] = { { RLIMIT_NOFILE, 20 }, { RLIMIT_STACK, 1 << 20 } };
    struct spawn s = { .limits = limits, .n_limits = 2, .no_new_privs = true, .not_dumpable = true, .nice = 3, .new_group = true };
    assert_int_equal(shell(s, "ulimit -n; ulimit -c; grep NoNewPrivs /proc/$$/status | tr '\\t' ' '; nice", out), 0);
    assert_string_equal(out, "20\n0\nNoNewPrivs: 1\n3\n");
}

static void test_as_user(UNUSED void **state)
{
    if (geteuid() != 0) skip();
    char out[512], want[64];
    CLEANUP(user_freep) struct user *u = NULL;
    static const char *const argv[] = { "true", NULL };
    pid_t pid;
    assert_int_equal(user_by_name("nobody", &u), 0);
    assert_int_equal(spawn_run(&(struct spawn){ .path = "/bin/true", .argv = argv, .as = u }, &pid), ERR_STATE);
    assert_int_equal(user_load_groups(u), 0);
    assert_int_equal(shell((struct spawn){ .as = u, .cwd = "/" }, "id -u; id -g; id -G; cat /etc/shadow 2>&1 | wc -l", out), 0);
    snprintf(want, sizeof want, "%u\n%u\n%u\n1\n", u->uid, u->gid, u->gid);
    assert_string_equal(out, want);
}

static void test_by_descriptor(UNUSED void **state)
{
    static const char *const argv[] = { "false", NULL };
    CLEANUP(fd_closep) int fd = -1;
    pid_t pid;
    int status;
    char text[128];
    assert_int_equal(spawn_open_program("/bin/false", &fd), 0);
    assert_int_equal(spawn_run(&(struct spawn){ .exec_fd = fd, .argv = argv }, &pid), 0);
    assert_int_equal(spawn_wait(pid, &status), 0);
    spawn_status_text(status, text, sizeof text);
    assert_string_equal(text, "exited with status 1");
    CLEANUP(freep) char *self = NULL;
    assert_int_equal(spawn_self_path(&self), 0);
    assert_non_null(strstr(self, "spawn"));
    assert_int_equal(spawn_open_program("/none", &fd), ERR_SYS(ENOENT));
}

static void test_exec_replaces(UNUSED void **state)
{
    pid_t pid = fork();
    if (pid == 0) {
        static const char *const argv[] = { "sh", "-c", "exit 9", NULL };
        (void)!spawn_exec(&(struct spawn){ .path = "/bin/sh", .argv = argv });
        _exit(1);
    }
    int status;
    assert_int_equal(spawn_wait(pid, &status), 0);
    assert_int_equal(WEXITSTATUS(status), 9);
}

static void test_status_and_names(UNUSED void **state)
{
    char text[128];
    assert_true(WIFSIGNALED(shell((struct spawn){ 0 }, "kill -KILL $$", (char[512]){ 0 })));
    spawn_status_text(SIGKILL, text, sizeof text);
    assert_string_equal(text, "was killed by signal 9 (Killed)");
    assert_string_equal(spawn_signal_name(SIGTERM), "TERM");
    assert_null(spawn_signal_name(SIGWINCH));
    assert_int_equal(spawn_signal_number("USR1"), SIGUSR1);
    assert_int_equal(spawn_signal_number("SIGUSR1"), 0);
    assert_int_equal(spawn_signal_number(""), 0);
}

static int hidden(void)
{
    if (spawn_hide_memory() < 0) return 1;
    return prctl(PR_GET_DUMPABLE) == 0 ? 0 : 2;
}

static void test_hide_memory(UNUSED void **state)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) _exit(hidden());
    assert_int_equal(spawn_wait(pid, &status), 0);
    assert_int_equal(status, 0);
}

static void test_title(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(100000);
    proctitle_set("sshd: %s [priv]", "somebody");
    assert_int_equal(file_read("/proc/self/cmdline", &line), 0);
    assert_string_equal(buf_cstr(&line), "sshd: somebody [priv]");
    assert_non_null(getenv("PATH"));
    proctitle_set("x");
    buf_reset(&line);
    assert_int_equal(file_read("/proc/self/cmdline", &line), 0);
    assert_string_equal(buf_cstr(&line), "x");
}

/* A copy's end is told once, and does not hide that another is wanted. In a process of its own, whose SIGCHLD it is. */
static int serve_copies(void)
{
    int p[2], status;
    pid_t ended;
    char byte;
    if (fd_pipe(p) < 0) return 1;
    spawn_copies_begin();
    int side = spawn_copy();
    if (side == 0) _exit(3);
    if (side != SPAWN_PARENT || spawn_copies_wait(p[0], &ended, &status) != SPAWN_COPY_ENDED) return 2;
    if (ended <= 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 3) return 3;
    if (fd_write_all(p[1], VIEW_LIT("x")) < 0 || spawn_copies_wait(p[0], &ended, &status) != SPAWN_COPY_WANTED) return 4;
    if (fd_read_all(p[0], &byte, 1) < 0) return 5;
    side = spawn_copy();
    if (side == 0) raise(SIGTERM); /* not blocked in a copy, and with its default action */
    if (side == 0) _exit(6);
    if (spawn_copies_wait(p[0], &ended, &status) != SPAWN_COPY_ENDED) return 7;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? 0 : 8;
}

static void test_copies(UNUSED void **state)
{
    int status;
    pid_t server = fork();
    if (server == 0) _exit(serve_copies());
    assert_int_equal(spawn_wait(server, &status), 0);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    proctitle_init(argc, argv);
    setenv("PATH", "/usr/bin:/bin", 1); /* directories that may be searched by whoever runs this */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_errors_come_back),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_signals_are_reset),
        cmocka_unit_test(test_limits_and_rights),
        cmocka_unit_test(test_as_user),
        cmocka_unit_test(test_by_descriptor),
        cmocka_unit_test(test_exec_replaces),
        cmocka_unit_test(test_status_and_names),
        cmocka_unit_test(test_hide_memory),
        cmocka_unit_test(test_title),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests_name("os/spawn", tests, NULL, NULL);
}
