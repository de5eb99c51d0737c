/* Each allocation of a whole life of two engines fails in turn: always an error code, never a crash, nothing lost (under ASan).
 * Linked with
 * --wrap for the allocating functions. */
#include "proto/transport/transport_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static long countdown = -1; /* allocations that still succeed; < 0: all do */

static bool fails(void) { return countdown >= 0 && countdown-- == 0; }
void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }
char *__wrap_strdup(const char *s) { return fails() ? NULL : __real_strdup(s); }

static struct key *ed25519;

static int move_house(struct end *e)
{
    CLEANUP(buf_done) struct buf image = BUF_INIT_SECRET(SIZE_MAX);
    struct transport *t;
    TRY(transport_export(e->t, &image));
    TRY(transport_import(buf_view(&image), &e->rnd, NULL, 0, &t));
    transport_free(e->t);
    e->t = t;
    return 0;
}

static int check_ends(const struct pair *p)
{
    TRY(p->c.err);
    return p->s.err;
}

static int life(struct pair *p)
{
    TRY(pair_start(p));
    TRY(transport_request_service(p->c.t, "ssh-userauth"));
    TRY(end_send(&p->c, VIEW_LIT("\x32 a packet")));
    pair_run(p);
    TRY(check_ends(p));
    transport_authenticated(p->c.t);
    transport_authenticated(p->s.t);
    TRY(end_send(&p->c, VIEW_LIT("\x5e more")));
    TRY(transport_rekey(p->s.t));
    TRY(end_send(&p->s, VIEW_LIT("\x5e held")));
    pair_run(p);
    TRY(check_ends(p));
    TRY(move_house(&p->c));
    TRY(move_house(&p->s));
    TRY(end_send(&p->c, VIEW_LIT("\x5e again")));
    pair_run(p);
    TRY(check_ends(p));
    return buf_len(&p->s.received) ? 0 : ERR_BUG;
}

static void fail_in_turn(const char *kex, const char *mac, const char *compression)
{
    for (long n = 0;; n++) {
        struct pair p;
        pair_init(&p, ed25519);
        p.cc.algorithms.kex = p.sc.algorithms.kex = kex;
        p.cc.algorithms.cipher_c2s = p.sc.algorithms.cipher_c2s = "aes128-ctr";
        p.cc.algorithms.mac_c2s = p.sc.algorithms.mac_c2s = mac;
        p.cc.algorithms.compression_c2s = p.sc.algorithms.compression_c2s = compression;
        p.cc.gex_max_bits = 2048;
        countdown = n;
        int err = life(&p);
        bool none_failed = countdown >= 0;
        countdown = -1;
        pair_done(&p);
        if (none_failed) {
            assert_int_equal(err, 0);
            assert_true(n > 50);
            return;
        }
        if (err >= 0) fail_msg("allocation %ld failed and nobody noticed", n);
    }
}

static void test_each_allocation_fails(UNUSED void **state)
{
    assert_int_equal(key_generate(key_type_find(VIEW_LIT("ssh-ed25519")), 0, &ed25519), 0);
    fail_in_turn("curve25519-sha256", "hmac-sha2-256", "none");
    fail_in_turn("mlkem768x25519-sha256", "umac-64-etm@openssh.com", "zlib@openssh.com");
    fail_in_turn("diffie-hellman-group-exchange-sha256", "hmac-sha2-512-etm@openssh.com", "zlib");
    key_unref(ed25519);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_allocation_fails) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
