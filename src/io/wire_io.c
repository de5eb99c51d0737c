/* A transport over descriptors. Output is written at the end of the turn, so that all packets of a turn leave together; a turn
 * reads at most READ_BUDGET_BYTES, so that one fast peer does not starve what else the loop watches. */
#include "io/wire_io.h"

#include "os/fd.h"
#include "os/clock.h"
#include "proto/limits.h"

#include <stdlib.h>

enum {
    READ_BUDGET_BYTES = 1 << 20
};

struct wire_io {
    struct loop *loop;
    int in_fd, out_fd;
    struct transport *transport;
    struct wire_io_owner owner;
    struct loop_fd *in_watch, *out_watch; /* out_watch NULL when in_fd == out_fd */
    struct loop_timer *timer;
    bool held, closed, dirty, in_eof, out_blocked, was_full;
};

static void finish(struct wire_io *w, int err)
{
    if (w->closed) return;
    w->closed = true;
    w->owner.closed(w->owner.arg, err);
}

static void watch(struct wire_io *w)
{
    if (!w->in_watch) return;
    uint8_t *area;
    size_t room;
    transport_input(w->transport, &area, &room);
    unsigned in = !w->in_eof && !w->closed && room > 0 ? LOOP_READ : 0;
    unsigned out = w->out_blocked ? LOOP_WRITE : 0;
    int err = loop_fd_set(w->in_watch, w->out_watch ? in : in | out);
    if (err == 0 && w->out_watch) err = loop_fd_set(w->out_watch, out);
    if (err < 0) finish(w, err);
}

/* Takes events until there are none, somebody holds, or it is over. */
static int take_events(struct wire_io *w)
{
    struct transport_event event;
    while (!w->held && !w->closed) {
        int got = transport_next(w->transport, loop_now(w->loop), &event);
        if (got <= 0) return got;
        int err = w->owner.event(w->owner.arg, &event);
        if (!w->transport) return 0; /* released meanwhile */
        if (err < 0) {
            transport_fail(w->transport, err, err_text(err));
            return err;
        }
    }
    return 0;
}

static int write_out(struct wire_io *w)
{
    w->out_blocked = false;
    for (struct view out; (out = transport_output(w->transport)).len;) {
        size_t n;
        int err = fd_write(w->out_fd, out.p, out.len, &n);
        if (err == ERR_AGAIN) {
            w->out_blocked = true;
            return 0;
        }
        TRY(err);
        transport_sent(w->transport, n);
    }
    return 0;
}

static void read_in(struct wire_io *w)
{
    int err = 0;
    for (size_t left = READ_BUDGET_BYTES; err == 0 && left > 0 && !w->closed && w->transport;) {
        uint8_t *area;
        size_t room, n = 0;
        transport_input(w->transport, &area, &room);
        if (room == 0) break;
        err = fd_read(w->in_fd, area, room, &n);
        if (err == ERR_AGAIN) break;
        if (err == 0 && n == 0) {
            w->in_eof = true;
            transport_input_eof(w->transport);
        } else if (err == 0)
            transport_received(w->transport, n);
        if (err == 0) err = take_events(w);
        if (n < room) break;
        left -= MIN(left, n);
    }
    w->dirty = true;
    if (err < 0 && err != ERR_AGAIN && w->transport) {
        (void)!write_out(w); /* last words, as far as they go */
        finish(w, err);
    }
}

static void on_fd(void *arg, UNUSED int fd, unsigned events)
{
    struct wire_io *w = arg;
    if (events & LOOP_WRITE) {
        w->out_blocked = false;
        w->dirty = true;
    }
    if (events & (LOOP_READ | LOOP_HANGUP)) read_in(w);
}

static bool is_full(struct wire_io *w)
{
    struct link link = transport_link(w->transport);
    return link_room(&link) < LIMIT_OUTPUT_SOFT_BYTES / 2;
}

static void tell_drained(struct wire_io *w)
{
    if (w->was_full && !is_full(w)) {
        w->was_full = false;
        if (w->owner.drained) w->owner.drained(w->owner.arg);
    }
    /* Also what the owner has just filled again: written at once, it would otherwise never be told. */
    if (is_full(w)) w->was_full = true;
}

static void on_turn_end(void *arg)
{
    struct wire_io *w = arg;
    if (w->closed || !w->transport) return;
    /* Packets may have been queued through the link by whoever had a turn: that is seen here, nobody has to tell. */
    bool has_output = !w->out_blocked && transport_output(w->transport).len;
    if (!w->dirty && !has_output) return;
    w->dirty = false;
    int err = take_events(w);
    if (!w->transport) return;
    tell_drained(w);
    int written = w->closed ? 0 : write_out(w);
    if (err == 0) err = written;
    if (err == 0 && !w->closed) {
        tell_drained(w);
        /* What the owner added when it was told goes out in the next turn's end; without new input that turn must be asked for. */
        if (!w->out_blocked && transport_output(w->transport).len) w->dirty = true, loop_timer_set(w->timer, loop_now(w->loop));
    }
    if (err < 0) finish(w, err);
    if (w->closed || !w->transport) return;
    if (!w->dirty) loop_timer_set(w->timer, transport_deadline(w->transport));
    watch(w);
}

static void on_timer(void *arg)
{
    struct wire_io *w = arg;
    if (w->closed || !w->transport) return;
    w->dirty = true;
    int err = transport_tick(w->transport, loop_now(w->loop));
    if (err < 0) {
        (void)!write_out(w);
        finish(w, err);
    }
}

int wire_io_new(struct loop *loop, int take_in_fd, int take_out_fd, struct transport *take_transport,
                const struct wire_io_owner *owner, struct wire_io **ret)
{
    CLEANUP(wire_io_freep) struct wire_io *w = calloc(1, sizeof *w);
    if (!w) {
        fd_close(take_in_fd);
        if (take_out_fd != take_in_fd) fd_close(take_out_fd);
        transport_free(take_transport);
        return ERR_NOMEM;
    }
    *w = (struct wire_io){
        .loop = loop, .in_fd = take_in_fd, .out_fd = take_out_fd, .transport = take_transport, .owner = *owner, .dirty = true
    };
    TRY(fd_nonblock(w->in_fd, true));
    TRY(fd_nonblock(w->out_fd, true));
    TRY(loop_fd_new(loop, w->in_fd, LOOP_READ, on_fd, w, &w->in_watch));
    if (w->out_fd != w->in_fd) TRY(loop_fd_new(loop, w->out_fd, 0, on_fd, w, &w->out_watch));
    TRY(loop_timer_new(loop, on_timer, w, &w->timer));
    TRY(loop_at_turn_end(loop, on_turn_end, w));
    loop_timer_set(w->timer, loop_now(loop));
    *ret = TAKE(w);
    return 0;
}

static void stop_watching(struct wire_io *w)
{
    loop_fd_free(w->in_watch);
    loop_fd_free(w->out_watch);
    loop_timer_free(w->timer);
    loop_forget(w->loop, on_turn_end, w);
    w->in_watch = w->out_watch = NULL;
    w->timer = NULL;
}

void wire_io_free(struct wire_io *w)
{
    if (!w) return;
    stop_watching(w);
    if (w->in_fd >= 0) fd_close(w->in_fd);
    if (w->out_fd >= 0 && w->out_fd != w->in_fd) fd_close(w->out_fd);
    transport_free(w->transport);
    free(w);
}

struct transport *wire_io_transport(struct wire_io *w) { return w->transport; }
int wire_io_out_fd(const struct wire_io *w) { return w->out_fd; }

void wire_io_release(struct wire_io *w, struct transport **ret_transport, int *ret_in_fd, int *ret_out_fd)
{
    stop_watching(w);
    *ret_transport = TAKE(w->transport);
    *ret_in_fd = w->in_fd;
    *ret_out_fd = w->out_fd;
    w->in_fd = w->out_fd = -1;
}

void wire_io_hold(struct wire_io *w, bool hold)
{
    w->held = hold;
    if (!hold) wire_io_wake(w);
}

void wire_io_wake(struct wire_io *w)
{
    if (w->closed || !w->timer) return;
    w->dirty = true;
    loop_timer_set(w->timer, loop_now(w->loop));
}

void wire_io_flush_wait(struct wire_io *w, ms timeout_ms)
{
    ms end = clock_now() + timeout_ms;
    while (w->transport && write_out(w) == 0 && w->out_blocked) {
        ms left = end - clock_now();
        if (left <= 0 || fd_wait(w->out_fd, true, left) < 0) return;
    }
}
