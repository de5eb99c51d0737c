/* The setup that travels from listener to monitors (setup.def), and reading it back. */
#pragma once

#include "conf/sshd_options.h"
#include "wire/codec.h"

#define CODEC_DEF "prog/sshd/setup.def"
#include "wire/codec_declare.h"
#undef CODEC_DEF

enum {
    SETUP_BYTES_MAX = CONF_IMAGE_BYTES_MAX + (1 << 20)
};

/* Options for a connection: the settings of the command line, then the image with ctx (NULL: its global part), then defaults.
 * Messages in diag; ERR_FORMAT when a setting is wrong. ret is initialised by it and has to be _done in any case. */
int setup_options(const struct body_session_setup *setup, const struct sshd_conf_ctx *ctx, const struct conf_algorithms *algs,
                  struct conf_diag *diag, struct sshd_options *ret) MUST_USE;

/* For sshd_conf_ctx.in_group: by the machine's accounts. A user who does not exist is in no group. */
int setup_in_group(void *arg, const char *name, const char *patterns, bool *ret_matches) MUST_USE;
