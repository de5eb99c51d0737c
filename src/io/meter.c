/* What stands on the line and when it is drawn again. The shape of the line is OpenSSH's, which other programs read. */
#include "io/meter.h"

#include "base/vis.h"
#include "os/fd.h"
#include "os/tty.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INTERVAL_MS = 1000, /* between two drawings of the moving line */
    STALLED_MS = 5000,
    NUMBERS_COLUMNS = 35, /* " 100%  123KB  45.2MB/s   00:05 ETA", and the last column, which stays free */
    NAME_BYTES = 1024,
};

struct meter {
    struct loop *loop;
    struct loop_timer *timer;
    int fd;
    bool is_drawn;                 /* the moving line stands there */
    char name[NAME_BYTES];         /* vis */
    struct transfer_progress last; /* path is not kept */
    bool moving;
    ms drawn_at, moved_at;
    uint64_t drawn_bytes, bytes_s; /* of the job */
};

/* ---- the line ---- */

/* Four digits and a unit. */
static void put_size(char *out, size_t cap, uint64_t bytes)
{
    static const char units[] = " KMGTPE";
    size_t u = 0;
    while (bytes >= 10000 && u < sizeof(units) - 2) {
        bytes = bytes / 1024 + (bytes % 1024 >= 512);
        u++;
    }
    snprintf(out, cap, "%4u%c%c", (unsigned)bytes, units[u], u ? 'B' : ' ');
}

static void put_rate(char *out, size_t cap, uint64_t bytes_s)
{
    static const char units[] = "KMGTPE";
    uint64_t tenths = bytes_s / 1024 * 10 + bytes_s % 1024 * 10 / 1024;
    size_t u = 0;
    while (tenths >= 10000 && u < sizeof(units) - 2) {
        tenths = tenths / 1024 + (tenths % 1024 >= 512);
        u++;
    }
    snprintf(out, cap, "%3u.%u%cB/s", (unsigned)(tenths / 10), (unsigned)(tenths % 10), units[u]);
}

static void put_time(char *out, size_t cap, const struct meter_line *l)
{
    const char *behind = l->done ? "    " : " ETA";
    if (l->stalled) {
        snprintf(out, cap, "- stalled -");
    } else if (l->time_ms == MS_NEVER) {
        snprintf(out, cap, "  --:--%s", behind);
    } else {
        uint64_t s = (uint64_t)l->time_ms / 1000, hours = MIN(s / 3600, (uint64_t)9999);
        if (hours)
            snprintf(out, cap, "%u:%02u:%02u%s", (unsigned)hours, (unsigned)(s / 60 % 60), (unsigned)(s % 60), behind);
        else
            snprintf(out, cap, "  %02u:%02u%s", (unsigned)(s / 60), (unsigned)(s % 60), behind);
    }
}

void meter_format(const struct meter_line *l, unsigned width, char ret_line[METER_LINE_BYTES])
{
    char name[NAME_BYTES], size[16], rate[32], left[32];
    size_t room = width > NUMBERS_COLUMNS ? width - NUMBERS_COLUMNS : 1;
    vis_line(view_str(l->name), name, sizeof name);
    room = MIN(room, sizeof name - 1);
    size_t pad = room - vis_cut(name, room);
    put_size(size, sizeof size, l->bytes);
    put_rate(rate, sizeof rate, l->bytes_s);
    put_time(left, sizeof left, l);
    snprintf(ret_line, METER_LINE_BYTES, "%s%*s %3d%% %s %s %s", name, (int)pad, "", l->percent, size, rate, left);
    vis_cut(ret_line, width > 1 ? width - 1 : 1);
}

/* ---- drawing ---- */

static void write_line(struct meter *m, const struct meter_line *l, bool for_good)
{
    char line[METER_LINE_BYTES], out[METER_LINE_BYTES + 8];
    if (!tty_in_foreground(m->fd)) return;
    meter_format(l, tty_width(m->fd), line);
    int n = snprintf(out, sizeof out, "\r%s%s", line, for_good ? "\n" : "");
    (void)!fd_write_all(m->fd, view_of(out, (size_t)n));
    m->is_drawn = !for_good;
}

static int percent_of(uint64_t part, uint64_t whole)
{
    if (whole == 0) return part ? 0 : 100;
    return part >= whole ? 100 : (int)((long double)part * 100 / (long double)whole);
}

static uint64_t rate_over(uint64_t bytes, ms took_ms)
{
    return (uint64_t)((long double)bytes * 1000 / (long double)MAX(took_ms, (ms)1));
}

static ms time_for(uint64_t left_bytes, uint64_t bytes_s)
{
    return bytes_s ? (ms)((long double)left_bytes * 1000 / (long double)bytes_s) : MS_NEVER;
}

static void draw_done(struct meter *m, const struct transfer_progress *p, const char *name)
{
    const struct meter_line l = { .name = name,
                                  .bytes = p->bytes,
                                  .bytes_s = rate_over(p->bytes - MIN(p->bytes, p->start_bytes), p->took_ms),
                                  .percent = percent_of(p->bytes, p->size_bytes ? p->size_bytes : p->bytes),
                                  .time_ms = p->took_ms,
                                  .done = true };
    write_line(m, &l, true);
}

/* Sizes are known of what has begun; so while files wait, their number tells more. */
static void fill_job(struct meter_line *l, const struct transfer_progress *p, char *name, size_t cap)
{
    snprintf(name, cap, "%zu of %zu files", p->n_done, p->n_known);
    l->name = name;
    l->bytes = p->all_bytes;
    l->percent = MIN(percent_of(p->n_done, p->n_known), percent_of(p->all_bytes, p->all_size_bytes));
    uint64_t rest = l->percent ? p->all_bytes / (uint64_t)l->percent * (uint64_t)(100 - l->percent) : 0;
    l->time_ms = l->percent ? time_for(rest, l->bytes_s) : MS_NEVER;
}

static void draw_moving(struct meter *m)
{
    char job_name[64];
    const struct transfer_progress *p = &m->last;
    ms now = loop_now(m->loop), passed = now - m->drawn_at;
    uint64_t moved = p->all_bytes - MIN(m->drawn_bytes, p->all_bytes);
    if (passed > 0 && m->drawn_at) {
        uint64_t rate = rate_over(moved, passed);
        m->bytes_s = m->bytes_s ? (m->bytes_s / 10 * 9 + rate / 10) : rate;
    }
    struct meter_line l = { .name = m->name, .bytes_s = m->bytes_s, .stalled = now - m->moved_at >= STALLED_MS };
    if (p->n_known > 1) {
        fill_job(&l, p, job_name, sizeof job_name);
    } else {
        l.bytes = p->bytes;
        l.percent = percent_of(p->bytes, p->size_bytes);
        l.time_ms = p->size_bytes ? time_for(p->size_bytes - MIN(p->bytes, p->size_bytes), m->bytes_s) : MS_NEVER;
    }
    m->drawn_at = now;
    m->drawn_bytes = p->all_bytes;
    write_line(m, &l, false);
}

static void on_timer(void *arg)
{
    struct meter *m = arg;
    if (!m->moving) return;
    draw_moving(m);
    loop_timer_set(m->timer, loop_now(m->loop) + INTERVAL_MS);
}

/* ---- what happens ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

void meter_progress(void *meter, const struct transfer_progress *p, bool began, bool done)
{
    struct meter *m = meter;
    if (m->fd < 0) return;
    bool first = !m->moving;
    m->last = *p;
    m->last.path = NULL;
    m->moved_at = loop_now(m->loop);
    m->moving = !done || p->n_done < p->n_known;
    if (done) {
        draw_done(m, p, base_name(p->path));
        return;
    }
    vis_line(view_str(base_name(p->path)), m->name, sizeof m->name);
    if (began && (first || p->n_known == 1)) {
        m->drawn_at = 0;
        draw_moving(m);
        m->drawn_at = loop_now(m->loop);
        loop_timer_set(m->timer, loop_now(m->loop) + INTERVAL_MS);
    }
}

void meter_make_way(struct meter *m)
{
    if (!m || !m->is_drawn) return;
    int width = (int)tty_width(m->fd) - 1;
    char out[METER_LINE_BYTES];
    int n = snprintf(out, sizeof out, "\r%*s\r", MIN(width, (int)sizeof out - 8), "");
    (void)!fd_write_all(m->fd, view_of(out, (size_t)n));
    m->is_drawn = false;
}

/* ---- life ---- */

int meter_new(struct loop *loop, int fd, struct meter **ret)
{
    CLEANUP(meter_freep) struct meter *m = calloc(1, sizeof *m);
    if (!m) return ERR_NOMEM;
    *m = (struct meter){ .loop = loop, .fd = tty_is(fd) ? fd : -1 };
    TRY(loop_timer_new(loop, on_timer, m, &m->timer));
    *ret = TAKE(m);
    return 0;
}

void meter_free(struct meter *m)
{
    if (!m) return;
    if (m->is_drawn) (void)!fd_write_all(m->fd, VIEW_LIT("\n"));
    loop_timer_free(m->timer);
    free(m);
}
