#include "proto/socks/socks.h"

#include "key/test_util.h"

#define BYTES(text) ((struct view){ (const uint8_t *)(text), sizeof(text) - 1 })

struct dialogue {
    const char *what;
    struct view in;
    int result;
    struct view replies; /* all of them, one behind the other */
    const char *host;    /* on 1 */
    uint16_t port;
};

static const char long_name[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static const struct dialogue table[] = {
    { "4", BYTES("\4\1\0\120\177\0\0\1me\0"), 1, BYTES(""), "127.0.0.1", 80 },
    { "4 without a user", BYTES("\4\1\1\273\300\250\0\1\0"), 1, BYTES(""), "192.168.0.1", 443 },
    { "4a", BYTES("\4\1\0\26\0\0\0\1me\0host.example\0"), 1, BYTES(""), "host.example", 22 },
    { "0.0.0.0 is no 4a", BYTES("\4\1\0\26\0\0\0\0\0"), 1, BYTES(""), "0.0.0.0", 22 },
    { "4 bind", BYTES("\4\2\0\26\177\0\0\1\0"), ERR_DENIED, BYTES("\0\133\0\0\0\0\0\0"), NULL, 0 },
    { "4a with an empty name", BYTES("\4\1\0\26\0\0\0\1\0\0"), ERR_DENIED, BYTES("\0\133\0\0\0\0\0\0"), NULL, 0 },
    { "5, IPv4", BYTES("\5\1\0\5\1\0\1\12\0\0\1\37\220"), 1, BYTES("\5\0"), "10.0.0.1", 8080 },
    { "5, name", BYTES("\5\3\1\2\0\5\1\0\3\4host\0\120"), 1, BYTES("\5\0"), "host", 80 },
    { "5, IPv6", BYTES("\5\1\0\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\120"), 1, BYTES("\5\0"), "::1", 80 },
    { "5, only a password", BYTES("\5\1\2"), ERR_DENIED, BYTES("\5\377"), NULL, 0 },
    { "5, no method", BYTES("\5\0"), ERR_DENIED, BYTES("\5\377"), NULL, 0 },
    { "5, bind", BYTES("\5\1\0\5\2\0\1\12"), ERR_DENIED, BYTES("\5\0\5\7\0\1\0\0\0\0\0\0"), NULL, 0 },
    { "5, udp", BYTES("\5\1\0\5\3\0\1\12"), ERR_DENIED, BYTES("\5\0\5\7\0\1\0\0\0\0\0\0"), NULL, 0 },
    { "5, unknown kind of address", BYTES("\5\1\0\5\1\0\2\12"), ERR_DENIED, BYTES("\5\0\5\10\0\1\0\0\0\0\0\0"), NULL, 0 },
    { "5, kind of address 255", BYTES("\5\1\0\5\1\0\377\12"), ERR_DENIED, BYTES("\5\0\5\10\0\1\0\0\0\0\0\0"), NULL, 0 },
    { "5, empty name", BYTES("\5\1\0\5\1\0\3\0\0\120"), ERR_DENIED, BYTES("\5\0\5\1\0\1\0\0\0\0\0\0"), NULL, 0 },
    { "5, NUL in the name", BYTES("\5\1\0\5\1\0\3\3a\0b\0\120"), ERR_DENIED, BYTES("\5\0\5\1\0\1\0\0\0\0\0\0"), NULL, 0 },
    { "5, another version behind", BYTES("\5\1\0\4\1\0\1\12"), ERR_FORMAT, BYTES("\5\0"), NULL, 0 },
    { "HTTP", BYTES("GET / HTTP/1.0\r\n"), ERR_FORMAT, BYTES(""), NULL, 0 },
};

/* In pieces of so many bytes, with bytes behind that belong to what is carried. */
static void play(const struct dialogue *d, size_t piece)
{
    struct socks s;
    CLEANUP(buf_done) struct buf in = BUF_INIT(4096), replies = BUF_INIT(4096);
    size_t at = 0, used = 0;
    int got = 0;
    assert_ok(buf_put_view(&in, d->in));
    assert_ok(buf_put_str(&in, "payload"));
    socks_init(&s);
    while (got == 0 && at < buf_len(&in)) {
        got = socks_feed(&s, view_sub(buf_view(&in), at, piece), &used);
        at += used;
        assert_ok(buf_put_view(&replies, socks_reply(&s)));
    }
    assert_int_equal(got, d->result);
    assert_true(view_eq(buf_view(&replies), d->replies));
    assert_int_equal(socks_feed(&s, view_str("x"), &used), ERR_STATE);
    if (got != 1) return;
    assert_int_equal(at, d->in.len);
    assert_string_equal(s.host, d->host);
    assert_int_equal(s.port, d->port);
}

static void dialogues(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        for (size_t piece = 1; piece < 32; piece++) play(&table[i], piece);
}

static void nothing_is_said_before_the_end(UNUSED void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct socks s;
        size_t used;
        if (table[i].result != 1) continue;
        for (size_t cut = 0; cut < table[i].in.len; cut++) {
            socks_init(&s);
            assert_int_equal(socks_feed(&s, view_sub(table[i].in, 0, cut), &used), 0);
            assert_int_equal(used, cut);
        }
    }
}

static int feed_text(const char *head, size_t head_len, size_t text_len, const char *tail, size_t tail_len)
{
    CLEANUP(buf_done) struct buf in = BUF_INIT(4096);
    struct socks s;
    size_t used;
    assert_ok(buf_put(&in, head, head_len));
    for (size_t i = 0; i < text_len; i++) assert_ok(buf_put_u8(&in, 'a'));
    assert_ok(buf_put(&in, tail, tail_len));
    socks_init(&s);
    int got = socks_feed(&s, buf_view(&in), &used);
    if (got == 1 && !strchr(s.host, '.')) assert_string_equal(s.host, long_name);
    return got;
}

static void texts_have_an_end(UNUSED void **state)
{
    static const char v4[] = "\4\1\0\26\1\2\3\4", v4a[] = "\4\1\0\26\0\0\0\1u";
    assert_int_equal(feed_text(v4, 8, 255, "\0", 1), 1);
    assert_int_equal(feed_text(v4, 8, 256, "\0", 1), ERR_DENIED);
    assert_int_equal(feed_text(v4, 8, 3000, "", 0), ERR_DENIED);
    assert_int_equal(feed_text(v4a, 10, 255, "\0", 1), 1);
    assert_int_equal(feed_text(v4a, 10, 256, "\0", 1), ERR_DENIED);
    assert_int_equal(feed_text(v4a, 10, 3000, "", 0), ERR_DENIED);
    assert_int_equal(feed_text("\5\1\0\5\1\0\3\377", 8, 255, "\0\26", 2), 1);
}

static void the_outcome_is_told(UNUSED void **state)
{
    struct socks s;
    size_t used;
    socks_init(&s);
    assert_int_equal(socks_feed(&s, BYTES("\4\1\0\26\1\2\3\4\0"), &used), 1);
    socks_answer(&s, SOCKS_CONNECTED);
    assert_true(view_eq(socks_reply(&s), BYTES("\0\132\0\0\0\0\0\0")));
    assert_int_equal(socks_reply(&s).len, 0);
    socks_answer(&s, SOCKS_REFUSED);
    assert_true(view_eq(socks_reply(&s), BYTES("\0\133\0\0\0\0\0\0")));
    socks_init(&s);
    assert_int_equal(socks_feed(&s, BYTES("\5\1\0"), &used), 0);
    assert_int_equal(socks_reply(&s).len, 2);
    assert_int_equal(socks_feed(&s, BYTES("\5\1\0\1\1\2\3\4\0\26"), &used), 1);
    socks_answer(&s, SOCKS_CONNECTED);
    assert_true(view_eq(socks_reply(&s), BYTES("\5\0\0\1\0\0\0\0\0\0")));
    socks_answer(&s, SOCKS_REFUSED);
    assert_true(view_eq(socks_reply(&s), BYTES("\5\5\0\1\0\0\0\0\0\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(dialogues), cmocka_unit_test(nothing_is_said_before_the_end),
                                        cmocka_unit_test(texts_have_an_end), cmocka_unit_test(the_outcome_is_told) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
