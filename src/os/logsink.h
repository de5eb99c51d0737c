/* Where log lines end: stderr, a file, syslog. Fill a struct logsink by one of the _init functions, hand &s.log down. */
#pragma once

#include "base/log.h"
#include "base/err.h"

/* Must stay where it is after _init: log.arg points to it. */
struct logsink {
    struct log log; /* level may be changed at any time */
    int fd;         /* -1: no target now, lines are lost */
    bool owns_fd;
    bool crlf;        /* lines end in \r\n, as OpenSSH's on stderr and in -E files do, so that they look right on a raw terminal */
    bool name_errors; /* "error: " and "fatal: " before such lines, as in syslog; "debugN: " is always put */
    bool is_syslog;
    int facility;
    const char *ident; /* syslog; lent */
};

/* Lines to fd (usually 2, not owned). */
void logsink_init_fd(struct logsink *s, enum log_level level, int fd);
/* -E: appends to a file. */
int logsink_init_file(struct logsink *s, enum log_level level, const char *path) MUST_USE;
/* To the syslog socket; the process id is put behind ident. Without a syslog daemon lines are lost. ident is lent for good. */
void logsink_init_syslog(struct logsink *s, enum log_level level, const char *ident, int facility);
void logsink_done(struct logsink *s);
/* Before chroot and sandbox, which let nothing be opened afterwards: connects and loads the time zone. */
void logsink_open_now(struct logsink *s);

/* "AUTH", "DAEMON", "USER", "AUTHPRIV", "LOCAL0".. to LOG_AUTH.. of syslog(3), any case. -1: unknown. */
int logsink_facility_from_name(const char *name);
const char *logsink_facility_name(int facility);
