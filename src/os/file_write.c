/* Writing so that a reader, or the machine after a crash, sees either the old file or the new one. */
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* The process's umask can only be read by setting it. */
static mode_t less_umask(mode_t mode)
{
    mode_t mask = umask(077);
    umask(mask);
    return mode & ~mask;
}

/* A temporary file that is removed unless it got its name. */
struct temporary {
    char path[PATH_MAX];
    int fd;
};

static void temporary_done(struct temporary *t)
{
    fd_close(t->fd);
    if (t->path[0]) unlink(t->path);
}

static int temporary_open(const char *target, struct temporary *t)
{
    int n = snprintf(t->path, sizeof t->path, "%s.XXXXXXXXXX", target);
    if (n < 0 || (size_t)n >= sizeof t->path) {
        t->path[0] = 0;
        return ERR_SYS(ENAMETOOLONG);
    }
    t->fd = mkostemp(t->path, O_CLOEXEC);
    if (t->fd >= 0) return 0;
    t->path[0] = 0;
    return ERR_SYS(errno);
}

static int set_rights(int fd, const char *target, const struct file_write *how)
{
    struct stat old;
    bool keep = how->keep_mode && stat(target, &old) == 0;
    if (keep && geteuid() == 0 && fchown(fd, old.st_uid, old.st_gid) < 0) return ERR_SYS(errno);
    mode_t mode = keep ? old.st_mode & 07777 : less_umask(how->mode);
    return fchmod(fd, mode) < 0 ? ERR_SYS(errno) : 0;
}

static int make_backup(const char *target, const char *backup)
{
    if (!backup || !file_exists(target)) return 0;
    if (unlink(backup) < 0 && errno != ENOENT) return ERR_SYS(errno);
    return link(target, backup) < 0 ? ERR_SYS(errno) : 0;
}

/* The rename itself is lost in a crash unless the directory is synced. Not every file system can; then nothing more can be done. */
static void sync_dir_of(const char *target)
{
    CLEANUP(freep) char *copy = strdup(target);
    CLEANUP(fd_closep) int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) (void)fsync(fd);
}

int file_write(const char *path, struct view bytes, const struct file_write *how)
{
    CLEANUP(freep) char *real = realpath(path, NULL);
    const char *target = real ? real : path;
    CLEANUP(temporary_done) struct temporary t = { .path = "", .fd = -1 };
    TRY(temporary_open(target, &t));
    TRY(fd_write_all(t.fd, bytes));
    TRY(set_rights(t.fd, target, how));
    if (!how->no_sync && fsync(t.fd) < 0) return ERR_SYS(errno);
    TRY(make_backup(target, how->backup));
    if (rename(t.path, target) < 0) return ERR_SYS(errno);
    t.path[0] = 0;
    if (!how->no_sync) sync_dir_of(target);
    return 0;
}

int file_create(const char *path, struct view bytes, mode_t mode)
{
    CLEANUP(fd_closep) int fd = -1;
    TRY(file_open(path, O_WRONLY | O_CREAT | O_EXCL, mode, &fd));
    int err = fd_write_all(fd, bytes);
    if (err == 0 && fsync(fd) < 0 && errno != EINVAL) err = ERR_SYS(errno);
    if (err < 0) unlink(path);
    return err;
}

static bool ends_in_newline(int fd)
{
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    if (size > 0 && pread(fd, &last, 1, size - 1) != 1) return true;
    return last == '\n';
}

int file_append_line(const char *path, struct view bytes, mode_t mode)
{
    CLEANUP(fd_closep) int fd = -1;
    TRY(file_open(path, O_RDWR | O_CREAT | O_APPEND, mode, &fd));
    if (flock(fd, LOCK_EX) < 0 && errno != ENOLCK && errno != EOPNOTSUPP) return ERR_SYS(errno);
    CLEANUP(buf_done) struct buf line = BUF_INIT(bytes.len + 2);
    if (!ends_in_newline(fd)) TRY(buf_put_u8(&line, '\n'));
    TRY(buf_put_view(&line, bytes));
    if (bytes.len == 0 || bytes.p[bytes.len - 1] != '\n') TRY(buf_put_u8(&line, '\n'));
    return fd_write_all(fd, buf_view(&line));
}
