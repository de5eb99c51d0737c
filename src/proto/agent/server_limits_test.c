#include "proto/agent/server_test.h"

/* What ssh signs for a login. */
static int log_in(struct fixture *f, struct agent_client *c, const char *id, const char *user, const struct host *bound_to)
{
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    CLEANUP(buf_done) struct buf data = BUF_INIT(8192);
    struct wr w = wr_of(&data);
    wr_cstr(&w, id);
    wr_u8(&w, 50);
    wr_cstr(&w, user);
    wr_cstr(&w, "ssh-connection");
    wr_cstr(&w, bound_to ? "publickey-hostbound-v00@openssh.com" : "publickey");
    wr_bool(&w, true);
    wr_cstr(&w, "ssh-ed25519");
    wr_string(&w, key_blob(k));
    if (bound_to) {
        CLEANUP(key_unrefp) struct key *host_key = test_public(bound_to->public);
        wr_string(&w, key_blob(host_key));
    }
    assert_ok(wr_end(&w));
    return sign(f, c, test_ed25519_public, buf_view(&data), "");
}

/* A key that goes from here to alpha as anybody, and from alpha to beta as "me". */
static void start_limited(struct fixture *f)
{
    CLEANUP(buf_done) struct buf to = BUF_INIT(65536);
    start(f, (struct agent_server_config){});
    put_destination(&to, NULL, "", &hosts[0]);
    put_destination(&to, &hosts[0], "m?", &hosts[1]);
    assert_int_equal(add(f, f->a, test_ed25519_private, &(struct agent_constraints){ .destinations = buf_view(&to) }),
                     AGENT_SUCCESS);
}

static void limited_keys_sign_where_they_may(UNUSED void **state)
{
    struct fixture f;
    start_limited(&f);
    assert_int_equal(count(&f, f.a), 1);
    assert_int_equal(log_in(&f, f.a, "s1", "x", &hosts[0]), AGENT_FAILURE); /* not bound */
    assert_int_equal(bind(&f, f.a, &hosts[0], "s1", false), AGENT_SUCCESS);
    assert_int_equal(bind(&f, f.a, &hosts[0], "s1", false), AGENT_FAILURE); /* bound for a login already, as OpenSSH */
    assert_int_equal(count(&f, f.a), 1);
    assert_int_equal(log_in(&f, f.a, "s1", "x", &hosts[0]), AGENT_SIGN_RESPONSE);
    assert_int_equal(log_in(&f, f.a, "s1", "x", NULL), AGENT_SIGN_RESPONSE); /* the first hop needs no host key in it */
    assert_int_equal(log_in(&f, f.a, "s2", "x", &hosts[0]), AGENT_FAILURE);
    assert_int_equal(log_in(&f, f.a, "s1", "x", &hosts[1]), AGENT_FAILURE);
    assert_int_equal(sign(&f, f.a, test_ed25519_public, view_str("anything"), ""), AGENT_FAILURE);
    assert_int_equal(bind(&f, f.a, &hosts[1], "s3", false), AGENT_FAILURE); /* bound for a login already */
    assert_int_equal(bind(&f, f.b, &hosts[1], "s4", false), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.b), 0); /* beta is not reached from here */
    assert_int_equal(log_in(&f, f.b, "s4", "me", &hosts[1]), AGENT_FAILURE);
    stop(&f);
}

static void limited_keys_go_on_from_a_host(UNUSED void **state)
{
    struct fixture f;
    start_limited(&f);
    assert_int_equal(bind(&f, f.a, &hosts[0], "s1", true), AGENT_SUCCESS);
    assert_int_equal(bind(&f, f.a, &hosts[0], "s1", true), AGENT_SUCCESS); /* the same again */
    assert_int_equal(bind(&f, f.a, &hosts[1], "s1", true), AGENT_FAILURE); /* another host of the same id */
    assert_int_equal(count(&f, f.a), 1);
    assert_int_equal(log_in(&f, f.a, "s1", "me", &hosts[0]), AGENT_FAILURE); /* a forwarding is no login */
    assert_int_equal(log_in(&f, f.a, "s1", "", &hosts[0]), AGENT_FAILURE);
    assert_int_equal(bind(&f, f.a, &hosts[1], "s2", false), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.a), 1);
    assert_int_equal(log_in(&f, f.a, "s2", "me", &hosts[1]), AGENT_SIGN_RESPONSE);
    assert_int_equal(log_in(&f, f.a, "s2", "root", &hosts[1]), AGENT_FAILURE);
    assert_int_equal(log_in(&f, f.a, "s2", "me", NULL), AGENT_FAILURE); /* nothing says for which host */
    assert_int_equal(log_in(&f, f.a, "s1", "me", &hosts[0]), AGENT_FAILURE);
    /* Forwarded to beta and from there nowhere: not shown, not to be removed, not to be replaced. */
    assert_int_equal(bind(&f, f.b, &hosts[0], "s3", true), AGENT_SUCCESS);
    assert_int_equal(bind(&f, f.b, &hosts[1], "s4", true), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.b), 0);
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    assert_ok(agent_put_remove(&f.request, key_blob(k)));
    assert_int_equal(ask(&f, f.b), AGENT_FAILURE);
    assert_int_equal(add(&f, f.b, test_ed25519_private, NULL), AGENT_FAILURE);
    assert_int_equal(count(&f, f.a), 1);
    stop(&f);
}

static void a_binding_that_failed_hides_limited_keys(UNUSED void **state)
{
    struct fixture f;
    CLEANUP(key_unrefp) struct key *host_key = test_public(hosts[0].public);
    start_limited(&f);
    assert_int_equal(add(&f, f.b, test_rsa_private, NULL), AGENT_SUCCESS);
    assert_ok(agent_put_session_bind(&f.request, key_blob(host_key), view_str("s1"), view_str("bad"), false));
    assert_int_equal(ask(&f, f.b), AGENT_FAILURE);
    assert_int_equal(count(&f, f.b), 1);
    assert_int_equal(count(&f, f.a), 2);
    /* While locked, binding works. */
    assert_int_equal(lock(&f, f.a, "pw", true), AGENT_SUCCESS);
    assert_int_equal(bind(&f, f.a, &hosts[1], "s1", false), AGENT_SUCCESS);
    assert_int_equal(lock(&f, f.b, "pw", false), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.a), 1);
    /* No more hops than there may be. */
    assert_int_equal(bind(&f, f.b, &hosts[0], "h0", true), AGENT_SUCCESS);
    for (int i = 1; i < AGENT_SERVER_SESSIONS_MAX; i++) {
        char id[8];
        snprintf(id, sizeof(id), "h%d", i);
        assert_int_equal(bind(&f, f.b, &hosts[0], id, true), AGENT_SUCCESS);
    }
    assert_int_equal(bind(&f, f.b, &hosts[0], "more", true), AGENT_FAILURE);
    stop(&f);
}

static void destinations_without_sense_are_refused(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){});
    static const struct host nameless = { "", test_ecdsa_public, "" };
    for (int i = 0; i < 7; i++) {
        CLEANUP(buf_done) struct buf to = BUF_INIT(1 << 18);
        if (i == 0) assert_ok(buf_put_str(&to, "\0\0\0\1x"));
        if (i == 1) put_destination(&to, NULL, "", NULL);
        if (i == 2) put_destination(&to, &nameless, "", &hosts[0]);
        if (i == 3) put_destination(&to, NULL, "", &nameless);
        char user[AGENT_SERVER_USER_BYTES_MAX + 2];
        memset(user, 'u', sizeof(user) - 1);
        user[sizeof(user) - 1] = '\0';
        if (i == 4) put_destination(&to, NULL, user, &hosts[0]);
        for (int n = 0; i == 5 && n < AGENT_SERVER_DESTINATIONS_MAX + 1; n++) put_destination(&to, NULL, "", &hosts[0]);
        if (i == 6) {
            put_destination(&to, NULL, "", &hosts[0]);
            buf_truncate(&to, buf_len(&to) - 1);
        }
        if (i == 0) buf_consume(&to, 0);
        struct agent_constraints limits = { .destinations = buf_len(&to) ? buf_view(&to) : view_str("x") };
        assert_int_equal(add(&f, f.a, test_ed25519_private, &limits), AGENT_FAILURE);
    }
    assert_int_equal(count(&f, f.a), 0);
    stop(&f);
}

/* ---- constraints ---- */

static void constraints_come_once_and_whole(UNUSED void **state)
{
    static const struct row {
        struct view bytes;
        int answer;
    } rows[] = {
        { VIEW_LIT(""), AGENT_SUCCESS },
        { VIEW_LIT("\1\0\0\0\5\2"), AGENT_SUCCESS },
        { VIEW_LIT("\2\1\0\0\0\5"), AGENT_SUCCESS },
        { VIEW_LIT("\1\0\0\0\5\1\0\0\0\5"), AGENT_FAILURE },
        { VIEW_LIT("\2\2"), AGENT_FAILURE },
        { VIEW_LIT("\1\0\0\0"), AGENT_FAILURE },
        { VIEW_LIT("\3"), AGENT_FAILURE },
        { VIEW_LIT("\377"), AGENT_FAILURE },
        { VIEW_LIT("\377\0\0\0\3abc"), AGENT_FAILURE },
        { VIEW_LIT("\377\0\0\0\27sk-provider@openssh.com\0\0\0\10internal"), AGENT_FAILURE }, /* no security key */
        { VIEW_LIT("\377\0\0\0\41associated-certs-v00@openssh.com\1\0\0\0\0"), AGENT_FAILURE },
    };
    struct fixture f;
    start(&f, (struct agent_server_config){});
    CLEANUP(key_unrefp) struct key *k = test_private(test_ed25519_private);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf body = BUF_INIT(8192);
        struct wr w = wr_of(&body);
        wr_u8(&w, AGENT_ADD_ID_CONSTRAINED);
        assert_ok(private_blob_put(k, &w));
        wr_cstr(&w, "comment");
        wr_bytes(&w, rows[i].bytes);
        assert_ok(wr_end(&w));
        int answer = ask_raw(&f, f.a, buf_view(&body));
        if (answer != rows[i].answer) fail_msg("row %zu: %d", i, answer);
    }
    stop(&f);
}

static void certificates_are_keys_of_their_own(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){});
    CLEANUP(key_unrefp) struct key *k = test_private(test_ed25519_private), *cert = test_public(test_ed25519_cert), *joined = NULL;
    assert_ok(cert_join(k, key_blob(cert), &joined));
    assert_int_equal(add(&f, f.a, test_ed25519_private, NULL), AGENT_SUCCESS);
    assert_ok(agent_put_add(&f.request, joined, view_str("c"), NULL));
    assert_int_equal(ask(&f, f.a), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.a), 2);
    assert_int_equal(sign(&f, f.a, test_ed25519_cert, view_str("x"), ""), AGENT_SIGN_RESPONSE);
    stop(&f);
}

/* ---- providers ---- */

static struct agent_question add_token(struct fixture *f, struct agent_client *c, const char *more)
{
    struct wr w = wr_of(&f->request);
    size_t mark = wr_string_open(&w);
    wr_u8(&w, *more ? AGENT_ADD_SMARTCARD_CONSTRAINED : AGENT_ADD_SMARTCARD);
    wr_cstr(&w, "/lib/./token.so");
    wr_cstr(&w, "1234");
    if (*more) wr_bytes(&w, view_str(more));
    wr_string_close(&w, mark);
    assert_ok(wr_end(&w));
    assert_int_equal(ask(f, c), 0);
    struct agent_question q = next_question(f, AGENT_QUESTION_TOKEN_ADD);
    assert_view(q.provider, "/lib/./token.so");
    assert_view(q.pin, "1234");
    return q;
}

static void tokens(UNUSED void **state)
{
    struct fixture f;
    CLEANUP(key_unrefp) struct key *k = test_public(test_ecdsa_public), *signer = test_private(test_ecdsa_private);
    const struct agent_token_key keys[] = { { k, "on a token" } };
    const struct agent_answer loaded = { .yes = true, .provider = "/lib/token.so", .keys = keys, .n_keys = 1 };
    start(&f, (struct agent_server_config){});
    struct agent_question q = add_token(&f, f.a, "");
    assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){}));
    assert_int_equal(take(&f, f.a), AGENT_FAILURE);
    q = add_token(&f, f.a, "\2"); /* confirm */
    assert_ok(agent_server_answer(f.s, q.id, &loaded));
    assert_int_equal(take(&f, f.a), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.a), 1);
    assert_int_equal(sign(&f, f.a, test_ecdsa_public, view_str("data"), ""), 0);
    q = next_question(&f, AGENT_QUESTION_CONFIRM);
    assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){ .yes = true }));
    q = next_question(&f, AGENT_QUESTION_SIGN);
    assert_view(q.provider, "/lib/token.so");
    assert_view(q.data, "data");
    assert_true(key_equal_public(q.key, k));
    CLEANUP(buf_done) struct buf signature = BUF_INIT(4096);
    assert_ok(key_sign(signer, VIEW_EMPTY, q.data, &signature));
    assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){ .yes = true, .signature = buf_view(&signature) }));
    assert_int_equal(take(&f, f.a), AGENT_SIGN_RESPONSE);
    assert_signed(&f, test_ecdsa_public, view_str("data"), "");
    /* Who is forwarded may not have libraries loaded here. */
    assert_int_equal(bind(&f, f.b, &hosts[1], "s", true), AGENT_SUCCESS);
    assert_int_equal(ask_raw(&f, f.b, VIEW_LIT("\24\0\0\0\1x\0\0\0\0")), AGENT_FAILURE);
    assert_int_equal(ask_raw(&f, f.a, VIEW_LIT("\25\0\0\0\1x\0\0\0\0")), 0);
    q = next_question(&f, AGENT_QUESTION_TOKEN_REMOVE);
    assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){ .yes = true, .provider = "/lib/token.so" }));
    assert_int_equal(take(&f, f.a), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.a), 0);
    stop(&f);
}

/* A security key in the form of private blobs: the handle is private, the rest is as in its public blob. */
static void put_sk(struct fixture *f, const char *application, const char *provider)
{
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    struct rd r = rd_of(key_blob(k));
    rd_string(&r);
    struct view point = rd_string(&r);
    struct wr w = wr_of(&f->request);
    size_t mark = wr_string_open(&w);
    wr_u8(&w, provider ? AGENT_ADD_ID_CONSTRAINED : AGENT_ADD_IDENTITY);
    wr_cstr(&w, "sk-ssh-ed25519@openssh.com");
    wr_string(&w, point);
    wr_cstr(&w, application);
    wr_u8(&w, 1);
    wr_cstr(&w, "handle");
    wr_cstr(&w, "");
    wr_cstr(&w, "sk comment");
    if (provider) {
        wr_u8(&w, 255);
        wr_cstr(&w, "sk-provider@openssh.com");
        wr_cstr(&w, provider);
    }
    wr_string_close(&w, mark);
    assert_ok(wr_end(&w));
}

static int sign_sk(struct fixture *f, const char *application, struct view data)
{
    CLEANUP(key_unrefp) struct key *k = test_public(test_ed25519_public);
    CLEANUP(buf_done) struct buf blob = BUF_INIT(4096);
    struct rd r = rd_of(key_blob(k));
    rd_string(&r);
    struct wr w = wr_of(&blob);
    wr_cstr(&w, "sk-ssh-ed25519@openssh.com");
    wr_string(&w, rd_string(&r));
    wr_cstr(&w, application);
    assert_ok(wr_end(&w));
    assert_ok(agent_put_sign(&f->request, buf_view(&blob), data, VIEW_EMPTY));
    return ask(f, f->a);
}

static void security_keys(UNUSED void **state)
{
    static const struct view sshsig = VIEW_LIT("SSHSIG\0\0\0\4file\0\0\0\0\0\0\0\6sha512\0\0\0\4hash");
    struct fixture f;
    start(&f, (struct agent_server_config){});
    put_sk(&f, "ssh:", NULL);
    assert_int_equal(ask(&f, f.a), AGENT_SUCCESS);
    assert_int_equal(sign_sk(&f, "ssh:", view_str("anything")), 0);
    struct agent_question q = next_question(&f, AGENT_QUESTION_SIGN);
    assert_view(q.provider, "internal");
    assert_true(key_has_private(q.key));
    assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){ .yes = true, .signature = view_str("sig") }));
    assert_int_equal(take(&f, f.a), AGENT_SIGN_RESPONSE);
    /* One that was made for a web site. */
    put_sk(&f, "https://example.com", "/lib/sk.so");
    assert_int_equal(ask(&f, f.a), 0);
    q = next_question(&f, AGENT_QUESTION_PROVIDER);
    assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){ .yes = true, .provider = "/lib/sk.so" }));
    assert_int_equal(take(&f, f.a), AGENT_SUCCESS);
    assert_int_equal(sign_sk(&f, "https://example.com", view_str("anything")), AGENT_FAILURE);
    assert_int_equal(sign_sk(&f, "https://example.com", view_sub(sshsig, 0, sshsig.len - 1)), AGENT_FAILURE);
    assert_int_equal(sign_sk(&f, "https://example.com", sshsig), 0);
    q = next_question(&f, AGENT_QUESTION_SIGN);
    assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){}));
    assert_int_equal(take(&f, f.a), AGENT_FAILURE);
    stop(&f);
    for (int i = 0; i < 2; i++) {
        start(&f, (struct agent_server_config){ .any_web_signature = i == 0, .websafe_allow = i ? "ssh:*,https://*" : NULL });
        put_sk(&f, "https://example.com", NULL);
        assert_int_equal(ask(&f, f.a), AGENT_SUCCESS);
        assert_int_equal(sign_sk(&f, "https://example.com", view_str("anything")), 0);
        stop(&f);
    }
}

static void there_is_an_end_to_keys(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){});
    int answer = AGENT_SUCCESS;
    size_t n = 0;
    for (; n <= AGENT_SERVER_KEYS_MAX && answer == AGENT_SUCCESS; n++) {
        char application[32];
        snprintf(application, sizeof(application), "ssh:%zu", n);
        put_sk(&f, application, NULL);
        answer = ask(&f, f.a);
    }
    assert_int_equal(n, AGENT_SERVER_KEYS_MAX + 1);
    assert_int_equal(answer, AGENT_FAILURE);
    assert_int_equal(agent_server_n_keys(f.s), AGENT_SERVER_KEYS_MAX);
    assert_true(count(&f, f.a) > 1000);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limited_keys_sign_where_they_may),
        cmocka_unit_test(limited_keys_go_on_from_a_host),
        cmocka_unit_test(a_binding_that_failed_hides_limited_keys),
        cmocka_unit_test(destinations_without_sense_are_refused),
        cmocka_unit_test(constraints_come_once_and_whole),
        cmocka_unit_test(certificates_are_keys_of_their_own),
        cmocka_unit_test(tokens),
        cmocka_unit_test(security_keys),
        cmocka_unit_test(there_is_an_end_to_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
