/* ML-KEM-768, FIPS 203; algorithm and section numbers below are that document's. It knows Keccak only through libcrypto, and of SSH
 * nothing.
 * No branch, no index and no division depends on a secret: reductions are multiplications (Montgomery with R = 2^16, Barrett),
 * choices are masks. The matrix is made from public bytes, so its rejection sampling may take what time it likes. Unless said
 * otherwise a coefficient is any int16 congruent to the value; the bounds beside the functions show that none overflows. */
#include "crypto/mlkem768.h"

#include "base/secret.h"

#include "crypto/libcrypto_int.h"

enum {
    N = 256,
    K = 3,
    Q = 3329,
    DU = 10,
    DV = 4,
    POLY_BYTES = 384, /* ByteEncode12 */
    PKE_SECRET_BYTES = K * POLY_BYTES,
    U_BYTES = K * N * DU / 8,
    MONT_R2 = 1353,                /* R^2 mod q */
    MONT_R2_BY_128 = 1441,         /* R^2 / 128 mod q */
    Q_INVERSE = -3327,             /* q^-1 mod 2^16 */
    PRF_BYTES = 128,               /* 64 * eta, eta = 2 */
    XOF_BYTES = 672,               /* 448 candidates of which 364 +- 8 are taken: one squeeze is nearly always enough */
    XOF_MAX_BYTES = 8 * XOF_BYTES, /* as good as never: the public key is then refused */
};

struct poly {
    int16_t c[N];
};
struct vec {
    struct poly p[K];
};

/* 17^BitRev7(i) * R mod q, centred. */
static const int16_t zetas[128] = {
    -1044, -758,  -359,  -1517, 1493,  1422,  287,   202,   -171,  622,  1577,  182,   962,   -1202, -1474, 1468,
    573,   -1325, 264,   383,   -829,  1458,  -1602, -130,  -681,  1017, 732,   608,   -1542, 411,   -205,  -1571,
    1223,  652,   -552,  1015,  -1293, 1491,  -282,  -1544, 516,   -8,   -320,  -666,  -1618, -1162, 126,   1469,
    -853,  -90,   -271,  830,   107,   -1421, -247,  -951,  -398,  961,  -1508, -725,  448,   -1065, 677,   -1275,
    -1103, 430,   555,   843,   -1251, 871,   1550,  105,   422,   587,  177,   -235,  -291,  -460,  1574,  1653,
    -246,  778,   1159,  -147,  -777,  1483,  -602,  1119,  -1590, 644,  -872,  349,   418,   329,   -156,  -75,
    817,   1097,  603,   610,   1322,  -1285, -1465, 384,   -1215, -136, 1218,  -1335, -874,  220,   -1187, -1659,
    -1185, -1530, -1278, 794,   -1510, -854,  -870,  478,   -108,  -308, 996,   991,   958,   -1460, 1522,  1628,
};

/* x / R mod q, |x| < q * 2^15; the result is within |x| / 2^16 + q / 2. */
static inline int16_t montgomery(int32_t x)
{
    int16_t t = (int16_t)((int16_t)x * Q_INVERSE);
    return (int16_t)((x - (int32_t)t * Q) >> 16);
}

/* The same of a product in steps of 16 bits, as vectors like it: the low halves of a b and t q are equal and cancel. */
static inline int16_t mul(int16_t a, int16_t b)
{
    int16_t t = (int16_t)((int16_t)(a * b) * Q_INVERSE);
    return (int16_t)(((int32_t)a * b >> 16) - ((int32_t)t * Q >> 16));
}

/* To -q/2..q/2. */
static inline int16_t barrett(int16_t a)
{
    int32_t quotient = (20159 * a + (1 << 25)) >> 26;
    return (int16_t)(a - quotient * Q);
}

/* To 0..q-1. */
static inline uint16_t canonical(int16_t a)
{
    a = barrett(a);
    return (uint16_t)(a + ((a >> 15) & Q));
}

static void poly_reduce(struct poly *f)
{
    for (int i = 0; i < N; i++) f->c[i] = barrett(f->c[i]);
}

static void poly_add(struct poly *f, const struct poly *g)
{
    for (int i = 0; i < N; i++) f->c[i] = (int16_t)(f->c[i] + g->c[i]);
}

/* One layer of Algorithm 9, inlined for each len so that the compiler can make vectors of it. zeta is the one before the first. */
static inline const int16_t *ntt_layer(struct poly *f, const int16_t *zeta, const int len)
{
    for (int start = 0; start < N; start += 2 * len) {
        int16_t z = *++zeta;
        int16_t *lo = f->c + start, *hi = lo + len;
        for (int j = 0; j < len; j++) {
            int16_t t = mul(z, hi[j]);
            hi[j] = (int16_t)(lo[j] - t);
            lo[j] = (int16_t)(lo[j] + t);
        }
    }
    return zeta;
}

/* Algorithm 9. From |c| < q to |c| <= q / 2; each of the 7 layers adds less than q, 8q < 2^15. */
static void poly_ntt(struct poly *f)
{
    const int16_t *zeta = zetas;
    zeta = ntt_layer(f, zeta, 128);
    zeta = ntt_layer(f, zeta, 64);
    zeta = ntt_layer(f, zeta, 32);
    zeta = ntt_layer(f, zeta, 16);
    zeta = ntt_layer(f, zeta, 8);
    zeta = ntt_layer(f, zeta, 4);
    ntt_layer(f, zeta, 2);
    poly_reduce(f);
}

/* One layer of Algorithm 10; zeta is the one behind the first. */
static inline const int16_t *inverse_ntt_layer(struct poly *f, const int16_t *zeta, const int len)
{
    for (int start = 0; start < N; start += 2 * len) {
        int16_t z = *--zeta;
        int16_t *lo = f->c + start, *hi = lo + len;
        for (int j = 0; j < len; j++) {
            int16_t t = lo[j];
            lo[j] = barrett((int16_t)(t + hi[j]));
            hi[j] = mul(z, (int16_t)(hi[j] - t));
        }
    }
    return zeta;
}

/* Algorithm 10, from |c| <= q, times R: so that the 1/R which a product brings is gone. To |c| < q. */
static void poly_inverse_ntt(struct poly *f)
{
    const int16_t *zeta = zetas + ARRAY_LEN(zetas);
    zeta = inverse_ntt_layer(f, zeta, 2);
    zeta = inverse_ntt_layer(f, zeta, 4);
    zeta = inverse_ntt_layer(f, zeta, 8);
    zeta = inverse_ntt_layer(f, zeta, 16);
    zeta = inverse_ntt_layer(f, zeta, 32);
    zeta = inverse_ntt_layer(f, zeta, 64);
    inverse_ntt_layer(f, zeta, 128);
    for (int i = 0; i < N; i++) f->c[i] = mul(f->c[i], MONT_R2_BY_128);
}

static void vec_ntt(struct vec *v)
{
    for (int i = 0; i < K; i++) poly_ntt(&v->p[i]);
}

/* A vector beside its odd coefficients times gamma (Algorithm 12's a1 * b1 * gamma), which every row of a matrix needs again. */
struct factor {
    struct vec v;
    int16_t odd_gamma[K][N / 2];
};

static void factor_prepare(struct factor *f)
{
    for (int i = 0; i < K; i++)
        for (int j = 0; j < N / 4; j++) {
            f->odd_gamma[i][2 * j] = mul(f->v.p[i].c[4 * j + 1], zetas[64 + j]);
            f->odd_gamma[i][2 * j + 1] = mul(f->v.p[i].c[4 * j + 3], (int16_t)-zetas[64 + j]);
        }
}

/* sum of a[i] o f[i], over R: Algorithms 11 and 12 with one reduction for the three products: 6 q^2 < q * 2^15. |a|, |f| <= q. */
static void inner_product(const struct vec *a, const struct factor *f, struct poly *ret)
{
    for (int j = 0; j < N / 2; j++) {
        int32_t even = 0, odd = 0;
        for (int i = 0; i < K; i++) {
            int32_t a0 = a->p[i].c[2 * j], a1 = a->p[i].c[2 * j + 1];
            int32_t b0 = f->v.p[i].c[2 * j], b1 = f->v.p[i].c[2 * j + 1];
            even += a0 * b0 + a1 * f->odd_gamma[i][j];
            odd += a0 * b1 + a1 * b0;
        }
        ret->c[2 * j] = montgomery(even);
        ret->c[2 * j + 1] = montgomery(odd);
    }
}

/* 4.2.1 Compress: round(x * 2^d / q) mod 2^d. 10321340 is 2^35 / q rounded up, exact for every numerator below 2^22. */
static inline uint16_t compress(int16_t x, int d)
{
    uint64_t numerator = ((uint32_t)canonical(x) << d) + Q / 2;
    return (uint16_t)((numerator * 10321340 >> 35) & ((1u << d) - 1));
}

static inline int16_t decompress(uint16_t y, int d) { return (int16_t)(((uint32_t)y * Q + (1u << (d - 1))) >> d); }

/* Algorithm 5. Each value has d bits. */
static inline void encode(const uint16_t v[N], int d, uint8_t *ret)
{
    uint32_t bits = 0;
    int n = 0;
    for (int i = 0; i < N; i++) {
        bits |= (uint32_t)v[i] << n;
        for (n += d; n >= 8; n -= 8, bits >>= 8) *ret++ = (uint8_t)bits;
    }
}

/* Algorithm 6, without the reduction for d = 12. */
static inline void decode(const uint8_t *p, int d, uint16_t ret[N])
{
    uint32_t bits = 0;
    int n = 0;
    for (int i = 0; i < N; i++) {
        for (; n < d; n += 8) bits |= (uint32_t)*p++ << n;
        ret[i] = (uint16_t)(bits & ((1u << d) - 1));
        bits >>= d;
        n -= d;
    }
}

static void poly_encode12(const struct poly *f, uint8_t *ret)
{
    uint16_t v[N];
    for (int i = 0; i < N; i++) v[i] = canonical(f->c[i]);
    encode(v, 12, ret);
    secret_wipe(v, sizeof v);
}

static void poly_decode12(const uint8_t *p, struct poly *ret)
{
    uint16_t v[N];
    decode(p, 12, v);
    for (int i = 0; i < N; i++) ret->c[i] = (int16_t)v[i];
    secret_wipe(v, sizeof v);
}

static inline void poly_encode_compressed(const struct poly *f, int d, uint8_t *ret)
{
    uint16_t v[N];
    for (int i = 0; i < N; i++) v[i] = compress(f->c[i], d);
    encode(v, d, ret);
    secret_wipe(v, sizeof v);
}

static inline void poly_decode_decompressed(const uint8_t *p, int d, struct poly *ret)
{
    uint16_t v[N];
    decode(p, d, v);
    for (int i = 0; i < N; i++) ret->c[i] = decompress(v[i], d);
    secret_wipe(v, sizeof v);
}

/* Keccak in all its forms, in one context that is set up anew only when the function changes. */
struct keccak {
    EVP_MD_CTX *ctx;
    const EVP_MD *md;
};

static void keccak_done(struct keccak *h) { EVP_MD_CTX_free(h->ctx); /* wipes the state */ }

static int keccak_init(struct keccak *h)
{
    h->ctx = EVP_MD_CTX_new();
    return h->ctx ? 0 : ERR_NOMEM;
}

/* a || b into exactly len bytes, which for SHA-3 is the length of the digest. */
static int keccak(struct keccak *h, const EVP_MD *md, struct view a, struct view b, uint8_t *ret, size_t len)
{
    if (EVP_DigestInit_ex(h->ctx, md == h->md ? NULL : md, NULL) != 1) return ERR_CRYPTO;
    h->md = md;
    if (EVP_DigestUpdate(h->ctx, a.p, a.len) != 1 || EVP_DigestUpdate(h->ctx, b.p, b.len) != 1) return ERR_CRYPTO;
    int ok = EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF ? EVP_DigestFinalXOF(h->ctx, ret, len) : EVP_DigestFinal_ex(h->ctx, ret, NULL);
    return ok == 1 ? 0 : ERR_CRYPTO;
}

/* The candidates of Algorithm 7 in bytes; returns how many were taken. */
static int sample_reject(const uint8_t *bytes, size_t len, struct poly *ret)
{
    int n = 0;
    for (size_t i = 0; i + 3 <= len && n < N; i += 3) {
        uint16_t d1 = (uint16_t)(bytes[i] | (bytes[i + 1] & 15) << 8);
        uint16_t d2 = (uint16_t)(bytes[i + 1] >> 4 | bytes[i + 2] << 4);
        if (d1 < Q) ret->c[n++] = (int16_t)d1;
        if (d2 < Q && n < N) ret->c[n++] = (int16_t)d2;
    }
    return n;
}

/* Algorithm 7, SampleNTT(rho || x || y). A second try squeezes the same stream again, longer: EVP squeezes only once. */
static int sample_uniform(struct keccak *h, const uint8_t rho[32], uint8_t x, uint8_t y, struct poly *ret)
{
    uint8_t bytes[XOF_MAX_BYTES], xy[2] = { x, y };
    for (size_t len = XOF_BYTES; len <= XOF_MAX_BYTES; len *= 2) {
        TRY(keccak(h, EVP_shake128(), view_of(rho, 32), view_of(xy, 2), bytes, len));
        if (sample_reject(bytes, len, ret) == N) return 0;
    }
    return ERR_KEX_VALUE;
}

/* Algorithm 8, eta = 2, on PRF(seed, nonce). */
static int sample_noise(struct keccak *h, const uint8_t seed[32], uint8_t nonce, struct poly *ret)
{
    uint8_t b[PRF_BYTES];
    TRY(keccak(h, EVP_shake256(), view_of(seed, 32), view_of(&nonce, 1), b, sizeof b));
    for (int i = 0; i < N / 2; i++) {
        int pairs = (b[i] & 0x55) + (b[i] >> 1 & 0x55); /* four sums of two bits */
        ret->c[2 * i] = (int16_t)((pairs & 3) - (pairs >> 2 & 3));
        ret->c[2 * i + 1] = (int16_t)((pairs >> 4 & 3) - (pairs >> 6 & 3));
    }
    secret_wipe(b, sizeof b);
    return 0;
}

static int sample_noise_vec(struct keccak *h, const uint8_t seed[32], uint8_t first_nonce, struct vec *ret)
{
    for (int i = 0; i < K; i++) TRY(sample_noise(h, seed, (uint8_t)(first_nonce + i), &ret->p[i]));
    return 0;
}

/* Row i of A, or of A transposed. */
static int sample_row(struct keccak *h, const uint8_t rho[32], int i, bool transposed, struct vec *ret)
{
    for (int j = 0; j < K; j++)
        TRY(sample_uniform(h, rho, (uint8_t)(transposed ? i : j), (uint8_t)(transposed ? j : i), &ret->p[j]));
    return 0;
}

/* All that an operation keeps on the stack, wiped at its end. */
struct work {
    struct factor f;
    struct vec row, noise;
    struct poly p, noise2;
    uint8_t seeds[64];
    uint8_t message[32];
    uint8_t again[MLKEM768_CIPHERTEXT_BYTES];
    uint8_t rejected[32];
};

static void work_wipe(struct work *w) { secret_wipe(w, sizeof *w); }

/* Algorithm 13, K-PKE.KeyGen. */
static int pke_keygen(struct keccak *h, struct work *w, const uint8_t d[32], uint8_t *ret_public, uint8_t *ret_secret)
{
    const uint8_t *rho = w->seeds, *sigma = w->seeds + 32, k = K;
    TRY(keccak(h, EVP_sha3_512(), view_of(d, 32), view_of(&k, 1), w->seeds, 64));
    TRY(sample_noise_vec(h, sigma, 0, &w->f.v));
    TRY(sample_noise_vec(h, sigma, K, &w->noise));
    vec_ntt(&w->f.v);
    vec_ntt(&w->noise);
    factor_prepare(&w->f);
    for (int i = 0; i < K; i++) {
        TRY(sample_row(h, rho, i, false, &w->row));
        inner_product(&w->row, &w->f, &w->p);
        for (int j = 0; j < N; j++) w->p.c[j] = (int16_t)(mul(w->p.c[j], MONT_R2) + w->noise.p[i].c[j]);
        poly_encode12(&w->p, ret_public + i * POLY_BYTES);
        poly_encode12(&w->f.v.p[i], ret_secret + i * POLY_BYTES);
    }
    memcpy(ret_public + K * POLY_BYTES, rho, 32);
    return 0;
}

/* Algorithm 14, K-PKE.Encrypt. */
static int pke_encrypt(struct keccak *h, struct work *w, const uint8_t *public, const uint8_t message[32], const uint8_t coins[32],
                       uint8_t *ret_ciphertext)
{
    const uint8_t *rho = public + K * POLY_BYTES;
    TRY(sample_noise_vec(h, coins, 0, &w->f.v));
    TRY(sample_noise_vec(h, coins, K, &w->noise));
    TRY(sample_noise(h, coins, 2 * K, &w->noise2));
    vec_ntt(&w->f.v);
    factor_prepare(&w->f);
    for (int i = 0; i < K; i++) {
        TRY(sample_row(h, rho, i, true, &w->row));
        inner_product(&w->row, &w->f, &w->p);
        poly_inverse_ntt(&w->p);
        poly_add(&w->p, &w->noise.p[i]);
        poly_encode_compressed(&w->p, DU, ret_ciphertext + i * (U_BYTES / K));
    }
    for (int i = 0; i < K; i++) poly_decode12(public + i * POLY_BYTES, &w->row.p[i]);
    inner_product(&w->row, &w->f, &w->p);
    poly_inverse_ntt(&w->p);
    poly_add(&w->p, &w->noise2);
    poly_decode_decompressed(message, 1, &w->noise2);
    poly_add(&w->p, &w->noise2);
    poly_encode_compressed(&w->p, DV, ret_ciphertext + U_BYTES);
    return 0;
}

/* Algorithm 15, K-PKE.Decrypt. */
static void pke_decrypt(struct work *w, const uint8_t *secret, const uint8_t *ciphertext, uint8_t ret_message[32])
{
    for (int i = 0; i < K; i++) {
        poly_decode_decompressed(ciphertext + i * (U_BYTES / K), DU, &w->f.v.p[i]);
        poly_decode12(secret + i * POLY_BYTES, &w->row.p[i]);
    }
    vec_ntt(&w->f.v);
    factor_prepare(&w->f);
    inner_product(&w->row, &w->f, &w->p);
    poly_inverse_ntt(&w->p);
    poly_decode_decompressed(ciphertext + U_BYTES, DV, &w->noise2);
    for (int i = 0; i < N; i++) w->p.c[i] = (int16_t)(w->noise2.c[i] - w->p.c[i]);
    poly_encode_compressed(&w->p, 1, ret_message);
}

/* 7.2: ByteEncode12(ByteDecode12(t)) must give t back, so every coefficient is below q. */
static int public_check(const uint8_t *public)
{
    uint16_t v[N], most = 0;
    for (int i = 0; i < K; i++) {
        decode(public + i * POLY_BYTES, 12, v);
        for (int j = 0; j < N; j++) most = MAX(most, v[j]);
    }
    return most < Q ? 0 : ERR_KEX_VALUE;
}

/* Algorithm 16. */
int mlkem768_keygen(const uint8_t coins[64], uint8_t ret_public[1184], uint8_t ret_secret[2400])
{
    CLEANUP(keccak_done) struct keccak h = { 0 };
    CLEANUP(work_wipe) struct work w;
    TRY(keccak_init(&h));
    TRY(pke_keygen(&h, &w, coins, ret_public, ret_secret));
    uint8_t *public_copy = ret_secret + PKE_SECRET_BYTES, *public_hash = public_copy + MLKEM768_PUBLIC_BYTES;
    memcpy(public_copy, ret_public, MLKEM768_PUBLIC_BYTES);
    TRY(keccak(&h, EVP_sha3_256(), view_of(ret_public, MLKEM768_PUBLIC_BYTES), VIEW_EMPTY, public_hash, 32));
    memcpy(public_hash + 32, coins + 32, 32);
    return 0;
}

/* Algorithm 17. */
int mlkem768_encaps(const uint8_t coins[32], const uint8_t public[1184], uint8_t ret_ciphertext[1088], uint8_t ret_shared[32])
{
    CLEANUP(keccak_done) struct keccak h = { 0 };
    CLEANUP(work_wipe) struct work w;
    uint8_t public_hash[32];
    TRY(public_check(public));
    TRY(keccak_init(&h));
    TRY(keccak(&h, EVP_sha3_256(), view_of(public, MLKEM768_PUBLIC_BYTES), VIEW_EMPTY, public_hash, 32));
    TRY(keccak(&h, EVP_sha3_512(), view_of(coins, 32), view_of(public_hash, 32), w.seeds, 64));
    TRY(pke_encrypt(&h, &w, public, coins, w.seeds + 32, ret_ciphertext));
    memcpy(ret_shared, w.seeds, 32);
    return 0;
}

/* Algorithm 18. The secret key is always one of mlkem768_keygen's, so 7.3's check of its hash is left out. */
int mlkem768_decaps(const uint8_t secret[2400], const uint8_t ciphertext[1088], uint8_t ret_shared[32])
{
    CLEANUP(keccak_done) struct keccak h = { 0 };
    CLEANUP(work_wipe) struct work w;
    const uint8_t *public = secret + PKE_SECRET_BYTES, *public_hash = public + MLKEM768_PUBLIC_BYTES, *z = public_hash + 32;
    TRY(keccak_init(&h));
    pke_decrypt(&w, secret, ciphertext, w.message);
    TRY(keccak(&h, EVP_sha3_512(), view_of(w.message, 32), view_of(public_hash, 32), w.seeds, 64));
    TRY(pke_encrypt(&h, &w, public, w.message, w.seeds + 32, w.again));
    TRY(keccak(&h, EVP_shake256(), view_of(z, 32), view_of(ciphertext, MLKEM768_CIPHERTEXT_BYTES), w.rejected, 32));
    uint8_t differs = 0;
    for (size_t i = 0; i < MLKEM768_CIPHERTEXT_BYTES; i++) differs |= (uint8_t)(ciphertext[i] ^ w.again[i]);
    uint8_t reject = (uint8_t)((0u - differs) >> 8); /* 0 or 255 */
    for (size_t i = 0; i < 32; i++) ret_shared[i] = (uint8_t)(w.seeds[i] ^ (reject & (w.seeds[i] ^ w.rejected[i])));
    return 0;
}
