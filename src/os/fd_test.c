/* Tests of os/fd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_cloexec(int fd) { return fcntl(fd, F_GETFD) & FD_CLOEXEC; }
static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static void close_pair(int p[2])
{
    fd_close(p[0]);
    fd_close(p[1]);
}

static void test_read_and_write(UNUSED void **state)
{
    int p[2];
    char buf[8];
    size_t n = 99;
    assert_int_equal(fd_pipe(p), 0);
    assert_true(is_cloexec(p[0]) && is_cloexec(p[1]));
    assert_int_equal(fd_nonblock(p[0], true), 0);
    assert_int_equal(fd_read(p[0], buf, sizeof buf, &n), ERR_AGAIN);
    assert_int_equal(n, 99); /* untouched on failure */
    assert_int_equal(fd_write(p[1], "abc", 3, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(fd_read(p[0], buf, sizeof buf, &n), 0);
    assert_int_equal(n, 3);
    assert_memory_equal(buf, "abc", 3);
    struct iovec parts[] = { { (void *)(uintptr_t) "de", 2 }, { (void *)(uintptr_t) "fgh", 3 } };
    assert_int_equal(fd_writev(p[1], parts, 2, &n), 0);
    assert_int_equal(n, 5);
    struct iovec into[] = { { buf, 1 }, { buf + 4, 4 } };
    assert_int_equal(fd_readv(p[0], into, 2, &n), 0);
    assert_int_equal(n, 5);
    assert_memory_equal(buf + 4, "efgh", 4);
    fd_close(p[1]);
    assert_int_equal(fd_read(p[0], buf, sizeof buf, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(fd_read(p[1], buf, sizeof buf, &n), ERR_SYS(EBADF));
    fd_close(p[0]);
    fd_close(-1);
}

static void test_write_to_closed(UNUSED void **state)
{
    int p[2];
    size_t n;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(fd_pipe(p), 0);
    fd_close(p[0]);
    assert_int_equal(fd_write(p[1], "x", 1, &n), ERR_SYS(EPIPE));
    fd_close(p[1]);
}

static void test_all_through_a_full_pipe(UNUSED void **state)
{
    enum {
        MANY = 300000
    };
    int p[2];
    CLEANUP(freep) uint8_t *out = malloc(MANY);
    CLEANUP(freep) uint8_t *in = malloc(MANY);
    for (size_t i = 0; i < MANY; i++) out[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(fd_pipe(p), 0);
    assert_int_equal(fd_nonblock(p[0], true), 0);
    assert_int_equal(fd_nonblock(p[1], true), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(fd_write_all(p[1], view_of(out, MANY)) == 0 ? 0 : 1);
    fd_close(p[1]);
    assert_int_equal(fd_read_all(p[0], in, MANY - 1), 0);
    assert_memory_equal(in, out, MANY - 1);
    assert_int_equal(fd_read_all(p[0], in, 2), ERR_TRUNCATED);
    assert_int_equal(fd_read_all(p[0], in, 2), ERR_PEER_CLOSED);
    fd_close(p[0]);
    waitpid(pid, NULL, 0);
}

static void test_wait(UNUSED void **state)
{
    int p[2];
    assert_int_equal(fd_pipe(p), 0);
    ms before = clock_now();
    assert_int_equal(fd_wait(p[0], false, 15), ERR_TIMEOUT);
    assert_true(clock_now() - before >= 14);
    assert_int_equal(fd_wait(p[1], true, MS_NEVER), 0);
    assert_int_equal(fd_write_all(p[1], VIEW_LIT("x")), 0);
    assert_int_equal(fd_wait(p[0], false, 0), 0);
    close_pair(p);
}

static void test_pass_descriptors(UNUSED void **state)
{
    int s[2], p[2], got[4] = { -1, -1, -1, -1 };
    char buf[16];
    size_t n, n_fds;
    assert_int_equal(fd_socketpair(s), 0);
    assert_int_equal(fd_pipe(p), 0);
    assert_int_equal(fd_send(s[0], VIEW_LIT("hello"), p, 2), 0);
    assert_int_equal(fd_recv(s[1], buf, sizeof buf, &n, got, 4, &n_fds), 0);
    assert_int_equal(n, 5);
    assert_int_equal(n_fds, 2);
    assert_true(is_cloexec(got[0]) && is_cloexec(got[1]));
    assert_int_equal(fd_write_all(got[1], VIEW_LIT("q")), 0);
    assert_int_equal(fd_read_all(p[0], buf, 1), 0);
    assert_int_equal(buf[0], 'q');
    fd_close(got[0]);
    fd_close(got[1]);
    /* More than the receiver takes: an error, and nothing stays open. */
    int probe = dup(p[0]);
    fd_close(probe);
    assert_int_equal(fd_send(s[0], VIEW_LIT("x"), p, 2), 0);
    assert_int_equal(fd_recv(s[1], buf, sizeof buf, &n, got, 1, &n_fds), ERR_LIMIT);
    assert_int_equal(fd_send(s[0], VIEW_LIT("x"), p, 1), 0);
    assert_int_equal(fd_recv(s[1], buf, sizeof buf, &n, NULL, 0, &n_fds), ERR_LIMIT);
    assert_false(is_open(probe));
    assert_int_equal(fd_send(s[0], VIEW_LIT("x"), NULL, 0), 0);
    assert_int_equal(fd_recv(s[1], buf, sizeof buf, &n, NULL, 0, NULL), 0);
    assert_int_equal(fd_send(s[0], VIEW_EMPTY, p, 1), ERR_RANGE);
    assert_int_equal(fd_send(s[0], VIEW_LIT("x"), p, FD_PASS_MAX + 1), ERR_LIMIT);
    assert_int_equal(fd_nonblock(s[1], true), 0);
    assert_int_equal(fd_recv(s[1], buf, sizeof buf, &n, NULL, 0, NULL), ERR_AGAIN);
    fd_close(s[0]);
    assert_int_equal(fd_recv(s[1], buf, sizeof buf, &n, NULL, 0, NULL), 0);
    assert_int_equal(n, 0);
    fd_close(s[1]);
    close_pair(p);
}

static void test_packets_keep_borders(UNUSED void **state)
{
    int s[2];
    char buf[16];
    size_t n;
    assert_int_equal(fd_socketpair_packets(s), 0);
    assert_int_equal(fd_send(s[0], VIEW_LIT("one"), NULL, 0), 0);
    assert_int_equal(fd_send(s[0], VIEW_LIT("two and more"), NULL, 0), 0);
    assert_int_equal(fd_recv(s[1], buf, sizeof buf, &n, NULL, 0, NULL), 0);
    assert_int_equal(n, 3);
    /* A message that does not fit is no message. */
    assert_int_equal(fd_recv(s[1], buf, 4, &n, NULL, 0, NULL), ERR_LIMIT);
    close_pair(s);
}

static void test_memfd_is_sealed(UNUSED void **state)
{
    CLEANUP(fd_closep) int fd = -1;
    char buf[6];
    uint64_t size;
    assert_int_equal(fd_memfd("test", VIEW_LIT("config"), &fd), 0);
    assert_int_equal(fd_size(fd, &size), 0);
    assert_int_equal(size, 6);
    assert_int_equal(fd_read_all(fd, buf, 6), 0);
    assert_memory_equal(buf, "config", 6);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_true(is_cloexec(fd));
}

static void test_dup_and_close_from(UNUSED void **state)
{
    int p[2], copy;
    assert_int_equal(fd_pipe(p), 0);
    assert_int_equal(fd_dup(p[0], &copy), 0);
    assert_true(copy >= 3 && is_cloexec(copy));
    assert_int_equal(fd_dup(-1, &copy), ERR_SYS(EBADF));
    uint64_t size;
    assert_int_equal(fd_size(p[0], &size), ERR_UNSUPPORTED);
    pid_t pid = fork();
    if (pid == 0) {
        int high = fcntl(p[0], F_DUPFD, 50);
        fd_close_from(high);
        _exit(is_open(p[0]) && !is_open(high) ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    fd_close(copy);
    close_pair(p);
}

static int std_child(void)
{
    close(0);
    close(2);
    if (fd_fill_std() < 0 || !is_open(0) || !is_open(2)) return 1;
    if (is_cloexec(0) || is_cloexec(2)) return 2;
    close(0);
    if (fd_null_std(true) < 0 || !is_open(0) || is_cloexec(0)) return 3;
    char byte;
    size_t n;
    return fd_read(0, &byte, 1, &n) == 0 && n == 0 ? 0 : 4;
}

static void test_standard_descriptors(UNUSED void **state)
{
    pid_t pid = fork();
    if (pid == 0) _exit(std_child());
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void test_terminal_master_end(UNUSED void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0) skip();
    grantpt(master);
    unlockpt(master);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    fd_close(slave);
    char byte;
    size_t n = 9;
    assert_int_equal(fd_read(master, &byte, 1, &n), 0);
    assert_int_equal(n, 0);
    fd_close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_write),          cmocka_unit_test(test_write_to_closed),
        cmocka_unit_test(test_all_through_a_full_pipe), cmocka_unit_test(test_wait),
        cmocka_unit_test(test_pass_descriptors),        cmocka_unit_test(test_packets_keep_borders),
        cmocka_unit_test(test_memfd_is_sealed),         cmocka_unit_test(test_dup_and_close_from),
        cmocka_unit_test(test_standard_descriptors),    cmocka_unit_test(test_terminal_master_end),
    };
    return cmocka_run_group_tests_name("os/fd", tests, NULL, NULL);
}
