/* The two clocks. Engines are handed these values; nothing above os/ reads a clock. */
#pragma once

#include "base/err.h"

/* Monotonic, and goes on while the machine sleeps (CLOCK_BOOTTIME), so a deadline passed in sleep is seen at waking. */
ms clock_now(void);
/* Seconds since 1970 UTC: certificates, logs, files. */
int64_t clock_wall_s(void);
/* Microseconds since 1970 UTC (sd_notify's reload, log files). */
int64_t clock_wall_us(void);

/* Local time by a strftime format. Always NUL-terminated, empty when it does not fit. */
void clock_text(int64_t wall_s, const char *format, char *ret_text, size_t cap);
