/* Bytes of a SOCKS client, cut anywhere: the first byte says into what pieces. */
#include "proto/socks/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct socks s;
    if (size == 0) return 0;
    size_t piece = data[0] ? data[0] : 1;
    struct view rest = view_of(data + 1, size - 1);
    socks_init(&s);
    while (rest.len) {
        size_t used = 0;
        int got = socks_feed(&s, view_sub(rest, 0, piece), &used);
        (void)socks_reply(&s);
        if (got == 1) {
            CHECK(s.host[0] && strlen(s.host) <= SOCKS_TEXT_BYTES && used <= piece);
            socks_answer(&s, (enum socks_outcome)(data[0] % 6));
            CHECK(socks_reply(&s).len >= 8 && socks_reply(&s).len == 0);
        }
        CHECK(got != ERR_BUG && got != ERR_STATE);
        if (got != 0) return 0;
        rest = view_sub(rest, used, SIZE_MAX);
    }
    return 0;
}
