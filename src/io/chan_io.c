/* A channel joined to descriptors. Input is read only while the channel has room, so that what cannot be sent stays in the kernel;
 * output that a full pipe does not take waits in the packet it came in, or here, bounded by the window we gave. */
#include "io/chan_io.h"

#include "os/fd.h"
#include "os/sock.h"
#include "os/tty.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <errno.h>
#include <stdlib.h>

/* What one channel may send in a turn, alone and with others: these find room behind it then. */
enum {
    TURN_BUDGET_BYTES = 1 << 20,
    TURN_SHARE_BYTES = 128 * 1024
};

/* One direction from a descriptor to the peer. */
struct input {
    struct chan_io *c;
    int fd;
    uint32_t ext_type;
    bool blocks; /* a terminal: see set_nonblock() */
    struct loop_fd *watch;
};

/* One direction from the peer to a descriptor. */
struct output {
    struct chan_io *c;
    int fd;
    struct loop_fd *watch;
    struct view lent; /* not written yet, and still the lender's; waiting is empty then */
    const struct chan_io_lender *lender;
    struct buf waiting;
    bool is_socket;
};

struct chan_io {
    struct loop *loop;
    struct conn *conn;
    channel_id ch;
    struct chan_io_owner owner;
    struct input in, in_ext;
    struct output out, out_ext;
    struct {
        struct loop_fd *watch; /* NULL: in and out are not one socket */
        int fd;
        unsigned in_events, out_events;
    } socket;
    struct buf typed;
    bool typed_eof, typed_is_input, input_done, peer_eof, output_done;
};

/* ---- from a descriptor to the peer ---- */

/* Standard descriptors may be shared with other processes, whose idea of blocking is given back to them. */
static void close_fd(int *fd)
{
    if (*fd >= 0) (void)!fd_nonblock(*fd, false);
    fd_close(*fd);
    *fd = -1;
}

/* A socket for both directions has one watch, and is closed behind the second of them. */
static bool is_shared(const struct chan_io *c) { return c->socket.watch != NULL; }

static void watch_socket(struct chan_io *c)
{
    if (c->in.fd >= 0 || c->out.fd >= 0) {
        (void)!loop_fd_set(c->socket.watch, c->socket.in_events | c->socket.out_events);
        return;
    }
    loop_fd_free(c->socket.watch);
    c->socket.watch = NULL;
    fd_close(c->socket.fd);
}

static void want_input(struct input *in, unsigned events)
{
    struct chan_io *c = in->c;
    if (in == &c->in && is_shared(c)) {
        c->socket.in_events = events;
        watch_socket(c);
    } else
        (void)!loop_fd_set(in->watch, events);
}

static int want_output(struct output *out, unsigned events)
{
    struct chan_io *c = out->c;
    if (out != &c->out || !is_shared(c)) return out->watch ? loop_fd_set(out->watch, events) : 0;
    c->socket.out_events = events;
    watch_socket(c);
    return 0;
}

static void close_input(struct input *in)
{
    if (in->fd >= 0 && in == &in->c->in && is_shared(in->c)) {
        in->fd = -1;
        want_input(in, 0);
        return;
    }
    loop_fd_free(in->watch);
    in->watch = NULL;
    close_fd(&in->fd);
}

static bool input_is_over(const struct chan_io *c)
{
    return c->in.fd < 0 && c->in_ext.fd < 0 && buf_len(&c->typed) == 0 && (!c->typed_is_input || c->typed_eof);
}

static void check_input_end(struct chan_io *c)
{
    if (c->input_done || !input_is_over(c)) return;
    c->input_done = true;
    (void)!conn_send_eof(c->conn, c->ch); /* the channel may be closing: then there is nobody to tell */
    if (c->owner.input_ended) c->owner.input_ended(c->owner.arg);
}

static void moved(struct chan_io *c, bool from_peer, size_t n)
{
    if (c->owner.moved && n) c->owner.moved(c->owner.arg, from_peer, n);
}

/* Room for more says nothing of there being something to read. */
static int read_some(struct input *in, uint8_t *area, size_t room, size_t *ret_n)
{
    if (in->blocks && fd_wait(in->fd, false, 0) < 0) return ERR_AGAIN;
    return fd_read(in->fd, area, room, ret_n);
}

/* Reads straight into the connection's output until there is no more, no room, or this turn has had its share. Gives whether fd
 * ended. */
static bool pump_input(struct input *in)
{
    struct chan_io *c = in->c;
    size_t budget = conn_n_channels(c->conn) > 1 ? TURN_SHARE_BYTES : TURN_BUDGET_BYTES;
    for (size_t sent = 0; sent < budget;) {
        uint8_t *area;
        size_t room, n = 0;
        int err = conn_write_reserve(c->conn, c->ch, in->ext_type, budget - sent, &area, &room);
        if (err < 0 || room == 0) {
            want_input(in, 0);
            return false;
        }
        err = read_some(in, area, room, &n);
        if (err == 0 && n) {
            (void)!conn_write_commit(c->conn, c->ch, n);
            moved(c, false, n);
            sent += n;
        }
        if (err == ERR_AGAIN || (err == 0 && n && n < room)) {
            want_input(in, LOOP_READ);
            return false;
        }
        if (err < 0 || n == 0) return true;
    }
    want_input(in, LOOP_READ);
    return false;
}

static void run_input(struct input *in)
{
    if (in->fd < 0 || !pump_input(in)) return;
    struct chan_io *c = in->c;
    close_input(in);
    check_input_end(c);
}

static void on_input(void *arg, UNUSED int fd, unsigned events)
{
    if (events & (LOOP_READ | LOOP_HANGUP)) run_input(arg);
}

static void send_typed(struct chan_io *c)
{
    while (buf_len(&c->typed)) {
        size_t n = 0;
        int err = conn_write(c->conn, c->ch, 0, buf_view(&c->typed), &n);
        if (err < 0) {
            buf_reset(&c->typed);
            break;
        }
        if (n == 0) return;
        buf_consume(&c->typed, n);
        moved(c, false, n);
    }
    check_input_end(c);
}

int chan_io_type(struct chan_io *c, struct view bytes)
{
    if (c->typed_eof || c->input_done) return ERR_STATE;
    TRY(buf_put_view(&c->typed, bytes));
    send_typed(c);
    return 0;
}

void chan_io_type_eof(struct chan_io *c)
{
    c->typed_eof = true;
    send_typed(c);
}

void chan_io_stop_input(struct chan_io *c)
{
    close_input(&c->in);
    close_input(&c->in_ext);
    c->input_done = true;
}

void chan_io_room(struct chan_io *c)
{
    send_typed(c);
    run_input(&c->in);
    run_input(&c->in_ext);
}

/* ---- from the peer to a descriptor ---- */

static struct view unwritten(const struct output *out) { return out->lent.len ? out->lent : buf_view(&out->waiting); }

/* n bytes of what is unwritten left our hands. */
static void drop(struct output *out, size_t n)
{
    if (out->lent.len)
        out->lent = view_sub(out->lent, n, out->lent.len);
    else
        buf_consume(&out->waiting, n);
    (void)!conn_consumed(out->c->conn, out->c->ch, n);
}

static void give_back(struct output *out)
{
    const struct chan_io_lender *lender = out->lender;
    out->lent = VIEW_EMPTY;
    out->lender = NULL;
    if (lender) lender->returned(lender->arg);
}

static void close_output(struct output *out)
{
    if (out->fd < 0) return;
    if (out->is_socket) (void)!sock_shutdown(out->fd, false, true);
    if (out == &out->c->out && is_shared(out->c)) {
        out->fd = -1;
        (void)!want_output(out, 0);
    }
    loop_fd_free(out->watch);
    out->watch = NULL;
    close_fd(&out->fd);
    buf_done(&out->waiting);
    give_back(out);
}

/* Nobody reads any more: what waits and what comes is dropped, but counted as consumed so that the window does not stick. */
static void drop_output(struct output *out)
{
    drop(out, unwritten(out).len);
    close_output(out);
}

static void end_output(struct chan_io *c, int err)
{
    if (c->output_done) return;
    c->output_done = true;
    drop_output(&c->out);
    drop_output(&c->out_ext);
    if (c->owner.output_ended) c->owner.output_ended(c->owner.arg, err);
}

bool chan_io_is_drained(const struct chan_io *c) { return unwritten(&c->out).len == 0 && unwritten(&c->out_ext).len == 0; }

static void check_output_end(struct chan_io *c)
{
    if (c->peer_eof && chan_io_is_drained(c)) end_output(c, 0);
}

static void break_output(struct output *out, int err)
{
    drop_output(out);
    if (out == &out->c->out) end_output(out->c, err);
}

static void on_output(void *arg, UNUSED int fd, unsigned events)
{
    struct output *out = arg;
    struct chan_io *c = out->c;
    if (!(events & (LOOP_WRITE | LOOP_HANGUP))) return;
    for (struct view v; (v = unwritten(out)).len;) {
        size_t n = 0;
        int err = fd_write(out->fd, v.p, v.len, &n);
        if (err == ERR_AGAIN) return;
        if (err < 0) {
            break_output(out, err);
            return;
        }
        drop(out, n);
    }
    buf_done(&out->waiting);
    (void)!want_output(out, 0);
    give_back(out);
    if (events & LOOP_HANGUP && !(events & LOOP_WRITE) && !out->is_socket) {
        break_output(out, ERR_SYS(EPIPE));
        return;
    }
    check_output_end(c);
}

/* What comes behind bytes that wait must wait as well. */
static int wait_for_room(struct output *out, struct view data, const struct chan_io_lender *lender)
{
    bool may_stay = lender && buf_len(&out->waiting) == 0;
    if (may_stay) {
        out->lent = data;
        out->lender = lender;
    } else
        TRY(buf_put_view(&out->waiting, data));
    TRY(want_output(out, LOOP_WRITE));
    return may_stay ? CHAN_IO_LENT : 0;
}

static int put_output(struct output *out, struct view data, const struct chan_io_lender *lender)
{
    struct chan_io *c = out->c;
    size_t n = 0;
    if (out->fd < 0) return conn_consumed(c->conn, c->ch, data.len);
    if (buf_len(&out->waiting) == 0) {
        while (data.len) {
            size_t k = 0;
            int err = fd_write(out->fd, data.p, data.len, &k);
            if (err == ERR_AGAIN) break;
            if (err < 0) {
                TRY(conn_consumed(c->conn, c->ch, n + data.len));
                break_output(out, err);
                return 0;
            }
            data = view_sub(data, k, data.len);
            n += k;
        }
        if (n) TRY(conn_consumed(c->conn, c->ch, n));
    }
    return data.len ? wait_for_room(out, data, lender) : 0;
}

int chan_io_data(struct chan_io *c, uint32_t ext_type, struct view data, const struct chan_io_lender *lender)
{
    moved(c, true, data.len);
    if (ext_type == 0) return put_output(&c->out, data, lender);
    if (ext_type == EXTENDED_DATA_STDERR) return put_output(&c->out_ext, data, lender);
    return conn_consumed(c->conn, c->ch, data.len);
}

int chan_io_return(struct chan_io *c)
{
    struct output *out = c->out.lent.len ? &c->out : &c->out_ext;
    struct view lent = out->lent;
    out->lent = VIEW_EMPTY;
    out->lender = NULL;
    return buf_put_view(&out->waiting, lent);
}

void chan_io_eof(struct chan_io *c)
{
    c->peer_eof = true;
    check_output_end(c);
}

/* ---- making and ending ---- */

/* A terminal's flags are the shell's as well; it is left alone: reads end with what is there, and writes to it do not wait long. */
static int set_nonblock(int fd)
{
    if (tty_is(fd)) return 0;
    fd_pipe_grow(fd);
    return fd_nonblock(fd, true);
}

static int watch_input(struct chan_io *c, struct input *in, int fd, uint32_t ext_type)
{
    *in = (struct input){ .c = c, .fd = fd, .ext_type = ext_type };
    if (fd < 0) return 0;
    in->blocks = tty_is(fd);
    TRY(set_nonblock(fd));
    return loop_fd_new(c->loop, fd, LOOP_READ, on_input, in, &in->watch);
}

static int watch_output(struct chan_io *c, struct output *out, int fd, bool is_socket)
{
    *out = (struct output){
        .c = c, .fd = fd, .is_socket = is_socket, .waiting = BUF_INIT(LIMIT_WINDOW_MAX_BYTES + LIMIT_PACKET_BYTES)
    };
    if (fd < 0) return 0;
    TRY(set_nonblock(fd));
    return loop_fd_new(c->loop, fd, 0, on_output, out, &out->watch);
}

static void on_socket(void *arg, int fd, unsigned events)
{
    struct chan_io *c = arg;
    unsigned hangup = events & LOOP_HANGUP;
    if (c->in.fd >= 0) on_input(&c->in, fd, (events & c->socket.in_events & LOOP_READ) | hangup);
    if (c->out.fd >= 0) on_output(&c->out, fd, (events & c->socket.out_events & LOOP_WRITE) | hangup);
}

static int watch_both(struct chan_io *c, int fd)
{
    TRY(watch_output(c, &c->out, -1, true));
    TRY(watch_input(c, &c->in, -1, 0));
    c->socket.fd = fd;
    int err = fd_nonblock(fd, true);
    if (err == 0) err = loop_fd_new(c->loop, fd, LOOP_READ, on_socket, c, &c->socket.watch);
    if (err < 0) {
        fd_close(fd);
        return err;
    }
    c->socket.in_events = LOOP_READ;
    c->in.fd = c->out.fd = fd;
    return 0;
}

int chan_io_new(struct loop *loop, struct conn *conn, channel_id ch, const struct chan_io_fds *take_fds,
                const struct chan_io_owner *owner, struct chan_io **ret)
{
    struct chan_io_fds own = *take_fds, *f = &own;
    int err = 0, e;
    bool is_one_socket = f->out_is_socket && f->out >= 0 && f->out == f->in;
    if (!is_one_socket && f->out >= 0 && f->out == f->in) err = fd_dup(f->in, &f->out); /* a loop watches a descriptor once */
    if (err < 0) f->out = -1;
    CLEANUP(chan_io_freep) struct chan_io *c = calloc(1, sizeof *c);
    if (!c) {
        fd_close(f->in);
        fd_close(f->in_ext);
        if (!is_one_socket) fd_close(f->out);
        fd_close(f->out_ext);
        return ERR_NOMEM;
    }
    *c = (struct chan_io){
        .loop = loop, .conn = conn, .ch = ch, .owner = *owner, .typed = BUF_INIT(CHAN_IO_TYPED_BYTES), .typed_is_input = f->in < 0
    };
    if (is_one_socket && (e = watch_both(c, f->in)) < 0) err = e;
    if (!is_one_socket && (e = watch_input(c, &c->in, f->in, 0)) < 0) err = e;
    if ((e = watch_input(c, &c->in_ext, f->in_ext, EXTENDED_DATA_STDERR)) < 0) err = e;
    if (!is_one_socket && (e = watch_output(c, &c->out, f->out, f->out_is_socket)) < 0) err = e;
    if ((e = watch_output(c, &c->out_ext, f->out_ext, false)) < 0) err = e;
    TRY(err);
    *ret = TAKE(c);
    return 0;
}

void chan_io_free(struct chan_io *c)
{
    if (!c) return;
    close_input(&c->in);
    close_input(&c->in_ext);
    close_output(&c->out);
    close_output(&c->out_ext);
    buf_done(&c->typed);
    free(c);
}
