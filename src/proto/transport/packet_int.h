/* The binary packet layer of RFC 4253 6, one half for each direction. It knows keys, sequence numbers and bytes, and nothing of
 * messages or of key exchange. Both halves work in place: a received packet is opened where read(2) put it and its payload is lent
 * from there, a packet to send is built behind the room for its header and sealed there. For this folder only. */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rd.h"
#include "base/wr.h"
#include "crypto/cipher.h"
#include "crypto/mac.h"
#include "proto/limits.h"

/* ---- keys of one direction, from one NEWKEYS to the next ---- */
enum compression {
    COMPRESSION_NONE,
    COMPRESSION_DELAYED, /* zlib@openssh.com: from the end of authentication on */
    COMPRESSION_ZLIB,    /* from NEWKEYS on */
    COMPRESSION_MAX
};
extern const char *const compression_names[COMPRESSION_MAX];

struct packet_keys {
    const struct cipher_desc *cipher_desc; /* NULL: before the first NEWKEYS, nothing is sealed */
    const struct mac_desc *mac_desc;       /* NULL with an AEAD and before the first NEWKEYS */
    struct cipher *cipher;
    struct mac *mac;
    struct secret mac_key; /* kept for export: a MAC has no state to read */
    enum compression compression;
};
/* Swallows nothing. Wipes, and leaves the keys of the time before the first NEWKEYS. */
void packet_keys_done(struct packet_keys *k);
/* Makes contexts for cipher_desc and mac_desc of k, which are set. mac_key is empty when there is no MAC. */
int packet_keys_set(struct packet_keys *k, bool for_sealing, struct view key, struct view iv, struct view mac_key) MUST_USE;
/* Blocks of the cipher between two key exchanges: as many as the cipher bears, or as few as bytes (0: no limit) says. */
uint64_t packet_keys_max_blocks(const struct packet_keys *k, uint64_t bytes);
static inline size_t packet_keys_block(const struct packet_keys *k)
{
    return k->cipher_desc ? MAX(k->cipher_desc->block_bytes, 8) : 8;
}
size_t packet_keys_tag(const struct packet_keys *k);

struct packet_counters {
    uint32_t sequence;                /* of the next packet */
    uint64_t bytes, packets;          /* since the start */
    uint64_t key_blocks, key_packets; /* since NEWKEYS */
};

/* ---- zlib with a flush behind each packet ---- */
struct zstream; /* one direction */
int zstream_new(bool for_deflate, struct zstream **ret) MUST_USE;
void zstream_free(struct zstream *z);
DEFINE_FREEP(struct zstream, zstream_free)
/* Most bytes that deflating len bytes can give. */
size_t zstream_bound(struct zstream *z, size_t len);
/* cap is at least zstream_bound(len). */
int zstream_deflate(struct zstream *z, struct view plain, uint8_t *ret_packed, size_t cap, size_t *ret_len) MUST_USE;
/* Appends; ERR_COMPRESSION for wrong data and for more than out may hold. */
int zstream_inflate(struct zstream *z, struct view packed, struct buf *out) MUST_USE;
/* The window and the bits between two bytes. ERR_UNSUPPORTED when the peer's compressor stands in the middle of a block that cannot
 * be entered again; after its next flush it may work. */
int zstream_export(struct zstream *z, struct buf *out) MUST_USE;
int zstream_import(bool for_deflate, struct view state, struct zstream **ret) MUST_USE;

/* ---- receiving ---- */
enum {
    /* The largest packet and what may stand behind it in one read. */
    PACKET_IN_AREA_BYTES = LIMIT_PACKET_BYTES + 32 * 1024,
    PACKET_IN_ROOM_BYTES = 64 * 1024, /* below this much room a partial packet moves to the front */
    PACKET_LENGTH_MIN = 5,            /* padding length and four bytes of padding */
};

struct packet_in {
    uint8_t *area;
    size_t start, end; /* received and not yet taken */
    size_t high;       /* the area was used up to here: to be wiped */
    struct packet_keys keys;
    struct packet_counters n;
    struct zstream *inflate; /* NULL: not compressed (yet) */
    struct buf plain;        /* inflated payload */
    const struct log *log;
    /* the packet at start */
    uint32_t packet_len; /* 0: not known yet */
    uint32_t bad_len;    /* what ERR_PACKET_LENGTH was about */
    size_t opened;       /* bytes of it that a stream cipher has decrypted */
    size_t doomed;       /* CBC: bytes still to swallow before the error is shown; see packet_doom() */
};

int packet_in_init(struct packet_in *in, const struct log *log) MUST_USE;
void packet_in_done(struct packet_in *in);
/* Place for read(2). may_move false: nothing that was given out before moves. */
void packet_in_room(struct packet_in *in, bool may_move, uint8_t **ret_area, size_t *ret_room);
void packet_in_received(struct packet_in *in, size_t n);
static inline struct view packet_in_raw(const struct packet_in *in) { return view_of(in->area + in->start, in->end - in->start); }
static inline void packet_in_skip(struct packet_in *in, size_t n) { in->start += n; }
/* 1: *ret_payload is the next packet's (never empty), lent until room is asked for with may_move or the next call here;
 * *ret_sequence is its number. 0: not all of it is there. ERR_PACKET_LENGTH (over length_max too), ERR_MAC, ERR_PADDING,
 * ERR_COMPRESSION, ERR_SEQUENCE_WRAP. */
int packet_in_next(struct packet_in *in, uint32_t length_max, struct view *ret_payload, uint32_t *ret_sequence) MUST_USE;
/* NEWKEYS came. Swallows the keys. */
void packet_in_rekey(struct packet_in *in, struct packet_keys *take_keys, bool reset_sequence);

/* ---- sending ---- */
/* Output is a chain of segments, so that it neither moves nor is copied when it grows or was written in part. */
struct segment {
    struct segment *next;
    size_t off, end, cap;
    uint8_t bytes[];
};

enum {
    PACKET_PAD_POOL_BYTES = 2048
};

struct packet_out {
    struct segment *first, *last, *spare;
    size_t queued; /* unsent bytes in all */
    struct packet_keys keys;
    struct packet_counters n;
    struct zstream *deflate;
    struct buf plain; /* payload to be deflated */
    size_t reserved;  /* payload_max of the open reservation, 0: none */
    const struct random *rnd;
    uint16_t pool_used;
    uint8_t pool[PACKET_PAD_POOL_BYTES]; /* random padding, drawn in bulk */
};

void packet_out_init(struct packet_out *o, const struct random *rnd);
void packet_out_done(struct packet_out *o);
/* As link_reserve. payload_max > 0. */
int packet_out_reserve(struct packet_out *o, size_t payload_max, uint8_t **ret_payload) MUST_USE;
/* As link_commit. ERR_STATE without a reservation. Any other failure leaves the direction unusable. */
int packet_out_commit(struct packet_out *o, size_t payload_len) MUST_USE;
/* Bytes that are no packet (identification). */
int packet_out_raw(struct packet_out *o, struct view bytes) MUST_USE;
struct view packet_out_view(const struct packet_out *o);
void packet_out_sent(struct packet_out *o, size_t n);
/* NEWKEYS was committed. Swallows the keys. */
void packet_out_rekey(struct packet_out *o, struct packet_keys *take_keys, bool reset_sequence);
