/* A transport engine over file descriptors in a loop: reads into the engine's own area, hands out its events, writes what it
 * queued. Serves ssh, the network child and the user child alike. */
#pragma once

#include "os/loop.h"
#include "proto/transport/transport.h"

struct wire_io;

struct wire_io_owner {
    /* An event; its views are lent for the call. A negative result ends the transport with that error (transport_fail). May call
     * wire_io_hold. */
    int (*event)(void *arg, const struct transport_event *event);
    /* The connection is over: err as transport's sticky error or a system error of the socket. Called once; free the wire_io then
     * or later. */
    void (*closed)(void *arg, int err);
    /* The output has run down: link_room may be more than before. NULL if nobody cares. */
    void (*drained)(void *arg);
    void *arg;
};

/* in_fd and out_fd may be the same; they become the wire_io's and are closed with it. The transport too. */
int wire_io_new(struct loop *loop, int take_in_fd, int take_out_fd, struct transport *take_transport,
                const struct wire_io_owner *owner, struct wire_io **ret) MUST_USE;
void wire_io_free(struct wire_io *w);
DEFINE_FREEP(struct wire_io, wire_io_free)

struct transport *wire_io_transport(struct wire_io *w);
int wire_io_out_fd(const struct wire_io *w);
/* Gives the transport and the descriptors back to the caller, for export to another process; the wire_io is then empty and must be
 * freed. */
void wire_io_release(struct wire_io *w, struct transport **ret_transport, int *ret_in_fd, int *ret_out_fd);
/* While held no events are taken (a question is on its way elsewhere, or the last event's bytes are still in use, which stay where
 * they are); more may be read as long as there is room. Releasing takes up events by the end of the turn. */
void wire_io_hold(struct wire_io *w, bool hold);
/* Something was queued or answered outside of an event: events and output are looked at in this turn. */
void wire_io_wake(struct wire_io *w);
/* Writes what is queued now, waiting at most until the deadline; for last words before the process ends. */
void wire_io_flush_wait(struct wire_io *w, ms timeout_ms);
