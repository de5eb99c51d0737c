/* Tests of os/user. What needs root is skipped without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/spawn.h"
#include "os/user.h"
#include "os/user_int.h"

#include <crypt.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_lookup(UNUSED void **state)
{
    CLEANUP(user_freep) struct user *root = NULL;
    CLEANUP(user_freep) struct user *again = NULL;
    struct user *none = NULL;
    assert_int_equal(user_by_name("root", &root), 0);
    assert_int_equal(root->uid, 0);
    assert_string_equal(root->home, "/root");
    assert_true(*root->shell == '/');
    assert_int_equal(user_by_uid(0, &again), 0);
    assert_string_equal(again->name, "root");
    assert_int_equal(user_by_name("no-such-user-here", &none), ERR_NOT_FOUND);
    assert_int_equal(user_by_name("", &none), ERR_NOT_FOUND);
    assert_int_equal(user_by_uid(4000000001u, &none), ERR_NOT_FOUND);
    assert_null(none);
    user_free(NULL);
}

static void test_groups(UNUSED void **state)
{
    CLEANUP(user_freep) struct user *u = NULL;
    CLEANUP(strv_done) struct strv names = STRV_INIT;
    assert_int_equal(user_by_name("root", &u), 0);
    assert_int_equal(user_group_names(u, &names), 0);
    bool found = false;
    for (size_t i = 0; i < names.n; i++) found |= strcmp(names.v[i], "root") == 0;
    assert_true(found);
    assert_int_equal(user_groups_match(u, VIEW_LIT("wheel*,ro?t")), USER_GROUP_MATCH);
    assert_int_equal(user_groups_match(u, VIEW_LIT("wheel,users-x")), USER_GROUP_NO_MATCH);
    assert_int_equal(user_groups_match(u, VIEW_LIT("*,!root")), USER_GROUP_NEGATED);
    gid_t gid = 9;
    char name[32];
    assert_int_equal(user_group_id("root", &gid), 0);
    assert_int_equal(gid, 0);
    assert_int_equal(user_group_id("no-such-group", &gid), ERR_NOT_FOUND);
    user_group_name(0, name, sizeof name);
    assert_string_equal(name, "root");
    user_group_name(4000000001u, name, sizeof name);
    assert_string_equal(name, "4000000001");
    assert_int_equal(user_load_groups_of_process(u), 0);
    assert_int_equal(u->n_groups, getgroups(0, NULL));
}

/* Hashes made by crypt(3) itself with the methods there are; the check must agree with each. */
static void test_passwords(UNUSED void **state)
{
    static const char *const methods[] = { "$6$", "$5$", "$y$", "$2b$" };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char salt[CRYPT_GENSALT_OUTPUT_SIZE];
        struct crypt_data data = { 0 };
        assert_non_null(crypt_gensalt_rn(methods[i], 0, "0123456789abcdef0123456789abcdef", 32, salt, sizeof salt));
        struct user u = { .hash = strdup(crypt_r("secret", salt, &data)) };
        assert_true(user_password_matches(&u, VIEW_LIT("secret")));
        assert_false(user_password_matches(&u, VIEW_LIT("secreT")));
        assert_false(user_password_matches(&u, VIEW_LIT("secret\0more")));
        assert_false(user_password_matches(&u, VIEW_EMPTY));
        free(u.hash);
    }
}

static void test_unusable_hashes(UNUSED void **state)
{
    static const char *const hashes[] = { "", "*", "!", "!!", "x", "*LK*", "*0", "$nonsense$", "!$6$abc$def" };
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        struct user u = { .hash = strdup(hashes[i]) };
        assert_false(user_password_matches(&u, view_str(hashes[i])));
        assert_false(user_password_matches(&u, VIEW_EMPTY));
        free(u.hash);
    }
    assert_false(user_password_matches(NULL, VIEW_LIT("x")));
    struct user u = { .hash = NULL };
    assert_false(user_password_matches(&u, VIEW_LIT("x")));
    static uint8_t longest[2000];
    memset(longest, 'a', sizeof longest);
    assert_false(user_password_matches(NULL, view_of(longest, sizeof longest)));
}

static void test_locked(UNUSED void **state)
{
    static const struct {
        const char *hash;
        bool locked;
    } rows[] = { { "!", true },  { "!$6$x", true }, { "*LK*", true }, { "*LK*$6$", true },
                 { "*", false }, { "$6$x", false }, { "", false } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct user u = { .hash = (char *)(uintptr_t)rows[i].hash };
        assert_int_equal(user_is_locked(&u), rows[i].locked);
    }
    assert_false(user_is_locked(&(struct user){ 0 }));
}

static void test_expiry(UNUSED void **state)
{
    static const struct {
        int64_t last, max, warn, inactive, expire;
        enum user_expiry want;
        int64_t days;
    } rows[] = {
        { 19000, 99999, 7, -1, -1, USER_VALID, 0 },
        { 19990, 20, 7, -1, -1, USER_VALID, 0 },
        { 19990, 15, 7, -1, -1, USER_PASSWORD_EXPIRES_SOON, 5 },
        { 19990, 10, 7, -1, -1, USER_PASSWORD_EXPIRES_SOON, 0 },
        { 19990, 9, 7, -1, -1, USER_PASSWORD_EXPIRED, 0 },
        { 19990, 5, 7, 5, -1, USER_PASSWORD_EXPIRED, 0 },
        { 19990, 5, 7, 4, -1, USER_EXPIRED, 0 },
        { 0, 99999, 7, -1, -1, USER_PASSWORD_EXPIRED, 0 },
        { -1, -1, -1, -1, -1, USER_VALID, 0 },
        { -1, -1, -1, -1, 19999, USER_EXPIRED, 0 },
        { -1, -1, 7, -1, 20000, USER_EXPIRES_SOON, 0 },
        { -1, -1, 7, -1, 20003, USER_EXPIRES_SOON, 3 },
        { -1, -1, 7, -1, 20008, USER_VALID, 0 },
        { -1, -1, 7, -1, 0, USER_VALID, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct user u = { .shadow = { true, rows[i].last, rows[i].max, rows[i].warn, rows[i].inactive, rows[i].expire } };
        int64_t days = 0;
        assert_int_equal(user_expiry(&u, 20000, &days), rows[i].want);
        assert_int_equal(days, rows[i].days);
        assert_int_equal(user_expiry(&u, 20000, NULL), rows[i].want);
        u.shadow.known = false;
        assert_int_equal(user_expiry(&u, 20000, NULL), USER_VALID);
    }
}

static void test_shell(UNUSED void **state)
{
    static const struct {
        const char *shell;
        int want;
    } rows[] = { { "/bin/sh", 0 }, { "/no/such/shell", ERR_NOT_FOUND }, { "/etc/passwd", ERR_DENIED }, { "/etc", ERR_DENIED } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(user_shell_check(&(struct user){ .shell = (char *)(uintptr_t)rows[i].shell }), rows[i].want);
}

static int in_child(int (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        spawn_reset_signals(false); /* cmocka's handlers are the parent's */
        _exit(fn());
    }
    int status;
    waitpid(pid, &status, 0);
    return status;
}

static struct user *nobody(void)
{
    struct user *u = NULL;
    return user_by_name("nobody", &u) == 0 ? u : NULL;
}

static int becomes_nobody(void)
{
    struct user *u = nobody();
    if (!u || user_become(u) < 0) return 1;
    if (getuid() != u->uid || geteuid() != u->uid || getgid() != u->gid) return 2;
    gid_t groups[64];
    int n = getgroups(64, groups);
    for (int i = 0; i < n; i++)
        if (groups[i] == 0) return 3;
    if (setuid(0) == 0 || seteuid(0) == 0) return 4;
    /* Again is fine, another is not. */
    struct user *root = NULL;
    if (user_become(u) < 0 || user_by_uid(0, &root) < 0) return 5;
    return user_become(root) == ERR_DENIED ? 0 : 6;
}

static int visits_nobody(void)
{
    struct user *u = nobody();
    struct user_as saved;
    if (!u || user_as_begin(u, &saved) < 0) return 1;
    if (geteuid() != u->uid || getegid() != u->gid || getuid() != 0) return 2;
    if (access("/etc/shadow", F_OK) != 0 || open("/etc/shadow", O_RDONLY) >= 0) return 3;
    user_as_end(&saved);
    user_as_end(&saved);
    return geteuid() == 0 && getegid() == 0 ? 0 : 4;
}

static void test_become(UNUSED void **state)
{
    if (geteuid() != 0) skip();
    assert_int_equal(in_child(becomes_nobody), 0);
}

static void test_visit(UNUSED void **state)
{
    if (geteuid() != 0) skip();
    assert_int_equal(in_child(visits_nobody), 0);
}

static void test_shadow(UNUSED void **state)
{
    if (geteuid() != 0) skip();
    CLEANUP(user_freep) struct user *u = NULL;
    assert_int_equal(user_by_name("root", &u), 0);
    assert_string_equal(u->hash, "x");
    assert_int_equal(user_load_shadow(u), 0);
    assert_true(u->shadow.known);
    assert_string_not_equal(u->hash, "x");
}

/* The shadow file's text, and the account whose hash is the one. */
static void test_common_hash(UNUSED void **state)
{
    static const struct {
        const char *text, *hash;
    } rows[] = {
        { "", NULL },
        { "a:*:1::::::\nb:!$6$s$locked:1::::::\nc::1::::::\nd:xy12345678901:1::::::\n", NULL },
        { "a:$6$s$A:1::::::\nb:$y$j9T$s$B:1::::::\nc:$y$j9T$t$C:1::::::\n", "$y$j9T$s$B" },
        { "a:$y$j9T$s$A:1::::::\nb:$y$jCT$s$B:1::::::\nc:$y$jCT$t$C:1::::::\n", "$y$jCT$s$B" },
        { "a:$6$s$A:1::::::\nb:$6$rounds=9$s$B:1::::::\nc:$6$rounds=9$t$C:1::::::\nd:!$6$u$D:1::::::\n", "$6$rounds=9$s$B" },
        { "a:$2b$12$A:1::::::\nb:$2b$05$B:1::::::\nc:$2b$05$C:1::::::\n", "$2b$05$B" },
        { "a:$1$s$A:1::::::\nb:$5$s$B:1::::::\n", "$1$s$A" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char hash[USER_HASH_BYTES] = "";
        FILE *f = fmemopen((void *)(uintptr_t)rows[i].text, strlen(rows[i].text) + !*rows[i].text, "r");
        assert_non_null(f);
        assert_int_equal(user_common_hash(f, hash), rows[i].hash != NULL);
        if (rows[i].hash) assert_string_equal(hash, rows[i].hash);
        fclose(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),          cmocka_unit_test(test_groups),      cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_unusable_hashes), cmocka_unit_test(test_locked),      cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_shell),           cmocka_unit_test(test_become),      cmocka_unit_test(test_visit),
        cmocka_unit_test(test_shadow),          cmocka_unit_test(test_common_hash),
    };
    return cmocka_run_group_tests_name("os/user", tests, NULL, NULL);
}
