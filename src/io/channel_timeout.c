#include "io/channel_timeout.h"

#include "base/pattern.h"

#include <stdlib.h>

enum {
    TICK_MS = 250 /* how exact it is */
};

/* What is known of a channel since it was last seen to move. */
struct silence {
    uint64_t bytes;
    ms since; /* 0: not seen yet */
};

struct channel_timeouts {
    struct channel_timeouts_config config;
    struct loop_timer *timer;
    struct silence *v; /* by channel */
    size_t cap;
    ms global, last_moved;
};

/* As ssh_config(5) calls them. */
static const char *public_type(const char *type)
{
    static const char *const names[][2] = { { "x11", "x11-connection" },
                                            { "auth-agent@openssh.com", "agent-connection" },
                                            { "agent-connect", "agent-connection" },
                                            { "tun@openssh.com", "tun-connection" } };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(type, names[i][0]) == 0) return names[i][1];
    return type;
}

/* The first that matches counts; 0: none. */
static ms limit_of(const struct channel_timeouts *t, const char *type)
{
    const struct conf_channel_timeouts *list = t->config.list;
    struct view name = view_str(public_type(type));
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->v[i].type, "global") != 0 && pattern_matches(name, view_str(list->v[i].type))) return list->v[i].ms;
    return 0;
}

static struct silence *silence_of(struct channel_timeouts *t, channel_id ch)
{
    if (ch >= t->cap) {
        size_t cap = MAX(2 * t->cap, (size_t)ch + 16);
        struct silence *v = reallocarray(t->v, cap, sizeof *v);
        if (!v) return NULL;
        memset(v + t->cap, 0, (cap - t->cap) * sizeof *v);
        t->v = v;
        t->cap = cap;
    }
    return &t->v[ch];
}

static bool is_expired(struct channel_timeouts *t, channel_id ch, ms now)
{
    struct channel_info i;
    if (conn_channel_info(t->config.conn, ch, &i) < 0 || !i.is_open || i.sent_close) return false;
    struct silence *s = silence_of(t, ch);
    uint64_t bytes = i.bytes_in + i.bytes_out;
    if (!s) return false;
    if (s->since == 0 || s->bytes != bytes) {
        *s = (struct silence){ .bytes = bytes, .since = now };
        t->last_moved = now;
        return false;
    }
    ms limit = limit_of(t, i.type);
    if (limit == 0 || now - s->since < limit) return false;
    log_verbose(t->config.log, "channel %u: closing %s after %lld seconds of inactivity", ch, i.type, (long long)(limit / 1000));
    return true;
}

static void on_tick(void *arg)
{
    struct channel_timeouts *t = arg;
    struct conn *conn = t->config.conn;
    ms now = loop_now(t->config.loop);
    size_t n_open = 0;
    loop_timer_set(t->timer, now + TICK_MS);
    for (channel_id ch = conn_channel_next(conn, 0); ch != CHANNEL_NONE; ch = conn_channel_next(conn, ch + 1)) {
        n_open++;
        if (is_expired(t, ch, now)) t->config.expired(t->config.arg, ch);
    }
    if (n_open == 0) t->last_moved = now;
    if (t->global == 0 || now - t->last_moved < t->global) return;
    log_verbose(t->config.log, "global channel timeout after %lld seconds of inactivity", (long long)(t->global / 1000));
    t->last_moved = now;
    for (channel_id ch = conn_channel_next(conn, 0); ch != CHANNEL_NONE; ch = conn_channel_next(conn, ch + 1))
        t->config.expired(t->config.arg, ch);
}

void channel_timeouts_event(struct channel_timeouts *t, const struct conn_event *e)
{
    bool is_change = e->kind == CONN_OPEN || e->kind == CONN_OPENED || e->kind == CONN_CLOSE;
    if (t && is_change && e->channel < t->cap) t->v[e->channel] = (struct silence){ .since = 0 };
}

int channel_timeouts_new(const struct channel_timeouts_config *config, struct channel_timeouts **ret)
{
    *ret = NULL;
    if (config->list->n == 0) return 0;
    struct channel_timeouts *t = calloc(1, sizeof *t);
    if (!t) return ERR_NOMEM;
    *t = (struct channel_timeouts){ .config = *config, .last_moved = loop_now(config->loop) };
    for (size_t i = 0; i < config->list->n; i++)
        if (strcmp(config->list->v[i].type, "global") == 0) t->global = config->list->v[i].ms;
    int err = loop_timer_new(config->loop, on_tick, t, &t->timer);
    if (err < 0) {
        free(t);
        return err;
    }
    loop_timer_set(t->timer, loop_now(config->loop) + TICK_MS);
    *ret = t;
    return 0;
}

void channel_timeouts_free(struct channel_timeouts *t)
{
    if (!t) return;
    loop_timer_free(t->timer);
    free(t->v);
    free(t);
}
