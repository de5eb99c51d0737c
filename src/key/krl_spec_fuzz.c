/* Specification lines; what they made is written and read again. */
#include "key/krl_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(krl_freep) struct krl *k = NULL, *again = NULL;
    CLEANUP(buf_done) struct buf out = BUF_INIT(KRL_BYTES_MAX);
    struct krl_spec_ca ca = { .is_given = true };
    char why[KRL_SPEC_WHY_BYTES];
    size_t line;
    if (krl_new(&k) < 0) return 0;
    (void)!krl_spec_add(k, &ca, view_of(data, size), &line, why);
    if (krl_format(k, &out) == 0) CHECK(krl_parse(buf_view(&out), &again) == 0);
    return 0;
}
