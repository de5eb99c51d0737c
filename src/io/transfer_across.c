/* From one server to another: what is read from the one becomes a write to the other. Data that comes faster than it can go is
 * held, no more than may be on its way anyway. */
#include "io/transfer_int.h"

#include <stdlib.h>

int across_ask_open(struct item *i)
{
    CLEANUP(buf_done) struct buf attrs = BUF_INIT(64);
    const bool has_mode = i->attrs.flags & SFTP_ATTR_PERMISSIONS;
    const struct sftp_attrs a = { .flags = has_mode ? SFTP_ATTR_PERMISSIONS : 0u, .permissions = i->attrs.permissions & 0777 };
    struct wr w = wr_of(&attrs);
    sftp_attrs_write(&w, &a);
    TRY(wr_end(&w));
    return SFTP_CALL(item_to_client(i), &i->call, sftp_open, .path = view_str(item_to_path(i)),
                     .flags = SFTP_OPEN_WRITE | SFTP_OPEN_CREAT | SFTP_OPEN_TRUNC, .attrs = buf_view(&attrs));
}

void across_on_open(struct item *i, const struct sftp_answer *a)
{
    if (a->type != MSG_sftp_handle_NUMBER) {
        item_fail(i, "dest open \"%s\": %s", item_to_path(i), sftp_client_status_text(a->status));
        return;
    }
    i->to_handle_len = a->data.len;
    memcpy(i->to_handle, a->data.p, a->data.len);
    file_begin_moving(i);
}

int across_ask_close(struct item *i) { return SFTP_CALL(item_to_client(i), &i->call, sftp_close, .handle = item_to_handle(i)); }

void across_on_close(struct item *i, const struct sftp_answer *a)
{
    i->to_handle_len = 0;
    if (a->status != SFTP_OK && !i->failed)
        item_fail(i, "close remote \"%s\": %s", item_to_path(i), sftp_client_status_text(a->status));
    else
        item_settle(i);
}

/* ---- data ---- */

static void on_written(struct sftp_call *call, const struct sftp_answer *a)
{
    struct chunk *c = CONTAINER_OF(call, struct chunk, call);
    struct item *i = c->item;
    chunk_count(i, c->len, a->status == SFTP_OK ? c->len : 0);
    if (a->status != SFTP_OK) item_fail(i, "write remote \"%s\": %s", item_to_path(i), sftp_client_status_text(a->status));
    chunk_done(c);
    sftp_conn_wake(i->t->conn); /* more may be read */
}

static int send_chunk(struct chunk *c, struct view data)
{
    struct sftp_client *to = item_to_client(c->item);
    uint8_t *area;
    size_t room;
    TRY(sftp_client_write_reserve(to, item_to_handle(c->item), c->offset, data.len, &area, &room));
    if (room < data.len) return ERR_LIMIT; /* requests were made to fit */
    memcpy(area, data.p, data.len);
    sftp_client_write_commit(to, data.len, &c->call);
    sftp_conn_wake(c->item->t->to);
    return 0;
}

static int hold(struct chunk *c, struct view data)
{
    c->held = malloc(data.len);
    if (!c->held) return ERR_NOMEM;
    memcpy(c->held, data.p, data.len);
    return 0;
}

int across_write(struct chunk *read, struct view data)
{
    struct item *i = read->item;
    struct chunk *c = calloc(1, sizeof *c);
    if (!c) return ERR_NOMEM;
    *c = (struct chunk){ .call = { on_written }, .item = i, .offset = read->offset, .len = data.len };
    int err = send_chunk(c, data);
    if (err == ERR_AGAIN) err = hold(c, data);
    if (err < 0) {
        free(c);
        return err;
    }
    i->t->flight += c->len;
    TAILQ_INSERT_BEFORE(read, c, link);
    return 0;
}

int across_write_held(struct item *i)
{
    struct chunk *c;
    TAILQ_FOREACH(c, &i->chunks, link)
    {
        if (!c->held) continue;
        TRY(send_chunk(c, view_of(c->held, c->len)));
        free(TAKE(c->held));
    }
    return 0;
}

void across_drop_held(struct item *i)
{
    for (struct chunk *c = TAILQ_FIRST(&i->chunks), *next; c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (!c->held) continue;
        i->t->flight -= c->len;
        TAILQ_REMOVE(&i->chunks, c, link);
        free(c->held);
        free(c);
    }
}
