/* The event loop on epoll. Changed interests are kept until the next wait, so that switching one on and off again within a turn
 * costs nothing. What is freed inside a callback stays in memory until the outermost turn ends: events already fetched for it are
 * then dropped. */
#include "os/loop.h"
#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Most fds that are served in one turn; the others stay ready and epoll gives them first in the next one. */
enum {
    TURN_EVENTS = 64,
    TURN_SIGNALS = 16
};

struct loop_fd {
    TAILQ_ENTRY(loop_fd) link;       /* in loop.fds, loop.always or, dead, loop.graves */
    TAILQ_ENTRY(loop_fd) dirty_link; /* in loop.dirty */
    struct loop *loop;
    loop_fd_fn *fn;
    void *arg;
    int fd;
    unsigned events; /* wanted */
    unsigned kernel; /* what epoll was told */
    uint64_t born_turn;
    bool always; /* epoll refuses it: always ready */
    bool dirty, dead;
    bool in_epoll; /* taken out after a hangup that nobody reads away */
};
TAILQ_HEAD(fd_list, loop_fd);

struct loop_timer {
    struct loop *loop;
    loop_timer_fn *fn;
    void *arg;
    ms at;
    size_t idx; /* in the heap; SIZE_MAX: not set */
};

struct hook {
    loop_turn_fn *fn; /* NULL: forgotten */
    void *arg;
};
struct hooks {
    struct hook *v;
    size_t n, cap;
};

struct child {
    LIST_ENTRY(child) link;
    struct loop *loop;
    struct loop_fd *watch;
    loop_child_fn *fn;
    void *arg;
    pid_t pid;
    int pidfd;
};

struct loop {
    int epoll_fd;
    ms now;
    uint64_t turn;
    int depth; /* of nested turns */
    bool stopped;
    int stop_value;

    struct fd_list fds, always, dirty, graves;
    size_t always_wanted; /* always-ready ones with events */

    struct loop_timer **heap;
    size_t heap_n, heap_cap;

    struct hooks at_end, later;

    int signal_fd;
    struct loop_fd *signal_watch;
    sigset_t signals;
    struct {
        loop_signal_fn *fn;
        void *arg;
    } on_signal[_NSIG];
    LIST_HEAD(, child) children;
};

/* --- fds --- */

static uint32_t epoll_bits(unsigned events) { return (events & LOOP_READ ? EPOLLIN : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0); }

static int control(struct loop_fd *w, int op, unsigned events)
{
    struct epoll_event e = { .events = epoll_bits(events), .data.ptr = w };
    if (epoll_ctl(w->loop->epoll_fd, op, w->fd, &e) < 0) return ERR_SYS(errno);
    w->kernel = events;
    return 0;
}

int loop_fd_new(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *arg, struct loop_fd **ret)
{
    CLEANUP(freep) struct loop_fd *w = calloc(1, sizeof *w);
    if (!w) return ERR_NOMEM;
    *w = (struct loop_fd){
        .loop = l, .fn = fn, .arg = arg, .fd = fd, .events = events & (LOOP_READ | LOOP_WRITE), .born_turn = l->turn
    };
    int err = control(w, EPOLL_CTL_ADD, w->events);
    w->always = err == ERR_SYS(EPERM);
    if (err < 0 && !w->always) return err;
    w->in_epoll = !w->always;
    if (w->always) {
        TAILQ_INSERT_TAIL(&l->always, w, link);
        if (w->events) l->always_wanted++;
    } else
        TAILQ_INSERT_TAIL(&l->fds, w, link);
    *ret = TAKE(w);
    return 0;
}

int loop_fd_set(struct loop_fd *w, unsigned events)
{
    struct loop *l = w->loop;
    events &= LOOP_READ | LOOP_WRITE;
    if (w->always) l->always_wanted += (size_t)(events != 0) - (size_t)(w->events != 0);
    w->events = events;
    if (w->always || w->dirty || (w->in_epoll && w->kernel == events)) return 0;
    w->dirty = true;
    TAILQ_INSERT_TAIL(&l->dirty, w, dirty_link);
    return 0;
}

static int apply_changes(struct loop *l)
{
    struct loop_fd *w;
    while ((w = TAILQ_FIRST(&l->dirty))) {
        TAILQ_REMOVE(&l->dirty, w, dirty_link);
        w->dirty = false;
        if (w->in_epoll && w->kernel == w->events) continue;
        if (!w->in_epoll && !w->events) continue;
        TRY(control(w, w->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->events));
        w->in_epoll = true;
    }
    return 0;
}

static void leave_epoll(struct loop_fd *w)
{
    if (w->in_epoll) (void)epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->in_epoll = false;
    w->kernel = 0;
}

void loop_fd_free(struct loop_fd *w)
{
    if (!w) return;
    struct loop *l = w->loop;
    CHECK(!w->dead);
    leave_epoll(w);
    if (w->dirty) TAILQ_REMOVE(&l->dirty, w, dirty_link);
    if (w->always && w->events) l->always_wanted--;
    w->dead = true;
    /* A walk over `always` may stand on it, so it is unlinked when nobody walks. */
    if (l->depth > 0 && w->always) return;
    TAILQ_REMOVE(w->always ? &l->always : &l->fds, w, link);
    if (l->depth > 0)
        TAILQ_INSERT_TAIL(&l->graves, w, link);
    else
        free(w);
}

static void bury(struct loop *l)
{
    struct loop_fd *w, *next;
    for (w = TAILQ_FIRST(&l->graves); w; w = next) {
        next = TAILQ_NEXT(w, link);
        free(w);
    }
    TAILQ_INIT(&l->graves);
    for (w = TAILQ_FIRST(&l->always); w; w = next) {
        next = TAILQ_NEXT(w, link);
        if (!w->dead) continue;
        TAILQ_REMOVE(&l->always, w, link);
        free(w);
    }
}

/* After a hangup a read or write does not block, so whoever waits for one is told that it can go ahead. */
static void dispatch_fd(struct loop_fd *w, uint32_t got)
{
    if (w->dead) return;
    bool hangup = got & (EPOLLHUP | EPOLLERR);
    unsigned ready = (got & EPOLLIN ? LOOP_READ : 0) | (got & EPOLLOUT ? LOOP_WRITE : 0);
    ready = hangup ? w->events | LOOP_HANGUP : ready & w->events;
    if (!ready) return;
    /* epoll would repeat it without end; it comes back with the next loop_fd_set that wants something. */
    if (hangup && !w->events) leave_epoll(w);
    w->fn(w->arg, w->fd, ready);
}

static void dispatch_always(struct loop *l, uint64_t turn)
{
    struct loop_fd *w;
    TAILQ_FOREACH(w, &l->always, link)
    {
        if (!w->dead && w->events && w->born_turn < turn) w->fn(w->arg, w->fd, w->events);
    }
}

/* --- timers: a binary heap by time --- */

static void heap_put(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->idx = i;
}

static void heap_fix(struct loop *l, size_t i)
{
    struct loop_timer *t = l->heap[i];
    for (; i > 0 && l->heap[(i - 1) / 2]->at > t->at; i = (i - 1) / 2) heap_put(l, i, l->heap[(i - 1) / 2]);
    for (size_t kid; (kid = 2 * i + 1) < l->heap_n; i = kid) {
        if (kid + 1 < l->heap_n && l->heap[kid + 1]->at < l->heap[kid]->at) kid++;
        if (l->heap[kid]->at >= t->at) break;
        heap_put(l, i, l->heap[kid]);
    }
    heap_put(l, i, t);
}

static void timer_off(struct loop_timer *t)
{
    struct loop *l = t->loop;
    size_t i = t->idx;
    if (i == SIZE_MAX) return;
    t->idx = SIZE_MAX;
    struct loop_timer *last = l->heap[--l->heap_n];
    if (last == t) return;
    heap_put(l, i, last);
    heap_fix(l, i);
}

/* Room in the heap for every timer is made here, so that setting one cannot fail. */
int loop_timer_new(struct loop *l, loop_timer_fn *fn, void *arg, struct loop_timer **ret)
{
    struct loop_timer *t = calloc(1, sizeof *t);
    if (!t) return ERR_NOMEM;
    struct loop_timer **heap = reallocarray(l->heap, l->heap_cap + 1, sizeof(struct loop_timer *));
    if (!heap) {
        free(t);
        return ERR_NOMEM;
    }
    l->heap = heap;
    l->heap_cap++;
    *t = (struct loop_timer){ .loop = l, .fn = fn, .arg = arg, .at = MS_NEVER, .idx = SIZE_MAX };
    *ret = t;
    return 0;
}

void loop_timer_set(struct loop_timer *t, ms at)
{
    struct loop *l = t->loop;
    t->at = at;
    if (at == MS_NEVER) {
        timer_off(t);
        return;
    }
    if (t->idx == SIZE_MAX) {
        CHECK(l->heap_n < l->heap_cap);
        heap_put(l, l->heap_n++, t);
    }
    heap_fix(l, t->idx);
}

void loop_timer_free(struct loop_timer *t)
{
    if (!t) return;
    timer_off(t);
    t->loop->heap_cap--;
    free(t);
}

static void dispatch_timers(struct loop *l)
{
    /* One that sets itself to a time already past has its next call in this turn at most as often as there are timers. */
    for (size_t left = l->heap_n; left > 0 && l->heap_n > 0 && l->heap[0]->at <= l->now; left--) {
        struct loop_timer *t = l->heap[0];
        timer_off(t);
        t->fn(t->arg);
    }
}

/* --- signals and children --- */

static void on_signal_fd(void *arg, int fd, UNUSED unsigned events)
{
    struct loop *l = arg;
    struct signalfd_siginfo info;
    size_t n;
    /* One at a time: a handler may execute a new program, which then still gets those that wait in the kernel. */
    for (int i = 0; i < TURN_SIGNALS; i++) {
        if (fd_read(fd, &info, sizeof info, &n) < 0) return;
        uint32_t number = info.ssi_signo;
        if (number < _NSIG && l->on_signal[number].fn) l->on_signal[number].fn(l->on_signal[number].arg, (int)number);
    }
}

static int signals_apply(struct loop *l)
{
    int fd = signalfd(l->signal_fd, &l->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return ERR_SYS(errno);
    l->signal_fd = fd;
    if (l->signal_watch) return 0;
    return loop_fd_new(l, fd, LOOP_READ, on_signal_fd, l, &l->signal_watch);
}

int loop_signal(struct loop *l, int signal, loop_signal_fn *fn, void *arg)
{
    if (signal <= 0 || signal >= _NSIG) return ERR_RANGE;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal);
    if (fn)
        sigaddset(&l->signals, signal);
    else
        sigdelset(&l->signals, signal);
    /* Blocked before the fd listens and unblocked after it stopped: no moment in which the signal finds nobody. */
    if (fn && sigprocmask(SIG_BLOCK, &one, NULL) < 0) return ERR_SYS(errno);
    TRY(signals_apply(l));
    l->on_signal[signal].fn = fn;
    l->on_signal[signal].arg = arg;
    if (fn) return 0;
    struct sigaction by_default = { .sa_handler = SIG_DFL };
    if (sigaction(signal, &by_default, NULL) < 0 || sigprocmask(SIG_UNBLOCK, &one, NULL) < 0) return ERR_SYS(errno);
    return 0;
}

/* The epoll set is shared with the parent and outlives it. But a signalfd in it wakes it for signals of the process that put it
 * there. */
int loop_forked(struct loop *l)
{
    if (!l->signal_watch) return 0;
    leave_epoll(l->signal_watch);
    TRY(control(l->signal_watch, EPOLL_CTL_ADD, l->signal_watch->events));
    l->signal_watch->in_epoll = true;
    return 0;
}

static void child_free(struct child *c)
{
    LIST_REMOVE(c, link);
    loop_fd_free(c->watch);
    fd_close(c->pidfd);
    free(c);
}

static void on_child_end(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct child *c = arg;
    int status;
    pid_t got;
    do got = waitpid(c->pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got == 0) return;
    if (got < 0) status = 255 << 8; /* somebody else has waited for it: its end is all that is known */
    loop_child_fn *fn = c->fn;
    void *fn_arg = c->arg;
    pid_t pid = c->pid;
    child_free(c);
    fn(fn_arg, pid, status);
}

int loop_child(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg)
{
    CLEANUP(freep) struct child *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    CLEANUP(fd_closep) int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) return ERR_SYS(errno);
    TRY(loop_fd_new(l, pidfd, LOOP_READ, on_child_end, c, &c->watch));
    c->loop = l;
    c->fn = fn;
    c->arg = arg;
    c->pid = pid;
    c->pidfd = fd_take(&pidfd);
    LIST_INSERT_HEAD(&l->children, c, link);
    c = NULL;
    return 0;
}

/* --- hooks --- */

static int hooks_add(struct hooks *h, loop_turn_fn *fn, void *arg)
{
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 8;
        struct hook *v = reallocarray(h->v, cap, sizeof *v);
        if (!v) return ERR_NOMEM;
        h->v = v;
        h->cap = cap;
    }
    h->v[h->n++] = (struct hook){ fn, arg };
    return 0;
}

static void hooks_drop_first(struct hooks *h, size_t n)
{
    h->n -= n;
    memmove(h->v, h->v + n, h->n * sizeof *h->v);
}

static void hooks_forget(struct hooks *h, loop_turn_fn *fn, void *arg)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].fn == fn && h->v[i].arg == arg) h->v[i].fn = NULL;
}

/* The first n, by index, since a call may add others and so move the vector. */
static void hooks_run(struct hooks *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hook one = h->v[i];
        if (one.fn) one.fn(one.arg);
    }
}

static void hooks_pack(struct hooks *h)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].fn) h->v[kept++] = h->v[i];
    h->n = kept;
}

int loop_at_turn_end(struct loop *l, loop_turn_fn *fn, void *arg) { return hooks_add(&l->at_end, fn, arg); }
int loop_later(struct loop *l, loop_turn_fn *fn, void *arg) { return hooks_add(&l->later, fn, arg); }

void loop_forget(struct loop *l, loop_turn_fn *fn, void *arg)
{
    hooks_forget(&l->at_end, fn, arg);
    hooks_forget(&l->later, fn, arg);
}

/* What is added while these run belongs to the next turn. Each is taken out before its call, so that a nested turn does not repeat
 * it. */
static void run_later(struct loop *l)
{
    for (size_t left = l->later.n; left > 0 && l->later.n > 0; left--) {
        struct hook one = l->later.v[0];
        hooks_drop_first(&l->later, 1);
        if (one.fn) one.fn(one.arg);
    }
}

/* --- turns --- */

static int wait_ms(const struct loop *l, ms timeout_ms)
{
    if (l->always_wanted || l->later.n) return 0;
    if (l->heap_n) {
        ms now = clock_now(), left = l->heap[0]->at > now ? l->heap[0]->at - now : 0;
        timeout_ms = MIN(timeout_ms, left);
    }
    return timeout_ms == MS_NEVER ? -1 : (int)MIN(timeout_ms, (ms)INT32_MAX);
}

int loop_turn(struct loop *l, ms timeout_ms)
{
    struct epoll_event events[TURN_EVENTS];
    TRY(apply_changes(l));
    int n = epoll_wait(l->epoll_fd, events, TURN_EVENTS, wait_ms(l, timeout_ms));
    if (n < 0 && errno != EINTR) return ERR_SYS(errno);
    l->now = clock_now();
    uint64_t turn = ++l->turn;
    l->depth++;
    for (int i = 0; i < n; i++) dispatch_fd(events[i].data.ptr, events[i].events);
    if (l->always_wanted) dispatch_always(l, turn);
    dispatch_timers(l);
    run_later(l);
    hooks_run(&l->at_end, l->at_end.n);
    if (--l->depth == 0) {
        bury(l);
        hooks_pack(&l->at_end);
    }
    return 0;
}

int loop_run(struct loop *l)
{
    l->stopped = false;
    while (!l->stopped) TRY(loop_turn(l, MS_NEVER));
    return l->stop_value;
}

void loop_stop(struct loop *l, int value)
{
    l->stopped = true;
    l->stop_value = value;
}

ms loop_now(const struct loop *l) { return l->now; }

int loop_new(struct loop **ret)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l) return ERR_NOMEM;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        int err = ERR_SYS(errno);
        free(l);
        return err;
    }
    l->signal_fd = -1;
    l->now = clock_now();
    sigemptyset(&l->signals);
    TAILQ_INIT(&l->fds);
    TAILQ_INIT(&l->always);
    TAILQ_INIT(&l->dirty);
    TAILQ_INIT(&l->graves);
    LIST_INIT(&l->children);
    *ret = l;
    return 0;
}

static void free_all(struct fd_list *list)
{
    struct loop_fd *w;
    while ((w = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, w, link);
        free(w);
    }
}

/* Does not touch the epoll set but by closing it, so a forked child may free its copy without disturbing the parent. Timers belong
 * to whoever made them and must be freed before. */
void loop_free(struct loop *l)
{
    if (!l) return;
    CHECK(l->depth == 0);
    fd_close(l->epoll_fd);
    fd_close(l->signal_fd);
    struct child *c;
    while ((c = LIST_FIRST(&l->children))) {
        LIST_REMOVE(c, link);
        fd_close(c->pidfd);
        free(c);
    }
    free_all(&l->fds);
    free_all(&l->always);
    free_all(&l->graves);
    sigprocmask(SIG_UNBLOCK, &l->signals, NULL);
    free(l->heap);
    free(l->at_end.v);
    free(l->later.v);
    free(l);
}
