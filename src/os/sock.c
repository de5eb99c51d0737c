/* Connecting, listening, accepting, socket options. Names and addresses are in sock_name.c. */
#include "os/sock.h"
#include "os/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

static void set_int(int fd, int level, int name, int value) { (void)setsockopt(fd, level, name, &value, sizeof value); }

void sock_nodelay(int fd, bool on) { set_int(fd, IPPROTO_TCP, TCP_NODELAY, on); }
void sock_keepalive(int fd, bool on) { set_int(fd, SOL_SOCKET, SO_KEEPALIVE, on); }

void sock_tos(int fd, int tos)
{
    struct sock_addr local;
    if (tos < 0 || sock_local_addr(fd, &local) < 0) return;
    bool v6 = local.sa.sa_family == AF_INET6;
    if (!v6 && local.sa.sa_family != AF_INET) return;
    int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, name = v6 ? IPV6_TCLASS : IP_TOS, now = -1;
    socklen_t len = sizeof now;
    if (getsockopt(fd, level, name, &now, &len) == 0 && now == tos) return;
    set_int(fd, level, name, tos);
}

int sock_shutdown(int fd, bool read, bool write)
{
    if (!read && !write) return 0;
    int how = read && write ? SHUT_RDWR : read ? SHUT_RD : SHUT_WR;
    /* A peer that is gone already needs no telling. */
    return shutdown(fd, how) < 0 && errno != ENOTCONN ? ERR_SYS(errno) : 0;
}

static bool is_inet_family(int family) { return family == AF_INET || family == AF_INET6; }

static int open_socket(int family, int *ret_fd)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return ERR_SYS(errno);
    if (is_inet_family(family)) sock_nodelay(fd, true);
    *ret_fd = fd;
    return 0;
}

/* --- connecting --- */

/* The first address of the interface in the target's family; link-local ones only for link-local targets. */
static int interface_address(const char *name, const struct sock_addr *to, struct sock_addr *ret)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) < 0) return ERR_SYS(errno);
    int err = ERR_NOT_FOUND;
    for (struct ifaddrs *i = all; i && err; i = i->ifa_next) {
        if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || strcmp(i->ifa_name, name) != 0) continue;
        if (i->ifa_addr->sa_family != to->sa.sa_family) continue;
        struct sock_addr a = { .len = to->sa.sa_family == AF_INET6 ? sizeof a.in6 : sizeof a.in };
        memcpy(&a.storage, i->ifa_addr, a.len);
        if (a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a.in6.sin6_addr) != IN6_IS_ADDR_LINKLOCAL(&to->in6.sin6_addr))
            continue;
        *ret = a;
        err = 0;
    }
    freeifaddrs(all);
    return err;
}

int sock_interface_addrs(struct sock_addrs *ret)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) < 0) return ERR_SYS(errno);
    struct sock_addrs found = SOCK_ADDRS_INIT;
    found.v = calloc(SOCK_ADDRS_MAX, sizeof *found.v);
    for (struct ifaddrs *i = all; found.v && i && found.n < SOCK_ADDRS_MAX; i = i->ifa_next) {
        if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || !is_inet_family(i->ifa_addr->sa_family)) continue;
        struct sock_addr *a = &found.v[found.n++];
        a->len = i->ifa_addr->sa_family == AF_INET6 ? sizeof a->in6 : sizeof a->in;
        memcpy(&a->storage, i->ifa_addr, a->len);
    }
    freeifaddrs(all);
    if (!found.v) return ERR_NOMEM;
    *ret = found;
    return 0;
}

static int bind_address(const struct sock_connect *how, const struct sock_addr *to, struct sock_addr *ret)
{
    if (!how->bind_address) return interface_address(how->bind_interface, to, ret);
    CLEANUP(sock_addrs_done) struct sock_addrs list = SOCK_ADDRS_INIT;
    TRY(sock_resolve(how->bind_address, 0, &(struct sock_resolve){ .family = to->sa.sa_family, .passive = true }, &list, NULL));
    *ret = list.v[0];
    return 0;
}

static int bind_local(int fd, const struct sock_connect *how, const struct sock_addr *to)
{
    if (!is_inet_family(to->sa.sa_family) || (!how->bind_address && !how->bind_interface)) return 0;
    struct sock_addr local;
    TRY(bind_address(how, to, &local));
    return bind(fd, &local.sa, local.len) < 0 ? ERR_SYS(errno) : 0;
}

int sock_connect_start(const struct sock_addr *to, const struct sock_connect *how, int *ret_fd)
{
    CLEANUP(fd_closep) int fd = -1;
    TRY(open_socket(to->sa.sa_family, &fd));
    TRY(bind_local(fd, how, to));
    if (how->keepalive) sock_keepalive(fd, true);
    if (is_inet_family(to->sa.sa_family)) sock_tos(fd, how->tos);
    int err = 0;
    if (connect(fd, &to->sa, to->len) < 0) {
        /* A signal in between does not stop the handshake: it goes on by itself (connect(2)). */
        if (errno != EINPROGRESS && errno != EINTR) return ERR_SYS(errno);
        err = ERR_AGAIN;
    }
    *ret_fd = fd_take(&fd);
    return err;
}

int sock_connect_result(int fd)
{
    int why = 0;
    socklen_t len = sizeof why;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0) return ERR_SYS(errno);
    return why ? ERR_SYS(why) : 0;
}

int sock_connect(const struct sock_addr *to, const struct sock_connect *how, int *ret_fd)
{
    CLEANUP(fd_closep) int fd = -1;
    int err = sock_connect_start(to, how, &fd);
    if (err == ERR_AGAIN) {
        err = fd_wait(fd, true, how->timeout_ms ? how->timeout_ms : MS_NEVER);
        if (err == 0) err = sock_connect_result(fd);
    }
    TRY(err);
    TRY(fd_nonblock(fd, false));
    *ret_fd = fd_take(&fd);
    return 0;
}

int sock_unix_addr(const char *path, struct sock_addr *ret)
{
    size_t n = strlen(path);
    if (n == 0) return ERR_RANGE; /* the system would make a name of its own */
    if (n >= sizeof ret->un.sun_path) return ERR_LIMIT;
    *ret = (struct sock_addr){ .len = sizeof(struct sockaddr_un) };
    ret->un.sun_family = AF_UNIX;
    memcpy(ret->un.sun_path, path, n + 1);
    return 0;
}

int sock_connect_unix(const char *path, int *ret_fd)
{
    struct sock_addr to;
    TRY(sock_unix_addr(path, &to));
    /* Blocking from the start: a non-blocking connect to a full unix backlog fails at once. */
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return ERR_SYS(errno);
    int n;
    do n = connect(fd, &to.sa, to.len);
    while (n < 0 && errno == EINTR);
    if (n < 0) return ERR_SYS(errno);
    *ret_fd = fd_take(&fd);
    return 0;
}

/* --- listening --- */

int sock_listen(const struct sock_addr *on, const struct sock_listen *how, int *ret_fd)
{
    static const struct sock_listen by_default;
    if (!how) how = &by_default;
    CLEANUP(fd_closep) int fd = -1;
    TRY(open_socket(on->sa.sa_family, &fd));
    if (!how->no_reuse) set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (on->sa.sa_family == AF_INET6) set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, !how->v6_too);
    const char *device = how->bind_interface;
    if (device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0) return ERR_SYS(errno);
    if (bind(fd, &on->sa, on->len) < 0 || listen(fd, how->backlog ? how->backlog : SOMAXCONN) < 0) return ERR_SYS(errno);
    *ret_fd = fd_take(&fd);
    return 0;
}

int sock_listen_unix(const char *path, mode_t mask, bool replace, int backlog, int *ret_fd)
{
    struct sock_addr on;
    TRY(sock_unix_addr(path, &on));
    CLEANUP(fd_closep) int fd = -1;
    TRY(open_socket(AF_UNIX, &fd));
    if (replace && unlink(path) < 0 && errno != ENOENT) return ERR_SYS(errno);
    /* The umask, not a chmod afterwards: there is no moment in which others could connect. */
    mode_t old = umask(mask & 0777);
    int n = bind(fd, &on.sa, on.len), why = errno;
    umask(old);
    if (n < 0) return ERR_SYS(why);
    if (listen(fd, backlog ? backlog : SOMAXCONN) < 0) {
        why = errno;
        unlink(path);
        return ERR_SYS(why);
    }
    *ret_fd = fd_take(&fd);
    return 0;
}

void sock_remove_unix(const char *path, const struct stat *made)
{
    struct stat now;
    if (lstat(path, &now) == 0 && now.st_dev == made->st_dev && now.st_ino == made->st_ino) (void)unlink(path);
}

int sock_peek(int fd, void *ret_bytes, size_t len, size_t *ret_n)
{
    ssize_t n;
    do n = recv(fd, ret_bytes, len, MSG_PEEK);
    while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN ? ERR_AGAIN : ERR_SYS(errno);
    *ret_n = (size_t)n;
    return 0;
}

/* Errors that belong to the connection that was waiting, not to the listener (accept(2), "Error handling"). */
static bool peer_gone(int why)
{
    static const int list[] = { EAGAIN,       ECONNABORTED, EPROTO, ENETDOWN,    ENOPROTOOPT, EHOSTDOWN,
                                EHOSTUNREACH, EOPNOTSUPP,   ENONET, ENETUNREACH, EPERM,       ETIMEDOUT };
    for (size_t i = 0; i < ARRAY_LEN(list); i++)
        if (list[i] == why) return true;
    return false;
}

int sock_accept(int listen_fd, struct sock_addr *ret_peer, int *ret_fd)
{
    struct sock_addr peer = { .len = sizeof peer.storage };
    int fd;
    do fd = accept4(listen_fd, &peer.sa, &peer.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return peer_gone(errno) ? ERR_AGAIN : ERR_SYS(errno);
    if (is_inet_family(peer.sa.sa_family)) sock_nodelay(fd, true);
    if (ret_peer) *ret_peer = peer;
    *ret_fd = fd;
    return 0;
}
