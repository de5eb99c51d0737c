/* Both engines back to back: every method, limits, and what is refused. Signed data is compared with bytes put together by hand. */
#include "proto/auth/auth_test.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
