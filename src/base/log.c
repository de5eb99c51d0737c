/* Formatting of log lines; the names of the levels. */
#include "base/log.h"
#include "base/vis.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

static const char *const names[LOG_LEVEL_MAX] = { "QUIET", "FATAL", "ERROR", "INFO", "VERBOSE", "DEBUG1", "DEBUG2", "DEBUG3" };

void log_at(const struct log *log, enum log_level level, const char *fmt, ...)
{
    if (!log_wants(log, level)) return;
    char raw[LOG_LINE_BYTES], line[LOG_LINE_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(raw, sizeof raw, fmt, args);
    va_end(args);
    if (n < 0) return;
    vis_line(view_of(raw, MIN((size_t)n, sizeof raw - 1)), line, sizeof line);
    log->sink(log->arg, level, line);
}

int log_level_from_name(const char *name)
{
    if (strcasecmp(name, "DEBUG") == 0) return LOG_LEVEL_DEBUG1;
    if (strcasecmp(name, "SILENT") == 0) return LOG_LEVEL_QUIET;
    for (int i = 0; i < LOG_LEVEL_MAX; i++)
        if (strcasecmp(names[i], name) == 0) return i;
    return -1;
}

const char *log_level_name(enum log_level level) { return level < LOG_LEVEL_MAX ? names[level] : "?"; }
