/* Moving files and trees between this machine and an SFTP server, or two such servers, as sftp and scp do. Everything of a job is
 * in flight at once, as far as the path wants it: many requests of a large file, many small files, directories while their files
 * still come. What is in flight begins small and grows with the answers, so that a slow server is not buried.
 *
 * Where something goes wrong the job goes on with the rest: each failure is one line at LOG_LEVEL_ERROR. What a file has received
 * when its transfer ends early is a prefix of what was sent, without holes, so that it can be resumed. Names from the server are
 * never believed to be more than one component of a path. */
#pragma once

#include "io/sftp_conn.h"

struct transfer;

struct transfer_options {
    bool preserve;         /* times and modes (-p) */
    bool recursive;        /* directories too (-r); else they fail */
    bool follow_links;     /* symbolic links inside trees are followed; else they are left out, with a line */
    bool resume;           /* goes on where an earlier transfer ended. What is there already must be the same near its end */
    bool sync;             /* fsync each file where it is written; by extension on the server, which may not have it */
    uint64_t limit_bits_s; /* 0: none */
    size_t request_bytes;  /* data in one request; 0: what the server likes best */
    size_t requests_max;   /* in flight for all files; 0: as many as help */
};

/* What the job is doing, for a meter. All of it lent for the call. */
struct transfer_progress {
    const char *path;                   /* the file that moved last: its name on the side it comes from */
    uint64_t bytes, size_bytes;         /* of it; size 0: not known */
    uint64_t start_bytes;               /* that were there before: resumed */
    ms took_ms;                         /* since it began */
    uint64_t all_bytes, all_size_bytes; /* of the job so far; the size as far as it is known */
    size_t n_done, n_known;             /* files */
};
struct transfer_owner {
    /* A file begins (began true), moved on, or is done. NULL: nobody looks. */
    void (*progress)(void *arg, const struct transfer_progress *p, bool began, bool done);
    void *arg;
};

/* The connection stays the caller's and must have said hello. */
int transfer_new(struct sftp_conn *conn, struct loop *loop, const struct log *log, const struct transfer_options *options,
                 const struct transfer_owner *owner, struct transfer **ret) MUST_USE;
void transfer_free(struct transfer *t);
DEFINE_FREEP(struct transfer, transfer_free)

/* Adds a file, or a tree, to the job: from becomes to, which is a full name, not a directory to put it in. attrs: of the remote one
 * if they are known (links followed), else NULL. */
int transfer_get(struct transfer *t, const char *remote, const char *local, const struct sftp_attrs *attrs) MUST_USE;
int transfer_put(struct transfer *t, const char *local, const char *remote) MUST_USE;
/* The same from the job's server to another one, through our memory. A job that has one of these has nothing else and one such
 * server, which must have said hello too: else ERR_STATE. Not resumed; what is there after a failure may have holes. */
int transfer_across(struct transfer *t, struct sftp_conn *to, const char *remote, const char *there, const struct sftp_attrs *attrs)
    MUST_USE;
/* Turns the loop until all of it is done. 0: everything is there; ERR_DENIED: something failed and was said; ERR_CANCELLED:
 * transfer_stop was called; others: the connection is over. */
int transfer_run(struct transfer *t) MUST_USE;
/* Begins nothing more and ends what is on its way, each file with what it has, which transfer_free says at LOG_LEVEL_INFO; from a
 * signal's function in the loop. */
void transfer_stop(struct transfer *t);
