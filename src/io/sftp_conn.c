/* Reads as much as there is, hands out every answer of it, and writes what was asked meanwhile, once a turn. */
#include "io/sftp_conn.h"

#include "os/fd.h"

#include <stdlib.h>

enum {
    READS_PER_TURN = 8 /* of up to a megabyte; then others of the loop have their turn */
};

struct sftp_conn {
    struct loop *loop;
    struct sftp_client *client;
    void (*on_room)(void *arg);
    void *on_room_arg;
    int in_fd, out_fd;
    struct loop_fd *in_watch, *out_watch; /* one for both, if they are the same */
    bool blocked;                         /* the pipe took not all of the output: it is waited for */
    int err;
};

struct sftp_client *sftp_conn_client(struct sftp_conn *c) { return c->client; }
const struct sftp_client_facts *sftp_conn_facts(struct sftp_conn *c) { return sftp_client_facts(c->client); }
int sftp_conn_err(const struct sftp_conn *c) { return c->err; }

/* ---- over ---- */

static void stop(struct sftp_conn *c, int err)
{
    if (c->err < 0) return;
    c->err = err;
    loop_fd_free(c->in_watch);
    loop_fd_free(c->out_watch);
    c->in_watch = c->out_watch = NULL;
}

/* ---- bytes ---- */

static int take_answers(struct sftp_conn *c)
{
    struct sftp_answer answer;
    int got;
    while ((got = sftp_client_next(c->client, &answer)) == 1) {
        struct sftp_call *call = answer.call;
        if (call) call->fn(call, &answer);
    }
    return got;
}

static int read_some(struct sftp_conn *c)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        uint8_t *area;
        size_t room, n;
        TRY(sftp_client_area(c->client, &area, &room));
        int err = fd_read(c->in_fd, area, room, &n);
        if (err == ERR_AGAIN) return 0;
        if (err < 0) return err;
        if (n == 0) return ERR_PEER_CLOSED;
        sftp_client_received(c->client, n);
        TRY(take_answers(c));
        if (n < room) return 0;
    }
    return 0;
}

static int write_some(struct sftp_conn *c)
{
    struct view out;
    c->blocked = false;
    while ((out = sftp_client_output(c->client)).len) {
        size_t n;
        int err = fd_write(c->out_fd, out.p, out.len, &n);
        if (err == ERR_AGAIN) c->blocked = true;
        if (err == ERR_AGAIN) return 0;
        if (err < 0) return err;
        sftp_client_sent(c->client, n);
    }
    return 0;
}

static int watch_output(struct sftp_conn *c)
{
    unsigned more = sftp_client_output(c->client).len ? LOOP_WRITE : 0;
    return c->out_watch ? loop_fd_set(c->out_watch, more) : loop_fd_set(c->in_watch, LOOP_READ | more);
}

/* The room that a write makes is offered to the owner at once, and what he asks then is written too: until the pipe is full, or he
 * has nothing more. */
static int move_output(struct sftp_conn *c)
{
    for (;;) {
        if (c->on_room) c->on_room(c->on_room_arg);
        bool had = sftp_client_output(c->client).len > 0;
        TRY(write_some(c));
        if (c->blocked || !had) return watch_output(c);
    }
}

static void on_turn_end(void *arg)
{
    struct sftp_conn *c = arg;
    if (c->err < 0) return;
    int err = move_output(c);
    if (err < 0) stop(c, err);
}

void sftp_conn_wake(struct sftp_conn *c)
{
    loop_forget(c->loop, on_turn_end, c);
    if (loop_later(c->loop, on_turn_end, c) < 0) stop(c, ERR_NOMEM);
}

static void on_ready(void *arg, int fd, unsigned events)
{
    struct sftp_conn *c = arg;
    int err = 0;
    if (fd == c->in_fd && events & (LOOP_READ | LOOP_HANGUP))
        err = read_some(c);
    else if (events & LOOP_HANGUP && !(events & LOOP_WRITE))
        err = ERR_PEER_CLOSED;
    if (err < 0) stop(c, err);
    sftp_conn_wake(c);
}

void sftp_conn_on_room(struct sftp_conn *c, void (*fn)(void *arg), void *arg)
{
    c->on_room = fn;
    c->on_room_arg = arg;
}

/* ---- waiting ---- */

int sftp_conn_turn(struct sftp_conn *c)
{
    if (c->err == 0) {
        /* What was asked since the last turn goes out; else there is nothing to do until something comes. */
        if (sftp_client_output(c->client).len && !c->blocked) sftp_conn_wake(c);
        int err = loop_turn(c->loop, MS_NEVER);
        if (err < 0) stop(c, err);
    }
    return c->err;
}

int sftp_conn_hello(struct sftp_conn *c)
{
    while (!sftp_conn_facts(c)->known) TRY(sftp_conn_turn(c));
    return 0;
}

void sftp_reply_done(struct sftp_reply *r) { buf_done(&r->bytes); }

/* A view of an answer, moved to the copy of its bytes. */
static int keep(struct buf *bytes, struct view *v)
{
    size_t mark = buf_len(bytes);
    TRY(buf_put_view(bytes, *v));
    *v = view_sub(buf_view(bytes), mark, v->len);
    return 0;
}

static void on_wait_answered(struct sftp_call *call, const struct sftp_answer *answer)
{
    struct sftp_wait *w = CONTAINER_OF(call, struct sftp_wait, call);
    struct sftp_answer *a = &w->reply->answer;
    struct view names = view_of(answer->names.p, rd_left(&answer->names));
    w->done = true;
    *a = *answer;
    a->call = NULL;
    buf_reset(&w->reply->bytes);
    /* Only one of them is there: the copies cannot move each other. */
    w->err = keep(&w->reply->bytes, a->message.len ? &a->message : answer->type == MSG_sftp_name_NUMBER ? &names : &a->data);
    a->names = rd_of(names);
}

struct sftp_wait sftp_wait_for(struct sftp_reply *reply)
{
    return (struct sftp_wait){ .call = { on_wait_answered }, .reply = reply };
}

int sftp_wait_end(struct sftp_conn *c, struct sftp_wait *w)
{
    int err = 0;
    while (!w->done && err == 0) err = sftp_conn_turn(c);
    if (!w->done) sftp_client_forget(c->client, &w->call);
    return w->done ? w->err : err;
}

/* ---- life ---- */

int sftp_conn_new(struct loop *loop, int take_in_fd, int take_out_fd, const struct log *log, struct sftp_conn **ret)
{
    CLEANUP(sftp_conn_freep) struct sftp_conn *c = calloc(1, sizeof *c);
    if (!c) {
        fd_close(take_in_fd);
        if (take_out_fd != take_in_fd) fd_close(take_out_fd);
        return ERR_NOMEM;
    }
    *c = (struct sftp_conn){ .loop = loop, .in_fd = take_in_fd, .out_fd = take_out_fd };
    TRY(fd_nonblock(c->in_fd, true));
    TRY(fd_nonblock(c->out_fd, true));
    TRY(sftp_client_new(log, &c->client));
    TRY(loop_fd_new(loop, c->in_fd, LOOP_READ, on_ready, c, &c->in_watch));
    if (c->out_fd != c->in_fd) TRY(loop_fd_new(loop, c->out_fd, 0, on_ready, c, &c->out_watch));
    sftp_conn_wake(c);
    *ret = TAKE(c);
    return 0;
}

void sftp_conn_free(struct sftp_conn *c)
{
    if (!c) return;
    loop_forget(c->loop, on_turn_end, c);
    loop_fd_free(c->in_watch);
    loop_fd_free(c->out_watch);
    fd_close(c->in_fd);
    if (c->out_fd != c->in_fd) fd_close(c->out_fd);
    sftp_client_free(c->client);
    free(c);
}
