/* Pseudo-terminals. */
#include "os/pty.h"
#include "os/fd.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

void pty_done(struct pty *p)
{
    fd_close(p->master);
    fd_close(p->slave);
    p->master = p->slave = -1;
}

int pty_open(struct pty *ret)
{
    CLEANUP(pty_done) struct pty p = PTY_INIT;
    p.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p.master < 0) return ERR_SYS(errno);
    if (grantpt(p.master) < 0 || unlockpt(p.master) < 0) return ERR_SYS(errno);
    int why = ptsname_r(p.master, p.name, sizeof p.name);
    if (why) return ERR_SYS(why);
    p.slave = open(p.name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p.slave < 0) return ERR_SYS(errno);
    *ret = p;
    p.master = p.slave = -1;
    return 0;
}

int pty_give(const struct pty *p, uid_t uid, gid_t gid)
{
    gid_t tty_gid = gid;
    bool has_group = user_group_id("tty", &tty_gid) == 0;
    mode_t mode = has_group ? 0620 : 0600;
    struct stat st;
    if (fstat(p->slave, &st) < 0) return ERR_SYS(errno);
    bool owned = st.st_uid == uid && st.st_gid == tty_gid;
    if (!owned && fchown(p->slave, uid, tty_gid) < 0) {
        /* Without root the device is ours already; its group then stays the kernel's choice. */
        if (st.st_uid != uid) return ERR_SYS(errno);
    }
    if ((st.st_mode & 07777) != mode && fchmod(p->slave, mode) < 0) return ERR_SYS(errno);
    return 0;
}

void pty_release(const char *name)
{
    if (!name[0] || geteuid() != 0) return;
    if (chown(name, 0, 0) == 0) (void)!chmod(name, 0666);
}

static uint16_t cut(uint32_t v) { return (uint16_t)MIN(v, (uint32_t)UINT16_MAX); }

int pty_set_size(int fd, const struct pty_size *s)
{
    struct winsize w = {
        .ws_row = cut(s->rows), .ws_col = cut(s->cols), .ws_xpixel = cut(s->width_px), .ws_ypixel = cut(s->height_px)
    };
    return ioctl(fd, TIOCSWINSZ, &w) < 0 ? ERR_SYS(errno) : 0;
}

int pty_get_size(int fd, struct pty_size *ret)
{
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) < 0) return ERR_SYS(errno);
    *ret = (struct pty_size){ .cols = w.ws_col, .rows = w.ws_row, .width_px = w.ws_xpixel, .height_px = w.ws_ypixel };
    return 0;
}

int pty_make_controlling(int slave_fd)
{
    if (setsid() < 0 && getsid(0) != getpid()) return ERR_SYS(errno);
    return ioctl(slave_fd, TIOCSCTTY, 0) < 0 ? ERR_SYS(errno) : 0;
}

void pty_drop_controlling(void)
{
    CLEANUP(fd_closep) int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0) (void)ioctl(fd, TIOCNOTTY, 0);
}
