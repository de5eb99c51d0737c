/* Reading a configuration file and its Includes. */
#include "io/config_file.h"

#include "conf/tokens.h"
#include "os/fd.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static int read_one(const struct config_file *f, const char *path, struct buf *out, char why[FILE_WHY_BYTES])
{
    CLEANUP(fd_closep) int fd = -1;
    int err = file_open(path, O_RDONLY, 0, &fd);
    if (err < 0) {
        snprintf(why, FILE_WHY_BYTES, "%s: %s", path, err_text(err));
        return err;
    }
    if (f->owner_is_checked) {
        int bad = file_check_owner(fd, path, f->uid, why);
        if (bad < 0) return ERR_FORMAT;
    }
    err = file_read_fd(fd, out);
    if (err < 0) snprintf(why, FILE_WHY_BYTES, "%s: %s", path, err_text(err));
    return err;
}

static int full_pattern(const struct config_file *f, const char *pattern, char **ret)
{
    CLEANUP(buf_done) struct buf full = BUF_INIT(8192);
    CLEANUP(freep) char *at_home = NULL;
    if (f->home) {
        TRY(conf_expand_home(pattern, f->home, &at_home));
        pattern = at_home;
    }
    if (pattern[0] != '/') TRY(buf_printf(&full, "%s/", f->dir));
    TRY(buf_put_str(&full, pattern));
    *ret = view_dup_str(buf_view(&full));
    return *ret ? 0 : ERR_NOMEM;
}

static int include(void *arg, const char *pattern, struct conf_include *into)
{
    const struct config_file *f = arg;
    CLEANUP(strv_done) struct strv paths = STRV_INIT;
    CLEANUP(freep) char *full = NULL;
    TRY(full_pattern(f, pattern, &full));
    TRY(file_glob(full, &paths));
    for (size_t i = 0; i < paths.n; i++) {
        CLEANUP(buf_done) struct buf bytes = BUF_INIT(CONF_FILE_BYTES_MAX);
        char why[FILE_WHY_BYTES];
        int err = read_one(f, paths.v[i], &bytes, why);
        if (err < 0) {
            conf_include_error(into, "%s", why);
            return err;
        }
        TRY(conf_include_file(into, paths.v[i], buf_view(&bytes)));
    }
    return 0;
}

int config_file_load(const struct config_file *f, struct conf_diag *diag, struct conf_image *ret)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(CONF_FILE_BYTES_MAX);
    char why[FILE_WHY_BYTES];
    int err = read_one(f, f->path, &bytes, why);
    if (err < 0) {
        conf_diag_error(diag, "%s", why);
        return err;
    }
    struct conf_reader reader = { include, (void *)(uintptr_t)f };
    struct conf_parse_args args = { .program = f->program,
                                    .file_name = f->path,
                                    .reader = &reader,
                                    .algs = f->algs,
                                    .ignore_unknown = f->ignore_unknown,
                                    .is_user_file = f->is_user_file,
                                    .diag = diag };
    return conf_parse(&args, buf_view(&bytes), ret);
}
