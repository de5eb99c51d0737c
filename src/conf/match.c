/* The criteria of Match lines of both programs: which there are, which take a value, and what is wrong with one. Evaluated in
 * eval_ssh.c and eval_sshd.c. */
#include "conf/conf_int.h"

#include "base/ip_match.h"

enum {
    FOR_SSH = 1,
    FOR_SSHD = 2
};

struct criterion {
    const char *name;
    char code[3]; /* "+x" */
    uint8_t programs;
    bool has_value, may_be_empty;
    int (*check)(struct view value, struct conf_parse_ctx *ctx);
};

static int check_addresses(struct view value, struct conf_parse_ctx *ctx)
{
    int err = ip_list_check(value, false);
    if (err == ERR_RANGE)
        return conf_complain(ctx, "invalid address argument '%.*s': it has bits set beyond the mask, or too long a mask",
                             VIEW_ARG(value));
    return err;
}

static int check_networks(struct view value, struct conf_parse_ctx *ctx)
{
    if (ip_list_check(value, true) < 0)
        return conf_complain(ctx, "invalid localnetwork argument '%.*s': addresses with /BITS, separated by commas, are allowed",
                             VIEW_ARG(value));
    return 0;
}

static int check_port(struct view value, struct conf_parse_ctx *ctx)
{
    long n;
    if (conf_number(value, 0, 65535, &n) < 0) return conf_complain(ctx, "invalid LocalPort '%.*s'", VIEW_ARG(value));
    return 0;
}

static int check_session_types(struct view value, struct conf_parse_ctx *ctx)
{
    struct view one;
    while (view_next_in_list(&value, &one))
        if (!memchr("*!?", one.len ? one.p[0] : '*', 3) && !view_list_has(view_str("shell,exec,subsystem,none"), one))
            return conf_complain(ctx, "invalid session type '%.*s'; allowed: shell, exec, subsystem, none", VIEW_ARG(one));
    return 0;
}

static const struct criterion criteria[] = {
    { "all", "+a", FOR_SSH | FOR_SSHD, false, false, NULL },
    { "canonical", "+c", FOR_SSH, false, false, NULL },
    { "final", "+f", FOR_SSH, false, false, NULL },
    { "exec", "+x", FOR_SSH, true, false, NULL },
    { "localnetwork", "+n", FOR_SSH, true, false, check_networks },
    { "host", "+h", FOR_SSH | FOR_SSHD, true, false, NULL },
    { "originalhost", "+o", FOR_SSH, true, false, NULL },
    { "tagged", "+t", FOR_SSH, true, true, NULL },
    { "command", "+k", FOR_SSH, true, true, NULL },
    { "user", "+u", FOR_SSH | FOR_SSHD, true, false, NULL },
    { "localuser", "+l", FOR_SSH, true, false, NULL },
    { "version", "+v", FOR_SSH | FOR_SSHD, true, false, NULL },
    { "sessiontype", "+s", FOR_SSH, true, false, check_session_types },
    { "invalid-user", "+q", FOR_SSHD, false, false, NULL },
    { "group", "+g", FOR_SSHD, true, false, NULL },
    { "address", "+i", FOR_SSHD, true, false, check_addresses },
    { "localaddress", "+j", FOR_SSHD, true, false, check_addresses },
    { "localport", "+p", FOR_SSHD, true, false, check_port },
    { "rdomain", "+r", FOR_SSHD, true, false, NULL },
};

static const struct criterion *find(unsigned program_bit, struct view name)
{
    for (size_t i = 0; i < ARRAY_LEN(criteria); i++)
        if ((criteria[i].programs & program_bit) && conf_name_eq(name, criteria[i].name)) return &criteria[i];
    return NULL;
}

static int complain_unknown(unsigned program_bit, struct view name, struct conf_parse_ctx *ctx)
{
    char allowed[256];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(criteria); i++) {
        if (!(criteria[i].programs & program_bit)) continue;
        size_t len = strlen(criteria[i].name);
        if (n + len + 3 > sizeof(allowed)) break;
        memcpy(allowed + n, criteria[i].name, len);
        memcpy(allowed + n + len, ", ", 3);
        n += len + 2;
    }
    allowed[n ? n - 2 : 0] = '\0';
    return conf_complain(ctx, "unsupported Match attribute %.*s; allowed: %s", VIEW_ARG(name), allowed);
}

/* Cuts "name", "name=value" and "!name" apart. */
static void split_criterion(struct view word, bool may_negate, bool *ret_negated, struct view *ret_name, struct view *ret_value,
                            bool *ret_has_value)
{
    *ret_negated = may_negate && view_has_prefix(word, "!");
    if (*ret_negated) word = view_sub(word, 1, SIZE_MAX);
    const uint8_t *eq = word.len ? memchr(word.p, '=', word.len) : NULL;
    *ret_has_value = eq != NULL;
    *ret_name = eq ? view_of(word.p, (size_t)(eq - word.p)) : word;
    *ret_value = eq ? view_sub(word, ret_name->len + 1, SIZE_MAX) : VIEW_EMPTY;
}

static const char *negated_code(const struct criterion *c)
{
    static const char codes[] = "!a\0!c\0!f\0!x\0!n\0!h\0!o\0!t\0!k\0!u\0!l\0!v\0!s";
    for (const char *p = codes; p < codes + sizeof(codes); p += 3)
        if (p[1] == c->code[1]) return p;
    return c->code;
}

static int take_value(const struct criterion *c, const struct conf_words *words, size_t *i, struct view *value, bool has_value,
                      struct conf_parse_ctx *ctx)
{
    if (!has_value || (value->len == 0 && !c->may_be_empty)) {
        if (*i + 1 >= words->n) return conf_complain(ctx, "missing Match criteria for %s", c->name);
        *value = words->v[++*i];
    }
    if (value->len == 0 && !c->may_be_empty) return conf_complain(ctx, "missing Match criteria for %s", c->name);
    return c->check ? c->check(*value, ctx) : 0;
}

int conf_match_compile(enum conf_program program, const struct conf_words *words, struct conf_parse_ctx *ctx, struct view *ret,
                       size_t *ret_n)
{
    const unsigned bit = program == CONF_SSH ? FOR_SSH : FOR_SSHD;
    size_t n = 0;
    bool saw_all = false, saw_other = false;
    for (size_t i = 0; i < words->n; i++) {
        bool negated, has_value;
        struct view name, value;
        split_criterion(words->v[i], program == CONF_SSH, &negated, &name, &value, &has_value);
        const struct criterion *c = find(bit, name);
        if (!c) return complain_unknown(bit, name, ctx);
        bool is_all = c->code[1] == CONF_CRIT_ALL;
        if (saw_all || (is_all && saw_other && program == CONF_SSHD))
            return conf_complain(ctx, "'all' cannot be combined with other Match attributes");
        saw_all = is_all;
        saw_other = true;
        if (c->has_value)
            TRY(take_value(c, words, &i, &value, has_value, ctx));
        else
            value = VIEW_EMPTY;
        ret[n++] = view_of(negated ? negated_code(c) : c->code, 2);
        ret[n++] = value;
    }
    *ret_n = n;
    return 0;
}
