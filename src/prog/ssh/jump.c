/* ProxyJump: the connection is made by another ssh, which goes to the last hop through those before it and hands on bytes (-W).
 * Each of them has the configuration of its own host. */
#include "prog/ssh/client.h"

#include "os/spawn.h"

#include <stdio.h>
#include <stdlib.h>

struct hop {
    struct view user, host, port; /* empty: not given */
};

/* [ssh://][user@]host[:port][/], host also in brackets; conf has looked at the form. */
static struct hop parse_hop(struct view text)
{
    struct hop hop = { .host = text };
    if (view_has_prefix(text, "ssh://")) {
        hop.host = view_sub(text, 6, SIZE_MAX);
        if (hop.host.len && hop.host.p[hop.host.len - 1] == '/') hop.host.len--;
    }
    const uint8_t *at = hop.host.len ? memrchr(hop.host.p, '@', hop.host.len) : NULL;
    if (at) {
        hop.user = view_of(hop.host.p, (size_t)(at - hop.host.p));
        hop.host = view_sub(hop.host, hop.user.len + 1, SIZE_MAX);
    }
    const uint8_t *colon = hop.host.len ? memrchr(hop.host.p, ':', hop.host.len) : NULL;
    const uint8_t *bracket = hop.host.len ? memchr(hop.host.p, ']', hop.host.len) : NULL;
    bool is_bare_v6 = colon && !bracket && memchr(hop.host.p, ':', (size_t)(colon - hop.host.p));
    if (colon && !is_bare_v6 && (!bracket || colon > bracket)) {
        size_t len = (size_t)(colon - hop.host.p);
        hop.port = view_sub(hop.host, len + 1, SIZE_MAX);
        hop.host.len = len;
    }
    if (hop.host.len >= 2 && hop.host.p[0] == '[') hop.host = view_sub(hop.host, 1, hop.host.len - 2);
    return hop;
}

static struct hop last_hop(const struct client *c, struct view *ret_before)
{
    struct view hops = view_str(c->options.proxy_jump);
    const uint8_t *comma = memrchr(hops.p, ',', hops.len);
    *ret_before = comma ? view_of(hops.p, (size_t)(comma - hops.p)) : VIEW_EMPTY;
    return parse_hop(comma ? view_sub(hops, ret_before->len + 1, SIZE_MAX) : hops);
}

static bool is_same_host(struct view host, const char *other)
{
    return other && host.len == strlen(other) && strncasecmp((const char *)host.p, other, host.len) == 0;
}

/* With ProxyJump under "Host *" each ssh would start the next one, without end. */
bool jump_is_loop(const struct client *c)
{
    struct view before;
    struct hop last = last_hop(c, &before);
    char port[16];
    snprintf(port, sizeof port, "%d", c->options.port);
    return (is_same_host(last.host, c->host) || is_same_host(last.host, c->cmd.host)) &&
           view_eq_str(last.port.len ? last.port : VIEW_LIT("22"), port) &&
           view_eq_str(last.user.len ? last.user : view_str(c->me->name), c->remote_user);
}

static int add_pair(struct strv *argv, const char *flag, struct view value)
{
    if (value.len == 0) return 0;
    TRY(strv_add(argv, view_str(flag)));
    return strv_add(argv, value);
}

static int add_verbosity(const struct client *c, struct strv *argv)
{
    static const char flag[] = "-vvv";
    int n = (int)c->sink.log.level - LOG_LEVEL_VERBOSE;
    if (n <= 0 || !c->cmd.is_verbose) return 0;
    return strv_add(argv, view_of(flag, 1 + (size_t)MIN(n, 3)));
}

static void log_command(struct client *c, const struct strv *argv)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 16);
    for (size_t i = 0; i < argv->n; i++)
        if (buf_printf(&text, "%s%s", i ? " " : "", argv->v[i]) < 0) return;
    client_log(c, LOG_LEVEL_DEBUG1, "Setting implicit ProxyCommand from ProxyJump: %.*s", VIEW_ARG(buf_view(&text)));
}

int jump_command(struct client *c, struct strv *ret)
{
    struct view before;
    struct hop last = last_hop(c, &before);
    CLEANUP(freep) char *self = NULL;
    CLEANUP(freep) char *target = NULL;
    bool has_colon = strchr(c->host, ':') != NULL;
    if (asprintf(&target, has_colon ? "[%s]:%d" : "%s:%d", c->host, c->options.port) < 0) return ERR_NOMEM;
    TRY(spawn_self_path(&self));
    TRY(strv_add(ret, view_str(self)));
    TRY(add_pair(ret, "-l", last.user));
    TRY(add_pair(ret, "-p", last.port));
    TRY(add_pair(ret, "-J", before));
    TRY(add_pair(ret, "-F", view_str(c->cmd.config_path)));
    TRY(add_verbosity(c, ret));
    TRY(add_pair(ret, "-W", view_str(target)));
    TRY(strv_add(ret, VIEW_LIT("--")));
    TRY(strv_add(ret, last.host));
    log_command(c, ret);
    return 0;
}
