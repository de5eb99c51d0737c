/* The SFTP server's requests on files and paths (draft-ietf-secsh-filexfer-02 6.3 to 6.11). Data goes from pread straight into the
 * answer and from the request straight into pwrite. */
#include "io/sftp_server_int.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- attributes ---- */

struct sftp_attrs sftp_server_attrs_of(const struct stat *st)
{
    return (struct sftp_attrs){ .flags = SFTP_ATTR_SIZE | SFTP_ATTR_UIDGID | SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES,
                                .size = (uint64_t)st->st_size,
                                .uid = st->st_uid,
                                .gid = st->st_gid,
                                .permissions = st->st_mode,
                                .atime = (uint32_t)st->st_atime,
                                .mtime = (uint32_t)st->st_mtime };
}

static int send_attrs(struct sftp_server *s, const struct stat *st)
{
    log_debug(s->log, "request %u: sent attrib have 0x%x", s->id, 0xf);
    struct sftp_attrs a = sftp_server_attrs_of(st);
    uint8_t wire[64];
    struct wr w = wr_area(wire, sizeof(wire));
    sftp_attrs_write(&w, &a);
    TRY(wr_end(&w));
    return SFTP_PUT(&s->out, sftp_attrs, .id = s->id, .attrs = view_of(wire, w.len));
}

static int set_size(int fd, const char *path, bool to_link, uint64_t size)
{
    if (to_link || size > INT64_MAX) {
        errno = EINVAL;
        return -1;
    }
    return fd >= 0 ? ftruncate(fd, (off_t)size) : truncate(path, (off_t)size);
}

static int set_mode(int fd, const char *path, bool to_link, mode_t mode)
{
    if (fd >= 0) return fchmod(fd, mode);
    return to_link ? fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) : chmod(path, mode);
}

static int set_times(int fd, const char *path, bool to_link, const struct sftp_attrs *a)
{
    struct timespec times[2] = { { .tv_sec = a->atime }, { .tv_sec = a->mtime } };
    return fd >= 0 ? futimens(fd, times) : utimensat(AT_FDCWD, path, times, to_link ? AT_SYMLINK_NOFOLLOW : 0);
}

static int set_owner(int fd, const char *path, bool to_link, const struct sftp_attrs *a)
{
    if (fd >= 0) return fchown(fd, a->uid, a->gid);
    return fchownat(AT_FDCWD, path, a->uid, a->gid, to_link ? AT_SYMLINK_NOFOLLOW : 0);
}

enum sftp_status sftp_server_attrs_apply(struct sftp_server *s, int fd, const char *path, bool follow, const struct sftp_attrs *a)
{
    enum sftp_status status = SFTP_OK;
    if (a->flags & SFTP_ATTR_SIZE) {
        if (follow) log_info(s->log, "set \"%s\" size %llu", path, (unsigned long long)a->size);
        if (set_size(fd, path, !follow, a->size) != 0) status = sftp_server_status_of(errno);
    }
    if (a->flags & SFTP_ATTR_PERMISSIONS) {
        log_info(s->log, "set \"%s\" mode %04o", path, a->permissions);
        if (set_mode(fd, path, !follow, a->permissions & 07777) != 0) status = sftp_server_status_of(errno);
    }
    if (a->flags & SFTP_ATTR_TIMES) {
        char text[32];
        clock_text(a->mtime, "%Y%m%d-%H:%M:%S", text, sizeof(text));
        log_info(s->log, "set \"%s\" modtime %s", path, text);
        if (set_times(fd, path, !follow, a) != 0) status = sftp_server_status_of(errno);
    }
    if (a->flags & SFTP_ATTR_UIDGID) {
        log_info(s->log, "set \"%s\" owner %lu group %lu", path, (unsigned long)a->uid, (unsigned long)a->gid);
        if (set_owner(fd, path, !follow, a) != 0) status = sftp_server_status_of(errno);
    }
    return status;
}

static int stat_path(struct sftp_server *s, struct view path, const char *what, int flags)
{
    log_debug3(s->log, "request %u: %s", s->id, what);
    if (!sftp_server_path_take(s->path, path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_verbose(s->log, "%s name \"%s\"", what, s->path);
    struct stat st;
    if (fstatat(AT_FDCWD, s->path, &st, flags) != 0) return sftp_server_result(s, true);
    return send_attrs(s, &st);
}

int sftp_server_on_stat(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_stat m;
    TRY(msg_sftp_stat_get(packet, &m));
    return stat_path(s, m.path, "stat", 0);
}

int sftp_server_on_lstat(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_lstat m;
    TRY(msg_sftp_lstat_get(packet, &m));
    return stat_path(s, m.path, "lstat", AT_SYMLINK_NOFOLLOW);
}

int sftp_server_on_fstat(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_fstat m;
    TRY(msg_sftp_fstat_get(packet, &m));
    log_debug(s->log, "request %u: fstat \"%s\" (handle %u)", s->id, sftp_server_handle_path(s, m.handle),
              sftp_server_handle_number(m.handle));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_FILE);
    if (!h) return sftp_server_status(s, SFTP_FAILURE);
    struct stat st;
    if (fstat(h->fd, &st) != 0) return sftp_server_result(s, true);
    return send_attrs(s, &st);
}

int sftp_server_on_setstat(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_setstat m;
    struct sftp_attrs a;
    TRY(msg_sftp_setstat_get(packet, &m));
    TRY(sftp_attrs_get(m.attrs, &a));
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_debug(s->log, "request %u: setstat name \"%s\"", s->id, s->path);
    return sftp_server_status(s, sftp_server_attrs_apply(s, -1, s->path, true, &a));
}

int sftp_server_on_fsetstat(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_fsetstat m;
    struct sftp_attrs a;
    TRY(msg_sftp_fsetstat_get(packet, &m));
    TRY(sftp_attrs_get(m.attrs, &a));
    log_debug(s->log, "request %u: fsetstat handle %u", s->id, sftp_server_handle_number(m.handle));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_FILE);
    if (!h) return sftp_server_status(s, SFTP_FAILURE);
    return sftp_server_status(s, sftp_server_attrs_apply(s, h->fd, h->path, true, &a));
}

int sftp_server_on_lsetstat(struct sftp_server *s, struct view data)
{
    struct body_sftp_lsetstat m;
    struct sftp_attrs a;
    TRY(body_sftp_lsetstat_get(data, &m));
    TRY(sftp_attrs_get(m.attrs, &a));
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_debug(s->log, "request %u: lsetstat name \"%s\"", s->id, s->path);
    return sftp_server_status(s, sftp_server_attrs_apply(s, -1, s->path, false, &a));
}

/* ---- open, close ---- */

static int open_flags(uint32_t f)
{
    static const struct {
        uint32_t sftp;
        int unix_flag;
    } rows[] = {
        { SFTP_OPEN_APPEND, O_APPEND }, { SFTP_OPEN_CREAT, O_CREAT }, { SFTP_OPEN_TRUNC, O_TRUNC }, { SFTP_OPEN_EXCL, O_EXCL }
    };
    bool r = f & SFTP_OPEN_READ, w = f & SFTP_OPEN_WRITE;
    int flags = (r && w ? O_RDWR : w ? O_WRONLY : O_RDONLY) | O_CLOEXEC | O_NOCTTY;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (f & rows[i].sftp) flags |= rows[i].unix_flag;
    /* Linux leaves open to itself what this would do. */
    if (!(flags & O_CREAT)) flags &= ~O_EXCL;
    return flags;
}

static void open_flags_text(uint32_t f, char *ret_text, size_t cap)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } rows[] = { { SFTP_OPEN_READ, "READ" },    { SFTP_OPEN_WRITE, "WRITE" },    { SFTP_OPEN_APPEND, "APPEND" },
                 { SFTP_OPEN_CREAT, "CREATE" }, { SFTP_OPEN_TRUNC, "TRUNCATE" }, { SFTP_OPEN_EXCL, "EXCL" } };
    size_t len = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((f & rows[i].flag) && len < cap)
            len += (size_t)snprintf(ret_text + len, cap - len, "%s%s", len ? "," : "", rows[i].name);
}

static int open_file(struct sftp_server *s, int flags, mode_t mode)
{
    int fd = open(s->path, flags, mode);
    if (fd < 0) return sftp_server_result(s, true);
    struct sftp_server_handle h = { .kind = HANDLE_FILE, .fd = fd, .path = strdup(s->path), .append = flags & O_APPEND };
    int idx = h.path ? sftp_server_handle_new(s, &h) : ERR_NOMEM;
    if (idx >= 0) return sftp_server_handle_answer(s, idx);
    close(fd);
    free(h.path);
    return sftp_server_status(s, SFTP_FAILURE);
}

int sftp_server_on_open(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_open m;
    struct sftp_attrs a;
    TRY(msg_sftp_open_get(packet, &m));
    TRY(sftp_attrs_get(m.attrs, &a));
    log_debug3(s->log, "request %u: open flags %u", s->id, m.flags);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    int flags = open_flags(m.flags);
    mode_t mode = a.flags & SFTP_ATTR_PERMISSIONS ? a.permissions & 07777 : 0666;
    if (log_wants(s->log, LOG_LEVEL_INFO)) {
        char text[64];
        open_flags_text(m.flags, text, sizeof(text));
        log_info(s->log, "open \"%s\" flags %s mode 0%o", s->path, text, mode);
    }
    if (s->config->read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)))) {
        log_verbose(s->log, "Refusing open request in read-only mode");
        return sftp_server_status(s, SFTP_PERMISSION_DENIED);
    }
    return open_file(s, flags, mode);
}

int sftp_server_on_close(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_close m;
    TRY(msg_sftp_close_get(packet, &m));
    log_debug3(s->log, "request %u: close handle %u", s->id, sftp_server_handle_number(m.handle));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_FREE);
    if (!h) return sftp_server_status(s, SFTP_NO_SUCH_FILE);
    return sftp_server_result(s, sftp_server_handle_close(s, h, "") != 0);
}

/* ---- read, write ---- */

/* As much as there is up to len: a reader of fifos and terminals is content with less, a file gives less at its end only. */
static ssize_t read_at(int fd, uint8_t *to, size_t len, uint64_t offset)
{
    ssize_t n;
    do n = offset > INT64_MAX ? (errno = EINVAL, -1) : pread(fd, to, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == ESPIPE) do
            n = read(fd, to, len);
        while (n < 0 && errno == EINTR);
    return n;
}

int sftp_server_on_read(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_read m;
    TRY(msg_sftp_read_get(packet, &m));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_FILE);
    if (log_wants(s->log, LOG_LEVEL_DEBUG1))
        log_debug(s->log, "request %u: read \"%s\" (handle %u) off %llu len %u", s->id, sftp_server_handle_path(s, m.handle),
                  sftp_server_handle_number(m.handle), (unsigned long long)m.offset, m.length);
    if (!h) return sftp_server_status(s, SFTP_FAILURE);
    size_t len = m.length;
    if (len > SFTP_DATA_MAX_BYTES) {
        log_debug2(s->log, "read change len %u to %u", m.length, SFTP_DATA_MAX_BYTES);
        len = SFTP_DATA_MAX_BYTES;
    }
    enum {
        HEAD = 4 + 1 + 4 + 4
    }; /* length, type, id, length of the data */
    uint8_t *p;
    TRY(buf_reserve(&s->out, HEAD + len, &p));
    ssize_t n = read_at(h->fd, p + HEAD, len, m.offset);
    if (n < 0) {
        log_error(s->log, "process_read: read \"%s\": %s", h->path, strerror(errno));
        return sftp_server_status(s, sftp_server_status_of(errno));
    }
    if (n == 0 && len) return sftp_server_status(s, SFTP_EOF);
    struct wr w = wr_area(p, HEAD);
    wr_u32(&w, (uint32_t)n + HEAD - 4);
    wr_u8(&w, MSG_sftp_data_NUMBER);
    wr_u32(&w, s->id);
    wr_u32(&w, (uint32_t)n);
    buf_commit(&s->out, HEAD + (size_t)n);
    h->n_read += (size_t)n;
    log_debug(s->log, "request %u: sent data len %zd", s->id, n);
    return 0;
}

/* All of it, or -1. */
static int write_at(int fd, struct view data, uint64_t offset)
{
    if (offset > INT64_MAX || data.len > INT64_MAX - offset) {
        errno = EINVAL;
        return -1;
    }
    while (data.len) {
        ssize_t n = pwrite(fd, data.p, data.len, (off_t)offset);
        if (n < 0 && errno == ESPIPE) n = write(fd, data.p, data.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        data = view_sub(data, (size_t)n, data.len);
        offset += (uint64_t)n;
    }
    return 0;
}

int sftp_server_on_write(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_write m;
    TRY(msg_sftp_write_get(packet, &m));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_FILE);
    if (log_wants(s->log, LOG_LEVEL_DEBUG1))
        log_debug(s->log, "request %u: write \"%s\" (handle %u) off %llu len %zu", s->id, sftp_server_handle_path(s, m.handle),
                  sftp_server_handle_number(m.handle), (unsigned long long)m.offset, m.data.len);
    if (!h) return sftp_server_status(s, SFTP_FAILURE);
    /* With O_APPEND the kernel puts it at the end, whatever the offset: what append means. */
    if (write_at(h->fd, m.data, m.offset) != 0) {
        log_error(s->log, "process_write: write \"%s\": %s", h->path, strerror(errno));
        return sftp_server_status(s, sftp_server_status_of(errno));
    }
    h->n_written += m.data.len;
    return sftp_server_status(s, SFTP_OK);
}
