/* Starting ssh to carry the bytes of another program, as sftp and scp do: without a shell, its input and output at pipes of ours.
 * Its messages and questions go to the terminal; an interrupt typed there is ours alone. */
#pragma once

#include "base/strv.h"

#include <sys/types.h>

/* Where to: "[user@]host[:path]" with an IPv6 address in brackets, or "scheme://[user@]host[:port][/path]", whose parts may have
 * %XX. */
struct ssh_destination {
    char *user, *host; /* user NULL: not said */
    char *path;        /* NULL: not said */
    int port;          /* 0: not said */
};
void ssh_destination_done(struct ssh_destination *d);
/* scheme as "sftp". 1: that is such a URI and *ret is it; 0: it is none; ERR_FORMAT: one, but malformed. */
int ssh_destination_parse_uri(const char *text, const char *scheme, struct ssh_destination *ret) MUST_USE;
/* The other form. ERR_FORMAT: no host. */
int ssh_destination_parse(const char *text, struct ssh_destination *ret) MUST_USE;

struct ssh_start {
    const char *program;        /* -S: a path, or a name to be looked up in PATH; NULL: ssh beside this program, else in PATH */
    const struct strv *options; /* what stands before the destination */
    const char *user;           /* NULL: not said */
    const char *host;           /* NULL: none, program is no ssh but speaks itself; then only options are its arguments */
    const char *subsystem;      /* -s; else */
    const char *command;        /* for the far end's shell */
};
struct ssh_child {
    pid_t pid;         /* the caller's to wait for */
    int in_fd, out_fd; /* from it and to it; the caller's */
};
/* ERR_SYS of what failed in the exec. */
int ssh_start_run(const struct ssh_start *s, struct ssh_child *ret) MUST_USE;
