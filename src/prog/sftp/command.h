/* What a line of sftp says: its prefixes, the command and its flags and words. The table of commands is here too: what each is
 * called, which flags it has, what its words are (for completion) and how help puts it. No I/O. */
#pragma once

#include "base/strv.h"

struct sftp;
struct line;

enum {
    COMMAND_LINE_MAX_BYTES = 1 << 16,
    COMMAND_WORDS_MAX = 1024,
    COMMAND_WHY_BYTES = 256
};

enum word_kind {
    WORD_NONE,
    WORD_LOCAL, /* a path here */
    WORD_REMOTE /* a path there */
};

struct command {
    const char *name;
    const char *flags;       /* "" none; NULL: the rest of the line is not looked at (line.rest) */
    const char *needs;       /* what to say is missing: "a path", "two paths", "at least one path"; NULL: nothing is needed */
    unsigned n_needed;       /* words */
    bool number;             /* the first word is a number, in line.number; it is not counted above */
    enum word_kind kinds[2]; /* of the words behind the number */
    unsigned base;           /* of the number */
    int (*run)(struct sftp *s, const struct line *l);
    const char *help_args, *help; /* NULL: another name of something */
};
extern const struct command commands[];
extern const size_t n_commands;
/* By its name, in any case; NULL. */
const struct command *command_find(struct view name);

struct line {
    bool quiet;                    /* '@': not echoed */
    bool may_fail;                 /* '-': goes on in a batch */
    const struct command *command; /* NULL: nothing to do */
    bool flags[128];
    unsigned long number;
    struct strv words; /* without flags and number. As patterns: a backslash stands before a character that is only itself */
    const char *rest;  /* lent by the text: what stands behind the command, or behind '!' */
};
void line_done(struct line *l);
/* 0; ERR_FORMAT with a sentence in ret_why, when *ret has the prefixes only; ERR_NOMEM. line_done in any case. */
int line_parse(const char *text, struct line *ret, char ret_why[COMMAND_WHY_BYTES]) MUST_USE;

/* The words of a text, quoted as by a user: at white space, '...' and "..." in which a backslash takes the meaning from the quote
 * and from itself, outside of them from anything; # begins a comment. Patterns as in struct line. ERR_FORMAT: a quote has no end.
 */
int words_split(struct view text, struct strv *ret) MUST_USE;
/* The state at the end of an unfinished text, for completion: where its last word begins, the quote it stands in (0: none), and the
 * word as it is meant, which is the caller's. */
struct last_word {
    size_t begin, n_before; /* words before it */
    char quote;
    char *word;
};
int words_last(struct view text, struct last_word *ret) MUST_USE;
/* word so that the user could have typed it within that quote (0: none). NULL: no memory. Caller frees. */
char *word_quote(const char *word, char quote);
