/* The SFTP server (version 3 and OpenSSH's extensions) over two descriptors: the body of sftp-server and of sshd's internal-sftp.
 * It serves the files that the process may touch, with its rights, until the peer is gone. One thread, blocking file calls, its own
 * wait. Files: sftp_server.c (loop, table of requests), _file.c, _dir.c, _ext.c (requests), _handle.c, _path.c, _options.c. */
#pragma once

#include "base/log.h"
#include "base/strv.h"

#include <sys/types.h>

struct sftp_server_config { /* lent while it runs */
    const struct log *log;
    const char *user, *home;      /* for log lines and %u, %d; NULL: looked up by the process's uid */
    const char *client;           /* its address for log lines; NULL: "UNKNOWN" */
    const char *start_dir;        /* -d, with tokens; NULL: stay where the process is */
    const char *denied, *allowed; /* -P, -p: lists of request names; NULL: none */
    bool read_only;               /* -R */
    bool has_umask;               /* -u */
    mode_t umask;
};
/* Serves. in_fd and out_fd may be one descriptor, stay open and the caller's; out_fd is non-blocking in the meantime. SIGPIPE has
 * to be ignored. Gives the exit status as OpenSSH's: 0 end of input, 11 an overlong packet, 255 a malformed one, 1 input, output or
 * memory failed. */
int sftp_server_run(const struct sftp_server_config *config, int in_fd, int out_fd);

enum sftp_server_action {
    SFTP_SERVER_SERVE,
    SFTP_SERVER_USAGE,         /* -h and mistakes: print sftp_server_usage, status 1 */
    SFTP_SERVER_LIST_REQUESTS, /* -Q requests */
    SFTP_SERVER_BAD_VALUE,     /* print message, then exit with status */
};
/* A command line of sftp-server, also what stands behind internal-sftp in sshd_config and its forced commands. */
struct sftp_server_options {
    struct sftp_server_config config; /* log, user, home and client are the caller's to fill */
    enum sftp_server_action action;
    bool to_stderr;       /* -e */
    enum log_level level; /* -l; ERROR */
    int facility;         /* -f, as syslog(3)'s */
    char message[256];    /* BAD_VALUE: without newline */
    int status;
};
/* argv[0] is the program's name; strings are lent by argv. Arguments that are no options are ignored, as OpenSSH does. */
void sftp_server_options_parse(int argc, char *const argv[], struct sftp_server_options *ret);
extern const char sftp_server_usage[];
/* The names for -P and -p, in OpenSSH's order; NULL behind the last. */
const char *sftp_server_request_name(size_t idx);
