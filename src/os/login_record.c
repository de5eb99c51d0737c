/* utmp, wtmp, btmp, lastlog. */
#include "os/login_record.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <lastlog.h>
#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include <utmp.h>
#include <utmpx.h>

static const struct login_record_files system_files = { _PATH_UTMP, _PATH_WTMP, "/var/log/btmp", _PATH_LASTLOG };

static const char *or_system(const char *given, const char *by_default) { return given ? given : by_default; }
#define FILE_OF(files, which) or_system((files) ? (files)->which : NULL, system_files.which)

/* Fields of these files need no NUL when they are full. */
static void put_field(char *field, size_t cap, const char *text)
{
    memcpy(field, text ? text : "", strnlen(text ? text : "", cap));
}

static const char *without_dev(const char *line) { return strncmp(line, "/dev/", 5) == 0 ? line + 5 : line; }

static void put_address(struct utmpx *u, const struct sock_addr *a)
{
    if (a && a->sa.sa_family == AF_INET) memcpy(u->ut_addr_v6, &a->in.sin_addr, 4);
    if (a && a->sa.sa_family == AF_INET6) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr);
        memcpy(u->ut_addr_v6, a->in6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
}

static struct utmpx make_entry(const struct login_record *r, short type)
{
    const char *line = without_dev(r->line ? r->line : "");
    size_t n = strlen(line);
    struct utmpx u = { .ut_type = type, .ut_pid = r->pid, .ut_session = r->pid };
    put_field(u.ut_line, sizeof u.ut_line, line);
    /* The id tells entries apart: the end of the line's name, as login(1) and getty do. */
    put_field(u.ut_id, sizeof u.ut_id, n > sizeof u.ut_id ? line + n - sizeof u.ut_id : line);
    u.ut_tv.tv_sec = (int32_t)r->wall_s;
    if (type == DEAD_PROCESS) return u;
    put_field(u.ut_user, sizeof u.ut_user, r->user);
    put_field(u.ut_host, sizeof u.ut_host, r->host);
    put_address(&u, r->addr);
    return u;
}

static int put_utmp(const char *path, const struct utmpx *u)
{
    if (!file_exists(path)) return 0;
    if (utmpxname(path) < 0) return ERR_SYS(errno);
    setutxent();
    errno = 0;
    int err = pututxline(u) ? 0 : ERR_SYS(errno ? errno : EIO);
    endutxent();
    (void)utmpxname(_PATH_UTMP);
    return err;
}

static int put_wtmp(const char *path, const struct utmpx *u)
{
    if (!file_exists(path)) return 0;
    if (access(path, W_OK) < 0) return ERR_SYS(errno);
    updwtmpx(path, u);
    return 0;
}

static int put_lastlog(const char *path, const struct login_record *r, uid_t uid)
{
    CLEANUP(fd_closep) int fd = -1;
    int err = file_open(path, O_RDWR, 0, &fd);
    if (file_err_is_missing(err)) return 0;
    TRY(err);
    struct lastlog entry = { .ll_time = (int32_t)r->wall_s };
    put_field(entry.ll_line, sizeof entry.ll_line, without_dev(r->line ? r->line : ""));
    put_field(entry.ll_host, sizeof entry.ll_host, r->host);
    ssize_t n = pwrite(fd, &entry, sizeof entry, (off_t)uid * (off_t)sizeof entry);
    return n == sizeof entry ? 0 : ERR_SYS(n < 0 ? errno : EIO);
}

static int first(int err, int later) { return err < 0 ? err : later; }

int login_record_login(const struct login_record_files *files, const struct login_record *r, uid_t uid)
{
    struct utmpx u = make_entry(r, USER_PROCESS);
    int err = put_utmp(FILE_OF(files, utmp), &u);
    err = first(err, put_wtmp(FILE_OF(files, wtmp), &u));
    return first(err, put_lastlog(FILE_OF(files, lastlog), r, uid));
}

int login_record_logout(const struct login_record_files *files, const struct login_record *r)
{
    struct utmpx u = make_entry(r, DEAD_PROCESS);
    int err = put_utmp(FILE_OF(files, utmp), &u);
    return first(err, put_wtmp(FILE_OF(files, wtmp), &u));
}

static int lines_of(const char *path, pid_t pid, struct strv *ret_lines)
{
    int err = 0;
    if (!file_exists(path)) return 0;
    if (utmpxname(path) < 0) return ERR_SYS(errno);
    setutxent();
    for (const struct utmpx *u; err == 0 && (u = getutxent());)
        if (u->ut_type == USER_PROCESS && u->ut_pid == pid)
            err = strv_add(ret_lines, view_of(u->ut_line, strnlen(u->ut_line, sizeof u->ut_line)));
    endutxent();
    (void)utmpxname(_PATH_UTMP);
    return err;
}

int login_record_lost(const struct login_record_files *files, pid_t pid, int64_t wall_s)
{
    CLEANUP(strv_done) struct strv lines = STRV_INIT;
    int err = lines_of(FILE_OF(files, utmp), pid, &lines);
    for (size_t i = 0; i < lines.n; i++) {
        struct login_record r = { .pid = pid, .line = lines.v[i], .wall_s = wall_s };
        err = first(err, login_record_logout(files, &r));
    }
    return err;
}

int login_record_failed(const struct login_record_files *files, const struct login_record *r)
{
    const char *path = FILE_OF(files, btmp);
    struct stat st;
    if (stat(path, &st) < 0) return 0;
    /* Users type passwords where a name was asked: a btmp that everybody can read must not collect them. */
    if (st.st_mode & 07) return ERR_DENIED;
    struct utmpx u = make_entry(r, LOGIN_PROCESS);
    return put_wtmp(path, &u);
}

int login_record_last(const struct login_record_files *files, uid_t uid, struct login_record_last *ret)
{
    CLEANUP(fd_closep) int fd = -1;
    struct lastlog entry;
    int err = file_open(FILE_OF(files, lastlog), O_RDONLY, 0, &fd);
    if (file_err_is_missing(err)) return ERR_NOT_FOUND;
    TRY(err);
    ssize_t n = pread(fd, &entry, sizeof entry, (off_t)uid * (off_t)sizeof entry);
    if (n < 0) return ERR_SYS(errno);
    if (n != sizeof entry || entry.ll_time == 0) return ERR_NOT_FOUND;
    *ret = (struct login_record_last){ .wall_s = entry.ll_time };
    memcpy(ret->host, entry.ll_host, sizeof entry.ll_host);
    memcpy(ret->line, entry.ll_line, sizeof entry.ll_line);
    return 0;
}
