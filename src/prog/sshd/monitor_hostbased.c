/* Host-based authentication (RFC 4252 9): the client's machine vouches with its own key for the name that its user has there. The
 * key has to be known for the name by which we know the machine, and a file of ours or of the user's has to trust that name and
 * user. */
#include "prog/sshd/monitor.h"

#include "key/known_hosts.h"
#include "key/rhosts.h"
#include "os/clock.h"
#include "os/file.h"
#include "wire/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    RHOSTS_BYTES_MAX = 16 << 20,
    KNOWN_HOSTS_BYTES_MAX = 256 << 20,
    SIGNED_BYTES_MAX = 256 * 1024
};

/* The client's machine: by the name that counts, and as the connection shows it. */
struct client_host {
    struct view name;
    const char *address;
};

/* ---- its name ---- */

static struct view without_dot(struct view name)
{
    return name.len && name.p[name.len - 1] == '.' ? view_sub(name, 0, name.len - 1) : name;
}

static bool same_name(struct view a, const char *b) { return a.len == strlen(b) && strncasecmp((const char *)a.p, b, a.len) == 0; }

static struct client_host find_host(struct monitor *m, struct view claimed)
{
    if (m->options.hostbased_uses_name_from_packet_only) return (struct client_host){ claimed, NULL };
    if (!same_name(claimed, m->peer_host))
        monitor_log(m, LOG_LEVEL_INFO, "userauth_hostbased mismatch: client sends %.*s, but we resolve %s to %s", VIEW_ARG(claimed),
                    m->peer.host, m->peer_host);
    return (struct client_host){ view_str(m->peer_host), m->peer.host };
}

/* ---- is the user trusted there ---- */

static bool in_netgroup(UNUSED void *arg, const char *group, const char *host, const char *user)
{
    return user_netgroup_has(group, host, user);
}

static enum rhosts_verdict ask_file(const struct monitor *m, struct view file, const struct client_host *host,
                                    struct view client_user)
{
    const struct rhosts_question q = { .host = host->name,
                                       .address = view_str(host->address),
                                       .client_user = client_user,
                                       .server_user = view_str(m->who.user->name),
                                       .in_netgroup = in_netgroup };
    return rhosts_check(file, &q);
}

/* The machine's own files do not speak for root. */
static enum rhosts_verdict ask_machine(struct monitor *m, const struct client_host *host, struct view client_user)
{
    static const char *const paths[] = { "/etc/hosts.equiv", NACRE_SYSCONFDIR "/shosts.equiv" };
    enum rhosts_verdict verdict = RHOSTS_NONE;
    for (size_t i = 0; i < ARRAY_LEN(paths) && verdict == RHOSTS_NONE && m->who.user->uid != 0; i++) {
        CLEANUP(buf_done) struct buf file = BUF_INIT(RHOSTS_BYTES_MAX);
        if (file_read(paths[i], &file) == 0) verdict = ask_file(m, buf_view(&file), host, client_user);
    }
    return verdict;
}

static enum rhosts_verdict ask_user(struct monitor *m, const struct client_host *host, struct view client_user)
{
    static const struct {
        const char *name;
        bool is_shosts;
    } files[] = { { ".shosts", true }, { ".rhosts", false } };
    enum rhosts_verdict verdict = RHOSTS_NONE;
    int ignore = m->options.ignore_rhosts;
    for (size_t i = 0; i < ARRAY_LEN(files) && verdict == RHOSTS_NONE; i++) {
        CLEANUP(buf_done) struct buf file = BUF_INIT(RHOSTS_BYTES_MAX);
        char path[4200];
        if (ignore == CONF_RHOSTS_IGNORE || (ignore == CONF_RHOSTS_SHOSTS_ONLY && !files[i].is_shosts)) continue;
        snprintf(path, sizeof path, "%s/%s", m->who.user->home, files[i].name);
        if (monitor_read_user_file(m, path, "trusted hosts", &file) == 0) verdict = ask_file(m, buf_view(&file), host, client_user);
    }
    return verdict;
}

static bool user_is_trusted(struct monitor *m, const struct client_host *host, struct view client_user)
{
    enum rhosts_verdict verdict = ask_machine(m, host, client_user);
    if (verdict == RHOSTS_NONE) verdict = ask_user(m, host, client_user);
    if (verdict == RHOSTS_TRUSTED) return true;
    log_debug(&m->sink.log, "host-based: %.*s of %.*s is %s for %s", VIEW_ARG(client_user), VIEW_ARG(host->name),
              verdict == RHOSTS_REFUSED ? "refused by name" : "trusted nowhere", m->who.name);
    return false;
}

/* ---- is the key known ---- */

static int look_up(struct view file, struct view host, struct view key, enum known_hosts_status *io_best)
{
    CLEANUP(buf_done) struct buf name = BUF_INIT(SOCK_HOST_BYTES + 64);
    struct known_hosts_verdict v;
    TRY(known_hosts_name_put(host, 22, &name));
    const struct view names[] = { buf_view(&name) };
    TRY(known_hosts_check(file, names, ARRAY_LEN(names), key, &v));
    *io_best = MAX(*io_best, v.status);
    return 0;
}

static bool key_is_known(struct monitor *m, struct view host, struct view key)
{
    static const char machine[] = NACRE_SYSCONFDIR "/ssh_known_hosts";
    enum known_hosts_status best = KNOWN_HOSTS_NEW;
    CLEANUP(buf_done) struct buf file = BUF_INIT(KNOWN_HOSTS_BYTES_MAX);
    if (file_read(machine, &file) == 0 && look_up(buf_view(&file), host, key, &best) < 0) return false;
    if (!m->options.ignore_user_known_hosts) {
        char path[4200];
        buf_reset(&file);
        snprintf(path, sizeof path, "%s/.ssh/known_hosts", m->who.user->home);
        bool is_there = monitor_read_user_file(m, path, "known hosts", &file) == 0;
        if (is_there && look_up(buf_view(&file), host, key, &best) < 0) return false;
    }
    if (best == KNOWN_HOSTS_REFUSED)
        monitor_log(m, LOG_LEVEL_ERROR, "WARNING: revoked key for %.*s attempted authentication", VIEW_ARG(host));
    return best == KNOWN_HOSTS_OK;
}

static bool certificate_is_valid(struct monitor *m, const struct cert *c, struct view host)
{
    const char *reason = NULL;
    if (cert_check(c, CERT_HOST, host, clock_wall_s(), &reason) == 0) return true;
    monitor_log(m, LOG_LEVEL_ERROR, "%s (host certificate ID \"%.*s\" for %.*s)", reason, VIEW_ARG(c->key_id), VIEW_ARG(host));
    return false;
}

/* ---- the signature ---- */

static bool signature_is_right(const struct monitor *m, const struct ipc_auth_hostbased *q)
{
    CLEANUP(buf_done) struct buf data = BUF_INIT(SIGNED_BYTES_MAX);
    struct wr w = wr_of(&data);
    wr_string(&w, buf_view(&m->session_id));
    wr_u8(&w, MSG_userauth_request_NUMBER);
    wr_string(&w, q->user);
    wr_string(&w, q->service);
    wr_cstr(&w, "hostbased");
    wr_string(&w, q->algorithm);
    wr_string(&w, q->key);
    wr_string(&w, q->client_host);
    wr_string(&w, q->client_user);
    return wr_end(&w) == 0 && key_verify_blob(q->key, q->algorithm, buf_view(&data), q->signature) == 0;
}

static void describe(const struct monitor *m, const struct offered *k, const struct ipc_auth_hostbased *q, struct attempt *a)
{
    key_describe(m, k, a->detail, sizeof a->detail);
    size_t n = strlen(a->detail);
    snprintf(a->detail + n, sizeof a->detail - n, ", client user \"%.*s\", client host \"%.*s\"",
             VIEW_ARG(view_sub(q->client_user, 0, 100)), VIEW_ARG(view_sub(q->client_host, 0, 100)));
}

int hostbased_check(struct monitor *m, const struct ipc_auth_hostbased *q, struct attempt *a)
{
    struct offered k = { .algorithm = q->algorithm, .blob = q->key };
    const struct key_rules rules = { "userauth_hostbased", "HostbasedAcceptedAlgorithms",
                                     m->options.hostbased_accepted_algorithms };
    describe(m, &k, q, a);
    if (!method_is_allowed(m, a) || !key_is_usable(m, &rules, &k) || !m->who.user || !m->who.valid) return 0;
    struct client_host host = find_host(m, without_dot(q->client_host));
    bool passes = host.name.len && user_is_trusted(m, &host, q->client_user) && key_is_known(m, host.name, q->key) &&
                  (!k.is_cert || certificate_is_valid(m, &k.cert, host.name)) && signature_is_right(m, q);
    if (!passes) return 0;
    a->passed = true;
    return key_put_auth_info("hostbased", q->key, &m->who.auth_info);
}
