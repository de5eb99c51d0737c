/* What the files of conf/ share: the record format of images, the lexer, the generic half of options. For this folder only. */
#pragma once

#include "conf/conf.h"
#include "conf/types.h"

/* ---- lines and words (lex.c) ---- */

/* Words of one line. Those without quotes or escapes are views of the line, the others of `unquoted`. */
struct conf_lex {
    struct view words[CONF_ARGS_MAX];
    size_t n;
    char *unquoted; /* at least as long as the line */
    size_t cap;
};
void conf_lex_done(struct conf_lex *lex);
/* Takes white space and a CR off both ends. */
struct view conf_trim(struct view line);
/* Cuts the keyword and one '=' off the front of a trimmed line. False: ERR_FORMAT quotes are not closed. */
int conf_lex_keyword(struct view *line, struct view *ret_keyword) MUST_USE;
/* The first word, copied to `to` (as long as the line), and what stands behind it. ERR_FORMAT: quotes not closed. */
int conf_lex_first(struct view line, char *to, size_t *ret_len, struct view *ret_rest) MUST_USE;
/* Splits into words; a word that begins with # ends the line. ERR_FORMAT: quotes not closed. ERR_LIMIT: too many words. ERR_NOMEM.
 */
int conf_lex_words(struct conf_lex *lex, struct view line) MUST_USE;

/* ---- images (image.c) ---- */

enum conf_record_kind {     /* below: an option's idx */
    CONF_REC_FILE = 0xff00, /* one argument: the name */
    CONF_REC_HOST,          /* arguments: patterns */
    CONF_REC_MATCH,         /* arguments: criterion and value in turn; see match.h */
    CONF_REC_INCLUDE,       /* what follows up to skip comes from other files */
};
struct conf_record {
    uint32_t size; /* of the whole record; a multiple of 4 */
    uint16_t kind;
    uint16_t n_args;
    uint32_t line;
    uint32_t file; /* offset of a FILE record */
    uint32_t skip; /* HOST, MATCH, INCLUDE: offset behind what belongs to it */
    /* n_args times: uint32_t length, bytes, NUL; padded with zeros */
};
struct conf_image_header {
    char magic[8];
    uint32_t program;
    uint32_t size;       /* of the image, this header included */
    uint32_t table_mark; /* of the build's option table: other builds number options differently */
    uint32_t unused;
};

struct conf_args_it {
    const uint8_t *p;
    size_t n;
};
static inline const struct conf_record *conf_record_at(const struct conf_image *img, uint32_t off)
{
    return (const struct conf_record *)(const void *)(img->bytes.p + off);
}
static inline struct conf_args_it conf_record_args(const struct conf_record *r)
{
    return (struct conf_args_it){ (const uint8_t *)(r + 1), r->n_args };
}
/* False when there are no more. The bytes behind the view are a NUL. */
bool conf_args_next(struct conf_args_it *it, struct view *ret);
/* Name of the file a record comes from; "" when the image does not say. Lent by the image. */
struct view conf_record_file(const struct conf_image *img, const struct conf_record *r);
uint32_t conf_table_mark(const struct conf_table *t);

struct conf_writer {
    struct buf *out;
    uint32_t file; /* current FILE record */
};
int conf_writer_begin(struct conf_writer *w, const struct conf_table *t) MUST_USE;
int conf_writer_file(struct conf_writer *w, const char *name) MUST_USE;
/* Gives the offset of the record. */
int conf_writer_put(struct conf_writer *w, unsigned kind, uint32_t line, const struct view *args, size_t n, uint32_t *ret_off)
    MUST_USE;
void conf_writer_skip_here(struct conf_writer *w, uint32_t off);
void conf_writer_end(struct conf_writer *w);

/* ---- names (names.c) ---- */

/* Case-insensitive index of a table's keywords. */
struct conf_index {
    uint16_t slots[1024]; /* 0: free; 1 + i: option i, or 1 + n_options + j: word j */
};
void conf_index_init(struct conf_index *x, const struct conf_table *t);
/* Exactly one of the two is set, or neither. */
void conf_index_find(const struct conf_index *x, const struct conf_table *t, struct view name,
                     const struct conf_option **ret_option, const struct conf_word **ret_word);
bool conf_name_eq(struct view a, const char *b);
/* The keyword most like `name`, NULL when none is near. */
const char *conf_nearest(const struct conf_table *t, struct view name);

/* ---- keywords and messages (parse.c, diag.c) ---- */

/* Finds what a keyword means, following aliases. *ret_opt stays NULL for an old keyword (with a warning), for Host, Match and
 * Include (then *ret_word is set), and for one that ignore_unknown covers. ERR_FORMAT after an error line in diag. */
struct conf_where {
    enum conf_program program;
    const char *file;
    uint32_t line;
    struct conf_diag *diag;
};
int conf_keyword_resolve(const struct conf_index *x, const struct conf_table *t, struct view keyword, const char *ignore_unknown,
                         const struct conf_where *where, const struct conf_option **ret_opt, const struct conf_word **ret_word)
    MUST_USE;
/* Says what was wrong with an option's words: ctx->message with file, line and keyword. */
void conf_diag_option_error(const struct conf_where *where, const struct conf_parse_ctx *ctx);
/* "FILE line N: " and a message. */
void conf_diag_at(const struct conf_where *where, const char *fmt, ...) PRINTF(2, 3);
/* A keyword as the program's messages show it: ssh in lower case, sshd as written. Gives `buf`. */
enum {
    CONF_KEYWORD_MAX = 64
};
const char *conf_shown(bool is_server, struct view keyword, char buf[CONF_KEYWORD_MAX]);

/* ---- Match (match.c) ---- */

/* Criteria as the image has them: in turn a code ("+" or "!" and one of these letters) and a value. */
enum conf_criterion {
    CONF_CRIT_ALL = 'a',
    CONF_CRIT_CANONICAL = 'c',
    CONF_CRIT_FINAL = 'f',
    CONF_CRIT_EXEC = 'x',
    CONF_CRIT_LOCAL_NETWORK = 'n',
    CONF_CRIT_HOST = 'h',
    CONF_CRIT_ORIGINAL_HOST = 'o',
    CONF_CRIT_TAGGED = 't',
    CONF_CRIT_COMMAND = 'k',
    CONF_CRIT_USER = 'u',
    CONF_CRIT_LOCAL_USER = 'l',
    CONF_CRIT_VERSION = 'v',
    CONF_CRIT_SESSION_TYPE = 's',
    CONF_CRIT_GROUP = 'g',
    CONF_CRIT_ADDRESS = 'i',
    CONF_CRIT_LOCAL_ADDRESS = 'j',
    CONF_CRIT_LOCAL_PORT = 'p',
    CONF_CRIT_RDOMAIN = 'r',
    CONF_CRIT_INVALID_USER = 'q',
};
/* Turns the words of a Match line into such pairs; ret has room for two views per word and borrows from the words and static
 * memory. ERR_FORMAT with the reason in ctx->message. */
int conf_match_compile(enum conf_program program, const struct conf_words *words, struct conf_parse_ctx *ctx, struct view *ret,
                       size_t *ret_n) MUST_USE;

/* ---- options in general (options.c) ---- */

/* Any program's options with the table they belong to. */
struct conf_any {
    const struct conf_table *table;
    void *options;
};
struct conf_origin *conf_any_origin(struct conf_any a, unsigned idx);
void *conf_any_field(struct conf_any a, unsigned idx);
void conf_any_init(struct conf_any a);
void conf_any_done(struct conf_any a);
int conf_any_copy(struct conf_any ret, const void *from) MUST_USE;
/* Parses words into the option unless one before it counts. */
int conf_any_apply(struct conf_any a, const struct conf_option *opt, const struct conf_words *words, struct conf_origin origin,
                   struct conf_parse_ctx *ctx) MUST_USE;
int conf_any_apply_record(struct conf_any a, const struct conf_image *img, const struct conf_record *r, enum conf_source source)
    MUST_USE;
/* One command-line setting, as a line or a value that is one word. */
int conf_any_set(struct conf_any a, const char *setting, const struct conf_algorithms *algs, struct conf_diag *diag) MUST_USE;
int conf_any_set_value(struct conf_any a, unsigned idx, const char *value, const struct conf_algorithms *algs,
                       struct conf_diag *diag) MUST_USE;
/* As if it had never been set. */
void conf_any_forget(struct conf_any a, unsigned idx);
int conf_any_fill_defaults(struct conf_any a, const struct conf_algorithms *algs) MUST_USE;
int conf_any_check(struct conf_any a, struct conf_diag *diag) MUST_USE;
int conf_any_dump_option(struct conf_any a, const struct conf_option *opt, struct buf *out) MUST_USE;
int conf_any_origin_text(struct conf_any a, unsigned idx, struct buf *out) MUST_USE;
int conf_any_export(struct conf_any a, struct buf *out) MUST_USE;
int conf_any_import(struct view bytes, struct conf_any ret) MUST_USE;
/* Whether the value asks for something this build lacks. */
int conf_option_asks_for_more(const struct conf_option *opt, const void *value, bool *ret) MUST_USE;

/* ---- helpers for types (type_*.c) ---- */

/* Checks the words of one mention without keeping anything, and their number. */
int conf_option_check(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx) MUST_USE;
/* Appends a word in quotes when it would not come back as one word otherwise. */
int conf_put_quoted(struct buf *out, struct view word) MUST_USE;
int conf_complain(struct conf_parse_ctx *ctx, const char *fmt, ...) PRINTF(2, 3); /* sets the message, gives ERR_FORMAT */
int conf_strv_printf(struct strv *words, const char *fmt, ...) MUST_USE PRINTF(2, 3);
/* Number of decimal digits only. ERR_FORMAT, ERR_RANGE. */
int conf_number(struct view text, long min, long max, long *ret) MUST_USE;
/* A port number or the name of a common service. */
int conf_port(struct view text, long min, int *ret) MUST_USE;

#define CONF_TYPE(word) extern const struct conf_type conf_type_##word;
#include "conf/type_list.h"
#undef CONF_TYPE
#define CONF_NAMES(table) extern const struct conf_name conf_names_##table[];
#include "conf/name_list.h"
#undef CONF_NAMES
