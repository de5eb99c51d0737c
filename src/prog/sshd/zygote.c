/* Waiting to be copied. */
#include "prog/sshd/zygote.h"

#include "os/fd.h"
#include "os/spawn.h"

#include <sys/wait.h>

/* 0 in a copy, SPAWN_PARENT here. */
static int copy_for(struct ipc *listener, const struct ipc_message *m, uint8_t *ret_number, int ret_fds[IPC_FDS_MAX])
{
    int side = spawn_copy();
    if (side == 0) {
        ipc_done(listener);
        *ret_number = m->number;
        for (size_t i = 0; i < IPC_FDS_MAX; i++) ret_fds[i] = m->fds[i];
        return 0;
    }
    /* Where the copy could not be made, the closing of its sockets tells the listener. */
    for (size_t i = 0; i < IPC_FDS_MAX; i++) fd_close(m->fds[i]);
    return SPAWN_PARENT;
}

/* What is there, without waiting: ERR_AGAIN when it has been done. */
static int serve(struct ipc *listener, uint8_t *ret_number, int ret_fds[IPC_FDS_MAX])
{
    TRY(ipc_fill(listener));
    for (;;) {
        struct ipc_message m;
        int got = ipc_next(listener, &m);
        if (got <= 0) return got < 0 ? got : ERR_AGAIN;
        if (copy_for(listener, &m, ret_number, ret_fds) == 0) return 0;
    }
}

/* Nobody else would ever hear of it: a copy that is killed writes no log line. */
static void tell(struct ipc *listener, pid_t pid, int status, void (*on_death)(pid_t pid, int status))
{
    if (!WIFSIGNALED(status)) return;
    if (on_death) on_death(pid, status);
    (void)!IPC_SEND(listener, copy_killed, .pid = (uint32_t)pid, .status = (uint32_t)status);
}

int zygote_wait(struct ipc *listener, void (*on_death)(pid_t pid, int status), uint8_t *ret_number, int ret_fds[IPC_FDS_MAX])
{
    listener->state = IPC_ANY;
    spawn_copies_begin();
    for (;;) {
        pid_t pid;
        int status, what = spawn_copies_wait(listener->fd, &pid, &status);
        TRY(what);
        if (what == SPAWN_COPY_ENDED) {
            tell(listener, pid, status, on_death);
            continue;
        }
        int err = serve(listener, ret_number, ret_fds);
        if (err != ERR_AGAIN) return err;
    }
}
