/* What a listener does before it listens: configuration, the other programs, the keys, and the answers of -t, -T and -G. */
#include "io/config_file.h"
#include "prog/sshd/listener.h"
#include "prog/sshd/parts.h"
#include "prog/sshd/setup.h"

#include "key/cert.h"
#include "key/public_line.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"
#include "os/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KEYS_WAIT_MS = 60000
};

static void print_diag(const struct conf_diag *diag)
{
    for (size_t i = 0; i < diag->warnings.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->warnings.v[i]);
    for (size_t i = 0; i < diag->errors.n; i++) dprintf(STDERR_FILENO, "%s\r\n", diag->errors.v[i]);
}

static int pack_settings(const struct command_line *cmd, struct buf *out)
{
    struct wr w = wr_of(out);
    for (size_t i = 0; i < cmd->settings.n; i++) wr_cstr(&w, cmd->settings.v[i]);
    return wr_end(&w);
}

static int fill_setup(struct listener *l, struct view settings, struct body_session_setup *ret)
{
    *ret = (struct body_session_setup){
        .settings = settings,
        .image = l->image.bytes,
        .host_keys = buf_view(&l->host_keys),
        .host_certs = buf_view(&l->host_certs),
        .log_file = view_str(l->cmd.log_file),
        .log_stderr = l->cmd.log_stderr || l->cmd.debug,
        .debug = l->cmd.debug,
        .quiet = l->cmd.quiet,
        .inetd = l->cmd.inetd,
        .utmp_host_bytes = l->cmd.utmp_host_bytes,
    };
    return 0;
}

static int eval(struct listener *l, const struct sshd_conf_ctx *ctx, struct conf_diag *diag, struct sshd_options *ret)
{
    CLEANUP(buf_done) struct buf settings = BUF_INIT(1 << 20);
    struct body_session_setup setup;
    TRY(pack_settings(&l->cmd, &settings));
    TRY(fill_setup(l, buf_view(&settings), &setup));
    return setup_options(&setup, ctx, &l->algs.conf, diag, ret);
}

int listener_load_config(struct listener *l)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    struct config_file file = { .program = CONF_SSHD, .path = l->config_path, .dir = NACRE_SYSCONFDIR, .algs = &l->algs.conf };
    int err = config_file_load(&file, &diag, &l->image);
    if (err == 0) err = eval(l, NULL, &diag, &l->options);
    if (err == 0) err = sshd_image_check(&l->image, &diag);
    if (err == 0) err = sshd_options_check(&l->options, &diag);
    if (!l->cmd.quiet) print_diag(&diag);
    return err;
}

int listener_find_parts(struct listener *l)
{
    static const char *const names[PART_IDX_MAX] = { PART_KEYS, PART_SESSION, PART_AUTH, PART_USER };
    CLEANUP(freep) char *self = NULL;
    TRY(spawn_self_path(&self));
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < PART_IDX_MAX; i++) {
        const char *const dirs[][2] = { { self, "" }, { self, "/../libexec/nacre" }, { NACRE_LIBEXECDIR, "" } };
        size_t found = l->parts.n;
        for (size_t d = 0; d < ARRAY_LEN(dirs) && l->parts.n == found; d++) {
            char path[4096];
            int n = snprintf(path, sizeof path, "%s%s/%s", dirs[d][0], dirs[d][1], names[i]);
            if (n > 0 && (size_t)n < sizeof path && access(path, X_OK) == 0) TRY(strv_add(&l->parts, view_str(path)));
        }
        if (l->parts.n == found) {
            log_at(&l->sink.log, LOG_LEVEL_FATAL, "cannot find %s beside this program or in %s: is the installation complete?",
                   names[i], NACRE_LIBEXECDIR);
            return ERR_NOT_FOUND;
        }
    }
    return 0;
}

/* ---- keys ---- */

/* "" without HostKeyAgent. */
static const char *agent_path(const struct listener *l)
{
    const char *path = l->options.host_key_agent;
    if (path && strcmp(path, "SSH_AUTH_SOCK") == 0) path = getenv("SSH_AUTH_SOCK");
    return path ? path : "";
}

static int start_key_holder(struct listener *l)
{
    int pair[2];
    CLEANUP(strv_done) struct strv argv = STRV_INIT;
    TRY(strv_add(&argv, view_str(PART_KEYS)));
    TRY(strv_add(&argv, view_str(agent_path(l))));
    for (size_t i = 0; i < l->options.host_key.n; i++) TRY(strv_add(&argv, view_str(l->options.host_key.v[i])));
    TRY(fd_socketpair(pair));
    CLEANUP(fd_closep) int theirs = pair[1];
    TRY(ipc_init(&l->key_holder, pair[0], IPC_L, IPC_K));
    l->key_holder.state = IPC_ANY;
    const struct spawn_fd fds[] = { { theirs, PART_IPC_FD }, { listener_stderr(l), STDERR_FILENO } };
    struct spawn s = { .path = l->parts.v[PART_IDX_KEYS],
                       .argv = (const char *const *)argv.v,
                       .fds = fds,
                       .n_fds = ARRAY_LEN(fds),
                       .new_session = true };
    pid_t pid;
    return spawn_run(&s, &pid);
}

/* Missing files of the default list are nothing to talk about; files that the administrator named are. */
static void report_problems(struct listener *l, struct view problems)
{
    bool named = sshd_options_is_set(&l->options, SSHD_OPT_host_key);
    struct rd r = rd_of(problems);
    while (rd_left(&r)) {
        struct view line = rd_string(&r);
        log_at(&l->sink.log, named ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG1, "%.*s", VIEW_ARG(line));
    }
}

static int take_keys(struct listener *l, struct view keys)
{
    struct wr w = wr_of(&l->host_keys);
    struct rd r = rd_of(keys);
    for (size_t i = 0; rd_left(&r); i++) {
        struct view path = rd_string(&r), blob = rd_string(&r);
        CLEANUP(freep) char *fingerprint = NULL;
        TRY(rd_stop(&r));
        TRY(key_fingerprint(blob, DIGEST_SHA256, &fingerprint));
        log_debug(&l->sink.log, "private host key #%zu: %s %s (%.*s)", i, key_short_name(blob), fingerprint, VIEW_ARG(path));
        wr_string(&w, blob);
    }
    return wr_end(&w);
}

/* ---- HostCertificate ---- */

/* ERR_NOT_FOUND: it is of none of our keys. */
static int add_certificate(struct listener *l, const struct key *cert)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(65536);
    struct wr w = wr_of(&l->host_certs);
    struct rd r = rd_of(buf_view(&l->host_keys));
    TRY(cert_plain_blob(key_blob(cert), &plain));
    for (uint32_t i = 0; rd_left(&r); i++) {
        if (!view_eq(rd_string(&r), buf_view(&plain))) continue;
        wr_u32(&w, i);
        wr_string(&w, key_blob(cert));
        log_debug(&l->sink.log, "host certificate: #%u %s", i, key_short_name(key_blob(cert)));
        return wr_end(&w);
    }
    return ERR_NOT_FOUND;
}

static void take_certificate(struct listener *l, const char *path)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    CLEANUP(key_unrefp) struct key *cert = NULL;
    int err = file_read(path, &file);
    if (err == 0) err = public_file_parse(buf_view(&file), &cert);
    if (err < 0)
        log_error(&l->sink.log, "Could not load host certificate \"%s\": %s", path, err_text(err));
    else if (!key_type_of(cert)->is_cert)
        log_error(&l->sink.log, "Certificate file is not a certificate: %s", path);
    else if ((err = add_certificate(l, cert)) == ERR_NOT_FOUND)
        log_error(&l->sink.log, "No matching private key for certificate: %s", path);
    else if (err < 0)
        log_error(&l->sink.log, "Could not use host certificate \"%s\": %s", path, err_text(err));
}

int listener_start_keys(struct listener *l)
{
    struct ipc_message m;
    struct ipc_keys_loaded loaded;
    TRY(start_key_holder(l));
    TRY(ipc_expect(&l->key_holder, clock_now() + KEYS_WAIT_MS, IPC_keys_loaded_NUMBER, &m));
    TRY(ipc_keys_loaded_get(m.fields, &loaded));
    report_problems(l, loaded.problems);
    TRY(take_keys(l, loaded.keys));
    for (size_t i = 0; i < l->options.host_certificate.n; i++) take_certificate(l, l->options.host_certificate.v[i]);
    if (buf_len(&l->host_keys)) return 0;
    log_at(&l->sink.log, LOG_LEVEL_FATAL, "sshd: no hostkeys available -- exiting.");
    return ERR_NOT_FOUND;
}

int listener_make_setup(struct listener *l)
{
    CLEANUP(buf_done) struct buf settings = BUF_INIT(1 << 20), filter = BUF_INIT(SANDBOX_FILTER_BYTES_MAX);
    struct body_session_setup setup;
    struct part_cage cage;
    TRY(pack_settings(&l->cmd, &settings));
    TRY(fill_setup(l, buf_view(&settings), &setup));
    TRY(part_make_cage(sandbox_net_child, sandbox_net_child_n, l->cmd.debug > 0, &filter, &cage));
    setup.net_uid = cage.uid;
    setup.net_gid = cage.gid;
    setup.net_filter = cage.filter;
    struct wr w = wr_of(&l->setup);
    return body_session_setup_put(&w, &setup);
}

/* ---- -T and -G ---- */

int listener_dump(struct listener *l)
{
    CLEANUP(conf_diag_done) struct conf_diag diag = CONF_DIAG_INIT;
    CLEANUP(sshd_options_done) struct sshd_options options;
    CLEANUP(buf_done) struct buf text = BUF_INIT(16 << 20);
    struct sshd_conf_ctx ctx = command_line_test_ctx(&l->cmd);
    ctx.in_group = setup_in_group;
    sshd_options_init(&options);
    int err = eval(l, l->cmd.has_test_spec ? &ctx : NULL, &diag, &options);
    print_diag(&diag);
    TRY(err);
    TRY(sshd_options_dump(&options, &text));
    return fd_write_all(STDOUT_FILENO, buf_view(&text));
}
