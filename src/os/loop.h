/* One event loop per process, one thread. A turn: wait, read the clock once, call what is ready, then the turn's end hooks (where
 * engines flush). Nothing else in the project waits.
 * Regular files (which epoll refuses) count as always ready. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct loop;
struct loop_fd;
struct loop_timer;

int loop_new(struct loop **ret) MUST_USE;
void loop_free(struct loop *l); /* closes no fd that was watched; watches and timers are freed before */
DEFINE_FREEP(struct loop, loop_free)

/* Turns until loop_stop. Gives loop_stop's value, or an error of the waiting itself. */
int loop_run(struct loop *l) MUST_USE;
/* One turn, waiting at most timeout_ms (0: not at all; MS_NEVER). */
int loop_turn(struct loop *l, ms timeout_ms) MUST_USE;
void loop_stop(struct loop *l, int value);
/* The clock as it was read at the start of this turn. */
ms loop_now(const struct loop *l);

enum {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4 /* reported always */
};
typedef void loop_fd_fn(void *arg, int fd, unsigned events);
/* Watches fd, which the caller keeps open until loop_fd_free. events 0: nothing but hangups for now. */
int loop_fd_new(struct loop *l, int fd, unsigned events, loop_fd_fn *fn, void *arg, struct loop_fd **ret) MUST_USE;
int loop_fd_set(struct loop_fd *w, unsigned events) MUST_USE; /* costs a system call only on change */
void loop_fd_free(struct loop_fd *w); /* NULL is fine; safe from inside any callback, no call comes afterwards */

typedef void loop_timer_fn(void *arg);
/* A timer that is not set. */
int loop_timer_new(struct loop *l, loop_timer_fn *fn, void *arg, struct loop_timer **ret) MUST_USE;
void loop_timer_set(struct loop_timer *t, ms at); /* on loop_now's clock; MS_NEVER: off. Fires once, is then off. */
void loop_timer_free(struct loop_timer *t);

/* Signals arrive as calls (signalfd; the signal is blocked). One function per signal; fn NULL: back to the default action,
 * unblocked. */
typedef void loop_signal_fn(void *arg, int signal);
int loop_signal(struct loop *l, int signal, loop_signal_fn *fn, void *arg) MUST_USE;
/* In the child of a fork whose parent ends without another turn: watches go on there as they are, signals must be listened for
 * anew. */
int loop_forked(struct loop *l) MUST_USE;
/* A child's end (by pidfd). status as waitpid's. Called once, then forgotten. */
typedef void loop_child_fn(void *arg, pid_t pid, int status);
int loop_child(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg) MUST_USE;

/* At the end of every turn, in the order they were added. */
typedef void loop_turn_fn(void *arg);
int loop_at_turn_end(struct loop *l, loop_turn_fn *fn, void *arg) MUST_USE;
/* Runs fn once at the end of this turn's calls, before the turn-end hooks. */
int loop_later(struct loop *l, loop_turn_fn *fn, void *arg) MUST_USE;
/* Takes out all of the two kinds above that have this fn and arg. Safe from inside any callback. */
void loop_forget(struct loop *l, loop_turn_fn *fn, void *arg);
