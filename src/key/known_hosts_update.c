/* Comparing the keys of a server with its lines, and exchanging them. */
#include "key/known_hosts_update.h"

#include "base/base64.h"
#include "key/public_line.h"

enum {
    BASE64_BYTES_MAX = 1 << 18
};

/* The server's keys as they stand in lines. */
struct key_texts {
    struct buf v[KNOWN_HOSTS_KEYS_MAX];
    size_t n;
};

static void key_texts_done(struct key_texts *t)
{
    for (size_t i = 0; i < t->n; i++) buf_done(&t->v[i]);
}

static int key_texts_make(const struct known_hosts_server *s, struct key_texts *t)
{
    if (s->n_keys > KNOWN_HOSTS_KEYS_MAX) return ERR_LIMIT;
    while (t->n < s->n_keys) {
        t->v[t->n] = (struct buf)BUF_INIT(BASE64_BYTES_MAX);
        t->n++;
        TRY(base64_put(&t->v[t->n - 1], s->keys[t->n - 1]));
    }
    return 0;
}

/* Index of the line's key among the server's, or their number. */
static size_t find_key(const struct known_hosts_line *l, const struct key_texts *keys)
{
    size_t i = 0;
    while (i < keys->n && !view_eq(l->base64, buf_view(&keys->v[i]))) i++;
    return i;
}

static bool is_of_server(const struct known_hosts_line *l, const struct known_hosts_server *s)
{
    for (size_t i = 0; i < s->n_names; i++)
        if (known_hosts_line_matches(l, s->names[i])) return true;
    return false;
}

/* Every name in it is one of the server's. */
static bool has_only_its_names(const struct known_hosts_line *l, const struct known_hosts_server *s)
{
    struct view list = l->names, name;
    if (known_hosts_is_hashed(l->names)) return true;
    while (view_next_in_list(&list, &name)) {
        struct known_hosts_line one = { .names = name };
        if (known_hosts_has_wildcard(name) || name.p[0] == '!' || !is_of_server(&one, s)) return false;
    }
    return true;
}

static int survey_own(const struct known_hosts_line *l, const struct known_hosts_server *s, const struct key_texts *keys,
                      struct known_hosts_survey *io)
{
    if (l->marker != KNOWN_HOSTS_PLAIN || !has_only_its_names(l, s)) {
        io->is_complex = true;
        return 0;
    }
    size_t at = find_key(l, keys);
    if (at < keys->n) {
        io->known[at] = true;
        return 0;
    }
    if (io->n_old == KNOWN_HOSTS_OLD_MAX) return ERR_LIMIT;
    io->old[io->n_old].type = l->type;
    io->old[io->n_old++].base64 = l->base64;
    return 0;
}

int known_hosts_survey(struct view file, const struct known_hosts_server *s, struct known_hosts_survey *io)
{
    struct view rest = file, text;
    CLEANUP(key_texts_done) struct key_texts keys = { .n = 0 };
    TRY(key_texts_make(s, &keys));
    for (size_t number = 1; public_file_next_line(&rest, &text); number++) {
        struct known_hosts_line l = { .number = number };
        if (known_hosts_line_parse(text, &l) <= 0) continue;
        if (is_of_server(&l, s))
            TRY(survey_own(&l, s, &keys, io));
        else if (l.marker == KNOWN_HOSTS_PLAIN && find_key(&l, &keys) < keys.n)
            io->has_other_names = true;
    }
    return 0;
}

bool known_hosts_old_has_other_names(struct view file, const struct known_hosts_server *s, const struct known_hosts_survey *survey)
{
    struct known_hosts_line l;
    for (size_t i = 0; i < survey->n_old; i++) {
        struct view rest = file;
        size_t number = 0;
        while (known_hosts_next_with_key(&rest, &number, survey->old[i].base64, &l))
            if (!is_of_server(&l, s)) return true;
    }
    return false;
}

static bool is_dropped(struct view text, const struct known_hosts_server *s, const struct key_texts *keys)
{
    struct known_hosts_line l = { .number = 1 };
    if (known_hosts_line_parse(text, &l) <= 0 || l.marker != KNOWN_HOSTS_PLAIN) return false;
    return is_of_server(&l, s) && find_key(&l, keys) == keys->n;
}

int known_hosts_replace(struct view file, const struct known_hosts_server *s, const bool *add, bool hashed,
                        const struct random *random, struct buf *out, bool *ret_changed)
{
    struct view rest = file, text;
    CLEANUP(key_texts_done) struct key_texts keys = { .n = 0 };
    TRY(key_texts_make(s, &keys));
    *ret_changed = false;
    while (public_file_next_line(&rest, &text)) {
        if (is_dropped(text, s, &keys)) {
            *ret_changed = true;
            continue;
        }
        TRY(buf_put_view(out, text));
        TRY(buf_put_str(out, "\n"));
    }
    for (size_t i = 0; add && i < s->n_keys; i++) {
        if (!add[i]) continue;
        TRY(known_hosts_line_put(s->names, s->n_names, s->keys[i], hashed, random, out));
        *ret_changed = true;
    }
    return 0;
}
