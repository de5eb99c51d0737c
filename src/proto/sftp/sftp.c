/* Gets and puts of the rows of messages.def, attributes, names, and the frame of a packet. */
#include "proto/sftp/sftp.h"

#define CODEC_DEF "proto/sftp/messages.def"
#include "wire/codec_define.h"
#undef CODEC_DEF

static const char *const status_texts[SFTP_STATUS_MAX] = {
    [SFTP_OK] = "Success",
    [SFTP_EOF] = "End of file",
    [SFTP_NO_SUCH_FILE] = "No such file",
    [SFTP_PERMISSION_DENIED] = "Permission denied",
    [SFTP_FAILURE] = "Failure",
    [SFTP_BAD_MESSAGE] = "Bad message",
    [SFTP_NO_CONNECTION] = "No connection",
    [SFTP_CONNECTION_LOST] = "Connection lost",
    [SFTP_OP_UNSUPPORTED] = "Operation unsupported",
};

const char *sftp_status_text(uint32_t status) { return status < SFTP_STATUS_MAX ? status_texts[status] : "Unknown status"; }

static void skip_extended(struct rd *r)
{
    uint32_t n = rd_u32(r);
    for (uint32_t i = 0; i < n && !r->err; i++) {
        rd_string(r);
        rd_string(r);
    }
}

struct sftp_attrs sftp_attrs_read(struct rd *r)
{
    struct sftp_attrs a = { .flags = rd_u32(r) };
    if (a.flags & SFTP_ATTR_SIZE) a.size = rd_u64(r);
    if (a.flags & SFTP_ATTR_UIDGID) {
        a.uid = rd_u32(r);
        a.gid = rd_u32(r);
    }
    if (a.flags & SFTP_ATTR_PERMISSIONS) a.permissions = rd_u32(r);
    if (a.flags & SFTP_ATTR_TIMES) {
        a.atime = rd_u32(r);
        a.mtime = rd_u32(r);
    }
    if (a.flags & SFTP_ATTR_EXTENDED) skip_extended(r);
    return a;
}

int sftp_attrs_get(struct view rest, struct sftp_attrs *ret)
{
    struct rd r = rd_of(rest);
    struct sftp_attrs a = sftp_attrs_read(&r);
    TRY(rd_stop(&r));
    *ret = a;
    return 0;
}

void sftp_attrs_write(struct wr *w, const struct sftp_attrs *a)
{
    wr_u32(w, a->flags & (SFTP_ATTR_SIZE | SFTP_ATTR_UIDGID | SFTP_ATTR_PERMISSIONS | SFTP_ATTR_TIMES));
    if (a->flags & SFTP_ATTR_SIZE) wr_u64(w, a->size);
    if (a->flags & SFTP_ATTR_UIDGID) {
        wr_u32(w, a->uid);
        wr_u32(w, a->gid);
    }
    if (a->flags & SFTP_ATTR_PERMISSIONS) wr_u32(w, a->permissions);
    if (a->flags & SFTP_ATTR_TIMES) {
        wr_u32(w, a->atime);
        wr_u32(w, a->mtime);
    }
}

struct sftp_name sftp_name_read(struct rd *r)
{
    struct sftp_name n = { .name = rd_cstring(r) };
    n.long_name = rd_string(r);
    n.attrs = sftp_attrs_read(r);
    return n;
}

void sftp_name_write(struct wr *w, const struct sftp_name *n)
{
    wr_string(w, n->name);
    wr_string(w, n->long_name);
    sftp_attrs_write(w, &n->attrs);
}

int sftp_packet_next(struct view in, struct view *ret_payload, size_t *ret_used)
{
    if (in.len < 4) return 0;
    struct rd r = rd_of(in);
    uint32_t len = rd_u32(&r);
    if (len == 0 || len > SFTP_PACKET_MAX_BYTES) return ERR_PACKET_LENGTH;
    if (rd_left(&r) < len) return 0;
    *ret_payload = rd_bytes(&r, len);
    *ret_used = 4 + (size_t)len;
    return 1;
}

int sftp_packet_open(struct buf *out)
{
    static const uint8_t room[4];
    return buf_put(out, room, sizeof(room));
}

void sftp_packet_close(struct buf *out, size_t mark)
{
    size_t len = buf_len(out) - mark - 4;
    CHECK(len <= UINT32_MAX);
    struct wr w = wr_area(buf_bytes(out) + mark, 4);
    wr_u32(&w, (uint32_t)len);
}
