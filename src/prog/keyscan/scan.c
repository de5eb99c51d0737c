/* Many connections on one loop. Each runs a key exchange for one type of key, up to the question whether the host key is good,
 * which is where it ends: the server has then proved that it has the key. Names are looked up one at a time and that waits, so the
 * others' limits are moved by as long as it took. */
#include "prog/keyscan/keyscan.h"

#include "io/algorithms.h"
#include "io/wire_io.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"
#include "os/sock.h"
#include "os/spawn.h"

#include <errno.h>
#include <stdlib.h>

enum {
    RESOLVE_NOTICED_MS = 20 /* shorter ones move nobody's limit */
};

/* A host: shared by its connections, one for each type of key. */
struct host {
    unsigned refs;
    struct target target;
    char *name; /* the one of target.addresses that has an address */
    struct sock_addrs addrs;
};

struct connection {
    struct connection *next, *prev;
    struct scan *scan;
    struct host *host;
    const struct keyscan_type *type;
    size_t next_addr;
    int fd; /* while connecting */
    struct loop_fd *watch;
    struct wire_io *wire;
    struct loop_timer *timer;
    ms deadline;
    bool is_over;
};

struct scan {
    const struct keyscan_options *options;
    struct log *log;
    struct loop *loop;
    struct algorithms algs;
    struct targets targets;
    struct host *host; /* the one whose types are being started; NULL: take the next */
    size_t next_type;
    struct connection *active, *over;
    size_t n_active, max_active;
    size_t n_found;
};

/* ---- hosts ---- */

static void host_unref(struct host *h)
{
    if (!h || --h->refs) return;
    target_done(&h->target);
    free(h->name);
    sock_addrs_done(&h->addrs);
    free(h);
}

static void move_deadlines(struct scan *s, ms by)
{
    if (by < RESOLVE_NOTICED_MS) return;
    for (struct connection *c = s->active; c; c = c->next) loop_timer_set(c->timer, c->deadline += by);
}

/* The first name of the list that has an address. */
static int resolve(struct scan *s, struct host *h)
{
    const struct keyscan_options *o = s->options;
    struct view rest = view_str(h->target.addresses), name;
    const struct sock_resolve how = { .family = o->family };
    int err = ERR_NOT_FOUND;
    while (err < 0 && view_next_in_list(&rest, &name)) {
        const char *why = NULL;
        ms begin = clock_now();
        free(h->name);
        h->name = view_dup_str(name);
        if (!h->name) return ERR_NOMEM;
        err = sock_resolve(h->name, o->port, &how, &h->addrs, &why);
        if (err < 0) log_error(s->log, "getaddrinfo %s: %s", h->name, why ? why : err_text(err));
        move_deadlines(s, clock_now() - begin);
    }
    return err;
}

/* ---- connections ---- */

static void connection_free(struct connection *c)
{
    loop_fd_free(c->watch);
    loop_timer_free(c->timer);
    wire_io_free(c->wire);
    fd_close(c->fd);
    host_unref(c->host);
    free(c);
}

/* Freed at the end of the turn: callbacks of its wire may be under way. */
static void finish(struct connection *c)
{
    struct scan *s = c->scan;
    if (c->is_over) return;
    c->is_over = true;
    if (c->next) c->next->prev = c->prev;
    *(c->prev ? &c->prev->next : &s->active) = c->next;
    c->next = s->over;
    s->over = c;
    s->n_active--;
}

static void alive(struct connection *c)
{
    c->deadline = clock_now() + (ms)c->scan->options->timeout_s * 1000;
    loop_timer_set(c->timer, c->deadline);
}

static int on_event(void *arg, const struct transport_event *e)
{
    struct connection *c = arg;
    alive(c);
    if (e->kind == TRANSPORT_PEER_IDENT) print_banner(c->scan->options, c->host->name, e->text);
    if (e->kind != TRANSPORT_HOST_KEY) return 0;
    if (print_key(c->scan->options, c->host->target.names, e->key))
        c->scan->n_found++;
    else
        log_error(c->scan->log, "%s: a %s key that cannot be printed so", c->host->name, c->type->name);
    wire_io_hold(c->wire, true);
    finish(c);
    return 0;
}

static void on_closed(void *arg, int err)
{
    struct connection *c = arg;
    log_debug(c->scan->log, "%s: no %s key: %s", c->host->name, c->type->name, err_text(err));
    finish(c);
}

static void on_timeout(void *arg)
{
    struct connection *c = arg;
    log_debug(c->scan->log, "%s: no %s key: nothing was heard for %d s", c->host->name, c->type->name, c->scan->options->timeout_s);
    finish(c);
}

static int make_transport(struct connection *c, struct transport **ret)
{
    const struct conf_algorithms *a = &c->scan->algs.conf;
    const char *host_keys = c->scan->options->certs ? c->type->cert : c->type->plain, *compression = algorithms_compression(false);
    const char *ciphers = a->supported[CONF_ALGS_CIPHERS], *macs = a->supported[CONF_ALGS_MACS];
    struct transport_config config = {
        .role = TRANSPORT_CLIENT,
        .ident = "SSH-2.0-Nacre_" NACRE_VERSION "-keyscan",
        .algorithms = { a->supported[CONF_ALGS_KEX], host_keys, ciphers, ciphers, macs, macs, compression, compression },
        .rnd = &os_random,
        .log = c->scan->log,
    };
    return transport_new(&config, loop_now(c->scan->loop), ret);
}

static int talk(struct connection *c)
{
    const struct wire_io_owner owner = { .event = on_event, .closed = on_closed, .arg = c };
    struct transport *t;
    loop_fd_free(c->watch);
    c->watch = NULL;
    TRY(make_transport(c, &t));
    int fd = c->fd;
    c->fd = -1;
    return wire_io_new(c->scan->loop, fd, fd, t, &owner, &c->wire);
}

static int dial(struct connection *c);

static void on_connected(void *arg, int fd, UNUSED unsigned events)
{
    struct connection *c = arg;
    int err = sock_connect_result(fd);
    if (err == 0) err = talk(c);
    if (err == 0) return;
    log_debug(c->scan->log, "%s: %s", c->host->name, err_text(err));
    if (err_is_sys(err)) err = dial(c); /* its next address */
    if (err < 0) finish(c);
}

/* The next address of the host. */
static int dial(struct connection *c)
{
    static const struct sock_connect how = { .tos = -1 };
    int err = ERR_NOT_FOUND;
    loop_fd_free(c->watch);
    c->watch = NULL;
    fd_close(c->fd);
    c->fd = -1;
    while (c->next_addr < c->host->addrs.n) {
        err = sock_connect_start(&c->host->addrs.v[c->next_addr++], &how, &c->fd);
        if (err == 0 || err == ERR_AGAIN) break;
        log_debug(c->scan->log, "%s: %s", c->host->name, err_text(err));
    }
    if (err < 0 && err != ERR_AGAIN) return err;
    return loop_fd_new(c->scan->loop, c->fd, LOOP_WRITE, on_connected, c, &c->watch);
}

static int connect_to(struct scan *s, struct host *h, const struct keyscan_type *type)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c) return ERR_NOMEM;
    *c = (struct connection){ .scan = s, .host = h, .type = type, .fd = -1, .next = s->active };
    h->refs++;
    if (s->active) s->active->prev = c;
    s->active = c;
    s->n_active++;
    int err = loop_timer_new(s->loop, on_timeout, c, &c->timer);
    if (err == 0) alive(c);
    if (err == 0) err = dial(c);
    if (err < 0) finish(c);
    return err == ERR_NOMEM ? err : 0; /* other failures are this connection's own */
}

/* ---- the whole ---- */

static int next_host(struct scan *s)
{
    struct target target;
    if (!targets_next(&s->targets, &target)) return s->targets.err < 0 ? s->targets.err : ERR_NOT_FOUND;
    struct host *h = calloc(1, sizeof(*h));
    if (!h) {
        target_done(&target);
        return ERR_NOMEM;
    }
    *h = (struct host){ .refs = 1, .target = target };
    s->host = h;
    s->next_type = 0;
    int err = resolve(s, h);
    if (err == 0 || err == ERR_NOMEM) return err;
    host_unref(s->host);
    s->host = NULL;
    return 0;
}

/* Starts as many as may be at once. */
static int fill(struct scan *s)
{
    while (s->n_active < s->max_active) {
        if (!s->host) {
            TRY(next_host(s));
            continue;
        }
        if (s->next_type == KEYSCAN_TYPES) {
            host_unref(s->host);
            s->host = NULL;
            continue;
        }
        size_t type = s->next_type++;
        if (s->options->types & 1u << type) TRY(connect_to(s, s->host, &keyscan_types[type]));
    }
    return 0;
}

static void on_turn_end(void *arg)
{
    struct scan *s = arg;
    while (s->over) {
        struct connection *c = s->over;
        s->over = c->next;
        connection_free(c);
    }
    int err = fill(s);
    fflush(stdout);
    if (err < 0 && err != ERR_NOT_FOUND)
        loop_stop(s->loop, err);
    else if (s->n_active == 0 && !s->over)
        loop_stop(s->loop, 0);
    else if (s->over)
        (void)!loop_later(s->loop, on_turn_end, s);
}

static int set_up(struct scan *s)
{
    rlim_t files;
    TRY(spawn_raise_files(&files));
    s->max_active = files > KEYSCAN_FDS_KEPT ? MIN((size_t)files - KEYSCAN_FDS_KEPT, (size_t)KEYSCAN_PARALLEL_MAX) : 1;
    TRY(algorithms_init(&s->algs, ALGORITHMS_CLIENT));
    TRY(loop_new(&s->loop));
    TRY(loop_turn(s->loop, 0));
    return loop_at_turn_end(s->loop, on_turn_end, s);
}

int scan_all(const struct keyscan_options *o, struct log *log)
{
    struct scan s = { .options = o, .log = log, .targets = { .options = o } };
    int err = set_up(&s);
    if (err == 0) err = loop_later(s.loop, on_turn_end, &s);
    if (err == 0) err = loop_run(s.loop);
    if (err < 0 && !s.targets.err) log_error(log, "ssh-keyscan: %s", err_text(err));
    while (s.active) finish(s.active);
    while (s.over) {
        struct connection *c = s.over;
        s.over = c->next;
        connection_free(c);
    }
    host_unref(s.host);
    targets_done(&s.targets);
    loop_free(s.loop);
    algorithms_done(&s.algs);
    return err < 0 ? EXIT_FATAL : s.n_found ? EXIT_FOUND : EXIT_NOTHING;
}
