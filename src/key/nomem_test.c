/* Each allocation failing in turn: what reads or makes revocation lists, certificates and signatures fails as a whole, leaks
 * nothing, and no key is let through for want of memory. Linked with --wrap for malloc, calloc and realloc. */
#include "key/allowed_signers.h"
#include "key/cert.h"
#include "key/krl_spec.h"
#include "key/revoked.h"
#include "key/sshsig.h"
#include "key/test_util.h"

#include <stdio.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);

static long countdown = -1; /* allocations until the one that fails; -1: none does */
static unsigned n_failed;

static bool fails(void)
{
    if (countdown < 0 || countdown-- > 0) return false;
    n_failed++;
    return true;
}

void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t each) { return fails() ? NULL : __real_calloc(n, each); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }

/* Makes the call with its first allocation failing, its second, ..., each of which has to fail it; then without. */
static int each_failing(int call(void))
{
    int result;
    for (long k = 0;; k++) {
        unsigned before = n_failed;
        countdown = k;
        result = call();
        countdown = -1;
        if (n_failed == before) break;
        assert_int_not_equal(result, 0);
    }
    return result;
}

static struct key *ca, *subject, *certificate;
static struct buf list = BUF_INIT(1 << 20), signature = BUF_INIT(1 << 16);
static char allowed[8192], spec[8192];

static int make_list(void)
{
    CLEANUP(krl_freep) struct krl *k = NULL;
    struct krl_spec_ca every = { .is_given = true };
    size_t line;
    char why[KRL_SPEC_WHY_BYTES];
    buf_reset(&list);
    TRY(krl_new(&k));
    TRY(krl_spec_add(k, &every, view_str(spec), &line, why));
    return krl_format(k, &list);
}

static int read_list(void)
{
    CLEANUP(revoked_freep) struct revoked *r = NULL;
    TRY(revoked_parse(buf_view(&list), &r));
    return revoked_has(r, key_blob(subject)) ? ERR_DENIED : 0; /* it is not in it: only a failure may say so */
}

static int read_text(void)
{
    CLEANUP(revoked_freep) struct revoked *r = NULL;
    TRY(revoked_parse(view_str(test_rsa_public), &r));
    return revoked_has(r, key_blob(subject)) ? ERR_DENIED : 0;
}

static int make_certificate(void)
{
    static const struct cert_option_text option = { "permit-pty", NULL };
    const struct view name = VIEW_LIT("me");
    struct cert_request q = { .kind = CERT_USER,
                              .key_id = name,
                              .principals = &name,
                              .n_principals = 1,
                              .valid_before = UINT64_MAX,
                              .extensions = &option,
                              .n_extensions = 1,
                              .nonce = VIEW_LIT("nonce") };
    key_unref(certificate);
    certificate = NULL;
    return cert_sign(subject, &q, ca, VIEW_EMPTY, &certificate);
}

static int sign(void)
{
    static const uint8_t digest[DIGEST_MAX_BYTES];
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(1 << 16);
    buf_reset(&signature);
    TRY(sshsig_sign(ca, VIEW_LIT("n"), DIGEST_SHA512, digest, &bytes));
    return sshsig_armour(buf_view(&bytes), &signature);
}

static int verify(void)
{
    static const uint8_t digest[DIGEST_MAX_BYTES];
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(1 << 16);
    struct sshsig s;
    TRY(sshsig_unarmour(buf_view(&signature), &bytes));
    TRY(sshsig_parse(buf_view(&bytes), &s));
    return sshsig_verify(&s, digest);
}

static struct allowed_signers_query query(void)
{
    return (struct allowed_signers_query){
        .file = view_str(allowed), .key_blob = key_blob(certificate), .principal = VIEW_LIT("me"), .name_space = VIEW_LIT("n")
    };
}

static int ask_allowed(void)
{
    struct allowed_signers_query q = query();
    return allowed_signers_check(&q);
}

static int find_allowed(void)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
    struct allowed_signers_query q = query();
    return allowed_signers_find(&q, &out);
}

static void every_allocation_fails_once(UNUSED void **state)
{
    ca = test_private(test_ca_private);
    subject = test_public(test_ed25519_public);
    snprintf(spec, sizeof(spec), "serial: 1-9\nserial: 20\nid: x\nkey: %s\nsha1: %s\n", test_ecdsa_public, test_rsa_public);
    snprintf(allowed, sizeof(allowed), "\"me\" cert-authority,namespaces=\"n\" %s\n", test_ca_public);
    int (*const calls[])(void) = { make_list, read_list, read_text, make_certificate, sign, verify, ask_allowed, find_allowed };
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) assert_ok(each_failing(calls[i]));
    key_unref(ca);
    key_unref(subject);
    key_unref(certificate);
    buf_done(&list);
    buf_done(&signature);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_fails_once) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
