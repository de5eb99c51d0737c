/* ssh's configuration: command line, then the user's file, then the system's; tokens; the answers of -G. */
#include "prog/ssh/client.h"

#include "conf/tokens.h"
#include "crypto/digest.h"
#include "base/base64.h"
#include "io/config_file.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Messages on a configuration come before there is a log: OpenSSH writes them to stderr. */
static void print_diag(const struct conf_diag *diag)
{
    for (size_t i = 0; i < diag->warnings.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->warnings.v[i]);
    for (size_t i = 0; i < diag->errors.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->errors.v[i]);
}

/* ---- tokens ---- */

static void short_host_name(const char *full, char *ret, size_t cap)
{
    snprintf(ret, cap, "%.*s", (int)strcspn(full, "."), full);
}

/* %C: SHA-1 of %l%h%p%r%j in hexadecimal. */
static int connection_hash(const char *local_host, const char *host, const char *port, const char *user, const char *jump, struct buf *out)
{
    const struct view parts[] = { view_str(local_host), view_str(host), view_str(port), view_str(user), view_str(jump) };
    uint8_t digest[DIGEST_MAX_BYTES];
    TRY(digest_parts(DIGEST_SHA1, parts, ARRAY_LEN(parts), digest));
    return hex_put(out, view_of(digest, digest_len(DIGEST_SHA1)));
}

static const char *get_env(UNUSED void *arg, const char *name) { return getenv(name); }

static int expand_tokens(struct client *c, const char *text, char **ret, char *why, size_t why_cap)
{
    CLEANUP(buf_done) struct buf hash = BUF_INIT(128);
    char local_host[SOCK_HOST_BYTES] = "", short_name[SOCK_HOST_BYTES], port[16], uid[16];
    const struct ssh_options *o = &c->options;
    const char *host = c->host ? c->host : c->cmd.host, *user = c->remote_user ? c->remote_user : c->me->name;
    (void)!sock_host_name(local_host);
    short_host_name(local_host, short_name, sizeof short_name);
    snprintf(port, sizeof port, "%d", o->port > 0 ? o->port : 22);
    snprintf(uid, sizeof uid, "%u", (unsigned)c->me->uid);
    TRY(connection_hash(local_host, host, port, user, o->proxy_jump ? o->proxy_jump : "", &hash));
    const struct conf_token tokens[] = {
        { 'C', buf_cstr(&hash) }, { 'd', c->me->home }, { 'h', host }, { 'i', uid }, { 'j', o->proxy_jump ? o->proxy_jump : "" },
        { 'k', o->host_key_alias ? o->host_key_alias : c->cmd.host }, { 'L', short_name }, { 'l', local_host }, { 'n', c->cmd.host },
        { 'p', port }, { 'r', user }, { 'T', "NONE" }, { 'u', c->me->name },
    };
    const struct conf_expand x = { .tokens = tokens, .n_tokens = ARRAY_LEN(tokens), .get_env = get_env };
    return conf_expand_str(&x, text, ret, why, why_cap);
}

int config_expand(struct client *c, const char *text, bool is_path, const char *what, char **ret)
{
    char why[256] = "";
    CLEANUP(freep) char *at_home = NULL;
    if (is_path) TRY(conf_expand_home(text, c->me->home, &at_home));
    int err = expand_tokens(c, is_path ? at_home : text, ret, why, sizeof why);
    if (err < 0) client_fatal(c, "%s: %s", what, why[0] ? why : err_text(err));
    return err;
}

/* ---- Match exec ---- */

static int match_exec(void *arg, const char *command, UNUSED const struct ssh_options *so_far)
{
    struct client *c = arg;
    CLEANUP(freep) char *text = NULL;
    const char *shell = getenv("SHELL");
    TRY(config_expand(c, command, false, "Match exec", &text));
    if (!shell || !*shell) shell = "/bin/sh";
    const char *argv[] = { shell, "-c", text, NULL };
    const struct spawn_fd fds[] = { { STDERR_FILENO, STDERR_FILENO } };
    struct spawn s = { .path = shell, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds) };
    pid_t pid;
    int status;
    TRY(spawn_run(&s, &pid));
    TRY(spawn_wait(pid, &status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 0;
}

/* ---- files ---- */

static int eval_file(struct client *c, const struct config_file *file, struct ssh_conf_ctx *ctx, bool must_exist)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    struct conf_image image = CONF_IMAGE_INIT;
    int err = config_file_load(file, &diag, &image);
    if (!must_exist && (file_err_is_missing(err) || err_errno(err) == EACCES)) return 0;
    if (file_err_is_missing(err)) {
        dprintf(STDERR_FILENO, "Can't open user config file %s: No such file or directory\r\n", file->path);
        return err;
    }
    if (err == 0) err = ssh_options_eval(&c->options, &image, ctx, &diag);
    print_diag(&diag);
    conf_image_done(&image);
    return err;
}

static int eval_files(struct client *c, struct ssh_conf_ctx *ctx)
{
    const char *given = c->cmd.config_path;
    char user_path[4300], user_dir[4200];
    if (given && strcmp(given, "none") == 0) return 0;
    snprintf(user_dir, sizeof user_dir, "%s/.ssh", c->me->home);
    snprintf(user_path, sizeof user_path, "%s/config", user_dir);
    struct config_file user = { .program = CONF_SSH, .path = given ? given : user_path, .dir = user_dir, .home = c->me->home, .is_user_file = true,
                                .owner_is_checked = !given, .uid = c->me->uid, .ignore_unknown = c->options.ignore_unknown, .algs = &c->algs.conf };
    TRY(eval_file(c, &user, ctx, given != NULL));
    if (given) return 0;
    struct config_file system = { .program = CONF_SSH, .path = NACRE_SYSCONFDIR "/ssh_config", .dir = NACRE_SYSCONFDIR, .home = c->me->home,
                                  .ignore_unknown = c->options.ignore_unknown, .algs = &c->algs.conf };
    return eval_file(c, &system, ctx, false);
}

/* ---- what follows from the options ---- */

static int set_host(struct client *c)
{
    const struct conf_token tokens[] = { { 'h', c->cmd.host } };
    const struct conf_expand x = { .tokens = tokens, .n_tokens = ARRAY_LEN(tokens) };
    char why[256];
    if (!c->options.hostname) {
        c->host = view_dup_str(view_str(c->cmd.host));
        return c->host ? 0 : ERR_NOMEM;
    }
    int err = conf_expand_str(&x, c->options.hostname, &c->host, why, sizeof why);
    if (err < 0) dprintf(STDERR_FILENO, "Hostname: %s\r\n", why);
    return err;
}

static void lower_case(char *s)
{
    for (; *s; s++) *s = (char)tolower((unsigned char)*s);
}

static int set_user(struct client *c)
{
    if (!c->options.user) c->remote_user = view_dup_str(view_str(c->me->name));
    else
        TRY(config_expand(c, c->options.user, false, "User", &c->remote_user));
    return c->remote_user ? 0 : ERR_NOMEM;
}

static int check(struct client *c)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    int err = ssh_options_check(&c->options, &diag);
    print_diag(&diag);
    return err;
}

/* After the files: Hostname and User with their tokens. A second pass over the files for Match final, if they have it. */
static int load(struct client *c)
{
    struct ssh_conf_ctx ctx = { .original_host = c->cmd.host, .local_user = c->me->name, .command = c->cmd.command ? c->cmd.command : "",
                                .version = "Nacre_" NACRE_VERSION, .exec = match_exec, .arg = c };
    TRY(eval_files(c, &ctx));
    TRY(set_host(c));
    if (ctx.wants_final_pass) {
        ctx.host = c->host;
        ctx.is_final = true;
        TRY(eval_files(c, &ctx));
    }
    TRY(ssh_options_fill_defaults(&c->options, &c->algs.conf));
    lower_case(c->host);
    return set_user(c);
}

int config_load(struct client *c)
{
    TRY(load(c));
    if (c->cmd.mode == MODE_DUMP) return 0;
    if (c->options.refuse_connection) {
        dprintf(STDERR_FILENO, "%s\r\n", c->options.refuse_connection);
        return ERR_DENIED;
    }
    return check(c);
}

int config_dump(struct client *c)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(64 << 20);
    /* As OpenSSH prints them: the host as typed, and the values that will be used. */
    free(c->options.user);
    free(c->options.hostname);
    c->options.user = view_dup_str(view_str(c->remote_user));
    c->options.hostname = view_dup_str(view_str(c->host));
    if (!c->options.user || !c->options.hostname) return ERR_NOMEM;
    TRY(buf_printf(&out, "host %s\n", c->cmd.host));
    TRY(ssh_options_dump(&c->options, &out));
    return fd_write_all(STDOUT_FILENO, buf_view(&out));
}
