/* What ps shows. The kernel shows the bytes where argv and the environment stood at start, so that area is taken over: one per
 * process, kept at file scope because it is a property of the process. */
#pragma once

#include "base/attr.h"

/* In main, before argv or the environment are used elsewhere: moves both out of the area. argv[] and environ point to copies
 * afterwards. Without memory the titles are just never set. */
void proctitle_init(int argc, char **argv);
/* "sshd: user [priv]": the whole line. Cut to the area. */
void proctitle_set(const char *fmt, ...) PRINTF(1, 2);
