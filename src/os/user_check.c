/* Passwords by crypt(3), locks, expiry, shells. */
#include "os/user.h"
#include "base/secret.h"

#include <crypt.h>
#include <errno.h>
#include <netdb.h>
#include <shadow.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PASSWORD_MAX_BYTES = 1024
};

/* What crypt has to chew on for accounts without a usable hash: yescrypt at its usual cost, Debian's default, of a password nobody
 * has. */
static const char decoy[] = "$y$j9T$kQKd3bVk0PYv1qfQqkX7s0$I7FiKuklK31ndMLsXPYftKaVpqQ8R94R.CJfV3BKMkA";

enum {
    HASH_BYTES = 512
};

/* The hash that a wrong password costs time against where there is none of its own: that of the locked account itself, or of the
 * first account that has one, so that all look like the others here. False: the decoy. */
static bool hash_of_others(const struct user *u, char ret[HASH_BYTES])
{
    const char *own = u && u->hash ? u->hash + strspn(u->hash, "!*") : "";
    bool found = own[0] == '$';
    if (found) snprintf(ret, HASH_BYTES, "%s", own);
    FILE *f = found ? NULL : fopen("/etc/shadow", "re");
    struct spwd *entry;
    while (f && !found && (entry = fgetspent(f))) {
        const char *hash = entry->sp_pwdp + strspn(entry->sp_pwdp, "!*");
        found = hash[0] == '$';
        if (found) snprintf(ret, HASH_BYTES, "%s", hash);
    }
    if (f) fclose(f);
    return found;
}

static bool usable(const char *hash) { return hash && hash[0] && hash[0] != '*' && hash[0] != '!'; }

bool user_password_matches(const struct user *u, struct view password)
{
    bool real = u && usable(u->hash) && password.len <= PASSWORD_MAX_BYTES && !view_has_nul(password);
    struct crypt_data *work = calloc(1, sizeof *work);
    char *text = view_dup_str(view_sub(password, 0, PASSWORD_MAX_BYTES));
    bool same = false;
    if (work && text) {
        char others[HASH_BYTES] = "";
        const char *hash = real ? u->hash : hash_of_others(u, others) ? others : decoy;
        const char *made = crypt_rn(text, hash, work, sizeof *work);
        /* A hash of unknown method fails at once: then the work is done all the same. */
        if (!made) {
            made = crypt_rn(text, decoy, work, sizeof *work);
            real = false;
        }
        size_t n = strlen(hash);
        same = real && made && strlen(made) == n && ct_equal(made, hash, n);
        secret_wipe(others, sizeof others);
    }
    if (work) secret_wipe(work, sizeof *work);
    if (text) secret_wipe(text, strlen(text));
    free(work);
    free(text);
    return same;
}

bool user_is_locked(const struct user *u) { return u->hash && (u->hash[0] == '!' || strncmp(u->hash, "*LK*", 4) == 0); }

static bool soon(int64_t end, int64_t today, int64_t warn_days, int64_t *ret_days_left)
{
    if (warn_days < 0 || end - today > warn_days) return false;
    if (ret_days_left) *ret_days_left = end - today;
    return true;
}

enum user_expiry user_expiry(const struct user *u, int64_t today, int64_t *ret_days_left)
{
    if (!u->shadow.known) return USER_VALID;
    /* shadow(5): 0 as expire is not to be used, as it says both never and 1970; readers take it as no expiry. */
    bool expires = u->shadow.expire > 0;
    if (expires && today > u->shadow.expire) return USER_EXPIRED;
    if (u->shadow.last_change == 0) return USER_PASSWORD_EXPIRED; /* must be changed at the next login */
    bool ages = u->shadow.last_change > 0 && u->shadow.max_days >= 0;
    int64_t end = ages ? u->shadow.last_change + u->shadow.max_days : 0;
    if (ages && u->shadow.inactive_days >= 0 && today > end + u->shadow.inactive_days) return USER_EXPIRED;
    if (ages && today > end) return USER_PASSWORD_EXPIRED;
    if (expires && soon(u->shadow.expire, today, u->shadow.warn_days, ret_days_left)) return USER_EXPIRES_SOON;
    if (ages && soon(end, today, u->shadow.warn_days, ret_days_left)) return USER_PASSWORD_EXPIRES_SOON;
    return USER_VALID;
}

int user_shell_check(const struct user *u)
{
    struct stat st;
    if (stat(u->shell, &st) < 0) return errno == EACCES ? ERR_DENIED : ERR_NOT_FOUND;
    return S_ISREG(st.st_mode) && (st.st_mode & 0111) ? 0 : ERR_DENIED;
}

bool user_netgroup_has(const char *group, const char *host, const char *user) { return innetgr(group, host, user, NULL) != 0; }
