/* A sink's bytes against the source, which goes on with one step after the other; and paths of requests. */
#include "proto/scp/scp.h"

#include <stdlib.h>

static void step(struct scp_source *s, unsigned what)
{
    static const struct scp_head file = { .name = VIEW_LIT("a\n"), .size = 5, .has_times = true, .mtime_s = 1 };
    int err = what % 3 == 0 ? scp_source_file(s, &file) : what % 3 == 1 ? scp_source_dir(s, &file) : scp_source_leave(s);
    if (err == ERR_STATE) { /* a file was accepted, or an answer is due */
        if (s->left && scp_source_file_end(s, NULL) != ERR_STATE) abort();
        uint64_t left = s->left;
        if (scp_source_failed(s, "x") == ERR_STATE && what & 8 && left == 0) err = scp_source_file_end(s, NULL);
    }
    buf_reset(&s->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(strv_done) struct strv patterns = STRV_INIT;
    struct scp_source s;
    struct scp_answer a;
    scp_source_init(&s);
    if (!view_has_nul(view_of(data, size)) && scp_request_patterns(view_of(data, size), size & 1, &patterns) == 0 &&
        patterns.n > SCP_PATTERNS_MAX)
        abort();
    for (size_t at = 0; at < size;) {
        size_t n = MIN((size_t)(data[at] & 31), size - at - 1);
        struct view in = view_of(data + at + 1, n);
        unsigned what = data[at] >> 5;
        int got;
        at += 1 + n;
        while ((got = scp_source_next(&s, &in, &a)) == 1) step(&s, what++);
        if (got < 0) break;
    }
    scp_source_done(&s);
    return 0;
}
