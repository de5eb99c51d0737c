/* The server's options, generated from conf/sshd_options.def as conf/ssh_options.h is from its own. Options set in Match blocks
 * override the global ones; among Match blocks that apply the first value wins.
 *
 *   struct sshd_options o; sshd_options_init(&o);
 *   sshd_options_set(&o, "Port=22", algs, &diag);             -o and flags
 *   sshd_options_eval(&o, &image, NULL, &diag);               global part only: the listener
 *   sshd_options_eval(&o, &image, &ctx, &diag);               or with Match: a session, once the user is known (fresh options, -o
 * again first) sshd_options_fill_defaults(&o, algs); sshd_options_check(&o, &diag);
 */
#pragma once

#include "conf/conf.h"
#include "conf/types.h"
#include "conf/values.h"

/* SSHD_OPT_port ... in the order of -T. */
enum sshd_opt {
#define OPT(name, field, ...) SSHD_OPT_##field,
#define WORD(name, ...)
#include "conf/sshd_options.def"
#undef OPT
#undef WORD
    SSHD_OPT_MAX
};

struct sshd_options {
#define OPT(name, field, type, ...) CONF_C_##type field;
#define WORD(name, ...)
#include "conf/sshd_options.def"
#undef OPT
#undef WORD
    struct conf_origin origin[SSHD_OPT_MAX];
    struct strv origin_files;
};

/* A connection, as far as it is known; also what -C gives. Borrowed strings, NULL: not known, a criterion on it does not match. */
struct sshd_conf_ctx {
    const char *user;
    const char *host;    /* by reverse lookup, or the address */
    const char *address; /* numeric */
    const char *local_address;
    int local_port; /* 0: not known */
    const char *rdomain;
    const char *version;
    bool invalid_user; /* the user does not exist */
    /* Whether the user is in one of the groups of a pattern list: 1, 0, -1 (a negated one matched), error below. NULL: never. */
    int (*in_group)(void *arg, const char *user, const char *pattern_list, bool *ret_matches);
    void *arg;
};

void sshd_options_init(struct sshd_options *o);
void sshd_options_done(struct sshd_options *o);
int sshd_options_copy(struct sshd_options *ret, const struct sshd_options *from) MUST_USE;

/* "Keyword=value" of a command line. ERR_NOT_FOUND: there is no such keyword; ERR_FORMAT: its value is wrong. */
int sshd_options_set(struct sshd_options *o, const char *setting, const struct conf_algorithms *algs, struct conf_diag *diag)
    MUST_USE;
int sshd_options_set_value(struct sshd_options *o, enum sshd_opt opt, const char *value, const struct conf_algorithms *algs,
                           struct conf_diag *diag) MUST_USE;
int sshd_options_eval(struct sshd_options *o, const struct conf_image *img, const struct sshd_conf_ctx *ctx, struct conf_diag *diag)
    MUST_USE;
int sshd_options_fill_defaults(struct sshd_options *o, const struct conf_algorithms *algs) MUST_USE;
/* ERR_UNSUPPORTED for features that are missing, ERR_FORMAT for options that need one another, each with a line in diag. */
int sshd_options_check(const struct sshd_options *o, struct conf_diag *diag) MUST_USE;
/* The same for every value in the image whatever block it stands in; for the listener at start and for -t. */
int sshd_image_check(const struct conf_image *img, struct conf_diag *diag) MUST_USE;
/* -T */
int sshd_options_dump(const struct sshd_options *o, struct buf *out) MUST_USE;

/* Options as bytes for another process of the same build, with their origins; unset ones stay unset. */
int sshd_options_export(const struct sshd_options *o, struct buf *out) MUST_USE;
int sshd_options_import(struct view bytes, struct sshd_options *ret) MUST_USE; /* ERR_FORMAT */

static inline bool sshd_options_is_set(const struct sshd_options *o, enum sshd_opt opt)
{
    return o->origin[opt].source > CONF_DEFAULT;
}
int sshd_options_origin(const struct sshd_options *o, enum sshd_opt opt, struct buf *out) MUST_USE;
