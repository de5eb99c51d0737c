/* Memory for secrets: locked where the limit allows, kept out of core dumps and of forked children, wiped when freed,
 * and compared in constant time. It grows by copy and wipe, never by realloc. */
#pragma once

#include "base/err.h"
#include "base/view.h"

/* Wipes so that the compiler cannot leave it out. */
void secret_wipe(void *p, size_t len);
/* True when equal. Time depends on len alone. */
bool ct_equal(const void *a, const void *b, size_t len) MUST_USE;

/* An owned secret of fixed length. {NULL, 0} is a good empty one. */
struct secret {
    uint8_t *p;
    size_t len;
};
#define SECRET_INIT \
    {               \
        NULL, 0     \
    }

/* Zeroed. ERR_NOMEM leaves *ret untouched. Small ones share pages of their own kind. */
int secret_new(size_t len, struct secret *ret) MUST_USE;
int secret_dup(struct view from, struct secret *ret) MUST_USE;
/* Wipes, frees, sets to empty. For CLEANUP. */
void secret_done(struct secret *s);
static inline struct view secret_view(const struct secret *s) { return view_of(s->p, s->len); }
