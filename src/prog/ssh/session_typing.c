/* From the keyboard to the channel: read, escapes taken out, keystrokes timed, typed into the channel. Reading stops while the
 * channel takes nothing, so that what is pasted waits in the terminal. */
#include "prog/ssh/session_int.h"

#include "base/secret.h"
#include "os/fd.h"
#include "os/random.h"

#include <unistd.h>

enum {
    TYPING_READ_BYTES = 16384,
    TYPING_UNSENT_BYTES = 65536, /* from here on nothing is read; far below what the channel's queue takes */
};

static void set_timer(struct session *s) { loop_timer_set(s->keys_timer, keystrokes_deadline(&s->keys)); }

static void send_held(struct session *s)
{
    size_t n = buf_len(&s->held);
    if (n == 0) return;
    s->unsent += n; /* before the call: the channel may take them in it */
    int err = chan_io_type(s->io, buf_view(&s->held));
    if (err < 0) s->unsent -= n; /* the channel's input is over: nobody is left to type to */
    buf_reset(&s->held);
    if (s->unsent >= TYPING_UNSENT_BYTES && s->typing_watch) (void)!loop_fd_set(s->typing_watch, 0);
    conn_io_wake(s->c->conn_io);
}

void session_typing_moved(struct session *s, size_t n)
{
    s->unsent -= MIN(n, s->unsent);
    if (s->unsent < TYPING_UNSENT_BYTES && s->typing_watch) (void)!loop_fd_set(s->typing_watch, LOOP_READ);
}

static void send_chaff(struct session *s)
{
    uint8_t filler[KEYSTROKES_CHAFF_BYTES] = { 0 };
    int err = transport_ping(wire_io_transport(s->c->wire), view_of(filler, sizeof filler));
    if (err == 0) {
        conn_io_wake(s->c->conn_io);
        return;
    }
    if (err == ERR_UNSUPPORTED) client_log(s->c, LOG_LEVEL_DEBUG1, "the server knows no ping: keystroke timing is not hidden");
    keystrokes_stop(&s->keys);
    send_held(s);
}

static void on_keys_timer(void *arg)
{
    struct session *s = arg;
    enum keystrokes_send what = keystrokes_tick(&s->keys, loop_now(s->c->loop));
    if (what == KEYSTROKES_SEND_HELD) send_held(s);
    if (what == KEYSTROKES_SEND_CHAFF) send_chaff(s);
    set_timer(s);
}

static void take_passed(struct session *s)
{
    if (buf_len(&s->passed) == 0) return;
    int err = buf_put_view(&s->held, buf_view(&s->passed));
    buf_reset(&s->passed);
    if (err < 0) {
        client_log(s->c, LOG_LEVEL_ERROR, "typed text was lost: %s", err_text(err));
        return;
    }
    if (keystrokes_typed(&s->keys, buf_len(&s->held), loop_now(s->c->loop))) send_held(s);
    set_timer(s);
}

static void take_typed(struct session *s, struct view in)
{
    while (in.len && !s->c->ended && s->typing_fd >= 0) {
        enum escape_action action;
        size_t used;
        if (escape_feed(&s->escape, in, &s->passed, &used, &action) < 0) return;
        in = view_sub(in, used, in.len);
        take_passed(s);
        if (action != ESCAPE_NONE) session_escape_act(s, action);
    }
}

static void on_typed(void *arg, int fd, UNUSED unsigned events)
{
    struct session *s = arg;
    uint8_t bytes[TYPING_READ_BYTES];
    size_t n = 0;
    int err = fd_read(fd, bytes, sizeof bytes, &n);
    if (err == ERR_AGAIN) return;
    if (err < 0 || n == 0)
        session_typing_stop(s, true);
    else
        take_typed(s, view_of(bytes, n));
    secret_wipe(bytes, n);
}

int session_raw_enter(struct session *s)
{
    if (session_is_guest(s) || s->typing_fd < 0 || !tty_is(s->typing_fd)) return 0; /* a guest's terminal is its own matter */
    return tty_raw_enter(&s->raw, STDIN_FILENO, false); /* the same terminal, and open for as long as the process */
}

int session_typing_start(struct session *s)
{
    const struct ssh_options *o = &s->c->options;
    bool is_tty = tty_is(s->typing_fd);
    bool hides = o->obscure_keystroke_timing.on && is_tty;
    escape_init(&s->escape, s->escape_char);
    keystrokes_init(&s->keys, hides ? o->obscure_keystroke_timing.interval_ms : 0, &os_random);
    TRY(loop_timer_new(s->c->loop, on_keys_timer, s, &s->keys_timer));
    TRY(loop_fd_new(s->c->loop, s->typing_fd, LOOP_READ, on_typed, s, &s->typing_watch));
    if (is_tty && !session_is_guest(s)) TRY(tty_raw_guard(&s->raw));
    return session_raw_enter(s);
}

void session_typing_stop(struct session *s, bool eof)
{
    if (s->typing_fd < 0) return;
    loop_fd_free(s->typing_watch);
    s->typing_watch = NULL;
    keystrokes_stop(&s->keys);
    loop_timer_set(s->keys_timer, MS_NEVER);
    send_held(s);
    if (eof) chan_io_type_eof(s->io);
    conn_io_wake(s->c->conn_io);
    fd_close(s->typing_fd);
    s->typing_fd = -1;
}
