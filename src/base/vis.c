/* Escaping of foreign text. */
#include "base/vis.h"

#include <stdio.h>
#include <wchar.h>

/* Length of the valid UTF-8 sequence of a printable character at p, 0 if there is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xc2 && p[1] < 0xa0) return 0;  /* C1 controls */
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;  /* overlong */
    if (p[0] == 0xed && p[1] >= 0xa0) return 0; /* surrogates */
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;  /* overlong */
    if (p[0] == 0xf4 && p[1] >= 0x90) return 0; /* over U+10FFFF */
    if (p[0] == 0xe2 && p[1] == 0x80 && ((p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae)))
        return 0;                                                               /* bidi, line separators */
    if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9) return 0; /* bidi isolates */
    return n;
}

/* Writes the next unit of text to out (at most 4 bytes), gives how many bytes of text it was. */
static size_t next_unit(struct view text, char out[5])
{
    uint8_t c = text.p[0];
    size_t n = c >= ' ' && c <= '~' ? 1 : c >= 0x80 ? utf8_len(text.p, text.len) : 0;
    if (n == 0) {
        snprintf(out, 5, "\\%03o", c);
        return 1;
    }
    memcpy(out, text.p, n);
    out[n] = 0;
    return n;
}

void vis_line(struct view text, char *ret_line, size_t cap)
{
    size_t at = 0;
    while (text.len) {
        char unit[5];
        size_t used = next_unit(text, unit), n = strlen(unit);
        if (text.p[0] == '\t') used = n = 1, unit[0] = '\t';
        if (at + n + 1 > cap) break;
        memcpy(ret_line + at, unit, n);
        at += n;
        text = view_sub(text, used, text.len);
    }
    ret_line[at] = 0;
}

int vis_text(struct view text, struct buf *out)
{
    while (text.len) {
        char unit[5];
        uint8_t c = text.p[0];
        size_t used = 1;
        if (c == '\n' || c == '\t')
            TRY(buf_put_u8(out, c));
        else if (!(c == '\r' && text.len > 1 && text.p[1] == '\n')) {
            used = next_unit(text, unit);
            TRY(buf_put_str(out, unit));
        }
        text = view_sub(text, used, text.len);
    }
    return 0;
}

/* Of one character of at most len bytes, which vis_line let pass. */
static size_t columns_of(const char *p, size_t len)
{
    wchar_t c = 0;
    const uint8_t *u = (const uint8_t *)p;
    if (len == 1) return 1;
    c = (wchar_t)(len == 2 ? u[0] & 0x1f : len == 3 ? u[0] & 0x0f : u[0] & 0x07);
    for (size_t i = 1; i < len; i++) c = (wchar_t)((unsigned)c << 6 | (u[i] & 0x3f));
    int n = wcwidth(c);
    return n < 0 ? 1 : (size_t)n;
}

/* Stops before the character that would be one too much; *ret_columns of what there is up to there. */
static size_t fitting(const char *line, size_t columns, size_t *ret_columns)
{
    size_t at = 0, total = 0, left = strlen(line);
    while (left) {
        size_t len = utf8_len((const uint8_t *)line + at, left);
        if (len == 0) len = 1;
        size_t n = columns_of(line + at, len);
        if (total + n > columns) break;
        total += n;
        at += len;
        left -= len;
    }
    *ret_columns = total;
    return at;
}

size_t vis_columns(const char *line)
{
    size_t columns;
    (void)fitting(line, SIZE_MAX, &columns);
    return columns;
}

size_t vis_cut(char *line, size_t columns)
{
    size_t taken;
    line[fitting(line, columns, &taken)] = 0;
    return taken;
}
