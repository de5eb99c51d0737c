/* Each state looks at the bytes of its step after every byte that came: a request has at most SOCKS_REQUEST_BYTES of them, and
 * nothing behind it is touched. */
#include "proto/socks/socks.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
    V4_HEAD_BYTES = 8, /* version, command, port, address */
    V5_HEAD_BYTES = 5, /* version, command, reserved, kind of address, its first byte */
    V5_METHODS_AT = 2,
    V5_ADDRESS_AT = 4,
    COMMAND_CONNECT = 1,
    METHOD_NONE = 0,
    NO_METHOD = 0xff,
    V4_GRANTED = 90,
    V4_REJECTED = 91
};
enum {
    ADDRESS_IPV4 = 1,
    ADDRESS_NAME = 3,
    ADDRESS_IPV6 = 4
};

void socks_init(struct socks *s) { *s = (struct socks){ .state = SOCKS_VERSION }; }

struct view socks_reply(struct socks *s)
{
    struct view reply = view_of(s->reply, s->reply_len);
    s->reply_len = 0;
    return reply;
}

void socks_answer(struct socks *s, enum socks_outcome outcome)
{
    /* Addresses of the far end are not told. */
    const uint8_t v5[10] = { 5, (uint8_t)outcome, 0, ADDRESS_IPV4 };
    const uint8_t v4[8] = { 0, outcome == SOCKS_CONNECTED ? V4_GRANTED : V4_REJECTED };
    bool is_v5 = s->version == 5;
    size_t len = is_v5 ? sizeof v5 : sizeof v4;
    if (s->reply_len + len > sizeof s->reply) return;
    memcpy(s->reply + s->reply_len, is_v5 ? v5 : v4, len);
    s->reply_len += len;
}

static int refuse(struct socks *s, enum socks_outcome outcome)
{
    socks_answer(s, outcome);
    return ERR_DENIED;
}

static int go_to(struct socks *s, enum socks_state next)
{
    s->state = next;
    s->mark = s->n;
    return next == SOCKS_DONE ? 1 : 0;
}

static uint16_t port_at(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static void set_ipv4(struct socks *s, const uint8_t *a) { (void)inet_ntop(AF_INET, a, s->host, sizeof s->host); }

/* Empty names and those with a NUL mean nothing, or another host than they say. */
static bool set_name(struct socks *s, const uint8_t *p, size_t len)
{
    if (len == 0 || len > SOCKS_TEXT_BYTES || memchr(p, 0, len)) return false;
    memcpy(s->host, p, len);
    s->host[len] = 0;
    return true;
}

static int on_version(struct socks *s)
{
    s->version = s->got[0];
    if (s->version == 4) return go_to(s, SOCKS_V4_HEAD);
    return s->version == 5 ? go_to(s, SOCKS_V5_METHODS) : ERR_FORMAT;
}

/* ---- 4 and 4a ---- */

static int on_v4_head(struct socks *s)
{
    if (s->n < V4_HEAD_BYTES) return 0;
    if (s->got[1] != COMMAND_CONNECT) return refuse(s, SOCKS_NO_SUCH_COMMAND);
    s->port = port_at(s->got + 2);
    return go_to(s, SOCKS_V4_USER);
}

/* 1: the text from mark ended with this byte. */
static int text_ends(struct socks *s)
{
    if (s->got[s->n - 1] == 0) return 1;
    return s->n - s->mark > SOCKS_TEXT_BYTES ? refuse(s, SOCKS_FAILED) : 0;
}

static int on_v4_user(struct socks *s)
{
    const uint8_t *a = s->got + 4;
    int ends = text_ends(s);
    if (ends <= 0) return ends;
    if (a[0] == 0 && a[1] == 0 && a[2] == 0 && a[3] != 0) return go_to(s, SOCKS_V4_HOST);
    set_ipv4(s, a);
    return go_to(s, SOCKS_DONE);
}

static int on_v4_host(struct socks *s)
{
    int ends = text_ends(s);
    if (ends <= 0) return ends;
    return set_name(s, s->got + s->mark, s->n - s->mark - 1) ? go_to(s, SOCKS_DONE) : refuse(s, SOCKS_FAILED);
}

/* ---- 5 ---- */

static int on_v5_methods(struct socks *s)
{
    if (s->n < V5_METHODS_AT || s->n < V5_METHODS_AT + (size_t)s->got[1]) return 0;
    bool is_offered = s->got[1] && memchr(s->got + V5_METHODS_AT, METHOD_NONE, s->got[1]);
    s->reply[0] = 5;
    s->reply[1] = is_offered ? METHOD_NONE : NO_METHOD;
    s->reply_len = 2;
    s->n = 0;
    return is_offered ? go_to(s, SOCKS_V5_HEAD) : ERR_DENIED;
}

static int on_v5_head(struct socks *s)
{
    static const uint8_t address_bytes[] = { [ADDRESS_IPV4] = 4, [ADDRESS_IPV6] = 16 };
    if (s->n < V5_HEAD_BYTES) return 0;
    uint8_t kind = s->got[3];
    if (s->got[0] != 5) return ERR_FORMAT;
    if (s->got[1] != COMMAND_CONNECT) return refuse(s, SOCKS_NO_SUCH_COMMAND);
    size_t len = kind == ADDRESS_NAME ? 1 + (size_t)s->got[4] : kind < sizeof address_bytes ? address_bytes[kind] : 0;
    if (len == 0) return refuse(s, SOCKS_NO_SUCH_ADDRESS);
    (void)go_to(s, SOCKS_V5_ADDRESS);
    s->mark = V5_ADDRESS_AT + len; /* where the port stands */
    return 0;
}

static int on_v5_address(struct socks *s)
{
    const uint8_t *a = s->got + V5_ADDRESS_AT;
    bool is_good = true;
    if (s->n < s->mark + 2) return 0;
    s->port = port_at(s->got + s->mark);
    if (s->got[3] == ADDRESS_IPV4)
        set_ipv4(s, a);
    else if (s->got[3] == ADDRESS_IPV6)
        (void)inet_ntop(AF_INET6, a, s->host, sizeof s->host);
    else
        is_good = set_name(s, a + 1, a[0]);
    return is_good ? go_to(s, SOCKS_DONE) : refuse(s, SOCKS_FAILED);
}

static int (*const steps[SOCKS_STATE_MAX])(struct socks *) = {
    [SOCKS_VERSION] = on_version,       [SOCKS_V4_HEAD] = on_v4_head,       [SOCKS_V4_USER] = on_v4_user,
    [SOCKS_V4_HOST] = on_v4_host,       [SOCKS_V5_METHODS] = on_v5_methods, [SOCKS_V5_HEAD] = on_v5_head,
    [SOCKS_V5_ADDRESS] = on_v5_address,
};

int socks_feed(struct socks *s, struct view bytes, size_t *ret_used)
{
    int got = 0;
    size_t used = 0;
    if (s->state == SOCKS_DONE) return ERR_STATE;
    while (used < bytes.len && got == 0) {
        if (s->n == sizeof s->got) return ERR_BUG; /* each state bounds its step */
        s->got[s->n++] = bytes.p[used++];
        got = steps[s->state](s);
    }
    *ret_used = used;
    if (got < 0) s->state = SOCKS_DONE;
    return got;
}
