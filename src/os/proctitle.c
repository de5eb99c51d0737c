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
} area;

/* The strings lie one behind the other: arguments, then environment. The area ends where that is no longer so. */
static char *end_of(char *const *list, char *end)
{
    for (; *list; list++)
        if (*list == end) end = *list + strlen(*list) + 1;
    return end;
}

static char **copy_strings(char *const *list)
{
    size_t n = 0;
    while (list[n]) n++;
    char **copies = calloc(n + 1, sizeof *copies);
    for (size_t i = 0; copies && i < n; i++) {
        copies[i] = strdup(list[i]);
        if (copies[i]) continue;
        while (i-- > 0) free(copies[i]);
        free(copies);
        return NULL;
    }
    return copies;
}

void proctitle_init(int argc, char **argv)
{
    if (area.at || argc < 1) return;
    char *end = end_of(environ, end_of(argv, argv[0]));
    char **env = copy_strings(environ);
    char **args = env ? copy_strings(argv) : NULL;
    if (!args) {
        free(env); /* a few strings are lost with it, once per process */
        return;
    }
    area.cap = (size_t)(end - argv[0]);
    area.at = argv[0];
    /* These copies live as long as the process. */
    for (int i = 0; i < argc; i++) argv[i] = args[i];
    free(args);
    environ = env;
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
