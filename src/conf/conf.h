/* The parser of ssh_config and sshd_config, common to both. Options themselves: conf/ssh_options.h and conf/sshd_options.h.
 *
 * Two stages:
 *   1. conf_parse() turns the bytes of a file and of what it includes into an image (struct conf_image): a flat,
 * position-independent run of records, in which a Host or Match block that does not apply is jumped over in one step. Every value
 * is checked here, also in blocks that will not apply, so that all errors of a file come out at once, as OpenSSH does it.
 *   2. ssh_options_eval() and sshd_options_eval() walk the image for one destination or connection. The first value wins.
 * The image holds no pointers: sshd's listener makes it once and hands the bytes to each session in a memfd.
 *
 * Nothing here opens files, reads the environment, runs commands or looks up accounts: callbacks do. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/strv.h"
#include "base/view.h"

enum {
    CONF_FILE_BYTES_MAX = 64 << 20, /* of one file */
    CONF_IMAGE_BYTES_MAX = 256 << 20,
    CONF_LINE_BYTES_MAX = 1 << 20, /* a longer line is an error, not a crash */
    CONF_INCLUDE_DEPTH_MAX = 16,
    CONF_ARGS_MAX = 4096,  /* on one line */
    CONF_LIST_MAX = 65536, /* values that one accumulating option may collect */
    CONF_DIAG_MAX = 1000,  /* messages kept for one parse; later ones are counted only */
};

enum conf_program {
    CONF_SSH,
    CONF_SSHD
};

/* What was said about a configuration: complete lines, ready to print, with the file and line in front. */
struct conf_diag {
    struct strv errors;   /* "FILE line 3: invalid time value." in OpenSSH's words with more behind them */
    struct strv warnings; /* deprecated keywords and the like; to be printed at error level by sshd, at info by ssh */
    size_t n_errors;      /* also those not kept */
};
#define CONF_DIAG_INIT          \
    {                           \
        STRV_INIT, STRV_INIT, 0 \
    }
void conf_diag_done(struct conf_diag *d);
/* Appends one finished error / warning line. Running out of memory loses the line, not the count. */
void conf_diag_error(struct conf_diag *d, const char *fmt, ...) PRINTF(2, 3);
void conf_diag_warn(struct conf_diag *d, const char *fmt, ...) PRINTF(2, 3);

/* What Include needs from the caller. The pattern is as written: tokens, ~ and ${ENV} are the caller's to expand and relative
 * names its to complete (~/.ssh or /etc/ssh), since only it knows the user. It calls conf_include_file() once for each file found,
 * in order. A pattern that finds nothing is no error. */
struct conf_include;
struct conf_reader {
    int (*include)(void *arg, const char *pattern, struct conf_include *into); /* 0 or an error with what it said in diag */
    void *arg;
};
int conf_include_file(struct conf_include *into, const char *file_name, struct view bytes) MUST_USE;
/* For the callback: the file that could not be read; becomes an error with the Include's file and line in front. */
void conf_include_error(struct conf_include *into, const char *fmt, ...) PRINTF(2, 3);

/* The algorithms the build has; conf/ may not know crypto/, so the caller hands them in. Comma-separated, in our order of
 * preference. Lists given by the user are checked against `supported` and expanded (+ - ^ and wildcards) against `defaults`. */
enum conf_algs {
    CONF_ALGS_KEX,
    CONF_ALGS_CIPHERS,
    CONF_ALGS_MACS,
    CONF_ALGS_KEYS,    /* HostKeyAlgorithms, PubkeyAcceptedAlgorithms, HostbasedAcceptedAlgorithms */
    CONF_ALGS_CA_SIGS, /* CASignatureAlgorithms */
    CONF_ALGS_MAX
};
struct conf_algorithms {
    const char *supported[CONF_ALGS_MAX];
    const char *defaults[CONF_ALGS_MAX];
};
/* "+a,b" appends, "-pat" removes by pattern, "^a" puts first, else `list` itself; a NULL or empty list gives the defaults. Names
 * may be patterns (a `*` takes all supported ones that match). Names the build does not have: ERR_UNSUPPORTED with the first of
 * them in ret_bad (lent by list). Result owned by the caller. */
int conf_algorithms_expand(enum conf_algs kind, const struct conf_algorithms *algs, const char *list, char **ret_list,
                           struct view *ret_bad) MUST_USE;

struct conf_parse_args {
    enum conf_program program;
    const char *file_name;              /* as messages name it */
    const struct conf_reader *reader;   /* NULL: Include is an error */
    const struct conf_algorithms *algs; /* NULL: algorithm names are not checked */
    const char *ignore_unknown;         /* ssh: IgnoreUnknown patterns already known from the command line, or NULL */
    bool is_user_file;                  /* ssh: ~/.ssh/config rather than /etc/ssh/ssh_config */
    struct conf_diag *diag;
};

/* An image; owned bytes in `mem`, or borrowed ones (a mapping) with mem empty. */
struct conf_image {
    struct view bytes;
    struct buf mem;
};
#define CONF_IMAGE_INIT                             \
    {                                               \
        { NULL, 0 }, BUF_INIT(CONF_IMAGE_BYTES_MAX) \
    }
void conf_image_done(struct conf_image *img);

/* ERR_FORMAT when diag has errors (all of the file, then the "terminating, N bad configuration options" line); *ret is then
 * untouched. */
int conf_parse(const struct conf_parse_args *args, struct view bytes, struct conf_image *ret) MUST_USE;
/* Checks bytes that came from another process and makes an image that borrows them: they must outlive it. ERR_FORMAT if anything is
 * wrong. */
int conf_image_open(enum conf_program program, struct view bytes, struct conf_image *ret) MUST_USE;

/* The words of a command in an option (AuthorizedKeysCommand), by the same rules of quoting as the file's; nothing is expanded.
 * ERR_FORMAT: a quote is not closed. Appends. */
int conf_command_split(const char *command, struct strv *ret_words) MUST_USE;

/* Where a value came from. */
enum conf_source {
    CONF_UNSET,
    CONF_DEFAULT,
    CONF_COMMAND_LINE,
    CONF_FILE,
    CONF_MATCH /* sshd: from a Match block of a file */
};
struct conf_origin {
    uint16_t source;   /* enum conf_source */
    uint16_t file_idx; /* into the options' origin_files, for CONF_FILE and CONF_MATCH */
    uint32_t line;
};

/* TIME FORMATS of sshd_config(5), for flags too: "1h30m", "90", with s m h d w; *ret_ms in ms, decimal fractions only if
 * `fraction`. ERR_FORMAT. */
int conf_time(struct view text, bool fraction, int64_t *ret_ms) MUST_USE;
