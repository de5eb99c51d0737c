/* Mapping of files that do not change. */
#include "os/map.h"

#include "os/fd.h"

#include <errno.h>
#include <sys/mman.h>

int map_file(int fd, struct view *ret)
{
    uint64_t len;
    TRY(fd_size(fd, &len));
    if (len == 0) {
        *ret = VIEW_EMPTY;
        return 0;
    }
    void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) return ERR_SYS(errno);
    *ret = view_of(p, len);
    return 0;
}
