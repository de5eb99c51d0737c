/* Tests of os/loop with pipes, files, timers, signals and children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/fd.h"
#include "os/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
    struct loop *l;
    struct loop_fd *w, *other;
    struct loop_timer *timer;
    int calls, stop_after;
    unsigned events;
    int value;
    char order[32];
};

static void on_fd(void *arg, int fd, unsigned events)
{
    struct seen *s = arg;
    char byte;
    size_t n;
    s->calls++;
    s->events = events;
    if ((events & LOOP_READ) && fd_read(fd, &byte, 1, &n) == 0) s->value = n ? byte : -1;
}

static void test_pipe_read_write_hangup(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    int p[2];
    struct seen r = { 0 }, w = { 0 };
    struct loop_fd *rw, *ww;
    assert_int_equal(loop_new(&l), 0);
    assert_int_equal(fd_pipe(p), 0);
    assert_int_equal(loop_fd_new(l, p[0], LOOP_READ, on_fd, &r, &rw), 0);
    assert_int_equal(loop_fd_new(l, p[1], 0, on_fd, &w, &ww), 0);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(r.calls + w.calls, 0);
    assert_int_equal(loop_fd_set(ww, LOOP_WRITE), 0);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.events, LOOP_WRITE);
    assert_int_equal(loop_fd_set(ww, 0), 0);
    assert_int_equal(write(p[1], "x", 1), 1);
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(r.calls, 1);
    assert_int_equal(r.value, 'x');
    assert_int_equal(w.calls, 1);
    /* The reader goes: the writer hears it once, though it waits for nothing, and the loop does not spin. */
    loop_fd_free(rw);
    fd_close(p[0]);
    for (int i = 0; i < 3; i++) assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(w.calls, 2);
    assert_int_equal(w.events, LOOP_HANGUP);
    /* And again when it asks. */
    assert_int_equal(loop_fd_set(ww, LOOP_WRITE), 0);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(w.calls, 3);
    assert_int_equal(w.events, LOOP_WRITE | LOOP_HANGUP);
    loop_fd_free(ww);
    fd_close(p[1]);
}

static void test_regular_file_is_always_ready(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    CLEANUP(fd_closep) int fd = -1;
    struct seen s = { 0 };
    struct loop_fd *w;
    char path[] = "/tmp/loop_test.XXXXXX";
    assert_int_equal(loop_new(&l), 0);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(loop_fd_new(l, fd, LOOP_READ, on_fd, &s, &w), 0);
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(s.calls, 2);
    assert_int_equal(s.value, -1);
    assert_int_equal(loop_fd_set(w, 0), 0);
    ms before = clock_now();
    assert_int_equal(loop_turn(l, 20), 0);
    assert_int_equal(s.calls, 2);
    assert_true(clock_now() - before >= 19);
    loop_fd_free(w);
}

static void free_both(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct seen *s = arg;
    s->calls++;
    loop_fd_free(s->w);
    loop_fd_free(s->other);
}

static void test_free_inside_callback(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    struct seen s = { 0 };
    int a[2], b[2];
    assert_int_equal(loop_new(&l), 0);
    assert_int_equal(fd_pipe(a), 0);
    assert_int_equal(fd_pipe(b), 0);
    assert_int_equal(loop_fd_new(l, a[0], LOOP_READ, free_both, &s, &s.w), 0);
    assert_int_equal(loop_fd_new(l, b[0], LOOP_READ, free_both, &s, &s.other), 0);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(s.calls, 1); /* both were ready, whoever came first took the other away */
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(s.calls, 1);
    int null = open("/etc/passwd", O_RDONLY);
    assert_int_equal(loop_fd_new(l, null, LOOP_READ, free_both, &s, &s.w), 0);
    assert_int_equal(loop_fd_new(l, a[1], 0, free_both, &s, &s.other), 0);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(s.calls, 2);
    int all[] = { a[0], a[1], b[0], b[1], null };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) fd_close(all[i]);
}

static void test_same_fd_twice(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    struct loop_fd *w, *again = NULL;
    int p[2];
    assert_int_equal(loop_new(&l), 0);
    assert_int_equal(fd_pipe(p), 0);
    assert_int_equal(loop_fd_new(l, p[0], LOOP_READ, on_fd, NULL, &w), 0);
    assert_int_equal(loop_fd_new(l, p[0], LOOP_READ, on_fd, NULL, &again), ERR_SYS(EEXIST));
    assert_null(again);
    assert_int_equal(loop_fd_new(l, 999, LOOP_READ, on_fd, NULL, &again), ERR_SYS(EBADF));
    loop_fd_free(w);
    loop_fd_free(NULL);
    fd_close(p[0]);
    fd_close(p[1]);
}

struct tick {
    struct seen *s;
    char name;
    struct loop_timer *t;
};

static void on_timer(void *arg)
{
    struct tick *t = arg;
    t->s->order[t->s->calls++] = t->name;
    if (t->s->calls == t->s->stop_after) loop_stop(t->s->l, 7);
}

static void test_timers_in_order(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    assert_int_equal(loop_new(&l), 0);
    struct seen s = { .l = l, .stop_after = 6 };
    static const int at[] = { 5, 3, 9, 1, 7, 3, 4 };
    struct tick t[ARRAY_LEN(at)];
    ms now = loop_now(l);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        t[i] = (struct tick){ &s, (char)('a' + i), NULL };
        assert_int_equal(loop_timer_new(l, on_timer, &t[i], &t[i].t), 0);
        loop_timer_set(t[i].t, now + at[i]);
    }
    loop_timer_set(t[4].t, MS_NEVER);
    loop_timer_set(t[2].t, now + 2);
    assert_int_equal(loop_run(l), 7);
    assert_int_equal(strlen(s.order), 6);
    assert_int_equal(s.order[0], 'd');
    assert_int_equal(s.order[1], 'c');
    assert_true(strncmp(s.order + 2, "bf", 2) == 0 || strncmp(s.order + 2, "fb", 2) == 0);
    assert_string_equal(s.order + 4, "ga");
    assert_true(clock_now() >= now + 5);
    for (size_t i = 0; i < ARRAY_LEN(at); i++) loop_timer_free(t[i].t);
}

static void again(void *arg)
{
    struct seen *s = arg;
    s->calls++;
    loop_timer_set(s->timer, loop_now(s->l));
}

static void test_timer_that_resets_itself_is_bounded(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    assert_int_equal(loop_new(&l), 0);
    struct seen s = { .l = l };
    assert_int_equal(loop_timer_new(l, again, &s, &s.timer), 0);
    loop_timer_set(s.timer, loop_now(l));
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(s.calls, 1);
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(s.calls, 2);
    loop_timer_free(s.timer);
    loop_timer_free(NULL);
}

static void test_many_random_timers(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    assert_int_equal(loop_new(&l), 0);
    struct seen s = { .l = l };
    struct tick t[30];
    unsigned seed = 1;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        t[i] = (struct tick){ &s, 'x', NULL };
        assert_int_equal(loop_timer_new(l, on_timer, &t[i], &t[i].t), 0);
    }
    for (int round = 0; round < 2000; round++) {
        seed = seed * 1103515245u + 12345u;
        size_t i = (seed >> 16) % ARRAY_LEN(t);
        loop_timer_set(t[i].t, (seed >> 8) % 4 ? loop_now(l) + 100000 + (ms)(seed >> 20) : MS_NEVER);
    }
    for (size_t i = 0; i < ARRAY_LEN(t); i++) loop_timer_set(t[i].t, loop_now(l));
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(s.calls, 30);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(s.calls, 30);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) loop_timer_free(t[i].t);
}

static void on_signal(void *arg, int number)
{
    struct seen *s = arg;
    s->calls++;
    s->value = number;
}

static bool is_blocked(int number)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    return sigismember(&now, number);
}

static void test_signals(UNUSED void **state)
{
    struct loop *l = NULL;
    struct seen s = { 0 };
    assert_int_equal(loop_new(&l), 0);
    assert_int_equal(loop_signal(l, SIGUSR1, on_signal, &s), 0);
    assert_int_equal(loop_signal(l, SIGUSR2, on_signal, &s), 0);
    assert_int_equal(loop_signal(l, 0, on_signal, &s), ERR_RANGE);
    kill(getpid(), SIGUSR1);
    assert_int_equal(s.calls, 0);
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.value, SIGUSR1);
    kill(getpid(), SIGUSR2);
    assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(s.value, SIGUSR2);
    assert_int_equal(loop_signal(l, SIGUSR2, NULL, NULL), 0);
    assert_false(is_blocked(SIGUSR2));
    assert_true(is_blocked(SIGUSR1));
    loop_free(l);
    assert_false(is_blocked(SIGUSR1));
}

static void on_child(void *arg, pid_t pid, int status)
{
    struct seen *s = arg;
    s->calls++;
    s->value = status;
    s->events = (unsigned)pid;
}

static void test_children(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    struct seen s = { 0 };
    assert_int_equal(loop_new(&l), 0);
    pid_t pid = fork();
    if (pid == 0) _exit(42);
    assert_int_equal(loop_child(l, pid, on_child, &s), 0);
    while (!s.calls) assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_int_equal(s.events, (unsigned)pid);
    assert_true(WIFEXITED(s.value) && WEXITSTATUS(s.value) == 42);
    pid = fork();
    if (pid == 0) pause();
    assert_int_equal(loop_child(l, pid, on_child, &s), 0);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(s.calls, 1);
    kill(pid, SIGKILL);
    while (s.calls < 2) assert_int_equal(loop_turn(l, MS_NEVER), 0);
    assert_true(WIFSIGNALED(s.value) && WTERMSIG(s.value) == SIGKILL);
    assert_int_equal(loop_child(l, pid, on_child, &s), ERR_SYS(ESRCH));
}

static void note(struct seen *s, char c) { s->order[strlen(s->order)] = c; }
static void at_end_1(void *arg) { note(arg, '1'); }
static void at_end_2(void *arg) { note(arg, '2'); }

static void later(void *arg)
{
    struct seen *s = arg;
    note(s, 'l');
    if (s->calls++ == 0) assert_int_equal(loop_later(s->l, later, s), 0);
}

static void test_hooks(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    assert_int_equal(loop_new(&l), 0);
    struct seen s = { .l = l };
    assert_int_equal(loop_at_turn_end(l, at_end_1, &s), 0);
    assert_int_equal(loop_at_turn_end(l, at_end_2, &s), 0);
    assert_int_equal(loop_later(l, later, &s), 0);
    assert_int_equal(loop_turn(l, MS_NEVER), 0); /* something is due: does not wait */
    assert_string_equal(s.order, "l12");
    assert_int_equal(loop_turn(l, MS_NEVER), 0); /* what was added during the turn belongs to the next */
    assert_string_equal(s.order, "l12l12");
    loop_forget(l, at_end_1, &s);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_string_equal(s.order, "l12l122");
    assert_int_equal(loop_later(l, later, &s), 0);
    loop_forget(l, later, &s);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_string_equal(s.order, "l12l1222");
}

static void nested(void *arg, int fd, UNUSED unsigned events)
{
    struct seen *s = arg;
    s->calls++;
    on_fd(s, fd, LOOP_READ);
    loop_fd_free(s->w);
    assert_int_equal(loop_turn(s->l, 0), 0);
}

static void test_nested_turn(UNUSED void **state)
{
    CLEANUP(loop_freep) struct loop *l = NULL;
    int p[2];
    assert_int_equal(loop_new(&l), 0);
    struct seen s = { .l = l };
    assert_int_equal(fd_pipe(p), 0);
    assert_int_equal(loop_fd_new(l, p[0], LOOP_READ, nested, &s, &s.w), 0);
    assert_int_equal(loop_at_turn_end(l, at_end_1, &s), 0);
    assert_int_equal(write(p[1], "xy", 2), 2);
    assert_int_equal(loop_turn(l, 0), 0);
    assert_int_equal(s.calls, 2);
    assert_string_equal(s.order, "11");
    fd_close(p[0]);
    fd_close(p[1]);
}

static void stop_on_signal(void *arg, int number) { loop_stop(arg, number); }
static void write_byte(void *arg) { (void)!write(*(int *)arg, "x", 1); }
static void stop_on_byte(void *arg, UNUSED int fd, UNUSED unsigned events) { loop_stop(arg, 1); }

/* In the child of a fork whose parent is gone, with the same loop: a signal, a timer and a descriptor still arrive. */
static int child_after_fork(struct loop *l, struct loop_timer *t)
{
    alarm(10);
    if (loop_forked(l) < 0) return 2;
    if (kill(getpid(), SIGUSR1) < 0 || loop_run(l) != SIGUSR1) return 3;
    loop_timer_set(t, loop_now(l) + 10);
    if (loop_run(l) != 1) return 4;
    return 0;
}

static void test_forked(UNUSED void **state)
{
    int status;
    pid_t outer = fork();
    assert_true(outer >= 0);
    if (outer == 0) {
        int p[2];
        struct loop *l;
        struct loop_fd *w;
        struct loop_timer *t;
        if (pipe(p) < 0 || loop_new(&l) < 0 || loop_signal(l, SIGUSR1, stop_on_signal, l) < 0) _exit(9);
        if (loop_fd_new(l, p[0], LOOP_READ, stop_on_byte, l, &w) < 0 || loop_timer_new(l, write_byte, &p[1], &t) < 0) _exit(9);
        if (loop_turn(l, 0) < 0) _exit(9);
        pid_t inner = fork();
        if (inner < 0) _exit(9);
        if (inner > 0) {
            /* Stays only to tell the result: the loop's descriptors are gone here. */
            loop_free(l);
            _exit(waitpid(inner, &status, 0) == inner && WIFEXITED(status) ? WEXITSTATUS(status) : 8);
        }
        _exit(child_after_fork(l, t));
    }
    assert_int_equal(waitpid(outer, &status, 0), outer);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forked),
        cmocka_unit_test(test_pipe_read_write_hangup),
        cmocka_unit_test(test_regular_file_is_always_ready),
        cmocka_unit_test(test_free_inside_callback),
        cmocka_unit_test(test_same_fd_twice),
        cmocka_unit_test(test_timers_in_order),
        cmocka_unit_test(test_timer_that_resets_itself_is_bounded),
        cmocka_unit_test(test_many_random_timers),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_children),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_nested_turn),
    };
    return cmocka_run_group_tests_name("os/loop", tests, NULL, NULL);
}
