/* Looking accounts up. Passwords and expiry are in user_check.c, becoming somebody in user_become.c. */
#include "os/user.h"
#include "base/pattern.h"
#include "base/secret.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An entry of passwd, shadow or group that needs more text than this is refused: group lines of directory services are the long
 * ones. */
enum {
    ENTRY_BYTES = 1024,
    ENTRY_MAX_BYTES = 16 << 20,
    GROUPS_MAX = 65536
};

static void free_hash(struct user *u)
{
    if (u->hash) secret_wipe(u->hash, strlen(u->hash));
    free(u->hash);
    u->hash = NULL;
}

void user_free(struct user *u)
{
    if (!u) return;
    free_hash(u);
    free(u->name);
    free(u->gecos);
    free(u->home);
    free(u->shell);
    free(u->groups);
    free(u);
}

static char *copy(const char *s) { return strdup(s ? s : ""); }

static int user_new(const struct passwd *pw, struct user **ret)
{
    CLEANUP(user_freep) struct user *u = calloc(1, sizeof *u);
    if (!u) return ERR_NOMEM;
    u->uid = pw->pw_uid;
    u->gid = pw->pw_gid;
    u->name = copy(pw->pw_name);
    u->gecos = copy(pw->pw_gecos);
    u->home = copy(pw->pw_dir);
    u->shell = copy(pw->pw_shell && *pw->pw_shell ? pw->pw_shell : "/bin/sh");
    u->hash = copy(pw->pw_passwd);
    if (!u->name || !u->gecos || !u->home || !u->shell || !u->hash) return ERR_NOMEM;
    *ret = TAKE(u);
    return 0;
}

/* The _r functions want a buffer and say ERANGE until it is large enough. */
static int grow(char **buf, size_t *cap)
{
    size_t bigger = *cap ? *cap * 4 : ENTRY_BYTES;
    if (bigger > ENTRY_MAX_BYTES) return ERR_LIMIT;
    if (*buf) secret_wipe(*buf, *cap);
    free(*buf);
    *buf = malloc(bigger);
    if (!*buf) return ERR_NOMEM;
    *cap = bigger;
    return 0;
}

/* What "there is no such entry" looks like differs between name services (getpwnam(3)). */
static bool means_not_found(int why) { return why == 0 || why == ENOENT || why == ESRCH || why == EBADF || why == EPERM; }

static int lookup(const char *name, uid_t uid, struct user **ret)
{
    CLEANUP(freep) char *buf = NULL;
    size_t cap = 0;
    struct passwd pw, *found = NULL;
    int why = ERANGE;
    while (why == ERANGE) {
        TRY(grow(&buf, &cap));
        do why = name ? getpwnam_r(name, &pw, buf, cap, &found) : getpwuid_r(uid, &pw, buf, cap, &found);
        while (why == EINTR);
    }
    if (!found) return means_not_found(why) ? ERR_NOT_FOUND : ERR_SYS(why);
    int err = user_new(found, ret);
    secret_wipe(buf, cap);
    return err;
}

int user_by_name(const char *name, struct user **ret) { return lookup(name, 0, ret); }
int user_by_uid(uid_t uid, struct user **ret) { return lookup(NULL, uid, ret); }

static void take_shadow(struct user *u, const struct spwd *sp)
{
    u->shadow.known = true;
    u->shadow.last_change = sp->sp_lstchg;
    u->shadow.max_days = sp->sp_max;
    u->shadow.warn_days = sp->sp_warn;
    u->shadow.inactive_days = sp->sp_inact;
    u->shadow.expire = sp->sp_expire;
}

int user_load_shadow(struct user *u)
{
    CLEANUP(freep) char *buf = NULL;
    size_t cap = 0;
    struct spwd sp, *found = NULL;
    int why = ERANGE;
    while (why == ERANGE) {
        TRY(grow(&buf, &cap));
        do why = getspnam_r(u->name, &sp, buf, cap, &found);
        while (why == EINTR);
    }
    if (!found) return means_not_found(why) || why == EACCES ? 0 : ERR_SYS(why);
    char *hash = copy(found->sp_pwdp);
    if (hash) {
        free_hash(u);
        u->hash = hash;
        take_shadow(u, found);
    }
    secret_wipe(buf, cap);
    return hash ? 0 : ERR_NOMEM;
}

int user_load_groups(struct user *u)
{
    if (u->groups_known) return 0;
    CLEANUP(freep) gid_t *list = NULL;
    for (int n = 32;;) {
        int had = n;
        gid_t *bigger = reallocarray(list, (size_t)n, sizeof *list);
        if (!bigger) return ERR_NOMEM;
        list = bigger;
        if (getgrouplist(u->name, u->gid, list, &n) >= 0) {
            u->n_groups = (size_t)n;
            break;
        }
        if (n <= had) n = had * 2;
        if (n > GROUPS_MAX) return ERR_LIMIT;
    }
    u->groups = TAKE(list);
    u->groups_known = true;
    return 0;
}

int user_load_groups_of_process(struct user *u)
{
    int n = getgroups(0, NULL);
    if (n < 0) return ERR_SYS(errno);
    CLEANUP(freep) gid_t *list = calloc((size_t)n + 1, sizeof *list);
    if (!list) return ERR_NOMEM;
    n = getgroups(n, list);
    if (n < 0) return ERR_SYS(errno);
    free(u->groups);
    u->groups = TAKE(list);
    u->n_groups = (size_t)n;
    u->groups_known = true;
    return 0;
}

static int group_entry(const char *name, gid_t gid, struct group *gr, char **buf)
{
    size_t cap = 0;
    struct group *found = NULL;
    int why = ERANGE;
    while (why == ERANGE) {
        TRY(grow(buf, &cap));
        do why = name ? getgrnam_r(name, gr, *buf, cap, &found) : getgrgid_r(gid, gr, *buf, cap, &found);
        while (why == EINTR);
    }
    if (found) return 0;
    return means_not_found(why) ? ERR_NOT_FOUND : ERR_SYS(why);
}

int user_group_names(struct user *u, struct strv *ret_names)
{
    TRY(user_load_groups(u));
    CLEANUP(strv_done) struct strv names = STRV_INIT;
    for (size_t i = 0; i < u->n_groups; i++) {
        CLEANUP(freep) char *buf = NULL;
        struct group gr;
        int err = group_entry(NULL, u->groups[i], &gr, &buf);
        if (err == ERR_NOT_FOUND) continue;
        TRY(err);
        TRY(strv_add(&names, view_str(gr.gr_name)));
    }
    *ret_names = names;
    names = (struct strv)STRV_INIT;
    return 0;
}

int user_groups_match(struct user *u, struct view pattern_list)
{
    CLEANUP(strv_done) struct strv names = STRV_INIT;
    TRY(user_group_names(u, &names));
    int result = USER_GROUP_NO_MATCH;
    for (size_t i = 0; i < names.n; i++) {
        int one = pattern_list_match(view_str(names.v[i]), pattern_list);
        if (one < 0) return USER_GROUP_NEGATED;
        if (one > 0) result = USER_GROUP_MATCH;
    }
    return result;
}

void user_group_name(gid_t gid, char *ret_name, size_t cap)
{
    CLEANUP(freep) char *buf = NULL;
    struct group gr;
    if (group_entry(NULL, gid, &gr, &buf) == 0)
        snprintf(ret_name, cap, "%s", gr.gr_name);
    else
        snprintf(ret_name, cap, "%u", gid);
}

int user_group_id(const char *name, gid_t *ret_gid)
{
    CLEANUP(freep) char *buf = NULL;
    struct group gr;
    TRY(group_entry(name, 0, &gr, &buf));
    *ret_gid = gr.gr_gid;
    return 0;
}
