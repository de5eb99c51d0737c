/* A vector of owned strings, NULL-terminated as argv is. */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct strv {
    char **v; /* NULL when empty; else v[n] == NULL */
    size_t n;
};
#define STRV_INIT \
    {             \
        NULL, 0   \
    }

void strv_done(struct strv *s);
/* Copies. ERR_NOMEM leaves it unchanged; ERR_LIMIT at STRV_MAX elements. */
enum {
    STRV_MAX = 1 << 20
};
int strv_add(struct strv *s, struct view text) MUST_USE;
/* The string becomes s's, also on failure (then freed). */
int strv_add_take(struct strv *s, char *take_text) MUST_USE;
int strv_copy(struct strv *ret, const struct strv *from) MUST_USE;
