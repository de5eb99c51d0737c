/* Which system calls the confined processes may make, and why. The protection bits are the third argument of mmap and mprotect. */
#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* clang-format off */
#define ALLOW(name, reason) { .call = name, .why = reason },
#define ALLOW_IF(name, number, bits, wanted, reason) \
    { .call = name, .why = reason, .masked = true, .arg = number, .mask = bits, .value = wanted },
#define REFUSE(name, with, reason) { .call = name, .why = reason, .deny_errno = with },

const struct sandbox_rule sandbox_net_child[] = {
#include "os/sandbox_common.def"
    ALLOW("shutdown",      "the end of the connection")
    ALLOW("getsockopt",    "state of the connection")
    ALLOW("setsockopt",    "TCP_NODELAY, IP_TOS")
    ALLOW("getpeername",   "who it is")
    ALLOW("getsockname",   "who we are")
    ALLOW("epoll_create1", "a loop made after the sandbox")
};
const size_t sandbox_net_child_n = ARRAY_LEN(sandbox_net_child);

const struct sandbox_rule sandbox_key_holder[] = {
#include "os/sandbox_common.def"
};
const size_t sandbox_key_holder_n = ARRAY_LEN(sandbox_key_holder);
/* clang-format on */
