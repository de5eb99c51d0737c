/* The old scp protocol (that of rcp, which scp -O and others' scp speak), both halves: the source, that is "scp -f" or who uploads,
 * says what comes; the sink, "scp -t" or who downloads, answers each record. Bytes in and out; no files, no waiting.
 *
 *     T<mtime> 0 <atime> 0\n         times of what is said next (-p)
 *     C<mode> <size> <name>\n        a file; once accepted, size bytes and a status follow
 *     D<mode> 0 <name>\n             a directory; what follows is in it until E
 *     E\n
 * A status, as an answer and behind a file's bytes: \0 good; \1<text>\n this one failed; \2<text>\n everything failed.
 * The sink speaks first, with one good status. modes are octal digits of st_mode & 07777. */
#pragma once

#include "base/buf.h"
#include "base/strv.h"

enum {
    SCP_LINE_MAX_BYTES = 8192, /* of a record or of a failure's text, with its newline */
    SCP_NAME_MAX_BYTES = 4096,
    SCP_DEPTH_MAX = 1024,    /* directories in one another */
    SCP_PATTERNS_MAX = 1024, /* that a request with braces may mean */
    SCP_OUT_MAX_BYTES = 4 * SCP_LINE_MAX_BYTES,
};

/* What is being said of a file or directory. */
struct scp_head {
    struct view name; /* one component of a path */
    uint32_t mode;    /* & 07777 */
    uint64_t size;
    bool has_times;
    int64_t mtime_s, atime_s;
};

/* The line of which bytes have come so far. */
struct scp_line {
    uint8_t bytes[SCP_LINE_MAX_BYTES];
    size_t len;
};

/* ---- sink ---- */

enum scp_sink_kind {
    SCP_SINK_FILE,     /* head; scp_sink_answer, and if that was good its DATA and FILE_END follow */
    SCP_SINK_DIR,      /* head; scp_sink_answer, and if that was good what is in it, and LEAVE */
    SCP_SINK_LEAVE,    /* of the last directory that was entered; scp_sink_answer */
    SCP_SINK_DATA,     /* text: the next bytes of the file */
    SCP_SINK_FILE_END, /* all of it is there; failed: the source could not read it all (text); scp_sink_answer */
    SCP_SINK_FAILED,   /* the source says that something it was asked for failed: text; needs no answer */
};
struct scp_sink_event {
    enum scp_sink_kind kind;
    struct scp_head head;
    struct view text; /* foreign: not to be shown unescaped */
    bool failed, fatal;
};

struct scp_sink {
    const struct strv *wanted; /* lent; NULL: any */
    bool recursive;            /* directories may come */
    struct buf out;
    /* the engine's own */
    int state;
    struct scp_line line;
    size_t depth;
    uint64_t left; /* of the file's data */
    bool has_times, asks, asks_dir;
    int64_t mtime_s, atime_s;
    int err;
    const char *why;
    struct view words; /* after an error: the name or line it is about, foreign, or empty; lent as long as nothing else comes */
};
/* wanted: patterns of which the names of the outermost level must match one (scp_request_patterns), NULL: any. Says the first good
 * status. */
int scp_sink_init(struct scp_sink *s, const struct strv *wanted, bool recursive) MUST_USE;
void scp_sink_done(struct scp_sink *s);
/* Takes from the front of *in what it needs for the next event: 1, and *ret, whose views are lent by *in's bytes or by s until the
 * next call; 0: more bytes are needed, or an answer. ERR_FORMAT, ERR_RANGE, ERR_LIMIT, ERR_DENIED (a name nobody asked for): the
 * source cannot be trusted any more, all further calls give the same, and scp_sink_why says more; it has been told. */
int scp_sink_next(struct scp_sink *s, struct view *in, struct scp_sink_event *ret) MUST_USE;
/* For what the last event asked: good, or (text) why this one failed. */
int scp_sink_answer(struct scp_sink *s, const char *text_or_null) MUST_USE;
/* At the source's end of stream: whether it may end here. */
bool scp_sink_is_complete(const struct scp_sink *s);
/* After an error: a sentence without full stop, foreign bytes in it. */
const char *scp_sink_why(const struct scp_sink *s);

/* ---- source ---- */

struct scp_answer {
    bool good, fatal;
    struct view text; /* if not good; foreign */
};
struct scp_source {
    struct buf out; /* to be sent before any data */
    /* the engine's own */
    int state;
    struct scp_line line;
    struct buf after_times; /* the record that follows when the times have been taken */
    bool is_file;
    uint64_t left;
    int err;
    struct view words; /* after ERR_FORMAT: the line that is no answer, foreign; lent as long as nothing else comes */
};
/* Begins with a step of its own: the sink's first status. */
void scp_source_init(struct scp_source *s);
void scp_source_done(struct scp_source *s);
/* Steps; each is answered before the next. A name with a newline is sent as OpenSSH does, as \^J. ERR_STATE: not now; ERR_LIMIT. */
int scp_source_file(struct scp_source *s, const struct scp_head *head) MUST_USE;
int scp_source_dir(struct scp_source *s, const struct scp_head *head) MUST_USE;
int scp_source_leave(struct scp_source *s) MUST_USE;
/* After a good answer to scp_source_file the caller sends size bytes and reports them, and ends with how that went (the text of
 * what failed, or NULL): the next step. A file that has become shorter is filled up by the caller. */
void scp_source_sent(struct scp_source *s, uint64_t n);
int scp_source_file_end(struct scp_source *s, const char *text_or_null) MUST_USE;
/* What could not even be begun; the sink does not answer it. */
int scp_source_failed(struct scp_source *s, const char *text) MUST_USE;
/* 1: the step was answered; 0: more bytes are needed, or there is no step. Errors as scp_sink_next. */
int scp_source_next(struct scp_source *s, struct view *in, struct scp_answer *ret) MUST_USE;

/* ---- requests ---- */

/* The patterns (fnmatch(3)) of the names that a remote path may bring: its last component, braces expanded as shells do. If
 * recursive, *ret is empty (any name) for a path that ends in what only the other side's shell knows: ~, $ or ` in its last
 * component. ERR_LIMIT: more than SCP_PATTERNS_MAX. */
int scp_request_patterns(struct view path, bool recursive, struct strv *ret) MUST_USE;
/* One component of a path: not empty, no . or .., no slash. */
bool scp_name_is_good(struct view name);
