/* The three questions about a foreign file, for a plain key and for a certificate. */
#include "base/base64.h"
#include "key/allowed_signers.h"

static const char plain[] = "AAAAC3NzaC1lZDI1NTE5AAAAIBeHf11N33MsL6hqwgHSWDNhkuo0kc0fmpXB17JcksZK";
static const char cert[] =
    "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIJ9mN1XEiCjqdl92tEMmttPVQwE9q7SyaIIgE+"
    "7XnT71AAAAIBeHf11N33MsL6hqwgHSWDNhkuo0kc0fmpXB17JcksZKAAAAAAAAAAAAAAABAAAAAmlkAAAADQAAAARtZUB4AAAAAWIAAAAAXgvhAAAAAABw29iAAAAA"
    "AAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAA"
    "AAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAght0ufb+"
    "AwqKcL1svtDJ0kO0T2GdbrjUldgBbNdlbWTgAAABTAAAAC3NzaC1lZDI1NTE5AAAAQPRLR2oH7YZjvjs+"
    "SqxyY6vjfGisoOKA3WyjcziXyXc8scukOBBqwUekdqlpDjHO65zfJrkAEKtSfqKw+07emgw=";

static void complain(void *arg, size_t line_number, const char *text)
{
    (void)arg;
    CHECK(line_number > 0 && strlen(text) > 0);
}

static void ask(struct view file, const char *base64)
{
    CLEANUP(buf_done) struct buf blob = BUF_INIT(4096), out = BUF_INIT(1 << 22);
    if (base64_get(view_str(base64), &blob) < 0) return;
    struct allowed_signers_query q = { .file = file,
                                       .key_blob = buf_view(&blob),
                                       .principal = VIEW_LIT("me@x"),
                                       .name_space = VIEW_LIT("file"),
                                       .at_s = 1700000000,
                                       .complain = complain };
    (void)!allowed_signers_check(&q);
    (void)!allowed_signers_find(&q, &out);
    (void)!allowed_signers_match(&q, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ask(view_of(data, size), plain);
    ask(view_of(data, size), cert);
    return 0;
}
