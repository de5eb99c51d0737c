/* The connection as bytes and back, for our own processes of one build. What is read is checked all the same: the writer may be a
 * process that a peer has taken over.
 *
 *   u32 magic, bool early due, bool early refused, pool questions, queue global, pool replies, queue global, u32 n channels,
 * channels by rising number pool:  u32 n entries, for each u32 value, bool dropped queue: u32 n, for each in order u32 entry, bool
 * answered, bool ok, string data */
#include "proto/conn/conn_int.h"

#include <stdlib.h>

#define EXPORT_MAGIC 0x6e61636fU

/* ---- out ---- */

static void put_pool(struct wr *w, const struct pool *p)
{
    wr_u32(w, p->cap);
    for (uint32_t i = 0; i < p->cap; i++) {
        wr_u32(w, p->at[i].value);
        wr_bool(w, p->at[i].is_dropped);
    }
}

static void put_queue(struct wr *w, const struct pool *p, const struct fifo *f)
{
    uint32_t n = 0;
    for (uint32_t i = f->head; i != PENDING_NONE; i = p->at[i].next) n++;
    wr_u32(w, n);
    for (uint32_t i = f->head; i != PENDING_NONE; i = p->at[i].next) {
        wr_u32(w, i);
        wr_bool(w, p->at[i].answered);
        wr_bool(w, p->at[i].ok);
        wr_string(w, view_of(p->at[i].data, p->at[i].data_len));
    }
}

static void put_window(struct wr *w, const struct channel *ch)
{
    wr_u32(w, ch->left);
    wr_u32(w, ch->size);
    wr_u32(w, ch->held);
    wr_u32(w, ch->unread);
    wr_u32(w, ch->in_packet_max);
    wr_u32(w, ch->period_consumed);
    wr_u32(w, ch->period_unread_min);
    wr_u32(w, ch->period_unread_max);
    wr_bool(w, ch->was_short);
    wr_u64(w, ch->mark_from);
    wr_u8(w, ch->n_marks);
    for (uint8_t i = 0; i < ch->n_marks; i++) wr_u64(w, ch->marks[i]);
}

static void put_channel(struct wr *w, const struct conn *c, channel_id id)
{
    const struct channel *ch = &c->channels[id];
    wr_u32(w, id);
    wr_u8(w, (uint8_t)ch->state);
    wr_cstr(w, ch->type);
    wr_bool(w, ch->sent_eof);
    wr_bool(w, ch->got_eof);
    wr_bool(w, ch->opened_by_us);
    wr_bool(w, ch->is_early);
    wr_u32(w, ch->theirs);
    wr_u32(w, ch->out_left);
    wr_u32(w, ch->out_packet_max);
    wr_u64(w, ch->bytes_in);
    wr_u64(w, ch->bytes_out);
    put_window(w, ch);
    put_queue(w, &c->questions, &ch->questions);
    put_queue(w, &c->replies, &ch->replies);
}

int conn_export(const struct conn *c, struct buf *out)
{
    struct wr w = wr_of(out);
    size_t before = buf_len(out);
    wr_u32(&w, EXPORT_MAGIC);
    wr_bool(&w, c->early_due);
    wr_bool(&w, c->early_refused);
    put_pool(&w, &c->questions);
    put_queue(&w, &c->questions, &c->global_questions);
    put_pool(&w, &c->replies);
    put_queue(&w, &c->replies, &c->global_replies);
    wr_u32(&w, c->n_channels);
    for (channel_id id = conn_channel_next(c, 0); id != CHANNEL_NONE; id = conn_channel_next(c, id + 1)) put_channel(&w, c, id);
    int err = wr_end(&w);
    if (err < 0) buf_truncate(out, before);
    return err;
}

/* ---- in ---- */

static int get_pool(struct rd *r, struct pool *p)
{
    uint32_t n = rd_u32(r);
    if (n > p->max) return ERR_FORMAT;
    if (n) TRY(pool_grow(p, n));
    for (uint32_t i = 0; i < n; i++) {
        p->at[i].value = rd_u32(r);
        p->at[i].is_dropped = rd_bool(r);
    }
    return rd_stop(r);
}

static int get_queue_entry(struct rd *r, struct pool *p, struct fifo *f, channel_id channel)
{
    uint32_t i = rd_u32(r);
    bool answered = rd_bool(r), ok = rd_bool(r);
    struct view data = rd_string(r);
    TRY(rd_stop(r));
    if (i >= p->cap || pool_has(p, i) || data.len > LIMIT_PACKET_PAYLOAD_BYTES) return ERR_FORMAT;
    struct pending *e = &p->at[i];
    bits_set(p->used, i);
    fifo_push(p, f, i);
    e->channel = channel;
    e->answered = answered;
    e->ok = ok;
    if (data.len == 0) return 0;
    e->data = malloc(data.len);
    if (!e->data) return ERR_NOMEM;
    memcpy(e->data, data.p, data.len);
    e->data_len = (uint32_t)data.len;
    return 0;
}

static int get_queue(struct rd *r, struct pool *p, struct fifo *f, channel_id channel)
{
    uint32_t n = rd_u32(r);
    for (uint32_t i = 0; i < n; i++)
        TRY(get_queue_entry(r, p, f, channel)); /* ends with the data or the entries, whatever n says */
    return rd_stop(r);
}

static int get_window(struct rd *r, struct conn *c, struct channel *ch)
{
    ch->left = rd_u32(r);
    ch->size = rd_u32(r);
    uint32_t held = rd_u32(r);
    ch->unread = rd_u32(r);
    ch->in_packet_max = rd_u32(r);
    ch->period_consumed = rd_u32(r);
    ch->period_unread_min = rd_u32(r);
    ch->period_unread_max = rd_u32(r);
    ch->was_short = rd_bool(r);
    ch->mark_from = rd_u64(r);
    ch->n_marks = rd_u8(r);
    if (ch->n_marks > WINDOW_MARKS) return ERR_FORMAT;
    for (uint8_t i = 0; i < ch->n_marks; i++) ch->marks[i] = rd_u64(r);
    TRY(rd_stop(r));
    /* Sums of these are made in 32 bits. */
    if (ch->left > UINT32_MAX - ch->unread) return ERR_FORMAT;
    window_hold(c, ch, held);
    return 0;
}

static int get_type(struct rd *r, struct channel *ch)
{
    struct view type = rd_cstring(r);
    if (type.len > CHANNEL_TYPE_BYTES) return ERR_FORMAT;
    if (type.len) memcpy(ch->type, type.p, type.len);
    return 0;
}

static int get_channel(struct rd *r, struct conn *c, channel_id from, channel_id *ret)
{
    channel_id id = rd_u32(r);
    uint8_t state = rd_u8(r);
    TRY(rd_stop(r));
    if (id < from || id >= LIMIT_CHANNELS || state == CH_FREE || state >= CH_MAX) return ERR_FORMAT;
    TRY(channel_grow(c, id + 1));
    struct channel *ch = &c->channels[id];
    ch->questions = ch->replies = FIFO_EMPTY;
    channel_move(c, id, state);
    bits_set(c->used, id);
    c->n_channels++;
    TRY(get_type(r, ch));
    ch->sent_eof = rd_bool(r);
    ch->got_eof = rd_bool(r);
    ch->opened_by_us = rd_bool(r);
    ch->is_early = rd_bool(r);
    ch->theirs = rd_u32(r);
    ch->out_left = rd_u32(r);
    ch->out_packet_max = rd_u32(r);
    ch->bytes_in = rd_u64(r);
    ch->bytes_out = rd_u64(r);
    TRY(get_window(r, c, ch));
    TRY(get_queue(r, &c->questions, &ch->questions, id));
    TRY(get_queue(r, &c->replies, &ch->replies, id));
    *ret = id;
    return 0;
}

int conn_import(const struct conn_config *config, struct view data, struct conn **ret)
{
    CLEANUP(conn_freep) struct conn *c = NULL;
    struct rd r = rd_of(data);
    TRY(conn_new(config, &c));
    if (rd_u32(&r) != EXPORT_MAGIC) return ERR_FORMAT;
    c->early_due = rd_bool(&r);
    c->early_refused = rd_bool(&r);
    TRY(get_pool(&r, &c->questions));
    TRY(get_queue(&r, &c->questions, &c->global_questions, CHANNEL_NONE));
    TRY(get_pool(&r, &c->replies));
    TRY(get_queue(&r, &c->replies, &c->global_replies, CHANNEL_NONE));
    uint32_t n = rd_u32(&r);
    for (channel_id i = 0, id = 0; i < n; i++, id++) TRY(get_channel(&r, c, id, &id));
    TRY(rd_end(&r));
    *ret = TAKE(c);
    return 0;
}
