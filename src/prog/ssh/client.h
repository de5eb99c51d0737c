/* ssh's own parts, for the files of its folder only. One process has one connection; `struct client` is all there is to know of it.
 */
#pragma once

#include "conf/ssh_options.h"
#include "io/algorithms.h"
#include "io/conn_io.h"
#include "key/key.h"
#include "os/logsink.h"
#include "os/sock.h"
#include "os/user.h"
#include "proto/auth/auth.h"

enum {
    EXIT_OWN_ERROR = 255
};

/* ssh(1)'s command line, as far as it is no option of the configuration. */
struct command_line {
    enum {
        MODE_RUN,
        MODE_DUMP,
        MODE_VERSION,
        MODE_QUERY
    } mode;
    const char *config_path; /* -F */
    const char *log_file;    /* -E */
    const char *query;       /* -Q */
    bool log_syslog;         /* -y */
    bool is_verbose;         /* a -v came */
    const char *wants;       /* a flag whose feature this version lacks, for the sentence that refuses it; NULL */
    char *host;              /* as typed */
    char *command;           /* rest of the line joined; NULL: none */
};

struct identity;
struct login;
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
    char *known_name;         /* how known_hosts calls it: alias, name or [name]:port */
    char *known_address;      /* its address likewise, if CheckHostIP; NULL */
    struct sock_addr address; /* len 0: by proxy */
    struct sock_text address_text;
    pid_t proxy_pid;
    ms connect_deadline;
    int in_fd, out_fd;
    struct wire_io *wire;
    struct conn_io *conn_io;
    struct login *login;
    struct session *session;
    struct buf server_sig_algs; /* of EXT_INFO; empty: not said */
    bool server_hostbound;
    bool host_key_asked; /* the key of the first exchange was accepted */
    struct buf host_key; /* that key */
    struct loop_timer *handshake_timer, *alive_timer;
    ms last_heard;
    int alive_unanswered;
    char goodbye[512];
    bool has_service; /* SERVICE_ACCEPT came: authentication may begin */
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

/* ---- query.c: -Q ---- */
int query_print(struct client *c) MUST_USE;

/* ---- connect.c ---- sets in_fd, out_fd. The error was said. */
int connect_to_server(struct client *c) MUST_USE;

/* ---- host_key.c ---- */
/* HostKeyAlgorithms with those first for which a key is known. *ret is the caller's. */
int host_key_algorithms(struct client *c, char **ret) MUST_USE;
/* Is this the server's key? Asks the user where the configuration says so. */
bool host_key_is_good(struct client *c, struct view key);

/* ---- prompt.c: terminal or SSH_ASKPASS ---- */
/* A secret. ERR_CANCELLED, ERR_NOT_FOUND: nobody to ask. */
int prompt_secret(struct client *c, const char *text, bool echo, struct buf *out) MUST_USE;
/* A line with echo; for yes/no/fingerprint. */
int prompt_line(struct client *c, const char *text, struct buf *out) MUST_USE;

/* ---- identity.c: keys in the order they are tried ---- */
struct identity {
    struct identity *next;
    char *path;          /* of the file; NULL: agent only */
    struct view blob;    /* lent by public */
    struct key *public;  /* NULL until known: an encrypted PEM file without .pub */
    struct key *private; /* NULL until loaded */
    bool in_agent, is_explicit, is_encrypted;
    int load_err; /* why the private half will never be there; said already */
};
int identity_list(struct client *c, struct identity **ret) MUST_USE;
void identity_free_all(struct identity *list);
/* At debug1: what, which file, type, fingerprint, and where it comes from. */
void identity_log(const struct client *c, const char *what, const struct identity *id);
/* Whether it can sign without asking anybody: a file without passphrase. Loads it. */
bool identity_is_ready(struct client *c, struct identity *id);
/* An RSA key below RequiredRSASize. */
bool identity_is_too_small(const struct client *c, const struct identity *id);
/* The signature algorithm to use, NULL: the server or the configuration takes none of this key. */
const char *identity_algorithm(const struct client *c, const struct identity *id);
/* By agent or file; asks for the passphrase. */
int identity_sign(struct client *c, struct identity *id, const char *algorithm, struct view data, struct buf *ret_signature)
    MUST_USE;

/* ---- login.c: which method and key next ---- */
int login_start(struct client *c) MUST_USE;
int login_packet(struct client *c, struct view payload) MUST_USE;
void login_free(struct login *l);

/* ---- session.c: the one channel of a login, the terminal, the end ---- */
int session_start(struct client *c) MUST_USE;
int session_event(struct client *c, const struct conn_event *e) MUST_USE;
void session_free(struct session *s);
/* Terminal back as it was; safe at any time. */
void session_restore_terminal(struct client *c);
/* Last words after the loop: terminal back, "Connection to HOST closed.", traffic. The connection still exists. */
void session_farewell(struct client *c);

/* Ends the loop with this status. */
void client_end(struct client *c, int status);
