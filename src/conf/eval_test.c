/* Which values win: Host, Match, Include, order of files, of both programs. And what a broken file says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

#include "conf/conf_int.h"
#include "conf/ssh_options.h"
#include "conf/sshd_options.h"

/* Files that Include finds: the pattern is the name. "self" includes itself. */
static const struct {
    const char *name, *text;
} included[] = {
    { "ports", "Port 1000\nHost a\n  Port 2000\nHost *\n  User inner\n" },
    { "hostb", "Host b\n Port 3000\n" },
    { "self", "Include self\n" },
    { "broken", "Port 1\nNonsense 2\n" },
    { "match", "Match User x\n Banner /inner\n MaxSessions 5\n" },
};

static int include(void *arg UNUSED, const char *pattern, struct conf_include *into)
{
    for (size_t i = 0; i < ARRAY_LEN(included); i++)
        if (strcmp(pattern, included[i].name) == 0) TRY(conf_include_file(into, included[i].name, view_str(included[i].text)));
    return 0;
}
static const struct conf_reader reader = { include, NULL };

static struct conf_diag diag = CONF_DIAG_INIT;

static int parse(enum conf_program program, struct view text, struct conf_image *ret)
{
    const struct conf_parse_args args = { .program = program, .file_name = "F", .reader = &reader, .diag = &diag };
    conf_diag_done(&diag);
    return conf_parse(&args, text, ret);
}

static void ssh_eval_ctx(struct ssh_options *o, const char *text, struct ssh_conf_ctx *ctx)
{
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    struct conf_image mapped;
    if (parse(CONF_SSH, view_str(text), &img) != 0) fail_msg("%s", diag.errors.v[0]);
    assert_int_equal(conf_image_open(CONF_SSH, img.bytes, &mapped), 0);
    assert_int_equal(ssh_options_eval(o, &mapped, ctx, &diag), 0);
}

static void ssh_eval(struct ssh_options *o, const char *text, const char *host)
{
    struct ssh_conf_ctx ctx = { .original_host = host, .local_user = "me" };
    ssh_options_init(o);
    ssh_eval_ctx(o, text, &ctx);
}

static void expect_port(const char *text, const char *host, int port)
{
    struct ssh_options o;
    ssh_eval(&o, text, host);
    int got = ssh_options_is_set(&o, SSH_OPT_port) ? o.port : 0;
    if (got != port) fail_msg("%s for %s gives port %d, not %d", text, host, got, port);
    ssh_options_done(&o);
}

static void test_ssh_blocks(void **state UNUSED)
{
    expect_port("Port 1\nPort 2", "h", 1);
    expect_port("Host x\nPort 1\nHost h\nPort 2\nHost *\nPort 3", "h", 2);
    expect_port("Host x\nPort 1\nHost h\nPort 2\nHost *\nPort 3", "z", 3);
    expect_port("Host * !h\nPort 1", "h", 0);
    expect_port("Host x\nInclude ports\nPort 5", "h", 0);
    expect_port("Host x\nInclude ports\nHost *\nPort 5", "h", 5);
    expect_port("Host h\nInclude hostb\nPort 5", "h", 5); /* the block goes on behind the Include */
    expect_port("Host h\nInclude hostb\nPort 5", "b", 0);
    expect_port("Include hostb\nPort 5", "b", 3000);
    expect_port("Include hostb\nPort 5", "c", 5);
    expect_port("Include nothing\nPort 5", "c", 5);
    expect_port("Match host h\nPort 1\nMatch all\nPort 2", "h", 1);
    expect_port("Match !host h\nPort 1\nMatch all\nPort 2", "h", 2);
    expect_port("Tag t\nMatch tagged t,u\nPort 1", "h", 1);
    expect_port("Match tagged \"\"\nPort 1", "h", 1);
    expect_port("Tag t\nMatch tagged \"\"\nPort 1", "h", 0);
    expect_port("Match sessiontype shell\nPort 1", "h", 1);
    expect_port("RemoteCommand x\nMatch sessiontype exec command x\nPort 1", "h", 1);
    expect_port("SessionType none\nMatch sessiontype shell,exec\nPort 1", "h", 0);
    expect_port("Match canonical\nPort 1", "h", 0);
    expect_port("Match localnetwork 10.0.0.0/8\nPort 1", "h", 0);
}

static int count_runs(void *arg, const char *command, const struct ssh_options *so_far UNUSED)
{
    ++*(int *)arg;
    return strcmp(command, "good one") == 0;
}

static void test_ssh_exec_and_passes(void **state UNUSED)
{
    int runs = 0;
    struct ssh_options o;
    struct ssh_conf_ctx ctx = { .original_host = "h", .local_user = "me", .exec = count_runs, .arg = &runs };
    ssh_options_init(&o);
    ssh_eval_ctx(&o, "Match host x exec \"good one\"\nPort 1\nMatch exec \"good one\"\nPort 2\nMatch !exec bad\nUser u", &ctx);
    assert_int_equal(runs, 2);
    assert_int_equal(o.port, 2);
    assert_string_equal(o.user, "u");
    assert_false(ctx.wants_final_pass);
    ssh_options_done(&o);
    ssh_options_init(&o);
    ssh_eval_ctx(&o, "Match final host h\nPort 9\nMatch all\nUser z", &ctx);
    assert_true(ctx.wants_final_pass);
    assert_int_equal(o.port, 0);
    ctx.is_final = true;
    ssh_eval_ctx(&o, "Match final host h\nPort 9\nMatch all\nUser y", &ctx);
    assert_int_equal(o.port, 9);
    assert_string_equal(o.user, "z");
    ssh_options_done(&o);
}

static void test_ssh_order_and_origin(void **state UNUSED)
{
    struct ssh_options o;
    CLEANUP(buf_done) struct buf text = BUF_INIT(1000);
    struct ssh_conf_ctx ctx = { .original_host = "h", .local_user = "me" };
    ssh_options_init(&o);
    assert_int_equal(ssh_options_set(&o, "Port=77", NULL, &diag), 0);
    assert_int_equal(ssh_options_set_value(&o, SSH_OPT_identity_file, "with space", NULL, &diag), 0);
    assert_int_equal(ssh_options_set_value(&o, SSH_OPT_local_forward, "8080:[::1]:80", NULL, &diag), 0);
    ssh_eval_ctx(&o, "Port 1\nUser u\nIdentityFile b\nIdentityFile b\nProxyJump j", &ctx);
    ssh_eval_ctx(&o, "Port 2\nUser v\nIdentityFile c\nProxyCommand p", &ctx);
    assert_int_equal(o.port, 77);
    assert_string_equal(o.user, "u");
    assert_int_equal(o.identity_file.n, 3);
    assert_string_equal(o.identity_file.v[0], "with space");
    assert_string_equal(o.local_forward.v[0].connect_host, "::1");
    assert_string_equal(o.proxy_jump, "j");
    assert_null(o.proxy_command);
    assert_int_equal(ssh_options_origin(&o, SSH_OPT_port, &text), 0);
    assert_int_equal(buf_put_str(&text, "; "), 0);
    assert_int_equal(ssh_options_origin(&o, SSH_OPT_user, &text), 0);
    assert_string_equal(buf_cstr(&text), "command line; F line 2");
    assert_int_equal(ssh_options_set(&o, "", NULL, &diag), 0);
    assert_int_equal(ssh_options_set(&o, " # Foo=1", NULL, &diag), 0);
    assert_int_equal(ssh_options_set(&o, "Foo=1", NULL, &diag), ERR_NOT_FOUND);
    assert_int_equal(ssh_options_set(&o, "Host=1", NULL, &diag), ERR_FORMAT);
    assert_int_equal(ssh_options_set(&o, "IgnoreUnknown=F*", NULL, &diag), 0);
    assert_int_equal(ssh_options_set(&o, "Foo=1", NULL, &diag), 0);
    ssh_options_done(&o);
}

/* ---- sshd ---- */

static int in_group(void *arg UNUSED, const char *user UNUSED, const char *patterns, bool *ret_matches)
{
    *ret_matches = strcmp(patterns, "staff") == 0;
    return 0;
}

static void sshd_eval(struct sshd_options *o, const char *text, const struct sshd_conf_ctx *ctx)
{
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    if (parse(CONF_SSHD, view_str(text), &img) != 0) fail_msg("%s", diag.errors.v[0]);
    assert_int_equal(sshd_options_eval(o, &img, ctx, &diag), 0);
}

static void test_sshd_match_overrides(void **state UNUSED)
{
    const struct sshd_conf_ctx ctx = { .user = "x", .address = "10.1.2.3", .local_port = 22, .in_group = in_group };
    const char *text =
        "Banner /global\nMaxSessions 1\nAllowUsers a b\nPort 1\nPort 2\nInclude match\n"
        "Match User y\n Banner /y\nMatch Group staff Address 10.0.0.0/8\n Banner /x\n AllowUsers c\n MaxAuthTries 2\n"
        "Match LocalPort 22\n Banner /late\n AllowUsers d\n";
    struct sshd_options o;
    sshd_options_init(&o);
    assert_int_equal(sshd_options_set(&o, "MaxAuthTries=4", NULL, &diag), 0);
    sshd_eval(&o, text, &ctx);
    assert_string_equal(o.banner, "/inner");
    assert_int_equal(o.max_sessions, 5);
    assert_int_equal(o.max_auth_tries, 2); /* Match beats the command line */
    assert_int_equal(o.allow_users.n, 2);
    assert_string_equal(o.allow_users.v[0], "c");
    assert_string_equal(o.allow_users.v[1], "d");
    assert_int_equal(o.port.n, 2);
    sshd_options_done(&o);

    sshd_options_init(&o);
    assert_int_equal(sshd_options_set(&o, "Port=2222", NULL, &diag), 0);
    sshd_eval(&o, text, NULL);
    assert_string_equal(o.banner, "/global");
    assert_int_equal(o.max_sessions, 1);
    assert_int_equal(o.allow_users.n, 2);
    assert_string_equal(o.allow_users.v[0], "a");
    assert_int_equal(o.port.n, 1);
    sshd_options_done(&o);
}

static void test_sshd_unknown_facts_do_not_match(void **state UNUSED)
{
    const struct sshd_conf_ctx nothing = { .user = NULL };
    struct sshd_options o;
    sshd_options_init(&o);
    sshd_eval(&o,
              "Match User *\nBanner /1\nMatch Address 0.0.0.0/0,*\nBanner /2\nMatch Group staff\nBanner /3\nMatch LocalPort "
              "22\nBanner /4\n"
              "Match RDomain *\nBanner /5\nMatch Invalid-User\nBanner /6\nMatch all\nBanner /7",
              &nothing);
    assert_string_equal(o.banner, "/7");
    sshd_options_done(&o);
}

static void test_sshd_checks(void **state UNUSED)
{
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    struct sshd_options o;
    assert_int_equal(parse(CONF_SSHD,
                           view_str("X11Forwarding yes\nAllowAgentForwarding yes\nPermitTunnel yes\nGSSAPIAuthentication no\n"
                                    "Match User a\nChrootDirectory /x\nRDomain %D\nMatch User b\nChrootDirectory none\n"),
                           &img),
                     0);
    assert_int_equal(sshd_image_check(&img, &diag), ERR_UNSUPPORTED);
    assert_int_equal(diag.n_errors, 2);
    assert_non_null(strstr(diag.errors.v[0], "F line 6: ChrootDirectory"));
    sshd_options_init(&o);
    assert_int_equal(sshd_options_set(&o, "AuthorizedKeysCommand /bin/x", NULL, &diag), 0);
    assert_int_not_equal(sshd_options_check(&o, &diag), 0);
    sshd_options_done(&o);
}

/* ---- errors and limits ---- */

static void expect_error(enum conf_program program, const char *text, const char *message)
{
    struct conf_image img = CONF_IMAGE_INIT;
    assert_int_equal(parse(program, view_str(text), &img), ERR_FORMAT);
    for (size_t i = 0; i < diag.errors.n; i++)
        if (strncmp(diag.errors.v[i], message, strlen(message)) == 0) return;
    fail_msg("%s says %s", text, diag.errors.n ? diag.errors.v[0] : "nothing");
}

static void test_errors(void **state UNUSED)
{
    expect_error(CONF_SSH, "Port 1\nFoo bar", "F: line 2: Bad configuration option: foo");
    expect_error(CONF_SSH, "Identityfiel x", "F: line 1: Bad configuration option: identityfiel (did you mean IdentityFile?)");
    expect_error(CONF_SSHD, "Foo bar", "F: line 1: Bad configuration option: Foo");
    expect_error(CONF_SSH, "Port", "F line 1: no argument after keyword \"port\"");
    expect_error(CONF_SSHD, "Port 22 33", "F line 1: keyword Port extra arguments at end of line");
    expect_error(CONF_SSH, "Foo 1\nBar 2\nPort x\n", "F: terminating, 3 bad configuration options");
    expect_error(CONF_SSHD, "Match User a\nPort 22", "F line 2: Directive 'Port' is not allowed within a Match block");
    expect_error(CONF_SSHD, "Match Address 1.2.3.4/8", "F line 1: Bad Match condition");
    expect_error(CONF_SSH, "Host x\nUser \"a b", "F line 2: invalid quotes");
    expect_error(CONF_SSH, "Port 1\nInclude broken", "broken: line 2: Bad configuration option: nonsense");
    expect_error(CONF_SSH, "Include self", "self line 1: Too many recursive configuration includes");
    expect_error(CONF_SSHD, "Match User a\nInclude ports", "ports line 1: Directive 'Port' is not allowed within a Match block");
}

static void test_warnings(void **state UNUSED)
{
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    assert_int_equal(parse(CONF_SSHD, view_str("Protocol 2\nUsePrivilegeSeparation yes\nRSAAuthentication no"), &img), 0);
    assert_int_equal(diag.warnings.n, 2);
    assert_string_equal(diag.warnings.v[0], "F line 2: Deprecated option UsePrivilegeSeparation");
    assert_string_equal(diag.warnings.v[1], "F line 3: Deprecated option RSAAuthentication; use PubkeyAuthentication");
}

static void test_limits(void **state UNUSED)
{
    struct conf_image img = CONF_IMAGE_INIT;
    const size_t len = 10 << 20;
    char *big = malloc(len);
    memset(big, 'x', len);
    memcpy(big, "User ", 5);
    assert_int_equal(parse(CONF_SSH, view_of(big, len), &img), ERR_FORMAT);
    assert_non_null(strstr(diag.errors.v[0], "line too long"));
    memset(big, ' ', len); /* nothing but blanks, then many short words */
    assert_int_equal(parse(CONF_SSH, view_of(big, len), &img), 0);
    conf_image_done(&img);
    for (size_t i = 0; i < len; i += 2) big[i] = 'x';
    memcpy(big, "SendEnv ", 8);
    assert_int_equal(parse(CONF_SSH, view_of(big, 100000), &img), ERR_FORMAT);
    assert_non_null(strstr(diag.errors.v[0], "too many words"));
    free(big);
    assert_int_equal(parse(CONF_SSH, view_of("Port 1\nUser\0x\n", 15), &img), ERR_FORMAT);
    assert_non_null(strstr(diag.errors.v[0], "F line 2: NUL"));
}

/* No change of an image's bytes may lead eval astray. */
static void test_damaged_images(void **state UNUSED)
{
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    const struct sshd_conf_ctx ctx = { .user = "x", .address = "10.1.2.3", .in_group = in_group };
    assert_int_equal(
        parse(CONF_SSHD, view_str("Banner /a\nInclude match\nMatch User x Address 10.0.0.0/8\nSetEnv A=b\nAllowUsers c d\n"), &img),
        0);
    uint8_t *copy = malloc(img.bytes.len);
    size_t good = 0;
    for (size_t at = 0; at < img.bytes.len; at++)
        for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
            struct conf_image opened;
            struct sshd_options o;
            memcpy(copy, img.bytes.p, img.bytes.len);
            copy[at] ^= (uint8_t)flip;
            sshd_options_init(&o);
            if (conf_image_open(CONF_SSHD, view_of(copy, img.bytes.len), &opened) == 0) {
                good++;
                int err = sshd_options_eval(&o, &opened, &ctx, &diag);
                assert_true(err <= 0);
            }
            sshd_options_done(&o);
        }
    assert_true(good > 0);
    for (size_t len = 0; len < img.bytes.len; len++) {
        struct conf_image opened;
        memcpy(copy, img.bytes.p, len);
        assert_int_equal(conf_image_open(CONF_SSHD, view_of(copy, len), &opened), ERR_FORMAT);
    }
    free(copy);
}

static int done_diag(void **state UNUSED)
{
    conf_diag_done(&diag);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ssh_blocks),
        cmocka_unit_test(test_ssh_exec_and_passes),
        cmocka_unit_test(test_ssh_order_and_origin),
        cmocka_unit_test(test_sshd_match_overrides),
        cmocka_unit_test(test_sshd_unknown_facts_do_not_match),
        cmocka_unit_test(test_sshd_checks),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_damaged_images),
    };
    return cmocka_run_group_tests(tests, NULL, done_diag);
}
