/* Names at an SFTP server: listing directories, and finding what a pattern means there. By opendir, readdir and lstat only.
 *
 * All functions: negative is the end of the connection, ERR_NOMEM, or ERR_LIMIT for listings over REMOTE_NAMES_MAX; what the server
 * says is in *ret_status (SFTP_OK or its refusal). */
#pragma once

#include "io/sftp_conn.h"

enum {
    REMOTE_NAMES_MAX = 1 << 20, /* a listing without end ends here */
};

struct remote_name {
    char *name;              /* of a listing: without directory, as the server sent it; of a pattern: the path */
    char *long_name;         /* a line of ls -l by the server; NULL where it is not known */
    struct sftp_attrs attrs; /* not followed; flags 0: not known */
};
struct remote_names {
    struct remote_name *v;
    size_t n, cap;
};
#define REMOTE_NAMES_INIT \
    {                     \
        NULL, 0, 0        \
    }
void remote_names_done(struct remote_names *n);
int remote_names_add(struct remote_names *n, struct view name, struct view long_name, const struct sftp_attrs *attrs) MUST_USE;
/* By name, byte for byte. */
void remote_names_sort(struct remote_names *n);

/* All entries, "." and ".." too, in the server's order; with several requests on their way. An entry whose name is empty or has a
 * '/' is dropped. *stop, which may be NULL, is looked at in between: true ends the listing with ERR_CANCELLED. */
int remote_list(struct sftp_conn *c, const char *path, const bool *stop, struct remote_names *ret, uint32_t *ret_status) MUST_USE;

/* Whether a string has a character that a pattern gives a meaning to and no backslash before it. */
bool remote_glob_is_pattern(const char *text);
/* text without its backslashes; NULL: no memory. Caller frees. */
char *remote_glob_unescape(const char *text);
/* What matches pattern (glob(7); * and ? do not match a leading dot; a backslash takes the meaning from the character behind it),
 * sorted. A pattern that is none is its own match, whether it exists or not, with attrs not known. None: *ret is empty. */
int remote_glob(struct sftp_conn *c, const char *pattern, const bool *stop, struct remote_names *ret) MUST_USE;
/* One more element of a path: "dir/name". NULL: no memory. Caller frees. */
char *remote_path_join(const char *dir, struct view name);
