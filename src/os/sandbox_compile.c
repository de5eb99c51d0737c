/* From a table of allowed system calls to the filter that the kernel takes, by libseccomp. */
#include "os/fd.h"
#include "os/sandbox_int.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    CALLS_MAX = 512, /* numbers that have a name; a filter of our size has some hundred instructions */
    PROGRAM_BYTES_MAX = 1024 * 8,
    AS_A_TREE = 2 /* SCMP_FLTATR_CTL_OPTIMIZE: the kernel runs a filter once for each call's number when it is loaded */
};

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
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, AS_A_TREE);
    for (size_t i = 0; i < n; i++) TRY(add_rule(ctx, &rules[i]));
    return 0;
}

/* libseccomp writes to descriptors only. */
static int read_program(scmp_filter_ctx ctx, struct buf *ret_program)
{
    CLEANUP(fd_closep) int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) return ERR_SYS(errno);
    int n = seccomp_export_bpf(ctx, fd);
    if (n < 0) return ERR_SYS(-n);
    uint64_t len;
    uint8_t *to;
    TRY(fd_size(fd, &len));
    if (len > PROGRAM_BYTES_MAX) return ERR_LIMIT;
    if (lseek(fd, 0, SEEK_SET) < 0) return ERR_SYS(errno);
    TRY(buf_reserve(ret_program, (size_t)len, &to));
    TRY(fd_read_all(fd, to, (size_t)len));
    buf_commit(ret_program, (size_t)len);
    return 0;
}

static int put_names(struct buf *out)
{
    for (int call = 0; call < CALLS_MAX; call++) {
        char name[SANDBOX_NAME_BYTES] = "?";
        CLEANUP(freep) char *known = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
        if (known) snprintf(name, sizeof name, "%s", known);
        TRY(buf_put(out, name, sizeof name));
    }
    return 0;
}

int sandbox_compile(const struct sandbox_rule *rules, size_t n, bool trap, struct buf *out)
{
    CLEANUP(buf_done) struct buf program = BUF_INIT(PROGRAM_BYTES_MAX);
    scmp_filter_ctx ctx = seccomp_init(trap ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS);
    if (!ctx) return ERR_NOMEM;
    int err = add_rules(ctx, rules, n);
    if (err == 0) err = read_program(ctx, &program);
    seccomp_release(ctx);
    TRY(err);
    struct sandbox_filter_head head = { (uint32_t)(buf_len(&program) / 8), trap ? CALLS_MAX : 0 };
    TRY(buf_put(out, &head, sizeof head));
    TRY(buf_put_view(out, buf_view(&program)));
    return trap ? put_names(out) : 0;
}

int sandbox_enter(const struct sandbox_rule *rules, size_t n, bool trap)
{
    struct buf filter = BUF_INIT(SANDBOX_FILTER_BYTES_MAX); /* stays: names are looked up in it */
    TRY(sandbox_compile(rules, n, trap, &filter));
    int err = sandbox_enter_compiled(buf_view(&filter));
    if (!trap) buf_done(&filter);
    return err;
}
