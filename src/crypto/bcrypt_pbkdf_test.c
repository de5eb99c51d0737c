#include "crypto/bcrypt_pbkdf.h"
#include "crypto/test_hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    KEY_CAP = 1024
};

/* Made with Python's bcrypt.kdf. */
static const struct vector {
    const char *passphrase, *salt;
    uint32_t rounds;
    const char *key;
} vectors[] = {
    { "password", "salt", 4, "5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9" },
    { "password", "salt", 4, "5b" },
    { "x", "yz", 1, "12450fdec7cf24dfd706305fb57a81c09d0ea210a339ba9489767bca7518e78d67" },
    { "passpasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspasspass",
      "saltsaltsalt12345", 8, "04a4497956c7884ec402e9a1fb46db9461930035333ccc69503f523dc304f377c041a23f799883a15ce67363f92906b9" },
    { "password", "salt", 16,
      "c339d704ec235f27690d3f12167c05a55bf86d572f270adbf9fe04c379da5f8c7942a939245dbb39ebe26fc2bd19b88b05f3e85024c509d5d5db6d821e76"
      "63e2" },
};

static void test_known_answers(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        uint8_t want_area[KEY_CAP], key[KEY_CAP + 1];
        struct view want = from_hex(v->key, want_area, sizeof want_area);
        memset(key, 0xa5, sizeof key);
        assert_int_equal(bcrypt_pbkdf(view_str(v->passphrase), view_str(v->salt), v->rounds, key, want.len), 0);
        assert_memory_equal(key, want.p, want.len);
        assert_int_equal(key[want.len], 0xa5);
    }
}

static void test_ranges(void **state UNUSED)
{
    uint8_t key[KEY_CAP + 1];
    struct view pass = VIEW_LIT("p"), salt = VIEW_LIT("s");
    assert_int_equal(bcrypt_pbkdf(VIEW_EMPTY, salt, 1, key, 32), ERR_RANGE);
    assert_int_equal(bcrypt_pbkdf(pass, VIEW_EMPTY, 1, key, 32), ERR_RANGE);
    assert_int_equal(bcrypt_pbkdf(pass, salt, 0, key, 32), ERR_RANGE);
    assert_int_equal(bcrypt_pbkdf(pass, salt, 1, key, 0), ERR_RANGE);
    assert_int_equal(bcrypt_pbkdf(pass, salt, 1, key, KEY_CAP + 1), ERR_RANGE);
    assert_int_equal(bcrypt_pbkdf(pass, salt, 1, key, KEY_CAP), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_known_answers), cmocka_unit_test(test_ranges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
