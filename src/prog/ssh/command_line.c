/* ssh's flags, most of which are options of the configuration in short form. Options may stand before and after the host; the first other word after it begins the
 * command. */
#include "prog/ssh/client.h"

#include "crypto/crypto.h"
#include "os/fd.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char flags[] = "+1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYyZ";

/* Flags that set an option; value NULL: their argument. */
static const struct {
    char flag;
    enum ssh_opt opt;
    const char *value;
} option_flags[] = {
    { '4', SSH_OPT_address_family, "inet" },
    { '6', SSH_OPT_address_family, "inet6" },
    { 'A', SSH_OPT_forward_agent, "yes" },
    { 'a', SSH_OPT_forward_agent, "no" },
    { 'B', SSH_OPT_bind_interface, NULL },
    { 'b', SSH_OPT_bind_address, NULL },
    { 'C', SSH_OPT_compression, "yes" },
    { 'c', SSH_OPT_ciphers, NULL },
    { 'D', SSH_OPT_dynamic_forward, NULL },
    { 'e', SSH_OPT_escape_char, NULL },
    { 'g', SSH_OPT_gateway_ports, "yes" },
    { 'I', SSH_OPT_pkcs11_provider, NULL },
    { 'i', SSH_OPT_identity_file, NULL },
    { 'J', SSH_OPT_proxy_jump, NULL },
    { 'K', SSH_OPT_gssapi_authentication, "yes" },
    { 'k', SSH_OPT_gssapi_delegate_credentials, "no" },
    { 'l', SSH_OPT_user, NULL },
    { 'M', SSH_OPT_control_master, "yes" },
    { 'm', SSH_OPT_macs, NULL },
    { 'N', SSH_OPT_session_type, "none" },
    { 'n', SSH_OPT_stdin_null, "yes" },
    { 'P', SSH_OPT_tag, NULL },
    { 'p', SSH_OPT_port, NULL },
    { 'S', SSH_OPT_control_path, NULL },
    { 's', SSH_OPT_session_type, "subsystem" },
    { 'T', SSH_OPT_request_tty, "no" },
    { 'w', SSH_OPT_tunnel_device, NULL },
    { 'X', SSH_OPT_forward_x11, "yes" },
    { 'x', SSH_OPT_forward_x11, "no" },
    { 'Y', SSH_OPT_forward_x11, "yes" },
};

static void usage(void)
{
    dprintf(STDERR_FILENO,
            "usage: ssh [-46AaCfGgKkMNnqsTtVvXxYyZ] [-B bind_interface] [-b bind_address]\n"
            "           [-c cipher_spec] [-D [bind_address:]port] [-E log_file]\n"
            "           [-e escape_char] [-F configfile] [-I pkcs11] [-i identity_file]\n"
            "           [-J destination] [-L address] [-l login_name] [-m mac_spec]\n"
            "           [-O ctl_cmd] [-o option] [-P tag] [-p port] [-R address]\n"
            "           [-S ctl_path] [-W host:port] [-w local_tun[:remote_tun]]\n"
            "           destination [command [argument ...]]\n"
            "       ssh [-Q query_option]\n");
}

static void print_diag(struct conf_diag *diag)
{
    for (size_t i = 0; i < diag->warnings.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->warnings.v[i]);
    for (size_t i = 0; i < diag->errors.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->errors.v[i]);
}

static int set(struct client *c, enum ssh_opt opt, const char *value)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    int err = ssh_options_set_value(&c->options, opt, value, &c->algs.conf, &diag);
    print_diag(&diag);
    return err;
}

static int set_line(struct client *c, const char *line)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    int err = ssh_options_set(&c->options, line, &c->algs.conf, &diag);
    print_diag(&diag);
    return err;
}

static int refuse(char flag, const char *what)
{
    dprintf(STDERR_FILENO, "ssh: -%c: %s is not available in this version\n", flag, what);
    return ERR_UNSUPPORTED;
}

static int set_forward(struct client *c, const char *keyword, const char *spec)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(1 << 16);
    TRY(buf_printf(&line, "%s=%s", keyword, spec));
    const char *text = buf_cstr(&line);
    return text ? set_line(c, text) : ERR_NOMEM;
}

static int set_table_flag(struct client *c, int flag, const char *argument)
{
    for (size_t i = 0; i < ARRAY_LEN(option_flags); i++)
        if (option_flags[i].flag == flag) return set(c, option_flags[i].opt, option_flags[i].value ? option_flags[i].value : argument);
    return ERR_FORMAT;
}

static int take_flag(struct client *c, int flag)
{
    struct command_line *l = &c->cmd;
    switch (flag) {
    case '1': dprintf(STDERR_FILENO, "SSH protocol v.1 is no longer supported\n"); return ERR_UNSUPPORTED;
    case '2': return 0;
    case 'E': l->log_file = optarg; return 0;
    case 'F': l->config_path = optarg; return 0;
    case 'f': TRY(set(c, SSH_OPT_fork_after_authentication, "yes")); return set(c, SSH_OPT_stdin_null, "yes");
    case 'G': l->mode = MODE_DUMP; return 0;
    case 'L': return set_forward(c, "LocalForward", optarg);
    case 'R': return set_forward(c, "RemoteForward", optarg);
    case 'O': return refuse('O', "control of shared connections");
    case 'o': return set_line(c, optarg);
    case 'Q': l->mode = MODE_QUERY; l->query = optarg; return 0;
    case 'q': l->quiet = true; return 0;
    case 't': l->tty_flags++; return 0;
    case 'V': l->mode = MODE_VERSION; return 0;
    case 'v': l->verbose++; return 0;
    case 'W': return refuse('W', "forwarding of standard input and output");
    case 'y': l->log_syslog = true; return 0;
    case 'Z': return refuse('Z', "the list of keys that would be tried");
    case 'Y': TRY(set(c, SSH_OPT_forward_x11_trusted, "yes")); break;
    case 'K': TRY(set(c, SSH_OPT_gssapi_delegate_credentials, "yes")); break;
    case '?': usage(); return ERR_FORMAT;
    default: break;
    }
    return set_table_flag(c, flag, optarg);
}

/* ---- destination ---- */

/* Characters that have no business in a host or user name of the command line, since both end up in commands of the configuration (%h, %r). */
static bool name_is_safe(const char *name, bool is_user)
{
    static const char bad_anywhere[] = "'`\"$\\;&<>|(){}";
    if (name[0] == '-') return false;
    for (const char *p = name; *p; p++) {
        if (iscntrl((unsigned char)*p) || strchr(bad_anywhere, *p)) return false;
        if (!is_user && isspace((unsigned char)*p)) return false;
        if (is_user && isspace((unsigned char)*p) && p[1] == '-') return false;
    }
    return !is_user || name[0] == 0 || name[strlen(name) - 1] != '\\';
}

static int url_decode(const char *text, size_t len, char **ret)
{
    char *out = malloc(len + 1);
    if (!out) return ERR_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned value;
        if (text[i] == '%' && i + 2 < len + 0 && sscanf(text + i + 1, "%2x", &value) == 1 && value) {
            out[n++] = (char)value;
            i += 2;
        } else
            out[n++] = text[i];
    }
    out[n] = 0;
    *ret = out;
    return 0;
}

/* host, host:port, [v6]:port behind the user of a URI. */
static int take_uri_host(struct client *c, const char *text)
{
    size_t len = strcspn(text, "/");
    const char *port = NULL, *end = text + len;
    const char *host = text, *host_end = end;
    if (*text == '[') {
        const char *close = memchr(text, ']', len);
        if (!close) return ERR_FORMAT;
        host = text + 1;
        host_end = close;
        if (close + 1 < end && close[1] == ':') port = close + 2;
    } else {
        const char *colon = memchr(text, ':', len);
        if (colon) host_end = colon, port = colon + 1;
    }
    if (end[0] == '/' && end[1] != 0) return ERR_FORMAT; /* ssh:// has no path */
    c->cmd.host = view_dup_str(view_of(host, (size_t)(host_end - host)));
    if (!c->cmd.host) return ERR_NOMEM;
    if (!port) return 0;
    CLEANUP(freep) char *number = view_dup_str(view_of(port, (size_t)(end - port)));
    return number ? set(c, SSH_OPT_port, number) : ERR_NOMEM;
}

static int take_destination(struct client *c, const char *text)
{
    bool is_uri = strncmp(text, "ssh://", 6) == 0;
    if (is_uri) text += 6;
    const char *at = is_uri ? memchr(text, '@', strcspn(text, "/")) : strrchr(text, '@');
    if (at && is_uri)
        TRY(url_decode(text, (size_t)(at - text), &c->cmd.destination_user));
    else if (at && !(c->cmd.destination_user = view_dup_str(view_of(text, (size_t)(at - text)))))
        return ERR_NOMEM;
    const char *host = at ? at + 1 : text;
    if (at == text || *host == 0) {
        usage();
        return ERR_FORMAT;
    }
    if (is_uri) return take_uri_host(c, host);
    c->cmd.host = view_dup_str(view_str(host));
    return c->cmd.host ? 0 : ERR_NOMEM;
}

static int check_names(const struct client *c)
{
    if (!name_is_safe(c->cmd.host, false)) {
        dprintf(STDERR_FILENO, "hostname contains invalid characters\r\n");
        return ERR_FORMAT;
    }
    const char *user = c->options.user ? c->options.user : c->cmd.destination_user;
    if (user && !name_is_safe(user, true)) {
        dprintf(STDERR_FILENO, "remote username contains invalid characters\r\n");
        return ERR_FORMAT;
    }
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
    c->cmd.command = view_dup_str(buf_view(&text));
    return c->cmd.command ? 0 : ERR_NOMEM;
}

int command_line_parse(struct client *c, int argc, char **argv)
{
    int flag;
    for (;;) {
        while ((flag = getopt(argc, argv, flags)) != -1) TRY(take_flag(c, flag));
        bool ended_by_dashes = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
        if (c->cmd.host || optind >= argc) break;
        TRY(take_destination(c, argv[optind++]));
        if (ended_by_dashes) break;
    }
    TRY(join_command(c, argc - optind, argv + optind));
    if (c->cmd.mode == MODE_VERSION || c->cmd.mode == MODE_QUERY) return 0;
    if (!c->cmd.host) {
        usage();
        return ERR_FORMAT;
    }
    TRY(check_names(c));
    if (c->cmd.destination_user) TRY(set(c, SSH_OPT_user, c->cmd.destination_user));
    if (c->cmd.tty_flags) TRY(set(c, SSH_OPT_request_tty, c->cmd.tty_flags > 1 ? "force" : "yes"));
    return 0;
}

void command_line_done(struct command_line *l)
{
    free(l->destination_user);
    free(l->host);
    free(l->command);
}
