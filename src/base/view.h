/* A view borrows bytes, it never owns them. Passed by value. Its lender is named where it is handed out. */
#pragma once

#include "base/attr.h"

#include <string.h>

struct view {
    const uint8_t *p; /* may be NULL when len is 0 */
    size_t len;
};

#define VIEW_EMPTY ((struct view){ NULL, 0 })
/* A view of a string literal, usable in static tables. */
#define VIEW_LIT(s) ((struct view){ (const uint8_t *)(s), sizeof(s) - 1 })

static inline struct view view_of(const void *p, size_t len) { return (struct view){ p, len }; }
/* Of a NUL-terminated string; NULL gives the empty view. */
static inline struct view view_str(const char *s) { return (struct view){ (const uint8_t *)s, s ? strlen(s) : 0 }; }
static inline bool view_eq(struct view a, struct view b) { return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0); }
static inline bool view_eq_str(struct view a, const char *s) { return view_eq(a, view_str(s)); }
static inline bool view_has_prefix(struct view a, const char *s)
{
    size_t n = strlen(s);
    return a.len >= n && memcmp(a.p, s, n) == 0;
}
static inline bool view_has_nul(struct view a) { return a.len != 0 && memchr(a.p, 0, a.len) != NULL; }
/* The part from `from`, at most `len` bytes; clamps to what there is. */
static inline struct view view_sub(struct view a, size_t from, size_t len)
{
    if (from > a.len) from = a.len;
    if (len > a.len - from) len = a.len - from;
    return (struct view){ a.len ? a.p + from : a.p, len };
}

/* Cuts the next element off a comma-separated list. False when the list is used up. "a,,b" gives an empty element. */
static inline bool view_next_in_list(struct view *list, struct view *ret_name)
{
    if (list->p == NULL) return false;
    const uint8_t *comma = list->len ? memchr(list->p, ',', list->len) : NULL;
    size_t n = comma ? (size_t)(comma - list->p) : list->len;
    *ret_name = view_of(list->p, n);
    *list = comma ? view_of(comma + 1, list->len - n - 1) : VIEW_EMPTY;
    return true;
}
/* Whether a comma-separated list (RFC 4251 5 name-list) has the name. */
static inline bool view_list_has(struct view list, struct view name)
{
    struct view one;
    while (view_next_in_list(&list, &one))
        if (view_eq(one, name)) return true;
    return false;
}

/* A heap copy with a NUL behind it; NULL when out of memory. Caller frees. */
char *view_dup_str(struct view v) MUST_USE;
