/* Tests of os/pam with the real libpam. The configuration and the shadow file are put in place in a mount namespace of a child's
 * own, so the tests need root and are skipped elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "os/env.h"
#include "os/file.h"
#include "os/pam.h"
#include "os/spawn.h"

#include <crypt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CANNOT = 77
};

static const struct {
    const char *name, *text;
} services[] = {
    { "t-unix", "auth required pam_unix.so nodelay\naccount required pam_unix.so\npassword required pam_unix.so\nsession required "
                "pam_permit.so\n" },
    { "t-echo", "auth optional pam_echo.so Hello from %u\nauth required pam_permit.so\naccount required pam_permit.so\n"
                "session required pam_env.so envfile=/tmp/environment readenv=1\n" },
    { "t-deny",
      "auth required pam_deny.so\naccount required pam_deny.so\nsession required pam_deny.so\npassword required pam_deny.so\n" },
};

static bool put_file(const char *path, const char *text)
{
    return file_write(path, view_str(text), &(struct file_write){ .mode = 0600, .no_sync = true }) == 0;
}

static bool put_shadow(const char *last_change)
{
    char line[512];
    struct crypt_data data = { 0 };
    snprintf(line, sizeof line, "root:%s:%s:0:99999:7:::\n", crypt_rn("sesame", "$5$saltsalt$", &data, sizeof data), last_change);
    return put_file("/tmp/shadow", line) && mount("/tmp/shadow", "/etc/shadow", NULL, MS_BIND, NULL) == 0;
}

static bool prepare(const char *last_change)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) return false;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return false;
    if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir("/tmp/pam.d", 0755) < 0) return false;
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/pam.d/%s", services[i].name);
        if (!put_file(path, services[i].text)) return false;
    }
    if (!put_file("/tmp/environment", "FROM_PAM=yes\n")) return false;
    return mount("/tmp/pam.d", "/etc/pam.d", NULL, MS_BIND, NULL) == 0 && put_shadow(last_change);
}

static void run(int (*fn)(void), const char *last_change)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        spawn_reset_signals(false); /* cmocka's handlers are the parent's */
        _exit(prepare(last_change) ? fn() : CANNOT);
    }
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) skip();
    assert_int_equal(status, 0);
}

static struct pam *start(const char *service)
{
    struct pam *p = NULL;
    struct pam_start how = { .service = service, .user = "root", .rhost = "192.0.2.1", .tty = "ssh" };
    return pam_new(&how, &p) == 0 ? p : NULL;
}

static int authenticate(struct pam *p, const char *password, bool refuse)
{
    struct view v = view_str(password);
    pam_set_converse(p, pam_converse_password, &v);
    int err = pam_authenticate_user(p, &(struct pam_authenticate){ .refuse = refuse });
    pam_set_converse(p, NULL, NULL);
    return err;
}

static int passwords(void)
{
    CLEANUP(pam_freep) struct pam *p = start("t-unix");
    enum pam_account account;
    if (!p) return 1;
    if (authenticate(p, "wrong", false) != ERR_DENIED) return 2;
    if (strcmp(pam_reason(p), "Authentication failure") != 0) return 3;
    if (authenticate(p, "sesame", true) != ERR_DENIED) return 4; /* the right one, of somebody who may not */
    if (authenticate(p, "sesame", false) != 0) return 5;
    if (pam_check_account(p, &account) != 0 || account != PAM_ACCOUNT_OK) return 6;
    if (strcmp(pam_user(p), "root") != 0) return 7;
    if (pam_open_credentials(p, false) < 0 || pam_set_tty(p, "/dev/pts/1") < 0) return 8;
    if (pam_open_user_session(p) < 0 || pam_open_user_session(p) != ERR_STATE) return 9;
    if (pam_close_user_session(p) < 0 || pam_close_user_session(p) < 0) return 10;
    if (pam_authenticate_user(p, &(struct pam_authenticate){ 0 }) != ERR_DENIED) return 11; /* nobody to ask */
    char longest[600];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    return authenticate(p, longest, false) == ERR_DENIED ? 0 : 12;
}

static int asked;

static int person(void *arg, const struct pam_prompt *prompts, size_t n, struct secret *ret_answers)
{
    asked++;
    if (n != 1 || prompts[0].echo || !strstr(prompts[0].text, "assword")) return ERR_FORMAT;
    if (arg == NULL) return ERR_CANCELLED;
    return secret_dup(view_str(arg), &ret_answers[0]);
}

static int conversation(void)
{
    CLEANUP(pam_freep) struct pam *p = start("t-unix");
    if (!p) return 1;
    pam_set_converse(p, person, NULL);
    if (pam_authenticate_user(p, &(struct pam_authenticate){ 0 }) != ERR_DENIED || asked != 1) return 2;
    char answer[] = "sesame";
    pam_set_converse(p, person, answer);
    return pam_authenticate_user(p, &(struct pam_authenticate){ 0 }) == 0 && asked == 2 ? 0 : 3;
}

static int expired(void)
{
    CLEANUP(pam_freep) struct pam *p = start("t-unix");
    enum pam_account account = PAM_ACCOUNT_OK;
    if (!p || authenticate(p, "sesame", false) < 0) return 1;
    if (pam_check_account(p, &account) != 0) return 2;
    return account == PAM_ACCOUNT_NEW_PASSWORD ? 0 : 3;
}

static int messages_and_environment(void)
{
    CLEANUP(strv_done) struct strv env = STRV_INIT;
    CLEANUP(pam_freep) struct pam *p = start("t-echo");
    if (!p || pam_authenticate_user(p, &(struct pam_authenticate){ 0 }) < 0) return 1;
    if (!view_eq_str(pam_messages(p), "Hello from root\n")) return 2;
    pam_messages_reset(p);
    if (pam_messages(p).len) return 3;
    if (pam_set_env(p, "OURS=1") < 0 || pam_open_user_session(p) < 0 || pam_env(p, &env) < 0) return 4;
    const char *theirs = env_get(&env, "FROM_PAM"), *ours = env_get(&env, "OURS");
    return theirs && strcmp(theirs, "yes") == 0 && ours && strcmp(ours, "1") == 0 ? 0 : 5;
}

static int denied(void)
{
    enum pam_account account;
    CLEANUP(pam_freep) struct pam *p = start("t-deny");
    if (!p || authenticate(p, "sesame", false) != ERR_DENIED) return 1;
    if (pam_check_account(p, &account) != ERR_DENIED || pam_open_user_session(p) != ERR_DENIED) return 2;
    return pam_change_password(p) == ERR_DENIED ? 0 : 3;
}

static int abandoned(void)
{
    struct pam *p = start("t-echo");
    if (!p || pam_open_user_session(p) < 0) return 1;
    pam_abandon(p);
    pam_abandon(NULL);
    pam_free(NULL);
    return 0;
}

static void test_passwords(UNUSED void **state) { run(passwords, "19000"); }
static void test_conversation(UNUSED void **state) { run(conversation, "19000"); }
static void test_expired(UNUSED void **state) { run(expired, "0"); }
static void test_messages(UNUSED void **state) { run(messages_and_environment, "19000"); }
static void test_denied(UNUSED void **state) { run(denied, "19000"); }
static void test_abandoned(UNUSED void **state) { run(abandoned, "19000"); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passwords), cmocka_unit_test(test_conversation), cmocka_unit_test(test_expired),
        cmocka_unit_test(test_messages),  cmocka_unit_test(test_denied),       cmocka_unit_test(test_abandoned),
    };
    return cmocka_run_group_tests_name("os/pam", tests, NULL, NULL);
}
