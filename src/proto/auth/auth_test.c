/* Both engines back to back over a link in memory, and each alone against made packets: every method, every message in every state,
 * truncation at every byte, every allocation failing. Signed data is compared with bytes put together by hand. */
#include "proto/auth/auth.h"
#include "proto/limits.h"
#include "wire/messages.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define OWN_MALLOC 0
#endif
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 1
#endif

/* ---- allocations that fail on demand ---- */
static long allocations_left = -1; /* negative: no limit */
#if OWN_MALLOC
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
static bool allocation_fails(void)
{
    if (allocations_left < 0) return false;
    if (allocations_left > 0) {
        allocations_left--;
        return false;
    }
    errno = ENOMEM;
    return true;
}
void *malloc(size_t n) { return allocation_fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return allocation_fails() ? NULL : __libc_calloc(n, size); }
#endif

/* ---- a link that holds the last packet ---- */
struct pipe {
    uint8_t area[LIMIT_PACKET_PAYLOAD_BYTES];
    uint8_t packet[LIMIT_PACKET_PAYLOAD_BYTES];
    size_t len, area_max;
    int n, fail;
};

static int pipe_reserve(void *lower, size_t payload_max, uint8_t **ret)
{
    struct pipe *p = lower;
    if (p->fail) return p->fail;
    if (payload_max > sizeof(p->area)) return ERR_LIMIT;
    p->area_max = payload_max;
    *ret = p->area;
    return 0;
}
static int pipe_commit(void *lower, size_t payload_len)
{
    struct pipe *p = lower;
    assert_true(payload_len <= p->area_max);
    memcpy(p->packet, p->area, payload_len);
    p->len = payload_len;
    p->n++;
    return 0;
}
static size_t pipe_room(UNUSED void *lower) { return 65536; }
static const struct link_ops pipe_ops = { pipe_reserve, pipe_commit, pipe_room };

struct pair {
    struct pipe up, down; /* to the server, to the client */
    struct auth_client *c;
    struct auth_server *s;
};

static const struct view SESSION = VIEW_LIT("0123456789abcdef0123456789ABCDEF");
static const struct view HOST_KEY = VIEW_LIT("\0\0\0\3hkeyblob");
static const struct view METHODS = VIEW_LIT("publickey,password");
#define V(s) VIEW_LIT(s)

static struct pair *pair_new(void)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    struct auth_client_config cc = { .user = V("alice"), .service = V("ssh-connection"), .link = { &pipe_ops, &p->up } };
    struct auth_server_config sc = { .link = { &pipe_ops, &p->down }, .session_id = SESSION, .host_key = HOST_KEY };
    assert_int_equal(auth_client_new(&cc, &p->c), 0);
    assert_int_equal(auth_server_new(&sc, &p->s), 0);
    return p;
}
static void pair_free(struct pair *p)
{
    auth_client_free(p->c);
    auth_server_free(p->s);
    free(p);
}

static struct view sent(const struct pipe *p) { return view_of(p->packet, p->len); }
static void assert_view(struct view v, struct view want)
{
    assert_int_equal(v.len, want.len);
    if (want.len) assert_memory_equal(v.p, want.p, want.len);
}

/* The client's last packet into the server: the question. */
static struct auth_server_event asked(struct pair *p, enum auth_server_event_kind kind)
{
    struct auth_server_event e = {};
    assert_int_equal(auth_server_packet(p->s, sent(&p->up), &e), 1);
    assert_int_equal(e.kind, kind);
    assert_view(e.user, V("alice"));
    assert_view(e.service, V("ssh-connection"));
    return e;
}
/* The server's answer into the client: the event. */
static struct auth_client_event answered(struct pair *p, struct auth_server_answer answer, enum auth_client_event_kind kind)
{
    struct auth_client_event e = {};
    assert_int_equal(auth_server_answer(p->s, &answer), 0);
    assert_int_equal(auth_client_packet(p->c, sent(&p->down), &e), 1);
    assert_int_equal(e.kind, kind);
    return e;
}
static void refuse(struct pair *p)
{
    struct auth_client_event e =
        answered(p, (struct auth_server_answer){ .verdict = AUTH_VERDICT_FAILURE, .methods = METHODS }, AUTH_CLIENT_FAILURE);
    assert_view(e.methods, METHODS);
    assert_false(e.partial);
}
static void succeed(struct pair *p)
{
    answered(p, (struct auth_server_answer){ .verdict = AUTH_VERDICT_SUCCESS }, AUTH_CLIENT_SUCCESS);
}

/* ---- methods ---- */

static void test_none(UNUSED void **state)
{
    struct pair *p = pair_new();
    assert_int_equal(auth_client_try_none(p->c), 0);
    assert_view(sent(&p->up), V("\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\4none"));
    assert_int_equal(auth_client_try_none(p->c), ERR_STATE);
    asked(p, AUTH_SERVER_NONE);
    refuse(p);
    assert_view(sent(&p->down), V("\x33\0\0\0\x12publickey,password\0"));
    assert_int_equal(auth_client_try_none(p->c), 0);
    asked(p, AUTH_SERVER_NONE);
    struct auth_client_event e =
        answered(p, (struct auth_server_answer){ .verdict = AUTH_VERDICT_PARTIAL, .methods = V("password") }, AUTH_CLIENT_FAILURE);
    assert_true(e.partial);
    assert_int_equal(auth_client_try_none(p->c), 0);
    asked(p, AUTH_SERVER_NONE);
    succeed(p);
    assert_view(sent(&p->down), V("\x34"));
    assert_int_equal(auth_client_try_none(p->c), ERR_STATE);
    pair_free(p);
}

static void test_publickey(UNUSED void **state)
{
    struct pair *p = pair_new();
    assert_int_equal(auth_client_query_publickey(p->c, V("ssh-ed25519"), V("KEYBLOB")), 0);
    assert_view(sent(&p->up),
                V("\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\x09publickey\0\0\0\0\x0bssh-ed25519\0\0\0\7KEYBLOB"));
    struct auth_server_event q = asked(p, AUTH_SERVER_PUBLICKEY_QUERY);
    assert_view(q.algorithm, V("ssh-ed25519"));
    assert_view(q.key, V("KEYBLOB"));
    /* The packet may go before the answer. */
    memset(p->up.packet, 'x', sizeof(p->up.packet));
    answered(p, (struct auth_server_answer){ .verdict = AUTH_VERDICT_PK_OK }, AUTH_CLIENT_PK_OK);
    assert_view(sent(&p->down), V("\x3c\0\0\0\x0bssh-ed25519\0\0\0\7KEYBLOB"));

    struct view to_sign;
    assert_int_equal(auth_client_start_publickey(p->c, V("ssh-ed25519"), V("KEYBLOB"), SESSION, VIEW_EMPTY, &to_sign), 0);
    struct view want = V("\0\0\0\x20"
                         "0123456789abcdef0123456789ABCDEF"
                         "\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\x09publickey\1\0\0\0\x0bssh-ed25519\0\0\0\7KEYBLOB");
    assert_view(to_sign, want);
    int before = p->up.n;
    assert_int_equal(auth_client_finish_publickey(p->c, V("SIG")), 0);
    assert_int_equal(p->up.n, before + 1);
    assert_int_equal(auth_client_finish_publickey(p->c, V("SIG")), ERR_STATE);
    struct auth_server_event e = asked(p, AUTH_SERVER_PUBLICKEY);
    assert_view(e.signed_data, want);
    assert_view(e.signature, V("SIG"));
    assert_false(e.hostbound);
    refuse(p);

    assert_int_equal(auth_client_start_publickey(p->c, V("a"), V("k"), SESSION, VIEW_EMPTY, &to_sign), 0);
    assert_int_equal(auth_client_try_none(p->c), ERR_STATE);
    auth_client_abandon_publickey(p->c);
    assert_int_equal(auth_client_finish_publickey(p->c, V("SIG")), ERR_STATE);
    assert_int_equal(auth_client_start_publickey(p->c, V("a"), V("k"), SESSION, VIEW_EMPTY, &to_sign), 0);
    assert_int_equal(auth_client_finish_publickey(p->c, V("SIG")), 0);
    asked(p, AUTH_SERVER_PUBLICKEY);
    succeed(p);
    pair_free(p);
}

/* PK_OK has to name the key that was asked for. */
static void test_pk_ok_of_other_key(UNUSED void **state)
{
    struct pair *p = pair_new();
    struct auth_client_event e;
    assert_int_equal(auth_client_query_publickey(p->c, V("ssh-ed25519"), V("KEYBLOB")), 0);
    assert_int_equal(auth_client_packet(p->c, V("\x3c\0\0\0\x0bssh-ed25519\0\0\0\7KEYBLOC"), &e), ERR_UNEXPECTED_MESSAGE);
    pair_free(p);
}

static void test_hostbound(UNUSED void **state)
{
    struct pair *p = pair_new();
    struct view to_sign;
    assert_int_equal(auth_client_start_publickey(p->c, V("alg"), V("KEY"), SESSION, HOST_KEY, &to_sign), 0);
    struct view want = V("\0\0\0\x20"
                         "0123456789abcdef0123456789ABCDEF"
                         "\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\x23publickey-hostbound-v00@openssh.com"
                         "\1\0\0\0\3alg\0\0\0\3KEY\0\0\0\x0c\0\0\0\3hkeyblob");
    assert_view(to_sign, want);
    assert_int_equal(auth_client_finish_publickey(p->c, V("SIG")), 0);
    struct auth_server_event e = asked(p, AUTH_SERVER_PUBLICKEY);
    assert_true(e.hostbound);
    assert_view(e.signed_data, want);
    assert_view(e.signature, V("SIG"));
    refuse(p);

    assert_int_equal(auth_client_start_publickey(p->c, V("alg"), V("KEY"), SESSION, V("other key"), &to_sign), 0);
    assert_int_equal(auth_client_finish_publickey(p->c, V("SIG")), 0);
    e = asked(p, AUTH_SERVER_OTHER);
    assert_view(e.method, V("publickey-hostbound-v00@openssh.com"));
    assert_int_equal(e.signature.len + e.signed_data.len + e.key.len, 0);
    refuse(p);
    pair_free(p);
}

static void test_hostbased(UNUSED void **state)
{
    struct pair *p = pair_new();
    struct view to_sign;
    assert_int_equal(auth_client_start_hostbased(p->c, V("alg"), V("KEY"), SESSION, V("host.example."), V("bob"), &to_sign), 0);
    struct view want = V("\0\0\0\x20"
                         "0123456789abcdef0123456789ABCDEF"
                         "\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\x09hostbased"
                         "\0\0\0\3alg\0\0\0\3KEY\0\0\0\x0dhost.example.\0\0\0\3bob");
    assert_view(to_sign, want);
    assert_int_equal(auth_client_finish_publickey(p->c, V("SIG")), 0);
    struct auth_server_event e = asked(p, AUTH_SERVER_HOSTBASED);
    assert_view(e.signed_data, want);
    assert_view(e.client_host, V("host.example."));
    assert_view(e.client_user, V("bob"));
    assert_view(e.signature, V("SIG"));
    succeed(p);
    pair_free(p);
}

static void test_password(UNUSED void **state)
{
    struct pair *p = pair_new();
    assert_int_equal(auth_client_try_password(p->c, V("secret")), 0);
    assert_view(sent(&p->up), V("\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\x08password\0\0\0\0\6secret"));
    assert_view(asked(p, AUTH_SERVER_PASSWORD).secret, V("secret"));
    struct auth_client_event e = answered(p, (struct auth_server_answer){ .verdict = AUTH_VERDICT_CHANGEREQ, .text = V("expired") },
                                          AUTH_CLIENT_PASSWD_CHANGEREQ);
    assert_view(e.text, V("expired"));
    assert_int_equal(auth_client_change_password(p->c, V("secret"), V("new")), 0);
    struct auth_server_event q = asked(p, AUTH_SERVER_PASSWORD_CHANGE);
    assert_view(q.secret, V("secret"));
    assert_view(q.new_secret, V("new"));
    refuse(p);
    assert_int_equal(auth_client_try_password(p->c, VIEW_EMPTY), 0);
    assert_int_equal(asked(p, AUTH_SERVER_PASSWORD).secret.len, 0);
    succeed(p);
    pair_free(p);
}

static const struct auth_prompt PROMPTS[2] = { { VIEW_LIT("Password: "), false }, { VIEW_LIT("Token: "), true } };

static void ask_prompts(struct pair *p, uint32_t n)
{
    struct auth_client_event e = answered(p,
                                          (struct auth_server_answer){ .verdict = AUTH_VERDICT_INFO_REQUEST,
                                                                       .text = V("name"),
                                                                       .instruction = V("do it"),
                                                                       .prompts = PROMPTS,
                                                                       .n_prompts = n },
                                          AUTH_CLIENT_INFO_REQUEST);
    assert_view(e.text, V("name"));
    assert_view(e.instruction, V("do it"));
    assert_int_equal(e.n_prompts, n);
    struct auth_prompt prompt;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(auth_client_prompt(p->c, i, &prompt), 0);
        assert_view(prompt.text, PROMPTS[i].text);
        assert_int_equal(prompt.echo, PROMPTS[i].echo);
    }
    assert_int_equal(auth_client_prompt(p->c, n, &prompt), ERR_RANGE);
}

static void test_kbdint(UNUSED void **state)
{
    struct pair *p = pair_new();
    assert_int_equal(auth_client_try_kbdint(p->c, V("pam")), 0);
    assert_view(asked(p, AUTH_SERVER_KBDINT_START).text, V("pam"));
    ask_prompts(p, 2);
    struct view answers[2] = { V("pass"), V("123456") };
    assert_int_equal(auth_client_answer_kbdint(p->c, answers, 1), ERR_STATE);
    assert_int_equal(auth_client_answer_kbdint(p->c, answers, 2), 0);
    struct auth_server_event e = asked(p, AUTH_SERVER_KBDINT_RESPONSE);
    assert_int_equal(e.n_responses, 2);
    struct view got;
    assert_int_equal(auth_server_response(p->s, 1, &got), 0);
    assert_view(got, V("123456"));
    assert_int_equal(auth_server_response(p->s, 0, &got), 0);
    assert_view(got, V("pass"));
    assert_int_equal(auth_server_response(p->s, 2, &got), ERR_RANGE);
    /* An empty round, as PAM has them for messages. */
    ask_prompts(p, 0);
    assert_int_equal(auth_client_answer_kbdint(p->c, NULL, 0), 0);
    assert_int_equal(asked(p, AUTH_SERVER_KBDINT_RESPONSE).n_responses, 0);
    succeed(p);
    assert_int_equal(auth_server_response(p->s, 0, &got), ERR_RANGE);
    pair_free(p);
}

static void test_kbdint_abort(UNUSED void **state)
{
    struct pair *p = pair_new();
    assert_int_equal(auth_client_try_kbdint(p->c, VIEW_EMPTY), 0);
    asked(p, AUTH_SERVER_KBDINT_START);
    ask_prompts(p, 2);
    assert_int_equal(auth_client_try_password(p->c, V("other way")), 0);
    asked(p, AUTH_SERVER_PASSWORD);
    refuse(p);
    /* The dialogue is over: a late answer to it is none. */
    struct auth_server_event e;
    assert_int_equal(auth_server_packet(p->s, V("\x3d\0\0\0\0"), &e), ERR_UNEXPECTED_MESSAGE);
    struct view answer = V("x");
    assert_int_equal(auth_client_answer_kbdint(p->c, &answer, 1), ERR_STATE);
    pair_free(p);
}

static void test_kbdint_wrong_count(UNUSED void **state)
{
    static const struct view responses[] = { VIEW_LIT("\x3d\0\0\0\0"), VIEW_LIT("\x3d\0\0\0\1\0\0\0\1a"),
                                             VIEW_LIT("\x3d\0\0\0\3\0\0\0\1a\0\0\0\1b\0\0\0\1c") };
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        struct pair *p = pair_new();
        assert_int_equal(auth_client_try_kbdint(p->c, VIEW_EMPTY), 0);
        asked(p, AUTH_SERVER_KBDINT_START);
        ask_prompts(p, 2);
        struct auth_server_event e;
        assert_int_equal(auth_server_packet(p->s, responses[i], &e), 1);
        assert_int_equal(e.kind, AUTH_SERVER_OTHER);
        assert_view(e.user, V("alice"));
        assert_view(e.method, V("keyboard-interactive"));
        struct auth_server_answer yes = { .verdict = AUTH_VERDICT_SUCCESS };
        assert_int_equal(auth_server_answer(p->s, &yes), ERR_STATE);
        pair_free(p);
    }
    struct pair *p = pair_new();
    assert_int_equal(auth_client_try_kbdint(p->c, VIEW_EMPTY), 0);
    asked(p, AUTH_SERVER_KBDINT_START);
    ask_prompts(p, 2);
    struct auth_server_event e;
    assert_int_equal(auth_server_packet(p->s, V("\x3d\xff\xff\xff\xff\0\0\0\1a"), &e), ERR_TRUNCATED);
    pair_free(p);
}

/* ---- what is refused ---- */

static void test_limits(UNUSED void **state)
{
    static char big[2 * LIMIT_PASSWORD_BYTES];
    memset(big, 'u', sizeof(big));
    struct pair *p = pair_new();
    struct auth_client *c = NULL;
    struct auth_client_config cc = { .user = view_of(big, LIMIT_USER_BYTES + 1),
                                     .service = V("ssh-connection"),
                                     .link = { &pipe_ops, &p->up } };
    assert_int_equal(auth_client_new(&cc, &c), ERR_LIMIT);
    cc.user = V("a\0b");
    assert_int_equal(auth_client_new(&cc, &c), ERR_FORMAT);
    assert_null(c);

    /* Names of 255 bytes are taken as they are; longer ones can only fail. */
    for (size_t len = LIMIT_USER_BYTES; len <= LIMIT_USER_BYTES + 1; len++) {
        uint8_t packet[512];
        struct wr w = wr_area(packet, sizeof(packet));
        struct msg_userauth_request m = { .user = view_of(big, len), .service = V("ssh-connection"), .method = V("none") };
        assert_int_equal(msg_userauth_request_put(&w, &m), 0);
        struct auth_server_event e;
        assert_int_equal(auth_server_packet(p->s, view_of(packet, w.len), &e), 1);
        assert_int_equal(e.kind, len > LIMIT_USER_BYTES ? AUTH_SERVER_OTHER : AUTH_SERVER_NONE);
        assert_int_equal(e.user.len, len > LIMIT_USER_BYTES ? 0 : len);
        struct auth_server_answer no = { .methods = METHODS };
        assert_int_equal(auth_server_answer(p->s, &no), 0);
    }

    assert_int_equal(auth_client_try_password(p->c, view_of(big, LIMIT_PASSWORD_BYTES + 1)), ERR_LIMIT);
    assert_int_equal(auth_client_try_password(p->c, view_of(big, LIMIT_PASSWORD_BYTES)), 0);
    assert_int_equal(asked(p, AUTH_SERVER_PASSWORD).secret.len, LIMIT_PASSWORD_BYTES);
    refuse(p);
    uint8_t packet[2 * LIMIT_PASSWORD_BYTES];
    struct wr w = wr_area(packet, sizeof(packet));
    wr_bytes(&w, V("\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\x08password\0"));
    wr_string(&w, view_of(big, LIMIT_PASSWORD_BYTES + 1));
    struct auth_server_event e;
    assert_int_equal(auth_server_packet(p->s, view_of(packet, w.len), &e), 1);
    assert_int_equal(e.kind, AUTH_SERVER_OTHER);
    assert_int_equal(e.secret.len, 0);
    pair_free(p);
}

static void test_prompt_limits(UNUSED void **state)
{
    struct pair *p = pair_new();
    static struct auth_prompt many[LIMIT_PROMPTS + 1];
    assert_int_equal(auth_client_try_kbdint(p->c, VIEW_EMPTY), 0);
    asked(p, AUTH_SERVER_KBDINT_START);
    struct auth_server_answer a = { .verdict = AUTH_VERDICT_INFO_REQUEST, .prompts = many, .n_prompts = LIMIT_PROMPTS + 1 };
    assert_int_equal(auth_server_answer(p->s, &a), ERR_LIMIT);
    a.n_prompts = LIMIT_PROMPTS;
    answered(p, a, AUTH_CLIENT_INFO_REQUEST);
    uint8_t packet[1024];
    struct wr w = wr_area(packet, sizeof(packet));
    wr_bytes(&w, V("\x3c\0\0\0\0\0\0\0\0\0\0\0\0"));
    wr_u32(&w, LIMIT_PROMPTS + 1);
    for (int i = 0; i <= LIMIT_PROMPTS; i++) wr_bytes(&w, V("\0\0\0\0\0"));
    struct pair *other = pair_new();
    assert_int_equal(auth_client_try_kbdint(other->c, VIEW_EMPTY), 0);
    struct auth_client_event e;
    assert_int_equal(auth_client_packet(other->c, view_of(packet, w.len), &e), ERR_LIMIT);
    pair_free(other);
    pair_free(p);
}

static void test_banner(UNUSED void **state)
{
    struct pair *p = pair_new();
    struct auth_client_event e;
    assert_int_equal(auth_server_banner(p->s, V("hello\r\n")), 0);
    assert_int_equal(auth_client_packet(p->c, sent(&p->down), &e), 1);
    assert_int_equal(e.kind, AUTH_CLIENT_BANNER);
    assert_view(e.text, V("hello\r\n"));
    static uint8_t packet[LIMIT_AUTH_BANNER_BYTES + 100];
    struct wr w = wr_area(packet, sizeof(packet));
    static uint8_t text[LIMIT_AUTH_BANNER_BYTES + 1];
    struct msg_userauth_banner m = { .text = view_of(text, sizeof(text)) };
    assert_int_equal(msg_userauth_banner_put(&w, &m), 0);
    assert_int_equal(auth_client_packet(p->c, view_of(packet, w.len), &e), ERR_LIMIT);
    assert_int_equal(auth_server_banner(p->s, m.text), ERR_LIMIT);
    assert_int_equal(auth_client_try_none(p->c), 0);
    asked(p, AUTH_SERVER_NONE);
    assert_int_equal(auth_server_banner(p->s, V("while you wait")), 0);
    succeed(p);
    assert_int_equal(auth_server_banner(p->s, V("late")), ERR_STATE);
    pair_free(p);
}

static void test_service(UNUSED void **state)
{
    struct pair *p = pair_new();
    struct auth_server_event e;
    assert_int_equal(auth_server_packet(p->s, V("\x32\0\0\0\5alice\0\0\0\x0cssh-userauth\0\0\0\4none"), &e), ERR_SERVICE);
    assert_int_equal(auth_server_packet(p->s, V("\x32\0\0\0\5ali\0e\0\0\0\x0essh-connection\0\0\0\4none"), &e), ERR_FORMAT);
    assert_int_equal(auth_server_packet(p->s, VIEW_EMPTY, &e), ERR_TRUNCATED);
    assert_int_equal(auth_server_packet(p->s, V("\x32\0\0\0\5alice\0\0\0\x0essh-connection\0\0\0\4mind\7\7"), &e), 1);
    assert_int_equal(e.kind, AUTH_SERVER_OTHER);
    assert_view(e.text, V("mind"));
    pair_free(p);
}

static void test_question_is_answered_once(UNUSED void **state)
{
    struct pair *p = pair_new();
    struct auth_server_answer no = { .methods = METHODS };
    struct auth_server_event e;
    assert_int_equal(auth_server_answer(p->s, &no), ERR_STATE);
    assert_int_equal(auth_client_try_none(p->c), 0);
    asked(p, AUTH_SERVER_NONE);
    assert_int_equal(auth_server_packet(p->s, sent(&p->up), &e), ERR_STATE);
    assert_int_equal(auth_server_answer(p->s, &no), 0);
    assert_int_equal(auth_server_answer(p->s, &no), ERR_STATE);
    /* A link without room leaves the question open. */
    assert_int_equal(auth_server_packet(p->s, sent(&p->up), &e), 1);
    p->down.fail = ERR_LIMIT;
    assert_int_equal(auth_server_answer(p->s, &no), ERR_LIMIT);
    p->down.fail = 0;
    assert_int_equal(auth_server_answer(p->s, &no), 0);
    pair_free(p);
}

/* ---- (question, verdict): each pair once ---- */

static const struct view REQUESTS[] = {
    [AUTH_SERVER_NONE] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\4none"),
    [AUTH_SERVER_PUBLICKEY_QUERY] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\x09publickey\0\0\0\0\1g\0\0\0\1k"),
    [AUTH_SERVER_PUBLICKEY] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\x09publickey\1\0\0\0\1g\0\0\0\1k\0\0\0\1s"),
    [AUTH_SERVER_PASSWORD] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\x08password\0\0\0\0\1p"),
    [AUTH_SERVER_PASSWORD_CHANGE] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\x08password\1\0\0\0\1p\0\0\0\1q"),
    [AUTH_SERVER_KBDINT_START] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\x14keyboard-interactive\0\0\0\0\0\0\0\0"),
    [AUTH_SERVER_KBDINT_RESPONSE] = VIEW_LIT("\x3d\0\0\0\1\0\0\0\1r"),
    [AUTH_SERVER_HOSTBASED] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\x09hostbased"
                                       "\0\0\0\1g\0\0\0\1k\0\0\0\1h\0\0\0\1u\0\0\0\1s"),
    [AUTH_SERVER_OTHER] = VIEW_LIT("\x32\0\0\0\1a\0\0\0\x0essh-connection\0\0\0\4mind"),
};

/* A server that has been asked the question, or is about to be (then with the packet not yet given). */
static struct pair *server_before(int kind)
{
    struct pair *p = pair_new();
    if (kind != AUTH_SERVER_KBDINT_RESPONSE) return p;
    struct auth_server_event e;
    struct auth_server_answer a = { .verdict = AUTH_VERDICT_INFO_REQUEST, .prompts = PROMPTS, .n_prompts = 1 };
    assert_int_equal(auth_server_packet(p->s, REQUESTS[AUTH_SERVER_KBDINT_START], &e), 1);
    assert_int_equal(auth_server_answer(p->s, &a), 0);
    return p;
}

static void test_verdicts(UNUSED void **state)
{
    /* FAILURE PARTIAL SUCCESS PK_OK CHANGEREQ INFO_REQUEST, and one that is none */
    static const char *const allowed[] = {
        [AUTH_SERVER_NONE] = "yyynnnn",
        [AUTH_SERVER_PUBLICKEY_QUERY] = "ynnynnn",
        [AUTH_SERVER_PUBLICKEY] = "yyynnnn",
        [AUTH_SERVER_PASSWORD] = "yyynynn",
        [AUTH_SERVER_PASSWORD_CHANGE] = "yyynynn",
        [AUTH_SERVER_KBDINT_START] = "yyynnyn",
        [AUTH_SERVER_KBDINT_RESPONSE] = "yyynnyn",
        [AUTH_SERVER_HOSTBASED] = "yyynnnn",
        [AUTH_SERVER_OTHER] = "ynnnnnn",
    };
    for (int kind = 0; kind <= AUTH_SERVER_OTHER; kind++) {
        for (int verdict = 0; verdict < 7; verdict++) {
            struct pair *p = server_before(kind);
            struct auth_server_event e;
            assert_int_equal(auth_server_packet(p->s, REQUESTS[kind], &e), 1);
            assert_int_equal(e.kind, kind);
            int n = p->down.n;
            struct auth_server_answer a = { .verdict = (enum auth_verdict)verdict, .methods = METHODS };
            assert_int_equal(auth_server_answer(p->s, &a), allowed[kind][verdict] == 'y' ? 0 : ERR_STATE);
            assert_int_equal(p->down.n, n + (allowed[kind][verdict] == 'y'));
            pair_free(p);
        }
    }
}

/* ---- truncation and trailing bytes ---- */

static void test_server_truncation(UNUSED void **state)
{
    for (int kind = 0; kind < AUTH_SERVER_OTHER; kind++) {
        for (size_t len = 0; len <= REQUESTS[kind].len + 1; len++) {
            if (len == REQUESTS[kind].len) continue;
            struct pair *p = server_before(kind);
            uint8_t *packet = malloc(len ? len : 1); /* to the byte, for the sanitizer */
            memset(packet, 0, len ? len : 1);
            memcpy(packet, REQUESTS[kind].p, MIN(len, REQUESTS[kind].len));
            struct auth_server_event e;
            int err = auth_server_packet(p->s, view_of(packet, len), &e);
            assert_true(err == ERR_TRUNCATED || err == ERR_TRAILING);
            free(packet);
            pair_free(p);
        }
    }
}

enum {
    AT_IDLE,
    AT_SIGNING,
    AT_SENT,
    AT_QUERY,
    AT_PASSWORD,
    AT_KBDINT,
    AT_PROMPTED,
    AT_DONE,
    AT_MAX
};

static struct pair *client_at(int at)
{
    struct pair *p = pair_new();
    struct view to_sign;
    struct auth_client_event e;
    switch (at) {
    case AT_SIGNING:
        assert_int_equal(auth_client_start_publickey(p->c, V("g"), V("k"), SESSION, VIEW_EMPTY, &to_sign), 0);
        break;
    case AT_SENT:
        assert_int_equal(auth_client_try_none(p->c), 0);
        break;
    case AT_QUERY:
        assert_int_equal(auth_client_query_publickey(p->c, V("g"), V("k")), 0);
        break;
    case AT_PASSWORD:
        assert_int_equal(auth_client_try_password(p->c, V("p")), 0);
        break;
    case AT_KBDINT:
    case AT_PROMPTED:
        assert_int_equal(auth_client_try_kbdint(p->c, VIEW_EMPTY), 0);
        break;
    case AT_DONE:
        assert_int_equal(auth_client_try_none(p->c), 0);
        assert_int_equal(auth_client_packet(p->c, V("\x34"), &e), 1);
        break;
    default:
        break;
    }
    if (at == AT_PROMPTED) assert_int_equal(auth_client_packet(p->c, V("\x3c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), &e), 1);
    return p;
}

static const struct view INFO_REQUEST = VIEW_LIT("\x3c\0\0\0\1n\0\0\0\1i\0\0\0\0\0\0\0\1\0\0\0\1p\1");
static const struct view PK_OK = VIEW_LIT("\x3c\0\0\0\1g\0\0\0\1k");
static const struct view CHANGEREQ = VIEW_LIT("\x3c\0\0\0\1p\0\0\0\0");

static void test_client_truncation(UNUSED void **state)
{
    const struct {
        int at;
        struct view packet;
    } rows[] = { { AT_SENT, VIEW_LIT("\x33\0\0\0\4none\0") },
                 { AT_SENT, VIEW_LIT("\x34") },
                 { AT_SENT, VIEW_LIT("\x35\0\0\0\1b\0\0\0\0") },
                 { AT_QUERY, PK_OK },
                 { AT_PASSWORD, CHANGEREQ },
                 { AT_KBDINT, INFO_REQUEST } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t len = 0; len <= rows[i].packet.len + 1; len++) {
            struct pair *p = client_at(rows[i].at);
            uint8_t *packet = malloc(len ? len : 1);
            memset(packet, 0, len ? len : 1);
            memcpy(packet, rows[i].packet.p, MIN(len, rows[i].packet.len));
            struct auth_client_event e;
            int err = auth_client_packet(p->c, view_of(packet, len), &e);
            if (len == rows[i].packet.len)
                assert_int_equal(err, 1);
            else
                assert_true(err == ERR_TRUNCATED || err == ERR_TRAILING);
            free(packet);
            pair_free(p);
        }
    }
}

/* ---- every number in every state ---- */

/* What a well-formed packet with this number may bring in the state: 1 an event, else the error. */
static int client_expects(int at, int number)
{
    bool waiting = at == AT_SENT || at == AT_QUERY || at == AT_PASSWORD || at == AT_KBDINT;
    switch (number) {
    case 50:
    case 61:
        return ERR_UNEXPECTED_MESSAGE;
    case 51:
        return waiting ? 1 : ERR_UNEXPECTED_MESSAGE;
    case 52:
        return waiting && at != AT_QUERY ? 1 : ERR_UNEXPECTED_MESSAGE;
    case 53:
        return at != AT_DONE ? 1 : ERR_UNEXPECTED_MESSAGE;
    case 60:
        return at == AT_QUERY || at == AT_PASSWORD || at == AT_KBDINT ? 1 : ERR_UNEXPECTED_MESSAGE;
    default:
        return number < 50 || number > 79 || at == AT_DONE ? ERR_UNEXPECTED_MESSAGE : ERR_UNSUPPORTED;
    }
}

static struct view client_packet_of(int at, uint8_t number, uint8_t *one_byte)
{
    *one_byte = number;
    switch (number) {
    case 51:
        return V("\x33\0\0\0\4none\0");
    case 53:
        return V("\x35\0\0\0\1b\0\0\0\0");
    case 60:
        return at == AT_KBDINT ? INFO_REQUEST : at == AT_QUERY ? PK_OK : CHANGEREQ;
    default:
        return view_of(one_byte, 1);
    }
}

static void test_client_all_messages(UNUSED void **state)
{
    for (int at = 0; at < AT_MAX; at++) {
        for (int number = 0; number < 256; number++) {
            struct pair *p = client_at(at);
            struct auth_client_event e;
            uint8_t byte;
            int n = p->up.n;
            assert_int_equal(auth_client_packet(p->c, client_packet_of(at, (uint8_t)number, &byte), &e),
                             client_expects(at, number));
            assert_int_equal(p->up.n, n);
            pair_free(p);
        }
    }
}

static void test_server_all_messages(UNUSED void **state)
{
    enum {
        SRV_IDLE,
        SRV_PROMPTED,
        SRV_DONE
    };
    for (int at = SRV_IDLE; at <= SRV_DONE; at++) {
        for (int number = 0; number < 256; number++) {
            struct pair *p = server_before(at == SRV_PROMPTED ? AUTH_SERVER_KBDINT_RESPONSE : AUTH_SERVER_NONE);
            struct auth_server_event e;
            struct auth_server_answer yes = { .verdict = AUTH_VERDICT_SUCCESS };
            if (at == SRV_DONE) {
                assert_int_equal(auth_server_packet(p->s, REQUESTS[AUTH_SERVER_NONE], &e), 1);
                assert_int_equal(auth_server_answer(p->s, &yes), 0);
            }
            int n = p->down.n;
            uint8_t byte = (uint8_t)number;
            struct view packet = number == 50   ? REQUESTS[AUTH_SERVER_NONE]
                                 : number == 61 ? REQUESTS[AUTH_SERVER_KBDINT_RESPONSE]
                                                : view_of(&byte, 1);
            int want = number < 50 || number > 79 || number <= 53 || number == 60 || number == 61 ? ERR_UNEXPECTED_MESSAGE
                                                                                                  : ERR_UNSUPPORTED;
            if (number == 50) want = at == SRV_DONE ? 0 : 1;
            if (number == 61 && at != SRV_IDLE) want = at == SRV_DONE ? 0 : 1;
            assert_int_equal(auth_server_packet(p->s, packet, &e), want);
            assert_int_equal(p->down.n, n); /* nothing is sent without an answer */
            pair_free(p);
        }
    }
}

/* ---- every allocation fails in turn ---- */

static int one_round(struct pair *p)
{
    struct auth_client_config cc = { .user = V("alice"), .service = V("ssh-connection"), .link = { &pipe_ops, &p->up } };
    struct auth_server_config sc = { .link = { &pipe_ops, &p->down }, .session_id = SESSION, .host_key = HOST_KEY };
    struct auth_server_event q;
    struct view to_sign;
    TRY(auth_client_new(&cc, &p->c));
    TRY(auth_server_new(&sc, &p->s));
    TRY(auth_client_query_publickey(p->c, V("g"), V("k")));
    TRY(auth_server_packet(p->s, sent(&p->up), &q));
    TRY(auth_server_answer(p->s, &(struct auth_server_answer){ .verdict = AUTH_VERDICT_PK_OK }));
    struct auth_client_event e;
    TRY(auth_client_packet(p->c, sent(&p->down), &e));
    TRY(auth_client_start_publickey(p->c, V("g"), V("k"), SESSION, HOST_KEY, &to_sign));
    TRY(auth_client_finish_publickey(p->c, V("s")));
    TRY(auth_server_packet(p->s, sent(&p->up), &q));
    TRY(auth_server_answer(p->s, &(struct auth_server_answer){ .methods = METHODS }));
    TRY(auth_client_packet(p->c, sent(&p->down), &e));
    TRY(auth_client_try_kbdint(p->c, VIEW_EMPTY));
    TRY(auth_server_packet(p->s, sent(&p->up), &q));
    return 0;
}

static void test_allocation_failures(UNUSED void **state)
{
    if (!OWN_MALLOC) skip();
    int n = 0;
    for (;; n++) {
        struct pair *p = calloc(1, sizeof(*p));
        allocations_left = n;
        int err = one_round(p);
        allocations_left = -1;
        pair_free(p);
        if (err == 0) break;
        assert_int_equal(err, ERR_NOMEM);
        assert_true(n < 1000);
    }
    assert_true(n >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_publickey),
        cmocka_unit_test(test_pk_ok_of_other_key),
        cmocka_unit_test(test_hostbound),
        cmocka_unit_test(test_hostbased),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_kbdint),
        cmocka_unit_test(test_kbdint_abort),
        cmocka_unit_test(test_kbdint_wrong_count),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_prompt_limits),
        cmocka_unit_test(test_banner),
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_question_is_answered_once),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_server_truncation),
        cmocka_unit_test(test_client_truncation),
        cmocka_unit_test(test_client_all_messages),
        cmocka_unit_test(test_server_all_messages),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
