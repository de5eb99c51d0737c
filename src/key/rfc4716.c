/* Public keys in the form of RFC 4716. */
#include "base/base64.h"
#include "key/key_int.h"
#include "key/line_int.h"
#include "key/public_line.h"

#include <strings.h>

enum {
    BODY_LINE = 70,
    HEADER_VALUE_MAX = 60
};
static const char begin[] = "---- BEGIN SSH2 PUBLIC KEY ----";
static const char end[] = "---- END SSH2 PUBLIC KEY ----";

int rfc4716_put(const struct key *k, struct view comment, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(2 * KEY_BLOB_BYTES_MAX);
    TRY(base64_put(&text, key_blob(k)));
    comment = view_sub(comment, 0, HEADER_VALUE_MAX);
    TRY(buf_printf(out, "%s\nComment: \"%.*s\"\n", begin, (int)comment.len, comment.len ? (const char *)comment.p : ""));
    for (size_t at = 0; at < buf_len(&text); at += BODY_LINE) {
        TRY(buf_put_view(out, view_sub(buf_view(&text), at, BODY_LINE)));
        TRY(buf_put_u8(out, '\n'));
    }
    return buf_printf(out, "%s\n", end);
}

/* 3.3: "tag: value", a \ at the end of the line continues it. Base64 has no colon. */
static bool skip_header(struct view *file, struct view line, struct view *ret_comment)
{
    const uint8_t *colon = line.len ? memchr(line.p, ':', line.len) : NULL;
    if (!colon) return false;
    if (colon - line.p == 7 && strncasecmp((const char *)line.p, "comment", 7) == 0) {
        struct view value = line_trim(view_sub(line, 8, line.len));
        if (value.len >= 2 && value.p[0] == '"' && value.p[value.len - 1] == '"') value = view_sub(value, 1, value.len - 2);
        *ret_comment = value;
    }
    while (line.len && line.p[line.len - 1] == '\\' && public_file_next_line(file, &line)) continue;
    return true;
}

int rfc4716_parse(struct view file, struct key **ret)
{
    struct view line = VIEW_EMPTY, comment = VIEW_EMPTY;
    do {
        if (!public_file_next_line(&file, &line)) return ERR_FORMAT;
        line = line_trim(line);
    } while (line.len == 0);
    if (!view_eq_str(line, begin)) return ERR_FORMAT;
    CLEANUP(buf_done) struct buf text = BUF_INIT(2 * KEY_BLOB_BYTES_MAX), blob = BUF_INIT(KEY_BLOB_BYTES_MAX);
    bool ended = false;
    while (!ended && public_file_next_line(&file, &line)) {
        line = line_trim(line);
        ended = view_eq_str(line, end);
        if (!ended && !skip_header(&file, line, &comment)) TRY(buf_put_view(&text, line));
    }
    if (!ended) return ERR_FORMAT;
    TRY(base64_get(buf_view(&text), &blob));
    CLEANUP(key_unrefp) struct key *k = NULL;
    TRY(key_from_blob(buf_view(&blob), &k));
    TRY(key_set_comment(k, comment));
    *ret = TAKE(k);
    return 0;
}
