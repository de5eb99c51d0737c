/* Changing who the process is, for good or for a while. */
#include "os/user_int.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

int user_check_no_way_back(uid_t uid, gid_t gid, uid_t old_uid, gid_t old_gid)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;
    if (getresuid(&r, &e, &s) < 0 || getresgid(&rg, &eg, &sg) < 0) return ERR_SYS(errno);
    if (r != uid || e != uid || s != uid || rg != gid || eg != gid || sg != gid) return ERR_BUG;
    if (uid == 0) return 0;
    if (old_uid != uid && (setuid(old_uid) == 0 || seteuid(old_uid) == 0)) return ERR_BUG;
    if (old_gid != gid && (setgid(old_gid) == 0 || setegid(old_gid) == 0)) return ERR_BUG;
    return setuid(0) == 0 || seteuid(0) == 0 ? ERR_BUG : 0;
}

int user_set_groups(struct user *u)
{
    TRY(user_load_groups(u));
    return setgroups(u->n_groups, u->groups) < 0 ? ERR_SYS(errno) : 0;
}

int user_become(struct user *u)
{
    uid_t old_uid = getuid();
    gid_t old_gid = getgid();
    if (geteuid() == 0)
        TRY(user_set_groups(u));
    else if (geteuid() != u->uid || old_uid != u->uid)
        return ERR_DENIED;
    if (setresgid(u->gid, u->gid, u->gid) < 0 || setresuid(u->uid, u->uid, u->uid) < 0) return ERR_SYS(errno);
    return user_check_no_way_back(u->uid, u->gid, old_uid, old_gid);
}

static int save(struct user_as *ret)
{
    int n = getgroups(0, NULL);
    if (n < 0) return ERR_SYS(errno);
    CLEANUP(freep) gid_t *list = calloc((size_t)n + 1, sizeof *list);
    if (!list) return ERR_NOMEM;
    n = getgroups(n, list);
    if (n < 0) return ERR_SYS(errno);
    *ret = (struct user_as){ .active = true, .uid = geteuid(), .gid = getegid(), .n_groups = (size_t)n, .groups = TAKE(list) };
    return 0;
}

int user_as_begin(struct user *u, struct user_as *ret_saved)
{
    *ret_saved = (struct user_as){ 0 };
    if (geteuid() != 0) return geteuid() == u->uid ? 0 : ERR_DENIED;
    TRY(user_load_groups(u));
    CLEANUP(user_as_end) struct user_as saved = { 0 };
    TRY(save(&saved));
    if (setgroups(u->n_groups, u->groups) < 0 || setegid(u->gid) < 0 || seteuid(u->uid) < 0) return ERR_SYS(errno);
    *ret_saved = saved;
    saved = (struct user_as){ 0 };
    return 0;
}

void user_as_end(struct user_as *s)
{
    if (!s->active) return;
    bool back = seteuid(s->uid) == 0 && setegid(s->gid) == 0 && setgroups(s->n_groups, s->groups) == 0;
    CHECK(back);
    free(s->groups);
    *s = (struct user_as){ 0 };
}
