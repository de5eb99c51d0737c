/* Base64 (RFC 4648 4) and hexadecimal, strict. */
#pragma once

#include "base/buf.h"

/* Appends without line breaks. */
int base64_put(struct buf *out, struct view bytes) MUST_USE;
/* Appends the bytes. Only the alphabet, with or without final '=', no white space; anything else is ERR_FORMAT and leaves out as it
 * was. */
int base64_get(struct view text, struct buf *out) MUST_USE;
/* The same into area[0..cap): no allocation. ERR_LIMIT when cap is less than 3 bytes for every 4 characters begun. */
int base64_get_area(struct view text, uint8_t *area, size_t cap, size_t *ret_len) MUST_USE;
/* Appends lower-case hexadecimal digits. */
int hex_put(struct buf *out, struct view bytes) MUST_USE;
