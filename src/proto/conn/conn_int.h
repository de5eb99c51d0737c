/* What the files of the connection engine share. Not for others. */
#pragma once

#include "proto/conn/conn.h"
#include "proto/conn/queue.h"
#include "proto/limits.h"
#include "wire/messages.h"

/* The states of a channel, seen from what may be received; what may be sent is in sent_eof too. Row: symbol, name. */
#define CHANNEL_STATES(X)                                                                     \
    X(FREE, "free")                                                                           \
    X(OPENING, "opening")     /* our OPEN waits for the peer's word */                        \
    X(ABANDONED, "abandoned") /* the same, but the owner closed it meanwhile */               \
    X(ASKED, "asked")         /* the peer's OPEN waits for our owner's word */                \
    X(OPEN, "open")                                                                           \
    X(GOT_EOF, "got-eof")                                                                     \
    X(CLOSING, "closing")         /* we sent CLOSE; what comes until the peer's is dropped */ \
    X(CLOSING_EOF, "closing-eof") /* the same, and the peer sent EOF */                       \
    X(PEER_CLOSED, "peer-closed") /* the peer sent CLOSE, ours is due */
enum channel_state {
#define X(symbol, name) CH_##symbol,
    CHANNEL_STATES(X)
#undef X
    CH_MAX
};

enum {
    CHANNEL_TYPE_BYTES = 64, /* RFC 4250 4.6.1: names are not longer */
    WINDOW_MARKS = 4,
};

struct channel {
    enum channel_state state; /* written by channel_move only */
    bool sent_eof, got_eof, opened_by_us;
    bool is_early;  /* opened by us: theirs was promised. By the peer: requests may have been sent behind the open */
    bool was_short; /* the peer ran out of a window that was already on its way: see window.c */
    uint8_t n_marks;
    uint32_t theirs;
    /* to the peer */
    uint32_t out_left, out_packet_max;
    /* from the peer: left = what it may still send, unread = what our owner holds, size = what left + unread is kept at, held =
     * what this channel has taken of the budget: size, or what it was before a shrink until so much is consumed */
    uint32_t left, size, held, unread, in_packet_max;
    uint32_t period_consumed, period_unread_min, period_unread_max; /* over the consumption of one window */
    uint64_t bytes_in, bytes_out;
    uint64_t marks[WINDOW_MARKS]; /* rising values of bytes_in */
    uint64_t mark_from;
    struct fifo questions, replies;
    void *user;
    char type[CHANNEL_TYPE_BYTES + 1];
};

struct conn {
    const struct log *log;
    uint32_t window_start, window_max, packet_max;
    size_t window_budget, window_grown; /* grown: sum of held beyond window_start, <= budget */
    struct link link;                   /* ops NULL: detached */
    bool adjusts_due;                   /* conn_attach could not send them all */
    bool early_due;                     /* the peer's first open is still to come, and may be early */
    bool early_refused;                 /* it was, and its requests may still be under way to channel 0 */
    struct channel *channels;
    uint32_t cap, n_channels;
    uint64_t used[LIMIT_CHANNELS / 64];
    struct pool questions, replies;
    struct fifo global_questions, global_replies;
    struct {
        uint8_t *area; /* NULL: nothing reserved */
        size_t len;
        uint32_t header_len, ext_type;
        channel_id channel;
    } write;
};

/* A handler of one message for a channel in one state: 1 with *ret, 0, or an error. payload is the whole message; its number and
 * recipient have been looked at. */
typedef int channel_handler(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret);
channel_handler channel_on_confirmation, channel_on_late_confirmation, channel_on_open_failure, channel_on_eof, channel_on_late_eof,
    channel_on_close, channel_on_late_close;
channel_handler window_on_adjust, window_on_late_adjust, window_on_data, window_on_extended, window_on_late_data,
    window_on_late_extended;
channel_handler request_on_request, request_on_late_request, request_on_success, request_on_failure, request_on_late_success,
    request_on_late_failure;
int channel_on_open(struct conn *c, struct view payload, struct conn_event *ret) MUST_USE;
int request_on_global(struct conn *c, struct view payload, struct conn_event *ret) MUST_USE;
int request_on_global_success(struct conn *c, struct view payload, struct conn_event *ret) MUST_USE;
int request_on_global_failure(struct conn *c, struct view payload, struct conn_event *ret) MUST_USE;

/* ---- channel.c ---- */
const char *channel_state_name(enum channel_state state);
static inline struct channel *channel_get(const struct conn *c, channel_id id)
{
    return id < c->cap && c->channels[id].state != CH_FREE ? &c->channels[id] : NULL;
}
/* Confirmed, and closed by neither side. */
static inline bool channel_is_open(const struct channel *ch) { return ch->state == CH_OPEN || ch->state == CH_GOT_EOF; }
int channel_grow(struct conn *c, uint32_t n) MUST_USE; /* room for ids < n */
void channel_move(struct conn *c, channel_id id, enum channel_state next);

/* ---- window.c ---- */
void window_init(struct conn *c, struct channel *ch);
/* What the channel takes of the budget from now on; 0 when it has closed. */
void window_hold(struct conn *c, struct channel *ch, uint32_t size);
/* Sends what adjusts are due on all channels. */
int window_adjust_all(struct conn *c) MUST_USE;

/* ---- request.c ---- */
/* Questions of a channel that will get no answer any more. */
void request_drop_questions(struct conn *c, struct channel *ch);
void request_drop_replies(struct conn *c, struct channel *ch);

/* Before each use of the link: ERR_AGAIN when detached, ERR_LIMIT for more than fits a packet. Forgets a write that was reserved.
 */
static inline int conn_may_send(struct conn *c, size_t payload_max)
{
    c->write.area = NULL;
    if (!c->link.ops) return ERR_AGAIN;
    return payload_max > LIMIT_PACKET_PAYLOAD_BYTES ? ERR_LIMIT : 0;
}
#define CONN_SEND(c_, payload_max_, name_, ...)                               \
    ({                                                                        \
        struct conn *conn_ = (c_);                                            \
        size_t most_ = (payload_max_);                                        \
        int may_ = conn_may_send(conn_, most_);                               \
        may_ < 0 ? may_ : LINK_SEND(&conn_->link, most_, name_, __VA_ARGS__); \
    })
/* Payload bytes of any message of ours besides the strings in it. */
enum {
    CONN_MESSAGE_BYTES = 40
};
