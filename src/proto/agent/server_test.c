#include "proto/agent/server_test.h"

static void keys_are_added_listed_used_and_removed(UNUSED void **state)
{
    static const struct row {
        const char *private, *public, *algorithm;
    } rows[] = { { test_ed25519_private, test_ed25519_public, "ssh-ed25519" },
                 { test_ecdsa_private, test_ecdsa_public, "ecdsa-sha2-nistp256" },
                 { test_ecdsa521_private, test_ecdsa521_public, "ecdsa-sha2-nistp521" },
                 { test_rsa_private, test_rsa_public, "rsa-sha2-512" },
                 { test_rsa_private, test_rsa_public, "rsa-sha2-256" },
                 { test_rsa_private, test_rsa_public, "ssh-rsa" } };
    struct fixture f;
    start(&f, (struct agent_server_config){});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(add(&f, f.a, rows[i].private, NULL), AGENT_SUCCESS);
        assert_int_equal(sign(&f, f.b, rows[i].public, view_str("data"), rows[i].algorithm), AGENT_SIGN_RESPONSE);
        assert_signed(&f, rows[i].public, view_str("data"), rows[i].algorithm);
    }
    assert_int_equal(count(&f, f.b), 4);
    CLEANUP(key_unrefp) struct key *k = test_public(test_rsa_public);
    assert_ok(agent_put_remove(&f.request, key_blob(k)));
    assert_int_equal(ask(&f, f.b), AGENT_SUCCESS);
    assert_ok(agent_put_remove(&f.request, key_blob(k)));
    assert_int_equal(ask(&f, f.b), AGENT_FAILURE);
    assert_int_equal(sign(&f, f.a, test_rsa_public, view_str("data"), "rsa-sha2-256"), AGENT_FAILURE);
    assert_int_equal(count(&f, f.a), 3);
    assert_ok(agent_put_remove_all(&f.request));
    assert_int_equal(ask(&f, f.a), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.a), 0);
    stop(&f);
}

static void requests_in_a_row_and_in_pieces(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){});
    CLEANUP(key_unrefp) struct key *k = test_private(test_ed25519_private);
    assert_ok(agent_put_add(&f.request, k, view_str("x"), NULL));
    assert_ok(agent_put_sign(&f.request, key_blob(k), view_str("d"), VIEW_EMPTY));
    assert_ok(agent_put_request_identities(&f.request));
    for (size_t i = 0; i < buf_len(&f.request); i++) feed(f.a, view_sub(buf_view(&f.request), i, 1));
    feed(f.b, buf_view(&f.request));
    for (int i = 0; i < 2; i++) {
        struct agent_client *c = i ? f.b : f.a;
        assert_int_equal(take(&f, c), AGENT_SUCCESS);
        assert_int_equal(take(&f, c), AGENT_SIGN_RESPONSE);
        assert_int_equal(take(&f, c), AGENT_IDENTITIES_ANSWER);
        assert_int_equal(take(&f, c), 0);
    }
    stop(&f);
}

static void lifetimes_end(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){ .lifetime_s = 100 });
    assert_int_equal(add(&f, f.a, test_ed25519_private, NULL), AGENT_SUCCESS);
    assert_int_equal(add(&f, f.a, test_ecdsa_private, &(struct agent_constraints){ .lifetime_s = 10 }), AGENT_SUCCESS);
    assert_int_equal(agent_server_deadline(f.s), f.now + 10000);
    agent_server_tick(f.s, f.now + 9999, WALL_S);
    assert_int_equal(count(&f, f.a), 2);
    agent_server_tick(f.s, f.now + 10000, WALL_S);
    assert_int_equal(count(&f, f.a), 1);
    assert_int_equal(sign(&f, f.a, test_ecdsa_public, view_str("x"), ""), AGENT_FAILURE);
    assert_int_equal(agent_server_deadline(f.s), f.now + 100000);
    agent_server_tick(f.s, f.now + 100000, WALL_S);
    assert_int_equal(count(&f, f.a), 0);
    assert_int_equal(agent_server_deadline(f.s), MS_NEVER);
    stop(&f);
}

static void use_is_confirmed(UNUSED void **state)
{
    struct fixture f;
    const struct agent_answer yes = { .yes = true }, no = {};
    start(&f, (struct agent_server_config){});
    assert_int_equal(add(&f, f.a, test_ed25519_private, &(struct agent_constraints){ .confirm = true }), AGENT_SUCCESS);
    for (int said = 0; said < 2; said++) {
        assert_int_equal(sign(&f, f.a, test_ed25519_public, view_str("x"), ""), 0);
        struct agent_question q = next_question(&f, AGENT_QUESTION_CONFIRM);
        assert_non_null(strstr(q.text, "Allow use of key a comment?\nKey fingerprint SHA256:"));
        assert_int_equal(count(&f, f.b), 1); /* the others go on */
        assert_ok(agent_server_answer(f.s, q.id, said ? &yes : &no));
        assert_int_equal(take(&f, f.a), said ? AGENT_SIGN_RESPONSE : AGENT_FAILURE);
        assert_int_equal(agent_server_answer(f.s, q.id, &yes), ERR_NOT_FOUND);
    }
    /* The key is gone when the answer comes. */
    assert_int_equal(sign(&f, f.a, test_ed25519_public, view_str("x"), ""), 0);
    struct agent_question q = next_question(&f, AGENT_QUESTION_CONFIRM);
    agent_server_drop_keys(f.s);
    assert_ok(agent_server_answer(f.s, q.id, &yes));
    assert_int_equal(take(&f, f.a), AGENT_FAILURE);
    /* The client is gone when the answer comes. */
    assert_int_equal(add(&f, f.a, test_ed25519_private, &(struct agent_constraints){ .confirm = true }), AGENT_SUCCESS);
    assert_int_equal(sign(&f, f.a, test_ed25519_public, view_str("x"), ""), 0);
    q = next_question(&f, AGENT_QUESTION_CONFIRM);
    agent_client_free(f.a);
    f.a = NULL;
    assert_int_equal(agent_server_answer(f.s, q.id, &yes), ERR_NOT_FOUND);
    stop(&f);
}

static void locking(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){});
    assert_int_equal(add(&f, f.a, test_ed25519_private, NULL), AGENT_SUCCESS);
    assert_int_equal(lock(&f, f.a, "", true), AGENT_FAILURE);
    assert_int_equal(lock(&f, f.a, "pw", false), AGENT_FAILURE);
    assert_int_equal(lock(&f, f.a, "pw", true), AGENT_SUCCESS);
    assert_int_equal(lock(&f, f.a, "pw", true), AGENT_FAILURE);
    assert_int_equal(count(&f, f.b), 0);
    assert_int_equal(sign(&f, f.b, test_ed25519_public, view_str("x"), ""), AGENT_FAILURE);
    assert_int_equal(add(&f, f.b, test_ecdsa_private, NULL), AGENT_FAILURE);
    assert_ok(agent_put_remove_all(&f.request));
    assert_int_equal(ask(&f, f.b), AGENT_FAILURE);
    /* Wrong guesses wait, longer each time, also those of others. */
    assert_int_equal(lock(&f, f.a, "no", false), 0);
    assert_int_equal(agent_server_deadline(f.s), f.now + 100);
    assert_int_equal(lock(&f, f.b, "pw", false), 0);
    agent_server_tick(f.s, f.now + 99, WALL_S);
    assert_int_equal(take(&f, f.a), 0);
    agent_server_tick(f.s, f.now + 100, WALL_S);
    assert_int_equal(take(&f, f.a), AGENT_FAILURE);
    assert_int_equal(take(&f, f.b), AGENT_SUCCESS);
    assert_int_equal(count(&f, f.a), 1);
    /* The waiting has a limit. */
    assert_int_equal(lock(&f, f.a, "pw", true), AGENT_SUCCESS);
    for (int i = 1; i <= 102; i++) {
        assert_int_equal(lock(&f, f.a, "no", false), 0);
        ms at = agent_server_deadline(f.s);
        f.now += 100;
        assert_true(i > 100 ? at - f.now <= 9900 : true);
        f.now = at;
        agent_server_tick(f.s, at, WALL_S);
        assert_int_equal(take(&f, f.a), AGENT_FAILURE);
    }
    assert_int_equal(lock(&f, f.a, "pw", false), AGENT_SUCCESS);
    stop(&f);
}

static void extensions(UNUSED void **state)
{
    struct fixture f;
    struct view name, data;
    start(&f, (struct agent_server_config){});
    assert_ok(agent_put_query(&f.request));
    assert_int_equal(ask(&f, f.a), AGENT_EXTENSION_RESPONSE);
    assert_ok(agent_get_extension_response(buf_view(&f.body), &name, &data));
    assert_view(name, "query");
    struct rd r = rd_of(data);
    assert_view(rd_string(&r), "query");
    assert_view(rd_string(&r), "session-bind@openssh.com");
    assert_ok(rd_end(&r));
    assert_int_equal(ask_raw(&f, f.a, VIEW_LIT("\33\0\0\0\3abc")), AGENT_FAILURE);
    assert_int_equal(ask_raw(&f, f.a, VIEW_LIT("\33\0\0\0\30session-bind@openssh.comx")), AGENT_FAILURE);
    stop(&f);
}

static void every_number_alone_is_answered(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){});
    for (int number = 0; number < 256; number++) {
        uint8_t body[300] = { (uint8_t)number };
        for (size_t len = 1; len < sizeof(body); len += 13) {
            memset(body + 1, len % 3 == 0 ? 0xff : 0, sizeof(body) - 1);
            int answer = ask_raw(&f, f.a, view_of(body, len));
            struct agent_question q;
            if (answer == 0) { /* a provider without a name */
                assert_true(agent_server_next(f.s, &q));
                assert_ok(agent_server_answer(f.s, q.id, &(struct agent_answer){}));
                answer = take(&f, f.a);
            }
            bool is_fine = number == AGENT_REQUEST_IDENTITIES          ? answer == AGENT_IDENTITIES_ANSWER
                           : number == AGENT_REMOVE_ALL || number == 9 ? answer == AGENT_SUCCESS
                                                                       : answer == AGENT_FAILURE;
            if (!is_fine) fail_msg("number %d length %zu: answer %d", number, len, answer);
        }
    }
    stop(&f);
}

static void frames_without_sense_end_the_client(UNUSED void **state)
{
    struct fixture f;
    uint8_t *area;
    size_t room;
    start(&f, (struct agent_server_config){});
    agent_client_input(f.a, &area, &room);
    memcpy(area, "\0\4\0\1", 4);
    assert_int_equal(agent_client_received(f.a, 4), ERR_LIMIT);
    assert_int_equal(agent_client_error(f.a), ERR_LIMIT);
    agent_client_input(f.b, &area, &room);
    memcpy(area, "\0\0\0\0", 4);
    assert_int_equal(agent_client_received(f.b, 4), ERR_LIMIT);
    agent_client_input(f.b, &area, &room);
    assert_int_equal(room, 0);
    stop(&f);
}

/* Who does not read is not read from. */
static void answers_have_a_bound(UNUSED void **state)
{
    struct fixture f;
    start(&f, (struct agent_server_config){});
    for (int i = 0; i < 2; i++) assert_int_equal(add(&f, f.a, test_ed25519_private, NULL), AGENT_SUCCESS);
    assert_ok(agent_put_request_identities(&f.request));
    uint8_t *area;
    size_t room = 1, n = 0;
    for (; n < 1000000; n++) {
        agent_client_input(f.b, &area, &room);
        if (room == 0) break;
        memcpy(area, "\0\0\0\1\13", 5);
        assert_ok(agent_client_received(f.b, 5));
    }
    assert_int_equal(room, 0);
    assert_true(agent_client_output(f.b).len < AGENT_FRAME_BYTES_MAX + 1000);
    while (take(&f, f.b)) n--;
    assert_int_equal(n, 0);
    agent_client_input(f.b, &area, &room);
    assert_true(room > 0);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_added_listed_used_and_removed),
        cmocka_unit_test(requests_in_a_row_and_in_pieces),
        cmocka_unit_test(lifetimes_end),
        cmocka_unit_test(use_is_confirmed),
        cmocka_unit_test(locking),
        cmocka_unit_test(extensions),
        cmocka_unit_test(every_number_alone_is_answered),
        cmocka_unit_test(frames_without_sense_end_the_client),
        cmocka_unit_test(answers_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
