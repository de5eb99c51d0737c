/* The codec and the rules of ipc/messages.def. */
#include "ipc/ipc.h"
#include "base/secret.h"
#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>

#include "wire/codec_fields_get.h"
#define IPC(name, number, from, to, states, max_bytes, n_fds, fields)      \
    int ipc_##name##_get(struct view fields_bytes, struct ipc_##name *ret) \
    {                                                                      \
        struct rd r = rd_of(fields_bytes);                                 \
        struct ipc_##name m = {};                                          \
        fields TRY(rd_end(&r));                                            \
        *ret = m;                                                          \
        return 0;                                                          \
    }
#include "ipc/messages.def"
#undef IPC
#include "wire/codec_fields_put.h"
#define IPC(name, number, from, to, states, max_bytes, n_fds, fields) \
    int ipc_##name##_put(struct wr *w, const struct ipc_##name *m) { fields return wr_end(w); }
#include "ipc/messages.def"
#undef IPC
#include "wire/codec_fields_undef.h"

static const struct row {
    const char *name;
    uint8_t from, to, n_fds;
    uint16_t states;
    uint32_t max_bytes;
} rows[256] = {
#define IPC(name, number, from, to, states, max_bytes, n_fds, fields) \
    [number] = { #name, IPC_##from, IPC_##to, (n_fds), (states), (max_bytes) },
#include "ipc/messages.def"
#undef IPC
};

/* length of number and fields (u32), number (u8) */
enum {
    HEADER_BYTES = 5,
    IN_MAX_BYTES = 33 << 20,
    FILL_BYTES = 16384
};

int ipc_init(struct ipc *c, int take_fd, enum ipc_role us, enum ipc_role them)
{
    *c = (struct ipc){ .fd = take_fd, .us = us, .them = them, .state = IPC_IDLE, .in = BUF_INIT_SECRET(IN_MAX_BYTES) };
    return fd_nonblock(take_fd, true);
}

void ipc_done(struct ipc *c)
{
    fd_close(c->fd);
    c->fd = -1;
    buf_done(&c->in);
    for (size_t i = 0; i < c->n_fds; i++) fd_close(c->fds[i]);
    c->n_fds = 0;
}

const char *ipc_name(uint8_t number) { return rows[number].name ? rows[number].name : "unknown"; }

int ipc_send_fields(struct ipc *c, uint8_t number, struct view fields, const int *fds, size_t n_fds)
{
    const struct row *row = &rows[number];
    if (!row->name || row->from != c->us || row->to != c->them || row->n_fds != n_fds || fields.len > row->max_bytes)
        return ERR_BUG;
    uint8_t header[HEADER_BYTES];
    struct wr w = wr_area(header, sizeof header);
    wr_u32(&w, (uint32_t)fields.len + 1);
    wr_u8(&w, number);
    TRY(wr_end(&w));
    CLEANUP(buf_done) struct buf whole = BUF_INIT_SECRET(sizeof header + fields.len);
    TRY(buf_put(&whole, header, sizeof header));
    TRY(buf_put_view(&whole, fields));
    for (;;) {
        int err = fd_send(c->fd, buf_view(&whole), fds, n_fds);
        if (err == ERR_SYS(EPIPE) || err == ERR_SYS(ECONNRESET)) return ERR_PEER_CLOSED;
        if (err != ERR_AGAIN) return err;
        TRY(fd_wait(c->fd, true, MS_NEVER));
    }
}

/* What ipc_next gave out may hold a password: wiped as soon as its loan is over. */
static void forget_taken(struct ipc *c)
{
    if (c->in.base) secret_wipe(c->in.base, c->in.off);
    if (c->in.off == c->in.end) c->in.off = c->in.end = 0;
}

int ipc_fill(struct ipc *c)
{
    uint8_t *to;
    forget_taken(c);
    TRY(buf_reserve(&c->in, FILL_BYTES, &to));
    size_t n = 0, n_fds = 0;
    int err = fd_recv(c->fd, to, FILL_BYTES, &n, c->fds + c->n_fds, ARRAY_LEN(c->fds) - c->n_fds, &n_fds);
    if (err < 0) return err == ERR_SYS(ECONNRESET) ? ERR_PEER_CLOSED : err;
    c->n_fds += n_fds;
    if (n == 0) return ERR_PEER_CLOSED;
    buf_commit(&c->in, n);
    return 0;
}

static int hand_out_fds(struct ipc *c, size_t n, struct ipc_message *m)
{
    if (c->n_fds < n) return ERR_UNEXPECTED_MESSAGE;
    for (size_t i = 0; i < IPC_FDS_MAX; i++) m->fds[i] = i < n ? c->fds[i] : -1;
    c->n_fds -= n;
    memmove(c->fds, c->fds + n, c->n_fds * sizeof *c->fds);
    return 0;
}

static int refuse_fds(struct ipc_message *m)
{
    for (size_t i = 0; i < IPC_FDS_MAX; i++) fd_close(m->fds[i]);
    return ERR_UNEXPECTED_MESSAGE;
}

int ipc_next(struct ipc *c, struct ipc_message *ret)
{
    struct view all = buf_view(&c->in);
    if (all.len < HEADER_BYTES) return 0;
    struct rd r = rd_of(all);
    uint32_t len = rd_u32(&r);
    struct ipc_message m = { .number = rd_u8(&r), .fds = { -1, -1 } };
    const struct row *row = &rows[m.number];
    if (!row->name || row->from != c->them || row->to != c->us || !(row->states & c->state)) return ERR_UNEXPECTED_MESSAGE;
    if (len < 1 || len - 1 > row->max_bytes) return ERR_LIMIT;
    if (all.len - 4 < len) return 0;
    TRY(hand_out_fds(c, row->n_fds, &m));
    m.fields = view_sub(all, HEADER_BYTES, len - 1);
    /* Descriptors arrive with bytes of their own message, so with none of those left there is nobody to claim them. */
    if (all.len == 4 + (size_t)len && c->n_fds > 0) return refuse_fds(&m);
    c->in.off += 4 + len; /* not buf_consume: it would wipe what the caller is to read; forget_taken does it later */
    *ret = m;
    return 1;
}

int ipc_recv(struct ipc *c, ms deadline, struct ipc_message *ret)
{
    for (;;) {
        int n = ipc_next(c, ret);
        if (n != 0) return n < 0 ? n : 0;
        ms left = deadline == MS_NEVER ? MS_NEVER : deadline - clock_now();
        if (left <= 0) return ERR_TIMEOUT;
        TRY(fd_wait(c->fd, false, left));
        int err = ipc_fill(c);
        if (err < 0 && err != ERR_AGAIN) return err;
    }
}

int ipc_expect(struct ipc *c, ms deadline, uint8_t number, struct ipc_message *ret)
{
    struct ipc_message m;
    TRY(ipc_recv(c, deadline, &m));
    if (m.number == number) {
        *ret = m;
        return 0;
    }
    return refuse_fds(&m);
}
