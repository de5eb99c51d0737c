/* What the tests of this folder share: cmocka in its order of includes, and short ways to keys. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/random.h"
#include "key/private_file.h"
#include "key/public_line.h"
#include "key/test_keys.h"

#define assert_ok(call) assert_int_equal((call), 0)
#define assert_view(v, text)                                         \
    do {                                                             \
        struct view v_ = (v);                                        \
        assert_int_equal(v_.len, strlen(text));                      \
        if (v_.len) assert_memory_equal(v_.p, (text), strlen(text)); \
    } while (0)

UNUSED static struct key *test_public(const char *line)
{
    struct key *k = NULL;
    assert_ok(public_line_parse(view_str(line), &k));
    return k;
}

UNUSED static struct key *test_private(const char *file)
{
    struct key *k = NULL;
    assert_ok(private_file_parse(view_str(file), view_str("secret"), &k));
    return k;
}

UNUSED static void test_decode(const char *text, struct buf *out) { assert_ok(base64_get(view_str(text), out)); }

/* Counts up: random enough for a test, the same each time. */
UNUSED static int test_random_fill(void *arg, uint8_t *ret, size_t len)
{
    uint8_t *next = arg;
    for (size_t i = 0; i < len; i++) ret[i] = (*next)++;
    return 0;
}
