/* The monitors of a listener. Starting a program costs more than a login should: a few are kept ready, each with its own two children, and are
 * replaced after they were used, when the connection is already being served. */
#include "prog/sshd/listener.h"

#include "os/fd.h"
#include "os/spawn.h"
#include "prog/sshd/parts.h"

#include <stdlib.h>
#include <unistd.h>

enum { MONITORS_MAX = 65536 };

enum monitor_state { MONITOR_READY, MONITOR_STARTING, MONITOR_AUTHENTICATED };

struct monitor {
    struct monitors *all;
    struct monitor *next, **link;
    struct ipc ipc;
    struct loop_fd *watch;
    enum monitor_state state;
};

struct monitors {
    struct listener *l;
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
}

static void monitor_free(struct monitor *m)
{
    struct monitors *all = m->all;
    all->n--;
    all->n_by_state[m->state]--;
    *m->link = m->next;
    if (m->next) m->next->link = m->link;
    loop_fd_free(m->watch);
    ipc_done(&m->ipc);
    free(m);
}

static void on_exit_of(void *arg, UNUSED pid_t pid, int status)
{
    struct monitor *m = arg;
    struct listener *l = m->all->l;
    char text[64];
    spawn_status_text(status, text, sizeof text);
    bool one_only = m->all->one_only && m->state != MONITOR_READY;
    log_debug(&l->sink.log, "session process %d %s", (int)pid, text);
    if (m->state == MONITOR_READY) log_error(&l->sink.log, "%s could not serve: it %s", PART_SESSION, text);
    monitor_free(m);
    if (!one_only) return;
    l->served_status = status;
    loop_stop(l->loop, 1);
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
        if (m->state == MONITOR_STARTING) set_state(m, MONITOR_AUTHENTICATED);
    }
}

static void on_message(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct monitor *m = arg;
    int err = take_messages(m);
    if (err == 0 || err == ERR_AGAIN) return;
    /* It has ended, or talks nonsense: its end is told by on_exit_of. */
    loop_fd_free(m->watch);
    m->watch = NULL;
}

static int start_process(struct monitors *all, int ipc_fd, int keys_fd, pid_t *ret_pid)
{
    struct listener *l = all->l;
    const struct spawn_fd fds[] = {
        { ipc_fd, PART_IPC_FD }, { all->setup_fd, PART_SETUP_FD }, { keys_fd, PART_KEY_HOLDER_FD },
        { all->auth_program, PART_AUTH_PROGRAM_FD }, { all->user_program, PART_USER_PROGRAM_FD }, { STDERR_FILENO, STDERR_FILENO },
    };
    const char *argv[] = { PART_SESSION, NULL };
    struct spawn s = { .path = l->parts.v[PART_IDX_SESSION], .exec_fd = all->session_program, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds),
                       .new_session = !all->one_only };
    return spawn_run(&s, ret_pid);
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
    pid_t pid;
    int err = ipc_init(&m->ipc, pair[0], IPC_L, IPC_M);
    m->ipc.state = IPC_ANY;
    if (err == 0) err = loop_fd_new(l->loop, m->ipc.fd, LOOP_READ, on_message, m, &m->watch);
    if (err == 0) err = start_process(all, ipc_theirs, keys_theirs, &pid);
    if (err == 0) err = loop_child(l->loop, pid, on_exit_of, m);
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

int monitors_serve(struct monitors *all, int take_in_fd, int take_out_fd, bool one_socket)
{
    CLEANUP(fd_closep) int in = take_in_fd, out = one_socket ? -1 : take_out_fd;
    const int fds[2] = { in, one_socket ? in : out };
    struct monitor *m = find_ready(all);
    if (!m) TRY(monitor_new(all, &m));
    TRY(IPC_SEND_FDS(&m->ipc, connection, fds, 2, .one_socket = one_socket));
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

int monitors_new(struct listener *l, size_t n_ready, struct monitors **ret)
{
    struct monitors *all = calloc(1, sizeof *all);
    if (!all) return ERR_NOMEM;
    *all = (struct monitors){ .l = l, .n_ready_wanted = n_ready, .setup_fd = -1, .session_program = -1, .auth_program = -1, .user_program = -1,
                              .one_only = l->cmd.debug || l->cmd.inetd };
    int err = fd_memfd("sshd-setup", buf_view(&l->setup), &all->setup_fd);
    if (err == 0) err = spawn_open_program(l->parts.v[PART_IDX_SESSION], &all->session_program);
    if (err == 0) err = spawn_open_program(l->parts.v[PART_IDX_AUTH], &all->auth_program);
    if (err == 0) err = spawn_open_program(l->parts.v[PART_IDX_USER], &all->user_program);
    if (err < 0) {
        monitors_free(all);
        return err;
    }
    *ret = all;
    return 0;
}

void monitors_free(struct monitors *all)
{
    if (!all) return;
    while (all->first) monitor_free(all->first);
    fd_close(all->setup_fd);
    fd_close(all->session_program);
    fd_close(all->auth_program);
    fd_close(all->user_program);
    free(all);
}
