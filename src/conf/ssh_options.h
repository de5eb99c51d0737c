/* The client's options: one int, string or list for each keyword of ssh_config(5), generated from conf/ssh_options.def, where type,
 * default, state and manual text of each stand. Fields have the keyword's words in snake case: o.port, o.strict_host_key_checking.
 *
 *   struct ssh_options o; ssh_options_init(&o);
 *   ssh_options_set(&o, "Port=22", algs, &diag);         -o and flags first: the first value wins
 *   ssh_options_eval(&o, &user_image, &ctx, &diag);      ~/.ssh/config
 *   ssh_options_eval(&o, &system_image, &ctx, &diag);    /etc/ssh/ssh_config
 *   ssh_options_fill_defaults(&o, algs);
 *   ssh_options_check(&o, &diag);                        refuses what this build cannot do; not for -G
 */
#pragma once

#include "conf/conf.h"
#include "conf/types.h"
#include "conf/values.h"

/* SSH_OPT_port ... in the order of -G. */
enum ssh_opt {
#define OPT(name, field, ...) SSH_OPT_##field,
#define WORD(name, ...)
#include "conf/ssh_options.def"
#undef OPT
#undef WORD
    SSH_OPT_MAX
};

struct ssh_options {
#define OPT(name, field, type, ...) CONF_C_##type field;
#define WORD(name, ...)
#include "conf/ssh_options.def"
#undef OPT
#undef WORD
    struct conf_origin origin[SSH_OPT_MAX];
    struct strv origin_files;
};

/* What Host and Match are compared with. Strings are borrowed; NULL where not known. Criteria that read options (host after
 * Hostname, user, tagged, command, sessiontype) look at the options evaluated so far first and here second. */
struct ssh_conf_ctx {
    const char *original_host; /* as typed: Host, Match originalhost, and %h in Hostname */
    const char *host;          /* after canonicalisation, or NULL: original_host */
    const char *user;          /* given with the host name, or NULL */
    const char *local_user;
    const char *command;         /* joined command line of the remote command, "" for a shell, or NULL */
    const char *version;         /* our version for Match version, "Nacre_..." */
    bool is_canonical, is_final; /* which passes are running: Match canonical, final */
    /* Match exec: the command with tokens not yet expanded. 1 it ran with status 0, 0 not, negative error. NULL: never matches. */
    int (*exec)(void *arg, const char *command, const struct ssh_options *so_far);
    /* Match localnetwork: 1 when an address of this machine is within the list of CIDRs. NULL: never matches. */
    int (*local_network)(void *arg, const char *cidr_list);
    void *arg;
    const struct log *log; /* which blocks apply, at debug1 */
    /* Set by eval: the file had Match final (or canonical), so a second pass is wanted. */
    bool wants_final_pass;
};

void ssh_options_init(struct ssh_options *o);
void ssh_options_done(struct ssh_options *o);
int ssh_options_copy(struct ssh_options *ret, const struct ssh_options *from) MUST_USE; /* ret is initialised by it */

/* One setting from the command line: "Keyword=value", "Keyword value", any quoting the file knows. ERR_FORMAT with a line in diag
 * ("command line: line 0: Bad configuration option: foo"). */
int ssh_options_set(struct ssh_options *o, const char *setting, const struct conf_algorithms *algs, struct conf_diag *diag)
    MUST_USE;
/* The same from a flag, with the value as one word: no quoting rules. */
int ssh_options_set_value(struct ssh_options *o, enum ssh_opt opt, const char *value, const struct conf_algorithms *algs,
                          struct conf_diag *diag) MUST_USE;

/* As ssh_options_set_value, but what stood there before is forgotten: most of ssh's flags win over an earlier flag or -o. */
int ssh_options_override(struct ssh_options *o, enum ssh_opt opt, const char *value, const struct conf_algorithms *algs,
                         struct conf_diag *diag) MUST_USE;

/* ERR_NOMEM, ERR_LIMIT or what a callback gave. */
int ssh_options_eval(struct ssh_options *o, const struct conf_image *img, struct ssh_conf_ctx *ctx, struct conf_diag *diag)
    MUST_USE;
/* Gives each option not yet set its default (and algorithm lists their expansion). Paths keep their ~ and tokens. */
int ssh_options_fill_defaults(struct ssh_options *o, const struct conf_algorithms *algs) MUST_USE;
/* Forgets LocalForward, RemoteForward and DynamicForward; what ClearAllForwardings does. */
void ssh_options_clear_forwards(struct ssh_options *o);
/* ERR_UNSUPPORTED with one line in diag for each option whose value asks for a feature this build does not have. */
int ssh_options_check(const struct ssh_options *o, struct conf_diag *diag) MUST_USE;
/* -G: one line "keyword value" for each, without the "host" line, which is the caller's. */
int ssh_options_dump(const struct ssh_options *o, struct buf *out) MUST_USE;

static inline bool ssh_options_is_set(const struct ssh_options *o, enum ssh_opt opt)
{
    return o->origin[opt].source > CONF_DEFAULT;
}
/* "default", "command line" or "FILE line N". Appends. */
int ssh_options_origin(const struct ssh_options *o, enum ssh_opt opt, struct buf *out) MUST_USE;
