/* Files: whole ones, bounded; whether they are safe to trust; writing so that a crash leaves the old or the new one. Errors:
 * ERR_SYS unless said. */
#pragma once

#include "base/buf.h"
#include "base/strv.h"

#include <sys/stat.h>

/* Appends the whole file to out, whose max bounds it (ERR_LIMIT). Directories and sockets: ERR_FORMAT. */
int file_read(const char *path, struct buf *out) MUST_USE;
int file_read_fd(int fd, struct buf *out) MUST_USE; /* from where it stands to its end */
/* The error means that there is no such file (ENOENT, ENOTDIR). */
bool file_err_is_missing(int err);
bool file_exists(const char *path); /* follows links */
bool file_is_dir(const char *path);
/* open(2) with O_CLOEXEC. */
int file_open(const char *path, int flags, mode_t mode, int *ret_fd) MUST_USE;

/* A sentence for the user on what is wrong, without full stop. */
enum {
    FILE_WHY_BYTES = 4096 + 160
};
/* StrictModes. An open file is safe for uid when it is a regular file, owned by root or uid, not writable by group or others; and
 * each directory from its resolved path up to home (to / when the file is not below home, or home is NULL) likewise. ERR_DENIED
 * with the sentence in ret_why: "bad ownership or modes for directory /home/x (mode 0775, ...)". Other errors with a
 * sentence as well. */
int file_check_safe(int fd, const char *path, uid_t uid, const char *home, char ret_why[FILE_WHY_BYTES]) MUST_USE;
/* The same for a directory (ChrootDirectory: uid 0, home NULL; every component), by path. */
int file_check_safe_dir(const char *path, uid_t uid, const char *home, char ret_why[FILE_WHY_BYTES]) MUST_USE;
/* For configuration files of a user: owned by root or uid and not writable by group or others; the directories are not looked at.
 */
int file_check_owner(int fd, const char *path, uid_t uid, char ret_why[FILE_WHY_BYTES]) MUST_USE;
/* A private key's file: if we own it, nobody else may have any right on it (mode & 077). ERR_DENIED; the mode then in *ret_mode. */
int file_check_private(int fd, mode_t *ret_mode) MUST_USE;

/* Writes a temporary file beside path, syncs, renames over it; a link at path is followed first. On failure the old file stays and
 * the temporary is gone. If keep_mode and there is an old file, it keeps that one's mode and, as root, owner. */
struct file_write {
    mode_t mode; /* less the umask, as open(2) */
    bool keep_mode;
    bool no_sync;       /* contents that may be lost in a crash */
    const char *backup; /* NULL or a path that becomes a hard link to the old file, replaced */
};
int file_write(const char *path, struct view bytes, const struct file_write *how) MUST_USE;
/* A new file that must not be there yet, else ERR_SYS(EEXIST). */
int file_create(const char *path, struct view bytes, mode_t mode) MUST_USE;
/* Appends bytes (an end of line is added if there is none) in one write under a lock, made with mode if new; begins a new line
 * first if the file's last line has no end. */
int file_append_line(const char *path, struct view bytes, mode_t mode) MUST_USE;

/* Directory and those above it, with mode (0700 usually). One that is there is fine. */
int file_mkdir_p(const char *path, mode_t mode) MUST_USE;
/* A fresh directory 0700 from a template that ends in XXXXXX, changed in place. */
int file_mkdtemp(char *template_path) MUST_USE;
/* Paths that match, sorted, `~` not expanded. None is no error. ERR_LIMIT at FILE_GLOB_MAX. */
enum {
    FILE_GLOB_MAX = 65536
};
int file_glob(const char *pattern, struct strv *ret_paths) MUST_USE;
/* Absolute, without links, dots or double slashes; the file must exist. Caller frees. */
int file_real_path(const char *path, char **ret_path) MUST_USE;
