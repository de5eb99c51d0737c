/* How a child ended, in words, and the names of signals in RFC 4254 6.10. */
#include "os/spawn.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const struct {
    int number;
    const char *name;
} signals[] = {
    { SIGABRT, "ABRT" }, { SIGALRM, "ALRM" }, { SIGFPE, "FPE" },   { SIGHUP, "HUP" },   { SIGILL, "ILL" },
    { SIGINT, "INT" },   { SIGKILL, "KILL" }, { SIGPIPE, "PIPE" }, { SIGQUIT, "QUIT" }, { SIGSEGV, "SEGV" },
    { SIGTERM, "TERM" }, { SIGUSR1, "USR1" }, { SIGUSR2, "USR2" },
};

const char *spawn_signal_name(int signal)
{
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (signals[i].number == signal) return signals[i].name;
    return NULL;
}

int spawn_signal_number(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (strcmp(signals[i].name, name) == 0) return signals[i].number;
    return 0;
}

void spawn_status_text(int status, char *ret_text, size_t cap)
{
    if (WIFEXITED(status))
        snprintf(ret_text, cap, "exited with status %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        snprintf(ret_text, cap, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(ret_text, cap, "ended in an unknown way (%#x)", (unsigned)status);
}
