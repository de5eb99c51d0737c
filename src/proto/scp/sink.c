/* The sink: a table of what may begin a record, and of what each means. */
#include "proto/scp/scp_int.h"

#include <fnmatch.h>

enum sink_state {
    SINK_RECORD,
    SINK_DATA,
    SINK_STATUS, /* behind the data */
};

enum {
    NUMBER_DIGITS_MAX = 20, /* of 2^64 */
    MODE_DIGITS = 4
};

/* ---- parts of a record ---- */

/* Decimal digits up to the byte `end`, which is taken too. */
static int number_take(struct view *rest, uint8_t end, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < rest->len && rest->p[i] >= '0' && rest->p[i] <= '9'; i++) {
        if (i == NUMBER_DIGITS_MAX || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(rest->p[i] - '0'), &value))
            return ERR_RANGE;
    }
    bool ended = end ? i < rest->len && rest->p[i] == end : i == rest->len;
    if (i == 0 || !ended) return ERR_FORMAT;
    *rest = view_sub(*rest, i + (end != 0), rest->len);
    *ret = value;
    return 0;
}

static int mode_take(struct view *rest, uint32_t *ret)
{
    uint32_t mode = 0;
    for (size_t i = 0; i < MODE_DIGITS; i++) {
        if (i == rest->len || rest->p[i] < '0' || rest->p[i] > '7') return ERR_FORMAT;
        mode = mode << 3 | (uint32_t)(rest->p[i] - '0');
    }
    if (rest->len == MODE_DIGITS || rest->p[MODE_DIGITS] != ' ') return ERR_FORMAT;
    *rest = view_sub(*rest, MODE_DIGITS + 1, rest->len);
    *ret = mode;
    return 0;
}

static int refuse(struct scp_sink *s, int err, const char *why)
{
    s->why = why;
    return err;
}

static int is_wanted(struct scp_sink *s, struct view name)
{
    char text[SCP_NAME_MAX_BYTES + 1];
    if (!s->wanted || s->wanted->n == 0 || s->depth) return 0;
    memcpy(text, name.p, name.len);
    text[name.len] = 0;
    for (size_t i = 0; i < s->wanted->n; i++)
        if (fnmatch(s->wanted->v[i], text, 0) == 0) return 0;
    return refuse(s, ERR_DENIED, "protocol error: filename does not match request");
}

static int head_take(struct scp_sink *s, struct view rest, struct scp_head *ret)
{
    struct scp_head h = { .has_times = s->has_times, .mtime_s = s->mtime_s, .atime_s = s->atime_s };
    if (mode_take(&rest, &h.mode) < 0) return refuse(s, ERR_FORMAT, "protocol error: mode not delimited");
    int err = number_take(&rest, ' ', &h.size);
    if (err == 0 && h.size > INT64_MAX) err = ERR_RANGE;
    if (err < 0)
        return refuse(s, err, err == ERR_RANGE ? "protocol error: size out of range" : "protocol error: size not delimited");
    h.name = rest;
    if (rest.len > SCP_NAME_MAX_BYTES || view_has_nul(rest) || !scp_name_is_good(rest)) {
        s->words = rest;
        return refuse(s, ERR_DENIED, "error: unexpected filename");
    }
    TRY(is_wanted(s, rest));
    s->has_times = false;
    *ret = h;
    return 0;
}

/* ---- records: each gives 1 for an event, 0 for none ---- */

static int take_times(struct scp_sink *s, struct view rest, UNUSED struct scp_sink_event *ret)
{
    uint64_t mtime, mtime_us, atime, atime_us;
    int err = number_take(&rest, ' ', &mtime);
    if (err == 0) err = number_take(&rest, ' ', &mtime_us);
    if (err == 0) err = number_take(&rest, ' ', &atime);
    if (err == 0) err = number_take(&rest, 0, &atime_us);
    if (err == 0 && (mtime > INT64_MAX || atime > INT64_MAX || mtime_us > 999999 || atime_us > 999999)) err = ERR_RANGE;
    if (err < 0) return refuse(s, err, "protocol error: times not delimited or out of range");
    s->has_times = true;
    s->mtime_s = (int64_t)mtime;
    s->atime_s = (int64_t)atime;
    return scp_status_put(&s->out, NULL);
}

static int take_file(struct scp_sink *s, struct view rest, struct scp_sink_event *ret)
{
    TRY(head_take(s, rest, &ret->head));
    ret->kind = SCP_SINK_FILE;
    s->left = ret->head.size;
    s->state = SINK_DATA;
    s->asks = true;
    return 1;
}

static int take_dir(struct scp_sink *s, struct view rest, struct scp_sink_event *ret)
{
    TRY(head_take(s, rest, &ret->head));
    if (!s->recursive) return refuse(s, ERR_DENIED, "protocol error: received directory without -r");
    if (s->depth == SCP_DEPTH_MAX) return refuse(s, ERR_LIMIT, "protocol error: too many directories in one another");
    ret->kind = SCP_SINK_DIR;
    s->depth++;
    s->asks = s->asks_dir = true;
    return 1;
}

static int take_leave(struct scp_sink *s, struct view rest, struct scp_sink_event *ret)
{
    if (rest.len || s->depth == 0) return refuse(s, ERR_FORMAT, "protocol error: end of a directory that was not begun");
    ret->kind = SCP_SINK_LEAVE;
    s->depth--;
    s->asks = true;
    return 1;
}

static int take_failure(UNUSED struct scp_sink *s, struct view rest, struct scp_sink_event *ret)
{
    ret->kind = SCP_SINK_FAILED;
    ret->failed = true;
    ret->text = rest;
    return 1;
}

static int take_fatal(struct scp_sink *s, struct view rest, struct scp_sink_event *ret)
{
    ret->fatal = true;
    return take_failure(s, rest, ret);
}

static const struct {
    uint8_t first;
    int (*take)(struct scp_sink *, struct view rest, struct scp_sink_event *);
} records[] = {
    { 'T', take_times },
    { 'C', take_file },
    { 'D', take_dir },
    { 'E', take_leave },
    { SCP_STATUS_FAILED, take_failure },
    { SCP_STATUS_FATAL, take_fatal },
};

static int next_record(struct scp_sink *s, struct view *in, struct scp_sink_event *ret)
{
    struct view line;
    int got = scp_line_take(&s->line, in, &line);
    if (got < 0) return refuse(s, got, "protocol error: a line without end");
    if (got == 0) return 0;
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        if (line.len && line.p[0] == records[i].first) return records[i].take(s, view_sub(line, 1, line.len), ret);
    s->words = line;
    return refuse(s, ERR_FORMAT, "protocol error: expected control record");
}

static int next_data(struct scp_sink *s, struct view *in, struct scp_sink_event *ret)
{
    ret->kind = SCP_SINK_DATA;
    ret->text = view_sub(*in, 0, (size_t)MIN((uint64_t)in->len, s->left));
    s->left -= ret->text.len;
    *in = view_sub(*in, ret->text.len, in->len);
    return 1;
}

static int next_status(struct scp_sink *s, struct view *in, struct scp_sink_event *ret)
{
    uint8_t status;
    int got = scp_status_take(&s->line, in, &status, &ret->text);
    if (got < 0) return refuse(s, got, "protocol error: no status behind the data");
    if (got == 0) return 0;
    ret->kind = SCP_SINK_FILE_END;
    ret->failed = status != SCP_STATUS_GOOD;
    ret->fatal = status == SCP_STATUS_FATAL;
    s->state = SINK_RECORD;
    s->asks = true;
    return 1;
}

static int next(struct scp_sink *s, struct view *in, struct scp_sink_event *ret)
{
    while (in->len && !s->asks) {
        int got;
        if (s->state == SINK_DATA && s->left == 0) s->state = SINK_STATUS;
        if (s->state == SINK_DATA)
            got = next_data(s, in, ret);
        else
            got = s->state == SINK_STATUS ? next_status(s, in, ret) : next_record(s, in, ret);
        if (got) return got;
    }
    return 0;
}

int scp_sink_next(struct scp_sink *s, struct view *in, struct scp_sink_event *ret)
{
    struct scp_sink_event e = { .kind = SCP_SINK_FAILED };
    if (s->err < 0) return s->err;
    int got = next(s, in, &e);
    if (got < 0) {
        s->err = got;
        if (scp_status_put(&s->out, s->why ? s->why : err_text(got)) < 0) s->err = ERR_NOMEM;
        return s->err;
    }
    if (got) *ret = e;
    return got;
}

int scp_sink_answer(struct scp_sink *s, const char *text)
{
    if (!s->asks) return ERR_STATE;
    s->asks = false;
    if (text && s->state == SINK_DATA) s->state = SINK_RECORD; /* a file that is refused has no data */
    if (text && s->asks_dir) s->depth--;                       /* a directory that is refused is not entered */
    s->asks_dir = false;
    return scp_status_put(&s->out, text);
}

bool scp_sink_is_complete(const struct scp_sink *s)
{
    return s->err == 0 && !s->asks && s->state == SINK_RECORD && s->depth == 0 && s->line.len == 0;
}

const char *scp_sink_why(const struct scp_sink *s) { return s->why ? s->why : err_text(s->err); }

int scp_sink_init(struct scp_sink *s, const struct strv *wanted, bool recursive)
{
    *s = (struct scp_sink){ .wanted = wanted, .recursive = recursive };
    buf_init(&s->out, SCP_OUT_MAX_BYTES);
    return scp_status_put(&s->out, NULL);
}

void scp_sink_done(struct scp_sink *s) { buf_done(&s->out); }
