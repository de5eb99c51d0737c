/* Reading a line from the user, who may press ^C or ^Z while the echo is off. The signals are blocked but while waiting (ppoll), so
 * that each is seen either before or in the wait; they are noted, the terminal is put right, and then they are raised as if nobody
 * had caught them. The notes are at file scope because a handler can reach nothing else. */
#include "os/fd.h"
#include "os/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGALRM };
enum {
    CAUGHT = ARRAY_LEN(caught)
};

static volatile sig_atomic_t seen[_NSIG];

static void on_signal(int number) { seen[number] = 1; }

struct signals {
    struct sigaction old[CAUGHT];
    sigset_t mask, waiting;
};

static void signals_catch(struct signals *s)
{
    sigset_t block;
    sigemptyset(&block);
    for (size_t i = 0; i < CAUGHT; i++) sigaddset(&block, caught[i]);
    sigprocmask(SIG_BLOCK, &block, &s->mask);
    s->waiting = s->mask;
    struct sigaction ours = { .sa_handler = on_signal };
    for (size_t i = 0; i < CAUGHT; i++) {
        seen[caught[i]] = 0;
        sigdelset(&s->waiting, caught[i]);
        sigaction(caught[i], &ours, &s->old[i]);
        if (s->old[i].sa_handler == SIG_IGN) sigaction(caught[i], &s->old[i], NULL);
    }
}

/* Gives the signals back and raises those that were seen. */
static void signals_release(struct signals *s)
{
    for (size_t i = 0; i < CAUGHT; i++) sigaction(caught[i], &s->old[i], NULL);
    for (size_t i = 0; i < CAUGHT; i++)
        if (seen[caught[i]]) raise(caught[i]);
    sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

static bool any_seen(void)
{
    for (size_t i = 0; i < CAUGHT; i++)
        if (seen[caught[i]]) return true;
    return false;
}

/* One byte, or end of file (*ret_n 0). ERR_CANCELLED on a signal. */
static int read_byte(int fd, const struct signals *s, uint8_t *ret, size_t *ret_n)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = ppoll(&p, 1, NULL, &s->waiting);
        if (any_seen()) return ERR_CANCELLED;
        if (n < 0 && errno != EINTR) return ERR_SYS(errno);
        if (n <= 0) continue;
        int err = fd_read(fd, ret, 1, ret_n);
        if (err != ERR_AGAIN) return err;
    }
}

static int read_line(int fd, const struct signals *s, struct buf *out)
{
    size_t before = buf_len(out), n = 0, count = 0;
    uint8_t c = 0;
    int err, over = 0;
    while ((err = read_byte(fd, s, &c, &n)) == 0 && n == 1 && c != '\n' && c != '\r') {
        count++;
        if (!over) over = buf_put_u8(out, c);
    }
    c = 0;
    if (err == 0) err = over;
    if (err == 0 && n == 0 && count == 0) err = ERR_CANCELLED;
    if (err < 0) buf_truncate(out, before);
    return err;
}

struct terminal {
    int in, out;
    bool is_tty, owned;
    struct termios saved;
};

static void terminal_done(struct terminal *t)
{
    if (t->owned) fd_close(t->in);
}

static int terminal_open(const struct tty_prompt *prompt, struct terminal *t)
{
    *t = (struct terminal){ .in = -1, .out = STDERR_FILENO };
    if (!prompt->stdin_only) t->in = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    t->owned = t->in >= 0;
    if (t->owned) t->out = t->in;
    if (!t->owned && !prompt->use_stdin && !prompt->stdin_only) return ERR_NOT_FOUND;
    if (!t->owned) t->in = STDIN_FILENO;
    t->is_tty = tcgetattr(t->in, &t->saved) == 0;
    return 0;
}

/* The line discipline edits the line, whatever mode the terminal was in. */
static int terminal_prepare(const struct terminal *t, bool echo)
{
    if (!t->is_tty) return 0;
    struct termios cooked = t->saved;
    cooked.c_iflag |= ICRNL;
    cooked.c_oflag |= OPOST | ONLCR;
    cooked.c_lflag |= ICANON | ISIG;
    cooked.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    if (echo) cooked.c_lflag |= ECHO | ECHOE;
    return tcsetattr(t->in, TCSAFLUSH, &cooked) < 0 ? ERR_SYS(errno) : 0;
}

static int ask_once(const struct tty_prompt *prompt, const struct terminal *t, const struct signals *s, struct buf *out)
{
    TRY(terminal_prepare(t, prompt->echo));
    int err = prompt->text ? fd_write_all(t->out, view_str(prompt->text)) : 0;
    if (err == 0) err = read_line(t->in, s, out);
    if (!t->is_tty) return err;
    /* The user's own newline was not echoed. */
    if (!prompt->echo || err == ERR_CANCELLED) (void)!write(t->out, "\n", 1);
    tcsetattr(t->in, TCSAFLUSH, &t->saved);
    return err;
}

int tty_read_line(const struct tty_prompt *prompt, struct buf *out)
{
    CLEANUP(terminal_done) struct terminal t;
    TRY(terminal_open(prompt, &t));
    for (;;) {
        struct signals s;
        signals_catch(&s);
        int err = ask_once(prompt, &t, &s, out);
        bool stopped = seen[SIGTSTP] && !seen[SIGINT] && !seen[SIGTERM] && !seen[SIGHUP] && !seen[SIGQUIT] && !seen[SIGALRM];
        signals_release(&s);
        /* After ^Z and fg the question is asked anew. */
        if (!(err == ERR_CANCELLED && stopped)) return err;
    }
}
