/* Base64 (RFC 4648 4) and hexadecimal, strict. */
#pragma once

#include "base/buf.h"

/* Appends without line breaks. */
int base64_put(struct buf *out, struct view bytes) MUST_USE;
/* Appends the bytes. Only the alphabet, with or without final '=', no white space; anything else is ERR_FORMAT and leaves out as it was. */
int base64_get(struct view text, struct buf *out) MUST_USE;
/* Appends lower-case hexadecimal digits. */
int hex_put(struct buf *out, struct view bytes) MUST_USE;
