/* The authentication engines (RFC 4252, 4256; OpenSSH PROTOCOL: publickey-hostbound). They speak the protocol and keep its states;
 * what to try next (client) and what is allowed (server) is decided by their owners. Both sit on a link (proto/link.h) and get
 * their packets by *_packet. Files: client.c, server.c (tables of (state, message)), method_publickey.c, method_password.c,
 * method_kbdint.c (bodies, both sides). */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "proto/link.h"

/* ================= client ================= */
struct auth_client;

struct auth_client_config {    /* copied */
    struct view user, service; /* service: "ssh-connection" */
    struct link link;
    const struct log *log;
};
int auth_client_new(const struct auth_client_config *config, struct auth_client **ret) MUST_USE;
void auth_client_free(struct auth_client *a);
DEFINE_FREEP(struct auth_client, auth_client_free)

/* Attempts: one at a time (ERR_STATE while one is open; an INFO_REQUEST that waits for answers is not in the way: a new attempt
 * ends its dialogue, 4256 3.1). The answer comes as an event. Passwords and answers over LIMIT_PASSWORD_BYTES are ERR_LIMIT and
 * send nothing. */
int auth_client_try_none(struct auth_client *a) MUST_USE;
/* Asks whether the key would do: PK_OK or FAILURE. */
int auth_client_query_publickey(struct auth_client *a, struct view algorithm, struct view key_blob) MUST_USE;
/* Signs and sends: gives the bytes to sign (session id and request, 4252 7; lent until the next call), then takes the signature.
 * host_key non-empty: publickey-hostbound-v00@openssh.com with this server key. The query is not required before (a guess saves a
 * round trip). */
int auth_client_start_publickey(struct auth_client *a, struct view algorithm, struct view key_blob, struct view session_id,
                                struct view host_key, struct view *ret_to_sign) MUST_USE;
int auth_client_finish_publickey(struct auth_client *a, struct view signature_blob) MUST_USE;
void auth_client_abandon_publickey(struct auth_client *a); /* the signature cannot be had; another attempt may start */
/* hostbased (4252 9), signed by the client's host key: finished or abandoned by the same two functions. */
int auth_client_start_hostbased(struct auth_client *a, struct view algorithm, struct view key_blob, struct view session_id,
                                struct view client_host, struct view client_user, struct view *ret_to_sign) MUST_USE;
int auth_client_try_password(struct auth_client *a, struct view password) MUST_USE;
int auth_client_change_password(struct auth_client *a, struct view old_password, struct view new_password) MUST_USE;
int auth_client_try_kbdint(struct auth_client *a, struct view submethods) MUST_USE;
int auth_client_answer_kbdint(struct auth_client *a, const struct view *responses, size_t n) MUST_USE;

enum auth_client_event_kind {
    AUTH_CLIENT_BANNER,  /* text */
    AUTH_CLIENT_FAILURE, /* methods that can continue; partial */
    AUTH_CLIENT_SUCCESS,
    AUTH_CLIENT_PK_OK,            /* the queried key would do */
    AUTH_CLIENT_PASSWD_CHANGEREQ, /* text = prompt */
    AUTH_CLIENT_INFO_REQUEST,     /* text = name, instruction, prompts by auth_client_prompt */
};
struct auth_client_event {
    enum auth_client_event_kind kind;
    struct view text, instruction, methods; /* lent by the packet given to auth_client_packet */
    bool partial;
    uint32_t n_prompts;
};
struct auth_prompt {
    struct view text;
    bool echo;
};
/* One packet from the transport. 1: *ret is what it meant. 0: nothing. Negative: protocol error, end the transport with it.
 * ERR_UNSUPPORTED: unknown number, answer transport_unimplemented. */
int auth_client_packet(struct auth_client *a, struct view payload, struct auth_client_event *ret) MUST_USE;
/* The idx-th prompt of the INFO_REQUEST last given out; lent by its packet. ERR_RANGE. */
int auth_client_prompt(const struct auth_client *a, uint32_t idx, struct auth_prompt *ret) MUST_USE;
/* EXT_INFO that arrived in the authentication phase is the transport's. */

/* ================= server ================= */
struct auth_server;

struct auth_server_config {
    struct link link;
    struct view session_id;
    struct view host_key; /* of the first key exchange, for hostbound */
    bool early_session; /* EXT_EARLY_SESSION was offered: CHANNEL_OPEN and CHANNEL_REQUEST may follow a signed publickey request. If
                           it fails they are passed over, up to the next request, within LIMIT_EARLY_*. If it succeeds they are
                           the connection's, and the owner must not have given them to this engine. */
    const struct log *log;
};
int auth_server_new(const struct auth_server_config *config, struct auth_server **ret) MUST_USE;
void auth_server_free(struct auth_server *a);
DEFINE_FREEP(struct auth_server, auth_server_free)

/* What a peer asks. Each is a question: answered by auth_server_answer before the next packet is given in (the owner holds its
 * transport's input meanwhile). All views are lent by the packet. */
enum auth_server_event_kind {
    AUTH_SERVER_NONE,
    AUTH_SERVER_PUBLICKEY_QUERY, /* algorithm, key */
    AUTH_SERVER_PUBLICKEY, /* algorithm, key, signature, signed_data: what the signature has to be over. hostbound: with the right
                              host key */
    AUTH_SERVER_PASSWORD,  /* secret */
    AUTH_SERVER_PASSWORD_CHANGE, /* secret = old, new_secret */
    AUTH_SERVER_KBDINT_START,    /* text = submethods */
    AUTH_SERVER_KBDINT_RESPONSE, /* n_responses, by auth_server_response */
    AUTH_SERVER_HOSTBASED,       /* algorithm, key, client_host, client_user, signature, signed_data */
    AUTH_SERVER_OTHER, /* text = method; nothing but failure answers it: a method we do not have, a user name over LIMIT_USER_BYTES
                        * (user is then empty), a hostbound request for another host key, overlong secrets, a wrong number of
                        * INFO_RESPONSEs */
};
struct auth_server_event {
    enum auth_server_event_kind kind;
    struct view user, service; /* in every event */
    struct view method;        /* name as sent, for logs */
    struct view text, algorithm, key, signature, signed_data, secret, new_secret, client_host, client_user;
    uint32_t n_responses;
    bool hostbound;
};
/* As auth_client_packet. */
int auth_server_packet(struct auth_server *a, struct view payload, struct auth_server_event *ret) MUST_USE;
int auth_server_response(const struct auth_server *a, uint32_t idx, struct view *ret) MUST_USE;

enum auth_verdict {
    AUTH_VERDICT_FAILURE, /* the safe value is zero */
    AUTH_VERDICT_PARTIAL, /* passed, more is needed */
    AUTH_VERDICT_SUCCESS,
    AUTH_VERDICT_PK_OK,        /* query only */
    AUTH_VERDICT_CHANGEREQ,    /* password only: text = prompt */
    AUTH_VERDICT_INFO_REQUEST, /* kbdint only: name, instruction, prompts */
};
struct auth_server_answer {
    enum auth_verdict verdict;
    struct view methods;           /* FAILURE, PARTIAL: those that can continue */
    struct view text, instruction; /* CHANGEREQ prompt; INFO_REQUEST name and instruction */
    const struct auth_prompt *prompts;
    uint32_t n_prompts;
};
/* Sends the answer. SUCCESS: the engine is done, later auth packets are ignored in silence (4252 5.1: "Any additional
 * authentication requests sent after that SHOULD be silently ignored"). */
int auth_server_answer(struct auth_server *a, const struct auth_server_answer *answer) MUST_USE;
int auth_server_banner(struct auth_server *a, struct view text) MUST_USE;
