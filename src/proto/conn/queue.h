/* Things that wait their turn: first-in first-out queues whose entries come from one bounded pool of the connection. Used for the
 * peer's requests that we have not answered (questions) and for our own that the peer has not answered (replies). Knows nothing of
 * messages. */
#pragma once

#include "base/err.h"

#define PENDING_NONE UINT32_MAX
enum {
    POOL_MAX = 4096
};

struct pending {
    uint32_t next;     /* in its queue, PENDING_NONE at the end */
    uint32_t value;    /* replies: the owner's tag; questions: the number the owner knows it by. Kept when the entry is free */
    uint32_t channel;  /* CHANNEL_NONE: global */
    bool answered, ok; /* questions: the answer is here and waits for earlier ones */
    bool is_dropped;   /* free, because its channel went away before the answer */
    uint32_t data_len;
    uint8_t *data; /* owned; of an answer that waits */
};

struct pool {
    struct pending *at;
    uint32_t cap, max; /* entries there are; max <= POOL_MAX */
    uint64_t used[POOL_MAX / 64];
};
struct fifo {
    uint32_t head, tail;
};
#define FIFO_EMPTY ((struct fifo){ PENDING_NONE, PENDING_NONE })

/* Frees everything; the pool is empty and usable again. */
void pool_done(struct pool *p);
/* Makes room for n entries. ERR_LIMIT past max, ERR_NOMEM. */
int pool_grow(struct pool *p, uint32_t n) MUST_USE;
/* Takes the lowest free entry, without a queue yet. ERR_LIMIT when all max are used, ERR_NOMEM. */
int pool_take(struct pool *p, uint32_t *ret_idx) MUST_USE;
/* Gives back an entry that is in no queue. */
void pool_put(struct pool *p, uint32_t idx);
bool pool_has(const struct pool *p, uint32_t idx);

void fifo_push(struct pool *p, struct fifo *f, uint32_t idx);
/* Takes the first out of the queue and gives it back to the pool: false when there is none. What is left of it (value, channel)
 * may be read until the next pool_take. */
bool fifo_pop(struct pool *p, struct fifo *f, uint32_t *ret_idx);

/* The lowest bit that is 0 of the first n, n when there is none. */
uint32_t bits_lowest_free(const uint64_t *words, uint32_t n);
/* The lowest bit >= from that is 1 of the first n, n when there is none. */
uint32_t bits_next_used(const uint64_t *words, uint32_t n, uint32_t from);
static inline bool bits_has(const uint64_t *words, uint32_t i) { return words[i / 64] >> (i % 64) & 1; }
static inline void bits_set(uint64_t *words, uint32_t i) { words[i / 64] |= UINT64_C(1) << (i % 64); }
static inline void bits_clear(uint64_t *words, uint32_t i) { words[i / 64] &= ~(UINT64_C(1) << (i % 64)); }
