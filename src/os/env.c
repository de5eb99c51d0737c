/* Environments as vectors of strings. */
#include "os/env.h"

#include <stdlib.h>
#include <unistd.h>

static size_t find(const struct strv *env, struct view name)
{
    for (size_t i = 0; i < env->n; i++) {
        struct view entry = view_str(env->v[i]);
        if (entry.len > name.len && entry.p[name.len] == '=' && view_eq(view_sub(entry, 0, name.len), name)) return i;
    }
    return env->n;
}

static int put_take(struct strv *env, struct view name, char *take_entry)
{
    size_t i = find(env, name);
    if (i == env->n) return strv_add_take(env, take_entry);
    free(env->v[i]);
    env->v[i] = take_entry;
    return 0;
}

int env_set_view(struct strv *env, struct view name, struct view value)
{
    if (name.len == 0 || memchr(name.p, '=', name.len) || view_has_nul(name) || view_has_nul(value)) return ERR_FORMAT;
    char *entry = malloc(name.len + value.len + 2);
    if (!entry) return ERR_NOMEM;
    memcpy(entry, name.p, name.len);
    entry[name.len] = '=';
    if (value.len) memcpy(entry + name.len + 1, value.p, value.len);
    entry[name.len + 1 + value.len] = 0;
    return put_take(env, name, entry);
}

int env_set(struct strv *env, const char *name, const char *value) { return env_set_view(env, view_str(name), view_str(value)); }

static int put_view(struct strv *env, struct view assignment, bool replace)
{
    const uint8_t *equals = assignment.len ? memchr(assignment.p, '=', assignment.len) : NULL;
    if (!equals) return ERR_FORMAT;
    struct view name = view_of(assignment.p, (size_t)(equals - assignment.p));
    if (!replace && find(env, name) < env->n) return 0;
    return env_set_view(env, name, view_sub(assignment, name.len + 1, assignment.len));
}

int env_put(struct strv *env, const char *assignment, bool replace) { return put_view(env, view_str(assignment), replace); }

void env_unset(struct strv *env, const char *name)
{
    size_t i = find(env, view_str(name));
    if (i == env->n) return;
    free(env->v[i]);
    /* With the NULL behind the last one. */
    memmove(env->v + i, env->v + i + 1, (env->n - i) * sizeof *env->v);
    env->n--;
}

const char *env_get(const struct strv *env, const char *name)
{
    size_t i = find(env, view_str(name));
    return i < env->n ? env->v[i] + strlen(name) + 1 : NULL;
}

int env_current(struct strv *ret_env)
{
    size_t n = 0;
    while (environ && environ[n]) n++;
    return strv_copy(ret_env, &(struct strv){ environ, n });
}

static struct view next_line(struct view *text)
{
    const uint8_t *end = memchr(text->p, '\n', text->len);
    struct view line = view_sub(*text, 0, end ? (size_t)(end - text->p) : text->len);
    *text = view_sub(*text, line.len + 1, text->len);
    return line;
}

static struct view trim(struct view line)
{
    while (line.len && (line.p[0] == ' ' || line.p[0] == '\t')) line = view_sub(line, 1, line.len);
    while (line.len && strchr(" \t\r", line.p[line.len - 1])) line.len--;
    return line;
}

int env_put_lines(struct strv *env, struct view text, void (*bad_line)(void *arg, unsigned line), void *arg)
{
    for (unsigned number = 1; text.len; number++) {
        struct view line = trim(next_line(&text));
        if (line.len == 0 || line.p[0] == '#') continue;
        int err = put_view(env, line, true);
        if (err == ERR_FORMAT && bad_line) bad_line(arg, number);
        if (err < 0 && err != ERR_FORMAT) return err;
    }
    return 0;
}
