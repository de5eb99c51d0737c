/* Reading the clocks. */
#include "os/clock.h"

#include <time.h>

static struct timespec read_clock(clockid_t which)
{
    struct timespec t = { 0 };
    CHECK(clock_gettime(which, &t) == 0);
    return t;
}

ms clock_now(void)
{
    struct timespec t = read_clock(CLOCK_BOOTTIME);
    return (ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_s(void) { return read_clock(CLOCK_REALTIME).tv_sec; }

int64_t clock_wall_us(void)
{
    struct timespec t = read_clock(CLOCK_REALTIME);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void clock_text(int64_t wall_s, const char *format, char *ret_text, size_t cap)
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    if (!localtime_r(&t, &tm) || strftime(ret_text, cap, format, &tm) == 0) ret_text[0] = 0;
}
