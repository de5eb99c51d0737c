/* What the escapes do. Their texts go straight to stderr, over whatever the screen shows, as the user has just asked for them. */
#include "prog/ssh/session_int.h"

#include "base/vis.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum {
    ESCAPE_TEXT_BYTES = 1 << 16,
    CTRL_D = 4
};

/* A guest who does not read loses text, and keeps nobody waiting. */
static void show(const struct session *s, const struct buf *text)
{
    size_t n;
    struct view all = buf_view(text);
    (void)!(session_is_guest(s) ? fd_write(s->text_fd, all.p, all.len, &n) : fd_write_all(s->text_fd, all));
}

/* The escape as it was typed, and what follows on its line. */
static void say(const struct session *s, const char *escape, const char *rest)
{
    char name[ESCAPE_NAME_BYTES];
    escape_name(&s->escape, name);
    dprintf(s->text_fd, "%s%s%s\r\n", name, escape, rest);
}

static void terminate(struct session *s) { session_fail(s); }

static void suspend(struct session *s)
{
    say(s, "^Z", " [suspend ssh]");
    session_restore_terminal(s->c);
    (void)kill(getpid(), SIGTSTP);
    /* The window may have another size when the user is back. */
    if (session_raw_enter(s) < 0) client_log(s->c, LOG_LEVEL_ERROR, "The terminal could not be set to raw mode again");
    session_send_window_change(s);
}

static void list(struct session *s)
{
    struct conn *conn = conn_io_conn(s->c->conn_io);
    CLEANUP(buf_done) struct buf text = BUF_INIT(ESCAPE_TEXT_BYTES);
    int err = buf_put_str(&text, "The following connections are open:\r\n");
    for (channel_id ch = conn_channel_next(conn, 0); ch != CHANNEL_NONE && err == 0; ch = conn_channel_next(conn, ch + 1)) {
        struct channel_info i;
        if (conn_channel_info(conn, ch, &i) < 0) continue;
        const char *label = forwards_label(s->c->forwards, ch);
        err = label ? buf_printf(&text, "  #%u %s", ch, label)
                    : buf_printf(&text, "  #%u %s%s", ch, i.opened_by_us ? "client-" : "server-", i.type);
        if (err == 0)
            err = buf_printf(&text, " (remote #%u, sent %llu, received %llu, window %zu/%zu%s%s)\r\n", i.theirs,
                             (unsigned long long)i.bytes_out, (unsigned long long)i.bytes_in, i.window_in, i.window_out,
                             i.sent_eof ? ", input ended" : "", i.got_eof ? ", output ended" : "");
    }
    say(s, "#", "");
    show(s, &text);
}

/* The parent leaves with the terminal; the child keeps the connection until its channels are closed. */
static void background(struct session *s)
{
    say(s, "&", " [backgrounded]");
    session_restore_terminal(s->c);
    if (session_background(s) < 0) {
        (void)!session_raw_enter(s);
        return;
    }
    /* A shell that still runs is told that its input is over, as its user has left. */
    const uint8_t end = CTRL_D;
    (void)!chan_io_type(s->io, view_of(&end, 1));
    session_typing_stop(s, true);
}

/* Some are about the process, which is the master's user's. */
static bool is_possible(const void *arg, enum escape_action action)
{
    const struct session *s = arg;
    if (!session_is_guest(s)) return action != ESCAPE_COMMAND_LINE || s->c->options.enable_escape_commandline;
    return action != ESCAPE_SUSPEND && action != ESCAPE_BACKGROUND && action != ESCAPE_COMMAND_LINE && action != ESCAPE_QUIETER &&
           action != ESCAPE_LOUDER;
}

static void help(struct session *s)
{
    CLEANUP(buf_done) struct buf text = BUF_INIT(ESCAPE_TEXT_BYTES);
    if (escape_help(&s->escape, is_possible, s, &text) < 0) return;
    say(s, "?", "");
    show(s, &text);
}

static void send_break(struct session *s)
{
    say(s, "B", "");
    session_send_break(s);
}

static void command_line(struct session *s)
{
    bool on = s->c->options.enable_escape_commandline;
    dprintf(s->text_fd, "%s\r\n", on ? "commandline: forwardings cannot be changed in this version" : "commandline disabled");
}

static void info(struct session *s)
{
    struct client *c = s->c;
    struct transport *t = wire_io_transport(c->wire);
    struct transport_chosen k;
    struct transport_traffic sum;
    char peer[256];
    transport_chosen(t, &k);
    transport_traffic(t, &sum);
    vis_line(transport_peer_ident(t), peer, sizeof peer);
    say(s, "I", "");
    dprintf(s->text_fd, "Connection to %s (%s port %d) as %s, ssh pid %d\r\n", c->host,
            c->address.len ? c->address_text.host : "by proxy", c->options.port, c->remote_user, (int)getpid());
    dprintf(s->text_fd, "  server %s\r\n  kex %s, host key %s\r\n", peer, k.kex, k.host_key);
    dprintf(s->text_fd, "  sending %s, MAC %s, compression %s\r\n", k.cipher_c2s, k.mac_c2s, k.compression_c2s);
    dprintf(s->text_fd, "  receiving %s, MAC %s, compression %s\r\n", k.cipher_s2c, k.mac_s2c, k.compression_s2c);
    dprintf(s->text_fd,
            "  sent %llu bytes in %llu packets, received %llu bytes in %llu packets, %llu key exchanges, %lld seconds\r\n",
            (unsigned long long)sum.bytes_out, (unsigned long long)sum.packets_out, (unsigned long long)sum.bytes_in,
            (unsigned long long)sum.packets_in, (unsigned long long)sum.rekeys, (long long)(loop_now(c->loop) - s->started) / 1000);
}

static void rekey(struct session *s)
{
    int err = transport_rekey(wire_io_transport(s->c->wire));
    if (err < 0) client_log(s->c, LOG_LEVEL_ERROR, "New keys cannot be exchanged: %s", err_text(err));
    conn_io_wake(s->c->conn_io);
}

static void set_log_level(struct session *s, const char *escape, int step)
{
    enum log_level *level = &s->c->sink.log.level;
    int wanted = (int)*level + step;
    char text[64];
    if (wanted >= LOG_LEVEL_QUIET && wanted < LOG_LEVEL_MAX) *level = (enum log_level)wanted;
    snprintf(text, sizeof text, " [LogLevel %s]", log_level_name(*level));
    say(s, escape, text);
}

static void quieter(struct session *s) { set_log_level(s, "V", -1); }
static void louder(struct session *s) { set_log_level(s, "v", 1); }

static void (*const acts[ESCAPE_ACTION_MAX])(struct session *) = {
    [ESCAPE_TERMINATE] = terminate,       [ESCAPE_SUSPEND] = suspend, [ESCAPE_LIST] = list,
    [ESCAPE_BACKGROUND] = background,     [ESCAPE_HELP] = help,       [ESCAPE_BREAK] = send_break,
    [ESCAPE_COMMAND_LINE] = command_line, [ESCAPE_INFO] = info,       [ESCAPE_REKEY] = rekey,
    [ESCAPE_QUIETER] = quieter,           [ESCAPE_LOUDER] = louder,
};

void session_escape_act(struct session *s, enum escape_action action)
{
    if (session_is_guest(s) && !is_possible(s, action)) {
        dprintf(s->text_fd, "This escape is not available in a session of a shared connection\r\n");
        return;
    }
    if (action < ESCAPE_ACTION_MAX && acts[action]) acts[action](s);
}
