/* The first byte chooses a method, the second whether the rest is a client's value, a server's value, or a group's prime (whose
 * generator is then 2). */
#include "crypto/kex.h"
#include "crypto/test_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PUBLIC_CAP = 4096,
    MODE_MAX = 3
};

static void fuzz_client(const struct kex_method *m, const struct kex_group *group, const struct random *rnd, struct view rest)
{
    CLEANUP(kex_agreement_freep) struct kex_agreement *a = NULL;
    CLEANUP(buf_done) struct buf public = BUF_INIT(PUBLIC_CAP);
    CLEANUP(secret_done) struct secret k = SECRET_INIT;
    if (kex_agreement_start(m, group, rnd, &a, &public) < 0) return;
    int err = kex_agreement_finish(a, rest, &k);
    CHECK((err == 0) == (k.len > 0));
}

static void fuzz_server(const struct kex_method *m, const struct kex_group *group, const struct random *rnd, struct view rest)
{
    CLEANUP(buf_done) struct buf public = BUF_INIT(PUBLIC_CAP);
    CLEANUP(secret_done) struct secret k = SECRET_INIT;
    int err = kex_respond(m, group, rnd, rest, &public, &k);
    CHECK((err == 0) == (k.len > 0) && (err == 0) == (buf_len(&public) > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t two = 2;
    size_t n_methods = 0;
    while (kex_method_table[n_methods].name) n_methods++;
    if (size < 2) return 0;
    const struct kex_method *m = &kex_method_table[data[0] % n_methods];
    struct view rest = view_of(data + 2, size - 2);
    struct kex_group group = { .strength_bits = 128 };
    uint64_t seed = 1;
    struct random rnd = { fill_lcg, &seed };
    if (kex_builtin_group(2048, 2048, 2048, &group.p, &group.g) < 0) return 0;
    if (data[1] % MODE_MAX == 0) fuzz_server(m, &group, &rnd, rest);
    if (data[1] % MODE_MAX == 1) fuzz_client(m, &group, &rnd, rest);
    if (data[1] % MODE_MAX == 2) fuzz_client(m, &(struct kex_group){ rest, { &two, 1 }, 128 }, &rnd, view_of(&two, 1));
    return 0;
}
