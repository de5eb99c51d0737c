/* Which names a remote path asks for. */
#include "proto/scp/scp_int.h"

bool scp_name_is_good(struct view name)
{
    return name.len && !view_eq_str(name, ".") && !view_eq_str(name, "..") && !memchr(name.p, '/', name.len);
}

/* The first group of braces that has its end: from its { to its }, nested ones inside. A group in brackets or behind a backslash is
 * none. */
static bool find_braces(struct view p, size_t *ret_open, size_t *ret_close)
{
    size_t depth = 0;
    bool in_brackets = false;
    for (size_t i = 0; i < p.len; i++) {
        uint8_t c = p.p[i];
        if (c == '\\')
            i++;
        else if (depth == 0 && c == '[')
            in_brackets = true;
        else if (depth == 0 && c == ']')
            in_brackets = false;
        else if (c == '{' && !in_brackets && depth++ == 0)
            *ret_open = i;
        else if (c == '}' && depth && --depth == 0) {
            *ret_close = i;
            if (i > *ret_open + 1) return true; /* {} means itself */
        }
    }
    return false;
}

static int add_alternative(struct strv *to, struct view p, size_t open, struct view middle, size_t close)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
    if (to->n >= SCP_PATTERNS_MAX) return ERR_LIMIT;
    TRY(buf_put_view(&b, view_sub(p, 0, open)));
    TRY(buf_put_view(&b, middle));
    TRY(buf_put_view(&b, view_sub(p, close + 1, p.len)));
    return strv_add(to, buf_view(&b));
}

/* One pattern becomes one for each alternative of its first group. */
static int expand_one(struct view p, size_t open, size_t close, struct strv *to)
{
    size_t depth = 0, start = open + 1;
    for (size_t i = open + 1; i <= close; i++) {
        uint8_t c = p.p[i];
        if (c == '\\' && i + 1 < close)
            i++;
        else if (c == '{')
            depth++;
        else if (c == '}' && i < close)
            depth--;
        else if (i == close || (c == ',' && depth == 0)) {
            TRY(add_alternative(to, p, open, view_sub(p, start, i - start), close));
            start = i + 1;
        }
    }
    return 0;
}

static struct view last_component(struct view path)
{
    while (path.len && path.p[path.len - 1] == '/') path.len--;
    for (size_t i = path.len; i > 0; i--)
        if (path.p[i - 1] == '/') return view_sub(path, i, path.len);
    return path;
}

static bool is_shells_matter(struct view name)
{
    return name.len && (name.p[0] == '~' || memchr(name.p, '$', name.len) || memchr(name.p, '`', name.len));
}

static int expand(struct view path, bool recursive, struct strv *patterns)
{
    CLEANUP(strv_done) struct strv work = STRV_INIT;
    TRY(strv_add(&work, path));
    for (size_t i = 0; i < work.n; i++) {
        struct view p = view_str(work.v[i]);
        size_t open, close;
        if (find_braces(p, &open, &close)) {
            TRY(expand_one(p, open, close, &work));
            continue;
        }
        struct view name = last_component(p);
        if (recursive && is_shells_matter(name)) {
            strv_done(patterns);
            return 0;
        }
        TRY(strv_add(patterns, name));
    }
    return 0;
}

int scp_request_patterns(struct view path, bool recursive, struct strv *ret)
{
    CLEANUP(strv_done) struct strv patterns = STRV_INIT;
    TRY(expand(path, recursive, &patterns));
    *ret = patterns;
    patterns = (struct strv)STRV_INIT;
    return 0;
}
