/* Writing cursor in the encodings of RFC 4251 5, appending to a buf or to a fixed area. Sticky: it keeps its first error
 * (ERR_LIMIT, ERR_NOMEM) and later puts do nothing. Closed by TRY(wr_end(&w)). */
#pragma once

#include "base/buf.h"

struct wr {
    struct buf *buf;  /* NULL: fixed area */
    uint8_t *p, *end; /* fixed area only */
    size_t len;       /* bytes put so far */
    int err;
};

/* Appends to b, which must outlive the cursor. */
static inline struct wr wr_of(struct buf *b) { return (struct wr){ .buf = b }; }
/* Fills area[0..cap). */
static inline struct wr wr_area(uint8_t *area, size_t cap) { return (struct wr){ .p = area, .end = area + cap }; }

void wr_u8(struct wr *w, uint8_t v);
void wr_bool(struct wr *w, bool v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);
void wr_bytes(struct wr *w, struct view v); /* without a length */
void wr_string(struct wr *w, struct view v);
void wr_cstr(struct wr *w, const char *s); /* a string from a NUL-terminated one */
/* mpint from big-endian magnitude bytes, leading zeros allowed. */
void wr_mpint(struct wr *w, struct view magnitude);
/* Opens a string whose length is not known yet; wr_string_close fills it in. Give it what _open returned. Nests. */
size_t wr_string_open(struct wr *w);
void wr_string_close(struct wr *w, size_t mark);
void wr_fail(struct wr *w, int err);

/* The first error. On failure what was put so far stays in the buf: the caller drops it (buf_truncate) or the whole buf. */
int wr_end(const struct wr *w) MUST_USE;
