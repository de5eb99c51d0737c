/* The one thing about views that needs the heap. */
#include "base/view.h"

#include <stdlib.h>

char *view_dup_str(struct view v)
{
    char *s = malloc(v.len + 1);
    if (!s) return NULL;
    if (v.len) memcpy(s, v.p, v.len);
    s[v.len] = 0;
    return s;
}
