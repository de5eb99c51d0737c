/* Public keys as text: "type base64 comment" lines (.pub files, and the tails of known_hosts and authorized_keys lines), RFC 4716
 * and PEM files. */
#pragma once

#include "key/key.h"

enum {
    PUBLIC_LINE_BYTES_MAX = 64 * 1024
}; /* one line, as text */

/* The three fields of a line, lent by it; nothing is decoded. ERR_FORMAT when there are not two fields. comment has no white space
 * at its ends. */
struct public_line {
    struct view type, base64, comment;
};
int public_line_split(struct view line, struct public_line *ret) MUST_USE;
/* Decodes; the blob's type has to be the one named. ERR_FORMAT, ERR_KEY_TYPE, key_from_blob's. */
int public_line_key(const struct public_line *l, struct key **ret) MUST_USE;
/* Both at once; the comment becomes the key's. */
int public_line_parse(struct view line, struct key **ret) MUST_USE;
/* "type base64" and " comment" if there is one, without newline; control characters in the comment become '?'. Appends. */
int public_line_put(const struct key *k, struct buf *out) MUST_USE;
/* The base64 text of a blob as it stands in such lines: same as base64_put. */

/* The first key of a .pub file (blank lines and # comments before it are skipped). ERR_FORMAT when there is none. */
int public_file_parse(struct view file, struct key **ret) MUST_USE;
/* Steps through lines: cuts the next line (without its newline, a \r before it dropped) off *rest. False at the end. */
bool public_file_next_line(struct view *rest, struct view *ret_line);

/* RFC 4716. comment: the Comment header, cut to what a line may hold. */
int rfc4716_put(const struct key *k, struct view comment, struct buf *out) MUST_USE;
/* ERR_FORMAT when it is no RFC 4716 file. */
int rfc4716_parse(struct view file, struct key **ret) MUST_USE;
