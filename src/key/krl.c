/* A revocation list in memory: sets of byte strings and ranges of serials, sorted before they are asked. */
#include "key/krl_int.h"

#include "key/cert.h"
#include "key/key_int.h"

#include <stdlib.h>

/* Room for one more element; the array keeps its contents on failure. */
static int grow(void **array, size_t n, size_t *cap, size_t size, size_t max)
{
    if (n < *cap) return 0;
    if (n >= max) return ERR_LIMIT;
    size_t more = *cap ? 2 * *cap : 4;
    void *moved = realloc(*array, more * size);
    if (!moved) return ERR_NOMEM;
    *array = moved;
    *cap = more;
    return 0;
}

static void set_init(struct krl_set *s) { buf_init(&s->bytes, KRL_BYTES_MAX); }

static void set_done(struct krl_set *s)
{
    buf_done(&s->bytes);
    free(s->items);
}

int krl_set_add(struct krl_set *s, struct view bytes)
{
    TRY(grow((void **)&s->items, s->n, &s->cap, sizeof(*s->items), KRL_ITEMS_MAX));
    size_t off = buf_len(&s->bytes);
    TRY(buf_put_view(&s->bytes, bytes));
    s->items[s->n++] = (struct krl_item){ (uint32_t)off, (uint32_t)bytes.len };
    return 0;
}

static int compare_views(struct view a, struct view b)
{
    size_t n = MIN(a.len, b.len);
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_items(const void *a, const void *b, void *set)
{
    const struct krl_item *x = a, *y = b;
    struct view bytes = buf_view(&((const struct krl_set *)set)->bytes);
    return compare_views(view_sub(bytes, x->off, x->len), view_sub(bytes, y->off, y->len));
}

static void set_sort(struct krl_set *s)
{
    size_t n = 0;
    if (s->n == 0) return;
    qsort_r(s->items, s->n, sizeof(*s->items), compare_items, s);
    for (size_t i = 0; i < s->n; i++)
        if (n == 0 || !view_eq(krl_set_item(s, n - 1), krl_set_item(s, i))) s->items[n++] = s->items[i];
    s->n = n;
}

static bool set_has(const struct krl_set *s, struct view wanted)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_views(wanted, krl_set_item(s, middle));
        if (order == 0) return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

int krl_ca_add_range(struct krl_ca *ca, struct krl_serials r)
{
    if (r.first == 0 || r.first > r.last) return ERR_RANGE;
    /* lists come sorted as a rule: then a range grows instead of a thousand of them being sorted */
    struct krl_serials *last = ca->n_ranges ? &ca->ranges[ca->n_ranges - 1] : NULL;
    if (last && r.first > last->first && r.first - 1 <= last->last) {
        last->last = MAX(last->last, r.last);
        return 0;
    }
    TRY(grow((void **)&ca->ranges, ca->n_ranges, &ca->cap_ranges, sizeof(*ca->ranges), KRL_RANGES_MAX));
    ca->ranges[ca->n_ranges++] = r;
    return 0;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct krl_serials *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static void ranges_sort(struct krl_ca *ca)
{
    size_t n = 0;
    if (ca->n_ranges == 0) return;
    qsort(ca->ranges, ca->n_ranges, sizeof(*ca->ranges), compare_ranges);
    for (size_t i = 0; i < ca->n_ranges; i++) {
        struct krl_serials r = ca->ranges[i];
        if (n && r.first - 1 <= ca->ranges[n - 1].last)
            ca->ranges[n - 1].last = MAX(ca->ranges[n - 1].last, r.last);
        else
            ca->ranges[n++] = r;
    }
    ca->n_ranges = n;
}

static bool ranges_have(const struct krl_ca *ca, uint64_t serial)
{
    size_t low = 0, high = ca->n_ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct krl_serials *r = &ca->ranges[middle];
        if (serial >= r->first && serial <= r->last) return true;
        if (serial < r->first)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

int krl_new(struct krl **ret)
{
    struct krl *k = calloc(1, sizeof(*k));
    if (!k) return ERR_NOMEM;
    buf_init(&k->comment, KRL_BYTES_MAX);
    set_init(&k->keys);
    set_init(&k->sha1);
    set_init(&k->sha256);
    *ret = k;
    return 0;
}

void krl_free(struct krl *k)
{
    if (!k) return;
    for (size_t i = 0; i < k->n_cas; i++) {
        buf_done(&k->cas[i].blob);
        free(k->cas[i].ranges);
        set_done(&k->cas[i].key_ids);
    }
    free(k->cas);
    set_done(&k->keys);
    set_done(&k->sha1);
    set_done(&k->sha256);
    buf_done(&k->comment);
    free(k);
}

struct krl_header krl_header_get(const struct krl *k)
{
    return (struct krl_header){ k->version, k->generated_s, buf_view(&k->comment) };
}

int krl_header_set(struct krl *k, struct krl_header h)
{
    struct buf copy = BUF_INIT(KRL_BYTES_MAX);
    TRY(buf_put_view(&copy, h.comment));
    buf_done(&k->comment);
    k->comment = copy;
    k->version = h.version;
    k->generated_s = h.generated_s;
    return 0;
}

static struct krl_ca *find_ca(const struct krl *k, struct view blob)
{
    for (size_t i = 0; i < k->n_cas; i++)
        if (view_eq(buf_view(&k->cas[i].blob), blob)) return &k->cas[i];
    return NULL;
}

int krl_ca_get(struct krl *k, struct view blob, struct krl_ca **ret)
{
    struct krl_ca *found = find_ca(k, blob);
    k->is_sorted = false;
    if (!found) {
        if (k->n_cas == KRL_CAS_MAX) return ERR_LIMIT;
        struct krl_ca *moved = realloc(k->cas, (k->n_cas + 1) * sizeof(*k->cas));
        if (!moved) return ERR_NOMEM;
        k->cas = moved;
        found = &k->cas[k->n_cas];
        *found = (struct krl_ca){};
        buf_init(&found->blob, KEY_BLOB_BYTES_MAX);
        set_init(&found->key_ids);
        TRY(buf_put_view(&found->blob, blob));
        k->n_cas++;
    }
    *ret = found;
    return 0;
}

int krl_add_serials(struct krl *k, struct view ca_blob, struct krl_serials serials)
{
    struct krl_ca *ca;
    TRY(krl_ca_get(k, ca_blob, &ca));
    return krl_ca_add_range(ca, serials);
}

int krl_add_key_id(struct krl *k, struct view ca_blob, struct view key_id)
{
    struct krl_ca *ca;
    if (view_has_nul(key_id)) return ERR_FORMAT;
    TRY(krl_ca_get(k, ca_blob, &ca));
    return krl_set_add(&ca->key_ids, key_id);
}

int krl_add_key(struct krl *k, struct view blob)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(KEY_BLOB_BYTES_MAX);
    TRY(cert_plain_blob(blob, &plain));
    k->is_sorted = false;
    return krl_set_add(&k->keys, buf_view(&plain));
}

int krl_add_digest(struct krl *k, enum digest_alg alg, struct view digest)
{
    if ((alg != DIGEST_SHA1 && alg != DIGEST_SHA256) || digest.len != digest_len(alg)) return ERR_FORMAT;
    k->is_sorted = false;
    return krl_set_add(alg == DIGEST_SHA1 ? &k->sha1 : &k->sha256, digest);
}

int krl_add_key_by_digest(struct krl *k, enum digest_alg alg, struct view blob)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(KEY_BLOB_BYTES_MAX);
    uint8_t digest[DIGEST_MAX_BYTES];
    TRY(cert_plain_blob(blob, &plain));
    TRY(digest_once(alg, buf_view(&plain), digest));
    return krl_add_digest(k, alg, view_of(digest, digest_len(alg)));
}

int krl_add_certificate(struct krl *k, struct view cert_blob)
{
    struct cert c;
    CLEANUP(key_unrefp) struct key *ca = NULL;
    TRY(cert_parse(cert_blob, &c));
    TRY(key_from_blob(c.ca_key, &ca)); /* or nobody could read the list */
    return c.serial ? krl_add_serials(k, c.ca_key, (struct krl_serials){ c.serial, c.serial })
                    : krl_add_key_id(k, c.ca_key, c.key_id);
}

void krl_sort(struct krl *k)
{
    if (k->is_sorted) return;
    set_sort(&k->keys);
    set_sort(&k->sha1);
    set_sort(&k->sha256);
    for (size_t i = 0; i < k->n_cas; i++) {
        ranges_sort(&k->cas[i]);
        set_sort(&k->cas[i].key_ids);
    }
    k->is_sorted = true;
}

static bool has_digest(const struct krl_set *set, enum digest_alg alg, struct view plain)
{
    uint8_t digest[DIGEST_MAX_BYTES];
    if (set->n == 0) return false;
    return digest_once(alg, plain, digest) < 0 || set_has(set, view_of(digest, digest_len(alg)));
}

static bool has_plain(const struct krl *k, struct view plain)
{
    return set_has(&k->keys, plain) || has_digest(&k->sha1, DIGEST_SHA1, plain) || has_digest(&k->sha256, DIGEST_SHA256, plain);
}

static bool has_certificate(const struct krl_ca *ca, const struct cert *c)
{
    return ca && (set_has(&ca->key_ids, c->key_id) || (c->serial && ranges_have(ca, c->serial)));
}

bool krl_has(struct krl *k, struct view blob)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(KEY_BLOB_BYTES_MAX);
    krl_sort(k);
    if (cert_plain_blob(blob, &plain) < 0 || has_plain(k, buf_view(&plain))) return true;
    if (view_eq(blob, buf_view(&plain))) return false;
    struct cert c;
    return cert_parse(blob, &c) < 0 || has_plain(k, c.ca_key) || has_certificate(find_ca(k, c.ca_key), &c) ||
           has_certificate(find_ca(k, VIEW_EMPTY), &c);
}
