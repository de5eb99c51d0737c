/* The grid of keystroke timing, with a clock of its own. */
#include "prog/ssh/keystrokes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    INTERVAL = 20,
    START = 1000
};

static int fill(void *arg, uint8_t *ret, size_t len)
{
    const int *byte = arg;
    if (*byte < 0) return ERR_SYS(5);
    memset(ret, *byte, len);
    return 0;
}

static void begin(struct keystrokes *k, struct random *rnd, int *byte)
{
    *rnd = (struct random){ fill, byte };
    keystrokes_init(k, INTERVAL, rnd);
}

static void test_off_sends_at_once(UNUSED void **state)
{
    int byte = 0;
    struct random rnd = { fill, &byte };
    struct keystrokes k;
    keystrokes_init(&k, 0, &rnd);
    for (ms now = START; now < START + 50; now += 3) assert_true(keystrokes_typed(&k, 1, now));
    assert_true(keystrokes_deadline(&k) == MS_NEVER);
    assert_int_equal(keystrokes_tick(&k, START + 100), KEYSTROKES_SEND_NOTHING);
}

static void test_first_at_once_then_grid(UNUSED void **state)
{
    int byte = 0;
    struct random rnd;
    struct keystrokes k;
    begin(&k, &rnd, &byte);
    assert_true(keystrokes_typed(&k, 1, START));
    assert_int_equal(keystrokes_deadline(&k), START + INTERVAL);
    assert_false(keystrokes_typed(&k, 1, START + 5));
    assert_false(keystrokes_typed(&k, 2, START + 7)); /* still the two that are held */
    assert_int_equal(keystrokes_tick(&k, START + 10), KEYSTROKES_SEND_NOTHING);
    assert_int_equal(keystrokes_tick(&k, START + INTERVAL), KEYSTROKES_SEND_HELD);
    assert_int_equal(keystrokes_deadline(&k), START + 2 * INTERVAL);
    assert_int_equal(keystrokes_tick(&k, START + 2 * INTERVAL), KEYSTROKES_SEND_CHAFF);
    /* a late tick does not shift the grid */
    assert_int_equal(keystrokes_tick(&k, START + 3 * INTERVAL + 7), KEYSTROKES_SEND_CHAFF);
    assert_int_equal(keystrokes_deadline(&k), START + 4 * INTERVAL);
}

/* What an observer sees must not depend on when keys were struck: one packet at each instant until the chaff ends. */
static void test_every_instant_sends_one(UNUSED void **state)
{
    int byte = 0;
    struct random rnd;
    struct keystrokes k;
    begin(&k, &rnd, &byte);
    unsigned seed = 7;
    size_t held = 0, sent = 0, struck = 1;
    assert_true(keystrokes_typed(&k, 1, START));
    ms typing_end = START + 3000, last = START;
    for (ms now = START + 1; keystrokes_deadline(&k) != MS_NEVER; now++) {
        seed = seed * 1103515245 + 12345;
        if (now < typing_end && (seed >> 16) % 97 == 0) {
            held++, struck++, last = now;
            assert_false(keystrokes_typed(&k, held, now));
        }
        if (now != keystrokes_deadline(&k)) continue;
        assert_int_equal((now - START) % INTERVAL, 0);
        enum keystrokes_send what = keystrokes_tick(&k, now);
        assert_int_equal(what == KEYSTROKES_SEND_HELD, held > 0);
        if (what == KEYSTROKES_SEND_HELD) sent += held, held = 0;
        if (what == KEYSTROKES_SEND_NOTHING) {
            assert_true(now >= last + KEYSTROKES_CHAFF_MIN_MS && now <= last + KEYSTROKES_CHAFF_MIN_MS + INTERVAL);
            assert_true(keystrokes_deadline(&k) == MS_NEVER);
        }
    }
    assert_int_equal(sent + 1, struck);
    assert_true(struck > 10);
}

static ms chaff_length(int byte)
{
    struct random rnd;
    struct keystrokes k;
    begin(&k, &rnd, &byte);
    assert_true(keystrokes_typed(&k, 1, START));
    ms now = START;
    while (keystrokes_deadline(&k) != MS_NEVER) {
        now = keystrokes_deadline(&k);
        (void)keystrokes_tick(&k, now);
    }
    return now - START;
}

static void test_chaff_length_is_random_and_bounded(UNUSED void **state)
{
    ms shortest = 10000, longest = 0;
    for (int byte = 0; byte < 256; byte++) {
        ms n = chaff_length(byte);
        shortest = MIN(shortest, n);
        longest = MAX(longest, n);
    }
    assert_true(shortest >= KEYSTROKES_CHAFF_MIN_MS && shortest <= KEYSTROKES_CHAFF_MIN_MS + 2 * INTERVAL);
    assert_true(longest <= KEYSTROKES_CHAFF_MIN_MS + KEYSTROKES_CHAFF_SPAN_MS + INTERVAL &&
                longest >= KEYSTROKES_CHAFF_MIN_MS + 1900);
    assert_true(chaff_length(-1) >= KEYSTROKES_CHAFF_MIN_MS + KEYSTROKES_CHAFF_SPAN_MS);
}

static void test_paste_is_not_held(UNUSED void **state)
{
    int byte = 0;
    struct random rnd;
    struct keystrokes k;
    begin(&k, &rnd, &byte);
    assert_true(keystrokes_typed(&k, KEYSTROKES_BULK_BYTES, START));
    assert_true(keystrokes_deadline(&k) == MS_NEVER);
    assert_true(keystrokes_typed(&k, 1, START));
    assert_false(keystrokes_typed(&k, 1, START + 1));
    assert_true(keystrokes_typed(&k, 1 + KEYSTROKES_BULK_BYTES, START + 2));
    assert_true(keystrokes_deadline(&k) == MS_NEVER);
}

static void test_missed_instants_and_stop(UNUSED void **state)
{
    int byte = 0;
    struct random rnd;
    struct keystrokes k;
    begin(&k, &rnd, &byte);
    assert_true(keystrokes_typed(&k, 1, START));
    assert_false(keystrokes_typed(&k, 1, START + 1));
    ms late = START + 60 * 1000 + 3;
    assert_int_equal(keystrokes_tick(&k, late), KEYSTROKES_SEND_HELD);
    assert_true(keystrokes_deadline(&k) > late && keystrokes_deadline(&k) <= late + INTERVAL);
    assert_int_equal(keystrokes_tick(&k, keystrokes_deadline(&k)), KEYSTROKES_SEND_NOTHING);
    assert_true(keystrokes_deadline(&k) == MS_NEVER);
    assert_true(keystrokes_typed(&k, 1, late));
    keystrokes_stop(&k);
    assert_true(keystrokes_deadline(&k) == MS_NEVER);
    assert_true(keystrokes_typed(&k, 1, late + 1));
    assert_true(keystrokes_typed(&k, 1, late + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_sends_at_once),       cmocka_unit_test(test_first_at_once_then_grid),
        cmocka_unit_test(test_every_instant_sends_one), cmocka_unit_test(test_chaff_length_is_random_and_bounded),
        cmocka_unit_test(test_paste_is_not_held),       cmocka_unit_test(test_missed_instants_and_stop),
    };
    return cmocka_run_group_tests_name("ssh/keystrokes", tests, NULL, NULL);
}
