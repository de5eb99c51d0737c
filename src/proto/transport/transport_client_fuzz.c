/* Bytes of a foreign server against a client engine. */
#include "proto/transport/transport_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_bytes(TRANSPORT_CLIENT, view_of(data, size));
    return 0;
}
