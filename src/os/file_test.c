/* Tests of os/file in a directory of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static const char *at(const char *name)
{
    static char paths[32][128];
    static unsigned turn;
    char *path = paths[turn++ % 32];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static int make_dir(UNUSED void **state)
{
    umask(022);
    strcpy(dir, "/tmp/file_test.XXXXXX");
    return file_mkdtemp(dir);
}

static int remove_dir(UNUSED void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void put(const char *name, const char *text, mode_t mode)
{
    unlink(at(name));
    assert_int_equal(file_create(at(name), view_str(text), 0600), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void assert_contents(const char *name, const char *want)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(1000000);
    assert_int_equal(file_read(at(name), &b), 0);
    assert_string_equal(buf_cstr(&b), want);
}

static mode_t mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(at(name), &st), 0);
    return st.st_mode & 07777;
}

static void test_read(UNUSED void **state)
{
    put("five", "12345", 0644);
    CLEANUP(buf_done) struct buf five = BUF_INIT(5);
    CLEANUP(buf_done) struct buf four = BUF_INIT(4);
    CLEANUP(buf_done) struct buf proc = BUF_INIT(1 << 20);
    assert_int_equal(file_read(at("five"), &five), 0);
    assert_int_equal(buf_len(&five), 5);
    assert_int_equal(file_read(at("five"), &four), ERR_LIMIT);
    int err = file_read(at("none"), &proc);
    assert_int_equal(err, ERR_SYS(ENOENT));
    assert_true(file_err_is_missing(err));
    assert_int_equal(file_read(dir, &proc), ERR_FORMAT);
    assert_int_equal(file_read("/proc/self/status", &proc), 0); /* says size 0 */
    assert_true(buf_len(&proc) > 100);
    put("empty", "", 0644);
    assert_contents("empty", "");
    assert_true(file_exists(at("five")) && !file_exists(at("none")));
    assert_true(file_is_dir(dir) && !file_is_dir(at("five")));
    /* A pipe longer than allowed. */
    int p[2];
    assert_int_equal(fd_pipe(p), 0);
    assert_int_equal(fd_write_all(p[1], VIEW_LIT("123456")), 0);
    fd_close(p[1]);
    buf_reset(&five);
    assert_int_equal(file_read_fd(p[0], &five), ERR_LIMIT);
    fd_close(p[0]);
}

static void test_write(UNUSED void **state)
{
    struct file_write how = { .mode = 0666 };
    assert_int_equal(file_write(at("w"), VIEW_LIT("one"), &how), 0);
    assert_contents("w", "one");
    assert_int_equal(mode_of("w"), 0644);
    assert_int_equal(chmod(at("w"), 0600), 0);
    char old[128];
    snprintf(old, sizeof old, "%s", at("w.old"));
    how.keep_mode = true;
    how.backup = old;
    assert_int_equal(file_write(at("w"), VIEW_LIT("two"), &how), 0);
    assert_contents("w", "two");
    assert_contents("w.old", "one");
    assert_int_equal(mode_of("w"), 0600);
    assert_int_equal(file_write(at("w"), VIEW_LIT("three"), &how), 0);
    assert_contents("w.old", "two");
    /* Through a link: the link stays. */
    struct stat st;
    assert_int_equal(symlink("w", at("link")), 0);
    assert_int_equal(file_write(at("link"), VIEW_LIT("four"), &(struct file_write){ .mode = 0600, .no_sync = true }), 0);
    assert_int_equal(lstat(at("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_contents("w", "four");
    assert_int_equal(file_write(at("no/such/dir"), VIEW_LIT("x"), &how), ERR_SYS(ENOENT));
    /* No temporary file is left. */
    CLEANUP(strv_done) struct strv left = STRV_INIT;
    assert_int_equal(file_glob(at("*.??????????"), &left), 0);
    assert_int_equal(left.n, 0);
}

static void test_create(UNUSED void **state)
{
    assert_int_equal(file_create(at("new"), VIEW_LIT("a"), 0600), 0);
    assert_int_equal(mode_of("new"), 0600);
    assert_int_equal(file_create(at("new"), VIEW_LIT("b"), 0600), ERR_SYS(EEXIST));
    assert_contents("new", "a");
}

static void test_append(UNUSED void **state)
{
    assert_int_equal(file_append_line(at("hosts"), VIEW_LIT("one\n"), 0600), 0);
    assert_int_equal(file_append_line(at("hosts"), VIEW_LIT("two"), 0600), 0);
    assert_contents("hosts", "one\ntwo\n");
    put("cut", "no end", 0644);
    assert_int_equal(file_append_line(at("cut"), VIEW_LIT("next"), 0600), 0);
    assert_contents("cut", "no end\nnext\n");
    assert_int_equal(mode_of("hosts"), 0600);
}

static void test_directories(UNUSED void **state)
{
    assert_int_equal(file_mkdir_p(at("a/b//c"), 0700), 0);
    assert_int_equal(file_mkdir_p(at("a/b/c"), 0700), 0);
    assert_int_equal(mode_of("a/b"), 0700);
    put("plain", "", 0644);
    assert_int_equal(file_mkdir_p(at("plain"), 0700), ERR_SYS(EEXIST));
    assert_int_equal(file_mkdir_p(at("plain/x"), 0700), ERR_SYS(EEXIST));
    assert_int_equal(file_mkdir_p("", 0700), ERR_SYS(ENOENT));
    CLEANUP(freep) char *real = NULL;
    assert_int_equal(file_real_path(at("a/./b/../b/c"), &real), 0);
    assert_string_equal(real, at("a/b/c"));
    CLEANUP(strv_done) struct strv found = STRV_INIT;
    put("g2.conf", "", 0644);
    put("g1.conf", "", 0644);
    assert_int_equal(file_glob(at("g*.conf"), &found), 0);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.v[0], at("g1.conf"));
    strv_done(&found);
    assert_int_equal(file_glob(at("zzz*"), &found), 0);
    assert_int_equal(found.n, 0);
}

static int check(const char *name, uid_t uid, const char *home, char *why)
{
    CLEANUP(fd_closep) int fd = -1;
    assert_int_equal(file_open(at(name), O_RDONLY, 0, &fd), 0);
    why[0] = 0;
    return file_check_safe(fd, at(name), uid, home, why);
}

static void test_strict_modes(UNUSED void **state)
{
    char why[FILE_WHY_BYTES];
    uid_t me = getuid();
    assert_int_equal(file_mkdir_p(at("home/.ssh"), 0755), 0);
    put("home/.ssh/keys", "k", 0644);
    assert_int_equal(check("home/.ssh/keys", me, at("home"), why), 0);
    assert_int_equal(chmod(at("home/.ssh/keys"), 0664), 0);
    assert_int_equal(check("home/.ssh/keys", me, at("home"), why), ERR_DENIED);
    assert_non_null(strstr(why, "bad ownership or modes for file "));
    assert_non_null(strstr(why, "home/.ssh/keys (mode 0664"));
    assert_int_equal(chmod(at("home/.ssh/keys"), 0602), 0);
    assert_int_equal(check("home/.ssh/keys", me, at("home"), why), ERR_DENIED);
    assert_int_equal(chmod(at("home/.ssh/keys"), 0600), 0);
    assert_int_equal(chmod(at("home"), 0777), 0);
    assert_int_equal(check("home/.ssh/keys", me, at("home"), why), ERR_DENIED);
    assert_non_null(strstr(why, "bad ownership or modes for directory "));
    assert_int_equal(check("home/.ssh/keys", me, at("home/.ssh"), why), 0); /* home is below the bad one */
    assert_int_equal(chmod(at("home"), 0755), 0);
    /* Above home nothing is looked at (/tmp is writable by all); without home everything is. */
    assert_int_equal(check("home/.ssh/keys", me, at("home"), why), 0);
    assert_int_equal(check("home/.ssh/keys", me, NULL, why), ERR_DENIED);
    assert_non_null(strstr(why, "directory /tmp ("));
    assert_int_equal(check("home/.ssh/keys", me, at("homework"), why), ERR_DENIED);
    assert_int_equal(check("home/.ssh", me, at("home"), why), ERR_DENIED);
    assert_non_null(strstr(why, "not a regular file"));
    /* A link is followed: what counts is where the file is. */
    assert_int_equal(symlink(at("home/.ssh/keys"), at("home/alias")), 0);
    assert_int_equal(check("home/alias", me, at("home"), why), 0);
    CLEANUP(fd_closep) int fd = -1;
    assert_int_equal(file_open(at("home/.ssh/keys"), O_RDONLY, 0, &fd), 0);
    put("home/other", "", 0600);
    assert_int_equal(file_check_safe(fd, at("home/other"), me, at("home"), why), ERR_DENIED);
    assert_int_equal(file_check_safe(fd, at("home/none"), me, at("home"), why), ERR_SYS(ENOENT));
    assert_int_equal(file_check_safe_dir(at("home/.ssh"), me, at("home"), why), 0);
    assert_int_equal(file_check_safe_dir("/usr", 0, NULL, why), 0);
    assert_int_equal(file_check_safe_dir("/", 0, NULL, why), 0);
    assert_int_equal(file_check_safe_dir("/tmp", 0, NULL, why), ERR_DENIED);
}

static void test_owner(UNUSED void **state)
{
    if (geteuid() != 0) skip();
    char why[FILE_WHY_BYTES];
    CLEANUP(fd_closep) int fd = -1;
    put("owned", "", 0600);
    assert_int_equal(file_open(at("owned"), O_RDONLY, 0, &fd), 0);
    assert_int_equal(file_check_owner(fd, at("owned"), 1234, why), 0); /* root's */
    assert_int_equal(chown(at("owned"), 1234, 0), 0);
    assert_int_equal(file_check_owner(fd, at("owned"), 1234, why), 0);
    assert_int_equal(file_check_owner(fd, at("owned"), 1235, why), ERR_DENIED);
    assert_non_null(strstr(why, "owned by uid 1234"));
    mode_t mode;
    assert_int_equal(chmod(at("owned"), 0644), 0);
    assert_int_equal(file_check_private(fd, &mode), 0); /* not ours */
    struct file_write how = { .keep_mode = true, .mode = 0600 };
    struct stat st;
    assert_int_equal(file_write(at("owned"), VIEW_LIT("x"), &how), 0);
    assert_int_equal(stat(at("owned"), &st), 0);
    assert_int_equal(st.st_uid, 1234);
}

static void test_private(UNUSED void **state)
{
    CLEANUP(fd_closep) int fd = -1;
    mode_t mode;
    put("key", "", 0600);
    assert_int_equal(file_open(at("key"), O_RDONLY, 0, &fd), 0);
    assert_int_equal(file_check_private(fd, &mode), 0);
    for (unsigned bit = 0; bit < 6; bit++) {
        assert_int_equal(fchmod(fd, 0600 | 1u << bit), 0);
        assert_int_equal(file_check_private(fd, &mode), ERR_DENIED);
        assert_int_equal(mode, 0600 | 1u << bit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),   cmocka_unit_test(test_write),       cmocka_unit_test(test_create),
        cmocka_unit_test(test_append), cmocka_unit_test(test_directories), cmocka_unit_test(test_strict_modes),
        cmocka_unit_test(test_owner),  cmocka_unit_test(test_private),
    };
    return cmocka_run_group_tests_name("os/file", tests, make_dir, remove_dir);
}
