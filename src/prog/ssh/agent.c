/* The user's agent as the client needs it: finding it, telling it which server it is asked for, and giving it keys. Which of its
 * keys are tried, and when, is identity.c's. */
#include "prog/ssh/client.h"

#include "io/agent_io.h"
#include "io/prompt.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "wire/messages.h"

#include <stdlib.h>

enum {
    ANSWER_BYTES = 1024 /* of a program that asks for yes or no */
};

/* IdentityAgent: none, SSH_AUTH_SOCK, $NAME or a path. NULL: no agent. */
static int agent_path(struct client *c, char **ret)
{
    const char *given = c->options.identity_agent, *path = getenv("SSH_AUTH_SOCK");
    *ret = NULL;
    if (given && strcmp(given, "none") == 0) return 0;
    if (given && strcmp(given, "SSH_AUTH_SOCK") != 0) {
        if (given[0] != '$' || given[1] == '{') return config_expand(c, given, true, "IdentityAgent", ret);
        path = getenv(given + 1);
    }
    if (!path || !*path) return 0;
    *ret = view_dup_str(view_str(path));
    return *ret ? 0 : ERR_NOMEM;
}

/* PROTOCOL.agent 1: an agent that knows destination limits needs it, one that does not refuses and is used all the same. */
static void bind_session(struct client *c, int fd, bool is_forwarding)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(AGENT_FRAME_BYTES_MAX), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct view session_id = transport_session_id(wire_io_transport(c->wire));
    int err = agent_put_session_bind(&request, buf_view(&c->host_key), session_id, buf_view(&c->host_signature), is_forwarding);
    if (err == 0) err = agent_io_call(fd, buf_view(&request), &body);
    if (err == 0) err = agent_get_success(buf_view(&body));
    if (err == 0)
        client_log(c, LOG_LEVEL_DEBUG1, "get_agent_identities: bound agent to hostkey");
    else
        client_log(c, LOG_LEVEL_DEBUG2, "get_agent_identities: the agent does not bind to a host key: %s", err_text(err));
}

static int connect_agent(struct client *c, int *ret_fd)
{
    CLEANUP(freep) char *path = NULL;
    TRY(agent_path(c, &path));
    if (!path) return ERR_NOT_FOUND;
    int err = sock_connect_unix(path, ret_fd);
    if (err < 0) client_log(c, LOG_LEVEL_DEBUG1, "cannot reach the agent at %s: %s", path, err_text(err));
    return err;
}

static int open_agent(struct client *c)
{
    TRY(connect_agent(c, &c->agent_fd));
    if (c->wire && buf_len(&c->host_key) && buf_len(&c->host_signature)) bind_session(c, c->agent_fd, false);
    return 0;
}

int agent_call(struct client *c, struct view request, struct buf *ret_body)
{
    if (c->agent_fd < 0) TRY(open_agent(c));
    int err = agent_io_call(c->agent_fd, request, ret_body);
    if (err < 0) fd_closep(&c->agent_fd); /* the next one begins anew */
    return err;
}

void agent_close(struct client *c) { fd_closep(&c->agent_fd); }

/* ---- ForwardAgent ---- */

/* Yes leads to the agent that the login used; else a path or $NAME. */
static int open_forwarded(struct client *c, int *ret_fd)
{
    CLEANUP(freep) char *path = NULL;
    const char *given = c->options.forward_agent.path;
    if (!c->options.forward_agent.on) return ERR_NOT_FOUND;
    if (!given)
        TRY(agent_path(c, &path));
    else if (given[0] != '$' || given[1] == '{')
        TRY(config_expand(c, given, true, "ForwardAgent", &path));
    else
        path = view_dup_str(view_str(getenv(given + 1)));
    if (!path || !*path) return ERR_NOT_FOUND;
    return sock_connect_unix(path, ret_fd);
}

bool agent_is_forwarded(struct client *c)
{
    int fd, err = open_forwarded(c, &fd);
    if (err == 0) fd_close(fd);
    if (err < 0 && c->options.forward_agent.on) client_log(c, LOG_LEVEL_DEBUG1, "no agent to forward: %s", err_text(err));
    return err == 0;
}

bool agent_forward_open(struct client *c, const struct conn_event *e, int *ret_err)
{
    int fd;
    if (!view_eq_str(e->name, "auth-agent@openssh.com") && !view_eq_str(e->name, "agent-connect")) return false;
    /* A session has asked for it, or nobody has. */
    int err = c->has_asked_for_agent ? open_forwarded(c, &fd) : ERR_NOT_FOUND;
    if (err < 0) {
        client_log(c, LOG_LEVEL_ERROR, "Warning: ssh server tried agent forwarding.");
        *ret_err =
            conn_open_refuse(conn_io_conn(c->conn_io), e->channel, OPEN_ADMINISTRATIVELY_PROHIBITED, "this was not asked for");
        return true;
    }
    /* Whatever comes through this socket is the far side's: limits of keys are judged by it. */
    if (buf_len(&c->host_signature)) bind_session(c, fd, true);
    *ret_err = forwards_adopt(c->forwards, e->channel, fd, "auth-agent@openssh.com: the agent");
    return true;
}

/* ---- AddKeysToAgent ---- */

static bool user_allows(struct client *c, const struct key *k, const char *path)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(16384), answer = BUF_INIT(ANSWER_BYTES);
    const char *comment = *key_comment(k) ? key_comment(k) : path;
    int fd, status = -1;
    pid_t pid;
    if (c->options.batch_mode || buf_printf(&question, "Add key %s (%s) to agent?", path, comment) < 0) return false;
    const char *text = buf_cstr(&question);
    if (!text || prompt_confirm_start(&c->sink.log, text, &fd, &pid) < 0) return false;
    CLEANUP(fd_closep) int from = fd;
    uint8_t *area;
    size_t n = 1;
    while (n && buf_room(&answer) && buf_reserve(&answer, buf_room(&answer), &area) == 0) {
        if (fd_read(from, area, buf_room(&answer), &n) < 0) break;
        buf_commit(&answer, n);
    }
    return spawn_wait(pid, &status) == 0 && prompt_confirm_is_yes(status, buf_view(&answer));
}

/* Over a connection of its own: one that is bound to a server may not name the provider of a security key. */
static int add(struct client *c, int agent_fd, const struct key *k, const char *path)
{
    const struct conf_add_keys *how = &c->options.add_keys_to_agent;
    struct agent_constraints limits = { .lifetime_s = (uint32_t)how->seconds, .confirm = how->mode == CONF_ADD_KEYS_CONFIRM };
    CLEANUP(buf_done) struct buf request = BUF_INIT_SECRET(AGENT_FRAME_BYTES_MAX), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    const char *comment = *key_comment(k) ? key_comment(k) : path;
    if (key_type_of(k)->is_sk) limits.sk_provider = view_str(identity_sk_provider(c));
    TRY(agent_put_add(&request, k, view_str(comment), &limits));
    TRY(agent_io_call(agent_fd, buf_view(&request), &body));
    return agent_get_success(buf_view(&body));
}

void agent_add_key(struct client *c, const struct key *k, const char *path)
{
    int mode = c->options.add_keys_to_agent.mode;
    if (mode == CONF_NO) return;
    CLEANUP(fd_closep) int fd = -1;
    if (connect_agent(c, &fd) < 0) {
        client_log(c, LOG_LEVEL_DEBUG3, "no authentication agent, not adding key");
        return;
    }
    if (mode == CONF_ASK && !user_allows(c, k, path)) {
        client_log(c, LOG_LEVEL_DEBUG3, "the user does not want this key in the agent");
        return;
    }
    int err = add(c, fd, k, path);
    if (err == 0)
        client_log(c, LOG_LEVEL_DEBUG1, "identity added to agent: %s", path);
    else
        client_log(c, LOG_LEVEL_DEBUG1, "could not add identity to agent: %s (%s)", path, err_text(err));
}
