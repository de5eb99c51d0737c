/* Giving up rights. The tables of allowed calls are in sandbox_rules.c; what makes filters of them is in sandbox_compile.c, and is
 * the only part that needs libseccomp. */
#include "os/sandbox_int.h"

#include "os/fd.h"
#include "os/spawn.h"
#include "os/user_int.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- system calls --- */

/* What a signal handler can get at; written once, before there can be a signal. */
static struct view call_names;

/* raise() is a forbidden call itself, and as SIGSYS is blocked in here, the kernel then ends the process by it. */
static void on_forbidden(UNUSED int number, siginfo_t *info, UNUSED void *context)
{
    size_t at = (size_t)info->si_syscall * SANDBOX_NAME_BYTES;
    const char *name = info->si_syscall >= 0 && at < call_names.len ? (const char *)call_names.p + at : "?";
    const char *parts[] = { "sandbox: forbidden system call: ", name, "\n" };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) (void)!write(STDERR_FILENO, parts[i], strnlen(parts[i], SANDBOX_NAME_BYTES + 8));
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
    _exit(255);
}

int sandbox_enter_compiled(struct view filter)
{
    struct sigaction sa = { .sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO };
    struct sandbox_filter_head head;
    if (filter.len < sizeof head) return ERR_FORMAT;
    memcpy(&head, filter.p, sizeof head);
    size_t program_bytes = (size_t)head.n_instructions * sizeof(struct sock_filter);
    if (head.n_instructions > BPF_MAXINSNS || filter.len != sizeof head + program_bytes + (size_t)head.n_names * SANDBOX_NAME_BYTES)
        return ERR_FORMAT;
    call_names = view_sub(filter, sizeof head + program_bytes, filter.len);
    if (head.n_names && sigaction(SIGSYS, &sa, NULL) < 0) return ERR_SYS(errno);
    TRY(spawn_no_new_privs());
    /* The kernel copies the program, from any address. */
    struct sock_fprog program = { (unsigned short)head.n_instructions, (struct sock_filter *)(uintptr_t)(filter.p + sizeof head) };
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) return 0;
    return errno == EINVAL || errno == ENOSYS ? ERR_UNSUPPORTED : ERR_SYS(errno);
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
