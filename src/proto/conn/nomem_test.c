/* Each allocation failing in turn: every call that needs memory gives ERR_NOMEM without effect, and works when it is made again.
 * Linked with
 * --wrap for malloc, calloc and realloc. */
#include "proto/conn/conn_pair.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);

static long countdown = -1; /* allocations until the one that fails; -1: none does */
static unsigned n_failed;

static bool fails(void)
{
    if (countdown < 0) return false;
    if (countdown-- > 0) return false;
    n_failed++;
    return true;
}

void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t each) { return fails() ? NULL : __real_calloc(n, each); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }

/* Makes the call with its first allocation failing, its second, ..., and again without; the last result is the call's. */
#define EACH_FAILING(call)                        \
    ({                                            \
        int result_;                              \
        for (long k_ = 0;; k_++) {                \
            unsigned before_ = n_failed;          \
            countdown = k_;                       \
            result_ = (call);                     \
            countdown = -1;                       \
            if (n_failed == before_) break;       \
            assert_int_equal(result_, ERR_NOMEM); \
        }                                         \
        result_;                                  \
    })

static int give_open(struct pair_end *e, struct conn_event *ret)
{
    return PAIR_GIVE(e, ret, channel_open, .type = VIEW_LIT("session"), .sender = 1, .window_bytes = 99, .packet_max_bytes = 99);
}

static int give_global(struct pair_end *e, struct conn_event *ret)
{
    return PAIR_GIVE(e, ret, global_request, .name = VIEW_LIT("g"), .want_reply = true);
}

static void test_each_allocation(void **unused)
{
    (void)unused;
    static const struct conn_config plain;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    channel_id a;
    uint32_t questions[20];
    for (channel_id i = 0; i < 20; i++) {
        assert_int_equal(EACH_FAILING(give_open(&p->b, &ev)), 1);
        assert_int_equal(ev.channel, i);
        assert_int_equal(conn_open_accept(p->b.conn, i, VIEW_EMPTY), 0);
    }
    for (channel_id i = 0; i < 20; i++) {
        assert_int_equal(EACH_FAILING(conn_open(p->a.conn, "session", VIEW_EMPTY, &a)), 0);
        assert_int_equal(a, i);
        assert_int_equal(p->a.n_packets, i + 1);
    }
    for (int i = 0; i < 20; i++) assert_int_equal(EACH_FAILING(conn_global_request(p->a.conn, "g", true, 1, VIEW_EMPTY)), 0);
    assert_int_equal(p->a.n_packets, 40);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(EACH_FAILING(give_global(&p->b, &ev)), 1);
        questions[i] = ev.question;
    }
    for (int i = 19; i > 0; i--)
        assert_int_equal(EACH_FAILING(conn_answer_global(p->b.conn, questions[i], true, VIEW_LIT("kept"))), 0);
    CLEANUP(buf_done) struct buf out = BUF_INIT(SIZE_MAX);
    assert_int_equal(EACH_FAILING(conn_export(p->b.conn, &out)), 0);
    struct conn *c = NULL;
    assert_int_equal(EACH_FAILING(conn_import(&plain, buf_view(&out), &c)), 0);
    assert_int_equal(conn_n_channels(c), 20);
    conn_free(c);
    c = NULL;
    assert_int_equal(EACH_FAILING(conn_new(&plain, &c)), 0);
    conn_free(c);
    assert_true(n_failed > 40);
    pair_free(p);
}

static void test_data_needs_no_memory(void **unused)
{
    (void)unused;
    struct pair *p = pair_new(NULL, NULL);
    struct conn_event ev;
    channel_id a, b;
    uint8_t *area;
    size_t len;
    pair_open(p, &a, &b);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(conn_write_reserve(p->a.conn, a, 0, SIZE_MAX, &area, &len), 0);
        assert_int_equal(conn_write_commit(p->a.conn, a, len), 0);
        unsigned before = n_failed;
        struct pair_packet *packet = pair_take(&p->a);
        countdown = 0;
        int r = conn_packet(p->b.conn, view_of(packet->bytes, packet->len), &ev);
        countdown = -1;
        assert_true(r == 1 && n_failed == before);
        assert_int_equal(conn_consumed(p->b.conn, b, len), 0);
        test_free(packet);
        pair_quiet(&p->a);
    }
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation),
        cmocka_unit_test(test_data_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
