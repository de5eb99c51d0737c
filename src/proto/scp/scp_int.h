/* What both halves of the old protocol share. For this folder. */
#pragma once

#include "proto/scp/scp.h"

enum {
    SCP_STATUS_GOOD = 0,
    SCP_STATUS_FAILED = 1,
    SCP_STATUS_FATAL = 2
};

/* Takes bytes of *in up to and with a newline: 1, and *ret without it, lent by line until the next call; 0: it is not all there;
 * ERR_LIMIT. */
int scp_line_take(struct scp_line *line, struct view *in, struct view *ret) MUST_USE;
/* Takes a whole status: 1, *ret_status and the text of a bad one; 0: more is needed; ERR_FORMAT: the line is none, *ret_text has
 * it.
 */
int scp_status_take(struct scp_line *line, struct view *in, uint8_t *ret_status, struct view *ret_text) MUST_USE;
/* \1scp: text\n, newlines in it made blanks. */
int scp_status_put(struct buf *out, const char *text_or_null) MUST_USE;
