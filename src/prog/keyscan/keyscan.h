/* ssh-keyscan's parts, for the files of its folder only: main.c (command line), targets.c (hosts from arguments, files and ranges,
 * one at a time), scan.c (many connections on one loop, each up to the host key), print.c (what is found). */
#pragma once

#include "base/ip_match.h"
#include "base/strv.h"
#include "key/key.h"
#include "os/logsink.h"

#include <stdio.h>

enum {
    EXIT_FOUND = 0,
    EXIT_NOTHING = 1,
    EXIT_FATAL = 255,
    KEYSCAN_TYPES = 5,
    KEYSCAN_PARALLEL_MAX = 1024,   /* connections at once: more only make each one slower */
    KEYSCAN_FDS_KEPT = 32,         /* descriptors that are not for connections */
    KEYSCAN_LINE_BYTES_MAX = 8192, /* of a file of hosts */
};

struct keyscan_options {
    int family; /* AF_UNSPEC, AF_INET, AF_INET6 */
    bool certs, sshfp, hashed, quiet;
    bool has_sshfp_hash;
    enum digest_alg sshfp_hash; /* the only one, if has_sshfp_hash */
    uint16_t port;
    int timeout_s;
    unsigned types; /* bits of keyscan_types */
    struct strv files;
    char *const *args;
    size_t n_args;
};

struct keyscan_type {
    const char *name;
    const char *plain, *cert; /* host key algorithms for KEXINIT */
};
extern const struct keyscan_type keyscan_types[KEYSCAN_TYPES];

/* ---- targets.c ---- */
/* Where to connect, and by which names that is to be known: lists with commas. */
struct target {
    char *addresses; /* the first that can be reached counts */
    char *names;
};
void target_done(struct target *t);
struct targets {
    const struct keyscan_options *options;
    size_t next_arg, next_file;
    FILE *file;
    struct ip_addr at, last; /* of the range in work */
    bool in_range;
    int err; /* an error that ends the program; said */
};
/* False: that was all, or t->err. A target has to be done by target_done. */
bool targets_next(struct targets *t, struct target *ret);
void targets_done(struct targets *t);

/* ---- scan.c ---- the exit status */
int scan_all(const struct keyscan_options *o, struct log *log);

/* ---- print.c ---- */
/* "# host:port SSH-2.0-..." on stderr, unless quiet. */
void print_banner(const struct keyscan_options *o, const char *host, struct view ident);
/* A key under each of the names. False: it is of no use (no SSHFP number, broken). */
bool print_key(const struct keyscan_options *o, const char *names, struct view key);
