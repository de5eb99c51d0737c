/* sshd-auth, the network child: transport and authentication engines of one connection until login. It has no rights: unprivileged
 * user, empty root directory, no file, no exec. Whatever needs a decision it asks the monitor, one question at a time, and waits
 * for the answer: there is nothing else for it to do meanwhile. After SUCCESS it hands the transport over in mid-stream and ends.
 */
#include "base/secret.h"
#include "crypto/crypto.h"
#include "io/wire_io.h"
#include "ipc/ipc.h"
#include "os/fd.h"
#include "os/proctitle.h"
#include "os/random.h"
#include "os/sandbox.h"
#include "prog/sshd/parts.h"
#include "proto/auth/auth.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FLUSH_WAIT_MS = 2000,
    NAME_SHOWN_BYTES = 256, /* of what the monitor does not look into, or only logs */
};

struct net_child {
    struct ipc monitor;
    struct loop *loop;
    struct wire_io *wire;
    struct auth_server *auth;
    struct log log;
    struct buf host_keys; /* as net_start has them */
    struct buf filter;    /* of system calls; it stays, for names of forbidden ones */
    char goodbye[256];    /* what the peer said in its DISCONNECT */
    bool service_given;   /* ssh-userauth was asked for: its messages may come */
    bool ended;
};

/* ---- log lines go to the monitor ---- */

static void send_log(void *arg, enum log_level level, const char *line)
{
    struct net_child *n = arg;
    (void)!IPC_SEND(&n->monitor, net_log, .level = level, .line = view_str(line));
}

/* ---- questions of the key exchange ---- */

static int answer_host_key_blob(struct net_child *n, struct view algorithm)
{
    struct rd r = rd_of(buf_view(&n->host_keys));
    while (rd_left(&r)) {
        struct view name = rd_string(&r), blob = rd_string(&r);
        TRY(rd_stop(&r));
        if (view_eq(name, algorithm)) return transport_answer_host_key_blob(wire_io_transport(n->wire), blob);
    }
    return ERR_BUG;
}

static int answer_sign(struct net_child *n, struct view algorithm, struct view hash)
{
    struct ipc_message m;
    struct ipc_net_signed answer;
    TRY(IPC_SEND(&n->monitor, net_sign, .algorithm = algorithm, .hash = hash));
    TRY(ipc_expect(&n->monitor, MS_NEVER, IPC_net_signed_NUMBER, &m));
    TRY(ipc_net_signed_get(m.fields, &answer));
    return transport_answer_sign(wire_io_transport(n->wire), answer.signature);
}

static int answer_group(struct net_child *n, const struct transport_event *e)
{
    struct ipc_message m;
    struct ipc_net_group_is answer;
    TRY(IPC_SEND(&n->monitor, net_group, .min_bits = e->gex_min_bits, .bits = e->gex_bits, .max_bits = e->gex_max_bits));
    TRY(ipc_expect(&n->monitor, MS_NEVER, IPC_net_group_is_NUMBER, &m));
    TRY(ipc_net_group_is_get(m.fields, &answer));
    return transport_answer_group(wire_io_transport(n->wire), answer.p, answer.g);
}

/* ---- authentication ---- */

static int ask_kbdint_response(struct net_child *n, const struct auth_server_event *e)
{
    CLEANUP(buf_done) struct buf responses = BUF_INIT_SECRET(LIMIT_PROMPTS * (LIMIT_PASSWORD_BYTES + 4));
    struct wr w = wr_of(&responses);
    for (uint32_t i = 0; i < e->n_responses; i++) {
        struct view one;
        TRY(auth_server_response(n->auth, i, &one));
        wr_string(&w, one);
    }
    TRY(wr_end(&w));
    return IPC_SEND(&n->monitor, auth_kbdint_response, .user = e->user, .service = e->service, .n_responses = e->n_responses,
                    .responses = buf_view(&responses));
}

/* Longer than any password may be is wrong, and need not be known whole. */
static struct view password_of(struct view given) { return view_sub(given, 0, LIMIT_PASSWORD_BYTES + 1); }

static int ask_monitor(struct net_child *n, const struct auth_server_event *e)
{
    struct ipc *m = &n->monitor;
    switch (e->kind) {
    case AUTH_SERVER_PUBLICKEY_QUERY:
        return IPC_SEND(m, auth_publickey_query, .user = e->user, .service = e->service, .algorithm = e->algorithm, .key = e->key);
    case AUTH_SERVER_PUBLICKEY:
        return IPC_SEND(m, auth_publickey, .user = e->user, .service = e->service, .method = e->method, .algorithm = e->algorithm,
                        .key = e->key, .signature = e->signature);
    case AUTH_SERVER_HOSTBASED:
        return IPC_SEND(m, auth_hostbased, .user = e->user, .service = e->service, .algorithm = e->algorithm, .key = e->key,
                        .client_host = e->client_host, .client_user = e->client_user, .signature = e->signature);
    case AUTH_SERVER_PASSWORD:
        return IPC_SEND(m, auth_password, .user = e->user, .service = e->service, .password = password_of(e->secret));
    case AUTH_SERVER_PASSWORD_CHANGE:
        return IPC_SEND(m, auth_password_change, .user = e->user, .service = e->service, .old_password = password_of(e->secret),
                        .new_password = password_of(e->new_secret));
    case AUTH_SERVER_KBDINT_START:
        return IPC_SEND(m, auth_kbdint_start, .user = e->user, .service = e->service,
                        .submethods = view_sub(e->text, 0, NAME_SHOWN_BYTES));
    case AUTH_SERVER_KBDINT_RESPONSE:
        return ask_kbdint_response(n, e);
    default:
        return IPC_SEND(m, auth_none, .user = e->user, .service = e->service, .method = view_sub(e->method, 0, NAME_SHOWN_BYTES));
    }
}

static int end_by_verdict(struct net_child *n, struct view text)
{
    CLEANUP(freep) char *said = view_dup_str(text);
    if (!said) return ERR_NOMEM;
    n->ended = true;
    (void)!IPC_SEND(&n->monitor, net_end, .reason = IPC_END_OURS, .text = text);
    transport_disconnect(wire_io_transport(n->wire), DISCONNECT_PROTOCOL_ERROR, said);
    return ERR_TOO_MANY_AUTH;
}

static int hand_over(struct net_child *n)
{
    CLEANUP(buf_done) struct buf state = BUF_INIT_SECRET(8 << 20);
    struct transport *t;
    int in_fd, out_fd;
    wire_io_release(n->wire, &t, &in_fd, &out_fd);
    CLEANUP(transport_freep) struct transport *done = t;
    transport_authenticated(done);
    TRY(transport_export(done, &state));
    TRY(IPC_SEND(&n->monitor, handoff, .transport = buf_view(&state)));
    n->ended = true;
    loop_stop(n->loop, 0);
    return 0;
}

static int read_prompts(const struct ipc_auth_verdict *v, struct auth_prompt *ret)
{
    struct rd r = rd_of(v->prompts);
    for (uint32_t i = 0; i < v->n_prompts; i++) ret[i] = (struct auth_prompt){ rd_string(&r), rd_bool(&r) };
    return rd_end(&r);
}

static int act_on_verdict(struct net_child *n, const struct ipc_auth_verdict *v)
{
    struct auth_prompt prompts[LIMIT_PROMPTS];
    if (v->n_prompts > LIMIT_PROMPTS) return ERR_LIMIT;
    TRY(read_prompts(v, prompts));
    if (v->banner.len) TRY(auth_server_banner(n->auth, v->banner));
    if (v->disconnect.len) return end_by_verdict(n, v->disconnect);
    struct auth_server_answer a = { v->verdict, v->methods, v->text, v->instruction, prompts, v->n_prompts };
    TRY(auth_server_answer(n->auth, &a));
    return v->verdict == AUTH_VERDICT_SUCCESS ? hand_over(n) : 0;
}

static int on_auth_packet(struct net_child *n, struct view payload)
{
    struct auth_server_event e;
    int got = auth_server_packet(n->auth, payload, &e);
    if (got == ERR_UNSUPPORTED) return transport_unimplemented(wire_io_transport(n->wire));
    if (got <= 0) return got;
    struct ipc_message m;
    struct ipc_auth_verdict verdict;
    TRY(ask_monitor(n, &e));
    TRY(ipc_expect(&n->monitor, MS_NEVER, IPC_auth_verdict_NUMBER, &m));
    TRY(ipc_auth_verdict_get(m.fields, &verdict));
    return act_on_verdict(n, &verdict);
}

/* ---- events of the transport ---- */

static int start_auth(struct net_child *n)
{
    struct transport *t = wire_io_transport(n->wire);
    struct auth_server_config c = { transport_link(t), transport_session_id(t), transport_host_key(t), true, &n->log };
    return auth_server_new(&c, &n->auth);
}

static int on_service(struct net_child *n, struct view service)
{
    if (!view_eq_str(service, "ssh-userauth")) return ERR_SERVICE;
    n->service_given = true;
    return transport_accept_service(wire_io_transport(n->wire));
}

static int on_event(void *arg, const struct transport_event *e)
{
    struct net_child *n = arg;
    switch (e->kind) {
    case TRANSPORT_PEER_IDENT:
        return IPC_SEND(&n->monitor, net_peer, .ident = e->text);
    case TRANSPORT_HOST_KEY_BLOB:
        return answer_host_key_blob(n, e->text);
    case TRANSPORT_SIGN:
        return answer_sign(n, e->text, e->data);
    case TRANSPORT_GROUP:
        return answer_group(n, e);
    case TRANSPORT_KEYS_CHANGED:
        return e->first ? start_auth(n) : 0;
    case TRANSPORT_SERVICE_REQUEST:
        return on_service(n, e->text);
    case TRANSPORT_PACKET:
        return n->service_given ? on_auth_packet(n, e->data) : ERR_UNEXPECTED_MESSAGE;
    case TRANSPORT_DISCONNECT:
        snprintf(n->goodbye, sizeof n->goodbye, "%u: %.*s", e->reason, VIEW_ARG(view_sub(e->text, 0, 200)));
        return 0;
    default:
        return 0;
    }
}

static enum ipc_end end_of_error(int err)
{
    static const struct {
        int first, last; /* a range of err.def's rows, from last to first as codes are negative */
        enum ipc_end end;
    } rows[] = {
        { ERR_PEER_CLOSED, ERR_PEER_CLOSED, IPC_END_CLOSED },
        { ERR_PEER_DISCONNECTED, ERR_PEER_DISCONNECTED, IPC_END_DISCONNECTED },
        { ERR_IDENT_INVALID, ERR_IDENT_ENDLESS, IPC_END_IDENT },
        { ERR_NO_KEX_ALG, ERR_NO_COMPRESSION_ALG, IPC_END_NEGOTIATION },
    };
    if (err_errno(err) == ECONNRESET || err_errno(err) == EPIPE) return IPC_END_CLOSED;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (err <= rows[i].first && err >= rows[i].last) return rows[i].end;
    return IPC_END_PROTOCOL;
}

static void on_closed(void *arg, int err)
{
    struct net_child *n = arg;
    if (!n->ended) {
        n->ended = true;
        struct transport *t = wire_io_transport(n->wire);
        enum ipc_end end = end_of_error(err);
        char text[4096];
        struct view offer = transport_peer_offer(t, err);
        if (end == IPC_END_NEGOTIATION)
            snprintf(text, sizeof text, "%s. Their offer: %.*s", err_text(err), VIEW_ARG(view_sub(offer, 0, 3900)));
        else if (end == IPC_END_CLOSED)
            text[0] = 0;
        else
            snprintf(text, sizeof text, "%s",
                     end == IPC_END_DISCONNECTED ? n->goodbye
                     : end == IPC_END_IDENT      ? "invalid format"
                                                 : err_text(err));
        (void)!IPC_SEND(&n->monitor, net_end, .reason = end, .text = view_str(text));
    }
    wire_io_flush_wait(n->wire, FLUSH_WAIT_MS);
    loop_stop(n->loop, 1);
}

/* ---- start ---- */

static int make_transport(struct net_child *n, const struct ipc_net_start *s, struct transport **ret)
{
    struct view names[] = { s->ident, s->kex, s->host_key_algorithms, s->ciphers, s->macs, s->compression, s->server_sig_algs };
    char *text[ARRAY_LEN(names)] = { NULL };
    int err = 0;
    for (size_t i = 0; i < ARRAY_LEN(names) && err == 0; i++) {
        text[i] = view_dup_str(names[i]);
        if (!text[i]) err = ERR_NOMEM;
    }
    struct transport_config c = {
        .role = TRANSPORT_SERVER,
        .ident = text[0],
        .algorithms = { .kex = text[1],
                        .host_key = text[2],
                        .cipher_c2s = text[3],
                        .cipher_s2c = text[3],
                        .mac_c2s = text[4],
                        .mac_s2c = text[4],
                        .compression_c2s = text[5],
                        .compression_s2c = text[5] },
        .server_sig_algs = text[6],
        .early_session = true,
        .rekey_bytes = s->rekey_bytes,
        .rekey_interval_ms = (ms)s->rekey_ms,
        .rnd = &os_random,
        .log = &n->log,
    };
    if (err == 0) err = transport_new(&c, loop_now(n->loop), ret);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) free(text[i]);
    return err;
}

/* Waits for a connection to serve. ERR_PEER_CLOSED: there never was one. */
static int take_connection(struct net_child *n)
{
    struct ipc_message m;
    struct ipc_net_start s;
    TRY(ipc_expect(&n->monitor, MS_NEVER, IPC_net_start_NUMBER, &m));
    CLEANUP(fd_closep) int in = m.fds[0], out = m.fds[1];
    TRY(ipc_net_start_get(m.fields, &s));
    n->log = (struct log){ .level = s.log_level, .sink = send_log, .arg = n };
    TRY(buf_put_view(&n->host_keys, s.host_keys));
    struct transport *t;
    struct wire_io_owner owner = { on_event, on_closed, NULL, n };
    TRY(loop_turn(n->loop, 0));
    TRY(make_transport(n, &s, &t));
    int in_fd = fd_take(&in), out_fd = s.one_socket ? in_fd : fd_take(&out);
    return wire_io_new(n->loop, in_fd, out_fd, t, &owner, &n->wire);
}

/* The first message says who to become. It comes as soon as this process was started. */
static int enter_cage(struct net_child *n)
{
    struct ipc_message m;
    struct ipc_net_cage c;
    TRY(ipc_expect(&n->monitor, MS_NEVER, IPC_net_cage_NUMBER, &m));
    TRY(ipc_net_cage_get(m.fields, &c));
    TRY(buf_put_view(&n->filter, c.filter));
    return part_give_up_rights(&(struct part_cage){ c.uid, c.gid, buf_view(&n->filter) });
}

int main(int argc, char **argv)
{
    struct net_child n = { .host_keys = BUF_INIT(1 << 20), .filter = BUF_INIT(SANDBOX_FILTER_BYTES_MAX) };
    proctitle_init(argc, argv);
    crypto_start_alone();
    int err = ipc_init(&n.monitor, PART_IPC_FD, IPC_N, IPC_M);
    if (err == 0) err = loop_new(&n.loop);
    if (err == 0) err = enter_cage(&n);
    if (err == ERR_PEER_CLOSED) return 0; /* the monitor ended */
    if (err < 0) {
        dprintf(STDERR_FILENO, "sshd-auth: cannot give up rights: %s\n", err_text(err));
        return 255;
    }
    proctitle_set("sshd: [accepted]");
    err = take_connection(&n);
    if (err == 0) {
        proctitle_set("sshd: [net]");
        err = loop_run(n.loop);
    }
    return err == 0 ? 0 : 255;
}
