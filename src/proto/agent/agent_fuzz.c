#include "proto/agent/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view body = view_of(data, size), frame, blob, comment;
    struct agent_identities list;
    size_t used, n = 0;
    if (agent_frame_next(body, &frame, &used) > 0) CHECK(frame.len + 4 == used && used <= size);
    (void)!agent_get_success(body);
    (void)!agent_get_signature(body, &blob);
    (void)!agent_get_extension_response(body, &blob, &comment);
    if (agent_get_identities(body, &list) < 0) return 0;
    while (agent_identities_next(&list, &blob, &comment) > 0) n++;
    CHECK(n <= AGENT_IDENTITIES_MAX);
    return 0;
}
