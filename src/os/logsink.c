/* Log targets. Syslog is spoken directly (RFC 3164's form, as libc does) over a socket of our own: nothing of the process's global
 * state, and which system calls a line costs is known, which matters in a sandbox. */
#include "os/logsink.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <syslog.h>
#include <unistd.h>

static const char dev_log[] = "/dev/log";

static const struct {
    const char *prefix;
    bool is_error; /* the prefix is put only with name_errors */
    int priority;
} levels[LOG_LEVEL_MAX] = {
    [LOG_LEVEL_FATAL] = { "fatal: ", true, LOG_CRIT },
    [LOG_LEVEL_ERROR] = { "error: ", true, LOG_ERR },
    [LOG_LEVEL_INFO] = { "", false, LOG_INFO },
    [LOG_LEVEL_VERBOSE] = { "", false, LOG_INFO },
    [LOG_LEVEL_DEBUG1] = { "debug1: ", false, LOG_DEBUG },
    [LOG_LEVEL_DEBUG2] = { "debug2: ", false, LOG_DEBUG },
    [LOG_LEVEL_DEBUG3] = { "debug3: ", false, LOG_DEBUG },
};

static const struct {
    const char *name;
    int facility;
} facilities[] = {
    { "DAEMON", LOG_DAEMON }, { "USER", LOG_USER },     { "AUTH", LOG_AUTH },     { "AUTHPRIV", LOG_AUTHPRIV },
    { "LOCAL0", LOG_LOCAL0 }, { "LOCAL1", LOG_LOCAL1 }, { "LOCAL2", LOG_LOCAL2 }, { "LOCAL3", LOG_LOCAL3 },
    { "LOCAL4", LOG_LOCAL4 }, { "LOCAL5", LOG_LOCAL5 }, { "LOCAL6", LOG_LOCAL6 }, { "LOCAL7", LOG_LOCAL7 },
};

static const char *prefix_of(const struct logsink *s, enum log_level level)
{
    const char *prefix = level < LOG_LEVEL_MAX ? levels[level].prefix : NULL;
    return !prefix || (levels[level].is_error && !s->name_errors) ? "" : prefix;
}

/* One write, so that lines of several processes on one target do not mix. Nothing can be done about an error. */
static void sink_fd(void *arg, enum log_level level, const char *line)
{
    struct logsink *s = arg;
    char text[LOG_LINE_BYTES + 32];
    int n = snprintf(text, sizeof text, "%s%s%s", prefix_of(s, level), line, s->crlf ? "\r\n" : "\n");
    if (n > 0 && s->fd >= 0) (void)!fd_write_all(s->fd, view_of(text, MIN((size_t)n, sizeof text - 1)));
}

static void syslog_connect(struct logsink *s)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    memcpy(to.sun_path, dev_log, sizeof dev_log);
    fd_close(s->fd);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0) return;
    if (connect(s->fd, (const struct sockaddr *)&to, sizeof to) == 0) return;
    fd_close(s->fd);
    s->fd = -1;
}

static bool syslog_send(const struct logsink *s, const char *text, size_t len)
{
    return s->fd >= 0 && send(s->fd, text, len, MSG_NOSIGNAL) >= 0;
}

static void sink_syslog(void *arg, enum log_level level, const char *line)
{
    struct logsink *s = arg;
    char text[LOG_LINE_BYTES + 256], when[32];
    clock_text(clock_wall_s(), "%b %e %H:%M:%S", when, sizeof when);
    int priority = level < LOG_LEVEL_MAX ? levels[level].priority : LOG_INFO;
    int n = snprintf(text, sizeof text, "<%d>%s %s[%d]: %s%s", s->facility | priority, when, s->ident, (int)getpid(),
                     prefix_of(s, level), line);
    if (n <= 0) return;
    size_t len = MIN((size_t)n, sizeof text - 1);
    if (syslog_send(s, text, len)) return;
    /* The daemon was not there yet, or has been restarted. */
    syslog_connect(s);
    (void)syslog_send(s, text, len);
}

void logsink_init_fd(struct logsink *s, enum log_level level, int fd)
{
    *s = (struct logsink){ .log = { .level = level, .sink = sink_fd, .arg = s }, .fd = fd, .crlf = true };
}

int logsink_init_file(struct logsink *s, enum log_level level, const char *path)
{
    int fd = -1;
    TRY(file_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0600, &fd));
    logsink_init_fd(s, level, fd);
    s->owns_fd = true;
    return 0;
}

void logsink_init_syslog(struct logsink *s, enum log_level level, const char *ident, int facility)
{
    *s = (struct logsink){
        .log = { .level = level, .sink = sink_syslog, .arg = s },
        .fd = -1,
        .owns_fd = true,
        .name_errors = true,
        .is_syslog = true,
        .facility = facility,
        .ident = ident,
    };
}

void logsink_open_now(struct logsink *s)
{
    char when[32];
    clock_text(0, "%H", when, sizeof when);
    if (s->is_syslog && s->fd < 0) syslog_connect(s);
}

void logsink_done(struct logsink *s)
{
    if (s->owns_fd) fd_close(s->fd);
    s->fd = -1;
    s->log.sink = sink_fd;
}

int logsink_facility_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(facilities); i++)
        if (strcasecmp(facilities[i].name, name) == 0) return facilities[i].facility;
    return -1;
}

const char *logsink_facility_name(int facility)
{
    for (size_t i = 0; i < ARRAY_LEN(facilities); i++)
        if (facilities[i].facility == facility) return facilities[i].name;
    return NULL;
}
