/* Types of options. A type is a const object that can parse, print, compare, copy and free a value; a row of ssh_options.def or
 * sshd_options.def names one by its word (BOOL, TIME, STRINGS, ...). CONF_C_word is the C type of its field. */
#pragma once

#include "conf/conf.h"
#include "conf/values.h"

#define CONF_C_BOOL int /* 0 or 1 */
#define CONF_C_INT int
#define CONF_C_INT_NONE int /* "none" is CONF_TIME_NONE */
#define CONF_C_PORT int
#define CONF_C_PORTS struct strv /* numbers as text, accumulating */
#define CONF_C_TIME int          /* seconds */
#define CONF_C_TIME_NONE int     /* seconds; "none" is CONF_TIME_NONE */
#define CONF_C_OCTAL int
#define CONF_C_ENUM int      /* values.h */
#define CONF_C_LOG_LEVEL int /* enum log_level */
#define CONF_C_ESCAPE int
#define CONF_C_FLAGS int                  /* bits by a table of names */
#define CONF_C_STRING char *              /* one word; NULL when unset or "none" */
#define CONF_C_LINE char *                /* the rest of the line as written; NULL when unset or "none" */
#define CONF_C_ALGS char *                /* comma-separated, expanded */
#define CONF_C_STRINGS struct strv        /* the words of a line; ACCUMULATE: of all lines */
#define CONF_C_STRINGS_UNIQUE struct strv /* as STRINGS, a value given twice counts once */
#define CONF_C_SEND_ENV struct strv
#define CONF_C_ENV_NAMES struct strv
#define CONF_C_SET_ENV struct strv      /* NAME=VALUE */
#define CONF_C_CNAMES struct strv       /* source:target pattern lists */
#define CONF_C_DESTINATIONS struct strv /* host:port, "any" is the empty list, "none" stays a word */
#define CONF_C_LISTENERS struct strv    /* [host:]port likewise, completed to *:port */
#define CONF_C_USERS struct strv        /* USER[@HOST] patterns, CIDRs checked */
#define CONF_C_AUTH_METHODS struct strv /* each a comma-separated chain */
#define CONF_C_CIDRS char *             /* comma-separated list of addresses and patterns, checked */
#define CONF_C_PROXY_JUMP char *        /* comma-separated hops, checked */
#define CONF_C_REKEY struct conf_rekey
#define CONF_C_IPQOS struct conf_ipqos
#define CONF_C_TUN_DEVICE struct conf_tun_device
#define CONF_C_ADD_KEYS struct conf_add_keys
#define CONF_C_CONTROL_PERSIST struct conf_control_persist
#define CONF_C_FORWARD_AGENT struct conf_forward_agent
#define CONF_C_OBSCURE_TIMING struct conf_obscure_timing
#define CONF_C_LOCAL_FORWARDS struct conf_forwards
#define CONF_C_REMOTE_FORWARDS struct conf_forwards
#define CONF_C_DYNAMIC_FORWARDS struct conf_forwards
#define CONF_C_LISTEN struct conf_listens
#define CONF_C_MAX_STARTUPS struct conf_max_startups
#define CONF_C_NET_BLOCK struct conf_net_block
#define CONF_C_PENALTIES struct conf_penalties
#define CONF_C_CHANNEL_TIMEOUTS struct conf_channel_timeouts
#define CONF_C_SUBSYSTEMS struct conf_subsystems
#define CONF_C_USER_ENVIRONMENT struct conf_user_environment

/* What a value is made from: words with quotes taken off, and the same part of the line untouched for LINE. */
struct conf_words {
    const struct view *v;
    size_t n;
    struct view raw;
};

/* What a type may need to know besides the words. */
struct conf_parse_ctx {
    const struct conf_algorithms *algs; /* or NULL */
    bool is_flag;                       /* the value of a flag: a forward is one word, "8080:host:80" */
    struct view keyword;                /* as written, and whose it is: for messages only */
    bool is_server;
    char message[512]; /* on ERR_FORMAT: what is wrong, in OpenSSH's words, then what is allowed */
};

struct conf_option;

struct conf_type {
    const char *name;
    size_t size;
    unsigned max_words; /* more are an error; 0: the type looks itself */
    bool wants_raw;     /* it is made from words->raw, and print gives that as one word */
    /* Parses all words into *value, which is zeroed or, for an accumulating option, holds what came before. value NULL: only
     * checks. ERR_FORMAT with ctx->message set; *value is then as before. */
    int (*parse)(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx, void *value);
    /* How many lines -G prints for it; 0: it is unset or empty. NULL: always 1. */
    size_t (*n_lines)(const struct conf_option *opt, const void *value);
    /* Appends the words of line line_idx; parse of all lines in turn makes the value again. */
    int (*print)(const struct conf_option *opt, const void *value, size_t line_idx, struct strv *ret_words);
    /* NULL: as plain bytes. */
    bool (*equal)(const void *a, const void *b);
    int (*copy)(void *ret_value, const void *from);
    void (*done)(void *value);
};

struct conf_name {
    const char *name; /* NULL ends the table; the first row with a value is the one printed */
    int value;
};

enum conf_combine {
    CONF_FIRST,
    CONF_ACCUMULATE
};
enum conf_scope {
    CONF_SCOPE_ANY /* ssh: everywhere */,
    CONF_SCOPE_MATCH /* sshd: in Match too */,
    CONF_SCOPE_GLOBAL
};
enum conf_state {
    CONF_STATE_WORKS,
    CONF_STATE_HARMLESS, /* accepted: what it grants or limits cannot be asked for in this build */
    CONF_STATE_LATER,    /* refused when set to another value than its default; `lacks` names the feature */
};

/* A row as the tables hold it. */
struct conf_option {
    const char *name;
    const char *field;
    const struct conf_type *type;
    size_t offset;                 /* of the field in the options */
    uint16_t idx;                  /* enum ssh_opt or sshd_opt */
    long min, max;                 /* of INT; of TIME_NONE, what is below min is none; of STRINGS, max is the number of words */
    const struct conf_name *names; /* of ENUM */
    enum conf_algs algs;           /* of ALGS */
    bool none_unsets;              /* the word none leaves a string NULL, a list empty */
    bool absolute;                 /* a path that begins with / */
    const char *default_text;      /* NULL: unset, or the caller's to fill in */
    const char *unset_text;        /* what -G prints for no value; NULL: no line */
    enum conf_combine combine;
    enum conf_scope scope;
    enum conf_state state;
    const char *lacks;
    const char *manual;
};

/* Names that are not options of their own. */
enum conf_word_kind {
    CONF_WORD_ALIAS,
    CONF_WORD_DEPRECATED,
    CONF_WORD_IGNORED,
    CONF_WORD_UNSUPPORTED,
    CONF_WORD_HOST,
    CONF_WORD_MATCH,
    CONF_WORD_INCLUDE
};
struct conf_word {
    const char *name;
    enum conf_word_kind kind;
    uint16_t target;    /* option of an alias */
    const char *advice; /* what to use instead */
};

struct conf_table {
    enum conf_program program;
    const struct conf_option *options;
    size_t n_options;
    const struct conf_word *words;
    size_t n_words;
    size_t origin_offset, files_offset, options_size;
    const char *(*ignore_unknown)(const void *options); /* patterns of keywords to skip, or NULL */
};
extern const struct conf_table conf_ssh_table;
extern const struct conf_table conf_sshd_table;
const struct conf_table *conf_table_of(enum conf_program program);
/* Case-insensitive. NULL: no such option (aliases are not followed). */
const struct conf_option *conf_option_find(const struct conf_table *t, struct view name);
