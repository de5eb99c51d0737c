/* Requests in flight, the answers each may have, and the first words with a server. */
#include "proto/sftp/client.h"

#include "proto/limits.h"

#include <stdlib.h>

enum {
    DATA_BYTES_UNSAID = 32 * 1024,              /* what draft 3 makes every server take */
    IN_BYTES = 4 * (SFTP_PACKET_MAX_BYTES + 4), /* so that one read takes many small answers, or some large ones */
    OUT_BYTES = 8 * 1024 * 1024,
    OUT_SOFT_BYTES =
        128 * 1024, /* unsent bytes from which on requests wait: few, so that they are still in the cache when they go */
    SLOT_BITS = 12, /* of an id; the rest counts, so that a late second answer is found out */
    SLOT_MASK = (1 << SLOT_BITS) - 1,
    WRITE_HEADER_BYTES = 4 + 1 + 4 + 4 + SFTP_HANDLE_MAX_BYTES + 8 + 4,
};
_Static_assert(LIMIT_SFTP_CALLS <= SLOT_MASK + 1, "every request in flight has a slot");

struct slot {
    void *call;
    uint32_t id;
    uint8_t answer; /* the packet type it may have besides status; 0: none */
    bool used;
    uint16_t next_free;
};

enum client_state {
    CLIENT_HELLO,  /* init is out */
    CLIENT_LIMITS, /* the version has come, limits@openssh.com is asked */
    CLIENT_READY,
};

struct sftp_client {
    const struct log *log;
    enum client_state state;
    struct sftp_client_facts facts;
    struct buf in, out;
    struct buf waiting; /* requests made before the version came, in order */
    size_t taken;       /* bytes of `in` under the last answer */
    struct slot slots[LIMIT_SFTP_CALLS];
    uint16_t free_head; /* LIMIT_SFTP_CALLS: none */
    size_t n_pending;
    uint32_t counter;
    uint32_t write_id;
    size_t write_mark, write_header; /* of a reserved write */
    int err;
};

/* ---- slots ---- */

static void free_slot(struct sftp_client *c, uint16_t idx)
{
    c->slots[idx].used = false;
    c->slots[idx].call = NULL;
    c->slots[idx].next_free = c->free_head;
    c->free_head = idx;
    c->n_pending--;
}

/* draft 6 and 7: the answer that each request may have, if it is not a status. */
static uint8_t answer_of(uint8_t type)
{
    static const uint8_t answers[256] = {
        [MSG_sftp_open_NUMBER] = MSG_sftp_handle_NUMBER,   [MSG_sftp_opendir_NUMBER] = MSG_sftp_handle_NUMBER,
        [MSG_sftp_read_NUMBER] = MSG_sftp_data_NUMBER,     [MSG_sftp_readdir_NUMBER] = MSG_sftp_name_NUMBER,
        [MSG_sftp_realpath_NUMBER] = MSG_sftp_name_NUMBER, [MSG_sftp_readlink_NUMBER] = MSG_sftp_name_NUMBER,
        [MSG_sftp_lstat_NUMBER] = MSG_sftp_attrs_NUMBER,   [MSG_sftp_fstat_NUMBER] = MSG_sftp_attrs_NUMBER,
        [MSG_sftp_stat_NUMBER] = MSG_sftp_attrs_NUMBER,    [MSG_sftp_extended_NUMBER] = MSG_sftp_extended_reply_NUMBER,
    };
    return answers[type];
}

int sftp_client_begin(struct sftp_client *c, uint32_t *ret_id)
{
    if (c->err < 0) return c->err;
    if (c->free_head == LIMIT_SFTP_CALLS || buf_len(&c->out) >= OUT_SOFT_BYTES || buf_len(&c->waiting) >= OUT_SOFT_BYTES)
        return ERR_AGAIN;
    *ret_id = (c->counter << SLOT_BITS) | c->free_head;
    return 0;
}

struct buf *sftp_client_out(struct sftp_client *c) { return c->state == CLIENT_READY ? &c->out : &c->waiting; }

void sftp_client_end(struct sftp_client *c, uint32_t id, uint8_t type, void *call)
{
    uint16_t idx = (uint16_t)(id & SLOT_MASK);
    struct slot *s = &c->slots[idx];
    CHECK(!s->used && idx == c->free_head);
    c->free_head = s->next_free;
    *s = (struct slot){ .call = call, .id = id, .answer = answer_of(type), .used = true };
    c->n_pending++;
    c->counter++;
}

void sftp_client_forget(struct sftp_client *c, const void *call)
{
    for (size_t i = 0; i < LIMIT_SFTP_CALLS; i++)
        if (c->slots[i].used && c->slots[i].call == call) c->slots[i].call = NULL;
}

size_t sftp_client_pending(const struct sftp_client *c) { return c->n_pending; }

/* ---- writes ---- */

int sftp_client_write_reserve(struct sftp_client *c, struct view handle, uint64_t offset, size_t want, uint8_t **ret_area,
                              size_t *ret_len)
{
    struct buf *out = sftp_client_out(c);
    size_t len = want < c->facts.write_max_bytes ? want : c->facts.write_max_bytes;
    uint8_t *p;
    if (handle.len > SFTP_HANDLE_MAX_BYTES) return ERR_LIMIT;
    TRY(sftp_client_begin(c, &c->write_id));
    TRY(buf_reserve(out, WRITE_HEADER_BYTES + len, &p));
    struct wr w = wr_area(p, WRITE_HEADER_BYTES);
    wr_u32(&w, 0);
    wr_u8(&w, MSG_sftp_write_NUMBER);
    wr_u32(&w, c->write_id);
    wr_string(&w, handle);
    wr_u64(&w, offset);
    wr_u32(&w, 0);
    TRY(wr_end(&w));
    c->write_header = w.len;
    *ret_area = p + w.len;
    *ret_len = len;
    return 0;
}

void sftp_client_write_commit(struct sftp_client *c, size_t len, void *call)
{
    struct buf *out = sftp_client_out(c);
    size_t mark = buf_len(out);
    if (len == 0) return;
    buf_commit(out, c->write_header + len);
    struct wr w = wr_area(buf_bytes(out) + mark, 4), n = wr_area(buf_bytes(out) + mark + c->write_header - 4, 4);
    wr_u32(&w, (uint32_t)(c->write_header - 4 + len));
    wr_u32(&n, (uint32_t)len);
    sftp_client_end(c, c->write_id, MSG_sftp_write_NUMBER, call);
}

/* ---- the first words ---- */

static const struct {
    const char *name, *version;
} extensions[SFTP_EXT_MAX] = {
    [SFTP_EXT_POSIX_RENAME] = { "posix-rename@openssh.com", "1" },
    [SFTP_EXT_STATVFS] = { "statvfs@openssh.com", "2" },
    [SFTP_EXT_FSTATVFS] = { "fstatvfs@openssh.com", "2" },
    [SFTP_EXT_HARDLINK] = { "hardlink@openssh.com", "1" },
    [SFTP_EXT_FSYNC] = { "fsync@openssh.com", "1" },
    [SFTP_EXT_LSETSTAT] = { "lsetstat@openssh.com", "1" },
    [SFTP_EXT_LIMITS] = { "limits@openssh.com", "1" },
    [SFTP_EXT_EXPAND_PATH] = { "expand-path@openssh.com", "1" },
    [SFTP_EXT_COPY_DATA] = { "copy-data", "1" },
    [SFTP_EXT_HOME_DIRECTORY] = { "home-directory", "1" },
    [SFTP_EXT_USERS_GROUPS] = { "users-groups-by-id@openssh.com", "1" },
};

const char *sftp_extension_name(enum sftp_extension e) { return extensions[e].name; }
const struct sftp_client_facts *sftp_client_facts(const struct sftp_client *c) { return &c->facts; }

static void note_extension(struct sftp_client *c, struct view name, struct view version)
{
    for (size_t i = 0; i < SFTP_EXT_MAX; i++)
        if (view_eq_str(name, extensions[i].name) && view_eq_str(version, extensions[i].version)) {
            c->facts.has[i] = true;
            log_at(c->log, LOG_LEVEL_DEBUG2, "Server supports extension \"%s\" revision %s", extensions[i].name,
                   extensions[i].version);
            return;
        }
    log_at(c->log, LOG_LEVEL_DEBUG2, "Unrecognised server extension \"%.*s\"", VIEW_ARG(name));
}

static int become_ready(struct sftp_client *c, struct sftp_answer *ret)
{
    c->state = CLIENT_READY;
    c->facts.known = true;
    TRY(buf_put_view(&c->out, buf_view(&c->waiting)));
    buf_done(&c->waiting);
    *ret = (struct sftp_answer){ .type = MSG_sftp_version_NUMBER };
    return 1;
}

static int on_version(struct sftp_client *c, struct view payload, struct sftp_answer *ret)
{
    struct msg_sftp_version m;
    TRY(msg_sftp_version_get(payload, &m));
    c->facts.version = m.version;
    if (m.version != SFTP_VERSION) return ERR_UNSUPPORTED;
    struct rd r = rd_of(m.extensions);
    while (rd_left(&r)) {
        struct view name = rd_string(&r), data = rd_string(&r);
        if (!r.err) note_extension(c, name, data);
    }
    TRY(rd_end(&r));
    if (!c->facts.has[SFTP_EXT_LIMITS]) return become_ready(c, ret);
    c->state = CLIENT_LIMITS;
    uint32_t id = (c->counter++ << SLOT_BITS) | SLOT_MASK; /* no slot has this number: the only question of ours */
    return SFTP_PUT(&c->out, sftp_extended, .id = id, .name = view_str(extensions[SFTP_EXT_LIMITS].name), .data = VIEW_EMPTY);
}

static size_t sane_bytes(uint64_t said)
{
    return said == 0 ? DATA_BYTES_UNSAID : said > SFTP_DATA_MAX_BYTES ? SFTP_DATA_MAX_BYTES : (size_t)said;
}

static int on_limits(struct sftp_client *c, struct view payload, struct sftp_answer *ret)
{
    struct msg_sftp_extended_reply m;
    struct body_sftp_limits limits;
    if (payload.p[0] == MSG_sftp_status_NUMBER) return become_ready(c, ret); /* said to have it, and has it not */
    TRY(msg_sftp_extended_reply_get(payload, &m));
    TRY(body_sftp_limits_get(m.data, &limits));
    c->facts.read_max_bytes = sane_bytes(limits.read_max_bytes);
    c->facts.write_max_bytes = sane_bytes(limits.write_max_bytes);
    c->facts.handles_max = limits.handles_max;
    return become_ready(c, ret);
}

/* ---- answers ---- */

const char *sftp_client_status_text(uint32_t status)
{
    return status == SFTP_NO_SUCH_FILE ? "No such file or directory" : sftp_status_text(status);
}

static int read_answer(struct view payload, struct sftp_answer *ret)
{
    struct msg_sftp_status status;
    struct msg_sftp_handle handle;
    struct msg_sftp_data data;
    struct msg_sftp_name name;
    struct msg_sftp_attrs attrs;
    struct msg_sftp_extended_reply extended;
    switch (ret->type) {
    case MSG_sftp_status_NUMBER:
        /* Servers of draft 2 and some others leave out message and language. */
        if (payload.len == 1 + 4 + 4) {
            struct rd r = rd_of(view_sub(payload, 5, 4));
            ret->status = rd_u32(&r);
            return rd_end(&r);
        }
        TRY(msg_sftp_status_get(payload, &status));
        ret->status = status.status;
        ret->message = status.message;
        return 0;
    case MSG_sftp_handle_NUMBER:
        TRY(msg_sftp_handle_get(payload, &handle));
        ret->data = handle.handle;
        return handle.handle.len <= SFTP_HANDLE_MAX_BYTES ? 0 : ERR_FORMAT;
    case MSG_sftp_data_NUMBER:
        TRY(msg_sftp_data_get(payload, &data));
        ret->data = data.data;
        return 0;
    case MSG_sftp_name_NUMBER:
        TRY(msg_sftp_name_get(payload, &name));
        ret->n_names = name.n_names;
        ret->names = rd_of(name.names);
        return 0;
    case MSG_sftp_attrs_NUMBER:
        TRY(msg_sftp_attrs_get(payload, &attrs));
        return sftp_attrs_get(attrs.attrs, &ret->attrs);
    default:
        TRY(msg_sftp_extended_reply_get(payload, &extended));
        ret->data = extended.data;
        return 0;
    }
}

/* Some extensions are answered as realpath is (OpenSSH PROTOCOL 4.9, 4.12: expand-path, home-directory). */
static bool may_have(const struct slot *s, uint8_t type)
{
    return type == MSG_sftp_status_NUMBER || (type && type == s->answer) ||
           (type == MSG_sftp_name_NUMBER && s->answer == MSG_sftp_extended_reply_NUMBER);
}

static int on_answer(struct sftp_client *c, struct view payload, struct sftp_answer *ret)
{
    struct rd r = rd_of(payload);
    uint8_t type = rd_u8(&r);
    uint32_t id = rd_u32(&r);
    TRY(rd_stop(&r));
    uint16_t idx = (uint16_t)(id & SLOT_MASK);
    if (idx >= LIMIT_SFTP_CALLS || !c->slots[idx].used || c->slots[idx].id != id) return ERR_UNEXPECTED_MESSAGE;
    if (!may_have(&c->slots[idx], type)) return ERR_UNEXPECTED_MESSAGE;
    *ret = (struct sftp_answer){ .call = c->slots[idx].call, .type = type };
    TRY(read_answer(payload, ret));
    free_slot(c, idx);
    return 1;
}

static int on_packet(struct sftp_client *c, struct view payload, struct sftp_answer *ret)
{
    switch (c->state) {
    case CLIENT_HELLO:
        return on_version(c, payload, ret);
    case CLIENT_LIMITS:
        return on_limits(c, payload, ret);
    default:
        return on_answer(c, payload, ret);
    }
}

int sftp_client_next(struct sftp_client *c, struct sftp_answer *ret)
{
    if (c->err < 0) return c->err;
    for (;;) {
        struct view payload;
        buf_consume(&c->in, c->taken);
        c->taken = 0;
        int got = sftp_packet_next(buf_view(&c->in), &payload, &c->taken);
        if (got == 1)
            got = on_packet(c, payload, ret);
        else if (got == 0)
            return 0;
        if (got < 0) c->err = got;
        if (got != 0) return got;
    }
}

int sftp_client_area(struct sftp_client *c, uint8_t **ret_area, size_t *ret_room)
{
    if (c->err < 0) return c->err;
    size_t room = buf_room(&c->in);
    TRY(buf_reserve(&c->in, room, ret_area));
    *ret_room = room;
    return 0;
}

void sftp_client_received(struct sftp_client *c, size_t n) { buf_commit(&c->in, n); }
struct view sftp_client_output(const struct sftp_client *c) { return buf_view(&c->out); }
void sftp_client_sent(struct sftp_client *c, size_t n) { buf_consume(&c->out, n); }

/* ---- life ---- */

int sftp_client_new(const struct log *log, struct sftp_client **ret)
{
    CLEANUP(sftp_client_freep) struct sftp_client *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    c->log = log;
    buf_init(&c->in, IN_BYTES);
    buf_init(&c->out, OUT_BYTES);
    buf_init(&c->waiting, OUT_BYTES / 2);
    c->facts.read_max_bytes = c->facts.write_max_bytes = DATA_BYTES_UNSAID;
    for (uint16_t i = 0; i < LIMIT_SFTP_CALLS; i++) c->slots[i].next_free = (uint16_t)(i + 1);
    /* Unlike all others, init has no id. */
    size_t mark = buf_len(&c->out);
    TRY(sftp_packet_open(&c->out));
    struct wr w = wr_of(&c->out);
    struct msg_sftp_init m = { .version = SFTP_VERSION };
    TRY(msg_sftp_init_put(&w, &m));
    sftp_packet_close(&c->out, mark);
    *ret = TAKE(c);
    return 0;
}

void sftp_client_free(struct sftp_client *c)
{
    if (!c) return;
    buf_done(&c->in);
    buf_done(&c->out);
    buf_done(&c->waiting);
    free(c);
}
