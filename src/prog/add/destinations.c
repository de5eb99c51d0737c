/* Where keys may be used (-h): hosts by name, to host keys by known_hosts files, to the constraints of OpenSSH's PROTOCOL.agent. */
#include "prog/add/add.h"

#include "base/wr.h"
#include "key/known_hosts.h"
#include "key/public_line.h"
#include "os/file.h"
#include "os/user.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum {
    KNOWN_HOSTS_BYTES_MAX = 64 << 20,
    HOST_BYTES_MAX = 4096,
};

struct hop {
    struct view user, host; /* host empty: from here */
};

/* [user@]host. 0, or the exit status. */
static int hop_parse(struct view text, struct hop *ret)
{
    const uint8_t *at = text.len ? memrchr(text.p, '@', text.len) : NULL;
    *ret = (struct hop){ VIEW_EMPTY, text };
    if (at) *ret = (struct hop){ view_of(text.p, (size_t)(at - text.p)), view_of(at + 1, text.len - (size_t)(at + 1 - text.p)) };
    return ret->host.len ? 0
                         : say_fatal("Invalid key destination constraint \"%.*s\": does not specify user or host", VIEW_ARG(text));
}

/* The host's keys of one file, appended: string blob, bool is_ca. */
static int put_keys_of_file(const struct log *log, const char *path, struct view host, struct wr *w, size_t *io_n)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(KNOWN_HOSTS_BYTES_MAX);
    struct known_hosts_line line;
    CLEANUP(buf_done) struct buf name = BUF_INIT(HOST_BYTES_MAX);
    int err = file_read(path, &file);
    if (err < 0) log_debug(log, "%s: %s", path, err_text(err));
    if (err < 0) return 0;
    TRY(known_hosts_name_put(host, 0, &name));
    struct view wanted = buf_view(&name);
    struct known_hosts_scan scan = known_hosts_scan_of(buf_view(&file), &wanted, 1);
    while (known_hosts_next(&scan, &line)) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        const struct public_line key = { line.type, line.base64, line.comment };
        if (line.marker == KNOWN_HOSTS_REVOKED || public_line_key(&key, &k) < 0) continue;
        log_debug(log, "%s:%zu: %s key", path, line.number, key_short_name(key_blob(k)));
        wr_string(w, key_blob(k));
        wr_bool(w, line.marker == KNOWN_HOSTS_CA);
        ++*io_n;
    }
    return wr_end(w);
}

/* 0, or the exit status. */
static int put_hop(const struct add *a, const struct hop *h, struct wr *w)
{
    size_t mark = wr_string_open(w), n = 0;
    wr_string(w, h->user);
    wr_string(w, h->host);
    wr_cstr(w, "");
    for (size_t i = 0; h->host.len && i < a->options.host_key_files.n; i++)
        if (put_keys_of_file(&a->sink.log, a->options.host_key_files.v[i], h->host, w, &n) < 0)
            return say_fatal("too many destinations");
    if (h->host.len && n == 0) return say_fatal("No host keys found for destination \"%.*s\"", VIEW_ARG(h->host));
    wr_string_close(w, mark);
    return 0;
}

/* [user@]host, or host>[user@]host. */
static int put_destination(const struct add *a, const char *text, struct wr *w)
{
    const char *arrow = strchr(text, '>');
    struct hop from = { VIEW_EMPTY, VIEW_EMPTY }, to;
    int status = arrow ? hop_parse(view_of(text, (size_t)(arrow - text)), &from) : 0;
    if (status) return status;
    if (from.user.len)
        return say_fatal("Invalid key constraint %.*s: cannot specify user on 'from' host", (int)(arrow - text), text);
    size_t mark = wr_string_open(w);
    status = put_hop(a, &from, w);
    if (status == 0) status = hop_parse(view_str(arrow ? arrow + 1 : text), &to);
    if (status == 0) status = put_hop(a, &to, w);
    wr_cstr(w, "");
    wr_string_close(w, mark);
    return status;
}

static int default_files(struct strv *files)
{
    CLEANUP(user_freep) struct user *me = NULL;
    char path[PATH_MAX];
    TRY(user_by_uid(getuid(), &me));
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/.ssh/known_hosts%s", me->home, i ? "2" : "");
        TRY(strv_add(files, view_str(path)));
    }
    TRY(strv_add(files, view_str(NACRE_SYSCONFDIR "/ssh_known_hosts")));
    return strv_add(files, view_str(NACRE_SYSCONFDIR "/ssh_known_hosts2"));
}

int destinations_make(struct add *a)
{
    struct wr w = wr_of(&a->options.limits);
    int err = a->options.host_key_files.n || a->options.destinations.n == 0 ? 0 : default_files(&a->options.host_key_files);
    if (err < 0) return say_fatal("no known_hosts files: %s", err_text(err));
    for (size_t i = 0; i < a->options.destinations.n; i++) {
        int status = put_destination(a, a->options.destinations.v[i], &w);
        if (status) return status;
    }
    return wr_end(&w) < 0 ? say_fatal("too many destinations") : 0;
}
