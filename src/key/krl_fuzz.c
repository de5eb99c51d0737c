/* Revocation files in both forms: what was read is asked, written, and read again with the same content. */
#include "key/krl.h"
#include "key/revoked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view file = view_of(data, size);
    CLEANUP(revoked_freep) struct revoked *r = NULL;
    CLEANUP(krl_freep) struct krl *k = NULL, *again = NULL;
    if (revoked_parse(file, &r) == 0) (void)revoked_has(r, file);
    if (krl_parse(file, &k) < 0) return 0;
    struct krl_cursor cursor = {}, cursor_again = {};
    struct krl_entry e, same;
    CLEANUP(buf_done) struct buf out = BUF_INIT(KRL_BYTES_MAX);
    if (krl_format(k, &out) < 0) return 0;
    CHECK(krl_parse(buf_view(&out), &again) == 0);
    size_t n = 0, n_again = 0;
    while (krl_next(k, &cursor, &e)) n += e.kind != KRL_ENTRY_CA;
    while (krl_next(again, &cursor_again, &same)) n_again += same.kind != KRL_ENTRY_CA;
    CHECK(n == n_again);
    return 0;
}
