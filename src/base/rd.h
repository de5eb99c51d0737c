/* Reading cursor over foreign bytes in the encodings of RFC 4251 5. Sticky: it keeps its first error, and every later get
 * gives zeros or the empty view. A parser is a straight column of gets closed by TRY(rd_end(&r)) or TRY(rd_stop(&r)).
 * Views it gives are lent by the bytes under it. */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct rd {
    const uint8_t *p, *end;
    int err;
};

static inline struct rd rd_of(struct view v) { return (struct rd){ v.p, v.p ? v.p + v.len : v.p, 0 }; }
static inline size_t rd_left(const struct rd *r) { return r->err ? 0 : (size_t)(r->end - r->p); }

uint8_t rd_u8(struct rd *r);
bool rd_bool(struct rd *r); /* any non-zero byte is true */
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
/* Exactly n bytes. */
struct view rd_bytes(struct rd *r, size_t n);
/* string: u32 length and that many bytes, any of them. */
struct view rd_string(struct rd *r);
/* string that has no NUL (names, paths, user names); a NUL is ERR_FORMAT. */
struct view rd_cstring(struct rd *r);
/* name-list: a string of printable US-ASCII without empty names, ERR_FORMAT else. */
struct view rd_name_list(struct rd *r);
/* mpint that is not negative, its bytes without leading zeros (so 0 gives the empty view). Negative, or with a needless leading
 * zero byte: ERR_FORMAT. */
struct view rd_mpint(struct rd *r);
/* All that is left. */
struct view rd_rest(struct rd *r);
/* Records an error of the caller's own check, if it is the first. */
void rd_fail(struct rd *r, int err);

/* The first error; ERR_TRAILING when bytes are left. */
int rd_end(const struct rd *r) MUST_USE;
/* The first error; bytes may be left. */
int rd_stop(const struct rd *r) MUST_USE;
