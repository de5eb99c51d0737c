/* Destinations, and the start of what carries the bytes. */
#include "io/ssh_start.h"

#include "base/buf.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_MAX_BYTES = 1 << 20,
    PORT_MAX = 65535
};

/* ---- destinations ---- */

void ssh_destination_done(struct ssh_destination *d)
{
    free(d->user);
    free(d->host);
    free(d->path);
    *d = (struct ssh_destination){ .port = 0 };
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1; }

/* %XX; neither NUL nor half an escape. */
static int decode(struct view text, char **ret)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(PATH_MAX_BYTES);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '%') {
            bool has_two = text.len - i > 2;
            int high = has_two ? hex_digit((char)text.p[i + 1]) : -1, low = has_two ? hex_digit((char)text.p[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0) return ERR_FORMAT;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        TRY(buf_put_u8(&b, c));
    }
    *ret = view_dup_str(buf_view(&b));
    return *ret ? 0 : ERR_NOMEM;
}

static int copy(struct view text, char **ret)
{
    *ret = view_dup_str(text);
    return *ret ? 0 : ERR_NOMEM;
}

static size_t find(struct view v, int c)
{
    const uint8_t *at = v.len ? memchr(v.p, c, v.len) : NULL;
    return at ? (size_t)(at - v.p) : v.len;
}

/* A host, in brackets if it has colons; *rest is what comes behind it. */
static int cut_host(struct view *rest, struct view *ret_host)
{
    if (rest->len && rest->p[0] == '[') {
        size_t end = find(*rest, ']');
        if (end == rest->len) return ERR_FORMAT;
        *ret_host = view_sub(*rest, 1, end - 1);
        *rest = view_sub(*rest, end + 1, rest->len);
    } else {
        size_t end = find(*rest, ':');
        *ret_host = view_sub(*rest, 0, end);
        *rest = view_sub(*rest, end, rest->len);
    }
    return ret_host->len && (rest->len == 0 || rest->p[0] == ':') ? 0 : ERR_FORMAT;
}

static int read_port(struct view text, int *ret)
{
    int port = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return ERR_FORMAT;
        port = port * 10 + (text.p[i] - '0');
        if (port > PORT_MAX) return ERR_FORMAT;
    }
    if (port == 0) return ERR_FORMAT;
    *ret = port;
    return 0;
}

/* The user ends at ";fingerprint=" and the like, none of which says anything to us. */
static int parse_uri(struct view rest, struct ssh_destination *d)
{
    size_t slash = find(rest, '/');
    struct view place = view_sub(rest, 0, slash), path = view_sub(rest, slash + 1, rest.len), host;
    size_t at = find(place, '@');
    if (at < place.len) {
        struct view user = view_sub(place, 0, at);
        user = view_sub(user, 0, find(user, ';'));
        if (user.len == 0) return ERR_FORMAT;
        TRY(decode(user, &d->user));
        place = view_sub(place, at + 1, place.len);
    }
    TRY(cut_host(&place, &host));
    TRY(decode(host, &d->host));
    if (place.len) TRY(read_port(view_sub(place, 1, place.len), &d->port));
    return path.len ? decode(path, &d->path) : 0;
}

int ssh_destination_parse_uri(const char *text, const char *scheme, struct ssh_destination *ret)
{
    struct view all = view_str(text);
    size_t len = strlen(scheme);
    if (!view_has_prefix(all, scheme) || !view_has_prefix(view_sub(all, len, all.len), "://")) return 0;
    CLEANUP(ssh_destination_done) struct ssh_destination d = { .port = 0 };
    TRY(parse_uri(view_sub(all, len + 3, all.len), &d));
    *ret = d;
    d = (struct ssh_destination){ .port = 0 };
    return 1;
}

/* The user ends at the last @ before the host: names with @ are usual where a directory has domains. */
static int parse_plain(struct view text, struct ssh_destination *d)
{
    struct view host;
    size_t colon = find(text, ':'), bracket = find(text, '[');
    struct view front = view_sub(text, 0, MIN(colon, bracket));
    const uint8_t *at = front.len ? memrchr(front.p, '@', front.len) : NULL;
    if (at) {
        TRY(copy(view_of(text.p, (size_t)(at - text.p)), &d->user));
        if (at == text.p) return ERR_FORMAT;
        text = view_sub(text, (size_t)(at - text.p) + 1, text.len);
    }
    TRY(cut_host(&text, &host));
    TRY(copy(host, &d->host));
    return text.len ? copy(view_sub(text, 1, text.len), &d->path) : 0;
}

int ssh_destination_parse(const char *text, struct ssh_destination *ret)
{
    CLEANUP(ssh_destination_done) struct ssh_destination d = { .port = 0 };
    TRY(parse_plain(view_str(text), &d));
    *ret = d;
    d = (struct ssh_destination){ .port = 0 };
    return 0;
}

/* ---- start ---- */

static int add_all(struct strv *args, const struct strv *from)
{
    for (size_t i = 0; from && i < from->n; i++) TRY(strv_add(args, view_str(from->v[i])));
    return 0;
}

static int add(struct strv *args, const char *text) { return strv_add(args, view_str(text)); }

static int add_destination(struct strv *args, const struct ssh_start *s)
{
    if (s->user) {
        TRY(add(args, "-l"));
        TRY(add(args, s->user));
    }
    if (s->subsystem) TRY(add(args, "-s"));
    TRY(add(args, "--"));
    TRY(add(args, s->host));
    const char *command = s->subsystem ? s->subsystem : s->command;
    return command ? add(args, command) : 0;
}

/* Ours stands beside us where both are installed, and in a folder beside ours where they were built. */
static int find_ssh(struct buf *path)
{
    static const char *const places[] = { "ssh", "../ssh/ssh" };
    CLEANUP(freep) char *self = NULL;
    int err = spawn_self_path(&self);
    const char *slash = err == 0 ? strrchr(self, '/') : NULL;
    for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
        buf_reset(path);
        TRY(buf_printf(path, "%.*s/%s", (int)(slash - self), self, places[i]));
        if (!buf_cstr(path)) return ERR_NOMEM;
        if (access(buf_cstr(path), X_OK) == 0 && !file_is_dir(buf_cstr(path))) return 0;
    }
    buf_reset(path);
    return buf_put_str(path, "ssh");
}

static int run(const char *program, const struct strv *args, struct ssh_child *ret)
{
    int to[2], from[2];
    TRY(fd_pipe(to));
    int err = fd_pipe(from);
    if (err < 0) {
        fd_close(to[0]);
        fd_close(to[1]);
        return err;
    }
    fd_pipe_grow(to[1]);
    fd_pipe_grow(from[0]);
    const struct spawn_fd fds[] = { { to[0], 0 }, { from[1], 1 } };
    err = spawn_run(&(struct spawn){ .path = program,
                                     .search = true,
                                     .argv = (const char *const *)args->v,
                                     .fds = fds,
                                     .n_fds = ARRAY_LEN(fds),
                                     .keep_std = true,
                                     .ignore_int = true },
                    &ret->pid);
    fd_close(to[0]);
    fd_close(from[1]);
    if (err < 0) {
        fd_close(to[1]);
        fd_close(from[0]);
        return err;
    }
    ret->in_fd = from[0];
    ret->out_fd = to[1];
    return 0;
}

int ssh_start_run(const struct ssh_start *s, struct ssh_child *ret)
{
    CLEANUP(strv_done) struct strv args = STRV_INIT;
    CLEANUP(buf_done) struct buf path = BUF_INIT(PATH_MAX_BYTES);
    if (s->program)
        TRY(buf_put_str(&path, s->program));
    else
        TRY(find_ssh(&path));
    const char *program = buf_cstr(&path);
    if (!program) return ERR_NOMEM;
    TRY(add(&args, program));
    TRY(add_all(&args, s->options));
    if (s->host) TRY(add_destination(&args, s));
    return run(program, &args, ret);
}
