/* File descriptors: reading, writing, making, passing. Everything made here is close-on-exec. Interrupted calls (EINTR) are
 * repeated. Errors are ERR_SYS(errno) unless a line says otherwise. */
#pragma once

#include "base/err.h"
#include "base/view.h"

#include <sys/uio.h>

/* Closes; -1 is fine. errno is left alone. */
void fd_close(int fd);
/* CLEANUP(fd_closep) int fd = -1;  and  return fd_take(&fd)  when ownership leaves. */
static inline void fd_closep(int *fd)
{
    fd_close(*fd);
    *fd = -1;
}
static inline int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

int fd_nonblock(int fd, bool on) MUST_USE;
int fd_cloexec(int fd, bool on) MUST_USE;

/* One system call. *ret_n bytes were moved, at least 1 unless len is 0; a read of 0 bytes is the end of the file (a terminal master
 * whose other side is gone, EIO, reads as the end too). ERR_AGAIN: nothing to be had now (non-blocking fds). A write to a closed
 * pipe or socket is ERR_SYS(EPIPE); programs ignore SIGPIPE. */
int fd_read(int fd, void *ret_bytes, size_t len, size_t *ret_n) MUST_USE;
int fd_write(int fd, const void *bytes, size_t len, size_t *ret_n) MUST_USE;
int fd_readv(int fd, const struct iovec *parts, size_t n, size_t *ret_n) MUST_USE;
int fd_writev(int fd, const struct iovec *parts, size_t n, size_t *ret_n) MUST_USE;

/* All of it; waits also on non-blocking fds. An end of file before len bytes: ERR_TRUNCATED (ERR_PEER_CLOSED when not one byte
 * came). */
int fd_read_all(int fd, void *ret_bytes, size_t len) MUST_USE;
int fd_write_all(int fd, struct view bytes) MUST_USE;
/* Waits until fd can be read (or written, if write) or has hung up: ERR_TIMEOUT after timeout_ms (MS_NEVER: waits for ever),
 * ERR_CANCELLED when a signal handler ran. For code before and beside the loop: prompts, PAM conversations. */
int fd_wait(int fd, bool write, ms timeout_ms) MUST_USE;

int fd_pipe(int ret_fds[2]) MUST_USE; /* [0] is read, [1] is written */
/* Makes a pipe hold FD_PIPE_BYTES, where it holds less and the user's share of pipe memory allows: fewer turns for the same bytes.
 * Other fds: nothing. */
enum {
    FD_PIPE_BYTES = 256 * 1024
};
void fd_pipe_grow(int fd);
int fd_socketpair(int ret_fds[2]) MUST_USE;         /* unix stream */
int fd_socketpair_packets(int ret_fds[2]) MUST_USE; /* unix SOCK_SEQPACKET: keeps message borders, reports hangups */
int fd_devnull(int *ret_fd) MUST_USE;               /* read and write */
/* A sealed anonymous file with these bytes, offset 0: nobody can change or shrink it, so a receiver may map it. name is for /proc
 * only. */
int fd_memfd(const char *name, struct view bytes, int *ret_fd) MUST_USE;
int fd_dup(int fd, int *ret_fd) MUST_USE; /* a copy with number >= 3 */
/* Opens /dev/null on each of 0, 1, 2 that is closed. First thing in main. */
int fd_fill_std(void) MUST_USE;
/* Points 0, 1 and (if with_stderr) 2 to /dev/null. */
int fd_null_std(bool with_stderr) MUST_USE;
/* Closes every fd >= lowest. */
void fd_close_from(int lowest);
int fd_size(int fd, uint64_t *ret_bytes) MUST_USE; /* of a regular file */

/* Bytes and descriptors over a unix socket. The descriptors stay the sender's own too. n_fds <= FD_PASS_MAX, bytes at least 1.
 * All bytes go, or ERR_AGAIN and none (packet sockets, and short messages on streams); a short write on a stream is completed,
 * waiting. */
enum {
    FD_PASS_MAX = 16
};
int fd_send(int sock, struct view bytes, const int *fds, size_t n_fds) MUST_USE;
/* One recvmsg. *ret_n as fd_read; received descriptors become the caller's, *ret_n_fds of them (at most cap_fds; if more came, or
 * the kernel cut the list, all are closed and the error is ERR_LIMIT). ret_fds NULL with cap_fds 0 refuses descriptors. */
int fd_recv(int sock, void *ret_bytes, size_t len, size_t *ret_n, int *ret_fds, size_t cap_fds, size_t *ret_n_fds) MUST_USE;
