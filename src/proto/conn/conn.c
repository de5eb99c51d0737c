/* The connection engine: which message may come in which state; what the table lacks is a protocol error. */
#include "proto/conn/conn_int.h"

#include <stdlib.h>

enum {
    CHANNEL_MSG_MIN = MSG_channel_open_confirmation_NUMBER,
    CHANNEL_MSG_MAX = MSG_channel_failure_NUMBER
};
#define ON(message, handler) [MSG_##message##_NUMBER - CHANNEL_MSG_MIN] = handler

/* Every message of a channel begins with its number and the recipient's. */
static channel_handler *const channel_table[CH_MAX][CHANNEL_MSG_MAX - CHANNEL_MSG_MIN + 1] = {
    [CH_OPENING] = {
        ON(channel_open_confirmation, channel_on_confirmation),
        ON(channel_open_failure, channel_on_open_failure),
    },
    [CH_ABANDONED] = {
        ON(channel_open_confirmation, channel_on_late_confirmation),
        ON(channel_open_failure, channel_on_open_failure),
    },
    [CH_OPEN] = {
        ON(channel_window_adjust, window_on_adjust),
        ON(channel_data, window_on_data),
        ON(channel_extended_data, window_on_extended),
        ON(channel_eof, channel_on_eof),
        ON(channel_close, channel_on_close),
        ON(channel_request, request_on_request),
        ON(channel_success, request_on_success),
        ON(channel_failure, request_on_failure),
    },
    [CH_GOT_EOF] = {
        ON(channel_window_adjust, window_on_adjust),
        ON(channel_close, channel_on_close),
        ON(channel_request, request_on_request),
        ON(channel_success, request_on_success),
        ON(channel_failure, request_on_failure),
    },
    [CH_CLOSING] = {
        ON(channel_window_adjust, window_on_late_adjust),
        ON(channel_data, window_on_late_data),
        ON(channel_extended_data, window_on_late_extended),
        ON(channel_eof, channel_on_late_eof),
        ON(channel_close, channel_on_late_close),
        ON(channel_request, request_on_late_request),
        ON(channel_success, request_on_late_success),
        ON(channel_failure, request_on_late_failure),
    },
    [CH_CLOSING_EOF] = {
        ON(channel_window_adjust, window_on_late_adjust),
        ON(channel_close, channel_on_late_close),
        ON(channel_request, request_on_late_request),
        ON(channel_success, request_on_late_success),
        ON(channel_failure, request_on_late_failure),
    },
};

static int on_channel_message(struct conn *c, struct view payload, struct conn_event *ret)
{
    const uint8_t *p = payload.p;
    if (payload.len < 5) return ERR_TRUNCATED;
    channel_id id = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    struct channel *ch = channel_get(c, id);
    /* An early session counts on channel 0, whatever its open meets with. */
    bool is_orphan = !ch && c->early_refused && id == 0 && p[0] == MSG_channel_request_NUMBER;
    if (is_orphan) return request_on_late_request(c, id, ch, payload, ret);
    if (!ch) return ERR_CHANNEL_UNKNOWN;
    channel_handler *handler = channel_table[ch->state][p[0] - CHANNEL_MSG_MIN];
    if (handler) return handler(c, id, ch, payload, ret);
    log_debug(c->log, "channel %u: %s in state %s", id, msg_name(p[0]), channel_state_name(ch->state));
    return ERR_CHANNEL_STATE;
}

int conn_packet(struct conn *c, struct view payload, struct conn_event *ret)
{
    if (payload.len == 0) return ERR_TRUNCATED;
    if (c->adjusts_due && c->link.ops) {
        TRY(window_adjust_all(c));
        c->adjusts_due = false;
    }
    uint8_t number = payload.p[0];
    if (number >= CHANNEL_MSG_MIN && number <= CHANNEL_MSG_MAX) return on_channel_message(c, payload, ret);
    switch (number) {
    case MSG_global_request_NUMBER:
        return request_on_global(c, payload, ret);
    case MSG_request_success_NUMBER:
        return request_on_global_success(c, payload, ret);
    case MSG_request_failure_NUMBER:
        return request_on_global_failure(c, payload, ret);
    case MSG_channel_open_NUMBER:
        return channel_on_open(c, payload, ret);
    default:
        return ERR_UNSUPPORTED;
    }
}

int conn_new(const struct conn_config *config, struct conn **ret)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c) return ERR_NOMEM;
    size_t start = config->window_start_bytes ? config->window_start_bytes : LIMIT_WINDOW_START_BYTES;
    size_t max = config->window_max_bytes ? config->window_max_bytes : LIMIT_WINDOW_MAX_BYTES;
    c->log = config->log;
    c->window_start = (uint32_t)MIN(start, (size_t)UINT32_MAX);
    c->window_max = (uint32_t)MIN(max, (size_t)UINT32_MAX);
    c->window_budget = config->window_budget_bytes ? config->window_budget_bytes : LIMIT_WINDOW_BUDGET_BYTES;
    c->packet_max = config->packet_max_bytes ? config->packet_max_bytes : LIMIT_CHANNEL_PACKET_BYTES;
    c->early_due = config->takes_early_session;
    c->questions.max = LIMIT_QUESTIONS;
    c->replies.max = LIMIT_REPLIES;
    c->global_questions = c->global_replies = FIFO_EMPTY;
    *ret = c;
    return 0;
}

void conn_free(struct conn *c)
{
    if (!c) return;
    pool_done(&c->questions);
    pool_done(&c->replies);
    free(c->channels);
    free(c);
}

void conn_attach(struct conn *c, struct link link)
{
    c->link = link;
    c->write.area = NULL;
    /* What was consumed without a link: the peer may be waiting for it. Where that fails, the next packet tries again and says why.
     */
    c->adjusts_due = window_adjust_all(c) < 0;
}

void conn_detach(struct conn *c)
{
    c->link = (struct link){ NULL, NULL };
    c->write.area = NULL;
}
