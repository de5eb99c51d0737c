/* Channels: their numbers, their states (RFC 4254 5), opens, EOF and close. */
#include "proto/conn/conn_int.h"

#include <stdlib.h>

enum {
    CHANNELS_FIRST = 4
};

const char *channel_state_name(enum channel_state state)
{
    static const char *const names[] = {
#define X(symbol, name) [CH_##symbol] = name,
        CHANNEL_STATES(X)
#undef X
    };
    return names[state];
}

void channel_move(struct conn *c, channel_id id, enum channel_state next)
{
    struct channel *ch = &c->channels[id];
    log_debug3(c->log, "channel %u: %s -> %s", id, channel_state_name(ch->state), channel_state_name(next));
    ch->state = next;
    c->write.area = NULL;
}

/* ---- numbers ---- */

int channel_grow(struct conn *c, uint32_t n)
{
    if (n > LIMIT_CHANNELS) return ERR_LIMIT;
    uint32_t cap = c->cap ? c->cap : CHANNELS_FIRST;
    while (cap < n) cap *= 2;
    if (cap == c->cap) return 0;
    struct channel *channels = realloc(c->channels, cap * sizeof(*channels));
    if (!channels) return ERR_NOMEM;
    memset(channels + c->cap, 0, (cap - c->cap) * sizeof(*channels));
    c->channels = channels;
    c->cap = cap;
    return 0;
}

static int channel_take(struct conn *c, struct view type, enum channel_state state, channel_id *ret)
{
    channel_id id = bits_lowest_free(c->used, LIMIT_CHANNELS);
    if (id == LIMIT_CHANNELS || type.len > CHANNEL_TYPE_BYTES) return ERR_LIMIT;
    TRY(channel_grow(c, id + 1));
    struct channel *ch = &c->channels[id];
    *ch = (struct channel){ .questions = FIFO_EMPTY, .replies = FIFO_EMPTY, .in_packet_max = c->packet_max };
    if (type.len) memcpy(ch->type, type.p, type.len);
    window_init(c, ch);
    bits_set(c->used, id);
    c->n_channels++;
    channel_move(c, id, state);
    *ret = id;
    return 0;
}

/* The slot keeps its user pointer, for the owner that handles the event behind this. */
static void channel_put(struct conn *c, channel_id id)
{
    struct channel *ch = &c->channels[id];
    request_drop_questions(c, ch);
    request_drop_replies(c, ch);
    window_hold(c, ch, 0);
    channel_move(c, id, CH_FREE);
    bits_clear(c->used, id);
    c->n_channels--;
}

/* ---- opens ---- */

int conn_open_early(struct conn *c, const char *type, struct view data, uint32_t theirs, channel_id *ret)
{
    TRY(conn_open(c, type, data, ret));
    struct channel *ch = channel_get(c, *ret);
    ch->theirs = theirs;
    ch->is_early = true;
    return 0;
}

int conn_open(struct conn *c, const char *type, struct view data, channel_id *ret)
{
    size_t most = CONN_MESSAGE_BYTES + strlen(type) + data.len;
    TRY(conn_may_send(c, most));
    channel_id id;
    TRY(channel_take(c, view_str(type), CH_OPENING, &id));
    struct channel *ch = &c->channels[id];
    ch->opened_by_us = true;
    int err = CONN_SEND(c, most, channel_open, .type = view_str(type), .sender = id, .window_bytes = ch->left,
                        .packet_max_bytes = ch->in_packet_max, .data = data);
    if (err < 0) {
        channel_put(c, id);
        return err;
    }
    *ret = id;
    return 0;
}

static int confirm(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct view *ret_data)
{
    struct msg_channel_open_confirmation m;
    TRY(msg_channel_open_confirmation_get(payload, &m));
    if (ch->is_early && m.sender != ch->theirs) return ERR_CHANNEL_STATE;
    ch->theirs = m.sender;
    ch->out_left = m.window_bytes;
    ch->out_packet_max = m.packet_max_bytes;
    channel_move(c, id, CH_OPEN);
    *ret_data = m.data;
    return 0;
}

int channel_on_confirmation(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    struct view data;
    TRY(confirm(c, id, ch, payload, &data));
    *ret = (struct conn_event){ .kind = CONN_OPENED, .channel = id, .data = data };
    return 1;
}

/* The owner closed it before the peer had a number for it: CLOSE can go out only now. */
int channel_on_late_confirmation(struct conn *c, channel_id id, struct channel *ch, struct view payload,
                                 UNUSED struct conn_event *ret)
{
    struct view data;
    TRY(confirm(c, id, ch, payload, &data));
    return conn_close(c, id);
}

int channel_on_open_failure(struct conn *c, channel_id id, UNUSED struct channel *ch, struct view payload, struct conn_event *ret)
{
    struct msg_channel_open_failure m;
    TRY(msg_channel_open_failure_get(payload, &m));
    *ret = (struct conn_event){ .kind = CONN_OPEN_FAILED, .channel = id, .reason = m.reason, .text = m.description };
    channel_put(c, id);
    return 1;
}

static int refuse(struct conn *c, uint32_t theirs, uint32_t reason, const char *text)
{
    struct view description = view_str(text);
    return CONN_SEND(c, CONN_MESSAGE_BYTES + description.len, channel_open_failure, .recipient = theirs, .reason = reason,
                     .description = description);
}

int channel_on_open(struct conn *c, struct view payload, struct conn_event *ret)
{
    struct msg_channel_open m;
    bool may_be_early = c->early_due;
    TRY(msg_channel_open_get(payload, &m));
    c->early_due = c->early_refused = false;
    if (c->n_channels == LIMIT_CHANNELS) return refuse(c, m.sender, OPEN_RESOURCE_SHORTAGE, "too many channels");
    if (m.type.len > CHANNEL_TYPE_BYTES) return refuse(c, m.sender, OPEN_UNKNOWN_CHANNEL_TYPE, "unknown channel type");
    channel_id id;
    TRY(channel_take(c, m.type, CH_ASKED, &id));
    struct channel *ch = &c->channels[id];
    ch->theirs = m.sender;
    ch->is_early = may_be_early;
    ch->out_left = m.window_bytes;
    ch->out_packet_max = m.packet_max_bytes;
    *ret = (struct conn_event){ .kind = CONN_OPEN, .channel = id, .name = m.type, .data = m.data };
    return 1;
}

static int asked(const struct conn *c, channel_id id, struct channel **ret)
{
    struct channel *ch = channel_get(c, id);
    if (!ch) return ERR_NOT_FOUND;
    if (ch->state != CH_ASKED) return ERR_STATE;
    *ret = ch;
    return 0;
}

int conn_open_accept(struct conn *c, channel_id id, struct view data)
{
    struct channel *ch;
    TRY(asked(c, id, &ch));
    TRY(CONN_SEND(c, CONN_MESSAGE_BYTES + data.len, channel_open_confirmation, .recipient = ch->theirs, .sender = id,
                  .window_bytes = ch->left, .packet_max_bytes = ch->in_packet_max, .data = data));
    channel_move(c, id, CH_OPEN);
    return 0;
}

int conn_open_refuse(struct conn *c, channel_id id, uint32_t reason, const char *text)
{
    struct channel *ch;
    TRY(asked(c, id, &ch));
    TRY(refuse(c, ch->theirs, reason, text));
    c->early_refused = ch->is_early;
    channel_put(c, id);
    return 0;
}

/* ---- EOF and close (5.3) ---- */

static int eof_get(struct view payload)
{
    struct msg_channel_eof m;
    return msg_channel_eof_get(payload, &m);
}

int channel_on_eof(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    TRY(eof_get(payload));
    ch->got_eof = true;
    channel_move(c, id, CH_GOT_EOF);
    *ret = (struct conn_event){ .kind = CONN_EOF, .channel = id };
    return 1;
}

int channel_on_late_eof(struct conn *c, channel_id id, struct channel *ch, struct view payload, UNUSED struct conn_event *ret)
{
    TRY(eof_get(payload));
    ch->got_eof = true;
    channel_move(c, id, CH_CLOSING_EOF);
    return 0;
}

static int close_get(struct view payload, channel_id id, struct conn_event *ret)
{
    struct msg_channel_close m;
    TRY(msg_channel_close_get(payload, &m));
    *ret = (struct conn_event){ .kind = CONN_CLOSE, .channel = id };
    return 1;
}

int channel_on_close(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    TRY(close_get(payload, id, ret));
    request_drop_questions(c, ch);
    request_drop_replies(c, ch);
    channel_move(c, id, CH_PEER_CLOSED);
    return 1;
}

int channel_on_late_close(struct conn *c, channel_id id, UNUSED struct channel *ch, struct view payload, struct conn_event *ret)
{
    TRY(close_get(payload, id, ret));
    channel_put(c, id);
    return 1;
}

int conn_send_eof(struct conn *c, channel_id id)
{
    struct channel *ch = channel_get(c, id);
    if (!ch) return ERR_NOT_FOUND;
    if (ch->sent_eof || (!channel_is_open(ch) && ch->state != CH_PEER_CLOSED)) return ERR_STATE;
    if (ch->state != CH_PEER_CLOSED) TRY(CONN_SEND(c, CONN_MESSAGE_BYTES, channel_eof, .recipient = ch->theirs));
    ch->sent_eof = true;
    return 0;
}

int conn_close(struct conn *c, channel_id id)
{
    struct channel *ch = channel_get(c, id);
    if (!ch) return ERR_NOT_FOUND;
    if (ch->state == CH_OPENING) {
        channel_move(c, id, CH_ABANDONED);
        return 0;
    }
    if (!channel_is_open(ch) && ch->state != CH_PEER_CLOSED) return ERR_STATE;
    TRY(CONN_SEND(c, CONN_MESSAGE_BYTES, channel_close, .recipient = ch->theirs));
    if (ch->state == CH_PEER_CLOSED) {
        channel_put(c, id);
        return 0;
    }
    request_drop_questions(c, ch);
    window_hold(c, ch, 0);
    channel_move(c, id, ch->state == CH_GOT_EOF ? CH_CLOSING_EOF : CH_CLOSING);
    return 0;
}

/* ---- facts ---- */

int conn_channel_info(const struct conn *c, channel_id id, struct channel_info *ret)
{
    const struct channel *ch = channel_get(c, id);
    if (!ch) return ERR_NOT_FOUND;
    *ret = (struct channel_info){
        .type = ch->type,
        .ours = id,
        .theirs = ch->theirs,
        .bytes_in = ch->bytes_in,
        .bytes_out = ch->bytes_out,
        .window_in = ch->left,
        .window_in_max = ch->size,
        .window_out = ch->out_left,
        .is_open = channel_is_open(ch),
        .sent_eof = ch->sent_eof,
        .got_eof = ch->got_eof,
        .sent_close = ch->state == CH_CLOSING || ch->state == CH_CLOSING_EOF || ch->state == CH_ABANDONED,
        .got_close = ch->state == CH_PEER_CLOSED,
        .opened_by_us = ch->opened_by_us,
    };
    return 0;
}

channel_id conn_channel_next(const struct conn *c, channel_id from)
{
    channel_id id = bits_next_used(c->used, LIMIT_CHANNELS, from);
    return id == LIMIT_CHANNELS ? CHANNEL_NONE : id;
}

size_t conn_n_channels(const struct conn *c) { return c->n_channels; }

void conn_set_user(struct conn *c, channel_id id, void *user)
{
    struct channel *ch = channel_get(c, id);
    if (ch) ch->user = user;
}

void *conn_user(const struct conn *c, channel_id id) { return id < c->cap ? c->channels[id].user : NULL; }
