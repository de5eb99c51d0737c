/* Each engine alone against made packets: every verdict to every question, every message in every state, truncation at every byte,
 * every allocation failing. */
#include "proto/auth/auth_test.h"

#include <errno.h>

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
void *__libc_realloc(void *p, size_t n);
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
void *realloc(void *p, size_t n) { return allocation_fails() ? NULL : __libc_realloc(p, n); }
#endif

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

/* ---- early session: the two numbers that may follow a signed request that failed ---- */

static const struct view OPEN = VIEW_LIT("\x5a\0\0\0\7session\0\0\0\0\0\1\0\0\0\0\x80\0");
static const struct view REQUEST = VIEW_LIT("\x62\0\0\0\0\0\0\0\5shell\1");

/* A server that has been asked `kind` and has answered. */
static struct pair *server_behind(bool early, int kind, enum auth_verdict verdict)
{
    struct pair *p = server_before(AUTH_SERVER_NONE);
    struct auth_server_config sc = {
        .link = { &pipe_ops, &p->down }, .session_id = SESSION, .host_key = HOST_KEY, .early_session = early
    };
    struct auth_server_event e;
    struct auth_server_answer a = { .verdict = verdict, .methods = METHODS };
    auth_server_free(p->s);
    assert_int_equal(auth_server_new(&sc, &p->s), 0);
    assert_int_equal(auth_server_packet(p->s, REQUESTS[kind], &e), 1);
    assert_int_equal(auth_server_answer(p->s, &a), 0);
    return p;
}

static void test_early_session_states(UNUSED void **state)
{
    static const struct {
        bool offered;
        int kind;
        enum auth_verdict verdict;
        int want;
    } rows[] = {
        { true, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_FAILURE, 0 },
        { true, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_PARTIAL, 0 },
        { true, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_SUCCESS, ERR_UNEXPECTED_MESSAGE }, /* they are the connection's */
        { true, AUTH_SERVER_PUBLICKEY_QUERY, AUTH_VERDICT_FAILURE, ERR_UNEXPECTED_MESSAGE },
        { true, AUTH_SERVER_PUBLICKEY_QUERY, AUTH_VERDICT_PK_OK, ERR_UNEXPECTED_MESSAGE },
        { true, AUTH_SERVER_NONE, AUTH_VERDICT_FAILURE, ERR_UNEXPECTED_MESSAGE },
        { true, AUTH_SERVER_PASSWORD, AUTH_VERDICT_FAILURE, ERR_UNEXPECTED_MESSAGE },
        { true, AUTH_SERVER_HOSTBASED, AUTH_VERDICT_FAILURE, ERR_UNEXPECTED_MESSAGE },
        { false, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_FAILURE, ERR_UNEXPECTED_MESSAGE },
        { false, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_PARTIAL, ERR_UNEXPECTED_MESSAGE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int number = 80; number < 128; number++) {
            struct pair *p = server_behind(rows[i].offered, rows[i].kind, rows[i].verdict);
            struct auth_server_event e;
            uint8_t byte = (uint8_t)number;
            struct view packet = number == 90 ? OPEN : number == 98 ? REQUEST : view_of(&byte, 1);
            bool is_early = number == 90 || number == 98;
            assert_int_equal(auth_server_packet(p->s, packet, &e), is_early ? rows[i].want : ERR_UNEXPECTED_MESSAGE);
            pair_free(p);
        }
}

/* The next request ends it, and may fail and be followed in its turn; but not one that is no signed key. */
static void test_early_session_of_each_request(UNUSED void **state)
{
    struct pair *p = server_behind(true, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_FAILURE);
    struct auth_server_event e;
    struct auth_server_answer no = { .methods = METHODS };
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LIMIT_EARLY_PACKETS; i++) assert_int_equal(auth_server_packet(p->s, i ? REQUEST : OPEN, &e), 0);
        assert_int_equal(auth_server_packet(p->s, REQUESTS[AUTH_SERVER_PUBLICKEY], &e), 1);
        assert_int_equal(auth_server_packet(p->s, OPEN, &e), ERR_STATE); /* while the question is open nothing may be given */
        assert_int_equal(auth_server_answer(p->s, &no), 0);
    }
    assert_int_equal(auth_server_packet(p->s, REQUESTS[AUTH_SERVER_PASSWORD], &e), 1);
    assert_int_equal(auth_server_answer(p->s, &no), 0);
    assert_int_equal(auth_server_packet(p->s, OPEN, &e), ERR_UNEXPECTED_MESSAGE);
    pair_free(p);
}

static void test_early_session_is_bounded(UNUSED void **state)
{
    struct auth_server_event e;
    struct pair *p = server_behind(true, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_PARTIAL);
    for (int i = 0; i < LIMIT_EARLY_PACKETS; i++) assert_int_equal(auth_server_packet(p->s, REQUEST, &e), 0);
    assert_int_equal(auth_server_packet(p->s, REQUEST, &e), ERR_LIMIT);
    pair_free(p);
    p = server_behind(true, AUTH_SERVER_PUBLICKEY, AUTH_VERDICT_FAILURE);
    uint8_t *large = calloc(1, LIMIT_EARLY_BYTES);
    large[0] = 98;
    assert_int_equal(auth_server_packet(p->s, view_of(large, LIMIT_EARLY_BYTES), &e), 0);
    assert_int_equal(auth_server_packet(p->s, view_of(large, 1), &e), ERR_LIMIT);
    free(large);
    pair_free(p);
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
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_server_truncation),
        cmocka_unit_test(test_client_truncation),
        cmocka_unit_test(test_client_all_messages),
        cmocka_unit_test(test_server_all_messages),
        cmocka_unit_test(test_early_session_states),
        cmocka_unit_test(test_early_session_of_each_request),
        cmocka_unit_test(test_early_session_is_bounded),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
