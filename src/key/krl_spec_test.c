#include "key/krl_spec.h"

#include "key/test_util.h"

#include <stdio.h>

static size_t line_number;
static char why[KRL_SPEC_WHY_BYTES];

static int add(struct krl *k, bool with_ca, const char *text)
{
    return krl_spec_add(k, &(struct krl_spec_ca){ .is_given = with_ca }, view_str(text), &line_number, why);
}

/* What is in a list, in short. */
static const char *describe(struct krl *k)
{
    static char text[1024];
    struct krl_cursor cursor = {};
    size_t n = 0;
    text[0] = '\0';
    for (struct krl_entry e; krl_next(k, &cursor, &e) && n < sizeof(text);) {
        static const char *const names[] = { "key", "sha256", "sha1", "ca", "serials", "id" };
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", names[e.kind]);
        if (e.kind == KRL_ENTRY_SERIALS)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "=%llu-%llu", (unsigned long long)e.serials.first,
                                  (unsigned long long)e.serials.last);
        if (e.kind == KRL_ENTRY_KEY_ID)
            n += (size_t)snprintf(text + n, sizeof(text) - n, "=%.*s", (int)e.bytes.len, (const char *)e.bytes.p);
        n += (size_t)snprintf(text + n, sizeof(text) - n, " ");
    }
    return text;
}

static void lines_are_added(UNUSED void **state)
{
    char file[8192];
    CLEANUP(krl_freep) struct krl *k = NULL, *keys = NULL;
    assert_ok(krl_new(&k));
    assert_ok(krl_new(&keys));
    assert_ok(add(k, true, "# all\n\n  serial: 1 # one\nSERIAL:5-9\nserial: 0x10-0x20\nid: foo bar # c\nid:\tbaz\r\nserial: 011"));
    assert_string_equal(describe(k), "ca serials=1-1 serials=5-9 serials=16-32 id=baz id=foo bar ");
    snprintf(file, sizeof(file), "key: %s\nsha1: %s\nsha256:%s\n%s\n%s\nhash: %s\n", test_ed25519_cert, test_ecdsa_cert,
             test_rsa_public, test_ca_public, test_ed25519_cert, test_ecdsa_sha256);
    assert_ok(add(keys, false, file));
    assert_string_equal(describe(keys), "key key sha256 sha256 sha1 ca serials=77-77 ");
}

static void bad_lines_are_told(UNUSED void **state)
{
    static const struct bad {
        const char *line, *why;
    } bad[] = {
        { "serial: x", "invalid serial \"x\"" },
        { "serial:", "invalid serial \"\"" },
        { "serial: 1-", "invalid serial \"\"" },
        { "serial: -1", "invalid serial \"\"" },
        { "serial: 1x", "invalid serial \"1x\"" },
        { "serial: 5 - 9", "invalid serial \"5 \"" },
        { "serial: 18446744073709551616", "invalid serial \"18446744073709551616\"" },
        { "serial: 9-5", "invalid serial range \"9-5\"" },
        { "serial: 0", "serial 0 cannot be revoked: \"0\"" },
        { "hash: MD5:xx", "unsupported hash algorithm \"MD5:xx\"" },
        { "hash: SHA256:AksL", "invalid hash \"SHA256:AksL\"" },
        { "key: foo", "invalid key: invalid format" },
        { "sha256: junk", "invalid key: invalid format" },
        { "bogus: x", "invalid key: unknown or unsupported key type" },
        { "junk", "invalid key: invalid format" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(krl_freep) struct krl *k = NULL;
        char file[256];
        snprintf(file, sizeof(file), "id: before\n%s\nid: behind\n", bad[i].line);
        assert_ok(krl_new(&k));
        assert_int_equal(add(k, true, file), ERR_FORMAT);
        assert_string_equal(why, bad[i].why);
        assert_int_equal(line_number, 2);
        assert_string_equal(describe(k), "ca id=before ");
    }
    CLEANUP(krl_freep) struct krl *k = NULL;
    assert_ok(krl_new(&k));
    assert_int_equal(add(k, false, "serial: 1"), ERR_NOT_FOUND);
    assert_string_equal(why, "revoking certificates by serial number requires specification of a CA key");
    assert_int_equal(line_number, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lines_are_added), cmocka_unit_test(bad_lines_are_told) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
