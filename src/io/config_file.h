/* ssh_config and sshd_config from disk: the file and what it includes, as an image. */
#pragma once

#include "conf/conf.h"

struct config_file {
    enum conf_program program;
    const char *path;
    const char *dir;            /* relative Includes are below it */
    const char *home;           /* for ~/ in Includes; NULL: not expanded */
    const char *ignore_unknown; /* as conf_parse_args */
    bool is_user_file;
    bool owner_is_checked; /* ssh's user file: owned by root or uid, writable by nobody else */
    unsigned uid;
    const struct conf_algorithms *algs;
};
/* ERR_FORMAT with messages in diag; a system error where the file itself could not be read (message in diag as well). */
int config_file_load(const struct config_file *file, struct conf_diag *diag, struct conf_image *ret) MUST_USE;
