/* Which system calls the confined processes may make, and why. PROT_EXEC is 4 in mmap's and mprotect's third argument. */
#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define ALLOW(name, reason)         \
    {                               \
        .call = name, .why = reason \
    }
#define ALLOW_IF(name, number, bits, wanted, reason)                                              \
    {                                                                                             \
        .call = name, .why = reason, .masked = true, .arg = number, .mask = bits, .value = wanted \
    }
#define REFUSE(name, with, reason)                      \
    {                                                   \
        .call = name, .why = reason, .deny_errno = with \
    }

#define MEMORY_AND_TIME                                                                                                            \
    ALLOW("brk", "heap"), ALLOW("munmap", "heap"), ALLOW("mremap", "heap"), ALLOW("madvise", "heap; secrets out of core dumps"),   \
        ALLOW("mlock", "secret memory"), ALLOW("munlock", "secret memory"), ALLOW_IF("mmap", 2, PROT_EXEC, 0, "heap, never code"), \
        ALLOW_IF("mprotect", 2, PROT_EXEC, 0, "heap, never code"), ALLOW("getrandom", "keys, nonces, padding"),                    \
        ALLOW("clock_gettime", "where the vdso has no clock"), ALLOW("gettimeofday", "the same"), ALLOW("time", "the same"),       \
        ALLOW("getpid", "libcrypto looks whether it was forked"), ALLOW("gettid", "libc's locks"),                                 \
        ALLOW("futex", "libcrypto's locks"), ALLOW("sched_yield", "libc's locks"),                                                 \
        ALLOW("rt_sigreturn", "coming back from a handler"), ALLOW("rt_sigprocmask", "the loop's signals"),                        \
        ALLOW("sigaltstack", "instrumented builds, where a function does not return"), ALLOW("restart_syscall", "after a stop"),   \
        ALLOW("exit", "the end"), ALLOW("exit_group", "the end")

/* Things that libraries try by themselves and can do without. */
#define REFUSED                                                                                                             \
    REFUSE("openat", EACCES, "time zone, openssl.cnf, locale"), REFUSE("open", EACCES, "the same"),                         \
        REFUSE("access", EACCES, "the same"), REFUSE("newfstatat", EACCES, "the same"), REFUSE("stat", EACCES, "the same"), \
        REFUSE("readlink", EACCES, "the same"), REFUSE("socket", EACCES, "syslog"),                                         \
        REFUSE("ioctl", ENOTTY, "whether it is a terminal"), REFUSE("sysinfo", EPERM, "how much memory there is (qsort)"),  \
        REFUSE("sched_getaffinity", EPERM, "how many processors there are (malloc)"),                                       \
        REFUSE("prctl", EPERM, "names of threads and mappings")

#define MESSAGES                                                                                                            \
    ALLOW("read", "sockets and pipes there are"), ALLOW("write", "the same"), ALLOW("readv", "the same"),                   \
        ALLOW("writev", "the same"), ALLOW("recvmsg", "messages between our processes"), ALLOW("sendmsg", "the same"),      \
        ALLOW("recvfrom", "the same"), ALLOW("sendto", "the same; open log sockets"), ALLOW("poll", "waiting"),             \
        ALLOW("ppoll", "waiting"), ALLOW("epoll_wait", "the loop"), ALLOW("epoll_pwait", "the loop"),                       \
        ALLOW("epoll_ctl", "the loop"), ALLOW("close", "what is no longer needed"), ALLOW("fstat", "what a descriptor is"), \
        ALLOW("lseek", "libc's streams"), ALLOW_IF("fcntl", 1, 0xffffffff, F_GETFL, "blocking or not"),                     \
        ALLOW_IF("fcntl", 1, 0xffffffff, F_SETFL, "the same"), ALLOW_IF("fcntl", 1, 0xffffffff, F_GETFD, "close on exec"),  \
        ALLOW_IF("fcntl", 1, 0xffffffff, F_SETFD, "the same")

const struct sandbox_rule sandbox_net_child[] = {
    MEMORY_AND_TIME,
    MESSAGES,
    ALLOW("shutdown", "the end of the connection"),
    ALLOW("getsockopt", "state of the connection"),
    ALLOW("setsockopt", "TCP_NODELAY, IP_TOS"),
    ALLOW("getpeername", "who it is"),
    ALLOW("getsockname", "who we are"),
    ALLOW("epoll_create1", "a loop made after the sandbox"),
    ALLOW("signalfd4", "the loop's signals"),
    REFUSED,
};
const size_t sandbox_net_child_n = ARRAY_LEN(sandbox_net_child);

const struct sandbox_rule sandbox_key_holder[] = {
    MEMORY_AND_TIME,
    MESSAGES,
    ALLOW("signalfd4", "the loop's signals"),
    REFUSED,
};
const size_t sandbox_key_holder_n = ARRAY_LEN(sandbox_key_holder);
