/* Names to addresses beside a loop: the resolver of the C library waits, so each question is asked by a copy of the process
 * (spawn_aside). Questions for the same name at the same time are one. */
#pragma once

#include "os/loop.h"
#include "os/sock.h"

struct lookups;
int lookups_new(struct loop *loop, struct lookups **ret) MUST_USE;
void lookups_free(struct lookups *l); /* nobody is answered any more */
DEFINE_FREEP(struct lookups, lookups_free)

enum {
    LOOKUPS_AT_ONCE = 8, /* processes; further questions wait for one of them to end */
};
/* addrs, lent, in the order to try them, with port 0. On failure (err < 0) it is empty, and why is the resolver's sentence. */
typedef void lookup_fn(void *arg, int err, const char *why, const struct sock_addrs *addrs);
/* fn is called once, later. family as in sock_resolve. */
int lookups_ask(struct lookups *l, const char *host, int family, lookup_fn *fn, void *arg) MUST_USE;
/* Whatever was asked with this arg is not answered. */
void lookups_forget(struct lookups *l, const void *arg);
