/* Types of lists of structs that are not forwards: ListenAddress, ChannelTimeout, Subsystem; and PerSourcePenalties. */
#include "conf/conf_int.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* Makes room for one more zeroed element at the end. */
static int grow(void **v, size_t n, size_t element_size, void **ret_new)
{
    if (n >= CONF_LIST_MAX) return ERR_LIMIT;
    void *p = realloc(*v, (n + 1) * element_size);
    if (!p) return ERR_NOMEM;
    *v = p;
    *ret_new = (char *)p + n * element_size;
    memset(*ret_new, 0, element_size);
    return 0;
}

/* "1h", "5m", "90", "1500ms" is not a unit here: fractions of seconds are decimals. */
static void print_time(int64_t span, char *ret, size_t cap)
{
    static const struct {
        int64_t ms;
        char unit;
    } units[] = { { 86400000, 'd' }, { 3600000, 'h' }, { 60000, 'm' } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (span == 0 || span % units[i].ms != 0) continue;
        snprintf(ret, cap, "%lld%c", (long long)(span / units[i].ms), units[i].unit);
        return;
    }
    if (span % 1000)
        snprintf(ret, cap, "%lld.%03lld", (long long)(span / 1000), (long long)(span % 1000));
    else
        snprintf(ret, cap, "%lld", (long long)(span / 1000));
}

/* ---- ListenAddress ---- */

/* "host", "host:port", "[host]:port", or an address with several colons. */
static bool split_listen(struct view word, struct view *ret_host, struct view *ret_port)
{
    const uint8_t *colon = memchr(word.p, ':', word.len);
    *ret_port = VIEW_EMPTY;
    *ret_host = word;
    if (word.p[0] == '[') {
        const uint8_t *bracket = memchr(word.p, ']', word.len);
        if (!bracket) return false;
        *ret_host = view_of(word.p + 1, (size_t)(bracket - word.p) - 1);
        struct view rest = view_sub(word, ret_host->len + 2, SIZE_MAX);
        if (rest.len && (rest.p[0] != ':' || rest.len == 1)) return false;
        *ret_port = rest.len ? view_sub(rest, 1, SIZE_MAX) : VIEW_EMPTY;
    } else if (colon && !memchr(colon + 1, ':', word.len - (size_t)(colon - word.p) - 1)) {
        *ret_host = view_of(word.p, (size_t)(colon - word.p));
        *ret_port = view_sub(word, ret_host->len + 1, SIZE_MAX);
        if (ret_port->len == 0) return false;
    }
    return ret_host->len != 0;
}

static int listen_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                        void *value)
{
    struct view host, port;
    struct conf_listens *list = value;
    int port_number = 0;
    void *element;
    if ((words->n != 1 && words->n != 3) || (words->n == 3 && !conf_name_eq(words->v[1], "rdomain")) || words->v[0].len == 0)
        return conf_complain(
            ctx, "bad ListenAddress syntax. Allowed: host, host:port, [address]:port, with \"rdomain NAME\" or without");
    if (!split_listen(words->v[0], &host, &port)) return conf_complain(ctx, "bad address \"%.*s\"", VIEW_ARG(words->v[0]));
    if (port.len && conf_port(port, 1, &port_number) < 0) return conf_complain(ctx, "bad port number. Allowed: 1 to 65535");
    if (words->n == 3 && words->v[2].len == 0) return conf_complain(ctx, "bad routing domain");
    if (!list) return 0;
    TRY(grow((void **)&list->v, list->n, sizeof(*list->v), &element));
    struct conf_listen *l = element;
    list->n++;
    l->port = port_number;
    if (!view_eq_str(host, "*") && !(l->host = view_dup_str(host))) return ERR_NOMEM;
    if (words->n == 3 && !(l->rdomain = view_dup_str(words->v[2]))) return ERR_NOMEM;
    return 0;
}

static size_t listen_n_lines(const struct conf_option *opt UNUSED, const void *value)
{
    return ((const struct conf_listens *)value)->n;
}

static int listen_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx, struct strv *ret_words)
{
    const struct conf_listen *l = &((const struct conf_listens *)value)->v[line_idx];
    bool v6 = l->host && strchr(l->host, ':');
    const char *host = l->host ? l->host : "*";
    if (l->port)
        TRY(conf_strv_printf(ret_words, v6 ? "[%s]:%d" : "%s:%d", host, l->port));
    else
        TRY(conf_strv_printf(ret_words, "%s", host));
    if (!l->rdomain) return 0;
    TRY(strv_add(ret_words, VIEW_LIT("rdomain")));
    return strv_add(ret_words, view_str(l->rdomain));
}

static bool listen_equal(const void *a, const void *b)
{
    const struct conf_listens *x = a, *y = b;
    if (x->n != y->n) return false;
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].port != y->v[i].port || !same_text(x->v[i].host, y->v[i].host) || !same_text(x->v[i].rdomain, y->v[i].rdomain))
            return false;
    return true;
}

static void listen_done(void *value)
{
    struct conf_listens *list = value;
    for (size_t i = 0; i < list->n; i++) {
        free(list->v[i].host);
        free(list->v[i].rdomain);
    }
    free(list->v);
}

/* ---- ChannelTimeout ---- */

static bool split_timeout(struct view word, struct view *ret_type, int64_t *ret_ms)
{
    const uint8_t *eq = word.len ? memchr(word.p, '=', word.len) : NULL;
    if (!eq || eq == word.p) return false;
    *ret_type = view_of(word.p, (size_t)(eq - word.p));
    struct view time = view_sub(word, ret_type->len + 1, SIZE_MAX);
    *ret_ms = 0;
    return conf_name_eq(time, "none") || conf_time(time, false, ret_ms) == 0;
}

static int timeouts_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                          void *value)
{
    struct conf_channel_timeouts *list = value;
    for (size_t i = 0; i < words->n; i++) {
        struct view type;
        int64_t span;
        void *element;
        if (conf_name_eq(words->v[i], "none")) {
            if (words->n == 1) return 0;
            return conf_complain(ctx, "keyword %s \"none\" argument must appear alone.", opt->name);
        }
        if (!split_timeout(words->v[i], &type, &span))
            return conf_complain(ctx, "invalid channel timeout %.*s; allowed: type=time such as session=5m, or none",
                                 VIEW_ARG(words->v[i]));
        if (!list) continue;
        TRY(grow((void **)&list->v, list->n, sizeof(*list->v), &element));
        struct conf_channel_timeout *t = element;
        list->n++;
        t->ms = span;
        if (!(t->type = view_dup_str(type))) return ERR_NOMEM;
    }
    return 0;
}

static size_t timeouts_n_lines(const struct conf_option *opt UNUSED, const void *value)
{
    return ((const struct conf_channel_timeouts *)value)->n != 0;
}

static int timeouts_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_channel_timeouts *list = value;
    for (size_t i = 0; i < list->n; i++) {
        char time[32];
        print_time(list->v[i].ms, time, sizeof(time));
        TRY(conf_strv_printf(ret_words, "%s=%s", list->v[i].type, time));
    }
    return 0;
}

static bool timeouts_equal(const void *a, const void *b)
{
    const struct conf_channel_timeouts *x = a, *y = b;
    if (x->n != y->n) return false;
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].ms != y->v[i].ms || strcmp(x->v[i].type, y->v[i].type) != 0) return false;
    return true;
}

static void timeouts_done(void *value)
{
    struct conf_channel_timeouts *list = value;
    for (size_t i = 0; i < list->n; i++) free(list->v[i].type);
    free(list->v);
}

/* ---- Subsystem ---- */

static int find_subsystem(const struct conf_subsystems *list, struct view name)
{
    for (size_t i = 0; i < list->n; i++)
        if (view_eq_str(name, list->v[i].name)) return (int)i;
    return -1;
}

/* The first definition of a name counts; a second one is no error, as with every other keyword. */
static int subsystems_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                            void *value)
{
    struct conf_subsystems *list = value;
    struct view name, command;
    void *element;
    CLEANUP(freep) char *text = malloc(words->raw.len + 1);
    if (!text) return ERR_NOMEM;
    if (conf_lex_first(words->raw, text, &name.len, &command) < 0) return conf_complain(ctx, "invalid quotes");
    name.p = (const uint8_t *)text;
    if (name.len == 0) return conf_complain(ctx, "Missing subsystem name.");
    if (command.len == 0 || command.p[0] == '#') return conf_complain(ctx, "Missing subsystem command.");
    if (!list || find_subsystem(list, name) >= 0) return 0;
    TRY(grow((void **)&list->v, list->n, sizeof(*list->v), &element));
    struct conf_subsystem *s = element;
    list->n++;
    s->name = view_dup_str(name);
    s->command = view_dup_str(command);
    return s->name && s->command ? 0 : ERR_NOMEM;
}

static size_t subsystems_n_lines(const struct conf_option *opt UNUSED, const void *value)
{
    return ((const struct conf_subsystems *)value)->n;
}

static int subsystems_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx, struct strv *ret_words)
{
    const struct conf_subsystem *s = &((const struct conf_subsystems *)value)->v[line_idx];
    CLEANUP(buf_done) struct buf line = BUF_INIT(CONF_LINE_BYTES_MAX * 3);
    TRY(conf_put_quoted(&line, view_str(s->name)));
    TRY(buf_printf(&line, " %s", s->command));
    return strv_add(ret_words, buf_view(&line));
}

static bool subsystems_equal(const void *a, const void *b)
{
    const struct conf_subsystems *x = a, *y = b;
    if (x->n != y->n) return false;
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->v[i].name, y->v[i].name) != 0 || strcmp(x->v[i].command, y->v[i].command) != 0) return false;
    return true;
}

static void subsystems_done(void *value)
{
    struct conf_subsystems *list = value;
    for (size_t i = 0; i < list->n; i++) {
        free(list->v[i].name);
        free(list->v[i].command);
    }
    free(list->v);
}

/* ---- copies: by way of the words, since lists are copied once a connection at most ---- */

static int copy_by_words(const struct conf_type *type, void *ret_value, const void *from)
{
    const struct conf_option opt = { .name = type->name, .type = type };
    for (size_t line = 0; line < type->n_lines(&opt, from); line++) {
        CLEANUP(strv_done) struct strv strings = STRV_INIT;
        struct conf_parse_ctx ctx = { .algs = NULL };
        TRY(type->print(&opt, from, line, &strings));
        CLEANUP(freep) struct view *v = calloc(strings.n + 1, sizeof(*v));
        if (!v) return ERR_NOMEM;
        for (size_t i = 0; i < strings.n; i++) v[i] = view_str(strings.v[i]);
        const struct conf_words words = { .v = v, .n = strings.n, .raw = v[0] };
        TRY(type->parse(&opt, &words, &ctx, ret_value));
    }
    return 0;
}
static int listen_copy(void *ret_value, const void *from) { return copy_by_words(&conf_type_LISTEN, ret_value, from); }
static int timeouts_copy(void *ret_value, const void *from) { return copy_by_words(&conf_type_CHANNEL_TIMEOUTS, ret_value, from); }
static int subsystems_copy(void *ret_value, const void *from) { return copy_by_words(&conf_type_SUBSYSTEMS, ret_value, from); }

/* ---- PerSourcePenalties ---- */

enum {
    PENALTY_TIME,
    PENALTY_COUNT,
    PENALTY_OVERFLOW
};
static const struct {
    const char *name;
    int kind;
    size_t offset;
    int64_t standard;
} penalty_fields[] = {
#define TIME_FIELD(name, field, seconds)                                             \
    {                                                                                \
        name, PENALTY_TIME, offsetof(struct conf_penalties, field), (seconds)*1000LL \
    }
    TIME_FIELD("crash", crash_ms, 90),
    TIME_FIELD("authfail", authfail_ms, 5),
    TIME_FIELD("invaliduser", invaliduser_ms, 5),
    TIME_FIELD("noauth", noauth_ms, 1),
    TIME_FIELD("grace-exceeded", grace_exceeded_ms, 10),
    TIME_FIELD("refuseconnection", refuseconnection_ms, 10),
    TIME_FIELD("max", max_ms, 600),
    TIME_FIELD("min", min_ms, 15),
#undef TIME_FIELD
    { "max-sources4", PENALTY_COUNT, offsetof(struct conf_penalties, max_sources4), 65536 },
    { "max-sources6", PENALTY_COUNT, offsetof(struct conf_penalties, max_sources6), 65536 },
    { "overflow", PENALTY_OVERFLOW, offsetof(struct conf_penalties, overflow4_deny_all), 0 },
    { "overflow6", PENALTY_OVERFLOW, offsetof(struct conf_penalties, overflow6_deny_all), 0 },
};

static void penalty_store(struct conf_penalties *p, size_t i, int64_t n)
{
    char *field = (char *)p + penalty_fields[i].offset;
    switch (penalty_fields[i].kind) {
    case PENALTY_TIME:
        *(int64_t *)(void *)field = n;
        break;
    case PENALTY_COUNT:
        *(int *)(void *)field = (int)n;
        break;
    default:
        *(bool *)(void *)field = n != 0;
    }
}

static bool penalty_value(int kind, struct view text, int64_t *ret)
{
    long n;
    switch (kind) {
    case PENALTY_TIME:
        return conf_time(text, true, ret) == 0;
    case PENALTY_COUNT:
        if (conf_number(text, 1, INT_MAX, &n) < 0) return false;
        *ret = n;
        return true;
    default:
        *ret = conf_name_eq(text, "deny-all");
        return *ret || conf_name_eq(text, "permissive");
    }
}

static int penalty_word(struct conf_penalties *p, struct view word, struct conf_parse_ctx *ctx)
{
    const uint8_t *colon = word.len ? memchr(word.p, ':', word.len) : NULL;
    struct view name = colon ? view_of(word.p, (size_t)(colon - word.p)) : word;
    int64_t n;
    for (size_t i = 0; colon && i < ARRAY_LEN(penalty_fields); i++) {
        if (!conf_name_eq(name, penalty_fields[i].name)) continue;
        if (!penalty_value(penalty_fields[i].kind, view_sub(word, name.len + 1, SIZE_MAX), &n)) break;
        penalty_store(p, i, n);
        return 0;
    }
    return conf_complain(
        ctx,
        "invalid penalty \"%.*s\"; allowed: yes, no, and NAME:TIME with crash, authfail, invaliduser, refuseconnection, noauth, "
        "grace-exceeded, max, min; max-sources4:N, max-sources6:N, overflow:permissive, overflow:deny-all, overflow6:...",
        VIEW_ARG(word));
}

static int penalties_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                           void *value)
{
    struct conf_penalties p;
    memset(&p, 0, sizeof(p));
    p.on = true;
    for (size_t i = 0; i < ARRAY_LEN(penalty_fields); i++) penalty_store(&p, i, penalty_fields[i].standard);
    bool no = conf_name_eq(words->v[0], "no"), yes = conf_name_eq(words->v[0], "yes");
    if ((yes || no) && words->n > 1) return conf_complain(ctx, "extra arguments");
    if (no) p.on = false;
    for (size_t i = 0; !yes && !no && i < words->n; i++) TRY(penalty_word(&p, words->v[i], ctx));
    if (value) memcpy(value, &p, sizeof(p));
    return 0;
}

static int penalties_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_penalties *p = value;
    if (!p->on) return strv_add(ret_words, VIEW_LIT("no"));
    for (size_t i = 0; i < ARRAY_LEN(penalty_fields); i++) {
        const char *field = (const char *)p + penalty_fields[i].offset;
        char text[32];
        switch (penalty_fields[i].kind) {
        case PENALTY_TIME: {
            int64_t span = *(const int64_t *)(const void *)field;
            if (span % 1000)
                snprintf(text, sizeof(text), "%lld.%03lld", (long long)(span / 1000), (long long)(span % 1000));
            else
                snprintf(text, sizeof(text), "%lld", (long long)(span / 1000));
            break;
        }
        case PENALTY_COUNT:
            snprintf(text, sizeof(text), "%d", *(const int *)(const void *)field);
            break;
        default:
            snprintf(text, sizeof(text), "%s", *(const bool *)(const void *)field ? "deny-all" : "permissive");
        }
        TRY(conf_strv_printf(ret_words, "%s:%s", penalty_fields[i].name, text));
    }
    return 0;
}

#define LIST_TYPE(word, stem, ...)                                             \
    const struct conf_type conf_type_##word = { .name = #word,                 \
                                                .size = sizeof(CONF_C_##word), \
                                                .parse = stem##_parse,         \
                                                .n_lines = stem##_n_lines,     \
                                                .print = stem##_print,         \
                                                .equal = stem##_equal,         \
                                                .copy = stem##_copy,           \
                                                .done = stem##_done,           \
                                                ##__VA_ARGS__ }
LIST_TYPE(LISTEN, listen);
LIST_TYPE(CHANNEL_TIMEOUTS, timeouts);
LIST_TYPE(SUBSYSTEMS, subsystems, .wants_raw = true);
const struct conf_type conf_type_PENALTIES = {
    .name = "PENALTIES", .size = sizeof(struct conf_penalties), .parse = penalties_parse, .print = penalties_print
};
