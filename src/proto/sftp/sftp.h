/* The codec of SFTP version 3 (draft-ietf-secsh-filexfer-02, OpenSSH PROTOCOL 4), for both sides: packets with their length in
 * front, one struct for each packet type and extension (messages.def; wire/codec.h says how they look), attributes, name lists. No
 * files here. A packet is u32 length, then a payload that begins with its type; all but init and version have a u32 request id
 * next. */
#pragma once

#include "wire/codec.h"

#define CODEC_DEF "proto/sftp/messages.def"
#include "wire/codec_declare.h"
#undef CODEC_DEF

enum {
    SFTP_VERSION = 3,
    SFTP_PACKET_MAX_BYTES = 256 * 1024,                 /* a payload, as OpenSSH */
    SFTP_DATA_MAX_BYTES = SFTP_PACKET_MAX_BYTES - 1024, /* data of one read or write, as OpenSSH's limits@openssh.com says */
    SFTP_HANDLE_MAX_BYTES = 256,                        /* draft 6.3 */
};

/* draft 7 */
enum sftp_status {
    SFTP_OK,
    SFTP_EOF,
    SFTP_NO_SUCH_FILE,
    SFTP_PERMISSION_DENIED,
    SFTP_FAILURE,
    SFTP_BAD_MESSAGE,
    SFTP_NO_CONNECTION,
    SFTP_CONNECTION_LOST,
    SFTP_OP_UNSUPPORTED,
    SFTP_STATUS_MAX
};
/* "No such file"; "Unknown status" for others. */
const char *sftp_status_text(uint32_t status);

/* draft 6.3: flags of open */
enum {
    SFTP_OPEN_READ = 0x01,
    SFTP_OPEN_WRITE = 0x02,
    SFTP_OPEN_APPEND = 0x04,
    SFTP_OPEN_CREAT = 0x08,
    SFTP_OPEN_TRUNC = 0x10,
    SFTP_OPEN_EXCL = 0x20,
};

/* draft 5: which attributes are there */
enum {
    SFTP_ATTR_SIZE = 0x01,
    SFTP_ATTR_UIDGID = 0x02,
    SFTP_ATTR_PERMISSIONS = 0x04,
    SFTP_ATTR_TIMES = 0x08,
    SFTP_ATTR_EXTENDED = 0x80000000,
};
struct sftp_attrs {
    uint32_t flags;
    uint64_t size;
    uint32_t uid, gid;
    uint32_t permissions;  /* st_mode, with the type of file where the sender knows it */
    uint32_t atime, mtime; /* seconds since 1970 */
};
/* Extended pairs are skipped. What r's error is afterwards is the caller's to check. */
struct sftp_attrs sftp_attrs_read(struct rd *r);
/* The attributes at the front of a packet's rest; further bytes are those of flags nobody knows, and no error. */
int sftp_attrs_get(struct view rest, struct sftp_attrs *ret) MUST_USE;
/* Extended pairs are not written: that flag is dropped. */
void sftp_attrs_write(struct wr *w, const struct sftp_attrs *a);

/* One name of a name packet; views lent by it. Read n_names times from rd_of(m.names). */
struct sftp_name {
    struct view name, long_name;
    struct sftp_attrs attrs;
};
struct sftp_name sftp_name_read(struct rd *r);
void sftp_name_write(struct wr *w, const struct sftp_name *n);

/* The first packet in `in`: 1, *ret_payload is it and *ret_used how much of `in` it took; 0: more bytes are needed;
 * ERR_PACKET_LENGTH: longer than SFTP_PACKET_MAX_BYTES, or empty. */
int sftp_packet_next(struct view in, struct view *ret_payload, size_t *ret_used) MUST_USE;
/* Room for a packet's length at the end of out; then the payload is put; then close writes the length. mark is buf_len(out) before.
 */
int sftp_packet_open(struct buf *out) MUST_USE;
void sftp_packet_close(struct buf *out, size_t mark);
/* Appends one packet to a struct buf *: SFTP_PUT(out, sftp_close, .id = 1, .handle = h). An error leaves the buf as it was. */
#define SFTP_PUT(out_, name_, ...)                   \
    ({                                               \
        struct buf *o_ = (out_);                     \
        size_t mark_ = buf_len(o_);                  \
        int err__ = sftp_packet_open(o_);            \
        if (err__ == 0) {                            \
            struct wr w_ = wr_of(o_);                \
            struct msg_##name_ m_ = { __VA_ARGS__ }; \
            err__ = msg_##name_##_put(&w_, &m_);     \
            if (err__ == 0)                          \
                sftp_packet_close(o_, mark_);        \
            else                                     \
                buf_truncate(o_, mark_);             \
        }                                            \
        err__;                                       \
    })
