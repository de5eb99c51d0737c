#include "key/rhosts.h"
#include "key/test_util.h"

static bool in_netgroup(UNUSED void *arg, const char *group, const char *host, const char *user)
{
    return (strcmp(group, "hosts") == 0 && host && strcmp(host, "h.example") == 0) || (strcmp(group, "users") == 0 && user);
}

static enum rhosts_verdict ask(const char *file, const char *client_user)
{
    struct rhosts_question q = { VIEW_LIT("h.example"), VIEW_LIT("10.0.0.1"), view_str(client_user),
                                 VIEW_LIT("joe"),       in_netgroup,          NULL };
    return rhosts_check(view_str(file), &q);
}

static void lines(UNUSED void **state)
{
    static const struct {
        const char *file, *client_user;
        enum rhosts_verdict verdict;
    } rows[] = {
        { "", "joe", RHOSTS_NONE },
        { "# h.example\n\n  \nh.example", "joe", RHOSTS_TRUSTED },
        { "H.Example\t # comment\r\n", "joe", RHOSTS_TRUSTED },
        { "10.0.0.1", "joe", RHOSTS_TRUSTED },
        { "h.example", "jim", RHOSTS_NONE },
        { "h.example jim", "jim", RHOSTS_TRUSTED },
        { "h.example jim", "joe", RHOSTS_NONE },
        { "h.example jim more", "jim", RHOSTS_NONE },
        { "other jim\nh.example joe", "joe", RHOSTS_TRUSTED },
        { "-h.example\nh.example", "joe", RHOSTS_REFUSED },
        { "h.example -joe\nh.example", "joe", RHOSTS_REFUSED },
        { "h.example -jim\nh.example", "joe", RHOSTS_TRUSTED },
        { "+", "joe", RHOSTS_NONE },
        { "+ +", "joe", RHOSTS_NONE },
        { "h.example +", "jim", RHOSTS_NONE },
        { "+h.example", "joe", RHOSTS_TRUSTED },
        { "@hosts", "joe", RHOSTS_TRUSTED },
        { "+@hosts +@users", "jim", RHOSTS_TRUSTED },
        { "-@hosts", "joe", RHOSTS_REFUSED },
        { "@others", "joe", RHOSTS_NONE },
        { "-", "joe", RHOSTS_NONE },
        { "h.example @", "joe", RHOSTS_NONE },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (ask(rows[i].file, rows[i].client_user) != rows[i].verdict) fail_msg("%s", rows[i].file);
}

static void long_words(UNUSED void **state)
{
    char file[5000];
    memset(file, 'a', sizeof file - 1);
    file[sizeof file - 1] = 0;
    assert_int_equal(ask(file, "joe"), RHOSTS_NONE);
    memcpy(file + 4000, "\nh.example", 10);
    file[4010] = 0;
    assert_int_equal(ask(file, "joe"), RHOSTS_TRUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lines), cmocka_unit_test(long_words) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
