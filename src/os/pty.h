/* Pseudo-terminals of the server. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

enum {
    PTY_NAME_BYTES = 64
};
struct pty {
    int master, slave;         /* both close-on-exec; -1: none */
    char name[PTY_NAME_BYTES]; /* /dev/pts/3 */
};
#define PTY_INIT   \
    {              \
        -1, -1, "" \
    }

struct pty_size {
    uint32_t cols, rows, width_px, height_px; /* RFC 4254 6.2; values over 65535 are cut to it */
};

/* A new pair. The slave is open, the device belongs to who the kernel says. */
int pty_open(struct pty *ret) MUST_USE;
/* Gives the device to the user: group tty and mode 0620 where there is a group tty, else the user's group and 0600. Needs root
 * unless nothing is to change. */
int pty_give(const struct pty *p, uid_t uid, gid_t gid) MUST_USE;
/* Back to root and 0666, for the next one. Errors do not matter. */
void pty_release(const char *name);
void pty_done(struct pty *p); /* closes both */

int pty_set_size(int fd, const struct pty_size *size) MUST_USE;
int pty_get_size(int fd, struct pty_size *ret) MUST_USE;
/* In a child: new session, slave_fd becomes the controlling terminal. spawn.h does it by itself. */
int pty_make_controlling(int slave_fd) MUST_USE;
/* Drops a controlling terminal if there is one. */
void pty_drop_controlling(void);
