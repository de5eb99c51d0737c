/* Where log lines go. A `struct log` is made by the program (prog/ or io/) and handed down by pointer; NULL is allowed everywhere
 * and swallows all. Library folders log at debug levels only. */
#pragma once

#include "base/attr.h"
#include "base/view.h"

/* OpenSSH's levels, in its order. */
enum log_level {
    LOG_LEVEL_QUIET,
    LOG_LEVEL_FATAL,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_INFO,
    LOG_LEVEL_VERBOSE,
    LOG_LEVEL_DEBUG1,
    LOG_LEVEL_DEBUG2,
    LOG_LEVEL_DEBUG3,
    LOG_LEVEL_MAX
};

struct log {
    enum log_level level; /* most talkative level that is written */
    /* Gets each line without newline, already escaped (vis.h), and without a "debug1: " prefix: the sink adds what its target
     * wants. */
    void (*sink)(void *arg, enum log_level level, const char *line);
    void *arg;
};

static inline bool log_wants(const struct log *log, enum log_level level) { return log && level <= log->level; }

/* Formats, escapes control characters (so that a peer's bytes never reach a terminal or a log raw), and hands to the sink.
 * Lines over LOG_LINE_BYTES are cut. */
enum {
    LOG_LINE_BYTES = 8192
};
void log_at(const struct log *log, enum log_level level, const char *fmt, ...) PRINTF(3, 4);
#define log_error(log, ...) log_at(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_info(log, ...) log_at(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_verbose(log, ...) log_at(log, LOG_LEVEL_VERBOSE, __VA_ARGS__)
#define log_debug(log, ...) log_at(log, LOG_LEVEL_DEBUG1, __VA_ARGS__)
#define log_debug2(log, ...) log_at(log, LOG_LEVEL_DEBUG2, __VA_ARGS__)
#define log_debug3(log, ...) log_at(log, LOG_LEVEL_DEBUG3, __VA_ARGS__)
/* For %.*s */
#define VIEW_ARG(v) (int)(v).len, (v).p ? (const char *)(v).p : ""

/* "QUIET".."DEBUG3" ("DEBUG" is DEBUG1, "SILENT" is QUIET). -1 for an unknown name. */
int log_level_from_name(const char *name);
const char *log_level_name(enum log_level level);
