/* known_hosts files: finding, removing and hashing hosts. */
#include "prog/keygen/keygen.h"

#include "base/log.h"
#include "key/known_hosts.h"
#include "key/public_line.h"
#include "os/file.h"
#include "os/random.h"

#include <stdio.h>

enum {
    HOSTS_FILE_BYTES_MAX = 256 << 20
};

static int read_hosts(struct keygen_options *o, struct buf *out)
{
    static char path[PATH_BYTES_MAX]; /* o->file points here from now on */
    if (!o->file) {
        const char *home = ask_home();
        if (!home) return ERR_NOT_FOUND;
        snprintf(path, sizeof(path), "%s/.ssh/known_hosts", home);
        o->file = path;
    }
    int err = file_read(o->file, out);
    if (err < 0) say_error("Cannot stat %s: %s", o->file, err_text(err));
    return err;
}

static int print_key(const struct keygen_options *o, const struct known_hosts_line *l)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(freep) char *fingerprint = NULL, *art = NULL;
    struct public_line key = { l->type, l->base64, l->comment };
    TRY(public_line_key(&key, &k));
    TRY(key_fingerprint(key_blob(k), o->hash, &fingerprint));
    printf("%s %s %s%s%.*s\n", o->host, key_type_of(k)->short_name, fingerprint, l->comment.len ? " " : "", VIEW_ARG(l->comment));
    if (!o->verbose) return 0;
    TRY(key_randomart(k, o->hash, &art));
    printf("%s\n", art);
    return 0;
}

static int print_found(const struct keygen_options *o, const struct known_hosts_line *l)
{
    static const char *const marks[] = { [KNOWN_HOSTS_PLAIN] = "", [KNOWN_HOSTS_CA] = "CA", [KNOWN_HOSTS_REVOKED] = "REVOKED" };
    if (!o->quiet) printf("# Host %s found: line %zu %s\n", o->host, l->number, marks[l->marker]);
    if (o->fingerprint) return print_key(o, l);
    if (!o->hash_hosts) {
        printf("%.*s\n", VIEW_ARG(l->text));
        return 0;
    }
    CLEANUP(buf_done) struct buf lines = BUF_INIT(HOSTS_FILE_BYTES_MAX);
    TRY(known_hosts_line_put_hashed(l, &os_random, &lines));
    printf("%.*s", VIEW_ARG(buf_view(&lines)));
    return 0;
}

int hosts_find(struct keygen_options *o)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(HOSTS_FILE_BYTES_MAX), name = BUF_INIT(PATH_BYTES_MAX);
    if (read_hosts(o, &file) < 0 || known_hosts_name_put(view_str(o->host), 0, &name) < 0) return EXIT_FATAL;
    struct view names[] = { buf_view(&name) };
    struct known_hosts_scan scan = known_hosts_scan_of(buf_view(&file), names, 1);
    struct known_hosts_line l;
    bool found = false;
    while (known_hosts_next(&scan, &l)) {
        int err = print_found(o, &l);
        if (err < 0) say_error("%s:%zu: %s", o->file, l.number, err_text(err));
        found = true;
    }
    return found ? EXIT_DONE : EXIT_SAID_NO;
}

static void tell_edit(void *arg, enum known_hosts_event event, const struct known_hosts_line *l)
{
    const struct keygen_options *o = arg;
    if (event == KNOWN_HOSTS_EVENT_INVALID) say_error("%s:%zu: invalid line", o->file, l->number);
    if (event == KNOWN_HOSTS_EVENT_WILDCARD)
        say_error("%s:%zu: ignoring host name with wildcard: %.*s", o->file, l->number, VIEW_ARG(l->names));
    if (event == KNOWN_HOSTS_EVENT_CHANGED && o->host && !o->quiet) printf("# Host %s found: line %zu\n", o->host, l->number);
}

static int refuse_invalid(const struct keygen_options *o)
{
    say_error("%s is not a valid known_hosts file.", o->file);
    say_error("Not replacing existing known_hosts file because of errors");
    return EXIT_SAID_NO;
}

static int replace(const struct keygen_options *o, struct view bytes, bool warn_unhashed)
{
    char old[PATH_BYTES_MAX + 8];
    snprintf(old, sizeof(old), "%s.old", o->file);
    int err = file_write(o->file, bytes, &(struct file_write){ .mode = 0600, .keep_mode = true, .backup = old });
    if (err < 0) return say_fatal("Could not replace %s: %s", o->file, err_text(err));
    printf("%s updated.\nOriginal contents retained as %s\n", o->file, old);
    fflush(stdout);
    if (warn_unhashed) {
        say_error("WARNING: %s contains unhashed entries", old);
        say_error("Delete this file to ensure privacy of hostnames");
    }
    return EXIT_DONE;
}

int hosts_remove(struct keygen_options *o)
{
    CLEANUP(buf_done)
    struct buf file = BUF_INIT(HOSTS_FILE_BYTES_MAX), out = BUF_INIT(HOSTS_FILE_BYTES_MAX), name = BUF_INIT(PATH_BYTES_MAX);
    struct known_hosts_edit_result result;
    if (read_hosts(o, &file) < 0 || known_hosts_name_put(view_str(o->host), 0, &name) < 0) return EXIT_FATAL;
    int err = known_hosts_remove(buf_view(&file), buf_view(&name), tell_edit, o, &out, &result);
    if (err < 0) return say_fatal("%s: %s", o->file, err_text(err));
    fflush(stdout);
    if (result.n_invalid) return refuse_invalid(o);
    if (result.n_changed) return replace(o, buf_view(&out), false);
    say_error("Host %s not found in %s", o->host, o->file);
    return EXIT_DONE;
}

int hosts_hash(struct keygen_options *o)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(HOSTS_FILE_BYTES_MAX), out = BUF_INIT(HOSTS_FILE_BYTES_MAX);
    struct known_hosts_edit_result result;
    if (read_hosts(o, &file) < 0) return EXIT_FATAL;
    int err = known_hosts_hash(buf_view(&file), &os_random, tell_edit, o, &out, &result);
    if (err < 0) return say_fatal("%s: %s", o->file, err_text(err));
    return result.n_invalid ? refuse_invalid(o) : replace(o, buf_view(&out), result.has_unhashed);
}
