/* What key holder and network child do alike. */
#include "prog/sshd/parts.h"

#include "os/spawn.h"
#include "os/user.h"

#include <unistd.h>

int part_give_up_rights(const struct sandbox_rule *rules, size_t n, bool trap)
{
    TRY(spawn_hide_memory());
    if (geteuid() == 0) {
        CLEANUP(user_freep) struct user *nobody = NULL;
        TRY(user_by_name(PART_USER_NAME, &nobody));
        TRY(sandbox_drop(&(struct sandbox_drop){ nobody->uid, nobody->gid, PART_CHROOT_DIR }));
    }
    TRY(sandbox_limit(false));
    int err = sandbox_no_files();
    if (err < 0 && err != ERR_UNSUPPORTED) return err;
    return sandbox_enter(rules, n, trap);
}
