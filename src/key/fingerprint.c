/* Fingerprints of key blobs as text, and as a picture. */
#include "base/base64.h"
#include "key/cert.h"
#include "key/key_int.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FINGERPRINT_TEXT_MAX = 256
};

static int put_hex_pairs(struct view d, struct buf *out)
{
    for (size_t i = 0; i < d.len; i++) TRY(buf_printf(out, "%s%02x", i ? ":" : "", d.p[i]));
    return 0;
}

static int put_base64_unpadded(struct view d, struct buf *out)
{
    TRY(base64_put(out, d));
    struct view text = buf_view(out);
    while (text.len && text.p[text.len - 1] == '=') text.len--;
    buf_truncate(out, text.len);
    return 0;
}

static int dup_text(struct buf *b, char **ret)
{
    char *text = view_dup_str(buf_view(b));
    if (!text) return ERR_NOMEM;
    *ret = text;
    return 0;
}

/* A certificate's fingerprint is that of the key in it; bytes that are no key are taken as they are. */
static int digest_of_key(struct view blob, enum digest_alg alg, uint8_t *ret_digest)
{
    CLEANUP(buf_done) struct buf plain = BUF_INIT(KEY_BLOB_BYTES_MAX);
    int err = cert_plain_blob(blob, &plain);
    if (err == ERR_NOMEM) return err;
    return digest_once(alg, err == 0 ? buf_view(&plain) : blob, ret_digest);
}

int key_fingerprint(struct view blob, enum digest_alg alg, char **ret)
{
    uint8_t digest[DIGEST_MAX_BYTES];
    TRY(digest_of_key(blob, alg, digest));
    struct view d = view_of(digest, digest_len(alg));
    CLEANUP(buf_done) struct buf text = BUF_INIT(FINGERPRINT_TEXT_MAX);
    TRY(buf_printf(&text, "%s:", digest_name(alg)));
    TRY(alg == DIGEST_MD5 ? put_hex_pairs(d, &text) : put_base64_unpadded(d, &text));
    return dup_text(&text, ret);
}

/* The Bubble Babble encoding: pairs of bytes as consonants and vowels with a running check value. */
struct babble {
    struct buf *out;
    unsigned check;
};

static int put_vowel_group(struct babble *b, unsigned high, unsigned middle, unsigned low)
{
    static const char vowels[] = "aeiouy", consonants[] = "bcdfghklmnprstvzx";
    return buf_printf(b->out, "%c%c%c", vowels[high % 6], consonants[middle], vowels[low % 6]);
}

static int put_pair(struct babble *b, uint8_t first, uint8_t second)
{
    static const char consonants[] = "bcdfghklmnprstvzx";
    TRY(put_vowel_group(b, (first >> 6) + b->check, first >> 2 & 15, (first & 3) + b->check / 6));
    TRY(buf_printf(b->out, "%c-%c", consonants[second >> 4], consonants[second & 15]));
    b->check = (b->check * 5 + first * 7u + second) % 36;
    return 0;
}

int key_bubblebabble(struct view blob, char **ret)
{
    enum {
        SIGN_X = 16
    };
    uint8_t digest[DIGEST_MAX_BYTES];
    TRY(digest_of_key(blob, DIGEST_SHA1, digest));
    size_t n = digest_len(DIGEST_SHA1);
    CLEANUP(buf_done) struct buf text = BUF_INIT(FINGERPRINT_TEXT_MAX);
    struct babble b = { &text, 1 };
    TRY(buf_put_str(&text, "x"));
    for (size_t i = 0; i + 1 < n; i += 2) TRY(put_pair(&b, digest[i], digest[i + 1]));
    TRY(put_vowel_group(&b, b.check, SIGN_X, b.check / 6)); /* an even number of bytes ends in the check value alone */
    TRY(buf_put_str(&text, "x"));
    return dup_text(&text, ret);
}

/* The drunken bishop walks over a board of BOARD_W x BOARD_H squares; the more often a square was visited the later its sign. */
enum {
    BOARD_W = 17,
    BOARD_H = 9,
    SIGN_START = 15,
    SIGN_END = 16,
    VISITS_MAX = 14
};
static const char signs[] = " .o+=*BOX@%&#/^SE";

static unsigned step(unsigned at, bool forward, unsigned size)
{
    if (forward) return at + 1 < size ? at + 1 : at;
    return at ? at - 1 : 0;
}

static void walk(struct view digest, uint8_t board[BOARD_H][BOARD_W])
{
    unsigned x = BOARD_W / 2, y = BOARD_H / 2;
    for (size_t i = 0; i < digest.len * 4; i++) {
        unsigned move = digest.p[i / 4] >> (i % 4 * 2);
        x = step(x, move & 1, BOARD_W);
        y = step(y, move & 2, BOARD_H);
        if (board[y][x] < VISITS_MAX) board[y][x]++;
    }
    board[BOARD_H / 2][BOARD_W / 2] = SIGN_START;
    board[y][x] = SIGN_END;
}

/* "+---[RSA 3072]----+" */
static int put_edge(struct buf *out, const char *label)
{
    static const char dashes[] = "-----------------";
    int free_len = BOARD_W - (int)strlen(label), left = free_len / 2;
    return buf_printf(out, "+%.*s%s%.*s+", left, dashes, label, free_len - left, dashes);
}

int key_randomart(const struct key *k, enum digest_alg alg, char **ret)
{
    uint8_t digest[DIGEST_MAX_BYTES], board[BOARD_H][BOARD_W] = {};
    TRY(digest_of_key(key_blob(k), alg, digest));
    walk(view_of(digest, digest_len(alg)), board);
    char label[BOARD_W]; /* one less than there is room for: OpenSSH cuts [ED25519-SK-CERT] so */
    if (snprintf(label, sizeof(label), "[%s %u]", k->type->short_name, key_bits(k)) > BOARD_W)
        snprintf(label, sizeof(label), "[%s]", k->type->short_name);
    CLEANUP(buf_done) struct buf text = BUF_INIT((BOARD_W + 3) * (BOARD_H + 2));
    TRY(put_edge(&text, label));
    for (unsigned y = 0; y < BOARD_H; y++) {
        TRY(buf_put_str(&text, "\n|"));
        for (unsigned x = 0; x < BOARD_W; x++) TRY(buf_put_u8(&text, (uint8_t)signs[board[y][x]]));
        TRY(buf_put_str(&text, "|"));
    }
    snprintf(label, sizeof(label), "[%s]", digest_name(alg));
    TRY(buf_put_str(&text, "\n"));
    TRY(put_edge(&text, label));
    return dup_text(&text, ret);
}
