/* Detaching, pid files, systemd. */
#include "os/daemon.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int wait_for_child(int fd)
{
    uint8_t byte;
    TRY(fd_read_all(fd, &byte, 1));
    return DAEMON_PARENT;
}

int daemon_detach(struct daemon *ret, bool keep_stderr)
{
    int ends[2];
    TRY(fd_pipe(ends));
    CLEANUP(fd_closep) int read_end = ends[0];
    CLEANUP(fd_closep) int write_end = ends[1];
    pid_t pid = fork();
    if (pid < 0) return ERR_SYS(errno);
    if (pid > 0) {
        fd_close(fd_take(&write_end));
        return wait_for_child(read_end);
    }
    if (setsid() < 0 || chdir("/") < 0) return ERR_SYS(errno);
    TRY(fd_null_std(!keep_stderr));
    ret->ready_fd = fd_take(&write_end);
    return 0;
}

void daemon_ready(struct daemon *d)
{
    if (d->ready_fd < 0) return;
    (void)!fd_write_all(d->ready_fd, VIEW_LIT("\n"));
    fd_close(d->ready_fd);
    d->ready_fd = -1;
}

/* --- pid file --- */

static bool wanted(const char *path) { return path && *path && strcmp(path, "none") != 0; }

int daemon_pid_write(const char *path)
{
    if (!wanted(path)) return 0;
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    return file_write(path, view_of(text, (size_t)n), &(struct file_write){ .mode = 0644, .no_sync = true });
}

void daemon_pid_remove(const char *path)
{
    if (!wanted(path)) return;
    CLEANUP(buf_done) struct buf text = BUF_INIT(64);
    if (file_read(path, &text) < 0) return;
    const char *s = buf_cstr(&text);
    if (s && strtol(s, NULL, 10) == (long)getpid()) (void)unlink(path);
}

/* --- sd_notify(3) --- */

int daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !*path) return 0;
    size_t n = strlen(path);
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (n >= sizeof to.sun_path) return ERR_LIMIT;
    memcpy(to.sun_path, path, n);
    if (to.sun_path[0] == '@') to.sun_path[0] = 0; /* abstract */
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return ERR_SYS(errno);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, len);
    return sent < 0 ? ERR_SYS(errno) : 0;
}

int daemon_notify_reloading(void)
{
    struct timespec t = { 0 };
    clock_gettime(CLOCK_MONOTONIC, &t);
    char text[96];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
    return daemon_notify(text);
}

/* --- sd_listen_fds(3) --- */

static bool number_of(const char *name, long max, long *ret)
{
    const char *text = getenv(name);
    char *end = NULL;
    errno = 0;
    long v = text && *text ? strtol(text, &end, 10) : -1;
    if (!end || *end || errno || v < 0 || v > max) return false;
    *ret = v;
    return true;
}

static long n_given(void)
{
    long pid = 0, n = 0;
    bool ours = number_of("LISTEN_PID", INT32_MAX, &pid) && pid == (long)getpid() && number_of("LISTEN_FDS", DAEMON_LISTEN_MAX, &n);
    return ours ? n : 0;
}

void daemon_close_inherited(void) { fd_close_from(DAEMON_LISTEN_FIRST + (int)n_given()); }

int daemon_listen_fds(size_t *ret_n)
{
    long n = n_given();
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    *ret_n = 0;
    for (int fd = DAEMON_LISTEN_FIRST; fd < DAEMON_LISTEN_FIRST + (int)n; fd++) TRY(fd_cloexec(fd, true));
    *ret_n = (size_t)n;
    return 0;
}
