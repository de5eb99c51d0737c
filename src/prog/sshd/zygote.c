/* Waiting to be copied. */
#include "prog/sshd/zygote.h"

#include "os/fd.h"
#include "os/spawn.h"

#include <sys/wait.h>

static void bury(void (*on_death)(pid_t pid, int status))
{
    pid_t pid;
    int status;
    while (spawn_reap(&pid, &status))
        if (on_death && WIFSIGNALED(status)) on_death(pid, status);
}

int zygote_wait(struct ipc *listener, void (*on_death)(pid_t pid, int status), uint8_t *ret_number, int ret_fds[IPC_FDS_MAX])
{
    listener->state = IPC_ANY;
    for (;;) {
        struct ipc_message m;
        int err = ipc_recv(listener, MS_NEVER, &m);
        bury(on_death);
        if (err == ERR_CANCELLED) continue;
        TRY(err);
        int side = spawn_copy();
        if (side == 0) {
            ipc_done(listener);
            *ret_number = m.number;
            for (size_t i = 0; i < IPC_FDS_MAX; i++) ret_fds[i] = m.fds[i];
            return 0;
        }
        /* Where the copy could not be made, the closing of its sockets tells the listener. */
        for (size_t i = 0; i < IPC_FDS_MAX; i++) fd_close(m.fds[i]);
    }
}
