#include "io/forward_int.h"

#include "os/fd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- carried connections ---- */

static void on_finish(void *arg) { carried_free(arg); }

void carried_finish(struct carried *c)
{
    if (c->is_finishing) return;
    c->is_finishing = true;
    if (loop_later(c->f->config.loop, on_finish, c) < 0) c->is_finishing = false; /* no memory: it ends with the connection */
}

static void check_finish(struct carried *c)
{
    if (c->input_ended && c->output_ended) carried_finish(c);
}

int carried_set_channel(struct carried *c, channel_id ch)
{
    struct forwards *f = c->f;
    if (ch >= f->by_channel_cap) {
        size_t cap = MAX(2 * f->by_channel_cap, (size_t)ch + 16);
        struct carried **v = reallocarray(f->by_channel, cap, sizeof(*v));
        if (!v) return ERR_NOMEM;
        memset(v + f->by_channel_cap, 0, (cap - f->by_channel_cap) * sizeof(*v));
        f->by_channel = v;
        f->by_channel_cap = cap;
    }
    f->by_channel[ch] = c;
    c->ch = ch;
    return 0;
}

int carried_set_label(struct carried *c, const char *fmt, ...)
{
    va_list ap;
    char *label = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&label, fmt, ap);
    va_end(ap);
    if (n < 0) return ERR_NOMEM;
    free(c->label);
    c->label = label;
    return 0;
}

int carried_new(struct forwards *f, int take_fd, struct carried **ret)
{
    struct carried *c = calloc(1, sizeof *c);
    if (!c) {
        fd_close(take_fd);
        return ERR_NOMEM;
    }
    *c = (struct carried){
        .f = f, .ch = CHANNEL_NONE, .fd = take_fd, .out_fd = -1, .addrs = SOCK_ADDRS_INIT, .early = BUF_INIT(FORWARD_EARLY_BYTES)
    };
    LIST_INSERT_HEAD(&f->carried, c, link);
    f->n_carried++;
    *ret = c;
    return 0;
}

static void leave_channel(struct carried *c)
{
    struct forwards *f = c->f;
    if (c->ch == CHANNEL_NONE) return;
    f->by_channel[c->ch] = NULL;
    if (c->io) conn_io_detach(f->config.conn_io, c->ch);
    if (c->state == CARRIED_CONNECTING && !c->is_accepted)
        (void)!conn_open_refuse(f->conn, c->ch, OPEN_CONNECT_FAILED, "closed");
    else
        (void)!conn_close(f->conn, c->ch); /* it may be gone */
    log_debug(f->config.log, "channel %u: free: %s, nchannels %zu", c->ch, c->label ? c->label : "", conn_n_channels(f->conn));
    conn_io_wake(f->config.conn_io);
}

void carried_free(struct carried *c)
{
    struct forwards *f = c->f;
    leave_channel(c);
    loop_forget(f->config.loop, on_finish, c);
    connecting_done(c);
    loop_fd_free(c->watch);
    fd_close(c->fd);
    fd_close(c->out_fd);
    buf_done(&c->early);
    free(c->socks);
    free(c->label);
    LIST_REMOVE(c, link);
    if (c->ended && !f->is_ending) c->ended(c->ended_arg, c->was_open);
    free(c);
    if (f->is_ending) return;
    if (f->is_starved) listeners_watch(f);
    if (--f->n_carried == 0 && f->config.idle) f->config.idle(f->config.arg);
}

/* ---- joined ---- */

static void on_input_ended(void *arg)
{
    struct carried *c = arg;
    c->input_ended = true;
    check_finish(c);
}

/* A socket that takes nothing more may still have something to say; beside a broken pipe nobody waits for what we read. */
static void on_output_ended(void *arg, int err)
{
    struct carried *c = arg;
    c->output_ended = true;
    if (err < 0 && !c->is_socket) c->input_ended = true;
    check_finish(c);
}

int carried_join(struct carried *c)
{
    struct chan_io_owner owner = { .input_ended = on_input_ended, .output_ended = on_output_ended, .arg = c };
    struct chan_io_fds fds = { .in = c->fd, .in_ext = -1, .out = c->out_fd < 0 ? c->fd : c->out_fd, .out_ext = -1 };
    fds.out_is_socket = c->is_socket = c->out_fd < 0;
    c->fd = c->out_fd = -1;
    loop_fd_free(TAKE(c->watch));
    connecting_done(c);
    c->state = CARRIED_JOINED;
    int err = conn_io_join(c->f->config.conn_io, c->ch, &fds, &owner, &c->io);
    if (err < 0) {
        log_error(c->f->config.log, "channel %u: %s", c->ch, err_text(err));
        carried_finish(c);
        return 0;
    }
    struct view early = buf_view(&c->early);
    if (early.len) TRY(chan_io_data(c->io, 0, early, NULL));
    buf_done(&c->early);
    if (c->early_eof) chan_io_eof(c->io);
    conn_io_wake(c->f->config.conn_io);
    return 0;
}

/* The peer has closed: what it sent before is still written. */
static void on_close(struct carried *c)
{
    if (c->state != CARRIED_JOINED || !c->io) {
        carried_finish(c);
        return;
    }
    chan_io_stop_input(c->io);
    c->input_ended = true;
    chan_io_eof(c->io);
    check_finish(c);
}

static int on_data(struct carried *c, struct view data)
{
    if (c->state == CARRIED_JOINED) return conn_consumed(c->f->conn, c->ch, data.len);
    return connecting_data(c, data);
}

static void on_open_failed(struct carried *c, const struct conn_event *e)
{
    static const char *const reasons[] = { "unknown reason", "administratively prohibited", "connect failed",
                                           "unknown channel type", "resource shortage" };
    const char *reason = reasons[e->reason < ARRAY_LEN(reasons) ? e->reason : 0];
    log_info(c->f->config.log, "channel %u: open failed: %s%s%.*s", e->channel, reason, e->text.len ? ": " : "", VIEW_ARG(e->text));
    c->f->by_channel[c->ch] = NULL;
    c->ch = CHANNEL_NONE;
    accepted_refused(c, e->reason, e->text);
    carried_finish(c);
}

/* ---- from the owner of the connection ---- */

static struct carried *find(const struct forwards *f, channel_id ch) { return ch < f->by_channel_cap ? f->by_channel[ch] : NULL; }

bool forwards_has(const struct forwards *f, channel_id ch) { return f && find(f, ch); }

int forwards_event(struct forwards *f, const struct conn_event *e)
{
    struct carried *c = find(f, e->channel);
    switch (e->kind) {
    case CONN_OPENED:
        return accepted_opened(c);
    case CONN_OPEN_FAILED:
        on_open_failed(c, e);
        return 0;
    case CONN_DATA:
        return on_data(c, e->data);
    case CONN_EOF:
        c->early_eof = true;
        if (c->state == CARRIED_SOCKS) carried_finish(c); /* it will never say where to */
        return 0;
    case CONN_CLOSE:
        on_close(c);
        return 0;
    case CONN_REQUEST:
        return e->want_reply ? conn_answer_request(f->conn, e->question, false) : 0;
    default:
        return 0;
    }
}

const char *forwards_label(const struct forwards *f, channel_id ch)
{
    struct carried *c = f ? find(f, ch) : NULL;
    return c ? c->label : NULL;
}

void forwards_end(struct forwards *f, channel_id ch)
{
    struct carried *c = find(f, ch);
    if (c) carried_finish(c);
}

size_t forwards_n_carried(const struct forwards *f) { return f ? f->n_carried : 0; }
size_t forwards_n_listeners(const struct forwards *f) { return f ? f->n_listeners : 0; }

/* ---- making and ending ---- */

static void on_starved_timer(void *arg) { listeners_watch(arg); }

int forwards_new(const struct forwards_config *config, struct forwards **ret)
{
    CLEANUP(forwards_freep) struct forwards *f = calloc(1, sizeof *f);
    if (!f) return ERR_NOMEM;
    *f = (struct forwards){ .config = *config, .conn = conn_io_conn(config->conn_io) };
    LIST_INIT(&f->carried);
    LIST_INIT(&f->listeners);
    TRY(lookups_new(config->loop, &f->lookups));
    TRY(loop_timer_new(config->loop, on_starved_timer, f, &f->starved_timer));
    *ret = TAKE(f);
    return 0;
}

void forwards_free(struct forwards *f)
{
    if (!f) return;
    f->is_ending = true;
    while (!LIST_EMPTY(&f->listeners)) listener_free(LIST_FIRST(&f->listeners));
    while (!LIST_EMPTY(&f->carried)) carried_free(LIST_FIRST(&f->carried));
    lookups_free(f->lookups);
    loop_timer_free(f->starved_timer);
    free(f->by_channel);
    free(f);
}
