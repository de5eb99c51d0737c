/* Tests of os/sandbox in forked children: what is allowed works, what is not ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/fd.h"
#include "os/loop.h"
#include "os/random.h"
#include "os/sandbox.h"
#include "os/spawn.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int in_child(int (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        spawn_reset_signals(false); /* cmocka's handlers are the parent's */
        _exit(fn());
    }
    int status;
    waitpid(pid, &status, 0);
    return status;
}

static void seen(void *arg, UNUSED int fd, UNUSED unsigned events) { (*(int *)arg)++; }

static int allowed_work(void)
{
    int p[2], calls = 0;
    uint8_t bytes[4096];
    CLEANUP(loop_freep) struct loop *l = NULL;
    if (fd_socketpair(p) < 0 || loop_new(&l) < 0) return 1;
    if (sandbox_enter(sandbox_net_child, sandbox_net_child_n, false) < 0) return 2;
    struct loop_fd *w;
    if (loop_fd_new(l, p[0], LOOP_READ, seen, &calls, &w) < 0) return 3;
    if (fd_write_all(p[1], VIEW_LIT("x")) < 0 || loop_turn(l, MS_NEVER) < 0 || calls != 1) return 4;
    if (fd_send(p[1], VIEW_LIT("y"), NULL, 0) < 0) return 5;
    if (random_fill(&os_random, bytes, sizeof bytes) < 0 || clock_now() == 0) return 6;
    for (size_t i = 1; i < 64; i++) {
        uint8_t *m = malloc(i * 20000);
        if (!m) return 7;
        m[0] = 1;
        free(m);
    }
    /* Refused, not deadly. */
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != ENOENT) return 8;
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EACCES) return 9;
    if (isatty(p[0])) return 10;
    loop_fd_free(w);
    return 0;
}

static int enter(void) { return sandbox_enter(sandbox_net_child, sandbox_net_child_n, false) < 0 ? 1 : 0; }
static int tries_fork(void) { return enter() || syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0); }
static int tries_exec(void) { return enter() || execl("/bin/true", "true", (char *)NULL); }
static int tries_connect(void) { return enter() || connect(0, NULL, 0); }
static int tries_ptrace(void) { return enter() || syscall(SYS_ptrace, 0, 0, 0, 0); }
static int tries_setuid(void) { return enter() || syscall(SYS_setuid, 0); }
static int tries_kill(void) { return enter() || kill(getppid(), 0); }
static int tries_dupfd(void) { return enter() || fcntl(0, F_DUPFD, 100); }

static int tries_code(void)
{
    return enter() || mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int tries_to_make_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return enter() || mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int holder_tries_socket_options(void)
{
    int one = 1;
    if (sandbox_enter(sandbox_key_holder, sandbox_key_holder_n, false) < 0) return 1;
    return setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

static void test_allowed(UNUSED void **state) { assert_int_equal(in_child(allowed_work), 0); }

static void test_forbidden(UNUSED void **state)
{
    static int (*const tries[])(void) = { tries_fork, tries_exec,  tries_connect, tries_ptrace,       tries_setuid,
                                          tries_kill, tries_dupfd, tries_code,    tries_to_make_code, holder_tries_socket_options };
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        int status = in_child(tries[i]);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) fail_msg("try %zu: status %#x", i, (unsigned)status);
    }
}

static int trap_write;

static int trapped(void)
{
    dup2(trap_write, 2);
    if (sandbox_enter(sandbox_net_child, sandbox_net_child_n, true) < 0) return 1;
    return (int)syscall(SYS_setuid, 0);
}

static void test_trap_names_the_call(UNUSED void **state)
{
    int p[2];
    char text[128] = "";
    size_t n;
    assert_int_equal(fd_pipe(p), 0);
    trap_write = p[1];
    int status = in_child(trapped);
    fd_close(p[1]);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    for (size_t at = 0; at < sizeof text - 1 && fd_read(p[0], text + at, sizeof text - 1 - at, &n) == 0 && n; at += n) continue;
    assert_string_equal(text, "sandbox: forbidden system call: setuid\n");
    fd_close(p[0]);
}

/* A filter that is not whole is not entered half. */
static void test_broken_filter(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf filter = BUF_INIT(SANDBOX_FILTER_BYTES_MAX);
    assert_int_equal(sandbox_compile(sandbox_net_child, sandbox_net_child_n, false, &filter), 0);
    for (size_t len = 0; len < buf_len(&filter); len += 3)
        assert_int_equal(sandbox_enter_compiled(view_sub(buf_view(&filter), 0, len)), ERR_FORMAT);
    memset(filter.base, 0xff, 4);
    assert_int_equal(sandbox_enter_compiled(buf_view(&filter)), ERR_FORMAT);
}

static int drops(void)
{
    struct user *u = NULL;
    char dir[] = "/tmp/sandbox_test.XXXXXX";
    if (user_by_name("nobody", &u) < 0 || !mkdtemp(dir)) return 1;
    struct sandbox_drop how = { u->uid, u->gid, dir };
    chmod(dir, 0777);
    if (sandbox_drop(&how) != ERR_DENIED) return 2;
    chmod(dir, 0755);
    int root = open("/", O_RDONLY | O_DIRECTORY);
    if (sandbox_drop(&how) < 0) return 3;
    if (getuid() != u->uid || getgid() != u->gid || getgroups(0, NULL) != 0) return 4;
    if (access("/etc", F_OK) == 0 || setuid(0) == 0) return 5;
    return unlinkat(root, dir + 1, AT_REMOVEDIR) == 0 ? 6 : 0; /* not root's rights any more */
}

static void test_drop(UNUSED void **state)
{
    if (geteuid() != 0) skip();
    assert_int_equal(in_child(drops), 0);
    assert_int_equal(system("rmdir /tmp/sandbox_test.*"), 0);
}

static int drop_to_self(void)
{
    struct user *u = NULL;
    if (user_by_name("nobody", &u) < 0 || user_become(u) < 0) return 1;
    if (sandbox_drop(&(struct sandbox_drop){ u->uid, u->gid, "/none" }) < 0) return 2;
    return sandbox_drop(&(struct sandbox_drop){ 0, 0, NULL }) == ERR_DENIED ? 0 : 3;
}

static void test_drop_as_ordinary_user(UNUSED void **state)
{
    if (geteuid() != 0) skip();
    assert_int_equal(in_child(drop_to_self), 0);
}

static int limited(void)
{
    int p[2], fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (fd_pipe(p) < 0) return 1;
    if (sandbox_limit(true) < 0) return 2;
    if (open("/dev/null", O_RDONLY) >= 0 || errno != EMFILE) return 3;
    if (fd_wait(p[0], false, 0) != ERR_TIMEOUT) return 4;
    if (fd_write_all(p[1], VIEW_LIT("still writes")) < 0) return 5;
    signal(SIGXFSZ, SIG_IGN);
    return fd < 0 || write(fd, "x", 1) == -1 ? 0 : 6;
}

static void test_limits(UNUSED void **state) { assert_int_equal(in_child(limited), 0); }

static int no_files(void)
{
    int err = sandbox_no_files();
    if (err == ERR_UNSUPPORTED) return 77;
    if (err < 0) return 1;
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES) return 2;
    return mkdir("/tmp/never-made", 0700) == 0 ? 3 : 0;
}

static void test_landlock(UNUSED void **state)
{
    int status = in_child(no_files);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) skip();
    assert_int_equal(status, 0);
}

static void test_every_rule_has_a_reason(UNUSED void **state)
{
    for (size_t i = 0; i < sandbox_net_child_n; i++) assert_true(sandbox_net_child[i].call && sandbox_net_child[i].why);
    for (size_t i = 0; i < sandbox_key_holder_n; i++) assert_true(sandbox_key_holder[i].call && sandbox_key_holder[i].why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),       cmocka_unit_test(test_forbidden), cmocka_unit_test(test_trap_names_the_call),
        cmocka_unit_test(test_broken_filter), cmocka_unit_test(test_drop),      cmocka_unit_test(test_drop_as_ordinary_user),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_landlock),  cmocka_unit_test(test_every_rule_has_a_reason),
    };
    return cmocka_run_group_tests_name("os/sandbox", tests, NULL, NULL);
}
