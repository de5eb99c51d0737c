/* The writing cursor. */
#include "base/wr.h"

void wr_fail(struct wr *w, int err)
{
    if (w->err == 0) w->err = err;
}

static uint8_t *take(struct wr *w, size_t n)
{
    uint8_t *to = NULL;
    if (w->err) return NULL;
    if (w->buf) {
        w->err = buf_reserve(w->buf, n, &to);
        if (w->err) return NULL;
        buf_commit(w->buf, n);
    } else {
        if (n > (size_t)(w->end - w->p)) {
            w->err = ERR_LIMIT;
            return NULL;
        }
        to = w->p;
        w->p += n;
    }
    w->len += n;
    return to;
}

static void big_endian(struct wr *w, uint64_t v, size_t n)
{
    uint8_t *to = take(w, n);
    if (!to) return;
    for (size_t i = n; i-- > 0; v >>= 8) to[i] = (uint8_t)v;
}

void wr_u8(struct wr *w, uint8_t v) { big_endian(w, v, 1); }
void wr_bool(struct wr *w, bool v) { wr_u8(w, v ? 1 : 0); }
void wr_u16(struct wr *w, uint16_t v) { big_endian(w, v, 2); }
void wr_u32(struct wr *w, uint32_t v) { big_endian(w, v, 4); }
void wr_u64(struct wr *w, uint64_t v) { big_endian(w, v, 8); }

void wr_bytes(struct wr *w, struct view v)
{
    uint8_t *to = take(w, v.len);
    if (to && v.len) memcpy(to, v.p, v.len);
}

void wr_string(struct wr *w, struct view v)
{
    if (v.len > UINT32_MAX) wr_fail(w, ERR_LIMIT);
    wr_u32(w, (uint32_t)v.len);
    wr_bytes(w, v);
}

void wr_cstr(struct wr *w, const char *s) { wr_string(w, view_str(s)); }

void wr_mpint(struct wr *w, struct view m)
{
    while (m.len && m.p[0] == 0) m = view_sub(m, 1, m.len);
    bool pad = m.len && (m.p[0] & 0x80);
    wr_u32(w, (uint32_t)(m.len + pad));
    if (pad) wr_u8(w, 0);
    wr_bytes(w, m);
}

size_t wr_string_open(struct wr *w)
{
    wr_u32(w, 0);
    return w->len;
}

void wr_string_close(struct wr *w, size_t mark)
{
    if (w->err) return;
    size_t n = w->len - mark;
    if (n > UINT32_MAX) {
        wr_fail(w, ERR_LIMIT);
        return;
    }
    uint8_t *end = w->buf ? w->buf->base + w->buf->end : w->p;
    uint8_t *at = end - n - 4;
    for (size_t i = 4; i-- > 0; n >>= 8) at[i] = (uint8_t)n;
}

int wr_end(const struct wr *w) { return w->err; }
