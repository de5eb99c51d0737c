/* The agent's side of the agent protocol: draft-ietf-sshm-ssh-agent, OpenSSH's PROTOCOL.agent (session-bind@openssh.com,
 * restrict-destination-v00@openssh.com, associated-certs-v00@openssh.com, sk-provider@openssh.com, query). No I/O: bytes of each
 * client go in, answers lie in its output, and what the engine cannot know is a question to the owner (may this key be used, what
 * does the token say).
 *
 *   agent_server_tick(s, now, wall);                              first in every turn, and at the deadline
 *   agent_client_input(c, &area, &room); n = read(...); err = agent_client_received(c, n);
 *   while (agent_server_next(s, &q)) ask; later, when the answer is there: agent_server_answer(s, q.id, &answer);
 *   out = agent_client_output(c); n = write(...); err = agent_client_sent(c, n);
 *
 * A question parks its client alone; requests of one client are answered in order. A parked request is looked at afresh when its
 * answer has come: a key that was removed meanwhile, or an agent that was locked, refuses it. A request that is malformed or not
 * allowed is answered with FAILURE; only a frame that is too long or empty ends a client. Files: server.c (clients, table of
 * requests), server_keys.c (the store), server_add.c (adding, constraints), server_sign.c (use of a key), server_bind.c (where
 * clients come from, destination limits), server_token.c (keys that live behind providers). */
#pragma once

#include "base/log.h"
#include "base/random.h"
#include "proto/agent/agent.h"

enum {
    AGENT_SERVER_KEYS_MAX = AGENT_IDENTITIES_MAX, /* what every client can be shown */
    AGENT_SERVER_SESSIONS_MAX = 16,               /* connections that one client is forwarded over, as OpenSSH */
    AGENT_SERVER_DESTINATIONS_MAX = 1024,         /* of one key, as OpenSSH */
    AGENT_SERVER_USER_BYTES_MAX = 256,            /* of a destination, as OpenSSH */
    AGENT_SERVER_CERTS_MAX = 1024,                /* of one associated-certs-v00@openssh.com, as OpenSSH */
    AGENT_SERVER_UNLOCK_STEP_MS = 100,            /* each wrong passphrase makes the next wait so much longer, */
    AGENT_SERVER_UNLOCK_WAIT_MS_MAX = 10000,      /* at most so long */
};

struct agent_server;
struct agent_client;

struct agent_server_config { /* strings are lent for the server's life */
    const struct random *random;
    const struct log *log;
    enum digest_alg fingerprint_hash; /* in questions */
    uint32_t lifetime_s;              /* of keys that are added without one; 0: for ever */
    bool any_web_signature;           /* security keys of web sites sign whatever they are given */
    const char *websafe_allow;        /* pattern-list of applications that count as SSH's own; NULL: "ssh:*" */
    bool remote_providers;            /* forwarded clients may name providers */
};
int agent_server_new(const struct agent_server_config *config, struct agent_server **ret) MUST_USE;
void agent_server_free(struct agent_server *s); /* all clients must be gone */
DEFINE_FREEP(struct agent_server, agent_server_free)

/* now: a monotonic clock; wall_s: for the validity of host certificates. Removes keys whose time is over and lets requests that
 * waited go on: look at the clients' output afterwards. */
void agent_server_tick(struct agent_server *s, ms now, int64_t wall_s);
ms agent_server_deadline(const struct agent_server *s); /* MS_NEVER: none */
void agent_server_drop_keys(struct agent_server *s);
size_t agent_server_n_keys(const struct agent_server *s);
bool agent_server_has_provider(const struct agent_server *s, const char *provider); /* whether a key of it is left */

/* ---- clients ---- */
int agent_client_new(struct agent_server *s, struct agent_client **ret) MUST_USE;
void agent_client_free(struct agent_client *c); /* its question, if one is open, is forgotten */
/* Where to read to. *ret_room 0: nothing may be read now, as a question is open or the peer does not take its answers; or no
 * memory. */
void agent_client_input(struct agent_client *c, uint8_t **ret_area, size_t *ret_room);
/* Negative: close the connection, ERR_LIMIT or ERR_NOMEM; sticky. */
int agent_client_received(struct agent_client *c, size_t n) MUST_USE;
/* Lent until the next call that can add to it. */
struct view agent_client_output(const struct agent_client *c);
int agent_client_sent(struct agent_client *c, size_t n) MUST_USE; /* as received: more requests may be taken up */
int agent_client_error(const struct agent_client *c); /* the sticky error or 0: a tick or an answer may bring one, too */

/* ---- questions ---- */
enum agent_question_kind {
    AGENT_QUESTION_CONFIRM,   /* may the key be used? text */
    AGENT_QUESTION_PROVIDER,  /* may this provider of a security key be used? provider, is_remote */
    AGENT_QUESTION_SIGN,      /* key, provider, data, algorithm: a token or security key signs. A security key's key has its handle
                                 as private half (private_blob.h), a token's key is public; pin is empty for a token */
    AGENT_QUESTION_TOKEN_ADD, /* provider, pin: load it, which keys does it have? */
    AGENT_QUESTION_TOKEN_REMOVE, /* provider: forget it */
};
struct agent_question {
    uint32_t id;
    enum agent_question_kind kind;
    /* Lent until the answer, or until the client is freed: */
    const char *text;
    struct key *key; /* may be referenced */
    struct view provider, pin, data;
    struct view algorithm; /* wire name of the signature; empty: the key's own */
};
/* Each question comes once. */
bool agent_server_next(struct agent_server *s, struct agent_question *ret);

struct agent_token_key {
    const struct key *key; /* public, plain; copied */
    const char *comment;
};
struct agent_answer {
    bool yes;                           /* else the request is refused, whatever it was */
    struct view signature;              /* SIGN: blob */
    const char *provider;               /* PROVIDER, TOKEN_ADD, TOKEN_REMOVE: its resolved path, by which it is remembered */
    const struct agent_token_key *keys; /* TOKEN_ADD */
    size_t n_keys;
};
/* The client's output may have grown. ERR_NOT_FOUND: nobody waits for it any more, or it never was a question. */
int agent_server_answer(struct agent_server *s, uint32_t id, const struct agent_answer *answer) MUST_USE;
