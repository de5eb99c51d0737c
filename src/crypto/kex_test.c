#include "crypto/kex_int.h"
#include "crypto/libcrypto_int.h"
#include "crypto/test_hex.h"
#include "crypto/test_random.h"

#include <openssl/bn.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    PUBLIC_CAP = 4096
};

static const struct kex_method *find(const char *name)
{
    const struct kex_method *m = kex_method_find(view_str(name));
    assert_non_null(m);
    return m;
}

static struct kex_group builtin_group(unsigned bits)
{
    struct kex_group g = { .strength_bits = 256 };
    assert_int_equal(kex_builtin_group(bits, bits, bits, &g.p, &g.g), 0);
    return g;
}

/* The lists that a client and a server offer, in this order, and what only a configuration brings in. */
static void test_policy(void **state UNUSED)
{
    static const char client[] =
        "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,"
        "curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-"
        "sha256,"
        "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,";
    static const char server[] =
        "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,"
        "curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,";
    static const char post_quantum[] =
        "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,mlkem768nistp256-sha256,";
    CLEANUP(buf_done) struct buf c = BUF_INIT(PUBLIC_CAP), s = BUF_INIT(PUBLIC_CAP), pq = BUF_INIT(PUBLIC_CAP);
    for (const struct kex_method *m = kex_method_table; m->name; m++) {
        if (m->is_default_client) assert_int_equal(buf_printf(&c, "%s,", m->name), 0);
        if (m->is_default_server) assert_int_equal(buf_printf(&s, "%s,", m->name), 0);
        if (m->is_post_quantum) assert_int_equal(buf_printf(&pq, "%s,", m->name), 0);
        assert_ptr_equal(find(m->name), m);
    }
    assert_string_equal(buf_cstr(&c), client);
    assert_string_equal(buf_cstr(&s), server);
    assert_string_equal(buf_cstr(&pq), post_quantum);
    buf_done(&s);
    buf_done(&pq);
    assert_null(kex_method_find(VIEW_LIT("curve25519")));
    assert_null(kex_method_find(VIEW_EMPTY));
}

/* Both sides with fixed random bytes, computed by other means (integers and schoolbook curves in Python, an independent ML-KEM, the
 * plain sntrup761 of sntrup761_test.c). SHA-256 of the client's value, the server's, and K as it enters the exchange hash. */
static const struct vector {
    const char *name, *client, *server, *k;
} vectors[] = {
    { "curve25519-sha256", "eedd883da0a9451593dc0a38e583fb770fa27dbbed209c20404e075e68c4f0c9",
      "7574198efee49ade61b469e943d8ce9423646e9d445639552dd25ce888a958cd",
      "ff014aba0ea6733e0e185ee1af89d6c08563f99aaff805b5511103836bd68f2c" },
    { "ecdh-sha2-nistp256", "c6f4e212a3ac26051c507ab582c041f01044b2d140d5ee018c4f950acd061460",
      "262bde0994413bfe604b67021c9e41b5ab4f67e253be0a1aa815c04c38ca9070",
      "aa9da0cd6294b1c33b23cfb80e8ae7dbe4a51f25ea71f9e733cf9d7a586e07d3" },
    { "ecdh-sha2-nistp384", "9148d215f88455de22ba7ebb2a9976f1714d0354316afc1208e63ceddb770359",
      "6961d1db8f947af00e7fb27f260f78863db209fc82e4a90a6f2b78dccb6a1bd0",
      "7dd8b3b1c1f74f6e27d2bc7bb6d40dcdc0834cba81ef84e83d0020ba0bef1513" },
    { "ecdh-sha2-nistp521", "c22c72a382824e881148148585ea63dda5921f076444ff630948fd5f4fcb88c9",
      "29ecfe562ba2597a15c17ef4fda9ab148344c298ca3288633303f63e228741eb",
      "e0192920a0b6ede6c2fae6b5a2caa93322cde495143af920495ff1a677af0bc4" },
    { "diffie-hellman-group1-sha1", "23220f64fa66fbdc1cddbf75e7c7dffde47fa528142bf176c022aba4984370a4",
      "b5b5a47e180c2fbf2a6782a232688de4cc27cb38cdfb9afad5980c517e1b4fa4",
      "e6b592c8568bca31ee76b808e234bd154660805c57601706e281baac0df0870a" },
    { "diffie-hellman-group14-sha256", "1a85df7a0e6bd93db4ad7efa8487e34603b2f177ac6dcbe7e1314b634eb5609a",
      "b8e86be2c64ec8f3d39ffc06b637ae14cf3f6efc8d3a2c59b2981b1cc90f617e",
      "29a7faa15e00a99113744c46fb3ad34cd4c28a0223bed78c7b34937275f5e5d1" },
    { "diffie-hellman-group14-sha1", "1a85df7a0e6bd93db4ad7efa8487e34603b2f177ac6dcbe7e1314b634eb5609a",
      "b8e86be2c64ec8f3d39ffc06b637ae14cf3f6efc8d3a2c59b2981b1cc90f617e",
      "29a7faa15e00a99113744c46fb3ad34cd4c28a0223bed78c7b34937275f5e5d1" },
    { "diffie-hellman-group16-sha512", "ba99047119484d954703477baa2f98613d3aceac63739248475c6024f0df3423",
      "61bcd06d84bcd9f1e12bb0323827464348869c14611eaef8996547170e0d50fb",
      "21a63741067d85772d8ea4471228ce558d22d75dcb0c00783237d208dbc8c926" },
    { "diffie-hellman-group18-sha512", "df462b95e4fa0c60de302a8f67239cedbe9ea4b723997cfce70691a2cbc28176",
      "6b3a422d97176201dcb089aab8bd8cf201a3f58dc40b1f14f9ded3433798f3ff",
      "5f7a2fad1e7824a6ef487f34d477251211b4bea3be7a801a2d8237a49e05b5a9" },
    { "diffie-hellman-group-exchange-sha256", "5714998004bef8ed9527466c77db22ee36926da204c78fb6cdc70e9fdb2c4c96",
      "adde09c5b37b1958f91a4d83dbea1981d32bf9d6ea94cfb208c9f428c01daeeb",
      "4690e4c9b5d974751ae5fdc177489f4c2affaec8f65a171f9f789d36936c818e" },
    { "mlkem768x25519-sha256", "d99e4496af749b54ee4a2d270c8057450624ecc5dc0866295ffc504a26134ad4",
      "2240e20308b2e81883acc7eb5272c308ef835825165a249c4215995569409b98",
      "cc0601476253e6a759121a1dcffa5514557df26a7a061e526d295d3314bba347" },
    { "mlkem768nistp256-sha256", "94f50124dfb679368b803f258f17a7904a1e76faecbff33b9e581cbc1dbe0339",
      "0aa676bb92f4141983e52ea80ffa43ef19a93a52807b5cd78065ff504662e5d1",
      "32414ecea0defe1fd7a8a627bbe770d5bea1d77b2405d10b4804c6a5b9ea849e" },
    { "sntrup761x25519-sha512", "3747bc03a622f900e2b51734faa5cf83ab15136ad25b5a7f06ef0a98d8a4ec3a",
      "75e5c2647dbbb966c822665ac11fd003fbcc66d3825f1a6b89082845708e4549",
      "7e390ec13abc9e995ce76fb79396e0c840c132145462c4d291ad394a3eb2da18" },
};

static void assert_sha256(struct view v, const char *hex)
{
    uint8_t digest[32], want[32];
    assert_int_equal(digest_once(DIGEST_SHA256, v, digest), 0);
    from_hex(hex, want, sizeof want);
    assert_memory_equal(digest, want, sizeof want);
}

static void test_known_answers(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        struct kex_group group = builtin_group(3072);
        uint8_t client_next = 0, server_next = 100;
        struct random client_rnd = { fill_counting, &client_next }, server_rnd = { fill_counting, &server_next };
        CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
        struct buf client = BUF_INIT(PUBLIC_CAP), server = BUF_INIT(PUBLIC_CAP);
        struct secret client_k = SECRET_INIT, server_k = SECRET_INIT;
        assert_int_equal(kex_agreement_start(find(v->name), &group, &client_rnd, &a, &client), 0);
        assert_sha256(buf_view(&client), v->client);
        assert_int_equal(kex_respond(find(v->name), &group, &server_rnd, buf_view(&client), &server, &server_k), 0);
        assert_sha256(buf_view(&server), v->server);
        assert_sha256(secret_view(&server_k), v->k);
        assert_int_equal(kex_agreement_finish(a, buf_view(&server), &client_k), 0);
        assert_sha256(secret_view(&client_k), v->k);
        buf_done(&client);
        buf_done(&server);
        secret_done(&client_k);
        secret_done(&server_k);
    }
}

/* The other names of a method, and what differs in the digest only. */
static void test_aliases(void **state UNUSED)
{
    assert_ptr_equal(find("curve25519-sha256@libssh.org")->impl, find("curve25519-sha256")->impl);
    assert_ptr_equal(find("sntrup761x25519-sha512@openssh.com")->impl, find("sntrup761x25519-sha512")->impl);
    assert_ptr_equal(find("diffie-hellman-group-exchange-sha1")->impl, find("diffie-hellman-group-exchange-sha256")->impl);
    assert_int_equal(find("diffie-hellman-group-exchange-sha1")->digest, DIGEST_SHA1);
    assert_int_equal(find("ecdh-sha2-nistp384")->digest, DIGEST_SHA384);
}

/* RFC 7748 5.2: k and u start as 9, and then (k, u) = (X25519(k, u), k). */
static void test_x25519_rfc7748(void **state UNUSED)
{
    const struct kex_curve *c = &kex_curve_x25519;
    uint8_t k[32] = { 9 }, u[32] = { 9 }, result[32], want[32];
    for (int i = 1; i <= 1000; i++) {
        assert_int_equal(c->shared(c, k, u, result), 0);
        memcpy(u, k, sizeof u);
        memcpy(k, result, sizeof k);
        if (i == 1) from_hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", want, sizeof want);
        if (i == 1) assert_memory_equal(k, want, sizeof k);
    }
    from_hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", want, sizeof want);
    assert_memory_equal(k, want, sizeof k);
}

static int client_finish(const char *name, const struct kex_group *group, struct view server_public)
{
    uint8_t next = 7;
    struct random rnd = { fill_counting, &next };
    CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
    CLEANUP(buf_done) struct buf public = BUF_INIT(PUBLIC_CAP);
    CLEANUP(secret_done) struct secret k = SECRET_INIT;
    assert_int_equal(kex_agreement_start(find(name), group, &rnd, &a, &public), 0);
    int err = kex_agreement_finish(a, server_public, &k);
    assert_true(err == 0 ? k.len > 0 : k.p == NULL);
    return err;
}

static int server_respond(const char *name, const struct kex_group *group, struct view client_public)
{
    uint8_t next = 7;
    struct random rnd = { fill_counting, &next };
    CLEANUP(buf_done) struct buf public = BUF_INIT(PUBLIC_CAP);
    CLEANUP(secret_done) struct secret k = SECRET_INIT;
    assert_int_equal(buf_put_str(&public, "before"), 0);
    int err = kex_respond(find(name), group, &rnd, client_public, &public, &k);
    assert_true(err == 0 ? k.len > 0 : k.p == NULL);
    assert_true(err == 0 ? buf_len(&public) > 6 : view_eq_str(buf_view(&public), "before"));
    return err;
}

static void assert_both(const char *name, const struct kex_group *group, struct view public, int want)
{
    assert_int_equal(client_finish(name, group, public), want);
    assert_int_equal(server_respond(name, group, public), want);
}

/* The points of low order: RFC 8731 3 wants the all-zero result refused. */
static const char *const x25519_low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void test_x25519_refusals(void **state UNUSED)
{
    uint8_t p[33] = { 9 };
    for (size_t i = 0; i < ARRAY_LEN(x25519_low_order); i++) {
        uint8_t low[32];
        assert_both("curve25519-sha256", NULL, from_hex(x25519_low_order[i], low, sizeof low), ERR_KEX_VALUE);
    }
    assert_both("curve25519-sha256", NULL, view_of(p, 32), 0);
    assert_both("curve25519-sha256", NULL, view_of(p, 33), ERR_KEX_VALUE);
    assert_both("curve25519-sha256", NULL, view_of(p, 31), ERR_KEX_VALUE);
    assert_both("curve25519-sha256", NULL, VIEW_EMPTY, ERR_KEX_VALUE);
}

static void test_nist_refusals(void **state UNUSED)
{
    static const char *const names[] = { "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct kex_curve *c = find(names[i])->impl->curve;
        uint8_t scalar[KEX_CURVE_SCALAR_MAX], p[KEX_CURVE_PUBLIC_MAX + 1], byte = 1;
        struct random rnd = { fill_same, &byte };
        assert_int_equal(c->make(c, &rnd, scalar, p), 0);
        assert_both(names[i], NULL, view_of(p, c->public_bytes), 0);
        assert_both(names[i], NULL, view_of(p, c->public_bytes - 1), ERR_KEX_VALUE);
        assert_both(names[i], NULL, view_of(p, c->public_bytes + 1), ERR_KEX_VALUE);
        p[0] = 2 + (p[c->public_bytes - 1] & 1); /* compressed */
        assert_both(names[i], NULL, view_of(p, 1 + c->shared_bytes), ERR_KEX_VALUE);
        p[0] = 6 + (p[c->public_bytes - 1] & 1); /* hybrid form */
        assert_both(names[i], NULL, view_of(p, c->public_bytes), ERR_KEX_VALUE);
        p[0] = 0; /* infinity */
        assert_both(names[i], NULL, view_of(p, 1), ERR_KEX_VALUE);
        assert_both(names[i], NULL, view_of(p, c->public_bytes), ERR_KEX_VALUE);
        p[0] = 4;
        p[c->public_bytes - 1] ^= 1; /* beside the curve */
        assert_both(names[i], NULL, view_of(p, c->public_bytes), ERR_KEX_VALUE);
        memset(p + 1, 0xff, c->public_bytes - 1); /* coordinates over p */
        assert_both(names[i], NULL, view_of(p, c->public_bytes), ERR_KEX_VALUE);
    }
}

/* p + delta for small deltas, as bytes. */
static struct view near(struct view p, int delta, uint8_t *area)
{
    BIGNUM *n = BN_bin2bn(p.p, (int)p.len, NULL);
    assert_non_null(n);
    assert_int_equal(delta < 0 ? BN_sub_word(n, (BN_ULONG)-delta) : BN_add_word(n, (BN_ULONG)delta), 1);
    struct view v = view_of(area, (size_t)BN_bn2bin(n, area));
    BN_free(n);
    return v;
}

static void test_dh_refusals(void **state UNUSED)
{
    static const char *const names[] = { "diffie-hellman-group1-sha1", "diffie-hellman-group14-sha256",
                                         "diffie-hellman-group-exchange-sha256" };
    static const uint8_t small[] = { 0, 0, 1, 2 };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct kex_group group = builtin_group(2048);
        struct view p = i == 0 ? kex_dh_group1.p : group.p;
        uint8_t area[DH_MAX_BITS / 8 + 2] = { 0 };
        assert_both(names[i], &group, VIEW_EMPTY, ERR_KEX_VALUE);
        assert_both(names[i], &group, view_of(small, 1), ERR_KEX_VALUE);
        assert_both(names[i], &group, view_of(small, 3), ERR_KEX_VALUE);
        assert_both(names[i], &group, view_of(small, 4), 0); /* 258 */
        assert_both(names[i], &group, near(p, -2, area), 0);
        assert_both(names[i], &group, near(p, -1, area), ERR_KEX_VALUE);
        assert_both(names[i], &group, near(p, 0, area), ERR_KEX_VALUE);
        assert_both(names[i], &group, near(p, 1, area), ERR_KEX_VALUE);
        memset(area, 0xff, sizeof area);
        assert_both(names[i], &group, view_of(area, sizeof area), ERR_KEX_VALUE);
    }
}

static int start_with(struct view p, struct view g)
{
    struct kex_group group = { p, g, 128 };
    uint8_t next = 0;
    struct random rnd = { fill_counting, &next };
    CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
    CLEANUP(buf_done) struct buf public = BUF_INIT(PUBLIC_CAP);
    return kex_agreement_start(find("diffie-hellman-group-exchange-sha256"), &group, &rnd, &a, &public);
}

static void test_gex_group_refusals(void **state UNUSED)
{
    static const uint8_t one = 1, two = 2, zero = 0;
    struct kex_group group = builtin_group(2048);
    uint8_t area[DH_MAX_BITS / 8 + 8];
    assert_int_equal(start_with(group.p, view_of(&two, 1)), 0);
    assert_int_equal(start_with(group.p, VIEW_EMPTY), ERR_KEX_VALUE);
    assert_int_equal(start_with(group.p, view_of(&zero, 1)), ERR_KEX_VALUE);
    assert_int_equal(start_with(group.p, view_of(&one, 1)), ERR_KEX_VALUE);
    assert_int_equal(start_with(group.p, near(group.p, -2, area)), 0);
    assert_int_equal(start_with(group.p, near(group.p, -1, area)), ERR_KEX_VALUE);
    assert_int_equal(start_with(group.p, group.p), ERR_KEX_VALUE);
    assert_int_equal(start_with(near(group.p, 1, area), view_of(&two, 1)), ERR_KEX_VALUE); /* even */
    assert_int_equal(start_with(kex_dh_group1.p, view_of(&two, 1)), ERR_KEX_VALUE);
    assert_int_equal(start_with(VIEW_EMPTY, view_of(&two, 1)), ERR_KEX_VALUE);
    memset(area, 0xff, sizeof area);
    assert_int_equal(start_with(view_of(area, DH_MIN_BITS / 8 - 1), view_of(&two, 1)), ERR_KEX_VALUE);
    assert_int_equal(start_with(view_of(area, DH_MAX_BITS / 8), view_of(&two, 1)), 0);
    area[0] = 1;
    assert_int_equal(start_with(view_of(area, DH_MAX_BITS / 8 + 1), view_of(&two, 1)), ERR_KEX_VALUE);
    assert_int_equal(start_with(view_of(area, sizeof area), view_of(&two, 1)), ERR_KEX_VALUE);
}

/* The server keeps the group from the client's request only as long as it needs it; the client must have its own copy. */
static void test_gex_group_is_copied(void **state UNUSED)
{
    struct kex_group group = builtin_group(2048);
    uint8_t p[256], g = 2, next = 0;
    struct random rnd = { fill_counting, &next };
    memcpy(p, group.p.p, sizeof p);
    struct kex_group lent = { view_of(p, sizeof p), view_of(&g, 1), 128 };
    CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
    CLEANUP(buf_done) struct buf client = BUF_INIT(PUBLIC_CAP);
    struct buf server = BUF_INIT(PUBLIC_CAP);
    struct secret client_k = SECRET_INIT, server_k = SECRET_INIT;
    const struct kex_method *m = find("diffie-hellman-group-exchange-sha256");
    assert_int_equal(kex_agreement_start(m, &lent, &rnd, &a, &client), 0);
    memset(p, 0, sizeof p);
    g = 0;
    assert_int_equal(kex_respond(m, &group, &rnd, buf_view(&client), &server, &server_k), 0);
    assert_int_equal(kex_agreement_finish(a, buf_view(&server), &client_k), 0);
    assert_true(view_eq(secret_view(&client_k), secret_view(&server_k)));
    buf_done(&server);
    secret_done(&client_k);
    secret_done(&server_k);
    assert_int_equal(kex_agreement_start(m, NULL, &rnd, &a, &client), ERR_BUG);
}

static void test_hybrid_refusals(void **state UNUSED)
{
    static const char *const names[] = { "mlkem768x25519-sha256", "sntrup761x25519-sha512", "mlkem768nistp256-sha256" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct kex_impl *impl = find(names[i])->impl;
        uint8_t p[PUBLIC_CAP] = { 0 }, scalar[KEX_CURVE_SCALAR_MAX], byte = 1;
        struct random rnd = { fill_same, &byte };
        size_t client_len = impl->kem->public_bytes + impl->curve->public_bytes;
        size_t server_len = impl->kem->ciphertext_bytes + impl->curve->public_bytes;
        /* All-zero curve parts. */
        assert_int_equal(server_respond(names[i], NULL, view_of(p, client_len)), ERR_KEX_VALUE);
        assert_int_equal(client_finish(names[i], NULL, view_of(p, server_len)), ERR_KEX_VALUE);
        assert_int_equal(impl->curve->make(impl->curve, &rnd, scalar, p + impl->kem->public_bytes), 0);
        assert_int_equal(server_respond(names[i], NULL, view_of(p, client_len)), 0);
        assert_int_equal(server_respond(names[i], NULL, view_of(p, client_len - 1)), ERR_KEX_VALUE);
        assert_int_equal(server_respond(names[i], NULL, view_of(p, client_len + 1)), ERR_KEX_VALUE);
        assert_int_equal(impl->curve->make(impl->curve, &rnd, scalar, p + impl->kem->ciphertext_bytes), 0);
        assert_int_equal(client_finish(names[i], NULL, view_of(p, server_len)), 0);
        assert_int_equal(client_finish(names[i], NULL, view_of(p, server_len - 1)), ERR_KEX_VALUE);
        assert_int_equal(client_finish(names[i], NULL, view_of(p, server_len + 1)), ERR_KEX_VALUE);
        assert_both(names[i], NULL, VIEW_EMPTY, ERR_KEX_VALUE);
    }
    /* An ML-KEM coefficient over q, FIPS 203 7.2. */
    uint8_t p[1184 + 32] = { 0xff, 0xff };
    p[1184] = 9;
    assert_int_equal(server_respond("mlkem768x25519-sha256", NULL, view_of(p, sizeof p)), ERR_KEX_VALUE);
}

/* A source that fails, and one that is stuck where no scalar is good, end each method with their error and nothing sent. */
static void test_bad_random(void **state UNUSED)
{
    struct kex_group group = builtin_group(2048);
    struct random broken = { fill_fails, NULL };
    for (const struct kex_method *m = kex_method_table; m->name; m++) {
        CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
        CLEANUP(buf_done) struct buf public = BUF_INIT(PUBLIC_CAP);
        assert_int_equal(kex_agreement_start(m, &group, &broken, &a, &public), ERR_LIMIT);
        assert_null(a);
        assert_int_equal(buf_len(&public), 0);
    }
    static const uint8_t stuck_at[] = { 0, 0xff };
    for (size_t i = 0; i < ARRAY_LEN(stuck_at); i++) {
        uint8_t byte = stuck_at[i];
        struct random stuck = { fill_same, &byte };
        CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
        CLEANUP(buf_done) struct buf public = BUF_INIT(PUBLIC_CAP);
        assert_int_equal(kex_agreement_start(find("ecdh-sha2-nistp521"), NULL, &stuck, &a, &public), ERR_CRYPTO);
    }
}

static void assert_bn_is(struct view p, BIGNUM *want)
{
    uint8_t bytes[DH_MAX_BITS / 8];
    assert_int_equal(BN_bn2bin(want, bytes), (int)p.len);
    assert_memory_equal(bytes, p.p, p.len);
    BN_free(want);
}

static void test_primes(void **state UNUSED)
{
    assert_bn_is(kex_dh_group1.p, BN_get_rfc2409_prime_1024(NULL));
    assert_bn_is(kex_dh_group14.p, BN_get_rfc3526_prime_2048(NULL));
    assert_bn_is(kex_dh_group15.p, BN_get_rfc3526_prime_3072(NULL));
    assert_bn_is(kex_dh_group16.p, BN_get_rfc3526_prime_4096(NULL));
    assert_bn_is(kex_dh_group17.p, BN_get_rfc3526_prime_6144(NULL));
    assert_bn_is(kex_dh_group18.p, BN_get_rfc3526_prime_8192(NULL));
}

static void test_builtin_group(void **state UNUSED)
{
    static const struct {
        unsigned min, want, max, bits;
    } cases[] = {
        { 2048, 2048, 8192, 2048 }, { 2048, 3072, 8192, 3072 }, { 2048, 2049, 8192, 3072 }, { 2048, 7680, 8192, 8192 },
        { 2048, 8192, 4096, 4096 }, { 1024, 1024, 8192, 2048 }, { 3000, 2048, 8192, 3072 }, { 1024, 1024, 2047, 0 },
        { 4097, 5000, 6143, 0 },    { 8193, 9000, 16384, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct view p = VIEW_EMPTY, g = VIEW_EMPTY;
        int err = kex_builtin_group(cases[i].min, cases[i].want, cases[i].max, &p, &g);
        assert_int_equal(err, cases[i].bits ? 0 : ERR_NOT_FOUND);
        assert_int_equal(p.len, cases[i].bits / 8);
        if (!err) assert_true(g.len == 1 && g.p[0] == 2);
    }
}

static void test_shared_encoding(void **state UNUSED)
{
    static const uint8_t high[] = { 0x80, 1 }, padded[] = { 0, 0, 1, 2 };
    static const uint8_t high_want[] = { 0, 0, 0, 3, 0, 0x80, 1 }, padded_want[] = { 0, 0, 0, 2, 1, 2 };
    static const uint8_t string_want[] = { 0, 0, 0, 4, 0, 0, 1, 2 };
    struct secret s = SECRET_INIT;
    assert_int_equal(kex_shared_mpint(view_of(high, sizeof high), &s), 0);
    assert_true(view_eq(secret_view(&s), view_of(high_want, sizeof high_want)));
    secret_done(&s);
    assert_int_equal(kex_shared_mpint(view_of(padded, sizeof padded), &s), 0);
    assert_true(view_eq(secret_view(&s), view_of(padded_want, sizeof padded_want)));
    secret_done(&s);
    assert_int_equal(kex_shared_string(view_of(padded, sizeof padded), &s), 0);
    assert_true(view_eq(secret_view(&s), view_of(string_want, sizeof string_want)));
    secret_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_x25519_rfc7748),
        cmocka_unit_test(test_x25519_refusals),
        cmocka_unit_test(test_nist_refusals),
        cmocka_unit_test(test_dh_refusals),
        cmocka_unit_test(test_gex_group_refusals),
        cmocka_unit_test(test_gex_group_is_copied),
        cmocka_unit_test(test_hybrid_refusals),
        cmocka_unit_test(test_bad_random),
        cmocka_unit_test(test_primes),
        cmocka_unit_test(test_builtin_group),
        cmocka_unit_test(test_shared_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
