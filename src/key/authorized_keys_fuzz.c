#include "key/authorized_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char blob[] = "\0\0\0\13ssh-ed25519\0\0\0\40aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct view file = view_of(data, size);
    struct authorized_keys_options o;
    struct authorized_keys_scan scan;
    struct authorized_keys_line l = {};
    struct view options, principal;
    const char *reason;
    authorized_keys_options_init(&o);
    if (authorized_keys_line_parse(file, &l) > 0) (void)!authorized_keys_options_parse(l.options, &o, &reason);
    (void)!authorized_keys_options_parse(file, &o, &reason);
    if (principals_line_parse(file, &options, &principal) > 0) (void)!authorized_keys_options_parse(options, &o, &reason);
    CHECK(authorized_keys_scan_init(&scan, file, view_of(blob, sizeof(blob) - 1)) == 0);
    while (authorized_keys_next(&scan, &l)) (void)!authorized_keys_options_parse(l.options, &o, &reason);
    authorized_keys_scan_done(&scan);
    authorized_keys_options_done(&o);
    return 0;
}
