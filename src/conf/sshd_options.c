/* The server's options: their table, and how Match of sshd_config chooses among them. */
#include "conf/sshd_options.h"

#define CONF_OPTIONS sshd_options
#define CONF_IDX SSHD_OPT_
#include "conf/table_int.h"

#include "base/ip_match.h"
#include "base/pattern.h"

#include <stdlib.h>

static const struct conf_option options[] = {
#define OPT CONF_OPTION_ROW
#define WORD(name, ...)
#include "conf/sshd_options.def"
#undef OPT
#undef WORD
};
static const struct conf_word words[] = {
#define OPT(name, ...)
#define WORD CONF_WORD_ROW
#include "conf/sshd_options.def"
#undef OPT
#undef WORD
};

static const char *ignore_unknown(const void *o UNUSED) { return NULL; }

const struct conf_table conf_sshd_table = { CONF_SSHD,
                                            options,
                                            ARRAY_LEN(options),
                                            words,
                                            ARRAY_LEN(words),
                                            offsetof(struct sshd_options, origin),
                                            offsetof(struct sshd_options, origin_files),
                                            sizeof(struct sshd_options),
                                            ignore_unknown };

const struct conf_table *conf_table_of(enum conf_program program)
{
    return program == CONF_SSH ? &conf_ssh_table : &conf_sshd_table;
}

static struct conf_any any_of(const struct sshd_options *o) { return (struct conf_any){ &conf_sshd_table, (void *)(uintptr_t)o }; }

void sshd_options_init(struct sshd_options *o) { conf_any_init(any_of(o)); }
void sshd_options_done(struct sshd_options *o) { conf_any_done(any_of(o)); }
int sshd_options_copy(struct sshd_options *ret, const struct sshd_options *from) { return conf_any_copy(any_of(ret), from); }
int sshd_options_origin(const struct sshd_options *o, enum sshd_opt opt, struct buf *out)
{
    return conf_any_origin_text(any_of(o), opt, out);
}
int sshd_options_set(struct sshd_options *o, const char *setting, const struct conf_algorithms *algs, struct conf_diag *diag)
{
    return conf_any_set(any_of(o), setting, algs, diag);
}
int sshd_options_set_value(struct sshd_options *o, enum sshd_opt opt, const char *value, const struct conf_algorithms *algs,
                           struct conf_diag *diag)
{
    return conf_any_set_value(any_of(o), opt, value, algs, diag);
}
int sshd_options_export(const struct sshd_options *o, struct buf *out) { return conf_any_export(any_of(o), out); }
int sshd_options_import(struct view bytes, struct sshd_options *ret) { return conf_any_import(bytes, any_of(ret)); }

/* ---- Match ---- */

static bool list_matches(const char *text, struct view list) { return text && pattern_list_match(view_str(text), list) == 1; }

static int address_matches(const char *address, struct view list, bool *ret)
{
    int verdict = 0;
    if (address) TRY(ip_list_match(view_str(address), list, &verdict));
    *ret = verdict == 1;
    return 0;
}

static int criterion_matches(const struct sshd_conf_ctx *ctx, char criterion, struct view value, bool *ret)
{
    long port = 0;
    const char *text = (const char *)value.p; /* the image has a NUL behind each argument */
    *ret = false;
    switch (criterion) {
    case CONF_CRIT_ALL:
        *ret = true;
        return 0;
    case CONF_CRIT_INVALID_USER:
        *ret = ctx->invalid_user;
        return 0;
    case CONF_CRIT_USER:
        *ret = list_matches(ctx->user, value);
        return 0;
    case CONF_CRIT_GROUP:
        return ctx->user && ctx->in_group ? ctx->in_group(ctx->arg, ctx->user, text, ret) : 0;
    case CONF_CRIT_HOST:
        *ret = ctx->host && pattern_list_match_nocase(view_str(ctx->host), value) == 1;
        return 0;
    case CONF_CRIT_ADDRESS:
        return address_matches(ctx->address, value, ret);
    case CONF_CRIT_LOCAL_ADDRESS:
        return address_matches(ctx->local_address, value, ret);
    case CONF_CRIT_LOCAL_PORT:
        *ret = conf_number(value, 0, 65535, &port) == 0 && port == ctx->local_port;
        return 0;
    case CONF_CRIT_RDOMAIN:
        *ret = list_matches(ctx->rdomain, value);
        return 0;
    case CONF_CRIT_VERSION:
        *ret = list_matches(ctx->version, value);
        return 0;
    default:
        return ERR_FORMAT;
    }
}

static int match_matches(const struct sshd_conf_ctx *ctx, const struct conf_record *r, bool *ret)
{
    struct conf_args_it it = conf_record_args(r);
    struct view code, value;
    *ret = true;
    while (*ret && conf_args_next(&it, &code) && conf_args_next(&it, &value)) {
        if (code.len != 2) return ERR_FORMAT;
        TRY(criterion_matches(ctx, (char)code.p[1], value, ret));
    }
    return 0;
}

/* ---- the walk ---- */

/* Ports of the command line replace those of the file. */
static bool is_overruled(const struct sshd_options *o, unsigned kind)
{
    return kind == SSHD_OPT_port && o->origin[kind].source == CONF_COMMAND_LINE;
}

/* Global lines (ctx NULL) or those in Match blocks that apply. */
static int walk(struct sshd_options *o, const struct conf_image *img, const struct sshd_conf_ctx *ctx, struct conf_diag *diag)
{
    uint32_t off = sizeof(struct conf_image_header), match_end = 0;
    while (off < img->bytes.len) {
        const struct conf_record *r = conf_record_at(img, off);
        bool matches = true;
        if (r->kind == CONF_REC_MATCH) {
            matches = false;
            int err = ctx ? match_matches(ctx, r, &matches) : 0;
            if (err < 0) {
                struct view file = conf_record_file(img, r);
                conf_diag_error(diag, "%.*s line %u: Match: %s", VIEW_ARG(file), r->line, err_text(err));
                return err;
            }
            if (matches) match_end = MAX(match_end, r->skip);
        } else if (r->kind < SSHD_OPT_MAX && (off < match_end) == (ctx != NULL) && !is_overruled(o, r->kind)) {
            TRY(conf_any_apply_record(any_of(o), img, r, ctx ? CONF_MATCH : CONF_FILE));
        }
        off = matches ? off + r->size : r->skip;
    }
    return 0;
}

int sshd_options_eval(struct sshd_options *o, const struct conf_image *img, const struct sshd_conf_ctx *ctx, struct conf_diag *diag)
{
    if (ctx) TRY(walk(o, img, ctx, diag));
    return walk(o, img, NULL, diag);
}

int sshd_options_fill_defaults(struct sshd_options *o, const struct conf_algorithms *algs)
{
    return conf_any_fill_defaults(any_of(o), algs);
}

/* ---- checks ---- */

static int check_pair(const struct sshd_options *o, enum sshd_opt opt, const char *value, const char *needed,
                      struct conf_diag *diag)
{
    if (o->origin[opt].source <= CONF_DEFAULT || !value || needed) return 0;
    conf_diag_error(diag, "%s set without %sUser", options[opt].name, options[opt].name);
    return ERR_FORMAT;
}

static bool method_is_enabled(const struct sshd_options *o, struct view method)
{
    const struct {
        const char *name;
        bool enabled;
    } rows[] = {
        { "publickey", o->pubkey_authentication },
        { "password", o->password_authentication },
        { "keyboard-interactive", o->kbd_interactive_authentication },
        { "hostbased", o->hostbased_authentication },
        { "gssapi-with-mic", o->gssapi_authentication },
        { "none", true },
        { "any", true },
    };
    const uint8_t *colon = method.len ? memchr(method.p, ':', method.len) : NULL;
    if (colon) method.len = (size_t)(colon - method.p);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (view_eq_str(method, rows[i].name)) return rows[i].enabled;
    return false;
}

/* A server whose chains all need something that is turned off lets nobody in. */
static int check_methods(const struct sshd_options *o, struct conf_diag *diag)
{
    for (size_t i = 0; i < o->authentication_methods.n; i++) {
        struct view chain = view_str(o->authentication_methods.v[i]), method;
        bool possible = true;
        while (view_next_in_list(&chain, &method)) possible &= method_is_enabled(o, method);
        if (possible) return 0;
    }
    if (o->authentication_methods.n == 0) return 0;
    conf_diag_error(diag, "AuthenticationMethods cannot be satisfied by enabled authentication methods");
    return ERR_FORMAT;
}

int sshd_options_check(const struct sshd_options *o, struct conf_diag *diag)
{
    int err = check_pair(o, SSHD_OPT_authorized_keys_command, o->authorized_keys_command, o->authorized_keys_command_user, diag);
    int err2 = check_pair(o, SSHD_OPT_authorized_principals_command, o->authorized_principals_command,
                          o->authorized_principals_command_user, diag);
    int err3 = conf_any_check(any_of(o), diag);
    int err4 = check_methods(o, diag);
    if (err3 < 0) return err3;
    err = MIN(err, err2);
    return MIN(err, err4);
}

/* One record of a keyword that may ask for what is missing, evaluated as if it were alone. */
static int check_record(const struct conf_image *img, const struct conf_record *r, struct conf_diag *diag)
{
    struct sshd_options *o = calloc(1, sizeof(*o));
    if (!o) return ERR_NOMEM;
    int err = conf_any_apply_record(any_of(o), img, r, CONF_FILE);
    if (err == 0) err = conf_any_check(any_of(o), diag);
    sshd_options_done(o);
    free(o);
    return err;
}

int sshd_image_check(const struct conf_image *img, struct conf_diag *diag)
{
    int result = 0;
    for (uint32_t off = sizeof(struct conf_image_header); off < img->bytes.len; off += conf_record_at(img, off)->size) {
        const struct conf_record *r = conf_record_at(img, off);
        if (r->kind >= SSHD_OPT_MAX || options[r->kind].state != CONF_STATE_LATER) continue;
        int err = check_record(img, r, diag);
        if (err < 0 && err != ERR_UNSUPPORTED) return err;
        if (err < 0) result = err;
    }
    return result;
}

/* ---- -T ---- */

static int dump_listen(struct buf *out, const char *host, const char *port, const char *rdomain)
{
    bool v6 = strchr(host, ':') != NULL;
    TRY(buf_printf(out, v6 ? "listenaddress [%s]:%s" : "listenaddress %s:%s", host, port));
    if (rdomain) TRY(buf_printf(out, " rdomain %s", rdomain));
    return buf_put_u8(out, '\n');
}

static int dump_listen_everywhere(const struct sshd_options *o, struct buf *out, const char *port, const char *rdomain)
{
    if (o->address_family != CONF_AF_INET) TRY(dump_listen(out, "::", port, rdomain));
    return o->address_family != CONF_AF_INET6 ? dump_listen(out, "0.0.0.0", port, rdomain) : 0;
}

/* Addresses with each port they get; names stay names, since looking them up is not ours. */
static int dump_listen_addresses(const struct sshd_options *o, struct buf *out)
{
    static const struct conf_listen everywhere = { NULL, 0, NULL };
    size_t n = o->listen_address.n ? o->listen_address.n : 1;
    for (size_t i = 0; i < n; i++) {
        const struct conf_listen *l = o->listen_address.n ? &o->listen_address.v[i] : &everywhere;
        char own[16];
        snprintf(own, sizeof(own), "%d", l->port);
        for (size_t k = 0; k < (l->port ? 1 : o->port.n); k++) {
            const char *port = l->port ? own : o->port.v[k];
            TRY(l->host ? dump_listen(out, l->host, port, l->rdomain) : dump_listen_everywhere(o, out, port, l->rdomain));
        }
    }
    return 0;
}

int sshd_options_dump(const struct sshd_options *o, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (i == SSHD_OPT_listen_address)
            TRY(dump_listen_addresses(o, out));
        else
            TRY(conf_any_dump_option(any_of(o), &options[i], out));
    }
    return 0;
}
