/* Reading sshd_config and its Includes. */
#include "prog/sshd/config_file.h"

#include "os/file.h"

#include <errno.h>
#include <stdlib.h>

static int read_one(const char *path, struct buf *out)
{
    *out = (struct buf)BUF_INIT(CONF_FILE_BYTES_MAX);
    return file_read(path, out);
}

/* Include: relative patterns are below dir. */
static int include(void *arg, const char *pattern, struct conf_include *into)
{
    const char *dir = arg;
    CLEANUP(buf_done) struct buf full = BUF_INIT(8192);
    CLEANUP(strv_done) struct strv paths = STRV_INIT;
    if (pattern[0] != '/') TRY(buf_printf(&full, "%s/", dir));
    TRY(buf_put_str(&full, pattern));
    const char *text = buf_cstr(&full);
    if (!text) return ERR_NOMEM;
    TRY(file_glob(text, &paths));
    for (size_t i = 0; i < paths.n; i++) {
        CLEANUP(buf_done) struct buf bytes = BUF_INIT(CONF_FILE_BYTES_MAX);
        int err = read_one(paths.v[i], &bytes);
        if (err < 0) {
            conf_include_error(into, "%s: %s", paths.v[i], err_text(err));
            return err;
        }
        TRY(conf_include_file(into, paths.v[i], buf_view(&bytes)));
    }
    return 0;
}

int config_file_load(const char *path, const char *dir, const struct conf_algorithms *algs, struct conf_diag *diag, struct conf_image *ret)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(CONF_FILE_BYTES_MAX);
    int err = read_one(path, &bytes);
    if (err < 0) {
        conf_diag_error(diag, "%s: %s", path, err == ERR_NOT_FOUND ? "No such file or directory" : err == ERR_DENIED ? "Permission denied" : err_text(err));
        return err;
    }
    struct conf_reader reader = { include, (void *)(uintptr_t)dir };
    struct conf_parse_args args = { .program = CONF_SSHD, .file_name = path, .reader = &reader, .algs = algs, .diag = diag };
    return conf_parse(&args, buf_view(&bytes), ret);
}
