#include "io/lookup.h"

#include "base/buf.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>

enum {
    WHY_BYTES = 128,
    READ_BYTES = 4096
};

/* What the copy writes, with n addresses behind it. */
struct answer {
    int err;
    uint32_t n;
    char why[WHY_BYTES];
};

struct asker {
    LIST_ENTRY(asker) link;
    lookup_fn *fn;
    void *arg;
};

struct question {
    TAILQ_ENTRY(question) link;
    struct lookups *l;
    char *host;
    int family;
    pid_t pid; /* 0: waits for its turn */
    int fd;
    struct loop_fd *watch;
    struct buf answer;
    LIST_HEAD(, asker) askers;
};

struct lookups {
    struct loop *loop;
    size_t n_running;
    TAILQ_HEAD(, question) questions;
};

/* ---- in the copy ---- */

static void resolve(const void *arg, int fd)
{
    const struct question *q = arg;
    struct answer a = { .n = 0 };
    struct sock_addrs addrs = SOCK_ADDRS_INIT;
    const char *why = NULL;
    a.err = sock_resolve(q->host, 0, &(struct sock_resolve){ .family = q->family }, &addrs, &why);
    if (a.err < 0) strncpy(a.why, why ? why : err_text(a.err), sizeof a.why - 1);
    if (a.err == 0) a.n = (uint32_t)addrs.n;
    if (fd_write_all(fd, view_of(&a, sizeof a)) == 0) (void)!fd_write_all(fd, view_of(addrs.v, a.n * sizeof *addrs.v));
}

/* ---- in this process ---- */

static void question_free(struct question *q)
{
    struct asker *a;
    int status;
    while ((a = LIST_FIRST(&q->askers))) {
        LIST_REMOVE(a, link);
        free(a);
    }
    loop_fd_free(q->watch);
    fd_close(q->fd);
    if (q->pid) {
        q->l->n_running--;
        (void)kill(q->pid, SIGKILL);
        (void)!spawn_wait(q->pid, &status);
    }
    TAILQ_REMOVE(&q->l->questions, q, link);
    buf_done(&q->answer);
    free(q->host);
    free(q);
}

static int read_answer(const struct question *q, struct answer *ret, struct sock_addrs *ret_addrs)
{
    struct view v = buf_view(&q->answer);
    if (v.len < sizeof *ret) return ERR_TRUNCATED;
    memcpy(ret, v.p, sizeof *ret);
    v = view_sub(v, sizeof *ret, SIZE_MAX);
    if (ret->err < 0) return ret->err;
    if (ret->n == 0 || v.len != ret->n * sizeof *ret_addrs->v) return ERR_TRUNCATED;
    ret_addrs->v = malloc(v.len);
    if (!ret_addrs->v) return ERR_NOMEM;
    memcpy(ret_addrs->v, v.p, v.len);
    ret_addrs->n = ret->n;
    return 0;
}

static void run_next(struct lookups *l);

/* Whoever is called may ask and forget as he likes: the question is no longer to be found then. */
static void give_answer(struct question *q)
{
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    struct answer a = { .n = 0 };
    struct lookups *l = q->l;
    struct asker *one;
    int err = read_answer(q, &a, &addrs);
    char *host = TAKE(q->host);
    while ((one = LIST_FIRST(&q->askers))) {
        struct asker now = *one;
        LIST_REMOVE(one, link);
        free(one);
        now.fn(now.arg, err, a.why[0] ? a.why : err_text(err), &addrs);
    }
    free(host);
    question_free(q);
    run_next(l);
}

static void on_answer(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct question *q = arg;
    uint8_t *area;
    size_t n = 0;
    int err = buf_reserve(&q->answer, READ_BYTES, &area);
    if (err == 0) err = fd_read(q->fd, area, READ_BYTES, &n);
    if (err == ERR_AGAIN) return;
    if (err == 0) buf_commit(&q->answer, n);
    if (err < 0 || n == 0) give_answer(q);
}

static int run(struct question *q)
{
    TRY(spawn_aside(resolve, q, &q->pid, &q->fd));
    q->l->n_running++;
    return loop_fd_new(q->l->loop, q->fd, LOOP_READ, on_answer, q, &q->watch);
}

/* A question that cannot be asked is answered as one without answer. */
static void run_next(struct lookups *l)
{
    struct question *q;
    TAILQ_FOREACH(q, &l->questions, link)
    {
        if (q->pid || !q->host || l->n_running == LOOKUPS_AT_ONCE) continue;
        if (run(q) < 0) {
            give_answer(q);
            return;
        }
    }
}

static struct question *find(const struct lookups *l, const char *host, int family)
{
    struct question *q;
    TAILQ_FOREACH(q, &l->questions, link)
    {
        if (q->host && q->family == family && strcmp(q->host, host) == 0) return q;
    }
    return NULL;
}

static int add(struct lookups *l, const char *host, int family, struct question **ret)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q) return ERR_NOMEM;
    *q = (struct question){ .l = l, .host = strdup(host), .family = family, .fd = -1 };
    buf_init(&q->answer, sizeof(struct answer) + SOCK_ADDRS_MAX * sizeof(struct sock_addr) + READ_BYTES);
    LIST_INIT(&q->askers);
    TAILQ_INSERT_TAIL(&l->questions, q, link);
    int err = q->host ? 0 : ERR_NOMEM;
    if (err == 0 && l->n_running < LOOKUPS_AT_ONCE) err = run(q);
    if (err < 0) {
        question_free(q);
        return err;
    }
    *ret = q;
    return 0;
}

int lookups_ask(struct lookups *l, const char *host, int family, lookup_fn *fn, void *arg)
{
    struct asker *a = calloc(1, sizeof *a);
    struct question *q = find(l, host, family);
    int err = a ? 0 : ERR_NOMEM;
    if (err == 0 && !q) err = add(l, host, family, &q);
    if (err < 0) {
        free(a);
        return err;
    }
    *a = (struct asker){ .fn = fn, .arg = arg };
    LIST_INSERT_HEAD(&q->askers, a, link);
    return 0;
}

void lookups_forget(struct lookups *l, const void *arg)
{
    struct question *q;
    struct asker *a, *next;
    TAILQ_FOREACH(q, &l->questions, link)
    {
        for (a = LIST_FIRST(&q->askers); a; a = next) {
            next = LIST_NEXT(a, link);
            if (a->arg != arg) continue;
            LIST_REMOVE(a, link);
            free(a);
        }
    }
}

int lookups_new(struct loop *loop, struct lookups **ret)
{
    struct lookups *l = calloc(1, sizeof *l);
    if (!l) return ERR_NOMEM;
    l->loop = loop;
    TAILQ_INIT(&l->questions);
    *ret = l;
    return 0;
}

void lookups_free(struct lookups *l)
{
    struct question *q;
    if (!l) return;
    while ((q = TAILQ_FIRST(&l->questions))) question_free(q);
    free(l);
}
