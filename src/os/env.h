/* An environment under construction: a strv of "NAME=value" as execve takes it. Never touches the process's own environment but to
 * read it. */
#pragma once

#include "base/strv.h"

/* Sets or replaces. A name that is empty or has '=' or NUL, or a value with NUL, is ERR_FORMAT; ERR_NOMEM. env is then unchanged.
 */
int env_set(struct strv *env, const char *name, const char *value) MUST_USE;
int env_set_view(struct strv *env, struct view name, struct view value) MUST_USE;
/* Adds "NAME=value" unless the name is there already (if replace: replaces). */
int env_put(struct strv *env, const char *assignment, bool replace) MUST_USE;
void env_unset(struct strv *env, const char *name);
/* Lent until the next change; NULL when not there. */
const char *env_get(const struct strv *env, const char *name);
/* A copy of this process's environment. */
int env_current(struct strv *ret_env) MUST_USE;
/* Lines NAME=value of a file such as /etc/environment or ~/.ssh/environment: comments (#) and empty lines are skipped, malformed
 * lines reported to the callback, which may be NULL, and skipped. */
int env_put_lines(struct strv *env, struct view text, void (*bad_line)(void *arg, unsigned line), void *arg) MUST_USE;
