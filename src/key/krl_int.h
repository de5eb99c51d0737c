/* Inside of a revocation list, for krl*.c only. */
#pragma once

#include "key/krl.h"

/* Byte strings without doubles, in one piece of memory: a list can have a million of them. */
struct krl_set {
    struct buf bytes;
    struct krl_item {
        uint32_t off, len;
    } * items;
    size_t n, cap;
};
struct krl_ca {
    struct buf blob; /* empty: every CA */
    struct krl_serials *ranges;
    size_t n_ranges, cap_ranges;
    struct krl_set key_ids;
};
struct krl {
    uint64_t version, generated_s;
    struct buf comment;
    struct krl_set keys, sha1, sha256;
    struct krl_ca *cas;
    size_t n_cas;
    bool is_sorted; /* sets and ranges in order, without doubles; ranges neither touch nor overlap */
};

static inline struct view krl_set_item(const struct krl_set *s, size_t idx)
{
    return view_sub(buf_view(&s->bytes), s->items[idx].off, s->items[idx].len);
}

int krl_ca_get(struct krl *k, struct view blob, struct krl_ca **ret) MUST_USE;
int krl_ca_add_range(struct krl_ca *ca, struct krl_serials r) MUST_USE;
int krl_set_add(struct krl_set *s, struct view bytes) MUST_USE;
void krl_sort(struct krl *k);

/* PROTOCOL.krl's numbers. */
#define KRL_MAGIC UINT64_C(0x5353484b524c0a00) /* "SSHKRL\n\0" */
enum {
    KRL_FORMAT_VERSION = 1,
    KRL_SECTION_CERTIFICATES = 1,
    KRL_SECTION_EXPLICIT_KEY = 2,
    KRL_SECTION_SHA1 = 3,
    KRL_SECTION_SIGNATURE = 4,
    KRL_SECTION_SHA256 = 5,
    KRL_SECTION_EXTENSION = 255,
    KRL_CERT_SERIAL_LIST = 0x20,
    KRL_CERT_SERIAL_RANGE = 0x21,
    KRL_CERT_SERIAL_BITMAP = 0x22,
    KRL_CERT_KEY_ID = 0x23,
    KRL_CERT_EXTENSION = 0x39,
};
