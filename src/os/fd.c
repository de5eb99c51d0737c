/* File descriptors. */
#include "os/fd.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int fd)
{
    if (fd < 0) return;
    int saved = errno;
    close(fd); /* on Linux the fd is gone also after EINTR */
    errno = saved;
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
    int old = fcntl(fd, get);
    if (old < 0) return ERR_SYS(errno);
    int new = on ? old | flag : old & ~flag;
    if (new != old && fcntl(fd, set, new) < 0) return ERR_SYS(errno);
    return 0;
}

int fd_nonblock(int fd, bool on) { return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on); }
int fd_cloexec(int fd, bool on) { return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on); }

static int moved(ssize_t n, size_t *ret_n)
{
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_SYS(errno);
    *ret_n = (size_t)n;
    return 0;
}

/* The slave side of a terminal closed: an end of file for whoever reads the master. */
static ssize_t eio_is_end(int fd, ssize_t n) { return n < 0 && errno == EIO && isatty(fd) ? 0 : n; }

int fd_read(int fd, void *ret_bytes, size_t len, size_t *ret_n)
{
    ssize_t n;
    do n = read(fd, ret_bytes, len);
    while (n < 0 && errno == EINTR);
    return moved(n < 0 && errno == EIO ? eio_is_end(fd, n) : n, ret_n);
}

int fd_write(int fd, const void *bytes, size_t len, size_t *ret_n)
{
    ssize_t n;
    do n = write(fd, bytes, len);
    while (n < 0 && errno == EINTR);
    return moved(n, ret_n);
}

int fd_readv(int fd, const struct iovec *parts, size_t n_parts, size_t *ret_n)
{
    ssize_t n;
    do n = readv(fd, parts, (int)n_parts);
    while (n < 0 && errno == EINTR);
    return moved(n < 0 && errno == EIO ? eio_is_end(fd, n) : n, ret_n);
}

int fd_writev(int fd, const struct iovec *parts, size_t n_parts, size_t *ret_n)
{
    ssize_t n;
    do n = writev(fd, parts, (int)n_parts);
    while (n < 0 && errno == EINTR);
    return moved(n, ret_n);
}

int fd_wait(int fd, bool write, ms timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = write ? POLLOUT : POLLIN };
    timeout_ms = MAX(timeout_ms, (ms)0);
    int n = poll(&p, 1, timeout_ms == MS_NEVER ? -1 : (int)MIN(timeout_ms, (ms)INT32_MAX));
    if (n < 0) return errno == EINTR ? ERR_CANCELLED : ERR_SYS(errno);
    return n == 0 ? ERR_TIMEOUT : 0;
}

static int wait_patiently(int fd, bool write)
{
    int err;
    do err = fd_wait(fd, write, MS_NEVER);
    while (err == ERR_CANCELLED);
    return err;
}

int fd_read_all(int fd, void *ret_bytes, size_t len)
{
    uint8_t *to = ret_bytes;
    for (size_t done = 0, n; done < len; done += n) {
        int err = fd_read(fd, to + done, len - done, &n);
        if (err == ERR_AGAIN) {
            n = 0;
            err = wait_patiently(fd, false);
        } else if (err == 0 && n == 0)
            return done ? ERR_TRUNCATED : ERR_PEER_CLOSED;
        TRY(err);
    }
    return 0;
}

int fd_write_all(int fd, struct view bytes)
{
    while (bytes.len) {
        size_t n = 0;
        int err = fd_write(fd, bytes.p, bytes.len, &n);
        if (err == ERR_AGAIN) err = wait_patiently(fd, true);
        TRY(err);
        bytes = view_sub(bytes, n, bytes.len);
    }
    return 0;
}

int fd_pipe(int ret_fds[2]) { return pipe2(ret_fds, O_CLOEXEC) < 0 ? ERR_SYS(errno) : 0; }
void fd_pipe_grow(int fd)
{
    int now = fcntl(fd, F_GETPIPE_SZ);
    if (now > 0 && now < FD_PIPE_BYTES) (void)fcntl(fd, F_SETPIPE_SZ, FD_PIPE_BYTES);
}

int fd_socketpair(int ret_fds[2]) { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) < 0 ? ERR_SYS(errno) : 0; }

int fd_socketpair_packets(int ret_fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0 ? ERR_SYS(errno) : 0;
}

int fd_devnull(int *ret_fd)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) return ERR_SYS(errno);
    *ret_fd = fd;
    return 0;
}

int fd_memfd(const char *name, struct view bytes, int *ret_fd)
{
    CLEANUP(fd_closep) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return ERR_SYS(errno);
    TRY(fd_write_all(fd, bytes));
    if (lseek(fd, 0, SEEK_SET) < 0) return ERR_SYS(errno);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) return ERR_SYS(errno);
    *ret_fd = fd_take(&fd);
    return 0;
}

int fd_dup(int fd, int *ret_fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return ERR_SYS(errno);
    *ret_fd = copy;
    return 0;
}

int fd_fill_std(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0) return ERR_SYS(errno);
    } while (fd <= 2);
    fd_close(fd);
    return 0;
}

int fd_null_std(bool with_stderr)
{
    CLEANUP(fd_closep) int null = -1;
    TRY(fd_devnull(&null));
    int err = 0;
    for (int to = 0; to <= (with_stderr ? 2 : 1); to++) {
        if (to == null)
            err = fd_cloexec(null, false);
        else if (dup2(null, to) < 0)
            err = ERR_SYS(errno);
        TRY(err);
    }
    if (null <= 2) null = -1;
    return 0;
}

void fd_close_from(int lowest) { (void)close_range((unsigned)lowest, ~0U, 0); }

int fd_size(int fd, uint64_t *ret_bytes)
{
    struct stat st;
    if (fstat(fd, &st) < 0) return ERR_SYS(errno);
    if (!S_ISREG(st.st_mode)) return ERR_UNSUPPORTED;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

/* --- descriptors over unix sockets --- */

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
};

static void put_fds(struct msghdr *m, union control *c, const int *fds, size_t n_fds)
{
    m->msg_control = c->bytes;
    m->msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
    struct cmsghdr *h = CMSG_FIRSTHDR(m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
    memcpy(CMSG_DATA(h), fds, sizeof(int) * n_fds);
}

int fd_send(int sock, struct view bytes, const int *fds, size_t n_fds)
{
    if (n_fds > FD_PASS_MAX) return ERR_LIMIT;
    if (bytes.len == 0) return ERR_RANGE;
    union control c = { .bytes = { 0 } };
    struct iovec part = { (void *)(uintptr_t)bytes.p, bytes.len };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    if (n_fds) put_fds(&m, &c, fds, n_fds);
    ssize_t got;
    size_t n = 0;
    do got = sendmsg(sock, &m, MSG_NOSIGNAL);
    while (got < 0 && errno == EINTR);
    TRY(moved(got, &n));
    return n < bytes.len ? fd_write_all(sock, view_sub(bytes, n, bytes.len)) : 0;
}

/* Takes the descriptors of one message out of it. Those over cap are closed. True when there were too many. */
static bool take_fds(struct msghdr *m, int *ret_fds, size_t cap, size_t *ret_n)
{
    size_t n = 0;
    bool over = (m->msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (n < cap)
                ret_fds[n++] = fd;
            else {
                fd_close(fd);
                over = true;
            }
        }
    }
    *ret_n = n;
    return over;
}

int fd_recv(int sock, void *ret_bytes, size_t len, size_t *ret_n, int *ret_fds, size_t cap_fds, size_t *ret_n_fds)
{
    union control c;
    struct iovec part = { ret_bytes, len };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = sizeof c.bytes };
    ssize_t got;
    size_t n, n_fds;
    int fds[FD_PASS_MAX];
    do got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    TRY(moved(got, &n));
    if (take_fds(&m, fds, MIN(cap_fds, (size_t)FD_PASS_MAX), &n_fds) || (m.msg_flags & MSG_TRUNC)) {
        for (size_t i = 0; i < n_fds; i++) fd_close(fds[i]);
        return ERR_LIMIT;
    }
    if (n_fds) memcpy(ret_fds, fds, n_fds * sizeof fds[0]);
    if (ret_n_fds) *ret_n_fds = n_fds;
    *ret_n = n;
    return 0;
}
