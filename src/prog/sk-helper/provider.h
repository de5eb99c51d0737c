/* Where the functions come from: a library of others, or libfido2 ("internal"). */
#pragma once

#include "base/log.h"
#include "ipc/ipc.h"
#include "prog/sk-helper/sk_api.h"

struct provider_fault {
    enum token_error error;
    char text[768];
};

/* Loads it, for good. Negative: *fault says why. */
int provider_open(const char *name, const struct log *log, struct sk_api *ret, struct provider_fault *fault) MUST_USE;
/* libfido2's; all NULL in a build without it. */
extern const struct sk_api provider_internal;
