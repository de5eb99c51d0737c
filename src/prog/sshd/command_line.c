/* sshd's flags, most of which are settings in short form. */
#include "prog/sshd/command_line.h"

#include "crypto/crypto.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The colon in front: what is wrong is said here. */
static const char flags[] = ":C:DGTVb:c:dE:ef:g:h:ik:o:p:qQrRtu:46";

/* Flags that stand for a keyword. */
static const struct {
    char flag;
    const char *format; /* of the setting; %s is the argument */
} setting_flags[] = {
    { 'o', "%s" },
    { 'p', "Port=%s" },
    { 'h', "HostKey=\"%s\"" },
    { 'c', "HostCertificate=\"%s\"" },
    { 'g', "LoginGraceTime=%s" },
    { '4', "AddressFamily=inet" },
    { '6', "AddressFamily=inet6" },
};

static void usage(void)
{
    dprintf(STDERR_FILENO,
            "Nacre_" NACRE_VERSION ", %s\n"
            "usage: sshd [-46DdeGiqTtV] [-C connection_spec] [-c host_cert_file]\n"
            "            [-E log_file] [-f config_file] [-g login_grace_time]\n"
            "            [-h host_key_file] [-o option] [-p port] [-u len]\n",
            crypto_library_version());
}

static int add_setting(struct strv *settings, char flag, const char *argument)
{
    for (size_t i = 0; i < ARRAY_LEN(setting_flags); i++) {
        if (setting_flags[i].flag != flag) continue;
        CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 20);
        TRY(buf_printf(&text, setting_flags[i].format, argument));
        return strv_add(settings, buf_view(&text));
    }
    return ERR_NOT_FOUND;
}

/* ---- -C user=a,host=b: pieces; may be given several times ---- */

static const struct {
    const char *name;
    size_t offset;
} test_texts[] = {
    { "user=", offsetof(struct sshd_conf_ctx, user) },       { "host=", offsetof(struct sshd_conf_ctx, host) },
    { "addr=", offsetof(struct sshd_conf_ctx, address) },    { "laddr=", offsetof(struct sshd_conf_ctx, local_address) },
    { "rdomain=", offsetof(struct sshd_conf_ctx, rdomain) },
};

static bool take_test_spec(const char *text, struct sshd_conf_ctx *io)
{
    for (size_t i = 0; i < ARRAY_LEN(test_texts); i++) {
        size_t n = strlen(test_texts[i].name);
        if (strncmp(text, test_texts[i].name, n) != 0) continue;
        *(const char **)((char *)io + test_texts[i].offset) = text + n;
        return true;
    }
    if (strcmp(text, "invalid-user") == 0) return io->invalid_user = true;
    if (strncmp(text, "lport=", 6) != 0) return false;
    char *end;
    unsigned long port = strtoul(text + 6, &end, 10);
    if (text[6] == 0 || *end || port > UINT16_MAX) return false;
    io->local_port = (int)port;
    return true;
}

static int add_test_spec(struct command_line *c, const char *text)
{
    struct view list = view_str(text), one;
    struct sshd_conf_ctx ctx = { .user = NULL };
    c->has_test_spec = true;
    while (view_next_in_list(&list, &one)) {
        if (one.len == 0) continue;
        TRY(strv_add(&c->test_spec, one));
        const char *added = c->test_spec.v[c->test_spec.n - 1];
        if (take_test_spec(added, &ctx)) continue;
        if (strncmp(added, "lport=", 6) == 0)
            dprintf(STDERR_FILENO, "Invalid port '%s' in test mode specification %s\n", added + 6, added);
        else
            dprintf(STDERR_FILENO, "Invalid test mode specification %s\n", added);
        return ERR_FORMAT;
    }
    return 0;
}

struct sshd_conf_ctx command_line_test_ctx(const struct command_line *c)
{
    struct sshd_conf_ctx ctx = { .version = "Nacre_" NACRE_VERSION };
    for (size_t i = 0; i < c->test_spec.n; i++) (void)take_test_spec(c->test_spec.v[i], &ctx);
    return ctx;
}

/* ---- other values ---- */

/* What LoginGraceTime takes, in this flag's own words. */
static int take_grace_time(struct command_line *c, const char *text)
{
    CLEANUP(conf_diag_done) struct conf_diag unused = CONF_DIAG_INIT;
    CLEANUP(sshd_options_done) struct sshd_options scratch;
    sshd_options_init(&scratch);
    if (sshd_options_set_value(&scratch, SSHD_OPT_login_grace_time, text, NULL, &unused) == 0)
        return add_setting(&c->settings, 'g', text);
    dprintf(STDERR_FILENO, "Invalid login grace time.\n");
    return ERR_FORMAT;
}

static int take_utmp_len(struct command_line *c, const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text == 0 || *end || n > 255) {
        dprintf(STDERR_FILENO, "Invalid utmp length.\n");
        return ERR_FORMAT;
    }
    c->utmp_host_bytes = (unsigned)n;
    return 0;
}

static bool port_is_good(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    bool good = *text && !*end && n > 0 && n <= UINT16_MAX;
    if (!good) dprintf(STDERR_FILENO, "Bad port number.\n");
    return good;
}

static int take_flag(struct command_line *c, int flag)
{
    switch (flag) {
    case 'C':
        return add_test_spec(c, optarg);
    case 'D':
        c->no_detach = true;
        return 0;
    case 'G':
        c->mode = MODE_DUMP_ONLY;
        return 0;
    case 'T':
        c->mode = MODE_DUMP;
        return 0;
    case 't':
        c->mode = MODE_TEST;
        return 0;
    case 'V':
        c->mode = MODE_VERSION;
        return 0;
    case 'E':
        c->log_file = optarg;
        return 0;
    case 'e':
        c->log_stderr = true;
        return 0;
    case 'f':
        c->config_path = optarg;
        return 0;
    case 'i':
        c->inetd = true;
        return 0;
    case 'q':
        c->quiet = true;
        return 0;
    case 'g':
        return take_grace_time(c, optarg);
    case 'u':
        return take_utmp_len(c, optarg);
    case 'd':
        c->no_detach = true;
        if (c->debug < 3) c->debug++;
        return 0;
    case 'b':
    case 'k':
    case 'Q':
    case 'r':
    case 'R':
        return 0; /* of old versions: accepted, without effect */
    case '?':
    case ':':
        return ERR_FORMAT;
    case 'p':
        return port_is_good(optarg) ? add_setting(&c->settings, 'p', optarg) : ERR_FORMAT;
    default:
        return add_setting(&c->settings, (char)flag, optarg);
    }
}

int command_line_parse(int argc, char **argv, struct command_line *ret)
{
    *ret = (struct command_line){ .utmp_host_bytes = 64 };
    int flag, err = 0;
    while (err == 0 && (flag = getopt(argc, argv, flags)) != -1) {
        err = take_flag(ret, flag);
        if (flag == '?') dprintf(STDERR_FILENO, "unknown option -- %c\n", optopt);
        if (flag == ':') dprintf(STDERR_FILENO, "option requires an argument -- %c\n", optopt);
        if (flag == '?' || flag == ':') usage();
    }
    if (err == 0 && optind < argc) {
        dprintf(STDERR_FILENO, "Extra argument %s.\n", argv[optind]);
        err = ERR_FORMAT;
    }
    return err;
}

void command_line_done(struct command_line *c)
{
    strv_done(&c->settings);
    strv_done(&c->test_spec);
}
