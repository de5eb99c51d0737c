/* Making a cage. */
#include "os/user.h"
#include "prog/sshd/parts.h"

#include <unistd.h>

int part_make_cage(const struct sandbox_rule *rules, size_t n, bool trap, struct buf *out, struct part_cage *ret)
{
    struct part_cage cage = { .uid = 0 };
    if (geteuid() == 0) {
        CLEANUP(user_freep) struct user *nobody = NULL;
        TRY(user_by_name(PART_USER_NAME, &nobody));
        cage.uid = nobody->uid;
        cage.gid = nobody->gid;
    }
    TRY(sandbox_compile(rules, n, trap, out));
    cage.filter = buf_view(out);
    *ret = cage;
    return 0;
}
