/* One file: opening both sides, its chunks, and what is left of it at the end. */
#include "io/transfer_int.h"

#include "os/file.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MODE_BITS = 07777,
    RATE_BURST_BYTES = 32 << 10,
    BLOCK_BYTES = 512 /* of st_blocks, stat(2) */
};

/* ---- opening ---- */

static uint32_t open_flags(const struct item *i)
{
    if (!i->is_put) return SFTP_OPEN_READ;
    uint32_t flags = SFTP_OPEN_WRITE | SFTP_OPEN_CREAT;
    return i->t->options.resume ? flags | SFTP_OPEN_READ : flags | SFTP_OPEN_TRUNC;
}

int file_ask_open(struct item *i)
{
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(64);
    struct sftp_attrs a = { .flags = 0 };
    if (i->is_put) a = (struct sftp_attrs){ .flags = SFTP_ATTR_PERMISSIONS, .permissions = i->attrs.permissions & 0777 };
    struct wr w = wr_of(&attrs);
    sftp_attrs_write(&w, &a);
    TRY(wr_end(&w));
    return SFTP_CALL(item_client(i), &i->call, sftp_open, .path = view_str(i->remote), .flags = open_flags(i),
                     .attrs = buf_view(&attrs));
}

/* Where to go on, and from where on the old part is compared. */
static void begin_at(struct item *i, uint64_t there)
{
    i->check_end = i->start = there;
    i->next = there > TRANSFER_CHECK_BYTES ? there - TRANSFER_CHECK_BYTES : 0;
}

/* The target of a get. Links at its place are followed, as cp does. */
static int open_target(struct item *i)
{
    struct stat st;
    mode_t mode = i->attrs.flags & SFTP_ATTR_PERMISSIONS ? i->attrs.permissions & 0777 : 0666;
    int flags = i->t->options.resume ? O_RDWR | O_CREAT : O_WRONLY | O_CREAT | O_TRUNC;
    TRY(file_open(i->local, flags, mode | S_IWUSR, &i->fd));
    if (fstat(i->fd, &st) < 0) return ERR_SYS(errno);
    i->is_stream = !S_ISREG(st.st_mode);
    if (!i->t->options.resume || i->is_stream) return 0;
    if (i->size && (uint64_t)st.st_size > i->size) return ERR_RANGE;
    begin_at(i, (uint64_t)st.st_size);
    return 0;
}

void file_begin_moving(struct item *i)
{
    item_tell(i, true, false);
    item_go(i, ITEM_MOVE);
}

static void begin_get(struct item *i)
{
    int err = open_target(i);
    if (err == ERR_RANGE)
        item_fail(i, "Unable to resume download of \"%s\": local file is larger than remote", i->remote);
    else if (err < 0)
        item_fail(i, "open local \"%s\": %s", i->local, err_text(err));
    else
        file_begin_moving(i);
}

void file_on_open(struct item *i, const struct sftp_answer *a)
{
    if (a->type != MSG_sftp_handle_NUMBER) {
        item_fail(i, "%s \"%s\": %s", i->is_put ? "dest open" : "remote open", i->remote, sftp_client_status_text(a->status));
        return;
    }
    i->handle_len = a->data.len;
    memcpy(i->handle, a->data.p, a->data.len);
    if (item_is_across(i))
        item_go(i, ITEM_TO_OPEN);
    else if (!i->is_put)
        begin_get(i);
    else if (i->t->options.resume)
        item_go(i, ITEM_FSTAT);
    else
        file_begin_moving(i);
}

int file_ask_fstat(struct item *i) { return SFTP_CALL(item_client(i), &i->call, sftp_fstat, .handle = item_handle(i)); }

void file_on_fstat(struct item *i, const struct sftp_answer *a)
{
    bool has_size = a->type == MSG_sftp_attrs_NUMBER && a->attrs.flags & SFTP_ATTR_SIZE;
    if (!has_size)
        item_fail(i, "stat remote \"%s\": %s", i->remote, sftp_client_status_text(a->status));
    else if (a->attrs.size > i->size)
        item_fail(i, "destination file bigger or same size as source: \"%s\"", i->remote);
    else {
        begin_at(i, a->attrs.size);
        file_begin_moving(i);
    }
}

static void begin_put(struct item *i, const struct stat *st)
{
    i->attrs = (struct sftp_attrs){ .flags = SFTP_ATTR_SIZE | SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES,
                                    .size = (uint64_t)st->st_size,
                                    .permissions = st->st_mode,
                                    .atime = (uint32_t)st->st_atime,
                                    .mtime = (uint32_t)st->st_mtime };
    i->size = (uint64_t)st->st_size;
    if (S_ISDIR(st->st_mode) && i->t->options.recursive) {
        i->is_dir = true;
        i->t->sum.n_known--;
        item_go(i, ITEM_MKDIR);
    } else if (!S_ISREG(st->st_mode))
        item_fail(i, "local \"%s\" is not a regular file", i->local);
    else {
        i->t->sum.all_size_bytes += i->size;
        i->data_end = (uint64_t)st->st_blocks * BLOCK_BYTES < i->size ? 0 : UINT64_MAX;
        item_go(i, ITEM_OPEN);
    }
}

void file_begin(struct item *i)
{
    struct stat st;
    /* O_NONBLOCK: a FIFO must not hold us. Links inside of trees are the tree's matter. */
    int err = file_open(i->local, O_RDONLY | O_NONBLOCK, 0, &i->fd);
    if (err == 0 && fstat(i->fd, &st) < 0) err = ERR_SYS(errno);
    if (err < 0)
        item_fail(i, "local \"%s\": %s", i->local, err_text(err));
    else
        begin_put(i, &st);
}

/* ---- chunks ---- */

static void chunk_add(struct item *i, struct chunk *c, void (*fn)(struct sftp_call *, const struct sftp_answer *))
{
    c->call.fn = fn;
    c->item = i;
    i->t->flight += c->len;
    i->t->rate_bytes += c->len;
    TAILQ_INSERT_TAIL(&i->chunks, c, link);
}

void chunk_done(struct chunk *c)
{
    struct item *i = c->item;
    TAILQ_REMOVE(&i->chunks, c, link);
    free(c);
    item_go(i, ITEM_MOVE); /* there may be room again, or nothing more to wait for */
}

/* A good answer lets more be on its way: what is in flight doubles in each round trip. */
void chunk_count(struct item *i, size_t asked, size_t moved)
{
    struct transfer *t = i->t;
    t->flight -= asked;
    t->flight_max = MIN(t->flight_max + moved, (size_t)TRANSFER_FLIGHT_MAX_BYTES);
    i->moved += moved;
    t->sum.all_bytes += moved;
    if (moved) item_tell(i, false, false);
}

static bool is_same(const struct item *i, uint64_t offset, struct view there)
{
    uint8_t part[16384];
    for (size_t at = 0; at < there.len;) {
        size_t want = MIN(sizeof part, there.len - at);
        ssize_t n = pread(i->fd, part, want, (off_t)(offset + at));
        if (n <= 0 || memcmp(part, there.p + at, (size_t)n) != 0) return false;
        at += (size_t)n;
    }
    return true;
}

static int write_at(const struct item *i, uint64_t offset, struct view data)
{
    if (i->is_stream) return fd_write_all(i->fd, data);
    while (data.len) {
        ssize_t n = pwrite(i->fd, data.p, data.len, (off_t)offset);
        if (n < 0 && errno != EINTR) return ERR_SYS(errno);
        if (n < 0) continue;
        offset += (uint64_t)n;
        data = view_sub(data, (size_t)n, data.len);
    }
    return 0;
}

static void take_data(struct chunk *c, struct view data)
{
    struct item *i = c->item;
    int err = 0;
    if (c->check && !is_same(i, c->offset, data)) {
        item_fail(i, "Unable to resume \"%s\": what is there differs from the source", i->is_put ? i->remote : i->local);
        return;
    }
    if (item_is_across(i))
        err = across_write(c, data);
    else if (!c->check)
        err = write_at(i, c->offset, data);
    if (err < 0) item_fail(i, "write local \"%s\": %s", i->local, err_text(err));
}

static int ask_read(struct chunk *c)
{
    return SFTP_CALL(item_client(c->item), &c->call, sftp_read, .handle = item_handle(c->item), .offset = c->offset,
                     .length = (uint32_t)c->len);
}

/* What is missing of a chunk is asked for at once: the file is to have no holes. */
static bool ask_rest(struct chunk *c, size_t got)
{
    struct item *i = c->item;
    c->offset += got;
    c->len -= got;
    if (c->len == 0 || i->failed) return false;
    int err = ask_read(c);
    if (err == 0) {
        i->t->flight += c->len;
        return true;
    }
    if (err != ERR_AGAIN) item_fail(i, "read remote \"%s\": %s", i->remote, err_text(err));
    i->next = MIN(i->next, c->offset); /* asked for again from here on, when there is room */
    i->at_end = i->failed;
    return false;
}

static void on_read(struct sftp_call *call, const struct sftp_answer *a)
{
    struct chunk *c = CONTAINER_OF(call, struct chunk, call);
    struct item *i = c->item;
    size_t asked = c->len, got = a->type == MSG_sftp_data_NUMBER ? a->data.len : 0;
    chunk_count(i, asked, got <= asked && !c->check && !item_is_across(i) ? got : 0);
    if (got > asked)
        item_fail(i, "read remote \"%s\": the server sent more than was asked for", i->remote);
    else if (got && !i->failed) {
        take_data(c, a->data);
        if (ask_rest(c, got)) return;
    } else if (a->type == MSG_sftp_data_NUMBER || a->status == SFTP_EOF)
        i->at_end = true;
    else
        item_fail(i, "read remote \"%s\": %s", i->remote, sftp_client_status_text(a->status));
    if (i->failed) i->next = MIN(i->next, c->offset); /* nothing behind it counts */
    chunk_done(c);
}

static void on_write(struct sftp_call *call, const struct sftp_answer *a)
{
    struct chunk *c = CONTAINER_OF(call, struct chunk, call);
    struct item *i = c->item;
    chunk_count(i, c->len, a->status == SFTP_OK ? c->len : 0);
    if (a->status != SFTP_OK) item_fail(i, "write remote \"%s\": %s", i->remote, sftp_client_status_text(a->status));
    chunk_done(c);
}

/* -l. The first bytes are free, so that short files need no clock. */
static bool rate_allows(struct transfer *t)
{
    if (t->options.limit_bits_s == 0) return true;
    ms now = loop_now(t->loop), passed = now - t->rate_since;
    uint64_t allowed = RATE_BURST_BYTES + (uint64_t)passed * t->options.limit_bits_s / 8000;
    if (t->rate_bytes <= allowed) return true;
    loop_timer_set(t->rate_timer, now + (ms)((t->rate_bytes - allowed) * 8000 / t->options.limit_bits_s) + 1);
    return false;
}

/* Room for one more request of this item. */
static bool may_ask(struct item *i, size_t len)
{
    struct transfer *t = i->t;
    if (i->is_stream && !TAILQ_EMPTY(&i->chunks)) return false;
    if (t->options.requests_max && t->flight >= t->options.requests_max * t->options.request_bytes) return false;
    return (t->flight == 0 || t->flight + len <= t->flight_max) && rate_allows(t);
}

static int ask_get(struct item *i, size_t len, bool check)
{
    struct chunk *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    *c = (struct chunk){ .item = i, .offset = i->next, .len = len, .check = check };
    int err = ask_read(c);
    if (err < 0) {
        free(c);
        return err;
    }
    chunk_add(i, c, on_read);
    i->next += len;
    return 0;
}

/* Zeros that the file system knows as a hole are skipped. One at the end has its last byte sent, which gives the file its size:
 * setting that may be forbidden where writing is not. */
static void skip_hole(struct item *i)
{
    if (i->next < i->data_end) return;
    off_t data = lseek(i->fd, (off_t)i->next, SEEK_DATA);
    if (data < 0 && (errno != ENXIO || i->next >= i->size)) return; /* ENXIO: a hole up to the end */
    uint64_t next = data < 0 ? i->size - 1 : (uint64_t)data;
    off_t end = data < 0 ? -1 : lseek(i->fd, data, SEEK_HOLE);
    i->moved += next - i->next;
    i->t->sum.all_bytes += next - i->next;
    i->next = next;
    i->data_end = end < 0 ? i->size : (uint64_t)end;
}

static int ask_put(struct item *i, size_t len)
{
    uint8_t *area;
    size_t room;
    TRY(sftp_client_write_reserve(item_client(i), item_handle(i), i->next, len, &area, &room));
    ssize_t n = pread(i->fd, area, room, (off_t)i->next);
    if (n < 0) {
        item_fail(i, "read local \"%s\": %s", i->local, err_text(ERR_SYS(errno)));
        return ERR_AGAIN;
    }
    if (n == 0) {
        i->at_end = true;
        return 0;
    }
    struct chunk *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    *c = (struct chunk){ .offset = i->next, .len = (size_t)n };
    sftp_client_write_commit(item_client(i), c->len, &c->call);
    chunk_add(i, c, on_write);
    i->next += c->len;
    return 0;
}

static void finish(struct item *i)
{
    bool to_set = item_is_written_there(i) && !i->failed && i->t->options.preserve;
    if (to_set)
        item_go(i, ITEM_SETSTAT);
    else if (item_is_written_there(i) && !i->failed && i->t->options.sync)
        item_go(i, ITEM_FSYNC);
    else
        item_settle(i);
}

/* One more chunk: 1 when that was all that can be asked for at present. */
static int ask_one(struct item *i)
{
    size_t len = i->t->options.request_bytes;
    if (i->next < i->check_end) {
        len = (size_t)MIN((uint64_t)len, i->check_end - i->next);
        if (!may_ask(i, len)) return ERR_AGAIN;
        return ask_get(i, len, true);
    }
    /* Nothing is written before all of the old part is known to be good. */
    if (!TAILQ_EMPTY(&i->chunks) && TAILQ_FIRST(&i->chunks)->check) return 1;
    if (!may_ask(i, len)) return ERR_AGAIN;
    if (i->is_put) {
        skip_hole(i);
        return ask_put(i, len);
    }
    if (i->size && i->next >= i->size) {
        i->at_end = true;
        return 0;
    }
    return ask_get(i, i->size ? (size_t)MIN((uint64_t)len, i->size - i->next) : len, false);
}

int file_ask_chunks(struct item *i)
{
    if (item_is_across(i)) TRY(across_write_held(i));
    while (!i->at_end) {
        int got = ask_one(i);
        if (got == 1) return 0;
        TRY(got);
    }
    if (TAILQ_EMPTY(&i->chunks)) finish(i);
    return ERR_AGAIN; /* the item is asked again when an answer has come, or is somewhere else by now */
}

/* ---- the end ---- */

int file_ask_setstat(struct item *i)
{
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(64);
    struct sftp_attrs a = i->attrs;
    a.permissions &= MODE_BITS;
    a.flags = SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES;
    struct wr w = wr_of(&attrs);
    sftp_attrs_write(&w, &a);
    TRY(wr_end(&w));
    return SFTP_CALL(item_to_client(i), &i->call, sftp_fsetstat, .handle = item_to_handle(i), .attrs = buf_view(&attrs));
}

void file_on_setstat(struct item *i, const struct sftp_answer *a)
{
    if (a->status != SFTP_OK)
        item_fail(i, "remote fsetstat \"%s\": %s", item_to_path(i), sftp_client_status_text(a->status));
    else if (i->t->options.sync)
        item_go(i, ITEM_FSYNC);
    else
        item_settle(i);
}

int file_ask_fsync(struct item *i)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(SFTP_HANDLE_MAX_BYTES + 4);
    if (!sftp_conn_facts(item_to_conn(i))->has[SFTP_EXT_FSYNC]) {
        item_settle(i);
        return ERR_AGAIN;
    }
    struct wr w = wr_of(&data);
    wr_string(&w, item_to_handle(i));
    TRY(wr_end(&w));
    return SFTP_CALL(item_to_client(i), &i->call, sftp_extended, .name = view_str(sftp_extension_name(SFTP_EXT_FSYNC)),
                     .data = buf_view(&data));
}

void file_on_fsync(struct item *i, const struct sftp_answer *a)
{
    if (a->status != SFTP_OK)
        item_fail(i, "fsync \"%s\": %s", item_to_path(i), sftp_client_status_text(a->status));
    else
        item_settle(i);
}

static void keep_attributes(struct item *i, int fd)
{
    const struct timespec times[2] = { { .tv_sec = i->attrs.atime }, { .tv_sec = i->attrs.mtime } };
    if (i->attrs.flags & SFTP_ATTR_PERMISSIONS && fchmod(fd, i->attrs.permissions & MODE_BITS) < 0)
        item_say_failed(i, "local chmod \"%s\": %s", i->local, err_text(ERR_SYS(errno)));
    if (i->attrs.flags & SFTP_ATTR_TIMES && futimens(fd, times) < 0)
        item_say_failed(i, "local set times on \"%s\": %s", i->local, err_text(ERR_SYS(errno)));
}

/* Answers may have come out of order: what lies behind the first one missing goes. */
static void cut_to_prefix(const struct item *i, int fd)
{
    struct stat st;
    if (i->next >= i->check_end && fstat(fd, &st) == 0 && (uint64_t)st.st_size > i->next) (void)!ftruncate(fd, (off_t)i->next);
}

void file_close_local(struct item *i)
{
    CLEANUP(fd_closep) int fd = fd_take(&i->fd);
    if (fd < 0 || i->is_put || i->is_dir || i->is_stream) return;
    if (i->failed) {
        cut_to_prefix(i, fd);
        return;
    }
    if (i->t->options.preserve) keep_attributes(i, fd);
    if (i->t->options.sync && fsync(fd) < 0) item_say_failed(i, "fsync local \"%s\": %s", i->local, err_text(ERR_SYS(errno)));
}
