/* Identification strings, both roles, whole and byte for byte. */
#include "proto/transport/transport_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct row {
    const char *input;
    int err;           /* 0: accepted */
    const char *ident; /* what is accepted */
    unsigned n_lines;
    const char *said; /* plain text that the engine answers */
};

static const struct row server_rows[] = {
    { "SSH-2.0-x\r\n", 0, "SSH-2.0-x", 0, NULL },
    { "SSH-2.0-x\n", 0, "SSH-2.0-x", 0, NULL },
    { "SSH-1.99-x y z\r\n", 0, "SSH-1.99-x y z", 0, NULL },
    { "SSH-2.0-x-y \r\n", 0, "SSH-2.0-x-y ", 0, NULL },
    { "SSH-1.5-x\r\n", ERR_IDENT_VERSION, NULL, 0, "Protocol major versions differ.\r\n" },
    { "SSH-3.0-x\r\n", ERR_IDENT_VERSION, NULL, 0, "Protocol major versions differ.\r\n" },
    { "SSH-2.0-\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "SSH-2.0\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "SSH-2-x\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "SSH-x.0-x\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "SSH-99999.0-x\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "SSH-2.0-x\ry\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "SSH-2.0-x\r\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "GET / HTTP/1.0\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
    { "hello\r\nSSH-2.0-x\r\n", ERR_IDENT_INVALID, NULL, 0, "Invalid SSH identification string.\r\n" },
};

static const struct row client_rows[] = {
    { "SSH-2.0-x\r\n", 0, "SSH-2.0-x", 0, NULL },
    { "hello\r\n\nSSH\nSSH-2.0-x\r\n", 0, "SSH-2.0-x", 3, NULL },
    { "SSH-1.99-x\n", 0, "SSH-1.99-x", 0, NULL },
    { "SSH-1.5-x\n", ERR_IDENT_VERSION, NULL, 0, "Protocol major versions differ.\r\n" },
    { "SSH-2.0\n", ERR_IDENT_INVALID, NULL, 0, NULL },
};

static void engine(struct end *e, enum transport_role role)
{
    struct transport_config c = { .role = role, .ident = "SSH-2.0-me", .algorithms = pair_algorithms };
    end_init(e, NULL, 1);
    c.rnd = &e->rnd;
    assert_int_equal(transport_new(&c, 0, &e->t), 0);
    struct view out = transport_output(e->t);
    assert_true(view_has_prefix(out, "SSH-2.0-me\r\n"));
    transport_sent(e->t, out.len);
}

static void feed_all(struct end *e, struct view v, size_t chunk)
{
    while (v.len && !e->err) {
        size_t n = end_feed(e, view_sub(v, 0, chunk), 0);
        v = view_sub(v, n, v.len);
    }
}

static void check(enum transport_role role, const struct row *row, size_t chunk)
{
    struct end e;
    engine(&e, role);
    feed_all(&e, view_str(row->input), chunk);
    assert_int_equal(e.err, row->err);
    assert_int_equal(e.n_lines, row->n_lines);
    assert_int_equal(e.n_ident, row->err == 0);
    if (row->ident) assert_true(view_eq_str(transport_peer_ident(e.t), row->ident));
    assert_true(view_eq_str(transport_output(e.t), row->said ? row->said : ""));
    end_done(&e);
}

static void test_server(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(server_rows); i++)
        for (size_t chunk = 1; chunk < 40; chunk++) check(TRANSPORT_SERVER, &server_rows[i], chunk);
}

static void test_client(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(client_rows); i++)
        for (size_t chunk = 1; chunk < 40; chunk++) check(TRANSPORT_CLIENT, &client_rows[i], chunk);
}

static void test_nul(UNUSED void **state)
{
    struct end e;
    engine(&e, TRANSPORT_SERVER);
    feed_all(&e, VIEW_LIT("SSH-2.0-a\0b\r\n"), 100);
    assert_int_equal(e.err, ERR_IDENT_INVALID);
    end_done(&e);
}

/* Input of n times c, after a start. */
static int endless(enum transport_role role, const char *start, char c, size_t n, const char *end)
{
    struct end e;
    char *text = malloc(n);
    engine(&e, role);
    memset(text, c, n);
    feed_all(&e, view_str(start), 1000);
    feed_all(&e, view_of(text, n), 1000);
    feed_all(&e, view_str(end), 1000);
    int err = e.err;
    free(text);
    end_done(&e);
    return err;
}

static void test_endless(UNUSED void **state)
{
    assert_int_equal(endless(TRANSPORT_SERVER, "SSH-2.0-", 'x', 255 - 8 - 2, "\r\n"), 0);
    assert_int_equal(endless(TRANSPORT_SERVER, "SSH-2.0-", 'x', 255 - 8 - 1, "\r\n"), ERR_IDENT_ENDLESS);
    assert_int_equal(endless(TRANSPORT_SERVER, "SSH-2.0-", 'x', 255 - 8, ""), ERR_IDENT_ENDLESS);
    assert_int_equal(endless(TRANSPORT_SERVER, "", 'x', 254, ""), 0);
    assert_int_equal(endless(TRANSPORT_SERVER, "", 'x', 255, ""), ERR_IDENT_INVALID);
    assert_int_equal(endless(TRANSPORT_CLIENT, "", 'x', LIMIT_IDENT_LINE_BYTES - 1, "\nSSH-2.0-x\n"), 0);
    assert_int_equal(endless(TRANSPORT_CLIENT, "", 'x', LIMIT_IDENT_LINE_BYTES, ""), ERR_IDENT_ENDLESS);
    assert_int_equal(endless(TRANSPORT_CLIENT, "", '\n', LIMIT_IDENT_LINES, "SSH-2.0-x\n"), 0);
    assert_int_equal(endless(TRANSPORT_CLIENT, "", '\n', LIMIT_IDENT_LINES + 1, ""), ERR_IDENT_ENDLESS);
}

static void test_eof(UNUSED void **state)
{
    struct end e;
    engine(&e, TRANSPORT_CLIENT);
    feed_all(&e, VIEW_LIT("SSH-2.0"), 100);
    transport_input_eof(e.t);
    end_events(&e, 0);
    assert_int_equal(e.err, ERR_PEER_CLOSED);
    assert_int_equal(transport_output(e.t).len, 0);
    end_done(&e);
}

static void test_own_too_long(UNUSED void **state)
{
    struct end e;
    char ident[300];
    memset(ident, 'x', sizeof ident);
    ident[254] = 0;
    struct transport_config c = { .role = TRANSPORT_CLIENT, .ident = ident, .algorithms = pair_algorithms };
    end_init(&e, NULL, 1);
    c.rnd = &e.rnd;
    assert_int_equal(transport_new(&c, 0, &e.t), ERR_LIMIT);
    end_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server),  cmocka_unit_test(test_client), cmocka_unit_test(test_nul),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_eof),    cmocka_unit_test(test_own_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
