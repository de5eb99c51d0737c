/* Raw mode and its restoration. The guard's pointer is at file scope because a signal handler can reach nothing else. */
#include "os/tty.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct tty_raw *volatile guarded;

enum {
    USUAL_WIDTH = 80
};

bool tty_is(int fd) { return isatty(fd) == 1; }

unsigned tty_width(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : USUAL_WIDTH;
}

bool tty_in_foreground(int fd) { return tcgetpgrp(fd) == getpgrp(); }

static int set_modes(int fd, const struct termios *t)
{
    int n;
    do n = tcsetattr(fd, TCSADRAIN, t);
    while (n < 0 && errno == EINTR);
    return n < 0 ? ERR_SYS(errno) : 0;
}

int tty_raw_enter(struct tty_raw *t, int fd, bool keep_signals)
{
    if (t->active) return 0;
    if (tcgetattr(fd, &t->saved) < 0) return ERR_SYS(errno);
    struct termios raw = t->saved;
    raw.c_iflag |= IGNPAR;
    raw.c_iflag &= ~(tcflag_t)(ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXANY | IXOFF | IUCLC);
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHOE | ECHOK | ECHONL | IEXTEN | (keep_signals ? 0 : ISIG));
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    TRY(set_modes(fd, &raw));
    t->fd = fd;
    t->active = true;
    return 0;
}

void tty_raw_leave(struct tty_raw *t)
{
    if (!t->active) return;
    t->active = false;
    (void)set_modes(t->fd, &t->saved);
}

static void on_fatal(int number)
{
    int saved = errno;
    if (guarded) tty_raw_leave(guarded);
    errno = saved;
    /* SA_RESETHAND: the signal is at its default again and arrives when this handler returns. */
    raise(number);
}

int tty_raw_guard(struct tty_raw *t)
{
    static const int fatal[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    guarded = t;
    struct sigaction ours = { .sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND }, none = { .sa_handler = SIG_DFL };
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++) {
        struct sigaction old;
        if (sigaction(fatal[i], NULL, &old) < 0) return ERR_SYS(errno);
        bool change = t ? old.sa_handler == SIG_DFL : old.sa_handler == on_fatal;
        if (change && sigaction(fatal[i], t ? &ours : &none, NULL) < 0) return ERR_SYS(errno);
    }
    return 0;
}
