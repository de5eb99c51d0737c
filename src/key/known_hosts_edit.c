/* Making and changing known_hosts lines. */
#include "base/base64.h"
#include "crypto/hmac_sha1.h"
#include "key/key_int.h"
#include "key/known_hosts.h"
#include "key/public_line.h"

enum {
    NAME_BYTES_MAX = 8192
};

int known_hosts_hash_put(struct view name, const struct random *random, struct buf *out)
{
    uint8_t salt[HMAC_SHA1_BYTES], mac[HMAC_SHA1_BYTES];
    TRY(random_fill(random, salt, sizeof(salt)));
    CLEANUP(buf_done) struct buf lower = BUF_INIT(NAME_BYTES_MAX);
    TRY(known_hosts_name_put(name, 0, &lower));
    TRY(hmac_sha1(view_of(salt, sizeof(salt)), buf_view(&lower), mac));
    TRY(buf_put_str(out, "|1|"));
    TRY(base64_put(out, view_of(salt, sizeof(salt))));
    TRY(buf_put_str(out, "|"));
    return base64_put(out, view_of(mac, sizeof(mac)));
}

static int put_key(struct view blob, struct buf *out)
{
    struct rd r = rd_of(blob);
    const struct key_type *t = key_type_read(&r);
    TRY(rd_stop(&r));
    if (!t) return ERR_KEY_TYPE;
    TRY(buf_printf(out, " %s ", t->name));
    TRY(base64_put(out, blob));
    return buf_put_str(out, "\n");
}

static int put_lines(const struct view *names, size_t n_names, struct view blob, bool hashed, const struct random *random,
                     struct buf *out)
{
    for (size_t i = 0; i < n_names; i++) {
        if (hashed) {
            TRY(known_hosts_hash_put(names[i], random, out));
            TRY(put_key(blob, out));
        } else {
            if (i) TRY(buf_put_str(out, ","));
            TRY(buf_put_view(out, names[i]));
        }
    }
    return hashed ? 0 : put_key(blob, out);
}

int known_hosts_line_put(const struct view *names, size_t n_names, struct view blob, bool hashed, const struct random *random,
                         struct buf *out)
{
    size_t before = buf_len(out);
    int err = put_lines(names, n_names, blob, hashed, random, out);
    if (err < 0) buf_truncate(out, before);
    return err;
}

static int put_text(struct view text, struct buf *out)
{
    TRY(buf_put_view(out, text));
    return buf_put_str(out, "\n");
}

static bool can_hash(const struct known_hosts_line *l)
{
    return l->marker == KNOWN_HOSTS_PLAIN && !known_hosts_is_hashed(l->names) && !known_hosts_has_wildcard(l->names);
}

int known_hosts_line_put_hashed(const struct known_hosts_line *l, const struct random *random, struct buf *out)
{
    if (!can_hash(l)) return put_text(l->text, out);
    struct view names = l->names, name, tail = view_sub(l->text, (size_t)(l->names.p + l->names.len - l->text.p), l->text.len);
    tail = view_sub(tail, 1, tail.len); /* one separator becomes a space, as OpenSSH writes it */
    while (view_next_in_list(&names, &name)) {
        if (name.len == 0) continue;
        TRY(known_hosts_hash_put(name, random, out));
        TRY(buf_put_str(out, " "));
        TRY(put_text(tail, out));
    }
    return 0;
}

/* A hashed name whose hash cannot be read, or a key that is no blob of the type it claims. Types that we do not know are good: an
 * old line must not keep the others from being edited. */
static bool is_sound(const struct known_hosts_line *l)
{
    CLEANUP(buf_done) struct buf blob = BUF_INIT(KEY_BLOB_BYTES_MAX);
    if (base64_get(l->base64, &blob) < 0) return false;
    struct rd r = rd_of(buf_view(&blob));
    struct view type = rd_string(&r);
    if (rd_stop(&r) < 0 || !view_eq(type, l->type)) return false;
    return !known_hosts_is_hashed(l->names) || (l->names.len == 60 && memcmp(l->names.p, "|1|", 3) == 0 && l->names.p[31] == '|');
}

/* What an edit does with one sound entry: writes what is to stand in the new file. */
struct edit {
    int (*entry)(struct edit *e, const struct known_hosts_line *l);
    struct view name;            /* remove */
    const struct random *random; /* hash */
    known_hosts_edit_fn *fn;
    void *arg;
    struct buf *out;
    struct known_hosts_edit_result result;
};

static void tell(struct edit *e, enum known_hosts_event event, const struct known_hosts_line *l)
{
    if (e->fn) e->fn(e->arg, event, l);
}

static int edit_line(struct edit *e, struct view text, size_t number)
{
    struct known_hosts_line l = { .number = number };
    int got = known_hosts_line_parse(text, &l);
    if (got == 0) return put_text(text, e->out);
    if (got > 0 && is_sound(&l)) return e->entry(e, &l);
    l = (struct known_hosts_line){ .number = number, .text = text };
    e->result.n_invalid++;
    tell(e, KNOWN_HOSTS_EVENT_INVALID, &l);
    return put_text(text, e->out);
}

static int edit_file(struct edit *e, struct view file, struct known_hosts_edit_result *ret)
{
    size_t before = buf_len(e->out);
    struct view text;
    for (size_t number = 1; public_file_next_line(&file, &text); number++) {
        int err = edit_line(e, text, number);
        if (err == 0) continue;
        buf_truncate(e->out, before);
        return err;
    }
    *ret = e->result;
    return 0;
}

static int remove_entry(struct edit *e, const struct known_hosts_line *l)
{
    if (l->marker != KNOWN_HOSTS_PLAIN || !known_hosts_line_matches(l, e->name)) return put_text(l->text, e->out);
    e->result.n_changed++;
    tell(e, KNOWN_HOSTS_EVENT_CHANGED, l);
    return 0;
}

int known_hosts_remove(struct view file, struct view name, known_hosts_edit_fn *fn, void *arg, struct buf *out,
                       struct known_hosts_edit_result *ret)
{
    struct edit e = { .entry = remove_entry, .name = name, .fn = fn, .arg = arg, .out = out };
    return edit_file(&e, file, ret);
}

static int hash_entry(struct edit *e, const struct known_hosts_line *l)
{
    if (!known_hosts_is_hashed(l->names) && known_hosts_has_wildcard(l->names)) tell(e, KNOWN_HOSTS_EVENT_WILDCARD, l);
    if (can_hash(l)) {
        e->result.n_changed++;
        e->result.has_unhashed = true;
        tell(e, KNOWN_HOSTS_EVENT_CHANGED, l);
    }
    return known_hosts_line_put_hashed(l, e->random, e->out);
}

int known_hosts_hash(struct view file, const struct random *random, known_hosts_edit_fn *fn, void *arg, struct buf *out,
                     struct known_hosts_edit_result *ret)
{
    struct edit e = { .entry = hash_entry, .random = random, .fn = fn, .arg = arg, .out = out };
    return edit_file(&e, file, ret);
}
