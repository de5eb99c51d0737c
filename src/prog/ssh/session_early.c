/* The session along with the signature (doc/protocol.md, early-session). It is built on a link that holds it back, since what does
 * not fit into the server's limits must not be sent at all; a login that fails forgets it, and the next one makes it anew. */
#include "prog/ssh/session_int.h"

#include "proto/limits.h"
#include "wire/messages.h"

#include <stdlib.h>

enum {
    EARLY_MOST = 8, /* requests with a session behind them: a server counts packets before login */
    WINDOW_START_BYTES = 16 << 20,
};

/* ---- the link ---- */

struct holder {
    struct buf packets; /* string payload, each */
    size_t reserved, n;
};

static int hold_reserve(void *lower, size_t payload_max, uint8_t **ret_payload)
{
    struct holder *h = lower;
    TRY(buf_reserve(&h->packets, 4 + payload_max, ret_payload));
    *ret_payload += 4;
    h->reserved = payload_max;
    return 0;
}

static int hold_commit(void *lower, size_t payload_len)
{
    struct holder *h = lower;
    if (payload_len > h->reserved || ++h->n > LIMIT_EARLY_PACKETS) return ERR_LIMIT;
    struct wr w = wr_area(h->packets.base + h->packets.end, 4);
    wr_u32(&w, (uint32_t)payload_len);
    TRY(wr_end(&w));
    buf_commit(&h->packets, 4 + payload_len);
    return 0;
}

static size_t hold_room(UNUSED void *lower) { return 0; }

static const struct link_ops hold_ops = { hold_reserve, hold_commit, hold_room };

static int send_held(const struct holder *h, const struct link *link)
{
    struct rd r = rd_of(buf_view(&h->packets));
    while (rd_left(&r)) {
        struct view payload = rd_string(&r);
        uint8_t *area;
        TRY(rd_stop(&r));
        TRY(link_reserve(link, payload.len, &area));
        memcpy(area, payload.p, payload.len);
        TRY(link_commit(link, payload.len));
    }
    return 0;
}

/* ---- the session ---- */

static bool has_forwards(const struct ssh_options *o)
{
    return o->local_forward.n || o->remote_forward.n || o->dynamic_forward.n || o->tunnel != CONF_TUNNEL_NO || o->forward_x11;
}

/* A server that compresses from SUCCESS on would take what was sent before it for compressed. */
static bool is_compressed(const struct client *c)
{
    struct transport_chosen chosen;
    transport_chosen(wire_io_transport(c->wire), &chosen);
    return strcmp(chosen.compression_c2s, "none") != 0;
}

/* Not when something has to be done between login and session. */
static bool may_be_early(const struct client *c)
{
    const struct ssh_options *o = &c->options;
    bool runs_local_command = o->permit_local_command && o->local_command && *o->local_command;
    return c->server_takes_early && o->early_session && o->session_type != CONF_SESSION_NONE && !runs_local_command &&
           !has_forwards(o) && !is_compressed(c) && !mux_master_persists(c);
}

/* Larger than a server's: it is the user's own memory, and a download over a long path starts at full speed. */
static int new_conn(const struct client *c, struct conn **ret)
{
    struct conn_config config = { .log = &c->sink.log, .window_start_bytes = WINDOW_START_BYTES };
    return conn_new(&config, ret);
}

/* ERR_LIMIT: it is larger than may be early; nothing was sent. */
static int send_session(struct session *s, struct conn *conn)
{
    struct link link = transport_link(wire_io_transport(s->c->wire));
    struct holder h = { .packets = BUF_INIT_SECRET(LIMIT_EARLY_BYTES) };
    conn_attach(conn, (struct link){ &hold_ops, &h });
    int err = conn_open_early(conn, "session", VIEW_EMPTY, 0, &s->channel);
    if (err == 0) err = session_send_requests(s, conn);
    conn_detach(conn);
    if (err == 0) err = send_held(&h, &link);
    buf_done(&h.packets);
    return err;
}

int session_send_early(struct client *c)
{
    CLEANUP(conn_freep) struct conn *conn = NULL;
    if (!may_be_early(c)) return 0;
    TRY(session_prepare(c));
    struct session *s = c->session;
    if (c->ended || s->n_early == EARLY_MOST) return 0;
    TRY(new_conn(c, &conn));
    client_log(c, LOG_LEVEL_DEBUG1, "Sending the session along with the signature.");
    int err = send_session(s, conn);
    if (err < 0) s->channel = CHANNEL_NONE;
    if (err == ERR_LIMIT) return 0;
    TRY(err);
    s->n_early++;
    s->early = TAKE(conn);
    return 0;
}

void session_forget_early(struct client *c)
{
    struct session *s = c->session;
    if (!s || !s->early) return;
    client_log(c, LOG_LEVEL_DEBUG1, "The session that was sent along is forgotten.");
    conn_free(TAKE(s->early));
    s->channel = CHANNEL_NONE;
}

int session_take_conn(struct client *c, struct conn **ret)
{
    struct session *s = c->session;
    if (!s || !s->early) return new_conn(c, ret);
    s->is_early = true;
    *ret = TAKE(s->early);
    return 0;
}
