/* A connection engine on a wire_io: routes packets to it, channel data to the chan_io of each channel, everything else to the
 * owner. */
#pragma once

#include "io/chan_io.h"
#include "io/wire_io.h"

struct conn_io;

struct conn_io_owner {
    /* Every event but data, EOF and window of channels that have a chan_io (EOF is told too, after the chan_io got it). Negative:
     * ends the transport with it. */
    int (*event)(void *arg, const struct conn_event *event);
    void *arg;
};

/* The conn becomes the conn_io's; it is attached to the transport's link. */
int conn_io_new(struct loop *loop, struct wire_io *wire, struct conn *take_conn, const struct conn_io_owner *owner,
                struct conn_io **ret) MUST_USE;
void conn_io_free(struct conn_io *c); /* and all chan_ios of its channels; before the wire_io is freed */
DEFINE_FREEP(struct conn_io, conn_io_free)
struct conn *conn_io_conn(struct conn_io *c);

/* Gives the owner's TRANSPORT_PACKET with a number of the connection protocol. Result as wire_io_owner.event. */
int conn_io_packet(struct conn_io *c, struct view payload) MUST_USE;
/* wire_io_owner.drained. */
void conn_io_drained(struct conn_io *c);
/* Joins a channel to descriptors; chan_io becomes the conn_io's and is freed with conn_io_detach or with the conn_io. */
int conn_io_join(struct conn_io *c, channel_id ch, const struct chan_io_fds *take_fds, const struct chan_io_owner *owner,
                 struct chan_io **ret) MUST_USE;
void conn_io_detach(struct conn_io *c, channel_id ch);
/* Sends anything queued in this turn. Call after using the conn outside of its events. */
void conn_io_wake(struct conn_io *c);
