/* The old protocol's source: files and trees of ours, one after the other. */
#include "prog/scp/scp.h"

#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WHY_BYTES = 8192,
    MODE_BITS = 07777,
    OLD_DEPTH_MAX = 64 /* directories in one another: a loop of links ends here */
};

/* ---- talking ---- */

/* What went wrong here: the other side is told, and shows it if it is the user's; else we do. */
static void fail(struct old_wire *w, struct scp_source *source, const char *fmt, ...) PRINTF(3, 4);
static void fail(struct old_wire *w, struct scp_source *source, const char *fmt, ...)
{
    char why[WHY_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    w->s->failed = true;
    if (w->pid) scp_say(w->s, "%s", why);
    if (scp_source_failed(source, why) == 0) old_wire_flush(w, &source->out);
}

bool old_source_hear(struct old_wire *w, struct scp_source *source, struct scp_answer *ret)
{
    int got;
    while ((got = scp_source_next(source, &w->in, ret)) == 0) {
        old_wire_flush(w, &source->out);
        if (!old_wire_read(w)) {
            old_wire_lost(w);
            return false;
        }
    }
    if (got < 0) { /* no scp is there, but something that talks */
        if (w->pid) scp_say(w->s, "%.*s", VIEW_ARG(source->words));
        w->lost = w->s->failed = true;
        return false;
    }
    if (ret->good) return true;
    if (w->pid) scp_say(w->s, "%.*s", VIEW_ARG(ret->text));
    w->s->failed = true;
    w->lost = ret->fatal;
    return !ret->fatal;
}

/* A step: said, and its answer heard. */
static bool is_accepted(struct old_wire *w, struct scp_source *source, int err, const char *path)
{
    struct scp_answer answer;
    if (err < 0) {
        fail(w, source, "%s: %s", path, err == ERR_FORMAT ? "not a name that can be sent" : err_text(err));
        return false;
    }
    if (w->s->o.verbose && w->pid) fprintf(stderr, "Sending: %s\n", path);
    return old_source_hear(w, source, &answer) && answer.good;
}

static struct scp_head head_of(const struct scp *s, const char *path, const struct stat *st)
{
    struct view p = view_str(path);
    while (p.len > 1 && p.p[p.len - 1] == '/') p.len--;
    const uint8_t *slash = p.len ? memrchr(p.p, '/', p.len) : NULL;
    return (struct scp_head){ .name = slash && p.len > 1 ? view_sub(p, (size_t)(slash - p.p) + 1, p.len) : p,
                              .mode = st->st_mode & MODE_BITS,
                              .size = (uint64_t)st->st_size,
                              .has_times = s->o.preserve,
                              .mtime_s = st->st_mtime,
                              .atime_s = st->st_atime };
}

/* ---- files ---- */

static void tell(struct old_wire *w, const char *path, uint64_t bytes, uint64_t size, bool began)
{
    const struct transfer_progress p = {
        .path = path, .bytes = bytes, .size_bytes = size, .n_known = 1, .all_bytes = bytes, .all_size_bytes = size
    };
    if (w->s->meter) meter_progress(w->s->meter, &p, began, bytes == size);
}

/* As many bytes as were said, whatever the file has become: what is missing is zeros, and said at the end. */
static bool send_bytes(struct old_wire *w, struct scp_source *source, int fd, const char *path, uint64_t size, int *ret_err)
{
    uint8_t *area = w->area + OLD_AREA_BYTES;
    for (uint64_t sent = 0; sent < size;) {
        size_t want = (size_t)MIN((uint64_t)OLD_AREA_BYTES, size - sent), n = 0;
        if (*ret_err == 0) *ret_err = fd_read(fd, area, want, &n);
        if (*ret_err == 0 && n == 0) *ret_err = ERR_TRUNCATED;
        if (*ret_err < 0) memset(area, 0, n = want);
        if (!old_wire_write(w, view_of(area, n))) return false;
        scp_source_sent(source, n);
        sent += n;
        tell(w, path, sent, size, false);
        old_wire_limit(w, n);
    }
    return true;
}

static void send_file(struct old_wire *w, struct scp_source *source, int fd, const char *path, const struct stat *st)
{
    struct scp_head head = head_of(w->s, path, st);
    struct scp_answer answer;
    char why[WHY_BYTES] = "";
    int err = 0;
    if (!is_accepted(w, source, scp_source_file(source, &head), path)) return;
    tell(w, path, 0, head.size, true);
    if (!send_bytes(w, source, fd, path, head.size, &err)) {
        old_wire_lost(w);
        return;
    }
    if (err < 0)
        snprintf(why, sizeof why, "%s: %s", path, err == ERR_TRUNCATED ? "file became shorter while it was sent" : err_text(err));
    if (scp_source_file_end(source, err < 0 ? why : NULL) < 0) old_wire_lost(w);
    if (err < 0) w->s->failed = true;
    if (err < 0 && w->pid) scp_say(w->s, "%s", why);
    if (!w->lost) (void)old_source_hear(w, source, &answer);
}

/* ---- trees ---- */

static void send_path(struct old_wire *w, struct scp_source *source, const char *path, unsigned depth);

static void send_children(struct old_wire *w, struct scp_source *source, int *fd, const char *path, unsigned depth)
{
    DIR *dir = fdopendir(*fd);
    const struct dirent *entry;
    if (!dir) {
        fail(w, source, "%s: %s", path, err_text(ERR_SYS(errno)));
        return;
    }
    *fd = -1;
    while (!w->lost && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        CLEANUP(freep) char *child = scp_join(path, view_str(entry->d_name));
        if (child)
            send_path(w, source, child, depth + 1);
        else
            fail(w, source, "%s/%s: %s", path, entry->d_name, err_text(ERR_NOMEM));
    }
    closedir(dir);
}

static void send_dir(struct old_wire *w, struct scp_source *source, int *fd, const char *path, const struct stat *st,
                     unsigned depth)
{
    struct scp_head head = head_of(w->s, path, st);
    struct scp_answer answer;
    if (depth >= OLD_DEPTH_MAX) {
        fail(w, source, "%s: Maximum directory depth exceeded: %d levels", path, OLD_DEPTH_MAX);
        return;
    }
    if (!is_accepted(w, source, scp_source_dir(source, &head), path)) return;
    send_children(w, source, fd, path, depth);
    if (!w->lost && scp_source_leave(source) < 0) old_wire_lost(w);
    if (!w->lost) (void)old_source_hear(w, source, &answer);
}

static void send_path(struct old_wire *w, struct scp_source *source, const char *path, unsigned depth)
{
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;
    /* O_NONBLOCK: a FIFO must not hold us. */
    int err = file_open(path, O_RDONLY | O_NONBLOCK, 0, &fd);
    if (err == 0 && fstat(fd, &st) < 0) err = ERR_SYS(errno);
    if (err < 0)
        fail(w, source, "%s: %s", path, err_text(err));
    else if (S_ISREG(st.st_mode))
        send_file(w, source, fd, path, &st);
    else if (S_ISDIR(st.st_mode) && w->s->o.recursive)
        send_dir(w, source, &fd, path, &st, depth);
    else
        fail(w, source, "%s: not a regular file", path);
}

void old_source(struct old_wire *w, struct scp_source *source, const char *path) { send_path(w, source, path, 0); }
