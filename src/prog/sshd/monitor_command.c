/* AuthorizedKeysCommand and AuthorizedPrincipalsCommand: programs of the administrator's that say who may log in. They run without
 * a shell, under the account that the configuration names, with nothing of ours but their arguments and a pipe; what they print
 * counts only when they end with status 0. */
#include "prog/sshd/monitor.h"

#include "base/base64.h"
#include "conf/tokens.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_BYTES = 16384,
    END_WAIT_MS = 10000, /* from the end of its output to its own */
    TOKENS_MAX = 16,
    TEXT_BYTES = 2 * SOCK_TEXT_BYTES + 32
};

/* ---- its arguments ---- */

/* Texts that tokens stand for, as far as they have to be made. */
struct tokens {
    struct conf_token v[TOKENS_MAX];
    size_t n;
    char uid[16], connection[TEXT_BYTES], serial[24];
    char *key_base64, *key_print, *ca_base64, *ca_print, *key_id;
};

static void tokens_done(struct tokens *t)
{
    free(t->key_base64);
    free(t->key_print);
    free(t->ca_base64);
    free(t->ca_print);
    free(t->key_id);
}

static void add(struct tokens *t, char name, const char *value)
{
    CHECK(t->n < TOKENS_MAX);
    t->v[t->n++] = (struct conf_token){ name, value };
}

static int describe(const struct monitor *m, struct view blob, char **ret_base64, char **ret_print)
{
    CLEANUP(buf_done) struct buf base64 = BUF_INIT(128 * 1024);
    TRY(base64_put(&base64, blob));
    *ret_base64 = view_dup_str(buf_view(&base64));
    if (!*ret_base64) return ERR_NOMEM;
    return key_fingerprint(blob, monitor_print_digest(m), ret_print);
}

static const char *type_name(struct view blob)
{
    struct rd r = rd_of(blob);
    const struct key_type *t = key_type_find(rd_string(&r));
    return t ? t->name : "unknown";
}

static int fill_tokens(const struct monitor *m, const struct monitor_command *c, struct tokens *t)
{
    const struct user *u = m->who.user;
    snprintf(t->uid, sizeof t->uid, "%u", (unsigned)u->uid);
    snprintf(t->connection, sizeof t->connection, "%s %d %s %d", m->peer.host, m->peer.port, m->local.host, m->local.port);
    TRY(describe(m, c->key, &t->key_base64, &t->key_print));
    add(t, 'C', t->connection);
    add(t, 'D', "");
    add(t, 'f', t->key_print);
    add(t, 'h', u->home);
    add(t, 'k', t->key_base64);
    add(t, 't', type_name(c->key));
    add(t, 'U', t->uid);
    add(t, 'u', u->name);
    if (!c->cert) return 0;
    TRY(describe(m, c->cert->ca_key, &t->ca_base64, &t->ca_print));
    t->key_id = view_dup_str(c->cert->key_id);
    if (!t->key_id) return ERR_NOMEM;
    snprintf(t->serial, sizeof t->serial, "%llu", (unsigned long long)c->cert->serial);
    add(t, 'F', t->ca_print);
    add(t, 'i', t->key_id);
    add(t, 'K', t->ca_base64);
    add(t, 's', t->serial);
    add(t, 'T', type_name(c->cert->ca_key));
    return 0;
}

static int make_argv(struct monitor *m, const struct monitor_command *c, struct strv *ret_argv)
{
    CLEANUP(strv_done) struct strv words = STRV_INIT;
    CLEANUP(tokens_done) struct tokens t = { .n = 0 };
    char why[256] = "quotes are not closed";
    int err = conf_command_split(c->command, &words);
    if (err == 0) err = fill_tokens(m, c, &t);
    const struct conf_expand x = { .tokens = t.v, .n_tokens = t.n };
    for (size_t i = 0; err == 0 && i < words.n; i++) {
        char *word = NULL;
        err = i ? conf_expand_str(&x, words.v[i], &word, why, sizeof why) : 0;
        if (err == 0) err = i ? strv_add_take(ret_argv, word) : strv_add(ret_argv, view_str(words.v[0]));
    }
    if (err == 0 && words.n == 1) err = strv_add(ret_argv, view_str(m->who.user->name));
    if (err < 0) monitor_log(m, LOG_LEVEL_ERROR, "%s \"%s\": %s", c->keyword, c->command, err == ERR_FORMAT ? why : err_text(err));
    return err < 0 ? err : ret_argv->n ? 0 : ERR_FORMAT;
}

/* ---- who it runs as ---- */

static int find_account(struct monitor *m, const struct monitor_command *c, struct user **ret)
{
    CLEANUP(freep) char *name = NULL;
    const struct conf_token tokens[] = { { 'u', m->who.user->name } };
    const struct conf_expand x = { .tokens = tokens, .n_tokens = ARRAY_LEN(tokens) };
    char why[256] = "";
    int err = conf_expand_str(&x, c->user, &name, why, sizeof why);
    if (err == 0) err = user_by_name(name, ret);
    if (err == 0 && geteuid() == 0) err = user_load_groups(*ret);
    if (err == 0 && geteuid() != 0 && (*ret)->uid != geteuid()) err = ERR_DENIED;
    if (err < 0)
        monitor_log(m, LOG_LEVEL_ERROR, "%sUser \"%s\": %s", c->keyword, name ? name : c->user, why[0] ? why : err_text(err));
    return err;
}

/* Whoever could change the program could let in whom they like. */
static int check_program(struct monitor *m, const struct monitor_command *c, const char *path)
{
    CLEANUP(fd_closep) int fd = -1;
    char why[FILE_WHY_BYTES];
    int err = file_open(path, O_RDONLY | O_NONBLOCK, 0, &fd);
    if (err < 0)
        snprintf(why, sizeof why, "%s", err_text(err));
    else
        err = file_check_safe(fd, path, 0, NULL, why);
    if (err < 0) monitor_log(m, LOG_LEVEL_ERROR, "Unsafe %s \"%s\": %s", c->keyword, path, why);
    return err;
}

static int put_env(const struct user *u, struct strv *env)
{
    char text[4200];
    const struct {
        const char *name, *value;
    } rows[] = {
        { "PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" }, { "HOME", u->home }, { "USER", u->name }, { "LOGNAME", u->name }
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof text, "%s=%s", rows[i].name, rows[i].value);
        TRY(strv_add(env, view_str(text)));
    }
    return 0;
}

/* ---- the run ---- */

static int read_output(int fd, ms deadline, struct buf *out)
{
    for (;;) {
        uint8_t *room;
        size_t n;
        ms left = deadline == MS_NEVER ? MS_NEVER : deadline - clock_now();
        if (left <= 0) return ERR_TIMEOUT;
        TRY(fd_wait(fd, false, left));
        TRY(buf_reserve(out, READ_BYTES, &room));
        int err = fd_read(fd, room, READ_BYTES, &n);
        if (err < 0 || n == 0) return err;
        buf_commit(out, n);
    }
}

static int judge_end(struct monitor *m, const struct monitor_command *c, const char *path, int err, int status)
{
    char how[64];
    if (err == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    spawn_status_text(status, how, sizeof how);
    if (err == 0 && WIFEXITED(status))
        monitor_log(m, LOG_LEVEL_ERROR, "%s %s failed, status %d", c->keyword, path, WEXITSTATUS(status));
    else if (err == 0)
        monitor_log(m, LOG_LEVEL_ERROR, "%s %s %s", c->keyword, path, how);
    else
        monitor_log(m, LOG_LEVEL_ERROR, "%s %s was stopped: %s", c->keyword, path,
                    err == ERR_LIMIT ? "it printed too much" : err_text(err));
    return err < 0 ? err : ERR_DENIED;
}

static int run(struct monitor *m, const struct monitor_command *c, const struct strv *argv, struct user *as, struct buf *out)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    int pipe[2], status;
    pid_t pid;
    TRY(put_env(as, &env));
    TRY(fd_pipe(pipe));
    CLEANUP(fd_closep) int from = pipe[0];
    CLEANUP(fd_closep) int to = pipe[1];
    const struct spawn_fd fds[] = { { to, STDOUT_FILENO } };
    struct spawn s = { .path = argv->v[0],
                       .argv = (const char *const *)argv->v,
                       .env = (const char *const *)env.v,
                       .cwd = "/",
                       .fds = fds,
                       .n_fds = ARRAY_LEN(fds),
                       .as = geteuid() == 0 ? as : NULL,
                       .new_session = true,
                       .die_with_parent = true };
    int err = spawn_run(&s, &pid);
    if (err < 0) {
        monitor_log(m, LOG_LEVEL_ERROR, "%s %s: %s", c->keyword, argv->v[0], err_text(err));
        return err;
    }
    fd_closep(&to);
    err = read_output(from, m->grace_end, out);
    fd_closep(&from);
    if (err < 0) (void)kill(-pid, SIGKILL); /* with what it has started */
    TRY(spawn_wait_or_kill(pid, err < 0 ? 0 : END_WAIT_MS, &status));
    return judge_end(m, c, argv->v[0], err, status);
}

int monitor_run_command(struct monitor *m, const struct monitor_command *c, struct buf *out)
{
    CLEANUP(strv_done) struct strv argv = STRV_INIT;
    CLEANUP(user_freep) struct user *as = NULL;
    if (!c->command || !c->user || !m->who.valid) return ERR_NOT_FOUND;
    TRY(make_argv(m, c, &argv));
    TRY(find_account(m, c, &as));
    TRY(check_program(m, c, argv.v[0]));
    return run(m, c, &argv, as, out);
}
