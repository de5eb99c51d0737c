/* What the server's programs know of each other: their names, and on which descriptors a program that is started finds what.
 *
 *   sshd           listener       configuration, sockets, limits; starts the others; reads no byte of a peer
 *   sshd-keys      key holder     keeps the private host keys, signs
 *   sshd-session   monitor        one per connection, as root: decides
 *   sshd-auth      network child  one per connection, without rights: transport and authentication until login
 *   sshd-user      user child     one per connection, as the user: the connection protocol
 */
#pragma once

#include "os/sandbox.h"

#define PART_KEYS "sshd-keys"
#define PART_SESSION "sshd-session"
#define PART_AUTH "sshd-auth"
#define PART_USER "sshd-user"

enum {
    PART_IPC_FD = 3, /* every part: the socket to who started it */

    /* sshd-session */
    PART_SETUP_FD = 4,        /* memfd with a session_setup (setup.h) */
    PART_KEY_HOLDER_FD = 5,   /* socket to sshd-keys */
    PART_AUTH_PROGRAM_FD = 6, /* programs, open: their paths may be gone by now */
    PART_USER_PROGRAM_FD = 7,
};

/* First argument of sshd-session and sshd-user that are to be zygotes (zygote.h): PART_IPC_FD is then the socket to the listener
 * alone. */
#define PART_ZYGOTE "zygote"

/* Unprivileged account of key holder and network child, and their empty root directory. */
#define PART_USER_NAME "sshd"
#define PART_CHROOT_DIR "/run/sshd"

/* Who a process without rights becomes, and what it may do then. */
struct part_cage {
    uid_t uid; /* of root's processes only */
    gid_t gid;
    struct view filter; /* sandbox_compile's; lent */
};
/* Looks the account up, where it is needed, and compiles the table into out, which filter then is lent from. */
int part_make_cage(const struct sandbox_rule *rules, size_t n, bool trap, struct buf *out, struct part_cage *ret) MUST_USE;
/* For good: memory hidden, the unprivileged account and its empty root directory (as root), no new files, processes or paths, and
 * the allowed system calls only. */
int part_give_up_rights(const struct part_cage *cage) MUST_USE;
