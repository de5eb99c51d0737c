/* Two tables, one for each family: a tree by address (tsearch: balanced, so no choice of addresses makes it slow) and a heap by the
 * time at which a source is forgotten. */
#include "prog/sshd/penalties.h"

#include "base/ip_match.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ADDR_BYTES = 16
};

struct source {
    uint8_t addr[ADDR_BYTES]; /* masked; IPv4 takes the first four */
    ms until;
    size_t heap_idx;
    enum penalty kind; /* the latest */
    bool is_active, was_told;
};

struct table {
    void *tree;
    struct source **heap; /* earliest first */
    size_t n, cap, max;
    size_t addr_bytes;
    int bits;
    bool deny_all;
    bool overflow_was_told;
};

struct penalties {
    struct conf_penalties conf;
    const char *exempt;
    struct table v4, v6;
};

static const char *const reasons[PENALTY_KINDS] = {
    [PENALTY_CRASH] = "penalty: caused crash",
    [PENALTY_AUTHFAIL] = "penalty: failed authentication",
    [PENALTY_INVALIDUSER] = "penalty: attempted authentication by invalid user",
    [PENALTY_REFUSECONNECTION] = "penalty: connection prohibited by RefuseConnection",
    [PENALTY_NOAUTH] = "penalty: connections without attempting authentication",
    [PENALTY_GRACE_EXCEEDED] = "penalty: exceeded LoginGraceTime",
};

static ms cost_of(const struct conf_penalties *c, enum penalty kind)
{
    const int64_t costs[PENALTY_KINDS] = {
        [PENALTY_CRASH] = c->crash_ms,
        [PENALTY_AUTHFAIL] = c->authfail_ms,
        [PENALTY_INVALIDUSER] = c->invaliduser_ms,
        [PENALTY_REFUSECONNECTION] = c->refuseconnection_ms,
        [PENALTY_NOAUTH] = c->noauth_ms,
        [PENALTY_GRACE_EXCEEDED] = c->grace_exceeded_ms,
    };
    return costs[kind];
}

int penalties_new(const struct conf_penalties *conf, const struct conf_net_block *block, const char *exempt, struct penalties **ret)
{
    struct penalties *p = calloc(1, sizeof *p);
    if (!p) return ERR_NOMEM;
    p->conf = *conf;
    p->exempt = exempt;
    p->v4 = (struct table){
        .max = (size_t)conf->max_sources4, .addr_bytes = 4, .bits = block->bits4, .deny_all = conf->overflow4_deny_all
    };
    p->v6 = (struct table){
        .max = (size_t)conf->max_sources6, .addr_bytes = 16, .bits = block->bits6, .deny_all = conf->overflow6_deny_all
    };
    *ret = p;
    return 0;
}

/* ---- heap ---- */

static void place(struct table *t, size_t i, struct source *s)
{
    t->heap[i] = s;
    s->heap_idx = i;
}

/* Moves a source whose time has changed to where it belongs. */
static void settle(struct table *t, struct source *s)
{
    size_t i = s->heap_idx;
    for (; i > 0 && t->heap[(i - 1) / 2]->until > s->until; i = (i - 1) / 2) place(t, i, t->heap[(i - 1) / 2]);
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < t->n && t->heap[child + 1]->until < t->heap[child]->until) child++;
        if (child >= t->n || t->heap[child]->until >= s->until) break;
        place(t, i, t->heap[child]);
        i = child;
    }
    place(t, i, s);
}

/* ---- tree ---- */

static int compare(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    return memcmp(x->addr, y->addr, ADDR_BYTES);
}

static struct source *find(const struct table *t, const struct source *key)
{
    void *node = tfind(key, (void *const *)&t->tree, compare);
    return node ? *(struct source **)node : NULL;
}

static void forget(struct table *t, struct source *s)
{
    tdelete(s, &t->tree, compare);
    struct source *last = t->heap[--t->n];
    if (last != s) {
        place(t, s->heap_idx, last);
        settle(t, last);
    }
    free(s);
}

static void forget_expired(struct table *t, ms now)
{
    while (t->n && t->heap[0]->until <= now) {
        t->overflow_was_told = false;
        forget(t, t->heap[0]);
    }
}

static void table_done(struct table *t)
{
    while (t->n) forget(t, t->heap[t->n - 1]);
    free(t->heap);
}

void penalties_free(struct penalties *p)
{
    if (!p) return;
    table_done(&p->v4);
    table_done(&p->v6);
    free(p);
}

/* NULL: there is no memory for it. */
static struct source *remember(struct table *t, const struct source *key)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 16;
        struct source **heap = reallocarray(t->heap, cap, sizeof *heap);
        if (!heap) return NULL;
        t->heap = heap;
        t->cap = cap;
    }
    struct source *s = malloc(sizeof *s);
    if (!s) return NULL;
    *s = *key;
    if (!tsearch(s, &t->tree, compare)) {
        free(s);
        return NULL;
    }
    place(t, t->n++, s);
    return s;
}

/* ---- sources ---- */

/* NULL: it has no internet address, or is exempt. */
static struct table *table_of(struct penalties *p, const struct sock_addr *peer, struct source *ret_key)
{
    struct sock_text text;
    int verdict = 0;
    *ret_key = (struct source){ .until = 0 };
    if (!p->conf.on || peer->len == 0) return NULL;
    sock_addr_text(peer, &text);
    if (p->exempt && ip_list_match(view_str(text.host), view_str(p->exempt), &verdict) == 0 && verdict == 1) return NULL;
    struct ip_addr ip;
    if (ip_parse(view_str(text.host), &ip) < 0) return NULL;
    struct table *t = ip.len == 4 ? &p->v4 : &p->v6;
    memcpy(ret_key->addr, ip.bytes, t->addr_bytes);
    for (size_t i = 0; i < t->addr_bytes; i++) {
        int kept = t->bits - 8 * (int)i;
        if (kept < 8) ret_key->addr[i] &= kept <= 0 ? 0 : (uint8_t)(0xff00 >> kept);
    }
    return t;
}

static void name_source(const struct table *t, const struct source *s, char *ret_text, size_t cap)
{
    struct sock_addr a = { .len = sizeof a.in };
    struct sock_text text;
    if (t->addr_bytes == 4) {
        a.in.sin_family = AF_INET;
        memcpy(&a.in.sin_addr, s->addr, 4);
    } else {
        a.len = sizeof a.in6;
        a.in6.sin6_family = AF_INET6;
        memcpy(&a.in6.sin6_addr, s->addr, 16);
    }
    sock_addr_text(&a, &text);
    snprintf(ret_text, cap, "%.50s/%d", text.host, t->bits);
}

void penalties_add(struct penalties *p, const struct sock_addr *peer, enum penalty kind, ms now, struct penalty_note *ret)
{
    struct source key;
    *ret = (struct penalty_note){ .span_ms = 0 };
    ms cost = cost_of(&p->conf, kind);
    struct table *t = table_of(p, peer, &key);
    if (!t || cost == 0) return;
    forget_expired(t, now);
    struct source *s = find(t, &key);
    if (!s && t->n >= t->max && t->deny_all) return;
    if (!s && t->n >= t->max) forget(t, t->heap[0]); /* permissive: whoever would be forgotten first */
    if (!s) {
        s = remember(t, &key);
        if (!s) return;
        s->until = now;
    }
    s->until = MIN(s->until + cost, now + p->conf.max_ms);
    s->kind = kind;
    s->is_active |= s->until - now >= p->conf.min_ms;
    settle(t, s);
    *ret = (struct penalty_note){ .span_ms = s->until - now, .is_active = s->is_active, .reason = reasons[kind] };
    name_source(t, s, ret->source, sizeof ret->source);
}

const char *penalties_refuse(struct penalties *p, const struct sock_addr *peer, ms now, bool *ret_first)
{
    struct source key;
    struct table *t = table_of(p, peer, &key);
    if (!t) return NULL;
    forget_expired(t, now);
    const struct source *found = find(t, &key);
    if (found && found->is_active) {
        struct source *s = t->heap[found->heap_idx];
        *ret_first = !s->was_told;
        s->was_told = true;
        return reasons[s->kind];
    }
    if (t->n < t->max || !t->deny_all) return NULL;
    *ret_first = !t->overflow_was_told;
    t->overflow_was_told = true;
    return t == &p->v4 ? "too many penalised IPv4 sources" : "too many penalised IPv6 sources";
}

size_t penalties_n(struct penalties *p, ms now)
{
    forget_expired(&p->v4, now);
    forget_expired(&p->v6, now);
    return p->v4.n + p->v6.n;
}
