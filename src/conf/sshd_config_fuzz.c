#include "conf/conf_fuzz.h"
#include "conf/sshd_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one process sends, another gets unchanged. */
static void check_transfer(const struct sshd_options *o, struct buf *dump)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(1 << 24), again = BUF_INIT(1 << 24);
    struct sshd_options copy;
    CHECK(sshd_options_export(o, &bytes) == 0);
    CHECK(sshd_options_import(buf_view(&bytes), &copy) == 0);
    CHECK(sshd_options_dump(&copy, &again) == 0);
    CHECK(view_eq(buf_view(dump), buf_view(&again)));
    sshd_options_done(&copy);
}

/* Images from another process: any bytes at all. */
static void check_image(const uint8_t *data, size_t size, const struct sshd_conf_ctx *ctx)
{
    struct conf_image img;
    struct sshd_options o;
    struct conf_diag diag = CONF_DIAG_INIT;
    if (conf_image_open(CONF_SSHD, view_of(data, size), &img) < 0) return;
    sshd_options_init(&o);
    int err = sshd_options_eval(&o, &img, ctx, &diag);
    CHECK(err <= 0);
    sshd_options_done(&o);
    conf_diag_done(&diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
    const struct sshd_conf_ctx ctx = {
        .user = "me", .host = "host.example", .address = "10.1.2.3", .local_address = "::1", .local_port = 22
    };
    struct conf_diag diag = CONF_DIAG_INIT;
    struct sshd_options o;
    if (fuzz_parse(CONF_SSHD, data, size, &img) < 0) return 0;
    sshd_options_init(&o);
    CHECK(sshd_options_eval(&o, &img, &ctx, &diag) == 0);
    CHECK(sshd_options_fill_defaults(&o, NULL) == 0);
    CHECK(sshd_options_dump(&o, &out) == 0);
    check_transfer(&o, &out);
    if (size > 8) { /* the image itself, damaged where the input says */
        uint8_t *bytes = buf_bytes(&img.mem);
        for (size_t i = 0; i + 1 < MIN(size, (size_t)9); i += 2) bytes[data[i] * 7u % img.bytes.len] ^= data[i + 1];
        check_image(bytes, img.bytes.len, &ctx);
    }
    sshd_options_done(&o);
    conf_diag_done(&diag);
    return 0;
}
