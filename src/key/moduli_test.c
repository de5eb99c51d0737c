#include "key/moduli.h"
#include "key/test_util.h"

/* The numbers are no primes: nobody looks here. */
static const char file[] = "# Time Type Tests Tries Size Generator Modulus\n"
                           "20220101000000 2 6 100 2047 2 E1\n"
                           "20220101000000 2 6 100 2047 5 E3\n"
                           "20220101000000 2 6 100 4095 2 F5F\n"
                           "20220101000000 2 6 100 3071 2 D7\n"
                           "20220101000000 4 6 100 3071 2 D9\n"
                           "20220101000000 2 7 100 3071 2 DB\n"
                           "20220101000000 2 0 100 3071 2 DD\n"
                           "20220101000000 2 6 100 3071 2\n"
                           "20220101000000 2 6 100 8191 2 FF";

static unsigned choose(unsigned min, unsigned want, unsigned max, uint8_t seed, unsigned *ret_p)
{
    const struct random random = { test_random_fill, &seed };
    struct moduli_group g;
    int err = moduli_choose(view_str(file), min, want, max, &random, &g);
    if (err == ERR_NOT_FOUND) return 0;
    assert_ok(err);
    *ret_p = 0;
    for (size_t i = 0; i < buf_len(&g.p); i++) *ret_p = *ret_p << 8 | buf_bytes(&g.p)[i];
    assert_int_equal(buf_len(&g.g), 1);
    unsigned bits = g.bits;
    moduli_group_done(&g);
    return bits;
}

static void the_nearest_size_is_chosen(UNUSED void **state)
{
    unsigned p;
    assert_int_equal(choose(2048, 3072, 8192, 0, &p), 3072);
    assert_int_equal(p, 0xd7);
    assert_int_equal(choose(2048, 2049, 8192, 0, &p), 3072);
    assert_int_equal(choose(2048, 3073, 8192, 0, &p), 4096);
    assert_int_equal(p, 0xf5f);
    assert_int_equal(choose(2048, 8192, 8192, 0, &p), 8192);
    assert_int_equal(p, 0xff);
    assert_int_equal(choose(2048, 8192, 8000, 0, &p), 4096); /* none above: the largest below */
    assert_int_equal(choose(5000, 5000, 8000, 0, &p), 0);
    assert_int_equal(choose(1024, 1024, 8192, 0, &p), 2048);
    assert_int_equal(p, 0xe1);
    assert_int_equal(choose(1024, 1024, 8192, 1, &p), 2048); /* the random number decides between equals */
    assert_int_equal(p, 0xe3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_nearest_size_is_chosen) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
