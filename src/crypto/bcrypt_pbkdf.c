/* bcrypt_pbkdf: PBKDF2's shape with a pseudo-random function made of SHA-512 and bcrypt's costly Blowfish key schedule (Provos and
 * Mazieres, "A Future-Adaptable Password Scheme", 1999), whose output is spread over the key instead of laid end to end.
 * The boxes are indexed by secrets: that is bcrypt's nature and what makes it dear on a GPU; it runs where the user types a
 * passphrase, not against a peer. */
#include "crypto/bcrypt_pbkdf.h"

#include "base/secret.h"
#include "crypto/blowfish_int.h"
#include "crypto/digest.h"

enum {
    SHA512_BYTES = 64,
    SEED_WORDS = SHA512_BYTES / 4,
    HASH_WORDS = 8,
    HASH_BYTES = 4 * HASH_WORDS,
    EXPENSIVE_ROUNDS = 64,
    KEY_MAX_BYTES = HASH_BYTES * HASH_BYTES,
};

static inline uint32_t blowfish_f(const struct blowfish_key *k, uint32_t x)
{
    return ((k->s[0][x >> 24] + k->s[1][x >> 16 & 255]) ^ k->s[2][x >> 8 & 255]) + k->s[3][x & 255];
}

static inline void blowfish_encrypt(const struct blowfish_key *k, uint32_t block[2])
{
    uint32_t left = block[0], right = block[1];
    for (int i = 0; i < BLOWFISH_ROUNDS; i += 2) {
        left ^= k->p[i];
        right ^= blowfish_f(k, left) ^ k->p[i + 1];
        left ^= blowfish_f(k, right);
    }
    block[0] = right ^ k->p[BLOWFISH_ROUNDS + 1];
    block[1] = left ^ k->p[BLOWFISH_ROUNDS];
}

/* bcrypt's ExpandKey: the subkeys take in the key, then subkeys and boxes become the running encryption of the salt, which NULL
 * leaves at zero. Both are repeated as needed. */
static inline void expand_words(struct blowfish_key *k, uint32_t *words, int n, const uint32_t *salt, uint32_t block[2],
                                int *salt_idx)
{
    for (int i = 0; i < n; i += 2) {
        if (salt) {
            block[0] ^= salt[*salt_idx % SEED_WORDS];
            block[1] ^= salt[(*salt_idx + 1) % SEED_WORDS];
            *salt_idx += 2;
        }
        blowfish_encrypt(k, block);
        words[i] = block[0];
        words[i + 1] = block[1];
    }
}

static inline void expand_key(struct blowfish_key *k, const uint32_t key[SEED_WORDS], const uint32_t *salt)
{
    uint32_t block[2] = { 0 };
    int salt_idx = 0;
    for (int i = 0; i < BLOWFISH_P_WORDS; i++) k->p[i] ^= key[i % SEED_WORDS];
    expand_words(k, k->p, BLOWFISH_P_WORDS, salt, block, &salt_idx);
    for (int i = 0; i < 4; i++) expand_words(k, k->s[i], 256, salt, block, &salt_idx);
}

/* All that is secret here. */
struct work {
    struct blowfish_key key;
    uint8_t digest[SHA512_BYTES];
    uint32_t passphrase[SEED_WORDS], salt[SEED_WORDS];
    uint8_t hash[HASH_BYTES], sum[HASH_BYTES];
};

static void work_wipe(struct work *w) { secret_wipe(w, sizeof *w); }

/* SHA-512 of the parts as big-endian words. */
static int seed_of(struct work *w, const struct view *parts, size_t n_parts, uint32_t ret[SEED_WORDS])
{
    TRY(digest_parts(DIGEST_SHA512, parts, n_parts, w->digest));
    for (int i = 0; i < SEED_WORDS; i++) {
        const uint8_t *d = w->digest + 4 * i;
        ret[i] = (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 | (uint32_t)d[2] << 8 | d[3];
    }
    return 0;
}

/* bcrypt with w's two seeds, of a text of 32 bytes instead of 24, into w->hash, its words in little-endian order. */
static void bcrypt_hash(struct work *w)
{
    /* "OxychromaticBlowfishSwatDynamite" */
    uint32_t text[HASH_WORDS] = { 0x4f787963, 0x68726f6d, 0x61746963, 0x426c6f77, 0x66697368, 0x53776174, 0x44796e61, 0x6d697465 };
    w->key = blowfish_pi;
    expand_key(&w->key, w->passphrase, w->salt);
    for (int i = 0; i < EXPENSIVE_ROUNDS; i++) {
        expand_key(&w->key, w->salt, NULL);
        expand_key(&w->key, w->passphrase, NULL);
    }
    for (int i = 0; i < EXPENSIVE_ROUNDS; i++)
        for (int j = 0; j < HASH_WORDS; j += 2) blowfish_encrypt(&w->key, text + j);
    for (int i = 0; i < HASH_BYTES; i++) w->hash[i] = (uint8_t)(text[i / 4] >> 8 * (i % 4));
    secret_wipe(text, sizeof text);
}

/* Block number count (from 1) into w->sum: the XOR of `rounds` hashes, each salted with the one before. */
static int pbkdf_block(struct work *w, struct view salt, uint32_t count, uint32_t rounds)
{
    uint8_t count_bytes[4] = { (uint8_t)(count >> 24), (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count };
    struct view first[] = { salt, { count_bytes, sizeof count_bytes } }, again[] = { { w->hash, HASH_BYTES } };
    TRY(seed_of(w, first, ARRAY_LEN(first), w->salt));
    bcrypt_hash(w);
    memcpy(w->sum, w->hash, HASH_BYTES);
    for (uint32_t i = 1; i < rounds; i++) {
        TRY(seed_of(w, again, ARRAY_LEN(again), w->salt));
        bcrypt_hash(w);
        for (int j = 0; j < HASH_BYTES; j++) w->sum[j] ^= w->hash[j];
    }
    return 0;
}

int bcrypt_pbkdf(struct view passphrase, struct view salt, uint32_t rounds, uint8_t *ret_key, size_t key_len)
{
    if (!passphrase.len || !salt.len || !rounds || !key_len || key_len > KEY_MAX_BYTES) return ERR_RANGE;
    CLEANUP(work_wipe) struct work w;
    TRY(seed_of(&w, &passphrase, 1, w.passphrase));
    /* Byte i of block b is byte i * blocks + b of the key, so that no part of the key can be had without all blocks. */
    size_t blocks = (key_len + HASH_BYTES - 1) / HASH_BYTES;
    for (size_t b = 0; b < blocks; b++) {
        TRY(pbkdf_block(&w, salt, (uint32_t)(b + 1), rounds));
        for (size_t i = 0; i < HASH_BYTES && i * blocks + b < key_len; i++) ret_key[i * blocks + b] = w.sum[i];
    }
    return 0;
}
