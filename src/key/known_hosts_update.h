/* Host key rotation (UpdateHostKeys; OpenSSH's PROTOCOL 2.5): what known_hosts files have of the keys that a server says it has,
 * and the files with those keys instead. Bytes in, bytes out; that the server has shown to own the keys is the caller's to see to.
 */
#pragma once

#include "key/known_hosts.h"

enum {
    KNOWN_HOSTS_KEYS_MAX = 64, /* of one server */
    KNOWN_HOSTS_OLD_MAX = 256  /* entries of one server with other keys */
};

/* The server: its names (known_hosts_name_put's form, the address perhaps among them), and blobs of its keys, no certificates. */
struct known_hosts_server {
    const struct view *names;
    size_t n_names;
    const struct view *keys;
    size_t n_keys;
};

/* Begin with all zero; each file adds to it. Views are lent by the files. */
struct known_hosts_survey {
    bool known[KNOWN_HOSTS_KEYS_MAX]; /* by index of key: some line of the server has it */
    struct {
        struct view type, base64;
    } old[KNOWN_HOSTS_OLD_MAX]; /* keys of the server's lines that it has no more */
    size_t n_old;
    bool is_complex;      /* a line of the server has patterns, a marker, or names of others: nobody but its author may change it */
    bool has_other_names; /* one of the server's keys stands under another name */
};
/* ERR_LIMIT: more lines or keys than there is room for. */
int known_hosts_survey(struct view file, const struct known_hosts_server *s, struct known_hosts_survey *io) MUST_USE;
/* Whether one of the survey's old keys stands under another name in this file. */
bool known_hosts_old_has_other_names(struct view file, const struct known_hosts_server *s, const struct known_hosts_survey *survey);

/* The file without the server's lines for keys that it has no more. add[i], where add is not NULL: at the end comes a line (hashed:
 * one for each name) with key i. *ret_changed: out differs from the file. Appends. random may be NULL when not hashed. */
int known_hosts_replace(struct view file, const struct known_hosts_server *s, const bool *add, bool hashed,
                        const struct random *random, struct buf *out, bool *ret_changed) MUST_USE;
