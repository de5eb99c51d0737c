/* The byte queue. Growth doubles; a front gap is closed when more than half of the memory is gap. */
#include "base/buf.h"
#include "base/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUF_FIRST_BYTES = 256
};

void buf_init(struct buf *b, size_t max_bytes) { *b = (struct buf)BUF_INIT(max_bytes); }

void buf_done(struct buf *b)
{
    if (b->secret && b->base) secret_wipe(b->base, b->cap);
    free(b->base);
    b->base = NULL;
    b->off = b->end = b->cap = 0;
}

void buf_reset(struct buf *b)
{
    if (b->secret && b->base) secret_wipe(b->base, b->end);
    b->off = b->end = 0;
}

static void close_gap(struct buf *b)
{
    size_t len = buf_len(b);
    memmove(b->base, b->base + b->off, len);
    if (b->secret) secret_wipe(b->base + len, b->end - len);
    b->off = 0;
    b->end = len;
}

/* Large blocks are moved by the kernel without being copied. */
static int grow_in_place(struct buf *b, size_t cap)
{
    if (b->off) close_gap(b);
    uint8_t *base = realloc(b->base, cap);
    if (!base) return ERR_NOMEM;
    b->base = base;
    b->cap = cap;
    return 0;
}

static int grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (!b->secret) return grow_in_place(b, cap);
    uint8_t *base = malloc(cap);
    if (!base) return ERR_NOMEM;
    size_t len = buf_len(b);
    if (len) memcpy(base, b->base + b->off, len);
    size_t max = b->max;
    buf_done(b);
    *b = (struct buf){ .base = base, .end = len, .cap = cap, .max = max, .secret = true };
    return 0;
}

int buf_reserve(struct buf *b, size_t n, uint8_t **ret_p)
{
    size_t len = buf_len(b);
    if (n > b->max - len) return ERR_LIMIT;
    if (b->cap - b->end < n) {
        if (b->cap >= len + n && b->off >= b->cap / 2)
            close_gap(b);
        else
            TRY(grow(b, len + n));
    }
    if (!b->base) TRY(grow(b, 1));
    *ret_p = b->base + b->end;
    return 0;
}

void buf_commit(struct buf *b, size_t n)
{
    CHECK(n <= b->cap - b->end);
    b->end += n;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= buf_len(b));
    if (b->secret && n) secret_wipe(b->base + b->off, n);
    b->off += n;
    if (b->off == b->end) b->off = b->end = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
    CHECK(len <= buf_len(b));
    if (b->secret && b->base) secret_wipe(b->base + b->off + len, buf_len(b) - len);
    b->end = b->off + len;
}

int buf_put(struct buf *b, const void *p, size_t len)
{
    if (len == 0) return 0;
    uint8_t *to;
    TRY(buf_reserve(b, len, &to));
    memcpy(to, p, len);
    b->end += len;
    return 0;
}

int buf_put_view(struct buf *b, struct view v) { return buf_put(b, v.p, v.len); }
int buf_put_str(struct buf *b, const char *s) { return buf_put(b, s, strlen(s)); }
int buf_put_u8(struct buf *b, uint8_t v) { return buf_put(b, &v, 1); }

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    uint8_t *to;
    int err = n < 0 ? ERR_FORMAT : (size_t)n > buf_room(b) ? ERR_LIMIT : 0;
    /* One byte more for vsnprintf's NUL, which is not contents and so does not count against max. */
    if (err == 0) {
        size_t max = b->max;
        b->max = max < SIZE_MAX ? max + 1 : max;
        err = buf_reserve(b, (size_t)n + 1, &to);
        b->max = max;
    }
    if (err == 0) {
        vsnprintf((char *)to, (size_t)n + 1, fmt, again);
        b->end += (size_t)n;
    }
    va_end(again);
    return err;
}

const char *buf_cstr(struct buf *b)
{
    uint8_t *to;
    size_t max = b->max;
    b->max = max < SIZE_MAX ? max + 1 : max;
    int err = buf_reserve(b, 1, &to);
    b->max = max;
    if (err < 0) return NULL;
    *to = 0;
    return (const char *)b->base + b->off;
}
