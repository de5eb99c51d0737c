/* Listeners: their sockets, what is accepted there, what a SOCKS client of it wants, and the channel that is opened for it. */
#include "io/forward_int.h"

#include "os/fd.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ACCEPTS_A_TURN = 64,
    OPEN_BYTES = 16 * 1024 /* of a channel's open: a host, a path */
};

/* ---- the channel ---- */

static int put_direct_tcpip(struct wr *w, const struct forward_listen *to, const struct sock_text *from)
{
    struct body_direct_tcpip m = { view_str(to->to_host), (uint32_t)to->to_port, view_str(from->host), (uint32_t)from->port };
    return body_direct_tcpip_put(w, &m);
}

static int put_forwarded_tcpip(struct wr *w, const struct forward_listen *to, const struct sock_text *from)
{
    struct body_forwarded_tcpip m = { view_str(to->to_host), (uint32_t)to->to_port, view_str(from->host), (uint32_t)from->port };
    return body_forwarded_tcpip_put(w, &m);
}

static int put_direct_streamlocal(struct wr *w, const struct forward_listen *to, UNUSED const struct sock_text *from)
{
    struct body_direct_streamlocal m = { .path = view_str(to->to_path) };
    return body_direct_streamlocal_put(w, &m);
}

static int put_forwarded_streamlocal(struct wr *w, const struct forward_listen *to, UNUSED const struct sock_text *from)
{
    struct body_forwarded_streamlocal m = { .path = view_str(to->to_path) };
    return body_forwarded_streamlocal_put(w, &m);
}

static int put_nothing(UNUSED struct wr *w, UNUSED const struct forward_listen *to, UNUSED const struct sock_text *from)
{
    return 0;
}

static const struct {
    const char *type;
    int (*put)(struct wr *w, const struct forward_listen *to, const struct sock_text *from);
} channels[FORWARD_CHANNEL_MAX] = {
    [FORWARD_DIRECT_TCPIP] = { "direct-tcpip", put_direct_tcpip },
    [FORWARD_DIRECT_STREAMLOCAL] = { "direct-streamlocal@openssh.com", put_direct_streamlocal },
    [FORWARD_FORWARDED_TCPIP] = { "forwarded-tcpip", put_forwarded_tcpip },
    [FORWARD_FORWARDED_STREAMLOCAL] = { "forwarded-streamlocal@openssh.com", put_forwarded_streamlocal },
    [FORWARD_AGENT] = { "auth-agent@openssh.com", put_nothing },
};

static int set_label(struct carried *c, const struct listener *l, const struct forward_listen *to, const struct sock_text *from)
{
    const char *type = channels[to->channel].type;
    if (l->what.path)
        return carried_set_label(c, "%s: listening path %s for %s", type, l->what.path,
                                 to->to_path   ? to->to_path
                                 : to->to_host ? to->to_host
                                               : "the agent");
    if (to->to_path)
        return carried_set_label(c, "%s: listening port %d for %s, connect from %s port %d", type, l->bound_port, to->to_path,
                                 from->host, from->port);
    return carried_set_label(c, "%s: listening port %d for %s port %d, connect from %s port %d", type, l->bound_port, to->to_host,
                             to->to_port, from->host, from->port);
}

static void origin_of(const struct carried *c, struct sock_text *ret)
{
    sock_peer_text(c->fd, ret);
    /* Servers exist that want an address here, whatever the connection came from. */
    if (ret->port == 65535) snprintf(ret->host, sizeof ret->host, "127.0.0.1");
}

static int send_open(struct carried *c, const struct forward_listen *to, const struct sock_text *from)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(OPEN_BYTES);
    struct wr w = wr_of(&data);
    channel_id ch;
    TRY(channels[to->channel].put(&w, to, from));
    TRY(conn_open(c->f->conn, channels[to->channel].type, buf_view(&data), &ch));
    int err = carried_set_channel(c, ch);
    if (err < 0) (void)!conn_close(c->f->conn, ch);
    TRY(err);
    c->state = CARRIED_OPENING;
    loop_fd_free(TAKE(c->watch));
    log_debug(c->f->config.log, "channel %u: new %s (inactive timeout: 0)", ch, c->label);
    conn_io_wake(c->f->config.conn_io);
    return 0;
}

static int open_channel(struct carried *c, const struct listener *l, const struct forward_listen *to)
{
    struct sock_text from;
    origin_of(c, &from);
    TRY(set_label(c, l, to, &from));
    return send_open(c, to, &from);
}

int forwards_open_stdio(struct forwards *f, int take_in, int take_out, const struct forward_stdio *s)
{
    const struct forward_listen to = { .channel = s->channel, .to_host = s->to_host, .to_port = s->to_port, .to_path = s->to_path };
    struct carried *c;
    struct sock_text from;
    int err = carried_new(f, take_in, &c);
    if (err < 0) {
        fd_close(take_out);
        return err;
    }
    c->out_fd = take_out;
    origin_of(c, &from);
    err = s->to_path ? carried_set_label(c, "stdio forward to %s", s->to_path)
                     : carried_set_label(c, "stdio forward to %s port %d", s->to_host, s->to_port);
    if (err == 0) err = send_open(c, &to, &from);
    if (err < 0) {
        carried_free(c);
        return err;
    }
    c->opened = s->opened;
    c->ended = s->ended;
    c->ended_arg = s->arg;
    return 0;
}

/* ---- SOCKS ---- */

static int send_reply(struct carried *c)
{
    struct view reply = socks_reply(c->socks);
    size_t n = 0;
    if (reply.len == 0) return 0;
    TRY(fd_write(c->fd, reply.p, reply.len, &n));
    return n == reply.len ? 0 : ERR_LIMIT; /* the client reads nothing, and has asked for nothing else yet */
}

static enum socks_outcome outcome_of(uint32_t reason, struct view text)
{
    static const struct {
        const char *has;
        enum socks_outcome outcome;
    } words[] = { { "refused", SOCKS_REFUSED },
                  { "etwork is unreachable", SOCKS_NET_UNREACHABLE },
                  { "o route", SOCKS_HOST_UNREACHABLE },
                  { "not known", SOCKS_HOST_UNREACHABLE },
                  { "timed out", SOCKS_HOST_UNREACHABLE } };
    if (reason == OPEN_ADMINISTRATIVELY_PROHIBITED) return SOCKS_FORBIDDEN;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (text.len && memmem(text.p, text.len, words[i].has, strlen(words[i].has))) return words[i].outcome;
    return SOCKS_FAILED;
}

void accepted_refused(struct carried *c, uint32_t reason, struct view text)
{
    if (!c->socks || c->fd < 0) return;
    socks_answer(c->socks, outcome_of(reason, text));
    (void)!send_reply(c);
}

int accepted_opened(struct carried *c)
{
    c->was_open = true;
    if (c->opened) c->opened(c->ended_arg, c->ch);
    if (c->socks) {
        socks_answer(c->socks, SOCKS_CONNECTED);
        int err = send_reply(c);
        free(TAKE(c->socks));
        if (err < 0) {
            carried_finish(c);
            return 0;
        }
    }
    return carried_join(c);
}

/* Only the bytes of the request are taken from the socket: what stands behind them goes through the channel. */
static int read_request(struct carried *c)
{
    uint8_t bytes[SOCKS_REQUEST_BYTES];
    size_t n = 0, used = 0;
    TRY(sock_peek(c->fd, bytes, sizeof bytes, &n));
    if (n == 0) return ERR_PEER_CLOSED;
    int got = socks_feed(c->socks, view_of(bytes, n), &used);
    TRY(fd_read(c->fd, bytes, used, &n));
    int err = send_reply(c);
    return got < 0 ? got : err < 0 ? err : got;
}

static void on_socks(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct carried *c = arg;
    int got = read_request(c);
    if (got == 0 || got == ERR_AGAIN) return;
    if (got == 1) {
        const struct forward_listen to = { .channel = FORWARD_DIRECT_TCPIP, .to_host = c->socks->host, .to_port = c->socks->port };
        const struct listener as = { .what = { .port = c->port }, .bound_port = c->port };
        log_debug(c->f->config.log, "dynamic request: socks%u host %s port %u", c->socks->version, to.to_host,
                  (unsigned)to.to_port);
        got = open_channel(c, &as, &to);
        if (got == 0) return;
    }
    log_debug(c->f->config.log, "SOCKS client: %s", err_text(got));
    carried_free(c);
}

static int start_socks(struct carried *c, const struct listener *l)
{
    c->state = CARRIED_SOCKS;
    c->port = l->bound_port;
    c->socks = malloc(sizeof *c->socks);
    if (!c->socks) return ERR_NOMEM;
    socks_init(c->socks);
    return loop_fd_new(c->f->config.loop, c->fd, LOOP_READ, on_socks, c, &c->watch);
}

/* ---- accepting ---- */

void listeners_watch(struct forwards *f)
{
    struct listener *l;
    f->is_starved = false;
    loop_timer_set(f->starved_timer, MS_NEVER);
    LIST_FOREACH(l, &f->listeners, link)
    {
        for (size_t i = 0; i < l->n; i++) (void)!loop_fd_set(l->at[i].watch, LOOP_READ);
    }
}

/* What waits to be accepted would wake the loop again and again. */
static void starve(struct forwards *f)
{
    struct listener *l;
    f->is_starved = true;
    loop_timer_set(f->starved_timer, loop_now(f->config.loop) + FORWARD_STARVED_MS);
    LIST_FOREACH(l, &f->listeners, link)
    {
        for (size_t i = 0; i < l->n; i++) (void)!loop_fd_set(l->at[i].watch, 0);
    }
}

static void take(struct listener *l, int take_fd)
{
    struct forwards *f = l->f;
    struct carried *c;
    if (l->what.path)
        log_debug(f->config.log, "Connection to socket %s forwarding requested.", l->what.path);
    else
        log_debug(f->config.log, "Connection to port %d forwarding to %s port %d requested.", l->bound_port,
                  l->what.socks     ? "socks"
                  : l->what.to_host ? l->what.to_host
                                    : l->what.to_path,
                  l->what.to_port);
    int err = carried_new(f, take_fd, &c);
    if (err == 0) {
        err = l->what.socks ? start_socks(c, l) : open_channel(c, l, &l->what);
        if (err < 0) carried_free(c);
    }
    if (err < 0) log_error(f->config.log, "a connection to port %d is not forwarded: %s", l->bound_port, err_text(err));
}

static void on_accept(void *arg, int fd, UNUSED unsigned events)
{
    struct listener *l = ((struct listen_socket *)arg)->l;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int accepted, err = sock_accept(fd, NULL, &accepted);
        if (err == ERR_AGAIN) return;
        if (err < 0) {
            log_error(l->f->config.log, "accept: %s", err_text(err));
            starve(l->f);
            return;
        }
        take(l, accepted);
    }
}

/* ---- listening ---- */

static int dup_text(const char **text)
{
    if (*text && !(*text = strdup(*text))) return ERR_NOMEM;
    return 0;
}

static void free_text(const char *text) { free((void *)(uintptr_t)text); }

void listener_free(struct listener *l)
{
    for (size_t i = 0; i < l->n; i++) {
        loop_fd_free(l->at[i].watch);
        fd_close(l->at[i].fd);
    }
    if (l->what.path && l->n) sock_remove_unix(l->what.path, &l->made);
    LIST_REMOVE(l, link);
    l->f->n_listeners--;
    free_text(l->what.host);
    free_text(l->what.path);
    free_text(l->what.to_host);
    free_text(l->what.to_path);
    free(l);
}

static int listener_new(struct forwards *f, const struct forward_listen *what, struct listener **ret)
{
    struct listener *l = f->n_listeners < FORWARD_LISTENERS_MAX ? calloc(1, sizeof *l) : NULL;
    if (!l) return f->n_listeners < FORWARD_LISTENERS_MAX ? ERR_NOMEM : ERR_LIMIT;
    *l = (struct listener){ .f = f, .what = *what };
    LIST_INSERT_HEAD(&f->listeners, l, link);
    f->n_listeners++;
    int errs[] = { dup_text(&l->what.host), dup_text(&l->what.path), dup_text(&l->what.to_host), dup_text(&l->what.to_path) };
    for (size_t i = 0; i < ARRAY_LEN(errs); i++)
        if (errs[i] < 0) {
            listener_free(l);
            return ERR_NOMEM;
        }
    *ret = l;
    return 0;
}

static int watch(struct listener *l, int take_fd)
{
    struct listen_socket *s = &l->at[l->n];
    *s = (struct listen_socket){ .l = l, .fd = take_fd };
    int err = loop_fd_new(l->f->config.loop, take_fd, l->f->is_starved ? 0 : LOOP_READ, on_accept, s, &s->watch);
    if (err < 0)
        fd_close(take_fd);
    else
        l->n++;
    return err;
}

static int listen_on(struct listener *l, struct sock_addr *addr, bool is_last)
{
    const struct log *log = l->f->config.log;
    struct sock_addr bound;
    struct sock_text text;
    int fd;
    sock_addr_set_port(addr, (uint16_t)l->bound_port);
    sock_addr_text(addr, &text);
    int err = sock_listen(addr, NULL, &fd);
    if (err < 0) {
        log_at(log, is_last ? LOG_LEVEL_ERROR : LOG_LEVEL_VERBOSE, "bind [%s]:%d: %s", text.host, l->bound_port, err_text(err));
        return err;
    }
    if (l->bound_port == 0 && sock_local_addr(fd, &bound) == 0) l->bound_port = sock_addr_port(&bound);
    log_debug(log, "Local forwarding listening on %s port %d.", text.host, l->bound_port);
    return watch(l, fd);
}

static int listen_tcp(struct listener *l)
{
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    const struct forwards *f = l->f;
    const char *why = "", *host = l->what.host;
    bool all = host && !*host;
    struct sock_resolve how = { .family = f->config.family, .passive = all };
    int err = sock_resolve(all ? NULL : host, 0, &how, &addrs, &why);
    if (err < 0) {
        log_error(f->config.log, "channel_setup_fwd_listener_tcpip: getaddrinfo(%s): %s", host ? host : "localhost", why);
        return err;
    }
    l->bound_port = l->what.port;
    for (size_t i = 0; i < addrs.n && l->n < FORWARD_ADDRESSES_MAX; i++) {
        int e = listen_on(l, &addrs.v[i], i + 1 == addrs.n);
        if (e < 0) err = e;
    }
    return l->n ? 0 : err;
}

static int listen_unix(struct listener *l)
{
    const struct forwards_config *config = &l->f->config;
    int fd;
    int err = sock_listen_unix(l->what.path, config->unix_mask, config->unix_unlink, 0, &fd);
    if (err < 0) {
        log_error(config->log,
                  err == ERR_LIMIT ? "path \"%s\" too long for Unix domain socket" : "unix_listener: cannot bind to path %s: %s",
                  l->what.path, err_text(err));
        return err;
    }
    (void)lstat(l->what.path, &l->made);
    log_debug(config->log, "Local forwarding listening on path %s.", l->what.path);
    return watch(l, fd);
}

int forwards_listen(struct forwards *f, const struct forward_listen *what, int *ret_port)
{
    struct listener *l;
    TRY(listener_new(f, what, &l));
    int err = what->path ? listen_unix(l) : listen_tcp(l);
    if (err < 0) {
        if (!what->path && err != ERR_NOT_FOUND)
            log_error(f->config.log, "channel_setup_fwd_listener_tcpip: cannot listen to port: %d", what->port);
        listener_free(l);
        return err;
    }
    if (what->channel == FORWARD_FORWARDED_TCPIP && what->to_port == 0) l->what.to_port = l->bound_port;
    *ret_port = l->bound_port;
    return 0;
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

int forwards_unlisten(struct forwards *f, const char *host, int port, const char *path)
{
    struct listener *l;
    LIST_FOREACH(l, &f->listeners, link)
    {
        bool same_port = port == l->what.port || port == l->bound_port;
        if (path ? !same_text(path, l->what.path) : l->what.path || !same_port || !same_text(host, l->what.host)) continue;
        listener_free(l);
        return 0;
    }
    return ERR_NOT_FOUND;
}
