/* Which method and which key next. The engine (proto/auth) speaks the protocol; here is the policy: PreferredAuthentications, the
 * order of keys, how often a person is asked. A key that can sign without asking anybody is offered with its signature at once,
 * without the query before it: an attempt that fails costs the server's count the same, and one that passes saves a round trip. The
 * first request is "none", which costs nothing and tells what the server takes; only a key that let us in last time goes before it.
 */
#include "prog/ssh/client.h"

#include "base/vis.h"
#include "io/token_pkcs11.h"
#include "os/file.h"
#include "proto/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum method {
    METHOD_NONE,
    METHOD_HOSTBASED,
    METHOD_PUBLICKEY,
    METHOD_KBDINT,
    METHOD_PASSWORD,
    METHOD_MAX
};

static const char *const method_names[METHOD_MAX] = {
    [METHOD_NONE] = "none",           [METHOD_HOSTBASED] = "hostbased",
    [METHOD_PUBLICKEY] = "publickey", [METHOD_KBDINT] = "keyboard-interactive",
    [METHOD_PASSWORD] = "password",
};

struct login {
    struct client *c;
    struct auth_client *auth;
    struct identity *identities, *next_identity, *current;
    const struct identity *expected; /* let us in last time, and nothing is asked before it; NULL when it was tried */
    struct hostbased *hostbased;     /* NULL until it is tried */
    enum method method;              /* of the attempt under way */
    bool knows_methods;              /* the server has said what it takes */
    bool was_accepted;               /* the server has said of the current key that it would take it */
    bool was_prompted;               /* the current kbdint attempt has asked something */
    bool kbdint_useless;             /* it failed without a question */
    int n_passwords, n_kbdint;
    struct buf methods; /* that can continue */
};

static int next_attempt(struct login *l);
static int give_up(struct login *l);

/* ---- publickey ---- */

static int send_signed(struct login *l, struct identity *id, const char *algorithm)
{
    struct client *c = l->c;
    struct transport *t = wire_io_transport(c->wire);
    CLEANUP(buf_done) struct buf signature = BUF_INIT(65536);
    struct view to_sign, host_key = VIEW_EMPTY;
    int kind = c->options.pubkey_authentication;
    if (c->server_hostbound && (kind == CONF_PUBKEY_YES || kind == CONF_PUBKEY_HOST_BOUND)) host_key = transport_host_key(t);
    TRY(auth_client_start_publickey(l->auth, view_str(algorithm), id->blob, transport_session_id(t), host_key, &to_sign));
    int err = identity_sign(c, id, algorithm, to_sign, &signature);
    if (err < 0) {
        auth_client_abandon_publickey(l->auth);
        id->answer = l->was_accepted ? "accepted by the server, but not signed for" : "not signed for, so not offered";
        return ERR_NOT_FOUND;
    }
    TRY(auth_client_finish_publickey(l->auth, buf_view(&signature)));
    return session_send_early(c);
}

static void log_skipped(const struct client *c, const struct identity *id)
{
    const char *path = id->path ? id->path : "";
    const struct key_type *type = key_type_of(id->public);
    if (identity_is_too_small(c, id))
        log_error(&c->sink.log, "Load key \"%s\": Invalid key length: %u bits, and RequiredRSASize is %d", path,
                  key_bits(id->public), c->options.required_rsa_size);
    else
        client_log(c, LOG_LEVEL_DEBUG1, "Skipping %s key %s - %s", type->name, path,
                   type->pkey == PKEY_RSA ? "no mutual signature algorithm" : "corresponding algo not in PubkeyAcceptedAlgorithms");
}

/* ERR_NOT_FOUND: this key cannot be tried. */
static int try_identity(struct login *l, struct identity *id)
{
    struct client *c = l->c;
    id->answer = "not offered: its private key is neither in a file nor in the agent";
    if (identity_is_orphan(c, id)) return ERR_NOT_FOUND;
    bool ready = identity_is_ready(c, id);
    if (!id->public) { /* an encrypted file without .pub: its passphrase comes first */
        CLEANUP(buf_done) struct buf nothing = BUF_INIT(65536);
        client_log(c, LOG_LEVEL_DEBUG1, "Trying private key: %s", id->path);
        id->answer = "not offered: the private key is not to be had";
        if (identity_sign(c, id, "", VIEW_EMPTY, &nothing) < 0) return ERR_NOT_FOUND;
        ready = true;
    }
    if (id->load_err && !id->in_agent && !file_err_is_missing(id->load_err)) {
        id->answer = "not offered: the private key cannot be used";
        return ERR_NOT_FOUND;
    }
    const char *algorithm = identity_algorithm(c, id);
    if (!algorithm) {
        log_skipped(c, id);
        id->answer =
            identity_is_too_small(c, id) ? "not offered: fewer bits than RequiredRSASize" : "not offered: no algorithm in common";
        return ERR_NOT_FOUND;
    }
    identity_log(c, "Offering public key", id);
    id->answer = "offered, and not answered";
    l->current = id;
    l->was_accepted = false;
    ready = ready || (l->expected == id && id->in_agent);
    return ready ? send_signed(l, id, algorithm) : auth_client_query_publickey(l->auth, view_str(algorithm), id->blob);
}

static int try_publickey(struct login *l)
{
    while (l->next_identity) {
        struct identity *id = l->next_identity;
        l->next_identity = id->next;
        int err = try_identity(l, id);
        if (err != ERR_NOT_FOUND) return err;
    }
    return ERR_NOT_FOUND;
}

static int on_pk_ok(struct login *l)
{
    struct identity *id = l->current;
    const char *algorithm = id ? identity_algorithm(l->c, id) : NULL;
    if (!algorithm) return ERR_UNEXPECTED_MESSAGE;
    identity_log(l->c, "Server accepts key", id);
    l->was_accepted = true;
    int err = send_signed(l, id, algorithm);
    return err == ERR_NOT_FOUND ? next_attempt(l) : err;
}

/* ---- password ---- */

static int who_and_where(const struct login *l, const char *what, struct buf *out)
{
    return buf_printf(out, "%s@%s's %s", l->c->remote_user, l->c->host, what);
}

static int try_password(struct login *l)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(8192), password = BUF_INIT_SECRET(LIMIT_PASSWORD_BYTES);
    struct client *c = l->c;
    if (c->options.batch_mode || l->n_passwords >= c->options.number_of_password_prompts) return ERR_NOT_FOUND;
    if (l->n_passwords++) log_error(&c->sink.log, "Permission denied, please try again.");
    TRY(who_and_where(l, "password: ", &question));
    const char *text = buf_cstr(&question);
    if (!text) return ERR_NOMEM;
    int err = prompt_secret(c, text, false, &password);
    if (err < 0) return err == ERR_CANCELLED ? ERR_CANCELLED : ERR_NOT_FOUND;
    return auth_client_try_password(l->auth, buf_view(&password));
}

static int ask_new_password(struct login *l, struct buf *out)
{
    for (;;) {
        CLEANUP(buf_done) struct buf question = BUF_INIT(8192), again = BUF_INIT_SECRET(LIMIT_PASSWORD_BYTES);
        buf_reset(out);
        TRY(buf_printf(&question, "Enter %s@%s's new password: ", l->c->remote_user, l->c->host));
        TRY(prompt_secret(l->c, buf_cstr(&question), false, out));
        buf_reset(&question);
        TRY(buf_printf(&question, "Retype %s@%s's new password: ", l->c->remote_user, l->c->host));
        TRY(prompt_secret(l->c, buf_cstr(&question), false, &again));
        if (view_eq(buf_view(out), buf_view(&again))) return 0;
        log_error(&l->c->sink.log, "Mismatch; try again, EOF to quit.");
    }
}

static int on_changereq(struct login *l, struct view prompt)
{
    CLEANUP(buf_done)
    struct buf question = BUF_INIT(8192), old = BUF_INIT_SECRET(LIMIT_PASSWORD_BYTES),
               fresh = BUF_INIT_SECRET(LIMIT_PASSWORD_BYTES);
    if (prompt.len) client_log(l->c, LOG_LEVEL_INFO, "%.*s", VIEW_ARG(prompt));
    TRY(buf_printf(&question, "Enter %s@%s's old password: ", l->c->remote_user, l->c->host));
    TRY(prompt_secret(l->c, buf_cstr(&question), false, &old));
    TRY(ask_new_password(l, &fresh));
    return auth_client_change_password(l->auth, buf_view(&old), buf_view(&fresh));
}

/* ---- keyboard-interactive ---- */

static int try_kbdint(struct login *l)
{
    struct client *c = l->c;
    if (c->options.batch_mode || l->kbdint_useless || l->n_kbdint >= c->options.number_of_password_prompts) return ERR_NOT_FOUND;
    l->n_kbdint++;
    l->was_prompted = false;
    return auth_client_try_kbdint(l->auth, view_str(c->options.kbd_interactive_devices));
}

/* Foreign text for the terminal, with an end of line if it has none. */
static void show(struct view text)
{
    CLEANUP(buf_done) struct buf clean = BUF_INIT(4 * LIMIT_AUTH_BANNER_BYTES);
    if (text.len == 0 || vis_text(text, &clean) < 0) return;
    struct view v = buf_view(&clean);
    bool has_end = v.len && v.p[v.len - 1] == '\n';
    dprintf(STDERR_FILENO, "%.*s%s", VIEW_ARG(v), has_end ? "" : "\n");
}

static int ask_one(struct login *l, uint32_t idx, struct buf *answer)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(4 * LIMIT_AUTH_BANNER_BYTES);
    struct auth_prompt p;
    TRY(auth_client_prompt(l->auth, idx, &p));
    TRY(buf_printf(&question, "(%s@%s) ", l->c->remote_user, l->c->host));
    TRY(vis_text(p.text, &question));
    const char *text = buf_cstr(&question);
    return text ? prompt_secret(l->c, text, p.echo, answer) : ERR_NOMEM;
}

static int on_info_request(struct login *l, const struct auth_client_event *e)
{
    struct buf answers[LIMIT_PROMPTS];
    struct view views[LIMIT_PROMPTS];
    int err = e->n_prompts > LIMIT_PROMPTS ? ERR_LIMIT : 0;
    uint32_t n = 0;
    l->was_prompted = l->was_prompted || e->n_prompts;
    show(e->text);
    show(e->instruction);
    while (err == 0 && n < e->n_prompts) {
        answers[n] = (struct buf)BUF_INIT_SECRET(LIMIT_PASSWORD_BYTES);
        err = ask_one(l, n, &answers[n]);
        n++;
    }
    for (uint32_t i = 0; i < n; i++) views[i] = buf_view(&answers[i]);
    if (err == 0) err = auth_client_answer_kbdint(l->auth, views, n);
    for (uint32_t i = 0; i < n; i++) buf_done(&answers[i]);
    return err == ERR_CANCELLED || err == ERR_NOT_FOUND ? give_up(l)
                                                        : err; /* nobody answers: other methods would ask the same one */
}

/* ---- next ---- */

static struct view preferred(const struct login *l)
{
    const char *list = l->c->options.preferred_authentications;
    return view_str(list ? list : "gssapi-with-mic,hostbased,publickey,keyboard-interactive,password");
}

static bool server_takes(const struct login *l, enum method m)
{
    return !l->knows_methods || view_list_has(buf_view(&l->methods), view_str(method_names[m]));
}

static bool is_enabled(const struct login *l, enum method m)
{
    const struct ssh_options *o = &l->c->options;
    switch (m) {
    case METHOD_HOSTBASED:
        return o->hostbased_authentication;
    case METHOD_PUBLICKEY:
        return o->pubkey_authentication != CONF_NO;
    case METHOD_KBDINT:
        return o->kbd_interactive_authentication;
    case METHOD_PASSWORD:
        return o->password_authentication;
    default:
        return false;
    }
}

static int try_method(struct login *l, enum method m)
{
    l->method = m;
    client_log(l->c, LOG_LEVEL_DEBUG1, "Next authentication method: %s", method_names[m]);
    switch (m) {
    case METHOD_HOSTBASED:
        return hostbased_try(l->c, l->auth, &l->hostbased);
    case METHOD_PUBLICKEY:
        return try_publickey(l);
    case METHOD_KBDINT:
        return try_kbdint(l);
    case METHOD_PASSWORD:
        return try_password(l);
    default:
        return ERR_NOT_FOUND;
    }
}

static int give_up(struct login *l)
{
    struct client *c = l->c;
    login_report(l);
    client_fatal(c, "%s@%s: Permission denied (%.*s).", c->remote_user, c->host, VIEW_ARG(buf_view(&l->methods)));
    transport_disconnect(wire_io_transport(c->wire), 14, "No more authentication methods to try.");
    client_end(c, EXIT_OWN_ERROR);
    return 0;
}

static int next_attempt(struct login *l)
{
    struct view list = preferred(l), name;
    while (view_next_in_list(&list, &name))
        for (int m = METHOD_HOSTBASED; m < METHOD_MAX; m++) {
            if (!view_eq_str(name, method_names[m]) || !is_enabled(l, (enum method)m) || !server_takes(l, (enum method)m)) continue;
            int err = try_method(l, (enum method)m);
            if (err == ERR_CANCELLED) return give_up(l);
            if (err != ERR_NOT_FOUND) return err;
        }
    return give_up(l);
}

/* ---- events ---- */

static void note_refusal(struct login *l)
{
    if (l->method == METHOD_KBDINT && !l->was_prompted) l->kbdint_useless = true;
    if (l->method == METHOD_PUBLICKEY && l->current) identity_log(l->c, "Server refuses key", l->current);
    if (l->method == METHOD_PUBLICKEY && l->current)
        l->current->answer = l->was_accepted ? "accepted by the server, but not its signature" : "refused by the server";
    if (l->expected) visits_forget(l->c);
    l->current = NULL;
}

static void on_key_success(struct login *l)
{
    visits_remember(l->c, l->current->blob);
    identity_was_accepted(l->c, l->current);
}

static int on_failure(struct login *l, const struct auth_client_event *e)
{
    struct client *c = l->c;
    session_forget_early(c);
    buf_reset(&l->methods);
    TRY(buf_put_view(&l->methods, e->methods));
    l->knows_methods = true;
    if (e->partial && l->current) {
        l->current->answer = "accepted by the server, which wants more";
        if (l->method == METHOD_PUBLICKEY) on_key_success(l);
    }
    if (e->partial)
        client_log(c, LOG_LEVEL_VERBOSE, "Authenticated using \"%s\" with partial success.", method_names[l->method]);
    else
        note_refusal(l);
    l->expected = NULL;
    client_log(c, LOG_LEVEL_DEBUG1, "Authentications that can continue: %.*s", VIEW_ARG(e->methods));
    return next_attempt(l);
}

static int on_success(struct login *l)
{
    struct client *c = l->c;
    c->authenticated = true;
    agent_close(c);
    for (struct identity *id = l->identities; id; id = id->next) id->token = NULL;
    token_pkcs11_free(TAKE(c->token)); /* its helper is needed no longer */
    if (l->method == METHOD_PUBLICKEY && l->current && !l->was_accepted) identity_log(c, "Server accepts key", l->current);
    if (l->method == METHOD_PUBLICKEY && l->current) on_key_success(l);
    transport_authenticated(wire_io_transport(c->wire));
    if (c->address.len)
        client_log(c, LOG_LEVEL_VERBOSE, "Authenticated to %s ([%s]:%d) using \"%s\".", c->host, c->address_text.host,
                   c->options.port, method_names[l->method]);
    else
        client_log(c, LOG_LEVEL_VERBOSE, "Authenticated to %s (via proxy) using \"%s\".", c->host, method_names[l->method]);
    return 0;
}

int login_packet(struct client *c, struct view payload)
{
    struct login *l = c->login;
    struct auth_client_event e;
    int got = auth_client_packet(l->auth, payload, &e);
    if (got == ERR_UNSUPPORTED) return transport_unimplemented(wire_io_transport(c->wire));
    if (got <= 0) return got;
    switch (e.kind) {
    case AUTH_CLIENT_BANNER:
        if (c->sink.log.level > LOG_LEVEL_ERROR) show(e.text);
        return 0;
    case AUTH_CLIENT_FAILURE:
        return on_failure(l, &e);
    case AUTH_CLIENT_SUCCESS:
        return on_success(l);
    case AUTH_CLIENT_PK_OK:
        return on_pk_ok(l);
    case AUTH_CLIENT_PASSWD_CHANGEREQ:
        return on_changereq(l, e.text);
    default:
        return on_info_request(l, &e);
    }
}

/* The key that will be tried first: NULL if it cannot be said yet. */
static struct identity *first_identity(struct login *l)
{
    for (struct identity *id = l->identities; id; id = id->next)
        if (!identity_is_orphan(l->c, id) && (id->in_agent || identity_is_ready(l->c, id) || id->is_encrypted))
            return id->public ? id : NULL;
    return NULL;
}

static bool first_method_is_publickey(const struct login *l)
{
    struct view list = preferred(l), first = VIEW_EMPTY;
    (void)view_next_in_list(&list, &first);
    while (view_eq_str(first, "gssapi-with-mic") || (view_eq_str(first, "hostbased") && !is_enabled(l, METHOD_HOSTBASED)))
        if (!view_next_in_list(&list, &first)) first = VIEW_EMPTY;
    return view_eq_str(first, "publickey") && is_enabled(l, METHOD_PUBLICKEY);
}

static int first_attempt(struct login *l)
{
    const struct identity *id = first_method_is_publickey(l) ? first_identity(l) : NULL;
    if (id && visits_has(l->c, id->blob)) {
        l->expected = id;
        int err = try_method(l, METHOD_PUBLICKEY);
        if (err != ERR_NOT_FOUND) return err;
    }
    l->expected = NULL;
    l->method = METHOD_NONE;
    return auth_client_try_none(l->auth);
}

/* The key that let us in last time comes first, or an agent with twenty others would use up the server's patience (MaxAuthTries).
 * But not before keys that the user has named: there the order may decide who one is (services that know their users by their
 * keys). */
static void prefer_known(struct login *l)
{
    const struct identity *known = visits_find(l->c, l->identities);
    struct identity **to = &l->identities, **from = &l->identities;
    if (!known || known->is_explicit) return;
    while (*to && (*to)->is_explicit) to = &(*to)->next;
    while (*from && *from != known) from = &(*from)->next;
    struct identity *id = *from;
    if (!id || *to == id) return;
    *from = id->next;
    id->next = *to;
    *to = id;
    identity_log(l->c, "Key of the last login here, tried first", id);
}

int login_start(struct client *c)
{
    struct login *l = calloc(1, sizeof *l);
    if (!l) return ERR_NOMEM;
    c->login = l;
    *l = (struct login){ .c = c, .methods = BUF_INIT(65536) };
    struct auth_client_config config = { view_str(c->remote_user), VIEW_LIT("ssh-connection"),
                                         transport_link(wire_io_transport(c->wire)), &c->sink.log };
    TRY(auth_client_new(&config, &l->auth));
    TRY(identity_list(c, &l->identities));
    prefer_known(l);
    l->next_identity = l->identities;
    return first_attempt(l);
}

void login_report(const struct login *l)
{
    if (l) identity_report(l->c, l->identities);
}

void login_free(struct login *l)
{
    if (!l) return;
    token_pkcs11_free(TAKE(l->c->token));
    auth_client_free(l->auth);
    identity_free_all(l->identities);
    hostbased_free(l->hostbased);
    buf_done(&l->methods);
    free(l);
}
