/* ssh-keysign: signs with this machine's host keys for host-based authentication (RFC 4252 9), and is set-user-ID for that. It
 * believes its caller nothing: what it signs has to be such a request, made now, for the user that called, from this machine, over
 * the connection that it is handed. The keys are read with root's rights and everything else, parsing them included, is done
 * without. Nothing of the environment or of the user's configuration counts; EnableSSHKeysign is only asked of the system's file.
 * One request on standard input, one answer on standard output, each behind its length: keysign_request, keysign_reply in
 * wire/messages.def. */
#include "base/rd.h"
#include "conf/ssh_options.h"
#include "io/algorithms.h"
#include "io/config_file.h"
#include "key/private_file.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/logsink.h"
#include "os/sock.h"
#include "os/spawn.h"
#include "os/user.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PROTOCOL_VERSION = 2,
    REQUEST_BYTES_MAX = 256 * 1024,
    SESSION_ID_BYTES_MAX = 64,
    N_KEYS = 3
};

static const char *const key_paths[N_KEYS] = { NACRE_SYSCONFDIR "/ssh_host_ecdsa_key", NACRE_SYSCONFDIR "/ssh_host_ed25519_key",
                                               NACRE_SYSCONFDIR "/ssh_host_rsa_key" };

struct keysign {
    struct logsink sink;
    struct user *me;
    struct buf files[N_KEYS]; /* as read; empty: not there */
    struct key *keys[N_KEYS];
};

#define say(k, ...) log_error(&(k)->sink.log, __VA_ARGS__)

/* ---- rights ---- */

static void read_key_files(struct keysign *k)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        k->files[i] = (struct buf)BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
        if (file_read(key_paths[i], &k->files[i]) < 0) buf_reset(&k->files[i]);
    }
}

/* For good, the saved ids too. */
static int give_up_rights(void)
{
    gid_t gid = getgid();
    uid_t uid = getuid();
    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) return ERR_DENIED;
    if (uid != 0 && (setuid(0) == 0 || geteuid() != uid)) return ERR_DENIED;
    return 0;
}

/* ---- is it wanted ---- */

static int check_enabled(struct keysign *k)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    struct conf_image image = CONF_IMAGE_INIT;
    struct ssh_options options;
    struct algorithms algs;
    const struct config_file file = {
        .program = CONF_SSH, .path = NACRE_SYSCONFDIR "/ssh_config", .dir = NACRE_SYSCONFDIR, .algs = &algs.conf
    };
    struct ssh_conf_ctx ctx = { .original_host = "", .local_user = k->me->name, .command = "", .version = "", .log = &k->sink.log };
    TRY(algorithms_init(&algs, ALGORITHMS_CLIENT));
    ssh_options_init(&options);
    int err = config_file_load(&file, &diag, &image);
    if (err == 0) err = ssh_options_eval(&options, &image, &ctx, &diag);
    if (err == 0 && !options.enable_ssh_keysign) err = ERR_DENIED;
    conf_image_done(&image);
    ssh_options_done(&options);
    algorithms_done(&algs);
    if (err < 0) say(k, "ssh-keysign not enabled in %s", file.path);
    return err;
}

/* ---- keys ---- */

static int open_keys(struct keysign *k)
{
    size_t n = 0;
    for (size_t i = 0; i < N_KEYS; i++) {
        if (buf_len(&k->files[i]) == 0) continue;
        int err = private_file_parse(buf_view(&k->files[i]), view_of(NULL, 0), &k->keys[i]);
        if (err < 0) say(k, "%s: %s", key_paths[i], err_text(err));
        n += err == 0;
    }
    if (n == 0) say(k, "no hostkey found");
    return n ? 0 : ERR_NOT_FOUND;
}

static const struct key *find_key(const struct keysign *k, struct view blob)
{
    CLEANUP(key_unrefp) struct key *wanted = NULL;
    if (key_from_blob(blob, &wanted) < 0) return NULL;
    for (size_t i = 0; i < N_KEYS; i++)
        if (k->keys[i] && key_equal_public(k->keys[i], wanted)) return k->keys[i];
    return NULL;
}

/* ---- the request ---- */

static int read_request(struct buf *out)
{
    uint8_t length[4], *area;
    TRY(fd_read_all(STDIN_FILENO, length, sizeof length));
    struct rd r = rd_of(view_of(length, sizeof length));
    uint32_t n = rd_u32(&r);
    if (n == 0 || n > REQUEST_BYTES_MAX) return ERR_LIMIT;
    TRY(buf_reserve(out, n, &area));
    TRY(fd_read_all(STDIN_FILENO, area, n));
    buf_commit(out, n);
    return 0;
}

/* This machine's name on the side of the connection; without one, or behind a proxy, its own. */
static int local_name(int fd, char ret[SOCK_HOST_BYTES])
{
    struct sock_addr addr;
    if (sock_is_inet(fd) && sock_local_addr(fd, &addr) == 0 && sock_reverse(&addr, false, ret) == 0) return 0;
    return sock_host_name(ret);
}

/* "name." for name */
static bool is_name_with_dot(struct view with_dot, const char *name)
{
    return with_dot.len > 1 && with_dot.p[with_dot.len - 1] == '.' && view_eq_str(view_sub(with_dot, 0, with_dot.len - 1), name);
}

struct wanted {
    struct view algorithm, key;
};

/* RFC 4252 9: string session identifier, and the request up to its signature. */
static int check_signed_data(const struct keysign *k, struct view data, const char *host, struct wanted *ret)
{
    struct rd r = rd_of(data);
    struct view session_id = rd_string(&r);
    bool is_request = rd_u8(&r) == MSG_userauth_request_NUMBER;
    struct view user = rd_cstring(&r), service = rd_cstring(&r), method = rd_cstring(&r);
    ret->algorithm = rd_cstring(&r);
    ret->key = rd_string(&r);
    struct view client_host = rd_cstring(&r), client_user = rd_cstring(&r);
    TRY(rd_end(&r));
    bool good = is_request && session_id.len && session_id.len <= SESSION_ID_BYTES_MAX && user.len &&
                user.len <= LIMIT_USER_BYTES && view_eq_str(service, "ssh-connection") && view_eq_str(method, "hostbased") &&
                is_name_with_dot(client_host, host) && view_eq_str(client_user, k->me->name);
    return good ? 0 : ERR_DENIED;
}

static int answer(const struct keysign *k, const struct body_keysign_request *request, struct buf *out)
{
    CLEANUP(buf_done) struct buf signature = BUF_INIT(REQUEST_BYTES_MAX);
    char host[SOCK_HOST_BYTES];
    struct wanted wanted;
    if (request->version != PROTOCOL_VERSION) return ERR_UNSUPPORTED;
    if (request->socket_fd <= STDERR_FILENO || request->socket_fd > INT_MAX) return ERR_FORMAT;
    TRY(local_name((int)request->socket_fd, host));
    TRY(check_signed_data(k, request->data, host, &wanted));
    const struct key *key = find_key(k, wanted.key);
    const struct key_type *type = key_type_find(wanted.algorithm);
    if (!key || !type) return ERR_NOT_FOUND;
    TRY(key_sign(key, view_str(type->plain_name), request->data, &signature));
    const struct body_keysign_reply reply = { .version = PROTOCOL_VERSION, .signature = buf_view(&signature) };
    struct wr w = wr_of(out);
    wr_u32(&w, (uint32_t)(1 + 4 + buf_len(&signature)));
    TRY(body_keysign_reply_put(&w, &reply));
    return wr_end(&w);
}

static int serve(struct keysign *k)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(REQUEST_BYTES_MAX), reply = BUF_INIT(REQUEST_BYTES_MAX);
    struct body_keysign_request request;
    int err = read_request(&bytes);
    if (err == 0) err = body_keysign_request_get(buf_view(&bytes), &request);
    if (err == 0) err = answer(k, &request, &reply);
    if (err == 0) err = fd_write_all(STDOUT_FILENO, buf_view(&reply));
    if (err < 0) say(k, "not a valid request: %s", err_text(err));
    return err;
}

static int run(struct keysign *k)
{
    read_key_files(k);
    TRY(give_up_rights());
    logsink_init_fd(&k->sink, LOG_LEVEL_ERROR, STDERR_FILENO);
    TRY(user_by_uid(getuid(), &k->me));
    TRY(check_enabled(k));
    TRY(open_keys(k));
    return serve(k);
}

int main(void)
{
    static struct keysign k = { .sink = { .fd = -1 } };
    if (fd_fill_std() < 0) return EXIT_FAILURE;
    spawn_reset_signals(true);
    (void)!spawn_hide_memory();
    if (clearenv() != 0) return EXIT_FAILURE;
    int err = run(&k);
    for (size_t i = 0; i < N_KEYS; i++) {
        buf_done(&k.files[i]);
        key_unref(k.keys[i]);
    }
    user_free(k.me);
    logsink_done(&k.sink);
    return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
