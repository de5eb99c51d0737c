/* The monitor's own parts, for the files of its folder only. One monitor has one connection; `struct monitor` is all there is to
 * know of it. */
#pragma once

#include "io/algorithms.h"
#include "ipc/ipc.h"
#include "key/authorized_keys.h"
#include "key/cert.h"
#include "os/logsink.h"
#include "os/pam.h"
#include "os/sock.h"
#include "os/user.h"
#include "prog/sshd/setup.h"
#include "proto/auth/auth.h"

#include <signal.h>

enum auth_method {
    METHOD_NONE,
    METHOD_PUBLICKEY,
    METHOD_PASSWORD,
    METHOD_KBDINT,
    METHOD_HOSTBASED,
    METHOD_MAX
};

/* An authentication request on its way to a verdict. */
struct attempt {
    enum auth_method method;
    const char *method_name; /* as logged */
    struct view submethod;   /* "pam" after keyboard-interactive */
    bool passed;
    bool denied;                                /* right, but the account modules let nobody in: the end of the connection */
    bool postponed;                             /* no verdict yet: PK_OK, a question, a new password wanted */
    char detail[1024];                          /* ": ED25519 SHA256:..." */
    struct authorized_keys_options key_options; /* of the line that has the key; the applicant's only when the signature is right */
    bool has_key_options;
};

/* Who wants in, and what holds for them. */
struct applicant {
    char *name, *style, *service; /* as the first request had them; NULL before it */
    struct user *user;            /* NULL: there is none of this name */
    bool valid;                   /* exists and is allowed in; all else costs the same time and talk */
    int failures;
    bool tried;                                 /* some attempt other than none was made */
    struct strv chains;                         /* AuthenticationMethods not yet fulfilled; empty: any one method */
    struct authorized_keys_options key_options; /* of the keys that were accepted */
    bool has_key_options;
    struct buf auth_info; /* lines for SSH_USER_AUTH */
    struct buf used_keys; /* that have passed: strings, plain blobs */
    struct pam *pam;
    bool must_change_password;
};

struct monitor_host_key {
    uint32_t idx;     /* the key holder's */
    struct view blob; /* plain, or its certificate; lent by setup */
};

struct monitor {
    struct logsink sink;
    struct algorithms algs;
    struct body_session_setup setup; /* lent by a mapping that stays */
    struct sshd_options options;     /* global part, then that of the user */
    struct ipc listener, key_holder, net, user_child;
    pid_t net_pid, user_pid;
    int in_fd, out_fd;
    bool one_socket;
    struct sock_text peer, local;
    struct sock_addr peer_addr;
    char peer_host[SOCK_HOST_BYTES]; /* by reverse lookup if UseDNS, else the address */
    struct buf session_id;           /* the first hash that was signed */
    struct view host_key_used;       /* the key, or certificate, of the first key exchange; lent by setup */
    struct strv host_key_names;      /* signature algorithms we have keys for, each with its key */
    struct monitor_host_key host_keys[64];
    ms grace_end, request_began;
    bool peer_said_ident;
    bool net_said_end, user_said_end;    /* net_end, user_end came: else a child that closes its socket has died */
    volatile sig_atomic_t is_terminated; /* we closed the sockets */
    bool dismissed;                      /* a verdict ended the connection: nothing is decided any more */
    struct applicant who;
    /* Keyboard-interactive through PAM: a message that arrived where a response was expected. */
    uint8_t stray_number;
    struct buf stray_fields;
    bool has_stray;
};

/* "[preauth]" is put behind lines of the network child; these are our own. */
#define monitor_log(m, level, ...) log_at(&(m)->sink.log, level, __VA_ARGS__)

/* FingerprintHash */
static inline enum digest_alg monitor_print_digest(const struct monitor *m)
{
    return m->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256;
}

/* ---- monitor_user.c ---- */
/* The first request of a connection names user and service; later ones have to be the same: else ERR_DENIED, and the verdict was
 * sent. */
int monitor_set_applicant(struct monitor *m, struct view user, struct view service) MUST_USE;
void monitor_applicant_done(struct applicant *who);

/* ---- monitor_methods.c ---- */
bool method_is_enabled(const struct monitor *m, enum auth_method method);
/* Enabled, and the next step of some chain of AuthenticationMethods. Others fail without being looked at: nobody learns from them
 * whether a password is right. */
bool method_is_allowed(const struct monitor *m, const struct attempt *a);
/* Ends the connection with this text as the answer to the request at hand. ERR_DENIED when that is on its way. */
int method_dismiss(struct monitor *m, const char *text) MUST_USE;
/* Comma list of the methods that can go on. */
int method_list(const struct monitor *m, struct buf *out) MUST_USE;
/* Takes what an attempt came to, writes the log line, counts failures, and sends the verdict. *ret_success: login. */
int method_conclude(struct monitor *m, const struct attempt *a, bool *ret_success) MUST_USE;
/* Sends a verdict that is not final. */
int method_postpone(struct monitor *m, const struct ipc_auth_verdict *v) MUST_USE;
/* The AuthenticationMethods of the options, as far as they can be fulfilled at all. */
int method_init_chains(struct monitor *m) MUST_USE;

/* A key that somebody wants to log in with, or the key of the host that they come from. */
struct offered {
    struct view algorithm, blob;
    bool is_cert;
    struct cert cert; /* if it is one */
};

/* ---- monitor_publickey.c ---- */
/* Whether an option lets this algorithm and key in: their kind, size, revocation, and a certificate's signature. who, keyword: for
 * the log. Fills the certificate in. */
struct key_rules {
    const char *who, *keyword, *accepted; /* "userauth_pubkey", name and value of the option */
};
bool key_is_usable(struct monitor *m, const struct key_rules *rules, struct offered *o);
/* ": ED25519 SHA256:...", for the log. */
void key_describe(const struct monitor *m, const struct offered *o, char *ret_text, size_t cap);
/* A line for SSH_USER_AUTH. */
int key_put_auth_info(const char *method, struct view key, struct buf *out) MUST_USE;
int publickey_query(struct monitor *m, const struct ipc_auth_publickey_query *q, struct attempt *a) MUST_USE;
int publickey_check(struct monitor *m, const struct ipc_auth_publickey *q, struct attempt *a) MUST_USE;
/* from= and expiry-time of a line in force here and now; where it stands, "FILE:LINE", is for the log. */
bool key_options_let_in(struct monitor *m, const char *where, const struct authorized_keys_options *o);

/* ---- monitor_hostbased.c ---- */
int hostbased_check(struct monitor *m, const struct ipc_auth_hostbased *q, struct attempt *a) MUST_USE;

/* ---- monitor_cert.c ---- */
/* A certificate that can be believed if its CA is: *ret is its parts, lent by blob. */
bool cert_is_usable(struct monitor *m, const char *who, struct view blob, struct cert *ret);
/* Kind, time, name (principal.p NULL: looked at already) and options; the last are merged into io. where as above. */
bool cert_permits(struct monitor *m, const struct cert *c, struct view principal, const char *where,
                  struct authorized_keys_options *io);
/* One of the names of a comma list. */
bool cert_has_any_principal(struct monitor *m, const struct cert *c, struct view wanted);
/* By TrustedUserCAKeys, with all that goes with it; key is the blob of c. The options are then in the attempt. */
bool cert_is_trusted(struct monitor *m, struct view key, const struct cert *c, struct attempt *a);

/* ---- monitor_revoked.c ---- */
/* By RevokedKeys: the key, or what it certifies, its CA, its serial or ID. A file that cannot be read revokes all. */
bool monitor_key_is_revoked(struct monitor *m, struct view key);

/* ---- monitor_files.c ---- */
/* The paths that a word of AuthorizedKeysFile or AuthorizedPrincipalsFile names for the applicant: tokens %% %h %u %U, relative
 * paths below the home directory, globs. "none" names none. */
int monitor_user_paths(struct monitor *m, const char *keyword, const char *word, struct strv *ret_paths) MUST_USE;
/* Opened and read with the applicant's rights, checked as StrictModes wants. what: "authorized keys". */
int monitor_read_user_file(struct monitor *m, const char *path, const char *what, struct buf *out) MUST_USE;

/* ---- monitor_command.c ---- */
struct monitor_command {
    const char *keyword, *command, *user; /* option's name and values; NULL values: not set */
    struct view key;
    const struct cert *cert; /* of AuthorizedPrincipalsCommand; else NULL */
};
/* Runs it and takes what it prints. ERR_NOT_FOUND: it is not set; other errors are in the log, and what was printed does not count.
 */
int monitor_run_command(struct monitor *m, const struct monitor_command *c, struct buf *out) MUST_USE;

/* ---- monitor_password.c ---- */
bool password_is_right(struct monitor *m, struct view password);
int kbdint_run(struct monitor *m, struct attempt *a) MUST_USE;
/* Account modules: may this user in now? Refused: a log line and false. */
bool account_is_open(struct monitor *m, struct attempt *a);

/* ---- monitor_keys.c: what the key holder and the moduli file are asked ---- */
int monitor_list_host_keys(struct monitor *m, struct buf *ret_algorithms, struct buf *ret_host_keys) MUST_USE;
int monitor_sign(struct monitor *m, struct view algorithm, struct view hash, struct buf *ret_signature) MUST_USE;
/* hostkeys-prove-00@openssh.com for a plain key of ours; ERR_NOT_FOUND: it is none. */
int monitor_prove(struct monitor *m, struct view key, struct view algorithm, struct buf *ret_signature) MUST_USE;
int monitor_choose_group(struct monitor *m, uint32_t min_bits, uint32_t bits, uint32_t max_bits, struct buf *ret_p,
                         struct buf *ret_g) MUST_USE;

/* Ahead of need, unless PAM is used: what modules give a session (limits, cgroup, keyring, login uid) is inherited by processes
 * started afterwards only. */
int monitor_start_user_child(struct monitor *m) MUST_USE;

/* Closes what leads to the user child, if there is one, and waits for its end. */
void monitor_end_user_child(struct monitor *m);

/* ---- monitor_session.c ---- */
/* From handoff to the end of the connection. */
int session_run(struct monitor *m, struct view transport) MUST_USE;

/* Sets m->options to what holds for the applicant (NULL ctx fields before there is one). */
int monitor_eval_options(struct monitor *m) MUST_USE;
