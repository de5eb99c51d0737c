/* ssh-add: the command line. The agent is sought before anything else, as scripts tell by status 2 whether there is one. */
#include "prog/add/add.h"

#include "base/vis.h"
#include "conf/conf.h"
#include "crypto/crypto.h"
#include "io/prompt.h"
#include "os/fd.h"
#include "os/sock.h"
#include "os/spawn.h"
#include "proto/agent/agent.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char flags[] = ":vkKlLNCcdDTxXQqE:e:h:H:M:m:s:S:t:";

static const char usage_text[] = "usage: ssh-add [-CcDdKkLlNQqvXx] [-E fingerprint_hash] [-H hostkey_file]\n"
                                 "               [-h destination_constraint] [-S provider] [-t life]\n"
                                 "               [file ...]\n"
                                 "       ssh-add -s pkcs11 [cert-file ...]\n"
                                 "       ssh-add -e pkcs11\n"
                                 "       ssh-add -T pubkey ...\n";

static void say_args(const char *fmt, va_list args)
{
    char line[LINE_BYTES_MAX], clean[LINE_BYTES_MAX];
    vsnprintf(line, sizeof(line), fmt, args);
    vis_line(view_str(line), clean, sizeof(clean));
    fflush(stdout);
    fprintf(stderr, "%s\n", clean);
}

void say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_args(fmt, args);
    va_end(args);
}

int say_fatal(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_args(fmt, args);
    va_end(args);
    return EXIT_FATAL;
}

int ask_secret(struct add *a, const char *question, struct buf *out)
{
    int err = prompt_ask(&(struct prompt){ .log = &a->sink.log, .text = question, .from_stdin = true }, out);
    return err == ERR_CANCELLED || err == ERR_NOT_FOUND ? 0 : err;
}

static int usage(void)
{
    fputs(usage_text, stderr);
    return EXIT_FAILED;
}

/* ---- flags: each gives 0 or the exit status ---- */

static int take_action(struct add_options *o, int action, int letter)
{
    bool is_pair = action == ACTION_LIST || action == ACTION_LOCK;
    if (is_pair && o->letter && o->action == (unsigned)action) return say_fatal("-%c flag already specified", o->letter);
    o->action = action;
    o->letter = is_pair ? (char)letter : '\0';
    o->n_actions++;
    return 0;
}

static int take_lifetime(struct add_options *o, const char *value)
{
    int64_t life_ms;
    if (conf_time(view_str(value), false, &life_ms) < 0 || life_ms / 1000 > INT32_MAX) {
        fprintf(stderr, "Invalid lifetime\n");
        return EXIT_FAILED;
    }
    o->lifetime_s = (uint32_t)(life_ms / 1000);
    return 0;
}

static int take_text(struct strv *list, const char *value)
{
    return strv_add(list, view_str(value)) < 0 ? say_fatal("%s", err_text(ERR_NOMEM)) : 0;
}

static int take_hash(struct add_options *o, const char *value)
{
    return digest_from_name(value, &o->hash) < 0 ? say_fatal("Invalid hash algorithm \"%s\"", value) : 0;
}

static int take_value(struct add *a, int flag, const char *value)
{
    struct add_options *o = &a->options;
    switch (flag) {
    case 'E':
        return take_hash(o, value);
    case 'h':
        return take_text(&o->destinations, value);
    case 'H':
        return take_text(&o->host_key_files, value);
    case 't':
        return take_lifetime(o, value);
    case 's':
    case 'e':
        o->card = value;
        return take_action(o, flag == 's' ? ACTION_CARD_ADD : ACTION_CARD_REMOVE, flag);
    case 'S':
        o->sk_provider = value;
        return 0;
    case 'M':
    case 'm':
        say("ssh-add: -%c belonged to XMSS keys, which no longer exist; it is ignored", flag);
        return 0;
    default:
        fprintf(stderr, flag == ':' ? "option requires an argument -- %c\n" : "unknown option -- %c\n", optopt);
        return usage();
    }
}

static int take_flag(struct add *a, int flag, const char *value)
{
    struct add_options *o = &a->options;
    switch (flag) {
    case 'v':
        if (a->sink.log.level < LOG_LEVEL_DEBUG3)
            a->sink.log.level = a->sink.log.level < LOG_LEVEL_DEBUG1 ? LOG_LEVEL_DEBUG1 : a->sink.log.level + 1;
        return 0;
    case 'k':
        o->plain_only = true;
        return 0;
    case 'C':
        o->certs_only = true;
        return 0;
    case 'c':
        o->confirm = true;
        return 0;
    case 'd':
        o->delete = true;
        return 0;
    case 'N':
        o->no_cert_expiry = true;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    case 'l':
    case 'L':
        return take_action(o, ACTION_LIST, flag);
    case 'x':
    case 'X':
        return take_action(o, ACTION_LOCK, flag);
    case 'D':
        return take_action(o, ACTION_EMPTY, flag);
    case 'T':
        return take_action(o, ACTION_TEST, flag);
    case 'Q':
        return take_action(o, ACTION_QUERY, flag);
    case 'K':
        return take_action(o, ACTION_RESIDENT, flag);
    default:
        return take_value(a, flag, value);
    }
}

static int parse(struct add *a, int argc, char **argv)
{
    int flag;
    opterr = 0;
    while ((flag = getopt(argc, argv, flags)) != -1) {
        int status = take_flag(a, flag, optarg);
        if (status) return status;
    }
    if (a->options.n_actions > 1) return say_fatal("Invalid combination of actions");
    if (a->options.plain_only && a->options.certs_only) return say_fatal("-k and -C exclude each other");
    return 0;
}

/* ---- work ---- */

static int for_each(struct add *a, int argc, char **argv, int (*fn)(struct add *a, const char *path))
{
    int status = EXIT_DONE;
    for (int i = 0; i < argc; i++)
        if (fn(a, argv[i]) != EXIT_DONE) status = EXIT_FAILED;
    return status;
}

static int run(struct add *a, int argc, char **argv)
{
    switch (a->options.action) {
    case ACTION_LIST:
        return agent_list(a);
    case ACTION_LOCK:
        return agent_lock(a);
    case ACTION_EMPTY:
        return agent_empty(a);
    case ACTION_QUERY:
        return agent_query(a);
    case ACTION_TEST:
        return argc ? for_each(a, argc, argv, agent_test) : say_fatal("no keys to test");
    default:
        break;
    }
    int status = destinations_make(a);
    if (status) return status;
    if (a->options.action == ACTION_RESIDENT) return token_do_residents(a);
    if (a->options.card) return token_do_card(a, argc, argv);
    return argc ? for_each(a, argc, argv, keys_do_file) : keys_do_defaults(a);
}

static int connect_agent(struct add *a)
{
    const char *path = getenv("SSH_AUTH_SOCK");
    if (!path || !*path) {
        fprintf(stderr, "Could not open a connection to your authentication agent.\n");
        return EXIT_NO_AGENT;
    }
    int err = sock_connect_unix(path, &a->agent);
    if (err < 0) say("Error connecting to agent: %s", err_text(err));
    return err < 0 ? EXIT_NO_AGENT : 0;
}

int main(int argc, char **argv)
{
    static struct add a = { .options = { .hash = DIGEST_SHA256, .limits = BUF_INIT(AGENT_FRAME_BYTES_MAX) },
                            .agent = -1,
                            .request = BUF_INIT_SECRET(AGENT_FRAME_BYTES_MAX + 4),
                            .answer = BUF_INIT(AGENT_FRAME_BYTES_MAX),
                            .passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX) };
    if (fd_fill_std() < 0) return EXIT_FATAL;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)!spawn_hide_memory();
    crypto_start();
    logsink_init_fd(&a.sink, LOG_LEVEL_INFO, STDERR_FILENO);
    int status = connect_agent(&a);
    if (status == 0) status = parse(&a, argc, argv);
    if (status == 0) status = run(&a, argc - optind, argv + optind);
    if (fflush(stdout) != 0 && status == EXIT_DONE) status = EXIT_FAILED;
    fd_close(a.agent);
    buf_done(&a.passphrase);
    buf_done(&a.request);
    buf_done(&a.answer);
    buf_done(&a.options.limits);
    strv_done(&a.options.destinations);
    strv_done(&a.options.host_key_files);
    logsink_done(&a.sink);
    return status;
}
