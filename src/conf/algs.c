/* Algorithm lists: + - ^ against a default list, patterns, doubles. */
#include "conf/conf_int.h"

#include "base/pattern.h"

#include <stdlib.h>

enum {
    ALGS_BYTES_MAX = 64 * 1024
};

static bool may_have_patterns(enum conf_algs kind) { return kind == CONF_ALGS_KEYS || kind == CONF_ALGS_CA_SIGS; }
static bool is_pattern(struct view name) { return memchr(name.p, '*', name.len) || memchr(name.p, '?', name.len); }

static int add_once(struct buf *out, struct view name)
{
    if (buf_len(out) && view_list_has(buf_view(out), name)) return 0;
    if (buf_len(out)) TRY(buf_put_u8(out, ','));
    return buf_put_view(out, name);
}

/* Adds one name, or all supported ones that a pattern matches. */
static int add_name(struct buf *out, enum conf_algs kind, struct view supported, struct view name, bool *ret_known)
{
    bool wild = may_have_patterns(kind) && is_pattern(name);
    struct view one;
    while (view_next_in_list(&supported, &one)) {
        if (wild ? !pattern_matches(one, name) : !view_eq(one, name)) continue;
        *ret_known = true;
        TRY(add_once(out, one));
    }
    return 0;
}

static int add_list(struct buf *out, enum conf_algs kind, const struct conf_algorithms *algs, struct view list,
                    struct view *ret_bad)
{
    struct view name;
    while (view_next_in_list(&list, &name)) {
        bool known = false;
        if (name.len == 0) continue;
        TRY(add_name(out, kind, view_str(algs->supported[kind]), name, &known));
        if (known) continue;
        *ret_bad = name;
        return ERR_UNSUPPORTED;
    }
    return 0;
}

static int add_plain(struct buf *out, struct view list)
{
    struct view name;
    while (view_next_in_list(&list, &name))
        if (name.len) TRY(add_once(out, name));
    return 0;
}

static int add_without(struct buf *out, struct view list, struct view patterns)
{
    struct view name;
    while (view_next_in_list(&list, &name))
        if (name.len && pattern_list_match(name, patterns) == 0) TRY(add_once(out, name));
    return 0;
}

int conf_algorithms_expand(enum conf_algs kind, const struct conf_algorithms *algs, const char *list, char **ret_list,
                           struct view *ret_bad)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(ALGS_BYTES_MAX);
    struct view defaults = view_str(algs->defaults[kind]), in = view_str(list), bad = VIEW_EMPTY;
    uint8_t op = in.len && strchr("+-^", in.p[0]) ? in.p[0] : 0;
    if (op) in = view_sub(in, 1, SIZE_MAX);
    int err = 0;
    if (in.len == 0 || op == '+') err = add_plain(&out, defaults);
    if (err == 0 && op == '-')
        err = in.len ? add_without(&out, defaults, in) : 0;
    else if (err == 0 && in.len)
        err = add_list(&out, kind, algs, in, &bad);
    if (err == 0 && op == '^') err = add_plain(&out, defaults);
    if (err == ERR_UNSUPPORTED) *ret_bad = bad;
    TRY(err);
    char *result = view_dup_str(buf_view(&out));
    if (!result) return ERR_NOMEM;
    *ret_list = result;
    return 0;
}
