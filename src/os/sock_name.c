/* Names to addresses and back, and what is at the two ends of a socket. */
#include "os/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void sock_addrs_done(struct sock_addrs *a)
{
    free(a->v);
    free(a->canonical);
    *a = (struct sock_addrs)SOCK_ADDRS_INIT;
}

static int copy_list(const struct addrinfo *found, struct sock_addrs *ret)
{
    size_t n = 0;
    for (const struct addrinfo *i = found; i && n < SOCK_ADDRS_MAX; i = i->ai_next) n++;
    CLEANUP(sock_addrs_done) struct sock_addrs list = SOCK_ADDRS_INIT;
    list.v = calloc(n ? n : 1, sizeof *list.v);
    if (!list.v) return ERR_NOMEM;
    for (const struct addrinfo *i = found; i && list.n < n; i = i->ai_next) {
        if (i->ai_addrlen > sizeof list.v->storage) continue;
        list.v[list.n].len = i->ai_addrlen;
        memcpy(&list.v[list.n++].storage, i->ai_addr, i->ai_addrlen);
    }
    if (found->ai_canonname && !(list.canonical = strdup(found->ai_canonname))) return ERR_NOMEM;
    *ret = list;
    list = (struct sock_addrs)SOCK_ADDRS_INIT;
    return 0;
}

static int resolver_error(int code)
{
    if (code == EAI_MEMORY) return ERR_NOMEM;
    return code == EAI_SYSTEM && errno ? ERR_SYS(errno) : ERR_NOT_FOUND;
}

int sock_resolve(const char *host, uint16_t port, const struct sock_resolve *how, struct sock_addrs *ret, const char **ret_why)
{
    char service[6];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = { .ai_family = how->family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    if (how->numeric) hints.ai_flags |= AI_NUMERICHOST;
    if (how->passive) hints.ai_flags |= AI_PASSIVE;
    if (how->canonical) hints.ai_flags |= AI_CANONNAME;
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, service, &hints, &found);
    if (code) {
        int err = resolver_error(code);
        if (ret_why) *ret_why = code == EAI_SYSTEM ? err_text(err) : gai_strerror(code);
        return err;
    }
    int err = copy_list(found, ret);
    freeaddrinfo(found);
    return err;
}

/* IPv4 in its IPv6 clothes is the same host as plain IPv4. */
static struct sock_addr unmapped(const struct sock_addr *a)
{
    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) return *a;
    struct sock_addr v4 = { .len = sizeof v4.in };
    v4.in.sin_family = AF_INET;
    v4.in.sin_port = a->in6.sin6_port;
    memcpy(&v4.in.sin_addr, &a->in6.sin6_addr.s6_addr[12], 4);
    return v4;
}

uint16_t sock_addr_port(const struct sock_addr *a)
{
    if (a->sa.sa_family == AF_INET) return ntohs(a->in.sin_port);
    return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

void sock_addr_set_port(struct sock_addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET) a->in.sin_port = htons(port);
    if (a->sa.sa_family == AF_INET6) a->in6.sin6_port = htons(port);
}

bool sock_addr_same_host(const struct sock_addr *a, const struct sock_addr *b)
{
    struct sock_addr x = unmapped(a), y = unmapped(b);
    if (x.sa.sa_family != y.sa.sa_family) return false;
    if (x.sa.sa_family == AF_INET) return x.in.sin_addr.s_addr == y.in.sin_addr.s_addr;
    return x.sa.sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&x.in6.sin6_addr, &y.in6.sin6_addr) &&
           x.in6.sin6_scope_id == y.in6.sin6_scope_id;
}

static const struct sock_text unknown = { "UNKNOWN", 65535 };

static void text_v6(const struct sockaddr_in6 *in6, char *ret_host)
{
    char name[IF_NAMESIZE] = "";
    inet_ntop(AF_INET6, &in6->sin6_addr, ret_host, SOCK_TEXT_BYTES);
    if (!in6->sin6_scope_id) return;
    size_t n = strlen(ret_host);
    if (if_indextoname(in6->sin6_scope_id, name))
        snprintf(ret_host + n, SOCK_TEXT_BYTES - n, "%%%s", name);
    else
        snprintf(ret_host + n, SOCK_TEXT_BYTES - n, "%%%u", in6->sin6_scope_id);
}

void sock_addr_text(const struct sock_addr *addr, struct sock_text *ret)
{
    struct sock_addr a = unmapped(addr);
    *ret = unknown;
    if (a.sa.sa_family == AF_INET) inet_ntop(AF_INET, &a.in.sin_addr, ret->host, sizeof ret->host);
    if (a.sa.sa_family == AF_INET6) text_v6(&a.in6, ret->host);
    if (a.sa.sa_family == AF_INET || a.sa.sa_family == AF_INET6) ret->port = sock_addr_port(&a);
    if (a.sa.sa_family == AF_UNIX && a.len > offsetof(struct sockaddr_un, sun_path) && a.un.sun_path[0])
        snprintf(ret->host, sizeof ret->host, "%.*s", (int)(a.len - offsetof(struct sockaddr_un, sun_path)), a.un.sun_path);
}

int sock_peer_addr(int fd, struct sock_addr *ret)
{
    struct sock_addr a = { .len = sizeof a.storage };
    if (getpeername(fd, &a.sa, &a.len) < 0) return ERR_SYS(errno);
    *ret = a;
    return 0;
}

int sock_local_addr(int fd, struct sock_addr *ret)
{
    struct sock_addr a = { .len = sizeof a.storage };
    if (getsockname(fd, &a.sa, &a.len) < 0) return ERR_SYS(errno);
    *ret = a;
    return 0;
}

void sock_peer_text(int fd, struct sock_text *ret)
{
    struct sock_addr a;
    *ret = unknown;
    if (sock_peer_addr(fd, &a) == 0 && a.sa.sa_family != AF_UNIX) sock_addr_text(&a, ret);
}

void sock_local_text(int fd, struct sock_text *ret)
{
    struct sock_addr a;
    *ret = unknown;
    if (sock_local_addr(fd, &a) == 0 && a.sa.sa_family != AF_UNIX) sock_addr_text(&a, ret);
}

bool sock_is_inet(int fd)
{
    struct sock_addr a;
    return sock_peer_addr(fd, &a) == 0 && (a.sa.sa_family == AF_INET || a.sa.sa_family == AF_INET6);
}

int sock_peer_uid(int fd, uid_t *ret_uid)
{
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0) return ERR_SYS(errno);
    *ret_uid = who.uid;
    return 0;
}

int sock_host_name(char ret_name[SOCK_HOST_BYTES])
{
    if (gethostname(ret_name, SOCK_HOST_BYTES) < 0) return ERR_SYS(errno);
    ret_name[SOCK_HOST_BYTES - 1] = 0;
    return 0;
}

static bool leads_back(const char *name, const struct sock_addr *addr)
{
    CLEANUP(sock_addrs_done) struct sock_addrs list = SOCK_ADDRS_INIT;
    if (sock_resolve(name, 0, &(struct sock_resolve){ .family = addr->sa.sa_family }, &list, NULL) < 0) return false;
    for (size_t i = 0; i < list.n; i++)
        if (sock_addr_same_host(&list.v[i], addr)) return true;
    return false;
}

int sock_reverse(const struct sock_addr *addr, bool verified, char ret_name[SOCK_HOST_BYTES])
{
    struct sock_addr a = unmapped(addr);
    char name[SOCK_HOST_BYTES];
    if (getnameinfo(&a.sa, a.len, name, sizeof name, NULL, 0, NI_NAMEREQD) != 0) return ERR_NOT_FOUND;
    if (verified) {
        /* A PTR record that holds an address would pass for one in from= lists and logs. */
        CLEANUP(sock_addrs_done) struct sock_addrs list = SOCK_ADDRS_INIT;
        if (sock_resolve(name, 0, &(struct sock_resolve){ .numeric = true }, &list, NULL) == 0) return ERR_NOT_FOUND;
        if (!leads_back(name, &a)) return ERR_NOT_FOUND;
    }
    memcpy(ret_name, name, sizeof name);
    return 0;
}

int sock_port_from_name(const char *name, uint16_t *ret_port)
{
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found = NULL;
    if (!*name || getaddrinfo(NULL, name, &hints, &found) != 0) return ERR_NOT_FOUND;
    uint16_t port = ntohs(((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_port);
    freeaddrinfo(found);
    *ret_port = port;
    return 0;
}
