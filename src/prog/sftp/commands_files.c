/* Commands that change names and attributes at the server. */
#include "prog/sftp/sftp.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    MODE_BITS = 07777,
    BODY_BYTES = SFTP_PACKET_MAX_BYTES,
    ATTRS_BYTES = 64
};

/* What is done to each path that a word matches. A refusal by the server (ERR_DENIED) leaves the others to be done. */
static int for_each(struct sftp *s, const char *word, int (*fn)(struct sftp *, const struct line *, const char *),
                    const struct line *l)
{
    CLEANUP(remote_names_done) struct remote_names matches = REMOTE_NAMES_INIT;
    int worst = 0;
    TRY(remote_matches(s, word, &matches));
    if (matches.n == 0) { /* then the server says so */
        CLEANUP(freep) char *path = remote_plain(s, word);
        return path ? fn(s, l, path) : ERR_NOMEM;
    }
    for (size_t i = 0; i < matches.n && !s->interrupted; i++) {
        int err = fn(s, l, matches.v[i].name);
        if (err < 0 && err != ERR_DENIED) return err;
        worst = MIN(worst, err);
    }
    return s->interrupted ? ERR_CANCELLED : worst;
}

static const char *why(const struct sftp_reply *r)
{
    return sftp_client_status_text(r->answer.status ? r->answer.status : SFTP_FAILURE);
}
static bool is_ok(const struct sftp_reply *r) { return r->answer.type == MSG_sftp_status_NUMBER && r->answer.status == SFTP_OK; }

/* ---- removing, making ---- */

static int remove_one(struct sftp *s, const struct line *l, const char *path)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    (void)l;
    say_unless_quiet(s, "Removing %s", path);
    TRY(SFTP_ASK(s->conn, &r, sftp_remove, .path = view_str(path)));
    return is_ok(&r) ? 0 : fail(s, "remote delete %s: %s", path, why(&r));
}

int cmd_rm(struct sftp *s, const struct line *l) { return for_each(s, l->words.v[0], remove_one, l); }

int cmd_mkdir(struct sftp *s, const struct line *l)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(ATTRS_BYTES);
    CLEANUP(freep) char *path = remote_plain(s, l->words.v[0]);
    if (!path) return ERR_NOMEM;
    TRY(attrs_put(&attrs, &(struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = 0777 }));
    TRY(SFTP_ASK(s->conn, &r, sftp_mkdir, .path = view_str(path), .attrs = buf_view(&attrs)));
    return is_ok(&r) ? 0 : fail(s, "remote mkdir \"%s\": %s", path, why(&r));
}

int cmd_rmdir(struct sftp *s, const struct line *l)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(freep) char *path = remote_plain(s, l->words.v[0]);
    if (!path) return ERR_NOMEM;
    TRY(SFTP_ASK(s->conn, &r, sftp_rmdir, .path = view_str(path)));
    return is_ok(&r) ? 0 : fail(s, "remote rmdir \"%s\": %s", path, why(&r));
}

/* ---- two names ---- */

static int ask_two_paths(struct sftp *s, enum sftp_extension e, const char *from, const char *to, struct sftp_reply *r)
{
    CLEANUP(buf_done) struct buf body = BUF_INIT(BODY_BYTES);
    struct wr w = wr_of(&body);
    const struct body_sftp_two_paths m = { .old_path = view_str(from), .new_path = view_str(to) };
    TRY(body_sftp_two_paths_put(&w, &m));
    return remote_extended(s, e, buf_view(&body), r);
}

int cmd_rename(struct sftp *s, const struct line *l)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(freep) char *from = remote_plain(s, l->words.v[0]);
    CLEANUP(freep) char *to = remote_plain(s, l->words.v[1]);
    if (!from || !to) return ERR_NOMEM;
    if (has_extension(s, SFTP_EXT_POSIX_RENAME) && !l->flags['l'])
        TRY(ask_two_paths(s, SFTP_EXT_POSIX_RENAME, from, to, &r));
    else
        TRY(SFTP_ASK(s->conn, &r, sftp_rename, .old_path = view_str(from), .new_path = view_str(to)));
    return is_ok(&r) ? 0 : fail(s, "remote rename \"%s\" to \"%s\": %s", from, to, why(&r));
}

/* The target stays as it was said: it counts from where the link stands. */
int cmd_symlink(struct sftp *s, const struct line *l)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(freep) char *target = remote_glob_unescape(l->words.v[0]);
    CLEANUP(freep) char *path = remote_plain(s, l->words.v[1]);
    if (!target || !path) return ERR_NOMEM;
    TRY(SFTP_ASK(s->conn, &r, sftp_symlink, .target = view_str(target), .link_path = view_str(path)));
    return is_ok(&r) ? 0 : fail(s, "remote symlink file \"%s\" to \"%s\": %s", target, path, why(&r));
}

int cmd_link(struct sftp *s, const struct line *l)
{
    if (l->flags['s']) return cmd_symlink(s, l);
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(freep) char *from = remote_plain(s, l->words.v[0]);
    CLEANUP(freep) char *to = remote_plain(s, l->words.v[1]);
    if (!from || !to) return ERR_NOMEM;
    TRY(need_extension(s, SFTP_EXT_HARDLINK));
    TRY(ask_two_paths(s, SFTP_EXT_HARDLINK, from, to, &r));
    return is_ok(&r) ? 0 : fail(s, "remote link \"%s\" to \"%s\": %s", from, to, why(&r));
}

/* ---- a copy that stays at the server ---- */

static int open_remote(struct sftp *s, const char *path, uint32_t flags, uint32_t mode, struct sftp_reply *r)
{
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(ATTRS_BYTES);
    const struct sftp_attrs a = { .flags = flags & SFTP_OPEN_WRITE ? SFTP_ATTR_PERMISSIONS : 0, .permissions = mode & 0777 };
    TRY(attrs_put(&attrs, &a));
    TRY(SFTP_ASK(s->conn, r, sftp_open, .path = view_str(path), .flags = flags, .attrs = buf_view(&attrs)));
    return r->answer.type == MSG_sftp_handle_NUMBER ? 0 : fail(s, "open \"%s\": %s", path, why(r));
}

static void close_remote(struct sftp *s, const struct sftp_reply *opened)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    if (sftp_conn_err(s->conn) == 0) (void)!SFTP_ASK(s->conn, &r, sftp_close, .handle = opened->answer.data);
}

/* The new file is cut behind what was copied and not before: old and new may be the same one. */
static int copy_data(struct sftp *s, struct view from, struct view to, uint64_t size, const char *what)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(buf_done) struct buf body = BUF_INIT(BODY_BYTES);
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(ATTRS_BYTES);
    struct wr w = wr_of(&body);
    const struct body_sftp_copy_data m = { .from = from, .to = to };
    TRY(body_sftp_copy_data_put(&w, &m));
    TRY(remote_extended(s, SFTP_EXT_COPY_DATA, buf_view(&body), &r));
    if (!is_ok(&r)) return fail(s, "remote copy \"%s\": %s", what, why(&r));
    TRY(attrs_put(&attrs, &(struct sftp_attrs){ .flags = SFTP_ATTR_SIZE, .size = size }));
    TRY(SFTP_ASK(s->conn, &r, sftp_fsetstat, .handle = to, .attrs = buf_view(&attrs)));
    return is_ok(&r) ? 0 : fail(s, "remote copy \"%s\": %s", what, why(&r));
}

static int copy_opened(struct sftp *s, const struct sftp_reply *from, const char *to, const struct sftp_attrs *a)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    TRY(open_remote(s, to, SFTP_OPEN_WRITE | SFTP_OPEN_CREAT, a->permissions, &r));
    int err = copy_data(s, from->answer.data, r.answer.data, a->size, to);
    close_remote(s, &r);
    return err;
}

int cmd_copy(struct sftp *s, const struct line *l)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(freep) char *from = remote_plain(s, l->words.v[0]);
    CLEANUP(freep) char *to = remote_plain(s, l->words.v[1]);
    struct sftp_attrs a;
    uint32_t status;
    if (!from || !to) return ERR_NOMEM;
    TRY(need_extension(s, SFTP_EXT_COPY_DATA));
    TRY(remote_stat(s, from, &a, &status));
    if (status != SFTP_OK) return fail(s, "stat remote: %s", sftp_client_status_text(status));
    if (!(a.flags & SFTP_ATTR_PERMISSIONS)) a.permissions = S_IFREG | 0666;
    if (!S_ISREG(a.permissions)) return fail(s, "Cannot copy non-regular file: %s", from);
    TRY(open_remote(s, from, SFTP_OPEN_READ, 0, &r));
    int err = copy_opened(s, &r, to, &a);
    close_remote(s, &r);
    return err;
}

/* ---- attributes ---- */

static int set_attrs(struct sftp *s, const struct line *l, const char *path, const struct sftp_attrs *a)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(ATTRS_BYTES);
    CLEANUP(buf_done) struct buf body = BUF_INIT(BODY_BYTES);
    TRY(attrs_put(&attrs, a));
    if (l->flags['h']) {
        struct wr w = wr_of(&body);
        const struct body_sftp_lsetstat m = { .path = view_str(path), .attrs = buf_view(&attrs) };
        TRY(body_sftp_lsetstat_put(&w, &m));
        TRY(remote_extended(s, SFTP_EXT_LSETSTAT, buf_view(&body), &r));
    } else {
        TRY(SFTP_ASK(s->conn, &r, sftp_setstat, .path = view_str(path), .attrs = buf_view(&attrs)));
    }
    return is_ok(&r) ? 0 : fail(s, "remote %ssetstat \"%s\": %s", l->flags['h'] ? "l" : "", path, why(&r));
}

static int chmod_one(struct sftp *s, const struct line *l, const char *path)
{
    say_unless_quiet(s, "Changing mode on %s", path);
    return set_attrs(s, l, path,
                     &(struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = (uint32_t)l->number & MODE_BITS });
}

/* Owner and group are set in one, so the other one is asked for. */
static int get_owners(struct sftp *s, const struct line *l, const char *path, struct sftp_attrs *ret)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    if (l->flags['h'])
        TRY(SFTP_ASK(s->conn, &r, sftp_lstat, .path = view_str(path)));
    else
        TRY(SFTP_ASK(s->conn, &r, sftp_stat, .path = view_str(path)));
    if (r.answer.type != MSG_sftp_attrs_NUMBER) return fail(s, "stat remote \"%s\": %s", path, why(&r));
    if (!(r.answer.attrs.flags & SFTP_ATTR_UIDGID)) return fail(s, "Can't get current ownership of remote file \"%s\"", path);
    *ret = r.answer.attrs;
    ret->flags = SFTP_ATTR_UIDGID;
    return 0;
}

static int chown_one(struct sftp *s, const struct line *l, const char *path)
{
    struct sftp_attrs a;
    TRY(get_owners(s, l, path, &a));
    say_unless_quiet(s, "Changing owner on %s", path);
    a.uid = (uint32_t)l->number;
    return set_attrs(s, l, path, &a);
}

static int chgrp_one(struct sftp *s, const struct line *l, const char *path)
{
    struct sftp_attrs a;
    TRY(get_owners(s, l, path, &a));
    say_unless_quiet(s, "Changing group on %s", path);
    a.gid = (uint32_t)l->number;
    return set_attrs(s, l, path, &a);
}

static int change(struct sftp *s, const struct line *l, int (*fn)(struct sftp *, const struct line *, const char *))
{
    if (l->flags['h']) TRY(need_extension(s, SFTP_EXT_LSETSTAT));
    return for_each(s, l->words.v[0], fn, l);
}

int cmd_chmod(struct sftp *s, const struct line *l) { return change(s, l, chmod_one); }
int cmd_chown(struct sftp *s, const struct line *l) { return change(s, l, chown_one); }
int cmd_chgrp(struct sftp *s, const struct line *l) { return change(s, l, chgrp_one); }
