/* Types of options that are one number. */
#include "conf/conf_int.h"

#include <limits.h>

static struct view first(const struct conf_words *words) { return words->v[0]; }

static int store(void *value, int n)
{
    if (value) *(int *)value = n;
    return 0;
}

/* ---- names ---- */

static const struct conf_name *find_name(const struct conf_name *names, struct view word)
{
    for (; names->name; names++)
        if (conf_name_eq(word, names->name)) return names;
    return NULL;
}

/* "a, b, c", each value's names in the order of the table; true and false are not worth advertising. */
static void allowed_names(const struct conf_name *names, char *ret, size_t cap)
{
    size_t n = 0;
    ret[0] = '\0';
    for (; names->name; names++) {
        size_t len = strlen(names->name);
        if (strcmp(names->name, "true") == 0 || strcmp(names->name, "false") == 0 || n + len + 3 > cap) continue;
        if (n) memcpy(ret + n, ", ", 2), n += 2;
        memcpy(ret + n, names->name, len + 1);
        n += len;
    }
}

static int complain_names(struct conf_parse_ctx *ctx, const char *what, char quote, struct view word, const char *end,
                          const struct conf_name *names)
{
    char allowed[256];
    allowed_names(names, allowed, sizeof(allowed));
    return conf_complain(ctx, "%s %c%.*s%c%s Allowed: %s", what, quote, VIEW_ARG(word), quote, end, allowed);
}

static int enum_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    const struct conf_name *name = find_name(opt->names, first(words));
    if (name) return store(value, name->value);
    if (opt->names == conf_names_syslog_facility)
        return complain_names(ctx, "unsupported log facility", '\'', first(words), ".", opt->names);
    if (opt->names == conf_names_permit_tunnel)
        return conf_complain(ctx, "bad PermitTunnel argument %.*s. Allowed: yes, no, ethernet, point-to-point",
                             VIEW_ARG(first(words)));
    return complain_names(ctx, "unsupported option", '"', first(words), ".", opt->names);
}

static int print_name(const struct conf_name *names, int n, struct strv *ret_words)
{
    for (; names->name; names++)
        if (names->value == n) return strv_add(ret_words, view_str(names->name));
    return ERR_BUG;
}

static int enum_print(const struct conf_option *opt, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    return print_name(opt->names, *(const int *)value, ret_words);
}

static const struct conf_name bool_names[] = { { "yes", 1 }, { "no", 0 }, { "true", 1 }, { "false", 0 }, { NULL, 0 } };

static int bool_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    const struct conf_name *name = find_name(bool_names, first(words));
    if (!name) return complain_names(ctx, "unsupported option", '"', first(words), ".", bool_names);
    return store(value, name->value);
}

static int bool_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    return strv_add(ret_words, *(const int *)value ? VIEW_LIT("yes") : VIEW_LIT("no"));
}

/* As syslog and OpenSSH name them: DEBUG1 prints as DEBUG. */
static int log_level_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                           void *value)
{
    char name[16];
    struct view word = first(words);
    int level = -1;
    if (word.len < sizeof(name)) {
        memcpy(name, word.p, word.len);
        name[word.len] = '\0';
        for (size_t i = 0; i < word.len; i++)
            if (name[i] >= 'a' && name[i] <= 'z') name[i] -= 32;
        level = log_level_from_name(name);
    }
    if (level >= 0) return store(value, level);
    return conf_complain(ctx,
                         "unsupported log level '%.*s'. Allowed: QUIET, FATAL, ERROR, INFO, VERBOSE, DEBUG, DEBUG1, DEBUG2, DEBUG3",
                         VIEW_ARG(word));
}

static int log_level_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    enum log_level level = (enum log_level) * (const int *)value;
    const char *name = level == LOG_LEVEL_DEBUG1 ? "DEBUG" : level == LOG_LEVEL_QUIET ? "SILENT" : log_level_name(level);
    return strv_add(ret_words, view_str(name)); /* OpenSSH prints the first of two names for one level */
}

/* ---- numbers ---- */

static bool is_below(struct view number, long min)
{
    long n;
    return conf_number(number, LONG_MIN, min - 1, &n) == 0;
}

static int int_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    long n = 0;
    char shown[CONF_KEYWORD_MAX];
    int err = conf_number(first(words), opt->min, opt->max, &n);
    if (err == 0) return store(value, (int)n);
    conf_shown(true, ctx->is_server ? ctx->keyword : VIEW_EMPTY, shown);
    const char *what = err == ERR_FORMAT ? "invalid" : is_below(first(words), opt->min) ? "too small" : "too large";
    return conf_complain(ctx, "%s%sinteger value %s. Allowed: whole numbers from %ld", shown, ctx->is_server ? " " : "", what,
                         opt->min);
}

static int int_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    return conf_strv_printf(ret_words, "%d", *(const int *)value);
}

static int int_none_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    if (conf_name_eq(first(words), "none")) return store(value, CONF_TIME_NONE);
    return int_parse(opt, words, ctx, value);
}

static int int_none_print(const struct conf_option *opt, const void *value, size_t line_idx, struct strv *ret_words)
{
    if (*(const int *)value == CONF_TIME_NONE) return strv_add(ret_words, VIEW_LIT("none"));
    return int_print(opt, value, line_idx, ret_words);
}

static int port_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    int port;
    if (conf_port(first(words), 1, &port) == 0) return store(value, port);
    return conf_complain(ctx, "Bad port '%.*s'. Allowed: 1 to 65535", VIEW_ARG(first(words)));
}

static int time_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    int64_t span;
    if (!ctx->is_server && conf_name_eq(first(words), "none")) return store(value, 0);
    if (conf_time(first(words), false, &span) == 0) return store(value, (int)(span / 1000));
    return conf_complain(ctx, "invalid time value. Allowed: seconds, or numbers with s, m, h, d or w such as 1h30m");
}

static int time_none_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    int seconds = CONF_TIME_NONE;
    if (!conf_name_eq(first(words), "none")) TRY(time_parse(opt, words, ctx, &seconds));
    return store(value, seconds < opt->min ? CONF_TIME_NONE : seconds);
}

static int octal_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                       void *value)
{
    struct view w = first(words);
    int n = 0;
    bool good = w.len > 0 && w.len <= 8;
    for (size_t i = 0; good && i < w.len; i++) {
        good = w.p[i] >= '0' && w.p[i] <= '7';
        n = n * 8 + (w.p[i] - '0');
    }
    if (good && n <= 0777) return store(value, n);
    return ctx->is_server ? conf_complain(ctx, "Invalid StreamLocalBindMask. Allowed: octal, up to 0777")
                          : conf_complain(ctx, "Bad mask. Allowed: octal, up to 0777");
}

static int octal_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    return conf_strv_printf(ret_words, "0%o", (unsigned)*(const int *)value);
}

static int escape_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                        void *value)
{
    struct view w = first(words);
    if (view_eq_str(w, "none")) return store(value, CONF_ESCAPE_NONE);
    if (w.len == 1 && w.p[0] < 128) return store(value, w.p[0]);
    if (w.len == 2 && w.p[0] == '^' && w.p[1] >= 64 && w.p[1] < 128) return store(value, w.p[1] & 31);
    return conf_complain(ctx, "Bad escape character. Allowed: one character, ^ and a letter, or none");
}

static int escape_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    int c = *(const int *)value;
    if (c == CONF_ESCAPE_NONE) return strv_add(ret_words, VIEW_LIT("none"));
    return c < 32 ? conf_strv_printf(ret_words, "^%c", c + 64) : conf_strv_printf(ret_words, "%c", c);
}

/* ---- several bits, several names ---- */

static int flags_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    int bits = 0;
    char allowed[256];
    for (size_t i = 0; i < words->n; i++) {
        const struct conf_name *name = find_name(opt->names, words->v[i]);
        if (name) {
            bits |= name->value;
            continue;
        }
        allowed_names(opt->names, allowed, sizeof(allowed));
        return conf_complain(ctx, "unsupported %s option %.*s; allowed: %s", opt->name, VIEW_ARG(words->v[i]), allowed);
    }
    return store(value, bits);
}

static int flags_print(const struct conf_option *opt, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    int bits = *(const int *)value;
    if (bits == 0) return print_name(opt->names, 0, ret_words);
    for (const struct conf_name *name = opt->names; name->name; name++)
        if (bits & name->value) TRY(strv_add(ret_words, view_str(name->name)));
    return 0;
}

#define INT_TYPE(word, parse_fn, print_fn)                                                       \
    const struct conf_type conf_type_##word = {                                                  \
        .name = #word, .size = sizeof(int), .max_words = 1, .parse = parse_fn, .print = print_fn \
    }

INT_TYPE(BOOL, bool_parse, bool_print);
INT_TYPE(INT, int_parse, int_print);
INT_TYPE(INT_NONE, int_none_parse, int_none_print);
INT_TYPE(PORT, port_parse, int_print);
INT_TYPE(TIME, time_parse, int_print);
INT_TYPE(TIME_NONE, time_none_parse, int_none_print);
INT_TYPE(OCTAL, octal_parse, octal_print);
INT_TYPE(ENUM, enum_parse, enum_print);
INT_TYPE(LOG_LEVEL, log_level_parse, log_level_print);
INT_TYPE(ESCAPE, escape_parse, escape_print);
const struct conf_type conf_type_FLAGS = { .name = "FLAGS", .size = sizeof(int), .parse = flags_parse, .print = flags_print };
