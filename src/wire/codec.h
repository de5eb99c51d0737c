/* One struct with one get and one put for each SSH message, made from a table of rows.
 *
 * A .def file has rows  MESSAGE(name, number, fields)  (first byte of the payload is the number) and
 * BODY(name, fields)  (type-specific part of a request, open or extension; no number), where fields is a row of
 *   F_U8(x) F_BOOL(x) F_U32(x) F_U64(x)
 *   F_STRING(x)   any bytes                    F_CSTRING(x)  string without NUL
 *   F_NAMES(x)    name-list                    F_MPINT(x)    mpint >= 0, without leading zeros
 *   F_BYTES(x,n)  exactly n bytes, no length   F_REST(x)     all that is left, last field only
 *
 * CODEC_DECLARE / CODEC_DEFINE sections below are included round the .def by a header and its .c:
 *   struct msg_NAME { ... };  enum { MSG_NAME_NUMBER = n };
 *   int msg_NAME_get(struct view payload, struct msg_NAME *ret);   whole payload; truncated or trailing bytes are errors
 *   int msg_NAME_put(struct wr *w, const struct msg_NAME *m);      with the number
 *   struct body_NAME, body_NAME_get, body_NAME_put                 the same without a number
 * Views in a struct that was got are lent by the payload. On failure *ret is untouched.
 * See wire/messages.h and wire/messages.c for the use. */
#pragma once

#include "base/rd.h"
#include "base/wr.h"
