/* sshd-user, the user child: the connection protocol of one logged-in user, as that user. Started ahead of need as what the monitor
 * is, it becomes the user before it looks at anything that came from the network. */
#include "prog/sshd/user_child.h"

#include "crypto/cipher.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/proctitle.h"
#include "os/random.h"
#include "os/sock.h"
#include "os/spawn.h"
#include "prog/sshd/parts.h"
#include "prog/sshd/zygote.h"
#include "wire/messages.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FLUSH_WAIT_MS = 2000,
    REPLY_BYTES_MAX = 32 * 1024 /* fits into a packet */
};

static void send_log(void *arg, enum log_level level, const char *line)
{
    struct user_child *c = arg;
    (void)!IPC_SEND(&c->monitor, user_log, .level = level, .line = view_str(line));
}

/* ---- questions of later key exchanges ---- */

static int answer_host_key_blob(struct user_child *c, struct view algorithm)
{
    struct rd r = rd_of(buf_view(&c->host_keys));
    while (rd_left(&r)) {
        struct view name = rd_string(&r), blob = rd_string(&r);
        TRY(rd_stop(&r));
        if (view_eq(name, algorithm)) return transport_answer_host_key_blob(wire_io_transport(c->wire), blob);
    }
    return ERR_BUG;
}

static int answer_sign(struct user_child *c, struct view algorithm, struct view hash)
{
    struct ipc_message m;
    struct ipc_user_signed answer;
    TRY(IPC_SEND(&c->monitor, user_sign, .algorithm = algorithm, .hash = hash));
    TRY(ipc_expect(&c->monitor, MS_NEVER, IPC_user_signed_NUMBER, &m));
    TRY(ipc_user_signed_get(m.fields, &answer));
    return transport_answer_sign(wire_io_transport(c->wire), answer.signature);
}

static int answer_group(struct user_child *c, const struct transport_event *e)
{
    struct ipc_message m;
    struct ipc_user_group_is answer;
    TRY(IPC_SEND(&c->monitor, user_group, .min_bits = e->gex_min_bits, .bits = e->gex_bits, .max_bits = e->gex_max_bits));
    TRY(ipc_expect(&c->monitor, MS_NEVER, IPC_user_group_is_NUMBER, &m));
    TRY(ipc_user_group_is_get(m.fields, &answer));
    return transport_answer_group(wire_io_transport(c->wire), answer.p, answer.g);
}

/* ---- events of the transport ---- */

static int on_transport_event(void *arg, const struct transport_event *e)
{
    struct user_child *c = arg;
    c->last_heard = loop_now(c->loop);
    c->alive_unanswered = 0;
    switch (e->kind) {
    case TRANSPORT_HOST_KEY_BLOB:
        return answer_host_key_blob(c, e->text);
    case TRANSPORT_SIGN:
        return answer_sign(c, e->text, e->data);
    case TRANSPORT_GROUP:
        return answer_group(c, e);
    case TRANSPORT_PACKET:
        /* 4252 5.1: authentication requests after success are ignored in silence. */
        if (e->data.p[0] >= MSG_AUTH_MIN && e->data.p[0] <= MSG_AUTH_MAX)
            return e->data.p[0] == MSG_userauth_request_NUMBER ? 0 : ERR_UNEXPECTED_MESSAGE;
        return conn_io_packet(c->conn_io, e->data);
    case TRANSPORT_SERVICE_REQUEST:
        return transport_accept_service(wire_io_transport(c->wire));
    case TRANSPORT_DISCONNECT:
        snprintf(c->goodbye, sizeof c->goodbye, "%u: %.*s", e->reason, VIEW_ARG(view_sub(e->text, 0, 200)));
        return 0;
    default:
        return 0;
    }
}

static void on_transport_closed(void *arg, int err)
{
    struct user_child *c = arg;
    const char *peer = (const char *)c->setup.peer_address.p;
    int peer_len = (int)c->setup.peer_address.len;
    unsigned port = c->setup.peer_port;
    if (c->ended) return;
    c->ended = true;
    if (err == ERR_PEER_DISCONNECTED) {
        log_info(&c->log, "Received disconnect from %.*s port %u:%s", peer_len, peer, port, c->goodbye);
        log_info(&c->log, "Disconnected from user %s %.*s port %u", c->me->name, peer_len, peer, port);
    } else if (err == ERR_PEER_CLOSED || err_errno(err) == EPIPE || err_errno(err) == ECONNRESET)
        log_verbose(&c->log, "Connection closed by %.*s port %u", peer_len, peer, port);
    else if (err == ERR_TIMEOUT)
        log_info(&c->log, "Timeout, client not responding from user %s %.*s port %u", c->me->name, peer_len, peer, port);
    else if (err != ERR_CANCELLED)
        log_info(&c->log, "ssh_dispatch_run_fatal: Connection from user %s %.*s port %u: %s", c->me->name, peer_len, peer, port,
                 err_text(err));
    wire_io_flush_wait(c->wire, FLUSH_WAIT_MS);
    loop_stop(c->loop, 0);
}

static void on_drained(void *arg)
{
    struct user_child *c = arg;
    conn_io_drained(c->conn_io);
}

/* ---- events of the connection ---- */

static int on_open(struct user_child *c, const struct conn_event *e)
{
    struct conn *conn = conn_io_conn(c->conn_io);
    if (!view_eq_str(e->name, "session")) {
        bool is_tunnel = view_eq_str(e->name, "tun@openssh.com");
        int err;
        if (user_forward_open(c, e, &err)) return err;
        return is_tunnel ? conn_open_refuse(conn, e->channel, OPEN_ADMINISTRATIVELY_PROHIBITED,
                                            "tunnel devices are not available on this server")
                         : conn_open_refuse(conn, e->channel, OPEN_UNKNOWN_CHANNEL_TYPE, "unknown channel type");
    }
    if (c->no_more_sessions) {
        log_info(&c->log, "Possible attack: attempt to open a session after additional sessions disabled");
        return ERR_DENIED;
    }
    if (c->n_sessions >= (size_t)c->options.max_sessions) {
        log_error(&c->log, "no more sessions");
        return conn_open_refuse(conn, e->channel, OPEN_CONNECT_FAILED, "open failed");
    }
    TRY(session_new(c, e->channel));
    return conn_open_accept(conn, e->channel, VIEW_EMPTY);
}

static bool on_no_more_sessions(struct user_child *c, UNUSED const struct conn_event *e, UNUSED struct buf *ret_reply)
{
    c->no_more_sessions = true;
    return true;
}

static bool on_prove_host_keys(struct user_child *c, const struct conn_event *e, struct buf *ret_reply)
{
    int err = user_prove_host_keys(c, e->data, ret_reply);
    if (err < 0) log_error(&c->log, "no proof of the host keys that the client asked for: %s", err_text(err));
    return err == 0;
}

static const struct {
    const char *name;
    bool (*handle)(struct user_child *c, const struct conn_event *e, struct buf *ret_reply);
} global_requests[] = {
    { "no-more-sessions@openssh.com", on_no_more_sessions },
    { "hostkeys-prove-00@openssh.com", on_prove_host_keys },
    { "tcpip-forward", user_forward_listen },
    { "cancel-tcpip-forward", user_forward_unlisten },
    { "streamlocal-forward@openssh.com", user_forward_listen_unix },
    { "cancel-streamlocal-forward@openssh.com", user_forward_unlisten_unix },
};

static int on_global_request(struct user_child *c, const struct conn_event *e)
{
    CLEANUP(buf_done) struct buf reply = BUF_INIT(REPLY_BYTES_MAX);
    bool ok = false;
    for (size_t i = 0; i < ARRAY_LEN(global_requests); i++)
        if (view_eq_str(e->name, global_requests[i].name)) ok = global_requests[i].handle(c, e, &reply);
    struct view data = ok ? buf_view(&reply) : VIEW_EMPTY;
    return e->want_reply ? conn_answer_global(conn_io_conn(c->conn_io), e->question, ok, data) : 0;
}

static int on_channel_request(struct user_child *c, const struct conn_event *e)
{
    struct session *s = session_find(c, e->channel);
    bool ok = s && session_request(s, e->name, e->data);
    /* What starts running may already have said something: the reply still goes first, since nothing was read yet. */
    return e->want_reply ? conn_answer_request(conn_io_conn(c->conn_io), e->question, ok) : 0;
}

static void on_channel_expired(void *arg, channel_id ch)
{
    struct user_child *c = arg;
    struct session *s = session_find(c, ch);
    if (s)
        session_expired(s);
    else
        forwards_end(c->forwards, ch);
}

static int start_channel_timeouts(struct user_child *c)
{
    struct channel_timeouts_config config = { .loop = c->loop,
                                              .conn = conn_io_conn(c->conn_io),
                                              .log = &c->log,
                                              .list = &c->options.channel_timeout,
                                              .expired = on_channel_expired,
                                              .arg = c };
    return channel_timeouts_new(&config, &c->timeouts);
}

static int on_conn_event(void *arg, const struct conn_event *e)
{
    struct user_child *c = arg;
    struct session *s;
    channel_timeouts_event(c->timeouts, e);
    if (e->kind != CONN_GLOBAL_REQUEST && e->kind != CONN_GLOBAL_REPLY && forwards_has(c->forwards, e->channel))
        return forwards_event(c->forwards, e);
    switch (e->kind) {
    case CONN_OPEN:
        return on_open(c, e);
    case CONN_GLOBAL_REQUEST:
        return on_global_request(c, e);
    case CONN_REQUEST:
        return on_channel_request(c, e);
    case CONN_DATA: /* nothing runs there yet */
        return conn_consumed(conn_io_conn(c->conn_io), e->channel, e->data.len);
    case CONN_CLOSE:
        s = session_find(c, e->channel);
        if (s) session_peer_closed(s);
        return 0;
    default:
        return 0;
    }
}

/* ---- is the client still there? ---- */

static void on_alive_timer(void *arg)
{
    struct user_child *c = arg;
    ms interval = (ms)c->options.client_alive_interval * 1000;
    ms now = loop_now(c->loop);
    if (now - c->last_heard >= interval) {
        if (c->options.client_alive_count_max && c->alive_unanswered >= c->options.client_alive_count_max) {
            transport_fail(wire_io_transport(c->wire), ERR_TIMEOUT, NULL);
            on_transport_closed(c, ERR_TIMEOUT);
            return;
        }
        c->alive_unanswered++;
        (void)!conn_global_request(conn_io_conn(c->conn_io), "keepalive@openssh.com", true, 0, VIEW_EMPTY);
        wire_io_wake(c->wire);
        loop_timer_set(c->alive_timer, now + interval);
    } else
        loop_timer_set(c->alive_timer, c->last_heard + interval);
}

static void on_unused_timer(void *arg)
{
    struct user_child *c = arg;
    if (conn_n_channels(conn_io_conn(c->conn_io))) return;
    log_info(&c->log, "terminating inactive connection from user %s %.*s port %u", c->me->name, VIEW_ARG(c->setup.peer_address),
             c->setup.peer_port);
    transport_disconnect(wire_io_transport(c->wire), DISCONNECT_BY_APPLICATION, "no channel is open");
    on_transport_closed(c, ERR_CANCELLED);
}

/* Behind each turn: the last channel may have gone in it, or the first have come. */
static void watch_unused(void *arg)
{
    struct user_child *c = arg;
    bool is_unused = conn_n_channels(conn_io_conn(c->conn_io)) == 0;
    if (is_unused == c->is_unused) return;
    c->is_unused = is_unused;
    loop_timer_set(c->unused_timer, is_unused ? loop_now(c->loop) + (ms)c->options.unused_connection_timeout * 1000 : MS_NEVER);
}

static int start_unused_timer(struct user_child *c)
{
    if (c->options.unused_connection_timeout <= 0) return 0;
    TRY(loop_timer_new(c->loop, on_unused_timer, c, &c->unused_timer));
    return loop_at_turn_end(c->loop, watch_unused, c);
}

/* ---- start ---- */

static int take_strings(struct view list, struct strv *ret)
{
    struct rd r = rd_of(list);
    while (rd_left(&r)) TRY(strv_add(ret, rd_cstring(&r)));
    return rd_end(&r);
}

static int make_user(const struct ipc_user_start *s, struct user **ret)
{
    CLEANUP(user_freep) struct user *u = calloc(1, sizeof *u);
    if (!u) return ERR_NOMEM;
    u->name = view_dup_str(s->user);
    u->home = view_dup_str(s->home);
    u->shell = view_dup_str(s->shell);
    u->gecos = view_dup_str(VIEW_EMPTY);
    u->uid = s->uid;
    u->gid = s->gid;
    u->n_groups = s->groups.len / 4;
    u->groups = calloc(u->n_groups + 1, sizeof *u->groups);
    if (!u->name || !u->home || !u->shell || !u->gecos || !u->groups) return ERR_NOMEM;
    struct rd r = rd_of(s->groups);
    for (size_t i = 0; i < u->n_groups; i++) u->groups[i] = rd_u32(&r);
    u->groups_known = true;
    TRY(rd_end(&r));
    *ret = TAKE(u);
    return 0;
}

/* Without its monitor a session has neither terminals nor a record: it ends, as when it is told to. */
static void on_monitor_gone(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct user_child *c = arg;
    c->ended = true;
    loop_stop(c->loop, 0);
}

static void on_terminate(void *arg, int signal)
{
    struct user_child *c = arg;
    log_error(&c->log, "Exiting on signal %d", signal);
    on_monitor_gone(c, -1, 0);
}

static int start_connection(struct user_child *c, int in_fd, int out_fd, struct view transport)
{
    struct transport *t;
    struct conn *conn;
    struct conn_config config = { .log = &c->log, .takes_early_session = true };
    struct wire_io_owner wire_owner = { on_transport_event, on_transport_closed, on_drained, c };
    struct conn_io_owner conn_owner = { on_conn_event, c };
    TRY(loop_turn(c->loop, 0)); /* reads the clock */
    TRY(transport_import(transport, &os_random, &c->log, loop_now(c->loop), &t));
    TRY(wire_io_new(c->loop, in_fd, out_fd, t, &wire_owner, &c->wire));
    TRY(conn_new(&config, &conn));
    TRY(conn_io_new(c->loop, c->wire, conn, &conn_owner, &c->conn_io));
    TRY(user_forward_start(c));
    TRY(start_channel_timeouts(c));
    TRY(user_announce_host_keys(c));
    c->last_heard = loop_now(c->loop);
    TRY(loop_fd_new(c->loop, c->monitor.fd, 0, on_monitor_gone, c, &c->monitor_watch));
    TRY(loop_signal(c->loop, SIGTERM, on_terminate, c));
    TRY(loop_signal(c->loop, SIGINT, on_terminate, c));
    TRY(loop_signal(c->loop, SIGHUP, on_terminate, c));
    TRY(loop_timer_new(c->loop, on_alive_timer, c, &c->alive_timer));
    if (c->options.client_alive_interval)
        loop_timer_set(c->alive_timer, loop_now(c->loop) + (ms)c->options.client_alive_interval * 1000);
    return start_unused_timer(c);
}

static int take_login(struct user_child *c)
{
    struct ipc_message m;
    struct ipc_user_start s;
    TRY(ipc_expect(&c->monitor, MS_NEVER, IPC_user_start_NUMBER, &m));
    CLEANUP(fd_closep) int in = m.fds[0], out = m.fds[1];
    TRY(ipc_user_start_get(m.fields, &s));
    TRY(make_user(&s, &c->me));
    TRY(user_become(c->me));
    c->monitor.state = IPC_SESSION;
    c->log = (struct log){ .level = s.log_level, .sink = send_log, .arg = c };
    TRY(buf_put_view(&c->setup_bytes, s.session));
    TRY(body_user_session_get(buf_view(&c->setup_bytes), &c->setup));
    TRY(sshd_options_import(c->setup.options, &c->options));
    TRY(take_strings(s.env, &c->pam_env));
    TRY(take_strings(c->setup.permit_open, &c->key_permit_open));
    TRY(take_strings(c->setup.permit_listen, &c->key_permit_listen));
    TRY(buf_put_view(&c->host_keys, s.host_keys));
    session_show_title(c);
    int err = user_auth_info_write(c);
    if (err < 0) log_error(&c->log, "cannot write the file for SSH_USER_AUTH: %s", err_text(err));
    int in_fd = fd_take(&in), out_fd = s.one_socket ? in_fd : fd_take(&out);
    return start_connection(c, in_fd, out_fd, s.transport);
}

/* What every user child will use is loaded once, before the copies are made. */
static void warm_up(void)
{
    static const uint8_t zero[64];
    uint8_t digest[DIGEST_MAX_BYTES];
    (void)!digest_once(DIGEST_SHA256, VIEW_LIT("x"), digest);
    for (const struct cipher_desc *d = cipher_table; d->name; d++) {
        struct cipher *cipher = NULL;
        if (d->kind == CIPHER_AEAD && cipher_new(d, view_of(zero, d->key_bytes), view_of(zero, d->iv_bytes), true, &cipher) == 0)
            cipher_free(cipher);
    }
}

/* As a copy of a zygote, or executed for one connection only. */
static int take_socket(struct user_child *c, bool is_zygote)
{
    int fds[IPC_FDS_MAX] = { PART_IPC_FD, -1, -1 };
    struct ipc listener;
    uint8_t number;
    if (is_zygote) {
        warm_up();
        proctitle_set("sshd: [user children]");
        TRY(ipc_init(&listener, PART_IPC_FD, IPC_Z, IPC_L));
        TRY(zygote_wait(&listener, NULL, &number, fds));
        proctitle_set("sshd: [ready]");
    }
    return ipc_init(&c->monitor, fds[0], IPC_U, IPC_M);
}

int main(int argc, char **argv)
{
    static struct user_child c = { .setup_bytes = BUF_INIT(128 << 20), .host_keys = BUF_INIT(1 << 20) };
    proctitle_init(argc, argv);
    spawn_reset_signals(true);
    crypto_start_alone();
    (void)!spawn_hide_memory();
    sshd_options_init(&c.options);
    int err = take_socket(&c, argc > 1 && strcmp(argv[1], PART_ZYGOTE) == 0);
    if (err == 0) err = loop_new(&c.loop);
    if (err == 0) err = take_login(&c);
    if (err == ERR_PEER_CLOSED) return 0; /* no login came */
    if (err == 0) err = loop_run(c.loop);
    while (c.sessions) session_free(c.sessions);
    channel_timeouts_free(c.timeouts);
    forwards_free(c.forwards);
    user_forward_end(&c);
    user_auth_info_remove(&c);
    (void)!IPC_SEND(&c.monitor, user_end, .text = view_str(err < 0 ? err_text(err) : ""));
    return err < 0 ? 255 : 0;
}
