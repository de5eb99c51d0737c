/* A token's attributes and signatures: any bytes may be stored on one. The first byte says which of the parsers, two strings
 * follow. */
#include "key/token_key.h"

#include "base/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_of(view_of(data, size));
    uint8_t what = rd_u8(&r);
    struct view first = rd_string(&r), second = rd_string(&r);
    CLEANUP(key_unrefp) struct key *k = NULL, *again = NULL;
    CLEANUP(buf_done) struct buf input = BUF_INIT(1 << 20), blob = BUF_INIT(1 << 20);
    int err = what % 3 == 0   ? token_key_rsa(first, second, &k)
              : what % 3 == 1 ? token_key_ec(first, second, &k)
                              : token_key_certificate(first, &k);
    if (err < 0) return 0;
    CHECK(key_from_blob(key_blob(k), &again) == 0 && key_equal_public(k, again));
    struct view rest = rd_rest(&r);
    CHECK(token_sign_input(k, VIEW_EMPTY, rest, &input) == 0);
    if (token_sign_output(k, VIEW_EMPTY, rest, &blob) == 0) (void)!key_verify(k, VIEW_EMPTY, first, buf_view(&blob));
    return 0;
}
