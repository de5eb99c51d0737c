/* Fuzz target: lines of an environment file, which users write. */
#include "os/env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(UNUSED void *arg, UNUSED unsigned line) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    CHECK(env_put_lines(&env, view_of(data, size), ignore, NULL) == 0);
    for (size_t i = 0; i < env.n; i++) {
        const char *equals = strchr(env.v[i], '=');
        CHECK(equals && equals != env.v[i]);
    }
    return 0;
}
