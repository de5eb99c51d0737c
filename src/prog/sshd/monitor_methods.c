/* Methods: which can go on, what several of them together mean (AuthenticationMethods), how failures are counted, delayed and
 * logged. */
#include "prog/sshd/monitor.h"

#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/login_record.h"
#include "os/random.h"
#include "wire/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    FAILURE_DELAY_MS = 5,
    FAILURE_JITTER_MS = 5,
    BANNER_BYTES_MAX = 64 * 1024,
    METHODS_BYTES_MAX = 256
};

static const struct {
    const char *name;
} methods[METHOD_MAX] = {
    [METHOD_NONE] = { "none" },           [METHOD_PUBLICKEY] = { "publickey" },
    [METHOD_PASSWORD] = { "password" },   [METHOD_KBDINT] = { "keyboard-interactive" },
    [METHOD_HOSTBASED] = { "hostbased" },
};

bool method_is_enabled(const struct monitor *m, enum auth_method method)
{
    const struct sshd_options *o = &m->options;
    switch (method) {
    case METHOD_PUBLICKEY:
        return o->pubkey_authentication != CONF_NO;
    case METHOD_PASSWORD:
        return o->password_authentication;
    case METHOD_KBDINT:
        return o->kbd_interactive_authentication;
    case METHOD_HOSTBASED:
        return o->hostbased_authentication;
    case METHOD_NONE:
        return true; /* lets in by an empty password only */
    default:
        return false;
    }
}

static enum auth_method method_by_name(struct view name)
{
    for (int i = 0; i < METHOD_MAX; i++)
        if (view_eq_str(name, methods[i].name)) return (enum auth_method)i;
    return METHOD_MAX;
}

/* The first element of a chain, without ":submethod". */
static struct view chain_head(const char *chain)
{
    struct view list = view_str(chain), head = VIEW_EMPTY;
    (void)view_next_in_list(&list, &head);
    const uint8_t *colon = head.len ? memchr(head.p, ':', head.len) : NULL;
    return colon ? view_of(head.p, (size_t)(colon - head.p)) : head;
}

static bool chain_is_possible(const struct monitor *m, const char *chain)
{
    struct view list = view_str(chain), one;
    while (view_next_in_list(&list, &one)) {
        const uint8_t *colon = one.len ? memchr(one.p, ':', one.len) : NULL;
        enum auth_method method = method_by_name(colon ? view_of(one.p, (size_t)(colon - one.p)) : one);
        if (method == METHOD_MAX || !method_is_enabled(m, method)) return false;
    }
    return true;
}

int method_init_chains(struct monitor *m)
{
    const struct strv *given = &m->options.authentication_methods;
    bool is_any = given->n == 0 || (given->n == 1 && strcmp(given->v[0], "any") == 0);
    if (is_any) return 0;
    for (size_t i = 0; i < given->n; i++)
        if (chain_is_possible(m, given->v[i])) TRY(strv_add(&m->who.chains, view_str(given->v[i])));
    if (m->who.chains.n) return 0;
    monitor_log(m, LOG_LEVEL_ERROR, "No AuthenticationMethods left after eliminating disabled methods: enable one of those listed");
    return method_dismiss(m, "no authentication methods enabled");
}

int method_list(const struct monitor *m, struct buf *out)
{
    for (int i = METHOD_PUBLICKEY; i < METHOD_MAX; i++) {
        bool wanted = m->who.chains.n == 0;
        for (size_t k = 0; k < m->who.chains.n; k++) wanted |= view_eq_str(chain_head(m->who.chains.v[k]), methods[i].name);
        if (!wanted || !method_is_enabled(m, (enum auth_method)i)) continue;
        if (buf_len(out)) TRY(buf_put_u8(out, ','));
        TRY(buf_put_str(out, methods[i].name));
    }
    return 0;
}

static bool head_matches(const char *chain, const struct attempt *a)
{
    struct view list = view_str(chain), head = VIEW_EMPTY;
    (void)view_next_in_list(&list, &head);
    const uint8_t *colon = head.len ? memchr(head.p, ':', head.len) : NULL;
    if (!view_eq_str(colon ? view_of(head.p, (size_t)(colon - head.p)) : head, methods[a->method].name)) return false;
    return !colon || view_eq(view_of(colon + 1, (size_t)(head.p + head.len - colon - 1)), a->submethod);
}

bool method_is_allowed(const struct monitor *m, const struct attempt *a)
{
    bool wanted = m->who.chains.n == 0;
    for (size_t i = 0; i < m->who.chains.n; i++) wanted |= head_matches(m->who.chains.v[i], a);
    return wanted && method_is_enabled(m, a->method);
}

/* Takes a passed method off the front of every chain that waits for it. True when some chain is fulfilled, or any method was
 * enough. */
static bool chains_advance(struct monitor *m, const struct attempt *a)
{
    bool done = m->who.chains.n == 0;
    for (size_t i = 0; i < m->who.chains.n; i++) {
        char *chain = m->who.chains.v[i];
        if (!head_matches(chain, a)) continue;
        char *comma = strchr(chain, ',');
        if (!comma) done = true;
        memmove(chain, comma ? comma + 1 : "", strlen(comma ? comma + 1 : "") + 1);
    }
    return done;
}

/* ---- log ---- */

static void log_attempt(struct monitor *m, const struct attempt *a, bool accepted, const char *what)
{
    bool loud = accepted || !m->who.valid || m->who.failures >= m->options.max_auth_tries / 2 || a->method == METHOD_PASSWORD;
    /* Keys of somebody who does not exist are not looked at; a mistyped name is one line, not one for each key. */
    if (a->method == METHOD_PUBLICKEY && !m->who.valid && !a->passed) return;
    char submethod[64] = "";
    if (a->submethod.len) snprintf(submethod, sizeof submethod, "/%.*s", VIEW_ARG(a->submethod));
    monitor_log(m, loud ? LOG_LEVEL_INFO : LOG_LEVEL_VERBOSE, "%s %s%s for %s%s from %s port %d ssh2%s", what, a->method_name,
                submethod, m->who.valid ? "" : "invalid user ", m->who.name, m->peer.host, m->peer.port, a->detail);
}

/* A failed password costs its own time; the rest is made up to a floor with jitter so that fast refusals look like slow ones. */
static void delay_failure(ms began)
{
    uint32_t dice = 0;
    (void)!random_fill(&os_random, &dice, sizeof dice);
    ms left = began + FAILURE_DELAY_MS + (ms)(dice % FAILURE_JITTER_MS) - clock_now();
    if (left > 0) nanosleep(&(struct timespec){ left / 1000, (left % 1000) * 1000000 }, NULL);
}

/* ---- verdicts ---- */

static int read_banner(const struct monitor *m, struct buf *out)
{
    if (!m->options.banner || m->who.tried) return 0;
    int err = file_read(m->options.banner, out);
    if (err < 0) buf_reset(out);
    return 0;
}

/* What account modules have to say to somebody who does not come back for another question. */
static int put_pam_messages(struct monitor *m, struct buf *out)
{
    if (!m->who.pam) return 0;
    TRY(buf_put_view(out, pam_messages(m->who.pam)));
    pam_messages_reset(m->who.pam);
    return 0;
}

static int send_verdict(struct monitor *m, enum auth_verdict verdict, const char *disconnect)
{
    CLEANUP(buf_done) struct buf list = BUF_INIT(METHODS_BYTES_MAX), banner = BUF_INIT(2 * BANNER_BYTES_MAX);
    TRY(method_list(m, &list));
    TRY(read_banner(m, &banner));
    if (verdict == AUTH_VERDICT_SUCCESS || disconnect) TRY(put_pam_messages(m, &banner));
    m->who.tried = true;
    return IPC_SEND(&m->net, auth_verdict, .verdict = verdict, .methods = buf_view(&list), .banner = buf_view(&banner),
                    .disconnect = view_str(disconnect));
}

int method_dismiss(struct monitor *m, const char *text)
{
    TRY(send_verdict(m, AUTH_VERDICT_FAILURE, text));
    m->dismissed = true;
    return ERR_DENIED;
}

int method_postpone(struct monitor *m, const struct ipc_auth_verdict *v)
{
    CLEANUP(buf_done) struct buf banner = BUF_INIT(BANNER_BYTES_MAX);
    TRY(read_banner(m, &banner));
    m->who.tried = true;
    return IPC_SEND(&m->net, auth_verdict, .verdict = v->verdict, .text = v->text, .instruction = v->instruction,
                    .n_prompts = v->n_prompts, .prompts = v->prompts, .banner = buf_view(&banner));
}

/* lastb(1) */
static void record_failure(const struct monitor *m, const struct attempt *a)
{
    struct login_record r = { .pid = getpid(),
                              .line = "ssh:notty",
                              .user = m->who.name,
                              .host = m->peer_host,
                              .addr = &m->peer_addr,
                              .wall_s = clock_wall_s() };
    if (a->method == METHOD_PASSWORD || a->method == METHOD_KBDINT) (void)!login_record_failed(NULL, &r);
}

static int conclude_failure(struct monitor *m, const struct attempt *a)
{
    bool counts = a->method != METHOD_NONE || m->who.tried;
    if (counts) {
        if (method_is_allowed(m, a)) log_attempt(m, a, false, "Failed"); /* how loud goes by those before it */
        m->who.failures++;
        record_failure(m, a);
        delay_failure(m->request_began);
    }
    if (a->denied) {
        monitor_log(m, LOG_LEVEL_FATAL, "Access denied for user %s by PAM account configuration [preauth]", m->who.name);
        return method_dismiss(m, "Access denied by the account configuration");
    }
    if (m->who.failures < m->options.max_auth_tries) return send_verdict(m, AUTH_VERDICT_FAILURE, NULL);
    monitor_log(m, LOG_LEVEL_ERROR, "maximum authentication attempts exceeded for %s%s from %s port %d ssh2 [preauth]",
                m->who.valid ? "" : "invalid user ", m->who.name, m->peer.host, m->peer.port);
    return method_dismiss(m, "Too many authentication failures");
}

static bool root_is_refused(struct monitor *m, const struct attempt *a)
{
    if (!m->who.user || m->who.user->uid != 0) return false;
    bool ok = false;
    switch (m->options.permit_root_login) {
    case CONF_ROOT_YES:
        ok = true;
        break;
    case CONF_ROOT_NO_PASSWORD:
        ok = a->method == METHOD_PUBLICKEY || a->method == METHOD_HOSTBASED;
        break;
    case CONF_ROOT_FORCED_COMMANDS:
        ok = a->method == METHOD_PUBLICKEY && m->who.has_key_options && m->who.key_options.command;
        if (ok) monitor_log(m, LOG_LEVEL_INFO, "Root login accepted for forced command.");
        break;
    default:
        break;
    }
    if (!ok && a->passed) monitor_log(m, LOG_LEVEL_INFO, "ROOT LOGIN REFUSED FROM %s port %d", m->peer.host, m->peer.port);
    return !ok;
}

int method_conclude(struct monitor *m, const struct attempt *given, bool *ret_success)
{
    struct attempt a = *given;
    if (!m->who.valid || root_is_refused(m, &a) || !method_is_allowed(m, &a)) a.passed = false;
    if (!a.passed) return conclude_failure(m, &a);
    if (a.method != METHOD_PUBLICKEY && a.method != METHOD_HOSTBASED)
        TRY(buf_printf(&m->who.auth_info, "%s\n", a.method_name)); /* keys have written theirs */
    if (!chains_advance(m, &a)) {
        log_attempt(m, &a, false, "Partial");
        return send_verdict(m, AUTH_VERDICT_PARTIAL, NULL);
    }
    log_attempt(m, &a, true, "Accepted");
    TRY(send_verdict(m, AUTH_VERDICT_SUCCESS, NULL));
    *ret_success = true;
    return 0;
}
