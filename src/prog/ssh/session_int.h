/* The session: one channel, its requests, and the local side of it. session.c: life and events, guests; session_request.c: what is
 * asked of the server at the start; session_early.c: that behind the authentication request; session_typing.c: a terminal's input,
 * from the keyboard over escapes and keystroke timing to the channel; session_escape.c: what escapes do. */
#pragma once

#include "prog/ssh/client.h"
#include "prog/ssh/escape.h"
#include "prog/ssh/keystrokes.h"

#include "os/pty.h"
#include "os/tty.h"

/* Whom a session is told about that is not our own user's: a passenger of the shared connection. */
struct session_guest {
    void (*opened)(void *arg);            /* once, if at all */
    void (*refused)(void *arg);           /* the server opens no session; ended follows */
    void (*no_terminal)(void *arg);       /* the one that was asked for */
    void (*ended)(void *arg, int status); /* once, last; frees it */
    void *arg;
};

struct session {
    struct client *c;
    struct session *next;       /* of c->guests */
    struct session_guest guest; /* ended NULL: it is our own */
    int std[3];                 /* the user's descriptors: our own, or a guest's, which are then the session's */
    int type;                   /* CONF_SESSION_... */
    int text_fd;                /* where texts of escapes go */
    char *term;                 /* a guest's */
    struct strv env;            /* a guest's, NAME=VALUE */
    int escape_char;            /* or ESCAPE_OFF */
    int exit_status;
    channel_id channel; /* CHANNEL_NONE: none was asked for (-N) */
    char *command;      /* for exec or subsystem; NULL: a shell */
    bool wants_pty;
    bool wants_agent;           /* if the connection forwards it at all */
    struct pty_size asked_size; /* of the terminal, in the request */
    struct conn *early;         /* the session was sent on it along with an authentication request; until the answer */
    int n_early;                /* such requests */
    bool is_early;              /* so it was, and the request let us in: no more is to be sent */
    struct chan_io_fds fds;     /* copies of the standard ones, until the channel is open */
    struct chan_io *io;         /* from then on; lent by the conn_io */
    bool peer_is_openssh;       /* or ours: knows eow and no-more-sessions */
    bool peer_closed, output_ended;
    bool is_over;            /* only forwards keep us */
    bool leaves_passenger;   /* the foreground becomes a passenger of ours (ControlPersist) */
    bool waits_for_forwards; /* -f waits for the server's answers */
    ms started;

    /* with a terminal */
    int typing_fd; /* standard input; -1: not read (any more) */
    struct loop_fd *typing_watch;
    struct loop_timer *keys_timer;
    struct tty_raw raw;
    struct escape escape;
    struct keystrokes keys;
    struct buf passed, held; /* what escapes let through; keystrokes that wait for their instant */
    size_t unsent;           /* typed bytes that the channel has not taken yet */
};

/* ---- session.c ---- */
/* Ends the session with a failure that has been said. */
void session_fail(struct session *s);
static inline bool session_is_guest(const struct session *s) { return s->guest.ended != NULL; }
/* Makes c->session with what it will ask for, if that was not done yet. */
int session_prepare(struct client *c) MUST_USE;
/* Goes on in a new background process; this one ends. */
int session_background(struct session *s) MUST_USE;

/* What a guest wants. */
struct session_wish {
    int std[3]; /* become the session's */
    bool wants_pty, wants_agent;
    int type; /* CONF_SESSION_... */
    int escape_char;
    struct view term, command; /* command empty: a shell */
    struct view env;           /* as in mux_message */
    struct session_guest guest;
};
/* Opens a session for a guest; it is in c->guests until session_guest_free. On failure nothing is told. */
int session_guest_open(struct client *c, const struct session_wish *take, struct session **ret) MUST_USE;
/* Closes its channel, if it is open, without a word to the guest. */
void session_guest_free(struct session *s);

/* ---- session_request.c ---- */
enum session_tag {
    SESSION_TAG_PTY = 1,
    SESSION_TAG_RUN
};
/* "shell", "exec" or "subsystem" */
const char *session_run_request(const struct session *s);
/* Everything that starts the session, in one flight. */
int session_send_requests(struct session *s, struct conn *conn) MUST_USE;
/* The terminal may have changed since it was asked for. */
void session_check_window(struct session *s);
void session_send_window_change(struct session *s);
void session_send_break(struct session *s);

/* ---- session_typing.c ---- */
int session_typing_start(struct session *s) MUST_USE;
/* Reads no more. With eof the server is told behind what was typed. */
void session_typing_stop(struct session *s, bool eof);
/* The channel took n typed bytes. */
void session_typing_moved(struct session *s, size_t n);
int session_raw_enter(struct session *s) MUST_USE;

/* ---- session_escape.c ---- */
void session_escape_act(struct session *s, enum escape_action action);
