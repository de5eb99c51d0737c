/* Host keys: what known_hosts files say of the server's key, and what the user says where they say nothing. */
#include "prog/ssh/client.h"

#include "base/base64.h"
#include "base/rd.h"
#include "key/known_hosts.h"
#include "key/public_line.h"
#include "os/file.h"
#include "os/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum {
    KNOWN_HOSTS_BYTES_MAX = 256 << 20
};

struct known_file {
    char *path;
    struct buf bytes;
};

struct known_files {
    struct known_file v[64];
    size_t n, n_user; /* the user's come first */
};

static void known_files_done(struct known_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].path);
        buf_done(&f->v[i].bytes);
    }
    f->n = 0;
}

static int add_files(struct client *c, const struct strv *paths, struct known_files *f)
{
    for (size_t i = 0; i < paths->n && f->n < ARRAY_LEN(f->v); i++) {
        if (strcmp(paths->v[i], "none") == 0) continue;
        struct known_file *one = &f->v[f->n];
        *one = (struct known_file){ NULL, BUF_INIT(KNOWN_HOSTS_BYTES_MAX) };
        TRY(config_expand(c, paths->v[i], true, "known hosts file", &one->path));
        f->n++;
        if (file_read(one->path, &one->bytes) < 0) buf_reset(&one->bytes);
    }
    return 0;
}

static int load_files(struct client *c, struct known_files *f)
{
    TRY(add_files(c, &c->options.user_known_hosts_file, f));
    f->n_user = f->n;
    return add_files(c, &c->options.global_known_hosts_file, f);
}

static bool is_loopback(const struct client *c)
{
    return c->address.len && (strncmp(c->address_text.host, "127.", 4) == 0 || strcmp(c->address_text.host, "::1") == 0);
}

/* How known_hosts calls the server. An alias stands for itself, without port. */
static int set_names(struct client *c)
{
    CLEANUP(buf_done) struct buf name = BUF_INIT(2048), address = BUF_INIT(2048);
    if (c->known_name) return 0;
    if (c->options.host_key_alias)
        TRY(buf_put_str(&name, c->options.host_key_alias));
    else
        TRY(known_hosts_name_put(view_str(c->host), (unsigned)c->options.port, &name));
    c->known_name = view_dup_str(buf_view(&name));
    bool wants_address = c->options.check_host_ip && !c->options.host_key_alias && c->address.len && !is_loopback(c) &&
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
    if (!t || t->is_cert) return t && known->has_ca;
    for (size_t i = 0; i < known->n_plain; i++)
        if (strcmp(known->plain[i]->name, t->blob_name) == 0) return true;
    return false;
}

static int put_algorithms(const struct known_hosts_types *known, const char *all, bool wanted, struct buf *out)
{
    struct view list = view_str(all), name;
    while (view_next_in_list(&list, &name)) {
        const struct key_type *t = key_type_find(name);
        if (!t || t->is_cert) continue; /* certificates of hosts come with their own feature */
        if (type_is_known(known, name) != wanted) continue;
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
    TRY(set_names(c));
    bool keeps_order = ssh_options_is_set(&c->options, SSH_OPT_host_key_algorithms);
    if (!keeps_order) {
        TRY(load_files(c, &files));
        const struct view name = view_str(c->known_name);
        for (size_t i = 0; i < files.n; i++) known_hosts_types(buf_view(&files.v[i].bytes), &name, 1, &known);
    }
    TRY(put_algorithms(&known, all, true, &out));
    TRY(put_algorithms(&known, all, false, &out));
    *ret = view_dup_str(buf_view(&out));
    return *ret ? 0 : ERR_NOMEM;
}

/* ---- the verdict of the files ---- */

struct finding {
    struct known_hosts_verdict verdict;
    const char *path;
};

/* An entry of another type counts as changed: whoever stands in between must not choose a type that is not known yet.
 * HostKeyAlgorithms asks for the known ones first, so that an honest server does not come here. */
static int check_file(const struct known_file *file, const struct view *name, struct view key, struct known_hosts_verdict *ret)
{
    TRY(known_hosts_check(buf_view(&file->bytes), name, 1, key, ret));
    if (ret->status != KNOWN_HOSTS_NEW || ret->other.number == 0) return 0;
    ret->status = KNOWN_HOSTS_CHANGED;
    ret->line = ret->other;
    return 0;
}

static int look_up(const struct known_files *files, const char *name, struct view key, struct finding *ret)
{
    const struct view names = view_str(name);
    *ret = (struct finding){ .path = NULL };
    for (size_t i = 0; i < files->n; i++) {
        struct known_hosts_verdict v;
        TRY(check_file(&files->v[i], &names, key, &v));
        if (ret->path && v.status <= ret->verdict.status) continue;
        *ret = (struct finding){ v, files->v[i].path };
    }
    return 0;
}

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

static int remember(struct client *c, const struct known_files *files, const struct view *names, size_t n_names, struct view key)
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

static void add_key(struct client *c, const struct known_files *files, struct view key)
{
    const struct view names[] = { view_str(c->known_name), view_str(c->known_address ? c->known_address : "") };
    if (remember(c, files, names, c->known_address ? 2 : 1, key) < 0) return;
    client_log(c, LOG_LEVEL_INFO, "Warning: Permanently added '%s%s%s' (%s) to the list of known hosts.", c->known_name,
               c->known_address ? "," : "", c->known_address ? c->known_address : "", key_short_name(key));
}

/* ---- messages ---- */

static char *fingerprint_of(const struct client *c, struct view key)
{
    char *text = NULL;
    enum digest_alg alg = c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
    return key_fingerprint(key, alg, &text) == 0 ? text : NULL;
}

static void show_art(struct client *c, struct view blob, struct buf *out)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(freep) char *art = NULL;
    enum digest_alg alg = c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
    if (!c->options.visual_host_key || key_from_blob(blob, &k) < 0 || key_randomart(k, alg, &art) < 0) return;
    (void)!buf_printf(out, "%s\n", art);
}

static void warn_with_frame(struct client *c, const char *title)
{
    static const char bar[] = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
    log_error(&c->sink.log, "%s", bar);
    log_error(&c->sink.log, "@%*s%s%*s@", (57 - (int)strlen(title)) / 2, "", title,
              57 - (int)strlen(title) - (57 - (int)strlen(title)) / 2, "");
    log_error(&c->sink.log, "%s", bar);
}

static void say_changed(struct client *c, const struct finding *f, const char *name, struct view key)
{
    CLEANUP(freep) char *fingerprint = fingerprint_of(c, key);
    const struct key_type *old = key_type_find(f->verdict.line.type);
    const char *type = key_short_name(key), *old_type = old ? old->short_name : type;
    warn_with_frame(c, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!");
    log_error(&c->sink.log, "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!");
    log_error(&c->sink.log, "Either somebody stands between you and the server, or the server was given a new key.");
    log_error(&c->sink.log, "The fingerprint for the %s key sent by the remote host is", type);
    log_error(&c->sink.log, "%s.", fingerprint ? fingerprint : "unknown");
    log_error(&c->sink.log, "Ask whoever runs the server whether that is its key.");
    log_error(&c->sink.log, "Add correct host key in %s to get rid of this message.", f->path);
    log_error(&c->sink.log, "Offending %s key in %s:%zu", old_type, f->path, f->verdict.line.number);
    log_error(&c->sink.log, "  remove with:");
    log_error(&c->sink.log, "  ssh-keygen -f \"%s\" -R \"%s\"", f->path, name);
}

/* ---- asking ---- */

static int build_question(struct client *c, const struct known_files *files, struct view key, const char *fingerprint,
                          struct buf *out)
{
    char where[SOCK_HOST_BYTES + 16] = "";
    if (c->address.len) {
        bool other_port = c->options.port != 22;
        snprintf(where, sizeof where, other_port ? " ([%s]:%d)" : " (%s)", c->address_text.host, c->options.port);
    }
    TRY(buf_printf(out, "The authenticity of host '%s%s' can't be established.\n%s key fingerprint is %s.\n", c->known_name, where,
                   key_short_name(key), fingerprint));
    show_art(c, key, out);
    CLEANUP(buf_done) struct buf base64 = BUF_INIT(1 << 20);
    TRY(base64_put(&base64, key));
    bool found = false;
    for (size_t i = 0; i < files->n; i++) {
        struct view rest = buf_view(&files->v[i].bytes);
        size_t number = 0;
        struct known_hosts_line l;
        while (known_hosts_next_with_key(&rest, &number, buf_view(&base64), &l)) {
            if (!found) TRY(buf_put_str(out, "This host key is known by the following other names/addresses:\n"));
            found = true;
            TRY(buf_printf(out, "    %s:%zu: %.*s\n", files->v[i].path, l.number,
                           VIEW_ARG(known_hosts_is_hashed(l.names) ? VIEW_LIT("[hashed name]") : l.names)));
        }
    }
    if (!found) TRY(buf_put_str(out, "This key is not known by any other names.\n"));
    return buf_put_str(out, "Are you sure you want to continue connecting (yes/no/[fingerprint])? ");
}

/* yes, or the fingerprint if there is one to type. */
static bool user_confirms(struct client *c, const char *question, const char *fingerprint)
{
    const char *text = question;
    for (;;) {
        CLEANUP(buf_done) struct buf answer = BUF_INIT(1024);
        if (!text || prompt_line(c, text, &answer) < 0) return false;
        struct view a = buf_view(&answer);
        while (a.len && (a.p[a.len - 1] == ' ' || a.p[a.len - 1] == '\t')) a.len--;
        while (a.len && (a.p[0] == ' ' || a.p[0] == '\t')) a = view_sub(a, 1, a.len);
        if (a.len == 0 || (a.len == 2 && strncasecmp((const char *)a.p, "no", 2) == 0)) return false;
        if ((a.len == 3 && strncasecmp((const char *)a.p, "yes", 3) == 0) || (fingerprint && view_eq_str(a, fingerprint)))
            return true;
        text = fingerprint ? "Please type 'yes', 'no' or the fingerprint: " : "Please type 'yes' or 'no': ";
    }
}

static bool user_accepts(struct client *c, const struct known_files *files, struct view key)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(1 << 20);
    CLEANUP(freep) char *fingerprint = fingerprint_of(c, key);
    if (!fingerprint || build_question(c, files, key, fingerprint, &question) < 0) return false;
    return user_confirms(c, buf_cstr(&question), fingerprint);
}

/* ---- decision ---- */

static bool accept_new(struct client *c, const struct known_files *files, struct view key)
{
    switch (c->options.strict_host_key_checking) {
    case CONF_HOST_KEYS_YES:
        log_error(&c->sink.log, "No %s host key is known for %s and you have requested strict checking.", key_short_name(key),
                  c->known_name);
        return false;
    case CONF_HOST_KEYS_ASK:
        if (c->options.batch_mode || !user_accepts(c, files, key)) return false;
        break;
    default:
        break;
    }
    add_key(c, files, key);
    return true;
}

static bool accept_changed(struct client *c, const struct finding *f, struct view key)
{
    say_changed(c, f, c->known_name, key);
    if (c->options.strict_host_key_checking != CONF_HOST_KEYS_NO) {
        log_error(&c->sink.log, "Host key for %s has changed and you have requested strict checking.", c->known_name);
        return false;
    }
    /* As OpenSSH: the connection may go on, but nothing that a man in the middle could use is typed into it. */
    log_error(&c->sink.log, "Password authentication is disabled to avoid man-in-the-middle attacks.");
    log_error(&c->sink.log, "Keyboard-interactive authentication is disabled to avoid man-in-the-middle attacks.");
    c->options.password_authentication = false;
    c->options.kbd_interactive_authentication = false;
    return true;
}

/* The name is known with this key and its address with another: one of them has moved. */
static bool accept_other_address(struct client *c, const struct finding *by_name, const struct finding *by_address, struct view key)
{
    int strict = c->options.strict_host_key_checking;
    log_error(&c->sink.log, "Warning: the %s host key for '%s' differs from the key for the IP address '%s'", key_short_name(key),
              c->known_name, c->known_address);
    log_error(&c->sink.log, "Offending key for IP in %s:%zu", by_address->path, by_address->verdict.line.number);
    log_error(&c->sink.log, "Matching host key in %s:%zu", by_name->path, by_name->verdict.line.number);
    if (strict == CONF_HOST_KEYS_NO || strict == CONF_HOST_KEYS_ACCEPT_NEW) return true;
    if (strict == CONF_HOST_KEYS_ASK && !c->options.batch_mode &&
        user_confirms(c, "Are you sure you want to continue connecting (yes/no)? ", NULL))
        return true;
    log_error(&c->sink.log, "Exiting, you have requested strict checking.");
    return false;
}

static bool check_address(struct client *c, const struct known_files *files, const struct finding *by_name, struct view key)
{
    struct finding f;
    if (!c->known_address || look_up(files, c->known_address, key, &f) < 0) return true;
    if (f.verdict.status == KNOWN_HOSTS_CHANGED) return accept_other_address(c, by_name, &f, key);
    const struct view name = view_str(c->known_address);
    if (f.verdict.status == KNOWN_HOSTS_NEW && remember(c, files, &name, 1, key) == 0)
        client_log(c, LOG_LEVEL_INFO, "Warning: Permanently added the %s host key for IP address '%s' to the list of known hosts.",
                   key_short_name(key), c->known_address);
    return f.verdict.status != KNOWN_HOSTS_REFUSED;
}

/* VisualHostKey, for a key that nobody asks about. */
static void show_known(struct client *c, struct view key)
{
    CLEANUP(freep) char *fingerprint = fingerprint_of(c, key);
    CLEANUP(buf_done) struct buf art = BUF_INIT(4096);
    if (!c->options.visual_host_key || !fingerprint) return;
    show_art(c, key, &art);
    client_log(c, LOG_LEVEL_INFO, "Host key fingerprint is %s", fingerprint);
    struct view rest = buf_view(&art), line;
    while (public_file_next_line(&rest, &line)) client_log(c, LOG_LEVEL_INFO, "%.*s", VIEW_ARG(line));
}

/* A server on another port than 22 may stand in the file without the port, from before ports were written. That says yes, never no.
 */
static bool is_known_without_port(struct client *c, const struct known_files *files, struct view key)
{
    struct finding f;
    if (c->options.host_key_alias || c->options.port == 22 || look_up(files, c->host, key, &f) < 0 ||
        f.verdict.status != KNOWN_HOSTS_OK)
        return false;
    client_log(c, LOG_LEVEL_DEBUG1, "found matching key w/o port: %s:%zu", f.path, f.verdict.line.number);
    show_known(c, key);
    return true;
}

static bool decide(struct client *c, const struct known_files *files, struct view key)
{
    struct finding f;
    if (look_up(files, c->known_name, key, &f) < 0) return false;
    switch (f.verdict.status) {
    case KNOWN_HOSTS_OK:
        client_log(c, LOG_LEVEL_DEBUG1, "Host '%s' is known and matches the %s host key.", c->known_name, key_short_name(key));
        client_log(c, LOG_LEVEL_DEBUG1, "Found key in %s:%zu", f.path, f.verdict.line.number);
        show_known(c, key);
        return check_address(c, files, &f, key);
    case KNOWN_HOSTS_REFUSED:
        warn_with_frame(c, "WARNING: REVOKED HOST KEY DETECTED!");
        log_error(&c->sink.log, "The %s host key for %s is marked as revoked in %s:%zu.", key_short_name(key), c->known_name,
                  f.path, f.verdict.line.number);
        return false;
    case KNOWN_HOSTS_CHANGED:
        return accept_changed(c, &f, key);
    default:
        return is_known_without_port(c, files, key) || accept_new(c, files, key);
    }
}

static void log_key(struct client *c, struct view key)
{
    CLEANUP(freep) char *fingerprint = fingerprint_of(c, key);
    struct rd r = rd_of(key);
    struct view type = rd_string(&r);
    client_log(c, LOG_LEVEL_DEBUG1, "Server host key: %.*s %s", VIEW_ARG(type), fingerprint ? fingerprint : "");
}

bool host_key_is_good(struct client *c, struct view key)
{
    CLEANUP(known_files_done) struct known_files files = { .n = 0 };
    if (buf_len(&c->host_key)) return view_eq(buf_view(&c->host_key), key); /* a later exchange: the same key or none */
    log_key(c, key);
    bool good = set_names(c) == 0 && load_files(c, &files) == 0;
    if (good && c->options.no_host_authentication_for_localhost && is_loopback(c))
        client_log(c, LOG_LEVEL_DEBUG1, "Forcing accepting of host key for loopback/localhost.");
    else
        good = good && decide(c, &files, key);
    if (!good) {
        log_error(&c->sink.log, "Host key verification failed.");
        return false;
    }
    return buf_put_view(&c->host_key, key) == 0;
}
