/* Every keyword is there, every value survives being printed and read again, copied, and sent to another process. */
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

static const char *const ssh_keywords[] = { "Host",
                                            "Match",
                                            "Include",
                                            "AddKeysToAgent",
                                            "AddressFamily",
                                            "BatchMode",
                                            "BindAddress",
                                            "BindInterface",
                                            "CanonicalDomains",
                                            "CanonicalizeFallbackLocal",
                                            "CanonicalizeHostname",
                                            "CanonicalizeMaxDots",
                                            "CanonicalizePermittedCNAMEs",
                                            "CASignatureAlgorithms",
                                            "CertificateFile",
                                            "ChannelTimeout",
                                            "CheckHostIP",
                                            "Ciphers",
                                            "ClearAllForwardings",
                                            "Compression",
                                            "ConnectionAttempts",
                                            "ConnectTimeout",
                                            "ControlMaster",
                                            "ControlPath",
                                            "ControlPersist",
                                            "DynamicForward",
                                            "EnableEscapeCommandline",
                                            "EnableSSHKeysign",
                                            "EscapeChar",
                                            "ExitOnForwardFailure",
                                            "FingerprintHash",
                                            "ForkAfterAuthentication",
                                            "ForwardAgent",
                                            "ForwardX11",
                                            "ForwardX11Timeout",
                                            "ForwardX11Trusted",
                                            "GatewayPorts",
                                            "GlobalKnownHostsFile",
                                            "GSSAPIAuthentication",
                                            "GSSAPIDelegateCredentials",
                                            "HashKnownHosts",
                                            "HostbasedAcceptedAlgorithms",
                                            "HostbasedAuthentication",
                                            "HostKeyAlgorithms",
                                            "HostKeyAlias",
                                            "Hostname",
                                            "IdentitiesOnly",
                                            "IdentityAgent",
                                            "IdentityFile",
                                            "IgnoreUnknown",
                                            "IPQoS",
                                            "KbdInteractiveAuthentication",
                                            "KbdInteractiveDevices",
                                            "KexAlgorithms",
                                            "KnownHostsCommand",
                                            "LocalCommand",
                                            "LocalForward",
                                            "LogLevel",
                                            "LogVerbose",
                                            "MACs",
                                            "NoHostAuthenticationForLocalhost",
                                            "NumberOfPasswordPrompts",
                                            "ObscureKeystrokeTiming",
                                            "PasswordAuthentication",
                                            "PermitLocalCommand",
                                            "PermitRemoteOpen",
                                            "PKCS11Provider",
                                            "Port",
                                            "PreferredAuthentications",
                                            "ProxyCommand",
                                            "ProxyJump",
                                            "ProxyUseFdpass",
                                            "PubkeyAcceptedAlgorithms",
                                            "PubkeyAuthentication",
                                            "RefuseConnection",
                                            "RekeyLimit",
                                            "RemoteCommand",
                                            "RemoteForward",
                                            "RequestTTY",
                                            "RequiredRSASize",
                                            "RevokedHostKeys",
                                            "SecurityKeyProvider",
                                            "SendEnv",
                                            "ServerAliveCountMax",
                                            "ServerAliveInterval",
                                            "SessionType",
                                            "SetEnv",
                                            "StdinNull",
                                            "StreamLocalBindMask",
                                            "StreamLocalBindUnlink",
                                            "StrictHostKeyChecking",
                                            "SyslogFacility",
                                            "TCPKeepAlive",
                                            "Tag",
                                            "Tunnel",
                                            "TunnelDevice",
                                            "UpdateHostKeys",
                                            "User",
                                            "UserKnownHostsFile",
                                            "VerifyHostKeyDNS",
                                            "VersionAddendum",
                                            "VisualHostKey",
                                            "WarnWeakCrypto",
                                            "XAuthLocation",
                                            "challengeresponseauthentication",
                                            "skeyauthentication",
                                            "tisauthentication",
                                            "dsaauthentication",
                                            "hostbasedkeytypes",
                                            "pubkeyacceptedkeytypes",
                                            "identityfile2",
                                            "keepalive",
                                            "smartcarddevice",
                                            "cipher",
                                            "fallbacktorsh",
                                            "globalknownhostsfile2",
                                            "rhostsauthentication",
                                            "userknownhostsfile2",
                                            "useroaming",
                                            "usersh",
                                            "useprivilegedport",
                                            "protocol",
                                            "afstokenpassing",
                                            "kerberosauthentication",
                                            "kerberostgtpassing",
                                            "rsaauthentication",
                                            "rhostsrsaauthentication",
                                            "compressionlevel" };
static const char *const sshd_keywords[] = { "AcceptEnv",
                                             "AddressFamily",
                                             "AllowAgentForwarding",
                                             "AllowGroups",
                                             "AllowStreamLocalForwarding",
                                             "AllowTcpForwarding",
                                             "AllowUsers",
                                             "AuthenticationMethods",
                                             "AuthorizedKeysCommand",
                                             "AuthorizedKeysCommandUser",
                                             "AuthorizedKeysFile",
                                             "AuthorizedPrincipalsCommand",
                                             "AuthorizedPrincipalsCommandUser",
                                             "AuthorizedPrincipalsFile",
                                             "Banner",
                                             "CASignatureAlgorithms",
                                             "ChannelTimeout",
                                             "ChrootDirectory",
                                             "Ciphers",
                                             "ClientAliveCountMax",
                                             "ClientAliveInterval",
                                             "Compression",
                                             "DenyGroups",
                                             "DenyUsers",
                                             "DisableForwarding",
                                             "ExposeAuthInfo",
                                             "FingerprintHash",
                                             "ForceCommand",
                                             "GatewayPorts",
                                             "GSSAPIAuthentication",
                                             "GSSAPICleanupCredentials",
                                             "GSSAPIDelegateCredentials",
                                             "GSSAPIStrictAcceptorCheck",
                                             "HostbasedAcceptedAlgorithms",
                                             "HostbasedAuthentication",
                                             "HostbasedUsesNameFromPacketOnly",
                                             "HostCertificate",
                                             "HostKey",
                                             "HostKeyAgent",
                                             "HostKeyAlgorithms",
                                             "IgnoreRhosts",
                                             "IgnoreUserKnownHosts",
                                             "Include",
                                             "IPQoS",
                                             "KbdInteractiveAuthentication",
                                             "KerberosAuthentication",
                                             "KerberosGetAFSToken",
                                             "KerberosOrLocalPasswd",
                                             "KerberosTicketCleanup",
                                             "KexAlgorithms",
                                             "ListenAddress",
                                             "LoginGraceTime",
                                             "LogLevel",
                                             "LogVerbose",
                                             "MACs",
                                             "Match",
                                             "MaxAuthTries",
                                             "MaxSessions",
                                             "MaxStartups",
                                             "ModuliFile",
                                             "PAMServiceName",
                                             "PasswordAuthentication",
                                             "PermitEmptyPasswords",
                                             "PermitListen",
                                             "PermitOpen",
                                             "PermitRootLogin",
                                             "PermitTTY",
                                             "PermitTunnel",
                                             "PermitUserEnvironment",
                                             "PermitUserRC",
                                             "PerSourceMaxStartups",
                                             "PerSourceNetBlockSize",
                                             "PerSourcePenalties",
                                             "PerSourcePenaltyExemptList",
                                             "PidFile",
                                             "Port",
                                             "PrintLastLog",
                                             "PrintMotd",
                                             "PubkeyAcceptedAlgorithms",
                                             "PubkeyAuthOptions",
                                             "PubkeyAuthentication",
                                             "RefuseConnection",
                                             "RekeyLimit",
                                             "RequiredRSASize",
                                             "RevokedKeys",
                                             "RDomain",
                                             "SecurityKeyProvider",
                                             "SetEnv",
                                             "SshdAuthPath",
                                             "SshdSessionPath",
                                             "StreamLocalBindMask",
                                             "StreamLocalBindUnlink",
                                             "StrictModes",
                                             "Subsystem",
                                             "SyslogFacility",
                                             "TCPKeepAlive",
                                             "TrustedUserCAKeys",
                                             "UnusedConnectionTimeout",
                                             "UseDNS",
                                             "UsePAM",
                                             "VersionAddendum",
                                             "X11DisplayOffset",
                                             "X11Forwarding",
                                             "X11UseLocalhost",
                                             "XAuthLocation",
                                             "HostDSAKey",
                                             "HostBasedAcceptedKeyTypes",
                                             "PubkeyAcceptedKeyTypes",
                                             "DSAAuthentication",
                                             "ChallengeResponseAuthentication",
                                             "SKeyAuthentication",
                                             "KeepAlive",
                                             "ServerKeyBits",
                                             "KeyRegenerationInterval",
                                             "RHostsAuthentication",
                                             "RhostsRSAAuthentication",
                                             "RSAAuthentication",
                                             "CheckMail",
                                             "UseLogin",
                                             "VerifyReverseMapping",
                                             "ReverseMappingCheck",
                                             "AuthorizedKeysFile2",
                                             "UsePrivilegeSeparation",
                                             "KerberosTgtPassing",
                                             "AFSTokenPassing",
                                             "Protocol" };

static void check_keywords(const struct conf_table *t, const char *const *keywords, size_t n)
{
    struct conf_index x;
    conf_index_init(&x, t);
    for (size_t i = 0; i < n; i++) {
        const struct conf_option *opt;
        const struct conf_word *word;
        conf_index_find(&x, t, view_str(keywords[i]), &opt, &word);
        if (!opt && !word) fail_msg("%s is missing", keywords[i]);
    }
}

static void test_all_keywords_are_known(void **state UNUSED)
{
    check_keywords(&conf_ssh_table, ssh_keywords, ARRAY_LEN(ssh_keywords));
    check_keywords(&conf_sshd_table, sshd_keywords, ARRAY_LEN(sshd_keywords));
}

static void test_rows_are_complete(void **state UNUSED)
{
    const struct conf_table *tables[] = { &conf_ssh_table, &conf_sshd_table };
    for (size_t k = 0; k < ARRAY_LEN(tables); k++)
        for (size_t i = 0; i < tables[k]->n_options; i++) {
            const struct conf_option *opt = &tables[k]->options[i];
            assert_int_equal(opt->idx, i);
            assert_non_null(opt->manual);
            assert_true(opt->manual[strlen(opt->manual) - 1] == '.');
            assert_true(opt->type->size <= 256);
            assert_true((opt->state == CONF_STATE_LATER) == (opt->lacks != NULL));
            assert_ptr_equal(conf_option_find(tables[k], view_str(opt->name)), opt);
        }
}

/* Lines to try for each type; several lines in one sample are mentions one after the other. */
static const struct {
    const struct conf_type *type;
    const char *samples[6];
} samples[] = {
    { &conf_type_BOOL, { "yes", "no", "TRUE" } },
    { &conf_type_INT, { "1", "7", "2147483647" } },
    { &conf_type_INT_NONE, { "none", "3" } },
    { &conf_type_PORT, { "22", "65535", "ssh" } },
    { &conf_type_PORTS, { "22\n2222" } },
    { &conf_type_TIME, { "0", "90", "1h30m", "2w" } },
    { &conf_type_TIME_NONE, { "none", "10", "5m" } },
    { &conf_type_OCTAL, { "0177", "0", "77" } },
    { &conf_type_LOG_LEVEL, { "quiet", "DEBUG", "DEBUG1", "DEBUG3", "VERBOSE" } },
    { &conf_type_ESCAPE, { "~", "none", "^A", "^]", "^" } },
    { &conf_type_FLAGS, { "none", "touch-required", "touch-required verify-required" } },
    { &conf_type_STRING, { "word", "none", "\"two words\"", "a\\\"b", "%h.example.com" } },
    { &conf_type_LINE, { "/bin/a \"b  c\" # d", "none", "/x" } },
    { &conf_type_ALGS, { "+x", "^a,b", "-c*" } },
    { &conf_type_STRINGS, { "a", "a \"b c\" d", "none" } },
    { &conf_type_STRINGS_UNIQUE, { "a\nb c\na\n\"e f\"", "a\nb\na" } },
    { &conf_type_SEND_ENV, { "LANG LC_*\nFOO\n-LC_*\nBAR" } },
    { &conf_type_ENV_NAMES, { "LANG LC_*\nFOO" } },
    { &conf_type_SET_ENV, { "A=b", "A= \"B=c d\" C=x=y" } },
    { &conf_type_CNAMES, { "none", "*.a:*.b c:d" } },
    { &conf_type_DESTINATIONS, { "any", "none", "a:1 [::1]:* *:22" } },
    { &conf_type_LISTENERS, { "any", "none", "80 a:81 *:82 [::1]:83" } },
    { &conf_type_USERS, { "a b@10.0.0.0/8\nc*" } },
    { &conf_type_AUTH_METHODS, { "any", "publickey,password keyboard-interactive:pam" } },
    { &conf_type_CIDRS, { "none", "10.0.0.0/8,::1" } },
    { &conf_type_PROXY_JUMP, { "none", "a", "u@a:22,[::1]:33,b" } },
    { &conf_type_REKEY, { "default none", "1G 1h", "16", "1k none", "0 0" } },
    { &conf_type_IPQOS, { "ef cs0", "none", "0x10", "3 le", "af21 none" } },
    { &conf_type_TUN_DEVICE, { "any", "1", "1:2", "any:3" } },
    { &conf_type_ADD_KEYS, { "yes", "no", "ask", "confirm", "confirm 1h", "5m" } },
    { &conf_type_CONTROL_PERSIST, { "yes", "no", "0", "10m" } },
    { &conf_type_FORWARD_AGENT, { "yes", "no", "/sock", "$VAR" } },
    { &conf_type_OBSCURE_TIMING, { "yes", "no", "interval:80" } },
    { &conf_type_LOCAL_FORWARDS, { "1 a:2\n[::1]:3 [::2]:4\n/s /t\n*:5 b:6\n7 /u" } },
    { &conf_type_REMOTE_FORWARDS, { "0 a:2\n9\n/s b:3\n[::1]:0 /x\n:8 c:9" } },
    { &conf_type_DYNAMIC_FORWARDS, { "1080\n*:1081\n[::1]:1082" } },
    { &conf_type_LISTEN, { "1.2.3.4\n::1\n[::1]:22\nhost:80\n* rdomain x" } },
    { &conf_type_MAX_STARTUPS, { "10", "10:30:100" } },
    { &conf_type_NET_BLOCK, { "24", "32:64" } },
    { &conf_type_PENALTIES, { "yes", "no", "crash:1.5 max:10m overflow6:deny-all max-sources4:7" } },
    { &conf_type_CHANNEL_TIMEOUTS, { "none", "session=5m x11-connection=90 global=1h" } },
    { &conf_type_SUBSYSTEMS, { "sftp internal-sftp -f \"a b\"  c\n\"x y\" /z\nsftp other" } },
    { &conf_type_USER_ENVIRONMENT, { "yes", "no", "LANG,LC_*" } },
};

static void set_lines(struct conf_any a, const struct conf_option *opt, const char *lines)
{
    struct conf_diag diag = CONF_DIAG_INIT;
    for (const char *line = lines; line;) {
        const char *end = strchr(line, '\n');
        char setting[512];
        snprintf(setting, sizeof(setting), "%s %.*s", opt->name, (int)(end ? end - line : (long)strlen(line)), line);
        /* the types' own extra words do not fit options of the type that take one */
        int err = conf_any_set(a, setting, NULL, &diag);
        if (err == ERR_FORMAT && !strstr(diag.errors.v[0], "extra arguments") && !strstr(diag.errors.v[0], "must be an absolute"))
            fail_msg("%s: %s", setting, diag.errors.v[0]);
        conf_diag_done(&diag);
        line = end ? end + 1 : NULL;
    }
}

static bool same_value(struct conf_any a, struct conf_any b, const struct conf_option *opt)
{
    const void *x = conf_any_field(a, opt->idx), *y = conf_any_field(b, opt->idx);
    return opt->type->equal ? opt->type->equal(x, y) : memcmp(x, y, opt->type->size) == 0;
}

static void dump_all(struct conf_any a, struct buf *out)
{
    for (size_t i = 0; i < a.table->n_options; i++) assert_int_equal(conf_any_dump_option(a, &a.table->options[i], out), 0);
}

/* value -> words -> value, by export and import, which print and parse; and by copy. */
static void check_value(const struct conf_table *t, const struct conf_option *opt, const char *lines)
{
    struct conf_any a = { t, calloc(1, t->options_size) }, b = { t, calloc(1, t->options_size) },
                    c = { t, calloc(1, t->options_size) };
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(1 << 20);
    set_lines(a, opt, lines);
    assert_int_equal(conf_any_export(a, &bytes), 0);
    assert_int_equal(conf_any_import(buf_view(&bytes), b), 0);
    if (!same_value(a, b, opt)) fail_msg("%s %s changed on its way", opt->name, lines);
    assert_int_equal(conf_any_origin(a, opt->idx)->source, conf_any_origin(b, opt->idx)->source);
    assert_int_equal(conf_any_copy(c, a.options), 0);
    if (!same_value(a, c, opt)) fail_msg("%s %s changed when copied", opt->name, lines);
    for (size_t cut = 0; cut < buf_len(&bytes); cut++) {
        conf_any_done(b);
        assert_int_not_equal(conf_any_import(view_of(buf_bytes(&bytes), cut), b), 0);
    }
    conf_any_done(a);
    conf_any_done(b);
    conf_any_done(c);
    free(a.options);
    free(b.options);
    free(c.options);
}

static void check_option(const struct conf_table *t, const struct conf_option *opt)
{
    size_t tried = 0;
    for (const struct conf_name *name = opt->names; name && name->name; name++, tried++) check_value(t, opt, name->name);
    for (size_t k = 0; k < ARRAY_LEN(samples); k++)
        for (size_t s = 0; samples[k].type == opt->type && s < 6 && samples[k].samples[s]; s++, tried++)
            check_value(t, opt, samples[k].samples[s]);
    if (!tried) fail_msg("no sample for type %s of %s", opt->type->name, opt->name);
}

static void test_every_value_survives(void **state UNUSED)
{
    for (size_t i = 0; i < conf_ssh_table.n_options; i++) check_option(&conf_ssh_table, &conf_ssh_table.options[i]);
    for (size_t i = 0; i < conf_sshd_table.n_options; i++) check_option(&conf_sshd_table, &conf_sshd_table.options[i]);
}

/* The dump of all defaults, fed back, gives the same dump. */
static void check_dump_is_input(enum conf_program program)
{
    const struct conf_table *t = conf_table_of(program);
    struct conf_any a = { t, calloc(1, t->options_size) }, b = { t, calloc(1, t->options_size) };
    CLEANUP(buf_done) struct buf first = BUF_INIT(1 << 20), second = BUF_INIT(1 << 20);
    struct conf_diag diag = CONF_DIAG_INIT;
    assert_int_equal(conf_any_fill_defaults(a, NULL), 0);
    dump_all(a, &first);
    char *text = view_dup_str(buf_view(&first)), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (conf_any_set(b, line, NULL, &diag) != 0) fail_msg("%s", diag.errors.v[0]);
    assert_int_equal(conf_any_fill_defaults(b, NULL), 0);
    dump_all(b, &second);
    assert_string_equal(buf_cstr(&first), buf_cstr(&second));
    free(text);
    conf_diag_done(&diag);
    conf_any_done(a);
    conf_any_done(b);
    free(a.options);
    free(b.options);
}

static void test_dump_is_input(void **state UNUSED)
{
    check_dump_is_input(CONF_SSH);
    check_dump_is_input(CONF_SSHD);
}

static void test_defaults(void **state UNUSED)
{
    struct ssh_options o;
    struct sshd_options s;
    static const struct conf_algorithms algs = { .supported = { "a,b", "c", "d", "e", "f" },
                                                 .defaults = { "a", "c", "d", "e", "f" } };
    CLEANUP(buf_done) struct buf where = BUF_INIT(100);
    ssh_options_init(&o);
    sshd_options_init(&s);
    assert_int_equal(ssh_options_fill_defaults(&o, &algs), 0);
    assert_int_equal(sshd_options_fill_defaults(&s, &algs), 0);
    assert_int_equal(o.port, 22);
    assert_int_equal(o.connect_timeout, CONF_TIME_NONE);
    assert_int_equal(o.strict_host_key_checking, CONF_HOST_KEYS_ASK);
    assert_int_equal(o.identity_file.n, 6);
    assert_string_equal(o.kex_algorithms, "a");
    assert_int_equal(o.ipqos.interactive, 0xb8);
    assert_false(ssh_options_is_set(&o, SSH_OPT_port));
    assert_int_equal(ssh_options_origin(&o, SSH_OPT_port, &where), 0);
    assert_string_equal(buf_cstr(&where), "default");
    assert_int_equal(s.login_grace_time, 120);
    assert_int_equal(s.permit_root_login, CONF_ROOT_NO_PASSWORD);
    assert_int_equal(s.port.n, 1);
    assert_int_equal(s.per_source_penalties.crash_ms, 90000);
    assert_int_equal(s.authentication_methods.n, 0);
    ssh_options_done(&o);
    sshd_options_done(&s);
}

static void test_missing_features_are_refused(void **state UNUSED)
{
    static const struct {
        const char *setting;
        bool refused;
    } cases[] = { { "ForwardAgent yes", false },
                  { "ForwardAgent no", false },
                  { "LocalForward 1 a:2", false },
                  { "ControlPath none", false },
                  { "ControlMaster auto", false },
                  { "ControlPersist no", false },
                  { "ProxyJump none", false },
                  { "ProxyJump a", false },
                  { "Port 23", false },
                  { "Tunnel no", false },
                  { "SecurityKeyProvider internal", false } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ssh_options o;
        struct conf_diag diag = CONF_DIAG_INIT;
        ssh_options_init(&o);
        assert_int_equal(ssh_options_set(&o, cases[i].setting, NULL, &diag), 0);
        int err = ssh_options_check(&o, &diag);
        if (err != (cases[i].refused ? ERR_UNSUPPORTED : 0)) fail_msg("%s: %d", cases[i].setting, err);
        assert_int_equal(diag.n_errors, cases[i].refused);
        ssh_options_done(&o);
        conf_diag_done(&diag);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_keywords_are_known),
        cmocka_unit_test(test_rows_are_complete),
        cmocka_unit_test(test_every_value_survives),
        cmocka_unit_test(test_dump_is_input),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_missing_features_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
