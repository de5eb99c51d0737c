/* The SFTP server's requests on directories and names (draft-ietf-secsh-filexfer-02 6.5 to 6.7, 6.10, 6.11), and the long form of a
 * name. */
#include "io/sftp_server_int.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- ls -l ---- */

static char type_letter(mode_t mode)
{
    static const struct {
        mode_t type;
        char letter;
    } rows[] = { { S_IFREG, '-' }, { S_IFDIR, 'd' }, { S_IFLNK, 'l' }, { S_IFCHR, 'c' },
                 { S_IFBLK, 'b' }, { S_IFIFO, 'p' }, { S_IFSOCK, 's' } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((mode & S_IFMT) == rows[i].type) return rows[i].letter;
    return '?';
}

static void mode_text(mode_t mode, char ret_text[11])
{
    ret_text[0] = type_letter(mode);
    for (int i = 0; i < 9; i++) ret_text[1 + i] = mode & (0400u >> i) ? "rwx"[i % 3] : '-';
    if (mode & S_ISUID) ret_text[3] = mode & 0100 ? 's' : 'S';
    if (mode & S_ISGID) ret_text[6] = mode & 0010 ? 's' : 'S';
    if (mode & S_ISVTX) ret_text[9] = mode & 0001 ? 't' : 'T';
    ret_text[10] = '\0';
}

enum {
    LONG_NAME_BYTES = NAME_MAX + 256,
    HALF_YEAR_S = 365 * 24 * 3600 / 2
};

static void long_name(struct sftp_server *s, const struct stat *st, const char *name, int64_t now, char ret_text[LONG_NAME_BYTES])
{
    char mode[11], when[32];
    mode_text(st->st_mode, mode);
    bool recent = now - st->st_mtime < HALF_YEAR_S && now >= st->st_mtime;
    clock_text(st->st_mtime, recent ? "%b %e %H:%M" : "%b %e  %Y", when, sizeof(when));
    char user[33], group[33];
    snprintf(user, sizeof(user), "%s", sftp_server_user_name(s, st->st_uid));
    snprintf(group, sizeof(group), "%s", sftp_server_group_name(s, st->st_gid));
    if (!user[0]) snprintf(user, sizeof(user), "%u", st->st_uid);
    if (!group[0]) snprintf(group, sizeof(group), "%u", st->st_gid);
    snprintf(ret_text, LONG_NAME_BYTES, "%s  %3u %-8s %-8s %8llu %s %s", mode, (unsigned)st->st_nlink, user, group,
             (unsigned long long)st->st_size, when, name);
}

/* ---- directories ---- */

int sftp_server_on_opendir(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_opendir m;
    TRY(msg_sftp_opendir_get(packet, &m));
    log_debug3(s->log, "request %u: opendir", s->id);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_info(s->log, "opendir \"%s\"", s->path);
    DIR *dir = opendir(s->path);
    if (!dir) return sftp_server_result(s, true);
    struct sftp_server_handle h = { .kind = HANDLE_DIR, .fd = -1, .dir = dir, .path = strdup(s->path) };
    int idx = h.path ? sftp_server_handle_new(s, &h) : ERR_NOMEM;
    if (idx >= 0) return sftp_server_handle_answer(s, idx);
    closedir(dir);
    free(h.path);
    return sftp_server_status(s, SFTP_FAILURE);
}

/* Puts names until the answer is full; gives their number. What vanished since it was listed is left out. */
static int put_names(struct sftp_server *s, DIR *dir, struct wr *w, uint32_t *ret_n)
{
    int64_t now = clock_wall_s();
    char text[LONG_NAME_BYTES];
    struct dirent *d;
    *ret_n = 0;
    while (w->len < SFTP_SERVER_NAMES_BYTES && (d = readdir(dir))) {
        struct stat st;
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        long_name(s, &st, d->d_name, now, text);
        struct sftp_name n = { .name = view_str(d->d_name), .long_name = view_str(text), .attrs = sftp_server_attrs_of(&st) };
        sftp_name_write(w, &n);
        ++*ret_n;
    }
    return wr_end(w);
}

int sftp_server_on_readdir(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_readdir m;
    TRY(msg_sftp_readdir_get(packet, &m));
    log_debug(s->log, "request %u: readdir \"%s\" (handle %u)", s->id, sftp_server_handle_path(s, m.handle),
              sftp_server_handle_number(m.handle));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_DIR);
    if (!h) return sftp_server_status(s, SFTP_FAILURE);
    size_t mark = buf_len(&s->out);
    TRY(sftp_packet_open(&s->out));
    struct wr w = wr_of(&s->out);
    struct msg_sftp_name head = { .id = s->id };
    msg_sftp_name_put(&w, &head);
    uint32_t n;
    TRY(put_names(s, h->dir, &w, &n));
    if (n == 0) {
        buf_truncate(&s->out, mark);
        return sftp_server_status(s, SFTP_EOF);
    }
    struct wr count = wr_area(buf_bytes(&s->out) + mark + 4 + 1 + 4, 4);
    wr_u32(&count, n);
    sftp_packet_close(&s->out, mark);
    log_debug(s->log, "request %u: sent names count %u", s->id, n);
    return 0;
}

int sftp_server_on_mkdir(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_mkdir m;
    struct sftp_attrs a;
    TRY(msg_sftp_mkdir_get(packet, &m));
    TRY(sftp_attrs_get(m.attrs, &a));
    log_debug3(s->log, "request %u: mkdir", s->id);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    mode_t mode = a.flags & SFTP_ATTR_PERMISSIONS ? a.permissions & 07777 : 0777;
    log_info(s->log, "mkdir name \"%s\" mode 0%o", s->path, mode);
    return sftp_server_result(s, mkdir(s->path, mode) != 0);
}

int sftp_server_on_rmdir(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_rmdir m;
    TRY(msg_sftp_rmdir_get(packet, &m));
    log_debug3(s->log, "request %u: rmdir", s->id);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_info(s->log, "rmdir name \"%s\"", s->path);
    return sftp_server_result(s, rmdir(s->path) != 0);
}

/* ---- names ---- */

int sftp_server_on_remove(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_remove m;
    TRY(msg_sftp_remove_get(packet, &m));
    log_debug3(s->log, "request %u: remove", s->id);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_info(s->log, "remove name \"%s\"", s->path);
    return sftp_server_result(s, unlink(s->path) != 0);
}

/* For file systems that cannot rename without replacing: a file by link and unlink, which is as safe; the rest by looking first. */
static int rename_by_steps(const char *old_path, const char *new_path)
{
    struct stat st;
    if (lstat(old_path, &st) != 0) return -1;
    if (S_ISREG(st.st_mode)) {
        if (link(old_path, new_path) == 0) return unlink(old_path);
        if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM && errno != EXDEV) return -1;
    }
    if (lstat(new_path, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(old_path, new_path);
}

/* draft 6.5: "It is an error if there already exists a file with the name specified by newpath." */
int sftp_server_on_rename(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_rename m;
    TRY(msg_sftp_rename_get(packet, &m));
    log_debug3(s->log, "request %u: rename", s->id);
    if (!sftp_server_path_take(s->path, m.old_path) || !sftp_server_path_take(s->path2, m.new_path))
        return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_info(s->log, "rename old \"%s\" new \"%s\"", s->path, s->path2);
    int r = renameat2(AT_FDCWD, s->path, AT_FDCWD, s->path2, RENAME_NOREPLACE);
    if (r != 0 && (errno == EINVAL || errno == ENOSYS)) r = rename_by_steps(s->path, s->path2);
    return sftp_server_result(s, r != 0);
}

int sftp_server_on_readlink(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_readlink m;
    TRY(msg_sftp_readlink_get(packet, &m));
    log_debug3(s->log, "request %u: readlink", s->id);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_verbose(s->log, "readlink \"%s\"", s->path);
    ssize_t n = readlink(s->path, s->path2, sizeof(s->path2) - 1);
    if (n < 0) return sftp_server_result(s, true);
    s->path2[n] = '\0';
    return sftp_server_one_name(s, s->path2);
}

int sftp_server_on_symlink(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_symlink m;
    TRY(msg_sftp_symlink_get(packet, &m));
    log_debug3(s->log, "request %u: symlink", s->id);
    if (!sftp_server_path_take(s->path, m.target) || !sftp_server_path_take(s->path2, m.link_path))
        return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_info(s->log, "symlink old \"%s\" new \"%s\"", s->path, s->path2);
    return sftp_server_result(s, symlink(s->path, s->path2) != 0);
}

int sftp_server_on_realpath(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_realpath m;
    TRY(msg_sftp_realpath_get(packet, &m));
    log_debug3(s->log, "request %u: realpath", s->id);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    if (!s->path[0]) memcpy(s->path, ".", 2);
    log_verbose(s->log, "realpath \"%s\"", s->path);
    int e = sftp_server_real_path(s->path, s->path2);
    return e ? sftp_server_status(s, sftp_server_status_of(e)) : sftp_server_one_name(s, s->path2);
}
