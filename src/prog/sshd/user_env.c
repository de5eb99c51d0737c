/* The environment of a session, in OpenSSH's order of precedence. */
#include "prog/sshd/user_child.h"

#include "base/pattern.h"
#include "os/fd.h"
#include "os/file.h"
#include "wire/messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_USER "/usr/local/bin:/usr/bin:/bin:/usr/games"
#define PATH_ROOT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum {
    ENVIRONMENT_FILE_BYTES_MAX = 1 << 20
};

static bool user_may_set(const struct user_child *c, const char *assignment)
{
    const struct conf_user_environment *e = &c->options.permit_user_environment;
    if (e->mode != CONF_ASK) return e->mode == CONF_YES;
    const char *equals = strchr(assignment, '=');
    return equals && pattern_list_match(view_of(assignment, (size_t)(equals - assignment)), view_str(e->patterns)) == 1;
}

static int put_allowed(const struct user_child *c, const struct strv *from, struct strv *env)
{
    for (size_t i = 0; i < from->n; i++)
        if (user_may_set(c, from->v[i])) TRY(env_put(env, from->v[i], true));
    return 0;
}

static int put_account(const struct user_child *c, struct strv *env)
{
    const struct user *u = c->me;
    char mail[512];
    snprintf(mail, sizeof mail, "/var/mail/%s", u->name);
    TRY(env_set(env, "USER", u->name));
    TRY(env_set(env, "LOGNAME", u->name));
    TRY(env_set(env, "HOME", u->home));
    TRY(env_set(env, "PATH", u->uid == 0 ? PATH_ROOT : PATH_USER));
    if (!c->options.use_pam) TRY(env_set(env, "MAIL", mail)); /* pam_mail's otherwise */
    TRY(env_set(env, "SHELL", u->shell));
    const char *tz = getenv("TZ");
    return tz ? env_set(env, "TZ", tz) : 0;
}

static int put_key_environment(const struct user_child *c, struct strv *env)
{
    CLEANUP(strv_done) struct strv list = STRV_INIT;
    struct rd r = rd_of(c->setup.key_environment);
    while (rd_left(&r)) TRY(strv_add(&list, rd_cstring(&r)));
    TRY(rd_end(&r));
    return put_allowed(c, &list, env);
}

struct bad_line {
    const struct session *s;
    const char *path;
};

static void say_bad_line(void *arg, unsigned line)
{
    const struct bad_line *b = arg;
    char text[4400];
    size_t sent;
    int n = snprintf(text, sizeof text, "Bad line %u in %s\r\n", line, b->path);
    (void)!conn_write(conn_io_conn(b->s->c->conn_io), b->s->ch, b->s->tty_name[0] ? 0 : EXTENDED_DATA_STDERR,
                      view_of(text, (size_t)n), &sent);
}

/* ~/.ssh/environment */
static int put_user_file(const struct session *s, struct strv *env)
{
    const struct user_child *c = s->c;
    if (c->options.permit_user_environment.mode == CONF_NO) return 0;
    CLEANUP(buf_done) struct buf path = BUF_INIT(8192), text = BUF_INIT(ENVIRONMENT_FILE_BYTES_MAX);
    CLEANUP(strv_done) struct strv list = STRV_INIT;
    TRY(buf_printf(&path, "%s/.ssh/environment", c->me->home));
    const char *name = buf_cstr(&path);
    if (!name || file_read(name, &text) < 0) return 0;
    struct bad_line say = { s, name };
    TRY(env_put_lines(&list, buf_view(&text), say_bad_line, &say));
    return put_allowed(c, &list, env);
}

static int put_connection(const struct session *s, struct strv *env)
{
    const struct body_user_session *u = &s->c->setup;
    char text[512];
    snprintf(text, sizeof text, "%.*s %u %u", VIEW_ARG(u->peer_address), u->peer_port, u->local_port);
    TRY(env_set(env, "SSH_CLIENT", text));
    snprintf(text, sizeof text, "%.*s %u %.*s %u", VIEW_ARG(u->peer_address), u->peer_port, VIEW_ARG(u->local_address),
             u->local_port);
    TRY(env_set(env, "SSH_CONNECTION", text));
    if (s->tty_name[0]) TRY(env_set(env, "SSH_TTY", s->tty_name));
    if (s->term) TRY(env_set(env, "TERM", s->term));
    if (s->c->agent_path) TRY(env_set(env, "SSH_AUTH_SOCK", s->c->agent_path));
    if (s->c->auth_info_path) TRY(env_set(env, "SSH_USER_AUTH", s->c->auth_info_path));
    return s->original_command ? env_set(env, "SSH_ORIGINAL_COMMAND", s->original_command) : 0;
}

int user_auth_info_write(struct user_child *c)
{
    if (!c->options.expose_auth_info || c->setup.auth_info.len == 0) return 0;
    char path[] = "/tmp/sshauth.XXXXXXXXXX";
    CLEANUP(fd_closep) int fd = mkostemp(path, O_CLOEXEC); /* mode 0600, ours */
    if (fd < 0) return ERR_SYS(errno);
    c->auth_info_path = view_dup_str(view_str(path));
    if (!c->auth_info_path) {
        (void)unlink(path);
        return ERR_NOMEM;
    }
    return fd_write_all(fd, c->setup.auth_info);
}

void user_auth_info_remove(struct user_child *c)
{
    if (c->auth_info_path) (void)unlink(c->auth_info_path);
    free(c->auth_info_path);
    c->auth_info_path = NULL;
}

int user_env_build(const struct session *s, struct strv *ret_env)
{
    const struct user_child *c = s->c;
    struct strv env = STRV_INIT;
    int err = 0;
    for (size_t i = 0; err == 0 && i < s->env.n; i++) err = env_put(&env, s->env.v[i], true);
    if (err == 0) err = put_account(c, &env); /* whatever AcceptEnv lets through, a client does not say who it is */
    for (size_t i = 0; err == 0 && i < c->pam_env.n; i++) err = env_put(&env, c->pam_env.v[i], true);
    if (err == 0) err = put_key_environment(c, &env);
    if (err == 0) err = put_user_file(s, &env);
    for (size_t i = 0; err == 0 && i < c->options.set_env.n; i++) err = env_put(&env, c->options.set_env.v[i], true);
    if (err == 0) err = put_connection(s, &env);
    if (err < 0) {
        strv_done(&env);
        return err;
    }
    *ret_env = env;
    return 0;
}
