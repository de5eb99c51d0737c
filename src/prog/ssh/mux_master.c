/* The master of a shared connection (OpenSSH's PROTOCOL.mux): a socket on which other ssh of this user ask for sessions and
 * forwards on our connection. A passenger is served message by message and never waited for: what it has not sent, or does not
 * read, keeps only itself. What it may send when is in proto/mux. */
#include "prog/ssh/session_int.h"

#include "io/prompt.h"
#include "os/fd.h"
#include "os/random.h"
#include "os/spawn.h"
#include "proto/mux/mux.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PASSENGERS_MAX = 1024,
    PENDING_MAX = 64, /* forwards and stdio forwards of one passenger that wait for the server */
    READ_BYTES = 16384,
    OUT_BYTES = 64 * 1024, /* replies that a passenger has not read: then it is dropped */
    ANSWER_BYTES = 1024,
};

struct passenger {
    LIST_ENTRY(passenger) link;
    struct mux_master *master;
    int fd;
    struct loop_fd *watch;
    struct buf in, out;
    int fds[MUX_FDS_MAX];
    size_t n_fds;
    bool has_hello, is_last; /* nothing more is taken from it, and it is dropped when out is written */
    struct mux_message m;    /* that waits for descriptors or a person; its views are of body */
    struct buf body;
    bool has_message;
    size_t n_markers; /* bytes that carried its descriptors */
    struct buf answer;
    int answer_fd; /* of the program that asks; -1: nobody is asked */
    struct loop_fd *answer_watch;
    pid_t answer_pid;
    struct session *session;
    uint32_t session_request, session_id;
    size_t n_pending;
};

/* An answer that the server owes a passenger; it may leave meanwhile. */
struct pending {
    LIST_ENTRY(pending) link;
    struct passenger *p; /* NULL: it left */
    struct client *c;
    uint32_t id;
    bool wants_port, is_stdio;
    channel_id channel;
};

/* A listening forward of this side: passengers with the same configuration ask for the same ones again. */
struct known {
    LIST_ENTRY(known) link;
    enum conf_forward_kind kind;
    struct conf_forward what;
};

struct mux_master {
    struct client *c;
    char *path;
    struct stat made;
    int fd;
    struct loop_fd *watch;
    struct loop_timer *idle_timer;
    LIST_HEAD(, passenger) passengers;
    LIST_HEAD(, pending) pending;
    LIST_HEAD(, known) known;
    size_t n_passengers;
    bool is_stopped;
};

/* ---- life of a passenger ---- */

static void passenger_free(struct passenger *p)
{
    struct mux_master *m = p->master;
    struct client *c = m->c;
    struct pending *one;
    int status;
    LIST_FOREACH(one, &m->pending, link)
    {
        if (one->p != p) continue;
        one->p = NULL;
        if (one->is_stdio && one->channel != CHANNEL_NONE) forwards_end(c->forwards, one->channel);
    }
    if (p->session) session_guest_free(p->session);
    loop_fd_free(p->watch);
    loop_fd_free(p->answer_watch);
    if (p->answer_fd >= 0) (void)!spawn_wait_or_kill(p->answer_pid, 0, &status);
    fd_close(p->answer_fd);
    fd_close(p->fd);
    for (size_t i = 0; i < p->n_fds; i++) fd_close(p->fds[i]);
    buf_done(&p->in);
    buf_done(&p->out);
    buf_done(&p->body);
    buf_done(&p->answer);
    LIST_REMOVE(p, link);
    m->n_passengers--;
    free(p);
}

/* Later, as it may be in use further up. */
static void on_drop(void *arg)
{
    struct passenger *p = arg;
    struct client *c = p->master->c;
    passenger_free(p);
    if (!c->ended) session_forwards_idle(c);
}

static void drop(struct passenger *p)
{
    p->is_last = true;
    loop_forget(p->master->c->loop, on_drop, p);
    if (loop_later(p->master->c->loop, on_drop, p) < 0) client_end(p->master->c, EXIT_OWN_ERROR);
}

static void flush(struct passenger *p)
{
    int err = 0;
    while (buf_len(&p->out) && err == 0) {
        size_t n = 0;
        err = fd_write(p->fd, buf_view(&p->out).p, buf_len(&p->out), &n);
        buf_consume(&p->out, n);
    }
    bool is_done = p->is_last && buf_len(&p->out) == 0;
    if (is_done || (err < 0 && err != ERR_AGAIN))
        drop(p);
    else
        (void)!loop_fd_set(p->watch, (p->is_last ? 0U : (unsigned)LOOP_READ) | (buf_len(&p->out) ? LOOP_WRITE : 0U));
}

static void reply(struct passenger *p, const struct mux_message *m)
{
    if (mux_put(&p->out, m) < 0)
        drop(p);
    else
        flush(p);
}

static void reply_ok(struct passenger *p) { reply(p, &(struct mux_message){ .type = MUX_OK, .id = p->m.id }); }

static void reply_failure(struct passenger *p, uint32_t id, const char *why)
{
    client_log(p->master->c, LOG_LEVEL_DEBUG2, "mux: request %u refused: %s", id, why);
    reply(p, &(struct mux_message){ .type = MUX_FAILURE, .id = id, .text = view_str(why) });
}

/* ---- sessions ---- */

static void on_opened(void *arg)
{
    struct passenger *p = arg;
    p->session_id = p->session->channel;
    reply(p, &(struct mux_message){ .type = MUX_SESSION_OPENED, .id = p->session_request, .value = p->session_id });
}

static void on_refused(void *arg)
{
    struct passenger *p = arg;
    reply_failure(p, p->session_request, "Session open refused by peer");
}

static void on_no_terminal(void *arg)
{
    struct passenger *p = arg;
    reply(p, &(struct mux_message){ .type = MUX_TTY_ALLOC_FAIL, .id = p->session_id });
}

static void on_ended(void *arg, int status)
{
    struct passenger *p = arg;
    struct mux_message m = { .type = MUX_EXIT_MESSAGE, .id = p->session_id, .value = (uint32_t)status };
    session_guest_free(TAKE(p->session));
    p->is_last = true;
    reply(p, &m);
}

/* One that does not read its stderr does not hear it. */
static void say_no_x11(const struct session *s)
{
    static const char text[] = "X11 forwarding request failed: this version cannot do it yet\r\n";
    size_t n;
    (void)!fd_write(s->text_fd, text, sizeof text - 1, &n);
}

static void open_session(struct passenger *p)
{
    const struct mux_message *m = &p->m;
    struct session_wish wish = { .std = { p->fds[0], p->fds[1], p->fds[2] },
                                 .wants_pty = m->wants_tty,
                                 .wants_agent = m->wants_agent,
                                 .type = m->is_subsystem ? CONF_SESSION_SUBSYSTEM : CONF_SESSION_DEFAULT,
                                 .escape_char = m->escape == MUX_ESCAPE_NONE ? ESCAPE_OFF : (int)m->escape,
                                 .term = m->term,
                                 .command = m->command,
                                 .env = m->rest,
                                 .guest = { on_opened, on_refused, on_no_terminal, on_ended, p } };
    if (p->session) {
        reply_failure(p, m->id, "Multiple sessions not supported");
        return;
    }
    p->n_fds = 0;
    p->session_request = m->id;
    int err = session_guest_open(p->master->c, &wish, &p->session);
    if (err < 0) reply_failure(p, m->id, err_text(err));
    if (err == 0 && m->wants_x11) say_no_x11(p->session);
}

/* ---- forwards ---- */

static struct pending *pending_new(struct passenger *p)
{
    struct pending *one = p->n_pending < PENDING_MAX ? calloc(1, sizeof *one) : NULL;
    if (!one) return NULL;
    *one = (struct pending){ .p = p, .c = p->master->c, .id = p->m.id, .channel = CHANNEL_NONE };
    LIST_INSERT_HEAD(&p->master->pending, one, link);
    p->n_pending++;
    return one;
}

static void pending_free(struct pending *one)
{
    if (one->p) one->p->n_pending--;
    LIST_REMOVE(one, link);
    free(one);
}

static int take_side(struct view host, uint32_t port, char **ret_host, char **ret_path, int *ret_port)
{
    bool is_path = port == MUX_PATH_PORT;
    char **at = is_path ? ret_path : ret_host;
    if (is_path && host.len == 0) return ERR_FORMAT;
    if (!is_path) *ret_port = (int)port;
    if (!is_path && host.len == 0) return 0;
    *at = view_dup_str(host);
    return *at ? 0 : ERR_NOMEM;
}

/* *ret is owned also on failure. A remote forward to "socks" with port 0 is one whose clients say where to. */
static int take_forward(const struct mux_message *m, enum conf_forward_kind *ret_kind, struct conf_forward *ret)
{
    static const enum conf_forward_kind kinds[] = { [MUX_FORWARD_LOCAL] = CONF_FORWARD_LOCAL,
                                                    [MUX_FORWARD_REMOTE] = CONF_FORWARD_REMOTE,
                                                    [MUX_FORWARD_DYNAMIC] = CONF_FORWARD_DYNAMIC };
    *ret_kind = kinds[m->forward_kind];
    TRY(take_side(m->listen_host, m->listen_port, &ret->listen_host, &ret->listen_path, &ret->listen_port));
    ret->socks = m->forward_kind == MUX_FORWARD_DYNAMIC ||
                 (m->forward_kind == MUX_FORWARD_REMOTE && m->connect_port == 0 && view_eq_str(m->connect_host, "socks"));
    if (ret->socks) return 0;
    TRY(take_side(m->connect_host, m->connect_port, &ret->connect_host, &ret->connect_path, &ret->connect_port));
    return ret->connect_path || (ret->connect_host && ret->connect_port) ? 0 : ERR_FORMAT;
}

static void known_free(struct known *k)
{
    LIST_REMOVE(k, link);
    conf_forward_done(&k->what);
    free(k);
}

static int known_add(struct mux_master *m, enum conf_forward_kind kind, const struct conf_forward *what)
{
    struct known *k = calloc(1, sizeof *k);
    if (!k) return ERR_NOMEM;
    k->kind = kind;
    LIST_INSERT_HEAD(&m->known, k, link);
    int err = conf_forward_copy(&k->what, what);
    if (err < 0) known_free(k);
    return err;
}

static int known_add_list(struct mux_master *m, enum conf_forward_kind kind, const struct conf_forwards *list)
{
    for (size_t i = 0; i < list->n; i++) TRY(known_add(m, kind, &list->v[i]));
    return 0;
}

static bool is_there(const struct mux_master *m, enum conf_forward_kind kind, const struct conf_forward *what, int *ret_port)
{
    const struct known *k;
    if (kind == CONF_FORWARD_REMOTE) return forwarding_find_remote(m->c, what, ret_port) == 0;
    LIST_FOREACH(k, &m->known, link)
    {
        if (k->kind == kind && conf_forward_equal(&k->what, what)) return true;
    }
    return false;
}

static void known_forget(struct mux_master *m, enum conf_forward_kind kind, const struct conf_forward *what)
{
    struct known *k, *next;
    for (k = LIST_FIRST(&m->known); k; k = next) {
        next = LIST_NEXT(k, link);
        if (k->kind == kind && conf_forward_equal(&k->what, what)) known_free(k);
    }
}

static void on_forward_done(void *arg, bool ok, int port, const char *text)
{
    struct pending *one = arg;
    struct passenger *p = one->p;
    struct mux_message m = { .type = one->wants_port ? MUX_REMOTE_PORT : MUX_OK, .id = one->id, .value = (uint32_t)port };
    bool wants = p != NULL;
    pending_free(one);
    if (wants && ok) reply(p, &m);
    if (wants && !ok) reply_failure(p, m.id, text);
}

static int add_forward(struct mux_master *m, enum conf_forward_kind kind, const struct conf_forward *what, struct pending *take_one)
{
    size_t n = forwards_n_listeners(m->c->forwards);
    int err = forwarding_add(m->c, kind, what, on_forward_done, take_one);
    if (err < 0) pending_free(take_one);
    bool listens = kind != CONF_FORWARD_REMOTE && forwards_n_listeners(m->c->forwards) > n;
    if (err == 0 && listens) (void)!known_add(m, kind, what); /* forgotten for want of memory, it is refused the second time */
    return err;
}

static void open_forward(struct passenger *p)
{
    struct conf_forward what = { 0 };
    enum conf_forward_kind kind;
    int port = 0, err = take_forward(&p->m, &kind, &what);
    bool there = err == 0 && is_there(p->master, kind, &what, &port);
    struct pending *one = err == 0 ? pending_new(p) : NULL;
    if (one) {
        one->wants_port = kind == CONF_FORWARD_REMOTE && !what.listen_path && what.listen_port == 0;
        if (there)
            on_forward_done(one, true, port, "");
        else
            err = add_forward(p->master, kind, &what, one);
    } else if (err == 0)
        err = ERR_LIMIT;
    if (err < 0) reply_failure(p, p->m.id, err == ERR_FORMAT ? "Invalid forwarding request" : err_text(err));
    conf_forward_done(&what);
}

static void close_forward(struct passenger *p)
{
    struct conf_forward what = { 0 };
    enum conf_forward_kind kind;
    int err = take_forward(&p->m, &kind, &what);
    if (err == 0) err = forwarding_cancel(p->master->c, kind, &what);
    if (err == 0) known_forget(p->master, kind, &what);
    if (err == 0)
        reply_ok(p);
    else
        reply_failure(p, p->m.id, err == ERR_NOT_FOUND ? "port not forwarded" : err_text(err));
    conf_forward_done(&what);
}

static void on_stdio_opened(void *arg, channel_id ch)
{
    struct pending *one = arg;
    one->channel = ch;
    if (one->p)
        reply(one->p, &(struct mux_message){ .type = MUX_SESSION_OPENED, .id = one->id, .value = ch });
    else
        forwards_end(one->c->forwards, ch);
}

static void on_stdio_ended(void *arg, bool was_open)
{
    struct pending *one = arg;
    struct passenger *p = one->p;
    uint32_t id = one->id;
    pending_free(one);
    if (!p) return;
    p->is_last = true;
    if (was_open)
        drop(p);
    else
        reply_failure(p, id, "Session open refused by peer");
}

static void open_stdio(struct passenger *p)
{
    char *host = NULL, *path = NULL;
    int port = 0, err = take_side(p->m.connect_host, p->m.connect_port, &host, &path, &port);
    struct pending *one = err == 0 && (path || (host && port)) ? pending_new(p) : NULL;
    struct forward_stdio s = { .channel = path ? FORWARD_DIRECT_STREAMLOCAL : FORWARD_DIRECT_TCPIP,
                               .to_host = host,
                               .to_port = port,
                               .to_path = path,
                               .opened = on_stdio_opened,
                               .ended = on_stdio_ended,
                               .arg = one };
    if (one) {
        one->is_stdio = true;
        p->n_fds = 0;
        err = forwards_open_stdio(p->master->c->forwards, p->fds[0], p->fds[1], &s);
        if (err < 0) pending_free(one);
        conn_io_wake(p->master->c->conn_io);
    } else if (err == 0)
        err = ERR_FORMAT;
    if (err < 0) reply_failure(p, p->m.id, err_text(err));
    free(host);
    free(path);
}

/* ---- the master itself ---- */

static void say_alive(struct passenger *p)
{
    reply(p, &(struct mux_message){ .type = MUX_ALIVE, .id = p->m.id, .value = (uint32_t)getpid() });
}

static void terminate(struct passenger *p)
{
    struct client *c = p->master->c;
    reply_ok(p);
    client_log(c, LOG_LEVEL_DEBUG1, "mux: a passenger ended the connection");
    client_end(c, c->session && c->session->type == CONF_SESSION_NONE ? 0 : EXIT_OWN_ERROR);
}

static void stop_listening(struct mux_master *m)
{
    if (m->fd < 0) return;
    sock_remove_unix(m->path, &m->made);
    loop_fd_free(m->watch);
    m->watch = NULL;
    fd_close(m->fd);
    m->fd = -1;
}

static void stop(struct passenger *p)
{
    struct mux_master *m = p->master;
    stop_listening(m);
    m->is_stopped = true;
    reply_ok(p);
}

static void refuse_proxy(struct passenger *p)
{
    reply_failure(p, p->m.id, "the proxy mode of shared connections is not available in this version");
}

/* ---- messages ---- */

static const struct act {
    uint32_t type;
    void (*act)(struct passenger *p);
    const char *question; /* of ControlMaster ask, with the host; NULL: not asked */
} acts[] = {
    { MUX_NEW_SESSION, open_session, "Allow shared connection to %s? " },
    { MUX_ALIVE_CHECK, say_alive, NULL },
    { MUX_TERMINATE, terminate, "Terminate shared connection to %s? " },
    { MUX_OPEN_FORWARD, open_forward, "Open a forward on the shared connection to %s? " },
    { MUX_CLOSE_FORWARD, close_forward, NULL },
    { MUX_NEW_STDIO_FORWARD, open_stdio, "Allow a forward over the shared connection to %s? " },
    { MUX_STOP_LISTENING, stop, "Disable further multiplexing on shared connection to %s? " },
    { MUX_PROXY_REQUEST, refuse_proxy, NULL },
};

static const struct act *act_of(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (acts[i].type == type) return &acts[i];
    return NULL;
}

static void end_message(struct passenger *p)
{
    for (size_t i = 0; i < p->n_fds; i++) fd_close(p->fds[i]);
    p->n_fds = p->n_markers = 0;
    p->has_message = false;
    buf_reset(&p->body);
}

static void take_messages(struct passenger *p);

static void on_answer(void *arg, int fd, UNUSED unsigned events)
{
    struct passenger *p = arg;
    uint8_t bytes[256];
    size_t n = 0;
    int status = -1, err = fd_read(fd, bytes, sizeof bytes, &n);
    if (err == ERR_AGAIN) return;
    if (err == 0 && n && buf_put(&p->answer, bytes, n) == 0) return;
    loop_fd_free(TAKE(p->answer_watch));
    fd_close(fd_take(&p->answer_fd));
    if (spawn_wait_or_kill(p->answer_pid, 100, &status) < 0) status = -1;
    if (prompt_confirm_is_yes(status, buf_view(&p->answer)))
        act_of(p->m.type)->act(p);
    else
        reply(p, &(struct mux_message){ .type = MUX_PERMISSION_DENIED, .id = p->m.id, .text = VIEW_LIT("Permission denied") });
    end_message(p);
    take_messages(p);
}

/* Whether somebody was asked, who will answer later. */
static int ask(struct passenger *p, const char *question)
{
    struct client *c = p->master->c;
    char text[512];
    snprintf(text, sizeof text, question, c->host);
    buf_reset(&p->answer);
    TRY(prompt_confirm_start(&c->sink.log, text, &p->answer_fd, &p->answer_pid));
    return loop_fd_new(c->loop, p->answer_fd, LOOP_READ, on_answer, p, &p->answer_watch);
}

static void act_on(struct passenger *p)
{
    const struct act *a = act_of(p->m.type);
    int mode = p->master->c->options.control_master;
    bool asks = mode == CONF_MASTER_ASK || mode == CONF_MASTER_AUTO_ASK;
    if (a && a->question && asks) {
        if (ask(p, a->question) == 0) return;
        reply(p, &(struct mux_message){ .type = MUX_PERMISSION_DENIED, .id = p->m.id, .text = VIEW_LIT("Permission denied") });
    } else if (a)
        a->act(p);
    end_message(p);
}

/* Keeps a copy, as the message may wait. */
static void take_body(struct passenger *p, struct view body)
{
    int err = buf_put_view(&p->body, body);
    if (err == 0) err = mux_get(buf_view(&p->body), false, p->has_hello, &p->m);
    if (err == ERR_UNSUPPORTED) {
        reply_failure(p, p->m.id, "unsupported request");
        buf_reset(&p->body);
        return;
    }
    if (err == 0 && p->m.type == MUX_HELLO && p->m.id != MUX_VERSION) err = ERR_UNSUPPORTED;
    if (err < 0) {
        client_log(p->master->c, LOG_LEVEL_ERROR, "mux: a passenger sent what cannot be understood: %s", err_text(err));
        drop(p);
        return;
    }
    p->has_message = p->has_hello;
    p->has_hello = true;
    if (!p->has_message) buf_reset(&p->body);
}

/* The byte of each descriptor; the descriptors themselves came with them or before. */
static bool take_markers(struct passenger *p)
{
    size_t wanted = mux_n_fds(p->m.type), n = MIN(wanted - p->n_markers, buf_len(&p->in));
    buf_consume(&p->in, n);
    p->n_markers += n;
    if (p->n_markers < wanted) return false;
    if (p->n_fds == wanted) return true;
    client_log(p->master->c, LOG_LEVEL_ERROR, "mux: a passenger sent %zu descriptors instead of %zu", p->n_fds, wanted);
    drop(p);
    return false;
}

static void take_messages(struct passenger *p)
{
    while (!p->is_last && p->answer_fd < 0) {
        struct view body;
        size_t used;
        if (!p->has_message) {
            int got = mux_frame_next(buf_view(&p->in), &body, &used);
            if (got < 0) drop(p);
            if (got <= 0) return;
            take_body(p, body);
            buf_consume(&p->in, used);
            continue;
        }
        if (!take_markers(p)) return;
        act_on(p);
    }
}

static void receive(struct passenger *p)
{
    uint8_t bytes[READ_BYTES];
    size_t n = 0, n_fds = 0;
    int err = fd_recv(p->fd, bytes, sizeof bytes, &n, p->fds + p->n_fds, MUX_FDS_MAX - p->n_fds, &n_fds);
    if (err == ERR_AGAIN) return;
    p->n_fds += err == 0 ? n_fds : 0;
    if (err == 0 && n) err = buf_put(&p->in, bytes, n);
    if (err < 0 || n == 0)
        drop(p);
    else
        take_messages(p);
}

static void on_passenger(void *arg, UNUSED int fd, unsigned events)
{
    struct passenger *p = arg;
    if (events & LOOP_WRITE) flush(p);
    if (!p->is_last && (events & (LOOP_READ | LOOP_HANGUP)))
        receive(p);
    else if (events & LOOP_HANGUP)
        drop(p);
}

/* ---- the socket ---- */

static int greet(struct mux_master *m, int take_fd)
{
    struct passenger *p = calloc(1, sizeof *p);
    if (!p) {
        fd_close(take_fd);
        return ERR_NOMEM;
    }
    *p = (struct passenger){ .master = m,
                             .fd = take_fd,
                             .answer_fd = -1,
                             .in = BUF_INIT(2 * MUX_FRAME_BYTES_MAX),
                             .out = BUF_INIT(OUT_BYTES),
                             .body = BUF_INIT(MUX_FRAME_BYTES_MAX),
                             .answer = BUF_INIT(ANSWER_BYTES) };
    LIST_INSERT_HEAD(&m->passengers, p, link);
    m->n_passengers++;
    loop_timer_set(m->idle_timer, MS_NEVER);
    int err = loop_fd_new(m->c->loop, p->fd, LOOP_READ, on_passenger, p, &p->watch);
    if (err < 0)
        passenger_free(p);
    else
        reply(p, &(struct mux_message){ .type = MUX_HELLO, .id = MUX_VERSION });
    return err;
}

static void on_connection(void *arg, int listen_fd, UNUSED unsigned events)
{
    struct mux_master *m = arg;
    uid_t uid;
    int fd, err = sock_accept(listen_fd, NULL, &fd);
    if (err == ERR_AGAIN) return;
    if (err < 0) {
        log_error(&m->c->sink.log, "mux: accept: %s", err_text(err));
        if (err_errno(err) == EMFILE || err_errno(err) == ENFILE) stop_listening(m); /* else the loop would spin */
        return;
    }
    if (sock_peer_uid(fd, &uid) < 0 || (uid != 0 && uid != m->c->me->uid) || m->n_passengers == PASSENGERS_MAX) {
        log_error(&m->c->sink.log, "mux: a connection was refused: it is another user's, or there are too many");
        fd_close(fd);
        return;
    }
    if (greet(m, fd) < 0) log_error(&m->c->sink.log, "mux: no memory for a passenger");
}

int mux_path(struct client *c, char **ret)
{
    const char *path = c->options.control_path;
    *ret = NULL;
    return path && strcmp(path, "none") != 0 ? config_expand(c, path, true, "ControlPath", ret) : 0;
}

bool mux_master_is_wanted(const struct client *c)
{
    const char *path = c->options.control_path;
    return c->options.control_master != CONF_MASTER_NO && path && strcmp(path, "none") != 0;
}

bool mux_master_persists(const struct client *c) { return mux_master_is_wanted(c) && c->options.control_persist.on; }

/* Under another name first: what stands at the path is ready, and nothing of others is taken away. */
static int listen_on(struct mux_master *m)
{
    CLEANUP(freep) char *temporary = NULL;
    uint8_t r[8];
    TRY(random_fill(&os_random, r, sizeof r));
    if (asprintf(&temporary, "%s.%02x%02x%02x%02x%02x%02x%02x%02x", m->path, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]) < 0)
        return ERR_NOMEM;
    TRY(sock_listen_unix(temporary, 0177, false, 64, &m->fd));
    int err = link(temporary, m->path) < 0 ? ERR_SYS(errno) : 0;
    (void)!unlink(temporary);
    if (err == 0 && lstat(m->path, &m->made) < 0) err = ERR_SYS(errno);
    return err;
}

/* ControlPersist's time, counted from the moment when nobody uses the connection. */
static void on_idle_timer(void *arg)
{
    struct mux_master *m = arg;
    client_log(m->c, LOG_LEVEL_DEBUG1, "ControlPersist timeout expired");
    client_end(m->c, 0);
}

static int start(struct mux_master *m)
{
    struct client *c = m->c;
    TRY(loop_timer_new(c->loop, on_idle_timer, m, &m->idle_timer));
    TRY(mux_path(c, &m->path));
    TRY(known_add_list(m, CONF_FORWARD_LOCAL, &c->options.local_forward));
    TRY(known_add_list(m, CONF_FORWARD_DYNAMIC, &c->options.dynamic_forward));
    TRY(listen_on(m));
    client_log(c, LOG_LEVEL_DEBUG1, "setting up multiplex master socket");
    return loop_fd_new(c->loop, m->fd, LOOP_READ, on_connection, m, &m->watch);
}

int mux_master_start(struct client *c)
{
    if (!mux_master_is_wanted(c)) return 0;
    struct mux_master *m = calloc(1, sizeof *m);
    if (!m) return ERR_NOMEM;
    *m = (struct mux_master){ .c = c, .fd = -1 };
    LIST_INIT(&m->passengers);
    LIST_INIT(&m->pending);
    LIST_INIT(&m->known);
    c->mux = m;
    int err = start(m);
    if (err == 0) return 0;
    bool exists = err_errno(err) == EEXIST;
    if (exists)
        log_error(&c->sink.log, "ControlSocket %s already exists, disabling multiplexing", m->path);
    else if (err == ERR_LIMIT)
        log_error(&c->sink.log, "unix_listener: path \"%s\" too long for Unix domain socket", m->path);
    else
        log_error(&c->sink.log, "unix_listener: cannot bind to path %s: %s", m->path ? m->path : "", err_text(err));
    mux_master_free(c);
    return exists ? 0 : err;
}

bool mux_master_is_used(const struct client *c) { return c->mux && c->mux->n_passengers; }

void mux_master_check_idle(struct client *c)
{
    struct mux_master *m = c->mux;
    if (!m || c->ended || m->n_passengers || conn_n_channels(conn_io_conn(c->conn_io))) return;
    bool is_alone = c->options.control_persist.on || (c->session && c->session->type == CONF_SESSION_NONE);
    if (m->is_stopped && is_alone)
        client_end(c, 0);
    else if (mux_master_persists(c) && c->options.control_persist.seconds)
        loop_timer_set(m->idle_timer, loop_now(c->loop) + (ms)c->options.control_persist.seconds * 1000);
}

void mux_master_free(struct client *c)
{
    struct mux_master *m = c->mux;
    struct pending *one;
    if (!m) return;
    while (!LIST_EMPTY(&m->passengers)) {
        struct passenger *p = LIST_FIRST(&m->passengers);
        if (c->loop) loop_forget(c->loop, on_drop, p);
        passenger_free(p);
    }
    while ((one = LIST_FIRST(&m->pending))) pending_free(one);
    while (!LIST_EMPTY(&m->known)) known_free(LIST_FIRST(&m->known));
    stop_listening(m);
    if (m->fd >= 0) fd_close(m->fd);
    loop_timer_free(m->idle_timer);
    free(m->path);
    free(m);
    c->mux = NULL;
}
