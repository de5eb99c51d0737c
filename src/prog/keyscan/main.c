/* ssh-keyscan: the command line. */
#include "prog/keyscan/keyscan.h"

#include "conf/conf.h"
#include "crypto/crypto.h"
#include "os/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char flags[] = ":46cDHqvf:O:p:T:t:";

static const char usage_text[] = "usage: ssh-keyscan [-46cDHqv] [-f file] [-O option] [-p port] [-T timeout]\n"
                                 "                   [-t type] [host | addrlist namelist]\n";

#define ECDSA(suffix) "ecdsa-sha2-nistp256" suffix ",ecdsa-sha2-nistp384" suffix ",ecdsa-sha2-nistp521" suffix
#define CERT "-cert-v01@openssh.com"
/* In the order in which they are asked for. */
const struct keyscan_type keyscan_types[KEYSCAN_TYPES] = {
    { "rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa", "rsa-sha2-512" CERT ",rsa-sha2-256" CERT ",ssh-rsa" CERT },
    { "ecdsa", ECDSA(""), ECDSA(CERT) },
    { "ed25519", "ssh-ed25519", "ssh-ed25519" CERT },
    { "ecdsa-sk", "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256" CERT },
    { "ed25519-sk", "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519" CERT },
};
static const unsigned all_types = (1u << KEYSCAN_TYPES) - 1;

static int usage(void)
{
    fputs(usage_text, stderr);
    return EXIT_NOTHING;
}

/* ---- flags: each gives 0 or the exit status ---- */

static int take_types(struct keyscan_options *o, const char *value)
{
    struct view rest = view_str(value), name;
    o->types = 0;
    while (view_next_in_list(&rest, &name)) {
        size_t i = 0;
        while (i < KEYSCAN_TYPES && !view_eq_str(name, keyscan_types[i].name)) i++;
        if (i < KEYSCAN_TYPES) {
            o->types |= 1u << i;
        } else if (view_eq_str(name, "dsa")) {
            fprintf(stderr, "ssh-keyscan: DSA keys are not supported and are left out\n");
        } else {
            fprintf(stderr, "Unknown key type \"%.*s\"\n", VIEW_ARG(name));
            return EXIT_FATAL;
        }
    }
    return 0;
}

static int take_port(struct keyscan_options *o, const char *value)
{
    char *end;
    errno = 0;
    long port = strtol(value, &end, 10);
    if (errno || !*value || *end || port < 1 || port > UINT16_MAX) {
        fprintf(stderr, "Bad port '%s'\n", value);
        return EXIT_NOTHING;
    }
    o->port = (uint16_t)port;
    return 0;
}

static int take_timeout(struct keyscan_options *o, const char *value)
{
    int64_t time_ms;
    if (conf_time(view_str(value), false, &time_ms) < 0 || time_ms < 1000 || time_ms / 1000 > INT32_MAX) {
        fprintf(stderr, "Bad timeout '%s'\n", value);
        return usage();
    }
    o->timeout_s = (int)(time_ms / 1000);
    return 0;
}

static int take_option(struct keyscan_options *o, const char *value)
{
    static const char hashalg[] = "hashalg=";
    if (strncmp(value, hashalg, sizeof(hashalg) - 1) != 0) {
        fprintf(stderr, "Unsupported option \"%s\"\n", value);
        return EXIT_FATAL;
    }
    const char *name = value + sizeof(hashalg) - 1;
    if (digest_from_name(name, &o->sshfp_hash) < 0 || (o->sshfp_hash != DIGEST_SHA1 && o->sshfp_hash != DIGEST_SHA256)) {
        fprintf(stderr, "Unsupported hash algorithm \"%s\"\n", name);
        return EXIT_FATAL;
    }
    o->has_sshfp_hash = true;
    return 0;
}

static int take_flag(struct keyscan_options *o, struct logsink *sink, int flag, const char *value)
{
    switch (flag) {
    case '4':
        o->family = AF_INET;
        return 0;
    case '6':
        o->family = AF_INET6;
        return 0;
    case 'c':
        return o->certs = true, 0;
    case 'D':
        return o->sshfp = true, 0;
    case 'H':
        return o->hashed = true, 0;
    case 'q':
        return o->quiet = true, 0;
    case 'v':
        sink->log.level = sink->log.level < LOG_LEVEL_DEBUG1   ? LOG_LEVEL_DEBUG1
                          : sink->log.level < LOG_LEVEL_DEBUG3 ? sink->log.level + 1
                                                               : LOG_LEVEL_DEBUG3;
        return 0;
    case 'f':
        return strv_add(&o->files, view_str(value)) < 0 ? EXIT_FATAL : 0;
    case 'O':
        return take_option(o, value);
    case 'p':
        return take_port(o, value);
    case 'T':
        return take_timeout(o, value);
    case 't':
        return take_types(o, value);
    default:
        fprintf(stderr, flag == ':' ? "option requires an argument -- %c\n" : "unknown option -- %c\n", optopt);
        return usage();
    }
}

static int parse(struct keyscan_options *o, struct logsink *sink, int argc, char **argv)
{
    int flag;
    opterr = 0;
    while ((flag = getopt(argc, argv, flags)) != -1) {
        int status = take_flag(o, sink, flag, optarg);
        if (status) return status;
    }
    o->args = argv + optind;
    o->n_args = (size_t)(argc - optind);
    return o->n_args == 0 && o->files.n == 0 ? usage() : 0;
}

int main(int argc, char **argv)
{
    struct keyscan_options o = { .family = AF_UNSPEC, .port = 22, .timeout_s = 5, .types = all_types, .files = STRV_INIT };
    struct logsink sink;
    if (fd_fill_std() < 0) return EXIT_FATAL;
    (void)signal(SIGPIPE, SIG_IGN);
    logsink_init_fd(&sink, LOG_LEVEL_INFO, STDERR_FILENO);
    crypto_start_alone();
    int status = parse(&o, &sink, argc, argv);
    if (status == 0) status = scan_all(&o, &sink.log);
    if (fflush(stdout) != 0 && status == EXIT_FOUND) status = EXIT_FATAL;
    strv_done(&o.files);
    logsink_done(&sink);
    return status;
}
