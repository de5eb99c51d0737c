/* Names of signals in "signal" and "exit-signal" (RFC 4254 6.9, 6.10; OpenSSH PROTOCOL: INFO@openssh.com). */
#pragma once

#include "base/view.h"

/* SIGINFO, which Linux has not: what it does is for the owner to say. */
enum {
    SIGNALS_INFO = 1000
};

/* The number for a name without "SIG", 0 when it is unknown. */
int signals_number(struct view name);
/* The name for a number, NULL when the protocol has none for it. */
const char *signals_name(int number);
