/* Starting programs. The child shares nothing that is not named: only the mapped fds survive, signals are back to default and
 * unblocked, and the parent waits (vfork) until the exec has happened or failed, so an exec error is an error of spawn. */
#pragma once

#include "base/err.h"

#include <sys/resource.h>
#include <sys/types.h>

struct user;

struct spawn_fd {
    int from; /* in this process; -1: /dev/null */
    int to;   /* in the child. Any mapping works, crossing ones as well */
};
struct spawn_limit {
    int what;     /* RLIMIT_* */
    rlim_t value; /* soft and hard */
};

enum {
    SPAWN_FDS_MAX = 64
};
struct spawn {
    const char *path; /* what to execute; used when exec_fd is 0. If search, looked up in PATH */
    int exec_fd;      /* > 0: execute this open program instead (a binary that was replaced on disk still works). Not for scripts */
    bool search;
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* NULL: this process's */
    const char *cwd;         /* NULL: unchanged. Failing to enter is an error */
    const char *chroot_dir;  /* NULL: none. Before the identity changes; cwd is inside */
    const struct spawn_fd *fds;
    size_t n_fds;          /* 0, 1, 2 that are not mapped become /dev/null, unless keep_std */
    bool keep_std;         /* 0, 1, 2 that are not mapped are inherited */
    const struct user *as; /* NULL: unchanged. Its groups must be loaded */
    int ctty;              /* > 0: new session, and this fd (of this process) is its controlling terminal */
    bool new_session;
    bool new_group;  /* own process group */
    bool ignore_int; /* SIGINT is ignored: an interrupt from the terminal is the parent's matter */
    bool no_new_privs;
    bool not_dumpable;    /* holds from exec on by RLIMIT_CORE 0; the program calls spawn_hide_memory itself for ptrace */
    bool die_with_parent; /* SIGKILL when this process ends */
    int nice;             /* added */
    const struct spawn_limit *limits;
    size_t n_limits;
};
/* ERR_SYS of the step that failed in the child; ERR_LIMIT; then there is no child. */
int spawn_run(const struct spawn *s, pid_t *ret_pid) MUST_USE;
/* Replaces this process: all of spawn_run's steps without a child. Comes back only with an error. */
int spawn_exec(const struct spawn *s) MUST_USE;

/* Waits for a child; status as waitpid's. */
int spawn_wait(pid_t pid, int *ret_status) MUST_USE;
/* The same within a time; after it the child is killed, which is no error. */
int spawn_wait_or_kill(pid_t pid, ms timeout_ms, int *ret_status) MUST_USE;
/* A process that is not our child: *ret_fd can be read (loop_fd_new) once it has ended. */
int spawn_open_process(pid_t pid, int *ret_fd) MUST_USE;
/* "exited with status 3", "was killed by signal 9 (Killed)". */
void spawn_status_text(int status, char *ret_text, size_t cap);
/* Name of a signal without SIG, as exit-signal wants it (RFC 4254 6.10); NULL for those that have none there. */
const char *spawn_signal_name(int signal);
int spawn_signal_number(const char *name); /* of such a name; 0: unknown */

/* Forks to go on in the background: the child, in a session of its own, gets 0; the parent gets SPAWN_PARENT and should _exit at
 * once, as descriptors and what is queued are the child's now. A loop must be told (loop_forked). ERR_SYS: there is no child. */
enum {
    SPAWN_PARENT = 1
};
int spawn_background(void) MUST_USE;

/* For a process that only waits to be copied (prog/sshd/zygote.h), one after the other:
 * from begin on the end of a copy interrupts wait, and nothing else;
 * wait waits until fd can be read, SPAWN_COPY_WANTED, or a copy has ended, SPAWN_COPY_ENDED with which and its status;
 * spawn_copy gives 0 in the child, with all signals as they were before begin, and SPAWN_PARENT in the parent. */
enum {
    SPAWN_COPY_WANTED = 1,
    SPAWN_COPY_ENDED
};
void spawn_copies_begin(void);
int spawn_copies_wait(int fd, pid_t *ret_pid, int *ret_status) MUST_USE;
int spawn_copy(void) MUST_USE;

/* Runs fn in a copy of this process that has nothing open but the standard descriptors and fd, and ends behind it; what fn writes
 * to fd is read from *ret_fd. For library calls that would block a loop. The copy ends with this process; spawn_wait it. */
int spawn_aside(void (*fn)(const void *arg, int fd), const void *arg, pid_t *ret_pid, int *ret_fd) MUST_USE;

/* Of this process: no ptrace by the user, no core dumps. For whoever holds secrets. */
int spawn_hide_memory(void) MUST_USE;
/* Of this process, as far as its limit allows: nothing goes to swap, now and later. ERR_SYS: only what secret memory locks by
 * itself. */
int spawn_lock_memory(void) MUST_USE;
int spawn_no_new_privs(void) MUST_USE;
int spawn_set_limit(int what, rlim_t value) MUST_USE;
/* As many descriptors as the hard limit allows; how many that are. */
int spawn_raise_files(rlim_t *ret_n) MUST_USE;
/* All signal handlers to default, no signal blocked; SIGPIPE ignored if ignore_pipe. */
void spawn_reset_signals(bool ignore_pipe);
/* An open program (O_PATH) for exec_fd: this very binary if path is NULL. */
int spawn_open_program(const char *path, int *ret_fd) MUST_USE;
/* Absolute path of this very binary. Caller frees. */
int spawn_self_path(char **ret_path) MUST_USE;
