/* Where a client comes from, as its ssh binds it (session-bind@openssh.com), and where a key may go
 * (restrict-destination-v00@openssh.com): PROTOCOL.agent. A client that never bound is local: it may see every key, but a limited
 * key signs for bound ones only. */
#include "proto/agent/server_int.h"

#include "base/pattern.h"
#include "key/cert.h"

/* ---- binding ---- */

void agent_client_sessions_done(struct agent_client *c)
{
    for (size_t i = 0; i < c->n_sessions; i++) {
        buf_done(&c->sessions[i].host_key);
        buf_done(&c->sessions[i].id);
    }
    c->n_sessions = 0;
}

static const struct agent_session *last_session(const struct agent_client *c)
{
    return c->n_sessions ? &c->sessions[c->n_sessions - 1] : NULL;
}

static int add_session(struct agent_client *c, struct view host_key, struct view id, bool is_forwarding)
{
    struct agent_session *s = &c->sessions[c->n_sessions];
    *s = (struct agent_session){ .is_forwarding = is_forwarding };
    buf_init(&s->host_key, AGENT_FRAME_BYTES_MAX);
    buf_init(&s->id, AGENT_FRAME_BYTES_MAX);
    int err = buf_put_view(&s->host_key, host_key);
    if (err == 0) err = buf_put_view(&s->id, id);
    if (err == 0) {
        c->n_sessions++;
        return 0;
    }
    buf_done(&s->host_key);
    buf_done(&s->id);
    return err;
}

int agent_server_on_bind(struct agent_client *c, struct rd *r)
{
    c->bind_was_tried = true; /* one that failed must not leave the client as free as one that never tried */
    struct view host_key = rd_string(r), id = rd_string(r), signature = rd_string(r);
    bool is_forwarding = rd_bool(r);
    TRY(rd_end(r));
    TRY(key_verify_blob(host_key, VIEW_EMPTY, id, signature));
    for (size_t i = 0; i < c->n_sessions; i++) {
        const struct agent_session *s = &c->sessions[i];
        if (!s->is_forwarding) return ERR_DENIED; /* bound for a login: its way ends there */
        if (view_eq(buf_view(&s->id), id)) return view_eq(buf_view(&s->host_key), host_key) ? AGENT_DONE : ERR_DENIED;
    }
    if (c->n_sessions >= AGENT_SERVER_SESSIONS_MAX) return ERR_LIMIT;
    TRY(add_session(c, host_key, id, is_forwarding));
    return AGENT_DONE;
}

/* ---- destinations: string for each, of string from, string to, string reserved ---- */

struct hop {
    struct view user, host;
    struct rd keys; /* string blob, bool is_ca, ... */
};

static int hop_get(struct view raw, struct hop *ret)
{
    struct rd r = rd_of(raw);
    struct hop h = {};
    h.user = rd_cstring(&r);
    h.host = rd_cstring(&r);
    struct view reserved = rd_string(&r);
    if (reserved.len || h.user.len > AGENT_SERVER_USER_BYTES_MAX) rd_fail(&r, ERR_FORMAT);
    h.keys = rd_of(rd_rest(&r));
    TRY(rd_end(&r));
    *ret = h;
    return 0;
}

static bool hop_next_key(struct hop *h, struct view *ret_blob, bool *ret_is_ca)
{
    if (!rd_left(&h->keys)) return false;
    *ret_blob = rd_string(&h->keys);
    *ret_is_ca = rd_bool(&h->keys);
    return h->keys.err == 0;
}

/* 1: one more; 0: that was all. */
static int destination_next(struct rd *list, struct hop *ret_from, struct hop *ret_to)
{
    if (!rd_left(list)) return rd_end(list);
    struct rd r = rd_of(rd_string(list));
    TRY(rd_stop(list));
    struct view from = rd_string(&r), to = rd_string(&r), reserved = rd_string(&r);
    if (reserved.len) rd_fail(&r, ERR_FORMAT);
    TRY(rd_end(&r));
    TRY(hop_get(from, ret_from));
    TRY(hop_get(to, ret_to));
    return 1;
}

static int check_keys(struct hop h, size_t *ret_n)
{
    struct view blob;
    bool is_ca;
    size_t n = 0;
    for (; hop_next_key(&h, &blob, &is_ca); n++) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        TRY(key_from_blob(blob, &k));
    }
    TRY(rd_end(&h.keys));
    *ret_n = n;
    return 0;
}

int agent_destinations_check(struct view destinations)
{
    struct rd list = rd_of(destinations);
    struct hop from, to;
    size_t n = 0, from_keys, to_keys;
    int more;
    while ((more = destination_next(&list, &from, &to)) > 0) {
        if (++n > AGENT_SERVER_DESTINATIONS_MAX) return ERR_LIMIT;
        TRY(check_keys(from, &from_keys));
        TRY(check_keys(to, &to_keys));
        /* From here has neither name nor keys; everything else has both. Nobody is named where a way begins. */
        if ((from.host.len == 0) != (from_keys == 0) || from.user.len || to.host.len == 0 || to_keys == 0) return ERR_FORMAT;
    }
    TRY(more);
    return n ? 0 : ERR_FORMAT;
}

/* A host certificate of this CA, for the hop's host, today. */
static bool is_certified(struct view host_key, struct view ca, struct view host, int64_t wall_s)
{
    struct cert cert;
    const char *reason;
    return cert_parse(host_key, &cert) == 0 && view_eq(cert.ca_key, ca) && !view_eq_str(cert.signature_algorithm, "ssh-rsa") &&
           cert_verify_signature(&cert) == 0 && cert_check(&cert, CERT_HOST, host, wall_s, &reason) == 0;
}

static bool hop_has_key(struct hop h, struct view host_key, int64_t wall_s)
{
    struct view blob;
    bool is_ca;
    while (hop_next_key(&h, &blob, &is_ca))
        if (is_ca ? is_certified(host_key, blob, h.host, wall_s) : view_eq(blob, host_key)) return true;
    return false;
}

/* One step of a way. from.p NULL: from here; to.p NULL: to anywhere. */
struct way {
    struct view from, to;
    const struct view *user; /* NULL: anybody */
};

static bool is_allowed(const struct agent_key *k, struct way way, int64_t wall_s)
{
    struct rd list = rd_of(buf_view(&k->limits.destinations));
    struct hop from, to;
    while (destination_next(&list, &from, &to) > 0) {
        if (way.from.p ? !hop_has_key(from, way.from, wall_s) : from.host.len != 0) continue;
        if (way.to.p && !hop_has_key(to, way.to, wall_s)) continue;
        if (way.user && to.user.len && !pattern_matches(*way.user, to.user)) continue;
        return true;
    }
    return false;
}

bool agent_client_may_use(const struct agent_client *c, const struct agent_key *k, const struct view *user)
{
    struct view from = VIEW_EMPTY;
    if (buf_len(&k->limits.destinations) == 0) return true;
    if (c->n_sessions == 0) return !c->bind_was_tried;
    for (size_t i = 0; i < c->n_sessions; i++) {
        const struct agent_session *s = &c->sessions[i];
        bool is_last = i + 1 == c->n_sessions;
        struct view to = buf_view(&s->host_key);
        if (is_last ? s->is_forwarding && user : !s->is_forwarding) return false; /* nobody logs in on the way */
        if (!is_allowed(k, (struct way){ from, to, is_last ? user : NULL }, c->server->wall_s)) return false;
        from = to;
    }
    /* A key that may go to the host where the client is, but no further, is of no use there and is not shown. */
    return user || !last_session(c)->is_forwarding || is_allowed(k, (struct way){ .from = from }, c->server->wall_s);
}
