/* ssh's configuration: command line, then the user's file, then the system's; tokens; the answers of -G. */
#include "prog/ssh/client.h"

#include "conf/tokens.h"
#include "crypto/digest.h"
#include "base/base64.h"
#include "base/ip_match.h"
#include "io/config_file.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    COMMON_TOKENS = 13, /* that every keyword knows */
    MORE_TOKENS_MAX = 8,
};

static void log_diag(struct client *c, const struct conf_diag *diag)
{
    for (size_t i = 0; i < diag->warnings.n; i++) log_info(&c->sink.log, "%s", diag->warnings.v[i]);
    for (size_t i = 0; i < diag->errors.n; i++) log_error(&c->sink.log, "%s", diag->errors.v[i]);
}

/* ---- tokens ---- */

static void short_host_name(const char *full, char *ret, size_t cap) { snprintf(ret, cap, "%.*s", (int)strcspn(full, "."), full); }

/* %C: SHA-1 of %l%h%p%r%j in hexadecimal. */
static int connection_hash(const char *local_host, const char *host, const char *port, const char *user, const char *jump,
                           struct buf *out)
{
    const struct view parts[] = { view_str(local_host), view_str(host), view_str(port), view_str(user), view_str(jump) };
    uint8_t digest[DIGEST_MAX_BYTES];
    TRY(digest_parts(DIGEST_SHA1, parts, ARRAY_LEN(parts), digest));
    return hex_put(out, view_of(digest, digest_len(DIGEST_SHA1)));
}

static const char *get_env(UNUSED void *arg, const char *name) { return getenv(name); }

/* Hostname knows %h and %% only. */
static int expand_host(struct client *c, char **ret)
{
    const struct conf_token tokens[] = { { 'h', c->cmd.host } };
    const struct conf_expand x = { .tokens = tokens, .n_tokens = ARRAY_LEN(tokens) };
    char why[256] = "";
    if (!c->options.hostname) {
        *ret = view_dup_str(view_str(c->cmd.host));
        return *ret ? 0 : ERR_NOMEM;
    }
    int err = conf_expand_str(&x, c->options.hostname, ret, why, sizeof why);
    if (err < 0) client_fatal(c, "Hostname: %s", why[0] ? why : err_text(err));
    return err;
}

/* Those of one keyword alone. */
struct more_tokens {
    const struct conf_token *v;
    size_t n;
};

/* Match exec comes before the values are final: it gets them as they stand. */
static int expand_tokens(struct client *c, const char *text, const struct more_tokens *more, char **ret, char *why, size_t why_cap)
{
    CLEANUP(buf_done) struct buf hash = BUF_INIT(128);
    CLEANUP(freep) char *early_host = NULL;
    char local_host[SOCK_HOST_BYTES] = "", short_name[SOCK_HOST_BYTES], port[16], uid[16];
    const struct ssh_options *o = &c->options;
    const char *user = c->remote_user ? c->remote_user : o->user ? o->user : c->me->name;
    if (!c->host) TRY(expand_host(c, &early_host));
    const char *host = c->host ? c->host : early_host;
    (void)!sock_host_name(local_host);
    short_host_name(local_host, short_name, sizeof short_name);
    snprintf(port, sizeof port, "%d", o->port > 0 ? o->port : 22);
    snprintf(uid, sizeof uid, "%u", (unsigned)c->me->uid);
    TRY(connection_hash(local_host, host, port, user, o->proxy_jump ? o->proxy_jump : "", &hash));
    struct conf_token tokens[COMMON_TOKENS + MORE_TOKENS_MAX] = {
        { 'C', buf_cstr(&hash) },
        { 'd', c->me->home },
        { 'h', host },
        { 'i', uid },
        { 'j', o->proxy_jump ? o->proxy_jump : "" },
        { 'k', o->host_key_alias ? o->host_key_alias : c->cmd.host },
        { 'L', short_name },
        { 'l', local_host },
        { 'n', c->cmd.host },
        { 'p', port },
        { 'r', user },
        { 'T', "NONE" },
        { 'u', c->me->name },
    };
    for (size_t i = 0; i < more->n; i++) tokens[COMMON_TOKENS + i] = more->v[i];
    const struct conf_expand x = { .tokens = tokens, .n_tokens = COMMON_TOKENS + more->n, .get_env = get_env };
    return conf_expand_str(&x, text, ret, why, why_cap);
}

/* ~, ~/path, ~user/path */
static int expand_home(struct client *c, const char *text, char **ret)
{
    CLEANUP(freep) char *name = NULL;
    struct user *other;
    size_t len = strcspn(text, "/");
    if (text[0] != '~' || len == 1) return conf_expand_home(text, c->me->home, ret);
    if (!(name = view_dup_str(view_of(text + 1, len - 1)))) return ERR_NOMEM;
    TRY(user_by_name(name, &other));
    int got = asprintf(ret, "%s%s", other->home, text + len);
    user_free(other);
    return got < 0 ? ERR_NOMEM : 0;
}

static int expand(struct client *c, const char *text, bool is_path, const char *what, const struct more_tokens *more, char **ret)
{
    char why[256] = "";
    CLEANUP(freep) char *at_home = NULL;
    int err = is_path ? expand_home(c, text, &at_home) : 0;
    if (err == 0) err = expand_tokens(c, is_path ? at_home : text, more, ret, why, sizeof why);
    if (err < 0) client_fatal(c, "%s: %s: %s", what, text, why[0] ? why : err_text(err));
    return err;
}

int config_expand(struct client *c, const char *text, bool is_path, const char *what, char **ret)
{
    return expand(c, text, is_path, what, &(struct more_tokens){ .n = 0 }, ret);
}

int config_expand_more(struct client *c, const char *text, const char *what, const struct conf_token *more, size_t n_more,
                       char **ret)
{
    CHECK(n_more <= MORE_TOKENS_MAX);
    return expand(c, text, false, what, &(struct more_tokens){ more, n_more }, ret);
}

/* ---- what -G prints expanded; checked in any case, so that a bad token is no surprise in the middle of a session ---- */

static int expand_in_place(struct client *c, char **value, bool is_path, const char *what)
{
    char *full;
    if (!*value) return 0;
    TRY(config_expand(c, *value, is_path, what, &full));
    free(c->cmd.mode == MODE_DUMP ? *value : full);
    if (c->cmd.mode == MODE_DUMP) *value = full;
    return 0;
}

static int expand_list(struct client *c, struct strv *list, bool is_path, const char *what)
{
    for (size_t i = 0; i < list->n; i++) TRY(expand_in_place(c, &list->v[i], is_path, what));
    return 0;
}

static int expand_forwards(struct client *c, struct conf_forwards *list, const char *what)
{
    for (size_t i = 0; i < list->n; i++) {
        TRY(expand_in_place(c, &list->v[i].listen_path, true, what));
        TRY(expand_in_place(c, &list->v[i].connect_path, true, what));
    }
    return 0;
}

/* $NAME stands for the whole of a socket's path. */
static bool is_variable(const char *path) { return path && path[0] == '$' && path[1] != '{'; }

static int expand_values(struct client *c)
{
    struct ssh_options *o = &c->options;
    TRY(expand_in_place(c, &o->control_path, true, "ControlPath"));
    if (!is_variable(o->identity_agent)) TRY(expand_in_place(c, &o->identity_agent, true, "IdentityAgent"));
    if (!is_variable(o->forward_agent.path)) TRY(expand_in_place(c, &o->forward_agent.path, true, "ForwardAgent"));
    TRY(expand_in_place(c, &o->remote_command, false, "RemoteCommand"));
    TRY(expand_forwards(c, &o->local_forward, "LocalForward"));
    TRY(expand_forwards(c, &o->remote_forward, "RemoteForward"));
    TRY(expand_list(c, &o->revoked_host_keys, true, "RevokedHostKeys"));
    TRY(expand_list(c, &o->user_known_hosts_file, true, "UserKnownHostsFile"));
    return expand_list(c, &o->set_env, false, "SetEnv");
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
    if (!WIFEXITED(status)) { /* killed: neither yes nor no */
        client_fatal(c, "command '%s' exited abnormally", text);
        return ERR_CANCELLED;
    }
    return WEXITSTATUS(status) == 0 ? 1 : 0;
}

/* ---- Match localnetwork ---- */

static int match_local_network(UNUSED void *arg, const char *list)
{
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    TRY(sock_interface_addrs(&addrs));
    for (size_t i = 0; i < addrs.n; i++) {
        struct sock_text text;
        int verdict;
        sock_addr_text(&addrs.v[i], &text);
        if (ip_list_match(view_str(text.host), view_str(list), &verdict) == 0 && verdict > 0) return 1;
    }
    return 0;
}

/* ---- files ---- */

static int eval_file(struct client *c, const struct config_file *file, struct ssh_conf_ctx *ctx, bool must_exist)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    struct conf_image image = CONF_IMAGE_INIT;
    int err = config_file_load(file, &diag, &image);
    if (!must_exist && (file_err_is_missing(err) || err_errno(err) == EACCES)) return 0;
    if (file_err_is_missing(err)) {
        client_fatal(c, "Can't open user config file %s: No such file or directory", file->path);
        return err;
    }
    if (err == 0) client_log(c, LOG_LEVEL_DEBUG1, "Reading configuration data %s", file->path);
    if (err == 0) err = ssh_options_eval(&c->options, &image, ctx, &diag);
    log_diag(c, &diag);
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
    struct config_file user = { .program = CONF_SSH,
                                .path = given ? given : user_path,
                                .dir = user_dir,
                                .home = c->me->home,
                                .is_user_file = true,
                                .owner_is_checked = !given,
                                .uid = c->me->uid,
                                .ignore_unknown = c->options.ignore_unknown,
                                .algs = &c->algs.conf };
    TRY(eval_file(c, &user, ctx, given != NULL));
    if (given) return 0;
    struct config_file system = { .program = CONF_SSH,
                                  .path = NACRE_SYSCONFDIR "/ssh_config",
                                  .dir = NACRE_SYSCONFDIR,
                                  .home = c->me->home,
                                  .ignore_unknown = c->options.ignore_unknown,
                                  .algs = &c->algs.conf };
    return eval_file(c, &system, ctx, false);
}

/* ---- what follows from the options ---- */

/* Addresses in their usual form, 127.1 as 127.0.0.1, names in lower case: as known_hosts has them. */
static int set_host(struct client *c, bool *ret_is_address)
{
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    struct sock_resolve how = { .family = AF_UNSPEC, .numeric = true };
    TRY(expand_host(c, &c->host));
    for (char *p = c->host; *p; p++) *p = (char)tolower((unsigned char)*p);
    *ret_is_address = sock_resolve(c->host, 0, &how, &addrs, NULL) == 0;
    if (!*ret_is_address) return 0;
    struct sock_text text;
    sock_addr_text(&addrs.v[0], &text);
    free(c->host);
    c->host = view_dup_str(view_str(text.host));
    return c->host ? 0 : ERR_NOMEM;
}

static int set_user(struct client *c)
{
    if (!c->options.user)
        c->remote_user = view_dup_str(view_str(c->me->name));
    else
        TRY(config_expand(c, c->options.user, false, "User", &c->remote_user));
    return c->remote_user ? 0 : ERR_NOMEM;
}

static int check(struct client *c)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    int err = ssh_options_check(&c->options, &diag);
    log_diag(c, &diag);
    return err;
}

/* As with OpenSSH these have their defaults once they have been asked: a second pass does not change them. */
static int settle_canonical_options(struct client *c)
{
    static const struct {
        enum ssh_opt opt;
        const char *value;
    } rows[] = { { SSH_OPT_canonicalize_hostname, "no" },
                 { SSH_OPT_canonicalize_max_dots, "1" },
                 { SSH_OPT_canonicalize_fallback_local, "yes" } };
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        TRY(ssh_options_set_value(&c->options, rows[i].opt, rows[i].value, &c->algs.conf, &diag));
    return 0;
}

/* After the files: Hostname and User with their tokens. A second pass over the files for the full name, or for Match final if they
 * have it; Match canonical holds in any second pass, as with OpenSSH. */
static int load(struct client *c)
{
    struct ssh_conf_ctx ctx = { .original_host = c->cmd.host,
                                .local_user = c->me->name,
                                .command = c->cmd.command ? c->cmd.command : "",
                                .version = "Nacre_" NACRE_VERSION,
                                .exec = match_exec,
                                .local_network = match_local_network,
                                .arg = c,
                                .log = &c->sink.log };
    bool is_address;
    TRY(eval_files(c, &ctx));
    TRY(set_host(c, &is_address));
    TRY(settle_canonical_options(c));
    TRY(canonical_name(c, is_address, &c->host));
    if (ctx.wants_final_pass || c->options.canonicalize_hostname != CONF_CANONICALIZE_NO) {
        client_log(c, LOG_LEVEL_DEBUG1, "the name is settled: the configuration is read again for \"%s\"", c->host);
        ctx.host = c->host;
        ctx.is_final = ctx.is_canonical = true;
        TRY(eval_files(c, &ctx));
    }
    TRY(ssh_options_fill_defaults(&c->options, &c->algs.conf));
    for (char *p = c->options.host_key_alias; p && *p; p++) *p = (char)tolower((unsigned char)*p);
    TRY(set_user(c));
    return expand_values(c);
}

/* Flags and options that make no sense together. */
static int check_use(struct client *c)
{
    const struct ssh_options *o = &c->options;
    bool has_command = c->cmd.command != NULL;
    if (o->session_type == CONF_SESSION_SUBSYSTEM && !has_command) {
        client_fatal(c, "You must specify a subsystem to invoke.");
        command_line_usage();
        return ERR_FORMAT;
    }
    if (has_command && o->remote_command) {
        client_fatal(c, "Cannot execute command-line and remote command.");
        return ERR_FORMAT;
    }
    if (o->fork_after_authentication && !has_command && !o->remote_command && o->session_type != CONF_SESSION_NONE) {
        client_fatal(c, "Cannot fork into background without a command to execute.");
        return ERR_FORMAT;
    }
    return 0;
}

/* A question may not disturb what else goes on in the terminal. */
static void check_update_host_keys(struct client *c)
{
    const struct ssh_options *o = &c->options;
    const char *what = o->control_persist.on && o->control_path ? "ControlPersist" : "remote command execution";
    bool has_command = c->cmd.command || o->remote_command || o->request_tty == CONF_TTY_NO;
    if (o->update_host_keys != CONF_ASK || (!has_command && strcmp(what, "ControlPersist") != 0)) return;
    client_log(c, LOG_LEVEL_DEBUG1, "UpdateHostKeys=ask is incompatible with %s; disabling", what);
    c->options.update_host_keys = CONF_NO;
}

int config_load(struct client *c)
{
    TRY(load(c));
    c->sink.log.level = (enum log_level)c->options.log_level;
    TRY(check_use(c));
    if (c->cmd.mode == MODE_DUMP) return 0;
    if (c->options.refuse_connection) {
        client_fatal(c, "%s", c->options.refuse_connection);
        return ERR_DENIED;
    }
    if (c->cmd.wants) {
        client_fatal(c, "%s is not available in this version", c->cmd.wants);
        return ERR_UNSUPPORTED;
    }
    check_update_host_keys(c);
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
