/* The options of authorized_keys lines: a row for each. */
#include "key/authorized_keys.h"

#include "key/line_int.h"
#include "key/option_text_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

void authorized_keys_options_init(struct authorized_keys_options *o)
{
    *o = (struct authorized_keys_options){
        .permit_pty = true,
        .permit_port_forwarding = true,
        .permit_agent = true,
        .permit_x11 = true,
        .permit_user_rc = true,
        .tunnel_device = -1,
    };
}

void authorized_keys_options_done(struct authorized_keys_options *o)
{
    free(o->command);
    free(o->from);
    free(o->principals);
    strv_done(&o->environment);
    strv_done(&o->permitopen);
    strv_done(&o->permitlisten);
    authorized_keys_options_init(o);
}

static bool take_digits(struct view *text, size_t n, int *ret)
{
    int x = 0;
    if (text->len < n) return false;
    for (size_t i = 0; i < n; i++) {
        if (text->p[i] < '0' || text->p[i] > '9') return false;
        x = x * 10 + (text->p[i] - '0');
    }
    *text = view_sub(*text, n, text->len);
    *ret = x;
    return true;
}

int authorized_keys_time_parse(struct view text, int64_t *ret_wall_s)
{
    bool utc = text.len && (text.p[text.len - 1] == 'Z' || text.p[text.len - 1] == 'z');
    if (utc) text.len--;
    struct tm tm = { .tm_isdst = -1 };
    bool good = (text.len == 8 || text.len == 12 || text.len == 14) && take_digits(&text, 4, &tm.tm_year) &&
                take_digits(&text, 2, &tm.tm_mon) && take_digits(&text, 2, &tm.tm_mday);
    if (good && text.len) good = take_digits(&text, 2, &tm.tm_hour) && take_digits(&text, 2, &tm.tm_min);
    if (good && text.len) good = take_digits(&text, 2, &tm.tm_sec);
    if (!good || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
        tm.tm_sec > 60)
        return ERR_FORMAT;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    int day = tm.tm_mday;
    time_t t = utc ? timegm(&tm) : mktime(&tm);
    if (t < 0 || tm.tm_mday != day) return ERR_FORMAT; /* the 31st of a shorter month */
    *ret_wall_s = t;
    return 0;
}

typedef int value_fn(struct authorized_keys_options *o, char **value, const char **ret_reason);

static int set_once(char **to, char **value, const char *reason, const char **ret_reason)
{
    if (*to) return option_refuse(ret_reason, reason);
    *to = TAKE(*value);
    return 0;
}

static int set_command(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    return set_once(&o->command, value, "multiple \"command\" clauses", ret_reason);
}

static int set_from(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    return set_once(&o->from, value, "multiple \"from\" clauses", ret_reason);
}

static int set_principals(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    return set_once(&o->principals, value, "multiple \"principals\" clauses", ret_reason);
}

static int set_environment(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    size_t n = 0;
    const char *s = *value;
    for (; s[n] && s[n] != '='; n++)
        if (!(s[n] == '_' || (s[n] >= '0' && s[n] <= '9') || ((s[n] | 32) >= 'a' && (s[n] | 32) <= 'z')))
            return option_refuse(ret_reason, "invalid environment string");
    if (n == 0 || s[n] != '=') return option_refuse(ret_reason, "invalid environment string");
    for (size_t i = 0; i < o->environment.n; i++)
        if (strncmp(o->environment.v[i], s, n + 1) == 0) return 0; /* the first one holds */
    if (o->environment.n == AUTHORIZED_KEYS_ENVIRONMENT_MAX) return option_refuse(ret_reason, "too many environment strings");
    return strv_add_take(&o->environment, TAKE(*value));
}

static bool is_port(const char *s)
{
    if (strcmp(s, "*") == 0) return true;
    unsigned long port = 0;
    for (const char *c = s; *c; c++) {
        if (*c < '0' || *c > '9' || port > UINT16_MAX) return false;
        port = port * 10 + (unsigned long)(*c - '0');
    }
    return port > 0 && port <= UINT16_MAX;
}

/* "host:port" or "[host]:port" */
static bool is_host_port(const char *s)
{
    const char *colon = strrchr(s, ':');
    if (!colon || colon == s || !is_port(colon + 1)) return false;
    if (s[0] == '[') return colon - s > 2 && colon[-1] == ']';
    return memchr(s, ':', (size_t)(colon - s)) == NULL;
}

static int set_permitopen(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    if (!is_host_port(*value)) return option_refuse(ret_reason, "invalid permission hostname");
    if (o->permitopen.n == AUTHORIZED_KEYS_LIST_MAX) return option_refuse(ret_reason, "too many permission directives");
    return strv_add_take(&o->permitopen, TAKE(*value));
}

static int set_permitlisten(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    if (o->permitlisten.n == AUTHORIZED_KEYS_LIST_MAX) return option_refuse(ret_reason, "too many permission directives");
    if (is_host_port(*value)) return strv_add_take(&o->permitlisten, TAKE(*value));
    if (!is_port(*value)) return option_refuse(ret_reason, "invalid permission hostname");
    char *any = NULL;
    if (asprintf(&any, "*:%s", *value) < 0) return ERR_NOMEM;
    return strv_add_take(&o->permitlisten, any);
}

enum {
    TUNNEL_ANY = 0x7fffffff
};

static int set_tunnel(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    if (o->tunnel_device >= 0) return option_refuse(ret_reason, "multiple \"tunnel\" clauses");
    if (strcasecmp(*value, "any") == 0) {
        o->tunnel_device = TUNNEL_ANY;
        return 0;
    }
    char *end;
    long n = strtol(*value, &end, 10);
    if (**value < '0' || **value > '9' || *end || n >= TUNNEL_ANY) return option_refuse(ret_reason, "invalid tun device");
    o->tunnel_device = (int)n;
    return 0;
}

static int set_expiry(struct authorized_keys_options *o, char **value, const char **ret_reason)
{
    int64_t at;
    if (authorized_keys_time_parse(view_str(*value), &at) < 0 || at == 0) return option_refuse(ret_reason, "invalid expires time");
    if (o->expiry_s == 0 || at < o->expiry_s) o->expiry_s = at; /* the earliest holds */
    return 0;
}

#define AT(member_) offsetof(struct authorized_keys_options, member_)
static const struct flag_row {
    const char *name;
    size_t offset;
    bool value;
} flag_rows[] = {
    { "agent-forwarding", AT(permit_agent), true },
    { "no-agent-forwarding", AT(permit_agent), false },
    { "port-forwarding", AT(permit_port_forwarding), true },
    { "no-port-forwarding", AT(permit_port_forwarding), false },
    { "X11-forwarding", AT(permit_x11), true },
    { "no-X11-forwarding", AT(permit_x11), false },
    { "pty", AT(permit_pty), true },
    { "no-pty", AT(permit_pty), false },
    { "user-rc", AT(permit_user_rc), true },
    { "no-user-rc", AT(permit_user_rc), false },
    { "cert-authority", AT(cert_authority), true },
    { "touch-required", AT(no_touch_required), false },
    { "no-touch-required", AT(no_touch_required), true },
    { "verify-required", AT(verify_required), true },
    { "no-verify-required", AT(verify_required), false },
    { "restrict", AT(restricted), true },
};

static const struct value_row {
    const char *name;
    value_fn *set;
} value_rows[] = {
    { "command", set_command },           { "environment", set_environment },
    { "expiry-time", set_expiry },        { "from", set_from },
    { "permitlisten", set_permitlisten }, { "permitopen", set_permitopen },
    { "principals", set_principals },     { "tunnel", set_tunnel },
};

static int set_flag(struct authorized_keys_options *o, struct view name, const char **ret_reason)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_rows); i++) {
        if (!option_name_is(name, flag_rows[i].name)) continue;
        *(bool *)((char *)o + flag_rows[i].offset) = flag_rows[i].value;
        if (flag_rows[i].offset == AT(restricted)) /* what follows may give back */
            o->permit_agent = o->permit_port_forwarding = o->permit_x11 = o->permit_pty = o->permit_user_rc = false;
        return 0;
    }
    return option_refuse(ret_reason, "unknown key option");
}

static int set_value(struct authorized_keys_options *o, struct view name, struct view *text, const char **ret_reason)
{
    CLEANUP(freep) char *value = NULL;
    for (size_t i = 0; i < ARRAY_LEN(value_rows); i++) {
        if (!option_name_is(name, value_rows[i].name)) continue;
        TRY(option_take_quoted(text, &value, ret_reason));
        return value_rows[i].set(o, &value, ret_reason);
    }
    return option_refuse(ret_reason, "unknown key option");
}

int authorized_keys_options_parse(struct view text, struct authorized_keys_options *ret, const char **ret_reason)
{
    authorized_keys_options_done(ret);
    text = line_trim(text);
    while (text.len) {
        struct view name = option_take_name(&text);
        if (text.len && text.p[0] == '=') {
            text = view_sub(text, 1, text.len);
            TRY(set_value(ret, name, &text, ret_reason));
        } else {
            TRY(set_flag(ret, name, ret_reason));
        }
        TRY(option_take_comma(&text, ret_reason));
    }
    return 0;
}

/* ---- together ---- */

static int add_all(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++) TRY(strv_add(to, view_str(from->v[i])));
    return 0;
}

/* Lists say what is allowed where there are any: two of them allow what the first says, as it is the narrower question's. */
static int merge_lists(struct authorized_keys_options *io, struct authorized_keys_options *more)
{
    if (io->permitopen.n == 0) TRY(add_all(&io->permitopen, &more->permitopen));
    if (io->permitlisten.n == 0) TRY(add_all(&io->permitlisten, &more->permitlisten));
    return io->environment.n ? 0 : add_all(&io->environment, &more->environment);
}

int authorized_keys_options_merge(struct authorized_keys_options *io, struct authorized_keys_options *more)
{
    if (io->command && more->command && strcmp(io->command, more->command) != 0) return ERR_DENIED;
    TRY(merge_lists(io, more));
    if (!io->command) io->command = TAKE(more->command);
    io->permit_pty &= more->permit_pty;
    io->permit_port_forwarding &= more->permit_port_forwarding;
    io->permit_agent &= more->permit_agent;
    io->permit_x11 &= more->permit_x11;
    io->permit_user_rc &= more->permit_user_rc;
    io->no_touch_required &= more->no_touch_required;
    io->verify_required |= more->verify_required;
    io->restricted |= more->restricted;
    if (io->tunnel_device < 0) io->tunnel_device = more->tunnel_device;
    if (io->expiry_s == 0 || (more->expiry_s && more->expiry_s < io->expiry_s)) io->expiry_s = more->expiry_s;
    authorized_keys_options_done(more);
    return 0;
}
