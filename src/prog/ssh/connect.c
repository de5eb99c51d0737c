/* From a host name to descriptors that carry SSH: addresses tried in turn, or a command in between. */
#include "prog/ssh/client.h"

#include "os/clock.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const int families[] = { [CONF_AF_ANY] = AF_UNSPEC, [CONF_AF_INET] = AF_INET, [CONF_AF_INET6] = AF_INET6 };

/* What a refusal usually means; nothing for errors that speak for themselves. */
static const char *hint_for(int err)
{
    switch (err_errno(err)) {
    case ECONNREFUSED:
        return " (nothing listens on that port, or a firewall refuses)";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return " (no route from here)";
    default:
        return err == ERR_TIMEOUT || err_errno(err) == ETIMEDOUT
                   ? " (no answer: wrong address, host down, or a firewall that drops packets)"
                   : "";
    }
}

static int try_address(struct client *c, const struct sock_addr *addr)
{
    const struct ssh_options *o = &c->options;
    ms left = c->connect_deadline == MS_NEVER ? MS_NEVER : c->connect_deadline - clock_now();
    struct sock_connect how = { .bind_address = o->bind_address,
                                .bind_interface = o->bind_interface,
                                .timeout_ms = left,
                                .keepalive = o->tcp_keep_alive,
                                .tos = -1 };
    sock_addr_text(addr, &c->address_text);
    client_log(c, LOG_LEVEL_DEBUG1, "Connecting to %s [%s] port %d.", c->host, c->address_text.host, o->port);
    if (left <= 0) return ERR_TIMEOUT;
    int fd;
    int err = sock_connect(addr, &how, &fd);
    if (err < 0) {
        client_log(c, LOG_LEVEL_DEBUG1, "connect to address %s port %d: %s", c->address_text.host, o->port, err_text(err));
        return err;
    }
    client_log(c, LOG_LEVEL_DEBUG1, "Connection established.");
    c->address = *addr;
    c->in_fd = c->out_fd = fd;
    return 0;
}

/* What was wrong with our own end; the address that was tried is not to blame. */
static bool say_local_fault(struct client *c, int err)
{
    const struct ssh_options *o = &c->options;
    if (o->bind_address && err_errno(err) == EADDRNOTAVAIL)
        log_error(&c->sink.log, "bind %s: %s", o->bind_address, err_text(err));
    else if (o->bind_address && err == ERR_NOT_FOUND)
        log_error(&c->sink.log, "getaddrinfo: %s: Name or service not known", o->bind_address);
    else if (o->bind_interface && err == ERR_NOT_FOUND)
        log_error(&c->sink.log, "getifaddrs: %s: no suitable addresses", o->bind_interface);
    else
        return false;
    return true;
}

static void say_connect_failed(struct client *c, int err)
{
    const char *what = err == ERR_TIMEOUT ? "Connection timed out" : err_text(err), *hint = hint_for(err);
    if (say_local_fault(c, err)) {
        what = "failure";
        hint = "";
    }
    client_fatal(c, "ssh: connect to host %s port %d: %s%s", c->host, c->options.port, what, hint);
}

static int connect_directly(struct client *c)
{
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    const struct ssh_options *o = &c->options;
    const char *why = "";
    struct sock_resolve how = { .family = families[o->address_family] };
    int err = sock_resolve(c->host, (uint16_t)o->port, &how, &addrs, &why);
    if (err < 0) {
        client_fatal(c, "ssh: Could not resolve hostname %s: %s", c->host, why);
        return err;
    }
    err = ERR_NOT_FOUND;
    for (int attempt = 0; attempt < o->connection_attempts && err < 0; attempt++) {
        if (attempt) {
            client_log(c, LOG_LEVEL_DEBUG1, "Trying again...");
            sleep(1);
            if (c->connect_deadline != MS_NEVER) c->connect_deadline += 1000; /* our own pause, not the server's */
        }
        for (size_t i = 0; i < addrs.n && err < 0; i++) err = try_address(c, &addrs.v[i]);
    }
    if (err < 0) say_connect_failed(c, err);
    return err;
}

/* ---- ProxyCommand ---- */

/* ProxyJump: an ssh of ours with -W; its arguments are no shell's business. */
static int run_jump(struct client *c, UNUSED const char *command, int std_in, int std_out)
{
    CLEANUP(strv_done) struct strv argv = STRV_INIT;
    const struct spawn_fd fds[] = { { std_in, 0 }, { std_out, 1 }, { STDERR_FILENO, 2 } };
    TRY(jump_command(c, &argv));
    struct spawn s = { .path = argv.v[0], .argv = (const char *const *)argv.v, .fds = fds, .n_fds = ARRAY_LEN(fds) };
    return spawn_run(&s, &c->proxy_pid);
}

static int run_proxy(struct client *c, const char *command, int std_in, int std_out)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(1 << 20);
    const char *shell = getenv("SHELL");
    if (!shell || !*shell) shell = "/bin/sh";
    TRY(buf_printf(&line, "exec %s", command));
    const char *text = buf_cstr(&line);
    const char *argv[] = { shell, "-c", text, NULL };
    const struct spawn_fd fds[] = { { std_in, 0 }, { std_out, 1 }, { STDERR_FILENO, 2 } };
    struct spawn s = { .path = shell, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds) };
    client_log(c, LOG_LEVEL_DEBUG1, "Executing proxy command: %s", text);
    return spawn_run(&s, &c->proxy_pid);
}

typedef int run_fn(struct client *c, const char *command, int std_in, int std_out);

static int connect_by_pipes(struct client *c, run_fn *run, const char *command)
{
    int to[2], from[2];
    TRY(fd_pipe(to));
    CLEANUP(fd_closep) int child_in = to[0];
    c->out_fd = to[1];
    TRY(fd_pipe(from));
    CLEANUP(fd_closep) int child_out = from[1];
    c->in_fd = from[0];
    return run(c, command, child_in, child_out);
}

/* ProxyUseFdpass: the command connects, sends the descriptor over its standard output, and ends. */
static int connect_by_fdpass(struct client *c, const char *command)
{
    int pair[2], fd;
    size_t n, n_fds = 0;
    uint8_t byte;
    TRY(fd_socketpair(pair));
    CLEANUP(fd_closep) int ours = pair[0];
    CLEANUP(fd_closep) int theirs = pair[1];
    TRY(run_proxy(c, command, theirs, theirs));
    fd_closep(&theirs);
    TRY(fd_recv(ours, &byte, 1, &n, &fd, 1, &n_fds));
    int status;
    if (n_fds != 1) return ERR_PEER_CLOSED;
    (void)!spawn_wait(c->proxy_pid, &status);
    c->proxy_pid = 0;
    c->in_fd = c->out_fd = fd;
    return 0;
}

static int connect_by_proxy(struct client *c)
{
    CLEANUP(freep) char *command = NULL;
    TRY(config_expand(c, c->options.proxy_command, false, "ProxyCommand", &command));
    if (strcmp(command, "-") == 0) {
        TRY(fd_dup(STDIN_FILENO, &c->in_fd));
        return fd_dup(STDOUT_FILENO, &c->out_fd);
    }
    int err = c->options.proxy_use_fdpass ? connect_by_fdpass(c, command) : connect_by_pipes(c, run_proxy, command);
    if (err < 0) client_fatal(c, "proxy command \"%s\" gave no connection: %s", command, err_text(err));
    return err;
}

static int connect_by_jump(struct client *c)
{
    if (jump_is_loop(c)) {
        client_fatal(c, "jumphost loop via %s", c->options.proxy_jump);
        return ERR_DENIED;
    }
    int err = connect_by_pipes(c, run_jump, NULL);
    if (err < 0) client_fatal(c, "cannot connect through %s: %s", c->options.proxy_jump, err_text(err));
    return err;
}

static bool is_given(const char *text) { return text && strcmp(text, "none") != 0; }

int connect_to_server(struct client *c)
{
    ms timeout = c->options.connect_timeout > 0 ? (ms)c->options.connect_timeout * 1000 : MS_NEVER;
    c->connect_deadline = timeout == MS_NEVER ? MS_NEVER : clock_now() + timeout;
    if (is_given(c->options.proxy_command)) return connect_by_proxy(c);
    return is_given(c->options.proxy_jump) ? connect_by_jump(c) : connect_directly(c);
}
