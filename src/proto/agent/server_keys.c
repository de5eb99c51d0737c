/* The agent's keys: finding, putting, removing, listing. */
#include "proto/agent/server_int.h"

#include <stdlib.h>

static void key_entry_free(struct agent_key *k)
{
    key_unref(k->key);
    free(k->comment);
    free(k->provider);
    agent_limits_done(&k->limits);
    free(k);
}

struct agent_key *agent_server_find(const struct agent_server *s, struct view blob)
{
    for (struct agent_key *k = s->keys; k; k = k->next)
        if (view_eq(key_blob(k->key), blob)) return k;
    return NULL;
}

/* What is replaced, if anything, keeps its place. */
static struct agent_key **place_for(struct agent_server *s, struct view blob)
{
    struct agent_key **at = &s->keys;
    while (*at && !view_eq(key_blob((*at)->key), blob)) at = &(*at)->next;
    return at;
}

int agent_server_put(struct agent_client *c, struct key *k, const char *comment, const char *provider,
                     struct agent_limits *take_limits)
{
    struct agent_server *s = c->server;
    struct agent_key **at = place_for(s, key_blob(k)), *old = *at;
    if (old && !agent_client_may_use(c, old, NULL)) return ERR_DENIED;
    if (!old && s->n_keys >= AGENT_SERVER_KEYS_MAX) return ERR_LIMIT;
    struct agent_key *entry = calloc(1, sizeof(*entry));
    if (!entry) return ERR_NOMEM;
    entry->comment = view_dup_str(view_str(comment));
    entry->provider = provider ? view_dup_str(view_str(provider)) : NULL;
    if (!entry->comment || (provider && !entry->provider)) {
        key_entry_free(entry);
        return ERR_NOMEM;
    }
    entry->key = key_ref(k);
    entry->limits = *take_limits;
    agent_limits_init(s, take_limits);
    entry->next = old ? old->next : NULL;
    *at = entry;
    if (old)
        key_entry_free(old);
    else
        s->n_keys++;
    return 0;
}

void agent_server_remove(struct agent_server *s, bool (*is_wanted)(const struct agent_key *k, void *arg), void *arg)
{
    for (struct agent_key **at = &s->keys; *at;) {
        struct agent_key *k = *at;
        if (!is_wanted(k, arg)) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        s->n_keys--;
        key_entry_free(k);
    }
}

static bool is_any(UNUSED const struct agent_key *k, UNUSED void *arg) { return true; }
static bool is_this(const struct agent_key *k, void *arg) { return k == arg; }

void agent_server_drop_keys(struct agent_server *s) { agent_server_remove(s, is_any, NULL); }
size_t agent_server_n_keys(const struct agent_server *s) { return s->n_keys; }

bool agent_server_has_provider(const struct agent_server *s, const char *provider)
{
    for (const struct agent_key *k = s->keys; k; k = k->next)
        if (k->provider && strcmp(k->provider, provider) == 0) return true;
    return false;
}

/* ---- requests ---- */

int agent_server_on_remove(struct agent_client *c, struct rd *r)
{
    struct view blob = rd_string(r);
    TRY(rd_end(r));
    struct agent_key *k = agent_server_find(c->server, blob);
    if (!k || !agent_client_may_use(c, k, NULL)) return ERR_NOT_FOUND;
    agent_server_remove(c->server, is_this, k);
    return AGENT_DONE;
}

/* Like the two below, takes no notice of bytes behind the number: OpenSSH does not. */
int agent_server_on_remove_all(struct agent_client *c, UNUSED struct rd *r)
{
    agent_server_drop_keys(c->server);
    return AGENT_DONE;
}

static size_t listed_bytes(const struct agent_key *k) { return 4 + key_blob(k->key).len + 4 + strlen(k->comment); }

/* More than one message holds cannot be shown by this protocol: the keys that were added last are left out then. */
static size_t count_listed(const struct agent_client *c)
{
    size_t n = 0, bytes = 1 + 4;
    for (const struct agent_key *k = c->server->keys; k; k = k->next) {
        if (!agent_client_may_use(c, k, NULL)) continue;
        bytes += listed_bytes(k);
        if (bytes > AGENT_FRAME_BYTES_MAX) {
            log_info(c->server->config.log, "not all keys fit into a list");
            break;
        }
        n++;
    }
    return n;
}

int agent_server_on_list(struct agent_client *c, UNUSED struct rd *r)
{
    size_t n = count_listed(c);
    struct agent_reply reply = agent_reply_open(c, AGENT_IDENTITIES_ANSWER);
    wr_u32(&reply.w, (uint32_t)n);
    for (const struct agent_key *k = c->server->keys; k && n > 0; k = k->next) {
        if (!agent_client_may_use(c, k, NULL)) continue;
        wr_string(&reply.w, key_blob(k->key));
        wr_cstr(&reply.w, k->comment);
        n--;
    }
    return agent_reply_close(&reply);
}
