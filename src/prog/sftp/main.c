/* sftp: the command line, the connection, and what is left to say at the end. */
#include "prog/sftp/sftp.h"

#include "os/fd.h"
#include "os/spawn.h"
#include "os/tty.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char flags[] = ":1246AB:CD:F:J:NP:R:S:X:ab:c:fhi:l:o:pqrs:v";

static const char usage_text[] = "usage: sftp [-46AaCfNpqrv] [-B buffer_size] [-b batchfile] [-c cipher]\n"
                                 "          [-D sftp_server_command] [-F ssh_config] [-i identity_file]\n"
                                 "          [-J destination] [-l limit] [-o ssh_option] [-P port]\n"
                                 "          [-R num_requests] [-S program] [-s subsystem | sftp_server]\n"
                                 "          [-X sftp_option] destination\n";

enum {
    EXIT_USAGE = 1,
    EXIT_FAILED = 1, /* a batch, or the one transfer that was asked for */
    EXIT_FATAL = 255,
    OPTION_BYTES = 4096,
    REQUESTS_MAX = 1 << 16,
    KILOBITS_MAX = 1 << 30,
    BUFFER_MAX = 1 << 30
};

struct options {
    struct strv ssh;    /* what ssh is given before the destination */
    struct strv server; /* -D */
    const char *program, *subsystem, *batch;
    long port;
    bool never_quiet;
    unsigned verbose;
};

static int fatal(const char *fmt, const char *what)
{
    fprintf(stderr, fmt, what);
    fputs("\n", stderr);
    return EXIT_FATAL;
}

static int usage(void)
{
    fputs(usage_text, stderr);
    return EXIT_USAGE;
}

/* ---- flags: each gives 0 or the exit status ---- */

static bool read_long(const char *text, long max, long *ret)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || n < 1 || n > max) return false;
    *ret = n;
    return true;
}

static int add_option(struct options *o, const char *fmt, const char *value)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
    int err = buf_put_str(&b, fmt);
    if (err == 0) err = strv_add(&o->ssh, buf_view(&b));
    if (err == 0 && value) err = strv_add(&o->ssh, view_str(value));
    return err < 0 ? fatal("%s", err_text(err)) : 0;
}

static int take_number(const char *value, const char *complaint, long max, long *ret)
{
    return read_long(value, max, ret) ? 0 : fatal(complaint, value);
}

static int take_requests(struct sftp *s, const char *value)
{
    long n = 0;
    int status = take_number(value, "Invalid number of requests \"%s\"", REQUESTS_MAX, &n);
    s->transfer.requests_max = (size_t)n;
    return status;
}

static int take_buffer(struct sftp *s, const char *value)
{
    long n = 0;
    int status = take_number(value, "Invalid buffer size \"%s\"", BUFFER_MAX, &n);
    s->transfer.request_bytes = (size_t)n;
    return status;
}

static int take_limit(struct sftp *s, const char *value)
{
    long n = 0;
    if (!read_long(value, KILOBITS_MAX, &n)) return usage();
    s->transfer.limit_bits_s = (uint64_t)n * 1024;
    return 0;
}

static int take_x(struct sftp *s, const char *value)
{
    if (strncmp(value, "buffer=", 7) == 0) return take_buffer(s, value + 7);
    if (strncmp(value, "nrequests=", 10) == 0) return take_requests(s, value + 10);
    return fatal("Invalid -X option \"%s\"", value);
}

static int take_server(struct options *o, const char *value)
{
    CLEANUP(strv_done) struct strv words = STRV_INIT;
    if (words_split(view_str(value), &words) < 0 || words.n == 0) return fatal("Invalid server command \"%s\"", value);
    strv_done(&o->server);
    for (size_t i = 0; i < words.n; i++)
        if (strv_add_take(&o->server, remote_glob_unescape(words.v[i])) < 0) return fatal("%s", err_text(ERR_NOMEM));
    return 0;
}

static int take_verbose(struct sftp *s, struct options *o)
{
    o->verbose++;
    s->sink.log.level = MIN(LOG_LEVEL_VERBOSE + o->verbose, (unsigned)LOG_LEVEL_DEBUG3);
    return add_option(o, "-v", NULL);
}

static int take_quiet(struct sftp *s, struct options *o)
{
    s->quiet = true;
    s->progress = false;
    s->sink.log.level = LOG_LEVEL_ERROR;
    return add_option(o, "-q", NULL);
}

static int take_batch(struct options *o, const char *value)
{
    if (o->batch) return fatal("%s", "Batch file already specified.");
    o->batch = value;
    return add_option(o, "-obatchmode yes", NULL);
}

/* Those that only set something. */
static bool take_plain(struct sftp *s, struct options *o, int flag, const char *value)
{
    switch (flag) {
    case 'a':
        return s->transfer.resume = true;
    case 'f':
        return s->transfer.sync = true;
    case 'p':
        return s->transfer.preserve = true;
    case 'r':
        return s->transfer.recursive = true;
    case 'N':
        return o->never_quiet = true;
    case 'S':
        return (o->program = value);
    case 's':
        return (o->subsystem = value);
    case '2':
        return true;
    default:
        return false;
    }
}

static int take_flag(struct sftp *s, struct options *o, int flag, const char *value)
{
    const char name[] = { '-', (char)flag, 0 };
    if (take_plain(s, o, flag, value)) return 0;
    if (strchr("46AC", flag)) return add_option(o, name, NULL);
    if (strchr("cFiJo", flag)) return add_option(o, name, value);
    switch (flag) {
    case '1':
        return fatal("%s", "SSH protocol v.1 is no longer supported");
    case 'B':
        return take_buffer(s, value);
    case 'b':
        return take_batch(o, value);
    case 'D':
        return take_server(o, value);
    case 'l':
        return take_limit(s, value);
    case 'P':
        return take_number(value, "Bad port \"%s\"", 65535, &o->port);
    case 'q':
        return take_quiet(s, o);
    case 'R':
        return take_requests(s, value);
    case 'v':
        return take_verbose(s, o);
    case 'X':
        return take_x(s, value);
    case 'h':
        return usage();
    default:
        fprintf(stderr, flag == ':' ? "option requires an argument -- %c\n" : "unknown option -- %c\n", optopt);
        return usage();
    }
}

static int take_flags(struct sftp *s, struct options *o, int argc, char **argv)
{
    static const char *const first[] = { "-oForwardX11 no", "-oPermitLocalCommand no", "-oClearAllForwardings yes" };
    int flag, status = 0;
    opterr = 0;
    for (size_t i = 0; i < ARRAY_LEN(first) && status == 0; i++) status = add_option(o, first[i], NULL);
    while (status == 0 && (flag = getopt(argc, argv, flags)) != -1) status = take_flag(s, o, flag, optarg);
    if (status) return status;
    /* Behind what the user gave, who comes first. */
    status = add_option(o, "-oControlMaster no", NULL);
    if (status == 0) status = add_option(o, "-oForwardAgent no", NULL);
    if (o->batch) {
        s->quiet = true;
        s->progress = false;
    }
    if (o->never_quiet) s->quiet = false;
    s->log_out.level = s->sink.log.level;
    return status;
}

/* ---- the connection ---- */

static int add_port(struct options *o, int said)
{
    char text[64];
    long port = said ? said : o->port;
    if (port == 0) return 0;
    snprintf(text, sizeof text, "-oPort %ld", port);
    return add_option(o, text, NULL);
}

static int start(struct sftp *s, struct options *o, const struct ssh_destination *d, struct ssh_child *child)
{
    struct ssh_start how = { .program = o->program, .options = &o->ssh };
    CLEANUP(strv_done) struct strv arguments = STRV_INIT;
    if (o->server.n) {
        how.program = o->server.v[0];
        for (size_t i = 1; i < o->server.n; i++) TRY(strv_add(&arguments, view_str(o->server.v[i])));
        how.options = &arguments;
    } else {
        bool is_path = o->subsystem && strchr(o->subsystem, '/');
        how.user = d->user;
        how.host = d->host;
        how.subsystem = is_path ? NULL : o->subsystem ? o->subsystem : "sftp";
        how.command = is_path ? o->subsystem : NULL;
    }
    int err = ssh_start_run(&how, child);
    if (err < 0) fprintf(stderr, "%s: %s\n", how.program ? how.program : "ssh", err_text(err));
    if (err < 0) return err;
    return sftp_conn_new(s->loop, child->in_fd, child->out_fd, s->log, &s->conn);
}

static int greet(struct sftp *s, const struct options *o, const struct ssh_destination *d)
{
    TRY(sftp_conn_hello(s->conn));
    TRY(remote_realpath(s, ".", &s->pwd));
    s->start_dir = view_dup_str(view_str(s->pwd));
    if (!s->start_dir) return ERR_NOMEM;
    if (s->quiet) return 0;
    if (o->server.n)
        fprintf(stderr, "Attached to %s.\n", o->server.v[0]);
    else
        fprintf(stderr, "Connected to %s.\n", d->host);
    return 0;
}

/* host:dir changes there; host:file fetches it, and that is all. */
static int go_to(struct sftp *s, const char *path, const char *to)
{
    static const bool none[128];
    CLEANUP(freep) char *plain = remote_plain(s, path);
    bool is_dir = false;
    if (!plain) return ERR_NOMEM;
    if (!to) TRY(remote_is_dir(s, plain, &is_dir));
    if (is_dir) {
        if (!s->quiet) fprintf(stderr, "Changing to: %s\n", plain);
        return change_dir(s, plain);
    }
    s->quit = true;
    TRY(signals_listen(s, true));
    int err = get_files(s, none, false, path, to);
    TRY(signals_listen(s, false));
    return err;
}

static int open_batch(const struct options *o, FILE **ret)
{
    *ret = stdin;
    if (!o->batch || strcmp(o->batch, "-") == 0) return 0;
    *ret = fopen(o->batch, "re");
    if (*ret) return 0;
    fprintf(stderr, "%s (%s).\n", strerror(errno), o->batch);
    return EXIT_FATAL;
}

static int work(struct sftp *s, struct options *o, const struct ssh_destination *d, const char *to, FILE *batch)
{
    TRY(greet(s, o, d));
    if (d->path && *d->path) TRY(go_to(s, d->path, to));
    return s->quit ? 0 : run_lines(s, batch, o->batch != NULL);
}

/* ssh has said its own part first, if the connection ended. */
static int end(struct sftp *s, pid_t pid, int err)
{
    int lost = s->conn ? sftp_conn_err(s->conn) : 0, ssh_status = 0;
    fflush(stdout);
    sftp_conn_free(TAKE(s->conn));
    (void)!spawn_wait(pid, &ssh_status);
    if (lost == 0) return err == 0 ? 0 : err == ERR_DENIED || err == ERR_CANCELLED ? EXIT_FAILED : fatal("%s", err_text(err));
    if (lost == ERR_PEER_CLOSED || lost == ERR_SYS(EPIPE) || lost == ERR_SYS(ECONNRESET)) return fatal("%s", "Connection closed");
    if (lost == ERR_PACKET_LENGTH || lost == ERR_FORMAT)
        fputs("What the server sends is no SFTP. Ensure the remote shell produces no output for non-interactive sessions.\n",
              stderr);
    return fatal("Connection closed: %s", err_text(lost));
}

static int connect_and_work(struct sftp *s, struct options *o, const struct ssh_destination *d, const char *to)
{
    FILE *batch;
    struct ssh_child child;
    int status = open_batch(o, &batch);
    if (status == 0) status = add_port(o, d->port);
    if (status) return status;
    if (loop_new(&s->loop) < 0) return fatal("%s", err_text(ERR_NOMEM));
    if (start(s, o, d, &child) < 0) return EXIT_FATAL;
    status = end(s, child.pid, work(s, o, d, to, batch));
    loop_free(s->loop);
    if (batch != stdin) fclose(batch);
    return status;
}

/* ---- main ---- */

static int destination(const char *text, struct ssh_destination *d)
{
    int got = ssh_destination_parse_uri(text, "sftp", d);
    if (got == 0) got = ssh_destination_parse(text, d) < 0 ? -1 : 1;
    return got == 1 ? 0 : usage();
}

static int run(struct sftp *s, int argc, char **argv)
{
    struct options o = { .ssh = STRV_INIT };
    CLEANUP(ssh_destination_done) struct ssh_destination d = { .port = 0 };
    int status = take_flags(s, &o, argc, argv), n = argc - optind;
    bool direct = o.server.n > 0;
    if (status == 0 && (direct ? n > 2 : n < 1 || n > 2)) status = usage();
    if (status == 0 && !direct) status = destination(argv[optind], &d);
    if (status == 0) status = connect_and_work(s, &o, &d, n == 2 ? argv[optind + 1] : NULL);
    strv_done(&o.ssh);
    strv_done(&o.server);
    return status;
}

static void log_line(void *arg, enum log_level level, const char *line)
{
    struct sftp *s = arg;
    meter_make_way(s->meter);
    fflush(stdout);
    s->sink.log.sink(s->sink.log.arg, level, line);
}

/* Names are UTF-8, whatever the locale thinks of them. */
static void use_locale(void)
{
    (void)setlocale(LC_ALL, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) (void)setlocale(LC_CTYPE, "C.UTF-8");
    (void)setlocale(LC_NUMERIC, "C");
}

int main(int argc, char **argv)
{
    struct sftp s = { .quit = false };
    if (fd_fill_std() < 0) return EXIT_FATAL;
    s.progress = tty_is(STDOUT_FILENO);
    use_locale();
    (void)signal(SIGPIPE, SIG_IGN);
    logsink_init_fd(&s.sink, LOG_LEVEL_INFO, STDERR_FILENO);
    s.sink.crlf = true;
    s.log_out = (struct log){ .level = LOG_LEVEL_INFO, .sink = log_line, .arg = &s };
    s.log = &s.log_out;
    int status = run(&s, argc, argv);
    free(s.pwd);
    free(s.start_dir);
    logsink_done(&s.sink);
    if (s.deadly) (void)raise(s.deadly);
    return status;
}
