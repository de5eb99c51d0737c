/* Both forms of a revocation file become one list. */
#include "key/revoked.h"

#include "key/krl.h"
#include "key/line_int.h"
#include "key/public_line.h"

#include <stdlib.h>

struct revoked {
    struct krl *list;
};

void revoked_free(struct revoked *r)
{
    if (!r) return;
    krl_free(r->list);
    free(r);
}

static int add_line(struct krl *list, struct view line)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = public_line_parse(line, &k);
    if (err == ERR_KEY_LENGTH) return 0; /* nobody accepts it anyway */
    TRY(err);
    return krl_add_key(list, key_blob(k));
}

static int parse_text(struct view file, struct krl **ret)
{
    CLEANUP(krl_freep) struct krl *list = NULL;
    struct view line;
    TRY(krl_new(&list));
    while (public_file_next_line(&file, &line)) {
        line = line_trim(line);
        if (line.len && line.p[0] != '#') TRY(add_line(list, line));
    }
    *ret = TAKE(list);
    return 0;
}

int revoked_parse(struct view file, struct revoked **ret)
{
    CLEANUP(revoked_freep) struct revoked *r = calloc(1, sizeof(*r));
    if (!r) return ERR_NOMEM;
    TRY(krl_is_binary(file) ? krl_parse(file, &r->list) : parse_text(file, &r->list));
    *ret = TAKE(r);
    return 0;
}

bool revoked_has(const struct revoked *r, struct view key_blob) { return krl_has(r->list, key_blob); }
