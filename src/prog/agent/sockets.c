/* Where the agent listens: a path that was given, a folder below TMPDIR, or ~/.ssh/agent, where sockets are named
 * s.HOST.agent.RANDOM, with a hash for HOST, so that those that a crash has left can be told and removed also in a home directory
 * that several machines share. */
#include "prog/agent/agent.h"

#include "base/buf.h"
#include "crypto/digest.h"
#include "os/daemon.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/random.h"
#include "os/sock.h"
#include "os/user.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SOCKET_MASK = 0177,
    BACKLOG = 128,
    HOST_HASH_CHARS = 10,
    RANDOM_CHARS = 10,
};

static int home_folder(char ret[PATH_MAX])
{
    const char *home = getenv("HOME");
    CLEANUP(user_freep) struct user *me = NULL;
    if (!home || !*home) {
        TRY(user_by_uid(getuid(), &me));
        home = me->home;
    }
    return snprintf(ret, PATH_MAX, "%s/.ssh/agent", home) < PATH_MAX ? 0 : ERR_LIMIT;
}

static int host_hash(char ret[HOST_HASH_CHARS + 1])
{
    char name[SOCK_HOST_BYTES];
    uint8_t digest[DIGEST_MAX_BYTES];
    TRY(sock_host_name(name));
    TRY(digest_once(DIGEST_SHA256, view_str(name), digest));
    for (size_t i = 0; i < HOST_HASH_CHARS / 2; i++) snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

static int random_name(char ret[RANDOM_CHARS + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789__";
    uint8_t bytes[RANDOM_CHARS];
    TRY(random_fill(&os_random, bytes, sizeof(bytes)));
    for (size_t i = 0; i < RANDOM_CHARS; i++) ret[i] = letters[bytes[i] % 64];
    ret[RANDOM_CHARS] = '\0';
    return 0;
}

static int path_at_home(char ret[PATH_MAX])
{
    char folder[PATH_MAX], host[HOST_HASH_CHARS + 1], name[RANDOM_CHARS + 1];
    TRY(home_folder(folder));
    TRY(file_mkdir_p(folder, 0700));
    TRY(host_hash(host));
    TRY(random_name(name));
    return snprintf(ret, PATH_MAX, "%s/s.%s.agent.%s", folder, host, name) < PATH_MAX ? 0 : ERR_LIMIT;
}

static int path_in_tmp(struct agent_socket *s, char ret[PATH_MAX])
{
    const char *tmp = getenv("TMPDIR");
    char folder[PATH_MAX];
    if (snprintf(folder, sizeof(folder), "%s/ssh-XXXXXX", tmp && *tmp ? tmp : "/tmp") >= PATH_MAX) return ERR_LIMIT;
    TRY(file_mkdtemp(folder));
    s->folder = view_dup_str(view_str(folder));
    if (!s->folder) return ERR_NOMEM;
    return snprintf(ret, PATH_MAX, "%s/agent.%d", folder, (int)getpid()) < PATH_MAX ? 0 : ERR_LIMIT;
}

static int listen_on(struct agent_socket *s, const char *path)
{
    s->shown = view_dup_str(view_str(path));
    if (!s->shown) return ERR_NOMEM;
    TRY(sock_listen_unix(path, SOCKET_MASK, false, BACKLOG, &s->fd));
    return file_real_path(path, &s->path); /* it will be removed after a chdir */
}

int agent_socket_open(struct agent *a)
{
    struct agent_socket *s = &a->socket;
    char path[PATH_MAX];
    const char *given = a->options.address;
    int err = given ? 0 : a->options.in_tmp ? path_in_tmp(s, path) : path_at_home(path);
    if (err < 0) {
        log_error(&a->sink.log, "cannot prepare a folder for the agent's socket: %s (-T puts it below TMPDIR)", err_text(err));
        return err;
    }
    err = listen_on(s, given ? given : path);
    if (err == ERR_LIMIT) log_error(&a->sink.log, "unix_listener: path \"%s\" too long for a socket", given ? given : path);
    if (err < 0 && err != ERR_LIMIT)
        log_error(&a->sink.log, "unix_listener: cannot bind to path %s: %s", given ? given : path, err_text(err));
    return err;
}

int agent_socket_inherit(struct agent *a)
{
    struct sock_addr addr;
    struct sock_text text;
    size_t n;
    TRY(daemon_listen_fds(&n));
    if (n == 0) return 0;
    if (n > 1) {
        log_error(&a->sink.log, "got %zu sockets to listen on, but one is all that an agent has", n);
        return ERR_LIMIT;
    }
    TRY(sock_local_addr(DAEMON_LISTEN_FIRST, &addr));
    if (addr.sa.sa_family != AF_UNIX) {
        log_error(&a->sink.log, "the socket to listen on is not of the unix domain");
        return ERR_UNSUPPORTED;
    }
    sock_addr_text(&addr, &text);
    TRY(fd_nonblock(DAEMON_LISTEN_FIRST, true));
    a->socket.fd = DAEMON_LISTEN_FIRST;
    a->socket.shown = view_dup_str(view_str(text.host));
    return a->socket.shown ? 1 : ERR_NOMEM;
}

void agent_socket_remove(struct agent_socket *s)
{
    if (s->path) (void)unlink(s->path);
    if (s->folder) (void)rmdir(s->folder);
}

void agent_socket_done(struct agent_socket *s)
{
    fd_close(s->fd);
    s->fd = -1;
    free(s->shown);
    free(s->path);
    free(s->folder);
    s->shown = s->path = s->folder = NULL;
}

/* Nobody listens: connecting is refused. An agent that is only slow has its connection queued by the kernel. */
static bool is_stale(const char *path)
{
    struct stat st;
    int fd;
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != getuid()) return false;
    int err = sock_connect_unix(path, &fd);
    if (err == 0) fd_close(fd);
    return err == ERR_SYS(ECONNREFUSED);
}

/* The folder's name is no pattern, whatever letters it has. */
static int put_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("*?[\\", *text)) TRY(buf_put_u8(out, '\\'));
        TRY(buf_put_u8(out, (uint8_t)*text));
    }
    return 0;
}

static int find_sockets(bool any_host, struct strv *ret_paths)
{
    CLEANUP(buf_done) struct buf pattern = BUF_INIT(4 * PATH_MAX);
    char folder[PATH_MAX], host[HOST_HASH_CHARS + 1] = "*";
    TRY(home_folder(folder));
    if (!any_host) TRY(host_hash(host));
    TRY(put_escaped(&pattern, folder));
    TRY(buf_printf(&pattern, "/s.%s.*.*", host));
    const char *text = buf_cstr(&pattern);
    return text ? file_glob(text, ret_paths) : ERR_NOMEM;
}

void agent_socket_clean(bool any_host)
{
    CLEANUP(strv_done) struct strv paths = STRV_INIT;
    if (find_sockets(any_host, &paths) < 0) return;
    for (size_t i = 0; i < paths.n; i++)
        if (is_stale(paths.v[i])) (void)unlink(paths.v[i]);
}
