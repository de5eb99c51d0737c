/* The old protocol's sink: what comes is written below the target. */
#include "prog/scp/scp.h"

#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WHY_BYTES = 8192
};

/* A directory that is entered. */
struct dir {
    char *path;
    struct scp_head head;
    bool made;
};

struct sink {
    struct old_wire *w;
    struct scp_sink engine;
    const char *target;
    bool target_is_dir;
    struct dir *dirs;
    size_t n_dirs, cap_dirs;
    char *path; /* of the file that comes */
    int fd;
    struct scp_head head;
    uint64_t moved;
    int err; /* of writing it: what comes of it still is dropped */
};

/* ---- answers ---- */

static void answer(struct sink *k, const char *text)
{
    if (scp_sink_answer(&k->engine, text) < 0) old_wire_lost(k->w);
    old_wire_flush(k->w, &k->engine.out);
}

static void answer_failed(struct sink *k, const char *path, int err)
{
    char why[WHY_BYTES];
    snprintf(why, sizeof why, "%s: %s", path, err_text(err));
    if (k->w->pid) scp_say(k->w->s, "%s", why);
    k->w->s->failed = true;
    answer(k, why);
}

/* ---- where it goes ---- */

/* The name of a file or directory that is said now: below the directory we are in, or the target itself. */
static char *place_of(struct sink *k, struct view name)
{
    if (k->n_dirs) return scp_join(k->dirs[k->n_dirs - 1].path, name);
    return k->target_is_dir ? scp_join(k->target, name) : view_dup_str(view_str(k->target));
}

static void keep_times(const struct scp_head *h, int fd, const char *path, int *err)
{
    const struct timespec times[2] = { { .tv_sec = h->atime_s }, { .tv_sec = h->mtime_s } };
    if (!h->has_times) return;
    int got = fd >= 0 ? futimens(fd, times) : utimensat(AT_FDCWD, path, times, 0);
    if (got < 0 && *err == 0) *err = ERR_SYS(errno);
}

/* ---- files ---- */

static void tell(struct sink *k, bool began)
{
    const struct transfer_progress p = { .path = k->path,
                                         .bytes = k->moved,
                                         .size_bytes = k->head.size,
                                         .n_known = 1,
                                         .all_bytes = k->moved,
                                         .all_size_bytes = k->head.size };
    if (k->w->s->meter) meter_progress(k->w->s->meter, &p, began, k->moved == k->head.size);
}

static void begin_file(struct sink *k, const struct scp_head *h)
{
    free(k->path);
    k->path = place_of(k, h->name);
    k->head = *h;
    k->head.name = VIEW_EMPTY;
    k->moved = 0;
    k->err = k->path ? file_open(k->path, O_WRONLY | O_CREAT | O_TRUNC, (h->mode & 0777) | S_IWUSR, &k->fd) : ERR_NOMEM;
    if (k->err < 0) {
        answer_failed(k, k->path ? k->path : "scp", k->err);
        return;
    }
    tell(k, true);
    answer(k, NULL);
}

static void write_data(struct sink *k, struct view data)
{
    if (k->err == 0) k->err = fd_write_all(k->fd, data);
    k->moved += data.len;
    tell(k, false);
    old_wire_limit(k->w, data.len);
}

/* A file that nobody may write to was opened as if; without -p the rights are as the umask leaves them. */
static int set_mode(const struct sink *k)
{
    if (k->w->s->o.preserve) return fchmod(k->fd, k->head.mode) < 0 ? ERR_SYS(errno) : 0;
    struct stat st;
    bool is_short = !(k->head.mode & S_IWUSR) && fstat(k->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IWUSR;
    return is_short && fchmod(k->fd, st.st_mode & 0777 & ~(mode_t)S_IWUSR) < 0 ? ERR_SYS(errno) : 0;
}

static void end_file(struct sink *k, const struct scp_sink_event *e)
{
    struct stat st;
    if (k->err == 0 && fstat(k->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        k->err = set_mode(k);
        keep_times(&k->head, k->fd, k->path, &k->err);
    }
    if (close(fd_take(&k->fd)) < 0 && k->err == 0) k->err = ERR_SYS(errno);
    if (e->failed && k->w->pid) scp_say(k->w->s, "%.*s", VIEW_ARG(e->text));
    k->w->s->failed = k->w->s->failed || e->failed;
    if (k->err < 0)
        answer_failed(k, k->path, k->err);
    else
        answer(k, NULL);
}

/* ---- directories ---- */

static int make_dir(const char *path, const struct scp_head *h, bool *ret_made)
{
    *ret_made = mkdir(path, (h->mode & 0777) | S_IRWXU) == 0;
    if (*ret_made) return 0;
    int err = ERR_SYS(errno);
    return errno != EEXIST ? err : file_is_dir(path) ? 0 : ERR_SYS(ENOTDIR);
}

static int push_dir(struct sink *k, const struct dir *dir)
{
    if (k->n_dirs == k->cap_dirs) {
        size_t cap = k->cap_dirs ? 2 * k->cap_dirs : 16;
        struct dir *more = realloc(k->dirs, cap * sizeof *more);
        if (!more) return ERR_NOMEM;
        k->dirs = more;
        k->cap_dirs = cap;
    }
    k->dirs[k->n_dirs++] = *dir;
    return 0;
}

static void begin_dir(struct sink *k, const struct scp_head *h)
{
    struct dir d = { .path = place_of(k, h->name), .head = *h };
    d.head.name = VIEW_EMPTY;
    int err = d.path ? make_dir(d.path, h, &d.made) : ERR_NOMEM;
    if (err == 0) err = push_dir(k, &d);
    if (err == 0) {
        answer(k, NULL);
        return;
    }
    answer_failed(k, d.path ? d.path : "scp", err);
    free(d.path);
}

static void end_dir(struct sink *k)
{
    struct dir *d = &k->dirs[--k->n_dirs];
    bool is_short = d->made && (d->head.mode & S_IRWXU) != S_IRWXU;
    int err = 0;
    keep_times(&d->head, -1, d->path, &err);
    if (k->w->s->o.preserve || is_short) {
        mode_t mode = k->w->s->o.preserve ? d->head.mode : d->head.mode & 0777;
        if (chmod(d->path, mode) < 0 && err == 0) err = ERR_SYS(errno);
    }
    if (err < 0)
        answer_failed(k, d->path, err);
    else
        answer(k, NULL);
    free(d->path);
}

/* ---- all of it ---- */

static void on_event(struct sink *k, const struct scp_sink_event *e)
{
    switch (e->kind) {
    case SCP_SINK_FILE:
        begin_file(k, &e->head);
        break;
    case SCP_SINK_DIR:
        begin_dir(k, &e->head);
        break;
    case SCP_SINK_LEAVE:
        end_dir(k);
        break;
    case SCP_SINK_DATA:
        write_data(k, e->text);
        break;
    case SCP_SINK_FILE_END:
        end_file(k, e);
        break;
    case SCP_SINK_FAILED:
        if (k->w->pid) scp_say(k->w->s, "%.*s", VIEW_ARG(e->text));
        k->w->s->failed = true;
        k->w->lost = k->w->lost || e->fatal;
        break;
    }
}

/* A first line that is no record is what a shell's start files print, or why there is no scp: shown as it is. */
static void say_untrusted(struct sink *k, bool is_first)
{
    const struct scp_sink *e = &k->engine;
    if (is_first && e->err == ERR_FORMAT && e->words.len)
        scp_say(k->w->s, "%.*s", VIEW_ARG(e->words));
    else
        scp_say(k->w->s, "%s%s%.*s", scp_sink_why(e), e->words.len ? ": " : "", VIEW_ARG(e->words));
}

static void take_all(struct sink *k)
{
    struct scp_sink_event e;
    bool is_first = true;
    while (!k->w->lost) {
        int got = scp_sink_next(&k->engine, &k->w->in, &e);
        if (got != 1) old_wire_flush(k->w, &k->engine.out);
        if (got == 1) {
            is_first = false;
            on_event(k, &e);
        } else if (got < 0) {
            if (k->w->pid) say_untrusted(k, is_first);
            k->w->lost = k->w->s->failed = true;
        } else if (!old_wire_read(k->w)) {
            if (!scp_sink_is_complete(&k->engine)) old_wire_lost(k->w);
            return;
        }
    }
}

static bool is_target_good(struct sink *k)
{
    char why[WHY_BYTES];
    k->target_is_dir = file_is_dir(k->target);
    if (k->target_is_dir || !k->w->s->o.must_be_dir) return true;
    int err = file_exists(k->target) ? ERR_SYS(ENOTDIR) : ERR_SYS(ENOENT);
    snprintf(why, sizeof why, "\1scp: %s: %s\n", k->target, err_text(err));
    (void)old_wire_write(k->w, view_str(why));
    k->w->s->failed = true;
    return false;
}

void old_sink(struct old_wire *w, const char *target, const struct strv *wanted)
{
    struct sink k = { .w = w, .target = target, .fd = -1 };
    if (!is_target_good(&k)) return;
    if (scp_sink_init(&k.engine, wanted, w->s->o.recursive) < 0)
        old_wire_lost(w);
    else
        take_all(&k);
    scp_sink_done(&k.engine);
    fd_close(k.fd);
    while (k.n_dirs) free(k.dirs[--k.n_dirs].path);
    free(k.dirs);
    free(k.path);
}
