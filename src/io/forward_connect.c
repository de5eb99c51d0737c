/* Channels of the peer that become connections: names, addresses in turn, and the peer's SOCKS clients. */
#include "io/forward_int.h"

#include "os/fd.h"

#include <errno.h>
#include <stdlib.h>

static void try_next(struct carried *c);

void connecting_done(struct carried *c)
{
    lookups_forget(c->f->lookups, c);
    loop_timer_free(TAKE(c->retry));
    sock_addrs_done(&c->addrs);
    free(TAKE(c->host));
    free(TAKE(c->path));
}

/* ---- how it ended ---- */

static int say_socks(struct carried *c, enum socks_outcome outcome)
{
    size_t n = 0;
    socks_answer(c->socks, outcome);
    struct view reply = socks_reply(c->socks);
    TRY(conn_write(c->f->conn, c->ch, 0, reply, &n));
    return n == reply.len ? 0 : ERR_LIMIT; /* the peer gave no window for an answer of ten bytes */
}

static enum socks_outcome outcome_of(int err)
{
    switch (err_errno(err)) {
    case ECONNREFUSED:
        return SOCKS_REFUSED;
    case ENETUNREACH:
        return SOCKS_NET_UNREACHABLE;
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return SOCKS_HOST_UNREACHABLE;
    default:
        return err == ERR_NOT_FOUND ? SOCKS_HOST_UNREACHABLE : SOCKS_FAILED;
    }
}

static void fail(struct carried *c, int err, const char *why)
{
    struct forwards *f = c->f;
    if (c->path)
        log_error(f->config.log, "connect_to %s: %s", c->path, why);
    else if (err == ERR_NOT_FOUND)
        log_error(f->config.log, "connect_to %s: unknown host (%s)", c->host, why);
    else
        log_error(f->config.log, "connect_to %s port %d: failed.", c->host ? c->host : "", c->port);
    if (c->is_accepted)
        (void)!say_socks(c, outcome_of(err));
    else {
        (void)!conn_open_refuse(f->conn, c->ch, OPEN_CONNECT_FAILED, why);
        f->by_channel[c->ch] = NULL;
        c->ch = CHANNEL_NONE;
    }
    conn_io_wake(f->config.conn_io);
    carried_finish(c);
}

static void succeed(struct carried *c)
{
    struct forwards *f = c->f;
    int err = c->is_accepted ? say_socks(c, SOCKS_CONNECTED) : conn_open_accept(f->conn, c->ch, VIEW_EMPTY);
    free(TAKE(c->socks));
    if (err == 0) err = carried_join(c);
    if (err < 0) carried_finish(c);
    conn_io_wake(f->config.conn_io);
}

/* ---- addresses in turn ---- */

static void on_writable(void *arg, int fd, UNUSED unsigned events)
{
    struct carried *c = arg;
    c->last_err = sock_connect_result(fd);
    if (c->last_err == 0) {
        succeed(c);
        return;
    }
    loop_fd_free(TAKE(c->watch));
    fd_closep(&c->fd);
    try_next(c);
}

static void on_retry(void *arg)
{
    struct carried *c = arg;
    c->next_addr--;
    try_next(c);
}

/* A unix socket's full queue has no event of its own. */
static bool wait_for_queue(struct carried *c, int err)
{
    ms now = loop_now(c->f->config.loop);
    if (!c->path || err_errno(err) != EAGAIN) return false;
    if (!c->give_up_at) c->give_up_at = now + FORWARD_UNIX_PATIENCE_MS;
    if (now >= c->give_up_at) return false;
    if (!c->retry && loop_timer_new(c->f->config.loop, on_retry, c, &c->retry) < 0) return false;
    loop_timer_set(c->retry, now + FORWARD_UNIX_RETRY_MS);
    return true;
}

static void try_next(struct carried *c)
{
    const struct sock_connect how = { .keepalive = true, .tos = -1 };
    struct sock_text text;
    while (c->next_addr < c->addrs.n) {
        struct sock_addr *to = &c->addrs.v[c->next_addr++];
        sock_addr_set_port(to, (uint16_t)c->port);
        int err = sock_connect_start(to, &how, &c->fd);
        if (err == 0) {
            succeed(c);
            return;
        }
        if (err == ERR_AGAIN && (err = loop_fd_new(c->f->config.loop, c->fd, LOOP_WRITE, on_writable, c, &c->watch)) == 0) return;
        fd_closep(&c->fd);
        if (wait_for_queue(c, err)) return;
        sock_addr_text(to, &text);
        log_debug(c->f->config.log, "connect to %s port %d: %s", text.host, c->port, err_text(err));
        c->last_err = err;
    }
    fail(c, c->last_err, err_text(c->last_err));
}

static void on_looked_up(void *arg, int err, const char *why, const struct sock_addrs *addrs)
{
    struct carried *c = arg;
    if (err == 0) {
        c->addrs.v = reallocarray(NULL, addrs->n, sizeof *addrs->v);
        if (!c->addrs.v) err = ERR_NOMEM;
    }
    if (err < 0) {
        fail(c, err, why);
        return;
    }
    memcpy(c->addrs.v, addrs->v, addrs->n * sizeof *addrs->v);
    c->addrs.n = addrs->n;
    try_next(c);
}

static int set_unix_addr(struct carried *c, const char *path)
{
    c->path = strdup(path);
    c->addrs.v = calloc(1, sizeof *c->addrs.v);
    if (!c->path || !c->addrs.v) return ERR_NOMEM;
    c->addrs.n = 1;
    return sock_unix_addr(path, &c->addrs.v[0]);
}

/* Answers later or at once, in any case through succeed or fail. */
static void start(struct carried *c, const char *host, int port)
{
    const struct sock_resolve numeric = { .family = c->f->config.family, .numeric = true };
    c->state = CARRIED_CONNECTING;
    c->port = port;
    c->host = strdup(host);
    if (!c->host) {
        fail(c, ERR_NOMEM, err_text(ERR_NOMEM));
        return;
    }
    if (sock_resolve(host, (uint16_t)port, &numeric, &c->addrs, NULL) == 0) {
        try_next(c);
        return;
    }
    int err = lookups_ask(c->f->lookups, host, c->f->config.family, on_looked_up, c);
    if (err < 0) fail(c, err, err_text(err));
}

/* ---- the peer's SOCKS clients ---- */

static int on_socks(struct carried *c, struct view *data)
{
    size_t used = 0, n = 0;
    int got = socks_feed(c->socks, *data, &used);
    struct view reply = socks_reply(c->socks);
    *data = view_sub(*data, used, SIZE_MAX);
    TRY(conn_consumed(c->f->conn, c->ch, used));
    if (reply.len) TRY(conn_write(c->f->conn, c->ch, 0, reply, &n));
    return got;
}

static void connect_for_socks(struct carried *c)
{
    const struct forwards_config *config = &c->f->config;
    char host[sizeof c->socks->host];
    memcpy(host, c->socks->host, sizeof host);
    int port = c->socks->port;
    log_debug(config->log, "channel %u: remote SOCKS client wants %s port %d", c->ch, host, port);
    if (config->may_connect && !config->may_connect(config->arg, host, port)) {
        (void)!say_socks(c, SOCKS_FORBIDDEN);
        carried_finish(c);
        return;
    }
    if (carried_set_label(c, "remote SOCKS to %s port %d", host, port) < 0)
        carried_finish(c);
    else
        start(c, host, port);
}

int connecting_data(struct carried *c, struct view data)
{
    if (c->state == CARRIED_SOCKS && !c->is_finishing) {
        int got = on_socks(c, &data);
        if (got < 0) carried_finish(c);
        if (got == 1) connect_for_socks(c);
    }
    if (data.len == 0) return 0;
    if (c->is_finishing) return conn_consumed(c->f->conn, c->ch, data.len);
    if (c->io) return chan_io_data(c->io, 0, data, NULL); /* it was connected at once */
    if (buf_put_view(&c->early, data) == 0) return 0;
    carried_finish(c);
    return conn_consumed(c->f->conn, c->ch, data.len);
}

/* ---- the peer's open ---- */

static int begin(struct carried *c, channel_id ch, const struct forward_connect *to)
{
    if (to->path) return set_unix_addr(c, to->path);
    if (!to->socks) return 0;
    c->socks = malloc(sizeof *c->socks);
    if (!c->socks) return ERR_NOMEM;
    socks_init(c->socks);
    c->state = CARRIED_SOCKS;
    c->is_accepted = true;
    return conn_open_accept(c->f->conn, ch, VIEW_EMPTY);
}

static int label(struct carried *c, const struct forward_connect *to)
{
    if (to->socks) return carried_set_label(c, "remote SOCKS");
    return to->path ? carried_set_label(c, "connected to %s", to->path)
                    : carried_set_label(c, "connected to %s port %d", to->host, to->port);
}

int forwards_connect(struct forwards *f, channel_id ch, const struct forward_connect *to)
{
    struct carried *c;
    int err = carried_new(f, -1, &c);
    if (err < 0) return conn_open_refuse(f->conn, ch, OPEN_RESOURCE_SHORTAGE, err_text(err));
    c->state = CARRIED_CONNECTING;
    err = carried_set_channel(c, ch);
    if (err < 0) {
        carried_free(c);
        return err;
    }
    err = begin(c, ch, to);
    if (err == 0) err = label(c, to);
    if (err < 0 && c->is_accepted) return err;
    if (err < 0)
        fail(c, err, err_text(err));
    else if (to->path)
        try_next(c);
    else if (!to->socks)
        start(c, to->host, to->port);
    return 0;
}

int forwards_adopt(struct forwards *f, channel_id ch, int take_fd, const char *text)
{
    struct carried *c;
    int err = carried_new(f, take_fd, &c);
    if (err < 0) return conn_open_refuse(f->conn, ch, OPEN_RESOURCE_SHORTAGE, err_text(err));
    c->state = CARRIED_CONNECTING;
    err = carried_set_channel(c, ch);
    if (err == 0) err = carried_set_label(c, "%s", text);
    if (err < 0) {
        carried_free(c);
        return err;
    }
    succeed(c);
    return 0;
}
