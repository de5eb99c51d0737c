/* Two connections over a socket pair in one loop: data that a full pipe does not take, who waits behind it, and windows that grow.
 */
#include "io/conn_io.h"
#include "key/key.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/random.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    PATIENCE_MS = 10000,
    BULK_BYTES = 3 << 20,
    QUIET_TURNS = 50,
    OVERTAKEN_BYTES = 3 << 20 /* of a transfer, before a byte of another channel: what queue and sockets hold */
};

struct side {
    struct world *world;
    struct wire_io *wire;
    struct conn_io *conn_io;
    channel_id opened[2], accepted[2];
    unsigned n_opened, n_accepted, n_requests;
    size_t n_data; /* bytes of channels that have no descriptors */
    int closed_with;
};

struct world {
    struct loop *loop;
    struct key *host_key;
    struct side client, server;
    struct chan_io *io;
    int pipe_fd; /* the reading end of what the server's first channel writes to */
    unsigned n_ended;
    int ended_with;
};

static int on_transport(void *arg, const struct transport_event *e)
{
    struct side *s = arg;
    struct transport *t = wire_io_transport(s->wire);
    CLEANUP(buf_done) struct buf signature = BUF_INIT(4096);
    switch (e->kind) {
    case TRANSPORT_HOST_KEY:
        return transport_answer_host_key(t, true);
    case TRANSPORT_HOST_KEY_BLOB:
        return transport_answer_host_key_blob(t, key_blob(s->world->host_key));
    case TRANSPORT_SIGN:
        TRY(key_sign(s->world->host_key, e->text, e->data, &signature));
        return transport_answer_sign(t, buf_view(&signature));
    case TRANSPORT_KEYS_CHANGED:
        transport_authenticated(t);
        return 0;
    case TRANSPORT_PACKET:
        return conn_io_packet(s->conn_io, e->data);
    default:
        return 0;
    }
}

static void on_closed(void *arg, int err)
{
    struct side *s = arg;
    s->closed_with = err;
}

static void on_drained(void *arg)
{
    struct side *s = arg;
    conn_io_drained(s->conn_io);
}

static int on_conn(void *arg, const struct conn_event *e)
{
    struct side *s = arg;
    struct conn *conn = conn_io_conn(s->conn_io);
    switch (e->kind) {
    case CONN_OPEN:
        s->accepted[s->n_accepted++] = e->channel;
        return conn_open_accept(conn, e->channel, VIEW_EMPTY);
    case CONN_OPENED:
        s->opened[s->n_opened++] = e->channel;
        return 0;
    case CONN_GLOBAL_REQUEST:
        s->n_requests++;
        return 0;
    case CONN_DATA:
        s->n_data += e->data.len;
        return conn_consumed(conn, e->channel, e->data.len);
    default:
        return 0;
    }
}

static void side_start(struct world *w, struct side *s, enum transport_role role, int fd)
{
    static const struct log quiet;
    const struct transport_config config = {
        .role = role,
        .ident = "SSH-2.0-x",
        .algorithms = { "curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com", "aes128-gcm@openssh.com", "hmac-sha2-256",
                        "hmac-sha2-256", "none", "none" },
        .rnd = &os_random,
        .log = &quiet,
    };
    const struct conn_config conn_config = { .log = &quiet };
    struct transport *t;
    struct conn *conn;
    *s = (struct side){ .world = w };
    assert_int_equal(transport_new(&config, loop_now(w->loop), &t), 0);
    assert_int_equal(wire_io_new(w->loop, fd, fd, t, &(struct wire_io_owner){ on_transport, on_closed, on_drained, s }, &s->wire),
                     0);
    assert_int_equal(conn_new(&conn_config, &conn), 0);
    assert_int_equal(conn_io_new(w->loop, s->wire, conn, &(struct conn_io_owner){ on_conn, s }, &s->conn_io), 0);
}

#define TURN_UNTIL(w, condition)                                \
    do {                                                        \
        ms end_ = clock_now() + PATIENCE_MS;                    \
        while (!(condition)) {                                  \
            assert_int_equal(loop_turn((w)->loop, 1), 0);       \
            if (clock_now() > end_) fail_msg("no " #condition); \
        }                                                       \
    } while (0)

static void open_channel(struct world *w)
{
    channel_id ch;
    unsigned n = w->client.n_opened + 1;
    assert_int_equal(conn_open(conn_io_conn(w->client.conn_io), "x", VIEW_EMPTY, &ch), 0);
    TURN_UNTIL(w, w->client.n_opened == n);
}

static void on_output_ended(void *arg, int err)
{
    struct world *w = arg;
    w->n_ended++;
    w->ended_with = err;
}

/* A channel from the client to a pipe that nobody reads yet. */
static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    int fds[2];
    assert_non_null(w);
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(key_generate(key_type_find(VIEW_LIT("ssh-ed25519")), 0, &w->host_key), 0);
    assert_int_equal(fd_socketpair(fds), 0);
    side_start(w, &w->client, TRANSPORT_CLIENT, fds[0]);
    side_start(w, &w->server, TRANSPORT_SERVER, fds[1]);
    TURN_UNTIL(w, !transport_in_kex(wire_io_transport(w->client.wire)) && !transport_in_kex(wire_io_transport(w->server.wire)));
    open_channel(w);
    assert_int_equal(fd_pipe(fds), 0);
    w->pipe_fd = fds[0];
    assert_int_equal(fd_nonblock(w->pipe_fd, true), 0);
    const struct chan_io_fds out = { -1, -1, fds[1], -1, false };
    const struct chan_io_owner owner = { .output_ended = on_output_ended, .arg = w };
    assert_int_equal(conn_io_join(w->server.conn_io, w->server.accepted[0], &out, &owner, &w->io), 0);
    return w;
}

static void world_free(struct world *w)
{
    struct side *sides[] = { &w->client, &w->server };
    for (int i = 0; i < 2; i++) {
        conn_io_free(sides[i]->conn_io);
        wire_io_free(sides[i]->wire);
    }
    fd_close(w->pipe_fd);
    key_unref(w->host_key);
    loop_free(w->loop);
    free(w);
}

static uint8_t pattern(size_t i) { return (uint8_t)(i * 2654435761U >> 13); }

/* Writes to a channel from position at on, as far as there is room; gives the new position. */
static size_t write_pattern(struct world *w, channel_id ch, size_t at, size_t end)
{
    uint8_t *area;
    size_t room;
    while (at < end) {
        assert_int_equal(conn_write_reserve(conn_io_conn(w->client.conn_io), ch, 0, end - at, &area, &room), 0);
        if (room == 0) break;
        for (size_t i = 0; i < room; i++) area[i] = pattern(at + i);
        assert_int_equal(conn_write_commit(conn_io_conn(w->client.conn_io), ch, room), 0);
        at += room;
    }
    return at;
}

/* Takes what is in the pipe, at most max bytes, and compares it. */
static size_t read_pattern(struct world *w, size_t at, size_t max)
{
    static uint8_t bytes[1 << 20];
    size_t n = 0;
    if (fd_read(w->pipe_fd, bytes, MIN(max, sizeof bytes), &n) < 0) return 0;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != pattern(at + i)) fail_msg("wrong byte at %zu", at + i);
    return n;
}

/* Until the pipe is full and the server knows it. */
static size_t fill_pipe(struct world *w)
{
    size_t sent = 0;
    while (chan_io_is_drained(w->io)) {
        sent = write_pattern(w, w->client.opened[0], sent, BULK_BYTES);
        assert_int_equal(loop_turn(w->loop, 1), 0);
    }
    return sent;
}

/* However slowly it is read, and in whatever pieces. */
static void test_everything_arrives(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1 << 20, 5000, 200 * 1000 };
    for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
        struct world *w = world_new();
        size_t sent = 0, got = 0;
        unsigned turns = 0;
        while (got < BULK_BYTES) {
            sent = write_pattern(w, w->client.opened[0], sent, BULK_BYTES);
            assert_int_equal(loop_turn(w->loop, 1), 0);
            if (turns++ < QUIET_TURNS && sent < BULK_BYTES) continue;
            got += read_pattern(w, got, pieces[k]);
        }
        TURN_UNTIL(w, chan_io_is_drained(w->io));
        assert_int_equal(got, BULK_BYTES);
        world_free(w);
    }
}

/* What stands behind data that nobody takes is seen after a moment. */
static void test_reader_that_does_nothing_stops_nobody(void **state)
{
    (void)state;
    struct world *w = world_new();
    size_t sent = fill_pipe(w), got = 0;
    assert_int_equal(conn_global_request(conn_io_conn(w->client.conn_io), "x", false, 0, VIEW_EMPTY), 0);
    TURN_UNTIL(w, w->server.n_requests == 1);
    while (got < sent) {
        assert_int_equal(loop_turn(w->loop, 1), 0);
        got += read_pattern(w, got, SIZE_MAX);
    }
    world_free(w);
}

/* With another channel it is seen at once: what the first cannot write is copied, so that all of a window leaves the wire. */
static void test_other_channels_do_not_wait(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct channel_info info;
    open_channel(w);
    size_t sent = 0;
    for (size_t last = SIZE_MAX; sent != last || transport_output(wire_io_transport(w->client.wire)).len;) {
        last = sent;
        sent = write_pattern(w, w->client.opened[0], sent, BULK_BYTES);
        assert_int_equal(loop_turn(w->loop, 0), 0);
    }
    write_pattern(w, w->client.opened[1], 0, 100);
    for (int i = 0; i < 3; i++) assert_int_equal(loop_turn(w->loop, 0), 0);
    assert_int_equal(w->server.n_data, 100);
    assert_int_equal(conn_channel_info(conn_io_conn(w->server.conn_io), w->server.accepted[0], &info), 0);
    assert_int_equal(info.bytes_in, sent);
    world_free(w);
}

static void test_reader_that_leaves(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct channel_info info;
    fill_pipe(w);
    fd_close(w->pipe_fd);
    w->pipe_fd = -1;
    TURN_UNTIL(w, w->n_ended == 1);
    assert_true(err_errno(w->ended_with) == EPIPE);
    /* what still comes is dropped, and the window stays open for it */
    size_t more = write_pattern(w, w->client.opened[0], 0, BULK_BYTES);
    while (more < BULK_BYTES) {
        assert_int_equal(loop_turn(w->loop, 1), 0);
        more = write_pattern(w, w->client.opened[0], more, BULK_BYTES);
    }
    assert_int_equal(conn_channel_info(conn_io_conn(w->server.conn_io), w->server.accepted[0], &info), 0);
    world_free(w);
}

/* The channel loses its descriptors while a packet's bytes are still in use. */
static void test_detached_while_full(void **state)
{
    (void)state;
    struct world *w = world_new();
    fill_pipe(w);
    conn_io_detach(w->server.conn_io, w->server.accepted[0]);
    assert_int_equal(conn_global_request(conn_io_conn(w->client.conn_io), "x", false, 0, VIEW_EMPTY), 0);
    TURN_UNTIL(w, w->server.n_requests == 1);
    world_free(w);
}

/* The client uses up its window and hears of no more, while everything was taken: the path, not the reader, is slow. */
static void test_window_grows_for_a_long_path(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct channel_info info;
    struct conn *server = conn_io_conn(w->server.conn_io);
    size_t sent = 0, got = 0;
    assert_int_equal(conn_channel_info(server, w->server.accepted[0], &info), 0);
    size_t size = info.window_in_max;
    wire_io_hold(w->client.wire, true);
    TURN_UNTIL(w, ({
                   sent = write_pattern(w, w->client.opened[0], sent, SIZE_MAX);
                   got += read_pattern(w, got, SIZE_MAX);
                   assert_int_equal(conn_channel_info(server, w->server.accepted[0], &info), 0);
                   info.window_in_max > size;
               }));
    assert_int_equal(sent, info.bytes_in);
    world_free(w);
}

/* The same, but the reader is what is slow. */
static void test_window_does_not_grow_for_a_slow_reader(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct channel_info info;
    struct conn *server = conn_io_conn(w->server.conn_io);
    size_t sent = 0, got = 0;
    for (int i = 0; i < 4 * QUIET_TURNS; i++) {
        sent = write_pattern(w, w->client.opened[0], sent, SIZE_MAX);
        assert_int_equal(loop_turn(w->loop, 1), 0);
        got += read_pattern(w, got, 50 * 1000);
    }
    assert_int_equal(conn_channel_info(server, w->server.accepted[0], &info), 0);
    assert_int_equal(info.window_in_max, LIMIT_WINDOW_START_BYTES);
    world_free(w);
}

/* An endless transfer in one channel, which meets a full socket again and again, and a few bytes in the other. */
static void test_bulk_does_not_starve_a_shell(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct chan_io *bulk, *shell;
    struct chan_io_fds zero = { -1, -1, -1, -1, false }, typed = zero;
    const struct chan_io_owner owner = { .arg = w };
    int fds[2];
    open_channel(w);
    conn_io_detach(w->server.conn_io, w->server.accepted[0]);
    assert_int_equal(fd_pipe(fds), 0);
    typed.in = fds[0];
    zero.in = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_int_equal(conn_io_join(w->client.conn_io, w->client.opened[0], &zero, &owner, &bulk), 0);
    assert_int_equal(conn_io_join(w->client.conn_io, w->client.opened[1], &typed, &owner, &shell), 0);
    for (int i = 0; i < 20; i++) {
        struct channel_info before, after;
        conn_io_wake(w->client.conn_io);
        assert_int_equal(loop_turn(w->loop, 0), 0);
        assert_int_equal(conn_channel_info(conn_io_conn(w->server.conn_io), w->server.accepted[0], &before), 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        TURN_UNTIL(w, ({
                       assert_int_equal(conn_channel_info(conn_io_conn(w->server.conn_io), w->server.accepted[1], &after), 0);
                       after.bytes_in == (uint64_t)i + 1;
                   }));
        assert_int_equal(conn_channel_info(conn_io_conn(w->server.conn_io), w->server.accepted[0], &after), 0);
        if (after.bytes_in - before.bytes_in > OVERTAKEN_BYTES) fail_msg("%lu bytes first", after.bytes_in - before.bytes_in);
    }
    fd_close(fds[1]);
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_arrives),
        cmocka_unit_test(test_reader_that_does_nothing_stops_nobody),
        cmocka_unit_test(test_other_channels_do_not_wait),
        cmocka_unit_test(test_reader_that_leaves),
        cmocka_unit_test(test_detached_while_full),
        cmocka_unit_test(test_window_grows_for_a_long_path),
        cmocka_unit_test(test_window_does_not_grow_for_a_slow_reader),
        cmocka_unit_test(test_bulk_does_not_starve_a_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
