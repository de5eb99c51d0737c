/* ls. */
#include "base/vis.h"
#include "os/clock.h"
#include "os/tty.h"
#include "prog/sftp/sftp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_BYTES = 16384,
    OWNERS_MAX = 4096, /* different ones in one listing whose names are asked for; others are numbers */
    NAME_COLUMNS = 8,  /* of owners */
    HALF_A_YEAR_S = 365 * 24 * 3600 / 2
};

/* ---- owners ---- */

/* Names of one kind, of the same place in ids. */
struct owners {
    uint32_t ids[OWNERS_MAX];
    char *names[OWNERS_MAX];
    size_t n;
};
struct both_owners {
    struct owners users, groups;
};

static void owners_free(struct both_owners **both)
{
    if (!*both) return;
    for (size_t i = 0; i < (*both)->users.n; i++) free((*both)->users.names[i]);
    for (size_t i = 0; i < (*both)->groups.n; i++) free((*both)->groups.names[i]);
    free(*both);
}

static void note(struct owners *o, uint32_t id)
{
    for (size_t i = o->n; i-- > 0;)
        if (o->ids[i] == id) return;
    if (o->n < OWNERS_MAX) o->ids[o->n++] = id;
}

static int put_ids(struct buf *out, const struct owners *o)
{
    struct wr w = wr_of(out);
    for (size_t i = 0; i < o->n; i++) wr_u32(&w, o->ids[i]);
    return wr_end(&w);
}

static void take_names(struct owners *o, struct view list)
{
    struct rd r = rd_of(list);
    for (size_t i = 0; i < o->n && rd_left(&r); i++) {
        struct view name = rd_string(&r);
        if (rd_stop(&r) < 0) return;
        if (name.len) o->names[i] = view_dup_str(name);
    }
    (void)!rd_stop(&r);
}

static int ask_owners(struct sftp *s, const struct remote_names *names, struct both_owners *both)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(buf_done) struct buf uids = BUF_INIT(4 * OWNERS_MAX);
    CLEANUP(buf_done) struct buf gids = BUF_INIT(4 * OWNERS_MAX);
    CLEANUP(buf_done) struct buf body = BUF_INIT(16 * OWNERS_MAX);
    struct body_sftp_users_groups m;
    for (size_t i = 0; i < names->n; i++) {
        if (!(names->v[i].attrs.flags & SFTP_ATTR_UIDGID)) continue;
        note(&both->users, names->v[i].attrs.uid);
        note(&both->groups, names->v[i].attrs.gid);
    }
    TRY(put_ids(&uids, &both->users));
    TRY(put_ids(&gids, &both->groups));
    struct wr w = wr_of(&body);
    m = (struct body_sftp_users_groups){ .uids = buf_view(&uids), .gids = buf_view(&gids) };
    TRY(body_sftp_users_groups_put(&w, &m));
    TRY(remote_extended(s, SFTP_EXT_USERS_GROUPS, buf_view(&body), &r));
    if (r.answer.type != MSG_sftp_extended_reply_NUMBER || body_sftp_users_groups_get(r.answer.data, &m) < 0)
        return 0; /* numbers, then */
    take_names(&both->users, m.uids);
    take_names(&both->groups, m.gids);
    return 0;
}

static void owner_text(const struct owners *o, uint32_t id, char ret_text[NAME_BYTES])
{
    const char *name = NULL;
    for (size_t i = 0; o && i < o->n && !name; i++)
        if (o->ids[i] == id) name = o->names[i];
    if (name)
        vis_line(view_str(name), ret_text, NAME_BYTES);
    else
        snprintf(ret_text, NAME_BYTES, "%u", id);
}

/* ---- one line of -l ---- */

void mode_text(uint32_t mode, char ret_text[MODE_TEXT_BYTES])
{
    static const char types[] = "?pc?d?b?-?l?s???";
    static const struct {
        uint32_t bit;
        char set, with_x, without_x;
    } special[] = { { S_ISUID, 3, 's', 'S' }, { S_ISGID, 6, 's', 'S' }, { S_ISVTX, 9, 't', 'T' } };
    ret_text[0] = types[(mode & S_IFMT) >> 12];
    for (unsigned i = 0; i < 9; i++) ret_text[i + 1] = mode & (0400u >> i) ? "rwxrwxrwx"[i] : '-';
    for (size_t i = 0; i < ARRAY_LEN(special); i++) {
        char *x = &ret_text[(int)special[i].set];
        if (mode & special[i].bit) *x = *x == 'x' ? special[i].with_x : special[i].without_x;
    }
    ret_text[MODE_TEXT_BYTES - 1] = 0;
}

static void time_text(const struct sftp_attrs *a, char *out, size_t cap)
{
    int64_t now = clock_wall_s(), t = a->mtime;
    bool recent = t <= now + HALF_A_YEAR_S && t > now - HALF_A_YEAR_S;
    clock_text(t, recent ? "%b %e %H:%M" : "%b %e  %Y", out, cap);
}

static void print_long(const struct remote_name *n, const char *shown, const struct listing_flags *f,
                       const struct both_owners *both)
{
    char mode[MODE_TEXT_BYTES] = "?---------", when[64] = "", size[SCALED_BYTES + 24] = "?";
    char user[NAME_BYTES] = "?", group[NAME_BYTES] = "?";
    const struct sftp_attrs *a = &n->attrs;
    if (a->flags & SFTP_ATTR_PERMISSIONS) mode_text(a->permissions, mode);
    if (a->flags & SFTP_ATTR_TIMES) time_text(a, when, sizeof when);
    if (a->flags & SFTP_ATTR_UIDGID) {
        owner_text(both ? &both->users : NULL, a->uid, user);
        owner_text(both ? &both->groups : NULL, a->gid, group);
    }
    if (a->flags & SFTP_ATTR_SIZE) {
        if (f->human)
            scaled(a->size, size);
        else
            snprintf(size, sizeof size, "%llu", (unsigned long long)a->size);
    }
    vis_cut(user, NAME_COLUMNS);
    vis_cut(group, NAME_COLUMNS);
    printf("%s    ? %s%*s %s%*s %8s %12s %s\n", mode, user, (int)(NAME_COLUMNS - vis_columns(user)), "", group,
           (int)(NAME_COLUMNS - vis_columns(group)), "", size, when, shown);
}

/* ---- columns ---- */

void print_columns(const char *const *names, size_t n, unsigned width)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) longest = MAX(longest, vis_columns(names[i]));
    size_t columns = MAX((size_t)width / (longest + 2), (size_t)1), column_width = MAX((size_t)width / columns, longest);
    for (size_t i = 0; i < n; i++) {
        bool last = (i + 1) % columns == 0 || i + 1 == n;
        printf("%s%*s%s", names[i], (int)(column_width - vis_columns(names[i])), "", last ? "\n" : "");
    }
}

/* ---- order ---- */

static int compare(const void *a, const void *b, void *flags)
{
    const struct remote_name *x = a, *y = b;
    const struct listing_flags *f = flags;
    int order = 0;
    if (f->by_time)
        order = x->attrs.mtime == y->attrs.mtime ? 0 : x->attrs.mtime > y->attrs.mtime ? -1 : 1;
    else if (f->by_size)
        order = x->attrs.size == y->attrs.size ? 0 : x->attrs.size > y->attrs.size ? -1 : 1;
    if (order == 0) order = strcmp(x->name, y->name);
    return f->reverse ? -order : order;
}

/* ---- all of them ---- */

/* dir: what stands before each name as it is shown; NULL: the names are paths. What the user said from the root is shown from
 * there. */
static char *shown_name(struct sftp *s, const char *dir, const char *name, const struct listing_flags *f)
{
    char text[NAME_BYTES];
    CLEANUP(freep) char *path = dir ? remote_path_join(dir, view_str(name)) : NULL;
    if (dir && !path) return NULL;
    const char *whole = dir ? path : name;
    vis_line(view_str(f->from_root ? whole : remote_shown(s, whole)), text, sizeof text);
    return view_dup_str(view_str(text));
}

static int print_all_long(struct sftp *s, const struct remote_names *names, const struct strv *shown, const char *dir,
                          const struct listing_flags *f)
{
    CLEANUP(owners_free) struct both_owners *both = NULL;
    bool ask = !f->numeric && has_extension(s, SFTP_EXT_USERS_GROUPS);
    if (ask) {
        if (!(both = calloc(1, sizeof *both))) return ERR_NOMEM;
        TRY(ask_owners(s, names, both));
    }
    for (size_t i = 0; i < names->n && !s->interrupted; i++) {
        const char *line = names->v[i].long_name;
        /* The server's line ends with the name alone. */
        bool use_line = !ask && !f->numeric && !f->human && line && dir && !*dir;
        if (use_line)
            say("%s", line);
        else
            print_long(&names->v[i], shown->v[i], f, both);
    }
    return 0;
}

static int print_all(struct sftp *s, const struct remote_names *names, const char *dir, const struct listing_flags *f)
{
    CLEANUP(strv_done) struct strv shown = STRV_INIT;
    CLEANUP(freep) struct remote_name *visible = calloc(names->n + 1, sizeof *visible);
    struct remote_names left = { visible, 0, 0 }; /* the names stay names' */
    if (!visible) return ERR_NOMEM;
    for (size_t i = 0; i < names->n; i++)
        if (!dir || f->all || names->v[i].name[0] != '.') left.v[left.n++] = names->v[i];
    if (!f->unsorted && left.n) qsort_r(left.v, left.n, sizeof *left.v, compare, (void *)(uintptr_t)f);
    for (size_t i = 0; i < left.n; i++) TRY(strv_add_take(&shown, shown_name(s, dir, left.v[i].name, f)));
    if (f->is_long) return print_all_long(s, &left, &shown, dir, f);
    if (f->one)
        for (size_t i = 0; i < shown.n && !s->interrupted; i++) puts(shown.v[i]);
    else
        print_columns((const char *const *)shown.v, shown.n, tty_width(STDOUT_FILENO));
    return 0;
}

static int list_dir(struct sftp *s, const char *path, const char *shown_dir, const struct listing_flags *f)
{
    CLEANUP(remote_names_done) struct remote_names names = REMOTE_NAMES_INIT;
    uint32_t status;
    TRY(remote_list(s->conn, path, &s->interrupted, &names, &status));
    if (status != SFTP_OK) return fail(s, "remote readdir(\"%s\"): %s", path, sftp_client_status_text(status));
    return print_all(s, &names, shown_dir, f);
}

/* What the pattern's match is; a link to a directory counts as one. */
static int look_at(struct sftp *s, struct remote_name *n, bool *ret_there, bool *ret_dir)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    if (n->attrs.flags == 0) {
        TRY(SFTP_ASK(s->conn, &r, sftp_lstat, .path = view_str(n->name)));
        if (r.answer.type != MSG_sftp_attrs_NUMBER) {
            *ret_there = *ret_dir = false;
            return 0;
        }
        n->attrs = r.answer.attrs;
    }
    *ret_there = true;
    *ret_dir = n->attrs.flags & SFTP_ATTR_PERMISSIONS && S_ISDIR(n->attrs.permissions);
    if (n->attrs.flags & SFTP_ATTR_PERMISSIONS && S_ISLNK(n->attrs.permissions)) return remote_is_dir(s, n->name, ret_dir);
    return 0;
}

static struct listing_flags flags_of(const struct line *l)
{
    const bool *f = l->flags;
    return (struct listing_flags){ .one = f['1'],
                                   .all = f['a'],
                                   .unsorted = f['f'],
                                   .human = f['h'],
                                   .is_long = f['l'] || f['n'],
                                   .numeric = f['n'],
                                   .reverse = f['r'],
                                   .by_size = f['S'],
                                   .by_time = f['t'] };
}

int cmd_ls(struct sftp *s, const struct line *l)
{
    CLEANUP(remote_names_done) struct remote_names matches = REMOTE_NAMES_INIT;
    struct listing_flags f = flags_of(l);
    bool there = true, is_dir = false;
    if (l->words.n == 0) return list_dir(s, s->pwd, "", &f);
    f.from_root = l->words.v[0][0] == '/';
    TRY(remote_matches(s, l->words.v[0], &matches));
    if (matches.n == 1) TRY(look_at(s, &matches.v[0], &there, &is_dir));
    if (matches.n == 0 || !there) {
        CLEANUP(freep) char *path = remote_plain(s, l->words.v[0]);
        return fail(s, "Can't ls: \"%s\" not found", path ? path : l->words.v[0]);
    }
    if (is_dir) {
        const char *path = matches.v[0].name;
        return list_dir(s, path, !f.from_root && strcmp(path, s->pwd) == 0 ? "" : path, &f);
    }
    return print_all(s, &matches, NULL, &f);
}
