/* Bytes as text between two lines. What it handles may be secret, so all copies are. */
#include "key/armour_int.h"

#include "base/base64.h"

#include <stdio.h>

enum {
    ARMOUR_LINE = 70
};

static struct view first_line(char text[ARMOUR_LABEL_MAX], const char *label)
{
    snprintf(text, ARMOUR_LABEL_MAX, "-----BEGIN %s-----", label);
    return view_str(text);
}

bool armour_is(struct view file, const char *label)
{
    char text[ARMOUR_LABEL_MAX];
    return view_eq(view_sub(file, 0, first_line(text, label).len), first_line(text, label));
}

int armour_get(struct view file, const char *label, struct buf *out)
{
    char begin[ARMOUR_LABEL_MAX], last[ARMOUR_LABEL_MAX];
    if (!armour_is(file, label)) return ERR_FORMAT;
    file = view_sub(file, first_line(begin, label).len, file.len);
    snprintf(last, sizeof(last), "-----END %s-----", label);
    const uint8_t *end = file.len ? memmem(file.p, file.len, last, strlen(last)) : NULL;
    if (!end) return ERR_FORMAT;
    CLEANUP(buf_done) struct buf text = BUF_INIT_SECRET(file.len + 1);
    uint8_t *to;
    size_t len = (size_t)(end - file.p), n = 0;
    TRY(buf_reserve(&text, len, &to));
    for (size_t i = 0; i < len; i++)
        if (file.p[i] != '\n' && file.p[i] != '\r' && file.p[i] != ' ' && file.p[i] != '\t') to[n++] = file.p[i];
    buf_commit(&text, n);
    return base64_get(buf_view(&text), out);
}

int armour_put(struct view bytes, const char *label, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT_SECRET(bytes.len / 3 * 4 + 8);
    TRY(base64_put(&text, bytes));
    TRY(buf_printf(out, "-----BEGIN %s-----\n", label));
    for (size_t at = 0; at < buf_len(&text); at += ARMOUR_LINE) {
        TRY(buf_put_view(out, view_sub(buf_view(&text), at, ARMOUR_LINE)));
        TRY(buf_put_u8(out, '\n'));
    }
    return buf_printf(out, "-----END %s-----\n", label);
}
