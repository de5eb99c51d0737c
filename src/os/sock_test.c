/* Tests of os/sock over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/fd.h"
#include "os/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sock_addr numeric(const char *host, uint16_t port)
{
    CLEANUP(sock_addrs_done) struct sock_addrs list = SOCK_ADDRS_INIT;
    assert_int_equal(sock_resolve(host, port, &(struct sock_resolve){ .numeric = true }, &list, NULL), 0);
    assert_int_equal(list.n, 1);
    return list.v[0];
}

static int int_option(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof v;
    assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
    return v;
}

static void connected_pair(const char *host, int *ret_client, int *ret_server, uint16_t *ret_port)
{
    CLEANUP(fd_closep) int listener = -1;
    struct sock_addr on = numeric(host, 0), peer;
    assert_int_equal(sock_listen(&on, NULL, &listener), 0);
    assert_int_equal(sock_accept(listener, NULL, ret_server), ERR_AGAIN);
    assert_int_equal(sock_local_addr(listener, &on), 0);
    *ret_port = sock_addr_port(&on);
    assert_int_equal(sock_connect(&on, &(struct sock_connect){ .tos = 0x48, .keepalive = true, .timeout_ms = 2000 }, ret_client),
                     0);
    assert_int_equal(fd_wait(listener, false, 1000), 0);
    assert_int_equal(sock_accept(listener, &peer, ret_server), 0);
    assert_true(sock_addr_same_host(&peer, &on));
}

static void test_connect_and_accept(UNUSED void **state)
{
    int client, server;
    uint16_t port;
    struct sock_text text;
    connected_pair("127.0.0.1", &client, &server, &port);
    sock_peer_text(client, &text);
    assert_string_equal(text.host, "127.0.0.1");
    assert_int_equal(text.port, port);
    struct sock_text mine, theirs;
    sock_local_text(client, &mine);
    sock_peer_text(server, &theirs);
    assert_string_equal(mine.host, theirs.host);
    assert_int_equal(mine.port, theirs.port);
    assert_true(sock_is_inet(client));
    assert_int_equal(int_option(client, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(int_option(server, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(int_option(client, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(int_option(client, IPPROTO_IP, IP_TOS), 0x48);
    sock_tos(client, 0x10);
    assert_int_equal(int_option(client, IPPROTO_IP, IP_TOS), 0x10);
    sock_tos(client, -1);
    assert_int_equal(int_option(client, IPPROTO_IP, IP_TOS), 0x10);
    assert_int_equal(fd_write_all(client, VIEW_LIT("hi")), 0);
    char buf[2];
    assert_int_equal(fd_read_all(server, buf, 2), 0);
    assert_int_equal(sock_shutdown(client, false, true), 0);
    assert_int_equal(fd_read_all(server, buf, 1), ERR_PEER_CLOSED);
    fd_close(client);
    fd_close(server);
}

static void test_ipv6(UNUSED void **state)
{
    CLEANUP(fd_closep) int probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sock_addr loopback = numeric("::1", 0);
    if (probe < 0 || bind(probe, &loopback.sa, loopback.len) < 0) skip();
    int client, server;
    uint16_t port;
    struct sock_text text;
    connected_pair("::1", &client, &server, &port);
    sock_peer_text(client, &text);
    assert_string_equal(text.host, "::1");
    assert_int_equal(int_option(client, IPPROTO_IPV6, IPV6_TCLASS), 0x48);
    fd_close(client);
    fd_close(server);
    /* V6ONLY: both wildcards on one port. */
    CLEANUP(fd_closep) int a = -1;
    CLEANUP(fd_closep) int b = -1;
    struct sock_addr v6 = numeric("::", 0), v4 = numeric("0.0.0.0", 0);
    assert_int_equal(sock_listen(&v6, NULL, &a), 0);
    assert_int_equal(sock_local_addr(a, &v6), 0);
    sock_addr_set_port(&v4, sock_addr_port(&v6));
    assert_int_equal(sock_listen(&v4, NULL, &b), 0);
}

static void test_refused_and_started(UNUSED void **state)
{
    CLEANUP(fd_closep) int listener = -1;
    struct sock_addr on = numeric("127.0.0.1", 0);
    struct sock_connect how = { .tos = -1 };
    int fd = -1;
    assert_int_equal(sock_listen(&on, NULL, &listener), 0);
    assert_int_equal(sock_local_addr(listener, &on), 0);
    int err = sock_connect_start(&on, &how, &fd);
    assert_true(err == 0 || err == ERR_AGAIN);
    assert_int_equal(fd_wait(fd, true, 1000), 0);
    assert_int_equal(sock_connect_result(fd), 0);
    fd_close(fd);
    fd_close(listener);
    listener = -1;
    fd = -7;
    assert_int_equal(sock_connect(&on, &how, &fd), ERR_SYS(ECONNREFUSED));
    assert_int_equal(fd, -7);
    how.bind_address = "127.0.0.2";
    assert_int_equal(sock_listen(&on, NULL, &listener), 0);
    assert_int_equal(sock_connect(&on, &how, &fd), 0);
    struct sock_text me;
    sock_local_text(fd, &me);
    assert_string_equal(me.host, "127.0.0.2");
    fd_close(fd);
    how = (struct sock_connect){ .tos = -1, .bind_interface = "lo" };
    assert_int_equal(sock_connect(&on, &how, &fd), 0);
    fd_close(fd);
    how.bind_interface = "no-such-0";
    assert_int_equal(sock_connect(&on, &how, &fd), ERR_NOT_FOUND);
}

static void test_connect_timeout(UNUSED void **state)
{
    /* A listener that never accepts: when its queue is full, the handshake hangs. */
    CLEANUP(fd_closep) int listener = -1;
    struct sock_addr on = numeric("127.0.0.1", 0);
    assert_int_equal(sock_listen(&on, &(struct sock_listen){ .backlog = 1 }, &listener), 0);
    assert_int_equal(sock_local_addr(listener, &on), 0);
    int fds[8], n = 0, err = 0;
    struct sock_connect how = { .tos = -1, .timeout_ms = 50 };
    ms before = clock_now();
    while (n < 8 && (err = sock_connect(&on, &how, &fds[n])) == 0) n++;
    assert_int_equal(err, ERR_TIMEOUT);
    assert_true(clock_now() - before < 5000);
    while (n-- > 0) fd_close(fds[n]);
}

static void test_resolve(UNUSED void **state)
{
    CLEANUP(sock_addrs_done) struct sock_addrs list = SOCK_ADDRS_INIT;
    const char *why = NULL;
    /* An address: a bare machine may not know any name, not even localhost. */
    assert_int_equal(sock_resolve("127.0.0.1", 22, &(struct sock_resolve){ .family = AF_INET }, &list, NULL), 0);
    assert_true(list.n >= 1);
    assert_int_equal(list.v[0].sa.sa_family, AF_INET);
    assert_int_equal(sock_addr_port(&list.v[0]), 22);
    sock_addrs_done(&list);
    assert_int_equal(sock_resolve("localhost", 22, &(struct sock_resolve){ .numeric = true }, &list, &why), ERR_NOT_FOUND);
    assert_non_null(why);
    assert_int_equal(list.n, 0);
    assert_int_equal(sock_resolve(NULL, 22, &(struct sock_resolve){ .passive = true, .family = AF_INET }, &list, NULL), 0);
    assert_int_equal(list.v[0].in.sin_addr.s_addr, INADDR_ANY);
    uint16_t port;
    assert_int_equal(sock_port_from_name("2222", &port), 0);
    assert_int_equal(port, 2222);
    assert_int_equal(sock_port_from_name("no-such-service", &port), ERR_NOT_FOUND);
    assert_int_equal(sock_port_from_name("", &port), ERR_NOT_FOUND);
    char name[SOCK_HOST_BYTES];
    struct sock_addr nobody = numeric("192.0.2.1", 0);
    assert_int_equal(sock_reverse(&nobody, true, name), ERR_NOT_FOUND);
    assert_int_equal(sock_host_name(name), 0);
    assert_true(*name);
}

static void test_address_text(UNUSED void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = { { "192.0.2.7", "192.0.2.7" }, { "::ffff:192.0.2.7", "192.0.2.7" }, { "2001:DB8::1", "2001:db8::1" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sock_text text;
        struct sock_addr a = numeric(rows[i].in, 80);
        sock_addr_text(&a, &text);
        assert_string_equal(text.host, rows[i].out);
        assert_int_equal(text.port, 80);
    }
    struct sock_addr a = numeric("192.0.2.7", 1), b = numeric("::ffff:192.0.2.7", 2), c = numeric("192.0.2.8", 1);
    assert_true(sock_addr_same_host(&a, &b));
    assert_false(sock_addr_same_host(&a, &c));
}

static void test_not_a_socket(UNUSED void **state)
{
    int p[2], s[2];
    struct sock_text text;
    assert_int_equal(fd_pipe(p), 0);
    sock_peer_text(p[0], &text);
    assert_string_equal(text.host, "UNKNOWN");
    assert_int_equal(text.port, 65535);
    assert_int_equal(fd_socketpair(s), 0);
    sock_local_text(s[0], &text);
    assert_string_equal(text.host, "UNKNOWN");
    assert_int_equal(text.port, 65535);
    assert_false(sock_is_inet(s[0]));
    uid_t uid = 77;
    assert_int_equal(sock_peer_uid(s[0], &uid), 0);
    assert_int_equal(uid, geteuid());
    assert_int_equal(sock_peer_uid(p[0], &uid), ERR_SYS(ENOTSOCK));
    sock_nodelay(p[0], true);
    sock_tos(s[0], 8);
    int all[] = { p[0], p[1], s[0], s[1] };
    for (size_t i = 0; i < 4; i++) fd_close(all[i]);
}

static void test_unix(UNUSED void **state)
{
    char dir[] = "/tmp/sock_test.XXXXXX", path[64], longer[200];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    CLEANUP(fd_closep) int listener = -1;
    CLEANUP(fd_closep) int client = -1;
    CLEANUP(fd_closep) int server = -1;
    struct stat st;
    assert_int_equal(sock_connect_unix(path, &client), ERR_SYS(ENOENT));
    assert_int_equal(sock_connect_unix(longer, &client), ERR_LIMIT);
    assert_int_equal(sock_listen_unix(path, 0177, false, 0, &listener), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(sock_connect_unix(path, &client), 0);
    assert_int_equal(sock_accept(listener, NULL, &server), 0);
    int other = -1;
    assert_int_equal(sock_listen_unix(path, 0177, false, 0, &other), ERR_SYS(EADDRINUSE));
    assert_int_equal(other, -1);
    assert_int_equal(sock_listen_unix(path, 0077, true, 0, &other), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    fd_close(other);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_and_accept), cmocka_unit_test(test_ipv6),    cmocka_unit_test(test_refused_and_started),
        cmocka_unit_test(test_connect_timeout),    cmocka_unit_test(test_resolve), cmocka_unit_test(test_address_text),
        cmocka_unit_test(test_not_a_socket),       cmocka_unit_test(test_unix),
    };
    return cmocka_run_group_tests_name("os/sock", tests, NULL, NULL);
}
