#include "key/key.h"

#include "base/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* a blob, a signature, and what it is over */
    struct rd r = rd_of(view_of(data, size));
    struct view blob = rd_string(&r), signature = rd_string(&r);
    CLEANUP(key_unrefp) struct key *k = NULL, *whole = NULL;
    CLEANUP(freep) char *text = NULL;
    if (key_from_blob(view_of(data, size), &whole) == 0) CHECK(view_eq(key_blob(whole), view_of(data, size)));
    if (key_from_blob(blob, &k) < 0) return 0;
    (void)!key_verify(k, VIEW_EMPTY, rd_rest(&r), signature);
    CHECK(key_fingerprint(blob, DIGEST_SHA256, &text) == 0);
    return 0;
}
