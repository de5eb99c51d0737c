/* What the user wants forwarded: listening here, asking the server to listen, and letting in only what was asked of it. The
 * connections themselves are io/forward's. */
#include "prog/ssh/client.h"

#include "os/fd.h"
#include "wire/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = 16 * 1024,
    REMOTES_MAX = 4096,
    PORT_OF_PATH = -2 /* in debug lines, as OpenSSH has it */
};

/* A forward that the server was asked for. */
struct remote {
    LIST_ENTRY(remote) link;
    uint32_t tag;
    struct conf_forward what;
    int port; /* that the server listens on */
    bool is_confirmed;
    forwarding_done_fn *done;
    void *arg;
};

struct remote_forwards {
    LIST_HEAD(, remote) list;
    uint32_t next_tag;
    size_t n, n_waiting;
};

/* ---- texts ---- */

static const char *target_host(const struct conf_forward *what)
{
    return what->connect_path ? what->connect_path : what->socks ? "socks" : what->connect_host;
}

static int target_port(const struct conf_forward *what)
{
    return what->connect_path ? PORT_OF_PATH : what->socks ? 0 : what->connect_port;
}

static int listen_port(const struct conf_forward *what) { return what->listen_path ? PORT_OF_PATH : what->listen_port; }

/* "host:port", or a path. */
static void put_target(const struct conf_forward *what, char *ret, size_t cap)
{
    if (what->connect_path)
        snprintf(ret, cap, "%s", what->connect_path);
    else
        snprintf(ret, cap, "%s:%d", target_host(what), target_port(what));
}

/* ---- we listen ---- */

static bool is_any(const char *host) { return *host == 0 || strcmp(host, "*") == 0; }

/* As forward_listen.host wants it. */
static const char *listen_host(const struct client *c, const struct conf_forward *what)
{
    if (!what->listen_host) return c->options.gateway_ports ? "" : NULL;
    if (is_any(what->listen_host)) return "";
    return strcmp(what->listen_host, "localhost") == 0 ? NULL : what->listen_host;
}

static int add_local(struct client *c, const struct conf_forward *what, int *ret_port)
{
    struct forward_listen l = { .host = listen_host(c, what),
                                .port = what->listen_port,
                                .path = what->listen_path,
                                .channel = what->connect_path ? FORWARD_DIRECT_STREAMLOCAL : FORWARD_DIRECT_TCPIP,
                                .to_host = what->connect_host,
                                .to_port = what->connect_port,
                                .to_path = what->connect_path,
                                .socks = what->socks };
    client_log(c, LOG_LEVEL_DEBUG1, "Local connections to %s:%d forwarded to remote address %s:%d",
               what->listen_path          ? what->listen_path
               : what->listen_host        ? what->listen_host
               : c->options.gateway_ports ? "*"
                                          : "LOCALHOST",
               listen_port(what), target_host(what), target_port(what));
    return forwards_listen(c->forwards, &l, ret_port);
}

/* ---- the server listens ---- */

/* 4254 7.1: "" is all addresses, "localhost" the loopback ones. */
static const char *asked_host(const struct conf_forward *what)
{
    if (!what->listen_host) return "localhost";
    return is_any(what->listen_host) ? "" : what->listen_host;
}

static int ask(struct client *c, bool is_cancel, const struct conf_forward *what, int port, uint32_t tag)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(REQUEST_BYTES);
    struct wr w = wr_of(&data);
    struct body_streamlocal_forward path = { .path = view_str(what->listen_path) };
    struct body_tcpip_forward address = { .address = view_str(asked_host(what)), .port = (uint32_t)port };
    const char *name = what->listen_path ? is_cancel ? "cancel-streamlocal-forward@openssh.com" : "streamlocal-forward@openssh.com"
                       : is_cancel       ? "cancel-tcpip-forward"
                                         : "tcpip-forward";
    TRY(what->listen_path ? body_streamlocal_forward_put(&w, &path) : body_tcpip_forward_put(&w, &address));
    TRY(conn_global_request(conn_io_conn(c->conn_io), name, !is_cancel, tag, buf_view(&data)));
    conn_io_wake(c->conn_io);
    return 0;
}

static void remote_free(struct client *c, struct remote *r)
{
    if (!r->is_confirmed) c->remotes->n_waiting--;
    c->remotes->n--;
    LIST_REMOVE(r, link);
    conf_forward_done(&r->what);
    free(r);
}

static int add_remote(struct client *c, const struct conf_forward *what, forwarding_done_fn *done, void *arg)
{
    if (c->remotes->n == REMOTES_MAX) return ERR_LIMIT;
    struct remote *r = calloc(1, sizeof *r);
    if (!r) return ERR_NOMEM;
    *r = (struct remote){ .tag = c->remotes->next_tag++, .port = what->listen_port, .done = done, .arg = arg };
    LIST_INSERT_HEAD(&c->remotes->list, r, link);
    c->remotes->n++;
    c->remotes->n_waiting++;
    client_log(c, LOG_LEVEL_DEBUG1, "Remote connections from %s:%d forwarded to local address %s:%d",
               what->listen_path   ? what->listen_path
               : what->listen_host ? what->listen_host
                                   : "LOCALHOST",
               listen_port(what), target_host(what), target_port(what));
    int err = conf_forward_copy(&r->what, what);
    if (err == 0) err = ask(c, false, what, what->listen_port, r->tag);
    if (err < 0) remote_free(c, r);
    return err;
}

static struct remote *find_by_tag(const struct client *c, uint32_t tag)
{
    struct remote *r;
    LIST_FOREACH(r, &c->remotes->list, link)
    {
        if (r->tag == tag) return r;
    }
    return NULL;
}

static int on_granted(struct client *c, struct remote *r, struct view data)
{
    struct body_tcpip_forward_reply reply;
    char target[512];
    put_target(&r->what, target, sizeof target);
    client_log(c, LOG_LEVEL_DEBUG1, "remote forward success for: listen %s%s%d, connect %s",
               r->what.listen_path   ? r->what.listen_path
               : r->what.listen_host ? r->what.listen_host
                                     : "",
               r->what.listen_path || r->what.listen_host ? ":" : "", listen_port(&r->what), target);
    if (!r->what.listen_path && r->what.listen_port == 0) {
        TRY(body_tcpip_forward_reply_get(data, &reply));
        if (reply.port == 0 || reply.port > UINT16_MAX) return ERR_RANGE;
        r->port = (int)reply.port;
        client_log(c, LOG_LEVEL_INFO, "Allocated port %d for remote forward to %s", r->port, target);
    }
    r->is_confirmed = true;
    c->remotes->n_waiting--;
    if (r->done) r->done(r->arg, true, r->port, "");
    return 0;
}

static void on_denied(struct client *c, struct remote *r)
{
    char text[512];
    if (r->what.listen_path)
        snprintf(text, sizeof text, "remote port forwarding failed for listen path %s", r->what.listen_path);
    else
        snprintf(text, sizeof text, "remote port forwarding failed for listen port %d", r->what.listen_port);
    forwarding_done_fn *done = r->done;
    void *arg = r->arg;
    remote_free(c, r);
    if (done) {
        done(arg, false, 0, text);
        return;
    }
    if (!c->options.exit_on_forward_failure) {
        client_log(c, LOG_LEVEL_INFO, "Warning: %s", text);
        return;
    }
    client_fatal(c, "Error: %s", text);
    client_end(c, EXIT_OWN_ERROR);
}

int forwarding_reply(struct client *c, const struct conn_event *e)
{
    struct remote *r = find_by_tag(c, e->tag);
    if (!r) return 0; /* cancelled meanwhile */
    if (e->ok)
        TRY(on_granted(c, r, e->data));
    else
        on_denied(c, r);
    if (c->remotes->n_waiting) return 0;
    client_log(c, LOG_LEVEL_DEBUG1, "forwarding_success: all expected forwarding replies received");
    session_forwards_ready(c);
    return 0;
}

bool forwarding_is_waiting(const struct client *c) { return c->remotes && c->remotes->n_waiting; }

/* ---- the server opens ---- */

/* Servers exist that name the address they bound instead of the one they were asked for: the port alone is enough. */
static struct remote *find_tcpip(const struct client *c, struct view host, uint32_t port)
{
    struct remote *r, *by_port = NULL;
    LIST_FOREACH(r, &c->remotes->list, link)
    {
        if (!r->is_confirmed || r->what.listen_path || (uint32_t)r->port != port) continue;
        if (view_eq_str(host, asked_host(&r->what))) return r;
        by_port = r;
    }
    return by_port;
}

static struct remote *find_path(const struct client *c, struct view path)
{
    struct remote *r;
    LIST_FOREACH(r, &c->remotes->list, link)
    {
        if (r->is_confirmed && r->what.listen_path && view_eq_str(path, r->what.listen_path)) return r;
    }
    return NULL;
}

static int find_asked(struct client *c, const struct conn_event *e, struct remote **ret)
{
    struct body_forwarded_tcpip tcpip;
    struct body_forwarded_streamlocal local;
    if (view_eq_str(e->name, "forwarded-tcpip")) {
        TRY(body_forwarded_tcpip_get(e->data, &tcpip));
        client_log(c, LOG_LEVEL_DEBUG1, "client_request_forwarded_tcpip: listen %.*s port %u, originator %.*s port %u",
                   VIEW_ARG(tcpip.address), tcpip.port, VIEW_ARG(tcpip.originator), tcpip.originator_port);
        *ret = find_tcpip(c, tcpip.address, tcpip.port);
        if (!*ret) client_log(c, LOG_LEVEL_ERROR, "WARNING: Server requests forwarding for unknown listen_port %u", tcpip.port);
    } else {
        TRY(body_forwarded_streamlocal_get(e->data, &local));
        client_log(c, LOG_LEVEL_DEBUG1, "client_request_forwarded_streamlocal: request: %.*s", VIEW_ARG(local.path));
        *ret = find_path(c, local.path);
        if (!*ret)
            client_log(c, LOG_LEVEL_ERROR, "WARNING: Server requests forwarding for unknown path %.*s", VIEW_ARG(local.path));
    }
    return 0;
}

bool forwarding_open(struct client *c, const struct conn_event *e, int *ret_err)
{
    struct remote *r = NULL;
    if (!view_eq_str(e->name, "forwarded-tcpip") && !view_eq_str(e->name, "forwarded-streamlocal@openssh.com")) return false;
    *ret_err = find_asked(c, e, &r);
    if (*ret_err < 0) return true;
    if (!r) {
        *ret_err =
            conn_open_refuse(conn_io_conn(c->conn_io), e->channel, OPEN_ADMINISTRATIVELY_PROHIBITED, "this was not asked for");
        return true;
    }
    struct forward_connect to = {
        .host = r->what.connect_host, .port = r->what.connect_port, .path = r->what.connect_path, .socks = r->what.socks
    };
    *ret_err = forwards_connect(c->forwards, e->channel, &to);
    return true;
}

/* ---- adding and cancelling ---- */

int forwarding_add(struct client *c, enum conf_forward_kind kind, const struct conf_forward *what, forwarding_done_fn *done,
                   void *arg)
{
    int port = 0;
    if (kind == CONF_FORWARD_REMOTE) return add_remote(c, what, done, arg);
    bool ok = add_local(c, what, &port) == 0;
    if (done) done(arg, ok, port, ok ? "" : "Port forwarding failed");
    return 0;
}

static bool same_listen(const struct conf_forward *a, const struct conf_forward *b)
{
    if (a->listen_path || b->listen_path) return a->listen_path && b->listen_path && strcmp(a->listen_path, b->listen_path) == 0;
    return a->listen_port == b->listen_port && strcmp(asked_host(a), asked_host(b)) == 0;
}

int forwarding_find_remote(const struct client *c, const struct conf_forward *what, int *ret_port)
{
    struct remote *r;
    LIST_FOREACH(r, &c->remotes->list, link)
    {
        if (!r->is_confirmed || !conf_forward_equal(&r->what, what)) continue;
        *ret_port = r->port;
        return 0;
    }
    return ERR_NOT_FOUND;
}

static int cancel_remote(struct client *c, const struct conf_forward *what)
{
    struct remote *r;
    LIST_FOREACH(r, &c->remotes->list, link)
    {
        struct conf_forward bound = r->what;
        bound.listen_port = r->port;
        if (!same_listen(&r->what, what) && !same_listen(&bound, what)) continue;
        int err = ask(c, true, &r->what, r->port, CLIENT_TAG_NONE);
        remote_free(c, r);
        return err;
    }
    return ERR_NOT_FOUND;
}

int forwarding_cancel(struct client *c, enum conf_forward_kind kind, const struct conf_forward *what)
{
    if (kind == CONF_FORWARD_REMOTE) return cancel_remote(c, what);
    return forwards_unlisten(c->forwards, listen_host(c, what), what->listen_port, what->listen_path);
}

/* ---- -W ---- */

static void on_stdio_ended(void *arg, bool was_open)
{
    struct client *c = arg;
    if (!was_open) client_fatal(c, "stdio forwarding failed");
    client_end(c, was_open ? 0 : EXIT_OWN_ERROR);
}

static int start_stdio(struct client *c)
{
    const struct conf_forward *to = &c->cmd.stdio_forward;
    struct forward_stdio s = { .channel = to->connect_path ? FORWARD_DIRECT_STREAMLOCAL : FORWARD_DIRECT_TCPIP,
                               .to_host = to->connect_host,
                               .to_port = to->connect_port,
                               .to_path = to->connect_path,
                               .ended = on_stdio_ended,
                               .arg = c };
    int in, out;
    if (!c->cmd.has_stdio_forward) return 0;
    TRY(fd_dup(STDIN_FILENO, &in));
    int err = fd_dup(STDOUT_FILENO, &out);
    if (err < 0) fd_close(in);
    TRY(err);
    return forwards_open_stdio(c->forwards, in, out, &s);
}

/* ---- start ---- */

static bool may_connect(void *arg, const char *host, int port)
{
    struct client *c = arg;
    const struct strv *list = &c->options.permit_remote_open;
    if (list->n == 0 || conf_destinations_permit(list, host, port)) return true;
    client_log(c, LOG_LEVEL_INFO, "Received request from %s to connect to host %s port %d, but the request was denied.", c->host,
               host, port);
    return false;
}

static void on_idle(void *arg) { session_forwards_idle(arg); }

static int make(struct client *c)
{
    static const int families[] = { [CONF_AF_ANY] = AF_UNSPEC, [CONF_AF_INET] = AF_INET, [CONF_AF_INET6] = AF_INET6 };
    struct forwards_config config = { .loop = c->loop,
                                      .conn_io = c->conn_io,
                                      .log = &c->sink.log,
                                      .family = families[c->options.address_family],
                                      .unix_mask = (mode_t)c->options.stream_local_bind_mask,
                                      .unix_unlink = c->options.stream_local_bind_unlink,
                                      .idle = on_idle,
                                      .may_connect = may_connect,
                                      .arg = c };
    c->remotes = calloc(1, sizeof *c->remotes);
    if (!c->remotes) return ERR_NOMEM;
    c->remotes->next_tag = CLIENT_TAG_FORWARDS;
    LIST_INIT(&c->remotes->list);
    return forwards_new(&config, &c->forwards);
}

static size_t start_locals(struct client *c, const struct conf_forwards *list)
{
    size_t n_good = 0;
    for (size_t i = 0; i < list->n; i++) {
        int port;
        if (add_local(c, &list->v[i], &port) == 0) n_good++;
    }
    return n_good;
}

int forwarding_start(struct client *c)
{
    const struct ssh_options *o = &c->options;
    TRY(make(c));
    TRY(start_stdio(c));
    size_t n = o->local_forward.n + o->dynamic_forward.n,
           n_good = start_locals(c, &o->local_forward) + start_locals(c, &o->dynamic_forward);
    if (n_good < n && o->exit_on_forward_failure) {
        client_fatal(c, "Could not request local forwarding.");
        client_end(c, EXIT_OWN_ERROR);
        return 0;
    }
    if (n && n_good == 0) client_log(c, LOG_LEVEL_ERROR, "Could not request local forwarding.");
    for (size_t i = 0; i < o->remote_forward.n; i++) TRY(add_remote(c, &o->remote_forward.v[i], NULL, NULL));
    if (o->remote_forward.n)
        client_log(c, LOG_LEVEL_DEBUG1, "ssh_init_forwarding: expecting replies for %zu forwards", o->remote_forward.n);
    return 0;
}

void forwarding_free(struct client *c)
{
    forwards_free(c->forwards);
    if (!c->remotes) return;
    while (!LIST_EMPTY(&c->remotes->list)) remote_free(c, LIST_FIRST(&c->remotes->list));
    free(c->remotes);
}
