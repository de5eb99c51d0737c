/* Being a daemon: detaching, the pid file, systemd's two small protocols (sd_notify(3), sd_listen_fds(3)) spoken directly. */
#pragma once

#include "base/err.h"

/* Forks: the child gets a new session, / as directory, standard fds to /dev/null (stderr stays if keep_stderr), and 0. The parent
 * waits until the child calls daemon_ready and gets DAEMON_PARENT: it should end with status 0. ERR_PEER_CLOSED in the parent: the
 * child ended before, having said why. So who starts the daemon knows that it works. */
struct daemon {
    int ready_fd; /* -1: not detached */
};
#define DAEMON_INIT \
    {               \
        -1          \
    }
enum {
    DAEMON_PARENT = 1
};
int daemon_detach(struct daemon *ret, bool keep_stderr) MUST_USE; /* 0, DAEMON_PARENT, or an error */
void daemon_ready(struct daemon *d);

/* "123\n", mode 0644, replaced atomically. NULL or "none": nothing. */
int daemon_pid_write(const char *path) MUST_USE;
void daemon_pid_remove(const char *path); /* only if it still has our number */

/* Lines such as "READY=1", "RELOADING=1\nMONOTONIC_USEC=...", "STOPPING=1", "MAINPID=..". Without NOTIFY_SOCKET: nothing, and 0. */
int daemon_notify(const char *state) MUST_USE;
int daemon_notify_reloading(void) MUST_USE; /* with the time stamp that Type=notify-reload wants */
/* Closes every descriptor from 3 on that was not handed over by systemd: whoever starts a daemon may have left some open. Before
 * anything is opened, and before daemon_listen_fds. */
void daemon_close_inherited(void);
/* Sockets handed over by systemd: how many, from fd 3 on; they are made close-on-exec, and the variables are taken out of the
 * environment. 0 when LISTEN_PID is not us. */
int daemon_listen_fds(size_t *ret_n) MUST_USE;
enum {
    DAEMON_LISTEN_FIRST = 3,
    DAEMON_LISTEN_MAX = 64
};
