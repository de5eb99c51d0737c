/* Types of options that are two or three values in a small struct. */
#include "conf/conf_int.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Cuts at the first c. False: there is none, and *ret_left is all. */
static bool cut(struct view text, char c, struct view *ret_left, struct view *ret_right)
{
    const uint8_t *at = text.len ? memchr(text.p, c, text.len) : NULL;
    *ret_left = at ? view_of(text.p, (size_t)(at - text.p)) : text;
    *ret_right = at ? view_sub(text, ret_left->len + 1, SIZE_MAX) : VIEW_EMPTY;
    return at != NULL;
}

static int complain_extra(struct conf_parse_ctx *ctx) { return conf_complain(ctx, "extra arguments"); }

/* ---- RekeyLimit ---- */

enum {
    REKEY_BYTES_MIN = 16
};

static int parse_size(struct view text, uint64_t *ret)
{
    unsigned shift = 0;
    long n;
    if (text.len == 0) return ERR_FORMAT;
    switch (text.p[text.len - 1] | 0x20) {
    case 'k':
        shift = 10;
        break;
    case 'm':
        shift = 20;
        break;
    case 'g':
        shift = 30;
        break;
    case 't':
        shift = 40;
        break;
    default:
        break;
    }
    if (shift) text.len--;
    TRY(conf_number(text, 0, LONG_MAX >> shift, &n));
    *ret = (uint64_t)n << shift;
    return 0;
}

static int rekey_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                       void *value)
{
    struct conf_rekey r = { 0 };
    int64_t span = 0;
    if (words->n > 2) return complain_extra(ctx);
    if (!conf_name_eq(words->v[0], "default") && parse_size(words->v[0], &r.bytes) < 0)
        return conf_complain(ctx, "Bad number '%.*s': Invalid argument. Allowed: bytes, with K, M or G, or default",
                             VIEW_ARG(words->v[0]));
    if (r.bytes && r.bytes < REKEY_BYTES_MIN) return conf_complain(ctx, "RekeyLimit too small: at least %d bytes", REKEY_BYTES_MIN);
    if (words->n == 2 && !conf_name_eq(words->v[1], "none") && conf_time(words->v[1], false, &span) < 0)
        return conf_complain(ctx, "invalid time value. Allowed: seconds, numbers with s, m, h, d or w such as 1h30m, or none");
    r.seconds = (int32_t)(span / 1000);
    if (value) *(struct conf_rekey *)value = r;
    return 0;
}

static int rekey_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_rekey *r = value;
    TRY(conf_strv_printf(ret_words, "%llu", (unsigned long long)r->bytes));
    return conf_strv_printf(ret_words, "%d", r->seconds);
}

static bool rekey_equal(const void *a, const void *b)
{
    const struct conf_rekey *x = a, *y = b;
    return x->bytes == y->bytes && x->seconds == y->seconds;
}

/* ---- IPQoS ---- */

static const struct conf_name qos_names[] = {
    { "none", CONF_QOS_NONE }, { "af11", 0x28 },        { "af12", 0x30 }, { "af13", 0x38 }, { "af21", 0x48 },
    { "af22", 0x50 },          { "af23", 0x58 },        { "af31", 0x68 }, { "af32", 0x70 }, { "af33", 0x78 },
    { "af41", 0x88 },          { "af42", 0x90 },        { "af43", 0x98 }, { "cs0", 0x00 },  { "cs1", 0x20 },
    { "cs2", 0x40 },           { "cs3", 0x60 },         { "cs4", 0x80 },  { "cs5", 0xa0 },  { "cs6", 0xc0 },
    { "cs7", 0xe0 },           { "ef", 0xb8 },          { "va", 0xac },   { "le", 0x04 },   { "lowdelay", 0x10 },
    { "throughput", 0x08 },    { "reliability", 0x04 }, { NULL, 0 }
};

static int parse_qos(struct view word, struct conf_parse_ctx *ctx, int *ret)
{
    char text[8], *end;
    for (const struct conf_name *q = qos_names; q->name; q++) {
        if (!conf_name_eq(word, q->name)) continue;
        *ret = q->value;
        return 0;
    }
    if (word.len && word.len < sizeof(text)) {
        memcpy(text, word.p, word.len);
        text[word.len] = '\0';
        long n = strtol(text, &end, 0);
        if (*end == '\0' && n >= 0 && n <= 255) {
            *ret = (int)n;
            return 0;
        }
    }
    return conf_complain(ctx, "Bad IPQoS value: %.*s. Allowed: af11 to af43, cs0 to cs7, ef, le, va, a number up to 255, none",
                         VIEW_ARG(word));
}

static int ipqos_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                       void *value)
{
    struct conf_ipqos q;
    if (words->n > 2) return complain_extra(ctx);
    TRY(parse_qos(words->v[0], ctx, &q.interactive));
    q.bulk = q.interactive;
    if (words->n == 2) TRY(parse_qos(words->v[1], ctx, &q.bulk));
    if (value) *(struct conf_ipqos *)value = q;
    return 0;
}

static int print_qos(int n, struct strv *ret_words)
{
    for (const struct conf_name *q = qos_names; q->name; q++)
        if (q->value == n) return strv_add(ret_words, view_str(q->name));
    return conf_strv_printf(ret_words, "0x%02x", (unsigned)n);
}

static int ipqos_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_ipqos *q = value;
    TRY(print_qos(q->interactive, ret_words));
    return print_qos(q->bulk, ret_words);
}

/* ---- TunnelDevice ---- */

static int parse_tun(struct view word, int *ret)
{
    long n;
    if (conf_name_eq(word, "any")) {
        *ret = CONF_TUN_ANY;
        return 0;
    }
    TRY(conf_number(word, 0, 0x7ffffffd, &n));
    *ret = (int)n;
    return 0;
}

static int tun_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value)
{
    struct conf_tun_device t = { CONF_TUN_ANY, CONF_TUN_ANY };
    struct view local, remote;
    bool both = cut(words->v[0], ':', &local, &remote);
    if (parse_tun(local, &t.local) < 0 || (both && parse_tun(remote, &t.remote) < 0))
        return conf_complain(ctx, "Bad tun device. Allowed: local[:remote], each a number or any");
    if (value) *(struct conf_tun_device *)value = t;
    return 0;
}

static int tun_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_tun_device *t = value;
    char local[16] = "any", remote[16] = "any";
    if (t->local != CONF_TUN_ANY) snprintf(local, sizeof(local), "%d", t->local);
    if (t->remote != CONF_TUN_ANY) snprintf(remote, sizeof(remote), "%d", t->remote);
    return conf_strv_printf(ret_words, "%s:%s", local, remote);
}

/* ---- AddKeysToAgent ---- */

static const struct conf_name add_keys_names[] = { { "true", CONF_YES }, { "false", CONF_NO }, { "yes", CONF_YES },
                                                   { "no", CONF_NO },    { "ask", CONF_ASK },  { "confirm", CONF_ADD_KEYS_CONFIRM },
                                                   { NULL, 0 } };

static int add_keys_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                          void *value)
{
    struct conf_add_keys a = { CONF_YES, 0 };
    int64_t span = 0;
    const struct conf_name *name = add_keys_names;
    while (name->name && !conf_name_eq(words->v[0], name->name)) name++;
    if (name->name) a.mode = name->value;
    size_t time_at = name->name ? 1 : 0;
    bool may_have_time = !name->name || a.mode == CONF_ADD_KEYS_CONFIRM;
    if (words->n > time_at + 1 || (words->n > time_at && (!may_have_time || conf_time(words->v[time_at], false, &span) < 0)))
        return conf_complain(ctx, "unsupported option \"%.*s\". Allowed: yes, no, ask, confirm [time], time",
                             VIEW_ARG(words->v[0]));
    a.seconds = (int32_t)(span / 1000);
    if (value) *(struct conf_add_keys *)value = a;
    return 0;
}

static int add_keys_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_add_keys *a = value;
    if (a->mode == CONF_YES && a->seconds) return conf_strv_printf(ret_words, "%d", a->seconds);
    for (const struct conf_name *name = add_keys_names; name->name; name++) {
        if (name->value != a->mode) continue;
        TRY(strv_add(ret_words, view_str(name->name)));
        break;
    }
    return a->seconds ? conf_strv_printf(ret_words, "%d", a->seconds) : 0;
}

/* ---- ControlPersist ---- */

static int persist_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                         void *value)
{
    struct conf_control_persist p;
    struct view w = words->v[0];
    int64_t span = 0;
    memset(&p, 0, sizeof(p));
    p.on = !conf_name_eq(w, "no") && !conf_name_eq(w, "false");
    if (p.on && !conf_name_eq(w, "yes") && !conf_name_eq(w, "true") && conf_time(w, false, &span) < 0)
        return conf_complain(ctx, "Bad ControlPersist argument. Allowed: yes, no, a time such as 10m");
    p.seconds = (int32_t)(span / 1000);
    if (value) memcpy(value, &p, sizeof(p));
    return 0;
}

static int persist_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_control_persist *p = value;
    if (p->on && p->seconds) return conf_strv_printf(ret_words, "%d", p->seconds);
    return strv_add(ret_words, p->on ? VIEW_LIT("yes") : VIEW_LIT("no"));
}

static bool persist_equal(const void *a, const void *b)
{
    const struct conf_control_persist *x = a, *y = b;
    return x->on == y->on && x->seconds == y->seconds;
}

/* ---- ForwardAgent ---- */

static int forward_agent_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                               void *value)
{
    struct conf_forward_agent *f = value;
    struct view w = words->v[0];
    if (w.len == 0) return conf_complain(ctx, "Missing argument.");
    bool yes = conf_name_eq(w, "yes") || conf_name_eq(w, "true"), no = conf_name_eq(w, "no") || conf_name_eq(w, "false");
    if (!f) return 0;
    f->on = !no;
    if (yes || no) return 0;
    f->path = view_dup_str(w);
    return f->path ? 0 : ERR_NOMEM;
}

static int forward_agent_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED,
                               struct strv *ret_words)
{
    const struct conf_forward_agent *f = value;
    return strv_add(ret_words, view_str(f->path ? f->path : f->on ? "yes" : "no"));
}

static bool forward_agent_equal(const void *a, const void *b)
{
    const struct conf_forward_agent *x = a, *y = b;
    return x->on == y->on && !x->path == !y->path && (!x->path || strcmp(x->path, y->path) == 0);
}

static int forward_agent_copy(void *ret_value, const void *from)
{
    const struct conf_forward_agent *f = from;
    struct conf_forward_agent *to = ret_value;
    to->on = f->on;
    if (!f->path) return 0;
    to->path = strdup(f->path);
    return to->path ? 0 : ERR_NOMEM;
}

static void forward_agent_done(void *value) { free(((struct conf_forward_agent *)value)->path); }

/* ---- ObscureKeystrokeTiming ---- */

enum {
    OBSCURE_INTERVAL_MS = 20,
    OBSCURE_INTERVAL_MS_MAX = 1000
};

static int obscure_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                         void *value)
{
    struct conf_obscure_timing o;
    struct view w = words->v[0];
    long n = OBSCURE_INTERVAL_MS;
    memset(&o, 0, sizeof(o));
    bool interval = w.len > 9 && conf_name_eq(view_sub(w, 0, 9), "interval:");
    o.on = !conf_name_eq(w, "no") && !conf_name_eq(w, "false");
    if (o.on && !conf_name_eq(w, "yes") && !conf_name_eq(w, "true") &&
        (!interval || conf_number(view_sub(w, 9, SIZE_MAX), 1, OBSCURE_INTERVAL_MS_MAX, &n) < 0))
        return conf_complain(ctx, "unsupported option \"%.*s\". Allowed: yes, no, interval:MILLISECONDS (1 to %d)", VIEW_ARG(w),
                             OBSCURE_INTERVAL_MS_MAX);
    o.interval_ms = o.on ? (int)n : 0;
    if (value) memcpy(value, &o, sizeof(o));
    return 0;
}

static int obscure_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_obscure_timing *o = value;
    if (o->on && o->interval_ms != OBSCURE_INTERVAL_MS) return conf_strv_printf(ret_words, "interval:%d", o->interval_ms);
    return strv_add(ret_words, o->on ? VIEW_LIT("yes") : VIEW_LIT("no"));
}

static bool obscure_equal(const void *a, const void *b)
{
    const struct conf_obscure_timing *x = a, *y = b;
    return x->on == y->on && x->interval_ms == y->interval_ms;
}

/* ---- MaxStartups, PerSourceNetBlockSize ---- */

static int max_startups_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                              void *value)
{
    struct view begin, rest, rate, full;
    long n[3];
    bool good, graded = cut(words->v[0], ':', &begin, &rest);
    if (graded) {
        good = cut(rest, ':', &rate, &full) && conf_number(begin, 1, INT_MAX, &n[0]) == 0 &&
               conf_number(rate, 1, 100, &n[1]) == 0 && conf_number(full, 1, INT_MAX, &n[2]) == 0 && n[0] <= n[2];
    } else {
        good = conf_number(begin, 1, INT_MAX, &n[0]) == 0;
        n[2] = good ? n[0] : 0;
        n[1] = 100;
    }
    if (!good)
        return conf_complain(
            ctx, "Invalid MaxStartups spec. Allowed: NUMBER, or START:RATE:FULL with RATE from 1 to 100 and START up to FULL");
    if (value) *(struct conf_max_startups *)value = (struct conf_max_startups){ (int)n[0], (int)n[1], (int)n[2] };
    return 0;
}

static int max_startups_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED,
                              struct strv *ret_words)
{
    const struct conf_max_startups *m = value;
    return conf_strv_printf(ret_words, "%d:%d:%d", m->begin, m->rate_percent, m->full);
}

static int net_block_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                           void *value)
{
    struct view v4, v6;
    long bits4, bits6 = 128;
    bool both = cut(words->v[0], ':', &v4, &v6);
    if (conf_number(v4, 0, 32, &bits4) < 0 || (both && conf_number(v6, 0, 128, &bits6) < 0))
        return conf_complain(ctx, "Invalid PerSourceNetBlockSize spec. Allowed: 0 to 32, and behind a colon 0 to 128");
    if (value) *(struct conf_net_block *)value = (struct conf_net_block){ (int)bits4, (int)bits6 };
    return 0;
}

static int net_block_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_net_block *b = value;
    return conf_strv_printf(ret_words, "%d:%d", b->bits4, b->bits6);
}

/* ---- PermitUserEnvironment ---- */

static int user_env_parse(const struct conf_option *opt UNUSED, const struct conf_words *words, struct conf_parse_ctx *ctx,
                          void *value)
{
    struct conf_user_environment *u = value;
    struct view w = words->v[0];
    if (w.len == 0) return conf_complain(ctx, "Missing argument.");
    bool yes = conf_name_eq(w, "yes"), no = conf_name_eq(w, "no");
    if (!u) return 0;
    u->mode = yes ? CONF_YES : no ? CONF_NO : CONF_ASK;
    if (yes || no) return 0;
    u->patterns = view_dup_str(w);
    return u->patterns ? 0 : ERR_NOMEM;
}

static int user_env_print(const struct conf_option *opt UNUSED, const void *value, size_t line_idx UNUSED, struct strv *ret_words)
{
    const struct conf_user_environment *u = value;
    return strv_add(ret_words, view_str(u->patterns ? u->patterns : u->mode == CONF_YES ? "yes" : "no"));
}

static bool user_env_equal(const void *a, const void *b)
{
    const struct conf_user_environment *x = a, *y = b;
    return x->mode == y->mode && !x->patterns == !y->patterns && (!x->patterns || strcmp(x->patterns, y->patterns) == 0);
}

static int user_env_copy(void *ret_value, const void *from)
{
    const struct conf_user_environment *u = from;
    struct conf_user_environment *to = ret_value;
    to->mode = u->mode;
    if (!u->patterns) return 0;
    to->patterns = strdup(u->patterns);
    return to->patterns ? 0 : ERR_NOMEM;
}

static void user_env_done(void *value) { free(((struct conf_user_environment *)value)->patterns); }

#define SMALL_TYPE(word, stem, ...)                                                                               \
    const struct conf_type conf_type_##word = {                                                                   \
        .name = #word, .size = sizeof(CONF_C_##word), .parse = stem##_parse, .print = stem##_print, ##__VA_ARGS__ \
    }
SMALL_TYPE(REKEY, rekey, .equal = rekey_equal);
SMALL_TYPE(IPQOS, ipqos);
SMALL_TYPE(TUN_DEVICE, tun, .max_words = 1);
SMALL_TYPE(ADD_KEYS, add_keys);
SMALL_TYPE(CONTROL_PERSIST, persist, .max_words = 1, .equal = persist_equal);
SMALL_TYPE(FORWARD_AGENT, forward_agent, .max_words = 1, .equal = forward_agent_equal, .copy = forward_agent_copy,
           .done = forward_agent_done);
SMALL_TYPE(OBSCURE_TIMING, obscure, .max_words = 1, .equal = obscure_equal);
SMALL_TYPE(MAX_STARTUPS, max_startups, .max_words = 1);
SMALL_TYPE(NET_BLOCK, net_block, .max_words = 1);
SMALL_TYPE(USER_ENVIRONMENT, user_env, .max_words = 1, .equal = user_env_equal, .copy = user_env_copy, .done = user_env_done);
