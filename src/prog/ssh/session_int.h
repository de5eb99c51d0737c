/* The session: one channel, its requests, and the local side of it. session.c: life and events; session_request.c: what is asked of
 * the server at the start; session_early.c: that behind the authentication request; session_typing.c: a terminal's input, from the
 * keyboard over escapes and keystroke timing to the channel; session_escape.c: what escapes do. */
#pragma once

#include "prog/ssh/client.h"
#include "prog/ssh/escape.h"
#include "prog/ssh/keystrokes.h"

#include "os/pty.h"
#include "os/tty.h"

struct session {
    struct client *c;
    channel_id channel; /* CHANNEL_NONE: none was asked for (-N) */
    char *command;      /* for exec or subsystem; NULL: a shell */
    bool wants_pty;
    struct pty_size asked_size; /* of the terminal, in the request */
    struct conn *early;         /* the session was sent on it along with an authentication request; until the answer */
    int n_early;                /* such requests */
    bool is_early;              /* so it was, and the request let us in: no more is to be sent */
    struct chan_io_fds fds;     /* copies of the standard ones, until the channel is open */
    struct chan_io *io;         /* from then on; lent by the conn_io */
    bool peer_is_openssh;       /* or ours: knows eow and no-more-sessions */
    bool peer_closed, output_ended;
    bool is_over;            /* only forwards keep us */
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
/* Makes c->session with what it will ask for, if that was not done yet. */
int session_prepare(struct client *c) MUST_USE;
/* Goes on in a new background process; this one ends. */
int session_background(struct session *s) MUST_USE;

/* ---- session_request.c ---- */
enum session_tag {
    SESSION_TAG_PTY = 1,
    SESSION_TAG_RUN
};
bool session_wants_pty(const struct client *c);
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
