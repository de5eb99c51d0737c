/* The old protocol between machines: the connection, and who is source and who is sink. */
#include "prog/scp/scp.h"

#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    COMMAND_MAX_BYTES = 1 << 20,
    RATE_BURST_BYTES = 32 << 10
};

/* ---- the wire ---- */

static int wire_open(struct old_wire *w, struct scp *s, int in_fd, int out_fd, pid_t pid)
{
    *w = (struct old_wire){ .s = s, .in_fd = in_fd, .out_fd = out_fd, .pid = pid, .rate_since = clock_now() };
    w->area = malloc(2 * (size_t)OLD_AREA_BYTES);
    return w->area ? 0 : ERR_NOMEM;
}

static void wire_close(struct old_wire *w)
{
    size_t n;
    fd_close(w->out_fd);
    /* An ssh that nobody listens to any more may end before it knows how the far end has ended. */
    while (w->pid && !w->lost && w->area && fd_read(w->in_fd, w->area, OLD_AREA_BYTES, &n) == 0 && n) continue;
    fd_close(w->in_fd);
    if (w->pid) scp_disconnect(w->s, w->pid);
    free(w->area);
    *w = (struct old_wire){ .in_fd = -1, .out_fd = -1 };
}

void old_wire_lost(struct old_wire *w)
{
    if (!w->lost && w->pid) scp_say(w->s, "lost connection");
    w->lost = w->s->failed = true;
}

bool old_wire_read(struct old_wire *w)
{
    size_t n = 0;
    if (w->in.len == 0 && fd_read(w->in_fd, w->area, OLD_AREA_BYTES, &n) == 0) w->in = view_of(w->area, n);
    return w->in.len != 0;
}

bool old_wire_write(struct old_wire *w, struct view bytes)
{
    w->is_deaf = w->is_deaf || fd_write_all(w->out_fd, bytes) < 0;
    return !w->is_deaf;
}

void old_wire_flush(struct old_wire *w, struct buf *out)
{
    if (buf_len(out)) (void)old_wire_write(w, buf_view(out));
    buf_reset(out);
}

void old_wire_limit(struct old_wire *w, size_t len)
{
    uint64_t bits_s = w->s->o.limit_bits_s;
    if (bits_s == 0) return;
    w->rate_bytes += len;
    ms passed = clock_now() - w->rate_since;
    uint64_t allowed = RATE_BURST_BYTES + (uint64_t)passed * bits_s / 8000;
    if (w->rate_bytes <= allowed) return;
    uint64_t wait_ms = (w->rate_bytes - allowed) * 8000 / bits_s + 1;
    (void)nanosleep(&(struct timespec){ .tv_sec = (time_t)(wait_ms / 1000), .tv_nsec = (long)(wait_ms % 1000) * 1000000 }, NULL);
}

/* ---- commands for the far end ---- */

static int far_command(const struct scp *s, const char *role, const char *path, struct buf *out)
{
    TRY(buf_printf(out, "scp%s%s%s%s %s %s%s", s->o.verbose ? " -v" : "", s->o.recursive ? " -r" : "", s->o.preserve ? " -p" : "",
                   s->o.must_be_dir ? " -d" : "", role, *path == '-' ? "-- " : "", path));
    return buf_cstr(out) ? 0 : ERR_NOMEM;
}

static int start(struct scp *s, const struct scp_place *to, const char *role, bool batch, struct ssh_child *ret)
{
    CLEANUP(buf_done) struct buf command = BUF_INIT(COMMAND_MAX_BYTES);
    int err = far_command(s, role, to->path, &command);
    if (err == 0) return scp_connect(s, to, buf_cstr(&command), batch, ret);
    scp_fail(s, "%s", err_text(err));
    return err;
}

static int connect(struct scp *s, const struct scp_place *to, const char *role, struct old_wire *w)
{
    struct ssh_child child;
    TRY(start(s, to, role, false, &child));
    int err = wire_open(w, s, child.in_fd, child.out_fd, child.pid);
    if (err == 0) return 0;
    scp_fail(s, "%s", err_text(err));
    wire_close(w);
    return err;
}

/* ---- up, down, across ---- */

static void copy_up(struct old_copy *c, const struct scp_place *from)
{
    struct scp_answer answer;
    if (c->up.in_fd < 0) {
        if (c->up.lost || connect(c->s, c->target, "-t", &c->up) < 0) return;
        scp_source_init(&c->source);
        if (!old_source_hear(&c->up, &c->source, &answer)) return;
        c->up.lost = !answer.good; /* the target cannot be had */
    }
    if (!c->up.lost) old_source(&c->up, &c->source, from->path);
}

static void copy_down(struct old_copy *c, const struct scp_place *from)
{
    CLEANUP(strv_done) struct strv wanted = STRV_INIT;
    struct old_wire w;
    int err = c->s->o.any_name ? 0 : scp_request_patterns(view_str(from->path), c->s->o.recursive, &wanted);
    if (err < 0) {
        scp_fail(c->s, "%s: %s", from->path, err == ERR_LIMIT ? "the braces mean too many names" : err_text(err));
        return;
    }
    if (connect(c->s, from, "-f", &w) < 0) return;
    old_sink(&w, c->target->path, &wanted);
    wire_close(&w);
}

/* One direction of two that talk through us. */
struct pipe {
    int from, to;
    uint8_t *area;
    struct view left;
};

static bool pipe_move(struct pipe *p)
{
    size_t n;
    if (p->left.len == 0) {
        if (fd_read(p->from, p->area, OLD_AREA_BYTES, &n) < 0 || n == 0) return false;
        p->left = view_of(p->area, n);
        return true;
    }
    int err = fd_write(p->to, p->left.p, p->left.len, &n);
    if (err < 0) return err == ERR_AGAIN;
    p->left = view_sub(p->left, n, p->left.len);
    return true;
}

static void pipe_end(struct pipe *p)
{
    fd_close(p->from);
    fd_close(p->to);
    p->from = p->to = -1;
}

/* The source's scp and the sink's understand one another; what they say is not looked at. */
static void join(struct pipe pipes[2])
{
    while (pipes[0].from >= 0 || pipes[1].from >= 0) {
        struct pollfd polls[2];
        for (size_t i = 0; i < 2; i++) {
            bool has_left = pipes[i].left.len != 0;
            polls[i] = (struct pollfd){ .fd = has_left ? pipes[i].to : pipes[i].from, .events = has_left ? POLLOUT : POLLIN };
        }
        if (poll(polls, 2, -1) < 0 && errno != EINTR) return;
        for (size_t i = 0; i < 2; i++)
            if (pipes[i].from >= 0 && polls[i].revents && !pipe_move(&pipes[i])) pipe_end(&pipes[i]);
    }
}

static void copy_across(struct old_copy *c, const struct scp_place *from)
{
    struct ssh_child source, sink;
    CLEANUP(freep) uint8_t *area = malloc(2 * (size_t)OLD_AREA_BYTES);
    if (!area || start(c->s, from, "-f", false, &source) < 0) {
        c->s->failed = true;
        return;
    }
    if (start(c->s, c->target, "-t", true, &sink) < 0) {
        fd_close(source.in_fd);
        fd_close(source.out_fd);
        scp_disconnect(c->s, source.pid);
        return;
    }
    struct pipe pipes[2] = { { source.in_fd, sink.out_fd, area, VIEW_EMPTY },
                             { sink.in_fd, source.out_fd, area + OLD_AREA_BYTES, VIEW_EMPTY } };
    if (fd_nonblock(sink.out_fd, true) < 0 || fd_nonblock(source.out_fd, true) < 0) c->s->failed = true;
    join(pipes);
    pipe_end(&pipes[0]);
    pipe_end(&pipes[1]);
    scp_disconnect(c->s, source.pid);
    scp_disconnect(c->s, sink.pid);
}

void old_copy_init(struct old_copy *c, struct scp *s, const struct scp_place *target)
{
    *c = (struct old_copy){ .s = s, .target = target, .up = { .in_fd = -1, .out_fd = -1 } };
}

void old_copy_add(struct old_copy *c, const struct scp_place *source)
{
    if (source->remote && c->target->remote)
        copy_across(c, source);
    else if (source->remote)
        copy_down(c, source);
    else
        copy_up(c, source);
}

void old_copy_end(struct old_copy *c)
{
    if (c->up.in_fd < 0) return;
    wire_close(&c->up);
    scp_source_done(&c->source);
}

/* ---- as the far end ---- */

static void serve_sink(struct scp *s, struct old_wire *w, char **args, size_t n_args)
{
    if (n_args == 1)
        old_sink(w, args[0], NULL);
    else
        (void)old_wire_write(w, VIEW_LIT("\1scp: ambiguous target\n"));
    if (n_args != 1) s->failed = true;
}

static void serve_source(struct old_wire *w, char **args, size_t n_args)
{
    struct scp_source source;
    struct scp_answer answer;
    scp_source_init(&source);
    if (old_source_hear(w, &source, &answer))
        for (size_t i = 0; i < n_args && !w->lost; i++) old_source(w, &source, args[i]);
    scp_source_done(&source);
}

void old_serve(struct scp *s, char **args, size_t n_args)
{
    struct old_wire w;
    int err = wire_open(&w, s, STDIN_FILENO, STDOUT_FILENO, 0);
    if (err < 0)
        s->failed = true;
    else if (s->o.is_sink)
        serve_sink(s, &w, args, n_args);
    else
        serve_source(&w, args, n_args);
    wire_close(&w);
}
