/* Bytes of a foreign client against a server engine. */
#include "proto/transport/transport_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes(TRANSPORT_SERVER, view_of(data, size));
    return 0;
}
