#include "key/private_file.h"

#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* as a file, and as the bytes in the armour: the fuzzer need not learn base64 */
    CLEANUP(buf_done) struct buf file = BUF_INIT(PRIVATE_FILE_BYTES_MAX);
    CLEANUP(key_unrefp) struct key *a = NULL, *b = NULL, *c = NULL, *d = NULL;
    struct view bytes = view_of(data, size);
    (void)!private_file_parse(bytes, VIEW_EMPTY, &a);
    (void)!private_file_public(bytes, &b);
    if (buf_put_str(&file, "-----BEGIN OPENSSH PRIVATE KEY-----\n") < 0 || base64_put(&file, bytes) < 0) return 0;
    if (buf_put_str(&file, "\n-----END OPENSSH PRIVATE KEY-----\n") < 0) return 0;
    (void)!private_file_parse(buf_view(&file), VIEW_EMPTY, &c);
    (void)!private_file_public(buf_view(&file), &d);
    return 0;
}
