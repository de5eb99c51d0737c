/* The progress meter of sftp and scp, one line that is written over:
 *     name                 34%  120MB  45.2MB/s   00:05 ETA
 * A file that is done leaves its line. While several are on their way the moving line is that of the whole job, with the number of
 * files in place of the name. Nothing is written while the terminal has another process in front. Takes the terminal's width anew
 * for each line. */
#pragma once

#include "io/transfer.h"

struct meter;

/* fd: usually 1; nothing is shown if it is no terminal. */
int meter_new(struct loop *loop, int fd, struct meter **ret) MUST_USE;
void meter_free(struct meter *m); /* ends a line that stands half way */
DEFINE_FREEP(struct meter, meter_free)

/* For struct transfer_owner, arg being the meter. Whoever moves files by other means fills the struct himself. */
void meter_progress(void *meter, const struct transfer_progress *p, bool began, bool done);
/* Clears the moving line, so that a message can stand there; it comes back with the next movement. NULL is fine. */
void meter_make_way(struct meter *m);

/* The line itself, without \r: width columns less one, always NUL-terminated. */
struct meter_line {
    const char *name; /* made fit for a terminal here */
    uint64_t bytes;
    uint64_t bytes_s; /* the rate */
    int percent;
    ms time_ms; /* until its end; if done, that it took; MS_NEVER: not known */
    bool done, stalled;
};
enum {
    METER_LINE_BYTES = 4096
};
void meter_format(const struct meter_line *l, unsigned width, char ret_line[METER_LINE_BYTES]);
