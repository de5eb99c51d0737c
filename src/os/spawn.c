/* Starting programs by vfork: the child borrows the parent's memory until exec, which makes the cost independent of the parent's
 * size and gives the child's error to the parent in a plain variable. So between vfork and exec there are system calls only: no
 * allocation, no name service, no stdio; everything else is prepared before. */
#include "os/spawn.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct start {
    const struct spawn *s;
    volatile int err;
};

static int check(long n) { return n < 0 ? ERR_SYS(errno) : 0; }

/* --- steps of the child, in order --- */

static int become_leader(const struct spawn *s)
{
    if (s->new_session || s->ctty > 0) TRY(check(setsid()));
    if (s->ctty > 0) TRY(check(ioctl(s->ctty, TIOCSCTTY, 0)));
    if (s->new_group) TRY(check(setpgid(0, 0)));
    return 0;
}

static int set_limits(const struct spawn *s)
{
    for (size_t i = 0; i < s->n_limits; i++) TRY(spawn_set_limit(s->limits[i].what, s->limits[i].value));
    if (s->not_dumpable) TRY(spawn_set_limit(RLIMIT_CORE, 0));
    if (s->nice) {
        errno = 0;
        if (nice(s->nice) == -1 && errno) return ERR_SYS(errno);
    }
    return 0;
}

/* The raw calls: glibc's wrappers talk to the other threads of what is, for them, still the parent. */
static int change_identity(const struct user *u)
{
    if (!u) return 0;
    bool root = geteuid() == 0;
    if (root) TRY(check(syscall(SYS_setgroups, u->n_groups, u->groups)));
    TRY(check(syscall(SYS_setresgid, u->gid, u->gid, u->gid)));
    TRY(check(syscall(SYS_setresuid, u->uid, u->uid, u->uid)));
    uid_t r, e, saved;
    TRY(check(getresuid(&r, &e, &saved)));
    return r == u->uid && e == u->uid && saved == u->uid ? 0 : ERR_SYS(EPERM);
}

static int change_place(const struct spawn *s)
{
    if (s->chroot_dir) {
        TRY(check(chroot(s->chroot_dir)));
        TRY(check(chdir("/")));
    }
    TRY(change_identity(s->as));
    return s->cwd ? check(chdir(s->cwd)) : 0;
}

static bool is_target(const struct spawn *s, int fd)
{
    for (size_t i = 0; i < s->n_fds; i++)
        if (s->fds[i].to == fd) return true;
    return false;
}

static int lowest_free(const struct spawn *s)
{
    int top = 3;
    for (size_t i = 0; i < s->n_fds; i++) top = MAX(top, s->fds[i].to + 1);
    return top;
}

static int copy_above(int fd, int lowest, int *ret)
{
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    return check(*ret);
}

/* First all sources are copied out of the way of all targets, so that crossing maps work; the copies, and everything not
 * mapped, close at exec. */
static int map_fds(const struct spawn *s, int *exec_fd)
{
    int copies[SPAWN_FDS_MAX], null, top = lowest_free(s);
    if (s->exec_fd > 0) TRY(copy_above(s->exec_fd, top, exec_fd));
    TRY(check(null = open("/dev/null", O_RDWR | O_CLOEXEC)));
    TRY(copy_above(null, top, &null));
    for (size_t i = 0; i < s->n_fds; i++) TRY(copy_above(s->fds[i].from < 0 ? null : s->fds[i].from, top, &copies[i]));
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    for (size_t i = 0; i < s->n_fds; i++) TRY(check(dup2(copies[i], s->fds[i].to)));
    for (int fd = 0; fd <= 2 && !s->keep_std; fd++)
        if (!is_target(s, fd)) TRY(check(dup2(null, fd)));
    return 0;
}

static int run_program(const struct spawn *s, int exec_fd)
{
    char *const *argv = (char *const *)(uintptr_t)s->argv;
    char *const *env = s->env ? (char *const *)(uintptr_t)s->env : environ;
    if (exec_fd >= 0)
        (void)syscall(SYS_execveat, exec_fd, "", argv, env, AT_EMPTY_PATH);
    else if (s->search)
        execvpe(s->path, argv, env);
    else
        execve(s->path, argv, env);
    return ERR_SYS(errno);
}

static int steps(const struct spawn *s)
{
    int exec_fd = -1;
    TRY(become_leader(s));
    TRY(map_fds(s, &exec_fd));
    TRY(set_limits(s));
    TRY(change_place(s));
    if (s->no_new_privs) TRY(spawn_no_new_privs());
    /* Last: a change of ids takes it back. */
    if (s->die_with_parent) TRY(check(prctl(PR_SET_PDEATHSIG, SIGKILL)));
    spawn_reset_signals(false);
    if (s->ignore_int && signal(SIGINT, SIG_IGN) == SIG_ERR) return ERR_SYS(errno);
    return run_program(s, exec_fd);
}

/* --- the parent --- */

static int check_request(const struct spawn *s)
{
    if (s->n_fds > SPAWN_FDS_MAX) return ERR_LIMIT;
    if (s->as && !s->as->groups_known && geteuid() == 0) return ERR_STATE;
    if (!s->argv || !s->argv[0] || (s->exec_fd <= 0 && !s->path)) return ERR_STATE;
    return 0;
}

/* A function of its own, because what vfork's caller holds in registers is the child's to spoil. */
static __attribute__((noinline)) pid_t start(struct start *c)
{
    pid_t pid = vfork();
    if (pid == 0) {
        c->err = steps(c->s);
        _exit(127);
    }
    return pid;
}

int spawn_run(const struct spawn *s, pid_t *ret_pid)
{
    TRY(check_request(s));
    struct start c = { .s = s, .err = 0 };
    sigset_t all, old;
    sigfillset(&all);
    /* A handler of ours must not run in the child, whose memory is ours. */
    sigprocmask(SIG_BLOCK, &all, &old);
    pid_t pid = start(&c);
    int err = pid < 0 ? ERR_SYS(errno) : c.err, status;
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (pid > 0 && err < 0) (void)!spawn_wait(pid, &status);
    TRY(err);
    *ret_pid = pid;
    return 0;
}

int spawn_exec(const struct spawn *s)
{
    TRY(check_request(s));
    return steps(s);
}

int spawn_wait(pid_t pid, int *ret_status)
{
    pid_t got;
    do got = waitpid(pid, ret_status, 0);
    while (got < 0 && errno == EINTR);
    return check(got);
}

int spawn_wait_or_kill(pid_t pid, ms timeout_ms, int *ret_status)
{
    CLEANUP(fd_closep) int pidfd = pidfd_open(pid, 0);
    ms end = clock_now() + timeout_ms;
    int err = pidfd < 0 ? ERR_SYS(errno) : ERR_CANCELLED;
    while (err == ERR_CANCELLED) err = fd_wait(pidfd, false, end - clock_now());
    if (err < 0) (void)kill(pid, SIGKILL);
    return spawn_wait(pid, ret_status);
}

int spawn_open_process(pid_t pid, int *ret_fd)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0) return ERR_SYS(errno);
    *ret_fd = fd;
    return 0;
}

/* --- this process --- */

/* Not by RLIMIT_CORE: what runs later for the user inherits that and could not raise it again. */
int spawn_hide_memory(void) { return check(prctl(PR_SET_DUMPABLE, 0)); }

/* With a limit, memory asked for beyond it would be refused from then on, so that more than the limit's worth of keys would be an
 * error: better none of it than that. */
int spawn_lock_memory(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) return ERR_SYS(errno);
    if (geteuid() != 0 && limit.rlim_cur != RLIM_INFINITY) return ERR_SYS(ENOMEM);
    return check(mlockall(MCL_CURRENT | MCL_FUTURE));
}

int spawn_no_new_privs(void) { return check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

int spawn_set_limit(int what, rlim_t value)
{
    struct rlimit r = { value, value };
    return check(setrlimit((__rlimit_resource_t)what, &r));
}

int spawn_raise_files(rlim_t *ret_n)
{
    struct rlimit limit;
    TRY(check(getrlimit(RLIMIT_NOFILE, &limit)));
    limit.rlim_cur = limit.rlim_max;
    TRY(check(setrlimit(RLIMIT_NOFILE, &limit)));
    *ret_n = limit.rlim_cur;
    return 0;
}

void spawn_reset_signals(bool ignore_pipe)
{
    struct sigaction by_default = { .sa_handler = SIG_DFL }, ignore = { .sa_handler = SIG_IGN };
    for (int i = 1; i < _NSIG; i++) (void)sigaction(i, &by_default, NULL);
    /* The two that the C library keeps for its threads cannot be set through it, but may have been inherited ignored. */
    static const unsigned long kernel_default[4];
    for (int i = 32; i <= 33; i++) (void)syscall(SYS_rt_sigaction, i, kernel_default, NULL, _NSIG / 8);
    if (ignore_pipe) (void)sigaction(SIGPIPE, &ignore, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int spawn_open_program(const char *path, int *ret_fd)
{
    int fd = open(path ? path : "/proc/self/exe", O_PATH | O_CLOEXEC);
    if (fd < 0) return ERR_SYS(errno);
    *ret_fd = fd;
    return 0;
}

int spawn_self_path(char **ret_path)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0) return ERR_SYS(errno);
    char *copy = view_dup_str(view_of(path, (size_t)n));
    if (!copy) return ERR_NOMEM;
    *ret_path = copy;
    return 0;
}

int spawn_background(void)
{
    pid_t pid = fork();
    if (pid < 0) return ERR_SYS(errno);
    if (pid > 0) return SPAWN_PARENT;
    (void)setsid(); /* cannot fail: a new process leads no group */
    return 0;
}

static void let_child_signal(bool through)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(through ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static void on_copy_ended(UNUSED int signal) {} /* it has interrupted ppoll */

void spawn_copies_begin(void)
{
    let_child_signal(false);
    (void)signal(SIGCHLD, on_copy_ended);
}

int spawn_copies_wait(int fd, pid_t *ret_pid, int *ret_status)
{
    struct pollfd wanted = { .fd = fd, .events = POLLIN };
    sigset_t none;
    sigemptyset(&none);
    for (;;) {
        pid_t pid = waitpid(-1, ret_status, WNOHANG);
        *ret_pid = pid;
        if (pid > 0) return SPAWN_COPY_ENDED;
        int n = ppoll(&wanted, 1, NULL, &none);
        if (n > 0) return SPAWN_COPY_WANTED;
        if (errno != EINTR) return ERR_SYS(errno);
    }
}

int spawn_copy(void)
{
    pid_t pid = fork();
    if (pid < 0) return ERR_SYS(errno);
    if (pid > 0) return SPAWN_PARENT;
    (void)signal(SIGCHLD, SIG_DFL);
    let_child_signal(true);
    return 0;
}

static _Noreturn void run_aside(void (*fn)(const void *arg, int fd), const void *arg, int fd, pid_t parent)
{
    /* Sockets of the parent would stay open with us: their ends would not be seen. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) _exit(1);
    int own = STDERR_FILENO + 1;
    if (fd != own && dup2(fd, own) < 0) _exit(1);
    fd_close_from(own + 1);
    spawn_reset_signals(true);
    fn(arg, own);
    _exit(0);
}

int spawn_aside(void (*fn)(const void *arg, int fd), const void *arg, pid_t *ret_pid, int *ret_fd)
{
    int ends[2];
    pid_t self = getpid();
    TRY(fd_pipe(ends));
    CLEANUP(fd_closep) int from = ends[0];
    CLEANUP(fd_closep) int to = ends[1];
    pid_t pid = fork();
    if (pid < 0) return ERR_SYS(errno);
    if (pid == 0) run_aside(fn, arg, to, self);
    *ret_pid = pid;
    *ret_fd = fd_take(&from);
    return 0;
}
