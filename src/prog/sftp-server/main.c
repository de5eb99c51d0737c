/* sftp-server: the SFTP subsystem over stdin and stdout. All of it is io/sftp_server.h; here are the arguments and the log. */
#include "io/sftp_server.h"
#include "os/fd.h"
#include "os/logsink.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The client's address, as sshd says it to the session. NULL: not started by sshd. */
static char *client_address(void)
{
    const char *connection = getenv("SSH_CONNECTION");
    return connection ? strndup(connection, strcspn(connection, " ")) : NULL;
}

static int list_requests(void)
{
    for (size_t i = 0; sftp_server_request_name(i); i++) puts(sftp_server_request_name(i));
    return fflush(stdout) == 0 ? 0 : 1;
}

static int serve(struct sftp_server_options *o)
{
    struct logsink sink;
    if (o->to_stderr)
        logsink_init_fd(&sink, o->level, STDERR_FILENO);
    else
        logsink_init_syslog(&sink, o->level, "sftp-server", o->facility);
    CLEANUP(freep) char *client = client_address();
    o->config.log = &sink.log;
    o->config.client = client;
    signal(SIGPIPE, SIG_IGN);
    int status = sftp_server_run(&o->config, STDIN_FILENO, STDOUT_FILENO);
    logsink_done(&sink);
    return status;
}

int main(int argc, char **argv)
{
    if (fd_fill_std() < 0) return 1;
    struct sftp_server_options o;
    sftp_server_options_parse(argc, argv, &o);
    switch (o.action) {
    case SFTP_SERVER_SERVE:
        return serve(&o);
    case SFTP_SERVER_LIST_REQUESTS:
        return list_requests();
    case SFTP_SERVER_BAD_VALUE:
        fprintf(stderr, "%s\n", o.message);
        return o.status;
    default:
        fputs(sftp_server_usage, stderr);
        return 1;
    }
}
