/* sftp's parts: command.h understands lines; here is what commands work on, and what they have in common.
 *
 * A command gives 0, ERR_DENIED (it failed and said so), ERR_CANCELLED (interrupted), or what ended the connection. */
#pragma once

#include "io/meter.h"
#include "io/remote_glob.h"
#include "io/ssh_start.h"
#include "io/transfer.h"
#include "os/logsink.h"
#include "prog/sftp/command.h"

#include <stdio.h>

struct sftp {
    struct logsink sink;
    struct log log_out;    /* makes way before each line, then the sink's */
    const struct log *log; /* that one */
    struct loop *loop;
    struct sftp_conn *conn;
    struct transfer_options transfer; /* what flags of the command line ask of every transfer */
    char *pwd, *start_dir;            /* at the server */
    bool quiet;                       /* no "Fetching", "Removing" */
    bool progress;                    /* the meter is wanted */
    bool quit;
    bool interrupted; /* since the command began, by a signal; how often */
    unsigned n_interrupts;
    int deadly;               /* a signal that is to end us when all is in order; 0 */
    struct transfer *running; /* the job an interrupt stops; NULL */
    struct meter *meter;      /* of it; NULL */
};

/* ---- common.c ---- */
/* A line to standard output; control characters in it are escaped. */
void say(const char *fmt, ...) PRINTF(1, 2);
/* The same unless quiet. */
#define say_unless_quiet(s, ...)           \
    do {                                   \
        if (!(s)->quiet) say(__VA_ARGS__); \
    } while (0)
/* An error for the user. Gives ERR_DENIED. */
int fail(struct sftp *s, const char *fmt, ...) PRINTF(2, 3);
/* A word as a path at the server, absolute; its pattern, or the plain path. NULL: no memory. Caller frees. */
char *remote_pattern(const struct sftp *s, const char *word);
char *remote_plain(const struct sftp *s, const char *word);
/* path as it is shown: without the working directory in front. Lent by path. */
const char *remote_shown(const struct sftp *s, const char *path);
/* What matches a word at the server; none: remote_glob's empty answer. */
int remote_matches(struct sftp *s, const char *word, struct remote_names *ret) MUST_USE;
/* SFTP_OK, or the refusal, in *ret_status. */
int remote_stat(struct sftp *s, const char *path, struct sftp_attrs *ret, uint32_t *ret_status) MUST_USE;
/* Whether path is a directory at the server. */
int remote_is_dir(struct sftp *s, const char *path, bool *ret) MUST_USE;
/* Canonical; ERR_DENIED after it was said. */
int remote_realpath(struct sftp *s, const char *path, char **ret) MUST_USE;
/* An extended request whose body is in data. */
int remote_extended(struct sftp *s, enum sftp_extension e, struct view data, struct sftp_reply *reply) MUST_USE;
/* ERR_DENIED, said, if the server has it not. */
int need_extension(struct sftp *s, enum sftp_extension e) MUST_USE;
bool has_extension(const struct sftp *s, enum sftp_extension e);
/* The attributes as they are sent. */
int attrs_put(struct buf *out, const struct sftp_attrs *a) MUST_USE;
/* A size in at most four digits and a unit: "492B", "1.6K", "252G". */
enum {
    SCALED_BYTES = 8
};
void scaled(uint64_t bytes, char ret_text[SCALED_BYTES]);

/* ---- the commands ---- */
/* commands_files.c */
int cmd_rm(struct sftp *s, const struct line *l);
int cmd_mkdir(struct sftp *s, const struct line *l);
int cmd_rmdir(struct sftp *s, const struct line *l);
int cmd_rename(struct sftp *s, const struct line *l);
int cmd_link(struct sftp *s, const struct line *l);
int cmd_symlink(struct sftp *s, const struct line *l);
int cmd_copy(struct sftp *s, const struct line *l);
int cmd_chmod(struct sftp *s, const struct line *l);
int cmd_chown(struct sftp *s, const struct line *l);
int cmd_chgrp(struct sftp *s, const struct line *l);
/* commands_places.c */
int cmd_cd(struct sftp *s, const struct line *l);
int cmd_pwd(struct sftp *s, const struct line *l);
int cmd_df(struct sftp *s, const struct line *l);
int cmd_lcd(struct sftp *s, const struct line *l);
int cmd_lpwd(struct sftp *s, const struct line *l);
int cmd_lmkdir(struct sftp *s, const struct line *l);
int cmd_lumask(struct sftp *s, const struct line *l);
int cmd_lls(struct sftp *s, const struct line *l);
int cmd_shell(struct sftp *s, const struct line *l);
int cmd_help(struct sftp *s, const struct line *l);
int cmd_version(struct sftp *s, const struct line *l);
int cmd_progress(struct sftp *s, const struct line *l);
int cmd_quit(struct sftp *s, const struct line *l);
/* The working directory becomes path, a plain one. */
int change_dir(struct sftp *s, const char *path) MUST_USE;
/* listing.c */
int cmd_ls(struct sftp *s, const struct line *l);
/* get_put.c */
int cmd_get(struct sftp *s, const struct line *l);
int cmd_reget(struct sftp *s, const struct line *l);
int cmd_put(struct sftp *s, const struct line *l);
int cmd_reput(struct sftp *s, const struct line *l);
/* flags: as of a line; from is a pattern; to NULL: not said. */
int get_files(struct sftp *s, const bool flags[128], bool resume, const char *from, const char *to) MUST_USE;

/* ---- listing.c ---- */
struct listing_flags {
    bool one, all, unsorted, human, is_long, numeric, reverse, by_size, by_time;
    bool from_root; /* names are shown whole */
};
/* "drwxr-xr-x". */
enum {
    MODE_TEXT_BYTES = 11
};
void mode_text(uint32_t mode, char ret_text[MODE_TEXT_BYTES]);
/* Names in columns across a terminal of that width, as ls and completion print them. */
void print_columns(const char *const *names, size_t n, unsigned width);

/* ---- reading.c ---- */
/* Reads and runs lines until their end, bye, a failure in a batch, or the end of the connection. 0, ERR_DENIED, or what ended it.
 */
int run_lines(struct sftp *s, FILE *from, bool is_batch) MUST_USE;
/* Interrupts stop what runs; TERM and HUP stop it and then end us. Off: they do what they always do. */
int signals_listen(struct sftp *s, bool on) MUST_USE;

/* ---- editor.c: a terminal with libedit ---- */
struct editor;
int editor_new(struct sftp *s, struct editor **ret) MUST_USE;
void editor_free(struct editor *e);
DEFINE_FREEP(struct editor, editor_free)
/* The next line, lent until the next call. ERR_NOT_FOUND: the end of the input; ERR_CANCELLED: interrupted; or what ended the
 * connection. */
int editor_read(struct editor *e, const char **ret_line) MUST_USE;
/* What the user can mean by the unfinished line: the names that the last word may become, sorted, "/" behind directories.
 * *ret_last: that word, of which free word. */
int complete(struct sftp *s, struct view line, struct strv *ret_names, struct last_word *ret_last) MUST_USE;
