/* Directories: made on the side they go to, listed on the side they come from, and given their mode and times when everything in
 * them is done. */
#include "io/transfer_int.h"

#include "os/fd.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    MODE_BITS = 07777
};

static char *join(const char *dir, struct view name)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
    size_t len = strlen(dir);
    bool has_slash = len && dir[len - 1] == '/';
    if (buf_printf(&b, "%s%s", dir, has_slash ? "" : "/") < 0 || buf_put_view(&b, name) < 0) return NULL;
    return view_dup_str(buf_view(&b));
}

static bool is_self_or_parent(struct view name) { return view_eq_str(name, ".") || view_eq_str(name, ".."); }

/* Found in directory i, on the side it comes from. */
static int add_child(struct item *i, struct items *batch, struct view name, const struct sftp_attrs *attrs)
{
    const struct item_start start = { i->is_put, join(i->local, name), join(i->remote, name), attrs };
    return item_add(i->t, batch, i, &start);
}

/* A tree is walked in depth, so that little of it waits: what was found comes before all that waits already. */
static void put_first(struct transfer *t, struct items *batch)
{
    TAILQ_CONCAT(batch, &t->waiting, link);
    TAILQ_CONCAT(&t->waiting, batch, link);
}

/* ---- from the server ---- */

int tree_ask_opendir(struct item *i) { return SFTP_CALL(item_client(i), &i->call, sftp_opendir, .path = view_str(i->remote)); }

static int make_local(struct item *i)
{
    mode_t mode = i->attrs.flags & SFTP_ATTR_PERMISSIONS ? i->attrs.permissions & 0777 : 0777;
    if (mkdir(i->local, mode | S_IRWXU) == 0) {
        i->made = true;
        return 0;
    }
    int err = ERR_SYS(errno);
    return errno == EEXIST && file_is_dir(i->local) ? 0 : err;
}

void tree_on_opendir(struct item *i, const struct sftp_answer *a)
{
    if (a->type != MSG_sftp_handle_NUMBER) {
        item_fail(i, "remote opendir \"%s\": %s", i->remote, sftp_client_status_text(a->status));
        return;
    }
    i->handle_len = a->data.len;
    memcpy(i->handle, a->data.p, a->data.len);
    i->n_readdirs = 2; /* the second one is for the end */
    if (item_is_across(i)) {
        item_go(i, ITEM_MKDIR);
        return;
    }
    int err = make_local(i);
    if (err < 0)
        item_fail(i, "mkdir %s: %s", i->local, err_text(err));
    else
        item_go(i, ITEM_READDIR);
}

int tree_ask_readdir(struct item *i)
{
    while (i->n_calls < i->n_readdirs) {
        TRY(SFTP_CALL(item_client(i), &i->call, sftp_readdir, .handle = item_handle(i)));
        i->n_calls++;
    }
    return 0;
}

static int take_names(struct item *i, const struct sftp_answer *a)
{
    struct items batch = TAILQ_HEAD_INITIALIZER(batch);
    struct rd r = a->names;
    int err = 0;
    for (uint32_t n = 0; n < a->n_names && err == 0; n++) {
        struct sftp_name name = sftp_name_read(&r);
        err = rd_stop(&r);
        if (err < 0 || is_self_or_parent(name.name)) continue;
        if (name.name.len == 0 || memchr(name.name.p, '/', name.name.len))
            item_say_failed(i, "Ignoring suspect path \"%.*s\" in \"%s\"", VIEW_ARG(name.name), i->remote);
        else
            err = add_child(i, &batch, name.name, &name.attrs);
    }
    put_first(i->t, &batch);
    return err;
}

void tree_on_readdir(struct item *i, const struct sftp_answer *a)
{
    i->n_calls--;
    if (a->type == MSG_sftp_name_NUMBER && !i->at_end) {
        int err = take_names(i, a);
        if (err < 0) item_say_failed(i, "remote readdir \"%s\": %s", i->remote, err_text(err));
    } else if (a->type != MSG_sftp_name_NUMBER && a->status != SFTP_EOF)
        item_say_failed(i, "remote readdir \"%s\": %s", i->remote, sftp_client_status_text(a->status));
    else
        i->at_end = true;
    i->n_readdirs = MIN(2 * i->n_readdirs, (unsigned)TRANSFER_READDIRS_MAX);
    if (i->at_end)
        item_settle(i);
    else
        item_go(i, ITEM_READDIR);
}

/* ---- from here ---- */

int tree_ask_mkdir(struct item *i)
{
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(64);
    const struct sftp_attrs a = { .flags = SFTP_ATTR_PERMISSIONS, .permissions = (i->attrs.permissions & 0777) | S_IRWXU };
    struct wr w = wr_of(&attrs);
    sftp_attrs_write(&w, &a);
    TRY(wr_end(&w));
    return SFTP_CALL(item_to_client(i), &i->call, sftp_mkdir, .path = view_str(item_to_path(i)), .attrs = buf_view(&attrs));
}

/* The directory is there: now what is in it. */
static void list(struct item *i)
{
    if (i->is_put)
        tree_list_local(i);
    else
        item_go(i, ITEM_READDIR);
}

/* Draft 3 has no status for "is there already". */
void tree_on_mkdir(struct item *i, const struct sftp_answer *a)
{
    i->made = a->status == SFTP_OK;
    if (i->made)
        list(i);
    else
        item_go(i, ITEM_MKDIR_STAT);
}

int tree_ask_mkdir_stat(struct item *i)
{
    return SFTP_CALL(item_to_client(i), &i->call, sftp_stat, .path = view_str(item_to_path(i)));
}

void tree_on_mkdir_stat(struct item *i, const struct sftp_answer *a)
{
    bool is_dir = a->type == MSG_sftp_attrs_NUMBER && S_ISDIR(a->attrs.permissions);
    if (is_dir)
        list(i);
    else
        item_fail(i, "remote mkdir \"%s\": %s", item_to_path(i), sftp_client_status_text(a->status ? a->status : SFTP_FAILURE));
}

static int take_entry(struct item *i, struct items *batch, int dir_fd, const struct dirent *entry)
{
    struct view name = view_str(entry->d_name);
    struct stat st;
    if (is_self_or_parent(name)) return 0;
    bool is_link =
        entry->d_type == DT_LNK ||
        (entry->d_type == DT_UNKNOWN && fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode));
    if (is_link && !i->t->options.follow_links) {
        log_error(i->t->log, "%s/%s: not a regular file", i->local, entry->d_name);
        return 0;
    }
    return add_child(i, batch, name, NULL);
}

void tree_list_local(struct item *i)
{
    struct items batch = TAILQ_HEAD_INITIALIZER(batch);
    DIR *dir = fdopendir(i->fd);
    int err = dir ? 0 : ERR_SYS(errno);
    if (dir) {
        int dir_fd = fd_take(&i->fd); /* closed with dir */
        const struct dirent *entry;
        errno = 0;
        while (err == 0 && (entry = readdir(dir))) err = take_entry(i, &batch, dir_fd, entry);
        if (err == 0 && errno) err = ERR_SYS(errno);
        closedir(dir);
    }
    put_first(i->t, &batch);
    if (err < 0) item_say_failed(i, "local \"%s\": %s", i->local, err_text(err));
    item_settle(i);
}

/* ---- when everything in it is done ---- */

int tree_ask_setstat(struct item *i)
{
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(64);
    struct sftp_attrs a = i->attrs;
    a.permissions &= MODE_BITS;
    a.flags = SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES;
    struct wr w = wr_of(&attrs);
    sftp_attrs_write(&w, &a);
    TRY(wr_end(&w));
    return SFTP_CALL(item_to_client(i), &i->call, sftp_setstat, .path = view_str(item_to_path(i)), .attrs = buf_view(&attrs));
}

void tree_on_setstat(struct item *i, const struct sftp_answer *a)
{
    if (a->status != SFTP_OK) item_say_failed(i, "remote setstat \"%s\": %s", item_to_path(i), sftp_client_status_text(a->status));
    item_go(i, ITEM_DONE);
}

static void finish_local(struct item *i)
{
    const struct timespec times[2] = { { .tv_sec = i->attrs.atime }, { .tv_sec = i->attrs.mtime } };
    bool preserve = i->t->options.preserve;
    if (i->attrs.flags & SFTP_ATTR_PERMISSIONS && preserve && chmod(i->local, i->attrs.permissions & MODE_BITS) < 0)
        item_say_failed(i, "local chmod directory \"%s\": %s", i->local, err_text(ERR_SYS(errno)));
    if (i->attrs.flags & SFTP_ATTR_TIMES && preserve && utimensat(AT_FDCWD, i->local, times, 0) < 0)
        item_say_failed(i, "local set times on \"%s\": %s", i->local, err_text(ERR_SYS(errno)));
}

/* A directory that nobody may write to is made so again, also without -p. */
static bool mode_is_short(const struct item *i)
{
    return i->made && i->attrs.flags & SFTP_ATTR_PERMISSIONS && (i->attrs.permissions & S_IRWXU) != S_IRWXU;
}

void tree_children_done(struct item *i)
{
    if (item_is_written_there(i) && !i->failed && i->t->options.preserve) {
        item_go(i, ITEM_DIR_SETSTAT);
        return;
    }
    if (!item_is_written_there(i) && (i->made || !i->failed)) finish_local(i);
    if (!item_is_written_there(i) && !i->t->options.preserve && mode_is_short(i))
        (void)!chmod(i->local, i->attrs.permissions & 0777);
    item_go(i, ITEM_DONE);
}
