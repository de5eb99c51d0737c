/* Who is logged in (utmp), who was (wtmp, btmp), and when last (lastlog). A missing file is no error: the system then keeps no such
 * record. Formats: utmp(5); lastlog is a sparse array of {int32 time, char line[32], char host[256]} indexed by uid. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

struct sock_addr;

struct login_record {
    pid_t pid;        /* of who keeps the session's records */
    const char *line; /* terminal, with or without /dev/ */
    const char *user;
    const char *host;             /* as to be shown; cut to the field */
    const struct sock_addr *addr; /* NULL: unknown */
    int64_t wall_s;
};

/* NULL members: the system's files. Tests give their own. */
struct login_record_files {
    const char *utmp, *wtmp, *btmp, *lastlog;
};

/* Best effort: each file is tried, the first error is given. files may be NULL. */
int login_record_login(const struct login_record_files *files, const struct login_record *r, uid_t uid) MUST_USE;
int login_record_logout(const struct login_record_files *files, const struct login_record *r) MUST_USE;
/* Logs out what stands in utmp with this pid, which ended without doing so. */
int login_record_lost(const struct login_record_files *files, pid_t pid, int64_t wall_s) MUST_USE;
int login_record_failed(const struct login_record_files *files, const struct login_record *r) MUST_USE;

enum {
    LOGIN_RECORD_HOST_BYTES = 257,
    LOGIN_RECORD_LINE_BYTES = 33
};
struct login_record_last {
    int64_t wall_s; /* 0: never */
    char host[LOGIN_RECORD_HOST_BYTES];
    char line[LOGIN_RECORD_LINE_BYTES];
};
/* ERR_NOT_FOUND: no file, or no entry of that user. */
int login_record_last(const struct login_record_files *files, uid_t uid, struct login_record_last *ret) MUST_USE;
