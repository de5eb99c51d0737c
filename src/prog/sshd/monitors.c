/* The monitors of a listener. Starting a program costs more than a login should: monitors are copies of a zygote, a few are kept
 * ready, each with its own two children, and they are replaced after they were used, when the connection is already being served. A
 * daemon that serves one connection only (-d, -i) executes its monitor, so that it is its child and its end can be waited for. */
#include "prog/sshd/listener.h"

#include "os/fd.h"
#include "os/spawn.h"
#include "prog/sshd/parts.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MONITORS_MAX = 65536
};

enum monitor_state {
    MONITOR_READY,
    MONITOR_STARTING,
    MONITOR_DONE /* authenticated, or never to be */
};

struct monitor {
    struct monitors *all;
    struct monitor *next, **link;
    struct ipc ipc;
    struct loop_fd *watch;
    enum monitor_state state;
    struct sock_addr peer; /* len 0: not known */
};

struct zygote {
    struct monitors *all;
    const char *name;
    struct ipc ipc;
    struct loop_fd *watch;
};

struct monitors {
    struct listener *l;
    struct zygote session_zygote, user_zygote; /* ipc.fd -1: none */
    struct monitor *first;
    size_t n, n_by_state[3], n_ready_wanted;
    int setup_fd, session_program, auth_program, user_program;
    bool one_only; /* -d, -i: the listener ends with its only session */
};

static void set_state(struct monitor *m, enum monitor_state state)
{
    m->all->n_by_state[m->state]--;
    m->all->n_by_state[state]++;
    m->state = state;
    listener_show_title(m->all->l, m->all->n_by_state[MONITOR_STARTING]);
}

static void monitor_free(struct monitor *m)
{
    struct monitors *all = m->all;
    all->n--;
    all->n_by_state[m->state]--;
    if (m->state == MONITOR_STARTING) listener_show_title(all->l, all->n_by_state[MONITOR_STARTING]);
    *m->link = m->next;
    if (m->next) m->next->link = m->link;
    loop_fd_free(m->watch);
    ipc_done(&m->ipc);
    free(m);
}

/* The only session of -d and -i has ended. */
static void on_exit_of(void *arg, pid_t pid, int status)
{
    struct monitors *all = arg;
    char how[64];
    spawn_status_text(status, how, sizeof how);
    if (WIFSIGNALED(status)) log_error(&all->l->sink.log, "session process %d (%s) %s", (int)pid, PART_SESSION, how);
    all->l->served_status = status;
    loop_stop(all->l->loop, 1);
}

static int take_messages(struct monitor *m)
{
    TRY(ipc_fill(&m->ipc));
    for (;;) {
        struct ipc_message message;
        struct ipc_startup_done done;
        int got = ipc_next(&m->ipc, &message);
        if (got <= 0) return got;
        TRY(ipc_startup_done_get(message.fields, &done));
        if (m->state != MONITOR_STARTING) continue;
        set_state(m, MONITOR_DONE);
        listener_note_outcome(m->all->l, &m->peer, done.outcome);
    }
}

/* The socket of a monitor closes when it has ended, or has a session and needs nothing of us any more. */
static void on_message(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct monitor *m = arg;
    int err = take_messages(m);
    if (err == 0 || err == ERR_AGAIN) return;
    if (m->state == MONITOR_STARTING) listener_note_outcome(m->all->l, &m->peer, IPC_OUTCOME_CRASH);
    if (m->state == MONITOR_READY) log_error(&m->all->l->sink.log, "a waiting %s ended before it had a connection", PART_SESSION);
    monitor_free(m);
}

/* ---- starting ---- */

static int execute_monitor(struct monitors *all, int ipc_fd, int keys_fd, const char *role, pid_t *ret_pid)
{
    struct listener *l = all->l;
    const struct spawn_fd fds[] = {
        { ipc_fd, PART_IPC_FD },
        { all->setup_fd, PART_SETUP_FD },
        { keys_fd, PART_KEY_HOLDER_FD },
        { all->auth_program, PART_AUTH_PROGRAM_FD },
        { all->user_program, PART_USER_PROGRAM_FD },
        { listener_stderr(l), STDERR_FILENO },
    };
    const char *argv[] = { PART_SESSION, role, NULL };
    struct spawn s = { .path = l->parts.v[PART_IDX_SESSION],
                       .exec_fd = all->session_program,
                       .argv = argv,
                       .fds = fds,
                       .n_fds = ARRAY_LEN(fds),
                       .new_session = !all->one_only };
    return spawn_run(&s, ret_pid);
}

static int execute_user_zygote(struct monitors *all, int ipc_fd)
{
    const struct spawn_fd fds[] = { { ipc_fd, PART_IPC_FD }, { listener_stderr(all->l), STDERR_FILENO } };
    const char *argv[] = { PART_USER, PART_ZYGOTE, NULL };
    struct spawn s = { .path = all->l->parts.v[PART_IDX_USER],
                       .exec_fd = all->user_program,
                       .argv = argv,
                       .fds = fds,
                       .n_fds = ARRAY_LEN(fds),
                       .new_session = true };
    pid_t pid;
    return spawn_run(&s, &pid);
}

static int take_deaths(struct zygote *z)
{
    TRY(ipc_fill(&z->ipc));
    for (;;) {
        struct ipc_message message;
        struct ipc_copy_killed killed;
        char how[64];
        int got = ipc_next(&z->ipc, &message);
        if (got <= 0) return got;
        TRY(ipc_copy_killed_get(message.fields, &killed));
        spawn_status_text((int)killed.status, how, sizeof how);
        log_error(&z->all->l->sink.log, "session process %u (%s) %s", killed.pid, z->name, how);
    }
}

/* A zygote that has ended leaves a listener that can serve nobody: better to end as well and be started anew by whoever watches
 * over it. */
static void on_zygote(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct zygote *z = arg;
    int err = take_deaths(z);
    if (err == 0 || err == ERR_AGAIN) return;
    log_at(&z->all->l->sink.log, LOG_LEVEL_FATAL, "%s has ended: no connection can be served any more", z->name);
    loop_stop(z->all->l->loop, ERR_PEER_CLOSED);
}

static int zygote_start(struct monitors *all, struct zygote *z, const char *name)
{
    int pair[2];
    pid_t pid;
    TRY(fd_socketpair(pair));
    CLEANUP(fd_closep) int theirs = pair[1];
    z->all = all;
    z->name = name;
    TRY(ipc_init(&z->ipc, pair[0], IPC_L, IPC_Z));
    z->ipc.state = IPC_ANY;
    TRY(loop_fd_new(all->l->loop, z->ipc.fd, LOOP_READ, on_zygote, z, &z->watch));
    return strcmp(name, PART_SESSION) == 0 ? execute_monitor(all, theirs, -1, PART_ZYGOTE, &pid) : execute_user_zygote(all, theirs);
}

/* With PAM a user child has to inherit what modules gave its monitor, so the monitor starts it; else it is a copy of the other
 * zygote. */
static int copy_monitor(struct monitors *all, int ipc_fd, int keys_fd)
{
    const int fds[3] = { ipc_fd, keys_fd, -1 };
    if (all->user_zygote.ipc.fd < 0) return IPC_SEND_FDS(&all->session_zygote.ipc, fork_monitor, fds, 2, .reserved = 0);
    int pair[2];
    TRY(fd_socketpair(pair));
    CLEANUP(fd_closep) int monitors_end = pair[0];
    CLEANUP(fd_closep) int users_end = pair[1];
    const int with_user[3] = { ipc_fd, keys_fd, monitors_end };
    TRY(IPC_SEND_FDS(&all->user_zygote.ipc, fork_user, &users_end, 1, .reserved = 0));
    return IPC_SEND_FDS(&all->session_zygote.ipc, fork_monitor_with_user, with_user, 3, .reserved = 0);
}

static int start_monitor(struct monitors *all, int ipc_fd, int keys_fd)
{
    pid_t pid;
    if (!all->one_only) return copy_monitor(all, ipc_fd, keys_fd);
    TRY(execute_monitor(all, ipc_fd, keys_fd, NULL, &pid));
    return loop_child(all->l->loop, pid, on_exit_of, all);
}

static int monitor_new(struct monitors *all, struct monitor **ret)
{
    struct listener *l = all->l;
    CLEANUP(fd_closep) int keys_theirs = -1;
    CLEANUP(fd_closep) int keys_holder = -1;
    CLEANUP(fd_closep) int ipc_theirs = -1;
    int pair[2];
    if (all->n >= MONITORS_MAX) return ERR_LIMIT;
    TRY(fd_socketpair(pair));
    keys_theirs = pair[0];
    keys_holder = pair[1];
    TRY(IPC_SEND_FDS(&l->key_holder, key_client, &keys_holder, 1, .reserved = 0));
    TRY(fd_socketpair(pair));
    ipc_theirs = pair[1];
    struct monitor *m = calloc(1, sizeof *m);
    if (!m) {
        fd_close(pair[0]);
        return ERR_NOMEM;
    }
    *m = (struct monitor){ .all = all, .next = all->first, .link = &all->first, .state = MONITOR_READY };
    if (m->next) m->next->link = &m->next;
    all->first = m;
    all->n++;
    all->n_by_state[MONITOR_READY]++;
    int err = ipc_init(&m->ipc, pair[0], IPC_L, IPC_M);
    m->ipc.state = IPC_ANY;
    if (err == 0) err = loop_fd_new(l->loop, m->ipc.fd, LOOP_READ, on_message, m, &m->watch);
    if (err == 0) err = start_monitor(all, ipc_theirs, keys_theirs);
    if (err < 0) {
        monitor_free(m);
        return err;
    }
    *ret = m;
    return 0;
}

static struct monitor *find_ready(struct monitors *all)
{
    for (struct monitor *m = all->first; m; m = m->next)
        if (m->state == MONITOR_READY && m->watch) return m;
    return NULL;
}

int monitors_serve(struct monitors *all, int take_in_fd, int take_out_fd, bool one_socket, const struct sock_addr *peer)
{
    CLEANUP(fd_closep) int in = take_in_fd, out = one_socket ? -1 : take_out_fd;
    const int fds[2] = { in, one_socket ? in : out };
    struct monitor *m = find_ready(all);
    if (!m) TRY(monitor_new(all, &m));
    TRY(IPC_SEND_FDS(&m->ipc, connection, fds, 2, .one_socket = one_socket));
    if (peer) m->peer = *peer;
    set_state(m, MONITOR_STARTING);
    return 0;
}

void monitors_refill(struct monitors *all)
{
    while (all->n_by_state[MONITOR_READY] < all->n_ready_wanted) {
        struct monitor *m;
        int err = monitor_new(all, &m);
        if (err == 0) continue;
        log_error(&all->l->sink.log, "cannot start %s: %s", PART_SESSION, err_text(err));
        return;
    }
}

size_t monitors_n_starting(const struct monitors *m) { return m->n_by_state[MONITOR_STARTING]; }

static bool same_bits(const uint8_t *a, const uint8_t *b, int n_bits)
{
    size_t whole = (size_t)n_bits / 8;
    uint8_t mask = (uint8_t)(0xff00 >> (n_bits % 8));
    return memcmp(a, b, whole) == 0 && (n_bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool is_same_network(const struct sock_addr *a, const struct sock_addr *b, const struct conf_net_block *block)
{
    if (a->len == 0 || b->len == 0 || a->sa.sa_family != b->sa.sa_family) return false;
    if (a->sa.sa_family == AF_INET)
        return same_bits((const uint8_t *)&a->in.sin_addr, (const uint8_t *)&b->in.sin_addr, block->bits4);
    if (a->sa.sa_family != AF_INET6) return false;
    return same_bits(a->in6.sin6_addr.s6_addr, b->in6.sin6_addr.s6_addr, block->bits6);
}

size_t monitors_n_starting_from(const struct monitors *all, const struct sock_addr *peer, const struct conf_net_block *block)
{
    size_t n = 0;
    for (const struct monitor *m = all->first; m; m = m->next)
        n += m->state == MONITOR_STARTING && is_same_network(&m->peer, peer, block);
    return n;
}

int monitors_new(struct listener *l, size_t n_ready, struct monitors **ret)
{
    struct monitors *all = calloc(1, sizeof *all);
    if (!all) return ERR_NOMEM;
    *all = (struct monitors){ .l = l,
                              .n_ready_wanted = n_ready,
                              .setup_fd = -1,
                              .session_program = -1,
                              .auth_program = -1,
                              .user_program = -1,
                              .one_only = l->cmd.debug || l->cmd.inetd,
                              .session_zygote = { .ipc = { .fd = -1 } },
                              .user_zygote = { .ipc = { .fd = -1 } } };
    int err = fd_memfd("sshd-setup", buf_view(&l->setup), &all->setup_fd);
    if (err == 0) err = spawn_open_program(l->parts.v[PART_IDX_SESSION], &all->session_program);
    if (err == 0) err = spawn_open_program(l->parts.v[PART_IDX_AUTH], &all->auth_program);
    if (err == 0) err = spawn_open_program(l->parts.v[PART_IDX_USER], &all->user_program);
    if (err == 0 && !all->one_only) err = zygote_start(all, &all->session_zygote, PART_SESSION);
    if (err == 0 && !all->one_only && !l->options.use_pam) err = zygote_start(all, &all->user_zygote, PART_USER);
    if (err < 0) {
        monitors_free(all);
        return err;
    }
    *ret = all;
    return 0;
}

static void zygote_done(struct zygote *z)
{
    loop_fd_free(z->watch);
    ipc_done(&z->ipc);
}

void monitors_free(struct monitors *all)
{
    if (!all) return;
    while (all->first) monitor_free(all->first);
    zygote_done(&all->session_zygote);
    zygote_done(&all->user_zygote);
    fd_close(all->setup_fd);
    fd_close(all->session_program);
    fd_close(all->auth_program);
    fd_close(all->user_program);
    free(all);
}
