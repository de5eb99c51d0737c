/* The queue of a job, the table of states, and what all items have in common. */
#include "io/transfer_int.h"

#include "os/fd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    WHY_BYTES = 8192
};

/* ---- the table of states ---- */

/* What was named by the user is followed; what is found in a tree only if it is wanted. */
static int ask_stat(struct item *i)
{
    struct view path = view_str(i->remote);
    return i->depth && !i->t->options.follow_links ? SFTP_CALL(item_client(i), &i->call, sftp_lstat, .path = path)
                                                   : SFTP_CALL(item_client(i), &i->call, sftp_stat, .path = path);
}

static void item_begin_get(struct item *i);

static void on_stat(struct item *i, const struct sftp_answer *a)
{
    if (a->type != MSG_sftp_attrs_NUMBER) {
        item_fail(i, "stat remote \"%s\": %s", i->remote, sftp_client_status_text(a->status));
        return;
    }
    i->attrs = a->attrs;
    item_begin_get(i);
}

static int ask_close(struct item *i) { return SFTP_CALL(item_client(i), &i->call, sftp_close, .handle = item_handle(i)); }

/* Some servers say only here that the disk is full. */
static void on_close(struct item *i, const struct sftp_answer *a)
{
    i->handle_len = 0;
    if (a->status != SFTP_OK && i->is_put && !i->failed)
        item_fail(i, "close remote \"%s\": %s", i->remote, sftp_client_status_text(a->status));
    else
        item_settle(i);
}

static const struct step {
    int (*ask)(struct item *);
    void (*answer)(struct item *, const struct sftp_answer *);
} steps[ITEM_STATE_MAX] = {
    [ITEM_STAT] = { ask_stat, on_stat },
    [ITEM_OPEN] = { file_ask_open, file_on_open },
    [ITEM_TO_OPEN] = { across_ask_open, across_on_open },
    [ITEM_FSTAT] = { file_ask_fstat, file_on_fstat },
    [ITEM_MOVE] = { file_ask_chunks, NULL }, /* each chunk has its own answer */
    [ITEM_SETSTAT] = { file_ask_setstat, file_on_setstat },
    [ITEM_FSYNC] = { file_ask_fsync, file_on_fsync },
    [ITEM_CLOSE] = { ask_close, on_close },
    [ITEM_TO_CLOSE] = { across_ask_close, across_on_close },
    [ITEM_OPENDIR] = { tree_ask_opendir, tree_on_opendir },
    [ITEM_READDIR] = { tree_ask_readdir, tree_on_readdir },
    [ITEM_MKDIR] = { tree_ask_mkdir, tree_on_mkdir },
    [ITEM_MKDIR_STAT] = { tree_ask_mkdir_stat, tree_on_mkdir_stat },
    [ITEM_DIR_SETSTAT] = { tree_ask_setstat, tree_on_setstat },
};

static void on_answer(struct sftp_call *call, const struct sftp_answer *answer)
{
    struct item *i = CONTAINER_OF(call, struct item, call);
    steps[i->state].answer(i, answer);
}

/* ---- items ---- */

static void item_free(struct item *i)
{
    fd_close(i->fd);
    free(i->local);
    free(i->remote);
    free(i);
}

int item_add(struct transfer *t, struct items *list, struct item *parent, const struct item_start *start)
{
    struct item *i = start->take_local && start->take_remote && t->n_items < TRANSFER_ITEMS_MAX ? calloc(1, sizeof *i) : NULL;
    if (!i) {
        free(start->take_local);
        free(start->take_remote);
        return t->n_items < TRANSFER_ITEMS_MAX ? ERR_NOMEM : ERR_LIMIT;
    }
    *i = (struct item){ .call = { on_answer },
                        .t = t,
                        .parent = parent,
                        .depth = parent ? parent->depth + 1 : 0,
                        .is_put = start->is_put,
                        .local = start->take_local,
                        .remote = start->take_remote,
                        .fd = -1 };
    if (start->attrs) i->attrs = *start->attrs;
    TAILQ_INIT(&i->chunks);
    if (parent) parent->n_children++;
    t->n_items++;
    t->sum.n_known++;
    TAILQ_INSERT_TAIL(list, i, link);
    return 0;
}

void item_tell(struct item *i, bool began, bool done)
{
    struct transfer *t = i->t;
    if (!t->owner.progress || i->is_dir) return;
    struct transfer_progress p = t->sum;
    p.path = i->is_put ? i->local : i->remote;
    p.bytes = i->start + i->moved;
    p.size_bytes = i->size;
    p.start_bytes = i->start;
    if (!i->said_begin) i->began = loop_now(t->loop);
    p.took_ms = loop_now(t->loop) - i->began;
    i->said_begin = true;
    t->owner.progress(t->owner.arg, &p, began, done);
}

/* Those that wait beside the list of the active ones are no load. */
static void park(struct item *i)
{
    TAILQ_REMOVE(&i->t->active, i, link);
    TAILQ_INSERT_TAIL(&i->t->parents, i, link);
    i->t->n_active--;
}

static void unpark(struct item *i)
{
    TAILQ_REMOVE(&i->t->parents, i, link);
    TAILQ_INSERT_TAIL(&i->t->active, i, link);
    i->t->n_active++;
}

static void child_done(struct item *parent)
{
    if (--parent->n_children || parent->state != ITEM_CHILDREN) return;
    unpark(parent);
    tree_children_done(parent);
}

static void item_done(struct item *i)
{
    struct transfer *t = i->t;
    struct item *parent = i->parent;
    TAILQ_REMOVE(&t->active, i, link);
    t->n_active--;
    t->n_items--;
    t->sum.n_done += !i->is_dir;
    if (i->said_begin) item_tell(i, false, true);
    item_free(i);
    if (parent) child_done(parent);
}

void item_go(struct item *i, enum item_state state)
{
    i->state = state;
    i->asked = false;
    i->t->changed = true;
    if (state == ITEM_DONE)
        item_done(i);
    else if (state == ITEM_CHILDREN && i->n_children)
        park(i);
    else if (state == ITEM_CHILDREN)
        tree_children_done(i);
}

void item_settle(struct item *i)
{
    i->asked = true; /* whatever comes next is decided by what is on its way */
    if (i->failed) across_drop_held(i);
    if (!TAILQ_EMPTY(&i->chunks) || i->n_calls) return;
    file_close_local(i);
    item_go(i, i->handle_len                           ? ITEM_CLOSE
               : i->to_handle_len                      ? ITEM_TO_CLOSE
               : i->is_dir && i->state < ITEM_CHILDREN ? ITEM_CHILDREN
                                                       : ITEM_DONE);
}

static void say_failed(struct item *i, const char *fmt, va_list args)
{
    char why[WHY_BYTES];
    vsnprintf(why, sizeof why, fmt, args);
    if (!i->failed) log_error(i->t->log, "%s", why);
    i->failed = i->at_end = i->t->failed = true;
}

void item_say_failed(struct item *i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_failed(i, fmt, args);
    va_end(args);
}

void item_fail(struct item *i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say_failed(i, fmt, args);
    va_end(args);
    item_settle(i);
}

/* ---- what it is, and so what is done with it ---- */

static void item_begin_get(struct item *i)
{
    bool has_type = i->attrs.flags & SFTP_ATTR_PERMISSIONS && i->attrs.permissions & S_IFMT;
    mode_t type = has_type ? i->attrs.permissions & S_IFMT : S_IFREG;
    if (type == S_IFLNK && i->t->options.follow_links)
        item_go(i, ITEM_STAT);
    else if (type == S_IFDIR && i->t->options.recursive) {
        i->is_dir = true;
        i->t->sum.n_known--;
        item_go(i, ITEM_OPENDIR);
    } else if (type != S_IFREG)
        item_fail(i, "download \"%s\": not a regular file", i->remote);
    else {
        if (i->attrs.flags & SFTP_ATTR_SIZE) i->size = i->attrs.size;
        i->t->sum.all_size_bytes += i->size;
        item_go(i, ITEM_OPEN);
    }
}

static void item_begin(struct item *i)
{
    if (i->depth > TRANSFER_DEPTH_MAX)
        item_fail(i, "\"%s\": Maximum directory depth exceeded: %d levels", i->is_put ? i->local : i->remote, TRANSFER_DEPTH_MAX);
    else if (i->is_put)
        file_begin(i);
    else if (i->attrs.flags == 0)
        item_go(i, ITEM_STAT);
    else
        item_begin_get(i);
}

/* ---- moving the job ---- */

static void begin_waiting(struct transfer *t)
{
    while (t->n_active < TRANSFER_FILES_MAX && !TAILQ_EMPTY(&t->waiting) && !t->stopping) {
        struct item *i = TAILQ_FIRST(&t->waiting);
        TAILQ_REMOVE(&t->waiting, i, link);
        TAILQ_INSERT_TAIL(&t->active, i, link);
        t->n_active++;
        item_begin(i);
    }
}

/* Each of the active items asks what it has to ask. */
static void ask_all(struct transfer *t)
{
    for (struct item *i = TAILQ_FIRST(&t->active), *next; i; i = next) {
        next = TAILQ_NEXT(i, link);
        if (i->asked) continue;
        int err = steps[i->state].ask(i);
        if (err == 0)
            i->asked = true;
        else if (err != ERR_AGAIN)
            item_fail(i, "%s \"%s\": %s", i->is_put ? "upload" : "download", i->is_put ? i->local : i->remote, err_text(err));
    }
}

/* Room at one server may be used by a request to the other one. */
static void on_room(void *arg)
{
    struct transfer *t = arg;
    size_t before = sftp_client_pending(sftp_conn_client(t->conn));
    size_t to_before = t->to ? sftp_client_pending(sftp_conn_client(t->to)) : 0;
    do { /* an item may have gone on without a request, or made room for others */
        t->changed = false;
        begin_waiting(t);
        ask_all(t);
    } while (t->changed);
    if (!t->to) return;
    if (sftp_client_pending(sftp_conn_client(t->conn)) != before) sftp_conn_wake(t->conn);
    if (sftp_client_pending(sftp_conn_client(t->to)) != to_before) sftp_conn_wake(t->to);
}

static void on_rate_timer(void *arg)
{
    struct transfer *t = arg;
    sftp_conn_wake(t->conn);
}

static int turn(struct transfer *t)
{
    TRY(sftp_conn_turn(t->conn));
    return t->to ? sftp_conn_err(t->to) : 0;
}

int transfer_run(struct transfer *t)
{
    int err = 0;
    sftp_conn_on_room(t->conn, on_room, t);
    if (t->to) sftp_conn_on_room(t->to, on_room, t);
    sftp_conn_wake(t->conn);
    while (t->n_items && err == 0 && !t->stopping) err = turn(t);
    sftp_conn_on_room(t->conn, NULL, NULL);
    if (t->to) sftp_conn_on_room(t->to, NULL, NULL);
    return err < 0 ? err : t->stopping ? ERR_CANCELLED : t->failed ? ERR_DENIED : 0;
}

/* What was handed to the connection the server will still write; what came from it counts up to the first gap. */
static void say_stopped(const struct item *i, uint64_t next)
{
    log_info(i->t->log, "\"%s\" has the first %llu of %llu bytes.", i->is_put ? i->remote : i->local,
             (unsigned long long)MAX(next, i->check_end), (unsigned long long)i->size);
}

/* Nothing of it will be answered to us any more; what it has stays. */
static void abandon(struct item *i)
{
    struct sftp_client *client = item_client(i);
    struct chunk *c;
    uint64_t sent = i->next;
    while ((c = TAILQ_FIRST(&i->chunks))) {
        sftp_client_forget(client, &c->call);
        if (item_is_across(i)) sftp_client_forget(item_to_client(i), &c->call);
        i->next = MIN(i->next, c->offset);
        TAILQ_REMOVE(&i->chunks, c, link);
        free(c->held);
        free(c);
    }
    sftp_client_forget(client, &i->call);
    if (item_is_across(i)) sftp_client_forget(item_to_client(i), &i->call);
    i->failed = true;
    if (i->t->stopping && i->said_begin) say_stopped(i, i->is_put ? sent : i->next);
    file_close_local(i);
    if (i->handle_len) (void)!SFTP_CALL(client, NULL, sftp_close, .handle = item_handle(i));
    if (i->to_handle_len) (void)!SFTP_CALL(item_to_client(i), NULL, sftp_close, .handle = item_to_handle(i));
}

static void drop_list(struct items *list)
{
    struct item *i;
    while ((i = TAILQ_FIRST(list))) {
        abandon(i);
        TAILQ_REMOVE(list, i, link);
        item_free(i);
    }
}

void transfer_stop(struct transfer *t) { t->stopping = true; }

int transfer_get(struct transfer *t, const char *remote, const char *local, const struct sftp_attrs *attrs)
{
    const struct item_start start = { false, view_dup_str(view_str(local)), view_dup_str(view_str(remote)), attrs };
    return item_add(t, &t->waiting, NULL, &start);
}

int transfer_across(struct transfer *t, struct sftp_conn *to, const char *remote, const char *there, const struct sftp_attrs *attrs)
{
    const struct item_start start = { false, view_dup_str(view_str(there)), view_dup_str(view_str(remote)), attrs };
    if (t->to != to && (t->to || t->n_items || to == t->conn)) {
        free(start.take_local);
        free(start.take_remote);
        return ERR_STATE;
    }
    t->to = to;
    t->options.request_bytes = MIN(t->options.request_bytes, sftp_conn_facts(to)->write_max_bytes);
    return item_add(t, &t->waiting, NULL, &start);
}

int transfer_put(struct transfer *t, const char *local, const char *remote)
{
    const struct item_start start = { true, view_dup_str(view_str(local)), view_dup_str(view_str(remote)), NULL };
    return item_add(t, &t->waiting, NULL, &start);
}

int transfer_new(struct sftp_conn *conn, struct loop *loop, const struct log *log, const struct transfer_options *options,
                 const struct transfer_owner *owner, struct transfer **ret)
{
    CLEANUP(transfer_freep) struct transfer *t = calloc(1, sizeof *t);
    const struct sftp_client_facts *facts = sftp_conn_facts(conn);
    if (!t) return ERR_NOMEM;
    *t = (struct transfer){ .conn = conn, .loop = loop, .log = log, .options = *options, .owner = *owner };
    TAILQ_INIT(&t->waiting);
    TAILQ_INIT(&t->active);
    TAILQ_INIT(&t->parents);
    if (t->options.request_bytes == 0) t->options.request_bytes = MIN(facts->read_max_bytes, facts->write_max_bytes);
    size_t most = t->options.limit_bits_s ? (size_t)TRANSFER_LIMITED_BYTES : (size_t)SFTP_DATA_MAX_BYTES;
    t->options.request_bytes = MIN(t->options.request_bytes, most);
    t->flight_max = TRANSFER_FLIGHT_START_BYTES;
    t->rate_since = loop_now(loop);
    TRY(loop_timer_new(loop, on_rate_timer, t, &t->rate_timer));
    *ret = TAKE(t);
    return 0;
}

void transfer_free(struct transfer *t)
{
    if (!t) return;
    drop_list(&t->active);
    drop_list(&t->parents);
    drop_list(&t->waiting);
    loop_timer_free(t->rate_timer);
    free(t);
}
