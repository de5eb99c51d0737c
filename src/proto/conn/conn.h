/* The connection engine (RFC 4254; OpenSSH PROTOCOL 2: eow, keepalive, no-more-sessions): channels with windows, channel and global
 * requests with replies in order. Symmetric: it does not know whether it plays client or server. It sits on a link (proto/link.h)
 * that can be taken away and replaced in mid-stream: channels, windows, open questions and pending replies live here.
 *
 * A packet gives at most one event. Data events lend the packet's bytes; the owner writes them on (or copies what it could not
 * write) and says conn_consumed as bytes leave its hands, which opens the window again. Sending has no queue here:
 * conn_write_reserve gives a place in the transport's own output, and only as much as window, packet size and link have room for.
 * Calls with a channel id that is not in use give ERR_NOT_FOUND, calls that its state does not allow ERR_STATE. On a channel that
 * the peer has closed (CONN_CLOSE) nothing is sent any more but CLOSE: there is no room for data, requests and EOF are dropped (0).
 * Files: conn.c (table of messages, global requests), channel.c (states of RFC 4254 5, opens, EOF, close), window.c (flow control,
 * growth), request.c (questions and replies in order), export.c. */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "proto/link.h"

struct conn;
typedef uint32_t channel_id; /* our number of a channel */
#define CHANNEL_NONE UINT32_MAX

struct conn_config {
    const struct log *log;
    size_t window_start_bytes;  /* 0: LIMIT_WINDOW_START_BYTES */
    size_t window_max_bytes;    /* 0: LIMIT_WINDOW_MAX_BYTES; windows never grow past it */
    size_t window_budget_bytes; /* 0: LIMIT_WINDOW_BUDGET_BYTES */
    uint32_t packet_max_bytes;  /* what we announce; 0: LIMIT_CHANNEL_PACKET_BYTES */
    bool takes_early_session;   /* the peer may have sent requests behind its first open without waiting for the answer: when that
                                   is refused they are dropped (up to the next open) */
};
int conn_new(const struct conn_config *config, struct conn **ret) MUST_USE;
void conn_free(struct conn *c);
DEFINE_FREEP(struct conn, conn_free)
/* Until a link is attached every call that sends gives ERR_AGAIN. Only conn_consumed keeps count; attaching sends what is due. */
void conn_attach(struct conn *c, struct link link);
void conn_detach(struct conn *c);

enum conn_event_kind {
    CONN_GLOBAL_REQUEST, /* question if want_reply: name, data; conn_answer_global */
    CONN_GLOBAL_REPLY,   /* fact: tag of our request, ok, data */
    CONN_OPEN,           /* question: channel (new), name = type, data; conn_open_accept or _refuse */
    CONN_OPENED,         /* fact: our open was confirmed; data */
    CONN_OPEN_FAILED,    /* fact: reason, text; the channel id is free again */
    CONN_DATA,           /* data, ext_type (0: normal) */
    CONN_EOF,
    CONN_CLOSE,   /* fact: the peer closed. If we have not, conn_close is still due, and until then requests without reply may be
                     sent; the id is free when both are done */
    CONN_REQUEST, /* question if want_reply: channel, name, data; conn_answer_request */
    CONN_REPLY,   /* fact: channel, tag of our request, ok */
    CONN_WINDOW,  /* fact: channel has room again (room was 0) */
};
struct conn_event {
    enum conn_event_kind kind;
    channel_id channel;
    struct view name, data, text; /* lent by the packet given to conn_packet */
    uint32_t ext_type, reason, tag, question;
    bool want_reply, ok;
};
/* One packet of MSG_CONN_MIN.._MAX. 1: *ret is an event. 0: none. Negative: protocol error; end the transport with it.
 * ERR_UNSUPPORTED: unknown number, answer transport_unimplemented. */
int conn_packet(struct conn *c, struct view payload, struct conn_event *ret) MUST_USE;

/* ---- answers. want_reply false: no answer is due, and giving one is ERR_STATE. Replies leave in the order of the requests
 * (4254 4, 5.4), however late an earlier one is answered. Answers to a channel that is gone meanwhile are dropped (0). ---- */
int conn_answer_global(struct conn *c, uint32_t question, bool ok, struct view data) MUST_USE;
int conn_answer_request(struct conn *c, uint32_t question, bool ok) MUST_USE;
int conn_open_accept(struct conn *c, channel_id ch, struct view data) MUST_USE;
int conn_open_refuse(struct conn *c, channel_id ch, uint32_t reason, const char *text) MUST_USE;

/* ---- our side ---- */
/* Opens; requests, and even data, may not be sent before CONN_OPENED. */
int conn_open(struct conn *c, const char *type, struct view data, channel_id *ret) MUST_USE;
/* The same to a peer that has promised its number for the channel (doc/protocol.md, early-session): requests, but no data, may be
 * sent at once. conn_packet gives ERR_CHANNEL_STATE when the confirmation names another number. */
int conn_open_early(struct conn *c, const char *type, struct view data, uint32_t theirs, channel_id *ret) MUST_USE;
/* tag comes back in CONN_REPLY / CONN_GLOBAL_REPLY; without want_reply nothing comes, nor behind CONN_CLOSE. ERR_LIMIT:
 * LIMIT_REPLIES wait. */
int conn_request(struct conn *c, channel_id ch, const char *type, bool want_reply, uint32_t tag, struct view data) MUST_USE;
int conn_global_request(struct conn *c, const char *name, bool want_reply, uint32_t tag, struct view data) MUST_USE;

/* Data out. *ret_len is how much may be written to the area: min(want, window, packet size, link room), 0 when there is no room now
 * (a CONN_WINDOW or the link's draining makes some). ext_type 0 is normal data. Nothing is sent until commit; commit of 0 sends
 * nothing. */
int conn_write_reserve(struct conn *c, channel_id ch, uint32_t ext_type, size_t want, uint8_t **ret_area, size_t *ret_len) MUST_USE;
int conn_write_commit(struct conn *c, channel_id ch, size_t len) MUST_USE;
size_t conn_write_room(const struct conn *c, channel_id ch);
/* Whole of it from memory, as far as there is room; *ret_len says how far. */
int conn_write(struct conn *c, channel_id ch, uint32_t ext_type, struct view data, size_t *ret_len) MUST_USE;
int conn_send_eof(struct conn *c, channel_id ch) MUST_USE; /* once; no data afterwards (ERR_STATE) */
/* Once; after it the owner sends nothing on ch, and what still comes is dropped here, up to CONN_CLOSE. Before CONN_OPENED it is
 * kept until the peer has confirmed; CONN_CLOSE or CONN_OPEN_FAILED comes then. */
int conn_close(struct conn *c, channel_id ch) MUST_USE;
/* n bytes of CONN_DATA left the owner's hands. Sends WINDOW_ADJUST when that is worth a packet. No packet is needed, and none sent,
 * behind EOF or a close. ERR_STATE: more than was given. */
int conn_consumed(struct conn *c, channel_id ch, size_t n) MUST_USE;
/* Whether the peer may be waiting for a larger window; true at most until the next data of ch. The owner who sees this behind a
 * packet says conn_ran_dry when a moment (a millisecond) has passed without any for ch, and no data that came is kept back by him:
 * the window then grows if all bounds allow. Saying it otherwise, or not at all, costs memory or speed and is no error. */
bool conn_is_short(const struct conn *c, channel_id ch);
int conn_ran_dry(struct conn *c, channel_id ch) MUST_USE;

/* ---- facts ---- */
struct channel_info {
    const char *type; /* lent */
    channel_id ours, theirs;
    uint64_t bytes_in, bytes_out;
    size_t window_in, window_in_max, window_out; /* left now, size it is kept at, left for us */
    bool is_open, sent_eof, got_eof, sent_close, got_close, opened_by_us;
};
int conn_channel_info(const struct conn *c, channel_id ch, struct channel_info *ret) MUST_USE; /* ERR_NOT_FOUND */
/* For loops over all: the first id >= from that is in use, CHANNEL_NONE at the end. */
channel_id conn_channel_next(const struct conn *c, channel_id from);
size_t conn_n_channels(const struct conn *c);
void conn_set_user(struct conn *c, channel_id ch, void *user); /* an owner's pointer of its own, NULL at first */
void *conn_user(const struct conn *c, channel_id ch); /* stays until the id is used again: for the last event of a channel */

/* ---- state is data: channels, windows, pending replies; not the owner's user pointers. ---- */
int conn_export(const struct conn *c, struct buf *out) MUST_USE;
int conn_import(const struct conn_config *config, struct view data, struct conn **ret) MUST_USE;
