/* ssh-agent: the command line, and becoming what it asks for: a process in the background, in front, or below a command. */
#include "prog/agent/agent.h"

#include "conf/conf.h"
#include "crypto/crypto.h"
#include "os/env.h"
#include "os/fd.h"
#include "os/random.h"
#include "os/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static const char flags[] = "+:cDdksTuUVE:a:O:P:t:";

static const char usage_text[] = "usage: ssh-agent [-c | -s] [-DdTU] [-a bind_address] [-E fingerprint_hash]\n"
                                 "                 [-O option] [-P allowed_providers] [-t life]\n"
                                 "       ssh-agent [-TU] [-a bind_address] [-E fingerprint_hash] [-O option]\n"
                                 "                 [-P allowed_providers] [-t life] command [arg ...]\n"
                                 "       ssh-agent [-c | -s] -k\n"
                                 "       ssh-agent -u\n"
                                 "       ssh-agent -V\n";

static int usage(void)
{
    fputs(usage_text, stderr);
    return EXIT_REFUSED;
}

static int say_fatal(const char *what, const char *value)
{
    fprintf(stderr, what, value);
    fputc('\n', stderr);
    return EXIT_FATAL;
}

/* ---- flags: each gives 0 or the exit status ---- */

static int take_option(struct agent_options *o, const char *value)
{
    static const char websafe[] = "websafe-allow=";
    if (strcmp(value, "no-restrict-websafe") == 0)
        o->server.any_web_signature = true;
    else if (strcmp(value, "allow-remote-pkcs11") == 0)
        o->server.remote_providers = true;
    else if (strncmp(value, websafe, sizeof(websafe) - 1) == 0 && !o->server.websafe_allow)
        o->server.websafe_allow = value + sizeof(websafe) - 1;
    else if (strncmp(value, websafe, sizeof(websafe) - 1) == 0)
        return say_fatal("%s already set", "websafe-allow");
    else
        return say_fatal("%s", "Unknown -O option");
    return 0;
}

static int take_hash(struct agent_options *o, const char *value)
{
    return digest_from_name(value, &o->server.fingerprint_hash) < 0 ? say_fatal("Invalid hash algorithm \"%s\"", value) : 0;
}

static int take_providers(struct agent_options *o, const char *value)
{
    if (o->providers) return say_fatal("%s", "-P option already specified");
    o->providers = value;
    return 0;
}

static int take_lifetime(struct agent_options *o, const char *value)
{
    int64_t life_ms;
    if (conf_time(view_str(value), false, &life_ms) < 0 || life_ms / 1000 > INT32_MAX) {
        fprintf(stderr, "Invalid lifetime\n");
        return usage();
    }
    o->server.lifetime_s = (uint32_t)(life_ms / 1000);
    return 0;
}

static int take_version(void)
{
    fprintf(stderr, "Nacre_%s, %s\n", NACRE_VERSION, crypto_library_version());
    exit(0);
}

static int take_shell(struct agent_options *o, enum shell_kind kind)
{
    if (o->shell != SHELL_GUESSED && o->shell != kind) return usage();
    o->shell = kind;
    return 0;
}

static int take_foreground(struct agent_options *o, bool debug)
{
    if (o->foreground) return usage();
    o->foreground = true;
    o->debug = debug;
    return 0;
}

static int take_flag(struct agent_options *o, int flag, const char *value)
{
    switch (flag) {
    case 'a':
        o->address = value;
        return 0;
    case 'c':
        return take_shell(o, SHELL_CSH);
    case 's':
        return take_shell(o, SHELL_SH);
    case 'd':
        return take_foreground(o, true);
    case 'D':
        return take_foreground(o, false);
    case 'E':
        return take_hash(o, value);
    case 'k':
        o->kill = true;
        return 0;
    case 'O':
        return take_option(o, value);
    case 'P':
        return take_providers(o, value);
    case 't':
        return take_lifetime(o, value);
    case 'T':
        o->in_tmp = true;
        return 0;
    case 'u':
        o->clean_only++;
        return 0;
    case 'U':
        o->keep_stale = true;
        return 0;
    case 'V':
        return take_version();
    default:
        fprintf(stderr, flag == ':' ? "option requires an argument -- %c\n" : "unknown option -- %c\n", optopt);
        return usage();
    }
}

static int parse(struct agent_options *o, int argc, char **argv)
{
    int flag;
    opterr = 0;
    while ((flag = getopt(argc, argv, flags)) != -1) {
        int status = take_flag(o, flag, optarg);
        if (status) return status;
    }
    if (optind < argc) o->command = argv + optind;
    if (o->command && (o->shell != SHELL_GUESSED || o->kill || o->foreground || o->clean_only)) return usage();
    return 0;
}

/* ---- what shells are told ---- */

static bool is_csh(const struct agent_options *o)
{
    const char *shell = getenv("SHELL");
    size_t len = shell ? strlen(shell) : 0;
    if (o->shell != SHELL_GUESSED) return o->shell == SHELL_CSH;
    return len >= 3 && strcmp(shell + len - 3, "csh") == 0;
}

static void print_environment(const struct agent *a, pid_t pid)
{
    bool csh = is_csh(&a->options);
    printf(csh ? "setenv SSH_AUTH_SOCK %s;\n" : "SSH_AUTH_SOCK=%s; export SSH_AUTH_SOCK;\n", a->socket.shown);
    if (!a->options.foreground) printf(csh ? "setenv SSH_AGENT_PID %d;\n" : "SSH_AGENT_PID=%d; export SSH_AGENT_PID;\n", (int)pid);
    printf("echo Agent pid %d;\n", (int)pid);
    fflush(stdout);
}

/* -k */
static int kill_agent(const struct agent_options *o)
{
    const char *text = getenv("SSH_AGENT_PID");
    char *end;
    if (!text) {
        fprintf(stderr, "SSH_AGENT_PID not set, cannot kill agent\n");
        return EXIT_REFUSED;
    }
    errno = 0;
    long pid = strtol(text, &end, 10);
    if (errno || !*text || *end || pid < 1 || pid > INT32_MAX) {
        fprintf(stderr, "SSH_AGENT_PID=\"%s\", which is not a good PID\n", text);
        return EXIT_REFUSED;
    }
    if (kill((pid_t)pid, SIGTERM) < 0) {
        perror("kill");
        return EXIT_REFUSED;
    }
    bool csh = is_csh(o);
    printf(csh ? "unsetenv SSH_AUTH_SOCK;\nunsetenv SSH_AGENT_PID;\n" : "unset SSH_AUTH_SOCK;\nunset SSH_AGENT_PID;\n");
    printf("echo Agent pid %ld killed;\n", pid);
    return 0;
}

/* ---- becoming an agent ---- */

static void start_log(struct agent *a)
{
    enum log_level level = a->options.debug ? LOG_LEVEL_DEBUG3 : LOG_LEVEL_INFO;
    if (a->options.foreground)
        logsink_init_fd(&a->sink, level, STDERR_FILENO);
    else
        logsink_init_syslog(&a->sink, level, "ssh-agent", LOG_AUTH);
}

/* In the process that will hold keys: no core, no debugger, no swap. */
static void protect(struct agent *a)
{
    if (spawn_hide_memory() < 0) log_error(&a->sink.log, "the agent's memory cannot be hidden from other processes of the user");
    if (spawn_lock_memory() < 0) log_debug(&a->sink.log, "memory is not locked as a whole: the limit does not allow it");
}

static int started_in_front(struct agent *a)
{
    print_environment(a, getpid());
    return 0;
}

static int started_behind(struct agent *a)
{
    pid_t pid = getpid();
    int err = fd_write_all(a->ready_fd, view_of(&pid, sizeof(pid)));
    fd_close(fd_take(&a->ready_fd));
    return err;
}

static int run_agent(struct agent *a, pid_t parent)
{
    start_log(a);
    protect(a);
    int status = agent_serve(a, parent);
    agent_socket_remove(&a->socket);
    return status;
}

/* The parent becomes the command, so that who started us waits for it, and its signals and status are its own. */
static int run_command(struct agent *a, pid_t agent_pid)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    char pid[32];
    snprintf(pid, sizeof(pid), "%d", (int)agent_pid);
    int err = env_current(&env);
    if (err == 0) err = env_set(&env, "SSH_AUTH_SOCK", a->socket.shown);
    if (err == 0) err = env_set(&env, "SSH_AGENT_PID", pid);
    struct spawn how = { .path = a->options.command[0],
                         .search = true,
                         .argv = (const char *const *)a->options.command,
                         .env = (const char *const *)env.v,
                         .keep_std = true };
    if (err == 0) err = spawn_exec(&how);
    fprintf(stderr, "%s: %s\n", a->options.command[0], err_text(err));
    return EXIT_REFUSED;
}

/* In the background. The child says its number through a pipe, since what makes it does not. */
static int start_behind(struct agent *a)
{
    int ends[2];
    pid_t parent = getpid(), pid = 0;
    int err = fd_pipe(ends);
    if (err == 0) err = spawn_background();
    if (err < 0) {
        fprintf(stderr, "ssh-agent: %s\n", err_text(err));
        agent_socket_remove(&a->socket);
        return EXIT_REFUSED;
    }
    if (err == SPAWN_PARENT) {
        fd_close(ends[1]);
        fd_close(a->socket.fd);
        if (fd_read_all(ends[0], &pid, sizeof(pid)) < 0) { /* it has said why, to syslog */
            fprintf(stderr, "ssh-agent: it could not be started\n");
            return EXIT_REFUSED;
        }
        if (a->options.command) return run_command(a, pid);
        print_environment(a, pid);
        return 0;
    }
    fd_close(ends[0]);
    a->ready_fd = ends[1];
    a->started = started_behind;
    if (fd_null_std(true) < 0 || chdir("/") < 0) return EXIT_REFUSED;
    return run_agent(a, a->options.command ? parent : 0);
}

static int run(struct agent *a)
{
    logsink_init_fd(&a->sink, LOG_LEVEL_INFO, STDERR_FILENO);
    int inherited = agent_socket_inherit(a);
    if (inherited < 0) return EXIT_REFUSED;
    if (inherited && a->options.address) return say_fatal("%s", "-a and a socket that was handed over exclude each other");
    if (inherited) a->options.foreground = !a->options.command; /* who started us watches this very process */
    if (!inherited && !a->options.keep_stale && !a->options.address && !a->options.in_tmp) agent_socket_clean(false);
    if (!inherited && agent_socket_open(a) < 0) return EXIT_REFUSED;
    if (!a->options.foreground) return start_behind(a);
    a->started = started_in_front;
    return run_agent(a, 0);
}

int main(int argc, char **argv)
{
    static struct agent a = { .socket = { .fd = -1 }, .sink = { .fd = -1 }, .ready_fd = -1, .parent_fd = -1 };
    if (fd_fill_std() < 0) return EXIT_REFUSED;
    (void)signal(SIGPIPE, SIG_IGN);
    a.options.server.random = &os_random;
    a.options.server.fingerprint_hash = DIGEST_SHA256;
    int status = parse(&a.options, argc, argv);
    if (status) return status;
    if (a.options.kill) return kill_agent(&a.options);
    if (a.options.clean_only) {
        agent_socket_clean(a.options.clean_only > 1);
        return 0;
    }
    crypto_start();
    status = run(&a);
    agent_socket_done(&a.socket);
    logsink_done(&a.sink);
    return status;
}
