/* ssh-agent's parts, for the files of its folder only: main.c (command line, becoming a daemon), serve.c (clients and questions on
 * the loop), sockets.c (where it listens), tokens.c, tokens_sk.c (keys that
 * other processes hold). */
#pragma once

#include "base/strv.h"
#include "os/logsink.h"
#include "os/loop.h"
#include "proto/agent/agent_server.h"

enum {
    EXIT_REFUSED = 1,
    EXIT_BY_SIGNAL = 2, /* as OpenSSH's */
    EXIT_FATAL = 255,
};

struct agent_socket {
    int fd;
    char *shown;  /* what SSH_AUTH_SOCK says */
    char *path;   /* absolute, for removing; NULL: it was handed to us and stays */
    char *folder; /* made for this socket alone; NULL: none */
};

struct agent_options {
    enum shell_kind {
        SHELL_GUESSED,
        SHELL_SH,
        SHELL_CSH
    } shell;
    bool kill, foreground, debug;
    const char *address;   /* -a */
    bool in_tmp;           /* -T */
    bool keep_stale;       /* -U */
    unsigned clean_only;   /* -u: 1, -uu: 2 */
    const char *providers; /* -P: pattern-list; NULL: the default */
    struct agent_server_config server;
    char **command; /* NULL: none */
};

struct connection;
struct confirmation;

struct agent {
    struct agent_options options;
    struct logsink sink;
    struct agent_socket socket;
    struct agent_server *server;
    struct loop *loop;
    struct loop_fd *listen_watch, *parent_watch;
    struct loop_timer *timer;
    int (*started)(
        struct agent *a); /* called once clients can be served and signals are listened for: who has our number may send one */
    int ready_fd;         /* of started, in the background: gets our number */
    int parent_fd;        /* ends with the command that we serve; -1: none */
    struct connection *connections;
    struct confirmation *confirmations;
    struct provider *providers; /* PKCS#11 modules */
    struct agent_sk *sk;        /* security keys at work */
    bool accept_is_off;         /* out of descriptors: until a client goes */
};

/* ---- sockets.c ---- */
/* Where and by which rights: -a, -T, or below ~/.ssh/agent. The error was said. */
int agent_socket_open(struct agent *a) MUST_USE;
/* Takes the one that systemd hands over, if it does: 1, else 0. */
int agent_socket_inherit(struct agent *a) MUST_USE;
void agent_socket_remove(struct agent_socket *s);
void agent_socket_done(struct agent_socket *s);
/* Removes sockets below ~/.ssh/agent that nobody listens on, of this host or of any. Silent about those that it cannot remove. */
void agent_socket_clean(bool any_host);

/* ---- serve.c ---- runs until a signal, or until the command has ended; gives the exit status. parent: of the command; 0: none */
int agent_serve(struct agent *a, pid_t parent);

/* ---- tokens.c ---- */
/* The one place where keys of PKCS#11 providers and security keys plug in. Gets AGENT_QUESTION_PROVIDER, _SIGN, _TOKEN_ADD and
 * _TOKEN_REMOVE and answers by agent_server_answer, now or, from the loop, later (then agent_flush). The question's views are lent
 * until then; if the client goes meanwhile, the answer is ERR_NOT_FOUND and no harm. */
void agent_tokens_ask(struct agent *a, const struct agent_question *q);
/* Ends the helpers of providers none of whose keys are left. */
void agent_tokens_sweep(struct agent *a);
void agent_tokens_done(struct agent *a);
/* Answers with a no. */
void agent_tokens_refuse(struct agent *a, uint32_t question);

/* ---- tokens_sk.c ---- */
/* AGENT_QUESTION_SIGN of a security key's key. */
void agent_sk_sign(struct agent *a, const struct agent_question *q);
void agent_sk_done(struct agent *a);
/* A PIN by askpass: fn is called once, with p NULL if there is none, and the object is gone then. ERR_NOT_FOUND: nobody to ask. */
typedef void agent_pin_fn(void *arg, struct view pin);
struct agent_pin;
int agent_pin_ask(struct agent *a, const char *text, agent_pin_fn *fn, void *arg, struct agent_pin **ret) MUST_USE;
void agent_pin_free(struct agent_pin *p); /* without a call; NULL is fine */

/* ---- serve.c ---- */
/* First in every call from the loop: the engine's clock. */
void agent_tick(struct agent *a);
/* After an answer that did not come from within a client's own turn: writes what has become ready. */
void agent_flush(struct agent *a);
