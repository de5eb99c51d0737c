/* Files that a user's login is decided by: their names in options, and reading them with the user's rights. */
#include "prog/sshd/monitor.h"

#include "conf/tokens.h"
#include "os/fd.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static int open_safely(struct monitor *m, const char *path, int *ret_fd)
{
    CLEANUP(fd_closep) int fd = -1;
    char why[FILE_WHY_BYTES];
    /* O_NONBLOCK: a FIFO in the place of the file must not hold us. */
    TRY(file_open(path, O_RDONLY | O_NONBLOCK, 0, &fd));
    if (m->options.strict_modes) {
        int err = file_check_safe(fd, path, m->who.user->uid, m->who.user->home, why);
        if (err < 0) {
            monitor_log(m, LOG_LEVEL_INFO, "Authentication refused: %s", why);
            return err;
        }
    }
    *ret_fd = fd_take(&fd);
    return 0;
}

int monitor_read_user_file(struct monitor *m, const char *path, const char *what, struct buf *out)
{
    CLEANUP(fd_closep) int fd = -1;
    CLEANUP(user_as_end) struct user_as as = { .active = false };
    int err = user_as_begin(m->who.user, &as);
    if (err == 0) err = open_safely(m, path, &fd);
    if (err == 0) err = file_read_fd(fd, out);
    user_as_end(&as);
    if (err < 0) log_debug(&m->sink.log, "Could not open user '%s' %s '%s': %s", m->who.name, what, path, err_text(err));
    return err;
}

static int expand_path(const struct monitor *m, const char *keyword, const char *word, struct buf *out)
{
    const struct user *u = m->who.user;
    char uid[16];
    snprintf(uid, sizeof uid, "%u", (unsigned)u->uid);
    const struct conf_token tokens[] = { { 'h', u->home }, { 'u', u->name }, { 'U', uid } };
    const struct conf_expand x = { .tokens = tokens, .n_tokens = ARRAY_LEN(tokens) };
    char why[256];
    CLEANUP(freep) char *text = NULL;
    int err = conf_expand_str(&x, word, &text, why, sizeof why);
    if (err < 0) {
        monitor_log(m, LOG_LEVEL_ERROR, "%s %s: %s", keyword, word, why);
        return err;
    }
    if (text[0] != '/') TRY(buf_printf(out, "%s/", u->home));
    return buf_put_str(out, text);
}

int monitor_user_paths(struct monitor *m, const char *keyword, const char *word, struct strv *ret_paths)
{
    CLEANUP(buf_done) struct buf pattern = BUF_INIT(8192);
    if (strcmp(word, "none") == 0) return 0;
    TRY(expand_path(m, keyword, word, &pattern));
    const char *text = buf_cstr(&pattern);
    if (!text) return ERR_NOMEM;
    bool has_wildcards = strpbrk(word, "*?[") != NULL;
    return has_wildcards ? file_glob(text, ret_paths) : strv_add(ret_paths, view_str(text));
}
