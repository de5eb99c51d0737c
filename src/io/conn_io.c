/* Routes between a wire_io, a connection engine and the chan_ios of its channels, which are kept as the channels' user pointers.
 *
 * Data that a full pipe does not take is left where it was received, and no packet behind it is looked at, while there is one
 * channel only and for at most LEND_MS: a reader that is merely not as quick as we costs no copy then, and how much waits for him
 * is TCP's affair. With other channels there is somebody who would wait behind him; and behind a reader that does nothing at all
 * there may stand what he waits for himself (a window for what he writes). Then what he has not taken is copied, until he has
 * caught up. */
#include "io/conn_io.h"

#include <stdlib.h>

enum {
    LEND_MS = 5,
    DRY_MS = 1 /* without data after a peer used up its window: see conn_is_short() */
};

struct conn_io {
    struct loop *loop;
    struct wire_io *wire;
    struct conn *conn;
    struct conn_io_owner owner;
    struct chan_io_lender lender;
    struct chan_io *borrower; /* NULL: none, and the wire is not held */
    struct loop_timer *lend_timer;
    channel_id short_one; /* the channel whose peer may be waiting; of several, the last */
    struct loop_timer *dry_timer;
    channel_id first_served; /* when there was room again */
};

static void on_returned(void *arg)
{
    struct conn_io *c = arg;
    c->borrower = NULL;
    loop_timer_set(c->lend_timer, MS_NEVER);
    if (conn_is_short(c->conn, c->short_one)) loop_timer_set(c->dry_timer, loop_now(c->loop) + DRY_MS);
    wire_io_hold(c->wire, false);
}

static void on_lend_timer(void *arg)
{
    struct conn_io *c = arg;
    int err = chan_io_return(c->borrower);
    on_returned(c);
    if (err < 0) transport_fail(wire_io_transport(c->wire), err, NULL);
}

static void on_dry_timer(void *arg)
{
    struct conn_io *c = arg;
    if (c->borrower) return; /* asked again when he is done */
    int err = conn_ran_dry(c->conn, c->short_one);
    if (err < 0) transport_fail(wire_io_transport(c->wire), err, NULL);
}

int conn_io_new(struct loop *loop, struct wire_io *wire, struct conn *take_conn, const struct conn_io_owner *owner,
                struct conn_io **ret)
{
    struct conn_io *c = calloc(1, sizeof *c);
    if (!c) {
        conn_free(take_conn);
        return ERR_NOMEM;
    }
    *c = (struct conn_io){ .loop = loop, .wire = wire, .conn = take_conn, .owner = *owner, .lender = { on_returned, c } };
    int err = loop_timer_new(loop, on_lend_timer, c, &c->lend_timer);
    if (err == 0) err = loop_timer_new(loop, on_dry_timer, c, &c->dry_timer);
    if (err < 0) {
        conn_io_free(c);
        return err;
    }
    conn_attach(c->conn, transport_link(wire_io_transport(wire)));
    *ret = c;
    return 0;
}

void conn_io_free(struct conn_io *c)
{
    if (!c) return;
    for (channel_id ch = conn_channel_next(c->conn, 0); ch != CHANNEL_NONE; ch = conn_channel_next(c->conn, ch + 1))
        conn_io_detach(c, ch);
    loop_timer_free(c->lend_timer);
    loop_timer_free(c->dry_timer);
    conn_free(c->conn);
    free(c);
}

struct conn *conn_io_conn(struct conn_io *c) { return c->conn; }

static int route_data(struct conn_io *c, struct chan_io *io, const struct conn_event *event)
{
    bool may_lend = conn_n_channels(c->conn) == 1;
    int got = chan_io_data(io, event->ext_type, event->data, may_lend ? &c->lender : NULL);
    if (conn_is_short(c->conn, event->channel)) {
        c->short_one = event->channel;
        loop_timer_set(c->dry_timer, loop_now(c->loop) + DRY_MS);
    }
    if (got != CHAN_IO_LENT) return got;
    c->borrower = io;
    wire_io_hold(c->wire, true);
    loop_timer_set(c->lend_timer, loop_now(c->loop) + LEND_MS);
    return 0;
}

static int route(struct conn_io *c, const struct conn_event *event)
{
    bool is_flow = event->kind == CONN_DATA || event->kind == CONN_WINDOW || event->kind == CONN_EOF;
    struct chan_io *io = is_flow ? conn_user(c->conn, event->channel) : NULL;
    if (!io) return c->owner.event(c->owner.arg, event);
    if (event->kind == CONN_DATA) return route_data(c, io, event);
    if (event->kind == CONN_WINDOW)
        chan_io_room(io);
    else
        chan_io_eof(io);
    return event->kind == CONN_EOF ? c->owner.event(c->owner.arg, event) : 0;
}

int conn_io_packet(struct conn_io *c, struct view payload)
{
    struct conn_event event;
    int got = conn_packet(c->conn, payload, &event);
    if (got == ERR_UNSUPPORTED) return transport_unimplemented(wire_io_transport(c->wire));
    return got > 0 ? route(c, &event) : got;
}

/* The channels from `from` up to before `to`. */
static void tell_room(struct conn_io *c, channel_id from, channel_id to)
{
    for (channel_id ch = conn_channel_next(c->conn, from); ch < to; ch = conn_channel_next(c->conn, ch + 1)) {
        struct chan_io *io = conn_user(c->conn, ch);
        if (io) chan_io_room(io);
    }
}

/* Where it was full, the first to hear of it may fill it again: so each time another is the first. */
void conn_io_drained(struct conn_io *c)
{
    channel_id first = conn_channel_next(c->conn, c->first_served + 1);
    if (first == CHANNEL_NONE) first = 0;
    c->first_served = first;
    tell_room(c, first, CHANNEL_NONE);
    tell_room(c, 0, first);
}

int conn_io_join(struct conn_io *c, channel_id ch, const struct chan_io_fds *take_fds, const struct chan_io_owner *owner,
                 struct chan_io **ret)
{
    struct chan_io *io;
    TRY(chan_io_new(c->loop, c->conn, ch, take_fds, owner, &io));
    conn_set_user(c->conn, ch, io);
    *ret = io;
    return 0;
}

void conn_io_detach(struct conn_io *c, channel_id ch)
{
    struct chan_io *io = conn_user(c->conn, ch);
    conn_set_user(c->conn, ch, NULL);
    chan_io_free(io);
}

void conn_io_wake(struct conn_io *c) { wire_io_wake(c->wire); }
