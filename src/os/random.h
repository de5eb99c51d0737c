/* The real random source: getrandom(2). No pool in the process, so nothing is doubled by fork and nothing is left to be read. */
#pragma once

#include "base/random.h"

extern const struct random os_random; /* ERR_SYS only when the kernel has no getrandom */
