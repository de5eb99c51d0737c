/* Accounts: looking them up, checking passwords by crypt(3), becoming somebody. PAM is in pam.h. */
#pragma once

#include "base/err.h"
#include "base/strv.h"

#include <sys/types.h>

/* An owned copy. shadow is known after user_load_shadow, groups after user_load_groups. */
struct user {
    char *name, *gecos, *home, *shell; /* shell: /bin/sh where the account says nothing */
    uid_t uid;
    gid_t gid;
    char *hash; /* of the password, from passwd or shadow; NULL unknown. Wiped when freed */
    struct {
        bool known;
        /* Days since 1970, spans in days; -1: not set. As shadow(5). */
        int64_t last_change, max_days, warn_days, inactive_days, expire;
    } shadow;
    bool groups_known;
    gid_t *groups; /* with gid */
    size_t n_groups;
};

/* ERR_NOT_FOUND; ERR_NOMEM; ERR_SYS when the data base could not be asked. */
int user_by_name(const char *name, struct user **ret) MUST_USE;
int user_by_uid(uid_t uid, struct user **ret) MUST_USE;
void user_free(struct user *u); /* NULL is fine */
DEFINE_FREEP(struct user, user_free)

/* Reads the shadow entry (root only). No entry is no error: shadow.known stays false. */
int user_load_shadow(struct user *u) MUST_USE;
/* The groups by the group data base. Loaded once. */
int user_load_groups(struct user *u) MUST_USE;
/* Instead: what this process has now, after PAM added some. */
int user_load_groups_of_process(struct user *u) MUST_USE;
/* Names of the groups; those without a name are left out. */
int user_group_names(struct user *u, struct strv *ret_names) MUST_USE;
/* The comma list of patterns against all groups: NEGATED when some group matches a negated pattern, whatever else matches. */
enum user_group_match {
    USER_GROUP_NO_MATCH,
    USER_GROUP_MATCH,
    USER_GROUP_NEGATED
};
int user_groups_match(struct user *u, struct view pattern_list) MUST_USE; /* an enum user_group_match, or an error */
/* Name of a group, or its number. */
void user_group_name(gid_t gid, char *ret_name, size_t cap);
int user_group_id(const char *name, gid_t *ret_gid) MUST_USE; /* ERR_NOT_FOUND */

/* Whether the password makes the hash. With hash NULL or unusable (locked, empty, unknown method) the answer is false after the
 * same work as for a good one: the costly part is done against a fixed hash. Blocks for as long as the hash's method costs. */
bool user_password_matches(const struct user *u_or_null, struct view password);
/* The hash says that the account is locked: it begins with '!', or is "*LK*", or begins with "*LK*". A lone '*' is no lock (keys
 * still work). */
bool user_is_locked(const struct user *u);
enum user_expiry {
    USER_VALID,
    USER_EXPIRES_SOON,
    USER_PASSWORD_EXPIRES_SOON,
    USER_PASSWORD_EXPIRED,
    USER_EXPIRED
};
/* By the shadow fields on that day (clock_wall_s() / 86400). ret_days_left, may be NULL: for the ..._SOON values. */
enum user_expiry user_expiry(const struct user *u, int64_t today, int64_t *ret_days_left);
/* innetgr(3): whether the host, or the user (the other NULL), is in a netgroup. */
bool user_netgroup_has(const char *group, const char *host, const char *user);
/* The shell exists, is a regular file and somebody may execute it. ERR_NOT_FOUND: it does not exist; ERR_DENIED: it is not
 * executable. */
int user_shell_check(const struct user *u) MUST_USE;

/* For good: groups (loaded if need be), gid, uid in all three places, verified that there is no way back. Afterwards the process is
 * the user, or the error means that it must end. When the process is that user already, only the checks are made. */
int user_become(struct user *u) MUST_USE;

/* Gives this process the user's groups and nothing else: before PAM's credentials, whose modules may add some (then
 * user_load_groups_of_process). Needs root. */
int user_set_groups(struct user *u) MUST_USE;

/* For a while: effective ids and groups become the user's, so that opening files is done with the user's rights. Without root:
 * nothing happens unless the user is another (ERR_DENIED). Not nested. A failing user_as_end leaves a process with wrong rights: it
 * ends the process (the one place where that is right). */
struct user_as {
    bool active;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t n_groups;
};
int user_as_begin(struct user *u, struct user_as *ret_saved) MUST_USE;
void user_as_end(struct user_as *saved); /* for CLEANUP as well; nothing when not active */
