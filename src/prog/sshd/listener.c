/* sshd, the listener: accepts connections and gives each to a monitor. It reads no byte of a peer. */
#include "prog/sshd/listener.h"

#include "crypto/crypto.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/proctitle.h"
#include "os/random.h"
#include "os/spawn.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READY_MONITORS = 4,
    ACCEPTS_PER_TURN = 16,
    ACCEPT_PAUSE_MS = 1000,
    EXIT_USAGE = 1,
    EXIT_FAILED = 255
};

/* MaxStartups start:rate:full: from start on some, from full on all new connections are refused, so that half-open ones cannot keep
 * real users out. */
static bool must_drop(const struct listener *l)
{
    const struct conf_max_startups *max = &l->options.max_startups;
    long n = (long)monitors_n_starting(l->monitors);
    if (n < max->begin) return false;
    if (n >= max->full || max->rate_percent == 100) return true;
    long percent = max->rate_percent + (100 - max->rate_percent) * (n - max->begin) / (max->full - max->begin);
    uint32_t dice;
    if (random_fill(&os_random, &dice, sizeof dice) < 0) return true;
    return dice % 100 < (uint32_t)percent;
}

/* PerSourceMaxStartups: none is as much as any. */
static bool source_has_enough(const struct listener *l, const struct sock_addr *peer)
{
    int max = l->options.per_source_max_startups;
    if (max < 0 || max == INT_MAX) return false;
    return monitors_n_starting_from(l->monitors, peer, &l->options.per_source_net_block_size) >= (size_t)max;
}

/* The first of a row is told, and how many it were; a flood must not fill the log. */
static void note_drop(struct listener *l)
{
    if (!l->throttled_since) {
        log_error(&l->sink.log, "beginning MaxStartups throttling");
        l->throttled_since = loop_now(l->loop);
    }
    l->n_dropped++;
}

static void note_taken(struct listener *l)
{
    if (!l->throttled_since) return;
    long s = (long)((loop_now(l->loop) - l->throttled_since) / 1000);
    log_info(&l->sink.log, "exited MaxStartups throttling after %02ld:%02ld:%02ld, %u connections dropped", s / 3600, s / 60 % 60,
             s % 60, l->n_dropped);
    l->throttled_since = 0;
    l->n_dropped = 0;
}

/* why: as the log has it; farewell: what the other side is told. */
static void drop(struct listener *l, int take_fd, enum log_level level, const char *why, struct view farewell)
{
    struct sock_text peer, local;
    size_t n;
    sock_peer_text(take_fd, &peer);
    sock_local_text(take_fd, &local);
    log_at(&l->sink.log, level, "drop connection #%zu from [%s]:%d on [%s]:%d %s", monitors_n_starting(l->monitors), peer.host,
           peer.port, local.host, local.port, why);
    (void)!fd_write(take_fd, farewell.p, farewell.len, &n);
    fd_close(take_fd);
}

static void drop_startup(struct listener *l, int take_fd)
{
    note_drop(l);
    drop(l, take_fd, l->n_dropped == 1 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG1, "past MaxStartups",
         VIEW_LIT("Exceeded MaxStartups\r\n"));
}

/* The first of each penalty is told at the usual level: whoever is refused tends to come back at once and often. */
static bool drop_penalised(struct listener *l, int take_fd, const struct sock_addr *peer)
{
    bool first = false;
    const char *why = penalties_refuse(l->penalties, peer, loop_now(l->loop), &first);
    if (!why) return false;
    drop(l, take_fd, first ? LOG_LEVEL_INFO : LOG_LEVEL_VERBOSE, why, VIEW_LIT("Not allowed at this time\r\n"));
    return true;
}

void listener_note_outcome(struct listener *l, const struct sock_addr *peer, uint32_t outcome)
{
    static const enum penalty penalties[IPC_OUTCOME_MAX] = {
        [IPC_OUTCOME_CRASH] = PENALTY_CRASH,          [IPC_OUTCOME_AUTHFAIL] = PENALTY_AUTHFAIL,
        [IPC_OUTCOME_NOAUTH] = PENALTY_NOAUTH,        [IPC_OUTCOME_INVALID_USER] = PENALTY_INVALIDUSER,
        [IPC_OUTCOME_GRACE] = PENALTY_GRACE_EXCEEDED, [IPC_OUTCOME_REFUSED] = PENALTY_REFUSECONNECTION,
    };
    struct penalty_note note;
    enum penalty kind = outcome < IPC_OUTCOME_MAX ? penalties[outcome] : PENALTY_CRASH;
    if (kind == PENALTY_NONE) return;
    penalties_add(l->penalties, peer, kind, loop_now(l->loop), &note);
    if (note.span_ms == 0) return;
    log_verbose(&l->sink.log, "%s: new %s %s penalty of %lld seconds for %s", strchr(note.source, ':') ? "ipv6" : "ipv4",
                note.source, note.is_active ? "active" : "deferred", (long long)((note.span_ms + 999) / 1000), note.reason);
}

static void close_sockets(struct listener *l)
{
    for (size_t i = 0; i < l->n_sockets; i++) {
        loop_fd_free(l->watches[i]);
        fd_close(l->sockets[i]);
    }
    l->n_sockets = 0;
}

static void set_accepting(struct listener *l, bool on)
{
    for (size_t i = 0; i < l->n_sockets; i++) (void)!loop_fd_set(l->watches[i], on ? LOOP_READ : 0);
}

static void on_accept_again(void *arg) { set_accepting(arg, true); }

static void take(struct listener *l, int fd, const struct sock_addr *peer)
{
    if (drop_penalised(l, fd, peer)) return;
    if (must_drop(l) || source_has_enough(l, peer)) {
        drop_startup(l, fd);
        return;
    }
    note_taken(l);
    sock_nodelay(fd, true);
    if (l->options.tcp_keep_alive) sock_keepalive(fd, true);
    int err = monitors_serve(l->monitors, fd, -1, true, peer);
    if (err < 0) log_error(&l->sink.log, "cannot serve a connection: %s", err_text(err));
    if (l->cmd.debug) close_sockets(l);
}

static void on_listen(void *arg, int fd, UNUSED unsigned events)
{
    struct listener *l = arg;
    for (int i = 0; i < ACCEPTS_PER_TURN && l->n_sockets; i++) {
        int conn;
        struct sock_addr peer = { .len = 0 };
        int err = sock_accept(fd, &peer, &conn);
        if (err == ERR_AGAIN) break;
        if (err < 0) {
            log_error(&l->sink.log, "accept: %s", err_text(err));
            set_accepting(l, false);
            loop_timer_set(l->accept_again, loop_now(l->loop) + ACCEPT_PAUSE_MS);
            break;
        }
        take(l, conn, &peer);
    }
    if (l->n_sockets) monitors_refill(l->monitors);
}

/* ---- signals ---- */

static void on_terminate(void *arg, int signal)
{
    struct listener *l = arg;
    log_info(&l->sink.log, "Received signal %d; terminating.", signal);
    loop_stop(l->loop, 0);
}

static bool new_config_is_good(const struct listener *l)
{
    struct listener probe = { .cmd = l->cmd, .config_path = l->config_path, .algs = l->algs, .image = CONF_IMAGE_INIT };
    sshd_options_init(&probe.options);
    int err = listener_load_config(&probe);
    sshd_options_done(&probe.options);
    conf_image_done(&probe.image);
    return err == 0;
}

/* What systemd gave is handed on: it is not given twice. */
static size_t keep_given_sockets(const struct listener *l, struct spawn_fd fds[SPAWN_FDS_MAX])
{
    size_t n = MIN(l->n_given, (size_t)SPAWN_FDS_MAX);
    char number[24];
    for (size_t i = 0; i < n; i++) fds[i] = (struct spawn_fd){ DAEMON_LISTEN_FIRST + (int)i, DAEMON_LISTEN_FIRST + (int)i };
    if (n == 0) return 0;
    snprintf(number, sizeof number, "%ld", (long)getpid());
    (void)!setenv("LISTEN_PID", number, 1);
    snprintf(number, sizeof number, "%zu", n);
    (void)!setenv("LISTEN_FDS", number, 1);
    return n;
}

/* The new configuration is tried first: a broken one leaves the running daemon as it is. */
static void on_hangup(void *arg, UNUSED int signal)
{
    struct listener *l = arg;
    if (!new_config_is_good(l)) {
        log_error(&l->sink.log, "Received SIGHUP; the configuration has errors (sshd -t shows them): going on with the old one");
        return;
    }
    log_info(&l->sink.log, "Received SIGHUP; restarting.");
    (void)!daemon_notify_reloading();
    CLEANUP(freep) char *self = NULL;
    int err = spawn_self_path(&self);
    const char *program = l->argv[0][0] == '/' ? l->argv[0] : self;
    struct spawn_fd fds[SPAWN_FDS_MAX];
    struct spawn s = {
        .path = program, .argv = (const char *const *)l->argv, .fds = fds, .n_fds = keep_given_sockets(l, fds), .keep_std = true
    };
    if (err == 0) err = spawn_exec(&s);
    log_error(&l->sink.log, "RESTART FAILED: av[0]='%s', error: %s.", l->argv[0], err_text(err));
}

/* ---- start and end ---- */

/* Until it serves, whoever starts the daemon sees what is wrong. */
static int start_log(struct listener *l, bool is_starting)
{
    bool to_stderr = l->cmd.log_stderr || l->cmd.debug || l->cmd.mode != MODE_SERVE || (is_starting && !l->cmd.inetd);
    logsink_done(&l->sink);
    l->sink = (struct logsink){ .fd = -1 };
    enum log_level level = l->cmd.quiet   ? LOG_LEVEL_QUIET
                           : l->cmd.debug ? (enum log_level)(LOG_LEVEL_DEBUG1 + l->cmd.debug - 1)
                                          : (enum log_level)l->options.log_level;
    if (l->cmd.log_file) return logsink_init_file(&l->sink, level, l->cmd.log_file);
    if (to_stderr)
        logsink_init_fd(&l->sink, level, STDERR_FILENO);
    else
        logsink_init_syslog(&l->sink, level, "sshd", l->options.syslog_facility << 3);
    return 0;
}

static int watch_sockets(struct listener *l)
{
    l->watches = calloc(l->n_sockets + 1, sizeof *l->watches);
    if (!l->watches) return ERR_NOMEM;
    for (size_t i = 0; i < l->n_sockets; i++) TRY(loop_fd_new(l->loop, l->sockets[i], LOOP_READ, on_listen, l, &l->watches[i]));
    return loop_timer_new(l->loop, on_accept_again, l, &l->accept_again);
}

static int prepare(struct listener *l)
{
    TRY(listener_find_parts(l));
    TRY(listener_start_keys(l));
    TRY(start_log(l, false));
    TRY(listener_make_setup(l));
    TRY(loop_new(&l->loop));
    TRY(penalties_new(&l->options.per_source_penalties, &l->options.per_source_net_block_size,
                      l->options.per_source_penalty_exempt_list, &l->penalties));
    return monitors_new(l, l->cmd.debug || l->cmd.inetd ? 1 : READY_MONITORS, &l->monitors);
}

static int serve_inetd(struct listener *l)
{
    int in, out;
    TRY(prepare(l));
    TRY(fd_dup(STDIN_FILENO, &in));
    TRY(fd_dup(STDOUT_FILENO, &out));
    TRY(fd_null_std(false));
    bool one_socket = sock_is_inet(in);
    if (one_socket) fd_close(out);
    TRY(monitors_serve(l->monitors, in, out, one_socket, NULL));
    return loop_run(l->loop);
}

static int serve_forever(struct listener *l)
{
    struct daemon d = DAEMON_INIT;
    bool writes_pid = !l->cmd.debug;
    int side = l->cmd.no_detach ? 0 : daemon_detach(&d, true);
    if (side != 0) return side == DAEMON_PARENT ? 0 : side;
    TRY(prepare(l));
    TRY(loop_signal(l->loop, SIGTERM, on_terminate, l));
    TRY(loop_signal(l->loop, SIGINT, on_terminate, l));
    TRY(loop_signal(l->loop, SIGQUIT, on_terminate, l));
    TRY(loop_signal(l->loop, SIGHUP, on_hangup, l));
    /* Last: whoever sees the socket or its line in the log may also send signals. */
    TRY(listener_listen(l));
    TRY(watch_sockets(l));
    if (writes_pid && daemon_pid_write(l->options.pid_file) < 0)
        log_error(&l->sink.log, "Couldn't create pid file \"%s\"", l->options.pid_file);
    (void)!daemon_notify("READY=1");
    if (!l->cmd.no_detach && !l->cmd.log_stderr) TRY(fd_null_std(true));
    daemon_ready(&d);
    monitors_refill(l->monitors);
    int got = loop_run(l->loop);
    if (writes_pid) daemon_pid_remove(l->options.pid_file);
    return got;
}

static int test_keys(struct listener *l)
{
    TRY(listener_find_parts(l));
    return listener_start_keys(l);
}

static int run(struct listener *l)
{
    switch (l->cmd.mode) {
    case MODE_TEST:
        return test_keys(l);
    case MODE_DUMP:
        TRY(test_keys(l));
        return listener_dump(l);
    case MODE_DUMP_ONLY:
        return listener_dump(l);
    default:
        return l->cmd.inetd ? serve_inetd(l) : serve_forever(l);
    }
}

void listener_show_title(const struct listener *l, size_t n_starting)
{
    const struct conf_max_startups *max = &l->options.max_startups;
    proctitle_set("sshd: %.*s [listener] %zu of %d-%d startups", VIEW_ARG(buf_view(&l->command)), n_starting, max->begin,
                  max->full);
}

static void listener_done(struct listener *l)
{
    close_sockets(l);
    free(l->sockets);
    free(l->watches);
    monitors_free(l->monitors);
    penalties_free(l->penalties);
    loop_timer_free(l->accept_again);
    loop_free(l->loop);
    ipc_done(&l->key_holder);
    buf_done(&l->setup);
    buf_done(&l->host_keys);
    buf_done(&l->host_certs);
    buf_done(&l->command);
    strv_done(&l->parts);
    sshd_options_done(&l->options);
    conf_image_done(&l->image);
    algorithms_done(&l->algs);
    logsink_done(&l->sink);
    command_line_done(&l->cmd);
}

/* Exit status of a daemon that served one connection: the session's own. */
static int status_of(const struct listener *l, int result)
{
    /* 1 is what scripts know for a daemon without a key; the parent of a detached one knows only that it did not get so far. */
    bool has_no_key = buf_len(&l->host_keys) == 0 && (l->key_holder.fd >= 0 || result == ERR_PEER_CLOSED);
    if (result < 0) return has_no_key ? EXIT_USAGE : EXIT_FAILED;
    if (result == 0) return 0;
    return WIFEXITED(l->served_status) ? WEXITSTATUS(l->served_status) : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct listener l = { .argv = argv,
                          .image = CONF_IMAGE_INIT,
                          .setup = BUF_INIT(512 << 20),
                          .host_keys = BUF_INIT(1 << 20),
                          .host_certs = BUF_INIT(4 << 20),
                          .command = BUF_INIT(4 << 20),
                          .key_holder = { .fd = -1 } };
    if (fd_fill_std() < 0) return EXIT_FAILED;
    daemon_close_inherited();
    spawn_reset_signals(true);
    proctitle_init(argc, argv);
    if (command_line_parse(argc, argv, &l.cmd) < 0) return EXIT_USAGE;
    crypto_start_alone();
    if (l.cmd.mode == MODE_VERSION) {
        dprintf(STDERR_FILENO, "Nacre_%s, %s\n", NACRE_VERSION, crypto_library_version());
        return 0;
    }
    l.config_path = l.cmd.config_path ? l.cmd.config_path : NACRE_SYSCONFDIR "/sshd_config";
    sshd_options_init(&l.options);
    int err = algorithms_init(&l.algs, ALGORITHMS_SERVER);
    if (err == 0) err = listener_load_config(&l);
    if (err_is_sys(err) || err == ERR_NOT_FOUND) return EXIT_USAGE; /* there is no such file; no keyword that -o names */
    if (err == 0 && l.cmd.has_test_spec && l.cmd.mode != MODE_DUMP && l.cmd.mode != MODE_DUMP_ONLY) {
        dprintf(STDERR_FILENO, "Config test connection parameter (-C) provided without test mode (-T)\r\n");
        err = ERR_FORMAT;
    }
    if (err == 0 && (err = start_log(&l, true)) < 0 && l.cmd.log_file) {
        dprintf(STDERR_FILENO, "Couldn't open logfile %s: %s\n", l.cmd.log_file, err_text(err));
        return EXIT_USAGE;
    }
    if (err == 0) {
        for (int i = 0; i < argc && err == 0; i++) err = buf_printf(&l.command, "%s%s", i ? " " : "", argv[i]);
        listener_show_title(&l, 0);
        err = run(&l);
    }
    int status = status_of(&l, err);
    listener_done(&l);
    return status;
}
