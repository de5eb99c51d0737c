/* Use of a key: whether what is asked for may be signed, by whom, and with which algorithm. */
#include "proto/agent/server_int.h"

#include "base/pattern.h"
#include "wire/messages.h"

/* ---- what is to be signed ---- */

bool agent_login_parse(struct view data, const struct key *k, struct agent_login *ret)
{
    struct msg_userauth_request m;
    struct body_auth_publickey plain;
    struct body_auth_publickey_hostbound bound = {};
    struct rd r = rd_of(data);
    struct view session_id = rd_string(&r), message = rd_rest(&r);
    if (rd_end(&r) < 0 || session_id.len == 0 || msg_userauth_request_get(message, &m) < 0) return false;
    if (view_eq_str(m.method, "publickey-hostbound-v00@openssh.com")) {
        if (body_auth_publickey_hostbound_get(m.data, &bound) < 0) return false;
        plain = (struct body_auth_publickey){ bound.has_signature, bound.algorithm, bound.key, bound.signature };
    } else if (!view_eq_str(m.method, "publickey") || body_auth_publickey_get(m.data, &plain) < 0) {
        return false;
    }
    /* A certificate's algorithm goes with a certificate's blob (RFC 4252 7, PROTOCOL.certkeys). */
    const struct key_type *algorithm = key_type_find(plain.algorithm);
    if (!view_eq_str(m.service, "ssh-connection") || !plain.has_signature || plain.signature.len || !algorithm) return false;
    if (strcmp(algorithm->blob_name, key_type_of(k)->name) != 0 || !view_eq(plain.key, key_blob(k))) return false;
    *ret = (struct agent_login){ session_id, m.user, bound.host_key };
    return true;
}

/* OpenSSH's PROTOCOL.sshsig: what ssh-keygen -Y sign signs. */
static bool is_sshsig(struct view data)
{
    if (!view_has_prefix(data, "SSHSIG")) return false;
    struct rd r = rd_of(view_sub(data, 6, data.len));
    struct view name_space = rd_cstring(&r), reserved = rd_string(&r);
    struct view hash_name = rd_cstring(&r), hash = rd_string(&r);
    return rd_end(&r) == 0 && name_space.len && reserved.len == 0 && hash_name.len && hash.len;
}

/* A security key that was enrolled for a web site must not log in there for whoever can reach this agent. */
static bool is_websafe(const struct agent_server *s, const struct key *k, struct view data)
{
    struct agent_login login;
    const char *ours = s->config.websafe_allow ? s->config.websafe_allow : "ssh:*";
    if (s->config.any_web_signature || pattern_list_match(key_sk_application(k), view_str(ours)) == 1) return true;
    return agent_login_parse(data, k, &login) || is_sshsig(data);
}

/* The login that is signed for must be the one that the client was bound for last. */
static bool is_bound_login(const struct agent_client *c, const struct agent_key *k, struct view data)
{
    struct agent_login login;
    if (c->n_sessions == 0 || !agent_login_parse(data, k->key, &login)) return false;
    const struct agent_session *last = &c->sessions[c->n_sessions - 1];
    if (!agent_client_may_use(c, k, &login.user) || !view_eq(login.session_id, buf_view(&last->id))) return false;
    /* Only the host key in what is signed says which host a forwarded request is for. */
    if (!login.host_key.p) return c->n_sessions == 1;
    return view_eq(login.host_key, buf_view(&last->host_key));
}

/* ---- asking, signing ---- */

static int ask_user(struct agent_client *c, const struct agent_key *k)
{
    CLEANUP(freep) char *fingerprint = NULL;
    struct agent_question q = { .kind = AGENT_QUESTION_CONFIRM };
    TRY(key_fingerprint(key_blob(k->key), c->server->config.fingerprint_hash, &fingerprint));
    TRY(buf_printf(&c->request.text, "Allow use of key %s?\nKey fingerprint %s.", k->comment, fingerprint));
    q.text = buf_cstr(&c->request.text);
    return q.text ? agent_client_ask(c, &q) : ERR_NOMEM;
}

static int ask_provider(struct agent_client *c, const struct agent_key *k, struct view data, struct view algorithm)
{
    buf_reset(&c->request.text);
    TRY(buf_put_str(&c->request.text, k->provider));
    const char *provider = buf_cstr(&c->request.text);
    if (!provider) return ERR_NOMEM;
    c->request.key = key_ref(k->key);
    struct agent_question q = {
        .kind = AGENT_QUESTION_SIGN, .key = k->key, .provider = view_str(provider), .data = data, .algorithm = algorithm
    };
    return agent_client_ask(c, &q);
}

static struct view algorithm_of(const struct key *k, uint32_t flags)
{
    if (key_type_of(k)->pkey != PKEY_RSA) return VIEW_EMPTY;
    return view_str(flags & AGENT_SIGN_RSA_SHA256 ? "rsa-sha2-256" : flags & AGENT_SIGN_RSA_SHA512 ? "rsa-sha2-512" : "ssh-rsa");
}

static int say_signature(struct agent_client *c, struct view signature)
{
    struct agent_reply reply = agent_reply_open(c, AGENT_SIGN_RESPONSE);
    wr_string(&reply.w, signature);
    return agent_reply_close(&reply);
}

static int sign(struct agent_client *c, const struct agent_key *k, struct view data, uint32_t flags)
{
    CLEANUP(buf_done) struct buf signature = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    const struct agent_answer *answer = c->request.answer;
    bool is_confirm = answer && c->request.question.kind == AGENT_QUESTION_CONFIRM;
    if (answer && !answer->yes) return ERR_DENIED;
    if (is_confirm) c->request.confirmed = true;
    if (k->limits.confirm && !c->request.confirmed) return ask_user(c, k);
    if (k->provider && (!answer || is_confirm)) return ask_provider(c, k, data, algorithm_of(k->key, flags));
    if (k->provider) return say_signature(c, answer->signature);
    TRY(key_sign(k->key, algorithm_of(k->key, flags), data, &signature));
    return say_signature(c, buf_view(&signature));
}

int agent_server_on_sign(struct agent_client *c, struct rd *r)
{
    struct view blob = rd_string(r), data = rd_string(r);
    uint32_t flags = rd_u32(r);
    TRY(rd_end(r));
    const struct agent_key *k = agent_server_find(c->server, blob);
    if (!k) return ERR_NOT_FOUND;
    if (buf_len(&k->limits.destinations) && !is_bound_login(c, k, data)) return ERR_DENIED;
    if (key_type_of(k->key)->is_sk && !is_websafe(c->server, k->key, data)) return ERR_DENIED;
    return sign(c, k, data, flags);
}
