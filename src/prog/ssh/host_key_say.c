/* What the user is told and asked about host keys. */
#include "prog/ssh/host_key_int.h"

#include "base/base64.h"
#include "key/public_line.h"

#include <stdio.h>
#include <strings.h>

char *host_key_fingerprint(const struct client *c, struct view key)
{
    char *text = NULL;
    enum digest_alg alg = c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
    return key_fingerprint(key, alg, &text) == 0 ? text : NULL;
}

static void show_art(const struct client *c, struct view blob, struct buf *out)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(freep) char *art = NULL;
    enum digest_alg alg = c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
    if (!c->options.visual_host_key || key_from_blob(blob, &k) < 0 || key_randomart(k, alg, &art) < 0) return;
    (void)!buf_printf(out, "%s\n", art);
}

void host_key_say_framed(const struct client *c, const char *title)
{
    static const char bar[] = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
    log_error(&c->sink.log, "%s", bar);
    log_error(&c->sink.log, "@%*s%s%*s@", (57 - (int)strlen(title)) / 2, "", title,
              57 - (int)strlen(title) - (57 - (int)strlen(title)) / 2, "");
    log_error(&c->sink.log, "%s", bar);
}

void host_key_say_changed(const struct client *c, const struct finding *f, const char *name, struct view key)
{
    CLEANUP(freep) char *fingerprint = host_key_fingerprint(c, key);
    const struct key_type *old = key_type_find(f->verdict.line.type);
    const char *type = key_short_name(key), *old_type = old ? old->short_name : type;
    host_key_say_framed(c, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!");
    log_error(&c->sink.log, "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!");
    log_error(&c->sink.log, "Either somebody stands between you and the server, or the server was given a new key.");
    log_error(&c->sink.log, "The fingerprint for the %s key sent by the remote host is", type);
    log_error(&c->sink.log, "%s.", fingerprint ? fingerprint : "unknown");
    log_error(&c->sink.log, "Ask whoever runs the server whether that is its key.");
    log_error(&c->sink.log, "Add correct host key in %s to get rid of this message.", f->file->path);
    log_error(&c->sink.log, "Offending %s key in %s:%zu", old_type, f->file->path, f->verdict.line.number);
    log_error(&c->sink.log, "  remove with:");
    log_error(&c->sink.log, "  ssh-keygen -f \"%s\" -R \"%s\"", f->file->path, name);
}

void host_key_say_revoked(const struct client *c, const struct finding *f, struct view key)
{
    host_key_say_framed(c, "WARNING: REVOKED HOST KEY DETECTED!");
    log_error(&c->sink.log, "The %s host key for %s is marked as revoked in %s:%zu.", key_short_name(key), c->known_name,
              f->file->path, f->verdict.line.number);
    log_error(&c->sink.log,
              "Whoever marked it so knows of a reason not to trust it: it may have been stolen, and this may be the thief.");
    if (c->options.strict_host_key_checking != CONF_HOST_KEYS_NO)
        log_error(&c->sink.log, "%s host key for %s was revoked and you have requested strict checking.", key_short_name(key),
                  c->known_name);
}

/* VisualHostKey, for a key that nobody asks about. */
void host_key_show(const struct client *c, struct view key)
{
    CLEANUP(freep) char *fingerprint = host_key_fingerprint(c, key);
    CLEANUP(buf_done) struct buf art = BUF_INIT(4096);
    if (!c->options.visual_host_key || !fingerprint) return;
    show_art(c, key, &art);
    client_log(c, LOG_LEVEL_INFO, "Host key fingerprint is %s", fingerprint);
    struct view rest = buf_view(&art), line;
    while (public_file_next_line(&rest, &line)) client_log(c, LOG_LEVEL_INFO, "%.*s", VIEW_ARG(line));
}

/* ---- asking ---- */

static int build_question(const struct client *c, const struct known_files *files, struct view key, const char *fingerprint,
                          enum host_dns dns, struct buf *out)
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
    if (c->options.verify_host_key_dns != CONF_NO)
        TRY(buf_printf(out, "%s host key fingerprint found in DNS.\n",
                       dns >= HOST_DNS_MATCH && dns != HOST_DNS_MISMATCH ? "Matching" : "No matching"));
    return buf_put_str(out, "Are you sure you want to continue connecting (yes/no/[fingerprint])? ");
}

/* yes, or the fingerprint if there is one to type. */
bool host_key_confirm(struct client *c, const char *question, const char *fingerprint)
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

bool host_key_ask(struct client *c, const struct known_files *files, struct view key, enum host_dns dns)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(1 << 20);
    CLEANUP(freep) char *fingerprint = host_key_fingerprint(c, key);
    if (!fingerprint || build_question(c, files, key, fingerprint, dns, &question) < 0) return false;
    return host_key_confirm(c, buf_cstr(&question), fingerprint);
}
