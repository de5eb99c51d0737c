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

static void lines_are_read_and_written(UNUSED void **state)
{
    struct moduli_line l;
    CLEANUP(buf_done) struct buf number = BUF_INIT(MODULI_NUMBER_BYTES_MAX), out = BUF_INIT(4096);
    assert_true(moduli_line_parse(VIEW_LIT("  20220101000000 4 2 0 11 0 0F5f \r"), &l));
    assert_int_equal(l.type, MODULI_TYPE_SOPHIE_GERMAIN);
    assert_int_equal(l.tests, MODULI_TESTS_SIEVE);
    assert_int_equal(l.bits, 12);
    assert_ok(moduli_line_number(&l, &number));
    assert_int_equal(buf_len(&number), 2);
    l.trials = 7;
    l.generator = 5;
    assert_ok(moduli_line_put(&l, "20230101000000", buf_view(&number), &out));
    assert_view(buf_view(&out), "20230101000000 4 2 7 11 5 F5F\n");
    static const char *const bad[] = { "", "# c", "1 2 3", "1 2 3 4 5 6", "1 2 x 4 5 6 FF", "1 2 3 4 5 6666666 FF" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(moduli_line_parse(view_str(bad[i]), &l));
    assert_true(moduli_line_parse(VIEW_LIT("1 2 3 4 5 2 FG"), &l));
    assert_int_equal(moduli_line_number(&l, &number), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_nearest_size_is_chosen),
                                        cmocka_unit_test(lines_are_read_and_written) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
