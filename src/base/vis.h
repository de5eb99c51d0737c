/* Makes foreign text fit for a terminal or a log, in the style of vis(3): bytes that are not printable become \ooo. */
#pragma once

#include "base/buf.h"

/* One line: every control character (newline too) and every byte over 126 that is not part of valid UTF-8 is escaped; C1 controls
 * count as control characters. Cut so that it fits, always NUL-terminated. cap > 0. */
void vis_line(struct view text, char *ret_line, size_t cap);
/* Several lines for a terminal (banners, prompts): newline and tab pass, \r before \n is dropped. Appends. */
int vis_text(struct view text, struct buf *out) MUST_USE;

/* How many columns of a terminal a line made by vis_line takes. The widths of characters are those of the locale; where it has
 * none, 1.
 */
size_t vis_columns(const char *line);
/* Cuts such a line so that it takes at most that many; whole characters only. How many it takes then. */
size_t vis_cut(char *line, size_t columns);
