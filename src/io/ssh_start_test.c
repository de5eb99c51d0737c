/* Destinations in all their forms, and what the started program gets. */
#include "io/ssh_start.h"

#include "os/fd.h"
#include "os/spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

/* "user|host|port|path", "-" for what is not said; or "bad". */
static void assert_destination(const char *text, bool uri, const char *expected)
{
    CLEANUP(ssh_destination_done) struct ssh_destination d = { .port = 0 };
    char said[256] = "bad";
    int err = uri ? ssh_destination_parse_uri(text, "sftp", &d) : ssh_destination_parse(text, &d);
    if (err >= 0)
        snprintf(said, sizeof said, "%s|%s|%d|%s", d.user ? d.user : "-", d.host ? d.host : "-", d.port, d.path ? d.path : "-");
    assert_string_equal(said, expected);
}

static void test_plain(void **state)
{
    (void)state;
    assert_destination("host", false, "-|host|0|-");
    assert_destination("user@host:path", false, "user|host|0|path");
    assert_destination("user@host:", false, "user|host|0|");
    assert_destination("a@b@host:x@y:z", false, "a@b|host|0|x@y:z");
    assert_destination("host:a@b", false, "-|host|0|a@b");
    assert_destination("[::1]:x", false, "-|::1|0|x");
    assert_destination("u@[fe80::1%eth0]", false, "u|fe80::1%eth0|0|-");
    assert_destination("-h", false, "-|-h|0|-");
    static const char *const bad[] = { "", "@host", "u@", "u@:p", ":p", "[::1", "[::1]x", "[]" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_destination(bad[i], false, "bad");
}

static void test_uri(void **state)
{
    (void)state;
    assert_destination("sftp://host", true, "-|host|0|-");
    assert_destination("sftp://u@host:77/dir/f", true, "u|host|77|dir/f");
    assert_destination("sftp://u%40x;fingerprint=y@[::1]:1/", true, "u@x|::1|1|-");
    assert_destination("sftp://h//abs%20path", true, "-|h|0|/abs path");
    assert_destination("host", true, "-|-|0|-");
    assert_destination("scp://host", true, "-|-|0|-");
    static const char *const bad[] = { "sftp://",    "sftp://@h",  "sftp://h:",   "sftp://h:0",   "sftp://h:65536",
                                       "sftp://h:x", "sftp://%zz", "sftp://h/%2", "sftp://h/%00", "sftp://h/a%" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_destination(bad[i], true, "bad");
}

static void test_start(void **state)
{
    (void)state;
    CLEANUP(strv_done) struct strv options = STRV_INIT;
    struct ssh_child child;
    char said[512] = "";
    int status;
    static const char *const words[] = { "-c", "printf '[%s]' \"$@\"; cat; kill -INT $$; echo there", "sh", "-x" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) assert_int_equal(strv_add(&options, view_str(words[i])), 0);
    const struct ssh_start s = { .program = "sh", .options = &options, .user = "u", .host = "-h", .subsystem = "sftp" };
    assert_int_equal(ssh_start_run(&s, &child), 0);
    assert_int_equal(fd_write_all(child.out_fd, VIEW_LIT("in\n")), 0);
    fd_close(child.out_fd);
    assert_int_equal(spawn_wait(child.pid, &status), 0);
    size_t n;
    assert_int_equal(fd_read(child.in_fd, said, sizeof said - 1, &n), 0);
    said[n] = 0;
    fd_close(child.in_fd);
    assert_int_equal(status, 0);
    assert_string_equal(said, "[-x][-l][u][-s][--][-h][sftp]in\nthere\n");
    const struct ssh_start missing = { .program = "/nonexistent/ssh", .options = &options, .host = "h" };
    assert_true(err_is_sys(ssh_start_run(&missing, &child)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_uri),
        cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
