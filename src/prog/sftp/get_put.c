/* get and put: which files, where to, and one job for all of them. */
#include "os/file.h"
#include "prog/sftp/sftp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a job ---- */

struct piece {
    char *from, *to;
    struct sftp_attrs attrs; /* get: of from; flags 0: not known */
};
struct pieces {
    struct piece *v;
    size_t n, cap;
    bool is_put;
};

static void pieces_done(struct pieces *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].from);
        free(p->v[i].to);
    }
    free(p->v);
}

static int pieces_add(struct pieces *p, const char *from, char *take_to, const struct sftp_attrs *attrs)
{
    if (p->n == p->cap) {
        struct piece *v = reallocarray(p->v, p->cap ? 2 * p->cap : 64, sizeof *v);
        if (v) p->v = v, p->cap = p->cap ? 2 * p->cap : 64;
    }
    struct piece new = { .from = view_dup_str(view_str(from)), .to = take_to };
    if (attrs) new.attrs = *attrs;
    if (!new.from || !new.to || p->n == p->cap) {
        free(new.from);
        free(new.to);
        return ERR_NOMEM;
    }
    p->v[p->n++] = new;
    return 0;
}

static int by_target(const void *a, const void *b) { return strcmp((*(const char *const *)a), (*(const char *const *)b)); }

/* Whether two pieces have one target: they must not be written at the same time. */
static int has_twins(const struct pieces *p, bool *ret)
{
    CLEANUP(freep) const char **targets = calloc(p->n + 1, sizeof *targets);
    if (!targets) return ERR_NOMEM;
    for (size_t i = 0; i < p->n; i++) targets[i] = p->v[i].to;
    qsort(targets, p->n, sizeof *targets, by_target);
    *ret = false;
    for (size_t i = 1; i < p->n && !*ret; i++) *ret = strcmp(targets[i - 1], targets[i]) == 0;
    return 0;
}

static int run_part(struct sftp *s, const struct pieces *p, size_t from, size_t to, const struct transfer_options *o)
{
    CLEANUP(meter_freep) struct meter *meter = NULL;
    CLEANUP(transfer_freep) struct transfer *t = NULL;
    TRY(meter_new(s->loop, STDOUT_FILENO, &meter));
    const struct transfer_owner owner = { s->progress ? meter_progress : NULL, meter };
    TRY(transfer_new(s->conn, s->loop, s->log, o, &owner, &t));
    for (size_t i = from; i < to; i++) {
        const struct piece *one = &p->v[i];
        if (p->is_put)
            TRY(transfer_put(t, one->from, one->to));
        else
            TRY(transfer_get(t, one->from, one->to, one->attrs.flags ? &one->attrs : NULL));
    }
    fflush(stdout);
    s->running = t;
    s->meter = meter;
    int err = s->interrupted ? ERR_CANCELLED : transfer_run(t);
    transfer_free(TAKE(t)); /* says what is left half done, while the meter can still make way */
    s->running = NULL;
    s->meter = NULL;
    return err;
}

static int run_pieces(struct sftp *s, const struct pieces *p, const struct transfer_options *o)
{
    bool twins;
    int worst = 0;
    TRY(has_twins(p, &twins));
    if (!twins) return run_part(s, p, 0, p->n, o);
    for (size_t i = 0; i < p->n; i++) {
        int err = run_part(s, p, i, i + 1, o);
        if (err < 0 && err != ERR_DENIED) return err;
        worst = MIN(worst, err);
    }
    return worst;
}

static struct transfer_options options_of(const struct sftp *s, const bool flags[128], bool resume)
{
    struct transfer_options o = s->transfer;
    o.preserve = o.preserve || flags['p'] || flags['P'];
    o.recursive = o.recursive || flags['r'] || flags['R'];
    o.sync = o.sync || flags['f'];
    o.resume = o.resume || resume || flags['a'];
    return o;
}

/* What stands behind a directory's name in messages. */
static const char *slash_for(const char *path, bool is_dir)
{
    size_t len = strlen(path);
    return is_dir && (len == 0 || path[len - 1] != '/') ? "/" : "";
}

/* The last element of a path; "." of "/". Caller frees. */
static char *last_element(const char *path)
{
    size_t end = strlen(path);
    while (end && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin && path[begin - 1] != '/') begin--;
    return view_dup_str(end == 0 ? VIEW_LIT(".") : view_of(path + begin, end - begin));
}

/* Where from goes: into dir, if that is one, else it becomes to. dir and to may be NULL. Caller frees; NULL: no memory. */
static char *target_of(const char *from, const char *dir, const char *to)
{
    CLEANUP(freep) char *name = last_element(from);
    if (dir) return name ? remote_path_join(dir, view_str(name)) : NULL;
    return to ? view_dup_str(view_str(to)) : TAKE(name);
}

/* ---- get ---- */

static bool attrs_are_dir(const struct sftp_attrs *a) { return a->flags & SFTP_ATTR_PERMISSIONS && S_ISDIR(a->permissions); }

/* A link's own attributes say nothing about what is transferred. */
static bool attrs_are_final(const struct sftp_attrs *a)
{
    return a->flags & SFTP_ATTR_PERMISSIONS && a->permissions & S_IFMT && !S_ISLNK(a->permissions);
}

static int find_remote(struct sftp *s, const char *from, struct remote_names *ret)
{
    TRY(remote_matches(s, from, ret));
    if (ret->n == 1 && ret->v[0].attrs.flags == 0) {
        uint32_t status;
        TRY(remote_stat(s, ret->v[0].name, &ret->v[0].attrs, &status));
        if (status != SFTP_OK) return fail(s, "File \"%s\" not found.", ret->v[0].name);
    }
    if (ret->n) return 0;
    CLEANUP(freep) char *path = remote_plain(s, from);
    return fail(s, "File \"%s\" not found.", path ? path : from);
}

int get_files(struct sftp *s, const bool flags[128], bool resume, const char *from, const char *to)
{
    CLEANUP(remote_names_done) struct remote_names matches = REMOTE_NAMES_INIT;
    CLEANUP(pieces_done) struct pieces p = { .is_put = false };
    const struct transfer_options o = options_of(s, flags, resume);
    TRY(find_remote(s, from, &matches));
    const char *dir = to && file_is_dir(to) ? to : NULL;
    if (matches.n > 1 && to && !dir) return fail(s, "Multiple source paths, but destination \"%s\" is not a directory", to);
    for (size_t i = 0; i < matches.n; i++) {
        const struct remote_name *m = &matches.v[i];
        TRY(pieces_add(&p, m->name, target_of(m->name, dir, to), attrs_are_final(&m->attrs) ? &m->attrs : NULL));
        say_unless_quiet(s, "%s %s%s to %s", o.resume ? "Resuming" : "Fetching", m->name,
                         slash_for(m->name, attrs_are_dir(&m->attrs)), p.v[i].to);
    }
    return run_pieces(s, &p, &o);
}

static int get(struct sftp *s, const struct line *l, bool resume)
{
    CLEANUP(freep) char *to = l->words.n > 1 ? remote_glob_unescape(l->words.v[1]) : NULL;
    if (l->words.n > 1 && !to) return ERR_NOMEM;
    return get_files(s, l->flags, resume, l->words.v[0], to);
}

int cmd_get(struct sftp *s, const struct line *l) { return get(s, l, false); }
int cmd_reget(struct sftp *s, const struct line *l) { return get(s, l, true); }

/* ---- put ---- */

static int find_local(struct sftp *s, const char *word, struct strv *ret)
{
    CLEANUP(freep) char *plain = remote_glob_unescape(word);
    if (!plain) return ERR_NOMEM;
    if (remote_glob_is_pattern(word))
        TRY(file_glob(word, ret));
    else if (file_exists(plain))
        return strv_add_take(ret, TAKE(plain));
    return ret->n ? 0 : fail(s, "stat %s: %s", plain, strerror(ENOENT));
}

/* Says what is done with it; a thing that is neither file nor directory is left out. */
static int add_local(struct sftp *s, struct pieces *p, const char *from, const char *dir, const char *to, bool resume)
{
    struct stat st;
    if (stat(from, &st) < 0) return fail(s, "stat %s: %s", from, strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return fail(s, "skipping non-regular file %s", from);
    TRY(pieces_add(p, from, target_of(from, dir, to), NULL));
    say_unless_quiet(s, "%s %s%s to %s", resume ? "Resuming upload of" : "Uploading", from, slash_for(from, S_ISDIR(st.st_mode)),
                     p->v[p->n - 1].to);
    return 0;
}

static int put(struct sftp *s, const struct line *l, bool resume)
{
    CLEANUP(strv_done) struct strv matches = STRV_INIT;
    CLEANUP(pieces_done) struct pieces p = { .is_put = true };
    CLEANUP(freep) char *to = l->words.n > 1 ? remote_plain(s, l->words.v[1]) : view_dup_str(view_str(s->pwd));
    const struct transfer_options o = options_of(s, l->flags, resume);
    bool is_dir = true;
    int worst = 0;
    if (!to) return ERR_NOMEM;
    TRY(find_local(s, l->words.v[0], &matches));
    if (l->words.n > 1) TRY(remote_is_dir(s, to, &is_dir));
    if (matches.n > 1 && !is_dir) return fail(s, "Multiple paths match, but destination \"%s\" is not a directory", to);
    for (size_t i = 0; i < matches.n; i++) {
        int err = add_local(s, &p, matches.v[i], is_dir ? to : NULL, to, o.resume);
        if (err < 0 && err != ERR_DENIED) return err;
        worst = MIN(worst, err);
    }
    int err = p.n ? run_pieces(s, &p, &o) : 0;
    return err < 0 ? err : worst;
}

int cmd_put(struct sftp *s, const struct line *l) { return put(s, l, false); }
int cmd_reput(struct sftp *s, const struct line *l) { return put(s, l, true); }
