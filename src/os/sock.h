/* Sockets: names to addresses, connecting, listening, what the peer is called. All sockets are close-on-exec. Stream sockets over
 * TCP get TCP_NODELAY from the start. Buffer sizes are left to the kernel, whose own tuning beats any fixed figure. Errors: ERR_SYS
 * unless said. */
#pragma once

#include "base/err.h"
#include "base/view.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct sock_addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    };
};

/* An owned list. */
struct sock_addrs {
    struct sock_addr *v;
    size_t n;
    char *canonical; /* NULL unless asked for and known */
};
#define SOCK_ADDRS_INIT \
    {                   \
        NULL, 0, NULL   \
    }
void sock_addrs_done(struct sock_addrs *a);

enum {
    SOCK_ADDRS_MAX = 256 /* more addresses of one name are left out */
};
struct sock_resolve {
    int family;     /* AF_UNSPEC, AF_INET, AF_INET6 */
    bool numeric;   /* no name service: ERR_NOT_FOUND at once for anything but an address */
    bool passive;   /* for listening: host NULL is the wildcard address */
    bool canonical; /* fill canonical */
};
/* Blocks in the name service. In the order to try them (RFC 6724). host NULL without passive: loopback. ERR_NOT_FOUND and the
 * resolver's sentence, static, in *ret_why (NULL allowed); ERR_NOMEM. */
int sock_resolve(const char *host, uint16_t port, const struct sock_resolve *how, struct sock_addrs *ret, const char **ret_why)
    MUST_USE;
/* The name of an address. If verified, the name is believed only when it leads back to the address and does not itself look like an
 * address; otherwise, and when there is none, ERR_NOT_FOUND. Blocks. */
enum {
    SOCK_HOST_BYTES = 1025
};
int sock_reverse(const struct sock_addr *addr, bool verified, char ret_name[SOCK_HOST_BYTES]) MUST_USE;
/* "ssh" or "22" to a port; ERR_NOT_FOUND. */
int sock_port_from_name(const char *name, uint16_t *ret_port) MUST_USE;

/* Addresses as text. IPv4-mapped IPv6 is written as IPv4. Scope ids are kept ("fe80::1%eth0"). */
enum {
    SOCK_TEXT_BYTES = 108
};
struct sock_text {
    char host[SOCK_TEXT_BYTES]; /* numeric address; the path of a unix socket; "UNKNOWN" */
    int port;                   /* 65535 when there is none to know */
};
void sock_addr_text(const struct sock_addr *addr, struct sock_text *ret);
uint16_t sock_addr_port(const struct sock_addr *addr); /* 0 for other families */
void sock_addr_set_port(struct sock_addr *addr, uint16_t port);
bool sock_addr_same_host(const struct sock_addr *a, const struct sock_addr *b); /* family and address, not port */
/* Of a socket; "UNKNOWN" and 65535 when fd is no internet socket (a pipe, a socketpair). */
void sock_peer_text(int fd, struct sock_text *ret);
void sock_local_text(int fd, struct sock_text *ret);
int sock_peer_addr(int fd, struct sock_addr *ret) MUST_USE;
int sock_local_addr(int fd, struct sock_addr *ret) MUST_USE;
/* Of this machine: of all interfaces that are up, the loopback too. ERR_NOMEM. */
int sock_interface_addrs(struct sock_addrs *ret) MUST_USE;
bool sock_is_inet(int fd); /* a connected TCP socket over IPv4 or IPv6 */
/* Who is at the other end of a unix socket. */
int sock_peer_uid(int fd, uid_t *ret_uid) MUST_USE;
/* This machine's name (gethostname). */
int sock_host_name(char ret_name[SOCK_HOST_BYTES]) MUST_USE;

struct sock_connect {
    const char *bind_address;   /* NULL: any. Numeric or a name */
    const char *bind_interface; /* NULL: any. The address is taken from the interface, of the target's family */
    ms timeout_ms;              /* of sock_connect; 0 or MS_NEVER: the kernel's own */
    bool keepalive;
    int tos; /* IP_TOS / IPV6_TCLASS before the handshake; -1: untouched */
};
/* Connects, waiting. The socket is blocking. ERR_TIMEOUT; ERR_CANCELLED when a signal handler ran; ERR_SYS(ECONNREFUSED) and so on.
 */
int sock_connect(const struct sock_addr *to, const struct sock_connect *how, int *ret_fd) MUST_USE;
/* For the loop: a non-blocking socket on its way. 0: connected already; ERR_AGAIN with *ret_fd set: watch LOOP_WRITE, then ask
 * sock_connect_result; other errors: no fd. */
int sock_connect_start(const struct sock_addr *to, const struct sock_connect *how, int *ret_fd) MUST_USE;
int sock_connect_result(int fd) MUST_USE; /* 0: connected. Otherwise why not */
/* The address of a path. ERR_LIMIT: it is too long for one. A non-blocking connect to it fails with ERR_SYS(EAGAIN) while the
 * listener's queue is full. */
int sock_unix_addr(const char *path, struct sock_addr *ret) MUST_USE;
/* A unix stream socket, blocking. ERR_LIMIT: the path is too long for an address. */
int sock_connect_unix(const char *path, int *ret_fd) MUST_USE;

struct sock_listen {
    int backlog;                /* 0: SOMAXCONN */
    bool v6_too;                /* an IPv6 wildcard takes IPv4 as well; default is IPV6_V6ONLY */
    bool no_reuse;              /* without SO_REUSEADDR */
    const char *bind_interface; /* NULL: all (SO_BINDTODEVICE) */
};
/* A non-blocking listening socket. how may be NULL. */
int sock_listen(const struct sock_addr *on, const struct sock_listen *how, int *ret_fd) MUST_USE;
/* The same on a path, made with the permission bits that mask leaves of 0777 (StreamLocalBindMask). If replace, a file there is
 * removed first (StreamLocalBindUnlink). backlog 0: SOMAXCONN. */
int sock_listen_unix(const char *path, mode_t mask, bool replace, int backlog, int *ret_fd) MUST_USE;
/* Removes the path of such a socket, if it is still the file that *made is; lstat it behind sock_listen_unix. */
void sock_remove_unix(const char *path, const struct stat *made);
/* The next connection, non-blocking. ret_peer may be NULL. ERR_AGAIN: none, or it went away before it was taken. Running out of
 * descriptors is ERR_SYS(EMFILE or ENFILE): stop watching for a while, or the loop spins. */
int sock_accept(int listen_fd, struct sock_addr *ret_peer, int *ret_fd) MUST_USE;

/* As fd_read, but what is given stays to be read. */
int sock_peek(int fd, void *ret_bytes, size_t len, size_t *ret_n) MUST_USE;

/* Settings that only help: a socket that is none of TCP's is left as it is, without error. */
void sock_nodelay(int fd, bool on);
void sock_keepalive(int fd, bool on);
void sock_tos(int fd, int tos); /* IP_TOS or IPV6_TCLASS by the socket's family, only changed if different. < 0: nothing */
/* No more of one direction. */
int sock_shutdown(int fd, bool read, bool write) MUST_USE;
