/* A growable byte queue that owns its memory: filled at the back, consumed from the front. Each is made with the most
 * it may ever hold, so that a peer can fill a limit, never the machine. */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct buf {
    uint8_t *base;
    size_t off;  /* first live byte */
    size_t end;  /* behind the last live byte */
    size_t cap;  /* allocated */
    size_t max;  /* most live bytes ever */
    bool secret; /* wiped when it moves, shrinks or ends */
};

#define BUF_INIT(max_bytes)               \
    {                                     \
        NULL, 0, 0, 0, (max_bytes), false \
    }
#define BUF_INIT_SECRET(max_bytes)       \
    {                                    \
        NULL, 0, 0, 0, (max_bytes), true \
    }

/* For a buf that is a member of something: as BUF_INIT. Allocates nothing. */
void buf_init(struct buf *b, size_t max_bytes);
/* Frees the memory (wiped if secret). The buf is empty and usable again. For CLEANUP. */
void buf_done(struct buf *b);
/* Forgets the contents, keeps the memory (wiped if secret). */
void buf_reset(struct buf *b);

static inline size_t buf_len(const struct buf *b) { return b->end - b->off; }
/* Lent until the next call that changes b. */
static inline struct view buf_view(const struct buf *b) { return view_of(b->base ? b->base + b->off : NULL, b->end - b->off); }
static inline uint8_t *buf_bytes(struct buf *b) { return b->base ? b->base + b->off : NULL; }
/* How many more bytes it may take. */
static inline size_t buf_room(const struct buf *b) { return b->max - (b->end - b->off); }

/* Makes n writable bytes behind the contents and gives their place in *ret_p, without making them contents.
 * May move the contents. ERR_LIMIT when max would be passed, ERR_NOMEM; the buf is then unchanged. */
int buf_reserve(struct buf *b, size_t n, uint8_t **ret_p) MUST_USE;
/* Makes the first n reserved bytes contents. n <= what was reserved. */
void buf_commit(struct buf *b, size_t n);
/* Drops n bytes at the front; n <= buf_len. */
void buf_consume(struct buf *b, size_t n);
/* Drops bytes at the back until len are left; len <= buf_len. */
void buf_truncate(struct buf *b, size_t len);

/* Append. ERR_LIMIT or ERR_NOMEM leave the buf unchanged. */
int buf_put(struct buf *b, const void *p, size_t len) MUST_USE;
int buf_put_view(struct buf *b, struct view v) MUST_USE;
int buf_put_str(struct buf *b, const char *s) MUST_USE;
int buf_put_u8(struct buf *b, uint8_t v) MUST_USE;
int buf_printf(struct buf *b, const char *fmt, ...) MUST_USE PRINTF(2, 3);
/* Makes sure a NUL stands behind the contents (not counted) and gives them as a string, lent as buf_view. NULL: no memory. */
const char *buf_cstr(struct buf *b);
