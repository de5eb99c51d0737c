/* Giving up rights. The tables of allowed calls are in sandbox_rules.c. */
#include "os/sandbox.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/user_int.h"

#include <errno.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- system calls --- */

/* Debugging only: the name comes from the heap, which a signal handler must not touch in earnest. raise() is a forbidden call
 * itself, and as SIGSYS is blocked in here, the kernel then ends the process by it. */
static void on_forbidden(UNUSED int number, siginfo_t *info, UNUSED void *context)
{
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, info->si_syscall);
    const char *parts[] = { "sandbox: forbidden system call: ", name ? name : "?", "\n" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) (void)!write(STDERR_FILENO, parts[i], strlen(parts[i]));
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
    _exit(255);
}

static int add_rule(scmp_filter_ctx ctx, const struct sandbox_rule *r)
{
    int call = seccomp_syscall_resolve_name(r->call);
    if (call < 0) return 0; /* not of this machine or this library */
    struct scmp_arg_cmp arg = { .arg = r->arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = r->mask, .datum_b = r->value };
    uint32_t action = r->deny_errno ? SCMP_ACT_ERRNO((uint32_t)r->deny_errno) : SCMP_ACT_ALLOW;
    int n = seccomp_rule_add_array(ctx, action, call, r->masked ? 1 : 0, &arg);
    return n < 0 ? ERR_SYS(-n) : 0;
}

static int add_rules(scmp_filter_ctx ctx, const struct sandbox_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) TRY(add_rule(ctx, &rules[i]));
    return 0;
}

int sandbox_enter(const struct sandbox_rule *rules, size_t n, bool trap)
{
    struct sigaction sa = { .sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO };
    if (trap && sigaction(SIGSYS, &sa, NULL) < 0) return ERR_SYS(errno);
    TRY(spawn_no_new_privs());
    scmp_filter_ctx ctx = seccomp_init(trap ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
    if (!ctx) return ERR_NOMEM;
    int err = add_rules(ctx, rules, n);
    int got = err == 0 ? seccomp_load(ctx) : 0;
    seccomp_release(ctx);
    if (got < 0) err = got == -EINVAL || got == -ENOSYS ? ERR_UNSUPPORTED : ERR_SYS(-got);
    return err;
}

/* --- identity and root directory --- */

static int enter_empty_root(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) < 0) return ERR_SYS(errno);
    if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022)) return ERR_DENIED;
    return chroot(dir) < 0 || chdir("/") < 0 ? ERR_SYS(errno) : 0;
}

int sandbox_drop(const struct sandbox_drop *how)
{
    uid_t old_uid = getuid();
    gid_t old_gid = getgid();
    if (geteuid() == 0) {
        if (how->chroot_dir) TRY(enter_empty_root(how->chroot_dir));
        if (setgroups(0, NULL) < 0) return ERR_SYS(errno);
    } else if (old_uid != how->uid)
        return ERR_DENIED;
    if (setresgid(how->gid, how->gid, how->gid) < 0 || setresuid(how->uid, how->uid, how->uid) < 0) return ERR_SYS(errno);
    return user_check_no_way_back(how->uid, how->gid, old_uid, old_gid);
}

/* NOFILE 1, not 0: poll refuses more fds than the limit says. As 0 is always taken, nothing new can be opened with 1 either. */
int sandbox_limit(bool nofile)
{
    TRY(spawn_set_limit(RLIMIT_FSIZE, 0));
    TRY(spawn_set_limit(RLIMIT_CORE, 0));
    TRY(spawn_set_limit(RLIMIT_NPROC, 0));
    return nofile ? spawn_set_limit(RLIMIT_NOFILE, 1) : 0;
}

/* --- paths --- */

int sandbox_no_files(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) return ERR_UNSUPPORTED;
    /* The first version knows the 13 rights up to MAKE_SYM; each right handled and never granted is denied everywhere. */
    struct landlock_ruleset_attr attr = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
    long ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    if (ruleset < 0) return ERR_UNSUPPORTED;
    CLEANUP(fd_closep) int fd = (int)ruleset;
    TRY(spawn_no_new_privs());
    return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? ERR_SYS(errno) : 0;
}
