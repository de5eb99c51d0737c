/* Types of options that are text: one string, or a list of words with a check for each. */
#include "conf/conf_int.h"
#include "conf/tokens.h"

#include "base/ip_match.h"
#include "base/pattern.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- one string ---- */

static bool text_equal(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    return x == y || (x && y && strcmp(x, y) == 0);
}
static int text_copy(void *ret_value, const void *from)
{
    const char *text = *(char *const *)from;
    if (!text) return 0;
    *(char **)ret_value = strdup(text);
    return *(char **)ret_value ? 0 : ERR_NOMEM;
}
static void text_done(void *value) { free(*(char **)value); }
static size_t text_n_lines(const struct conf_option *opt UNUSED, const void *value) { return *(char *const *)value != NULL; }
static int text_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    return strv_add(ret_words, view_str(*(char *const *)value));
}

static int store_text(void *value, struct view text)
{
    if (!value) return 0;
    char *copy = view_dup_str(text);
    if (!copy) return ERR_NOMEM;
    free(*(char **)value);
    *(char **)value = copy;
    return 0;
}

static int string_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    struct view text = words->v[0];
    if (text.len == 0) return conf_complain(ctx, "Missing argument.");
    if (opt->none_unsets && conf_name_eq(text, "none")) return 0;
    return store_text(value, text);
}

/* One word, or all there is on the line with its quotes: for what a shell or another program will read. */
static int line_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    if (opt->none_unsets && conf_name_eq(words->raw, "none")) return 0;
    if (opt->absolute && words->raw.p[0] != '/' && words->raw.p[0] != '"')
        return conf_complain(ctx, "%s must be an absolute path", opt->name);
    return store_text(value, words->raw);
}

/* Lists of addresses without patterns, commas or several words. */
static int cidrs_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    struct view text = words->v[0];
    if (opt->none_unsets && conf_name_eq(text, "none")) return 0;
    if (text.len == 0 || ip_list_check(text, true) < 0)
        return conf_complain(ctx, "%s: invalid list \"%.*s\"; addresses with or without /BITS, separated by commas, are allowed",
                             opt->name, VIEW_ARG(text));
    return store_text(value, text);
}

static const char *const alg_messages[CONF_ALGS_MAX] = {
    [CONF_ALGS_KEX] = "Bad SSH2 KexAlgorithms '%.*s'.", [CONF_ALGS_CIPHERS] = "Bad SSH2 cipher spec '%.*s'.",
    [CONF_ALGS_MACS] = "Bad SSH2 MAC spec '%.*s'.",     [CONF_ALGS_KEYS] = "Bad key types '%.*s'.",
    [CONF_ALGS_CA_SIGS] = "Bad key types '%.*s'.",
};

/* The text is kept and expanded when defaults are filled in, since -G of a file does not know the lists while it parses. */
static int algs_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    struct view text = words->v[0], bad;
    char message[256];
    if (text.len == 0) return conf_complain(ctx, "Missing argument.");
    if (!value && ctx->algs) {
        CLEANUP(freep) char *list = view_dup_str(text);
        CLEANUP(freep) char *expanded = NULL;
        if (!list) return ERR_NOMEM;
        int err = conf_algorithms_expand(opt->algs, ctx->algs, list, &expanded, &bad);
        if (err == ERR_UNSUPPORTED) {
            int n = (int)MIN(text.len, (size_t)100);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(message, sizeof(message), alg_messages[opt->algs], n, (const char *)text.p);
#pragma GCC diagnostic pop
            return conf_complain(ctx, "%s There is no %.*s; supported: %s", message, (int)MIN(bad.len, (size_t)64),
                                 (const char *)bad.p, ctx->algs->supported[opt->algs]);
        }
        TRY(err);
    }
    return store_text(value, text);
}

/* ssh://[user[;parameters]@]host[:port][/] as [user@]host[:port]; what is not such a URI stays as it is. ERR_FORMAT: it has a path.
 */
static int jump_put_plain(struct view hop, struct buf *out)
{
    if (!view_has_prefix(hop, "ssh://")) return buf_put_view(out, hop);
    hop = view_sub(hop, 6, SIZE_MAX);
    if (hop.len && hop.p[hop.len - 1] == '/') hop.len--;
    const uint8_t *at = hop.len ? memrchr(hop.p, '@', hop.len) : NULL;
    const uint8_t *host = at ? at + 1 : hop.p;
    if (hop.len == 0 || memchr(host, '/', hop.len - (size_t)(host - hop.p))) return ERR_FORMAT;
    struct view user = view_of(hop.p, at ? (size_t)(at - hop.p) : 0);
    const uint8_t *parameters = user.len ? memchr(user.p, ';', user.len) : NULL;
    if (parameters) user.len = (size_t)(parameters - user.p);
    TRY(buf_put_view(out, user));
    if (at) TRY(buf_put_u8(out, '@'));
    return buf_put_view(out, view_of(host, hop.len - (size_t)(host - hop.p)));
}

/* "[user@]host[:port]", the host in brackets if it is an IPv6 address. */
static bool is_plain_jump(struct view hop)
{
    for (size_t i = hop.len; i-- > 0;)
        if (hop.p[i] == '@') {
            if (i == 0) return false;
            hop = view_sub(hop, i + 1, SIZE_MAX);
            break;
        }
    const uint8_t *bracket = hop.len && hop.p[0] == '[' ? memchr(hop.p, ']', hop.len) : NULL;
    size_t host_end = bracket ? (size_t)(bracket - hop.p) + 1 : 0;
    if (!bracket)
        while (host_end < hop.len && hop.p[host_end] != ':') host_end++;
    if (host_end == 0 || (bracket && host_end == 2)) return false;
    if (host_end == hop.len) return true;
    int port;
    return hop.p[host_end] == ':' && conf_port(view_sub(hop, host_end + 1, SIZE_MAX), 1, &port) == 0;
}

static bool is_jump(struct view hop)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(CONF_EXPANDED_BYTES_MAX);
    return jump_put_plain(hop, &plain) == 0 && is_plain_jump(buf_view(&plain));
}

/* As OpenSSH has it: the last hop, which is dialled first, without its scheme; those before it are handed on as they were written.
 */
static int proxy_jump_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                            void *value)
{
    struct view text = words->v[0], list = text, hop;
    if (conf_name_eq(text, "none")) return 0;
    while (view_next_in_list(&list, &hop))
        if (!is_jump(hop))
            return conf_complain(ctx, "Invalid ProxyJump \"%.*s\"; allowed: [user@]host[:port], several separated by commas",
                                 VIEW_ARG(text));
    CLEANUP(buf_done) struct buf plain = BUF_INIT(CONF_EXPANDED_BYTES_MAX);
    size_t last = text.len;
    while (last && text.p[last - 1] != ',') last--;
    TRY(buf_put_view(&plain, view_sub(text, 0, last)));
    TRY(jump_put_plain(view_sub(text, last, SIZE_MAX), &plain));
    return store_text(value, buf_view(&plain));
}

#define TEXT_TYPE(word, parse_fn, ...)                                   \
    const struct conf_type conf_type_##word = { .name = #word,           \
                                                .size = sizeof(char *),  \
                                                .parse = parse_fn,       \
                                                .n_lines = text_n_lines, \
                                                .print = text_print,     \
                                                .equal = text_equal,     \
                                                .copy = text_copy,       \
                                                .done = text_done,       \
                                                __VA_ARGS__ }
TEXT_TYPE(STRING, string_parse, .max_words = 1);
TEXT_TYPE(LINE, line_parse, .wants_raw = true);
TEXT_TYPE(ALGS, algs_parse, .max_words = 1);
TEXT_TYPE(CIDRS, cidrs_parse, .max_words = 1);
TEXT_TYPE(PROXY_JUMP, proxy_jump_parse, .max_words = 1);

/* ---- lists of words ---- */

static bool strv_equal(const void *a, const void *b)
{
    const struct strv *x = a, *y = b;
    if (x->n != y->n) return false;
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->v[i], y->v[i]) != 0) return false;
    return true;
}
static int strv_copy_value(void *ret_value, const void *from) { return strv_copy(ret_value, from); }
static void strv_done_value(void *value) { strv_done(value); }

/* One line for all words, or one for each where mentions accumulate. */
static size_t strings_n_lines(const struct conf_option *opt, const void *value)
{
    const struct strv *s = value;
    return opt->combine == CONF_ACCUMULATE ? s->n : s->n != 0;
}
static int strings_print(const struct conf_option *opt, const void *value, size_t line_idx, struct strv *ret_words)
{
    const struct strv *s = value;
    if (opt->combine == CONF_ACCUMULATE) return strv_add(ret_words, view_str(s->v[line_idx]));
    for (size_t i = 0; i < s->n; i++) TRY(strv_add(ret_words, view_str(s->v[i])));
    return 0;
}

static int add(struct strv *to, struct view word)
{
    if (to->n >= CONF_LIST_MAX) return ERR_LIMIT;
    return strv_add(to, word);
}

static bool has(const struct strv *s, struct view word)
{
    for (size_t i = 0; i < s->n; i++)
        if (view_eq_str(word, s->v[i])) return true;
    return false;
}

static int complain_empty(struct conf_parse_ctx *ctx)
{
    char shown[CONF_KEYWORD_MAX];
    return conf_complain(ctx, "keyword %s empty argument", conf_shown(ctx->is_server, ctx->keyword, shown));
}

static int complain_alone(struct conf_parse_ctx *ctx, const char *word)
{
    char shown[CONF_KEYWORD_MAX];
    return conf_complain(ctx, "keyword %s \"%s\" argument must appear alone.", conf_shown(ctx->is_server, ctx->keyword, shown),
                         word);
}

/* Whether the list is the single word; ERR_FORMAT when the word is one of several. 1, 0. */
static int alone(const struct conf_words *words, const char *word, struct conf_parse_ctx *ctx)
{
    for (size_t i = 0; i < words->n; i++) {
        if (!conf_name_eq(words->v[i], word)) continue;
        return words->n == 1 ? 1 : complain_alone(ctx, word);
    }
    return 0;
}

static int strings_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    if (opt->max && words->n > (size_t)opt->max)
        return opt->max == 1 ? conf_complain(ctx, "extra arguments")
                             : conf_complain(ctx, "too many arguments: at most %ld are allowed", opt->max);
    for (size_t i = 0; i < words->n; i++)
        if (words->v[i].len == 0) return complain_empty(ctx);
    if (opt->combine == CONF_FIRST && !(ctx->is_server && !opt->none_unsets)) {
        int none = alone(words, "none", ctx);
        if (none < 0 || (none && opt->none_unsets)) return MIN(none, 0);
    }
    bool unique = opt->type == &conf_type_STRINGS_UNIQUE;
    for (size_t i = 0; value && i < words->n; i++)
        if (!unique || !has(value, words->v[i])) TRY(add(value, words->v[i]));
    return 0;
}

static int ports_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                       void *value)
{
    int port;
    if (conf_port(words->v[0], 1, &port) < 0) return conf_complain(ctx, "Badly formatted port number. Allowed: 1 to 65535");
    return value ? conf_strv_printf(value, "%d", port) : 0;
}

static int complain_env(struct conf_parse_ctx *ctx, struct view word)
{
    if (word.len == 0) return complain_empty(ctx);
    return conf_complain(ctx, "Invalid environment name. \"%.*s\" has a =; names and patterns are allowed", VIEW_ARG(word));
}

static bool is_env_name(struct view word) { return word.len && !memchr(word.p, '=', word.len); }

static int env_names_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                           void *value)
{
    for (size_t i = 0; i < words->n; i++)
        if (!is_env_name(words->v[i])) return complain_env(ctx, words->v[i]);
    for (size_t i = 0; value && i < words->n; i++) TRY(add(value, words->v[i]));
    return 0;
}

static void remove_matching(struct strv *s, struct view pattern)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (pattern_matches(view_str(s->v[i]), pattern))
            free(s->v[i]);
        else
            s->v[kept++] = s->v[i];
    }
    s->n = kept;
    if (s->v) s->v[kept] = NULL;
}

static int send_env_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                          void *value)
{
    for (size_t i = 0; i < words->n; i++) {
        struct view word = words->v[i];
        if (!is_env_name(word)) return complain_env(ctx, word);
        if (!value) continue;
        if (word.p[0] == '-')
            remove_matching(value, view_sub(word, 1, SIZE_MAX));
        else
            TRY(add(value, word));
    }
    return 0;
}

static int set_env_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                         void *value)
{
    for (size_t i = 0; i < words->n; i++) {
        struct view word = words->v[i];
        if (word.len == 0 || word.p[0] == '=' || !memchr(word.p, '=', word.len))
            return conf_complain(ctx,
                                 ctx->is_server ? "Invalid environment. \"%.*s\" is not NAME=VALUE"
                                                : "Invalid SetEnv. \"%.*s\" is not NAME=VALUE",
                                 VIEW_ARG(word));
    }
    for (size_t i = 0; value && i < words->n; i++) TRY(add(value, words->v[i]));
    return 0;
}

static size_t set_env_n_lines(const struct conf_option *opt UNUSED, const void *value) { return ((const struct strv *)value)->n; }
static int set_env_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx, struct strv *ret_words)
{
    return strv_add(ret_words, view_str(((const struct strv *)value)->v[line_idx]));
}

static int cnames_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                        void *value)
{
    int none = alone(words, "none", ctx);
    if (none) return MIN(none, 0);
    for (size_t i = 0; i < words->n; i++) {
        struct view word = words->v[i];
        const uint8_t *colon = word.len ? memchr(word.p, ':', word.len) : NULL;
        if (!colon || colon == word.p || colon == word.p + word.len - 1)
            return conf_complain(ctx, "Invalid permitted CNAME \"%.*s\"; source:target lists of domain patterns are allowed",
                                 VIEW_ARG(word));
    }
    for (size_t i = 0; value && i < words->n; i++) TRY(add(value, words->v[i]));
    return 0;
}

/* "host:port", port also "*". The port is what stands behind the last colon outside of brackets. */
static bool split_port(struct view word, struct view *ret_host, struct view *ret_port)
{
    for (size_t i = word.len; i-- > 0 && word.p[i] != ']';) {
        if (word.p[i] != ':') continue;
        *ret_host = view_sub(word, 0, i);
        *ret_port = view_sub(word, i + 1, SIZE_MAX);
        return true;
    }
    return false;
}

static bool is_permitted_port(struct view port)
{
    int n;
    return view_eq_str(port, "*") || conf_port(port, 1, &n) == 0;
}

static int destinations_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx,
                              void *value)
{
    int any = alone(words, "any", ctx), none = any ? 0 : alone(words, "none", ctx);
    if (any || none < 0) return MIN(any ? any : none, 0);
    for (size_t i = 0; !none && i < words->n; i++) {
        struct view word = words->v[i], host = VIEW_EMPTY, port = word;
        bool has_host = split_port(word, &host, &port), listen = opt->type == &conf_type_LISTENERS;
        if ((!has_host && !listen) || (has_host && host.len == 0) || !is_permitted_port(port))
            return conf_complain(ctx,
                                 ctx->is_server ? "%s bad port number: \"%.*s\"; allowed: %shost:port or *, any, none"
                                                : "bad port number in %s: \"%.*s\"; allowed: %shost:port or *, any, none",
                                 opt->name, VIEW_ARG(word), listen ? "port, " : "");
        if (value && !has_host) TRY(conf_strv_printf(value, "*:%.*s", VIEW_ARG(word)));
        if (value && has_host) TRY(add(value, word));
    }
    return value && none ? add(value, VIEW_LIT("none")) : 0;
}

static int users_parse(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    for (size_t i = 0; i < words->n; i++) {
        struct view word = words->v[i], host = VIEW_EMPTY;
        for (size_t at = word.len; at-- > 0 && host.p == NULL;)
            if (word.p[at] == '@') host = view_sub(word, at + 1, SIZE_MAX);
        if (word.len == 0) return complain_empty(ctx);
        if (host.p && ip_list_check(host, false) == ERR_RANGE)
            return conf_complain(ctx, "invalid %s pattern: \"%.*s\": bits are set beyond the mask, or the mask is too long",
                                 opt->name, VIEW_ARG(word));
    }
    for (size_t i = 0; value && i < words->n; i++) TRY(add(value, words->v[i]));
    return 0;
}

static bool is_auth_chain(struct view chain, struct view *ret_bad)
{
    static const char known[] = "publickey,password,keyboard-interactive,hostbased,gssapi-with-mic,gssapi-keyex,none";
    struct view one;
    *ret_bad = chain;
    if (chain.len == 0) return false;
    while (view_next_in_list(&chain, &one)) {
        const uint8_t *colon = one.len ? memchr(one.p, ':', one.len) : NULL;
        *ret_bad = one;
        if (!view_list_has(view_str(known), colon ? view_of(one.p, (size_t)(colon - one.p)) : one)) return false;
    }
    return true;
}

static int auth_methods_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                              void *value)
{
    struct view bad;
    for (size_t i = 0; i < words->n; i++) {
        if (view_eq_str(words->v[i], "any") && words->n > 1)
            return conf_complain(ctx, "\"any\" must appear alone in AuthenticationMethods");
        if (view_eq_str(words->v[i], "any")) return 0;
        if (!is_auth_chain(words->v[i], &bad))
            return conf_complain(
                ctx,
                "invalid AuthenticationMethods method list. Unknown authentication method \"%.*s\"; allowed: publickey, password, "
                "keyboard-interactive, hostbased, gssapi-with-mic, each with :DEVICE or without",
                VIEW_ARG(bad));
    }
    for (size_t i = 0; value && i < words->n; i++) TRY(add(value, words->v[i]));
    return 0;
}

#define STRV_TYPE(word, parse_fn, ...)                                       \
    const struct conf_type conf_type_##word = { .name = #word,               \
                                                .size = sizeof(struct strv), \
                                                .parse = parse_fn,           \
                                                .n_lines = strings_n_lines,  \
                                                .print = strings_print,      \
                                                .equal = strv_equal,         \
                                                .copy = strv_copy_value,     \
                                                .done = strv_done_value,     \
                                                ##__VA_ARGS__ }
STRV_TYPE(STRINGS, strings_parse);
STRV_TYPE(STRINGS_UNIQUE, strings_parse);
STRV_TYPE(PORTS, ports_parse, .max_words = 1);
STRV_TYPE(ENV_NAMES, env_names_parse);
STRV_TYPE(SEND_ENV, send_env_parse);
STRV_TYPE(CNAMES, cnames_parse);
STRV_TYPE(DESTINATIONS, destinations_parse);
STRV_TYPE(LISTENERS, destinations_parse);
STRV_TYPE(USERS, users_parse);
STRV_TYPE(AUTH_METHODS, auth_methods_parse);
const struct conf_type conf_type_SET_ENV = { .name = "SET_ENV",
                                             .size = sizeof(struct strv),
                                             .parse = set_env_parse,
                                             .n_lines = set_env_n_lines,
                                             .print = set_env_print,
                                             .equal = strv_equal,
                                             .copy = strv_copy_value,
                                             .done = strv_done_value };
