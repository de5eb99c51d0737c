/* Listings, and the walk down a pattern's elements: those that are no pattern are taken as they stand, without a question. */
#include "io/remote_glob.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum {
    READDIRS_MAX = 8, /* requests for one listing at once */
    PATH_MAX_BYTES = 1 << 20
};

/* ---- names ---- */

void remote_names_done(struct remote_names *n)
{
    for (size_t i = 0; i < n->n; i++) {
        free(n->v[i].name);
        free(n->v[i].long_name);
    }
    free(n->v);
    *n = (struct remote_names)REMOTE_NAMES_INIT;
}

static int make_room(struct remote_names *n)
{
    if (n->n < n->cap) return 0;
    if (n->n >= REMOTE_NAMES_MAX) return ERR_LIMIT;
    size_t cap = n->cap ? 2 * n->cap : 64;
    struct remote_name *v = reallocarray(n->v, cap, sizeof *v);
    if (!v) return ERR_NOMEM;
    n->v = v;
    n->cap = cap;
    return 0;
}

int remote_names_add(struct remote_names *n, struct view name, struct view long_name, const struct sftp_attrs *attrs)
{
    TRY(make_room(n));
    struct remote_name new = { .name = view_dup_str(name) };
    if (attrs) new.attrs = *attrs;
    if (long_name.len) new.long_name = view_dup_str(long_name);
    if (!new.name || (long_name.len && !new.long_name)) {
        free(new.name);
        free(new.long_name);
        return ERR_NOMEM;
    }
    n->v[n->n++] = new;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct remote_name *)a)->name, ((const struct remote_name *)b)->name);
}

void remote_names_sort(struct remote_names *n)
{
    if (n->n) qsort(n->v, n->n, sizeof *n->v, by_name);
}

char *remote_path_join(const char *dir, struct view name)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(PATH_MAX_BYTES);
    size_t len = strlen(dir);
    bool has_slash = len == 0 || dir[len - 1] == '/';
    if (buf_printf(&b, "%s%s", dir, has_slash ? "" : "/") < 0 || buf_put_view(&b, name) < 0) return NULL;
    return view_dup_str(buf_view(&b));
}

/* ---- listings ---- */

struct listing {
    struct sftp_call call;
    struct remote_names *names;
    unsigned n_out, n_wanted; /* requests that are out, and how many may be */
    bool at_end;
    uint32_t status;
    int err;
};

static int take_names(struct listing *l, const struct sftp_answer *a)
{
    struct rd r = a->names;
    for (uint32_t i = 0; i < a->n_names; i++) {
        struct sftp_name name = sftp_name_read(&r);
        TRY(rd_stop(&r));
        if (name.name.len == 0 || view_has_nul(name.name) || memchr(name.name.p, '/', name.name.len)) continue;
        TRY(remote_names_add(l->names, name.name, name.long_name, &name.attrs));
    }
    return 0;
}

static void on_readdir(struct sftp_call *call, const struct sftp_answer *a)
{
    struct listing *l = CONTAINER_OF(call, struct listing, call);
    l->n_out--;
    l->n_wanted = MIN(2 * l->n_wanted, (unsigned)READDIRS_MAX);
    if (a->type == MSG_sftp_name_NUMBER) {
        if (l->err == 0 && a->n_names) l->err = take_names(l, a);
        l->at_end = l->at_end || l->err < 0 || a->n_names == 0;
    } else {
        if (a->status != SFTP_EOF && !l->at_end) l->status = a->status;
        l->at_end = true;
    }
}

static int read_all(struct sftp_conn *c, struct listing *l, struct view handle, const bool *stop)
{
    while (!l->at_end || l->n_out) {
        while (!l->at_end && l->n_out < l->n_wanted) {
            int err = SFTP_CALL(sftp_conn_client(c), &l->call, sftp_readdir, .handle = handle);
            if (err == ERR_AGAIN) break;
            TRY(err);
            l->n_out++;
        }
        TRY(sftp_conn_turn(c));
        if (stop && *stop) return ERR_CANCELLED;
    }
    return l->err;
}

static int list_handle(struct sftp_conn *c, struct view handle, const bool *stop, struct remote_names *ret, uint32_t *ret_status)
{
    struct listing l = { .call = { on_readdir }, .names = ret, .n_wanted = 2, .status = SFTP_OK };
    int err = read_all(c, &l, handle, stop);
    sftp_client_forget(sftp_conn_client(c), &l.call);
    if (sftp_conn_err(c) == 0) {
        int closing = SFTP_CALL(sftp_conn_client(c), NULL, sftp_close, .handle = handle);
        if (closing == 0) sftp_conn_wake(c);
    }
    *ret_status = l.status;
    return err;
}

int remote_list(struct sftp_conn *c, const char *path, const bool *stop, struct remote_names *ret, uint32_t *ret_status)
{
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    TRY(SFTP_ASK(c, &reply, sftp_opendir, .path = view_str(path)));
    *ret_status = reply.answer.status;
    if (reply.answer.type != MSG_sftp_handle_NUMBER) return 0;
    return list_handle(c, reply.answer.data, stop, ret, ret_status);
}

/* ---- patterns ---- */

static bool is_pattern(struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\\')
            i++;
        else if (memchr("*?[", text.p[i], 3))
            return true;
    }
    return false;
}

bool remote_glob_is_pattern(const char *text) { return is_pattern(view_str(text)); }

static char *unescape(struct view text)
{
    char *out = malloc(text.len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < text.len; i++) {
        if (text.p[i] == '\\' && i + 1 < text.len) i++;
        out[n++] = (char)text.p[i];
    }
    if (out) out[n] = 0;
    return out;
}

char *remote_glob_unescape(const char *text) { return unescape(view_str(text)); }

/* base with all that stands before the next element that is a pattern; *rest begins with that one, or is empty. */
static char *add_plain(const char *base, struct view *rest)
{
    size_t end = 0, at = 0;
    while (at < rest->len) {
        const uint8_t *slash = memchr(rest->p + at, '/', rest->len - at);
        size_t next = slash ? (size_t)(slash - rest->p) + 1 : rest->len;
        if (is_pattern(view_sub(*rest, at, next - at))) break;
        at = end = next;
    }
    CLEANUP(freep) char *plain = unescape(view_sub(*rest, 0, end));
    *rest = view_sub(*rest, end, rest->len);
    char *path = NULL;
    if (!plain) return NULL;
    CLEANUP(buf_done) struct buf b = BUF_INIT(PATH_MAX_BYTES);
    if (buf_printf(&b, "%s%s", base, plain) == 0) path = view_dup_str(buf_view(&b));
    return path;
}

struct walk {
    struct sftp_conn *c;
    const bool *stop;
    struct remote_names *ret;
};

static int add_if_there(struct walk *w, const char *path)
{
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    TRY(SFTP_ASK(w->c, &reply, sftp_lstat, .path = view_str(path)));
    if (reply.answer.type != MSG_sftp_attrs_NUMBER) return 0;
    return remote_names_add(w->ret, view_str(path), VIEW_EMPTY, &reply.answer.attrs);
}

static int walk_down(struct walk *w, const char *base, struct view rest, bool matched);

/* Entries that match the element in front of rest; what stands behind it is looked for in each. */
static int match_element(struct walk *w, const char *base, struct view rest)
{
    CLEANUP(remote_names_done) struct remote_names entries = REMOTE_NAMES_INIT;
    const uint8_t *slash = memchr(rest.p, '/', rest.len);
    size_t len = slash ? (size_t)(slash - rest.p) : rest.len;
    uint32_t status;
    CLEANUP(freep) char *element = view_dup_str(view_sub(rest, 0, len));
    if (!element) return ERR_NOMEM;
    rest = view_sub(rest, len, rest.len);
    TRY(remote_list(w->c, base[0] ? base : ".", w->stop, &entries, &status));
    for (size_t i = 0; i < entries.n; i++) {
        const struct remote_name *e = &entries.v[i];
        if (fnmatch(element, e->name, FNM_PERIOD) != 0) continue;
        CLEANUP(freep) char *path = remote_path_join(base, view_str(e->name));
        if (!path) return ERR_NOMEM;
        if (rest.len == 0)
            TRY(remote_names_add(w->ret, view_str(path), e->long_name ? view_str(e->long_name) : VIEW_EMPTY, &e->attrs));
        else
            TRY(walk_down(w, path, rest, true));
    }
    return 0;
}

static int walk_down(struct walk *w, const char *base, struct view rest, bool matched)
{
    CLEANUP(freep) char *path = add_plain(base, &rest);
    if (!path) return ERR_NOMEM;
    if (rest.len) return match_element(w, path, rest);
    if (matched) return add_if_there(w, path);
    const struct sftp_attrs none = { .flags = 0 };
    return remote_names_add(w->ret, view_str(path), VIEW_EMPTY, &none);
}

int remote_glob(struct sftp_conn *c, const char *pattern, const bool *stop, struct remote_names *ret)
{
    struct walk w = { c, stop, ret };
    TRY(walk_down(&w, "", view_str(pattern), false));
    remote_names_sort(ret);
    return 0;
}
