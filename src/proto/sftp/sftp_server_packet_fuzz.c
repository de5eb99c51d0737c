/* A stream of SFTP packets through the framing and every get of the codec, as a server (requests) and a client (answers) would read
 * it. */
#include "proto/sftp/sftp.h"

#include <stdlib.h>

static void touch(struct view v)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < v.len; i++) sum = (uint8_t)(sum + v.p[i]);
}

static void read_attrs(struct view rest)
{
    struct sftp_attrs a;
    if (sftp_attrs_get(rest, &a) < 0) return;
    uint8_t out[64];
    struct wr w = wr_area(out, sizeof(out));
    sftp_attrs_write(&w, &a);
    if (wr_end(&w) < 0) abort();
}

static void read_names(const struct msg_sftp_name *m)
{
    struct rd r = rd_of(m->names);
    for (uint32_t i = 0; i < m->n_names && rd_stop(&r) == 0; i++) {
        struct sftp_name n = sftp_name_read(&r);
        touch(n.name);
        touch(n.long_name);
    }
}

#define TRY_GET(name_, ...)                       \
    {                                             \
        struct msg_##name_ m;                     \
        if (msg_##name_##_get(packet, &m) == 0) { \
            __VA_ARGS__;                          \
        }                                         \
    }
#define TRY_BODY(name_, ...)                     \
    {                                            \
        struct body_##name_ b;                   \
        if (body_##name_##_get(data, &b) == 0) { \
            __VA_ARGS__;                         \
        }                                        \
    }

static void read_extended(struct view data)
{
    TRY_BODY(sftp_two_paths, touch(b.old_path); touch(b.new_path))
    TRY_BODY(sftp_path, touch(b.path))
    TRY_BODY(sftp_handle, touch(b.handle))
    TRY_BODY(sftp_lsetstat, touch(b.path); read_attrs(b.attrs))
    TRY_BODY(sftp_copy_data, touch(b.from); touch(b.to))
    TRY_BODY(sftp_home_directory, touch(b.user))
    TRY_BODY(sftp_users_groups, touch(b.uids); touch(b.gids))
    TRY_BODY(sftp_limits, (void)b)
    TRY_BODY(sftp_statvfs, (void)b)
}

static void read_packet(struct view packet)
{
    TRY_GET(sftp_init, touch(m.extensions))
    TRY_GET(sftp_version, touch(m.extensions))
    TRY_GET(sftp_open, touch(m.path); read_attrs(m.attrs))
    TRY_GET(sftp_close, touch(m.handle))
    TRY_GET(sftp_read, touch(m.handle))
    TRY_GET(sftp_write, touch(m.handle); touch(m.data))
    TRY_GET(sftp_stat, touch(m.path))
    TRY_GET(sftp_setstat, touch(m.path); read_attrs(m.attrs))
    TRY_GET(sftp_fsetstat, touch(m.handle); read_attrs(m.attrs))
    TRY_GET(sftp_mkdir, touch(m.path); read_attrs(m.attrs))
    TRY_GET(sftp_rename, touch(m.old_path); touch(m.new_path))
    TRY_GET(sftp_symlink, touch(m.target); touch(m.link_path))
    TRY_GET(sftp_status, touch(m.message); touch(m.language); touch(view_str(sftp_status_text(m.status))))
    TRY_GET(sftp_handle, touch(m.handle))
    TRY_GET(sftp_data, touch(m.data))
    TRY_GET(sftp_name, read_names(&m))
    TRY_GET(sftp_attrs, read_attrs(m.attrs))
    TRY_GET(sftp_extended, touch(m.name); read_extended(m.data))
    TRY_GET(sftp_extended_reply, read_extended(m.data))
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view in = view_of(data, size), packet;
    size_t used;
    while (sftp_packet_next(in, &packet, &used) == 1) {
        if (packet.len == 0 || packet.len > SFTP_PACKET_MAX_BYTES || used > in.len) abort();
        read_packet(packet);
        in = view_sub(in, used, in.len);
    }
    return 0;
}
