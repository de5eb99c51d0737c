/* ssh's own parts, for the files of its folder only. One process has one connection; `struct client` is all there is to know of it.
 */
#pragma once

#include "conf/ssh_options.h"
#include "conf/tokens.h"
#include "io/algorithms.h"
#include "conf/forward.h"
#include "io/channel_timeout.h"
#include "io/forward.h"
#include "key/key.h"
#include "os/logsink.h"
#include "os/sock.h"
#include "os/user.h"
#include "proto/auth/auth.h"

enum {
    EXIT_OWN_ERROR = 255
};

/* -O */
enum mux_control {
    MUX_CONTROL_NONE,
    MUX_CONTROL_CHECK,
    MUX_CONTROL_FORWARD,
    MUX_CONTROL_CANCEL,
    MUX_CONTROL_STOP,
    MUX_CONTROL_EXIT
};

/* ssh(1)'s command line, as far as it is no option of the configuration. */
struct command_line {
    enum {
        MODE_RUN,
        MODE_DUMP,
        MODE_VERSION,
        MODE_QUERY,
        MODE_KEYS /* -Z */
    } mode;
    const char *config_path;           /* -F */
    const char *log_file;              /* -E */
    const char *query;                 /* -Q */
    bool log_syslog;                   /* -y */
    bool is_verbose;                   /* a -v came */
    int control;                       /* of -O, enum mux_control; MUX_CONTROL_NONE: a session */
    const char *wants;                 /* a flag whose feature this version lacks, for the sentence that refuses it; NULL */
    char *host;                        /* as typed */
    struct conf_forward stdio_forward; /* -W: its target */
    bool has_stdio_forward;
    char *command; /* rest of the line joined; NULL: none */
};

/* Of our global requests with a reply. */
enum client_tag {
    CLIENT_TAG_NONE,
    CLIENT_TAG_HOST_KEYS,
    CLIENT_TAG_FORWARDS /* and all behind it: forwarding.c */
};

struct host_keys;
struct identity;
struct known_files;
struct login;
struct mux_master;
struct session;

struct client {
    struct command_line cmd;
    struct ssh_options options;
    struct algorithms algs;
    struct logsink sink;
    struct loop *loop;
    struct user *me;
    char *host; /* the name to connect to: Hostname, or what was typed */
    char *remote_user;
    char *known_name;                /* how known_hosts calls it: alias, name or [name]:port */
    char *known_address;             /* its address likewise, if CheckHostIP; NULL */
    struct known_files *known_files; /* as read for the order of algorithms, until the key is judged; NULL */
    struct sock_addr address;        /* len 0: by proxy */
    struct sock_text address_text;
    pid_t proxy_pid;
    ms connect_deadline;
    int in_fd, out_fd;
    struct wire_io *wire;
    struct conn_io *conn_io;
    struct login *login;
    struct session *session;
    struct session *guests;    /* of passengers */
    struct mux_master *mux;    /* NULL: the connection is not shared */
    struct forwards *forwards; /* from the login on */
    struct remote_forwards *remotes;
    struct channel_timeouts *timeouts;
    struct buf server_sig_algs; /* of EXT_INFO; empty: not said */
    bool server_hostbound;
    bool host_key_asked;         /* the key of the first exchange was accepted */
    struct buf host_key;         /* that key */
    struct buf host_signature;   /* and its signature of the session identifier: an agent is shown it */
    struct host_keys *host_keys; /* further ones that the server announced; NULL: none to be learnt */
    int agent_fd;                /* the connection to the user's agent; -1: none yet */
    bool server_takes_early;     /* EXT_EARLY_SESSION */
    struct token_pkcs11 *token;  /* of PKCS11Provider, until login; NULL: none */
    struct loop_timer *handshake_timer, *alive_timer;
    ms last_heard;
    int alive_unanswered;
    char goodbye[512];
    bool has_asked_for_agent; /* some session was opened with it */
    bool has_service;         /* SERVICE_ACCEPT came: authentication may begin */
    bool has_ext_info;        /* EXT_INFO came */
    bool authenticated, ended;
    int exit_status;
    int killed_by; /* the signal that ended the loop, 0: none; main dies of it */
};

#define client_log(c, level, ...) log_at(&(c)->sink.log, level, __VA_ARGS__)
/* The last words of a failing ssh: on stderr or the log, at level fatal. */
#define client_fatal(c, ...) log_at(&(c)->sink.log, LOG_LEVEL_FATAL, __VA_ARGS__)

/* ---- command_line.c ---- fills options from flags. ERR_FORMAT after usage or a sentence was written. */
int command_line_parse(struct client *c, int argc, char **argv) MUST_USE;
void command_line_done(struct command_line *l);
void command_line_usage(void);

/* ---- config.c: files, defaults, tokens ---- */
int config_load(struct client *c) MUST_USE;
int config_dump(struct client *c) MUST_USE;
/* %tokens, and ~ at the front. *ret is the caller's. what: for the message on a bad token. */
int config_expand(struct client *c, const char *text, bool is_path, const char *what, char **ret) MUST_USE;
/* With tokens that only this keyword knows, at most 8. */
int config_expand_more(struct client *c, const char *text, const char *what, const struct conf_token *more, size_t n_more,
                       char **ret) MUST_USE;

/* ---- canonical.c: CanonicalizeHostname ---- */
/* *io_host, a heap string, becomes the full name if that is wanted and there is one. The error was said. */
int canonical_name(struct client *c, bool is_address, char **io_host) MUST_USE;

/* ---- query.c: -Q ---- */
int query_print(struct client *c) MUST_USE;

/* ---- connect.c ---- sets in_fd, out_fd. The error was said. */
int connect_to_server(struct client *c) MUST_USE;

/* ---- host_key.c ---- */
/* HostKeyAlgorithms with those first for which a key is known. *ret is the caller's. */
int host_key_algorithms(struct client *c, char **ret) MUST_USE;
/* Is this the server's key? Asks the user where the configuration says so. */
bool host_key_is_good(struct client *c, struct view key);
/* Frees c->known_files. */
void known_files_forget(struct client *c);

/* ---- host_keys_update.c: UpdateHostKeys ---- */
/* hostkeys-00@openssh.com: the keys that the server says it has. */
int host_keys_announced(struct client *c, struct view keys) MUST_USE;
/* Its answer to our question for proofs. */
int host_keys_proved(struct client *c, bool ok, struct view signatures) MUST_USE;
void host_keys_free(struct host_keys *h);

/* ---- prompt.c: terminal or SSH_ASKPASS ---- */
/* A secret. ERR_CANCELLED, ERR_NOT_FOUND: nobody to ask. */
int prompt_secret(struct client *c, const char *text, bool echo, struct buf *out) MUST_USE;
/* A line with echo; for yes/no/fingerprint. */
int prompt_line(struct client *c, const char *text, struct buf *out) MUST_USE;

/* ---- agent.c: the user's agent, one connection for the whole login ---- */
/* One request, one answer. The connection is made with the first, and the agent told which server it is for (session-bind).
 * ERR_NOT_FOUND: no agent is named. */
int agent_call(struct client *c, struct view request, struct buf *ret_body) MUST_USE;
/* Behind the login: nothing more is asked of it. A later call would connect again. */
void agent_close(struct client *c);
/* Whether ForwardAgent names an agent that can be reached. */
bool agent_is_forwarded(struct client *c);
/* CONN_OPEN of a channel to the agent. False: it is none. */
bool agent_forward_open(struct client *c, const struct conn_event *e, int *ret_err);
/* AddKeysToAgent, of a key from the file at path. What fails is said, and no harm. */
void agent_add_key(struct client *c, const struct key *k, const char *path);

/* ---- identity.c: keys in the order they are tried ---- */
struct identity {
    struct identity *next;
    char *path;              /* of the file; of an agent's key its comment */
    struct view blob;        /* lent by public */
    struct key *public;      /* NULL until known: an encrypted PEM file without .pub */
    struct key *private;     /* NULL until loaded */
    struct identity *signer; /* of a certificate from a file: the entry that has its private half; NULL: itself */
    bool in_agent, is_explicit, is_encrypted;
    bool is_certificate_file;   /* named by CertificateFile, not found beside a key */
    struct token_pkcs11 *token; /* lent by the client; NULL: it is on none */
    size_t token_idx;
    int load_err;       /* why the private half will never be there; said already */
    const char *answer; /* what became of it; NULL: not tried */
};
int identity_list(struct client *c, struct identity **ret) MUST_USE;
/* -Z: one line for each of them, in the order in which they would be tried. */
int identity_print(struct client *c) MUST_USE;
void identity_free_all(struct identity *list);
/* For the user who was not let in: each key, where it came from and what became of it. */
void identity_report(const struct client *c, const struct identity *list);
/* At debug1: what, which file, type, fingerprint, and where it comes from. */
void identity_log(const struct client *c, const char *what, const struct identity *id);

/* ---- host_key_cert.c: what certificates say of themselves, for the user ---- */
struct cert;
/* "from 2026-01-01T00:00:00 to 2027-01-01T00:00:00", "forever" */
int cert_put_validity(const struct cert *cert, struct buf *out) MUST_USE;
/* Its names with commas, escaped; nothing if it has none. */
int cert_put_principals(const struct cert *cert, struct buf *out) MUST_USE;

/* ---- identity_sign.c: their private halves ---- */
/* Whether it can sign without asking anybody: a file without passphrase. Loads it. */
bool identity_is_ready(struct client *c, struct identity *id);
/* A certificate whose private key neither the agent nor a file has (said). */
bool identity_is_orphan(const struct client *c, const struct identity *id);
/* An RSA key below RequiredRSASize. */
bool identity_is_too_small(const struct client *c, const struct identity *id);
/* The signature algorithm to use, NULL: the server or the configuration takes none of this key. */
const char *identity_algorithm(const struct client *c, const struct identity *id);
/* By agent or file; asks for the passphrase. */
int identity_sign(struct client *c, struct identity *id, const char *algorithm, struct view data, struct buf *ret_signature)
    MUST_USE;
/* The server has taken its signature: AddKeysToAgent holds now, if it came from a file. Not for keys that were refused, and not for
 * those that were only looked at. */
void identity_was_accepted(struct client *c, const struct identity *id);

/* ---- hostbased.c ---- */
struct hostbased;
/* Sends a request with the next of this machine's keys; *io is made with the first, and freed by the caller. ERR_NOT_FOUND: there
 * are no more. */
int hostbased_try(struct client *c, struct auth_client *auth, struct hostbased **io) MUST_USE;
void hostbased_free(struct hostbased *h);

/* ---- identity_token.c: keys on PKCS#11 tokens and security keys. What fails is said ---- */
/* Appends the keys of PKCS11Provider. ERR_NOMEM is the only error. */
int identity_token_list(struct client *c, struct identity **ret) MUST_USE;
int identity_token_sign(struct client *c, const struct identity *id, const char *algorithm, struct view data,
                        struct buf *ret_signature) MUST_USE;
/* SecurityKeyProvider: internal, a path, or that of the variable that it names with $ before it. NULL: none. */
const char *identity_sk_provider(const struct client *c);
/* With id->private, a security key's; tells the user to touch it and asks for the PIN. */
int identity_sk_sign(struct client *c, struct identity *id, struct view data, struct buf *ret_signature) MUST_USE;

/* ---- login.c: which method and key next ---- */
int login_start(struct client *c) MUST_USE;
int login_packet(struct client *c, struct view payload) MUST_USE;
/* For the user who was not let in: what became of the keys. */
void login_report(const struct login *l);
void login_free(struct login *l);

/* ---- visits.c: which key let us in where. To be asked once the host key is known to be good. ---- */
bool visits_has(struct client *c, struct view key_blob);
/* Of these keys the one that did; NULL: none. */
const struct identity *visits_find(struct client *c, const struct identity *list);
void visits_remember(struct client *c, struct view key_blob);
void visits_forget(struct client *c); /* no key lets us in here */

/* ---- session_request.c ---- */
/* Whether assignment is to be sent, by SendEnv. */
bool session_sends_env(const struct client *c, const char *assignment);
const char *session_term(const struct client *c);
bool session_wants_pty(const struct client *c);

/* ---- session_early.c ---- */
/* Sends the session behind an authentication request that was just sent, to be served if that is what lets us in. 0 too when the
 * server or the configuration keep it from being early. */
int session_send_early(struct client *c) MUST_USE;
/* That request failed: the server has dropped the session. */
void session_forget_early(struct client *c);
/* The connection that the early session was sent on, or a new one. The caller's. */
int session_take_conn(struct client *c, struct conn **ret) MUST_USE;

/* ---- session.c: the one channel of a login, the terminal, the end ---- */
int session_start(struct client *c) MUST_USE;
int session_event(struct client *c, const struct conn_event *e) MUST_USE;
void session_free(struct session *s);
/* Terminal back as it was; safe at any time. */
void session_restore_terminal(struct client *c);
/* Last words after the loop: terminal back, "Connection to HOST closed.", traffic. The connection still exists. */
void session_farewell(struct client *c);

/* All that was carried beside it has ended. */
void session_forwards_idle(struct client *c);
/* The server has answered all requests for remote forwards that were made before the session. */
void session_forwards_ready(struct client *c);

/* ---- forwarding.c: -L, -R, -D, -W ---- */
/* Sets up what the configuration has. What fails is said; with ExitOnForwardFailure it ends the client. */
int forwarding_start(struct client *c) MUST_USE;
void forwarding_free(struct client *c);
/* Whether an answer of the server to a request for a remote forward is due. */
bool forwarding_is_waiting(const struct client *c);
/* How a request went. port: the one it got (of a remote forward with port 0, or as given). text: the failure in OpenSSH's words. */
typedef void forwarding_done_fn(void *arg, bool ok, int port, const char *text);
/* Adds a forward to the running connection; done is called once, for a remote forward later, and may be NULL. A negative result is
 * of the connection itself. */
int forwarding_add(struct client *c, enum conf_forward_kind kind, const struct conf_forward *what, forwarding_done_fn *done,
                   void *arg) MUST_USE;
/* Takes it away again: same listening side. What it carries goes on. ERR_NOT_FOUND. */
int forwarding_cancel(struct client *c, enum conf_forward_kind kind, const struct conf_forward *what) MUST_USE;
/* Of a remote forward that the server has granted: the port it listens on, 0 for a path. ERR_NOT_FOUND. */
int forwarding_find_remote(const struct client *c, const struct conf_forward *what, int *ret_port) MUST_USE;
/* CONN_OPEN of a forwarded type. False: it is none. */
bool forwarding_open(struct client *c, const struct conn_event *e, int *ret_err);
/* CONN_GLOBAL_REPLY with a tag of forwarding's. */
int forwarding_reply(struct client *c, const struct conn_event *e) MUST_USE;

/* ---- jump.c: ProxyJump ---- */
/* argv of the ssh that connects us through the hops, for spawn; strings in *ret. */
int jump_command(struct client *c, struct strv *ret) MUST_USE;
/* Whether the last hop is the destination itself. */
bool jump_is_loop(const struct client *c);

/* ---- mux_master.c: our connection, shared with other ssh (ControlMaster) ---- */
/* ControlPath with its tokens, the caller's; *ret NULL: none is set. */
int mux_path(struct client *c, char **ret) MUST_USE;
/* Whether the configuration wants us to serve others, and to go on doing so in the background. */
bool mux_master_is_wanted(const struct client *c);
bool mux_master_persists(const struct client *c);
/* Listens, if that is wanted; c->mux. That another one does already is said, and no failure. */
int mux_master_start(struct client *c) MUST_USE;
bool mux_master_is_used(const struct client *c);
/* To be told when something has ended: the last one out may end a master in the background. */
void mux_master_check_idle(struct client *c);
/* Before the session and the forwards. Removes the socket. */
void mux_master_free(struct client *c);

/* ---- mux_client.c: the connection of another ssh ---- */
/* Tries to use it. 1: all was done by it, and c->exit_status is set; 0: a connection of our own is needed; negative: what failed is
 * said. */
int mux_client_run(struct client *c) MUST_USE;
/* The same in a process whose child has become the master. Does not come back. */
void mux_client_of_own_master(struct client *c) __attribute__((noreturn));

/* Ends the loop with this status. */
void client_end(struct client *c, int status);
