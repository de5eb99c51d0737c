/* The sockets a listener listens on: those systemd hands over, or one for each address and port of the configuration. */
#include "prog/sshd/listener.h"

#include "os/fd.h"

#include <stdlib.h>

enum {
    LISTEN_SOCKETS_MAX = 256
};

static const int families[] = { [CONF_AF_ANY] = AF_UNSPEC, [CONF_AF_INET] = AF_INET, [CONF_AF_INET6] = AF_INET6 };

static int add_socket(struct listener *l, int take_fd)
{
    int *v = l->n_sockets < LISTEN_SOCKETS_MAX ? realloc(l->sockets, (l->n_sockets + 1) * sizeof *v) : NULL;
    if (!v) {
        fd_close(take_fd);
        return ERR_LIMIT;
    }
    l->sockets = v;
    l->sockets[l->n_sockets++] = take_fd;
    return 0;
}

static int listen_on(struct listener *l, const struct sock_addr *addr)
{
    struct sock_text text;
    int fd;
    sock_addr_text(addr, &text);
    int err = sock_listen(addr, NULL, &fd);
    if (err < 0) {
        log_error(&l->sink.log, "Bind to port %d on %s failed: %s.", text.port, text.host, err_text(err));
        return 0; /* another address may do */
    }
    log_info(&l->sink.log, "Server listening on %s port %d.", text.host, text.port);
    return add_socket(l, fd);
}

static int listen_on_host(struct listener *l, const char *host, int port)
{
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    const char *why = "";
    struct sock_resolve how = { .family = families[l->options.address_family], .passive = true };
    int err = sock_resolve(host, (uint16_t)port, &how, &addrs, &why);
    if (err < 0) {
        log_error(&l->sink.log, "bad addr or host: %s (%s)", host ? host : "<any>", why);
        return err;
    }
    for (size_t i = 0; i < addrs.n; i++) TRY(listen_on(l, &addrs.v[i]));
    return 0;
}

static int listen_on_ports(struct listener *l, const struct conf_listen *one)
{
    if (one->port) return listen_on_host(l, one->host, one->port);
    for (size_t i = 0; i < l->options.port.n; i++) TRY(listen_on_host(l, one->host, atoi(l->options.port.v[i])));
    return 0;
}

int listener_listen(struct listener *l)
{
    TRY(daemon_listen_fds(&l->n_given));
    for (size_t i = 0; i < l->n_given; i++) {
        TRY(fd_nonblock(DAEMON_LISTEN_FIRST + (int)i, true));
        TRY(add_socket(l, DAEMON_LISTEN_FIRST + (int)i));
    }
    if (l->n_given) return 0;
    static const struct conf_listen any = { NULL, 0, NULL };
    if (l->options.listen_address.n == 0) TRY(listen_on_ports(l, &any));
    for (size_t i = 0; i < l->options.listen_address.n; i++) TRY(listen_on_ports(l, &l->options.listen_address.v[i]));
    if (l->n_sockets) return 0;
    log_at(&l->sink.log, LOG_LEVEL_FATAL, "Cannot bind any address.");
    return ERR_NOT_FOUND;
}
