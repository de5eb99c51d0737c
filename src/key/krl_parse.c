/* Reading a KRL: PROTOCOL.krl. */
#include "key/key_int.h"
#include "key/krl_int.h"

bool krl_is_binary(struct view file)
{
    struct rd r = rd_of(view_sub(file, 0, sizeof(uint64_t)));
    return rd_u64(&r) == KRL_MAGIC;
}

static int get_serial_list(struct krl_ca *ca, struct rd *r)
{
    while (rd_left(r)) {
        uint64_t serial = rd_u64(r);
        TRY(rd_stop(r));
        TRY(krl_ca_add_range(ca, (struct krl_serials){ serial, serial }));
    }
    return 0;
}

static int get_serial_range(struct krl_ca *ca, struct rd *r)
{
    uint64_t first = rd_u64(r);
    uint64_t last = rd_u64(r);
    TRY(rd_stop(r));
    return krl_ca_add_range(ca, (struct krl_serials){ first, last });
}

/* Bit n of the number revokes offset + n; the number's last byte has the lowest bits. */
static int get_serial_bitmap(struct krl_ca *ca, struct rd *r)
{
    uint64_t offset = rd_u64(r);
    struct view bits = rd_mpint(r);
    TRY(rd_stop(r));
    if (bits.len > KRL_BITMAP_BITS_MAX / 8) return ERR_LIMIT;
    for (size_t i = 0; i < 8 * bits.len; i++) {
        if (!(bits.p[bits.len - 1 - i / 8] >> (i % 8) & 1)) continue;
        if (i > UINT64_MAX - offset) return ERR_RANGE;
        TRY(krl_ca_add_range(ca, (struct krl_serials){ offset + i, offset + i }));
    }
    return 0;
}

static int get_key_ids(struct krl_ca *ca, struct rd *r)
{
    while (rd_left(r)) {
        struct view id = rd_cstring(r);
        TRY(rd_stop(r));
        TRY(krl_set_add(&ca->key_ids, id));
    }
    return 0;
}

/* We know none, so only those that need not be understood pass. */
static int get_extension(struct rd *r)
{
    rd_cstring(r);
    bool is_critical = rd_bool(r);
    rd_string(r);
    TRY(rd_stop(r));
    return is_critical ? ERR_UNSUPPORTED : 0;
}

static int get_cert_part(struct krl_ca *ca, uint8_t type, struct rd *r)
{
    switch (type) {
    case KRL_CERT_SERIAL_LIST:
        return get_serial_list(ca, r);
    case KRL_CERT_SERIAL_RANGE:
        return get_serial_range(ca, r);
    case KRL_CERT_SERIAL_BITMAP:
        return get_serial_bitmap(ca, r);
    case KRL_CERT_KEY_ID:
        return get_key_ids(ca, r);
    case KRL_CERT_EXTENSION:
        return get_extension(r);
    default:
        return ERR_UNSUPPORTED;
    }
}

static int get_certificates(struct krl *k, struct rd *r)
{
    struct view ca_blob = rd_string(r);
    rd_string(r); /* reserved */
    TRY(rd_stop(r));
    if (ca_blob.len) { /* empty: every CA */
        CLEANUP(key_unrefp) struct key *ca_key = NULL;
        TRY(key_from_blob(ca_blob, &ca_key));
    }
    struct krl_ca *ca;
    TRY(krl_ca_get(k, ca_blob, &ca));
    while (rd_left(r)) {
        uint8_t type = rd_u8(r);
        struct rd part = rd_of(rd_string(r));
        TRY(rd_stop(r));
        TRY(get_cert_part(ca, type, &part));
        TRY(rd_end(&part));
    }
    return 0;
}

static int get_strings(struct krl_set *set, struct rd *r, size_t len)
{
    while (rd_left(r)) {
        struct view bytes = rd_string(r);
        TRY(rd_stop(r));
        if (bytes.len == 0 || (len && bytes.len != len)) return ERR_FORMAT;
        TRY(krl_set_add(set, bytes));
    }
    return 0;
}

static int get_section(struct krl *k, uint8_t type, struct rd *r)
{
    switch (type) {
    case KRL_SECTION_CERTIFICATES:
        return get_certificates(k, r);
    case KRL_SECTION_EXPLICIT_KEY:
        return get_strings(&k->keys, r, 0);
    case KRL_SECTION_SHA1:
        return get_strings(&k->sha1, r, digest_len(DIGEST_SHA1));
    case KRL_SECTION_SHA256:
        return get_strings(&k->sha256, r, digest_len(DIGEST_SHA256));
    case KRL_SECTION_EXTENSION:
        return get_extension(r);
    default: /* signatures too: OpenSSH refuses them since 9.4 */
        return ERR_UNSUPPORTED;
    }
}

int krl_parse(struct view file, struct krl **ret)
{
    if (file.len > KRL_BYTES_MAX) return ERR_LIMIT;
    if (!krl_is_binary(file)) return ERR_FORMAT;
    CLEANUP(krl_freep) struct krl *k = NULL;
    TRY(krl_new(&k));
    struct rd r = rd_of(view_sub(file, sizeof(uint64_t), file.len));
    uint32_t format = rd_u32(&r);
    TRY(rd_stop(&r));
    if (format != KRL_FORMAT_VERSION) return ERR_UNSUPPORTED;
    struct krl_header h = { .version = rd_u64(&r), .generated_s = rd_u64(&r) };
    rd_u64(&r);    /* flags: none is defined */
    rd_string(&r); /* reserved */
    h.comment = rd_cstring(&r);
    TRY(rd_stop(&r));
    TRY(krl_header_set(k, h));
    while (rd_left(&r)) {
        uint8_t type = rd_u8(&r);
        struct rd section = rd_of(rd_string(&r));
        TRY(rd_stop(&r));
        TRY(get_section(k, type, &section));
        TRY(rd_end(&section));
    }
    krl_sort(k);
    *ret = TAKE(k);
    return 0;
}
