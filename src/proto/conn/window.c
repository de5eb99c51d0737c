/* Flow control (RFC 4254 5.2) and the data messages. Knows of channels only what struct channel says.
 *
 * Receiving. A window has a size; left (what the peer may still send) + unread (what our owner has not consumed) never pass it.
 * Consumed bytes are announced again when they make a step: half the window, or WINDOW_STEP_BYTES where that is less, so that a
 * large window costs little more memory than the path holds.
 *
 * Growth without a clock. The books here cannot show whether a window limits the peer: left counts an adjust from the moment it is
 * sent, so with a prompt owner it swings between the size and a step less on any path. What does show it: a sender that is held up
 * by its window cuts its last packet exactly where its credit ends. When data ends exactly at a credit that we have already
 * replaced by a larger one, the peer ran out while our adjust was on its way. If then nothing comes and nothing is left to hand on
 * (conn_ran_dry), the window is smaller than what the path and both ends can do, and it grows eightfold at once; if there is still
 * something to hand on, it is the owner that limits. So it is when he has much in his hands (unread more than a quarter now, or
 * more than half at any time of late): a larger window would only fill memory. Credits that ended before the growth are not asked
 * again, so it grows once in a round trip.
 * Ends of packets fall on multiples of their size, and would meet ends of credit by chance if those were round too: so credit ends
 * a few bytes below the size, by a number mixed from the position. A sender that is slower than the window, or whose adjusts arrive
 * in time, never meets such an end. What this cannot tell from a long path is a peer on a short one that is faster than we are and
 * runs a whole window ahead into the socket's buffers: there the window grows until it is larger than those (8 to 16 MiB seen over
 * loopback TCP), which holds no memory of ours, because our owner has nothing unread.
 *
 * Bounds: window_max for one channel, window_budget for all growth of a connection. Shrinking: an owner that leaves more than half
 * of a grown window unread all through the consumption of one window gets half of it from then on, down to the start. A window
 * cannot be taken back (5.2), only not announced again: the budget has the difference when left + unread have come down to the new
 * size. All of it comes back when we close. */
#include "proto/conn/conn_int.h"

enum {
    WINDOW_STEP_BYTES = LIMIT_WINDOW_START_BYTES / 2,
    WINDOW_GROWTH = 8,                /* the size times this in a round trip: a path of 100 ms and 300 MB/s is filled after two */
    WINDOW_MIX_MIN_BYTES = 64 * 1024, /* windows smaller than that are announced to the byte */
    DATA_HEADER_BYTES = 1 + 4 + 4,
    EXTENDED_HEADER_BYTES = 1 + 4 + 4 + 4,
};

static uint32_t get_u32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* ---- receiving: books ---- */

/* What left + unread come to by the next announcement: the size less 0..4095 bytes (golden ratio hash, its upper bits). */
static uint32_t announced_size(const struct channel *ch)
{
    if (ch->size < WINDOW_MIX_MIN_BYTES) return ch->size;
    return ch->size - ((uint32_t)ch->bytes_in + 1) * 2654435769U / (1U << 20);
}

void window_init(struct conn *c, struct channel *ch)
{
    ch->size = ch->held = c->window_start;
    ch->left = announced_size(ch);
    ch->period_unread_min = UINT32_MAX;
}

/* What a channel of that size takes of the budget. */
static size_t beyond_start(const struct conn *c, uint32_t size) { return size > c->window_start ? size - c->window_start : 0; }

void window_hold(struct conn *c, struct channel *ch, uint32_t size)
{
    c->window_grown = c->window_grown - beyond_start(c, ch->held) + beyond_start(c, size);
    ch->held = size;
}

/* The credit that ends at left is about to be replaced by a larger one. */
static void mark_end_of_credit(struct channel *ch)
{
    uint64_t end = ch->bytes_in + ch->left;
    if (ch->left == 0 || end < ch->mark_from || ch->n_marks == WINDOW_MARKS) return;
    /* A limited sender meets every end of credit, so some of them are enough. */
    if (ch->n_marks && end - ch->marks[ch->n_marks - 1] < ch->size / WINDOW_MARKS) return;
    ch->marks[ch->n_marks++] = end;
}

static void pass_marks(struct channel *ch)
{
    uint8_t n_passed = 0;
    while (n_passed < ch->n_marks && ch->marks[n_passed] <= ch->bytes_in)
        if (ch->marks[n_passed++] == ch->bytes_in) ch->was_short = true;
    ch->n_marks -= n_passed;
    memmove(ch->marks, ch->marks + n_passed, ch->n_marks * sizeof(ch->marks[0]));
}

/* As far as the bounds allow. True when it grew. */
static bool grow(struct conn *c, struct channel *ch)
{
    size_t more = MIN((size_t)ch->size * (WINDOW_GROWTH - 1), c->window_max > ch->size ? c->window_max - ch->size : 0);
    more = MIN(more, c->window_budget > c->window_grown ? c->window_budget - c->window_grown : 0);
    if (more == 0 || ch->held != ch->size) return false;
    window_hold(c, ch, ch->size + (uint32_t)more);
    ch->size = ch->held;
    ch->n_marks = 0;
    ch->mark_from = ch->bytes_in + announced_size(ch) - ch->unread;
    log_debug2(c->log, "channel %u: window grows to %u", (unsigned)(ch - c->channels), ch->size);
    return true;
}

static void end_period(struct conn *c, struct channel *ch)
{
    if (ch->period_unread_min > ch->size / 2 && ch->size > c->window_start) {
        ch->size = MAX(ch->size / 2, c->window_start);
        log_debug2(c->log, "channel %u: window shrinks to %u", (unsigned)(ch - c->channels), ch->size);
    }
    ch->period_consumed = 0;
    ch->period_unread_min = UINT32_MAX;
    ch->period_unread_max = ch->unread;
}

static int adjust(struct conn *c, struct channel *ch, bool at_once)
{
    uint32_t taken = ch->left + ch->unread, size = announced_size(ch);
    if (taken <= ch->size && ch->held > ch->size) window_hold(c, ch, ch->size);
    if (taken >= size || ch->state != CH_OPEN || !c->link.ops) return 0;
    uint32_t bytes = size - taken;
    if (!at_once && bytes < MIN(ch->size / 2, (uint32_t)WINDOW_STEP_BYTES)) return 0;
    TRY(CONN_SEND(c, CONN_MESSAGE_BYTES, channel_window_adjust, .recipient = ch->theirs, .bytes = bytes));
    mark_end_of_credit(ch);
    ch->left += bytes;
    return 0;
}

int window_adjust_all(struct conn *c)
{
    for (channel_id id = conn_channel_next(c, 0); id != CHANNEL_NONE; id = conn_channel_next(c, id + 1))
        TRY(adjust(c, &c->channels[id], false));
    return 0;
}

int conn_consumed(struct conn *c, channel_id id, size_t n)
{
    struct channel *ch = channel_get(c, id);
    if (!ch) return ERR_NOT_FOUND;
    if (n > ch->unread) return ERR_STATE;
    ch->unread -= (uint32_t)n;
    if (ch->state != CH_OPEN) return 0; /* nothing more comes, or it is dropped */
    ch->period_unread_min = MIN(ch->period_unread_min, ch->unread);
    ch->period_consumed += (uint32_t)n;
    if (ch->period_consumed >= ch->size) end_period(c, ch);
    return adjust(c, ch, false);
}

bool conn_is_short(const struct conn *c, channel_id id)
{
    const struct channel *ch = channel_get(c, id);
    return ch && ch->was_short && ch->state == CH_OPEN;
}

int conn_ran_dry(struct conn *c, channel_id id)
{
    if (!conn_is_short(c, id)) return 0;
    struct channel *ch = &c->channels[id];
    ch->was_short = false;
    bool keeps_up = ch->unread <= ch->size / 4 && ch->period_unread_max <= ch->size / 2;
    return keeps_up && grow(c, ch) ? adjust(c, ch, true) : 0;
}

/* ---- receiving: messages ---- */

/* The data string at p[header - 4], which has to fill the message, against what the peer may send. */
static int take_data(struct channel *ch, struct view payload, size_t header, struct view *ret)
{
    if (payload.len < header) return ERR_TRUNCATED;
    uint32_t len = get_u32(payload.p + header - 4);
    if (len != payload.len - header) return len > payload.len - header ? ERR_TRUNCATED : ERR_TRAILING;
    /* 4254 5.2: not more than the window, and packets no larger than was announced at the open */
    if (len > ch->left || len > ch->in_packet_max) return ERR_WINDOW_OVERFLOW;
    ch->left -= len;
    ch->bytes_in += len;
    *ret = view_of(payload.p + header, len);
    return 0;
}

static int give_data(struct channel *ch, channel_id id, struct view data, uint32_t ext_type, struct conn_event *ret)
{
    if (data.len == 0) return 0;
    ch->unread += (uint32_t)data.len;
    ch->period_unread_max = MAX(ch->period_unread_max, ch->unread);
    ch->was_short = false;
    if (ch->n_marks && ch->bytes_in >= ch->marks[0]) pass_marks(ch);
    *ret = (struct conn_event){ .kind = CONN_DATA, .channel = id, .data = data, .ext_type = ext_type };
    return 1;
}

int window_on_data(UNUSED struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    struct view data;
    TRY(take_data(ch, payload, DATA_HEADER_BYTES, &data));
    return give_data(ch, id, data, 0, ret);
}

int window_on_extended(UNUSED struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    struct view data;
    TRY(take_data(ch, payload, EXTENDED_HEADER_BYTES, &data));
    uint32_t ext_type = get_u32(payload.p + 5);
    /* Type 0 is not assigned (5.2), and in our events it would pass for normal data. */
    return ext_type == 0 ? ERR_RANGE : give_data(ch, id, data, ext_type, ret);
}

/* Behind our CLOSE: dropped, but the window still binds the peer. */
int window_on_late_data(UNUSED struct conn *c, UNUSED channel_id id, struct channel *ch, struct view payload,
                        UNUSED struct conn_event *ret)
{
    struct view data;
    return take_data(ch, payload, DATA_HEADER_BYTES, &data);
}

int window_on_late_extended(UNUSED struct conn *c, UNUSED channel_id id, struct channel *ch, struct view payload,
                            UNUSED struct conn_event *ret)
{
    struct view data;
    return take_data(ch, payload, EXTENDED_HEADER_BYTES, &data);
}

static int take_adjust(struct channel *ch, struct view payload)
{
    struct msg_channel_window_adjust m;
    TRY(msg_channel_window_adjust_get(payload, &m));
    /* 4254 5.2: the window MUST NOT be increased above 2^32 - 1 */
    if (m.bytes > UINT32_MAX - ch->out_left) return ERR_WINDOW_OVERFLOW;
    ch->out_left += m.bytes;
    return 0;
}

int window_on_adjust(UNUSED struct conn *c, channel_id id, struct channel *ch, struct view payload, struct conn_event *ret)
{
    bool was_full = ch->out_left == 0;
    TRY(take_adjust(ch, payload));
    if (!was_full || ch->out_left == 0 || ch->sent_eof) return 0;
    *ret = (struct conn_event){ .kind = CONN_WINDOW, .channel = id };
    return 1;
}

int window_on_late_adjust(UNUSED struct conn *c, UNUSED channel_id id, struct channel *ch, struct view payload,
                          UNUSED struct conn_event *ret)
{
    return take_adjust(ch, payload);
}

/* ---- sending ---- */

static size_t write_room(const struct conn *c, const struct channel *ch)
{
    if (!channel_is_open(ch) || ch->sent_eof || !c->link.ops || ch->out_packet_max == 0) return 0;
    return MIN((size_t)ch->out_left, link_room(&c->link));
}

size_t conn_write_room(const struct conn *c, channel_id id)
{
    const struct channel *ch = channel_get(c, id);
    return ch ? write_room(c, ch) : 0;
}

int conn_write_reserve(struct conn *c, channel_id id, uint32_t ext_type, size_t want, uint8_t **ret_area, size_t *ret_len)
{
    struct channel *ch = channel_get(c, id);
    if (!ch) return ERR_NOT_FOUND;
    if (ch->sent_eof || (!channel_is_open(ch) && ch->state != CH_PEER_CLOSED)) return ERR_STATE;
    if (!c->link.ops) return ERR_AGAIN;
    uint32_t header = ext_type ? EXTENDED_HEADER_BYTES : DATA_HEADER_BYTES;
    size_t len = MIN(write_room(c, ch), (size_t)ch->out_packet_max);
    len = MIN(len, want);
    len = MIN(len, (size_t)(LIMIT_PACKET_PAYLOAD_BYTES - EXTENDED_HEADER_BYTES));
    c->write.area = NULL;
    if (len) {
        uint8_t *area;
        TRY(link_reserve(&c->link, header + len, &area));
        c->write.area = area;
        c->write.len = len;
        c->write.header_len = header;
        c->write.ext_type = ext_type;
        c->write.channel = id;
        *ret_area = area + header;
    }
    *ret_len = len;
    return 0;
}

int conn_write_commit(struct conn *c, channel_id id, size_t len)
{
    uint8_t *area = c->write.area;
    c->write.area = NULL;
    if (len == 0) return 0;
    if (!area || c->write.channel != id || len > c->write.len) return ERR_STATE;
    struct channel *ch = &c->channels[id];
    size_t header = c->write.header_len;
    area[0] = header == DATA_HEADER_BYTES ? MSG_channel_data_NUMBER : MSG_channel_extended_data_NUMBER;
    put_u32(area + 1, ch->theirs);
    if (header == EXTENDED_HEADER_BYTES) put_u32(area + 5, c->write.ext_type);
    put_u32(area + header - 4, (uint32_t)len);
    TRY(link_commit(&c->link, header + len));
    ch->out_left -= (uint32_t)len;
    ch->bytes_out += len;
    return 0;
}

int conn_write(struct conn *c, channel_id id, uint32_t ext_type, struct view data, size_t *ret_len)
{
    size_t done = 0;
    while (done < data.len) {
        uint8_t *area;
        size_t len;
        TRY(conn_write_reserve(c, id, ext_type, data.len - done, &area, &len));
        if (len == 0) break;
        memcpy(area, data.p + done, len);
        TRY(conn_write_commit(c, id, len));
        done += len;
    }
    *ret_len = done;
    return 0;
}
