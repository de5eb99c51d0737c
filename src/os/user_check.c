/* Passwords by crypt(3), locks, expiry, shells. */
#include "os/user.h"
#include "base/secret.h"
#include "os/user_int.h"

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

static bool usable(const char *hash) { return hash && hash[0] && hash[0] != '*' && hash[0] != '!'; }

/* ---- what a wrong password costs where there is no hash to try it on ---- */

enum {
    METHODS_MAX = 16
};

/* How much of a hash says what it costs: "$y$j9T$", "$2b$12$", "$6$rounds=9999$", "$6$". */
static size_t method_len(const char *hash)
{
    static const char *const with_cost[] = { "$y$", "$gy$", "$2a$", "$2b$", "$2y$", "$sha1$" };
    const char *end = hash[0] == '$' ? strchr(hash + 1, '$') : NULL;
    if (!end) return 0;
    size_t n = (size_t)(end - hash) + 1;
    bool has_cost = strncmp(hash + n, "rounds=", 7) == 0;
    for (size_t i = 0; i < ARRAY_LEN(with_cost); i++) has_cost |= strncmp(hash, with_cost[i], n) == 0;
    end = has_cost ? strchr(hash + n, '$') : NULL;
    return end ? (size_t)(end - hash) + 1 : n;
}

bool user_common_hash(FILE *shadow, char ret[USER_HASH_BYTES])
{
    struct {
        char hash[USER_HASH_BYTES];
        size_t n;
    } *methods = calloc(METHODS_MAX, sizeof *methods);
    size_t n_methods = 0, best = 0;
    const struct spwd *entry;
    while (methods && (entry = fgetspent(shadow))) {
        size_t len = method_len(entry->sp_pwdp), i = 0;
        if (len == 0) continue; /* locked, or without a password */
        while (i < n_methods && (strncmp(methods[i].hash, entry->sp_pwdp, len) != 0 || method_len(methods[i].hash) != len)) i++;
        if (i == METHODS_MAX) continue;
        if (i == n_methods) snprintf(methods[n_methods++].hash, USER_HASH_BYTES, "%s", entry->sp_pwdp);
        if (++methods[i].n > methods[best].n) best = i;
    }
    if (n_methods) memcpy(ret, methods[best].hash, USER_HASH_BYTES);
    if (methods) secret_wipe(methods, METHODS_MAX * sizeof *methods);
    free(methods);
    return n_methods != 0;
}

/* That of the locked account itself, or one by the method that most accounts here have, so that all look alike. False: the decoy.
 */
static bool hash_of_others(const struct user *u, char ret[USER_HASH_BYTES])
{
    const char *own = u && u->hash ? u->hash + strspn(u->hash, "!*") : "";
    if (own[0] == '$') {
        snprintf(ret, USER_HASH_BYTES, "%s", own);
        return true;
    }
    FILE *f = fopen("/etc/shadow", "re");
    bool found = f && user_common_hash(f, ret);
    if (f) fclose(f);
    return found;
}

bool user_password_matches(const struct user *u, struct view password)
{
    bool real = u && usable(u->hash) && password.len <= PASSWORD_MAX_BYTES && !view_has_nul(password);
    struct crypt_data *work = calloc(1, sizeof *work);
    char *text = view_dup_str(view_sub(password, 0, PASSWORD_MAX_BYTES));
    bool same = false;
    if (work && text) {
        char others[USER_HASH_BYTES] = "";
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
