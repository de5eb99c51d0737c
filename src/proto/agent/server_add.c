/* Keys that are given to the agent, and the constraints they come with (draft-ietf-sshm-ssh-agent 3.2.7). */
#include "proto/agent/server_int.h"

#include "key/private_blob.h"

#include <stdlib.h>

enum {
    CONSTRAIN_LIFETIME = 1,
    CONSTRAIN_CONFIRM = 2,
    CONSTRAIN_EXTENSION = 255,
};

void agent_limits_init(const struct agent_server *s, struct agent_limits *l)
{
    *l = (struct agent_limits){ .expires_at = MS_NEVER };
    buf_init(&l->destinations, AGENT_FRAME_BYTES_MAX);
    if (s->config.lifetime_s) l->expires_at = s->now + (ms)s->config.lifetime_s * 1000;
}

void agent_limits_done(struct agent_limits *l) { buf_done(&l->destinations); }

int agent_limits_copy(const struct agent_limits *from, struct agent_limits *ret)
{
    struct agent_limits l = *from;
    buf_init(&l.destinations, AGENT_FRAME_BYTES_MAX);
    TRY(buf_put_view(&l.destinations, buf_view(&from->destinations)));
    *ret = l;
    return 0;
}

/* ---- extensions: each at most once ---- */

typedef int extension_fn(struct rd *r, struct agent_limits *l);

/* Its data is a bare string, not a string that holds one. */
static int get_sk_provider(struct rd *r, struct agent_limits *l)
{
    if (l->has_provider) return ERR_EXISTS;
    l->provider = rd_cstring(r);
    l->has_provider = true;
    return rd_stop(r);
}

static int get_destinations(struct rd *r, struct agent_limits *l)
{
    struct view destinations = rd_string(r);
    TRY(rd_stop(r));
    if (buf_len(&l->destinations)) return ERR_EXISTS;
    TRY(agent_destinations_check(destinations));
    return buf_put_view(&l->destinations, destinations);
}

/* PROTOCOL.agent: bool certs_only, string of certificates as strings. */
static int get_certs(struct rd *r, struct agent_limits *l)
{
    if (l->has_certs) return ERR_EXISTS;
    l->certs_only = rd_bool(r);
    l->certs = rd_string(r);
    l->has_certs = true;
    TRY(rd_stop(r));
    struct rd certs = rd_of(l->certs);
    size_t n = 0;
    for (; rd_left(&certs); n++) rd_string(&certs);
    TRY(rd_end(&certs));
    return n > AGENT_SERVER_CERTS_MAX ? ERR_LIMIT : 0;
}

static int get_extension(struct rd *r, struct agent_limits *l)
{
    static const struct row {
        const char *name;
        extension_fn *fn;
    } rows[] = {
        { "sk-provider@openssh.com", get_sk_provider },
        { "restrict-destination-v00@openssh.com", get_destinations },
        { "associated-certs-v00@openssh.com", get_certs },
    };
    struct view name = rd_cstring(r);
    TRY(rd_stop(r));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (view_eq_str(name, rows[i].name)) return rows[i].fn(r, l);
    return ERR_UNSUPPORTED; /* a limit that is not understood cannot be kept */
}

static int get_lifetime(const struct agent_server *s, struct rd *r, bool *io_seen, struct agent_limits *l)
{
    uint32_t seconds = rd_u32(r);
    TRY(rd_stop(r));
    if (*io_seen) return ERR_EXISTS;
    *io_seen = true;
    l->expires_at = s->now + (ms)seconds * 1000;
    return 0;
}

int agent_limits_get(const struct agent_server *s, struct rd *r, struct agent_limits *ret)
{
    bool has_lifetime = false;
    agent_limits_init(s, ret);
    while (rd_left(r)) {
        uint8_t kind = rd_u8(r);
        if (kind == CONSTRAIN_LIFETIME)
            TRY(get_lifetime(s, r, &has_lifetime, ret));
        else if (kind == CONSTRAIN_EXTENSION)
            TRY(get_extension(r, ret));
        else if (kind == CONSTRAIN_CONFIRM && !ret->confirm)
            ret->confirm = true;
        else
            return ERR_FORMAT;
    }
    return rd_end(r);
}

/* ---- requests ---- */

/* The owner says once whether the library that a security key is served by may be used; "internal" is ours. */
static int resolve_provider(struct agent_client *c, const struct agent_limits *l, const char **ret)
{
    const struct agent_answer *answer = c->request.answer;
    if (c->n_sessions && !c->server->config.remote_providers && !view_eq_str(l->provider, "internal")) return ERR_DENIED;
    if (!answer) {
        struct agent_question q = { .kind = AGENT_QUESTION_PROVIDER, .provider = l->provider };
        return agent_client_ask(c, &q);
    }
    if (!answer->yes || !answer->provider) return ERR_DENIED;
    *ret = answer->provider;
    return 0;
}

static int add(struct agent_client *c, struct rd *r, bool constrained)
{
    CLEANUP(agent_limits_done) struct agent_limits limits;
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(freep) char *text = NULL;
    const char *provider = NULL;
    agent_limits_init(c->server, &limits);
    TRY(private_blob_get(r, &k));
    struct view comment = rd_cstring(r);
    TRY(constrained ? agent_limits_get(c->server, r, &limits) : rd_end(r));
    if (limits.has_certs || (limits.has_provider && !key_type_of(k)->is_sk)) return ERR_FORMAT;
    if (limits.has_provider) {
        int verdict = resolve_provider(c, &limits, &provider);
        if (verdict != 0) return verdict;
    } else if (key_type_of(k)->is_sk) {
        provider = "internal";
    }
    text = view_dup_str(comment);
    if (!text) return ERR_NOMEM;
    TRY(agent_server_put(c, k, text, provider, &limits));
    return AGENT_DONE;
}

int agent_server_on_add(struct agent_client *c, struct rd *r) { return add(c, r, false); }
int agent_server_on_add_constrained(struct agent_client *c, struct rd *r) { return add(c, r, true); }
