/* A file of revoked keys in either form: a KRL (krl.h), or text with a public key on each line. What RevokedKeys, RevokedHostKeys
 * and ssh-keygen -r name. Reading the file is the caller's; while it cannot be read or parsed every key has to be refused. */
#pragma once

#include "key/key.h"

struct revoked;
/* Keeps nothing of file. A KRL gives krl_parse's errors. Of text, empty lines and those that begin with # are skipped; any other
 * that is no "type base64 [comment]" is an error, as in OpenSSH: public_line_parse's. An empty file revokes nothing. */
int revoked_parse(struct view file, struct revoked **ret) MUST_USE;
void revoked_free(struct revoked *r);
DEFINE_FREEP(struct revoked, revoked_free)

/* Whether the key, given as its public blob (key_blob), is in it; of a certificate also the certified key, the CA's key and, in a
 * KRL, serial and key id. What cannot be decided is revoked. */
bool revoked_has(const struct revoked *r, struct view key_blob);
