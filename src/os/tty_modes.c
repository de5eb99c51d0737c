/* termios to and from the opcodes of RFC 4254 8 (and IUTF8 of RFC 8160). */
#include "os/tty.h"

#include <errno.h>
#include <unistd.h>

enum kind {
    CHAR,
    INPUT,
    LOCAL,
    OUTPUT,
    CONTROL,
    SIZE
};
enum {
    OP_ISPEED = 128,
    OP_OSPEED = 129,
    NO_CHAR = 255
};

/* PENDIN (62) is left out: it asks to have typed input echoed again, which no session wants at its start. */
static const struct {
    uint8_t opcode;
    uint8_t kind;
    tcflag_t what; /* index into c_cc, or the flag */
} rows[] = {
    { 1, CHAR, VINTR },     { 2, CHAR, VQUIT },     { 3, CHAR, VERASE },   { 4, CHAR, VKILL },      { 5, CHAR, VEOF },
    { 6, CHAR, VEOL },      { 7, CHAR, VEOL2 },     { 8, CHAR, VSTART },   { 9, CHAR, VSTOP },      { 10, CHAR, VSUSP },
    { 12, CHAR, VREPRINT }, { 13, CHAR, VWERASE },  { 14, CHAR, VLNEXT },  { 16, CHAR, VSWTC },     { 18, CHAR, VDISCARD },
    { 30, INPUT, IGNPAR },  { 31, INPUT, PARMRK },  { 32, INPUT, INPCK },  { 33, INPUT, ISTRIP },   { 34, INPUT, INLCR },
    { 35, INPUT, IGNCR },   { 36, INPUT, ICRNL },   { 37, INPUT, IUCLC },  { 38, INPUT, IXON },     { 39, INPUT, IXANY },
    { 40, INPUT, IXOFF },   { 41, INPUT, IMAXBEL }, { 42, INPUT, IUTF8 },  { 50, LOCAL, ISIG },     { 51, LOCAL, ICANON },
    { 52, LOCAL, XCASE },   { 53, LOCAL, ECHO },    { 54, LOCAL, ECHOE },  { 55, LOCAL, ECHOK },    { 56, LOCAL, ECHONL },
    { 57, LOCAL, NOFLSH },  { 58, LOCAL, TOSTOP },  { 59, LOCAL, IEXTEN }, { 60, LOCAL, ECHOCTL },  { 61, LOCAL, ECHOKE },
    { 70, OUTPUT, OPOST },  { 71, OUTPUT, OLCUC },  { 72, OUTPUT, ONLCR }, { 73, OUTPUT, OCRNL },   { 74, OUTPUT, ONOCR },
    { 75, OUTPUT, ONLRET }, { 90, SIZE, CS7 },      { 91, SIZE, CS8 },     { 92, CONTROL, PARENB }, { 93, CONTROL, PARODD },
};
_Static_assert(ARRAY_LEN(rows) + 2 <= TTY_MODES_MAX, "all modes fit");

static const struct {
    speed_t code;
    uint32_t bits;
} speeds[] = {
    { B0, 0 },
    { B50, 50 },
    { B75, 75 },
    { B110, 110 },
    { B134, 134 },
    { B150, 150 },
    { B200, 200 },
    { B300, 300 },
    { B600, 600 },
    { B1200, 1200 },
    { B1800, 1800 },
    { B2400, 2400 },
    { B4800, 4800 },
    { B9600, 9600 },
    { B19200, 19200 },
    { B38400, 38400 },
    { B57600, 57600 },
    { B115200, 115200 },
    { B230400, 230400 },
    { B460800, 460800 },
    { B500000, 500000 },
    { B576000, 576000 },
    { B921600, 921600 },
    { B1000000, 1000000 },
    { B1152000, 1152000 },
    { B1500000, 1500000 },
    { B2000000, 2000000 },
    { B2500000, 2500000 },
    { B3000000, 3000000 },
    { B3500000, 3500000 },
    { B4000000, 4000000 },
};

static uint32_t bits_of(speed_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(speeds); i++)
        if (speeds[i].code == code) return speeds[i].bits;
    return 9600;
}

/* The next lower speed there is, for values in between. */
static speed_t code_of(uint32_t bits)
{
    speed_t code = B0;
    for (size_t i = 0; i < ARRAY_LEN(speeds) && speeds[i].bits <= bits; i++) code = speeds[i].code;
    return code;
}

static tcflag_t *field(struct termios *t, uint8_t kind)
{
    return kind == INPUT ? &t->c_iflag : kind == LOCAL ? &t->c_lflag : kind == OUTPUT ? &t->c_oflag : &t->c_cflag;
}

static uint32_t get_one(struct termios *t, uint8_t kind, tcflag_t what)
{
    if (kind == CHAR) return t->c_cc[what] == _POSIX_VDISABLE ? NO_CHAR : t->c_cc[what];
    if (kind == SIZE) return (t->c_cflag & CSIZE) == what;
    return (*field(t, kind) & what) != 0;
}

static void set_one(struct termios *t, uint8_t kind, tcflag_t what, uint32_t value)
{
    if (kind == CHAR)
        t->c_cc[what] = value >= NO_CHAR ? _POSIX_VDISABLE : (cc_t)value;
    else if (kind == SIZE)
        t->c_cflag = value ? (t->c_cflag & ~(tcflag_t)CSIZE) | what : t->c_cflag;
    else if (value)
        *field(t, kind) |= what;
    else
        *field(t, kind) &= ~what;
}

int tty_modes_get(int fd, struct tty_mode *ret, size_t *ret_n)
{
    struct termios t;
    *ret_n = 0;
    if (tcgetattr(fd, &t) < 0) return ERR_SYS(errno);
    size_t n = 0;
    ret[n++] = (struct tty_mode){ OP_ISPEED, bits_of(cfgetispeed(&t)) };
    ret[n++] = (struct tty_mode){ OP_OSPEED, bits_of(cfgetospeed(&t)) };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ret[n++] = (struct tty_mode){ rows[i].opcode, get_one(&t, rows[i].kind, rows[i].what) };
    *ret_n = n;
    return 0;
}

static void apply(struct termios *t, const struct tty_mode *m)
{
    if (m->opcode == OP_ISPEED) (void)cfsetispeed(t, code_of(m->value));
    if (m->opcode == OP_OSPEED) (void)cfsetospeed(t, code_of(m->value));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].opcode == m->opcode) set_one(t, rows[i].kind, rows[i].what, m->value);
}

int tty_modes_set(int fd, const struct tty_mode *modes, size_t n)
{
    struct termios t;
    if (tcgetattr(fd, &t) < 0) return ERR_SYS(errno);
    for (size_t i = 0; i < n; i++) apply(&t, &modes[i]);
    return tcsetattr(fd, TCSANOW, &t) < 0 ? ERR_SYS(errno) : 0;
}
