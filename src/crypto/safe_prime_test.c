#include "crypto/safe_prime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool is_safe(uint64_t p, unsigned *ret_generator)
{
    uint8_t bytes[8];
    bool good = false;
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(p >> (56 - 8 * i));
    assert_int_equal(safe_prime_check(view_of(bytes, 8), 1, &good, ret_generator), 0);
    return good;
}

static bool generates_all(uint64_t g, uint64_t p)
{
    uint64_t x = g, order = 1;
    for (; x != 1; order++) x = x * g % p;
    return order == p - 1;
}

static void small_safe_primes_and_their_generators(void **state)
{
    (void)state;
    static const uint64_t safe[] = {
        11, 23, 47, 59, 83, 107, 167, 179, 227, 263, 347, 359, 383, 467, 479, 503, 563, 587, 719, 839
    };
    size_t next = 0;
    unsigned g;
    for (uint64_t p = 8; p < 840; p++) {
        bool expected = p == safe[next];
        assert_int_equal(is_safe(p, &g), expected);
        if (!expected) continue;
        next++;
        if (g) assert_true(generates_all(g, p));
    }
}

struct seen {
    size_t n;
    int stop_with;
};

static int look(void *arg, struct view q)
{
    struct seen *s = arg;
    static const unsigned small[] = { 3, 5, 7, 11, 13, 101, 1009, 1048573 };
    for (size_t i = 0; i < ARRAY_LEN(small); i++) {
        uint64_t rest = 0;
        for (size_t k = 0; k < q.len; k++) rest = (rest << 8 | q.p[k]) % small[i];
        assert_int_not_equal(rest, 0);
        assert_int_not_equal((2 * rest + 1) % small[i], 0);
    }
    assert_true(q.p[q.len - 1] & 1);
    s->n++;
    return s->stop_with;
}

static void candidates_have_no_small_factor(void **state)
{
    (void)state;
    uint8_t start[64] = { 0x7f, 0x12, 0x34 };
    struct seen s = {};
    assert_int_equal(safe_prime_sieve(view_of(start, 64), 4096, look, &s), 0);
    assert_in_range(s.n, 50, 500); /* of 32768 */
    s = (struct seen){ .stop_with = ERR_CANCELLED };
    assert_int_equal(safe_prime_sieve(view_of(start, 64), 4096, look, &s), ERR_CANCELLED);
    assert_int_equal(s.n, 1);
    assert_int_equal(safe_prime_sieve(view_of(start, 32), 4096, look, &s), ERR_RANGE);
    static const uint8_t huge[4096];
    bool good;
    unsigned g;
    assert_int_equal(safe_prime_sieve(view_of(huge, 4096), 4096, look, &s), ERR_RANGE);
    assert_int_equal(safe_prime_check(view_of(huge, 4096), 1, &good, &g), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_safe_primes_and_their_generators),
        cmocka_unit_test(candidates_have_no_small_factor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
