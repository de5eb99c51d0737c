/* sshd-keys, the key holder: loads the private host keys named on its command line, gives up all rights, and signs exchange hashes
 * for monitors. A monitor's socket comes from the listener; what is signed is 20 to 64 bytes, so that a signature made here is
 * never one of a user's authentication or of anything longer; proofs for hostkeys-prove-00@openssh.com are longer, and put together
 * here. The first argument is the socket of an agent (HostKeyAgent) or empty, the others are files: where one has only a public
 * key, the agent signs for it. */
#include "base/secret.h"
#include "crypto/crypto.h"
#include "io/agent_io.h"
#include "ipc/ipc.h"
#include "key/private_file.h"
#include "key/public_line.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/loop.h"
#include "os/proctitle.h"
#include "os/sandbox.h"
#include "os/sock.h"
#include "prog/sshd/parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEYS_MAX = 64,
    CLIENTS_MAX = 65536,
    HASH_MIN_BYTES = 20,
    HASH_MAX_BYTES = 64,
    PROOF_BYTES_MAX = 65536
};

struct holder;

struct client {
    struct holder *holder;
    struct ipc ipc;
    struct loop_fd *watch;
};

struct holder {
    struct loop *loop;
    struct ipc listener;
    struct loop_fd *listener_watch;
    struct key *keys[KEYS_MAX]; /* those without a private half are the agent's */
    size_t n_keys, n_clients;
    int agent_fd; /* -1: none */
};

/* ---- loading ---- */

static void put_problem(struct wr *problems, const char *path, const char *what)
{
    char line[FILE_WHY_BYTES + 256];
    snprintf(line, sizeof line, "Unable to load host key \"%s\": %s", path, what);
    wr_cstr(problems, line);
}

static int read_key(const char *path, struct wr *problems, struct key **ret)
{
    CLEANUP(fd_closep) int fd = -1;
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    mode_t mode;
    int err = file_open(path, O_RDONLY, 0, &fd);
    if (err == 0) err = file_check_private(fd, &mode);
    if (err == ERR_DENIED && fd >= 0) {
        char why[FILE_WHY_BYTES];
        snprintf(why, sizeof why,
                 "bad permissions: permissions %04o are too open; it must not be accessible by others (chmod 600 \"%s\")",
                 mode & 07777, path);
        put_problem(problems, path, why);
        return err;
    }
    if (err == 0) err = file_read_fd(fd, &file);
    if (err == 0) err = private_file_parse(buf_view(&file), VIEW_EMPTY, ret);
    if (err < 0)
        put_problem(problems, path,
                    err == ERR_PASSPHRASE_NEEDED ? "it has a passphrase, which nobody can type at start" : err_text(err));
    TRY(err);
    if (!key_type_of(*ret)->is_sk) return 0;
    key_unref(*ret); /* signing means starting a program, which this process cannot: an agent has to */
    *ret = NULL;
    put_problem(problems, path, "it is on a security key, which signs for a host through an agent only (HostKeyAgent)");
    return ERR_UNSUPPORTED;
}

/* The public key in the file itself, or in the one beside it. */
static int read_public(const char *path, struct key **ret)
{
    char beside[4200];
    CLEANUP(buf_done) struct buf file = BUF_INIT(PRIVATE_FILE_BYTES_MAX);
    if (file_read(path, &file) == 0 && public_file_parse(buf_view(&file), ret) == 0) return 0;
    buf_reset(&file);
    snprintf(beside, sizeof beside, "%s.pub", path);
    TRY(file_read(beside, &file));
    return public_file_parse(buf_view(&file), ret);
}

static int take_key(struct holder *h, const char *path, struct wr *problems, struct key **ret)
{
    if (h->agent_fd >= 0 && read_public(path, ret) == 0) {
        CLEANUP(key_unrefp) struct key *public_half = *ret;
        CLEANUP(buf_done) struct buf unsaid = BUF_INIT(65536); /* a missing private half is what the agent is for */
        struct wr w = wr_of(&unsaid);
        if (read_key(path, &w, ret) < 0) *ret = key_ref(public_half);
        return wr_end(&w);
    }
    return read_key(path, problems, ret);
}

static int load_keys(struct holder *h, int n_paths, char **paths)
{
    CLEANUP(buf_done) struct buf keys = BUF_INIT(1 << 20), problems = BUF_INIT(1 << 20);
    struct wr keys_w = wr_of(&keys), problems_w = wr_of(&problems);
    for (int i = 0; i < n_paths && h->n_keys < KEYS_MAX; i++) {
        struct key *k;
        if (take_key(h, paths[i], &problems_w, &k) < 0) continue;
        h->keys[h->n_keys++] = k;
        wr_cstr(&keys_w, paths[i]);
        wr_string(&keys_w, key_blob(k));
    }
    TRY(wr_end(&keys_w));
    TRY(wr_end(&problems_w));
    return IPC_SEND(&h->listener, keys_loaded, .keys = buf_view(&keys), .problems = buf_view(&problems));
}

/* ---- signing ---- */

static void client_free(struct client *c)
{
    c->holder->n_clients--;
    loop_fd_free(c->watch);
    ipc_done(&c->ipc);
    free(c);
}

static int sign_by_agent(const struct holder *h, const struct key *k, struct view algorithm, struct view data, struct buf *out)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(AGENT_FRAME_BYTES_MAX + 4), answer = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct view signature;
    TRY(agent_put_sign(&request, key_blob(k), data, algorithm));
    TRY(agent_io_call(h->agent_fd, buf_view(&request), &answer));
    TRY(agent_get_signature(buf_view(&answer), &signature));
    TRY(key_verify(k, algorithm, data, signature));
    return buf_put_view(out, signature);
}

static int sign_for(struct client *c, uint32_t key_idx, struct view algorithm, struct view data)
{
    const struct holder *h = c->holder;
    CLEANUP(buf_done) struct buf signature = BUF_INIT(65536);
    if (key_idx >= h->n_keys) return ERR_RANGE;
    const struct key *k = h->keys[key_idx];
    TRY(key_has_private(k) ? key_sign(k, algorithm, data, &signature) : sign_by_agent(h, k, algorithm, data, &signature));
    return IPC_SEND(&c->ipc, signed, .signature = buf_view(&signature));
}

static int on_sign(struct client *c, struct view fields)
{
    struct ipc_sign q;
    TRY(ipc_sign_get(fields, &q));
    if (q.data.len < HASH_MIN_BYTES || q.data.len > HASH_MAX_BYTES) return ERR_RANGE;
    return sign_for(c, q.key_idx, q.algorithm, q.data);
}

/* OpenSSH PROTOCOL 2.5 */
static int on_prove(struct client *c, struct view fields)
{
    struct ipc_prove q;
    CLEANUP(buf_done) struct buf data = BUF_INIT(PROOF_BYTES_MAX);
    struct wr w = wr_of(&data);
    TRY(ipc_prove_get(fields, &q));
    if (q.key_idx >= c->holder->n_keys || q.session_id.len < HASH_MIN_BYTES || q.session_id.len > HASH_MAX_BYTES) return ERR_RANGE;
    wr_cstr(&w, "hostkeys-prove-00@openssh.com");
    wr_string(&w, q.session_id);
    wr_string(&w, key_blob(c->holder->keys[q.key_idx]));
    TRY(wr_end(&w));
    return sign_for(c, q.key_idx, q.algorithm, buf_view(&data));
}

static int serve_client(struct client *c)
{
    TRY(ipc_fill(&c->ipc));
    for (;;) {
        struct ipc_message m;
        int got = ipc_next(&c->ipc, &m);
        if (got <= 0) return got;
        TRY(m.number == IPC_prove_NUMBER ? on_prove(c, m.fields) : on_sign(c, m.fields));
    }
}

static void on_client(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    int err = serve_client(arg);
    if (err < 0 && err != ERR_AGAIN) client_free(arg);
}

static int add_client(struct holder *h, int take_fd)
{
    struct client *c = h->n_clients < CLIENTS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        fd_close(take_fd);
        return 0; /* that monitor finds its socket closed; the others go on */
    }
    c->holder = h;
    h->n_clients++;
    int err = ipc_init(&c->ipc, take_fd, IPC_K, IPC_M);
    if (err == 0) err = loop_fd_new(h->loop, take_fd, LOOP_READ, on_client, c, &c->watch);
    if (err < 0) client_free(c);
    return 0;
}

/* The listener's socket is all that keeps this process: when it closes, no new monitor can come, but those that are there go on. */
static void listener_gone(struct holder *h)
{
    loop_fd_free(h->listener_watch);
    h->listener_watch = NULL;
    ipc_done(&h->listener);
    if (h->n_clients == 0) loop_stop(h->loop, 0);
}

static void on_listener(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct holder *h = arg;
    int got = ipc_fill(&h->listener);
    struct ipc_message m;
    while (got >= 0 && (got = ipc_next(&h->listener, &m)) > 0) got = add_client(h, m.fds[0]);
    if (got < 0 && got != ERR_AGAIN) listener_gone(h);
}

static void on_turn_end(void *arg)
{
    struct holder *h = arg;
    if (!h->listener_watch && h->n_clients == 0) loop_stop(h->loop, 0);
}

static int enter_cage(void)
{
    CLEANUP(buf_done) struct buf filter = BUF_INIT(SANDBOX_FILTER_BYTES_MAX);
    struct part_cage cage;
    TRY(part_make_cage(sandbox_key_holder, sandbox_key_holder_n, false, &filter, &cage));
    return part_give_up_rights(&cage);
}

int main(int argc, char **argv)
{
    struct holder h = { .agent_fd = -1 };
    const char *agent = argc > 1 ? argv[1] : "";
    proctitle_init(argc, argv);
    crypto_start_alone();
    int err = ipc_init(&h.listener, PART_IPC_FD, IPC_K, IPC_L);
    if (err == 0) err = loop_new(&h.loop);
    if (err == 0 && *agent) (void)!sock_connect_unix(agent, &h.agent_fd); /* without it its keys are problems like others */
    if (err == 0) err = load_keys(&h, argc - 2, argv + 2);
    proctitle_set("sshd: [key holder]");
    if (err == 0) err = enter_cage();
    if (err == 0) err = loop_fd_new(h.loop, h.listener.fd, LOOP_READ, on_listener, &h, &h.listener_watch);
    if (err == 0) err = loop_at_turn_end(h.loop, on_turn_end, &h);
    if (err < 0) {
        dprintf(STDERR_FILENO, "sshd-keys: %s\n", err_text(err));
        return 255;
    }
    return loop_run(h.loop) == 0 ? 0 : 255;
}
