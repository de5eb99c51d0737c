#include "key/public_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(key_unrefp) struct key *a = NULL, *b = NULL, *c = NULL;
    struct view bytes = view_of(data, size);
    (void)!public_line_parse(bytes, &a);
    (void)!public_file_parse(bytes, &b);
    (void)!rfc4716_parse(bytes, &c);
    return 0;
}
