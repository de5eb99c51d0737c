/* Paths and names of accounts for the SFTP server. realpath(3) is of no use here: it refuses a path whose last component does not
 * exist yet, and clients ask for those before they create them. */
#include "io/sftp_server_int.h"
#include "os/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool sftp_server_path_take(char into[PATH_MAX], struct view path)
{
    if (path.len >= PATH_MAX) return false;
    if (path.len) memcpy(into, path.p, path.len);
    into[path.len] = '\0';
    return true;
}

/* a resolved path under construction: "" stands for the root */
static int push(char path[PATH_MAX], const char *component, size_t len)
{
    size_t at = strlen(path);
    if (at + 1 + len + 1 > PATH_MAX) return ENAMETOOLONG;
    path[at] = '/';
    memcpy(path + at + 1, component, len);
    path[at + 1 + len] = '\0';
    return 0;
}

static void pop(char path[PATH_MAX])
{
    char *slash = strrchr(path, '/');
    if (slash) *slash = '\0';
}

/* Puts a link's target before what is left. */
static int follow(char resolved[PATH_MAX], char left[PATH_MAX], const char *rest)
{
    char target[PATH_MAX];
    ssize_t n = readlink(resolved, target, sizeof(target));
    if (n < 0) return errno;
    size_t rest_len = strlen(rest);
    if (n == 0) return ENOENT;
    if ((size_t)n + rest_len + 1 > PATH_MAX) return ENAMETOOLONG;
    memmove(left + n, rest, rest_len + 1);
    memcpy(left, target, (size_t)n);
    if (left[0] == '/')
        resolved[0] = '\0';
    else
        pop(resolved);
    return 0;
}

/* One component, of len bytes at `at`; rest is what stands behind it. */
static int walk_one(char resolved[PATH_MAX], char left[PATH_MAX], const char *at, size_t len, const char **ret_next, int *links)
{
    const char *rest = at + len;
    *ret_next = rest;
    if (len == 1 && at[0] == '.') return 0;
    if (len == 2 && at[0] == '.' && at[1] == '.') {
        pop(resolved);
        return 0;
    }
    int e = push(resolved, at, len);
    if (e) return e;
    struct stat st;
    if (lstat(resolved, &st) != 0) return errno == ENOENT && *rest == '\0' ? 0 : errno;
    if (!S_ISLNK(st.st_mode)) return 0;
    if (++*links > SFTP_SERVER_LINKS_MAX) return ELOOP;
    *ret_next = left;
    return follow(resolved, left, rest);
}

int sftp_server_real_path(const char *path, char ret[PATH_MAX])
{
    char left[PATH_MAX];
    if (strlen(path) >= sizeof(left)) return ENAMETOOLONG;
    memcpy(left, path, strlen(path) + 1);
    ret[0] = '\0';
    if (path[0] != '/') {
        if (!getcwd(ret, PATH_MAX)) return errno;
        if (strcmp(ret, "/") == 0) ret[0] = '\0';
    }
    int links = 0;
    for (const char *p = left; *p;) {
        size_t slashes = strspn(p, "/");
        p += slashes;
        size_t len = strcspn(p, "/");
        if (len == 0) break;
        int e = walk_one(ret, left, p, len, &p, &links);
        if (e) return e;
    }
    if (!ret[0]) memcpy(ret, "/", 2);
    return 0;
}

int sftp_server_expand_path(struct sftp_server *s, const char *path, char ret[PATH_MAX])
{
    int n;
    if (path[0] == '~') {
        size_t user_len = strcspn(path + 1, "/");
        const char *rest = path + 1 + user_len;
        /* "~" is where the session began: the home directory, or what -d or a chroot put in its place. */
        if (user_len == 0) {
            n = snprintf(ret, PATH_MAX, ".%s", rest);
        } else {
            CLEANUP(freep) char *name = strndup(path + 1, user_len);
            CLEANUP(user_freep) struct user *u = NULL;
            if (!name) return ENOMEM;
            int err = user_by_name(name, &u);
            if (err == ERR_NOT_FOUND) log_error(s->log, "tilde_expand: No such user %s", name);
            if (err < 0) return err == ERR_NOT_FOUND ? ESRCH : EIO;
            n = snprintf(ret, PATH_MAX, "%s%s", u->home, rest);
        }
    } else {
        n = snprintf(ret, PATH_MAX, "%s", *path ? path : ".");
    }
    return n >= PATH_MAX ? ENAMETOOLONG : 0;
}

/* Looking a name up may read files or ask a server, and a directory names the same few again and again. */
static const char *cached(struct sftp_server_id_name *slot, uint32_t id, const char *(*look_up)(uint32_t id))
{
    if (slot->name && slot->id == id) return slot->name;
    const char *name = look_up(id);
    char *copy = strdup(name ? name : "");
    if (!copy) return "";
    free(slot->name);
    *slot = (struct sftp_server_id_name){ id, copy };
    return copy;
}

static const char *look_up_user(uint32_t id)
{
    const struct passwd *pw = getpwuid(id);
    return pw ? pw->pw_name : NULL;
}
static const char *look_up_group(uint32_t id)
{
    const struct group *gr = getgrgid(id);
    return gr ? gr->gr_name : NULL;
}

const char *sftp_server_user_name(struct sftp_server *s, uint32_t uid)
{
    return cached(&s->users[uid % SFTP_SERVER_NAME_CACHE], uid, look_up_user);
}
const char *sftp_server_group_name(struct sftp_server *s, uint32_t gid)
{
    return cached(&s->groups[gid % SFTP_SERVER_NAME_CACHE], gid, look_up_group);
}

void sftp_server_names_done(struct sftp_server *s)
{
    for (size_t i = 0; i < SFTP_SERVER_NAME_CACHE; i++) {
        free(s->users[i].name);
        free(s->groups[i].name);
    }
}
