/* A process that has started, loaded its libraries and warmed them up, and then only waits to be copied: a monitor, or a user child
 * where PAM has no part in its making, then costs a fork instead of an exec, and what the dynamic linker wrote is shared by all of
 * them. It has never seen a byte of a peer nor a secret, and its address space is its own. The network child, which does meet
 * peers' bytes without having been told who they are, is executed afresh each time. */
#pragma once

#include "ipc/ipc.h"

#include <sys/types.h>

/* Serves requests of the listener, and tells on_death (may be NULL) of copies that were killed, by waitpid's status. Comes back
 * only in a copy: 0 with the request's number and descriptors (the caller's now), the socket to the listener closed; or, when the
 * listener is gone, with ERR_PEER_CLOSED. */
int zygote_wait(struct ipc *listener, void (*on_death)(pid_t pid, int status), uint8_t *ret_number, int ret_fds[IPC_FDS_MAX])
    MUST_USE;
