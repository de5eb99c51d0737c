/* A signature's file: what is read is written again the same. */
#include "key/sshsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t digest[DIGEST_MAX_BYTES];
    CLEANUP(buf_done)
    struct buf bytes = BUF_INIT(SSHSIG_BYTES_MAX), text = BUF_INIT(4 * SSHSIG_BYTES_MAX), again = BUF_INIT(SSHSIG_BYTES_MAX);
    struct sshsig s;
    if (sshsig_unarmour(view_of(data, size), &bytes) < 0) return 0;
    if (sshsig_armour(buf_view(&bytes), &text) < 0 || sshsig_unarmour(buf_view(&text), &again) < 0) CHECK(!"armour");
    CHECK(view_eq(buf_view(&bytes), buf_view(&again)));
    if (sshsig_parse(buf_view(&bytes), &s) < 0) return 0;
    (void)!sshsig_verify(&s, digest);
    return 0;
}
