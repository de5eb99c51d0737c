/* What the fuzz targets of the transport share. */
#pragma once

#include "proto/transport/transport_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct key *fuzz_host_key(void)
{
    static struct key *key;
    if (!key && key_generate(key_type_find(VIEW_LIT("ssh-ed25519")), 0, &key) < 0) abort();
    return key;
}

/* All bytes, in pieces whose sizes come from the bytes themselves. */
static inline void fuzz_bytes(enum transport_role role, struct view v)
{
    struct pair p;
    pair_init(&p, fuzz_host_key());
    if (pair_start(&p) == 0) {
        struct end *e = role == TRANSPORT_SERVER ? &p.s : &p.c;
        while (v.len && !e->err) {
            size_t n = end_feed(e, view_sub(v, 0, v.p[0] % 64 + 1u), 0);
            if (n == 0) break;
            v = view_sub(v, n, v.len);
            transport_sent(e->t, transport_output(e->t).len);
        }
        transport_input_eof(e->t);
        end_events(e, 0);
    }
    pair_done(&p);
}
