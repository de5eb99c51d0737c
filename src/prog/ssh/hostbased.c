/* Host-based authentication, the client's half (RFC 4252 9): the machine vouches for its user with its own key, by ssh-keysign. */
#include "prog/ssh/client.h"

#include "base/rd.h"
#include "key/cert.h"
#include "key/public_line.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"
#include "wire/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KEYSIGN_VERSION = 2,
    SOCKET_FD = 3, /* the connection's number in ssh-keysign */
    PUBLIC_FILE_BYTES_MAX = 1 << 20,
    MESSAGE_BYTES_MAX = 256 * 1024,
    KEYS_MAX = 6
};

struct hostbased {
    struct key *keys[KEYS_MAX];
    size_t n, next;
    char client_host[SOCK_HOST_BYTES + 1]; /* with the dot at its end that makes a name complete */
};

void hostbased_free(struct hostbased *h)
{
    if (!h) return;
    for (size_t i = 0; i < h->n; i++) key_unref(h->keys[i]);
    free(h);
}

/* ---- keys ---- */

static void add_key(struct client *c, struct hostbased *h, const char *path)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(PUBLIC_FILE_BYTES_MAX);
    CLEANUP(freep) char *fingerprint = NULL;
    if (file_read(path, &file) < 0 || public_file_parse(buf_view(&file), &h->keys[h->n]) < 0) return;
    const struct key *k = h->keys[h->n];
    enum digest_alg alg = c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
    (void)!key_fingerprint(key_blob(k), alg, &fingerprint);
    client_log(c, LOG_LEVEL_DEBUG2, "hostbased key %zu: %s %s from \"%s\"", h->n, key_short_name(key_blob(k)),
               fingerprint ? fingerprint : "", path);
    h->n++;
}

/* Certificates first; of each the public halves, which anybody may read. */
static void load_keys(struct client *c, struct hostbased *h)
{
    static const char *const types[] = { "ecdsa", "ed25519", "rsa" };
    static const char *const tails[] = { "-cert.pub", ".pub" };
    char path[256];
    for (size_t t = 0; t < ARRAY_LEN(tails); t++)
        for (size_t i = 0; i < ARRAY_LEN(types); i++) {
            snprintf(path, sizeof path, "%s/ssh_host_%s_key%s", NACRE_SYSCONFDIR, types[i], tails[t]);
            add_key(c, h, path);
        }
    if (h->n == 0)
        client_log(c, LOG_LEVEL_DEBUG1, "HostbasedAuthentication enabled but no local public host keys could be loaded.");
}

/* The name of this machine as the server will see it. */
static int set_client_host(const struct client *c, struct hostbased *h)
{
    char name[SOCK_HOST_BYTES];
    struct sock_addr addr;
    int fd = wire_io_out_fd(c->wire);
    bool is_known = sock_is_inet(fd) && sock_local_addr(fd, &addr) == 0 && sock_reverse(&addr, false, name) == 0;
    if (!is_known) TRY(sock_host_name(name));
    snprintf(h->client_host, sizeof h->client_host, "%s.", name);
    return 0;
}

static struct hostbased *start(struct client *c)
{
    struct hostbased *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    load_keys(c, h);
    if (set_client_host(c, h) == 0) return h;
    hostbased_free(h);
    return NULL;
}

/* The first of HostbasedAcceptedAlgorithms that signs with this key. */
static int choose_algorithm(const struct client *c, const struct key *k, struct view *ret)
{
    struct view list = view_str(c->options.hostbased_accepted_algorithms), name;
    while (view_next_in_list(&list, &name)) {
        const struct key_type *t = key_type_find(name);
        if (!t || strcmp(t->blob_name, key_type_of(k)->name) != 0) continue;
        *ret = name;
        return 0;
    }
    return ERR_NOT_FOUND;
}

/* ---- ssh-keysign ---- */

/* Beside this program in a build, else where it is installed. Its rights come with the file. */
static int find_keysign(char **ret)
{
    CLEANUP(freep) char *self = NULL;
    TRY(spawn_self_path(&self));
    *strrchr(self, '/') = 0;
    const char *const dirs[][2] = { { self, "/../keysign" }, { self, "/../libexec/nacre" }, { NACRE_LIBEXECDIR, "" } };
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        if (asprintf(ret, "%s%s/ssh-keysign", dirs[i][0], dirs[i][1]) < 0) return ERR_NOMEM;
        if (access(*ret, X_OK) == 0) return 0;
        free(*ret);
        *ret = NULL;
    }
    return ERR_NOT_FOUND;
}

static int start_keysign(struct client *c, int *ret_fd, pid_t *ret_pid)
{
    CLEANUP(freep) char *path = NULL;
    int ends[2];
    TRY(find_keysign(&path));
    TRY(fd_socketpair(ends));
    CLEANUP(fd_closep) int ours = ends[0];
    CLEANUP(fd_closep) int theirs = ends[1];
    const char *argv[] = { path, NULL };
    const struct spawn_fd fds[] = { { theirs, STDIN_FILENO },
                                    { theirs, STDOUT_FILENO },
                                    { STDERR_FILENO, STDERR_FILENO },
                                    { wire_io_out_fd(c->wire), SOCKET_FD } };
    struct spawn how = { .path = path, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds) };
    TRY(spawn_run(&how, ret_pid));
    *ret_fd = fd_take(&ours);
    return 0;
}

static int exchange(int fd, struct view data, struct buf *ret_reply)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(MESSAGE_BYTES_MAX);
    const struct body_keysign_request body = { .version = KEYSIGN_VERSION, .socket_fd = SOCKET_FD, .data = data };
    uint8_t length[4], *area;
    struct wr w = wr_of(&request);
    wr_u32(&w, (uint32_t)(1 + 4 + 4 + data.len));
    TRY(body_keysign_request_put(&w, &body));
    TRY(wr_end(&w));
    TRY(fd_write_all(fd, buf_view(&request)));
    TRY(fd_read_all(fd, length, sizeof length));
    struct rd r = rd_of(view_of(length, sizeof length));
    uint32_t n = rd_u32(&r);
    if (n == 0 || n > MESSAGE_BYTES_MAX) return ERR_LIMIT;
    TRY(buf_reserve(ret_reply, n, &area));
    TRY(fd_read_all(fd, area, n));
    buf_commit(ret_reply, n);
    return 0;
}

static int sign(struct client *c, struct view data, struct buf *ret_signature)
{
    CLEANUP(buf_done) struct buf reply = BUF_INIT(MESSAGE_BYTES_MAX);
    CLEANUP(fd_closep) int fd = -1;
    struct body_keysign_reply body;
    int status = 0;
    pid_t pid;
    TRY(start_keysign(c, &fd, &pid));
    int err = exchange(fd, data, &reply);
    fd_closep(&fd);
    TRY(spawn_wait(pid, &status));
    if (status != 0) return ERR_DENIED; /* it has said why */
    TRY(err);
    TRY(body_keysign_reply_get(buf_view(&reply), &body));
    return body.version == KEYSIGN_VERSION ? buf_put_view(ret_signature, body.signature) : ERR_UNSUPPORTED;
}

/* ---- the attempt ---- */

static int try_key(struct client *c, struct auth_client *auth, const struct hostbased *h, const struct key *k,
                   struct view algorithm)
{
    CLEANUP(buf_done) struct buf signature = BUF_INIT(MESSAGE_BYTES_MAX);
    struct view to_sign;
    client_log(c, LOG_LEVEL_DEBUG1, "userauth_hostbased: trying hostkey %s using sigalg %.*s", key_short_name(key_blob(k)),
               VIEW_ARG(algorithm));
    TRY(auth_client_start_hostbased(auth, algorithm, key_blob(k), transport_session_id(wire_io_transport(c->wire)),
                                    view_str(h->client_host), view_str(c->me->name), &to_sign));
    int err = sign(c, to_sign, &signature);
    if (err == 0) return auth_client_finish_publickey(auth, buf_view(&signature));
    log_error(&c->sink.log, "sign using hostkey %s failed: ssh-keysign: %s", key_short_name(key_blob(k)),
              err == ERR_NOT_FOUND ? "not found; is the installation complete?" : err_text(err));
    auth_client_abandon_publickey(auth);
    return ERR_NOT_FOUND;
}

int hostbased_try(struct client *c, struct auth_client *auth, struct hostbased **io)
{
    struct view algorithm;
    if (!*io && !(*io = start(c))) return ERR_NOT_FOUND;
    struct hostbased *h = *io;
    while (h->next < h->n) {
        const struct key *k = h->keys[h->next++];
        if (choose_algorithm(c, k, &algorithm) < 0) continue;
        int err = try_key(c, auth, h, k, algorithm);
        if (err != ERR_NOT_FOUND) return err;
    }
    client_log(c, LOG_LEVEL_DEBUG1, "No more client hostkeys for hostbased authentication.");
    return ERR_NOT_FOUND;
}
