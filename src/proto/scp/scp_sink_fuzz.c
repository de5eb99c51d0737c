/* A source's bytes against the sink: what it lets through are names of one component that match, and no more data than was said. */
#include "proto/scp/scp.h"

#include <fnmatch.h>
#include <stdlib.h>

static void check_head(const struct scp_head *h, const struct scp_sink *s, size_t depth)
{
    char name[SCP_NAME_MAX_BYTES + 1];
    if (!scp_name_is_good(h->name) || h->name.len > SCP_NAME_MAX_BYTES || view_has_nul(h->name) || h->mode > 07777) abort();
    memcpy(name, h->name.p, h->name.len);
    name[h->name.len] = 0;
    if (depth == 0 && s->wanted && fnmatch(s->wanted->v[0], name, 0) != 0) abort();
}

/* The first byte chooses options; of each later part the first byte says how long it is and what is answered. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(strv_done) struct strv wanted = STRV_INIT;
    struct scp_sink s;
    uint64_t left = 0;
    if (size == 0) return 0;
    if (scp_request_patterns(VIEW_LIT("dir/a*"), false, &wanted) < 0) abort();
    if (scp_sink_init(&s, data[0] & 1 ? &wanted : NULL, data[0] & 2) < 0) abort();
    for (size_t at = 1; at < size;) {
        size_t n = MIN((size_t)(data[at] >> 1), size - at - 1);
        bool refuse = data[at] & 1;
        struct view in = view_of(data + at + 1, n);
        struct scp_sink_event e;
        int got;
        at += 1 + n;
        while ((got = scp_sink_next(&s, &in, &e)) == 1) {
            if (e.kind == SCP_SINK_FILE || e.kind == SCP_SINK_DIR) check_head(&e.head, &s, s.depth - (e.kind == SCP_SINK_DIR));
            if (e.kind == SCP_SINK_FILE) left = refuse ? 0 : e.head.size;
            if (e.kind == SCP_SINK_DATA && e.text.len > left) abort();
            if (e.kind == SCP_SINK_DATA) left -= e.text.len;
            if (e.kind == SCP_SINK_FILE_END && left) abort();
            if (s.asks && scp_sink_answer(&s, refuse ? "no" : NULL) < 0) abort();
            buf_reset(&s.out);
        }
        if (got < 0) break;
    }
    scp_sink_done(&s);
    return 0;
}
