/* The command line of sftp-server and internal-sftp. Not by getopt: it keeps its place in globals, and inside sshd there is another
 * user of it. */
#include "io/sftp_server.h"
#include "os/logsink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const char sftp_server_usage[] = "usage: sftp-server [-ehR] [-d start_directory] [-f log_facility] [-l log_level]\n"
                                 "\t[-P denied_requests] [-p allowed_requests] [-u umask]\n"
                                 "       sftp-server -Q protocol_feature\n";

static void bad_value(struct sftp_server_options *o, int status, const char *what, const char *value)
{
    o->action = SFTP_SERVER_BAD_VALUE;
    o->status = status;
    snprintf(o->message, sizeof(o->message), what, value);
}

static void set_level(struct sftp_server_options *o, const char *value)
{
    int level = log_level_from_name(value);
    if (level < 0)
        bad_value(o, 1, "Invalid log level \"%s\"", value);
    else
        o->level = (enum log_level)level;
}

static void set_facility(struct sftp_server_options *o, const char *value)
{
    int facility = logsink_facility_from_name(value);
    if (facility < 0)
        bad_value(o, 1, "Invalid log facility \"%s\"", value);
    else
        o->facility = facility;
}

static void set_umask(struct sftp_server_options *o, const char *value)
{
    char *end;
    errno = 0;
    long mask = strtol(value, &end, 8);
    if (errno || *end || end == value || mask < 0 || mask > 0777) bad_value(o, 255, "Invalid umask \"%s\"", value);
    o->config.has_umask = true;
    o->config.umask = (mode_t)mask;
}

static void set_query(struct sftp_server_options *o, const char *value)
{
    if (strcmp(value, "requests") == 0)
        o->action = SFTP_SERVER_LIST_REQUESTS;
    else
        bad_value(o, 1, "Invalid query type", value);
}

/* The letters without a value. False: none of them. */
static bool set_plain(struct sftp_server_options *o, char letter)
{
    switch (letter) {
    case 'R':
        o->config.read_only = true;
        return true;
    case 'e':
        o->to_stderr = true;
        return true;
    case 'c':
        return true; /* once asked for logging by the client's address */
    case 'h':
        o->action = SFTP_SERVER_USAGE;
        return true;
    default:
        return false;
    }
}

static bool set_valued(struct sftp_server_options *o, char letter, const char *value)
{
    switch (letter) {
    case 'd':
        o->config.start_dir = value;
        return true;
    case 'P':
        o->config.denied = value;
        return true;
    case 'p':
        o->config.allowed = value;
        return true;
    case 'l':
        set_level(o, value);
        return true;
    case 'f':
        set_facility(o, value);
        return true;
    case 'u':
        set_umask(o, value);
        return true;
    case 'Q':
        set_query(o, value);
        return true;
    default:
        return false;
    }
}

void sftp_server_options_parse(int argc, char *const argv[], struct sftp_server_options *ret)
{
    *ret = (struct sftp_server_options){ .level = LOG_LEVEL_ERROR, .facility = logsink_facility_from_name("AUTH"), .status = 1 };
    for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0) return;
        for (const char *p = argv[i] + 1; *p; p++) {
            if (set_plain(ret, *p)) {
                if (ret->action != SFTP_SERVER_SERVE) return;
                continue;
            }
            const char *value = p[1] ? p + 1 : i + 1 < argc ? argv[++i] : NULL;
            if (!value || !set_valued(ret, *p, value)) ret->action = SFTP_SERVER_USAGE;
            if (ret->action != SFTP_SERVER_SERVE) return;
            break;
        }
    }
}
