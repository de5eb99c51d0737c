/* Waiting to be copied. */
#include "prog/sshd/zygote.h"

#include "os/fd.h"
#include "os/spawn.h"

int zygote_wait(struct ipc *listener, uint8_t *ret_number, int ret_fds[IPC_FDS_MAX])
{
    listener->state = IPC_ANY;
    for (;;) {
        struct ipc_message m;
        TRY(ipc_recv(listener, MS_NEVER, &m));
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
