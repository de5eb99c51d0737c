/* For the unit tests of crypto/: random sources that give the same in every run. */
#pragma once

#include "base/random.h"
#include "base/view.h"

/* n, n + 1, ... */
static inline int fill_counting(void *arg, uint8_t *ret_bytes, size_t len)
{
    uint8_t *next = arg;
    for (size_t i = 0; i < len; i++) ret_bytes[i] = (*next)++;
    return 0;
}

/* The top bytes of a linear congruential generator (Knuth's MMIX). */
static inline int fill_lcg(void *arg, uint8_t *ret_bytes, size_t len)
{
    uint64_t *state = arg;
    for (size_t i = 0; i < len; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        ret_bytes[i] = (uint8_t)(*state >> 56);
    }
    return 0;
}

static inline int fill_same(void *arg, uint8_t *ret_bytes, size_t len)
{
    memset(ret_bytes, *(uint8_t *)arg, len);
    return 0;
}

static inline int fill_fails(void *arg UNUSED, uint8_t *ret_bytes UNUSED, size_t len UNUSED) { return ERR_LIMIT; }
