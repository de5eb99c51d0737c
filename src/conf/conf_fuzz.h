/* The body of both fuzz targets: a file is parsed, evaluated and dumped, and its own image is damaged and opened again. */
#include "conf/conf_int.h"

static int fuzz_include(void *arg UNUSED, const char *pattern, struct conf_include *into)
{
    size_t len = strlen(pattern);
    return conf_include_file(into, "included", len % 2 ? view_of(pattern, len) : view_str("Port 1\nMatch all\n"));
}

static int fuzz_parse(enum conf_program program, const uint8_t *data, size_t size, struct conf_image *ret)
{
    static const struct conf_reader reader = { fuzz_include, NULL };
    static const struct conf_algorithms algs = { .supported = { "a,b", "a,b", "a,b", "a,b", "a,b" },
                                                 .defaults = { "a", "a", "a", "a", "a" } };
    struct conf_diag diag = CONF_DIAG_INIT;
    const struct conf_parse_args args = { .program = program, .file_name = "f", .reader = &reader, .algs = &algs, .diag = &diag };
    int err = conf_parse(&args, view_of(data, size), ret);
    CHECK(err == 0 || diag.n_errors > 0);
    conf_diag_done(&diag);
    return err;
}
