/* Keys that live behind a PKCS#11 provider: the owner loads it and signs, the agent remembers what it has (PROTOCOL.agent). */
#include "proto/agent/server_int.h"

#include "key/cert.h"

/* The certificates that came with the request and certify this key. */
static int put_certs(struct agent_client *c, const struct agent_token_key *token, const char *provider,
                     const struct agent_limits *limits)
{
    struct rd certs = rd_of(limits->certs);
    while (rd_left(&certs)) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        CLEANUP(agent_limits_done) struct agent_limits copy;
        agent_limits_init(c->server, &copy);
        if (key_from_blob(rd_string(&certs), &k) < 0 || !key_type_of(k)->is_cert || !key_equal_public(k, token->key)) continue;
        TRY(agent_limits_copy(limits, &copy));
        TRY(agent_server_put(c, k, token->comment, provider, &copy));
    }
    return rd_end(&certs);
}

static int put_token_key(struct agent_client *c, const struct agent_token_key *token, const char *provider,
                         const struct agent_limits *limits)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(agent_limits_done) struct agent_limits copy;
    agent_limits_init(c->server, &copy);
    TRY(put_certs(c, token, provider, limits));
    if (limits->certs_only) return 0;
    TRY(key_from_blob(key_blob(token->key), &k));
    TRY(agent_limits_copy(limits, &copy));
    return agent_server_put(c, k, token->comment, provider, &copy);
}

static int token_add(struct agent_client *c, struct rd *r, bool constrained)
{
    CLEANUP(agent_limits_done) struct agent_limits limits;
    const struct agent_answer *answer = c->request.answer;
    agent_limits_init(c->server, &limits);
    struct view provider = rd_cstring(r), pin = rd_cstring(r);
    struct agent_question q = { .kind = AGENT_QUESTION_TOKEN_ADD, .provider = provider, .pin = pin };
    TRY(rd_stop(r));
    TRY(constrained ? agent_limits_get(c->server, r, &limits) : rd_end(r));
    if (limits.has_provider) return ERR_FORMAT;
    if (c->n_sessions && !c->server->config.remote_providers) return ERR_DENIED;
    if (!answer) return agent_client_ask(c, &q);
    if (!answer->yes || !answer->provider || answer->n_keys == 0) return ERR_DENIED;
    for (size_t i = 0; i < answer->n_keys; i++) TRY(put_token_key(c, &answer->keys[i], answer->provider, &limits));
    return AGENT_DONE;
}

int agent_server_on_token_add(struct agent_client *c, struct rd *r) { return token_add(c, r, false); }
int agent_server_on_token_add_constrained(struct agent_client *c, struct rd *r) { return token_add(c, r, true); }

static bool is_of_provider(const struct agent_key *k, void *arg)
{
    return k->provider && !key_type_of(k->key)->is_sk && strcmp(k->provider, arg) == 0;
}

/* The PIN in the request is not looked at: OpenSSH's is not, either. */
int agent_server_on_token_remove(struct agent_client *c, struct rd *r)
{
    const struct agent_answer *answer = c->request.answer;
    struct view provider = rd_cstring(r), pin = rd_cstring(r);
    struct agent_question q = { .kind = AGENT_QUESTION_TOKEN_REMOVE, .provider = provider, .pin = pin };
    TRY(rd_end(r));
    if (!answer) return agent_client_ask(c, &q);
    if (!answer->yes || !answer->provider) return ERR_DENIED;
    agent_server_remove(c->server, is_of_provider, (void *)(uintptr_t)answer->provider);
    return AGENT_DONE;
}
