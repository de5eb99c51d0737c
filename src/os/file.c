/* Reading files, directories and names. Trust is in file_check.c, writing in file_write.c. */
#include "os/file.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    READ_BYTES = 16384
};

bool file_err_is_missing(int err) { return err == ERR_SYS(ENOENT) || err == ERR_SYS(ENOTDIR); }

int file_open(const char *path, int flags, mode_t mode, int *ret_fd)
{
    int fd;
    do fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return ERR_SYS(errno);
    *ret_fd = fd;
    return 0;
}

/* One byte is asked for beyond the limit, to tell a file that fills it from one that is longer. */
static int read_more(int fd, struct buf *out, size_t step, size_t *ret_n)
{
    uint8_t *to;
    size_t room = MIN(step, buf_room(out));
    if (room == 0) {
        uint8_t probe;
        TRY(fd_read(fd, &probe, 1, ret_n));
        return *ret_n ? ERR_LIMIT : 0;
    }
    TRY(buf_reserve(out, room, &to));
    TRY(fd_read(fd, to, room, ret_n));
    buf_commit(out, *ret_n);
    return 0;
}

int file_read_fd(int fd, struct buf *out)
{
    struct stat st;
    if (fstat(fd, &st) < 0) return ERR_SYS(errno);
    if (S_ISDIR(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISBLK(st.st_mode)) return ERR_FORMAT;
    bool sized = S_ISREG(st.st_mode) && st.st_size > 0;
    if (sized && (uint64_t)st.st_size > buf_room(out) && lseek(fd, 0, SEEK_CUR) == 0) return ERR_LIMIT;
    size_t step = sized ? (size_t)MIN((uint64_t)st.st_size + 1, (uint64_t)1 << 20) : READ_BYTES, n;
    do TRY(read_more(fd, out, step, &n));
    while (n);
    return 0;
}

int file_read(const char *path, struct buf *out)
{
    CLEANUP(fd_closep) int fd = -1;
    TRY(file_open(path, O_RDONLY | O_NOCTTY, 0, &fd));
    return file_read_fd(fd, out);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int mkdir_one(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || (errno == EEXIST && file_is_dir(path))) return 0;
    return ERR_SYS(errno);
}

int file_mkdir_p(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part) return ERR_SYS(n ? ENAMETOOLONG : ENOENT);
    memcpy(part, path, n + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (!file_is_dir(part)) TRY(mkdir_one(part, mode));
        *slash = '/';
    }
    return mkdir_one(part, mode);
}

int file_mkdtemp(char *template_path) { return mkdtemp(template_path) ? 0 : ERR_SYS(errno); }

int file_glob(const char *pattern, struct strv *ret_paths)
{
    glob_t found = { 0 };
    int code = glob(pattern, 0, NULL, &found);
    CLEANUP(strv_done) struct strv paths = STRV_INIT;
    int err = code == GLOB_NOSPACE ? ERR_NOMEM : found.gl_pathc > FILE_GLOB_MAX ? ERR_LIMIT : 0;
    for (size_t i = 0; err == 0 && i < found.gl_pathc; i++) err = strv_add(&paths, view_str(found.gl_pathv[i]));
    globfree(&found);
    TRY(err);
    *ret_paths = paths;
    paths = (struct strv)STRV_INIT;
    return 0;
}

int file_real_path(const char *path, char **ret_path)
{
    char *real = realpath(path, NULL);
    if (!real) return ERR_SYS(errno);
    *ret_path = real;
    return 0;
}
