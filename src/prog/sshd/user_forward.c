/* Forwarding for a logged-in user: whether the configuration and the key's line allow what the client asks. What is allowed is done
 * by io/forward, with the user's rights. */
#include "prog/sshd/user_child.h"

#include "conf/forward.h"
#include "os/file.h"
#include "wire/messages.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char disabled[] = "Server has disabled port forwarding.", streamlocal_disabled[] = "Server has disabled streamlocal "
                                                                                                "forwarding.";

/* To the client's debug log. */
static void tell(struct user_child *c, const char *text) { (void)!transport_debug(wire_io_transport(c->wire), text); }

static bool may_forward(const struct user_child *c, int allowed, int direction)
{
    return (allowed & direction) && !c->options.disable_forwarding && c->setup.permit_port_forwarding;
}

/* Both the server's list and the key's, where there are any, have to have it. */
static bool lists_permit(const struct strv *ours, const struct strv *keys, const char *host, int port)
{
    return (ours->n == 0 || conf_destinations_permit(ours, host, port)) &&
           (keys->n == 0 || conf_destinations_permit(keys, host, port));
}

/* The lists name hosts and ports: where there is one, no path is on it. */
static bool lists_permit_paths(const struct strv *ours, const struct strv *keys) { return ours->n == 0 && keys->n == 0; }

static int refuse(struct user_child *c, const struct conn_event *e)
{
    return conn_open_refuse(conn_io_conn(c->conn_io), e->channel, OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed");
}

/* ---- the client connects through us ---- */

static int open_tcpip(struct user_child *c, const struct conn_event *e)
{
    struct body_direct_tcpip q;
    TRY(body_direct_tcpip_get(e->data, &q));
    CLEANUP(freep) char *host = view_dup_str(q.host);
    if (!host) return ERR_NOMEM;
    if (!may_forward(c, c->options.allow_tcp_forwarding, CONF_FORWARDING_LOCAL)) {
        log_info(&c->log, "refused local port forward: originator %.*s port %u, target %s port %u", VIEW_ARG(q.originator),
                 q.originator_port, host, q.port);
        return refuse(c, e);
    }
    if (q.port > UINT16_MAX || !lists_permit(&c->options.permit_open, &c->key_permit_open, host, (int)q.port)) {
        log_info(&c->log, "Received request from %.*s port %u to connect to host %s port %u, but the request was denied.",
                 VIEW_ARG(c->setup.peer_address), c->setup.peer_port, host, q.port);
        return refuse(c, e);
    }
    return forwards_connect(c->forwards, e->channel, &(struct forward_connect){ .host = host, .port = (int)q.port });
}

static int open_streamlocal(struct user_child *c, const struct conn_event *e)
{
    struct body_direct_streamlocal q;
    TRY(body_direct_streamlocal_get(e->data, &q));
    CLEANUP(freep) char *path = view_dup_str(q.path);
    if (!path) return ERR_NOMEM;
    if (!may_forward(c, c->options.allow_stream_local_forwarding, CONF_FORWARDING_LOCAL)) {
        log_info(&c->log, "refused streamlocal port forward: originator %.*s port %u, target %s", VIEW_ARG(q.reserved),
                 q.reserved_port, path);
        return refuse(c, e);
    }
    if (!lists_permit_paths(&c->options.permit_open, &c->key_permit_open)) {
        log_info(&c->log, "Received request to connect to path %s, but the request was denied.", path);
        return refuse(c, e);
    }
    return forwards_connect(c->forwards, e->channel, &(struct forward_connect){ .path = path });
}

bool user_forward_open(struct user_child *c, const struct conn_event *e, int *ret_err)
{
    bool is_tcpip = view_eq_str(e->name, "direct-tcpip");
    if (!is_tcpip && !view_eq_str(e->name, "direct-streamlocal@openssh.com")) return false;
    *ret_err = is_tcpip ? open_tcpip(c, e) : open_streamlocal(c, e);
    return true;
}

/* ---- we listen for the client ---- */

static bool is_loopback(const char *host) { return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0; }

/* GatewayPorts: where to listen, as forward_listen.host wants it. One of the loopback addresses alone may be had in any case. */
static const char *listen_host(const struct user_child *c, const char *asked)
{
    bool is_any = *asked == 0 || strcmp(asked, "*") == 0;
    switch (c->options.gateway_ports) {
    case CONF_GATEWAY_YES:
        return "";
    case CONF_GATEWAY_CLIENT:
        return is_any ? "" : strcmp(asked, "localhost") == 0 ? NULL : asked;
    default:
        return is_loopback(asked) ? asked : NULL;
    }
}

static bool port_is_users(const struct user_child *c, uint32_t port)
{
    return port <= UINT16_MAX && (port == 0 || port >= IPPORT_RESERVED || c->me->uid == 0);
}

static bool may_listen(struct user_child *c, const struct conn_event *e, const char *host, uint32_t port)
{
    bool has_answer = e->want_reply || port != 0; /* else nobody would learn the port */
    if (!may_forward(c, c->options.allow_tcp_forwarding, CONF_FORWARDING_REMOTE) || !has_answer || !port_is_users(c, port)) {
        tell(c, disabled);
        return false;
    }
    if (lists_permit(&c->options.permit_listen, &c->key_permit_listen, host, (int)port)) return true;
    log_info(&c->log, "Received request from %.*s port %u to remote forward to host %s port %u, but the request was denied.",
             VIEW_ARG(c->setup.peer_address), c->setup.peer_port, host, port);
    return false;
}

bool user_forward_listen(struct user_child *c, const struct conn_event *e, struct buf *ret_reply)
{
    struct body_tcpip_forward q;
    int bound;
    if (body_tcpip_forward_get(e->data, &q) < 0) return false;
    CLEANUP(freep) char *host = view_dup_str(q.address);
    if (!host || !may_listen(c, e, host, q.port)) return false;
    struct forward_listen l = { .host = listen_host(c, host),
                                .port = (int)q.port,
                                .channel = FORWARD_FORWARDED_TCPIP,
                                .to_host = host,
                                .to_port = (int)q.port };
    if (forwards_listen(c->forwards, &l, &bound) < 0) return false;
    struct body_tcpip_forward_reply reply = { .port = (uint32_t)bound };
    struct wr w = wr_of(ret_reply);
    /* 4254 7.1: only who left the choice to us is told. */
    return q.port != 0 || body_tcpip_forward_reply_put(&w, &reply) == 0;
}

bool user_forward_unlisten(struct user_child *c, const struct conn_event *e, UNUSED struct buf *ret_reply)
{
    struct body_tcpip_forward q;
    if (body_tcpip_forward_get(e->data, &q) < 0 || q.port > UINT16_MAX) return false;
    CLEANUP(freep) char *host = view_dup_str(q.address);
    return host && forwards_unlisten(c->forwards, listen_host(c, host), (int)q.port, NULL) == 0;
}

bool user_forward_listen_unix(struct user_child *c, const struct conn_event *e, UNUSED struct buf *ret_reply)
{
    struct body_streamlocal_forward q;
    int bound;
    if (body_streamlocal_forward_get(e->data, &q) < 0) return false;
    CLEANUP(freep) char *path = view_dup_str(q.path);
    if (!path || !may_forward(c, c->options.allow_stream_local_forwarding, CONF_FORWARDING_REMOTE)) {
        tell(c, streamlocal_disabled);
        return false;
    }
    if (!lists_permit_paths(&c->options.permit_listen, &c->key_permit_listen)) {
        log_info(&c->log, "Received request to remote forward to path %s, but the request was denied.", path);
        return false;
    }
    struct forward_listen l = { .path = path, .channel = FORWARD_FORWARDED_STREAMLOCAL, .to_path = path };
    return forwards_listen(c->forwards, &l, &bound) == 0;
}

bool user_forward_unlisten_unix(struct user_child *c, const struct conn_event *e, UNUSED struct buf *ret_reply)
{
    struct body_streamlocal_forward q;
    if (body_streamlocal_forward_get(e->data, &q) < 0) return false;
    CLEANUP(freep) char *path = view_dup_str(q.path);
    return path && forwards_unlisten(c->forwards, NULL, 0, path) == 0;
}

/* ---- the client's agent ---- */

static int make_agent_socket(struct user_child *c)
{
    char folder[] = "/tmp/ssh-XXXXXXXXXX";
    int port;
    TRY(file_mkdtemp(folder)); /* mode 0700: whatever the mask says, nobody else comes to the socket */
    c->agent_folder = view_dup_str(view_str(folder));
    if (!c->agent_folder || asprintf(&c->agent_path, "%s/agent.%d", folder, (int)getpid()) < 0) return ERR_NOMEM;
    struct forward_listen l = { .path = c->agent_path, .channel = FORWARD_AGENT };
    return forwards_listen(c->forwards, &l, &port);
}

bool user_forward_agent(struct user_child *c)
{
    if (!c->options.allow_agent_forwarding || c->options.disable_forwarding || !c->setup.permit_agent) {
        log_debug(&c->log, "session_auth_agent_req: agent forwarding disabled");
        return false;
    }
    if (c->agent_path) return true; /* an earlier session's serves this one as well */
    int err = make_agent_socket(c);
    if (err == 0) return true;
    log_error(&c->log, "no socket for the client's agent: %s", err_text(err));
    user_forward_end(c);
    return false;
}

void user_forward_end(struct user_child *c)
{
    if (c->agent_folder) (void)rmdir(c->agent_folder);
    free(TAKE(c->agent_folder));
    free(TAKE(c->agent_path));
}

int user_forward_start(struct user_child *c)
{
    static const int families[] = { [CONF_AF_ANY] = AF_UNSPEC, [CONF_AF_INET] = AF_INET, [CONF_AF_INET6] = AF_INET6 };
    struct forwards_config config = { .loop = c->loop,
                                      .conn_io = c->conn_io,
                                      .log = &c->log,
                                      .family = families[c->options.address_family],
                                      .unix_mask = (mode_t)c->options.stream_local_bind_mask,
                                      .unix_unlink = c->options.stream_local_bind_unlink };
    return forwards_new(&config, &c->forwards);
}
