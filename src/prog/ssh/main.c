/* ssh: from the command line to the exit status. The order of things: options, connection, key exchange (host_key.c),
 * authentication (login.c), session (session.c). */
#include "prog/ssh/client.h"

#include "crypto/crypto.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"
#include "os/spawn.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

enum {
    FLUSH_WAIT_MS = 1000
};

void client_end(struct client *c, int status)
{
    if (c->ended) return; /* what came in the same turn does not undo it */
    c->ended = true;
    c->exit_status = status;
    loop_stop(c->loop, 0);
}

/* ---- transport ---- */

static void start_login(void *arg);

static int on_keys_changed(struct client *c, const struct transport_event *e)
{
    if (!e->first) return 0;
    TRY(loop_later(c->loop, start_login, c));
    struct transport_chosen chosen;
    transport_chosen(wire_io_transport(c->wire), &chosen);
    if (!chosen.kex_is_post_quantum && c->options.warn_weak_crypto == CONF_WEAK_CRYPTO_WARN) {
        client_log(c, LOG_LEVEL_INFO, "** WARNING: connection is not using a post-quantum key exchange algorithm (%s).",
                   chosen.kex);
        client_log(c, LOG_LEVEL_INFO, "** This session could be recorded now and read later; the server may need to be upgraded.");
    }
    return 0;
}

static int on_ext_info(struct client *c, const struct transport_event *e)
{
    if (!c->has_ext_info) TRY(loop_later(c->loop, start_login, c));
    c->has_ext_info = true;
    if (view_eq_str(e->text, "publickey-hostbound@openssh.com")) c->server_hostbound = view_eq_str(e->data, "0");
    if (view_eq_str(e->text, EXT_EARLY_SESSION)) c->server_takes_early = view_eq_str(e->data, "0");
    if (!view_eq_str(e->text, "server-sig-algs")) return 0;
    buf_reset(&c->server_sig_algs);
    return buf_put_view(&c->server_sig_algs, e->data);
}

/* RFC 8308 2.4: it comes right behind NEWKEYS, or not at all. On a real path the answer of a post-quantum key exchange and NEWKEYS
 * fill a segment, and EXT_INFO stands in the next one; our server always sends it. */
static bool awaits_ext_info(const struct client *c)
{
    const struct transport *t = wire_io_transport(c->wire);
    bool is_coming = transport_has_part(t) || view_has_prefix(transport_peer_ident(t), "SSH-2.0-Nacre_");
    return is_coming && !c->has_ext_info && !c->has_service;
}

/* Later than the events of the packets that came along, and with what EXT_INFO says if it is on its way; SERVICE_ACCEPT ends that
 * wait, since it would have come before. */
static void start_login(void *arg)
{
    struct client *c = arg;
    if (c->login || awaits_ext_info(c)) return;
    int err = login_start(c);
    wire_io_wake(c->wire);
    if (err == 0 || c->ended) return;
    client_fatal(c, "authentication cannot start: %s", err_text(err));
    client_end(c, EXIT_OWN_ERROR);
}

static int on_conn_event(void *arg, const struct conn_event *e) { return session_event(arg, e); }

static int start_connection_layer(struct client *c)
{
    struct conn_io_owner owner = { on_conn_event, c };
    struct conn *conn;
    TRY(session_take_conn(c, &conn));
    TRY(conn_io_new(c->loop, c->wire, conn, &owner, &c->conn_io));
    return session_start(c);
}

static int on_packet(struct client *c, struct view payload)
{
    uint8_t number = payload.p[0];
    bool is_auth = number >= MSG_AUTH_MIN && number <= MSG_AUTH_MAX;
    if (is_auth) {
        if (!c->login || !c->has_service || c->authenticated) return ERR_UNEXPECTED_MESSAGE;
        TRY(login_packet(c, payload));
        return c->authenticated ? start_connection_layer(c) : 0;
    }
    return c->conn_io ? conn_io_packet(c->conn_io, payload) : ERR_UNEXPECTED_MESSAGE;
}

static int on_host_key(struct client *c, const struct transport_event *e)
{
    if (e->first) TRY(buf_put_view(&c->host_signature, e->data));
    bool good = host_key_is_good(c, e->key);
    return transport_answer_host_key(wire_io_transport(c->wire), good);
}

static int on_event(void *arg, const struct transport_event *e)
{
    struct client *c = arg;
    c->last_heard = loop_now(c->loop);
    c->alive_unanswered = 0;
    switch (e->kind) {
    case TRANSPORT_HOST_KEY:
        return on_host_key(c, e);
    case TRANSPORT_KEYS_CHANGED:
        return on_keys_changed(c, e);
    case TRANSPORT_EXT_INFO:
        return on_ext_info(c, e);
    case TRANSPORT_SERVICE_ACCEPT:
        c->has_service = true;
        start_login(c);
        return 0;
    case TRANSPORT_PACKET:
        return on_packet(c, e->data);
    case TRANSPORT_IDENT_LINE:
        client_log(c, LOG_LEVEL_DEBUG1, "kex_exchange_identification: banner line: %.*s", VIEW_ARG(e->text));
        return 0;
    case TRANSPORT_DEBUG:
        client_log(c, e->display ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG1, "Remote: %.*s", VIEW_ARG(e->text));
        return 0;
    case TRANSPORT_DISCONNECT:
        snprintf(c->goodbye, sizeof c->goodbye, "%u: %.*s", e->reason, VIEW_ARG(view_sub(e->text, 0, 400)));
        return 0;
    default:
        return 0;
    }
}

/* "HOST port N", or "UNKNOWN port 65535" behind a proxy. */
static void peer_text(const struct client *c, char *ret, size_t cap)
{
    snprintf(ret, cap, "%s port %d", c->address.len ? c->address_text.host : "UNKNOWN", c->address.len ? c->options.port : 65535);
}

static void say_gone(struct client *c, int err, const char *peer)
{
    bool reset = err_errno(err) == ECONNRESET, before_banner = transport_peer_ident(wire_io_transport(c->wire)).len == 0;
    if (c->authenticated)
        client_log(c, LOG_LEVEL_INFO, "Connection to %s closed by remote host.", c->host);
    else if (before_banner) {
        const char *hint = c->address.len ? "the server may have too many connections waiting, or it refuses this address"
                                          : "see what the proxy command says";
        log_error(&c->sink.log, "kex_exchange_identification: %s",
                  reset ? "read: Connection reset by peer" : "Connection closed by remote host");
        client_fatal(c, "Connection %s by %s (%s)", reset ? "reset" : "closed", peer, hint);
    } else
        client_fatal(c, "Connection closed by %s", peer);
}

static void say_no_ident(struct client *c, int err, const char *peer)
{
    bool is_version = err == ERR_IDENT_VERSION;
    if (is_version)
        log_error(&c->sink.log, "Protocol major versions differ: 2 is needed, and the server does not speak it");
    else
        log_error(&c->sink.log, "kex_exchange_identification: %s", err_text(err));
    client_fatal(c, "banner exchange: Connection to %s: %s", peer,
                 is_version ? "could not read protocol version" : "invalid format");
}

/* What was wrong with a packet, and the one line that OpenSSH closes all of them with. */
static void say_bad_packet(struct client *c, int err, const char *peer)
{
    bool is_mac = err == ERR_MAC;
    if (c->sink.log.level < LOG_LEVEL_DEBUG1 && err == ERR_PACKET_LENGTH)
        log_error(&c->sink.log, "Bad packet length %u.", transport_bad_length(wire_io_transport(c->wire)));
    else if (c->sink.log.level < LOG_LEVEL_DEBUG1)
        log_error(&c->sink.log, "%s", is_mac ? "Corrupted MAC on input." : err_text(err)); /* debug1 has told more */
    client_fatal(c, "ssh_dispatch_run_fatal: Connection to %s: %s", peer, err_text(ERR_MAC));
}

static void say_nothing_in_common(struct client *c, int err, const char *peer)
{
    struct transport *t = wire_io_transport(c->wire);
    const struct ssh_options *o = &c->options;
    const struct {
        int err;
        const char *keyword, *query, *ours;
    } lists[] = { { ERR_NO_KEX_ALG, "KexAlgorithms", "kex", o->kex_algorithms },
                  { ERR_NO_HOST_KEY_ALG, "HostKeyAlgorithms", "HostKeyAlgorithms", o->host_key_algorithms },
                  { ERR_NO_CIPHER_ALG, "Ciphers", "cipher", o->ciphers },
                  { ERR_NO_MAC_ALG, "MACs", "mac", o->macs },
                  { ERR_NO_COMPRESSION_ALG, "Compression", "compression", algorithms_compression(o->compression) } };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (lists[i].err == err)
            log_error(&c->sink.log,
                      "We offer: %s. If one of theirs has to do, %s adds it (as in -o%s=+NAME; ssh -Q %s lists what there is).",
                      lists[i].ours, lists[i].keyword, lists[i].keyword, lists[i].query);
    client_fatal(c, "Unable to negotiate with %s: %s. Their offer: %.*s", peer, err_text(err),
                 VIEW_ARG(transport_peer_offer(t, err)));
}

static void say_why(struct client *c, int err)
{
    struct transport *t = wire_io_transport(c->wire);
    char peer[128];
    peer_text(c, peer, sizeof peer);
    if (err == ERR_PEER_DISCONNECTED) {
        if (!c->authenticated) login_report(c->login);
        log_error(&c->sink.log, "Received disconnect from %s:%s", peer, c->goodbye);
        log_error(&c->sink.log, "Disconnected from %s", peer);
    } else if (err == ERR_PEER_CLOSED || err_errno(err) == ECONNRESET || err_errno(err) == EPIPE)
        say_gone(c, err, peer);
    else if (transport_peer_offer(t, err).len)
        say_nothing_in_common(c, err, peer);
    else if (err == ERR_HOST_KEY_REJECTED)
        return; /* said by host_key.c */
    else if (err == ERR_TIMEOUT)
        client_fatal(c, "Timeout, server %s not responding.", c->host);
    else if (err == ERR_IDENT_VERSION || err == ERR_IDENT_INVALID || err == ERR_IDENT_ENDLESS)
        say_no_ident(c, err, peer);
    else if (err == ERR_PACKET_LENGTH || err == ERR_PADDING || err == ERR_MAC)
        say_bad_packet(c, err, peer);
    else if (err != ERR_CANCELLED)
        client_fatal(c, "ssh_dispatch_run_fatal: Connection to %s: %s", peer, err_text(err));
}

static void on_closed(void *arg, int err)
{
    struct client *c = arg;
    if (c->ended) return;
    session_restore_terminal(c);
    say_why(c, err);
    client_end(c, EXIT_OWN_ERROR);
}

static void on_drained(void *arg)
{
    struct client *c = arg;
    if (c->conn_io) conn_io_drained(c->conn_io);
}

/* ---- time ---- */

static void on_handshake_timeout(void *arg)
{
    struct client *c = arg;
    if (c->authenticated || transport_session_id(wire_io_transport(c->wire)).len) return;
    char peer[128];
    peer_text(c, peer, sizeof peer);
    bool has_banner = transport_peer_ident(wire_io_transport(c->wire)).len != 0;
    client_fatal(c, "Connection timed out during %s", has_banner ? "key exchange" : "banner exchange");
    client_fatal(c, "Connection to %s timed out", peer);
    client_end(c, EXIT_OWN_ERROR);
}

static void on_alive_timer(void *arg)
{
    struct client *c = arg;
    ms interval = (ms)c->options.server_alive_interval * 1000, now = loop_now(c->loop);
    if (!c->conn_io || now - c->last_heard < interval) {
        loop_timer_set(c->alive_timer, (c->conn_io ? c->last_heard : now) + interval);
        return;
    }
    if (c->alive_unanswered >= c->options.server_alive_count_max) {
        on_closed(c, ERR_TIMEOUT);
        return;
    }
    c->alive_unanswered++;
    (void)!conn_global_request(conn_io_conn(c->conn_io), "keepalive@openssh.com", true, 0, VIEW_EMPTY);
    conn_io_wake(c->conn_io);
    loop_timer_set(c->alive_timer, now + interval);
}

static int start_timers(struct client *c)
{
    TRY(loop_timer_new(c->loop, on_handshake_timeout, c, &c->handshake_timer));
    TRY(loop_timer_new(c->loop, on_alive_timer, c, &c->alive_timer));
    loop_timer_set(c->handshake_timer, c->connect_deadline);
    if (c->options.server_alive_interval)
        loop_timer_set(c->alive_timer, loop_now(c->loop) + (ms)c->options.server_alive_interval * 1000);
    return 0;
}

/* ---- start ---- */

static int make_transport(struct client *c, struct transport **ret)
{
    CLEANUP(freep) char *host_keys = NULL;
    CLEANUP(buf_done) struct buf ident = BUF_INIT(LIMIT_IDENT_BYTES);
    const struct ssh_options *o = &c->options;
    TRY(host_key_algorithms(c, &host_keys));
    TRY(buf_printf(&ident, "SSH-2.0-Nacre_%s%s%s", NACRE_VERSION, o->version_addendum ? " " : "",
                   o->version_addendum ? o->version_addendum : ""));
    const char *compression = algorithms_compression(o->compression);
    struct transport_config config = {
        .role = TRANSPORT_CLIENT,
        .ident = buf_cstr(&ident),
        .algorithms = { o->kex_algorithms, host_keys, o->ciphers, o->ciphers, o->macs, o->macs, compression, compression },
        .rekey_bytes = o->rekey_limit.bytes,
        .rekey_interval_ms = (ms)o->rekey_limit.seconds * 1000,
        .rnd = &os_random,
        .log = &c->sink.log,
    };
    return transport_new(&config, loop_now(c->loop), ret);
}

static int start_connection(struct client *c)
{
    struct transport *t;
    struct wire_io_owner owner = { on_event, on_closed, on_drained, c };
    TRY(loop_turn(c->loop, 0));
    client_log(c, LOG_LEVEL_DEBUG1, "Authenticating to %s:%d as '%s'", c->host, c->options.port, c->remote_user);
    TRY(make_transport(c, &t));
    TRY(transport_request_service(t, "ssh-userauth"));
    int in = c->in_fd, out = c->out_fd;
    c->in_fd = c->out_fd = -1;
    TRY(wire_io_new(c->loop, in, out, t, &owner, &c->wire));
    return start_timers(c);
}

static int start_log(struct client *c)
{
    enum log_level level =
        ssh_options_is_set(&c->options, SSH_OPT_log_level) ? (enum log_level)c->options.log_level : LOG_LEVEL_INFO;
    if (c->cmd.log_file) {
        int err = logsink_init_file(&c->sink, level, c->cmd.log_file);
        if (err < 0) dprintf(STDERR_FILENO, "Couldn't open logfile %s: %s\r\n", c->cmd.log_file, err_text(err));
        return err;
    }
    if (c->cmd.log_syslog)
        logsink_init_syslog(&c->sink, level, "ssh", c->options.syslog_facility << 3);
    else
        logsink_init_fd(&c->sink, level, STDERR_FILENO);
    return 0;
}

static int connect_and_run(struct client *c)
{
    TRY(connect_to_server(c));
    TRY(loop_new(&c->loop));
    int err = start_connection(c);
    if (err < 0) {
        if (err != ERR_CANCELLED) client_fatal(c, "cannot start: %s", err_text(err)); /* else it has been said */
        return err;
    }
    err = loop_run(c->loop);
    session_restore_terminal(c);
    if (c->wire && c->authenticated)
        transport_disconnect(wire_io_transport(c->wire), DISCONNECT_BY_APPLICATION, "disconnected by user");
    if (c->wire && !c->killed_by) wire_io_flush_wait(c->wire, FLUSH_WAIT_MS);
    session_farewell(c);
    return err;
}

static int run(struct client *c, int argc, char **argv)
{
    TRY(algorithms_init(&c->algs, ALGORITHMS_CLIENT));
    TRY(user_by_uid(getuid(), &c->me));
    TRY(command_line_parse(c, argc, argv));
    if (c->cmd.mode == MODE_VERSION) {
        dprintf(STDERR_FILENO, "Nacre_%s, %s\n", NACRE_VERSION, crypto_library_version());
        c->exit_status = 0;
        return 0;
    }
    if (c->cmd.mode == MODE_QUERY) {
        TRY(query_print(c));
        c->exit_status = 0;
        return 0;
    }
    TRY(start_log(c));
    client_log(c, LOG_LEVEL_DEBUG1, "Nacre_%s, %s", NACRE_VERSION, crypto_library_version());
    TRY(config_load(c));
    if (c->cmd.mode == MODE_DUMP) {
        TRY(config_dump(c));
        c->exit_status = 0;
        return 0;
    }
    if (c->cmd.mode == MODE_KEYS) {
        TRY(identity_print(c));
        c->exit_status = 0;
        return 0;
    }
    int shared = mux_client_run(c);
    return shared ? MIN(shared, 0) : connect_and_run(c);
}

static void client_done(struct client *c)
{
    mux_master_free(c);
    session_free(c->session);
    channel_timeouts_free(c->timeouts);
    forwarding_free(c);
    login_free(c->login);
    host_keys_free(c->host_keys);
    conn_io_free(c->conn_io);
    wire_io_free(c->wire);
    loop_timer_free(c->handshake_timer);
    loop_timer_free(c->alive_timer);
    if (c->loop) loop_forget(c->loop, start_login, c);
    loop_free(c->loop);
    fd_close(c->in_fd);
    if (c->out_fd != c->in_fd) fd_close(c->out_fd);
    if (c->proxy_pid) kill(c->proxy_pid, SIGHUP);
    buf_done(&c->server_sig_algs);
    buf_done(&c->host_key);
    buf_done(&c->host_signature);
    agent_close(c);
    free(c->host);
    free(c->remote_user);
    free(c->known_name);
    free(c->known_address);
    known_files_forget(c);
    ssh_options_done(&c->options);
    algorithms_done(&c->algs);
    user_free(c->me);
    logsink_done(&c->sink);
    command_line_done(&c->cmd);
}

/* So that whoever waits for us sees what ended us. */
static void die_of(int number)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    (void)signal(number, SIG_DFL);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    (void)raise(number);
}

int main(int argc, char **argv)
{
    static struct client c = { .in_fd = -1,
                               .out_fd = -1,
                               .exit_status = EXIT_OWN_ERROR,
                               .server_sig_algs = BUF_INIT(65536),
                               .host_key = BUF_INIT(1 << 20),
                               .host_signature = BUF_INIT(1 << 20),
                               .agent_fd = -1,
                               .sink = { .fd = -1 } };
    if (fd_fill_std() < 0) return EXIT_OWN_ERROR;
    fd_close_from(STDERR_FILENO + 1); /* what leaked into us would stay open as long as a session in the background */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN); /* the others stay as they are: nohup's SIGHUP is to be ignored */
    (void)!spawn_hide_memory();
    crypto_start_alone();
    ssh_options_init(&c.options);
    int err = run(&c, argc, argv);
    if (err < 0) c.exit_status = EXIT_OWN_ERROR;
    int status = c.exit_status, killed_by = c.killed_by;
    client_done(&c);
    if (killed_by) die_of(killed_by);
    return status;
}
