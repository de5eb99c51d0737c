/* Lines of authorized_keys files, and finding a key among many. */
#include "key/authorized_keys.h"

#include "base/base64.h"
#include "key/cert.h"
#include "key/key_int.h"
#include "key/line_int.h"
#include "key/option_text_int.h"
#include "key/public_line.h"

int authorized_keys_line_parse(struct view text, struct authorized_keys_line *ret)
{
    struct authorized_keys_line l = { .number = ret->number };
    struct public_line key;
    text = line_trim(text);
    if (text.len == 0 || text.p[0] == '#') return 0;
    struct view rest = text, first = line_take_word(&rest);
    if (!key_type_find(first)) {
        size_t n = option_text_len(text);
        l.options = view_sub(text, 0, n);
        text = view_sub(text, n, text.len);
    }
    TRY(public_line_split(text, &key));
    l.type = key.type;
    l.base64 = key.base64;
    l.comment = key.comment;
    *ret = l;
    return 1;
}

int principals_line_parse(struct view text, struct view *ret_options, struct view *ret_principal)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '"' && (i == 0 || text.p[i - 1] != '\\')) quoted = !quoted;
        if (text.p[i] == '#' && !quoted) text = view_sub(text, 0, i);
    }
    text = line_trim(text);
    if (text.len == 0) return 0;
    size_t at = text.len;
    while (at > 0 && !line_is_space(text.p[at - 1])) at--;
    *ret_options = line_trim(view_sub(text, 0, at));
    *ret_principal = view_sub(text, at, text.len);
    return 1;
}

int authorized_keys_scan_init(struct authorized_keys_scan *s, struct view file, struct view blob)
{
    *s = (struct authorized_keys_scan){ .rest = file, .base64 = BUF_INIT(2 * KEY_BLOB_BYTES_MAX) };
    struct rd r = rd_of(blob);
    s->type = key_type_read(&r);
    TRY(rd_stop(&r));
    if (!s->type) return ERR_KEY_TYPE;
    s->is_cert = s->type->is_cert;
    if (s->is_cert) {
        struct cert c;
        TRY(cert_parse(blob, &c));
        blob = c.ca_key;
        r = rd_of(blob);
        s->type = key_type_read(&r);
    }
    return base64_put(&s->base64, blob);
}

void authorized_keys_scan_done(struct authorized_keys_scan *s) { buf_done(&s->base64); }

bool authorized_keys_next(struct authorized_keys_scan *s, struct authorized_keys_line *ret)
{
    struct view wanted = buf_view(&s->base64);
    while (wanted.len && s->rest.len) {
        const uint8_t *hit = memmem(s->rest.p, s->rest.len, wanted.p, wanted.len);
        if (!hit) break;
        struct view text = VIEW_EMPTY;
        while (public_file_next_line(&s->rest, &text)) {
            s->number++;
            if (text.p + text.len > hit) break;
        }
        struct authorized_keys_line l = { .number = s->number };
        if (authorized_keys_line_parse(text, &l) <= 0 || !view_eq(l.base64, wanted) || !view_eq_str(l.type, s->type->name))
            continue;
        *ret = l;
        return true;
    }
    s->rest = VIEW_EMPTY;
    return false;
}
