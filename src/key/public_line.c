/* Public keys as text lines. */
#include "key/public_line.h"

#include "base/base64.h"
#include "key/key_int.h"
#include "key/line_int.h"

int public_line_split(struct view line, struct public_line *ret)
{
    struct public_line l = { .type = line_take_word(&line) };
    l.base64 = line_take_word(&line);
    l.comment = line_trim(line);
    if (l.type.len == 0 || l.base64.len == 0) return ERR_FORMAT;
    *ret = l;
    return 0;
}

int public_line_key(const struct public_line *l, struct key **ret)
{
    const struct key_type *t = key_type_find(l->type);
    if (!t || t->sig_only) return ERR_KEY_TYPE;
    CLEANUP(buf_done) struct buf blob = BUF_INIT(KEY_BLOB_BYTES_MAX);
    TRY(base64_get(l->base64, &blob));
    CLEANUP(key_unrefp) struct key *k = NULL;
    TRY(key_from_blob(buf_view(&blob), &k));
    if (key_type_of(k) != t) return ERR_KEY_TYPE;
    if (l->comment.len) TRY(key_set_comment(k, view_sub(l->comment, 0, KEY_COMMENT_BYTES_MAX)));
    *ret = TAKE(k);
    return 0;
}

int public_line_parse(struct view line, struct key **ret)
{
    struct public_line l;
    TRY(public_line_split(line, &l));
    return public_line_key(&l, ret);
}

/* A comment out of a private file may hold anything: a line break in it would make a line of its own in authorized_keys. */
static int put_comment(const char *comment, struct buf *out)
{
    TRY(buf_put_str(out, " "));
    for (const char *c = comment; *c; c++)
        TRY(buf_put_u8(out, (uint8_t)((*c < ' ' && *c > 0 && *c != '\t') || *c == 0x7f ? '?' : *c)));
    return 0;
}

int public_line_put(const struct key *k, struct buf *out)
{
    size_t before = buf_len(out);
    int err = buf_printf(out, "%s ", key_type_of(k)->name);
    if (err == 0) err = base64_put(out, key_blob(k));
    if (err == 0 && *key_comment(k)) err = put_comment(key_comment(k), out);
    if (err < 0) buf_truncate(out, before);
    return err;
}

bool public_file_next_line(struct view *rest, struct view *ret_line)
{
    if (rest->len == 0) return false;
    const uint8_t *newline = memchr(rest->p, '\n', rest->len);
    size_t n = newline ? (size_t)(newline - rest->p) : rest->len;
    *ret_line = view_sub(*rest, 0, n);
    *rest = view_sub(*rest, newline ? n + 1 : n, rest->len);
    if (ret_line->len && ret_line->p[ret_line->len - 1] == '\r') ret_line->len--;
    return true;
}

int public_file_parse(struct view file, struct key **ret)
{
    struct view line;
    int err = ERR_FORMAT;
    while (public_file_next_line(&file, &line)) {
        line = line_trim(line);
        if (line.len == 0 || line.p[0] == '#') continue;
        err = public_line_parse(line, ret);
        if (err == 0) return 0;
    }
    return err;
}
