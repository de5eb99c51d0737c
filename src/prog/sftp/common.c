/* What commands have in common: saying things, paths, and requests that are waited for. */
#include "base/vis.h"
#include "prog/sftp/sftp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SAY_BYTES = 4 * LOG_LINE_BYTES,
    MESSAGE_BYTES = SFTP_PACKET_MAX_BYTES
};

/* ---- words for the user ---- */

void say(const char *fmt, ...)
{
    char text[SAY_BYTES], line[SAY_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    vis_line(view_str(text), line, sizeof line);
    puts(line);
}

int fail(struct sftp *s, const char *fmt, ...)
{
    char text[SAY_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_error(s->log, "%s", text);
    return ERR_DENIED;
}

void scaled(uint64_t bytes, char ret_text[SCALED_BYTES])
{
    static const char units[] = "BKMGTPE";
    size_t u = 0;
    if (bytes > UINT64_MAX / 10) bytes /= 1024, u = 1;
    uint64_t tenths = bytes * 10;
    while (tenths >= 10000 && u < sizeof(units) - 2) {
        tenths = tenths / 1024 + (tenths % 1024 >= 512);
        u++;
    }
    if (u == 0 || tenths >= 1000)
        snprintf(ret_text, SCALED_BYTES, "%u%c", (unsigned)(u ? tenths + 5 : tenths) / 10 % 10000, units[u]);
    else
        snprintf(ret_text, SCALED_BYTES, "%u.%u%c", (unsigned)tenths / 10 % 1000, (unsigned)tenths % 10, units[u]);
}

/* ---- paths ---- */

static char *absolute(const char *dir, char *take_path)
{
    if (!take_path || *take_path == '/') return take_path;
    char *path = dir ? remote_path_join(dir, view_str(take_path)) : NULL;
    free(take_path);
    return path;
}

/* The working directory is no pattern. */
char *remote_pattern(const struct sftp *s, const char *word)
{
    if (*word == '/') return view_dup_str(view_str(word));
    CLEANUP(buf_done) struct buf b = BUF_INIT(MESSAGE_BYTES);
    for (const char *p = s->pwd; *p; p++) {
        if (strchr("*?[]\\", *p) && buf_put_u8(&b, '\\') < 0) return NULL;
        if (buf_put_u8(&b, (uint8_t)*p) < 0) return NULL;
    }
    return absolute(buf_cstr(&b), view_dup_str(view_str(word)));
}

char *remote_plain(const struct sftp *s, const char *word) { return absolute(s->pwd, remote_glob_unescape(word)); }

const char *remote_shown(const struct sftp *s, const char *path)
{
    size_t len = strlen(s->pwd);
    if (strncmp(path, s->pwd, len) != 0) return path;
    if (len && s->pwd[len - 1] == '/') len--;
    return path[len] == '/' && path[len + 1] ? path + len + 1 : path;
}

int remote_matches(struct sftp *s, const char *word, struct remote_names *ret)
{
    CLEANUP(freep) char *pattern = remote_pattern(s, word);
    return pattern ? remote_glob(s->conn, pattern, &s->interrupted, ret) : ERR_NOMEM;
}

/* ---- requests ---- */

int remote_stat(struct sftp *s, const char *path, struct sftp_attrs *ret, uint32_t *ret_status)
{
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    TRY(SFTP_ASK(s->conn, &reply, sftp_stat, .path = view_str(path)));
    *ret = reply.answer.attrs;
    *ret_status = reply.answer.type == MSG_sftp_attrs_NUMBER ? SFTP_OK : reply.answer.status;
    return 0;
}

int remote_is_dir(struct sftp *s, const char *path, bool *ret)
{
    struct sftp_attrs a;
    uint32_t status;
    TRY(remote_stat(s, path, &a, &status));
    *ret = status == SFTP_OK && a.flags & SFTP_ATTR_PERMISSIONS && S_ISDIR(a.permissions);
    return 0;
}

int remote_realpath(struct sftp *s, const char *path, char **ret)
{
    CLEANUP(sftp_reply_done) struct sftp_reply reply = SFTP_REPLY_INIT;
    TRY(SFTP_ASK(s->conn, &reply, sftp_realpath, .path = view_str(path)));
    if (reply.answer.type != MSG_sftp_name_NUMBER || reply.answer.n_names != 1)
        return fail(s, "realpath %s: %s", path, sftp_client_status_text(reply.answer.status ? reply.answer.status : SFTP_FAILURE));
    struct rd r = reply.answer.names;
    struct sftp_name name = sftp_name_read(&r);
    TRY(rd_stop(&r));
    if (view_has_nul(name.name)) return ERR_FORMAT;
    *ret = view_dup_str(name.name);
    return *ret ? 0 : ERR_NOMEM;
}

int remote_extended(struct sftp *s, enum sftp_extension e, struct view data, struct sftp_reply *reply)
{
    return SFTP_ASK(s->conn, reply, sftp_extended, .name = view_str(sftp_extension_name(e)), .data = data);
}

bool has_extension(const struct sftp *s, enum sftp_extension e) { return sftp_conn_facts(s->conn)->has[e]; }

int need_extension(struct sftp *s, enum sftp_extension e)
{
    return has_extension(s, e) ? 0 : fail(s, "Server does not support %s extension", sftp_extension_name(e));
}

int attrs_put(struct buf *out, const struct sftp_attrs *a)
{
    struct wr w = wr_of(out);
    sftp_attrs_write(&w, a);
    return wr_end(&w);
}
