/* Clients on the loop, and the questions that their requests raise. Answers are written at the end of the turn, for all clients: an
 * answer to one may set others free, and so does time. */
#include "prog/agent/agent.h"

#include "io/prompt.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/sock.h"
#include "os/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READ_BUDGET_BYTES = 256 * 1024, /* of one client in one turn */
    CONFIRM_ANSWER_BYTES = 1024,
};

struct connection {
    struct connection *next;
    struct agent *agent;
    struct agent_client *client;
    struct loop_fd *watch;
    int fd;
    bool is_over;
};

/* An askpass on its way. */
struct confirmation {
    struct confirmation *next;
    struct agent *agent;
    uint32_t question;
    int fd;
};

/* ---- connections ---- */

static void connection_free(struct connection *c)
{
    loop_fd_free(c->watch);
    agent_client_free(c->client);
    fd_close(c->fd);
    free(c);
}

void agent_tick(struct agent *a) { agent_server_tick(a->server, loop_now(a->loop), clock_wall_s()); }

/* Reads what is there and what the client has room for. */
static void read_requests(struct connection *c)
{
    for (size_t left = READ_BUDGET_BYTES; left > 0;) {
        uint8_t *area;
        size_t room, n;
        agent_client_input(c->client, &area, &room);
        if (room == 0) return;
        int err = fd_read(c->fd, area, room, &n);
        if (err == ERR_AGAIN) return;
        if (err < 0 || n == 0 || agent_client_received(c->client, n) < 0) {
            c->is_over = true;
            return;
        }
        left -= MIN(left, n);
    }
}

static void on_connection(void *arg, UNUSED int fd, unsigned events)
{
    struct connection *c = arg;
    agent_tick(c->agent);
    if (events & (LOOP_READ | LOOP_HANGUP)) read_requests(c);
    /* A peer that is gone while a question is open for it does not wait for the answer. */
    uint8_t *area;
    size_t room;
    agent_client_input(c->client, &area, &room);
    if ((events & LOOP_HANGUP) && room == 0) c->is_over = true;
}

static void write_answers(struct connection *c)
{
    while (!c->is_over && agent_client_output(c->client).len) {
        struct view out = agent_client_output(c->client);
        size_t n;
        int err = fd_write(c->fd, out.p, out.len, &n);
        if (err == ERR_AGAIN) return;
        if (err < 0 || agent_client_sent(c->client, n) < 0) c->is_over = true;
    }
}

static void watch(struct connection *c)
{
    uint8_t *area;
    size_t room;
    agent_client_input(c->client, &area, &room);
    unsigned events = (room ? LOOP_READ : 0u) | (agent_client_output(c->client).len ? LOOP_WRITE : 0u);
    if (loop_fd_set(c->watch, events) < 0) c->is_over = true;
}

static int connection_new(struct agent *a, int take_fd)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c) {
        fd_close(take_fd);
        return ERR_NOMEM;
    }
    c->agent = a;
    c->fd = take_fd;
    int err = agent_client_new(a->server, &c->client);
    if (err == 0) err = loop_fd_new(a->loop, take_fd, LOOP_READ, on_connection, c, &c->watch);
    if (err < 0) {
        connection_free(c);
        return err;
    }
    c->next = a->connections;
    a->connections = c;
    return 0;
}

/* The socket's mode keeps others out already; this holds on file systems that do not. Root may come: it could read the keys anyway.
 */
static bool is_welcome(struct agent *a, int fd)
{
    uid_t uid;
    int err = sock_peer_uid(fd, &uid);
    if (err == 0 && (uid == 0 || uid == getuid())) return true;
    if (err < 0)
        log_error(&a->sink.log, "who connects is not known: %s", err_text(err));
    else
        log_error(&a->sink.log, "uid mismatch: peer euid %u != uid %u", (unsigned)uid, (unsigned)getuid());
    return false;
}

static void on_listener(void *arg, int listener, UNUSED unsigned events)
{
    struct agent *a = arg;
    int fd, err;
    while ((err = sock_accept(listener, NULL, &fd)) == 0) {
        if (!is_welcome(a, fd)) {
            fd_close(fd);
            continue;
        }
        err = connection_new(a, fd);
        if (err < 0) log_error(&a->sink.log, "a client cannot be served: %s", err_text(err));
    }
    if (err == ERR_SYS(EMFILE) || err == ERR_SYS(ENFILE)) {
        a->accept_is_off = true;
        (void)!loop_fd_set(a->listen_watch, 0);
    }
}

/* ---- questions ---- */

static void on_askpass_end(void *arg, UNUSED pid_t pid, int status)
{
    struct confirmation *f = arg;
    struct agent *a = f->agent;
    char answer[CONFIRM_ANSWER_BYTES];
    size_t n = 0;
    if (fd_read(f->fd, answer, sizeof(answer), &n) < 0) n = 0;
    const struct agent_answer said = { .yes = prompt_confirm_is_yes(status, view_of(answer, n)) };
    agent_tick(a);
    (void)!agent_server_answer(a->server, f->question, &said);
    struct confirmation **at = &a->confirmations;
    while (*at != f) at = &(*at)->next;
    *at = f->next;
    fd_close(f->fd);
    free(f);
}

static int ask_user(struct agent *a, const struct agent_question *q)
{
    struct confirmation *f = calloc(1, sizeof(*f));
    pid_t pid;
    if (!f) return ERR_NOMEM;
    f->agent = a;
    f->question = q->id;
    int err = prompt_confirm_start(&a->sink.log, q->text, &f->fd, &pid);
    if (err == 0) {
        err = fd_nonblock(f->fd, true);
        if (err == 0) err = loop_child(a->loop, pid, on_askpass_end, f);
        if (err < 0) fd_close(f->fd);
    }
    if (err < 0) {
        free(f);
        return err;
    }
    f->next = a->confirmations;
    a->confirmations = f;
    return 0;
}

static void take_questions(struct agent *a)
{
    struct agent_question q;
    while (agent_server_next(a->server, &q)) {
        if (q.kind != AGENT_QUESTION_CONFIRM) {
            agent_tokens_ask(a, &q);
            continue;
        }
        int err = ask_user(a, &q);
        if (err == 0) continue;
        log_error(&a->sink.log, "the use of a key cannot be confirmed: %s",
                  err == ERR_NOT_FOUND ? "no display, or no askpass program" : err_text(err));
        (void)!agent_server_answer(a->server, q.id, &(struct agent_answer){});
    }
}

/* ---- turns ---- */

void agent_flush(struct agent *a)
{
    bool any_gone = false;
    take_questions(a);
    for (struct connection **at = &a->connections; *at;) {
        struct connection *c = *at;
        write_answers(c);
        watch(c);
        if (!c->is_over && agent_client_error(c->client) == 0) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        connection_free(c);
        any_gone = true;
    }
    agent_tokens_sweep(a);
    take_questions(a); /* writing may have let more requests in */
    if (any_gone && a->accept_is_off) {
        a->accept_is_off = false;
        (void)!loop_fd_set(a->listen_watch, LOOP_READ);
    }
    loop_timer_set(a->timer, agent_server_deadline(a->server));
}

static void on_turn_end(void *arg) { agent_flush(arg); }
static void on_timer(void *arg) { agent_tick(arg); }

static void on_signal(void *arg, int number)
{
    struct agent *a = arg;
    if (number == SIGUSR1) {
        log_debug(&a->sink.log, "keys dropped on signal: %zu", agent_server_n_keys(a->server));
        agent_server_drop_keys(a->server);
    } else if (number != SIGINT || a->options.foreground) {
        loop_stop(a->loop, EXIT_BY_SIGNAL);
    }
}

static void on_parent_end(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct agent *a = arg;
    loop_stop(a->loop, 0);
}

static int watch_all(struct agent *a, pid_t parent)
{
    static const int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGUSR1 };
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) TRY(loop_signal(a->loop, signals[i], on_signal, a));
    TRY(loop_fd_new(a->loop, a->socket.fd, LOOP_READ, on_listener, a, &a->listen_watch));
    TRY(loop_timer_new(a->loop, on_timer, a, &a->timer));
    TRY(loop_at_turn_end(a->loop, on_turn_end, a));
    if (parent == 0) return 0;
    TRY(spawn_open_process(parent, &a->parent_fd));
    if (getppid() != parent) return ERR_CANCELLED; /* it has ended already, and its number may be another's */
    return loop_fd_new(a->loop, a->parent_fd, LOOP_READ, on_parent_end, a, &a->parent_watch);
}

static void serve_done(struct agent *a)
{
    for (struct connection *next, *c = a->connections; c; c = next) {
        next = c->next;
        connection_free(c);
    }
    for (struct confirmation *next, *f = a->confirmations; f; f = next) {
        next = f->next;
        fd_close(f->fd);
        free(f);
    }
    agent_tokens_done(a);
    loop_timer_free(a->timer);
    loop_fd_free(a->listen_watch);
    loop_fd_free(a->parent_watch);
    fd_close(a->parent_fd);
    loop_free(a->loop);
    agent_server_free(a->server);
}

int agent_serve(struct agent *a, pid_t parent)
{
    a->options.server.log = &a->sink.log;
    int status = agent_server_new(&a->options.server, &a->server);
    if (status == 0) status = loop_new(&a->loop);
    if (status == 0) status = watch_all(a, parent);
    if (status == 0) status = a->started(a);
    if (status == 0) status = loop_run(a->loop);
    if (status < 0) log_error(&a->sink.log, "ssh-agent: %s", err_text(status));
    serve_done(a);
    return status < 0 ? EXIT_REFUSED : status;
}
