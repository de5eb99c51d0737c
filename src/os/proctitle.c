/* The argument area as a place for titles. */
#include "os/proctitle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char *at;
    size_t cap;
    char **args, **env; /* the copies */
} area;

/* The strings lie one behind the other: arguments, then environment. The area ends where that is no longer so. */
static char *end_of(char *const *list, char *end)
{
    for (; *list; list++)
        if (*list == end) end = *list + strlen(*list) + 1;
    return end;
}

/* In one block, which stays for as long as the process. */
static char **copy_strings(char *const *list)
{
    size_t n = 0, bytes = 0;
    for (; list[n]; n++) bytes += strlen(list[n]) + 1;
    char **copies = malloc((n + 1) * sizeof *copies + bytes);
    if (!copies) return NULL;
    char *to = (char *)(copies + n + 1);
    for (size_t i = 0; i < n; i++) {
        copies[i] = to;
        to = stpcpy(to, list[i]) + 1;
    }
    copies[n] = NULL;
    return copies;
}

void proctitle_init(int argc, char **argv)
{
    if (area.at || argc < 1) return;
    char *end = end_of(environ, end_of(argv, argv[0]));
    area.env = copy_strings(environ);
    area.args = area.env ? copy_strings(argv) : NULL;
    if (!area.args) return;
    area.cap = (size_t)(end - argv[0]);
    area.at = argv[0];
    for (int i = 0; i < argc; i++) argv[i] = area.args[i];
    environ = area.env;
}

void proctitle_set(const char *fmt, ...)
{
    if (area.cap < 2) return;
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t n = MIN(strlen(text), area.cap - 1);
    memcpy(area.at, text, n);
    memset(area.at + n, 0, area.cap - n);
}
