/* What key holder and network child do alike. Making a cage is in a file of its own: it takes libseccomp, which the network child,
 * who is given one, should not have to load. */
#include "prog/sshd/parts.h"

#include "os/spawn.h"

#include <unistd.h>

int part_give_up_rights(const struct part_cage *cage)
{
    TRY(spawn_hide_memory());
    if (geteuid() == 0) TRY(sandbox_drop(&(struct sandbox_drop){ cage->uid, cage->gid, PART_CHROOT_DIR }));
    TRY(sandbox_limit(false));
    int err = sandbox_no_files();
    if (err < 0 && err != ERR_UNSUPPORTED) return err;
    return sandbox_enter_compiled(cage->filter);
}
