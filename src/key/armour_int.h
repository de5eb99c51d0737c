/* "-----BEGIN LABEL-----" round base64 text, as private key files and signatures have it; for this folder only. */
#pragma once

#include "base/buf.h"

enum {
    ARMOUR_LABEL_MAX = 64
};
/* The file has to begin with the first line; what stands behind the last one is ignored. Appends the bytes. ERR_FORMAT. */
int armour_get(struct view file, const char *label, struct buf *out) MUST_USE;
/* Appends the text, in lines of 70 characters as OpenSSH writes them. */
int armour_put(struct view bytes, const char *label, struct buf *out) MUST_USE;
bool armour_is(struct view file, const char *label);
