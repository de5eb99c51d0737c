/* Words of text lines, for this folder only. */
#pragma once

#include "base/view.h"

static inline bool line_is_space(uint8_t c) { return c == ' ' || c == '\t'; }

static inline struct view line_trim_left(struct view v)
{
    while (v.len && line_is_space(v.p[0])) v = view_sub(v, 1, v.len);
    return v;
}

static inline struct view line_trim(struct view v)
{
    v = line_trim_left(v);
    while (v.len && (line_is_space(v.p[v.len - 1]) || v.p[v.len - 1] == '\r')) v.len--;
    return v;
}

/* Cuts the next word off; empty at the end. memchr, because words are long base64 texts and there are many lines. */
static inline struct view line_take_word(struct view *line)
{
    *line = line_trim_left(*line);
    const uint8_t *space = line->len ? memchr(line->p, ' ', line->len) : NULL;
    size_t n = space ? (size_t)(space - line->p) : line->len;
    const uint8_t *tab = n ? memchr(line->p, '\t', n) : NULL;
    if (tab) n = (size_t)(tab - line->p);
    struct view word = view_sub(*line, 0, n);
    *line = view_sub(*line, n, line->len);
    return word;
}
