/* Receiving half of the packet layer: where read(2) lands, lengths, opening in place. RFC 4253 6.
 *
 * What a peer can learn from a refusal: with CBC and a MAC over the plain text the length comes out of bytes that nobody has
 * checked, so that the moment at which the connection ends would tell 32 bits of plain text of the attacker's choice. There every
 * refusal (length, MAC, padding) looks the same: bytes are taken in until a packet of the largest size is full, and the error is
 * ERR_MAC. All other ciphers have either a checked length or a length whose garbling tells nothing of a plain text. */
#include "proto/transport/packet_int.h"

#include <stdlib.h>

int packet_in_init(struct packet_in *in, const struct log *log)
{
    *in = (struct packet_in){ .log = log };
    in->plain = (struct buf)BUF_INIT_SECRET(LIMIT_PACKET_BYTES);
    in->area = malloc(PACKET_IN_AREA_BYTES);
    return in->area ? 0 : ERR_NOMEM;
}

void packet_in_done(struct packet_in *in)
{
    secret_wipe(in->area, in->high);
    free(in->area);
    packet_keys_done(&in->keys);
    zstream_free(in->inflate);
    buf_done(&in->plain);
    *in = (struct packet_in){};
}

/* All of the packet at start on the wire, as far as that is known. */
static size_t wire_need(const struct packet_in *in)
{
    if (in->packet_len == 0) return packet_keys_block(&in->keys);
    return 4 + (size_t)in->packet_len + packet_keys_tag(&in->keys);
}

void packet_in_room(struct packet_in *in, bool may_move, uint8_t **ret_area, size_t *ret_room)
{
    size_t have = in->end - in->start, need = wire_need(in);
    size_t want = MAX(need > have ? need - have : 0, (size_t)PACKET_IN_ROOM_BYTES);
    if (may_move && in->start && (have == 0 || PACKET_IN_AREA_BYTES - in->end < want)) {
        memmove(in->area, in->area + in->start, have);
        in->start = 0;
        in->end = have;
    }
    *ret_area = in->area + in->end;
    *ret_room = PACKET_IN_AREA_BYTES - in->end;
}

void packet_in_received(struct packet_in *in, size_t n)
{
    CHECK(n <= PACKET_IN_AREA_BYTES - in->end);
    in->end += n;
    in->high = MAX(in->high, in->end);
    in->n.bytes += n;
}

/* ---- refusals ---- */

static bool hides_refusals(const struct packet_keys *k)
{
    if (!k->cipher_desc || k->cipher_desc->kind != CIPHER_STREAM || k->mac_desc->etm) return false;
    struct view name = view_str(k->cipher_desc->name);
    return name.len > 4 && view_eq_str(view_sub(name, name.len - 4, 4), "-cbc");
}

static int doom_step(struct packet_in *in)
{
    size_t n = MIN(in->doomed, in->end - in->start);
    in->start += n;
    in->doomed -= n;
    return in->doomed ? 0 : ERR_MAC;
}

/* The one way out for a packet that is refused: err, or for CBC the same for all. */
static int packet_doom(struct packet_in *in, int err)
{
    if (!hides_refusals(&in->keys)) return err;
    in->doomed = 4 + (size_t)LIMIT_PACKET_BYTES + packet_keys_tag(&in->keys);
    return doom_step(in);
}

/* ---- the length ---- */

static bool length_apart(const struct packet_keys *k)
{
    return k->cipher_desc && (k->cipher_desc->kind == CIPHER_AEAD || k->mac_desc->etm);
}

static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* Reads packet_len from the first bytes at start, decrypting the first block when it hides there. 1: it is known, 0: bytes lack. */
static int length_read(struct packet_in *in, uint32_t *ret_len)
{
    struct packet_keys *k = &in->keys;
    uint8_t *p = in->area + in->start;
    bool in_block = k->cipher_desc && !length_apart(k);
    if (in->end - in->start < (in_block ? packet_keys_block(k) : 4)) return 0;
    if (in_block) {
        in->opened = packet_keys_block(k);
        TRY(cipher_stream(k->cipher, p, in->opened));
    }
    if (k->cipher_desc && k->cipher_desc->kind == CIPHER_AEAD)
        TRY(cipher_aead_length(k->cipher, in->n.sequence, p, ret_len));
    else
        *ret_len = be32(p);
    return 1;
}

static int length_check(struct packet_in *in, uint32_t len, uint32_t length_max)
{
    size_t block = packet_keys_block(&in->keys);
    in->bad_len = len;
    if (len < PACKET_LENGTH_MIN || len > length_max) {
        log_debug(in->log, "Bad packet length %u.", len);
        return ERR_PACKET_LENGTH;
    }
    size_t in_blocks = length_apart(&in->keys) ? len : 4 + (size_t)len;
    if (in_blocks % block) {
        log_debug(in->log, "padding error: need %u block %zu mod %zu", len, block, in_blocks % block);
        return ERR_PACKET_LENGTH;
    }
    return 0;
}

/* ---- the packet ---- */

static int tag_check(struct packet_in *in, const uint8_t *packet, size_t len)
{
    uint8_t tag[MAC_MAX_BYTES];
    TRY(mac_compute(in->keys.mac, in->n.sequence, view_of(packet, 4 + len), tag));
    return ct_equal(tag, packet + 4 + len, in->keys.mac_desc->tag_bytes) ? 0 : ERR_MAC;
}

static int packet_open(struct packet_in *in, uint8_t *packet, size_t len)
{
    struct packet_keys *k = &in->keys;
    if (!k->cipher_desc) return 0;
    if (k->cipher_desc->kind == CIPHER_AEAD) return cipher_aead_open(k->cipher, in->n.sequence, packet, len);
    if (k->mac_desc->etm) {
        TRY(tag_check(in, packet, len));
        return cipher_stream(k->cipher, packet + 4, len);
    }
    TRY(cipher_stream(k->cipher, packet + in->opened, 4 + len - in->opened));
    return tag_check(in, packet, len);
}

static int payload_inflate(struct packet_in *in, struct view *payload)
{
    buf_reset(&in->plain);
    TRY(zstream_inflate(in->inflate, *payload, &in->plain));
    *payload = buf_view(&in->plain);
    return payload->len ? 0 : ERR_COMPRESSION;
}

static int payload_find(struct packet_in *in, const uint8_t *packet, size_t len, struct view *ret)
{
    uint8_t pad = packet[4];
    /* 4253 6: at least four bytes of padding, and a message has at least its number. */
    if (pad < 4 || (size_t)pad + 1 >= len) {
        log_debug(in->log, "Corrupted padlen %u on input.", pad);
        return ERR_PADDING;
    }
    struct view payload = view_of(packet + 5, len - pad - 1);
    if (in->inflate) TRY(payload_inflate(in, &payload));
    *ret = payload;
    return 0;
}

static void counters_add(struct packet_in *in, size_t packet_bytes)
{
    in->n.sequence++;
    in->n.packets++;
    in->n.key_packets++;
    in->n.key_blocks += packet_bytes / packet_keys_block(&in->keys);
}

static int length_step(struct packet_in *in, uint32_t length_max)
{
    uint32_t len;
    int r = length_read(in, &len);
    if (r <= 0) return r;
    r = length_check(in, len, length_max);
    if (r < 0) return r;
    in->packet_len = len;
    return 1;
}

static int packet_take(struct packet_in *in, struct view *ret_payload, uint32_t *ret_sequence)
{
    uint8_t *packet = in->area + in->start;
    size_t len = in->packet_len;
    struct view payload;
    if (in->n.key_packets >= UINT32_MAX) return ERR_SEQUENCE_WRAP;
    int err = packet_open(in, packet, len);
    if (err == ERR_MAC) log_debug(in->log, "Corrupted MAC on input.");
    TRY(err);
    TRY(payload_find(in, packet, len, &payload));
    *ret_sequence = in->n.sequence;
    *ret_payload = payload;
    counters_add(in, 4 + len);
    in->start += 4 + len + packet_keys_tag(&in->keys);
    in->packet_len = 0;
    in->opened = 0;
    return 1;
}

int packet_in_next(struct packet_in *in, uint32_t length_max, struct view *ret_payload, uint32_t *ret_sequence)
{
    if (in->doomed) return doom_step(in);
    if (in->packet_len == 0) {
        int r = length_step(in, length_max);
        if (r < 0) return packet_doom(in, r);
        if (r == 0) return 0;
    }
    if (in->end - in->start < wire_need(in)) return 0;
    int r = packet_take(in, ret_payload, ret_sequence);
    return r < 0 ? packet_doom(in, r) : r;
}

void packet_in_rekey(struct packet_in *in, struct packet_keys *take_keys, bool reset_sequence)
{
    packet_keys_done(&in->keys);
    in->keys = *take_keys;
    *take_keys = (struct packet_keys){};
    if (reset_sequence) in->n.sequence = 0;
    in->n.key_blocks = in->n.key_packets = 0;
}
