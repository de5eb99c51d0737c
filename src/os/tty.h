/* The user's terminal: raw mode, its size, secrets typed into it, and its modes in the form of RFC 4254 8. */
#pragma once

#include "base/buf.h"

#include <termios.h>

bool tty_is(int fd);
/* Its width in columns, 80 where it does not say. */
unsigned tty_width(int fd);
/* It is a terminal, and this process is one of those in front. */
bool tty_in_foreground(int fd);

/* Raw mode of fd. The object keeps the modes to come back to. */
struct tty_raw {
    int fd;
    bool active;
    struct termios saved;
};
#define TTY_RAW_INIT \
    {                \
        -1, false    \
    }
/* Enters; keep_signals leaves ^C and the like with the terminal (ISIG). Entering twice is one entering. */
int tty_raw_enter(struct tty_raw *t, int fd, bool keep_signals) MUST_USE;
/* Restores. For CLEANUP and atexit too; nothing when not active. Async-signal-safe. */
void tty_raw_leave(struct tty_raw *t);
/* Restores t's terminal when a fatal signal (HUP INT QUIT TERM, ABRT SEGV BUS FPE ILL, if at their default action) ends the
 * process, which then dies of that signal. t lives as long as the process; one terminal per process; NULL: no longer. Signals given
 * to loop_signal are the program's own matter. */
int tty_raw_guard(struct tty_raw *t) MUST_USE;

/* Prompt on /dev/tty (or, where there is none and use_stdin, on stderr and stdin) and read a line without its end. With echo off
 * and a terminal left as it was also when a signal (INT TERM HUP QUIT TSTP ...) comes, which is then raised again. Appends to out,
 * which should be a secret buf. ERR_NOT_FOUND: no terminal; ERR_CANCELLED: interrupted or end of file before any byte; ERR_LIMIT:
 * longer than out takes. */
struct tty_prompt {
    const char *text; /* already fit for a terminal (vis_text) */
    bool echo;
    bool use_stdin;  /* read stdin when there is no /dev/tty */
    bool stdin_only; /* never /dev/tty */
};
int tty_read_line(const struct tty_prompt *prompt, struct buf *out) MUST_USE;

/* Encoded terminal modes (RFC 4254 8) as pairs. Opcodes 128 and 129 are the speeds in bit/s. */
struct tty_mode {
    uint8_t opcode;
    uint32_t value;
};
enum {
    TTY_MODES_MAX = 96
};
/* The modes of fd. ret has room for TTY_MODES_MAX. ERR_SYS(ENOTTY): *ret_n is 0. */
int tty_modes_get(int fd, struct tty_mode *ret, size_t *ret_n) MUST_USE;
/* Sets those it knows, ignores the others (as 4254 8 says). */
int tty_modes_set(int fd, const struct tty_mode *modes, size_t n) MUST_USE;
