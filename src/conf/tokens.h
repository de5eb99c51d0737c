/* Tokens (%h, %p, ...) and environment variables (${NAME}) in option values. Which tokens a keyword knows is the table the caller
 * hands in. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/view.h"

enum {
    CONF_EXPANDED_BYTES_MAX = 1 << 20
};

struct conf_token {
    char name;         /* 'h' for %h; '%' is always known */
    const char *value; /* borrowed; NULL: known but without a value here, which is an error as for an unknown one */
};

struct conf_expand {
    const struct conf_token *tokens;
    size_t n_tokens;
    const char *(*get_env)(void *arg, const char *name); /* NULL: ${...} stays as it is; a variable that is not set is an error */
    void *arg;
};

/* Appends the expansion. ERR_FORMAT for an unknown token, a % at the end, an unset variable or a missing }; ret_message (cap > 0)
 * then says which. out is unchanged on failure. */
int conf_expand(const struct conf_expand *x, const char *text, struct buf *out, char *ret_message, size_t message_cap) MUST_USE;
/* To a string, owned by the caller. */
int conf_expand_str(const struct conf_expand *x, const char *text, char **ret, char *ret_message, size_t message_cap) MUST_USE;
/* A leading "~" or "~/" becomes home. "~user" is left alone: the caller knows accounts. */
int conf_expand_home(const char *text, const char *home, char **ret) MUST_USE;
