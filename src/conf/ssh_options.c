/* The client's options: their table, and how Host and Match of ssh_config choose among them. */
#include "conf/ssh_options.h"

#define CONF_OPTIONS ssh_options
#define CONF_IDX SSH_OPT_
#include "conf/table_int.h"

#include "base/pattern.h"

static const struct conf_option options[] = {
#define OPT CONF_OPTION_ROW
#define WORD(name, ...)
#include "conf/ssh_options.def"
#undef OPT
#undef WORD
};
static const struct conf_word words[] = {
#define OPT(name, ...)
#define WORD CONF_WORD_ROW
#include "conf/ssh_options.def"
#undef OPT
#undef WORD
};

static const char *ignore_unknown(const void *o) { return ((const struct ssh_options *)o)->ignore_unknown; }

const struct conf_table conf_ssh_table = { CONF_SSH,
                                           options,
                                           ARRAY_LEN(options),
                                           words,
                                           ARRAY_LEN(words),
                                           offsetof(struct ssh_options, origin),
                                           offsetof(struct ssh_options, origin_files),
                                           sizeof(struct ssh_options),
                                           ignore_unknown };

static struct conf_any any_of(const struct ssh_options *o) { return (struct conf_any){ &conf_ssh_table, (void *)(uintptr_t)o }; }

void ssh_options_init(struct ssh_options *o) { conf_any_init(any_of(o)); }
void ssh_options_done(struct ssh_options *o) { conf_any_done(any_of(o)); }
int ssh_options_copy(struct ssh_options *ret, const struct ssh_options *from) { return conf_any_copy(any_of(ret), from); }
int ssh_options_origin(const struct ssh_options *o, enum ssh_opt opt, struct buf *out)
{
    return conf_any_origin_text(any_of(o), opt, out);
}

/* ProxyJump and ProxyCommand are two ways of saying the same: the one that came later is dropped. */
static void drop_proxy_rival(struct ssh_options *o, bool had_command, bool had_jump)
{
    bool command = o->origin[SSH_OPT_proxy_command].source > CONF_DEFAULT,
         jump = o->origin[SSH_OPT_proxy_jump].source > CONF_DEFAULT;
    if (!command || !jump || (had_command && had_jump)) return;
    char **loser = had_command ? &o->proxy_jump : &o->proxy_command;
    freep(loser);
    *loser = NULL;
}

static bool has_proxy(const struct ssh_options *o, enum ssh_opt opt) { return o->origin[opt].source > CONF_DEFAULT; }

int ssh_options_set(struct ssh_options *o, const char *setting, const struct conf_algorithms *algs, struct conf_diag *diag)
{
    bool command = has_proxy(o, SSH_OPT_proxy_command), jump = has_proxy(o, SSH_OPT_proxy_jump);
    TRY(conf_any_set(any_of(o), setting, algs, diag));
    drop_proxy_rival(o, command, jump);
    return 0;
}

int ssh_options_set_value(struct ssh_options *o, enum ssh_opt opt, const char *value, const struct conf_algorithms *algs,
                          struct conf_diag *diag)
{
    bool command = has_proxy(o, SSH_OPT_proxy_command), jump = has_proxy(o, SSH_OPT_proxy_jump);
    TRY(conf_any_set_value(any_of(o), opt, value, algs, diag));
    drop_proxy_rival(o, command, jump);
    return 0;
}

int ssh_options_override(struct ssh_options *o, enum ssh_opt opt, const char *value, const struct conf_algorithms *algs,
                         struct conf_diag *diag)
{
    struct ssh_options fresh;
    ssh_options_init(&fresh);
    int err = conf_any_set_value(any_of(&fresh), opt, value, algs, diag); /* a bad value leaves the old one */
    ssh_options_done(&fresh);
    TRY(err);
    conf_any_forget(any_of(o), opt);
    return ssh_options_set_value(o, opt, value, algs, diag);
}

/* ---- Host ---- */

/* *ret_which: the first pattern that did. */
static bool host_matches(const struct conf_record *r, struct view host, struct view *ret_which)
{
    struct conf_args_it it = conf_record_args(r);
    struct view pattern;
    bool matches = false;
    while (conf_args_next(&it, &pattern)) {
        bool negated = view_has_prefix(pattern, "!");
        if (negated) pattern = view_sub(pattern, 1, SIZE_MAX);
        if (!pattern_matches(host, pattern)) continue;
        if (negated) return false;
        if (!matches) *ret_which = pattern;
        matches = true;
    }
    return matches;
}

/* ---- Match ---- */

/* The name that would be connected to as things stand: Hostname with %h, else what was typed. */
static void current_host(const struct ssh_options *o, const struct ssh_conf_ctx *ctx, char *ret, size_t cap)
{
    const char *host = ctx->host ? ctx->host : ctx->original_host, *text = o->hostname && !ctx->host ? o->hostname : host;
    size_t n = 0;
    for (const char *p = text ? text : ""; *p && n + 1 < cap; p++) {
        if (p[0] == '%' && p[1] == 'h') {
            for (const char *h = host ? host : ""; *h && n + 1 < cap; h++) ret[n++] = *h;
            p++;
        } else {
            if (p[0] == '%' && p[1] == '%') p++;
            ret[n++] = *p;
        }
    }
    ret[n] = '\0';
}

static const char *session_type_name(const struct ssh_options *o, const struct ssh_conf_ctx *ctx)
{
    bool set = o->origin[SSH_OPT_session_type].source != CONF_UNSET;
    if (set && o->session_type == CONF_SESSION_NONE) return "none";
    if (set && o->session_type == CONF_SESSION_SUBSYSTEM) return "subsystem";
    const char *command = o->remote_command ? o->remote_command : ctx->command;
    return command && *command ? "exec" : "shell";
}

static bool list_matches(const char *text, struct view list) { return text && pattern_list_match(view_str(text), list) == 1; }

/* A criterion that an empty word asks the absence of. */
static bool text_or_absence(const char *text, struct view list)
{
    bool none = !text || !*text;
    return list.len == 0 ? none : !none && list_matches(text, list);
}

static int criterion_matches(const struct ssh_options *o, struct ssh_conf_ctx *ctx, char criterion, struct view value, bool *ret)
{
    char host[1025];
    int answer = 0;
    const char *text = (const char *)value.p; /* the image has a NUL behind each argument */
    switch (criterion) {
    case CONF_CRIT_ALL:
        *ret = true;
        return 0;
    case CONF_CRIT_CANONICAL:
        *ret = ctx->is_canonical;
        return 0;
    case CONF_CRIT_FINAL:
        *ret = ctx->is_final;
        return 0;
    case CONF_CRIT_HOST:
        current_host(o, ctx, host, sizeof(host));
        *ret = pattern_list_match_nocase(view_str(host), value) == 1;
        return 0;
    case CONF_CRIT_ORIGINAL_HOST:
        *ret = pattern_list_match_nocase(view_str(ctx->original_host), value) == 1;
        return 0;
    case CONF_CRIT_USER:
        *ret = list_matches(o->user ? o->user : ctx->user ? ctx->user : ctx->local_user, value);
        return 0;
    case CONF_CRIT_LOCAL_USER:
        *ret = list_matches(ctx->local_user, value);
        return 0;
    case CONF_CRIT_VERSION:
        *ret = list_matches(ctx->version, value);
        return 0;
    case CONF_CRIT_TAGGED:
        *ret = text_or_absence(o->tag, value);
        return 0;
    case CONF_CRIT_COMMAND:
        *ret = text_or_absence(o->remote_command ? o->remote_command : ctx->command, value);
        return 0;
    case CONF_CRIT_SESSION_TYPE:
        *ret = list_matches(session_type_name(o, ctx), value);
        return 0;
    case CONF_CRIT_EXEC:
        answer = ctx->exec ? ctx->exec(ctx->arg, text, o) : 0;
        break;
    case CONF_CRIT_LOCAL_NETWORK:
        answer = ctx->local_network ? ctx->local_network(ctx->arg, text) : 0;
        break;
    default:
        return ERR_FORMAT;
    }
    *ret = answer > 0;
    return MIN(answer, 0);
}

static int match_matches(const struct ssh_options *o, struct ssh_conf_ctx *ctx, const struct conf_record *r, bool *ret)
{
    struct conf_args_it it = conf_record_args(r);
    struct view code, value;
    bool all = true;
    while (conf_args_next(&it, &code) && conf_args_next(&it, &value)) {
        bool matches = false;
        if (code.len != 2) return ERR_FORMAT;
        bool negated = code.p[0] == '!', is_pass = code.p[1] == CONF_CRIT_FINAL;
        if (is_pass && !negated) ctx->wants_final_pass = true;
        if (!all && !is_pass) continue; /* a command is not run when the block cannot apply any more */
        TRY(criterion_matches(o, ctx, (char)code.p[1], value, &matches));
        if (matches == negated) all = false;
    }
    *ret = all;
    return 0;
}

/* ---- the walk ---- */

static int apply_record(struct ssh_options *o, const struct conf_image *img, const struct conf_record *r)
{
    bool command = has_proxy(o, SSH_OPT_proxy_command), jump = has_proxy(o, SSH_OPT_proxy_jump);
    TRY(conf_any_apply_record(any_of(o), img, r, CONF_FILE));
    drop_proxy_rival(o, command, jump);
    return 0;
}

static bool host_applies(const struct conf_image *img, const struct conf_record *r, struct view host, const struct log *log)
{
    struct view which, file = conf_record_file(img, r);
    if (!host_matches(r, host, &which)) return false;
    log_debug(log, "%.*s line %u: Applying options for %.*s", VIEW_ARG(file), r->line, VIEW_ARG(which));
    return true;
}

int ssh_options_eval(struct ssh_options *o, const struct conf_image *img, struct ssh_conf_ctx *ctx, struct conf_diag *diag)
{
    const struct view host = view_str(ctx->original_host);
    uint32_t off = sizeof(struct conf_image_header);
    while (off < img->bytes.len) {
        const struct conf_record *r = conf_record_at(img, off);
        bool matches = true;
        if (r->kind < SSH_OPT_MAX)
            TRY(apply_record(o, img, r));
        else if (r->kind == CONF_REC_HOST)
            matches = host_applies(img, r, ctx->host ? view_str(ctx->host) : host, ctx->log);
        else if (r->kind == CONF_REC_MATCH) {
            int err = match_matches(o, ctx, r, &matches);
            if (err < 0) {
                struct view file = conf_record_file(img, r);
                conf_diag_error(diag, "%.*s line %u: Match: %s", VIEW_ARG(file), r->line, err_text(err));
                return err;
            }
        }
        off = matches ? off + r->size : r->skip;
    }
    return 0;
}

/* ---- after the files ---- */

void ssh_options_clear_forwards(struct ssh_options *o)
{
    conf_type_LOCAL_FORWARDS.done(&o->local_forward);
    conf_type_REMOTE_FORWARDS.done(&o->remote_forward);
    conf_type_DYNAMIC_FORWARDS.done(&o->dynamic_forward);
    o->local_forward = o->remote_forward = o->dynamic_forward = (struct conf_forwards){ NULL, 0 };
}

int ssh_options_fill_defaults(struct ssh_options *o, const struct conf_algorithms *algs)
{
    /* As ssh_config(5) says: further keys are learnt into the usual files only, and not from servers vouched for by DNS. */
    bool learns = !ssh_options_is_set(o, SSH_OPT_user_known_hosts_file) && o->verify_host_key_dns == CONF_NO;
    bool has_word = ssh_options_is_set(o, SSH_OPT_update_host_keys);
    TRY(conf_any_fill_defaults(any_of(o), algs));
    if (!has_word) o->update_host_keys = learns ? CONF_YES : CONF_NO;
    if (o->clear_all_forwardings) ssh_options_clear_forwards(o);
    return 0;
}

int ssh_options_check(const struct ssh_options *o, struct conf_diag *diag) { return conf_any_check(any_of(o), diag); }

int ssh_options_dump(const struct ssh_options *o, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) TRY(conf_any_dump_option(any_of(o), &options[i], out));
    return 0;
}
