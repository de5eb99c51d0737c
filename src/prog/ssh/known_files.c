/* What is known of host keys: known_hosts files, KnownHostsCommand, and which algorithms to ask a server for by what they know. */
#include "prog/ssh/host_key_int.h"

#include "base/rd.h"
#include "base/base64.h"
#include "conf/conf.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/random.h"
#include "os/spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KNOWN_HOSTS_BYTES_MAX = 256 << 20,
    COMMAND_BYTES_MAX = 16 << 20, /* of what KnownHostsCommand prints */
    READ_BYTES = 65536,
    BASE64_BYTES_MAX = 1 << 20,
    KEY_TYPE_NAME_BYTES = 256,
};

void known_files_done(struct known_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].path);
        buf_done(&f->v[i].bytes);
    }
    f->n = 0;
}

static int add_files(struct client *c, const struct strv *paths, enum known_source source, struct known_files *f)
{
    for (size_t i = 0; i < paths->n && f->n < ARRAY_LEN(f->v); i++) {
        if (strcmp(paths->v[i], "none") == 0) continue;
        struct known_file *one = &f->v[f->n];
        *one = (struct known_file){ NULL, BUF_INIT(KNOWN_HOSTS_BYTES_MAX), source };
        TRY(config_expand(c, paths->v[i], true, "known hosts file", &one->path));
        f->n++;
        if (file_read(one->path, &one->bytes) < 0) buf_reset(&one->bytes);
    }
    return 0;
}

/* Hands on to the next load what the files say, which may be much, but not what a command said. */
static int keep_for_later(struct client *c, struct known_files *f)
{
    struct known_files *kept = calloc(1, sizeof *kept);
    if (!kept) return ERR_NOMEM;
    for (size_t i = 0; i < f->n && f->v[i].source != KNOWN_FROM_COMMAND; i++) {
        kept->v[kept->n++] = f->v[i];
        f->v[i] = (struct known_file){ .bytes = BUF_INIT(0) };
    }
    kept->n_user = f->n_user;
    known_files_forget(c);
    c->known_files = kept;
    return 0;
}

void known_files_forget(struct client *c)
{
    if (c->known_files) known_files_done(c->known_files);
    free(c->known_files);
    c->known_files = NULL;
}

int known_files_load(struct client *c, struct known_files *f)
{
    if (c->known_files) {
        *f = *c->known_files;
        c->known_files->n = 0;
        known_files_forget(c);
        return 0;
    }
    TRY(add_files(c, &c->options.user_known_hosts_file, KNOWN_FROM_USER, f));
    f->n_user = f->n;
    return add_files(c, &c->options.global_known_hosts_file, KNOWN_FROM_SYSTEM, f);
}

/* ---- KnownHostsCommand ---- */

/* The words of the command, each expanded by itself: no shell. */
static int command_words(struct client *c, const char *reason, const char *name, struct view key, struct strv *ret)
{
    CLEANUP(strv_done) struct strv words = STRV_INIT;
    CLEANUP(buf_done) struct buf base64 = BUF_INIT(BASE64_BYTES_MAX), type = BUF_INIT(KEY_TYPE_NAME_BYTES);
    CLEANUP(freep) char *fingerprint = key.len ? host_key_fingerprint(c, key) : NULL;
    struct rd r = rd_of(key);
    if (key.len) {
        TRY(base64_put(&base64, key));
        TRY(buf_put_view(&type, rd_string(&r)));
    }
    const struct conf_token more[] = { { 'H', name },
                                       { 'I', reason },
                                       { 'f', fingerprint ? fingerprint : "NONE" },
                                       { 'K', key.len ? buf_cstr(&base64) : "NONE" },
                                       { 't', key.len ? buf_cstr(&type) : "NONE" } };
    int err = conf_command_split(c->options.known_hosts_command, &words);
    for (size_t i = 0; err == 0 && i < words.n; i++) {
        char *word;
        err = config_expand_more(c, words.v[i], "KnownHostsCommand", more, ARRAY_LEN(more), &word);
        if (err == 0) err = strv_add_take(ret, word);
    }
    return err < 0 ? err : ret->n ? 0 : ERR_FORMAT;
}

static int read_all(int fd, struct buf *out)
{
    uint8_t *area;
    size_t n = 1;
    while (n) {
        TRY(buf_reserve(out, READ_BYTES, &area));
        TRY(fd_read(fd, area, READ_BYTES, &n));
        buf_commit(out, n);
    }
    return 0;
}

/* Its status as waitpid's. */
static int run_command(const struct strv *words, struct buf *out, int *ret_status)
{
    int ends[2];
    pid_t pid;
    TRY(fd_pipe(ends));
    CLEANUP(fd_closep) int read_end = ends[0];
    CLEANUP(fd_closep) int write_end = ends[1];
    const struct spawn_fd fds[] = { { write_end, STDOUT_FILENO }, { STDERR_FILENO, STDERR_FILENO } };
    struct spawn how = { .path = words->v[0], .argv = (const char *const *)words->v, .fds = fds, .n_fds = ARRAY_LEN(fds) };
    TRY(spawn_run(&how, &pid));
    fd_closep(&write_end);
    int err = read_all(read_end, out);
    fd_closep(&read_end); /* one that prints more than is read is not waited for */
    TRY(spawn_wait(pid, ret_status));
    return err;
}

int known_files_run_command(struct client *c, const char *reason, const char *name, struct view key, struct known_files *f)
{
    CLEANUP(strv_done) struct strv words = STRV_INIT;
    int status = 0;
    if (!c->options.known_hosts_command || f->n == ARRAY_LEN(f->v)) return 0;
    if (command_words(c, reason, name, key, &words) < 0) return ERR_CANCELLED;
    if (words.v[0][0] != '/') {
        log_error(&c->sink.log, "KnownHostsCommand-%s path is not absolute", reason);
        return 0;
    }
    struct known_file *one = &f->v[f->n];
    *one = (struct known_file){ NULL, BUF_INIT(COMMAND_BYTES_MAX), KNOWN_FROM_COMMAND };
    if (asprintf(&one->path, "KnownHostsCommand-%s", reason) < 0) return ERR_NOMEM;
    f->n++;
    int err = run_command(&words, &one->bytes, &status);
    if (err == 0 && status == 0) return 0;
    buf_reset(&one->bytes);
    if (file_err_is_missing(err)) { /* as OpenSSH, which looks first */
        log_error(&c->sink.log, "Could not stat KnownHostsCommand-%s \"%s\": %s", reason, words.v[0], err_text(err));
        return 0;
    }
    char why[64];
    if (err == 0 && WIFEXITED(status)) snprintf(why, sizeof why, "status %d", WEXITSTATUS(status));
    if (err == 0 && !WIFEXITED(status)) spawn_status_text(status, why, sizeof why);
    log_error(&c->sink.log, "KnownHostsCommand-%s %s failed, %s", reason, words.v[0], err < 0 ? err_text(err) : why);
    client_fatal(c, "KnownHostsCommand failed");
    return ERR_CANCELLED;
}

/* ---- names ---- */

bool known_files_is_loopback(const struct client *c)
{
    return c->address.len && (strncmp(c->address_text.host, "127.", 4) == 0 || strcmp(c->address_text.host, "::1") == 0);
}

/* How known_hosts calls the server. An alias stands for itself, without port. */
int known_files_set_names(struct client *c)
{
    CLEANUP(buf_done) struct buf name = BUF_INIT(2048), address = BUF_INIT(2048);
    if (c->known_name) return 0;
    if (c->options.host_key_alias)
        TRY(buf_put_str(&name, c->options.host_key_alias));
    else
        TRY(known_hosts_name_put(view_str(c->host), (unsigned)c->options.port, &name));
    c->known_name = view_dup_str(buf_view(&name));
    bool wants_address = c->options.check_host_ip && !c->options.host_key_alias && c->address.len && !known_files_is_loopback(c) &&
                         strcmp(c->host, c->address_text.host) != 0;
    if (wants_address) {
        TRY(known_hosts_name_put(view_str(c->address_text.host), (unsigned)c->options.port, &address));
        c->known_address = view_dup_str(buf_view(&address));
    }
    return c->known_name && (!wants_address || c->known_address) ? 0 : ERR_NOMEM;
}

/* ---- order of HostKeyAlgorithms ---- */

static bool type_is_known(const struct known_hosts_types *known, struct view algorithm)
{
    const struct key_type *t = key_type_find(algorithm);
    if (t && t->is_cert && known->has_ca) return true;
    if (!t || known->has_ca) return false; /* a certificate of any type is worth more than a plain key */
    const struct key_type *plain = t->is_cert ? key_type_find(view_str(t->plain_name)) : t;
    for (size_t i = 0; plain && i < known->n_plain; i++)
        if (strcmp(known->plain[i]->name, plain->blob_name) == 0) return true;
    return false;
}

static bool plain_is_known(const struct known_hosts_types *known, struct view algorithm)
{
    struct known_hosts_types plain = *known;
    plain.has_ca = false;
    return type_is_known(&plain, algorithm);
}

enum rank {
    RANK_CERTIFIED, /* a certificate, where a CA is known; else what is known */
    RANK_PLAIN,     /* plain keys that are known, behind the certificates */
    RANK_OTHER,
    RANK_MAX
};

static enum rank rank_of(const struct known_hosts_types *known, struct view algorithm)
{
    if (type_is_known(known, algorithm)) return RANK_CERTIFIED;
    return plain_is_known(known, algorithm) ? RANK_PLAIN : RANK_OTHER;
}

static int put_algorithms(const struct known_hosts_types *known, const char *all, enum rank wanted, struct buf *out)
{
    struct view list = view_str(all), name;
    while (view_next_in_list(&list, &name)) {
        if (!key_type_find(name) || rank_of(known, name) != wanted) continue;
        if (buf_len(out)) TRY(buf_put_u8(out, ','));
        TRY(buf_put_view(out, name));
    }
    return 0;
}

int host_key_algorithms(struct client *c, char **ret)
{
    CLEANUP(known_files_done) struct known_files files = { .n = 0 };
    CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
    struct known_hosts_types known = { .n_plain = 0 };
    const char *all = c->options.host_key_algorithms;
    TRY(known_files_set_names(c));
    bool keeps_order = ssh_options_is_set(&c->options, SSH_OPT_host_key_algorithms);
    if (!keeps_order) {
        const char *asked = c->options.host_key_alias ? c->options.host_key_alias : c->host;
        TRY(known_files_load(c, &files));
        TRY(known_files_run_command(c, "ORDER", asked, VIEW_EMPTY, &files));
        const struct view name = view_str(c->known_name);
        for (size_t i = 0; i < files.n; i++) known_hosts_types(buf_view(&files.v[i].bytes), &name, 1, &known);
        TRY(keep_for_later(c, &files));
    }
    for (enum rank r = RANK_CERTIFIED; r < RANK_MAX; r++) TRY(put_algorithms(&known, all, r, &out));
    *ret = view_dup_str(buf_view(&out));
    return *ret ? 0 : ERR_NOMEM;
}

/* ---- what they say ---- */

/* An entry of another type counts as changed: whoever stands in between must not choose a type that is not known yet.
 * HostKeyAlgorithms asks for the known ones first, so that an honest server does not come here. */
static int check_file(const struct known_file *file, const struct view *name, struct view key, struct known_hosts_verdict *ret)
{
    TRY(known_hosts_check(buf_view(&file->bytes), name, 1, key, ret));
    if (ret->status != KNOWN_HOSTS_NEW || ret->other.number == 0 || host_cert_is(key)) return 0;
    ret->status = KNOWN_HOSTS_CHANGED;
    ret->line = ret->other;
    return 0;
}

int known_files_look_up(const struct known_files *files, const char *name, struct view key, struct finding *ret)
{
    const struct view names = view_str(name);
    *ret = (struct finding){ .file = NULL };
    for (size_t i = 0; i < files->n; i++) {
        struct known_hosts_verdict v;
        TRY(check_file(&files->v[i], &names, key, &v));
        if (ret->file && v.status <= ret->verdict.status) continue;
        *ret = (struct finding){ v, &files->v[i] };
    }
    return 0;
}

/* ---- adding ---- */

/* Makes the folder of the user's file as well. */
static int append_line(const char *path, struct view line)
{
    CLEANUP(freep) char *dir = view_dup_str(view_str(path));
    char *slash = dir ? strrchr(dir, '/') : NULL;
    if (slash && slash != dir) {
        *slash = 0;
        (void)!file_mkdir_p(dir, 0700);
    }
    return file_append_line(path, line, 0600);
}

int known_files_remember(struct client *c, const struct known_files *files, const struct view *names, size_t n_names,
                         struct view key)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(1 << 20);
    if (files->n_user == 0) return ERR_NOT_FOUND;
    TRY(known_hosts_line_put(names, n_names, key, c->options.hash_known_hosts, &os_random, &line));
    int err = append_line(files->v[0].path, buf_view(&line));
    if (err < 0)
        client_log(c, LOG_LEVEL_INFO, "Failed to add the host to the list of known hosts (%s). %s", files->v[0].path,
                   err_text(err));
    return err;
}
