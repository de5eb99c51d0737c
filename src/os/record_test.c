/* Tests of what os/ writes for others to read: log lines, login records, pid files, systemd's protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/daemon.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/login_record.h"
#include "os/logsink.h"
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include <utmpx.h>

static char dir[64];

static int make_dir(UNUSED void **state)
{
    strcpy(dir, "/tmp/record_test.XXXXXX");
    return file_mkdtemp(dir);
}

static int remove_dir(UNUSED void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void path_of(const char *name, char ret[128]) { snprintf(ret, 128, "%s/%s", dir, name); }

static void contents(const char *path, char *ret, size_t cap)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(cap - 1);
    assert_int_equal(file_read(path, &b), 0);
    snprintf(ret, cap, "%s", buf_cstr(&b));
}

static void test_log_lines(UNUSED void **state)
{
    char path[128], text[512];
    path_of("log", path);
    struct logsink s;
    assert_int_equal(logsink_init_file(&s, LOG_LEVEL_DEBUG2, path), 0);
    log_error(&s.log, "bad %s", "thing");
    log_info(&s.log, "fine");
    log_debug(&s.log, "detail\033[1m");
    log_debug3(&s.log, "too much");
    s.crlf = false;
    s.name_errors = true;
    log_error(&s.log, "named");
    log_at(&s.log, LOG_LEVEL_FATAL, "end");
    logsink_done(&s);
    log_info(&s.log, "lost, not fatal");
    contents(path, text, sizeof text);
    assert_string_equal(text, "bad thing\r\nfine\r\ndebug1: detail\\033[1m\r\nerror: named\nfatal: end\n");
    assert_int_equal(logsink_init_file(&s, LOG_LEVEL_INFO, "/no/such/dir/log"), ERR_SYS(ENOENT));
}

static void test_syslog_without_a_daemon(UNUSED void **state)
{
    struct logsink s;
    logsink_init_syslog(&s, LOG_LEVEL_INFO, "test", LOG_AUTH);
    logsink_open_now(&s);
    if (s.fd >= 0) {
        fd_close(s.fd);
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
        fd_close(pair[1]);
        s.fd = pair[0];
    }
    log_debug(&s.log, "not wanted");
    logsink_done(&s);
}

static void test_syslog_line(UNUSED void **state)
{
    int pair[2];
    char text[256] = "", want[64];
    size_t n;
    struct logsink s;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    logsink_init_syslog(&s, LOG_LEVEL_INFO, "sshd", LOG_AUTH);
    s.fd = pair[0];
    log_error(&s.log, "no luck");
    assert_int_equal(fd_read(pair[1], text, sizeof text - 1, &n), 0);
    snprintf(want, sizeof want, " sshd[%d]: error: no luck", (int)getpid());
    assert_memory_equal(text, "<35>", 4); /* auth.err */
    assert_string_equal(text + 4 + 15, want);
    logsink_done(&s);
    fd_close(pair[1]);
    assert_int_equal(logsink_facility_from_name("authpriv"), LOG_AUTHPRIV);
    assert_int_equal(logsink_facility_from_name("nothing"), -1);
    assert_string_equal(logsink_facility_name(LOG_LOCAL3), "LOCAL3");
    assert_null(logsink_facility_name(-5));
}

static void make_empty(const char *name, char ret[128])
{
    path_of(name, ret);
    assert_int_equal(file_create(ret, VIEW_EMPTY, 0600), 0);
}

static void test_login_records(UNUSED void **state)
{
    char utmp[128], wtmp[128], last[128], btmp[128];
    make_empty("utmp", utmp);
    make_empty("wtmp", wtmp);
    make_empty("lastlog", last);
    make_empty("btmp", btmp);
    struct login_record_files files = { utmp, wtmp, btmp, last };
    struct sock_addr from = { .len = sizeof from.in };
    from.in.sin_family = AF_INET;
    from.in.sin_addr.s_addr = htonl(0xc0000207);
    struct login_record r = { getpid(), "/dev/pts/77", "somebody", "host.example", &from, 1700000000 };
    struct login_record_last l;
    assert_int_equal(login_record_last(&files, 5, &l), ERR_NOT_FOUND);
    assert_int_equal(login_record_login(&files, &r, 5), 0);
    assert_int_equal(login_record_last(&files, 5, &l), 0);
    assert_int_equal(l.wall_s, 1700000000);
    assert_string_equal(l.host, "host.example");
    assert_string_equal(l.line, "pts/77");
    assert_int_equal(login_record_last(&files, 4, &l), ERR_NOT_FOUND);
    assert_int_equal(login_record_last(&files, 6, &l), ERR_NOT_FOUND);
    struct stat st;
    assert_int_equal(stat(last, &st), 0);
    assert_int_equal(st.st_size, 6 * 292);
    CLEANUP(buf_done) struct buf b = BUF_INIT(10000);
    assert_int_equal(file_read(utmp, &b), 0);
    assert_int_equal(buf_len(&b), sizeof(struct utmpx));
    struct utmpx u;
    memcpy(&u, buf_bytes(&b), sizeof u);
    assert_int_equal(u.ut_type, USER_PROCESS);
    assert_string_equal(u.ut_user, "somebody");
    assert_string_equal(u.ut_line, "pts/77");
    assert_memory_equal(u.ut_addr_v6, "\300\0\002\007", 4);
    assert_int_equal(login_record_lost(&files, getpid() + 1, 1700000500), 0);
    assert_int_equal(login_record_logout(&files, &r), 0);
    buf_reset(&b);
    assert_int_equal(file_read(utmp, &b), 0);
    assert_int_equal(buf_len(&b), sizeof(struct utmpx)); /* the same entry */
    memcpy(&u, buf_bytes(&b), sizeof u);
    assert_int_equal(u.ut_type, DEAD_PROCESS);
    assert_string_equal(u.ut_user, "");
    assert_int_equal(stat(wtmp, &st), 0);
    assert_int_equal(st.st_size, 2 * sizeof u);
    assert_int_equal(login_record_login(&files, &r, 5), 0);
    assert_int_equal(login_record_lost(&files, getpid(), 1700000600), 0);
    buf_reset(&b);
    assert_int_equal(file_read(utmp, &b), 0);
    memcpy(&u, buf_bytes(&b), sizeof u);
    assert_int_equal(u.ut_type, DEAD_PROCESS);
    assert_int_equal(u.ut_tv.tv_sec, 1700000600);
    assert_int_equal(login_record_failed(&files, &r), 0);
    assert_int_equal(stat(btmp, &st), 0);
    assert_int_equal(st.st_size, sizeof u);
    assert_int_equal(chmod(btmp, 0604), 0);
    assert_int_equal(login_record_failed(&files, &r), ERR_DENIED);
}

static void test_no_record_files(UNUSED void **state)
{
    struct login_record_files none = { "/none/u", "/none/w", "/none/b", "/none/l" };
    struct login_record r = { 1, "pts/1", "u", NULL, NULL, 1 };
    assert_int_equal(login_record_login(&none, &r, 0), 0);
    assert_int_equal(login_record_logout(&none, &r), 0);
    assert_int_equal(login_record_failed(&none, &r), 0);
}

static void test_pid_file(UNUSED void **state)
{
    char path[128], text[32], want[32];
    path_of("pid", path);
    assert_int_equal(daemon_pid_write(path), 0);
    contents(path, text, sizeof text);
    snprintf(want, sizeof want, "%d\n", (int)getpid());
    assert_string_equal(text, want);
    daemon_pid_remove(path);
    assert_false(file_exists(path));
    assert_int_equal(file_create(path, VIEW_LIT("1\n"), 0600), 0);
    daemon_pid_remove(path);
    assert_true(file_exists(path)); /* somebody else's */
    assert_int_equal(daemon_pid_write("none"), 0);
    assert_int_equal(daemon_pid_write(NULL), 0);
    assert_false(file_exists("none"));
}

static void expect_notified(int fd, const char *want)
{
    char text[128] = "";
    size_t n;
    assert_int_equal(fd_read(fd, text, sizeof text - 1, &n), 0);
    assert_memory_equal(text, want, strlen(want));
}

static void test_notify(UNUSED void **state)
{
    struct sockaddr_un on = { .sun_family = AF_UNIX };
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(daemon_notify("READY=1"), 0);
    for (int abstract = 0; abstract < 2; abstract++) {
        char name[100];
        snprintf(name, sizeof name, "%s%s/notify", abstract ? "@" : "", dir);
        strcpy(on.sun_path, name);
        if (abstract) on.sun_path[0] = 0;
        CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&on, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
        setenv("NOTIFY_SOCKET", name, 1);
        assert_int_equal(daemon_notify("READY=1"), 0);
        expect_notified(fd, "READY=1");
        assert_int_equal(daemon_notify_reloading(), 0);
        expect_notified(fd, "RELOADING=1\nMONOTONIC_USEC=");
    }
    setenv("NOTIFY_SOCKET", "/none/socket", 1);
    assert_int_equal(daemon_notify("READY=1"), ERR_SYS(ENOENT));
    unsetenv("NOTIFY_SOCKET");
}

static void test_listen_fds(UNUSED void **state)
{
    size_t n = 9;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(daemon_listen_fds(&n), 0);
    assert_int_equal(n, 0);
    int p[2], status;
    assert_int_equal(fd_pipe(p), 0);
    pid_t child = fork();
    if (child == 0) {
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        if (dup2(p[0], 3) < 0) _exit(1);
        if (daemon_listen_fds(&n) < 0 || n != 1 || getenv("LISTEN_FDS")) _exit(2);
        _exit(fcntl(3, F_GETFD) & FD_CLOEXEC ? 0 : 3);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "1", 1);
    assert_int_equal(daemon_listen_fds(&n), 0);
    assert_int_equal(n, 0);
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "-1", 1);
    assert_int_equal(daemon_listen_fds(&n), 0);
    assert_int_equal(n, 0);
    fd_close(p[0]);
    fd_close(p[1]);
}

/* The starter: its status says whether the daemon came up. */
static int starter(bool comes_up)
{
    struct daemon d = DAEMON_INIT;
    int err = daemon_detach(&d, false);
    if (err == DAEMON_PARENT) return 0;
    if (err == ERR_PEER_CLOSED) return 255;
    if (err < 0) return 1;
    if (!comes_up) _exit(3);
    if (getsid(0) != getpid()) _exit(4);
    daemon_ready(&d);
    daemon_ready(&d);
    _exit(0);
}

static void test_detach(UNUSED void **state)
{
    for (int up = 0; up < 2; up++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) _exit(starter(up));
        waitpid(pid, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), up ? 0 : 255);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_lines),       cmocka_unit_test(test_syslog_without_a_daemon),
        cmocka_unit_test(test_syslog_line),     cmocka_unit_test(test_login_records),
        cmocka_unit_test(test_no_record_files), cmocka_unit_test(test_pid_file),
        cmocka_unit_test(test_notify),          cmocka_unit_test(test_listen_fds),
        cmocka_unit_test(test_detach),
    };
    return cmocka_run_group_tests_name("os/record", tests, make_dir, remove_dir);
}
