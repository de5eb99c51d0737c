/* A source of random bytes as an object, so that engines can be given a fixed one in tests. os/random.h has the real one. */
#pragma once

#include "base/err.h"

struct random {
    int (*fill)(void *arg, uint8_t *ret_bytes, size_t len); /* all len bytes or an error */
    void *arg;
};

MUST_USE static inline int random_fill(const struct random *r, void *ret_bytes, size_t len)
{
    return r->fill(r->arg, ret_bytes, len);
}
