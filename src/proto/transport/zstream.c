/* Compression of payloads (RFC 4253 6.2): one zlib stream for each direction and key exchange, flushed behind each packet.
 *
 * Export rebuilds a stream out of what zlib lets one read: the window, and the bits between two bytes. A deflater has less than a
 * byte not yet written. An inflater may have stopped in the middle of the empty block that a partial flush ends with, holding bits
 * that zlib does not show: they are found by trying (a copy of the stream and a candidate must behave alike on the same input). */
#include "proto/transport/packet_int.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    WINDOW_BYTES = 32 * 1024,
    RAW_WBITS = -15,
    WBITS = 15,
    MEM_LEVEL = 8
};

struct zstream {
    z_stream z;
    bool for_deflate;
    bool is_fresh; /* nothing went through: still before the zlib header */
};

static int zlib_err(int r) { return r == Z_OK ? 0 : r == Z_MEM_ERROR ? ERR_NOMEM : ERR_COMPRESSION; }

static int zstream_make(bool for_deflate, int wbits, struct zstream **ret)
{
    struct zstream *s = calloc(1, sizeof *s);
    if (!s) return ERR_NOMEM;
    int r = for_deflate ? deflateInit2(&s->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, wbits, MEM_LEVEL, Z_DEFAULT_STRATEGY)
                        : inflateInit2(&s->z, wbits);
    if (r != Z_OK) {
        free(s);
        return zlib_err(r);
    }
    s->for_deflate = for_deflate;
    s->is_fresh = true;
    *ret = s;
    return 0;
}

int zstream_new(bool for_deflate, struct zstream **ret) { return zstream_make(for_deflate, WBITS, ret); }

void zstream_free(struct zstream *s)
{
    if (!s) return;
    if (s->for_deflate)
        deflateEnd(&s->z);
    else
        inflateEnd(&s->z);
    free(s);
}

/* A literal costs at most nine bits; the rest is for block headers and the flush. */
size_t zstream_bound(UNUSED struct zstream *s, size_t len) { return len + len / 8 + 128; }

int zstream_deflate(struct zstream *s, struct view plain, uint8_t *ret_packed, size_t cap, size_t *ret_len)
{
    s->is_fresh = false;
    s->z.next_in = (Bytef *)(uintptr_t)plain.p;
    s->z.avail_in = (uInt)plain.len;
    s->z.next_out = ret_packed;
    s->z.avail_out = (uInt)cap;
    TRY(zlib_err(deflate(&s->z, Z_PARTIAL_FLUSH)));
    if (s->z.avail_in || !s->z.avail_out) return ERR_BUG;
    *ret_len = cap - s->z.avail_out;
    return 0;
}

int zstream_inflate(struct zstream *s, struct view packed, struct buf *out)
{
    enum {
        STEP_BYTES = 16 * 1024
    };
    s->is_fresh = false;
    s->z.next_in = (Bytef *)(uintptr_t)packed.p;
    s->z.avail_in = (uInt)packed.len;
    for (;;) {
        uint8_t *to;
        size_t room = MIN(buf_room(out), (size_t)STEP_BYTES);
        if (room == 0) return ERR_COMPRESSION;
        TRY(buf_reserve(out, room, &to));
        s->z.next_out = to;
        s->z.avail_out = (uInt)room;
        int r = inflate(&s->z, Z_SYNC_FLUSH);
        /* Z_BUF_ERROR: nothing to do any more, when the last step happened to end with the area. */
        if (r != Z_OK && r != Z_BUF_ERROR) return r == Z_MEM_ERROR ? ERR_NOMEM : ERR_COMPRESSION;
        buf_commit(out, room - s->z.avail_out);
        if (s->z.avail_out) return s->z.avail_in ? ERR_COMPRESSION : 0;
    }
}

/* ---- state ---- */

struct zstate {
    bool is_fresh;
    bool in_block; /* inflater: inside a block with the fixed codes, behind its header */
    uint8_t n_bits, bits;
    struct view window;
};

static void zstate_put(struct wr *w, const struct zstate *st)
{
    wr_bool(w, st->is_fresh);
    wr_bool(w, st->in_block);
    wr_u8(w, st->n_bits);
    wr_u8(w, st->bits);
    wr_string(w, st->window);
}

static int zstate_get(struct view v, struct zstate *ret)
{
    struct rd r = rd_of(v);
    struct zstate st = {};
    st.is_fresh = rd_bool(&r);
    st.in_block = rd_bool(&r);
    st.n_bits = rd_u8(&r);
    st.bits = rd_u8(&r);
    st.window = rd_string(&r);
    if (st.n_bits > 8 || st.window.len > WINDOW_BYTES) rd_fail(&r, ERR_FORMAT);
    TRY(rd_end(&r));
    *ret = st;
    return 0;
}

static int deflater_from(const struct zstate *st, struct zstream **ret)
{
    CLEANUP(zstream_freep) struct zstream *s = NULL;
    TRY(zstream_make(true, RAW_WBITS, &s));
    if (st->window.len) TRY(zlib_err(deflateSetDictionary(&s->z, st->window.p, (uInt)st->window.len)));
    TRY(zlib_err(deflatePrime(&s->z, st->n_bits, st->bits)));
    s->is_fresh = false;
    *ret = TAKE(s);
    return 0;
}

static int inflater_from(const struct zstate *st, struct zstream **ret)
{
    enum {
        FIXED_BLOCK_HEADER = 2,
        FIXED_BLOCK_HEADER_BITS = 3
    }; /* RFC 1951 3.2.3: not the last, type 1 */
    CLEANUP(zstream_freep) struct zstream *s = NULL;
    TRY(zstream_make(false, RAW_WBITS, &s));
    if (st->window.len) TRY(zlib_err(inflateSetDictionary(&s->z, st->window.p, (uInt)st->window.len)));
    if (st->in_block) TRY(zlib_err(inflatePrime(&s->z, FIXED_BLOCK_HEADER_BITS, FIXED_BLOCK_HEADER)));
    if (st->n_bits) TRY(zlib_err(inflatePrime(&s->z, st->n_bits, st->bits)));
    s->z.data_type = st->n_bits | (st->in_block ? 0 : 128);
    s->is_fresh = false;
    *ret = TAKE(s);
    return 0;
}

static int deflater_bits(struct zstream *s, struct zstate *st)
{
    unsigned pending;
    int bits;
    z_stream copy;
    uint8_t tail[64];
    TRY(zlib_err(deflatePending(&s->z, &pending, &bits)));
    if (pending || bits > 7) return ERR_UNSUPPORTED;
    /* The bits themselves come out when a copy of the stream is ended. */
    TRY(zlib_err(deflateCopy(&copy, &s->z)));
    copy.next_in = NULL;
    copy.avail_in = 0;
    copy.next_out = tail;
    copy.avail_out = sizeof tail;
    int r = deflate(&copy, Z_FINISH);
    deflateEnd(&copy);
    if (r != Z_STREAM_END) return ERR_UNSUPPORTED;
    st->n_bits = (uint8_t)bits;
    st->bits = tail[0] & (uint8_t)((1u << bits) - 1);
    return 0;
}

struct probe_result {
    int r, data_type;
    size_t len;
    uint8_t out[512];
};

static int probe(const z_stream *z, const uint8_t *in, size_t n, struct probe_result *ret)
{
    z_stream copy;
    *ret = (struct probe_result){};
    TRY(zlib_err(inflateCopy(&copy, (z_stream *)(uintptr_t)z)));
    copy.next_in = (Bytef *)(uintptr_t)in;
    copy.avail_in = (uInt)n;
    copy.next_out = ret->out;
    copy.avail_out = sizeof ret->out;
    ret->r = inflate(&copy, Z_SYNC_FLUSH);
    ret->len = sizeof ret->out - copy.avail_out;
    ret->data_type = copy.data_type;
    inflateEnd(&copy);
    return 0;
}

/* 1: both streams behave alike on all probes. */
static int inflaters_alike(const z_stream *a, const z_stream *b)
{
    enum {
        PROBES = 48,
        PROBE_BYTES = 24
    };
    uint32_t x = 1;
    for (int i = 0; i < PROBES; i++) {
        uint8_t in[PROBE_BYTES];
        struct probe_result ra, rb;
        for (size_t k = 0; k < sizeof in; k++) in[k] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
        TRY(probe(a, in, sizeof in, &ra));
        TRY(probe(b, in, sizeof in, &rb));
        if (memcmp(&ra, &rb, sizeof ra) != 0) return 0;
    }
    return 1;
}

static int inflater_bits(struct zstream *s, struct zstate *st)
{
    int n_bits = s->z.data_type & 63;
    if (n_bits > 7 || (s->z.data_type & 64)) return ERR_UNSUPPORTED;
    st->n_bits = (uint8_t)n_bits;
    st->in_block = !(s->z.data_type & 128);
    for (unsigned v = 0; v < 1u << n_bits; v++) {
        CLEANUP(zstream_freep) struct zstream *candidate = NULL;
        st->bits = (uint8_t)v;
        TRY(inflater_from(st, &candidate));
        int r = inflaters_alike(&s->z, &candidate->z);
        if (r != 0) return r < 0 ? r : 0;
    }
    return ERR_UNSUPPORTED;
}

int zstream_export(struct zstream *s, struct buf *out)
{
    uint8_t window[WINDOW_BYTES];
    uInt window_len = 0;
    struct zstate st = { .is_fresh = s->is_fresh };
    if (!s->is_fresh) {
        TRY(zlib_err(s->for_deflate ? deflateGetDictionary(&s->z, window, &window_len)
                                    : inflateGetDictionary(&s->z, window, &window_len)));
        st.window = view_of(window, window_len);
        TRY(s->for_deflate ? deflater_bits(s, &st) : inflater_bits(s, &st));
    }
    struct wr w = wr_of(out);
    zstate_put(&w, &st);
    secret_wipe(window, sizeof window);
    return wr_end(&w);
}

int zstream_import(bool for_deflate, struct view state, struct zstream **ret)
{
    struct zstate st;
    TRY(zstate_get(state, &st));
    if (st.is_fresh) return zstream_new(for_deflate, ret);
    return for_deflate ? deflater_from(&st, ret) : inflater_from(&st, ret);
}
