/* Every row of messages.def, generated from it: what was put is got again; cut anywhere or with a byte more it is refused. */
#include "wire/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Values that differ from field to field, so that two that change places are noticed. */
static uint8_t seed;
UNUSED static uint8_t fill_u8(void) { return ++seed; }
static uint32_t fill_u32(void) { return 0x01020300u + ++seed; }
UNUSED static uint64_t fill_u64(void) { return 0x0102030405060700u + ++seed; }

static uint8_t pool[65536];
static size_t pool_used;
static struct view fill_bytes(size_t n, char first)
{
    uint8_t *p = pool + pool_used;
    seed++;
    assert_true(pool_used + n <= sizeof pool);
    memset(p, 'a' + seed % 26, n);
    if (n) p[0] = (uint8_t)first;
    pool_used += n;
    return view_of(p, n);
}

/* ---- one struct filled, put, got and compared, for each row ---- */

#define CHECK_CUTS(get, struct_type, encoded, min_len)                               \
    do {                                                                             \
        for (size_t n_ = 0; n_ < (encoded).len; n_++) {                              \
            struct struct_type got_, before_;                                        \
            memset(&got_, 0x5a, sizeof got_);                                        \
            memset(&before_, 0x5a, sizeof before_);                                  \
            uint8_t *exact_ = malloc(n_ + 1); /* so that ASan sees a byte too far */ \
            memcpy(exact_, (encoded).p, n_);                                         \
            int r_ = get(view_of(exact_, n_), &got_);                                \
            free(exact_);                                                            \
            if (n_ < (min_len)) {                                                    \
                assert_int_equal(r_, ERR_TRUNCATED);                                 \
                assert_memory_equal(&got_, &before_, sizeof got_); /* untouched */   \
            } else {                                                                 \
                assert_int_equal(r_, 0);                                             \
            }                                                                        \
        }                                                                            \
    } while (0)

static bool has_rest;

#include "wire/codec_fields_undef.h"
#define F_U8(x) m.x = fill_u8();
#define F_BOOL(x) m.x = ++seed % 2;
#define F_U32(x) m.x = fill_u32();
#define F_U64(x) m.x = fill_u64();
#define F_STRING(x) m.x = fill_bytes(4 + seed % 5, 0);
#define F_CSTRING(x) m.x = fill_bytes(4 + seed % 5, 'c');
#define F_NAMES(x) m.x = fill_bytes(4 + seed % 5, 'n');
#define F_MPINT(x) m.x = fill_bytes(4 + seed % 5, seed % 2 ? 0x7f : (char)0x80);
#define F_BYTES(x, n) m.x = fill_bytes(n, 'b');
#define F_REST(x) m.x = fill_bytes(3, 'r'), has_rest = true;
#define MESSAGE(name, number, fields)                  \
    static void fill_msg_##name(struct msg_##name *to) \
    {                                                  \
        struct msg_##name m = {};                      \
        fields *to = m;                                \
    }
#define BODY(name, fields)                               \
    static void fill_body_##name(struct body_##name *to) \
    {                                                    \
        struct body_##name m = {};                       \
        fields *to = m;                                  \
    }
#include "wire/messages.def"
#undef MESSAGE
#undef BODY

#include "wire/codec_fields_undef.h"
#define F_U8(x) assert_int_equal(a->x, b->x);
#define F_BOOL(x) assert_int_equal(a->x, b->x);
#define F_U32(x) assert_int_equal(a->x, b->x);
#define F_U64(x) assert_int_equal(a->x, b->x);
#define F_STRING(x) assert_true(view_eq(a->x, b->x));
#define F_CSTRING(x) assert_true(view_eq(a->x, b->x));
#define F_NAMES(x) assert_true(view_eq(a->x, b->x));
#define F_MPINT(x) assert_true(view_eq(a->x, b->x));
#define F_BYTES(x, n) assert_true(view_eq(a->x, b->x));
#define F_REST(x) assert_true(view_eq(a->x, b->x));
#define MESSAGE(name, number, fields) \
    static void same_msg_##name(UNUSED const struct msg_##name *a, UNUSED const struct msg_##name *b) { fields }
#define BODY(name, fields) \
    static void same_body_##name(UNUSED const struct body_##name *a, UNUSED const struct body_##name *b) { fields }
#include "wire/messages.def"
#undef MESSAGE
#undef BODY

/* Minimal length that is still a whole message: with a rest at the end, all but the rest. */
#define TEST_ROW(kind, name)                                                                     \
    static void test_##kind##_##name(UNUSED void **state)                                        \
    {                                                                                            \
        uint8_t area[4096];                                                                      \
        struct kind##_##name m, got;                                                             \
        for (int round = 0; round < 4; round++) {                                                \
            seed = (uint8_t)(round * 37);                                                        \
            pool_used = 0;                                                                       \
            has_rest = false;                                                                    \
            fill_##kind##_##name(&m);                                                            \
            struct wr w = wr_area(area, sizeof area);                                            \
            assert_int_equal(kind##_##name##_put(&w, &m), 0);                                    \
            assert_int_equal(kind##_##name##_get(view_of(area, w.len), &got), 0);                \
            same_##kind##_##name(&m, &got);                                                      \
            struct view encoded = view_of(area, w.len);                                          \
            CHECK_CUTS(kind##_##name##_get, kind##_##name, encoded, w.len - (has_rest ? 3 : 0)); \
            area[w.len] = 0;                                                                     \
            int r = kind##_##name##_get(view_of(area, w.len + 1), &got);                         \
            assert_int_equal(r, has_rest ? 0 : ERR_TRAILING);                                    \
            struct wr small = wr_area(area, w.len ? w.len - 1 : 0);                              \
            r = kind##_##name##_put(&small, &m);                                                 \
            assert_int_equal(r, w.len ? ERR_LIMIT : 0);                                          \
        }                                                                                        \
    }
#include "wire/codec_fields_undef.h"
#define MESSAGE(name, number, fields) TEST_ROW(msg, name)
#define BODY(name, fields) TEST_ROW(body, name)
#include "wire/messages.def"
#undef MESSAGE
#undef BODY

/* ---- the number ---- */

static void test_numbers(UNUSED void **state)
{
#define MESSAGE(name, number, fields)                                                           \
    {                                                                                           \
        uint8_t area[4096];                                                                     \
        struct msg_##name m, got;                                                               \
        struct wr w = wr_area(area, sizeof area);                                               \
        pool_used = 0;                                                                          \
        fill_msg_##name(&m);                                                                    \
        assert_int_equal(msg_##name##_put(&w, &m), 0);                                          \
        assert_int_equal(area[0], number);                                                      \
        assert_int_equal(MSG_##name##_NUMBER, number);                                          \
        assert_string_not_equal(msg_name(number), "unknown");                                   \
        area[0] ^= 0x80;                                                                        \
        assert_int_equal(msg_##name##_get(view_of(area, w.len), &got), ERR_UNEXPECTED_MESSAGE); \
    }
#define BODY(name, fields)
#include "wire/messages.def"
#undef MESSAGE
#undef BODY
    assert_string_equal(msg_name(0), "unknown");
    assert_string_equal(msg_name(255), "unknown");
    assert_string_equal(msg_name(20), "SSH2_MSG_KEXINIT");
}

/* ---- what the kinds of field refuse ---- */

static void test_kinds(UNUSED void **state)
{
    struct msg_service_request service;
    struct msg_userauth_failure failure;
    struct msg_kexdh_init init;
    struct msg_channel_request request;
    struct msg_kexinit kexinit = { .cookie = VIEW_LIT("not sixteen") };
    uint8_t area[200];
    struct wr w = wr_area(area, sizeof area);
#define GET(type, bytes, to) msg_##type##_get(VIEW_LIT(bytes), to)
    assert_int_equal(GET(service_request, "\x05\0\0\0\3a\0b", &service), ERR_FORMAT);
    assert_int_equal(GET(service_request, "\x05\xff\xff\xff\xff", &service), ERR_TRUNCATED);
    assert_int_equal(GET(userauth_failure, "\x33\0\0\0\3a,,\0", &failure), ERR_FORMAT);
    assert_int_equal(GET(userauth_failure, "\x33\0\0\0\3,ab\0", &failure), ERR_FORMAT);
    assert_int_equal(GET(userauth_failure, "\x33\0\0\0\3ab,\0", &failure), ERR_FORMAT);
    assert_int_equal(GET(userauth_failure, "\x33\0\0\0\3a b\0", &failure), ERR_FORMAT);
    assert_int_equal(GET(userauth_failure, "\x33\0\0\0\0\7", &failure), 0);
    assert_true(failure.partial);
    assert_int_equal(GET(kexdh_init, "\x1e\0\0\0\2\x80\1", &init), ERR_FORMAT); /* negative */
    assert_int_equal(GET(kexdh_init, "\x1e\0\0\0\2\0\1", &init), ERR_FORMAT);   /* needless zero */
    assert_int_equal(GET(kexdh_init, "\x1e\0\0\0\1\0", &init), ERR_FORMAT);
    assert_int_equal(GET(kexdh_init, "\x1e\0\0\0\0", &init), 0);
    assert_int_equal(init.e.len, 0);
    assert_int_equal(GET(kexdh_init, "\x1e\0\0\0\3\0\x80\1", &init), 0);
    assert_true(view_eq(init.e, VIEW_LIT("\x80\1")));
    assert_int_equal(GET(channel_request, "\x62\0\0\0\1\0\0\0\1x\1", &request), 0);
    assert_int_equal(request.data.len, 0);
    assert_int_equal(GET(service_request, "", &service), ERR_TRUNCATED);
    assert_int_equal(msg_kexinit_put(&w, &kexinit), ERR_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define MESSAGE(name, number, fields) cmocka_unit_test(test_msg_##name),
#define BODY(name, fields) cmocka_unit_test(test_body_##name),
#include "wire/messages.def"
#undef MESSAGE
#undef BODY
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
