/* A captured child of the server or helper of a token: its bytes against the receiver's rules and every row's parser. The first
 * byte says who sends to whom and with how many descriptors, the second in which state; after that come chunks (u8 length before
 * each), as reads would bring them. */
#include "ipc/ipc.h"
#include "os/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    enum ipc_role from, to;
} ways[] = { { IPC_N, IPC_M }, { IPC_U, IPC_M }, { IPC_M, IPC_K }, { IPC_M, IPC_L }, { IPC_K, IPC_L }, { IPC_M, IPC_N },
             { IPC_M, IPC_U }, { IPC_L, IPC_M }, { IPC_P, IPC_C }, { IPC_S, IPC_C }, { IPC_C, IPC_P }, { IPC_C, IPC_S } };

/* What every row's message must be like when its receiver has accepted it: views inside the message, nothing more. */
static void parse(const struct ipc_message *m)
{
    switch (m->number) {
#define IPC(name, number, from, to, states, max_bytes, n_fds, row)                  \
    case IPC_##name##_NUMBER: {                                                     \
        struct ipc_##name got;                                                      \
        CLEANUP(buf_done) struct buf again = BUF_INIT(32 << 20);                    \
        struct wr w = wr_of(&again);                                                \
        CHECK(m->fields.len <= (max_bytes));                                        \
        if (ipc_##name##_get(m->fields, &got) < 0) return;                          \
        CHECK(ipc_##name##_put(&w, &got) == 0 && buf_len(&again) == m->fields.len); \
        return;                                                                     \
    }
#include "ipc/messages.def"
#undef IPC
    default:
        CHECK(!"a number without a row was accepted");
    }
}

static int take_messages(struct ipc *c)
{
    struct ipc_message m;
    for (;;) {
        int n = ipc_next(c, &m);
        if (n <= 0) return n;
        parse(&m);
        for (size_t i = 0; i < IPC_FDS_MAX; i++) fd_close(m.fds[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    struct ipc c;
    if (size < 2 || fd_socketpair(pair) < 0) return 0;
    size_t way = (data[0] & 63) % ARRAY_LEN(ways);
    if (ipc_init(&c, pair[0], ways[way].to, ways[way].from) < 0) return 0;
    c.state = 1U << data[1] % 12;
    size_t n_fds = data[0] >> 6;
    struct view rest = view_of(data + 2, size - 2);
    while (rest.len > 1) {
        struct view chunk = view_sub(rest, 1, rest.p[0]);
        rest = view_sub(rest, 1 + chunk.len, rest.len);
        if (chunk.len == 0) continue;
        CHECK(fd_send(pair[1], chunk, (int[]){ pair[1], pair[1], pair[1] }, n_fds) == 0);
        n_fds = 0;
        if (ipc_fill(&c) < 0 || take_messages(&c) < 0) break;
    }
    ipc_done(&c);
    fd_close(pair[1]);
    return 0;
}
