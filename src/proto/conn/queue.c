/* Bounded pools and their queues. An entry's index is stable while it is used, so that it can be part of a number given to an
 * owner. */
#include "proto/conn/queue.h"

#include <stdlib.h>
#include <string.h>

enum {
    POOL_FIRST = 8
};

uint32_t bits_lowest_free(const uint64_t *words, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 64) {
        uint64_t free_bits = ~words[i / 64];
        if (free_bits) return MIN(n, i + (uint32_t)__builtin_ctzll(free_bits));
    }
    return n;
}

uint32_t bits_next_used(const uint64_t *words, uint32_t n, uint32_t from)
{
    if (from >= n) return n;
    uint64_t word = words[from / 64] & (~UINT64_C(0) << (from % 64));
    for (uint32_t i = from / 64 * 64;;) {
        if (word) return MIN(n, i + (uint32_t)__builtin_ctzll(word));
        i += 64;
        if (i >= n) return n;
        word = words[i / 64];
    }
}

void pool_done(struct pool *p)
{
    for (uint32_t i = 0; i < p->cap; i++) free(p->at[i].data);
    free(p->at);
    *p = (struct pool){ .max = p->max };
}

int pool_grow(struct pool *p, uint32_t n)
{
    if (n > p->max) return ERR_LIMIT;
    uint32_t cap = p->cap ? p->cap : POOL_FIRST;
    while (cap < n) cap *= 2;
    cap = MIN(cap, p->max);
    if (cap <= p->cap) return 0;
    struct pending *at = realloc(p->at, cap * sizeof(*at));
    if (!at) return ERR_NOMEM;
    memset(at + p->cap, 0, (cap - p->cap) * sizeof(*at));
    p->at = at;
    p->cap = cap;
    return 0;
}

int pool_take(struct pool *p, uint32_t *ret_idx)
{
    uint32_t idx = bits_lowest_free(p->used, p->cap);
    if (idx == p->cap) TRY(pool_grow(p, p->cap + 1));
    bits_set(p->used, idx);
    struct pending *e = &p->at[idx];
    *e = (struct pending){ .next = PENDING_NONE, .value = e->value };
    *ret_idx = idx;
    return 0;
}

void pool_put(struct pool *p, uint32_t idx)
{
    free(p->at[idx].data);
    p->at[idx].data = NULL;
    p->at[idx].data_len = 0;
    bits_clear(p->used, idx);
}

bool pool_has(const struct pool *p, uint32_t idx) { return idx < p->cap && bits_has(p->used, idx); }

void fifo_push(struct pool *p, struct fifo *f, uint32_t idx)
{
    p->at[idx].next = PENDING_NONE;
    if (f->head == PENDING_NONE)
        f->head = idx;
    else
        p->at[f->tail].next = idx;
    f->tail = idx;
}

bool fifo_pop(struct pool *p, struct fifo *f, uint32_t *ret_idx)
{
    uint32_t idx = f->head;
    if (idx == PENDING_NONE) return false;
    f->head = p->at[idx].next;
    if (f->head == PENDING_NONE) f->tail = PENDING_NONE;
    pool_put(p, idx);
    *ret_idx = idx;
    return true;
}
