#include "key/rhosts.h"

static bool in_netgroup(UNUSED void *arg, const char *group, const char *host, const char *user)
{
    return group[0] == 'g' && (host || user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct rhosts_question q = {
        VIEW_LIT("host"), VIEW_LIT("10.0.0.1"), VIEW_LIT("joe"), VIEW_LIT("joe"), in_netgroup, NULL
    };
    (void)rhosts_check(view_of(data, size), &q);
    return 0;
}
