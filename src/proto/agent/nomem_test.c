/* Each allocation failing in turn while an agent serves: a client is answered FAILURE or closed, the agent goes on, nothing leaks,
 * and no limit of a key is lost for want of memory. Linked with --wrap for malloc, calloc and realloc. */
#include "proto/agent/server_test.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);

static long countdown = -1; /* allocations until the one that fails; -1: none does */
static bool has_failed;

static bool fails(void)
{
    if (countdown < 0 || countdown-- > 0) return false;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t each) { return fails() ? NULL : __real_calloc(n, each); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }

/* A request to a client of its own, with allocation k failing. The answer's number; 0: parked or closed. */
static int ask_failing(struct fixture *f, const struct buf *request, long k)
{
    struct agent_client *c = NULL;
    struct view rest = buf_view(request);
    int answer = 0, err;
    has_failed = false;
    countdown = k;
    err = agent_client_new(f->s, &c);
    while (err == 0 && rest.len) {
        uint8_t *area;
        size_t room;
        agent_client_input(c, &area, &room);
        if (room == 0) break;
        room = MIN(room, rest.len);
        memcpy(area, rest.p, room);
        err = agent_client_received(c, room);
        rest = view_sub(rest, room, rest.len);
    }
    countdown = -1;
    if (err == 0) answer = take(f, c);
    agent_client_free(c);
    return answer;
}

/* Until nothing fails any more, when the answer has to be expected. */
static void each_failing(struct fixture *f, const struct buf *request, int expected, void (*check)(struct fixture *f))
{
    int answer;
    long k = 0;
    do {
        answer = ask_failing(f, request, k++);
        if (check) check(f);
        if (has_failed && answer == expected) continue; /* one that was not needed, in libcrypto's caches */
        if (has_failed) assert_true(answer == 0 || answer == AGENT_FAILURE);
    } while (has_failed);
    assert_int_equal(answer, expected);
}

/* Whatever failed, the key does not sign for a client that is bound nowhere. */
static void still_limited(struct fixture *f)
{
    if (agent_server_n_keys(f->s) == 0) return;
    assert_int_equal(sign(f, f->b, test_ed25519_public, view_str("x"), ""), AGENT_FAILURE);
}

/* Where the lock held although something failed, it opens. */
static void unlock(struct fixture *f)
{
    if (count(f, f->b) == 0) assert_int_equal(lock(f, f->b, "pw", false), AGENT_SUCCESS);
}

static void every_allocation_fails_once(UNUSED void **state)
{
    struct fixture f;
    CLEANUP(buf_done) struct buf request = BUF_INIT(1 << 18), to = BUF_INIT(1 << 16);
    CLEANUP(key_unrefp) struct key *k = test_private(test_ed25519_private), *plain = test_private(test_ecdsa384_private);
    start(&f, (struct agent_server_config){});
    put_destination(&to, NULL, "me", &hosts[0]);
    assert_ok(
        agent_put_add(&request, k, view_str("c"), &(struct agent_constraints){ .lifetime_s = 9, .destinations = buf_view(&to) }));
    each_failing(&f, &request, AGENT_SUCCESS, still_limited);
    buf_reset(&request);
    assert_ok(agent_put_add(&request, plain, view_str("c"), NULL));
    each_failing(&f, &request, AGENT_SUCCESS, NULL);
    buf_reset(&request);
    assert_ok(agent_put_sign(&request, key_blob(plain), view_str("x"), VIEW_EMPTY));
    each_failing(&f, &request, AGENT_SIGN_RESPONSE, NULL);
    buf_reset(&request);
    assert_ok(agent_put_request_identities(&request));
    each_failing(&f, &request, AGENT_IDENTITIES_ANSWER, NULL);
    buf_reset(&request);
    assert_ok(agent_put_lock(&request, view_str("pw"), true));
    each_failing(&f, &request, AGENT_SUCCESS, unlock);
    assert_int_equal(count(&f, f.a), 2);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_fails_once) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
