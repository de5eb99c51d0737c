/* Files that say which users of which hosts are trusted (hosts.equiv(5): hosts.equiv, shosts.equiv, .rhosts, .shosts), as bytes.
 * The first line that names host and user decides; a lone + for all hosts or all users does not count. */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct rhosts_question {
    struct view host, address;            /* of the client: by name, and numeric (or the name again) */
    struct view client_user, server_user; /* a line without a user asks for the same name on both sides */
    /* Whether host, or user (the other one NULL), is in a netgroup. NULL: nothing is. */
    bool (*in_netgroup)(void *arg, const char *group, const char *host, const char *user);
    void *arg;
};

enum rhosts_verdict {
    RHOSTS_NONE, /* no line is about them */
    RHOSTS_TRUSTED,
    RHOSTS_REFUSED /* by a line with - */
};
enum rhosts_verdict rhosts_check(struct view file, const struct rhosts_question *q);
