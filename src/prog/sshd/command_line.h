/* sshd's command line (sshd(8)). */
#pragma once

#include "base/buf.h"
#include "base/strv.h"
#include "conf/sshd_options.h"

enum command_line_mode {
    MODE_SERVE,
    MODE_TEST,      /* -t */
    MODE_DUMP,      /* -T: with keys checked */
    MODE_DUMP_ONLY, /* -G */
    MODE_VERSION,   /* -V */
};

struct command_line {
    enum command_line_mode mode;
    const char *config_path;  /* -f, or NULL: the default */
    const char *log_file;     /* -E */
    bool no_detach;           /* -D */
    bool inetd;               /* -i */
    bool log_stderr;          /* -e */
    bool quiet;               /* -q */
    unsigned debug;           /* -d, at most 3 */
    unsigned utmp_host_bytes; /* -u; 0: no names from DNS */
    struct strv settings;     /* "Keyword=value" of -o, -p, -h, -c, -g, -4, -6 */
    bool has_test_spec;       /* -C was given */
    struct strv test_spec;    /* "user=x" ... of it */
};

/* ERR_FORMAT after the usage or a sentence was written to stderr. */
int command_line_parse(int argc, char **argv, struct command_line *ret) MUST_USE;
/* The connection of -C; NULL fields were not given. Strings lent by c. */
struct sshd_conf_ctx command_line_test_ctx(const struct command_line *c);
void command_line_done(struct command_line *c);
