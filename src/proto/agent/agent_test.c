#include "proto/agent/agent.h"

#include "base/wr.h"
#include "key/private_blob.h"
#include "key/test_util.h"

/* The body of the one frame in b. */
static struct view body_of(const struct buf *b)
{
    struct view body;
    size_t used;
    assert_int_equal(agent_frame_next(buf_view(b), &body, &used), 1);
    assert_int_equal(used, buf_len(b));
    return body;
}

static void frames_are_cut(UNUSED void **state)
{
    struct view body = VIEW_EMPTY;
    size_t used = 99;
    for (size_t n = 0; n < 6; n++) assert_int_equal(agent_frame_next(view_of("\0\0\0\2\6x", n), &body, &used), 0);
    assert_int_equal(used, 99);
    assert_int_equal(agent_frame_next(view_of("\0\0\0\2\6xrest", 10), &body, &used), 1);
    assert_int_equal(used, 6);
    assert_view(body, "\6x");
    assert_int_equal(agent_frame_next(view_of("\0\0\0\0", 4), &body, &used), ERR_LIMIT);
    assert_int_equal(agent_frame_next(view_of("\0\4\0\1", 4), &body, &used), ERR_LIMIT);
}

static void short_requests(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
    assert_ok(agent_put_request_identities(&b));
    assert_ok(agent_put_remove_all(&b));
    assert_ok(agent_put_lock(&b, view_str("pw"), true));
    assert_ok(agent_put_lock(&b, view_str("pw"), false));
    assert_ok(agent_put_remove(&b, view_str("blob")));
    assert_ok(agent_put_query(&b));
    static const char expected[] = "\0\0\0\1\13"
                                   "\0\0\0\1\23"
                                   "\0\0\0\7\26\0\0\0\2pw"
                                   "\0\0\0\7\27\0\0\0\2pw"
                                   "\0\0\0\11\22\0\0\0\4blob"
                                   "\0\0\0\12\33\0\0\0\5query";
    assert_int_equal(buf_len(&b), sizeof(expected) - 1);
    assert_memory_equal(buf_bytes(&b), expected, sizeof(expected) - 1);
}

static void sign_requests_have_the_flags_of_their_algorithm(UNUSED void **state)
{
    static const struct row {
        const char *algorithm;
        uint32_t flags;
    } rows[] = { { "ssh-ed25519", 0 },
                 { "ecdsa-sha2-nistp384", 0 },
                 { "ssh-rsa", 0 },
                 { "rsa-sha2-256", 2 },
                 { "rsa-sha2-512", 4 },
                 { "rsa-sha2-512-cert-v01@openssh.com", 4 },
                 { "", 0 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
        assert_ok(agent_put_sign(&b, view_str("key"), view_str("data"), view_str(rows[i].algorithm)));
        struct rd r = rd_of(body_of(&b));
        assert_int_equal(rd_u8(&r), AGENT_SIGN_REQUEST);
        assert_view(rd_string(&r), "key");
        assert_view(rd_string(&r), "data");
        assert_int_equal(rd_u32(&r), rows[i].flags);
        assert_ok(rd_end(&r));
    }
}

static void keys_are_added(UNUSED void **state)
{
    static const char *const files[] = { test_ed25519_private, test_ecdsa_private, test_rsa_private };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(key_unrefp) struct key *k = test_private(files[i]), *again = NULL;
        CLEANUP(buf_done) struct buf b = BUF_INIT_SECRET(8192);
        struct agent_constraints c = { .lifetime_s = 60, .confirm = true, .destinations = view_str("dest") };
        assert_ok(agent_put_add(&b, k, view_str("my comment"), i ? &c : NULL));
        struct rd r = rd_of(body_of(&b));
        assert_int_equal(rd_u8(&r), i ? AGENT_ADD_ID_CONSTRAINED : AGENT_ADD_IDENTITY);
        assert_ok(private_blob_get(&r, &again));
        assert_true(key_equal_public(k, again));
        assert_true(key_has_private(again));
        assert_view(rd_string(&r), "my comment");
        if (i) {
            assert_int_equal(rd_u8(&r), 1);
            assert_int_equal(rd_u32(&r), 60);
            assert_int_equal(rd_u8(&r), 2);
            assert_int_equal(rd_u8(&r), 255);
            assert_view(rd_string(&r), "restrict-destination-v00@openssh.com");
            assert_view(rd_string(&r), "dest");
        }
        assert_ok(rd_end(&r));
    }
}

static void failed_requests_leave_nothing(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *public = test_public(test_rsa_public);
    CLEANUP(buf_done) struct buf b = BUF_INIT(8);
    assert_ok(buf_put_str(&b, "abc"));
    assert_int_equal(agent_put_remove(&b, view_str("blob")), ERR_LIMIT);
    assert_view(buf_view(&b), "abc");
    assert_int_equal(agent_put_add(&b, public, VIEW_EMPTY, NULL), ERR_KEY_INVALID);
    assert_view(buf_view(&b), "abc");
}

static void session_bind_is_put(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
    assert_ok(agent_put_session_bind(&b, view_str("hostkey"), view_str("id"), view_str("sig"), true));
    struct rd r = rd_of(body_of(&b));
    assert_int_equal(rd_u8(&r), AGENT_EXTENSION);
    assert_view(rd_string(&r), "session-bind@openssh.com");
    assert_view(rd_string(&r), "hostkey");
    assert_view(rd_string(&r), "id");
    assert_view(rd_string(&r), "sig");
    assert_int_equal(rd_u8(&r), 1);
    assert_ok(rd_end(&r));
}

static void identities_are_listed(UNUSED void **state)
{
    struct agent_identities list;
    struct view blob, comment;
    assert_ok(agent_get_identities(VIEW_LIT("\14\0\0\0\2\0\0\0\1a\0\0\0\2cA\0\0\0\1b\0\0\0\0"), &list));
    assert_int_equal(agent_identities_next(&list, &blob, &comment), 1);
    assert_view(blob, "a");
    assert_view(comment, "cA");
    assert_int_equal(agent_identities_next(&list, &blob, &comment), 1);
    assert_view(blob, "b");
    assert_view(comment, "");
    assert_int_equal(agent_identities_next(&list, &blob, &comment), 0);
    assert_ok(agent_get_identities(VIEW_LIT("\14\0\0\0\2\0\0\0\1a\0\0\0\2cA"), &list));
    assert_int_equal(agent_identities_next(&list, &blob, &comment), 1);
    assert_int_equal(agent_identities_next(&list, &blob, &comment), ERR_TRUNCATED);
    assert_ok(agent_get_identities(VIEW_LIT("\14\0\0\0\0x"), &list));
    assert_int_equal(agent_identities_next(&list, &blob, &comment), ERR_TRAILING);
    assert_int_equal(agent_get_identities(VIEW_LIT("\14\0\0\xff\xff"), &list), ERR_LIMIT);
    assert_int_equal(agent_get_identities(VIEW_LIT("\5"), &list), ERR_AGENT_REFUSED);
}

static void answers_are_told_apart(UNUSED void **state)
{
    struct view a, b;
    assert_ok(agent_get_success(VIEW_LIT("\6")));
    assert_int_equal(agent_get_success(VIEW_LIT("\5")), ERR_AGENT_REFUSED);
    assert_int_equal(agent_get_success(VIEW_LIT("\34")), ERR_AGENT_REFUSED);
    assert_int_equal(agent_get_success(VIEW_LIT("\14")), ERR_UNEXPECTED_MESSAGE);
    assert_int_equal(agent_get_success(VIEW_EMPTY), ERR_TRUNCATED);
    assert_ok(agent_get_signature(VIEW_LIT("\16\0\0\0\3sig"), &a));
    assert_view(a, "sig");
    assert_int_equal(agent_get_signature(VIEW_LIT("\16\0\0\0\3sigx"), &a), ERR_TRAILING);
    assert_int_equal(agent_get_signature(VIEW_LIT("\6"), &a), ERR_UNEXPECTED_MESSAGE);
    assert_ok(agent_get_extension_response(VIEW_LIT("\35\0\0\0\5queryxyz"), &a, &b));
    assert_view(a, "query");
    assert_view(b, "xyz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_cut),
        cmocka_unit_test(short_requests),
        cmocka_unit_test(sign_requests_have_the_flags_of_their_algorithm),
        cmocka_unit_test(keys_are_added),
        cmocka_unit_test(failed_requests_leave_nothing),
        cmocka_unit_test(session_bind_is_put),
        cmocka_unit_test(identities_are_listed),
        cmocka_unit_test(answers_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
