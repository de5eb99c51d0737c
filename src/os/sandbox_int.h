/* A compiled filter: this head, the kernel's instructions, then the names of all system calls by number, if forbidden ones are to
 * be named. It is made and used on one machine, so it is not encoded. */
#pragma once

#include "os/sandbox.h"

enum {
    SANDBOX_NAME_BYTES = 32 /* with its 0 */
};

struct sandbox_filter_head {
    uint32_t n_instructions, n_names;
};
