/* sshd_config from disk: the file and what it includes, as an image. */
#pragma once

#include "conf/conf.h"

/* ERR_FORMAT with messages in diag, or the error of reading the file itself (message in diag as well). dir is where relative Includes are. */
int config_file_load(const char *path, const char *dir, const struct conf_algorithms *algs, struct conf_diag *diag, struct conf_image *ret) MUST_USE;
