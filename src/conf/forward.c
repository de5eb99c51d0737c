/* Forward specifications; see the header. */
#include "conf/forward.h"

#include "conf/conf_int.h"

#include <stdlib.h>

enum {
    FORWARD_PARTS_MAX = 4,
    FORWARD_PATH_MAX = 108 /* of a socket's address, with a NUL */
};

void conf_forward_done(struct conf_forward *f)
{
    free(f->listen_host);
    free(f->listen_path);
    free(f->connect_host);
    free(f->connect_path);
    memset(f, 0, sizeof(*f));
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

bool conf_forward_equal(const struct conf_forward *a, const struct conf_forward *b)
{
    return same_text(a->listen_host, b->listen_host) && a->listen_port == b->listen_port &&
           same_text(a->listen_path, b->listen_path) && same_text(a->connect_host, b->connect_host) &&
           a->connect_port == b->connect_port && same_text(a->connect_path, b->connect_path) && a->socks == b->socks;
}

static bool entry_permits(const char *entry, const char *host, int port)
{
    const char *colon = strrchr(entry, ':');
    if (!colon) return false;
    struct view name = view_of(entry, (size_t)(colon - entry));
    if (name.len >= 2 && name.p[0] == '[' && name.p[name.len - 1] == ']') name = view_sub(name, 1, name.len - 2);
    bool any_host = view_eq_str(name, "*"), any_port = strcmp(colon + 1, "*") == 0;
    int its_port;
    if (!any_port && conf_port(view_str(colon + 1), 1, &its_port) < 0) return false;
    bool same_host = name.len == strlen(host) && strncasecmp((const char *)name.p, host, name.len) == 0;
    return (any_host || same_host) && (any_port || its_port == port);
}

bool conf_destinations_permit(const struct strv *list, const char *host, int port)
{
    for (size_t i = 0; i < list->n; i++)
        if (entry_permits(list->v[i], host, port)) return true;
    return false;
}

static int dup_text(char **ret, const char *from)
{
    *ret = from ? strdup(from) : NULL;
    return from && !*ret ? ERR_NOMEM : 0;
}

int conf_forward_copy(struct conf_forward *ret, const struct conf_forward *from)
{
    struct conf_forward f = { .listen_port = from->listen_port, .connect_port = from->connect_port, .socks = from->socks };
    int err = dup_text(&f.listen_host, from->listen_host);
    if (err == 0) err = dup_text(&f.listen_path, from->listen_path);
    if (err == 0) err = dup_text(&f.connect_host, from->connect_host);
    if (err == 0) err = dup_text(&f.connect_path, from->connect_path);
    if (err < 0)
        conf_forward_done(&f);
    else
        *ret = f;
    return err;
}

/* Splits at colons outside of brackets and takes the brackets off. */
static int split(struct view spec, struct view parts[FORWARD_PARTS_MAX], size_t *ret_n)
{
    size_t n = 0;
    for (;;) {
        size_t len = 0, next;
        if (n == FORWARD_PARTS_MAX) return ERR_FORMAT;
        if (spec.len && spec.p[0] == '[') {
            const uint8_t *end = memchr(spec.p, ']', spec.len);
            if (!end) return ERR_FORMAT;
            parts[n++] = view_of(spec.p + 1, (size_t)(end - spec.p) - 1);
            next = (size_t)(end - spec.p) + 1;
            if (next < spec.len && spec.p[next] != ':') return ERR_FORMAT;
        } else {
            while (len < spec.len && spec.p[len] != ':') len++;
            parts[n++] = view_of(spec.p, len);
            next = len;
        }
        if (next >= spec.len) break;
        spec = view_sub(spec, next + 1, SIZE_MAX);
    }
    *ret_n = n;
    return 0;
}

static bool is_path(struct view part) { return part.len && memchr(part.p, '/', part.len); }

static int put_text(char **ret, struct view text)
{
    *ret = view_dup_str(text);
    return *ret ? 0 : ERR_NOMEM;
}

static int put_path(char **ret, struct view part) { return part.len < FORWARD_PATH_MAX ? put_text(ret, part) : ERR_FORMAT; }

/* Takes one path, one port, or a host and a port. */
static int put_listen(struct conf_forward *f, enum conf_forward_kind kind, const struct view *parts, size_t n)
{
    if (n == 1 && is_path(parts[0])) return kind == CONF_FORWARD_DYNAMIC ? ERR_FORMAT : put_path(&f->listen_path, parts[0]);
    if (n == 0 || n > 2) return ERR_FORMAT;
    TRY(conf_port(parts[n - 1], kind == CONF_FORWARD_REMOTE ? 0 : 1, &f->listen_port));
    return n == 2 ? put_text(&f->listen_host, parts[0]) : 0;
}

static int put_connect(struct conf_forward *f, const struct view *parts, size_t n)
{
    if (n == 1 && is_path(parts[0])) return put_path(&f->connect_path, parts[0]);
    if (n != 2 || parts[0].len == 0) return ERR_FORMAT;
    if (view_eq_str(parts[0], "socks") && view_eq_str(parts[1], "0")) {
        f->socks = true;
        return 0;
    }
    TRY(conf_port(parts[1], 1, &f->connect_port));
    return put_text(&f->connect_host, parts[0]);
}

/* How many of the parts of a flag say where to connect: a path is one, a host and its port are two. */
static size_t connect_parts(enum conf_forward_kind kind, const struct view *parts, size_t n)
{
    if (kind == CONF_FORWARD_DYNAMIC || n == 1) return 0;
    if (is_path(parts[n - 1])) return 1;
    if (n == 2) return kind == CONF_FORWARD_REMOTE ? 0 : 2;
    return 2;
}

static int finish(enum conf_forward_kind kind, int err, struct conf_forward *f, bool has_target, struct conf_forward *ret)
{
    if (!has_target) f->socks = true;
    if (err == 0 && f->socks && kind == CONF_FORWARD_LOCAL) err = ERR_FORMAT;
    if (err < 0) {
        conf_forward_done(f);
        return err == ERR_NOMEM ? err : ERR_FORMAT;
    }
    *ret = *f;
    return 0;
}

int conf_forward_parse(enum conf_forward_kind kind, struct view spec, struct conf_forward *ret)
{
    struct view parts[FORWARD_PARTS_MAX];
    struct conf_forward f = { 0 };
    size_t n;
    TRY(split(spec, parts, &n));
    size_t connect = connect_parts(kind, parts, n);
    int err = put_listen(&f, kind, parts, n - connect);
    if (err == 0 && connect) err = put_connect(&f, parts + n - connect, connect);
    return finish(kind, err, &f, connect != 0, ret);
}

int conf_forward_parse_words(enum conf_forward_kind kind, struct view listen, struct view target, struct conf_forward *ret)
{
    struct view parts[FORWARD_PARTS_MAX];
    struct conf_forward f = { 0 };
    size_t n;
    TRY(split(listen, parts, &n));
    int err = put_listen(&f, kind, parts, n);
    if (err == 0 && target.len) {
        err = split(target, parts, &n);
        if (err == 0) err = put_connect(&f, parts, n);
    }
    return finish(kind, err, &f, target.len != 0, ret);
}

/* ---- the types ---- */

static enum conf_forward_kind kind_of(const struct conf_option *opt)
{
    if (opt->type == &conf_type_LOCAL_FORWARDS) return CONF_FORWARD_LOCAL;
    return opt->type == &conf_type_REMOTE_FORWARDS ? CONF_FORWARD_REMOTE : CONF_FORWARD_DYNAMIC;
}

static int forwards_add(struct conf_forwards *list, struct conf_forward *take)
{
    struct conf_forward *v = list->n < CONF_LIST_MAX ? realloc(list->v, (list->n + 1) * sizeof(*v)) : NULL;
    if (!v) {
        conf_forward_done(take);
        return list->n < CONF_LIST_MAX ? ERR_NOMEM : ERR_LIMIT;
    }
    list->v = v;
    list->v[list->n++] = *take;
    return 0;
}

static int forwards_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    const enum conf_forward_kind kind = kind_of(opt);
    struct conf_forward f;
    if (words->n > 2 || (kind == CONF_FORWARD_DYNAMIC && words->n > 1)) return conf_complain(ctx, "extra arguments");
    bool flag = ctx->is_flag && words->n == 1;
    if (kind == CONF_FORWARD_LOCAL && words->n == 1 && !flag) return conf_complain(ctx, "Missing target argument.");
    int err = flag ? conf_forward_parse(kind, words->v[0], &f)
                   : conf_forward_parse_words(kind, words->v[0], words->n == 2 ? words->v[1] : VIEW_EMPTY, &f);
    if (err == ERR_FORMAT)
        return conf_complain(ctx, "Bad forwarding specification. Allowed: [address:]port or a socket's path%s",
                             kind == CONF_FORWARD_DYNAMIC ? "" : ", then host:port or a socket's path");
    TRY(err);
    if (value) return forwards_add(value, &f);
    conf_forward_done(&f);
    return 0;
}

static size_t forwards_n_lines(const struct conf_option *opt UNUSED, const void *value)
{
    return ((const struct conf_forwards *)value)->n;
}

static int forwards_print(const struct conf_option *opt, const void *value, size_t line_idx, struct strv *ret_words)
{
    const struct conf_forward *f = &((const struct conf_forwards *)value)->v[line_idx];
    if (f->listen_path)
        TRY(strv_add(ret_words, view_str(f->listen_path)));
    else if (f->listen_host)
        TRY(conf_strv_printf(ret_words, "[%s]:%d", f->listen_host, f->listen_port));
    else
        TRY(conf_strv_printf(ret_words, "%d", f->listen_port));
    if (kind_of(opt) == CONF_FORWARD_DYNAMIC) return 0;
    if (f->socks) return strv_add(ret_words, VIEW_LIT("[socks]:0"));
    if (f->connect_path) return strv_add(ret_words, view_str(f->connect_path));
    return conf_strv_printf(ret_words, "[%s]:%d", f->connect_host, f->connect_port);
}

static bool forwards_equal(const void *a, const void *b)
{
    const struct conf_forwards *x = a, *y = b;
    if (x->n != y->n) return false;
    for (size_t i = 0; i < x->n; i++)
        if (!conf_forward_equal(&x->v[i], &y->v[i])) return false;
    return true;
}

static int forwards_copy(void *ret_value, const void *from)
{
    const struct conf_forwards *list = from;
    for (size_t i = 0; i < list->n; i++) {
        struct conf_forward f;
        TRY(conf_forward_copy(&f, &list->v[i]));
        TRY(forwards_add(ret_value, &f));
    }
    return 0;
}

static void forwards_done(void *value)
{
    struct conf_forwards *list = value;
    for (size_t i = 0; i < list->n; i++) conf_forward_done(&list->v[i]);
    free(list->v);
}

#define FORWARDS_TYPE(word)                                                           \
    const struct conf_type conf_type_##word = { .name = #word,                        \
                                                .size = sizeof(struct conf_forwards), \
                                                .parse = forwards_parse,              \
                                                .n_lines = forwards_n_lines,          \
                                                .print = forwards_print,              \
                                                .equal = forwards_equal,              \
                                                .copy = forwards_copy,                \
                                                .done = forwards_done }
FORWARDS_TYPE(LOCAL_FORWARDS);
FORWARDS_TYPE(REMOTE_FORWARDS);
FORWARDS_TYPE(DYNAMIC_FORWARDS);
