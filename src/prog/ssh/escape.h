/* The escape machine of a session with a terminal: typed bytes in, bytes for the server and what the user asks of ssh itself out.
 * Knows nothing of terminals or connections. An escape is the escape character at the start of a line and one of the characters of
 * the table; any other character behind it sends both, the escape character twice sends it once. */
#pragma once

#include "base/buf.h"

enum escape_action {
    ESCAPE_NONE,
    ESCAPE_TERMINATE,
    ESCAPE_SUSPEND,
    ESCAPE_LIST,
    ESCAPE_BACKGROUND,
    ESCAPE_HELP,
    ESCAPE_BREAK,
    ESCAPE_COMMAND_LINE,
    ESCAPE_INFO,
    ESCAPE_REKEY,
    ESCAPE_QUIETER,
    ESCAPE_LOUDER,
    ESCAPE_ACTION_MAX
};

enum {
    ESCAPE_OFF = -1
};

struct escape {
    int character; /* a byte, or ESCAPE_OFF: everything passes */
    bool at_line_start, pending;
};

/* The first byte counts as one at the start of a line. */
void escape_init(struct escape *e, int character);
/* Reads bytes up to the first action or to the end. Appends to out what is to be sent, before the action is done. *ret_used is how
 * many bytes were read; call again with the rest. ERR_LIMIT, ERR_NOMEM of out (at most one byte more than `in` has) leave the
 * machine as it was. */
int escape_feed(struct escape *e, struct view in, struct buf *out, size_t *ret_used, enum escape_action *ret_action) MUST_USE;
/* "~", "^]", "\377": the escape character as a person reads it. */
enum {
    ESCAPE_NAME_BYTES = 8
};
void escape_name(const struct escape *e, char ret_name[ESCAPE_NAME_BYTES]);
typedef bool escape_is_possible_fn(const void *arg, enum escape_action action);
/* The text of ~?, lines ending in \r\n, with those that are possible. Appends. */
int escape_help(const struct escape *e, escape_is_possible_fn *is_possible, const void *arg, struct buf *out) MUST_USE;
