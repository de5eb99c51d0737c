/* The packet layer alone: lengths, padding, flipped bits, what a refusal shows, compression bounds, output in pieces. */
#include "proto/transport/transport_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <zlib.h>

enum {
    BIG = 4 + LIMIT_PACKET_BYTES + MAC_MAX_BYTES
};

struct wire {
    struct packet_in in;
    struct packet_out out;
    struct fake_random fake;
    struct random rnd;
};

static const uint8_t key_bytes[64] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static void keys_make(const char *cipher, const char *mac, bool for_sealing, struct packet_keys *ret)
{
    *ret = (struct packet_keys){ .cipher_desc = cipher_find(view_str(cipher)) };
    assert_non_null(ret->cipher_desc);
    if (mac) ret->mac_desc = mac_find(view_str(mac));
    assert_int_equal(packet_keys_set(ret, for_sealing, view_of(key_bytes, ret->cipher_desc->key_bytes),
                                     view_of(key_bytes, ret->cipher_desc->iv_bytes),
                                     view_of(key_bytes, mac ? ret->mac_desc->key_bytes : 0)),
                     0);
}

/* cipher NULL: before the first keys. */
static void wire_init(struct wire *w, const char *cipher, const char *mac)
{
    struct packet_keys k;
    *w = (struct wire){ .fake = { 5 } };
    w->rnd = (struct random){ fake_fill, &w->fake };
    assert_int_equal(packet_in_init(&w->in, NULL), 0);
    packet_out_init(&w->out, &w->rnd);
    if (!cipher) return;
    keys_make(cipher, mac, false, &k);
    packet_in_rekey(&w->in, &k, true);
    keys_make(cipher, mac, true, &k);
    packet_out_rekey(&w->out, &k, true);
}

static void wire_done(struct wire *w)
{
    packet_in_done(&w->in);
    packet_out_done(&w->out);
}

static void put(struct wire *w, struct view payload)
{
    uint8_t *area;
    assert_int_equal(packet_out_reserve(&w->out, payload.len, &area), 0);
    memcpy(area, payload.p, payload.len);
    assert_int_equal(packet_out_commit(&w->out, payload.len), 0);
}

static void feed(struct wire *w, struct view bytes)
{
    uint8_t *area;
    size_t room;
    packet_in_room(&w->in, true, &area, &room);
    assert_true(bytes.len <= room);
    if (bytes.len) memcpy(area, bytes.p, bytes.len);
    packet_in_received(&w->in, bytes.len);
}

static int next(struct wire *w, struct view *ret)
{
    uint32_t sequence;
    return packet_in_next(&w->in, LIMIT_PACKET_BYTES, ret, &sequence);
}

/* Goes on with zeros until the engine decides; gives the error and how many bytes that took. */
static int decide(struct wire *w, size_t *ret_bytes)
{
    static const uint8_t zeros[4096];
    struct view v;
    size_t n = 0;
    int r;
    while ((r = next(w, &v)) == 0 && n < 2 * BIG) {
        feed(w, view_of(zeros, sizeof zeros));
        n += sizeof zeros;
    }
    if (ret_bytes) *ret_bytes = n;
    return r;
}

static const struct {
    const char *cipher, *mac;
    bool cbc_hidden;
} kinds[] = {
    { NULL, NULL, false },
    { "aes128-gcm@openssh.com", NULL, false },
    { "aes256-gcm@openssh.com", NULL, false },
    { "chacha20-poly1305@openssh.com", NULL, false },
    { "aes128-ctr", "hmac-sha2-256-etm@openssh.com", false },
    { "aes256-ctr", "umac-64@openssh.com", false },
    { "aes192-ctr", "hmac-sha2-512", false },
    { "aes128-cbc", "hmac-sha1-96-etm@openssh.com", false },
    { "aes256-cbc", "hmac-sha2-256", true },
    { "3des-cbc", "hmac-md5", true },
};

/* Every payload length comes through, on the wire the packet obeys 4253 6. */
static void test_lengths(UNUSED void **state)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct wire w;
        uint8_t payload[300];
        wire_init(&w, kinds[k].cipher, kinds[k].mac);
        for (size_t len = 1; len <= sizeof payload; len++) {
            struct view v;
            memset(payload, (int)len, len);
            put(&w, view_of(payload, len));
            struct view sealed = packet_out_view(&w.out);
            size_t tag = packet_keys_tag(&w.out.keys);
            assert_true(sealed.len - tag >= 16 && sealed.len - tag >= len + 9);
            assert_true(sealed.len - tag <= len + 5 + 4 + 32);
            feed(&w, sealed);
            packet_out_sent(&w.out, sealed.len);
            assert_int_equal(next(&w, &v), 1);
            assert_true(view_eq(v, view_of(payload, len)));
            assert_int_equal(next(&w, &v), 0);
        }
        wire_done(&w);
    }
}

/* One bit wrong, in whichever byte: no payload, and never anything but the errors of a refused packet. */
static void test_flipped_bits(UNUSED void **state)
{
    for (size_t k = 1; k < ARRAY_LEN(kinds); k++) {
        for (size_t byte = 0;; byte++) {
            struct wire w;
            uint8_t sealed[256];
            wire_init(&w, kinds[k].cipher, kinds[k].mac);
            put(&w, VIEW_LIT("payload that is a few blocks long, so that several of them may be wrong"));
            struct view v = packet_out_view(&w.out);
            assert_true(v.len < sizeof sealed);
            if (byte == v.len) {
                wire_done(&w);
                break;
            }
            memcpy(sealed, v.p, v.len);
            sealed[byte] ^= (uint8_t)(1u << byte % 8);
            feed(&w, view_of(sealed, v.len));
            int err = decide(&w, NULL);
            bool in_length = byte < (kinds[k].cipher && strstr(kinds[k].cipher, "cbc") && !strstr(kinds[k].mac, "etm") ? 16 : 4);
            if (err != ERR_MAC && !(in_length && err == ERR_PACKET_LENGTH))
                fail_msg("%s, byte %zu: %s", kinds[k].cipher, byte, err_text(err));
            if (kinds[k].cbc_hidden) assert_int_equal(err, ERR_MAC);
            wire_done(&w);
        }
    }
}

/* With CBC and a MAC over the plain text, all refusals come at the same byte. */
static void test_cbc_refusals_alike(UNUSED void **state)
{
    for (size_t byte = 0; byte < 100; byte++) {
        struct wire w;
        uint8_t sealed[256];
        size_t n;
        wire_init(&w, "aes256-cbc", "hmac-sha2-256");
        put(&w, VIEW_LIT("payload that is a few blocks long, so that several of them may be wrong"));
        struct view v = packet_out_view(&w.out);
        memcpy(sealed, v.p, v.len);
        sealed[byte] ^= 0x80;
        /* A length that grew into the allowed range would wait for its own end first: then it is the MAC, at the same place. */
        feed(&w, view_of(sealed, v.len));
        assert_int_equal(decide(&w, &n), ERR_MAC);
        assert_int_equal((v.len + n) / 4096, (4 + LIMIT_PACKET_BYTES + 32) / 4096);
        wire_done(&w);
    }
}

static int plain_length(uint32_t len, uint32_t max)
{
    struct wire w;
    struct view v;
    uint32_t sequence;
    uint8_t head[8] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, 4 };
    wire_init(&w, NULL, NULL);
    feed(&w, view_of(head, sizeof head));
    int r = packet_in_next(&w.in, max, &v, &sequence);
    wire_done(&w);
    return r;
}

static void test_bad_lengths(UNUSED void **state)
{
    static const uint32_t bad[] = { 0,          1,          4,          5,         13, 35001, 34999, 35000, LIMIT_PACKET_BYTES + 4,
                                    0x80000000, 0xfffffff4, 0xfffffffc, 0xffffffff };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_int_equal(plain_length(bad[i], LIMIT_PACKET_BYTES), ERR_PACKET_LENGTH);
    assert_int_equal(plain_length(34996, LIMIT_PACKET_BYTES), 0);
    assert_int_equal(plain_length(12, LIMIT_PACKET_BYTES), 0);
    assert_int_equal(plain_length(LIMIT_PACKET_BYTES - 4, LIMIT_PACKET_BYTES), 0);
    assert_int_equal(plain_length(LIMIT_PACKET_PREAUTH_BYTES - 4, LIMIT_PACKET_PREAUTH_BYTES), 0);
    assert_int_equal(plain_length(LIMIT_PACKET_PREAUTH_BYTES + 4, LIMIT_PACKET_PREAUTH_BYTES), ERR_PACKET_LENGTH);
}

static int gcm_packet(uint32_t len, uint8_t pad)
{
    struct wire w;
    struct view v;
    struct packet_keys k;
    uint8_t packet[4 + 64 + 16] = { 0, 0, 0, (uint8_t)len, pad };
    wire_init(&w, "aes128-gcm@openssh.com", NULL);
    keys_make("aes128-gcm@openssh.com", NULL, true, &k);
    assert_int_equal(cipher_aead_seal(k.cipher, 0, packet, len), 0);
    feed(&w, view_of(packet, 4 + len + 16));
    int r = next(&w, &v);
    packet_keys_done(&k);
    wire_done(&w);
    return r;
}

/* Padding that is wrong under a MAC that is right. */
static void test_bad_padding(UNUSED void **state)
{
    assert_int_equal(gcm_packet(32, 4), 1);
    assert_int_equal(gcm_packet(32, 30), 1);
    assert_int_equal(gcm_packet(32, 31), ERR_PADDING); /* no room for a message */
    assert_int_equal(gcm_packet(32, 32), ERR_PADDING);
    assert_int_equal(gcm_packet(32, 255), ERR_PADDING);
    assert_int_equal(gcm_packet(32, 3), ERR_PADDING);
    assert_int_equal(gcm_packet(32, 0), ERR_PADDING);
    assert_int_equal(gcm_packet(24, 4), ERR_PACKET_LENGTH); /* no multiple of the block */
}

static void test_sequence_is_authenticated(UNUSED void **state)
{
    for (size_t k = 1; k < ARRAY_LEN(kinds); k++) {
        /* GCM has a counter of its own. */
        if (strstr(kinds[k].cipher, "gcm")) continue;
        struct wire w;
        wire_init(&w, kinds[k].cipher, kinds[k].mac);
        w.in.n.sequence = 7;
        put(&w, VIEW_LIT("x"));
        feed(&w, packet_out_view(&w.out));
        int err = decide(&w, NULL);
        assert_true(err == ERR_MAC || err == ERR_PACKET_LENGTH);
        wire_done(&w);
    }
}

/* Many packets in one read are handed out one behind the other, without being moved. */
static void test_no_copies(UNUSED void **state)
{
    struct wire w;
    struct view v;
    wire_init(&w, "aes128-gcm@openssh.com", NULL);
    for (int i = 0; i < 100; i++) put(&w, VIEW_LIT("a packet"));
    feed(&w, packet_out_view(&w.out));
    const uint8_t *last = w.in.area;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(next(&w, &v), 1);
        assert_true(v.p > last && v.p < w.in.area + PACKET_IN_AREA_BYTES);
        last = v.p;
    }
    assert_int_equal(next(&w, &v), 0);
    wire_done(&w);
}

static void test_output_in_pieces(UNUSED void **state)
{
    struct wire w;
    uint8_t payload[20000];
    CLEANUP(buf_done) struct buf all = BUF_INIT(SIZE_MAX);
    wire_init(&w, NULL, NULL);
    for (int i = 0; i < 60; i++) {
        memset(payload, i + 1, sizeof payload);
        put(&w, view_of(payload, sizeof payload));
        if (i % 3) continue;
        struct view out = packet_out_view(&w.out);
        size_t n = MIN(out.len, (size_t)(i * 777));
        assert_int_equal(buf_put(&all, out.p, n), 0);
        packet_out_sent(&w.out, n);
    }
    while (w.out.queued) {
        struct view out = packet_out_view(&w.out);
        assert_true(out.len > 0);
        size_t n = MIN(out.len, (size_t)70001);
        assert_int_equal(buf_put(&all, out.p, n), 0);
        packet_out_sent(&w.out, n);
    }
    assert_int_equal(packet_out_view(&w.out).len, 0);
    int seen = 0;
    while (buf_len(&all)) {
        struct view v;
        uint8_t *area;
        size_t room;
        packet_in_room(&w.in, true, &area, &room);
        size_t n = MIN(room, (size_t)12345);
        n = MIN(n, buf_len(&all));
        memcpy(area, buf_bytes(&all), n);
        packet_in_received(&w.in, n);
        buf_consume(&all, n);
        while (next(&w, &v) == 1) {
            seen++;
            assert_int_equal(v.len, sizeof payload);
            assert_int_equal(v.p[0], seen);
            assert_int_equal(v.p[sizeof payload - 1], seen);
        }
    }
    assert_int_equal(seen, 60);
    wire_done(&w);
}

/* A reservation outlives a write of what was queued before it. */
static void test_sent_between_reserve_and_commit(UNUSED void **state)
{
    struct wire w;
    struct view v;
    uint8_t *area;
    wire_init(&w, NULL, NULL);
    put(&w, VIEW_LIT("first"));
    assert_int_equal(packet_out_reserve(&w.out, 100, &area), 0);
    memcpy(area, "second", 6);
    feed(&w, packet_out_view(&w.out));
    packet_out_sent(&w.out, w.out.queued);
    assert_int_equal(packet_out_commit(&w.out, 6), 0);
    assert_int_equal(packet_out_commit(&w.out, 6), ERR_STATE);
    feed(&w, packet_out_view(&w.out));
    assert_int_equal(next(&w, &v), 1);
    assert_true(view_eq_str(v, "first"));
    assert_int_equal(next(&w, &v), 1);
    assert_true(view_eq_str(v, "second"));
    assert_int_equal(packet_out_reserve(&w.out, 100, &area), 0);
    assert_int_equal(packet_out_commit(&w.out, 101), ERR_STATE);
    wire_done(&w);
}

/* ---- compression ---- */

static int inflate_of(const uint8_t *plain, size_t len, size_t cut, bool garble)
{
    CLEANUP(zstream_freep) struct zstream *d = NULL, *i = NULL;
    CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_PACKET_BYTES);
    size_t cap, packed;
    assert_int_equal(zstream_new(true, &d), 0);
    assert_int_equal(zstream_new(false, &i), 0);
    cap = zstream_bound(d, len);
    uint8_t *to = malloc(cap);
    assert_int_equal(zstream_deflate(d, view_of(plain, len), to, cap, &packed), 0);
    if (garble) to[0] ^= 0x55;
    int err = zstream_inflate(i, view_of(to, packed - cut), &out);
    if (err == 0 && !cut && !garble) assert_true(view_eq(buf_view(&out), view_of(plain, len)));
    free(to);
    return err;
}

static void test_inflate_bounds(UNUSED void **state)
{
    uint8_t *plain = calloc(1, LIMIT_PACKET_BYTES + 1);
    assert_int_equal(inflate_of(plain, LIMIT_PACKET_BYTES - 1, 0, false), 0);
    assert_int_equal(inflate_of(plain, LIMIT_PACKET_BYTES + 1, 0, false), ERR_COMPRESSION);
    struct fake_random f = { 3 };
    fake_fill(&f, plain, LIMIT_PACKET_BYTES);
    for (size_t len = 1; len < LIMIT_PACKET_BYTES; len = len * 3 + 1) assert_int_equal(inflate_of(plain, len, 0, false), 0);
    assert_int_equal(inflate_of(plain, 0, 0, false), 0);
    memset(plain, 'a', 1000);
    assert_int_equal(inflate_of(plain, 1000, 0, true), ERR_COMPRESSION);
    free(plain);
}

static void test_compressed_to_nothing(UNUSED void **state)
{
    struct wire w;
    struct view v;
    wire_init(&w, NULL, NULL);
    assert_int_equal(zstream_new(false, &w.in.inflate), 0);
    put(&w, VIEW_LIT("\x78\x9c")); /* a zlib header and nothing behind it */
    feed(&w, packet_out_view(&w.out));
    assert_int_equal(next(&w, &v), ERR_COMPRESSION);
    wire_done(&w);
}

/* The end of a stream has no place in a connection. */
static void test_stream_end(UNUSED void **state)
{
    CLEANUP(zstream_freep) struct zstream *i = NULL;
    CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_PACKET_BYTES);
    uint8_t packed[100];
    uLongf len = sizeof packed;
    assert_int_equal(compress(packed, &len, (const Bytef *)"hello", 5), Z_OK);
    assert_int_equal(zstream_new(false, &i), 0);
    assert_int_equal(zstream_inflate(i, view_of(packed, len), &out), ERR_COMPRESSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_cbc_refusals_alike),
        cmocka_unit_test(test_bad_lengths),
        cmocka_unit_test(test_bad_padding),
        cmocka_unit_test(test_sequence_is_authenticated),
        cmocka_unit_test(test_no_copies),
        cmocka_unit_test(test_output_in_pieces),
        cmocka_unit_test(test_sent_between_reserve_and_commit),
        cmocka_unit_test(test_inflate_bounds),
        cmocka_unit_test(test_compressed_to_nothing),
        cmocka_unit_test(test_stream_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
