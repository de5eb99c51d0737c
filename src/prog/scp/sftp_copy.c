/* Copying by SFTP: what a source means at its server, what it is called at the target, and all of it given to io/transfer.h, as
 * much as can be at once. */
#include "prog/scp/scp.h"

#include "io/remote_glob.h"
#include "os/file.h"
#include "os/spawn.h"

#include <errno.h>
#include <search.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct remote {
    struct sftp_conn *conn; /* NULL: none */
    const struct scp_place *place;
    pid_t pid;
};

enum way {
    WAY_UP,
    WAY_DOWN,
    WAY_ACROSS
};

struct sftp_copy {
    struct scp *s;
    const struct scp_place *target;
    struct remote to, from; /* from: the machine of the last remote source */
    bool to_is_bad;         /* the target cannot be had: said */
    char *path;             /* of the target, as its server understands it */
    bool exists, is_dir;    /* the target */
    struct transfer *job;   /* NULL: none is begun */
    enum way way;           /* of the job */
    void *names;            /* tsearch: what the job writes */
    bool stopped;           /* by an interrupt */
};

/* ---- connections ---- */

static bool is_gone(int err) { return err == ERR_PEER_CLOSED || err == ERR_SYS(EPIPE) || err == ERR_SYS(ECONNRESET); }

/* What the end of a connection is called: ssh has said why, if it knows. */
static void say_over(struct sftp_copy *c, int err)
{
    if (err == ERR_CANCELLED)
        c->s->failed = true;
    else
        scp_fail(c->s, "%s", is_gone(err) ? "Connection closed" : err_text(err));
}

static void disconnect(struct remote *r)
{
    if (!r->conn) return;
    int status; /* of no interest: all that was copied was acknowledged, or that was said */
    sftp_conn_free(r->conn);
    (void)!spawn_wait(r->pid, &status);
    *r = (struct remote){ .conn = NULL };
}

static bool connect(struct sftp_copy *c, const struct scp_place *place, struct remote *ret)
{
    struct ssh_child child;
    if (scp_connect(c->s, place, NULL, false, &child) < 0) return false;
    *ret = (struct remote){ .place = place, .pid = child.pid };
    int err = sftp_conn_new(c->s->loop, child.in_fd, child.out_fd, &c->s->log, &ret->conn);
    if (err == 0) err = sftp_conn_hello(ret->conn);
    if (err == 0) return true;
    say_over(c, err);
    if (ret->conn)
        disconnect(ret);
    else
        scp_disconnect(c->s, child.pid);
    return false;
}

/* ---- paths at a server ---- */

static int expand_by_server(struct sftp_conn *conn, const char *path, struct sftp_reply *reply)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(1 << 20);
    struct wr w = wr_of(&data);
    wr_cstr(&w, path);
    TRY(wr_end(&w));
    return SFTP_ASK(conn, reply, sftp_extended, .name = view_str(sftp_extension_name(SFTP_EXT_EXPAND_PATH)),
                    .data = buf_view(&data));
}

static int first_name(const struct sftp_answer *a, char **ret)
{
    struct rd r = a->names;
    if (a->type != MSG_sftp_name_NUMBER) return ERR_NOT_FOUND;
    struct sftp_name name = sftp_name_read(&r);
    TRY(rd_stop(&r));
    if (view_has_nul(name.name) || name.name.len == 0) return ERR_FORMAT;
    *ret = view_dup_str(name.name);
    return *ret ? 0 : ERR_NOMEM;
}

/* ~ and ~/path are where a session begins; another user's home only the server knows. Negative: the connection's end; else *ret, or
 * NULL and it was said. */
static int expand(struct sftp_copy *c, struct remote *r, char **ret)
{
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    const char *path = r->place->path;
    if (path[0] != '~' || path[1] == '/' || !path[1]) {
        if (path[0] == '~') path += path[1] ? 2 : 1;
        while (r->place->path[0] == '~' && *path == '/') path++;
        *ret = view_dup_str(view_str(*path ? path : "."));
        return *ret ? 0 : ERR_NOMEM;
    }
    if (!sftp_conn_facts(r->conn)->has[SFTP_EXT_EXPAND_PATH]) {
        scp_fail(c->s, "server expand-path extension is required for ~user paths in SFTP mode");
        return 0;
    }
    TRY(expand_by_server(r->conn, path, &reply));
    int err = first_name(&reply.answer, ret);
    if (err < 0) scp_fail(c->s, "%s: %s", path, sftp_client_status_text(reply.answer.status ? reply.answer.status : SFTP_FAILURE));
    return err == ERR_NOMEM ? err : 0;
}

/* ---- jobs ---- */

static int compare(const void *a, const void *b) { return strcmp(a, b); }

static void forget_names(struct sftp_copy *c)
{
    tdestroy(c->names, free);
    c->names = NULL;
}

static void on_stop_signal(void *arg, UNUSED int number)
{
    struct sftp_copy *c = arg;
    c->stopped = true;
    if (c->job)
        transfer_stop(c->job);
    else
        _exit(SCP_FAILED); /* nothing is on its way */
}

/* What was added is copied. */
static void run_job(struct sftp_copy *c)
{
    if (!c->job) return;
    int err = c->stopped ? ERR_CANCELLED : transfer_run(c->job);
    transfer_free(c->job);
    c->job = NULL;
    forget_names(c);
    if (err == ERR_DENIED)
        c->s->failed = true;
    else if (err < 0)
        say_over(c, err);
    if (c->to.conn && sftp_conn_err(c->to.conn) < 0) c->to_is_bad = true;
}

static int begin_job(struct sftp_copy *c, enum way way)
{
    const struct scp_options *o = &c->s->o;
    const struct transfer_options options = { .preserve = o->preserve,
                                              .recursive = o->recursive,
                                              .follow_links = true,
                                              .limit_bits_s = o->limit_bits_s,
                                              .request_bytes = o->request_bytes,
                                              .requests_max = o->requests_max };
    const struct transfer_owner owner = { c->s->meter ? meter_progress : NULL, c->s->meter };
    if (c->job && c->way == way) return 0;
    run_job(c);
    c->way = way;
    return transfer_new(way == WAY_UP ? c->to.conn : c->from.conn, c->s->loop, &c->s->log, &options, &owner, &c->job);
}

/* Two sources with one name: the second one has to wait, as it is to win. */
static int wait_for_name(struct sftp_copy *c, enum way way, const char *to)
{
    if (c->names && tfind(to, &c->names, compare)) {
        run_job(c);
        TRY(begin_job(c, way));
    }
    char *name = view_dup_str(view_str(to));
    if (name && tsearch(name, &c->names, compare)) return 0;
    free(name);
    return ERR_NOMEM;
}

static void add(struct sftp_copy *c, enum way way, const char *from, const char *to, const struct sftp_attrs *attrs)
{
    int err = begin_job(c, way);
    if (err == 0) err = wait_for_name(c, way, to);
    if (err == 0 && !c->stopped)
        err = way == WAY_UP     ? transfer_put(c->job, from, to)
              : way == WAY_DOWN ? transfer_get(c->job, from, to, attrs)
                                : transfer_across(c->job, c->to.conn, from, to, attrs);
    if (err < 0) scp_fail(c->s, "%s: %s", from, err_text(err));
}

/* ---- the target ---- */

static bool is_dir_of(const struct sftp_attrs *a) { return a->flags & SFTP_ATTR_PERMISSIONS && S_ISDIR(a->permissions); }

static int make_target(struct sftp_copy *c)
{
    static const struct view no_attrs = VIEW_LIT("\0\0\0\0");
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    TRY(SFTP_ASK(c->to.conn, &reply, sftp_mkdir, .path = view_str(c->path), .attrs = no_attrs));
    c->is_dir = c->exists = reply.answer.status == SFTP_OK;
    if (!c->is_dir) scp_fail(c->s, "remote mkdir \"%s\": %s", c->path, sftp_client_status_text(reply.answer.status));
    return 0;
}

/* Several sources need a directory: it is made if nothing is there. */
static int look_at_target(struct sftp_copy *c)
{
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    TRY(expand(c, &c->to, &c->path));
    c->to_is_bad = !c->path;
    if (c->to_is_bad) return 0;
    TRY(SFTP_ASK(c->to.conn, &reply, sftp_stat, .path = view_str(c->path)));
    c->exists = reply.answer.type == MSG_sftp_attrs_NUMBER;
    c->is_dir = c->exists && is_dir_of(&reply.answer.attrs);
    if (c->is_dir || !c->s->o.must_be_dir) return 0;
    if (c->exists)
        scp_fail(c->s, "%s: destination is not a directory", c->path);
    else
        TRY(make_target(c));
    c->to_is_bad = !c->is_dir;
    return 0;
}

static bool has_target(struct sftp_copy *c)
{
    if (c->to_is_bad || c->stopped || !c->target->remote || c->to.conn) return !c->to_is_bad && !c->stopped;
    c->to_is_bad = !connect(c, c->target, &c->to);
    int err = c->to_is_bad ? 0 : look_at_target(c);
    if (err < 0) say_over(c, err);
    c->to_is_bad = c->to_is_bad || err < 0;
    return !c->to_is_bad;
}

/* What a source is called at the target. Caller frees. */
static char *name_at_target(const struct sftp_copy *c, const char *from)
{
    return c->is_dir ? scp_join(c->path, scp_base_name(from)) : view_dup_str(view_str(c->path));
}

static void add_named(struct sftp_copy *c, enum way way, const char *from, const struct sftp_attrs *attrs)
{
    CLEANUP(freep) char *to = name_at_target(c, from);
    if (to)
        add(c, way, from, to, attrs);
    else
        scp_fail(c->s, "%s: %s", from, err_text(ERR_NOMEM));
}

/* ---- sources ---- */

static void add_local(struct sftp_copy *c, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        scp_fail(c->s, "stat local \"%s\": %s", path, err_text(ERR_SYS(errno)));
    else if (S_ISDIR(st.st_mode) && c->s->o.recursive && c->exists && !c->is_dir)
        scp_fail(c->s, "\"%s\" exists but is not a directory", c->path);
    else
        add_named(c, WAY_UP, path, NULL);
}

/* One that is no pattern is asked for, so that its absence is said in the words that all know. */
static int add_plain(struct sftp_copy *c, enum way way, const char *path)
{
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    TRY(SFTP_ASK(c->from.conn, &reply, sftp_stat, .path = view_str(path)));
    const struct sftp_answer *a = &reply.answer;
    if (a->type != MSG_sftp_attrs_NUMBER)
        scp_fail(c->s, "%s: %s", path, sftp_client_status_text(a->status ? a->status : SFTP_FAILURE));
    else if (is_dir_of(&a->attrs) && c->s->o.recursive && c->exists && !c->is_dir)
        scp_fail(c->s, "\"%s\" exists but is not a directory", c->path);
    else
        add_named(c, way, path, &a->attrs);
    return 0;
}

static bool is_link(const struct sftp_attrs *a)
{
    return !(a->flags & SFTP_ATTR_PERMISSIONS) || S_ISLNK(a->permissions) || !(a->permissions & S_IFMT);
}

static bool can_take_several(struct sftp_copy *c, enum way way)
{
    if (c->is_dir) return true;
    if (c->exists) {
        scp_fail(c->s, "Multiple files match pattern, but destination \"%s\" is not a directory", c->path);
        return false;
    }
    if (way == WAY_DOWN && mkdir(c->path, 0777) == 0) return c->is_dir = c->exists = true;
    if (way == WAY_DOWN) scp_fail(c->s, "mkdir %s: %s", c->path, err_text(ERR_SYS(errno)));
    if (way == WAY_ACROSS && make_target(c) < 0) scp_fail(c->s, "Connection closed");
    return c->is_dir;
}

static int add_pattern(struct sftp_copy *c, enum way way, const char *pattern)
{
    CLEANUP(remote_names_done) struct remote_names names = REMOTE_NAMES_INIT;
    TRY(remote_glob(c->from.conn, pattern, &c->stopped, &names));
    size_t n = 0;
    for (size_t i = 0; i < names.n; i++) n += !view_eq_str(scp_base_name(names.v[i].name), ".");
    if (n == 0) scp_fail(c->s, "%s: No such file or directory", pattern);
    if (n == 0 || (n > 1 && !can_take_several(c, way))) return 0;
    for (size_t i = 0; i < names.n; i++)
        if (!view_eq_str(scp_base_name(names.v[i].name), "."))
            add_named(c, way, names.v[i].name, is_link(&names.v[i].attrs) ? NULL : &names.v[i].attrs);
    return 0;
}

static int add_remote(struct sftp_copy *c, enum way way)
{
    CLEANUP(freep) char *path = NULL;
    TRY(expand(c, &c->from, &path));
    if (!path) return 0;
    if (remote_glob_is_pattern(path)) return add_pattern(c, way, path);
    CLEANUP(freep) char *plain = remote_glob_unescape(path);
    return plain ? add_plain(c, way, plain) : ERR_NOMEM;
}

static bool has_source(struct sftp_copy *c, const struct scp_place *source)
{
    bool is_good = c->from.conn && sftp_conn_err(c->from.conn) == 0;
    if (is_good && scp_place_same_host(source, c->from.place)) {
        c->from.place = source;
        return true;
    }
    run_job(c);
    disconnect(&c->from);
    return !c->stopped && connect(c, source, &c->from);
}

void sftp_copy_add(struct sftp_copy *c, const struct scp_place *source)
{
    if (!has_target(c)) {
        c->s->failed = true;
        return;
    }
    if (!source->remote) {
        add_local(c, source->path);
        return;
    }
    if (!has_source(c, source)) {
        c->s->failed = true;
        return;
    }
    int err = add_remote(c, c->target->remote ? WAY_ACROSS : WAY_DOWN);
    if (err < 0) say_over(c, err);
}

/* ---- life ---- */

int sftp_copy_new(struct scp *s, const struct scp_place *target, struct sftp_copy **ret)
{
    static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
    struct sftp_copy *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    *c = (struct sftp_copy){ .s = s, .target = target };
    int err = 0;
    for (size_t i = 0; i < ARRAY_LEN(stops) && err == 0; i++) err = loop_signal(s->loop, stops[i], on_stop_signal, c);
    if (err == 0 && !target->remote) {
        c->path = view_dup_str(view_str(target->path));
        c->exists = file_exists(target->path);
        c->is_dir = file_is_dir(target->path);
        if (!c->path) err = ERR_NOMEM;
    }
    if (err < 0)
        free(c);
    else
        *ret = c;
    return err;
}

void sftp_copy_end(struct sftp_copy *c)
{
    run_job(c);
    disconnect(&c->from);
    disconnect(&c->to);
    if (c->stopped) c->s->failed = true;
    free(c->path);
    free(c);
}
