/* ssh's flags, most of which are options of the configuration in short form. Options may stand before and after the host; the first
 * other word after it begins the command. */
#include "prog/ssh/client.h"

#include "conf/tokens.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char flags[] = "+:1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYyZ";

/* Flags that set an option; value NULL: their argument. Most win over what stood before them, on the command line too. A bad
 * argument is said in OpenSSH's words, with a hint behind them; complaint NULL: in the option's own. */
static const struct table_flag {
    char flag;
    bool keeps_first;
    enum ssh_opt opt;
    const char *value, *complaint, *hint;
} option_flags[] = {
    { '4', false, SSH_OPT_address_family, "inet", NULL, NULL },
    { '6', false, SSH_OPT_address_family, "inet6", NULL, NULL },
    { 'A', false, SSH_OPT_forward_agent, "yes", NULL, NULL },
    { 'a', false, SSH_OPT_forward_agent, "no", NULL, NULL },
    { 'B', false, SSH_OPT_bind_interface, NULL, NULL, NULL },
    { 'b', false, SSH_OPT_bind_address, NULL, NULL, NULL },
    { 'C', false, SSH_OPT_compression, "yes", NULL, NULL },
    { 'c', false, SSH_OPT_ciphers, NULL, "Unknown cipher type", "ssh -Q cipher lists what there is" },
    { 'D', true, SSH_OPT_dynamic_forward, NULL, "Bad dynamic forwarding specification", "[address:]port is needed" },
    { 'e', false, SSH_OPT_escape_char, NULL, "Bad escape character", "one character, ^ and a letter, or none" },
    { 'g', false, SSH_OPT_gateway_ports, "yes", NULL, NULL },
    { 'I', false, SSH_OPT_pkcs11_provider, NULL, NULL, NULL },
    { 'K', false, SSH_OPT_gssapi_authentication, "yes", NULL, NULL },
    { 'k', false, SSH_OPT_gssapi_delegate_credentials, "no", NULL, NULL },
    { 'L', true, SSH_OPT_local_forward, NULL, "Bad local forwarding specification",
      "[address:]port:host:port, or a socket's path on either side" },
    { 'l', true, SSH_OPT_user, NULL, NULL, NULL },
    { 'm', false, SSH_OPT_macs, NULL, "Unknown mac type", "ssh -Q mac lists what there is" },
    { 'n', false, SSH_OPT_stdin_null, "yes", NULL, NULL },
    { 'P', false, SSH_OPT_tag, NULL, NULL, NULL },
    { 'p', true, SSH_OPT_port, NULL, "Bad port", "1 to 65535 are possible" },
    { 'R', true, SSH_OPT_remote_forward, NULL, "Bad remote forwarding specification",
      "[address:]port[:host:port], or a socket's path on either side" },
    { 'S', false, SSH_OPT_control_path, NULL, NULL, NULL },
    { 'T', false, SSH_OPT_request_tty, "no", NULL, NULL },
    { 'w', false, SSH_OPT_tunnel_device, NULL, "Bad tun device", "local[:remote], each a number or any" },
    { 'X', false, SSH_OPT_forward_x11, "yes", NULL, NULL },
    { 'x', false, SSH_OPT_forward_x11, "no", NULL, NULL },
    { 'Y', false, SSH_OPT_forward_x11, "yes", NULL, NULL },
};

void command_line_usage(void)
{
    dprintf(STDERR_FILENO, "usage: ssh [-46AaCfGgKkMNnqsTtVvXxYyZ] [-B bind_interface] [-b bind_address]\n"
                           "           [-c cipher_spec] [-D [bind_address:]port] [-E log_file]\n"
                           "           [-e escape_char] [-F configfile] [-I pkcs11] [-i identity_file]\n"
                           "           [-J destination] [-L address] [-l login_name] [-m mac_spec]\n"
                           "           [-O ctl_cmd] [-o option] [-P tag] [-p port] [-R address]\n"
                           "           [-S ctl_path] [-W host:port] [-w local_tun[:remote_tun]]\n"
                           "           destination [command [argument ...]]\n"
                           "       ssh [-Q query_option]\n");
}

/* One sentence that ends the program. Before there is a log, so it goes to stderr. */
static int PRINTF(1, 2) complain(const char *fmt, ...)
{
    char line[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    dprintf(STDERR_FILENO, "%s\r\n", line);
    return ERR_FORMAT;
}

static int misuse(void)
{
    command_line_usage();
    return ERR_FORMAT;
}

static void print_diag(struct conf_diag *diag)
{
    for (size_t i = 0; i < diag->warnings.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->warnings.v[i]);
    for (size_t i = 0; i < diag->errors.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->errors.v[i]);
}

static int override(struct client *c, enum ssh_opt opt, const char *value)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    int err = ssh_options_override(&c->options, opt, value, &c->algs.conf, &diag);
    print_diag(&diag);
    return err;
}

static int set(struct client *c, enum ssh_opt opt, const char *value)
{
    return ssh_options_is_set(&c->options, opt) ? 0 : override(c, opt, value);
}

static int set_line(struct client *c, const char *line)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    int err = ssh_options_set(&c->options, line, &c->algs.conf, &diag);
    print_diag(&diag);
    return err;
}

static const struct table_flag *find_flag(int flag)
{
    for (size_t i = 0; i < ARRAY_LEN(option_flags); i++)
        if (option_flags[i].flag == flag) return &option_flags[i];
    return NULL;
}

static int set_table_flag(struct client *c, int flag)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    const struct table_flag *f = find_flag(flag);
    if (!f) return misuse();
    const char *value = f->value ? f->value : optarg;
    int err = f->keeps_first ? ssh_options_set_value(&c->options, f->opt, value, &c->algs.conf, &diag)
                             : ssh_options_override(&c->options, f->opt, value, &c->algs.conf, &diag);
    if (err == ERR_FORMAT && f->complaint) return complain("%s '%s' (%s)", f->complaint, optarg, f->hint);
    print_diag(&diag);
    return err;
}

/* ---- names ---- */

/* Characters that have no business in a host or user name of the command line, since both end up in commands of the configuration
 * (%h, %r). */
static bool host_is_safe(const char *name)
{
    if (name[0] == '-') return false;
    for (const char *p = name; *p; p++)
        if (iscntrl((unsigned char)*p) || isspace((unsigned char)*p) || strchr("'`\"$\\;&<>|(){}", *p)) return false;
    return true;
}

/* A user may have a domain and a backslash before the name, but not at the end, where it would quote what follows. */
static bool user_is_safe(const char *name)
{
    if (name[0] == '-') return false;
    for (const char *p = name; *p; p++) {
        if (iscntrl((unsigned char)*p) || strchr("'`\";&<>|(){}", *p)) return false;
        if (isspace((unsigned char)*p) && p[1] == '-') return false;
        if (*p == '\\' && p[1] == 0) return false;
    }
    return true;
}

static bool jump_names_are_safe(const char *jumps)
{
    struct view list = view_str(jumps), hop;
    if (view_eq_str(list, "none")) return true;
    while (view_next_in_list(&list, &hop)) {
        bool is_uri = view_has_prefix(hop, "ssh://");
        CLEANUP(freep) char *copy = view_dup_str(is_uri ? view_sub(hop, 6, SIZE_MAX) : hop);
        char *at = copy ? strrchr(copy, '@') : NULL;
        if (at) *at = 0;
        if (at && is_uri) copy[strcspn(copy, ";")] = 0; /* parameters */
        if (!copy || !host_is_safe(at ? at + 1 : copy) || (at && !user_is_safe(copy))) return false;
    }
    return true;
}

/* ---- flags with a rule of their own ---- */

static bool has_value(const struct client *c, enum ssh_opt opt, int value, int now)
{
    return ssh_options_is_set(&c->options, opt) && now == value;
}

static int take_tty(struct client *c)
{
    bool again = has_value(c, SSH_OPT_request_tty, CONF_TTY_YES, c->options.request_tty);
    return override(c, SSH_OPT_request_tty, again ? "force" : "yes");
}

static int take_master(struct client *c)
{
    bool again = has_value(c, SSH_OPT_control_master, CONF_MASTER_YES, c->options.control_master);
    return override(c, SSH_OPT_control_master, again ? "ask" : "yes");
}

static int take_verbose(struct client *c)
{
    int level = c->options.log_level;
    bool first = !c->cmd.is_verbose;
    c->cmd.is_verbose = true;
    return override(c, SSH_OPT_log_level,
                    log_level_name((enum log_level)(first ? LOG_LEVEL_DEBUG1 : MIN(level + 1, (int)LOG_LEVEL_DEBUG3))));
}

static int take_session_type(struct client *c, int flag)
{
    bool set_before = ssh_options_is_set(&c->options, SSH_OPT_session_type);
    int other = flag == 'N' ? CONF_SESSION_SUBSYSTEM : CONF_SESSION_NONE;
    if (set_before && c->options.session_type == other)
        return complain(flag == 'N' ? "Cannot specify -N with -s/SessionType" : "Cannot specify -s with -N/SessionType");
    TRY(override(c, SSH_OPT_session_type, flag == 'N' ? "none" : "subsystem"));
    return flag == 'N' ? override(c, SSH_OPT_request_tty, "no") : 0;
}

/* A file that is not there is left out, with a warning; the agent may still have its key by the public half beside it. */
static int take_identity(struct client *c)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    CLEANUP(freep) char *path = NULL;
    TRY(conf_expand_home(optarg, c->me->home, &path));
    if (access(path, F_OK) == 0) return ssh_options_set_value(&c->options, SSH_OPT_identity_file, optarg, &c->algs.conf, &diag);
    dprintf(STDERR_FILENO, "Warning: Identity file %s not accessible: %s.\n", optarg, strerror(errno));
    return 0;
}

/* Users and hosts of jumps end up in commands, as those of the destination. */
static int take_jump(struct client *c)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    if (ssh_options_is_set(&c->options, SSH_OPT_proxy_jump))
        return complain("Only a single -J option is permitted (use commas to separate multiple jump hops)");
    if (ssh_options_is_set(&c->options, SSH_OPT_proxy_command)) return complain("Cannot specify -J with ProxyCommand");
    int err = jump_names_are_safe(optarg) ? ssh_options_set_value(&c->options, SSH_OPT_proxy_jump, optarg, &c->algs.conf, &diag)
                                          : ERR_FORMAT;
    return err == ERR_FORMAT ? complain("Invalid -J argument '%s' ([user@]host[:port], several separated by commas)", optarg) : err;
}

/* Standard input and output become a connection made by the server: no session, and nothing else is forwarded. */
static int take_stdio_forward(struct client *c)
{
    if (c->cmd.has_stdio_forward) return complain("stdio forward already specified");
    if (conf_forward_parse_words(CONF_FORWARD_REMOTE, VIEW_LIT("0"), view_str(optarg), &c->cmd.stdio_forward) < 0 ||
        c->cmd.stdio_forward.socks)
        return complain("Bad stdio forwarding specification '%s' (host:port, or a socket's path)", optarg);
    c->cmd.has_stdio_forward = true;
    TRY(override(c, SSH_OPT_request_tty, "no"));
    TRY(override(c, SSH_OPT_session_type, "none"));
    TRY(set(c, SSH_OPT_exit_on_forward_failure, "yes"));
    return set(c, SSH_OPT_clear_all_forwardings, "yes");
}

static int take_control(struct client *c)
{
    static const struct {
        const char *name;
        int control;
    } rows[] = { { "check", MUX_CONTROL_CHECK },
                 { "forward", MUX_CONTROL_FORWARD },
                 { "cancel", MUX_CONTROL_CANCEL },
                 { "stop", MUX_CONTROL_STOP },
                 { "exit", MUX_CONTROL_EXIT },
                 { "conninfo", -1 },
                 { "channels", -1 },
                 { "proxy", -1 } };
    if (c->cmd.control || c->cmd.has_stdio_forward) return complain("Only one of -O and -W is possible, once");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(optarg, rows[i].name) != 0) continue;
        if (rows[i].control < 0) return complain("-O %s is not available in this version", optarg);
        c->cmd.control = rows[i].control;
        return 0;
    }
    return complain("Invalid multiplex command.");
}

static int take_flag(struct client *c, int flag)
{
    struct command_line *l = &c->cmd;
    switch (flag) {
    case '1':
        return complain("SSH protocol v.1 is no longer supported");
    case '2':
        return 0;
    case 'E':
        l->log_file = optarg;
        return 0;
    case 'F':
        l->config_path = optarg;
        return 0;
    case 'f':
        TRY(override(c, SSH_OPT_fork_after_authentication, "yes"));
        return override(c, SSH_OPT_stdin_null, "yes");
    case 'G':
        l->mode = MODE_DUMP;
        return 0;
    case 'i':
        return take_identity(c);
    case 'J':
        return take_jump(c);
    case 'K':
        TRY(override(c, SSH_OPT_gssapi_delegate_credentials, "yes"));
        break;
    case 'M':
        return take_master(c);
    case 'N':
    case 's':
        return take_session_type(c, flag);
    case 'O':
        return take_control(c);
    case 'o':
        return set_line(c, optarg);
    case 'Q':
        l->mode = MODE_QUERY;
        l->query = optarg;
        return 0;
    case 'q':
        return override(c, SSH_OPT_log_level, "QUIET");
    case 't':
        return take_tty(c);
    case 'V':
        l->mode = MODE_VERSION;
        return 0;
    case 'v':
        return take_verbose(c);
    case 'W':
        return take_stdio_forward(c);
    case 'w':
        TRY(set(c, SSH_OPT_tunnel, "point-to-point"));
        break;
    case 'Y':
        TRY(override(c, SSH_OPT_forward_x11_trusted, "yes"));
        break;
    case 'y':
        l->log_syslog = true;
        return 0;
    case 'Z':
        l->mode = MODE_KEYS;
        return 0;
    case ':':
        dprintf(STDERR_FILENO, "option requires an argument -- %c\r\n", optopt);
        return misuse();
    case '?':
        dprintf(STDERR_FILENO, "unknown option -- %c\r\n", optopt);
        return misuse();
    default:
        break;
    }
    return set_table_flag(c, flag);
}

/* ---- destination ---- */

/* %XX; ERR_FORMAT: something else behind a %. */
static int url_decode(const char *text, size_t len, char **ret)
{
    CLEANUP(freep) char *out = malloc(len + 1);
    if (!out) return ERR_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < len; i++, n++) {
        unsigned value;
        out[n] = text[i];
        if (text[i] != '%') continue;
        if (i + 2 >= len || !isxdigit((unsigned char)text[i + 1]) || !isxdigit((unsigned char)text[i + 2])) return ERR_FORMAT;
        if (sscanf(text + i + 1, "%2x", &value) != 1 || value == 0) return ERR_FORMAT;
        out[n] = (char)value;
        i += 2;
    }
    out[n] = 0;
    *ret = TAKE(out);
    return 0;
}

/* host, host:port, [v6]:port behind the user of a URI. */
static int take_uri_host(struct client *c, const char *text)
{
    size_t len = strcspn(text, "/");
    const char *port = NULL, *end = text + len;
    const char *host = text, *host_end = end;
    if (end[0] == '/' && end[1] != 0) return complain("an ssh:// URI has no path: %s", text);
    if (*text == '[') {
        const char *close = memchr(text, ']', len);
        if (!close || (close + 1 != end && close[1] != ':')) return misuse();
        host = text + 1;
        host_end = close;
        if (close + 1 < end) port = close + 2;
    } else {
        const char *colon = memchr(text, ':', len);
        if (colon) host_end = colon, port = colon + 1;
    }
    TRY(url_decode(host, (size_t)(host_end - host), &c->cmd.host));
    if (!port) return 0;
    CLEANUP(freep) char *number = view_dup_str(view_of(port, (size_t)(end - port)));
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    if (!number) return ERR_NOMEM;
    int err = ssh_options_set_value(&c->options, SSH_OPT_port, number, &c->algs.conf, &diag);
    return err == ERR_FORMAT ? complain("Bad port '%s' (1 to 65535 are possible)", number) : err;
}

/* The user of a URI ends at ";fingerprint=" and other parameters of the draft, none of which says anything to us. */
static int take_destination_user(struct client *c, const char *text, size_t len, bool is_uri)
{
    if (is_uri) len = MIN(len, strcspn(text, ";"));
    CLEANUP(freep) char *user = NULL;
    if (is_uri && url_decode(text, len, &user) < 0) return misuse();
    if (!is_uri && !(user = view_dup_str(view_of(text, len)))) return ERR_NOMEM;
    return set(c, SSH_OPT_user, user);
}

static int take_destination(struct client *c, const char *text)
{
    bool is_uri = strncmp(text, "ssh://", 6) == 0;
    if (is_uri) text += 6;
    const char *at = is_uri ? memchr(text, '@', strcspn(text, "/")) : strrchr(text, '@');
    const char *host = at ? at + 1 : text;
    if (at == text || *host == 0) return misuse();
    if (at) TRY(take_destination_user(c, text, (size_t)(at - text), is_uri));
    if (is_uri) return take_uri_host(c, host);
    c->cmd.host = view_dup_str(view_str(host));
    return c->cmd.host ? 0 : ERR_NOMEM;
}

static int check_names(const struct client *c)
{
    if (!host_is_safe(c->cmd.host)) return complain("hostname contains invalid characters");
    if (c->options.user && !user_is_safe(c->options.user)) return complain("remote username contains invalid characters");
    return 0;
}

static int join_command(struct client *c, int n, char **words)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(16 << 20);
    if (n == 0) return 0;
    for (int i = 0; i < n; i++) {
        if (i) TRY(buf_put_u8(&text, ' '));
        TRY(buf_put_str(&text, words[i]));
    }
    if (buf_len(&text) == 0) return 0; /* ssh host "" is a shell */
    c->cmd.command = view_dup_str(buf_view(&text));
    return c->cmd.command ? 0 : ERR_NOMEM;
}

int command_line_parse(struct client *c, int argc, char **argv)
{
    int flag;
    opterr = 0; /* getopt's own words have the program's path in front */
    for (;;) {
        while ((flag = getopt(argc, argv, flags)) != -1) TRY(take_flag(c, flag));
        bool ended_by_dashes = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
        if (c->cmd.host || optind >= argc) break;
        TRY(take_destination(c, argv[optind++]));
        if (ended_by_dashes) break;
    }
    TRY(join_command(c, argc - optind, argv + optind));
    if (c->cmd.mode == MODE_VERSION || c->cmd.mode == MODE_QUERY) return 0;
    return c->cmd.host ? check_names(c) : misuse();
}

void command_line_done(struct command_line *l)
{
    free(l->host);
    free(l->command);
    conf_forward_done(&l->stdio_forward);
}
