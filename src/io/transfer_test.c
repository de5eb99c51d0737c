/* Transfers against our own server in a child process: files of many sizes, trees, resuming, holes, failures. */
#include "io/sftp_server.h"
#include "io/transfer.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/transfer_test.XXXXXX";

struct fixture {
    struct loop *loop;
    struct sftp_conn *conn;
    struct log log;
    pid_t pid;
    struct sftp_conn *other; /* another server, of the tests that copy across */
    pid_t other_pid;
    char said[8192];
};

static void keep_line(void *arg, UNUSED enum log_level level, const char *line)
{
    struct fixture *f = arg;
    size_t len = strlen(f->said);
    snprintf(f->said + len, sizeof f->said - len, "%s\n", line);
}

static int in_dir(UNUSED void **state)
{
    signal(SIGPIPE, SIG_IGN);
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int out_of_dir(UNUSED void **state)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 && chdir("/") == 0 ? 0 : -1;
}

static pid_t start_server(struct fixture *f, struct sftp_conn **ret)
{
    int ends[2];
    assert_int_equal(fd_socketpair(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const struct sftp_server_config config = { .log = NULL };
        fd_close_from(ends[1] + 1);
        close(ends[0]);
        _exit(sftp_server_run(&config, ends[1], ends[1]));
    }
    close(ends[1]);
    assert_int_equal(sftp_conn_new(f->loop, ends[0], ends[0], &f->log, ret), 0);
    assert_int_equal(sftp_conn_hello(*ret), 0);
    return pid;
}

static int start(void **state)
{
    static struct fixture f;
    f = (struct fixture){ .log = { LOG_LEVEL_ERROR, keep_line, &f } };
    assert_int_equal(loop_new(&f.loop), 0);
    f.pid = start_server(&f, &f.conn);
    *state = &f;
    return 0;
}

static int start_two(void **state)
{
    start(state);
    struct fixture *f = *state;
    f->other_pid = start_server(f, &f->other);
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    int status;
    sftp_conn_free(f->conn);
    sftp_conn_free(f->other);
    loop_free(f->loop);
    waitpid(f->pid, &status, 0);
    if (f->other_pid) waitpid(f->other_pid, &status, 0);
    return 0;
}

static void shell(const char *fmt, ...) PRINTF(1, 2);
static void shell(const char *fmt, ...)
{
    char command[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    if (system(command) != 0) fail_msg("%s", command);
}

/* One job with one thing to move. */
static int move(struct fixture *f, bool put, const char *from, const char *to, const struct transfer_options *o)
{
    static const struct transfer_owner nobody = { NULL, NULL };
    CLEANUP(transfer_freep) struct transfer *t = NULL;
    f->said[0] = 0;
    assert_int_equal(transfer_new(f->conn, f->loop, &f->log, o, &nobody, &t), 0);
    assert_int_equal(put ? transfer_put(t, from, to) : transfer_get(t, from, to, NULL), 0);
    return transfer_run(t);
}

static void test_sizes_both_ways(void **state)
{
    static const size_t sizes[] = { 0, 1, 32767, 32768, 261119, 261120, 261121, 3000000, 30000000 };
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
        struct transfer_options o = { .request_bytes = n % 2 ? 32768 : 0 };
        if (sizes[n] == 0)
            shell(": > from");
        else
            shell("head -c %zu /dev/urandom > from", sizes[n]);
        assert_int_equal(move(*state, false, "from", "got", &o), 0);
        shell("cmp from got");
        assert_int_equal(move(*state, true, "from", "put", &o), 0);
        shell("cmp from put");
    }
}

static void test_tree_keeps_times_and_modes(void **state)
{
    const struct transfer_options o = { .recursive = true, .preserve = true };
    shell("rm -rf tree t2 t3; mkdir -p tree/a/b tree/empty; for i in $(seq 300); do echo $i > tree/a/$i; done; echo x > 'tree/a/b/ "
          "sp ace\n'");
    shell("chmod 600 tree/a/7; chmod 750 tree/a/b; touch -d @1000000 tree/a/7 tree/a/b tree/empty; chmod 555 tree/empty");
    assert_int_equal(move(*state, false, "tree", "t2", &o), 0);
    assert_int_equal(move(*state, true, "t2", "t3", &o), 0);
    shell("diff -r tree t2 && diff -r tree t3");
    shell("cd tree && find . -printf '%%p %%m %%Ts\\n' | sort > ../l1; cd ../t2 && find . -printf '%%p %%m %%Ts\\n' | sort > ../l2;"
          "cd ../t3 && find . -printf '%%p %%m %%Ts\\n' | sort > ../l3; cd ..; cmp l1 l2 && cmp l1 l3");
    assert_int_equal(move(*state, false, "tree", "t2", &o), 0); /* over what is there */
    assert_int_equal(move(*state, true, "tree", "t3", &o), 0);
}

static void test_links_in_trees(void **state)
{
    struct fixture *f = *state;
    struct transfer_options o = { .recursive = true };
    shell("rm -rf links l2 l3; mkdir links; echo x > links/file; ln -s file links/link; ln -s . links/loop");
    assert_int_equal(move(f, false, "links", "l2", &o), ERR_DENIED);
    assert_non_null(strstr(f->said, "links/link\": not a regular file"));
    shell("test -f l2/file && ! test -e l2/link");
    assert_int_equal(move(f, true, "links", "l3", &o), 0);
    assert_non_null(strstr(f->said, "links/link: not a regular file"));
    o.follow_links = true;
    assert_int_equal(move(f, false, "links", "l2", &o), ERR_DENIED); /* the loop ends at some depth */
    shell("cmp links/file l2/link && cmp links/file l2/loop/loop/link");
}

static void test_failures_are_said_and_the_rest_goes_on(void **state)
{
    struct fixture *f = *state;
    const struct transfer_options o = { .recursive = true };
    assert_int_equal(move(f, false, "missing", "x", &o), ERR_DENIED);
    assert_string_equal(f->said, "stat remote \"missing\": No such file or directory\n");
    assert_int_equal(move(f, true, "missing", "x", &o), ERR_DENIED);
    assert_string_equal(f->said, "local \"missing\": No such file or directory\n");
    shell("rm -rf some s2 s3; mkdir some; echo 1 > some/1; echo 2 > some/2; mkfifo some/fifo; mkdir s2; mkdir s2/1");
    assert_int_equal(move(f, false, "some", "s2", &o), ERR_DENIED);
    assert_non_null(strstr(f->said, "some/fifo\": not a regular file"));
    assert_non_null(strstr(f->said, "open local \"s2/1\": Is a directory"));
    shell("cmp some/2 s2/2");
    assert_int_equal(move(f, true, "some", "s3/deeper", &o), ERR_DENIED);
    assert_non_null(strstr(f->said, "remote mkdir \"s3/deeper\""));
    const struct transfer_options flat = { .recursive = false };
    assert_int_equal(move(f, false, "some", "s4", &flat), ERR_DENIED);
    assert_string_equal(f->said, "download \"some\": not a regular file\n");
}

static void test_resume_compares_first(void **state)
{
    struct fixture *f = *state;
    const struct transfer_options o = { .resume = true };
    shell("head -c 5000000 /dev/urandom > whole");
    for (int put = 0; put < 2; put++) {
        shell("head -c 3000000 whole > part");
        assert_int_equal(move(f, put, "whole", "part", &o), 0);
        shell("cmp whole part");
        assert_int_equal(move(f, put, "whole", "part", &o), 0); /* nothing left to do */
        shell("rm -f part");
        assert_int_equal(move(f, put, "whole", "part", &o), 0);
        shell("cmp whole part");
        shell("head -c 3000000 whole > part; printf other | dd of=part bs=1 seek=2999000 conv=notrunc status=none; cp part before");
        assert_int_equal(move(f, put, "whole", "part", &o), ERR_DENIED);
        assert_non_null(strstr(f->said, "differs"));
        shell("cmp part before");
        shell("cat whole whole > part");
        assert_int_equal(move(f, put, "whole", "part", &o), ERR_DENIED);
    }
}

static void test_holes_are_not_sent(void **state)
{
    const struct transfer_options o = { .recursive = false };
    struct stat st;
    shell("rm -rf sparse s2; truncate -s 1G sparse; printf middle | dd of=sparse bs=1 seek=500000000 conv=notrunc status=none");
    assert_int_equal(move(*state, true, "sparse", "s2", &o), 0);
    assert_int_equal(stat("s2", &st), 0);
    assert_int_equal(st.st_size, 1 << 30);
    assert_true(st.st_blocks < 4096);
    shell("cmp -n 2000 -i 499999000 sparse s2");
}

static void test_full_target_ends_the_file(void **state)
{
    struct fixture *f = *state;
    const struct transfer_options o = { .sync = false };
    shell("head -c 300000 /dev/zero > from");
    assert_int_equal(move(f, false, "from", "/dev/full", &o), ERR_DENIED);
    assert_string_equal(f->said, "write local \"/dev/full\": No space left on device\n");
    assert_int_equal(move(f, true, "from", "/dev/full", &o), ERR_DENIED);
    assert_non_null(strstr(f->said, "write remote \"/dev/full\": Failure"));
    assert_int_equal(move(f, false, "from", "to", &o), 0); /* the connection is as good as before */
}

struct stopper {
    struct transfer *t;
    struct fixture *f;
    bool kill;
};

static void stop_half_way(void *arg, const struct transfer_progress *p, UNUSED bool began, UNUSED bool done)
{
    struct stopper *s = arg;
    if (p->all_bytes < 10000000) return;
    if (s->kill)
        kill(s->f->pid, SIGKILL);
    else
        transfer_stop(s->t);
}

/* What is there after the end is a beginning of the source. */
static void test_stopped_and_killed(void **state)
{
    struct fixture *f = *state;
    const struct transfer_options o = { .request_bytes = 32768 };
    struct stat st;
    shell("head -c 40000000 /dev/urandom > from");
    for (int i = 0; i < 2; i++) {
        struct stopper s = { NULL, f, i == 1 };
        const struct transfer_owner owner = { stop_half_way, &s };
        shell("rm -f to");
        assert_int_equal(transfer_new(f->conn, f->loop, &f->log, &o, &owner, &s.t), 0);
        assert_int_equal(transfer_get(s.t, "from", "to", NULL), 0);
        int err = transfer_run(s.t);
        transfer_free(s.t);
        assert_true(s.kill ? err == ERR_PEER_CLOSED || err == ERR_SYS(ECONNRESET) || err == ERR_SYS(EPIPE) : err == ERR_CANCELLED);
        assert_int_equal(stat("to", &st), 0);
        assert_true(st.st_size > 1000000 && st.st_size < 40000000);
        shell("cmp -n %lld from to", (long long)st.st_size);
    }
}

/* ---- from one server to another ---- */

static int move_across(struct fixture *f, const char *from, const char *to, const struct transfer_options *o)
{
    static const struct transfer_owner nobody = { NULL, NULL };
    CLEANUP(transfer_freep) struct transfer *t = NULL;
    f->said[0] = 0;
    assert_int_equal(transfer_new(f->conn, f->loop, &f->log, o, &nobody, &t), 0);
    assert_int_equal(transfer_across(t, f->conn, from, to, NULL), ERR_STATE);
    assert_int_equal(transfer_across(t, f->other, from, to, NULL), 0);
    return transfer_run(t);
}

static void test_across_files(void **state)
{
    static const size_t sizes[] = { 0, 1, 32769, 261121, 40000000 };
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
        const struct transfer_options o = { .request_bytes = n % 2 ? 32768 : 0 };
        shell("rm -f to; head -c %zu /dev/urandom > from; chmod 640 from", sizes[n]);
        assert_int_equal(move_across(*state, "from", "to", &o), 0);
        shell("cmp from to && test $(stat -c %%a to) = 640");
    }
}

static void test_across_tree(void **state)
{
    struct fixture *f = *state;
    const struct transfer_options o = { .recursive = true, .preserve = true, .follow_links = true };
    shell("rm -rf tree t2; mkdir -p tree/a/b tree/empty; for i in $(seq 300); do echo $i > tree/a/$i; done; ln -s 1 tree/a/link");
    shell("chmod 4600 tree/a/7; chmod 750 tree/a/b; touch -d @1000000 tree/a/7 tree/a/b tree/empty; chmod 555 tree/empty");
    assert_int_equal(move_across(f, "tree", "t2", &o), 0);
    shell("diff -r tree t2; cd tree && find . ! -name link -printf '%%p %%m %%Ts\\n' | sort > ../list1;"
          "cd ../t2 && find . ! -name link -printf '%%p %%m %%Ts\\n' | sort > ../list2; cd .. && cmp list1 list2");
    assert_int_equal(move_across(f, "tree", "t2", &o), 0); /* over what is there */
    shell("rm -rf t3; mkdir -p t3/a/3");
    assert_int_equal(move_across(f, "tree", "t3", &o), ERR_DENIED);
    assert_string_equal(f->said, "dest open \"t3/a/3\": Failure\n");
    shell("cmp tree/a/2 t3/a/2 && test -d t3/empty");
}

static void test_across_failures(void **state)
{
    struct fixture *f = *state;
    const struct transfer_options o = { .recursive = true };
    shell("head -c 3000000 /dev/urandom > from");
    assert_int_equal(move_across(f, "missing", "x", &o), ERR_DENIED);
    assert_string_equal(f->said, "stat remote \"missing\": No such file or directory\n");
    assert_int_equal(move_across(f, "from", "no/x", &o), ERR_DENIED);
    assert_string_equal(f->said, "dest open \"no/x\": No such file or directory\n");
    assert_int_equal(move_across(f, "from", "/dev/full", &o), ERR_DENIED);
    assert_string_equal(f->said, "write remote \"/dev/full\": Failure\n");
    assert_int_equal(move_across(f, "from", "to", &o), 0); /* both are as good as before */
    kill(f->other_pid, SIGKILL);
    int err = move_across(f, "from", "to", &o);
    assert_true(err == ERR_PEER_CLOSED || err == ERR_SYS(ECONNRESET) || err == ERR_SYS(EPIPE));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_sizes_both_ways),
        TEST(test_tree_keeps_times_and_modes),
        TEST(test_links_in_trees),
        TEST(test_failures_are_said_and_the_rest_goes_on),
        TEST(test_resume_compares_first),
        TEST(test_holes_are_not_sent),
        TEST(test_full_target_ends_the_file),
        TEST(test_stopped_and_killed),
        cmocka_unit_test_setup_teardown(test_across_files, start_two, stop),
        cmocka_unit_test_setup_teardown(test_across_tree, start_two, stop),
        cmocka_unit_test_setup_teardown(test_across_failures, start_two, stop),
    };
    return cmocka_run_group_tests(tests, in_dir, out_of_dir);
}
