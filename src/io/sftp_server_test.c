/* The SFTP server's body in this process, with files as its input and output: what it answers to a script, the same when memory
 * ends at any allocation, and its paths and options. Whole sessions are in test/test_sftp_server.py. */
#include "io/sftp_server_int.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define OWN_MALLOC 0
#endif
#endif
#ifndef OWN_MALLOC
#define OWN_MALLOC 1
#endif

/* ---- allocations that fail on demand ---- */
static long allocations_left = -1; /* negative: no limit */
#if OWN_MALLOC
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
static bool allocation_fails(void)
{
    if (allocations_left < 0) return false;
    if (allocations_left-- > 0) return false;
    allocations_left = 0; /* what fails once fails from then on */
    errno = ENOMEM;
    return true;
}
void *malloc(size_t n) { return allocation_fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return allocation_fails() ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return allocation_fails() ? NULL : __libc_realloc(p, n); }
#endif

static char dir[] = "/tmp/sftp_server_test.XXXXXX";

static int in_dir(UNUSED void **state)
{
    if (!mkdtemp(dir) || chdir(dir) != 0) return -1;
    int fd = open("file", O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || write(fd, "contents", 8) != 8 || close(fd) != 0) return -1;
    return mkdir("sub", 0700) == 0 && symlink("sub", "link") == 0 ? 0 : -1;
}

static int out_of_dir(UNUSED void **state)
{
    unlink("file");
    unlink("new");
    unlink("link");
    rmdir("sub");
    return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

/* ---- a script of requests ---- */

#define HANDLE VIEW_LIT("\0\0\0\0")
#define NO_ATTRS VIEW_LIT("\0\0\0\0")

static void put_script(struct buf *b)
{
    assert_int_equal(SFTP_PUT(b, sftp_init, .version = 3), 0);
    assert_int_equal(SFTP_PUT(b, sftp_realpath, .id = 1, .path = VIEW_LIT("link/../x")), 0);
    assert_int_equal(SFTP_PUT(b, sftp_open, .id = 2, .path = VIEW_LIT("file"), .flags = SFTP_OPEN_READ, .attrs = NO_ATTRS), 0);
    assert_int_equal(SFTP_PUT(b, sftp_read, .id = 3, .handle = HANDLE, .offset = 3, .length = 100), 0);
    assert_int_equal(SFTP_PUT(b, sftp_close, .id = 4, .handle = HANDLE), 0);
    assert_int_equal(SFTP_PUT(b, sftp_opendir, .id = 5, .path = VIEW_LIT("sub")), 0);
    assert_int_equal(SFTP_PUT(b, sftp_readdir, .id = 6, .handle = HANDLE), 0);
    assert_int_equal(SFTP_PUT(b, sftp_extended, .id = 7, .name = VIEW_LIT("home-directory"), .data = VIEW_LIT("\0\0\0\4root")), 0);
    assert_int_equal(SFTP_PUT(b, sftp_stat, .id = 8, .path = VIEW_LIT("nothing")), 0);
}
static const uint8_t SCRIPT_ANSWERS[] = { 2, 104, 102, 103, 101, 102, 104, 104, 101 };

/* Runs the server over in; its answers are appended to out. */
static int run(const struct sftp_server_config *config, struct view in, struct buf *out)
{
    int in_fd = memfd_create("in", MFD_CLOEXEC), out_fd = memfd_create("out", MFD_CLOEXEC);
    assert_true(in_fd >= 0 && out_fd >= 0);
    assert_int_equal(write(in_fd, in.p, in.len), in.len);
    assert_int_equal(lseek(in_fd, 0, SEEK_SET), 0);
    int status = sftp_server_run(config, in_fd, out_fd);
    long limit = allocations_left;
    allocations_left = -1;
    off_t len = lseek(out_fd, 0, SEEK_END);
    uint8_t *to;
    assert_int_equal(buf_reserve(out, (size_t)len + 1, &to), 0);
    assert_int_equal(pread(out_fd, to, (size_t)len, 0), len);
    buf_commit(out, (size_t)len);
    allocations_left = limit;
    close(in_fd);
    close(out_fd);
    return status;
}

/* Whole packets of the expected types, as far as they go. */
static size_t count_answers(struct buf *out)
{
    size_t n = 0, used;
    struct view packet;
    while (sftp_packet_next(buf_view(out), &packet, &used) == 1) {
        assert_true(n < ARRAY_LEN(SCRIPT_ANSWERS));
        assert_true(packet.p[0] == SCRIPT_ANSWERS[n] || packet.p[0] == MSG_sftp_status_NUMBER);
        buf_consume(out, used);
        n++;
    }
    assert_int_equal(buf_len(out), 0);
    return n;
}

static const struct sftp_server_config PLAIN = { .user = "tester", .home = "/" };

static void test_script(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    put_script(&in);
    assert_int_equal(run(&PLAIN, buf_view(&in), &out), 0);
    struct view packet;
    size_t used;
    for (size_t i = 0; i < ARRAY_LEN(SCRIPT_ANSWERS); i++) {
        assert_int_equal(sftp_packet_next(buf_view(&out), &packet, &used), 1);
        assert_int_equal(packet.p[0], SCRIPT_ANSWERS[i]);
        if (i == 3) assert_memory_equal(packet.p + 5, "\0\0\0\5tents", 9);
        buf_consume(&out, used);
    }
    assert_int_equal(buf_len(&out), 0);
}

/* Nothing but an error status or the end of the session may come of it, and no half packet. */
static void test_allocation_failures(UNUSED void **state)
{
    if (!OWN_MALLOC) skip();
    CLEANUP(buf_done) struct buf in = BUF_INIT(1 << 20);
    put_script(&in);
    long n = 0;
    for (bool whole = false; !whole; n++) {
        assert_true(n < 1000);
        CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
        allocations_left = n;
        int status = run(&PLAIN, buf_view(&in), &out);
        whole = allocations_left > 0;
        allocations_left = -1;
        assert_true(status == 0 || status == 1);
        size_t answers = count_answers(&out);
        if (status == 0) assert_int_equal(answers, ARRAY_LEN(SCRIPT_ANSWERS));
    }
    assert_true(n > 8);
}

static void test_many_handles(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf in = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    assert_int_equal(SFTP_PUT(&in, sftp_init, .version = 3), 0);
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(SFTP_PUT(&in, sftp_open, .id = i, .path = VIEW_LIT("file"), .flags = SFTP_OPEN_READ, .attrs = NO_ATTRS),
                         0);
    assert_int_equal(run(&PLAIN, buf_view(&in), &out), 0);
    struct view packet;
    size_t used;
    assert_int_equal(sftp_packet_next(buf_view(&out), &packet, &used), 1);
    buf_consume(&out, used);
    for (uint32_t i = 0; i < 200; i++) {
        struct msg_sftp_handle m;
        assert_int_equal(sftp_packet_next(buf_view(&out), &packet, &used), 1);
        assert_int_equal(msg_sftp_handle_get(packet, &m), 0);
        assert_int_equal(sftp_server_handle_number(m.handle), i);
        buf_consume(&out, used);
    }
}

static void test_real_path(UNUSED void **state)
{
    char base[PATH_MAX], got[PATH_MAX], want[PATH_MAX + 16];
    assert_non_null(getcwd(base, sizeof(base)));
    assert_int_equal(sftp_server_real_path("link", got), 0);
    snprintf(want, sizeof(want), "%s/sub", base);
    assert_string_equal(got, want);
    assert_int_equal(sftp_server_real_path("link/new", got), 0);
    snprintf(want, sizeof(want), "%s/sub/new", base);
    assert_string_equal(got, want);
    assert_int_equal(sftp_server_real_path("/../..", got), 0);
    assert_string_equal(got, "/");
    assert_int_equal(sftp_server_real_path("new/", got), ENOENT);
    assert_int_equal(sftp_server_real_path("file/x", got), ENOTDIR);
    /* Paths that only grow too long while they are resolved. */
    char longest[PATH_MAX];
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < sizeof(longest); i += 200) longest[i] = '/';
    longest[sizeof(longest) - 1] = '\0';
    memcpy(longest, "link", 4);
    assert_true(sftp_server_real_path(longest, got) != 0);
}

static void test_path_take(UNUSED void **state)
{
    static char long_path[PATH_MAX + 1];
    char into[PATH_MAX];
    memset(long_path, 'p', sizeof(long_path));
    assert_false(sftp_server_path_take(into, view_of(long_path, PATH_MAX)));
    assert_true(sftp_server_path_take(into, view_of(long_path, PATH_MAX - 1)));
    assert_int_equal(strlen(into), PATH_MAX - 1);
    assert_true(sftp_server_path_take(into, VIEW_EMPTY));
    assert_string_equal(into, "");
}

/* ---- options ---- */

static struct sftp_server_options parse(int argc, ...)
{
    static char name[] = "sftp-server";
    char *argv[16] = { name };
    va_list args;
    va_start(args, argc);
    for (int i = 1; i <= argc; i++) argv[i] = va_arg(args, char *);
    va_end(args);
    struct sftp_server_options o;
    sftp_server_options_parse(argc + 1, argv, &o);
    return o;
}

static void test_options(UNUSED void **state)
{
    struct sftp_server_options o = parse(0);
    assert_int_equal(o.action, SFTP_SERVER_SERVE);
    assert_int_equal(o.level, LOG_LEVEL_ERROR);
    assert_int_equal(o.facility, LOG_AUTH);
    assert_false(o.config.read_only || o.config.has_umask || o.to_stderr);
    o = parse(9, "-eR", "-lVERBOSE", "-f", "LOCAL3", "-u", "027", "-d/x", "-P", "open");
    assert_int_equal(o.action, SFTP_SERVER_SERVE);
    assert_true(o.to_stderr && o.config.read_only && o.config.has_umask);
    assert_int_equal(o.config.umask, 027);
    assert_int_equal(o.level, LOG_LEVEL_VERBOSE);
    assert_int_equal(o.facility, LOG_LOCAL3);
    assert_string_equal(o.config.start_dir, "/x");
    assert_string_equal(o.config.denied, "open");
    assert_int_equal(parse(1, "-u").action, SFTP_SERVER_USAGE);
    assert_int_equal(parse(1, "-x").action, SFTP_SERVER_USAGE);
    assert_int_equal(parse(2, "-Q", "requests").action, SFTP_SERVER_LIST_REQUESTS);
    static const char *const bad_masks[] = { "", "8", "1000", "-1", "7x", " 7\n", "99999999999999999999" };
    for (size_t i = 0; i < ARRAY_LEN(bad_masks); i++) assert_int_equal(parse(2, "-u", bad_masks[i]).action, SFTP_SERVER_BAD_VALUE);
    assert_int_equal(parse(2, "stray", "-x").action, SFTP_SERVER_SERVE);
}

static void test_status_of(UNUSED void **state)
{
    static const struct {
        int errno_value;
        enum sftp_status status;
    } rows[] = { { 0, SFTP_OK },
                 { ENOENT, SFTP_NO_SUCH_FILE },
                 { ENOTDIR, SFTP_NO_SUCH_FILE },
                 { EBADF, SFTP_NO_SUCH_FILE },
                 { ELOOP, SFTP_NO_SUCH_FILE },
                 { EPERM, SFTP_PERMISSION_DENIED },
                 { EACCES, SFTP_PERMISSION_DENIED },
                 { EINVAL, SFTP_BAD_MESSAGE },
                 { ENAMETOOLONG, SFTP_BAD_MESSAGE },
                 { ENOSYS, SFTP_OP_UNSUPPORTED },
                 { ENOSPC, SFTP_FAILURE },
                 { EEXIST, SFTP_FAILURE } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) assert_int_equal(sftp_server_status_of(rows[i].errno_value), rows[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script),    cmocka_unit_test(test_allocation_failures), cmocka_unit_test(test_many_handles),
        cmocka_unit_test(test_real_path), cmocka_unit_test(test_path_take),           cmocka_unit_test(test_options),
        cmocka_unit_test(test_status_of),
    };
    return cmocka_run_group_tests(tests, in_dir, out_of_dir);
}
