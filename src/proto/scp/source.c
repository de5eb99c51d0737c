/* The source: what a step says, and who waits for its answer. */
#include "proto/scp/scp_int.h"

#include <inttypes.h>

enum source_state {
    SOURCE_IDLE,   /* a step may begin */
    SOURCE_TIMES,  /* said; the record itself waits for the answer */
    SOURCE_FILE,   /* said */
    SOURCE_DATA,   /* accepted */
    SOURCE_ANSWER, /* something else was said */
};

static void put_name(struct buf *out, struct view name, int *err)
{
    for (size_t i = 0; i < name.len && *err == 0; i++)
        *err = name.p[i] == '\n' ? buf_put_str(out, "\\^J") : buf_put_u8(out, name.p[i]);
}

static int record_put(struct buf *out, char kind, const struct scp_head *h)
{
    size_t mark = buf_len(out);
    if (!scp_name_is_good(h->name)) return ERR_FORMAT;
    if (h->name.len > SCP_NAME_MAX_BYTES / 3) return ERR_LIMIT;
    int err = buf_printf(out, "%c%04" PRIo32 " %" PRIu64 " ", kind, h->mode & 07777, h->size);
    if (err == 0) put_name(out, h->name, &err);
    if (err == 0) err = buf_put_u8(out, '\n');
    if (err < 0) buf_truncate(out, mark);
    return err;
}

static int head_put(struct scp_source *s, char kind, const struct scp_head *h)
{
    if (s->state != SOURCE_IDLE) return ERR_STATE;
    buf_reset(&s->after_times);
    TRY(record_put(h->has_times ? &s->after_times : &s->out, kind, h));
    /* A time before 1970 cannot be said. */
    if (h->has_times)
        TRY(buf_printf(&s->out, "T%" PRId64 " 0 %" PRId64 " 0\n", MAX(h->mtime_s, (int64_t)0), MAX(h->atime_s, (int64_t)0)));
    s->state = h->has_times ? SOURCE_TIMES : kind == 'C' ? SOURCE_FILE : SOURCE_ANSWER;
    s->is_file = kind == 'C';
    return 0;
}

int scp_source_file(struct scp_source *s, const struct scp_head *h)
{
    TRY(head_put(s, 'C', h));
    s->left = h->size;
    return 0;
}

int scp_source_dir(struct scp_source *s, const struct scp_head *h)
{
    struct scp_head head = *h;
    head.size = 0;
    return head_put(s, 'D', &head);
}

int scp_source_leave(struct scp_source *s)
{
    if (s->state != SOURCE_IDLE) return ERR_STATE;
    TRY(buf_put_str(&s->out, "E\n"));
    s->state = SOURCE_ANSWER;
    return 0;
}

void scp_source_sent(struct scp_source *s, uint64_t n)
{
    CHECK(s->state == SOURCE_DATA && n <= s->left);
    s->left -= n;
}

int scp_source_file_end(struct scp_source *s, const char *text)
{
    if (s->state != SOURCE_DATA || s->left) return ERR_STATE;
    TRY(scp_status_put(&s->out, text));
    s->state = SOURCE_ANSWER;
    return 0;
}

int scp_source_failed(struct scp_source *s, const char *text)
{
    if (s->state != SOURCE_IDLE) return ERR_STATE;
    return scp_status_put(&s->out, text);
}

static int answered(struct scp_source *s, uint8_t status, struct view text, struct scp_answer *ret)
{
    bool good = status == SCP_STATUS_GOOD;
    if (s->state == SOURCE_TIMES && good) {
        s->state = s->is_file ? SOURCE_FILE : SOURCE_ANSWER;
        return buf_put_view(&s->out, buf_view(&s->after_times));
    }
    s->state = s->state == SOURCE_FILE && good ? SOURCE_DATA : SOURCE_IDLE;
    *ret = (struct scp_answer){ .good = good, .fatal = status == SCP_STATUS_FATAL, .text = text };
    return 1;
}

int scp_source_next(struct scp_source *s, struct view *in, struct scp_answer *ret)
{
    struct view text = VIEW_EMPTY;
    uint8_t status;
    int got = s->err;
    while (got == 0 && in->len && s->state != SOURCE_IDLE && s->state != SOURCE_DATA) {
        got = scp_status_take(&s->line, in, &status, &text);
        if (got == 1) got = answered(s, status, text, ret);
    }
    if (got < 0) {
        s->err = got;
        s->words = text;
    }
    return got;
}

void scp_source_init(struct scp_source *s)
{
    *s = (struct scp_source){ .state = SOURCE_ANSWER };
    buf_init(&s->out, SCP_OUT_MAX_BYTES);
    buf_init(&s->after_times, SCP_LINE_MAX_BYTES);
}

void scp_source_done(struct scp_source *s)
{
    buf_done(&s->out);
    buf_done(&s->after_times);
}
