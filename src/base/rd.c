/* The reading cursor. Every length is compared with what is left before it is believed. */
#include "base/rd.h"

void rd_fail(struct rd *r, int err)
{
    if (r->err == 0) r->err = err;
}

struct view rd_bytes(struct rd *r, size_t n)
{
    if (r->err == 0 && n > (size_t)(r->end - r->p)) r->err = ERR_TRUNCATED;
    if (r->err) return VIEW_EMPTY;
    struct view v = view_of(r->p, n);
    if (n) r->p += n;
    return v;
}

static uint64_t big_endian(struct rd *r, size_t n)
{
    struct view v = rd_bytes(r, n);
    uint64_t x = 0;
    for (size_t i = 0; i < v.len; i++) x = x << 8 | v.p[i];
    return x;
}

uint8_t rd_u8(struct rd *r) { return (uint8_t)big_endian(r, 1); }
bool rd_bool(struct rd *r) { return rd_u8(r) != 0; }
uint16_t rd_u16(struct rd *r) { return (uint16_t)big_endian(r, 2); }
uint32_t rd_u32(struct rd *r) { return (uint32_t)big_endian(r, 4); }
uint64_t rd_u64(struct rd *r) { return big_endian(r, 8); }

struct view rd_string(struct rd *r)
{
    uint32_t n = rd_u32(r);
    return rd_bytes(r, n);
}

struct view rd_cstring(struct rd *r)
{
    struct view v = rd_string(r);
    if (!view_has_nul(v)) return v;
    rd_fail(r, ERR_FORMAT);
    return VIEW_EMPTY;
}

struct view rd_name_list(struct rd *r)
{
    struct view v = rd_string(r);
    bool after_comma = true;
    for (size_t i = 0; i < v.len; i++) {
        bool comma = v.p[i] == ',';
        if (v.p[i] <= ' ' || v.p[i] > '~' || (comma && after_comma)) goto bad;
        after_comma = comma;
    }
    if (v.len == 0 || !after_comma) return v;
bad:
    rd_fail(r, ERR_FORMAT);
    return VIEW_EMPTY;
}

struct view rd_mpint(struct rd *r)
{
    struct view v = rd_string(r);
    if (v.len == 0) return v;
    bool negative = v.p[0] & 0x80;
    bool padded = v.p[0] == 0 && (v.len == 1 || !(v.p[1] & 0x80));
    if (negative || padded) {
        rd_fail(r, ERR_FORMAT);
        return VIEW_EMPTY;
    }
    return v.p[0] == 0 ? view_sub(v, 1, v.len) : v;
}

struct view rd_rest(struct rd *r) { return rd_bytes(r, rd_left(r)); }

int rd_end(const struct rd *r)
{
    if (r->err) return r->err;
    return r->p == r->end ? 0 : ERR_TRAILING;
}

int rd_stop(const struct rd *r) { return r->err; }
