/* Whether a file may be believed: who owns it, who else could have written it. */
#include "os/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static PRINTF(2, 3) void say(char *ret_why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ret_why, FILE_WHY_BYTES, fmt, args);
    va_end(args);
}

static int check_stat(const struct stat *st, const char *kind, const char *path, uid_t uid, char *ret_why)
{
    bool owner_good = st->st_uid == 0 || st->st_uid == uid;
    bool mode_good = (st->st_mode & 022) == 0;
    if (owner_good && mode_good) return 0;
    unsigned mode = st->st_mode & 07777;
    if (owner_good)
        say(ret_why, "bad ownership or modes for %s %s (mode %04o; chmod go-w %s)", kind, path, mode, path);
    else
        say(ret_why, "bad ownership or modes for %s %s (owned by uid %u, not by %u or root)", kind, path, st->st_uid, uid);
    return ERR_DENIED;
}

static int check_dir(const char *path, uid_t uid, char *ret_why)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        int err = ERR_SYS(errno);
        say(ret_why, "%s: %s", path, err_text(err));
        return err;
    }
    if (!S_ISDIR(st.st_mode)) {
        say(ret_why, "%s is not a directory", path);
        return ERR_DENIED;
    }
    return check_stat(&st, "directory", path, uid, ret_why);
}

static bool is_below(const char *path, const char *home)
{
    size_t n = home ? strlen(home) : 0;
    return n && strncmp(path, home, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* dir and all above it up to home, which is checked too; up to / if dir is not below home. Changes dir. */
static int check_dirs(char *dir, uid_t uid, const char *home, char *ret_why)
{
    bool below = is_below(dir, home);
    for (;;) {
        TRY(check_dir(*dir ? dir : "/", uid, ret_why));
        char *slash = strrchr(dir, '/');
        if (!slash || (below && strcmp(dir, home) == 0) || dir[0] == 0 || dir[1] == 0) return 0;
        *slash = 0;
    }
}

static int resolve(const char *path, char *ret_why, char **ret)
{
    int err = file_real_path(path, ret);
    if (err < 0) say(ret_why, "realpath %s failed: %s", path, err_text(err));
    return err;
}

static int check_dirs_above(char *real, uid_t uid, const char *home, char *ret_why)
{
    /* A home that cannot be resolved only means that the walk goes on to the root. */
    CLEANUP(freep) char *real_home = home ? realpath(home, NULL) : NULL;
    return check_dirs(real, uid, real_home, ret_why);
}

int file_check_owner(int fd, const char *path, uid_t uid, char ret_why[FILE_WHY_BYTES])
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        int err = ERR_SYS(errno);
        say(ret_why, "cannot stat file %s: %s", path, err_text(err));
        return err;
    }
    return check_stat(&st, "file", path, uid, ret_why);
}

int file_check_safe(int fd, const char *path, uid_t uid, const char *home, char ret_why[FILE_WHY_BYTES])
{
    CLEANUP(freep) char *real = NULL;
    struct stat opened, named;
    TRY(resolve(path, ret_why, &real));
    if (fstat(fd, &opened) < 0 || stat(real, &named) < 0) {
        int err = ERR_SYS(errno);
        say(ret_why, "cannot stat file %s: %s", real, err_text(err));
        return err;
    }
    if (!S_ISREG(opened.st_mode)) {
        say(ret_why, "%s is not a regular file", real);
        return ERR_DENIED;
    }
    /* Between opening and resolving somebody could have moved another path under the name. */
    if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino) {
        say(ret_why, "%s was replaced while it was read", real);
        return ERR_DENIED;
    }
    TRY(check_stat(&opened, "file", real, uid, ret_why));
    char *slash = strrchr(real, '/');
    if (slash == real)
        real[1] = 0;
    else
        *slash = 0;
    return check_dirs_above(real, uid, home, ret_why);
}

int file_check_safe_dir(const char *path, uid_t uid, const char *home, char ret_why[FILE_WHY_BYTES])
{
    CLEANUP(freep) char *real = NULL;
    TRY(resolve(path, ret_why, &real));
    return check_dirs_above(real, uid, home, ret_why);
}

int file_check_private(int fd, mode_t *ret_mode)
{
    struct stat st;
    if (fstat(fd, &st) < 0) return ERR_SYS(errno);
    if (ret_mode) *ret_mode = st.st_mode & 07777;
    /* Somebody else's file that we can read is somebody else's care (ssh as root on a user's key, keys on group-shared media). */
    return st.st_uid == getuid() && (st.st_mode & 077) ? ERR_DENIED : 0;
}
