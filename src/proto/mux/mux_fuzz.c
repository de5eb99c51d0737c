/* Bytes of a passenger, and of a master: what is taken must come out again as it was, but for reserved strings and flags. */
#include "proto/mux/mux.h"

static void each(struct view bytes, bool from_master)
{
    struct view body;
    size_t used;
    bool has_hello = false;
    while (mux_frame_next(bytes, &body, &used) == 1) {
        struct mux_message m, again;
        CHECK(used == body.len + 4 && used <= bytes.len);
        bytes = view_sub(bytes, used, SIZE_MAX);
        int err = mux_get(body, from_master, has_hello, &m);
        CHECK(err != ERR_BUG);
        if (err < 0) continue;
        has_hello = true;
        CHECK(mux_n_fds(m.type) <= MUX_FDS_MAX);
        CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
        if (mux_put(&out, &m) < 0) return;
        CHECK(mux_get(view_sub(buf_view(&out), 4, SIZE_MAX), from_master, m.type != MUX_HELLO, &again) == 0);
        CHECK(again.type == m.type && again.id == m.id && again.value == m.value && view_eq(again.rest, m.rest));
        struct view env, rest = m.rest;
        while (m.type == MUX_NEW_SESSION && mux_next_env(&rest, &env)) CHECK(env.len <= m.rest.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    each(view_of(data, size), false);
    each(view_of(data, size), true);
    return 0;
}
