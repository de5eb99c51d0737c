/* RevokedKeys: files of keys that let nobody in. */
#include "prog/sshd/monitor.h"

#include "key/krl.h"
#include "key/revoked.h"
#include "os/file.h"

#include <stdlib.h>

static int look_in_file(const char *path, struct view key, bool *ret_is_revoked)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(KRL_BYTES_MAX);
    CLEANUP(revoked_freep) struct revoked *list = NULL;
    TRY(file_read(path, &file));
    TRY(revoked_parse(buf_view(&file), &list));
    *ret_is_revoked = revoked_has(list, key);
    return 0;
}

bool monitor_key_is_revoked(struct monitor *m, struct view key)
{
    CLEANUP(freep) char *print = NULL;
    for (size_t i = 0; i < m->options.revoked_keys.n; i++) {
        const char *path = m->options.revoked_keys.v[i];
        bool is_revoked = true;
        int err = look_in_file(path, key, &is_revoked);
        if (err == 0 && !is_revoked) continue;
        if (key_fingerprint(key, monitor_print_digest(m), &print) < 0) return true;
        if (err < 0)
            monitor_log(m, LOG_LEVEL_ERROR,
                        "Error checking authentication key %s %s in revoked keys file %s: %s: all keys are refused",
                        key_short_name(key), print, path, err_text(err));
        else
            monitor_log(m, LOG_LEVEL_ERROR, "Authentication key %s %s revoked by file %s", key_short_name(key), print, path);
        return true;
    }
    return false;
}
