/* Files as memory. */
#pragma once

#include "base/err.h"
#include "base/view.h"

/* The whole of a sealed or otherwise unchanging file, read-only, until the process ends. An empty file gives an empty view.
 * ERR_SYS. */
int map_file(int fd, struct view *ret) MUST_USE;
