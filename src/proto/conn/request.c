/* Requests, global (RFC 4254 4) and of channels (5.4). The peer's that want a reply are questions to our owner: their replies leave
 * in the order in which the requests came, so an early answer waits here for the ones before it. Our own that want a reply are
 * known by that order too: replies carry no number. */
#include "proto/conn/conn_int.h"

#include <stdlib.h>

/* A question's number: its entry in the pool, and how often that entry has been used, so that a late answer does not meet a newer
 * question. */
#define QUESTION_IDX_BITS 12
#define QUESTION_IDX(question) ((question) & ((1U << QUESTION_IDX_BITS) - 1))
_Static_assert((int)LIMIT_QUESTIONS <= (int)POOL_MAX && (int)LIMIT_REPLIES <= (int)POOL_MAX, "they fit their pools");
_Static_assert(POOL_MAX == 1 << QUESTION_IDX_BITS, "an entry's index fits a question's number");

/* ---- the peer's requests ---- */

static int ask(struct conn *c, struct fifo *queue, channel_id channel, uint32_t *ret_question)
{
    uint32_t idx;
    TRY(pool_take(&c->questions, &idx));
    struct pending *q = &c->questions.at[idx];
    uint32_t turn = (q->value >> QUESTION_IDX_BITS) + 1;
    /* 0 says "no answer is due" in events, so turns go from 1. */
    if (turn >> (32 - QUESTION_IDX_BITS)) turn = 1;
    q->value = turn << QUESTION_IDX_BITS | idx;
    q->channel = channel;
    fifo_push(&c->questions, queue, idx);
    *ret_question = q->value;
    return 0;
}

int request_on_global(struct conn *c, struct view payload, struct conn_event *ret)
{
    struct msg_global_request m;
    uint32_t question = 0;
    TRY(msg_global_request_get(payload, &m));
    if (m.want_reply) TRY(ask(c, &c->global_questions, CHANNEL_NONE, &question));
    *ret = (struct conn_event){ .kind = CONN_GLOBAL_REQUEST,
                                .channel = CHANNEL_NONE,
                                .name = m.name,
                                .data = m.data,
                                .want_reply = m.want_reply,
                                .question = question };
    return 1;
}

int request_on_request(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    struct msg_channel_request m;
    uint32_t question = 0;
    TRY(msg_channel_request_get(payload, &m));
    if (m.want_reply) TRY(ask(c, &ch->questions, id, &question));
    *ret = (struct conn_event){
        .kind = CONN_REQUEST, .channel = id, .name = m.type, .data = m.data, .want_reply = m.want_reply, .question = question
    };
    return 1;
}

/* Behind our CLOSE there is no place for a reply. */
int request_on_late_request(UNUSED struct conn *c, UNUSED channel_id id, UNUSED struct channel *ch, struct view payload,
                            UNUSED struct conn_event *ret)
{
    struct msg_channel_request m;
    return msg_channel_request_get(payload, &m);
}

void request_drop_questions(struct conn *c, struct channel *ch)
{
    uint32_t idx;
    while (fifo_pop(&c->questions, &ch->questions, &idx)) c->questions.at[idx].is_dropped = true;
}

/* ---- answers to them ---- */

static int send_reply(struct conn *c, channel_id id, bool ok, struct view data)
{
    if (id == CHANNEL_NONE)
        return ok ? CONN_SEND(c, CONN_MESSAGE_BYTES + data.len, request_success, .data = data)
                  : CONN_SEND(c, CONN_MESSAGE_BYTES, request_failure, );
    uint32_t theirs = c->channels[id].theirs;
    return ok ? CONN_SEND(c, CONN_MESSAGE_BYTES, channel_success, .recipient = theirs)
              : CONN_SEND(c, CONN_MESSAGE_BYTES, channel_failure, .recipient = theirs);
}

static int keep_answer(struct pending *q, bool ok, struct view data)
{
    if (data.len > LIMIT_PACKET_PAYLOAD_BYTES - CONN_MESSAGE_BYTES) return ERR_LIMIT;
    if (data.len) {
        q->data = malloc(data.len);
        if (!q->data) return ERR_NOMEM;
        memcpy(q->data, data.p, data.len);
        q->data_len = (uint32_t)data.len;
    }
    q->answered = true;
    q->ok = ok;
    return 0;
}

/* Sends what answers stand at the front. */
static int send_kept(struct conn *c, struct fifo *queue)
{
    uint32_t idx;
    while (queue->head != PENDING_NONE && c->questions.at[queue->head].answered) {
        const struct pending *q = &c->questions.at[queue->head];
        TRY(send_reply(c, q->channel, q->ok, view_of(q->data, q->data_len)));
        fifo_pop(&c->questions, queue, &idx);
    }
    return 0;
}

static int answer(struct conn *c, struct fifo *queue, uint32_t idx, bool ok, struct view data)
{
    struct pending *q = &c->questions.at[idx];
    if (queue->head == idx) {
        TRY(send_reply(c, q->channel, ok, data));
        fifo_pop(&c->questions, queue, &idx);
    } else {
        TRY(keep_answer(q, ok, data));
    }
    return send_kept(c, queue);
}

/* 1: it waits for its answer. 0: its channel is gone. */
static int find_question(const struct conn *c, uint32_t question, bool is_global)
{
    uint32_t idx = QUESTION_IDX(question);
    if (question == 0 || idx >= c->questions.cap) return ERR_STATE;
    const struct pending *q = &c->questions.at[idx];
    bool is_waiting = pool_has(&c->questions, idx) && q->value == question;
    if (!is_waiting) return !is_global && (q->value != question || q->is_dropped) ? 0 : ERR_STATE;
    return q->answered || (q->channel == CHANNEL_NONE) != is_global ? ERR_STATE : 1;
}

int conn_answer_global(struct conn *c, uint32_t question, bool ok, struct view data)
{
    TRY(find_question(c, question, true));
    return answer(c, &c->global_questions, QUESTION_IDX(question), ok, data);
}

int conn_answer_request(struct conn *c, uint32_t question, bool ok)
{
    int found = find_question(c, question, false);
    if (found <= 0) return found;
    uint32_t idx = QUESTION_IDX(question);
    return answer(c, &c->channels[c->questions.at[idx].channel].questions, idx, ok, VIEW_EMPTY);
}

/* ---- our requests ---- */

/* Room first, so that a request that left cannot be one whose reply nobody awaits. */
static int await(struct conn *c, bool want_reply, uint32_t *ret_idx) { return want_reply ? pool_take(&c->replies, ret_idx) : 0; }

static void sent(struct conn *c, struct fifo *queue, bool want_reply, uint32_t idx, uint32_t tag)
{
    if (!want_reply) return;
    c->replies.at[idx].value = tag;
    fifo_push(&c->replies, queue, idx);
}

int conn_request(struct conn *c, channel_id id, const char *type, bool want_reply, uint32_t tag, struct view data)
{
    struct channel *ch = channel_get(c, id);
    if (!ch) return ERR_NOT_FOUND;
    /* 4254 5.3: who closes is not listened to any more, but may be told; an exit-status is still worth sending. */
    bool is_half_closed = ch->state == CH_PEER_CLOSED;
    if (is_half_closed && want_reply) return 0;
    bool is_early = ch->state == CH_OPENING && ch->is_early;
    if (!is_half_closed && !is_early && !channel_is_open(ch)) return ERR_STATE;
    uint32_t idx;
    TRY(await(c, want_reply, &idx));
    int err = CONN_SEND(c, CONN_MESSAGE_BYTES + strlen(type) + data.len, channel_request, .recipient = ch->theirs,
                        .type = view_str(type), .want_reply = want_reply, .data = data);
    if (err == 0)
        sent(c, &ch->replies, want_reply, idx, tag);
    else if (want_reply)
        pool_put(&c->replies, idx);
    return err;
}

int conn_global_request(struct conn *c, const char *name, bool want_reply, uint32_t tag, struct view data)
{
    uint32_t idx;
    TRY(await(c, want_reply, &idx));
    int err = CONN_SEND(c, CONN_MESSAGE_BYTES + strlen(name) + data.len, global_request, .name = view_str(name),
                        .want_reply = want_reply, .data = data);
    if (err == 0)
        sent(c, &c->global_replies, want_reply, idx, tag);
    else if (want_reply)
        pool_put(&c->replies, idx);
    return err;
}

/* ---- the replies to them ---- */

void request_drop_replies(struct conn *c, struct channel *ch)
{
    uint32_t idx;
    while (fifo_pop(&c->replies, &ch->replies, &idx)) continue;
}

/* A reply that nobody asked for would shift all later ones. */
static int take_reply(struct conn *c, struct channel *ch, uint32_t *ret_tag)
{
    uint32_t idx;
    if (!fifo_pop(&c->replies, &ch->replies, &idx)) return ERR_CHANNEL_STATE;
    *ret_tag = c->replies.at[idx].value;
    return 0;
}

static int give_reply(struct conn *c, channel_id id, struct channel *ch, bool ok, struct conn_event *ret)
{
    uint32_t tag;
    TRY(take_reply(c, ch, &tag));
    *ret = (struct conn_event){ .kind = CONN_REPLY, .channel = id, .tag = tag, .ok = ok };
    return 1;
}

int request_on_success(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    struct msg_channel_success m;
    TRY(msg_channel_success_get(payload, &m));
    return give_reply(c, id, ch, true, ret);
}

int request_on_failure(struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    struct msg_channel_failure m;
    TRY(msg_channel_failure_get(payload, &m));
    return give_reply(c, id, ch, false, ret);
}

int request_on_late_success(struct conn *c, UNUSED channel_id id, struct channel *ch, struct view payload,
                            UNUSED struct conn_event *ret)
{
    struct msg_channel_success m;
    uint32_t tag;
    TRY(msg_channel_success_get(payload, &m));
    return take_reply(c, ch, &tag);
}

int request_on_late_failure(struct conn *c, UNUSED channel_id id, struct channel *ch, struct view payload,
                            UNUSED struct conn_event *ret)
{
    struct msg_channel_failure m;
    uint32_t tag;
    TRY(msg_channel_failure_get(payload, &m));
    return take_reply(c, ch, &tag);
}

static int give_global_reply(struct conn *c, bool ok, struct view data, struct conn_event *ret)
{
    uint32_t idx;
    if (!fifo_pop(&c->replies, &c->global_replies, &idx)) return ERR_UNEXPECTED_MESSAGE;
    *ret = (struct conn_event){
        .kind = CONN_GLOBAL_REPLY, .channel = CHANNEL_NONE, .tag = c->replies.at[idx].value, .ok = ok, .data = data
    };
    return 1;
}

int request_on_global_success(struct conn *c, struct view payload, struct conn_event *ret)
{
    struct msg_request_success m;
    TRY(msg_request_success_get(payload, &m));
    return give_global_reply(c, true, m.data, ret);
}

int request_on_global_failure(struct conn *c, struct view payload, struct conn_event *ret)
{
    struct msg_request_failure m;
    TRY(msg_request_failure_get(payload, &m));
    return give_global_reply(c, false, VIEW_EMPTY, ret);
}
