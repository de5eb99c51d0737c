/* The user child's own parts, for the files of its folder only. */
#pragma once

#include "io/channel_timeout.h"
#include "io/conn_io.h"
#include "io/forward.h"
#include "ipc/ipc.h"
#include "os/env.h"
#include "os/user.h"
#include "prog/sshd/setup.h"

struct session;

struct user_child {
    struct ipc monitor;
    struct loop *loop;
    struct wire_io *wire;
    struct conn_io *conn_io;
    struct log log;
    struct user *me;
    struct sshd_options options;
    struct buf setup_bytes;
    struct body_user_session setup; /* lent by setup_bytes */
    struct strv pam_env;
    struct buf host_keys;
    struct forwards *forwards;
    struct channel_timeouts *timeouts;
    struct strv key_permit_open, key_permit_listen; /* of the key's line; empty: no limit */
    struct session *sessions;                       /* list */
    size_t n_sessions;
    bool no_more_sessions;
    bool is_unused; /* no channel is open */
    struct loop_timer *alive_timer, *unused_timer;
    ms last_heard;
    int alive_unanswered;
    struct loop_fd *monitor_watch;
    char goodbye[256];
    char *agent_folder, *agent_path; /* of the socket that leads to the client's agent; NULL: none */
    char *auth_info_path;            /* SSH_USER_AUTH; NULL: none */
    bool ended;
};

/* One session channel (RFC 4254 6). */
struct session {
    struct user_child *c;
    struct session *next;
    channel_id ch, ch_first;   /* ch: CHANNEL_NONE once it is closed */
    struct chan_io *io;        /* once something runs */
    int pty_master, pty_slave; /* -1: no terminal */
    char tty_name[64];
    char *term;
    struct strv env;        /* what the client sent and AcceptEnv lets through */
    pid_t pid;              /* 0: not running */
    char *command;          /* what is to run; NULL: login shell */
    char *original_command; /* what the client asked for, when another was forced */
    bool is_subsystem, is_forced, is_login_shell;
    bool started, rc_done, exited, input_ended, peer_closed;
    int child_fds[3]; /* the command's standard descriptors until it runs; -1: closed */
};

/* ---- user_session.c ---- */
int session_new(struct user_child *c, channel_id ch) MUST_USE;
void session_free(struct session *s);
struct session *session_find(struct user_child *c, channel_id ch);
/* A channel request; its result is the reply. */
bool session_request(struct session *s, struct view name, struct view data);
void session_peer_closed(struct session *s);
/* ChannelTimeout: the client loses it now; what runs is hung up on. */
void session_expired(struct session *s);
void session_show_title(const struct user_child *c);
/* "pts/3"; empty without a terminal. */
const char *session_tty_short(const struct session *s);

/* ---- user_command.c: starts what is to run. false: it cannot be. ---- */
bool command_start(struct session *s);
/* Nobody wants its output any more (eow@openssh.com): it learns that by SIGPIPE. */
void command_stop_output(struct session *s);
/* Before a session is freed: nothing of it is called later. */
void command_forget(struct session *s);

/* ---- user_forward.c: what may be forwarded ---- */
int user_forward_start(struct user_child *c) MUST_USE;
/* Removes what was made in the file system; behind forwards_free. */
void user_forward_end(struct user_child *c);
/* auth-agent-req@openssh.com: a socket that leads to the client's agent, for SSH_AUTH_SOCK. */
bool user_forward_agent(struct user_child *c);
/* An open of direct-tcpip or direct-streamlocal@openssh.com. False: it is none. */
bool user_forward_open(struct user_child *c, const struct conn_event *e, int *ret_err);
/* Global requests; handlers as in user_child.c. */
bool user_forward_listen(struct user_child *c, const struct conn_event *e, struct buf *ret_reply);
bool user_forward_unlisten(struct user_child *c, const struct conn_event *e, struct buf *ret_reply);
bool user_forward_listen_unix(struct user_child *c, const struct conn_event *e, struct buf *ret_reply);
bool user_forward_unlisten_unix(struct user_child *c, const struct conn_event *e, struct buf *ret_reply);

/* ---- user_hostkeys.c: which keys this server has (OpenSSH PROTOCOL 2.5) ---- */
/* Says so, once. */
int user_announce_host_keys(struct user_child *c) MUST_USE;
/* hostkeys-prove-00@openssh.com: signatures in the order of the keys asked for, appended. Negative: there is no proof. */
int user_prove_host_keys(struct user_child *c, struct view keys, struct buf *ret_signatures) MUST_USE;

/* ---- user_env.c ---- */
/* ExposeAuthInfo: the file that SSH_USER_AUTH names. */
int user_auth_info_write(struct user_child *c) MUST_USE;
void user_auth_info_remove(struct user_child *c);
int user_env_build(const struct session *s, struct strv *ret_env) MUST_USE;
