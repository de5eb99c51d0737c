/* Who copies what: by cp, by an scp on another machine, by SFTP or by the old protocol. */
#include "prog/scp/scp.h"

#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATH_MAX_BYTES = 1 << 20
};

/* ---- places ---- */

/* The colon that ends a host: a slash before it makes it part of a name, as do none and a leading one. An address may stand in
 * brackets, also behind "user@". */
static size_t host_length(const char *text)
{
    bool in_brackets = *text == '[';
    if (*text == ':') return 0;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '@' && text[i + 1] == '[') in_brackets = true;
        if (text[i] == ']' && text[i + 1] == ':' && in_brackets) return i + 1;
        if (text[i] == ':' && !in_brackets) return i;
        if (text[i] == '/') return 0;
    }
    return 0;
}

/* user@host; the host with or without brackets. */
static int parse_host(struct view text, struct ssh_destination *d)
{
    const uint8_t *at = memrchr(text.p, '@', text.len);
    if (at) {
        d->user = view_dup_str(view_of(text.p, (size_t)(at - text.p)));
        if (!d->user) return ERR_NOMEM;
        text = view_sub(text, (size_t)(at - text.p) + 1, text.len);
    }
    if (text.len > 2 && text.p[0] == '[' && text.p[text.len - 1] == ']') text = view_sub(text, 1, text.len - 2);
    d->host = view_dup_str(text);
    if (!d->host) return ERR_NOMEM;
    return text.len && text.p[0] != '-' && (!at || d->user[0]) ? 0 : ERR_FORMAT;
}

/* No path is the home directory, where all paths begin. */
static int set_path(struct ssh_destination *d, const char *text)
{
    char *path = view_dup_str(view_str(text && *text ? text : "."));
    if (!path) return ERR_NOMEM;
    free(d->path);
    d->path = path;
    return 0;
}

static int parse(const char *text, struct scp_place *p)
{
    int got = ssh_destination_parse_uri(text, "scp", &p->at);
    size_t len = got == 0 ? host_length(text) : 0;
    TRY(got);
    p->remote = got == 1 || len;
    if (!p->remote) return 0;
    if (got == 1) return set_path(&p->at, p->at.path);
    TRY(parse_host(view_of(text, len), &p->at));
    return set_path(&p->at, text + len + 1);
}

int scp_place_parse(struct scp *s, const char *text, struct scp_place *ret)
{
    struct scp_place p = { .remote = false };
    int err = parse(text, &p);
    if (err < 0) {
        bool is_uri = strncmp(text, "scp://", 6) == 0;
        scp_say(s, "%s: %s", text, err != ERR_FORMAT ? err_text(err) : is_uri ? "invalid uri" : "invalid host or user name");
        scp_place_done(&p);
        return err;
    }
    p.path = p.remote ? p.at.path : text;
    *ret = p;
    return 0;
}

void scp_place_done(struct scp_place *p) { ssh_destination_done(&p->at); }

static bool is_same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

bool scp_place_same_host(const struct scp_place *a, const struct scp_place *b)
{
    return a->remote && b->remote && a->at.port == b->at.port && is_same(a->at.user, b->at.user) && is_same(a->at.host, b->at.host);
}

/* ---- names ---- */

struct view scp_base_name(const char *path)
{
    struct view p = view_str(path);
    while (p.len && p.p[p.len - 1] == '/') p.len--;
    const uint8_t *slash = p.len ? memrchr(p.p, '/', p.len) : NULL;
    struct view name = slash ? view_sub(p, (size_t)(slash - p.p) + 1, p.len) : p;
    return name.len == 0 || view_eq_str(name, "..") ? VIEW_LIT(".") : name;
}

char *scp_join(const char *dir, struct view name)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(PATH_MAX_BYTES);
    size_t len = strlen(dir);
    bool has_slash = len && dir[len - 1] == '/';
    if (buf_printf(&b, "%s%s", dir, has_slash ? "" : "/") < 0 || buf_put_view(&b, name) < 0) return NULL;
    return view_dup_str(buf_view(&b));
}

/* ---- ssh ---- */

static int add_all(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++) TRY(strv_add(to, view_str(from->v[i])));
    return 0;
}

static int add(struct strv *to, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) TRY(strv_add(to, view_str(texts[i])));
    return 0;
}

static int add_port(struct strv *to, const struct scp *s, const struct scp_place *p)
{
    char port[16];
    int number = p->at.port ? p->at.port : s->o.port;
    if (number == 0) return 0;
    snprintf(port, sizeof port, "%d", number);
    return add(to, (const char *const[]){ "-p", port }, 2);
}

static int start_ssh(struct scp *s, const struct scp_place *to, const char *command, bool batch, struct ssh_child *ret)
{
    static const char *const always[] = { "-x", "-oPermitLocalCommand=no", "-oClearAllForwardings=yes", "-oRemoteCommand=none",
                                          "-oRequestTTY=no" };
    static const char *const last[] = { "-oForwardAgent=no", "-oBatchMode=yes" }; /* the first yields to -A */
    CLEANUP(strv_done) struct strv options = STRV_INIT;
    TRY(add(&options, always, ARRAY_LEN(always)));
    TRY(add_all(&options, &s->o.ssh_options));
    TRY(add(&options, last, batch ? 2 : 1));
    TRY(add_port(&options, s, to));
    const struct ssh_start start = { .program = s->o.program,
                                     .options = &options,
                                     .user = to->at.user,
                                     .host = to->at.host,
                                     .subsystem = command ? NULL : "sftp",
                                     .command = command };
    if (s->o.verbose)
        fprintf(stderr, "Executing: program %s host %s, user %s, command %s\n", s->o.program ? s->o.program : "ssh", to->at.host,
                to->at.user ? to->at.user : "(unspecified)", command ? command : "sftp");
    return ssh_start_run(&start, ret);
}

int scp_connect(struct scp *s, const struct scp_place *to, const char *command, bool batch, struct ssh_child *ret)
{
    const char *program = s->o.server_path && !command ? s->o.server_path : s->o.program ? s->o.program : "ssh";
    const struct ssh_start direct = { .program = s->o.server_path };
    int err = s->o.server_path && !command ? ssh_start_run(&direct, ret) : start_ssh(s, to, command, batch, ret);
    if (err < 0) scp_fail(s, "%s: %s", program, err_text(err));
    return err;
}

void scp_disconnect(struct scp *s, pid_t pid)
{
    int status;
    if (spawn_wait(pid, &status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) s->failed = true;
}

/* ---- -R: an scp at the source's machine does it ---- */

static int direct_command(const struct scp *s, const struct scp_place *from, const struct scp_place *to, struct buf *out)
{
    TRY(buf_printf(out, "scp%s%s%s", s->o.verbose ? " -v" : "", s->o.recursive ? " -r" : "", s->o.preserve ? " -p" : ""));
    TRY(buf_printf(out, " %s%s ", *from->path == '-' ? "-- " : "", from->path));
    if (to->at.user) TRY(buf_printf(out, "%s@", to->at.user));
    bool is_v6 = strchr(to->at.host, ':') != NULL;
    TRY(buf_printf(out, "%s%s%s:%s", is_v6 ? "[" : "", to->at.host, is_v6 ? "]" : "", to->path));
    return buf_cstr(out) ? 0 : ERR_NOMEM;
}

static int start_direct(struct scp *s, const struct scp_place *from, const struct scp_place *to, struct ssh_child *ret)
{
    static const char *const always[] = { "-x", "-oClearAllForwardings=yes", "-n" };
    CLEANUP(strv_done) struct strv options = STRV_INIT;
    CLEANUP(buf_done) struct buf command = BUF_INIT(PATH_MAX_BYTES);
    TRY(add(&options, always, ARRAY_LEN(always)));
    TRY(add_all(&options, &s->o.ssh_options));
    TRY(add_port(&options, s, from));
    TRY(direct_command(s, from, to, &command));
    const struct ssh_start start = {
        .program = s->o.program, .options = &options, .user = from->at.user, .host = from->at.host, .command = buf_cstr(&command)
    };
    if (s->o.verbose) fprintf(stderr, "Executing: ssh host %s, command %s\n", from->at.host, buf_cstr(&command));
    return ssh_start_run(&start, ret);
}

/* The far scp's command line is read by a shell there: names that mean more to it than themselves are refused. Paths may, as that
 * is how patterns in them are expanded. */
static bool is_plain(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=@:%/,";
    return !name || (*name != '-' && strspn(name, plain) == strlen(name));
}

static void copy_direct(struct scp *s, const struct scp_place *from, const struct scp_place *to)
{
    struct ssh_child child;
    uint8_t part[4096];
    size_t n;
    if (to->at.port) {
        scp_fail(s, "target port not supported with two remote hosts and the -R option");
        return;
    }
    if (!is_plain(to->at.user) || !is_plain(to->at.host)) {
        scp_fail(s, "%s@%s: invalid characters in user or host name", to->at.user ? to->at.user : "", to->at.host);
        return;
    }
    int err = start_direct(s, from, to, &child);
    if (err < 0) {
        scp_fail(s, "%s: %s", s->o.program ? s->o.program : "ssh", err_text(err));
        return;
    }
    fd_close(child.out_fd);
    while (fd_read(child.in_fd, part, sizeof part, &n) == 0 && n) (void)!write(STDOUT_FILENO, part, n);
    fd_close(child.in_fd);
    scp_disconnect(s, child.pid);
}

/* ---- both here ---- */

static void copy_local(struct scp *s, const struct scp_place *from, const struct scp_place *to)
{
    const char *argv[8];
    size_t n = 0;
    pid_t pid;
    argv[n++] = "cp";
    if (s->o.recursive) argv[n++] = "-r";
    if (s->o.preserve) argv[n++] = "-p";
    argv[n++] = "--";
    argv[n++] = from->path;
    argv[n++] = to->path;
    argv[n] = NULL;
    if (s->o.verbose)
        fprintf(stderr, "Executing: cp%s%s -- %s %s\n", s->o.recursive ? " -r" : "", s->o.preserve ? " -p" : "", from->path,
                to->path);
    int err = spawn_run(&(struct spawn){ .path = "cp", .search = true, .argv = argv, .keep_std = true }, &pid);
    if (err < 0)
        scp_fail(s, "cp: %s", err_text(err));
    else
        scp_disconnect(s, pid);
}

/* ---- all of it ---- */

static bool is_dir_or_said(struct scp *s, const char *path)
{
    if (file_is_dir(path)) return true;
    scp_say(s, "%s: %s", path, file_exists(path) ? "Not a directory" : "No such file or directory");
    return false;
}

/* What needs no connection of ours is done at once; the rest is given on. */
static bool is_done_here(struct scp *s, const struct scp_place *from, const struct scp_place *to)
{
    bool is_direct = from->remote && to->remote && s->o.direct;
    if (is_direct) copy_direct(s, from, to);
    if (!from->remote && !to->remote) copy_local(s, from, to);
    return is_direct || (!from->remote && !to->remote);
}

static void copy_by_sftp(struct scp *s, const struct scp_place *sources, size_t n, const struct scp_place *target)
{
    struct sftp_copy *c = NULL;
    int err = sftp_copy_new(s, target, &c);
    for (size_t i = 0; i < n && err == 0; i++)
        if (!is_done_here(s, &sources[i], target)) sftp_copy_add(c, &sources[i]);
    if (err < 0)
        scp_fail(s, "%s", err_text(err));
    else
        sftp_copy_end(c);
}

static void copy_by_old(struct scp *s, const struct scp_place *sources, size_t n, const struct scp_place *target)
{
    struct old_copy c;
    old_copy_init(&c, s, target);
    for (size_t i = 0; i < n; i++)
        if (!is_done_here(s, &sources[i], target)) old_copy_add(&c, &sources[i]);
    old_copy_end(&c);
}

void scp_copy(struct scp *s, const struct scp_place *sources, size_t n_sources, const struct scp_place *target)
{
    s->o.must_be_dir = s->o.must_be_dir || n_sources > 1;
    if (!target->remote && s->o.must_be_dir && !is_dir_or_said(s, target->path)) return;
    if (s->o.old)
        copy_by_old(s, sources, n_sources, target);
    else
        copy_by_sftp(s, sources, n_sources, target);
}
