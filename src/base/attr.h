/* Compiler attributes and the few macros that every module uses. Knows nothing of ours. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/* Milliseconds: a point on the monotonic clock or a span of it. Wall time is int64_t seconds and says so in its name. */
typedef int64_t ms;
#define MS_NEVER INT64_MAX

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))

/* CLEANUP(buf_done) struct buf b = BUF_INIT(max);  -- buf_done(&b) runs when b leaves scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* return TAKE(ptr);  -- ownership leaves, the CLEANUP of ptr then sees NULL. */
#define TAKE(ptr)                   \
    ({                              \
        __typeof__(ptr) t_ = (ptr); \
        (ptr) = NULL;               \
        t_;                         \
    })

/* For heap objects with a foo_free(struct foo *): makes foo_freep() for CLEANUP(foo_freep) struct foo *f = NULL; */
#define DEFINE_FREEP(type, free_fn)              \
    static inline void free_fn##p(type **object) \
    {                                            \
        free_fn(*object);                        \
        *object = NULL;                          \
    }

/* The struct that has this member; for callbacks that are given a part of it. */
#define CONTAINER_OF(member_ptr, type, member) ((type *)(void *)((char *)(member_ptr)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ < b_ ? a_ : b_;      \
    })
#define MAX(a, b)               \
    ({                          \
        __typeof__(a) a_ = (a); \
        __typeof__(b) b_ = (b); \
        a_ > b_ ? a_ : b_;      \
    })

/* For our own mistakes only; stays on in release. Bytes from a peer never reach one. */
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
_Noreturn void check_failed(const char *cond, const char *file, int line);

/* CLEANUP(freep) char *s = NULL; */
void freep(void *pointer_to_pointer);
