/* getrandom(2), which gives up to 256 bytes whole and may be cut short by a signal beyond. */
#include "os/random.h"

#include <errno.h>
#include <sys/random.h>

static int fill(UNUSED void *arg, uint8_t *ret_bytes, size_t len)
{
    while (len) {
        ssize_t n = getrandom(ret_bytes, len, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return ERR_SYS(errno);
        ret_bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

const struct random os_random = { fill, NULL };
