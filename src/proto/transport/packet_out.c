/* Sending half of the packet layer: segments, padding, sealing. RFC 4253 6, OpenSSH PROTOCOL 1.5 (encrypt-then-MAC) and 1.6
 * (AES-GCM). */
#include "proto/transport/packet_int.h"

#include <stdlib.h>

enum {
    SEGMENT_BYTES = 256 * 1024,
    HEADER_BYTES = 5,                           /* packet length, padding length */
    TRAILER_BYTES = 4 + 2 * 64 + MAC_MAX_BYTES, /* most padding we give, and the tag */
    PACKET_BYTES_MIN = 16,                      /* 4253 6: without the tag */
};

void packet_out_init(struct packet_out *o, const struct random *rnd)
{
    *o = (struct packet_out){ .rnd = rnd, .pool_used = PACKET_PAD_POOL_BYTES };
    o->plain = (struct buf)BUF_INIT_SECRET(LIMIT_PACKET_PAYLOAD_BYTES);
}

void packet_out_done(struct packet_out *o)
{
    for (struct segment *s = o->first, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    free(o->spare);
    packet_keys_done(&o->keys);
    zstream_free(o->deflate);
    buf_done(&o->plain);
    *o = (struct packet_out){};
}

static struct segment *segment_take(struct packet_out *o, size_t need)
{
    struct segment *s = o->spare;
    if (s && s->cap >= need) {
        o->spare = NULL;
    } else {
        size_t cap = MAX(need, (size_t)SEGMENT_BYTES);
        s = malloc(sizeof *s + cap);
        if (!s) return NULL;
        s->cap = cap;
    }
    s->next = NULL;
    s->off = s->end = 0;
    return s;
}

/* n free bytes in one piece at the end of the last segment. */
static int segment_room(struct packet_out *o, size_t n, uint8_t **ret)
{
    struct segment *last = o->last;
    if (!last || last->cap - last->end < n) {
        struct segment *s = segment_take(o, n);
        if (!s) return ERR_NOMEM;
        if (last)
            last->next = s;
        else
            o->first = s;
        o->last = last = s;
    }
    *ret = last->bytes + last->end;
    return 0;
}

static void segment_add(struct packet_out *o, size_t n)
{
    o->last->end += n;
    o->queued += n;
}

int packet_out_raw(struct packet_out *o, struct view bytes)
{
    uint8_t *to;
    TRY(segment_room(o, bytes.len, &to));
    memcpy(to, bytes.p, bytes.len);
    segment_add(o, bytes.len);
    o->n.bytes += bytes.len;
    return 0;
}

struct view packet_out_view(const struct packet_out *o)
{
    const struct segment *s = o->first;
    while (s && s->off == s->end) s = s->next;
    return s ? view_of(s->bytes + s->off, s->end - s->off) : VIEW_EMPTY;
}

static void segment_release(struct packet_out *o)
{
    struct segment *s = o->first;
    o->first = s->next;
    if (o->spare || s->cap > SEGMENT_BYTES)
        free(s);
    else
        o->spare = s;
}

void packet_out_sent(struct packet_out *o, size_t n)
{
    CHECK(n <= o->queued);
    o->queued -= n;
    while (n || (o->first && o->first->next && o->first->off == o->first->end)) {
        struct segment *s = o->first;
        size_t part = MIN(n, s->end - s->off);
        s->off += part;
        n -= part;
        if (s->off == s->end && s->next) segment_release(o);
    }
    /* An open reservation stands at the end of the last segment: then it must stay where it is. */
    if (o->queued == 0 && o->first && !o->reserved) o->first->off = o->first->end = 0;
}

/* ---- a packet ---- */

int packet_out_reserve(struct packet_out *o, size_t payload_max, uint8_t **ret_payload)
{
    o->reserved = 0;
    if (payload_max == 0 || payload_max > LIMIT_PACKET_PAYLOAD_BYTES) return ERR_LIMIT;
    if (o->queued + payload_max > LIMIT_OUTPUT_BYTES) return ERR_LIMIT;
    uint8_t *to;
    if (o->deflate) {
        buf_reset(&o->plain);
        TRY(buf_reserve(&o->plain, payload_max, &to));
        *ret_payload = to;
    } else {
        TRY(segment_room(o, HEADER_BYTES + payload_max + TRAILER_BYTES, &to));
        *ret_payload = to + HEADER_BYTES;
    }
    o->reserved = payload_max;
    return 0;
}

static int padding(struct packet_out *o, uint8_t *to, size_t n)
{
    if (PACKET_PAD_POOL_BYTES - o->pool_used < (int)n) {
        TRY(random_fill(o->rnd, o->pool, sizeof o->pool));
        o->pool_used = 0;
    }
    memcpy(to, o->pool + o->pool_used, n);
    o->pool_used += (uint16_t)n;
    return 0;
}

static int seal(struct packet_out *o, uint8_t *packet, size_t len)
{
    struct packet_keys *k = &o->keys;
    uint8_t *tag = packet + 4 + len;
    uint32_t seq = o->n.sequence;
    if (!k->cipher_desc) return 0;
    if (k->cipher_desc->kind == CIPHER_AEAD) return cipher_aead_seal(k->cipher, seq, packet, len);
    if (k->mac_desc->etm) {
        TRY(cipher_stream(k->cipher, packet + 4, len));
        return mac_compute(k->mac, seq, view_of(packet, 4 + len), tag);
    }
    TRY(mac_compute(k->mac, seq, view_of(packet, 4 + len), tag));
    return cipher_stream(k->cipher, packet, 4 + len);
}

/* The length bytes do not count for the block size when they are sent apart from the encrypted part. */
static size_t length_bytes_in_block(const struct packet_keys *k)
{
    bool apart = k->cipher_desc && (k->cipher_desc->kind == CIPHER_AEAD || k->mac_desc->etm);
    return apart ? 0 : 4;
}

static size_t padding_len(const struct packet_keys *k, size_t payload_len)
{
    size_t block = packet_keys_block(k);
    size_t pad = block - (length_bytes_in_block(k) + 1 + payload_len) % block;
    if (pad < 4) pad += block;
    if (HEADER_BYTES + payload_len + pad < PACKET_BYTES_MIN) pad += block;
    return pad;
}

static void counters_add(struct packet_counters *n, size_t packet_bytes, size_t wire_bytes, size_t block)
{
    n->sequence++;
    n->packets++;
    n->key_packets++;
    n->bytes += wire_bytes;
    n->key_blocks += packet_bytes / block;
}

/* The payload stands at packet + HEADER_BYTES in the last segment. */
static int packet_finish(struct packet_out *o, uint8_t *packet, size_t payload_len)
{
    if (o->n.key_packets >= UINT32_MAX) return ERR_SEQUENCE_WRAP;
    size_t pad = padding_len(&o->keys, payload_len);
    size_t len = 1 + payload_len + pad;
    for (int i = 0; i < 4; i++) packet[i] = (uint8_t)(len >> (24 - 8 * i));
    packet[4] = (uint8_t)pad;
    TRY(padding(o, packet + HEADER_BYTES + payload_len, pad));
    TRY(seal(o, packet, len));
    size_t wire = 4 + len + packet_keys_tag(&o->keys);
    segment_add(o, wire);
    counters_add(&o->n, 4 + len, wire, packet_keys_block(&o->keys));
    return 0;
}

int packet_out_commit(struct packet_out *o, size_t payload_len)
{
    if (!o->reserved || payload_len == 0 || payload_len > o->reserved) return ERR_STATE;
    o->reserved = 0;
    if (!o->deflate) return packet_finish(o, o->last->bytes + o->last->end, payload_len);
    uint8_t *packet;
    size_t bound = zstream_bound(o->deflate, payload_len), packed;
    TRY(segment_room(o, HEADER_BYTES + bound + TRAILER_BYTES, &packet));
    struct view plain = view_of(o->plain.base, payload_len);
    TRY(zstream_deflate(o->deflate, plain, packet + HEADER_BYTES, bound, &packed));
    return packet_finish(o, packet, packed);
}

void packet_out_rekey(struct packet_out *o, struct packet_keys *take_keys, bool reset_sequence)
{
    packet_keys_done(&o->keys);
    o->keys = *take_keys;
    *take_keys = (struct packet_keys){};
    if (reset_sequence) o->n.sequence = 0;
    o->n.key_blocks = o->n.key_packets = 0;
}
