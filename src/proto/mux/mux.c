/* Table of the messages of PROTOCOL.mux, and their fields. */
#include "proto/mux/mux.h"

#include "base/rd.h"
#include "base/wr.h"

#include <stddef.h>

enum kind {
    END,
    U32,
    FLAG, /* a u32 that is 0 or not */
    PORT,
    TEXT,     /* a string without NUL */
    RESERVED, /* a string without meaning */
    REST,
};

enum {
    FIELDS_MAX = 10
};

struct field {
    enum kind kind;
    size_t at;
};

#define F(kind, name)                              \
    {                                              \
        (kind), offsetof(struct mux_message, name) \
    }
#define ID F(U32, id)
#define WHY ID, F(TEXT, text)
#define VALUE ID, F(U32, value)
#define FORWARD ID, F(U32, forward_kind), F(TEXT, listen_host), F(PORT, listen_port), F(TEXT, connect_host), F(PORT, connect_port)

static const struct row {
    uint32_t type;
    bool by_master, by_passenger;
    uint8_t n_fds;
    struct field fields[FIELDS_MAX];
} rows[] = {
    { MUX_HELLO, true, true, 0, { ID, F(REST, rest) } },
    { MUX_NEW_SESSION,
      false,
      true,
      3,
      { ID,
        { RESERVED, 0 },
        F(FLAG, wants_tty),
        F(FLAG, wants_x11),
        F(FLAG, wants_agent),
        F(FLAG, is_subsystem),
        F(U32, escape),
        F(TEXT, term),
        F(TEXT, command),
        F(REST, rest) } },
    { MUX_ALIVE_CHECK, false, true, 0, { ID } },
    { MUX_TERMINATE, false, true, 0, { ID } },
    { MUX_OPEN_FORWARD, false, true, 0, { FORWARD } },
    { MUX_CLOSE_FORWARD, false, true, 0, { FORWARD } },
    { MUX_NEW_STDIO_FORWARD, false, true, 2, { ID, { RESERVED, 0 }, F(TEXT, connect_host), F(PORT, connect_port) } },
    { MUX_STOP_LISTENING, false, true, 0, { ID } },
    { MUX_PROXY_REQUEST, false, true, 0, { ID } },
    { MUX_OK, true, false, 0, { ID } },
    { MUX_PERMISSION_DENIED, true, false, 0, { WHY } },
    { MUX_FAILURE, true, false, 0, { WHY } },
    { MUX_EXIT_MESSAGE, true, false, 0, { VALUE } },
    { MUX_ALIVE, true, false, 0, { VALUE } },
    { MUX_SESSION_OPENED, true, false, 0, { VALUE } },
    { MUX_REMOTE_PORT, true, false, 0, { VALUE } },
    { MUX_TTY_ALLOC_FAIL, true, false, 0, { ID } },
};

static const struct row *find(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type == type) return &rows[i];
    return NULL;
}

size_t mux_n_fds(uint32_t type)
{
    const struct row *row = find(type);
    return row ? row->n_fds : 0;
}

int mux_frame_next(struct view bytes, struct view *ret_body, size_t *ret_used)
{
    struct rd r = rd_of(bytes);
    if (bytes.len < 4) return 0;
    uint32_t len = rd_u32(&r);
    TRY(rd_stop(&r));
    if (len < 4 || len > MUX_FRAME_BYTES_MAX) return ERR_LIMIT;
    if (rd_left(&r) < len) return 0;
    *ret_body = view_sub(bytes, 4, len);
    *ret_used = 4 + (size_t)len;
    return 1;
}

/* ---- get ---- */

static uint32_t get_port(struct rd *r)
{
    uint32_t port = rd_u32(r);
    if (port > UINT16_MAX && port != MUX_PATH_PORT) rd_fail(r, ERR_RANGE);
    return port;
}

static void get_field(struct rd *r, const struct field *f, struct mux_message *m)
{
    void *at = (uint8_t *)m + f->at;
    if (f->kind == U32)
        *(uint32_t *)at = rd_u32(r);
    else if (f->kind == PORT)
        *(uint32_t *)at = get_port(r);
    else if (f->kind == FLAG)
        *(bool *)at = rd_u32(r) != 0;
    else if (f->kind == TEXT)
        *(struct view *)at = rd_cstring(r);
    else if (f->kind == REST)
        *(struct view *)at = rd_rest(r);
    else
        (void)rd_string(r);
}

static int check_env(struct view rest)
{
    struct rd r = rd_of(rest);
    size_t n = 0;
    while (rd_left(&r)) {
        (void)rd_cstring(&r);
        TRY(rd_stop(&r));
        if (++n > MUX_ENV_MAX) return ERR_LIMIT;
    }
    return 0;
}

static int check(const struct mux_message *m)
{
    bool is_forward = m->type == MUX_OPEN_FORWARD || m->type == MUX_CLOSE_FORWARD;
    if (is_forward && (m->forward_kind < MUX_FORWARD_LOCAL || m->forward_kind > MUX_FORWARD_DYNAMIC)) return ERR_RANGE;
    if (m->type == MUX_NEW_SESSION && m->escape > UINT8_MAX && m->escape != MUX_ESCAPE_NONE) return ERR_RANGE;
    return m->type == MUX_NEW_SESSION ? check_env(m->rest) : 0;
}

int mux_get(struct view body, bool from_master, bool has_hello, struct mux_message *ret)
{
    struct rd r = rd_of(body);
    struct mux_message m = { .type = rd_u32(&r) };
    TRY(rd_stop(&r));
    const struct row *row = find(m.type);
    if ((m.type == MUX_HELLO) == has_hello) return ERR_UNEXPECTED_MESSAGE;
    if (!row) {
        m.id = rd_left(&r) >= 4 ? rd_u32(&r) : 0;
        TRY(rd_stop(&r));
        *ret = m;
        return ERR_UNSUPPORTED;
    }
    if (from_master ? !row->by_master : !row->by_passenger) return ERR_UNEXPECTED_MESSAGE;
    for (size_t i = 0; i < FIELDS_MAX && row->fields[i].kind != END; i++) get_field(&r, &row->fields[i], &m);
    TRY(rd_end(&r));
    TRY(check(&m));
    *ret = m;
    return 0;
}

bool mux_next_env(struct view *io_rest, struct view *ret_assignment)
{
    struct rd r = rd_of(*io_rest);
    if (!rd_left(&r)) return false;
    struct view one = rd_cstring(&r);
    if (rd_stop(&r) < 0) return false;
    *io_rest = view_sub(*io_rest, 4 + one.len, SIZE_MAX);
    *ret_assignment = one;
    return true;
}

/* ---- put ---- */

static void put_field(struct wr *w, const struct field *f, const struct mux_message *m)
{
    const void *at = (const uint8_t *)m + f->at;
    if (f->kind == U32 || f->kind == PORT)
        wr_u32(w, *(const uint32_t *)at);
    else if (f->kind == FLAG)
        wr_u32(w, *(const bool *)at);
    else if (f->kind == TEXT)
        wr_string(w, *(const struct view *)at);
    else if (f->kind == REST)
        wr_bytes(w, *(const struct view *)at);
    else
        wr_string(w, VIEW_EMPTY);
}

int mux_put(struct buf *out, const struct mux_message *m)
{
    const struct row *row = find(m->type);
    size_t before = buf_len(out);
    struct wr w = wr_of(out);
    if (!row) return ERR_BUG;
    size_t mark = wr_string_open(&w);
    wr_u32(&w, m->type);
    for (size_t i = 0; i < FIELDS_MAX && row->fields[i].kind != END; i++) put_field(&w, &row->fields[i], m);
    wr_string_close(&w, mark);
    int err = wr_end(&w);
    if (err == 0 && buf_len(out) - before > 4 + MUX_FRAME_BYTES_MAX) err = ERR_LIMIT;
    if (err < 0) buf_truncate(out, before);
    return err;
}
