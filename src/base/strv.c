/* String vectors. Capacity is the next power of two above n + 1, so it needs no field. */
#include "base/strv.h"

#include <stdlib.h>

void strv_done(struct strv *s)
{
    for (size_t i = 0; i < s->n; i++) free(s->v[i]);
    free(s->v);
    *s = (struct strv)STRV_INIT;
}

int strv_add_take(struct strv *s, char *take_text)
{
    if (!take_text) return ERR_NOMEM;
    int err = s->n >= STRV_MAX ? ERR_LIMIT : 0;
    size_t need = s->n + 2;
    bool full = s->v == NULL || (need & (need - 1)) == 0 || s->n == 0;
    if (err == 0 && full) {
        char **v = realloc(s->v, need * 2 * sizeof *v);
        if (v)
            s->v = v;
        else
            err = ERR_NOMEM;
    }
    if (err) {
        free(take_text);
        return err;
    }
    s->v[s->n++] = take_text;
    s->v[s->n] = NULL;
    return 0;
}

int strv_add(struct strv *s, struct view text) { return strv_add_take(s, view_dup_str(text)); }

int strv_copy(struct strv *ret, const struct strv *from)
{
    struct strv copy = STRV_INIT;
    for (size_t i = 0; i < from->n; i++) {
        int err = strv_add(&copy, view_str(from->v[i]));
        if (err < 0) {
            strv_done(&copy);
            return err;
        }
    }
    *ret = copy;
    return 0;
}
