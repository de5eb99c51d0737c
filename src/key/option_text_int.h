/* The text of options before a key, `name,name="value"`, as authorized_keys and allowed_signers have it; for this folder only. The
 * functions that refuse give ERR_FORMAT and in *ret_reason static text for a log line. */
#pragma once

#include "base/err.h"
#include "base/view.h"

/* How many bytes the options at the start of a line take: up to the first space outside of quotes. */
size_t option_text_len(struct view line);
/* Cuts the name off, up to = or comma. */
struct view option_take_name(struct view *text);
bool option_name_is(struct view name, const char *s); /* any case */
/* Cuts a value in quotes off, \" standing for ". Heap string in *ret. */
int option_take_quoted(struct view *text, char **ret, const char **ret_reason) MUST_USE;
/* Cuts off the comma between two options. At the end of the text nothing. */
int option_take_comma(struct view *text, const char **ret_reason) MUST_USE;
int option_refuse(const char **ret_reason, const char *reason) MUST_USE;
