/* Key files into the agent and out of it, with the certificates beside them. */
#include "prog/add/add.h"

#include "base/vis.h"
#include "io/agent_io.h"
#include "key/cert.h"
#include "key/private_file.h"
#include "key/public_line.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PUBLIC_FILE_BYTES_MAX = 1 << 20,
    CERT_GRACE_S = 300, /* a certificate stays so much longer than it is good, for clocks that differ; as OpenSSH */
};

static const char *const default_files[] = { "id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk" };

/* ---- reading ---- */

static int public_of_file(const char *path, struct key **ret)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PUBLIC_FILE_BYTES_MAX);
    TRY(file_read(path, &file));
    if (public_file_parse(buf_view(&file), ret) == 0) return 0;
    return private_file_public(buf_view(&file), ret);
}

int keys_load_public(const char *path, struct key **ret)
{
    CLEANUP(key_unrefp) struct key *k = NULL, *own = NULL;
    char beside[PATH_MAX];
    const char *comment = "no comment"; /* of the clear half of a private file */
    int own_err = public_of_file(path, &own);
    if (own_err == 0 && *key_comment(own)) {
        *ret = TAKE(own);
        return 0;
    }
    snprintf(beside, sizeof(beside), "%s.pub", path);
    int beside_err = public_of_file(beside, &k);
    if (beside_err == 0)
        comment = beside;
    else if (own_err == 0)
        k = TAKE(own);
    else
        return beside_err;
    if (!*key_comment(k)) TRY(key_set_comment(k, view_str(comment)));
    *ret = TAKE(k);
    return 0;
}

static void say_too_open(const char *path, mode_t mode)
{
    say("@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
    say("@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @");
    say("@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
    say("Permissions 0%3.3o for '%s' are too open.", (unsigned)mode & 0777, path);
    say("It is required that your private key files are NOT accessible by others.");
    say("This private key will be ignored.");
}

static int read_private(const char *path, struct buf *out)
{
    CLEANUP(fd_closep) int fd = -1;
    mode_t mode;
    if (strcmp(path, "-") == 0) return file_read_fd(STDIN_FILENO, out);
    int err = file_open(path, O_RDONLY, 0, &fd);
    if (err < 0) say("%s: %s", path, err_text(err));
    TRY(err);
    err = file_check_private(fd, &mode);
    if (err == ERR_DENIED) say_too_open(path, mode);
    TRY(err);
    err = file_read_fd(fd, out);
    if (err < 0) say("Error loading key \"%s\": %s", path, err_text(err));
    return err;
}

/* Asks until it opens or nothing is typed. */
static int open_by_asking(struct add *a, const char *shown, struct view file, struct key **ret)
{
    const char *use = a->options.confirm ? " (will confirm each use)" : "";
    const char *form = "Enter passphrase for %s%s: ";
    for (;;) {
        char question[PATH_MAX + 128];
        snprintf(question, sizeof(question),
                 form[0] == 'E' ? "Enter passphrase for %s%s: " : "Bad passphrase, try again for %s%s: ", shown, use);
        form = "Bad";
        buf_reset(&a->passphrase);
        TRY(ask_secret(a, question, &a->passphrase));
        if (buf_len(&a->passphrase) == 0) return ERR_CANCELLED;
        int err = private_file_parse(file, buf_view(&a->passphrase), ret);
        if (err != ERR_PASSPHRASE) return err;
    }
}

static int load_private(struct add *a, const char *path, const char *shown, struct key **ret)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    TRY(read_private(path, &file));
    log_debug(&a->sink.log, "%s: %zu bytes read", shown, buf_len(&file));
    int err = private_file_parse(buf_view(&file), VIEW_EMPTY, ret);
    if (err == ERR_PASSPHRASE_NEEDED && buf_len(&a->passphrase))
        err = private_file_parse(buf_view(&file), buf_view(&a->passphrase), ret);
    if (err == ERR_PASSPHRASE_NEEDED || err == ERR_PASSPHRASE) err = open_by_asking(a, shown, buf_view(&file), ret);
    if (err < 0 && err != ERR_CANCELLED) say("Error loading key \"%s\": %s", shown, err_text(err));
    return err;
}

/* ---- adding ---- */

/* What is known of the key: its own comment, that of FILE.pub, or the file's name. */
static void choose_comment(const struct key *k, const char *path, const char *shown, char *ret, size_t cap)
{
    CLEANUP(key_unrefp) struct key *public = NULL;
    char beside[PATH_MAX];
    const char *comment = key_comment(k);
    snprintf(beside, sizeof(beside), "%s.pub", path);
    if (!*comment && public_of_file(beside, &public) == 0) comment = key_comment(public);
    snprintf(ret, cap, "%s", *comment ? comment : shown);
}

static int send_key(struct add *a, const struct key *k, const char *comment, uint32_t lifetime_s)
{
    struct agent_constraints limits = { .lifetime_s = lifetime_s,
                                        .confirm = a->options.confirm,
                                        .destinations = buf_view(&a->options.limits) };
    if (key_type_of(k)->is_sk) limits.sk_provider = view_str(token_sk_provider(a));
    TRY(agent_put_add(&a->request, k, view_str(comment), &limits));
    TRY(agent_ask(a));
    return agent_get_success(buf_view(&a->answer));
}

static void say_limits(const struct add *a, uint32_t lifetime_s)
{
    if (lifetime_s) say_done(a, "Lifetime set to %u seconds", lifetime_s);
    if (a->options.confirm) say_done(a, "The user must confirm each use of the key");
}

/* The time that the certificate has left, unless -N or -t wants less. False: it has none. */
static bool cert_lifetime(const struct add *a, const struct cert *cert, uint32_t *ret_lifetime_s)
{
    int64_t now = clock_wall_s();
    *ret_lifetime_s = a->options.lifetime_s;
    if (a->options.no_cert_expiry || cert->valid_before > INT64_MAX - CERT_GRACE_S) return true;
    int64_t left = (int64_t)cert->valid_before + CERT_GRACE_S - now;
    if (left <= 0) return false;
    if (left <= UINT32_MAX && (*ret_lifetime_s == 0 || left < *ret_lifetime_s)) *ret_lifetime_s = (uint32_t)left;
    return true;
}

static int add_cert(struct add *a, const char *cert_path, const struct key *k, const struct key *public, const char *comment)
{
    CLEANUP(key_unrefp) struct key *joined = NULL;
    struct cert cert;
    char id[LINE_BYTES_MAX];
    uint32_t lifetime_s;
    TRY(cert_parse(key_blob(public), &cert));
    TRY(cert_join(k, key_blob(public), &joined));
    vis_line(cert.key_id, id, sizeof(id));
    if (!cert_lifetime(a, &cert, &lifetime_s)) {
        say("Certificate %s (%s) has expired and was not added (-N adds it)", cert_path, id);
        return ERR_DENIED;
    }
    int err = send_key(a, joined, comment, lifetime_s);
    if (err < 0) {
        say("Certificate %s (%s) add failed: %s", cert_path, id, err_text(err));
        return err;
    }
    say_done(a, "Certificate added: %s (%s)", cert_path, id);
    say_limits(a, lifetime_s);
    return 0;
}

/* ERR_NOT_FOUND: there is none. */
static int add_cert_beside(struct add *a, const char *path, const struct key *k, const char *comment)
{
    CLEANUP(key_unrefp) struct key *public = NULL;
    char cert_path[PATH_MAX];
    snprintf(cert_path, sizeof(cert_path), "%s-cert.pub", path);
    int err = public_of_file(cert_path, &public);
    log_debug(&a->sink.log, "certificate %s: %s", cert_path, err == 0 ? "found" : err_text(err));
    if (err < 0 && !file_err_is_missing(err)) say("Failed to load certificate \"%s\": %s", cert_path, err_text(err));
    if (err < 0) return ERR_NOT_FOUND;
    if (!key_type_of(public)->is_cert) {
        say("%s holds no certificate", cert_path);
        return ERR_NOT_FOUND;
    }
    if (!key_equal_public(public, k)) {
        say("Certificate %s does not match private key %s", cert_path, path);
        return ERR_KEY_MISMATCH;
    }
    return add_cert(a, cert_path, k, public, comment);
}

/* The key itself has to go in; a certificate that does not is said, but the key is of use without it. */
static int add_file(struct add *a, const char *path)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    const char *shown = strcmp(path, "-") == 0 ? "(stdin)" : path;
    char comment[LINE_BYTES_MAX];
    int err = load_private(a, path, shown, &k);
    if (err < 0) return EXIT_FAILED;
    choose_comment(k, path, shown, comment, sizeof(comment));
    if (!a->options.certs_only) {
        err = send_key(a, k, comment, a->options.lifetime_s);
        if (err < 0)
            say("Could not add identity \"%s\": %s", shown, err_text(err));
        else
            say_done(a, "Identity added: %s (%s)", shown, comment);
        if (err == 0) say_limits(a, a->options.lifetime_s);
    }
    if (a->options.plain_only) return err < 0 ? EXIT_FAILED : EXIT_DONE;
    int cert_err = add_cert_beside(a, path, k, comment);
    if (a->options.certs_only && cert_err == ERR_NOT_FOUND) say("%s has no certificate beside it", shown);
    if (a->options.certs_only) err = cert_err;
    return err < 0 ? EXIT_FAILED : EXIT_DONE;
}

/* ---- removing ---- */

static bool remove_key(struct add *a, const struct key *k, const char *shown)
{
    int err = agent_put_remove(&a->request, key_blob(k));
    if (err == 0) err = agent_ask(a);
    if (err == 0) err = agent_get_success(buf_view(&a->answer));
    if (err < 0)
        say("Could not remove identity \"%s\": %s", shown, err_text(err));
    else
        say_done(a, "Identity removed: %s %s (%s)", shown, key_short_name(key_blob(k)), key_comment(k));
    return err == 0;
}

/* -d -: public keys, one to a line. */
static int remove_from_stdin(struct add *a)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(PUBLIC_FILE_BYTES_MAX);
    int status = EXIT_FAILED;
    struct view line;
    int err = file_read_fd(STDIN_FILENO, &text);
    if (err < 0) say("(stdin): %s", err_text(err));
    for (struct view rest = buf_view(&text); err == 0 && public_file_next_line(&rest, &line);) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        size_t skip = 0;
        while (skip < line.len && (line.p[skip] == ' ' || line.p[skip] == '\t')) skip++;
        line = view_sub(line, skip, line.len);
        if (line.len == 0 || line.p[0] == '#') continue;
        if (public_line_parse(line, &k) < 0)
            say("(stdin): invalid key");
        else if (remove_key(a, k, "(stdin)"))
            status = EXIT_DONE;
    }
    return status;
}

static int remove_file(struct add *a, const char *path)
{
    CLEANUP(key_unrefp) struct key *k = NULL, *cert = NULL;
    char cert_path[PATH_MAX];
    bool any = false;
    if (strcmp(path, "-") == 0) return remove_from_stdin(a);
    int err = keys_load_public(path, &k);
    if (err < 0) {
        say("Bad key file %s: %s", path, err_text(err));
        return EXIT_FAILED;
    }
    if (!a->options.certs_only) any = remove_key(a, k, path);
    if (a->options.plain_only) return any ? EXIT_DONE : EXIT_FAILED;
    snprintf(cert_path, sizeof(cert_path), "%s-cert.pub", path);
    err = public_of_file(cert_path, &cert);
    if (err < 0 && !file_err_is_missing(err)) say("Failed to load certificate \"%s\": %s", cert_path, err_text(err));
    if (err == 0 && !key_equal_public(cert, k))
        say("Certificate %s does not match private key %s", cert_path, path);
    else if (err == 0 && remove_key(a, cert, cert_path))
        any = true;
    return any ? EXIT_DONE : EXIT_FAILED;
}

int keys_do_file(struct add *a, const char *path) { return a->options.delete ? remove_file(a, path) : add_file(a, path); }

/* Below the account's home directory, not $HOME: as OpenSSH. */
int keys_do_defaults(struct add *a)
{
    CLEANUP(user_freep) struct user *me = NULL;
    int status = EXIT_DONE, n = 0;
    if (user_by_uid(getuid(), &me) < 0) {
        say("No user found with uid %u", (unsigned)getuid());
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < ARRAY_LEN(default_files); i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/.ssh/%s", me->home, default_files[i]);
        if (!file_exists(path)) continue;
        if (keys_do_file(a, path) != EXIT_DONE)
            status = EXIT_FAILED;
        else
            n++;
    }
    return n ? status : EXIT_FAILED;
}
