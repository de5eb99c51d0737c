#include "key/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cert c;
    struct cert_user_options o;
    struct view blob = view_of(data, size), unknown, name;
    const char *reason;
    CLEANUP(buf_done) struct buf plain = BUF_INIT(1 << 20);
    (void)!cert_plain_blob(blob, &plain);
    if (cert_parse(blob, &c) < 0) return 0;
    size_t n = 0;
    for (struct view list = c.principals; cert_next_principal(&list, &name);) n++;
    CHECK(n == c.n_principals);
    (void)!cert_user_options_get(&c, &o, &unknown);
    (void)!cert_check(&c, CERT_HOST, VIEW_LIT("host"), 1, &reason);
    (void)!cert_verify_signature(&c);
    return 0;
}
