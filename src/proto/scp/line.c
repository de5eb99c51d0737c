/* Lines and statuses of the old scp protocol. */
#include "proto/scp/scp_int.h"

int scp_line_take(struct scp_line *line, struct view *in, struct view *ret)
{
    const uint8_t *newline = in->len ? memchr(in->p, '\n', in->len) : NULL;
    size_t n = newline ? (size_t)(newline - in->p) : in->len;
    if (n > sizeof line->bytes - 1 - line->len) return ERR_LIMIT;
    if (n) memcpy(line->bytes + line->len, in->p, n);
    line->len += n;
    *in = view_sub(*in, n + (newline != NULL), in->len);
    if (!newline) return 0;
    *ret = view_of(line->bytes, line->len);
    line->len = 0;
    return 1;
}

int scp_status_take(struct scp_line *line, struct view *in, uint8_t *ret_status, struct view *ret_text)
{
    struct view whole;
    if (in->len == 0) return 0;
    if (line->len == 0 && in->p[0] == SCP_STATUS_GOOD) {
        *in = view_sub(*in, 1, in->len);
        *ret_status = SCP_STATUS_GOOD;
        *ret_text = VIEW_EMPTY;
        return 1;
    }
    int got = scp_line_take(line, in, &whole);
    if (got != 1) return got;
    bool is_status = whole.len && (whole.p[0] == SCP_STATUS_FAILED || whole.p[0] == SCP_STATUS_FATAL);
    *ret_status = is_status ? whole.p[0] : SCP_STATUS_FATAL;
    *ret_text = view_sub(whole, is_status, whole.len);
    return is_status ? 1 : ERR_FORMAT;
}

int scp_status_put(struct buf *out, const char *text)
{
    static const char prefix[] = "\1scp: ";
    size_t len = text ? strnlen(text, SCP_LINE_MAX_BYTES - sizeof prefix - 1) : 0;
    uint8_t *p;
    if (!text) return buf_put_u8(out, SCP_STATUS_GOOD);
    TRY(buf_reserve(out, sizeof prefix + len, &p));
    memcpy(p, prefix, sizeof prefix - 1);
    p += sizeof prefix - 1;
    for (size_t i = 0; i < len; i++) p[i] = text[i] == '\n' ? ' ' : (uint8_t)text[i];
    p[len] = '\n';
    buf_commit(out, sizeof prefix + len);
    return 0;
}
