/* The SFTP server's loop and the table of requests. All complete requests of a wake-up are worked off in order, their answers
 * gathered and written at once; what a peer does not read stops what we take up. */
#include "io/sftp_server_int.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the table of requests ---- */

struct request {
    uint8_t type;
    bool writes; /* refused when read-only; open decides by its flags */
    const char *name;
    sftp_server_fn *fn;
    const char *extension, *version; /* type 200 */
};

static const struct request requests[] = {
    { MSG_sftp_open_NUMBER, false, "open", sftp_server_on_open, NULL, NULL },
    { MSG_sftp_close_NUMBER, false, "close", sftp_server_on_close, NULL, NULL },
    { MSG_sftp_read_NUMBER, false, "read", sftp_server_on_read, NULL, NULL },
    { MSG_sftp_write_NUMBER, true, "write", sftp_server_on_write, NULL, NULL },
    { MSG_sftp_lstat_NUMBER, false, "lstat", sftp_server_on_lstat, NULL, NULL },
    { MSG_sftp_fstat_NUMBER, false, "fstat", sftp_server_on_fstat, NULL, NULL },
    { MSG_sftp_setstat_NUMBER, true, "setstat", sftp_server_on_setstat, NULL, NULL },
    { MSG_sftp_fsetstat_NUMBER, true, "fsetstat", sftp_server_on_fsetstat, NULL, NULL },
    { MSG_sftp_opendir_NUMBER, false, "opendir", sftp_server_on_opendir, NULL, NULL },
    { MSG_sftp_readdir_NUMBER, false, "readdir", sftp_server_on_readdir, NULL, NULL },
    { MSG_sftp_remove_NUMBER, true, "remove", sftp_server_on_remove, NULL, NULL },
    { MSG_sftp_mkdir_NUMBER, true, "mkdir", sftp_server_on_mkdir, NULL, NULL },
    { MSG_sftp_rmdir_NUMBER, true, "rmdir", sftp_server_on_rmdir, NULL, NULL },
    { MSG_sftp_realpath_NUMBER, false, "realpath", sftp_server_on_realpath, NULL, NULL },
    { MSG_sftp_stat_NUMBER, false, "stat", sftp_server_on_stat, NULL, NULL },
    { MSG_sftp_rename_NUMBER, true, "rename", sftp_server_on_rename, NULL, NULL },
    { MSG_sftp_readlink_NUMBER, false, "readlink", sftp_server_on_readlink, NULL, NULL },
    { MSG_sftp_symlink_NUMBER, true, "symlink", sftp_server_on_symlink, NULL, NULL },
    { MSG_sftp_extended_NUMBER, true, "posix-rename", sftp_server_on_posix_rename, "posix-rename@openssh.com", "1" },
    { MSG_sftp_extended_NUMBER, false, "statvfs", sftp_server_on_statvfs, "statvfs@openssh.com", "2" },
    { MSG_sftp_extended_NUMBER, false, "fstatvfs", sftp_server_on_fstatvfs, "fstatvfs@openssh.com", "2" },
    { MSG_sftp_extended_NUMBER, true, "hardlink", sftp_server_on_hardlink, "hardlink@openssh.com", "1" },
    { MSG_sftp_extended_NUMBER, true, "fsync", sftp_server_on_fsync, "fsync@openssh.com", "1" },
    { MSG_sftp_extended_NUMBER, true, "lsetstat", sftp_server_on_lsetstat, "lsetstat@openssh.com", "1" },
    { MSG_sftp_extended_NUMBER, false, "limits", sftp_server_on_limits, "limits@openssh.com", "1" },
    { MSG_sftp_extended_NUMBER, false, "expand-path", sftp_server_on_expand_path, "expand-path@openssh.com", "1" },
    { MSG_sftp_extended_NUMBER, true, "copy-data", sftp_server_on_copy_data, "copy-data", "1" },
    { MSG_sftp_extended_NUMBER, false, "home-directory", sftp_server_on_home_directory, "home-directory", "1" },
    { MSG_sftp_extended_NUMBER, false, "users-groups-by-id", sftp_server_on_users_groups, "users-groups-by-id@openssh.com", "1" },
};

const char *sftp_server_request_name(size_t idx) { return idx < ARRAY_LEN(requests) ? requests[idx].name : NULL; }

static bool is_permitted(const struct sftp_server *s, const struct request *q)
{
    const struct sftp_server_config *c = s->config;
    if (c->denied && view_list_has(view_str(c->denied), view_str(q->name))) {
        log_verbose(s->log, "Refusing denylisted %s request", q->name);
        return false;
    }
    if (c->allowed && !view_list_has(view_str(c->allowed), view_str(q->name))) {
        log_verbose(s->log, "Refusing non-allowlisted %s request", q->name);
        return false;
    }
    if (c->read_only && q->writes) {
        log_verbose(s->log, "Refusing %s request in read-only mode", q->name);
        return false;
    }
    return true;
}

/* ---- answers ---- */

int sftp_server_status_text(struct sftp_server *s, enum sftp_status status, const char *text)
{
    if (s->log && s->log->level >= LOG_LEVEL_INFO) {
        log_debug3(s->log, "request %u: sent status %u", s->id, status);
        if (s->log->level > LOG_LEVEL_VERBOSE || (status != SFTP_OK && status != SFTP_EOF))
            log_info(s->log, "sent status %s", sftp_status_text(status));
    }
    return SFTP_PUT(&s->out, sftp_status, .id = s->id, .status = status, .message = view_str(text));
}

int sftp_server_status(struct sftp_server *s, enum sftp_status status)
{
    return sftp_server_status_text(s, status, sftp_status_text(status));
}

enum sftp_status sftp_server_status_of(int errno_value)
{
    switch (errno_value) {
    case 0:
        return SFTP_OK;
    case ENOENT:
    case ENOTDIR:
    case EBADF:
    case ELOOP:
        return SFTP_NO_SUCH_FILE;
    case EPERM:
    case EACCES:
    case EFAULT:
        return SFTP_PERMISSION_DENIED;
    case ENAMETOOLONG:
    case EINVAL:
        return SFTP_BAD_MESSAGE;
    case ENOSYS:
        return SFTP_OP_UNSUPPORTED;
    default:
        return SFTP_FAILURE;
    }
}

int sftp_server_result(struct sftp_server *s, bool failed)
{
    return sftp_server_status(s, failed ? sftp_server_status_of(errno) : SFTP_OK);
}

int sftp_server_one_name(struct sftp_server *s, const char *name)
{
    log_debug(s->log, "request %u: sent names count 1", s->id);
    size_t mark = buf_len(&s->out);
    TRY(sftp_packet_open(&s->out));
    struct wr w = wr_of(&s->out);
    struct msg_sftp_name m = { .id = s->id, .n_names = 1 };
    msg_sftp_name_put(&w, &m);
    struct sftp_name n = { .name = view_str(name), .long_name = view_str(name) };
    sftp_name_write(&w, &n);
    TRY(wr_end(&w));
    sftp_packet_close(&s->out, mark);
    return 0;
}

int sftp_server_extended_reply(struct sftp_server *s, struct view data)
{
    return SFTP_PUT(&s->out, sftp_extended_reply, .id = s->id, .data = data);
}

/* ---- requests ---- */

/* The extensions a request would be refused for are not announced. */
static int on_init(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_init m;
    TRY(msg_sftp_init_get(packet, &m));
    log_verbose(s->log, "received client version %u", m.version);
    s->started = true;
    size_t mark = buf_len(&s->out);
    TRY(sftp_packet_open(&s->out));
    struct wr w = wr_of(&s->out);
    struct msg_sftp_version v = { .version = SFTP_VERSION };
    msg_sftp_version_put(&w, &v);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        if (!requests[i].extension || !is_permitted(s, &requests[i])) continue;
        wr_cstr(&w, requests[i].extension);
        wr_cstr(&w, requests[i].version);
    }
    TRY(wr_end(&w));
    sftp_packet_close(&s->out, mark);
    return 0;
}

static int run_request(struct sftp_server *s, const struct request *q, struct view packet_or_data)
{
    if (!is_permitted(s, q)) return sftp_server_status(s, SFTP_PERMISSION_DENIED);
    size_t mark = buf_len(&s->out);
    int err = q->fn(s, packet_or_data);
    if (err < 0) {
        buf_truncate(&s->out, mark);
        /* More bytes than the request has use for: nothing was done, and the frame is still in step. */
        if (err == ERR_TRAILING) return sftp_server_status(s, SFTP_BAD_MESSAGE);
        log_error(s->log, "%s request: %s", q->name, err_text(err));
    }
    return err;
}

static int on_extended(struct sftp_server *s, struct view packet)
{
    struct msg_sftp_extended m;
    TRY(msg_sftp_extended_get(packet, &m));
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        if (requests[i].extension && view_eq_str(m.name, requests[i].extension)) return run_request(s, &requests[i], m.data);
    log_error(s->log, "Unknown extended request \"%.*s\"", VIEW_ARG(m.name));
    return sftp_server_status(s, SFTP_OP_UNSUPPORTED);
}

static int on_packet(struct sftp_server *s, struct view packet)
{
    uint8_t type = packet.p[0];
    if (type == MSG_sftp_init_NUMBER) return on_init(s, packet);
    if (!s->started) {
        log_error(s->log, "Received %u request before init", type);
        return ERR_UNEXPECTED_MESSAGE;
    }
    struct rd r = rd_of(view_sub(packet, 1, packet.len));
    s->id = rd_u32(&r);
    if (rd_stop(&r) < 0) log_error(s->log, "request without an id");
    TRY(rd_stop(&r));
    if (type == MSG_sftp_extended_NUMBER) return on_extended(s, packet);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        if (requests[i].type == type) return run_request(s, &requests[i], packet);
    /* OpenSSH says nothing to these, and a client that asks would wait for ever. */
    log_error(s->log, "Unknown message %u", type);
    return sftp_server_status(s, SFTP_OP_UNSUPPORTED);
}

/* ---- the loop ---- */

/* As much as the peer takes now. */
static int write_out(struct sftp_server *s)
{
    while (buf_len(&s->out)) {
        size_t n;
        int err = fd_write(s->out_fd, buf_bytes(&s->out), buf_len(&s->out), &n);
        if (err == ERR_AGAIN) break;
        if (err < 0) return err;
        buf_consume(&s->out, n);
    }
    s->flush_at_bytes = buf_len(&s->out) + SFTP_SERVER_OUT_BATCH_BYTES;
    return 0;
}

/* Takes up what is complete, and sends answers on the way when there are enough of them: so the peer works on them while we go on.
 * 0, or the error that ends the session. */
static int work_off(struct sftp_server *s, bool *ret_stalled)
{
    *ret_stalled = false;
    for (;;) {
        struct view packet;
        size_t used;
        if (buf_len(&s->out) >= s->flush_at_bytes) TRY(write_out(s));
        if (buf_len(&s->out) >= SFTP_SERVER_OUT_HIGH_BYTES) {
            *ret_stalled = true;
            return 0;
        }
        int r = sftp_packet_next(buf_view(&s->in), &packet, &used);
        if (r <= 0) return r;
        TRY(on_packet(s, packet));
        buf_consume(&s->in, used);
    }
}

static int read_in(struct sftp_server *s)
{
    uint8_t *to;
    TRY(buf_reserve(&s->in, SFTP_SERVER_IN_CHUNK_BYTES, &to));
    size_t n;
    int err = fd_read(s->in_fd, to, SFTP_SERVER_IN_CHUNK_BYTES, &n);
    if (err == ERR_AGAIN) return 0;
    if (err < 0) return err;
    if (n == 0) {
        log_debug(s->log, "read eof");
        s->ended = true;
    }
    buf_commit(&s->in, n);
    return 0;
}

static int wait_for(struct sftp_server *s, bool in, bool out, bool *ret_readable)
{
    struct pollfd p[2] = { { .fd = in ? s->in_fd : -1, .events = POLLIN }, { .fd = out ? s->out_fd : -1, .events = POLLOUT } };
    while (poll(p, 2, -1) < 0)
        if (errno != EINTR) return ERR_SYS(errno);
    *ret_readable = p[0].revents != 0;
    return 0;
}

static int serve(struct sftp_server *s)
{
    /* stdin and stdout are often one socket, which is non-blocking now. */
    bool stalled, in_blocks = !(fcntl(s->in_fd, F_GETFL) & O_NONBLOCK);
    for (;;) {
        int err = work_off(s, &stalled);
        TRY(write_out(s)); /* what was done before a bad packet is still answered */
        TRY(err);
        if (stalled && buf_len(&s->out) < SFTP_SERVER_OUT_HIGH_BYTES) continue;
        bool readable = !s->ended && !stalled, unsent = buf_len(&s->out) != 0;
        if (s->ended && !unsent) return 0;
        /* While nothing waits to be written, read itself may do the waiting. */
        if (unsent || !in_blocks) TRY(wait_for(s, readable, unsent, &readable));
        if (readable) TRY(read_in(s));
    }
}

/* ---- start and end ---- */

static int go_to_start_dir(struct sftp_server *s)
{
    CLEANUP(buf_done) struct buf dir = BUF_INIT(PATH_MAX);
    for (const char *p = s->config->start_dir; *p; p++) {
        const char *value = NULL;
        if (*p == '%') value = p[1] == '%' ? "%" : p[1] == 'd' ? s->home : p[1] == 'u' ? s->user : NULL;
        if (*p == '%' && !value) {
            log_error(s->log, "unknown token in start directory \"%s\"", s->config->start_dir);
            return ERR_FORMAT;
        }
        TRY(value ? buf_put_str(&dir, value) : buf_put(&dir, p, 1));
        if (value) p++;
    }
    const char *path = buf_cstr(&dir);
    if (!path) return ERR_NOMEM;
    if (chdir(path) != 0) log_error(s->log, "chdir to \"%s\" failed: %s", path, strerror(errno));
    return 0;
}

static int find_user(struct sftp_server *s)
{
    CLEANUP(user_freep) struct user *u = NULL;
    if (!s->config->user || !s->config->home) {
        int err = user_by_uid(getuid(), &u);
        if (err < 0 && err != ERR_NOT_FOUND) return err;
    }
    const char *user = s->config->user ? s->config->user : u ? u->name : "UNKNOWN";
    const char *home = s->config->home ? s->config->home : u ? u->home : "/";
    s->user = strdup(user);
    s->home = strdup(home);
    return s->user && s->home ? 0 : ERR_NOMEM;
}

static int start(struct sftp_server *s)
{
    struct rlimit files;
    s->max_handles = 64;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > SFTP_SERVER_FDS_KEPT && files.rlim_cur <= INT32_MAX)
        s->max_handles = files.rlim_cur - SFTP_SERVER_FDS_KEPT;
    /* Through /proc/self/mem a client could write itself out of -R, -P and -p. */
    TRY(spawn_hide_memory());
    TRY(find_user(s));
    log_info(s->log, "session opened for local user %s from [%s]", s->user, s->config->client ? s->config->client : "UNKNOWN");
    if (s->config->has_umask) umask(s->config->umask);
    if (s->config->start_dir) TRY(go_to_start_dir(s));
    /* Two full packets beyond the mark, so that it never moves while in use. Pages that are not touched cost nothing. */
    uint8_t *room;
    TRY(buf_reserve(&s->out, SFTP_SERVER_OUT_HIGH_BYTES + 2 * SFTP_PACKET_MAX_BYTES, &room));
    return buf_reserve(&s->in, 2 * SFTP_SERVER_IN_CHUNK_BYTES + SFTP_PACKET_MAX_BYTES, &room);
}

static int exit_status(struct sftp_server *s, int err)
{
    const char *client = s->config->client ? s->config->client : "UNKNOWN";
    switch (err) {
    case 0:
        return 0;
    case ERR_PACKET_LENGTH:
        log_error(s->log, "bad message from %s local user %s", client, s->user);
        return 11;
    case ERR_TRUNCATED:
    case ERR_FORMAT:
    case ERR_UNEXPECTED_MESSAGE:
        return 255;
    case ERR_SYS(EPIPE):
    case ERR_SYS(ECONNRESET):
        return 1;
    default:
        log_error(s->log, "sftp session: %s", err_text(err));
        return 1;
    }
}

/* The pipes from sshd and ssh hold 64 KiB unless asked: each refill costs two switches of process. */
static void widen_pipe(int fd) { (void)fcntl(fd, F_SETPIPE_SZ, SFTP_SERVER_IN_CHUNK_BYTES); }

int sftp_server_run(const struct sftp_server_config *config, int in_fd, int out_fd)
{
    struct sftp_server *s = calloc(1, sizeof(*s));
    if (!s) return 1;
    s->config = config;
    s->log = config->log;
    s->in_fd = in_fd;
    s->out_fd = out_fd;
    buf_init(&s->in, 4 * SFTP_PACKET_MAX_BYTES);
    buf_init(&s->out, SFTP_SERVER_OUT_HIGH_BYTES + 2 * SFTP_PACKET_MAX_BYTES);
    widen_pipe(in_fd);
    widen_pipe(out_fd);
    int flags = fcntl(out_fd, F_GETFL);
    int err = fd_nonblock(out_fd, true);
    if (err == 0) err = start(s);
    if (err == 0) err = serve(s);
    if (flags >= 0) (void)fcntl(out_fd, F_SETFL, flags);
    int status = exit_status(s, err);
    sftp_server_handles_done(s);
    log_info(s->log, "session closed for local user %s from [%s]", s->user ? s->user : "UNKNOWN",
             config->client ? config->client : "UNKNOWN");
    sftp_server_names_done(s);
    buf_done(&s->in);
    buf_done(&s->out);
    free(s->user);
    free(s->home);
    free(s);
    return status;
}
