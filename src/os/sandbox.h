/* Giving up rights for good: a table of allowed system calls (all others kill the process), ids, root directory, limits, paths. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

/* One allowed call. With masked, only when (argument number arg & mask) == value; several rows for one call are alternatives. With
 * deny_errno, the call is refused with that errno instead of killing. Calls unknown to the machine are skipped. */
struct sandbox_rule {
    const char *call;
    const char *why;
    bool masked;
    unsigned arg;
    uint64_t mask, value;
    int deny_errno;
};

/* What an event loop over given sockets and pure computation need. No opening, connecting, forking, executing. */
extern const struct sandbox_rule sandbox_net_child[];
extern const size_t sandbox_net_child_n;
/* As above without the sockets' niceties: reads and writes its one socket and signs. */
extern const struct sandbox_rule sandbox_key_holder[];
extern const size_t sandbox_key_holder_n;

/* Sets no_new_privs and loads the filter. With trap (debugging), a forbidden call is named on stderr before the process ends.
 * ERR_UNSUPPORTED: the kernel cannot. */
int sandbox_enter(const struct sandbox_rule *rules, size_t n, bool trap) MUST_USE;

/* The same in two steps, of which the first takes most of the time and can be done ahead, once, by another process of the same
 * machine. The first appends to out, which should hold SANDBOX_FILTER_BYTES_MAX. The second needs no library; with trap, filter has
 * to stay. ERR_FORMAT: that is no filter. */
enum {
    SANDBOX_FILTER_BYTES_MAX = 32768
};
int sandbox_compile(const struct sandbox_rule *rules, size_t n, bool trap, struct buf *out) MUST_USE;
int sandbox_enter_compiled(struct view filter) MUST_USE;

struct sandbox_drop {
    uid_t uid;
    gid_t gid;
    const char *chroot_dir; /* NULL: none; else an existing directory, owned by root and writable by nobody else, else ERR_DENIED */
};
/* chroot, no groups, ids for good and verified. Needs root; as an ordinary user who asks for the own ids nothing but the check
 * happens. */
int sandbox_drop(const struct sandbox_drop *how) MUST_USE;
/* No new files of size (FSIZE 0), no cores, no new processes (NPROC 0), and no new fds if nofile (poll and epoll go on with those
 * there are). */
int sandbox_limit(bool nofile) MUST_USE;
/* No path can be opened, made or removed any more (Landlock). ERR_UNSUPPORTED where the kernel has none: no reason to stop. Sets
 * no_new_privs. */
int sandbox_no_files(void) MUST_USE;
