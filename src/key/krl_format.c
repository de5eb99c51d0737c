/* Writing a KRL, and stepping through it: PROTOCOL.krl. */
#include "key/key_int.h"
#include "key/krl_int.h"

/* What the forms of serials cost in bytes: type, length, and the content. A bitmap has its offset and the number's length, too. */
enum {
    PART_BYTES = 5,
    RANGE_BYTES = PART_BYTES + 16,
    BITMAP_BYTES = PART_BYTES + 8 + 4,
    SERIAL_BYTES = 8,        /* in a list */
    BITMAP_SPAN_MAX = 16000, /* OpenSSH writes longer ones but does not read them: its numbers end at 16384 bits */
};

static uint64_t cost_alone(struct krl_serials r)
{
    uint64_t more = r.last - r.first;
    return more == 0 ? SERIAL_BYTES : more == 1 ? 2 * SERIAL_BYTES : RANGE_BYTES;
}

/* How many of the ranges go together into a bitmap that is shorter than they are alone; 0: none. A range joins while the bits that
 * lie between cost less than it does by itself. */
static size_t bitmap_extent(const struct krl_serials *ranges, size_t n)
{
    size_t count = 1;
    uint64_t alone = cost_alone(ranges[0]);
    if (ranges[0].last - ranges[0].first >= BITMAP_SPAN_MAX) return 0;
    for (; count < n; count++) {
        uint64_t longer_by = (ranges[count].last - ranges[count - 1].last) / 8;
        if (longer_by >= cost_alone(ranges[count]) || ranges[count].last - ranges[0].first >= BITMAP_SPAN_MAX) break;
        alone += cost_alone(ranges[count]);
    }
    uint64_t bits = ranges[count - 1].last - ranges[0].first + 1;
    return count > 1 && BITMAP_BYTES + bits / 8 + 1 < alone ? count : 0;
}

static int put_bitmap(struct wr *w, const struct krl_serials *ranges, size_t n)
{
    uint64_t offset = ranges[0].first;
    size_t len = (size_t)((ranges[n - 1].last - offset) / 8 + 1);
    CLEANUP(buf_done) struct buf bits = BUF_INIT(BITMAP_SPAN_MAX / 8 + 1);
    uint8_t *p;
    TRY(buf_reserve(&bits, len, &p));
    memset(p, 0, len);
    for (size_t i = 0; i < n; i++)
        for (uint64_t s = ranges[i].first - offset; s <= ranges[i].last - offset; s++)
            p[len - 1 - s / 8] |= (uint8_t)(1u << (s % 8));
    buf_commit(&bits, len);
    wr_u8(w, KRL_CERT_SERIAL_BITMAP);
    size_t mark = wr_string_open(w);
    wr_u64(w, offset);
    wr_mpint(w, buf_view(&bits));
    wr_string_close(w, mark);
    return wr_end(w);
}

static void put_range(struct wr *w, struct krl_serials r)
{
    wr_u8(w, KRL_CERT_SERIAL_RANGE);
    size_t mark = wr_string_open(w);
    wr_u64(w, r.first);
    wr_u64(w, r.last);
    wr_string_close(w, mark);
}

/* All that stand alone become one list at the end. */
static int put_serials(struct wr *w, const struct krl_ca *ca)
{
    CLEANUP(buf_done) struct buf list = BUF_INIT(KRL_BYTES_MAX);
    struct wr alone = wr_of(&list);
    for (size_t i = 0; i < ca->n_ranges;) {
        size_t n = bitmap_extent(&ca->ranges[i], ca->n_ranges - i);
        struct krl_serials r = ca->ranges[i];
        if (n) {
            TRY(put_bitmap(w, &ca->ranges[i], n));
        } else if (cost_alone(r) == RANGE_BYTES) {
            put_range(w, r);
        } else {
            wr_u64(&alone, r.first);
            if (r.last != r.first) wr_u64(&alone, r.last);
        }
        i += n ? n : 1;
    }
    TRY(wr_end(&alone));
    if (buf_len(&list)) {
        wr_u8(w, KRL_CERT_SERIAL_LIST);
        wr_string(w, buf_view(&list));
    }
    return wr_end(w);
}

static void put_set(struct wr *w, uint8_t type, const struct krl_set *set)
{
    if (set->n == 0) return;
    wr_u8(w, type);
    size_t mark = wr_string_open(w);
    for (size_t i = 0; i < set->n; i++) wr_string(w, krl_set_item(set, i));
    wr_string_close(w, mark);
}

static int put_ca(struct wr *w, const struct krl_ca *ca)
{
    if (ca->n_ranges == 0 && ca->key_ids.n == 0) return 0;
    wr_u8(w, KRL_SECTION_CERTIFICATES);
    size_t mark = wr_string_open(w);
    wr_string(w, buf_view(&ca->blob));
    wr_string(w, VIEW_EMPTY); /* reserved */
    TRY(put_serials(w, ca));
    put_set(w, KRL_CERT_KEY_ID, &ca->key_ids);
    wr_string_close(w, mark);
    return wr_end(w);
}

int krl_format(struct krl *k, struct buf *out)
{
    krl_sort(k);
    struct wr w = wr_of(out);
    wr_u64(&w, KRL_MAGIC);
    wr_u32(&w, KRL_FORMAT_VERSION);
    wr_u64(&w, k->version);
    wr_u64(&w, k->generated_s);
    wr_u64(&w, 0);             /* flags */
    wr_string(&w, VIEW_EMPTY); /* reserved */
    wr_string(&w, buf_view(&k->comment));
    for (size_t i = 0; i < k->n_cas; i++) TRY(put_ca(&w, &k->cas[i]));
    put_set(&w, KRL_SECTION_EXPLICIT_KEY, &k->keys);
    put_set(&w, KRL_SECTION_SHA1, &k->sha1);
    put_set(&w, KRL_SECTION_SHA256, &k->sha256);
    return wr_end(&w);
}

/* The cursor's parts: three sets, then for each CA its name, its serials, its key ids. */
enum {
    PARTS_OF_SETS = 3,
    PARTS_OF_CA = 3
};

static bool next_in_set(const struct krl_set *set, enum krl_entry_kind kind, struct krl_cursor *cursor, struct krl_entry *ret)
{
    if (cursor->idx >= set->n) return false;
    *ret = (struct krl_entry){ .kind = kind, .bytes = krl_set_item(set, cursor->idx++) };
    return true;
}

static bool next_of_ca(const struct krl_ca *ca, size_t part, struct krl_cursor *cursor, struct krl_entry *ret)
{
    if (part == 0) {
        if (cursor->idx++) return false;
        *ret = (struct krl_entry){ .kind = KRL_ENTRY_CA, .bytes = buf_view(&ca->blob) };
        return true;
    }
    if (part == 2) return next_in_set(&ca->key_ids, KRL_ENTRY_KEY_ID, cursor, ret);
    if (cursor->idx >= ca->n_ranges) return false;
    *ret = (struct krl_entry){ .kind = KRL_ENTRY_SERIALS, .serials = ca->ranges[cursor->idx++] };
    return true;
}

static bool next_in_part(const struct krl *k, struct krl_cursor *cursor, struct krl_entry *ret)
{
    switch (cursor->part) {
    case 0:
        return next_in_set(&k->keys, KRL_ENTRY_KEY, cursor, ret);
    case 1:
        return next_in_set(&k->sha256, KRL_ENTRY_SHA256, cursor, ret);
    case 2:
        return next_in_set(&k->sha1, KRL_ENTRY_SHA1, cursor, ret);
    default: {
        size_t part = cursor->part - PARTS_OF_SETS;
        return next_of_ca(&k->cas[part / PARTS_OF_CA], part % PARTS_OF_CA, cursor, ret);
    }
    }
}

bool krl_next(struct krl *k, struct krl_cursor *cursor, struct krl_entry *ret)
{
    krl_sort(k);
    for (; cursor->part < PARTS_OF_SETS + PARTS_OF_CA * k->n_cas; cursor->part++, cursor->idx = 0)
        if (next_in_part(k, cursor, ret)) return true;
    return false;
}
