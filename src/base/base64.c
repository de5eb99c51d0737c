/* Base64 and hexadecimal. */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_put(struct buf *out, struct view v)
{
    uint8_t *to;
    size_t n = (v.len + 2) / 3 * 4;
    TRY(buf_reserve(out, n, &to));
    for (size_t i = 0; i < v.len; i += 3, to += 4) {
        size_t left = v.len - i;
        uint32_t x = (uint32_t)v.p[i] << 16 | (left > 1 ? (uint32_t)v.p[i + 1] << 8 : 0) | (left > 2 ? v.p[i + 2] : 0u);
        to[0] = (uint8_t)alphabet[x >> 18];
        to[1] = (uint8_t)alphabet[x >> 12 & 63];
        to[2] = left > 1 ? (uint8_t)alphabet[x >> 6 & 63] : '=';
        to[3] = left > 2 ? (uint8_t)alphabet[x & 63] : '=';
    }
    buf_commit(out, n);
    return 0;
}

static int digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_get(struct view t, struct buf *out)
{
    for (int pads = 0; pads < 2 && t.len && t.p[t.len - 1] == '=' && (t.len % 4 == 0 || pads); pads++) t.len--;
    if (t.len % 4 == 1) return ERR_FORMAT;
    uint8_t *to;
    TRY(buf_reserve(out, t.len / 4 * 3 + 3, &to));
    uint32_t x = 0;
    size_t n = 0, bits = 0;
    for (size_t i = 0; i < t.len; i++) {
        int d = digit(t.p[i]);
        if (d < 0) return ERR_FORMAT;
        x = x << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            to[n++] = (uint8_t)(x >> bits);
        }
    }
    if (x & ((1u << bits) - 1)) return ERR_FORMAT;
    buf_commit(out, n);
    return 0;
}

int hex_put(struct buf *out, struct view v)
{
    uint8_t *to;
    TRY(buf_reserve(out, v.len * 2, &to));
    for (size_t i = 0; i < v.len; i++) {
        *to++ = (uint8_t)"0123456789abcdef"[v.p[i] >> 4];
        *to++ = (uint8_t)"0123456789abcdef"[v.p[i] & 15];
    }
    buf_commit(out, v.len * 2);
    return 0;
}
