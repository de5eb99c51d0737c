/* Secret memory. One mapping for each secret would cost a page each and an mlock each, so small ones are cut from a shared
 * arena of a few pages: blocks of SLOT_BYTES, found by a first-fit scan of a bitmap. The arena is the one mutable thing at
 * file scope here: it is an allocator, as malloc is. One thread, as everywhere in the project. */
#include "base/secret.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    SLOT_BYTES = 64,
    ARENA_BYTES = 16384,
    ARENA_SLOTS = ARENA_BYTES / SLOT_BYTES
};

static struct {
    uint8_t *base;
    bool used[ARENA_SLOTS];
} arena;

void secret_wipe(void *p, size_t len)
{
    if (p && len) explicit_bzero(p, len);
}

bool ct_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t diff = 0;
    for (size_t i = 0; i < len; i++) diff |= (uint8_t)(x[i] ^ y[i]);
    return diff == 0;
}

static uint8_t *map_pages(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    /* A process over its RLIMIT_MEMLOCK goes on with pages that may be swapped; all else still holds. */
    (void)mlock(p, len);
    (void)madvise(p, len, MADV_DONTDUMP);
    return p;
}

static uint8_t *arena_take(size_t slots)
{
    if (!arena.base) arena.base = map_pages(ARENA_BYTES);
    if (!arena.base) return NULL;
    for (size_t i = 0, run = 0; i < ARENA_SLOTS; i++) {
        run = arena.used[i] ? 0 : run + 1;
        if (run < slots) continue;
        size_t first = i + 1 - slots;
        memset(arena.used + first, true, slots);
        return arena.base + first * SLOT_BYTES;
    }
    return NULL;
}

static bool arena_has(const uint8_t *p) { return arena.base && p >= arena.base && p < arena.base + ARENA_BYTES; }

int secret_new(size_t len, struct secret *ret)
{
    if (len == 0) {
        *ret = (struct secret)SECRET_INIT;
        return 0;
    }
    size_t slots = (len + SLOT_BYTES - 1) / SLOT_BYTES;
    uint8_t *p = slots <= ARENA_SLOTS / 2 ? arena_take(slots) : NULL;
    if (!p) p = map_pages(len);
    if (!p) return ERR_NOMEM;
    *ret = (struct secret){ p, len };
    return 0;
}

int secret_dup(struct view from, struct secret *ret)
{
    struct secret s;
    TRY(secret_new(from.len, &s));
    if (from.len) memcpy(s.p, from.p, from.len);
    *ret = s;
    return 0;
}

void secret_done(struct secret *s)
{
    if (!s->p) return;
    secret_wipe(s->p, s->len);
    if (arena_has(s->p))
        memset(arena.used + (size_t)(s->p - arena.base) / SLOT_BYTES, false, (s->len + SLOT_BYTES - 1) / SLOT_BYTES);
    else
        munmap(s->p, s->len);
    *s = (struct secret)SECRET_INIT;
}
