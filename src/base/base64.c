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

/* Value + 1 of each character of the alphabet, 0 for all others: a table, because known_hosts files are read by the megabyte. */
static const uint8_t digits[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,  ['I'] = 9,  ['J'] = 10,
    ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20,
    ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50,
    ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,
    ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

int base64_get_area(struct view t, uint8_t *area, size_t cap, size_t *ret_len)
{
    for (int pads = 0; pads < 2 && t.len && t.p[t.len - 1] == '=' && (t.len % 4 == 0 || pads); pads++) t.len--;
    if (t.len % 4 == 1) return ERR_FORMAT;
    if ((t.len + 3) / 4 * 3 > cap) return ERR_LIMIT;
    uint32_t x = 0;
    size_t n = 0, bits = 0;
    for (size_t i = 0; i < t.len; i++) {
        uint8_t d = digits[t.p[i]];
        if (d == 0) return ERR_FORMAT;
        x = x << 6 | (uint32_t)(d - 1);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            area[n++] = (uint8_t)(x >> bits);
        }
    }
    if (x & ((1u << bits) - 1)) return ERR_FORMAT;
    *ret_len = n;
    return 0;
}

int base64_get(struct view t, struct buf *out)
{
    uint8_t *to;
    size_t cap = t.len / 4 * 3 + 3, n;
    TRY(buf_reserve(out, cap, &to));
    TRY(base64_get_area(t, to, cap, &n));
    buf_commit(out, n);
    return 0;
}

int hex_put(struct buf *out, struct view v)
{
    uint8_t *to;
    TRY(buf_reserve(out, v.len * 2, &to));
    for (size_t i = 0; i < v.len; i++) {
        *to++ = (uint8_t) "0123456789abcdef"[v.p[i] >> 4];
        *to++ = (uint8_t) "0123456789abcdef"[v.p[i] & 15];
    }
    buf_commit(out, v.len * 2);
    return 0;
}
