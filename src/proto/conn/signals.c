/* Signal names as the protocol spells them. */
#include "proto/conn/signals.h"

#include <signal.h>

static const struct {
    int number;
    const char *name;
} table[] = {
    { SIGABRT, "ABRT" }, { SIGALRM, "ALRM" },
    { SIGFPE, "FPE" },   { SIGHUP, "HUP" },
    { SIGILL, "ILL" },   { SIGINT, "INT" },
    { SIGKILL, "KILL" }, { SIGPIPE, "PIPE" },
    { SIGQUIT, "QUIT" }, { SIGSEGV, "SEGV" },
    { SIGTERM, "TERM" }, { SIGUSR1, "USR1" },
    { SIGUSR2, "USR2" }, { SIGNALS_INFO, "INFO@openssh.com" },
};

int signals_number(struct view name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (view_eq_str(name, table[i].name)) return table[i].number;
    return 0;
}

const char *signals_name(int number)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].number == number) return table[i].name;
    return NULL;
}
