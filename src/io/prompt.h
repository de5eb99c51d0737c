/* Asking the user: on the terminal, or by the program of SSH_ASKPASS where there is none (ssh(1), ENVIRONMENT: DISPLAY,
 * WAYLAND_DISPLAY, SSH_ASKPASS, SSH_ASKPASS_REQUIRE). */
#pragma once

#include "base/buf.h"
#include "base/log.h"

#include <sys/types.h>

struct prompt {
    const struct log *log; /* says why askpass could not be started */
    const char *text;      /* may be foreign: it is escaped before it is shown */
    bool echo;
    bool from_stdin;   /* read standard input, whatever it is, and not /dev/tty; askpass if it is no terminal (ssh-add) */
    bool may_be_piped; /* where standard input is no terminal: askpass, or without a display standard input itself (ssh-keygen) */
};
/* Waits for the line and appends it, without its end, to out, which should be a secret buf. ERR_NOT_FOUND: nobody to ask;
 * ERR_CANCELLED: the user would not, or the end of the input; ERR_LIMIT: longer than out takes. */
int prompt_ask(const struct prompt *p, struct buf *out) MUST_USE;

/* A question whose answer is yes or no, put by askpass and nothing else (SSH_ASKPASS_PROMPT=confirm), without waiting: for a
 * process with a loop. The program writes to *ret_fd, which is the caller's to read to its end, and to close; then its status
 * counts. ERR_NOT_FOUND: no display, or askpass could not be started (said), or SSH_ASKPASS_REQUIRE forbids it. */
int prompt_confirm_start(const struct log *log, const char *text, int *ret_fd, pid_t *ret_pid) MUST_USE;
/* Whether that was a yes: status 0, and nothing or "yes" as the first line. */
bool prompt_confirm_is_yes(int status, struct view answer);

/* A secret, asked for by askpass in the same way; the first line of what it writes is the answer if its status is 0. */
int prompt_secret_start(const struct log *log, const char *text, int *ret_fd, pid_t *ret_pid) MUST_USE;
struct view prompt_first_line(struct view answer); /* without its end; lent by answer */

/* A notice (touch the security key) in askpass's window (SSH_ASKPASS_PROMPT=none), until its end is told. ERR_NOT_FOUND: as above.
 */
int prompt_notice_start(const struct log *log, const char *text, pid_t *ret_pid) MUST_USE;
void prompt_notice_end(pid_t pid); /* 0: there is none */
