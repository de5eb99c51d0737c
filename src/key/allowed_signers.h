/* allowed_signers files (ssh-keygen(1), ALLOWED SIGNERS): lines of `principals [options] type base64 [comment]`, and who may sign
 * by them. Options: cert-authority, namespaces="...", valid-after="...", valid-before="...". */
#pragma once

#include "key/key.h"

/* What is asked, and about which signature. */
struct allowed_signers_query {
    struct view file;
    struct view key_blob;   /* the signer's: plain, or a certificate whose CA may be on a line */
    struct view principal;  /* who is said to have signed */
    struct view name_space; /* of the signature */
    int64_t at_s;           /* wall time at which keys have to be valid */
    /* Told why a line that the question meets is of no use; text is fit for a line behind "FILE:NUMBER: ". May be NULL. */
    void (*complain)(void *arg, size_t line_number, const char *text);
    void *arg;
};
/* Whether a line lets the principal sign with this key, in this namespace, at that time. ERR_NOT_FOUND: none does. */
int allowed_signers_check(const struct allowed_signers_query *q) MUST_USE;
/* The principals of the first line that has the key (of a certificate: those that both line and certificate name), one a line,
 * appended. ERR_NOT_FOUND. q's principal and name_space are not looked at. */
int allowed_signers_find(const struct allowed_signers_query *q, struct buf *out) MUST_USE;
/* The principals fields of all lines that match q's principal, one a line, whatever their key. ERR_NOT_FOUND. */
int allowed_signers_match(const struct allowed_signers_query *q, struct buf *out) MUST_USE;
