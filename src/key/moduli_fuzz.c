#include "key/moduli.h"

static int fill(UNUSED void *arg, uint8_t *ret, size_t len)
{
    memset(ret, 7, len);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct random random = { fill, NULL };
    struct moduli_group g;
    if (moduli_choose(view_of(data, size), 2048, 3072, 8192, &random, &g) < 0) return 0;
    CHECK(g.bits >= 2048 && g.bits <= 8192);
    moduli_group_done(&g);
    return 0;
}
