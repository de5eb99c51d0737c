/* Inside the agent's server: the store, a client, what a request's handler may say. */
#pragma once

#include "base/rd.h"
#include "base/secret.h"
#include "base/wr.h"
#include "proto/agent/agent_server.h"

enum {
    OUT_SOFT_BYTES = AGENT_FRAME_BYTES_MAX,                           /* unsent answers from which on no request is taken up */
    OUT_BYTES_MAX = OUT_SOFT_BYTES + 2 * (AGENT_FRAME_BYTES_MAX + 4), /* so that one more answer always has room */
    LOCK_SALT_BYTES = 16,
    LOCK_HASH_BYTES = 32,
    LOCK_ROUNDS = 1, /* of bcrypt_pbkdf: the waiting is what makes guessing slow */
};

/* What may be done with a key; as it comes in a request's constraints. */
struct agent_limits {
    ms expires_at; /* MS_NEVER: no end */
    bool confirm;
    struct buf destinations; /* body of restrict-destination, checked; empty: may go everywhere */
    struct view provider;    /* of a security key, lent by the request */
    struct view certs;       /* of associated-certs, lent by the request */
    bool has_provider, has_certs, certs_only;
};

struct agent_key {
    struct agent_key *next;
    struct key *key;
    char *comment;
    struct agent_limits limits;
    char *provider; /* NULL: the private half is here */
};

/* A connection that the client is reached over, as session-bind told. */
struct agent_session {
    struct buf host_key, id;
    bool is_forwarding;
};

struct agent_client {
    struct agent_server *server;
    struct agent_client *next;
    struct buf in, out;
    int err;
    struct agent_session sessions[AGENT_SERVER_SESSIONS_MAX];
    size_t n_sessions;
    bool bind_was_tried;
    /* The request at the front of in: */
    struct {
        bool is_waiting; /* for the answer to question.id, or for a point in time */
        bool is_told;    /* the question was handed out */
        struct agent_question question;
        struct buf text;
        struct key *key; /* what question.key lends */
        ms until;        /* MS_NEVER: not for time */
        bool confirmed, guess_was_wrong;
        const struct agent_answer *answer; /* while the request is looked at afresh */
    } request;
};

struct agent_server {
    struct agent_server_config config;
    struct agent_client *clients;
    struct agent_key *keys; /* in the order they were added */
    size_t n_keys;
    ms now;
    int64_t wall_s;
    uint32_t last_question;
    struct secret lock_hash; /* empty: not locked */
    uint8_t lock_salt[LOCK_SALT_BYTES];
    unsigned wrong_guesses;
    ms unlock_at; /* no guess is looked at before */
};

/* What a handler says: an error refuses the request. */
enum agent_verdict {
    AGENT_DONE,   /* SUCCESS is the answer */
    AGENT_SAID,   /* it has put an answer of its own into out */
    AGENT_PARKED, /* agent_client_ask or agent_client_wait was called */
};
typedef int agent_handler(struct agent_client *c, struct rd *r);
agent_handler agent_server_on_list, agent_server_on_sign, agent_server_on_add, agent_server_on_add_constrained,
    agent_server_on_remove, agent_server_on_remove_all, agent_server_on_token_add, agent_server_on_token_add_constrained,
    agent_server_on_token_remove, agent_server_on_bind;

/* ---- server.c ---- */
/* Parks the request. What q lends must be in the request's bytes, its text buf or its key. */
int agent_client_ask(struct agent_client *c, const struct agent_question *q) MUST_USE;
int agent_client_wait(struct agent_client *c, ms until) MUST_USE;
/* An answer: opened, filled through w, closed. */
struct agent_reply {
    struct buf *out;
    size_t before, mark;
    struct wr w;
};
struct agent_reply agent_reply_open(struct agent_client *c, uint8_t number);
int agent_reply_close(struct agent_reply *r) MUST_USE; /* AGENT_SAID */

/* ---- server_keys.c ---- */
struct agent_key *agent_server_find(const struct agent_server *s, struct view blob);
/* Adds, or replaces the entry of the same blob. take_limits is emptied. ERR_LIMIT, ERR_NOMEM; ERR_DENIED: there is one that the
 * client may not see. provider NULL: none. */
int agent_server_put(struct agent_client *c, struct key *k, const char *comment, const char *provider,
                     struct agent_limits *take_limits) MUST_USE;
void agent_server_remove(struct agent_server *s, bool (*is_wanted)(const struct agent_key *k, void *arg), void *arg);

/* ---- server_add.c ---- */
/* All that is left in r. *ret is filled as far as it goes also on failure: agent_limits_done. */
int agent_limits_get(const struct agent_server *s, struct rd *r, struct agent_limits *ret) MUST_USE;
int agent_limits_copy(const struct agent_limits *from, struct agent_limits *ret) MUST_USE;
void agent_limits_done(struct agent_limits *l);
void agent_limits_init(const struct agent_server *s, struct agent_limits *l); /* those of a key that comes without any */

/* ---- server_bind.c ---- */
int agent_destinations_check(struct view destinations) MUST_USE;
/* Whether the client may see the key (user NULL); or log in as that user with it, at the end of its way. */
bool agent_client_may_use(const struct agent_client *c, const struct agent_key *k, const struct view *user);
void agent_client_sessions_done(struct agent_client *c);

/* ---- server_sign.c ---- */
/* What is signed for a login (RFC 4252 7, publickey-hostbound-v00@openssh.com). False: it is something else, or for another key. */
struct agent_login {
    struct view session_id, user, host_key; /* host_key.p NULL: not bound to one */
};
bool agent_login_parse(struct view data, const struct key *k, struct agent_login *ret);
