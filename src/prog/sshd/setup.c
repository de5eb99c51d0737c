/* The setup of a monitor, and what options follow from it. */
#include "prog/sshd/setup.h"

#include "os/user.h"

#include <stdlib.h>

#define CODEC_DEF "prog/sshd/setup.def"
#include "wire/codec_define.h"
#undef CODEC_DEF

static int apply_settings(struct view settings, const struct conf_algorithms *algs, struct conf_diag *diag, struct sshd_options *o)
{
    struct rd r = rd_of(settings);
    while (rd_left(&r)) {
        CLEANUP(freep) char *one = view_dup_str(rd_cstring(&r));
        if (!one) return ERR_NOMEM;
        TRY(rd_stop(&r));
        TRY(sshd_options_set(o, one, algs, diag));
    }
    return rd_end(&r);
}

int setup_options(const struct body_session_setup *setup, const struct sshd_conf_ctx *ctx, const struct conf_algorithms *algs,
                  struct conf_diag *diag, struct sshd_options *ret)
{
    struct conf_image image = CONF_IMAGE_INIT;
    sshd_options_init(ret);
    TRY(apply_settings(setup->settings, algs, diag, ret));
    TRY(conf_image_open(CONF_SSHD, setup->image, &image));
    int err = sshd_options_eval(ret, &image, ctx, diag);
    conf_image_done(&image);
    TRY(err);
    return sshd_options_fill_defaults(ret, algs);
}

int setup_in_group(UNUSED void *arg, const char *name, const char *patterns, bool *ret_matches)
{
    CLEANUP(user_freep) struct user *u = NULL;
    *ret_matches = false;
    if (user_by_name(name, &u) < 0) return 0;
    TRY(user_load_groups(u));
    int match = user_groups_match(u, view_str(patterns));
    if (match < 0) return match;
    *ret_matches = match == USER_GROUP_MATCH;
    return 0;
}
