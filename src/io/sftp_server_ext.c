/* The SFTP server's extended requests (OpenSSH PROTOCOL 4.2 to 4.13) but lsetstat, which stands with the attributes. */
#include "io/sftp_server_int.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int two_paths(struct sftp_server *s, struct view data, const char *what, int (*call)(const char *, const char *))
{
    struct body_sftp_two_paths m;
    TRY(body_sftp_two_paths_get(data, &m));
    log_debug3(s->log, "request %u: %s", s->id, what);
    if (!sftp_server_path_take(s->path, m.old_path) || !sftp_server_path_take(s->path2, m.new_path))
        return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_info(s->log, "%s old \"%s\" new \"%s\"", what, s->path, s->path2);
    return sftp_server_result(s, call(s->path, s->path2) != 0);
}

int sftp_server_on_posix_rename(struct sftp_server *s, struct view data) { return two_paths(s, data, "posix-rename", rename); }
int sftp_server_on_hardlink(struct sftp_server *s, struct view data) { return two_paths(s, data, "hardlink", link); }

/* ---- file systems ---- */

static int send_statvfs(struct sftp_server *s, const struct statvfs *v)
{
    enum {
        FLAG_RDONLY = 1,
        FLAG_NOSUID = 2
    };
    struct body_sftp_statvfs m = { .block_bytes = v->f_bsize,
                                   .fragment_bytes = v->f_frsize,
                                   .blocks = v->f_blocks,
                                   .blocks_free = v->f_bfree,
                                   .blocks_available = v->f_bavail,
                                   .files = v->f_files,
                                   .files_free = v->f_ffree,
                                   .files_available = v->f_favail,
                                   .fs_id = v->f_fsid,
                                   .flags = (v->f_flag & ST_RDONLY ? FLAG_RDONLY : 0) | (v->f_flag & ST_NOSUID ? FLAG_NOSUID : 0),
                                   .name_max_bytes = v->f_namemax };
    uint8_t wire[11 * 8];
    struct wr w = wr_area(wire, sizeof(wire));
    TRY(body_sftp_statvfs_put(&w, &m));
    return sftp_server_extended_reply(s, view_of(wire, w.len));
}

int sftp_server_on_statvfs(struct sftp_server *s, struct view data)
{
    struct body_sftp_path m;
    TRY(body_sftp_path_get(data, &m));
    log_debug3(s->log, "request %u: statvfs", s->id);
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_info(s->log, "statvfs \"%s\"", s->path);
    struct statvfs v;
    return statvfs(s->path, &v) != 0 ? sftp_server_result(s, true) : send_statvfs(s, &v);
}

int sftp_server_on_fstatvfs(struct sftp_server *s, struct view data)
{
    struct body_sftp_handle m;
    TRY(body_sftp_handle_get(data, &m));
    log_debug(s->log, "request %u: fstatvfs \"%s\" (handle %u)", s->id, sftp_server_handle_path(s, m.handle),
              sftp_server_handle_number(m.handle));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_FILE);
    struct statvfs v;
    if (!h) return sftp_server_status(s, SFTP_FAILURE);
    return fstatvfs(h->fd, &v) != 0 ? sftp_server_result(s, true) : send_statvfs(s, &v);
}

int sftp_server_on_fsync(struct sftp_server *s, struct view data)
{
    struct body_sftp_handle m;
    TRY(body_sftp_handle_get(data, &m));
    log_debug3(s->log, "request %u: fsync (handle %u)", s->id, sftp_server_handle_number(m.handle));
    log_verbose(s->log, "fsync \"%s\"", sftp_server_handle_path(s, m.handle));
    struct sftp_server_handle *h = sftp_server_handle_get(s, m.handle, HANDLE_FILE);
    if (!h) return sftp_server_status(s, SFTP_NO_SUCH_FILE);
    return sftp_server_result(s, fsync(h->fd) != 0);
}

int sftp_server_on_limits(struct sftp_server *s, struct view data)
{
    if (data.len) return ERR_TRAILING;
    log_debug(s->log, "request %u: limits", s->id);
    struct body_sftp_limits m = { .packet_max_bytes = SFTP_PACKET_MAX_BYTES,
                                  .read_max_bytes = SFTP_DATA_MAX_BYTES,
                                  .write_max_bytes = SFTP_DATA_MAX_BYTES,
                                  .handles_max = s->max_handles };
    uint8_t wire[4 * 8];
    struct wr w = wr_area(wire, sizeof(wire));
    TRY(body_sftp_limits_put(&w, &m));
    return sftp_server_extended_reply(s, view_of(wire, w.len));
}

/* ---- accounts ---- */

int sftp_server_on_expand_path(struct sftp_server *s, struct view data)
{
    struct body_sftp_path m;
    TRY(body_sftp_path_get(data, &m));
    if (!sftp_server_path_take(s->path, m.path)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_debug3(s->log, "request %u: expand, original \"%s\"", s->id, s->path);
    int e = sftp_server_expand_path(s, s->path, s->path2);
    if (e == ESRCH) return sftp_server_status_text(s, SFTP_NO_SUCH_FILE, "no such user");
    if (e) return sftp_server_status(s, sftp_server_status_of(e));
    log_verbose(s->log, "expand \"%s\"", s->path2);
    e = sftp_server_real_path(s->path2, s->path);
    return e ? sftp_server_status(s, sftp_server_status_of(e)) : sftp_server_one_name(s, s->path);
}

/* draft-ietf-secsh-filexfer-extensions-00 5: an empty name is the user of the session. */
int sftp_server_on_home_directory(struct sftp_server *s, struct view data)
{
    struct body_sftp_home_directory m;
    TRY(body_sftp_home_directory_get(data, &m));
    if (!sftp_server_path_take(s->path, m.user)) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    log_debug3(s->log, "request %u: home-directory \"%s\"", s->id, s->path);
    CLEANUP(user_freep) struct user *u = NULL;
    if (s->path[0] && user_by_name(s->path, &u) < 0) return sftp_server_status(s, SFTP_FAILURE);
    const char *home = u ? u->home : s->home;
    log_verbose(s->log, "home-directory \"%s\"", home);
    return sftp_server_one_name(s, home);
}

/* The names of one list of ids, as a list of strings in a string. */
static uint32_t put_id_names(struct sftp_server *s, struct wr *w, struct view ids,
                             const char *(*name_of)(struct sftp_server *, uint32_t))
{
    uint32_t n_named = 0;
    size_t mark = wr_string_open(w);
    struct rd r = rd_of(ids);
    while (rd_left(&r) >= 4) {
        const char *name = name_of(s, rd_u32(&r));
        if (*name) n_named++;
        wr_cstr(w, name);
    }
    wr_string_close(w, mark);
    return n_named;
}

int sftp_server_on_users_groups(struct sftp_server *s, struct view data)
{
    struct body_sftp_users_groups m;
    TRY(body_sftp_users_groups_get(data, &m));
    if (m.uids.len % 4 || m.gids.len % 4) return sftp_server_status(s, SFTP_BAD_MESSAGE);
    size_t mark = buf_len(&s->out);
    TRY(sftp_packet_open(&s->out));
    struct wr w = wr_of(&s->out);
    struct msg_sftp_extended_reply head = { .id = s->id };
    msg_sftp_extended_reply_put(&w, &head);
    uint32_t n_users = put_id_names(s, &w, m.uids, sftp_server_user_name);
    uint32_t n_groups = put_id_names(s, &w, m.gids, sftp_server_group_name);
    log_verbose(s->log, "users-groups-by-id: %u users, %u groups", n_users, n_groups);
    /* Long names for many ids may need more than a packet holds. */
    if (wr_end(&w) == ERR_LIMIT || w.len > SFTP_PACKET_MAX_BYTES) {
        buf_truncate(&s->out, mark);
        return sftp_server_status(s, SFTP_FAILURE);
    }
    TRY(wr_end(&w));
    sftp_packet_close(&s->out, mark);
    return 0;
}

/* ---- copy-data ---- */

struct copy {
    int from, to;
    off_t from_offset, to_offset;
    uint64_t left; /* bytes; UINT64_MAX: to the end */
    bool append;
};

/* 1: went on; 0: end of the source; -1: failed. */
static int copy_by_hand(struct copy *c, struct buf *work)
{
    uint8_t *p;
    if (buf_reserve(work, SFTP_PACKET_MAX_BYTES, &p) < 0) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t n = pread(c->from, p, MIN(c->left, (uint64_t)SFTP_PACKET_MAX_BYTES), c->from_offset);
    if (n <= 0) return n < 0 ? -1 : 0;
    for (ssize_t done = 0; done < n;) {
        ssize_t put = pwrite(c->to, p + done, (size_t)(n - done), c->to_offset + done);
        if (put < 0) return -1;
        done += put;
    }
    c->from_offset += n;
    c->to_offset += n;
    if (c->left != UINT64_MAX) c->left -= (uint64_t)n;
    return 1;
}

static int copy_in_kernel(struct copy *c)
{
    ssize_t n = copy_file_range(c->from, &c->from_offset, c->to, &c->to_offset, MIN(c->left, (uint64_t)1 << 30), 0);
    if (n <= 0) return n < 0 ? -1 : 0;
    if (c->left != UINT64_MAX) c->left -= (uint64_t)n;
    return 1;
}

/* 0 or an errno. */
static int copy_all(struct copy *c)
{
    CLEANUP(buf_done) struct buf work = BUF_INIT(SFTP_PACKET_MAX_BYTES);
    bool by_hand = c->append;
    while (c->left) {
        int r = by_hand ? -1 : copy_in_kernel(c);
        /* Files of /proc say 0 at once, other file systems and devices refuse: reading and writing decides. */
        if (r <= 0) {
            by_hand = true;
            r = copy_by_hand(c, &work);
        }
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return errno;
        if (r == 0) break;
    }
    return 0;
}

static bool same_file(int a, int b)
{
    struct stat sa, sb;
    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

int sftp_server_on_copy_data(struct sftp_server *s, struct view data)
{
    struct body_sftp_copy_data m;
    TRY(body_sftp_copy_data_get(data, &m));
    log_debug(s->log, "request %u: copy-data from \"%s\" (handle %u) off %llu len %llu to \"%s\" (handle %u) off %llu", s->id,
              sftp_server_handle_path(s, m.from), sftp_server_handle_number(m.from), (unsigned long long)m.from_offset,
              (unsigned long long)m.length, sftp_server_handle_path(s, m.to), sftp_server_handle_number(m.to),
              (unsigned long long)m.to_offset);
    struct sftp_server_handle *from = sftp_server_handle_get(s, m.from, HANDLE_FILE),
                              *to = sftp_server_handle_get(s, m.to, HANDLE_FILE);
    if (!from || !to || same_file(from->fd, to->fd)) return sftp_server_status(s, SFTP_FAILURE);
    if (m.from_offset > INT64_MAX || m.to_offset > INT64_MAX ||
        (m.length && m.length > INT64_MAX - MAX(m.from_offset, m.to_offset)))
        return sftp_server_status(s, SFTP_BAD_MESSAGE);
    struct copy c = { .from = from->fd,
                      .to = to->fd,
                      .from_offset = (off_t)m.from_offset,
                      .to_offset = (off_t)m.to_offset,
                      .left = m.length ? m.length : UINT64_MAX,
                      .append = to->append };
    int e = copy_all(&c);
    uint64_t n = (uint64_t)c.from_offset - m.from_offset;
    from->n_read += n;
    to->n_written += n;
    if (e) log_error(s->log, "copy-data \"%s\" to \"%s\": %s", from->path, to->path, strerror(e));
    return sftp_server_status(s, sftp_server_status_of(e));
}
