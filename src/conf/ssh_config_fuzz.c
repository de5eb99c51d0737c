#include "conf/conf_fuzz.h"
#include "conf/ssh_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
    struct ssh_conf_ctx ctx = { .original_host = "host.example", .local_user = "me", .command = "ls" };
    struct conf_diag diag = CONF_DIAG_INIT;
    struct ssh_options o;
    if (fuzz_parse(CONF_SSH, data, size, &img) < 0) return 0;
    struct conf_image mapped;
    CHECK(conf_image_open(CONF_SSH, img.bytes, &mapped) == 0);
    ssh_options_init(&o);
    CHECK(ssh_options_eval(&o, &mapped, &ctx, &diag) == 0);
    CHECK(ssh_options_fill_defaults(&o, NULL) == 0);
    CHECK(ssh_options_dump(&o, &out) == 0);
    ssh_options_done(&o);
    conf_diag_done(&diag);
    return 0;
}
