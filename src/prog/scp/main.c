/* scp: the command line. */
#include "prog/scp/scp.h"

#include "base/vis.h"
#include "os/fd.h"
#include "os/tty.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char flags[] = ":12346ABCTdfOpqRrstvD:F:J:S:P:X:c:i:l:o:";

static const char usage_text[] = "usage: scp [-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config]\n"
                                 "           [-i identity_file] [-J destination] [-l limit] [-o ssh_option]\n"
                                 "           [-P port] [-S program] [-X sftp_option] source ... target\n";

enum {
    LIMIT_KBITS_MAX = 100 * 1024 * 1024,
    REQUESTS_MAX = 10000, /* of -X nrequests; more do not fit the engine anyway */
    PORT_MAX = 65535,
    TEXT_BYTES = 16384
};

/* ---- saying ---- */

static void say(struct scp *s, const char *prefix, const char *end, const char *fmt, va_list args)
{
    char text[TEXT_BYTES], line[TEXT_BYTES];
    vsnprintf(text, sizeof text, fmt, args);
    vis_line(view_str(text), line, sizeof line);
    meter_make_way(s->meter);
    fprintf(stderr, "%s%s%s", prefix, line, end);
}

void scp_say(struct scp *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(s, "", "\n", fmt, args);
    va_end(args);
    s->failed = true;
}

void scp_fail(struct scp *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(s, "scp: ", "\r\n", fmt, args);
    va_end(args);
    s->failed = true;
}

/* Lines come escaped. They end as OpenSSH's do, so that they look right on a terminal that ssh has made raw. */
static void on_log_line(void *arg, enum log_level level, const char *line)
{
    struct scp *s = arg;
    meter_make_way(s->meter);
    if (level >= LOG_LEVEL_DEBUG1)
        fprintf(stderr, "debug%d: %s\r\n", level - LOG_LEVEL_DEBUG1 + 1, line);
    else
        fprintf(stderr, "scp: %s\r\n", line);
}

static int usage(void)
{
    fputs(usage_text, stderr);
    return SCP_FAILED;
}

/* ---- flags: each gives 0 or the exit status ---- */

static int number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || n < min || n > max) return ERR_RANGE;
    *ret = n;
    return 0;
}

static int pass(struct scp *s, const char *text)
{
    int err = strv_add(&s->o.ssh_options, view_str(text));
    if (err < 0) scp_fail(s, "%s", err_text(err));
    return err < 0 ? SCP_FAILED : 0;
}

/* A flag that is ssh's too. */
static int pass_flag(struct scp *s, int flag, const char *value)
{
    const char text[] = { '-', (char)flag, 0 };
    int status = pass(s, text);
    return status == 0 && value ? pass(s, value) : status;
}

static int take_limit(struct scp *s, const char *value)
{
    uint64_t kbits;
    if (number(value, 1, LIMIT_KBITS_MAX, &kbits) < 0) return usage();
    s->o.limit_bits_s = kbits * 1024;
    return 0;
}

static int take_port(struct scp *s, const char *value)
{
    uint64_t port;
    if (number(value, 1, PORT_MAX, &port) < 0) {
        scp_fail(s, "bad port \"%s\"", value);
        return SCP_FAILED;
    }
    s->o.port = (int)port;
    return 0;
}

static int take_sftp_option(struct scp *s, const char *value)
{
    static const char requests[] = "nrequests=", buffer[] = "buffer=";
    uint64_t n;
    if (strncmp(value, requests, sizeof requests - 1) == 0) {
        const char *text = value + sizeof requests - 1;
        if (number(text, 1, REQUESTS_MAX, &n) == 0) return (void)(s->o.requests_max = n), 0;
        scp_fail(s, "Invalid number of requests \"%s\"", text);
    } else if (strncmp(value, buffer, sizeof buffer - 1) == 0) {
        const char *text = value + sizeof buffer - 1;
        if (number(text, 1, SFTP_DATA_MAX_BYTES, &n) == 0) return (void)(s->o.request_bytes = n), 0;
        scp_fail(s, "Invalid buffer size \"%s\": it can be 1 to %d", text, SFTP_DATA_MAX_BYTES);
    } else
        scp_fail(s, "Invalid -X option");
    return SCP_FAILED;
}

static int take_batch(struct scp *s) { return pass(s, "-oBatchmode=yes"); }

static int take_protocol_1(struct scp *s)
{
    scp_fail(s, "SSH protocol v.1 is no longer supported");
    return SCP_FAILED;
}

static int take_verbose(struct scp *s)
{
    s->o.verbose = true;
    if (s->log.level < LOG_LEVEL_DEBUG1)
        s->log.level = LOG_LEVEL_DEBUG1;
    else if (s->log.level < LOG_LEVEL_DEBUG3)
        s->log.level++;
    return pass(s, "-v");
}

static int take_quiet(struct scp *s)
{
    s->o.quiet = true;
    return pass(s, "-q");
}

/* Flags that set something and no more. */
static bool *switch_of(struct scp_options *o, int flag)
{
    switch (flag) {
    case 'r':
        return &o->recursive;
    case 'p':
        return &o->preserve;
    case 'O':
        return &o->old;
    case 'R':
        return &o->direct;
    case 'T':
        return &o->any_name;
    case 't':
        return &o->is_sink;
    case 'f':
        return &o->is_source;
    case 'd':
        return &o->must_be_dir;
    default:
        return NULL;
    }
}

static int take_flag(struct scp *s, int flag, const char *value)
{
    bool *on = switch_of(&s->o, flag);
    if (on) return *on = true, 0;
    switch (flag) {
    case '1':
        return take_protocol_1(s);
    case '2':
        return 0;
    case '3':
        return s->o.direct = false, 0;
    case 's':
        return s->o.old = false, 0;
    case '4':
    case '6':
    case 'A':
    case 'C':
    case 'F':
    case 'J':
    case 'c':
    case 'i':
    case 'o':
        return pass_flag(s, flag, value);
    case 'B':
        return take_batch(s);
    case 'D':
        return s->o.server_path = value, 0;
    case 'P':
        return take_port(s, value);
    case 'S':
        return s->o.program = value, 0;
    case 'X':
        return take_sftp_option(s, value);
    case 'l':
        return take_limit(s, value);
    case 'q':
        return take_quiet(s);
    case 'v':
        return take_verbose(s);
    default:
        scp_fail(s, flag == ':' ? "option requires an argument -- %c" : "unknown option -- %c", optopt);
        return usage();
    }
}

static int parse(struct scp *s, int argc, char **argv)
{
    int flag;
    opterr = 0;
    while ((flag = getopt(argc, argv, flags)) != -1) {
        int status = take_flag(s, flag, optarg);
        if (status) return status;
    }
    return s->o.is_sink || s->o.is_source || argc - optind >= 2 ? 0 : usage();
}

/* ---- what to do ---- */

static int copy_all(struct scp *s, char **args, size_t n_args)
{
    CLEANUP(freep) struct scp_place *places = calloc(n_args, sizeof *places);
    int err = places ? 0 : ERR_NOMEM;
    if (err < 0) scp_fail(s, "%s", err_text(err));
    for (size_t i = 0; i < n_args && err == 0; i++) err = scp_place_parse(s, args[i], &places[i]);
    if (err == 0) scp_copy(s, places, n_args - 1, &places[n_args - 1]);
    for (size_t i = 0; places && i < n_args; i++) scp_place_done(&places[i]);
    return err;
}

static int start_meter(struct scp *s)
{
    bool is_wanted = !s->o.quiet && !s->o.is_sink && !s->o.is_source && tty_is(STDOUT_FILENO);
    return is_wanted ? meter_new(s->loop, STDOUT_FILENO, &s->meter) : 0;
}

static int run(struct scp *s, char **args, size_t n_args)
{
    int err = loop_new(&s->loop);
    if (err == 0) err = start_meter(s);
    if (err < 0)
        scp_fail(s, "%s", err_text(err));
    else if (s->o.is_sink || s->o.is_source)
        old_serve(s, args, n_args);
    else if (copy_all(s, args, n_args) < 0)
        s->failed = true;
    meter_free(s->meter);
    s->meter = NULL;
    loop_free(s->loop);
    return s->failed ? SCP_FAILED : SCP_GOOD;
}

int main(int argc, char **argv)
{
    struct scp s = { .o = { .ssh_options = STRV_INIT }, .log = { LOG_LEVEL_INFO, on_log_line, &s } };
    if (fd_fill_std() < 0) return SCP_FAILED;
    (void)signal(SIGPIPE, SIG_IGN);
    int status = parse(&s, argc, argv);
    if (status == 0) status = run(&s, argv + optind, (size_t)(argc - optind));
    strv_done(&s.o.ssh_options);
    return status;
}
