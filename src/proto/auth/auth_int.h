/* What the files of this folder share: the two engines' insides and the bodies of the methods. For this folder only. */
#pragma once

#include "proto/auth/auth.h"
#include "proto/limits.h"
#include "wire/messages.h"

#define METHOD_NONE "none"
#define METHOD_PUBLICKEY "publickey"
#define METHOD_HOSTBOUND "publickey-hostbound-v00@openssh.com"
#define METHOD_PASSWORD "password"
#define METHOD_KBDINT "keyboard-interactive"
#define METHOD_HOSTBASED "hostbased"

enum {
    AUTH_NUMBERS = MSG_AUTH_MAX - MSG_AUTH_MIN + 1,
    AUTH_ANY_KEY_BYTES = LIMIT_PACKET_PREAUTH_BYTES,         /* a key with its algorithm's name */
    AUTH_SIGNED_DATA_BYTES = 3 * LIMIT_PACKET_PREAUTH_BYTES, /* a session id, a request, a host key */
    AUTH_SESSION_ID_BYTES = 64,                              /* the longest exchange hash: SHA-512 */
};

/* What a signature of publickey, its hostbound form and hostbased covers: RFC 4252 7 and 9, PROTOCOL 3.1. The members that a method
 * lacks stay empty. */
struct auth_signed {
    struct view session_id, user, service, method, algorithm, key;
    struct view host_key;                 /* hostbound */
    struct view client_host, client_user; /* hostbased */
};
/* Appends it to out: string session_id, then the request as it is sent, up to where the signature stands. */
int auth_signed_put(struct buf *out, const struct auth_signed *s) MUST_USE;

/* ---- client (client.c; its methods' halves in method_*.c) ---- */
enum client_state {
    CLIENT_IDLE,
    CLIENT_SIGNING, /* the bytes to sign are with the owner */
    CLIENT_SENT,    /* none or a signed request: the answer is success or failure */
    CLIENT_QUERY,   /* publickey without a signature */
    CLIENT_PASSWORD,
    CLIENT_KBDINT,   /* the server's turn */
    CLIENT_PROMPTED, /* our turn: the owner has the prompts */
    CLIENT_DONE,
    CLIENT_STATE_MAX
};

struct auth_client {
    enum client_state state;
    struct link link;
    const struct log *log;
    struct buf user, service;
    struct buf to_sign;   /* CLIENT_SIGNING: session id and request */
    size_t request_at;    /* where the request starts in it */
    struct buf query_key; /* CLIENT_QUERY: what PK_OK has to name */
    struct view prompts;  /* CLIENT_PROMPTED: of the packet that asked */
    uint32_t n_prompts;
};

void auth_client_set_state(struct auth_client *a, enum client_state state);
/* Whether an attempt may start: 0 or ERR_STATE. */
int auth_client_check_free(const struct auth_client *a) MUST_USE;
/* Opens a USERAUTH_REQUEST with room for data_max bytes behind the method's name, to be put by *ret_w ... */
int auth_client_request_open(struct auth_client *a, const char *method, size_t data_max, struct wr *ret_w) MUST_USE;
/* ... and sends it; the state is then next. */
int auth_client_request_close(struct auth_client *a, const struct wr *w, enum client_state next) MUST_USE;
/* Handlers of number 60: as auth_client_packet. */
int auth_client_on_pk_ok(struct auth_client *a, struct view payload, struct auth_client_event *ret) MUST_USE;
int auth_client_on_changereq(struct auth_client *a, struct view payload, struct auth_client_event *ret) MUST_USE;
int auth_client_on_info_request(struct auth_client *a, struct view payload, struct auth_client_event *ret) MUST_USE;

/* ---- server (server.c; its methods' halves in method_*.c) ---- */
enum server_state {
    SERVER_IDLE,
    SERVER_QUESTION, /* with the owner; server.question says which */
    SERVER_PROMPTED, /* INFO_REQUEST is out */
    SERVER_REFUSED,  /* as idle, but an early session may have come with the signed request that failed */
    SERVER_DONE,
    SERVER_STATE_MAX
};

struct auth_server {
    enum server_state state;
    enum auth_server_event_kind question;
    struct link link;
    const struct log *log;
    struct buf session_id, host_key;
    struct buf user;                       /* of the keyboard-interactive dialogue: INFO_RESPONSE does not name it */
    struct buf query_algorithm, query_key; /* for PK_OK */
    struct buf signed_data;
    struct view responses;           /* of the packet in question */
    uint32_t n_responses, n_prompts; /* got; asked for */
    bool early_session;
    size_t n_early, early_bytes; /* SERVER_REFUSED: passed over */
};

/* What stands behind the method's name, into *ret, which has user, service and method already. 0 or a protocol error. A request
 * that is well-formed but cannot succeed becomes AUTH_SERVER_OTHER. */
int auth_server_read_publickey(struct auth_server *a, struct view data, struct auth_server_event *ret) MUST_USE;
int auth_server_read_hostbound(struct auth_server *a, struct view data, struct auth_server_event *ret) MUST_USE;
int auth_server_read_hostbased(struct auth_server *a, struct view data, struct auth_server_event *ret) MUST_USE;
int auth_server_read_password(struct auth_server *a, struct view data, struct auth_server_event *ret) MUST_USE;
int auth_server_read_kbdint(struct auth_server *a, struct view data, struct auth_server_event *ret) MUST_USE;
int auth_server_read_info_response(struct auth_server *a, struct view payload, struct auth_server_event *ret) MUST_USE;
/* Turns the event into one that only failure answers. */
void auth_server_refuse(struct auth_server_event *e);
int auth_server_send_info_request(struct auth_server *a, const struct auth_server_answer *answer) MUST_USE;
