/* What os/ shares about changing ids. */
#pragma once

#include "os/user.h"

/* All three ids are these, and the way back to the old ones and to root is closed. ERR_BUG: it is not, the process must end. */
int user_check_no_way_back(uid_t uid, gid_t gid, uid_t old_uid, gid_t old_gid) MUST_USE;

#include <stdio.h>

enum {
    USER_HASH_BYTES = 512
};
/* A hash made by the method, with the cost, that most accounts in this shadow file have; locked ones and those without a password
 * do not count. Of as many the first. False: there is none. */
bool user_common_hash(FILE *shadow, char ret[USER_HASH_BYTES]);
