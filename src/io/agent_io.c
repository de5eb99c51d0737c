/* One exchange with an agent. */
#include "io/agent_io.h"

#include "os/fd.h"

int agent_io_call(int sock, struct view request, struct buf *ret_body)
{
    uint8_t length[4], *to;
    TRY(fd_write_all(sock, request));
    TRY(fd_read_all(sock, length, sizeof length));
    struct rd r = rd_of(view_of(length, sizeof length));
    uint32_t n = rd_u32(&r);
    if (n == 0 || n > AGENT_FRAME_BYTES_MAX) return ERR_LIMIT;
    TRY(buf_reserve(ret_body, n, &to));
    TRY(fd_read_all(sock, to, n));
    buf_commit(ret_body, n);
    return 0;
}
