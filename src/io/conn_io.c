/* Routes between a wire_io, a connection engine and the chan_ios of its channels, which are kept as the channels' user pointers. */
#include "io/conn_io.h"

#include <stdlib.h>

struct conn_io {
    struct loop *loop;
    struct wire_io *wire;
    struct conn *conn;
    struct conn_io_owner owner;
};

int conn_io_new(struct loop *loop, struct wire_io *wire, struct conn *take_conn, const struct conn_io_owner *owner,
                struct conn_io **ret)
{
    struct conn_io *c = calloc(1, sizeof *c);
    if (!c) {
        conn_free(take_conn);
        return ERR_NOMEM;
    }
    *c = (struct conn_io){ loop, wire, take_conn, *owner };
    conn_attach(c->conn, transport_link(wire_io_transport(wire)));
    *ret = c;
    return 0;
}

void conn_io_free(struct conn_io *c)
{
    if (!c) return;
    for (channel_id ch = conn_channel_next(c->conn, 0); ch != CHANNEL_NONE; ch = conn_channel_next(c->conn, ch + 1))
        conn_io_detach(c, ch);
    conn_free(c->conn);
    free(c);
}

struct conn *conn_io_conn(struct conn_io *c) { return c->conn; }

static int route(struct conn_io *c, const struct conn_event *event)
{
    bool is_flow = event->kind == CONN_DATA || event->kind == CONN_WINDOW || event->kind == CONN_EOF;
    struct chan_io *io = is_flow ? conn_user(c->conn, event->channel) : NULL;
    if (!io) return c->owner.event(c->owner.arg, event);
    if (event->kind == CONN_DATA) return chan_io_data(io, event->ext_type, event->data);
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

void conn_io_drained(struct conn_io *c)
{
    for (channel_id ch = conn_channel_next(c->conn, 0); ch != CHANNEL_NONE; ch = conn_channel_next(c->conn, ch + 1)) {
        struct chan_io *io = conn_user(c->conn, ch);
        if (io) chan_io_room(io);
    }
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
