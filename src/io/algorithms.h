/* What conf/ may not look up by itself: the names of the algorithms in this build, in order of preference, and those offered by
 * default. */
#pragma once

#include "conf/conf.h"

struct algorithms {
    struct conf_algorithms conf; /* points into own */
    char *own[2 * CONF_ALGS_MAX];
};
enum algorithms_side {
    ALGORITHMS_CLIENT,
    ALGORITHMS_SERVER
};
int algorithms_init(struct algorithms *a, enum algorithms_side side) MUST_USE;
void algorithms_done(struct algorithms *a);

/* The compression list for KEXINIT: "none" first or last. */
const char *algorithms_compression(bool wanted);
