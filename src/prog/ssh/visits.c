/* Which key let us in where, last time. A login may then begin with that key's signature, without asking first what the server
 * takes: a request that fails counts against MaxAuthTries, so it is made unasked only where it is expected to pass. The memory is a
 * file beside the user's first known_hosts, with .visits behind its name and in the same format, its names user@host and always
 * hashed. It exists only if that file does; it is written when something changed; without it, or if it is wrong, a login takes a
 * round trip or an attempt more. */
#include "prog/ssh/client.h"

#include "base/base64.h"
#include "key/known_hosts.h"
#include "os/file.h"
#include "os/random.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    VISITS_BYTES = 256 * 1024, /* then the older half is forgotten */
};

/* ERR_NOT_FOUND: there is to be no memory. */
static int visits_path(struct client *c, char **ret)
{
    const struct strv *files = &c->options.user_known_hosts_file;
    if (files->n == 0 || !c->known_name || strcmp(files->v[0], "none") == 0) return ERR_NOT_FOUND;
    CLEANUP(freep) char *beside = NULL;
    CLEANUP(buf_done) struct buf path = BUF_INIT(8192);
    struct stat st;
    TRY(config_expand(c, files->v[0], true, "known hosts file", &beside));
    if (stat(beside, &st) < 0 || !S_ISREG(st.st_mode)) return ERR_NOT_FOUND;
    TRY(buf_printf(&path, "%s.visits", beside));
    *ret = view_dup_str(buf_view(&path));
    return *ret ? 0 : ERR_NOMEM;
}

/* The file and the name that the place has in it. */
static int open_visits(struct client *c, char **ret_path, struct buf *bytes, struct buf *name)
{
    TRY(visits_path(c, ret_path));
    if (file_read(*ret_path, bytes) < 0) buf_reset(bytes);
    return buf_printf(name, "%s@%s", c->remote_user, c->known_name);
}

static bool has_key(struct view bytes, struct view name, struct view key_blob)
{
    CLEANUP(buf_done) struct buf base64 = BUF_INIT(VISITS_BYTES);
    struct known_hosts_scan scan = known_hosts_scan_of(bytes, &name, 1);
    struct known_hosts_line line;
    if (base64_put(&base64, key_blob) < 0) return false;
    while (known_hosts_next(&scan, &line))
        if (view_eq(line.base64, buf_view(&base64))) return true;
    return false;
}

bool visits_has(struct client *c, struct view key_blob)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(2 * VISITS_BYTES), name = BUF_INIT(4096);
    return open_visits(c, &path, &bytes, &name) == 0 && has_key(buf_view(&bytes), buf_view(&name), key_blob);
}

static const struct identity *with_key(const struct identity *list, struct view base64)
{
    for (const struct identity *id = list; id; id = id->next) {
        CLEANUP(buf_done) struct buf own = BUF_INIT(VISITS_BYTES);
        if (id->public && base64_put(&own, id->blob) == 0 && view_eq(buf_view(&own), base64)) return id;
    }
    return NULL;
}

const struct identity *visits_find(struct client *c, const struct identity *list)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(2 * VISITS_BYTES), name = BUF_INIT(4096);
    if (open_visits(c, &path, &bytes, &name) < 0) return NULL;
    const struct view place = buf_view(&name);
    struct known_hosts_scan scan = known_hosts_scan_of(buf_view(&bytes), &place, 1);
    struct known_hosts_line line;
    const struct identity *found = NULL;
    while (!found && known_hosts_next(&scan, &line)) found = with_key(list, line.base64);
    return found;
}

/* Without its older half, from the start of a line on. */
static struct view shortened(struct view bytes)
{
    if (bytes.len < VISITS_BYTES) return bytes;
    struct view rest = view_sub(bytes, bytes.len / 2, bytes.len);
    const uint8_t *end = memchr(rest.p, '\n', rest.len);
    return end ? view_sub(rest, (size_t)(end + 1 - rest.p), rest.len) : VIEW_EMPTY;
}

/* key_blob empty: none works there. */
static int set(struct client *c, struct view key_blob)
{
    CLEANUP(freep) char *path = NULL;
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(2 * VISITS_BYTES), name = BUF_INIT(4096), out = BUF_INIT(3 * VISITS_BYTES);
    struct known_hosts_edit_result result = { 0 };
    TRY(open_visits(c, &path, &bytes, &name));
    if (key_blob.len && has_key(buf_view(&bytes), buf_view(&name), key_blob)) return 0;
    struct view place = buf_view(&name);
    TRY(known_hosts_remove(shortened(buf_view(&bytes)), place, NULL, NULL, &out, &result));
    if (key_blob.len) TRY(known_hosts_line_put(&place, 1, key_blob, true, &os_random, &out));
    struct file_write how = { .mode = 0600, .no_sync = true };
    return file_write(path, buf_view(&out), &how);
}

static void change(struct client *c, struct view key_blob)
{
    int err = set(c, key_blob);
    if (err < 0 && err != ERR_NOT_FOUND) client_log(c, LOG_LEVEL_DEBUG1, "What worked here is not remembered: %s", err_text(err));
}

void visits_remember(struct client *c, struct view key_blob) { change(c, key_blob); }
void visits_forget(struct client *c) { change(c, VIEW_EMPTY); }
