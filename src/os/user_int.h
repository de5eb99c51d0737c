/* What os/ shares about changing ids. */
#pragma once

#include "os/user.h"

/* All three ids are these, and the way back to the old ones and to root is closed. ERR_BUG: it is not, the process must end. */
int user_check_no_way_back(uid_t uid, gid_t gid, uid_t old_uid, gid_t old_gid) MUST_USE;
