#include "base/wr.h"
#include "key/sshsig.h"
#include "key/test_util.h"

/* By OpenSSH's ssh-keygen -Y sign -n file, of "hi\n". */
static const char by_ed25519[] = "-----BEGIN SSH SIGNATURE-----\n"
                                 "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgF4d/XU3fcywvqGrCAdJYM2GS6j\n"
                                 "SRzR+alcHXslySxkoAAAAEZmlsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx\n"
                                 "OQAAAEA2vM57wv1Qn64HzLJ48a33r4+0gdjRq8o+3Ltw1/SIh2MU5/Yb29hFaqMBGVtOJd\n"
                                 "YhZpuzEJsPQMErHLzNnbsH\n"
                                 "-----END SSH SIGNATURE-----\n";
static const char by_ecdsa[] = "-----BEGIN SSH SIGNATURE-----\n"
                               "U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE\n"
                               "EEP8BP2nE7u84ZBInRfLPZ87SqM506aDjBdPc2Rnkq+trjBDuSnwz0B28h3MxJoQ+FJviK\n"
                               "gLw0HEAVUioyYw98GgAAAARmaWxlAAAAAAAAAAZzaGE1MTIAAABkAAAAE2VjZHNhLXNoYT\n"
                               "ItbmlzdHAyNTYAAABJAAAAIGoEWdEdUnO2j7TGga10zMvGYdk94vWYDiV+ksvkQA2bAAAA\n"
                               "IQDY5w5ShdadBz5B1MO2wFS+OgUVrJ7YRwszZNcoGBeezQ==\n"
                               "-----END SSH SIGNATURE-----\n";
static const char by_rsa[] = "-----BEGIN SSH SIGNATURE-----\n"
                             "U1NIU0lHAAAAAQAAAZcAAAAHc3NoLXJzYQAAAAMBAAEAAAGBALcQpUrWLjYuhBlYl6s2I6\n"
                             "Hh+25z1mA0HPMUuAuQgPr7FP63RTCylBMXx03Oe4fN701Sg9iWXn2Mue6RrNW3ytRZP5bx\n"
                             "420uiKU/aKeQvWKr0jjalVuyX5udGXzCsiRD/XYL2zQ3lvXSsBxBzphqGEnpQsngR1yXWW\n"
                             "kyc8B1NTC3hLni3qr85QXdNgxFgNQ4/hBVi5cC5/ucQgcAuRulg1xB50brVIlDFeJNFCA5\n"
                             "boFJunTAUoYgjuxC+QGr0Lx/gqSOtpyDSdnbwVMxWM8OnWf1cZ284sdD9dSprKgcReKHN4\n"
                             "okuxO4n6yelaibwmhXGR0PRbcA+ToowFsOSh5NzsixFE1IZyoh9tfVOnp08vxGUjDjr+CN\n"
                             "saWYt72mtY/QzN5jVIOSvqdJaR9Jgp/BxBf75GXTdJ22uvSI/Taxj50I99P5st/hBNeUKO\n"
                             "yXYGsWLzgWoxuzXKh4zuj0Fq5ffsPAHg/7i9ib3o2zXQTJkjVf3G0ugDSVWEfM9Xn69Tta\n"
                             "DQAAAARmaWxlAAAAAAAAAAZzaGE1MTIAAAGUAAAADHJzYS1zaGEyLTUxMgAAAYA2J9mcxs\n"
                             "dFrPs6v7FexfwYnYI6MR6iXRDqRZRsWl4VJniXJMTSaj+bXig8fyDYhKUcVIZKJes6e6Yd\n"
                             "JYBx1Sy576dxjh5EfWIMBnZSYQuC10hR4BU9iSfK1facgPyAzvC8HxnVqArMogsOwHbjct\n"
                             "sPjaNr1/SfUfAJk3OJOc6OrbvRxxaFVXdTmoqa5x/G2cQ13Cc1fHhqv71xWmaNTFihxtnr\n"
                             "YK/NaY0fY9LxCFjYrdPSZWdynvDVtcMgJIC3P/Efet69JJBlVa50m+BMqRnKkVN6RvqXov\n"
                             "2/S2il6i5fP8f5gLb0fXZMm4qFGERppHV23WjSAUPhLxObdwxpo+oGpeE5PQmauTjQRwnC\n"
                             "efVggDDs7d76fU2/2XFxz1D4/kNnUpU18yxJIeH+4zgINPc44rEFiAF+6xyoEKJloWHJFy\n"
                             "B84lLWU6VLorubUc62OkWLBcD0vt7e90hm0iPly7DvPqIdLewY4urrp4Im3xAswUs8XkEu\n"
                             "1blqpEZ2+7thbSI=\n"
                             "-----END SSH SIGNATURE-----\n";
static const char by_certificate[] = "-----BEGIN SSH SIGNATURE-----\n"
                                     "U1NIU0lHAAAAAQAAAbsAAAAgc3NoLWVkMjU1MTktY2VydC12MDFAb3BlbnNzaC5jb20AAA\n"
                                     "Agn2Y3VcSIKOp2X3a0Qya209VDAT2rtLJogiAT7tedPvUAAAAgF4d/XU3fcywvqGrCAdJY\n"
                                     "M2GS6jSRzR+alcHXslySxkoAAAAAAAAAAAAAAAEAAAACaWQAAAANAAAABG1lQHgAAAABYg\n"
                                     "AAAABeC+EAAAAAAHDb2IAAAAAAAAAAggAAABVwZXJtaXQtWDExLWZvcndhcmRpbmcAAAAA\n"
                                     "AAAAF3Blcm1pdC1hZ2VudC1mb3J3YXJkaW5nAAAAAAAAABZwZXJtaXQtcG9ydC1mb3J3YX\n"
                                     "JkaW5nAAAAAAAAAApwZXJtaXQtcHR5AAAAAAAAAA5wZXJtaXQtdXNlci1yYwAAAAAAAAAA\n"
                                     "AAAAMwAAAAtzc2gtZWQyNTUxOQAAACCG3S59v4DCopwvWy+0MnSQ7RPYZ1uuNSV2AFs12V\n"
                                     "tZOAAAAFMAAAALc3NoLWVkMjU1MTkAAABA9EtHagfthmO+Oz5KrHJjq+N8aKyg4oDdbKNz\n"
                                     "OJfJdzyxy6Q4EGrBR6R2qWkOMc7rnN8muQAQq1J+orD7Tt6aDAAAAARmaWxlAAAAAAAAAA\n"
                                     "ZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5AAAAQDa8znvC/VCfrgfMsnjxrfevj7SB2NGr\n"
                                     "yj7cu3DX9IiHYxTn9hvb2EVqowEZW04l1iFmm7MQmw9AwSscvM2duwc=\n"
                                     "-----END SSH SIGNATURE-----\n";

static void digest_of(const char *message, enum digest_alg alg, uint8_t *ret)
{
    assert_ok(digest_once(alg, view_str(message), ret));
}

static void foreign_signatures_hold(UNUSED void **state)
{
    static const char *const all[] = { by_ed25519, by_ecdsa, by_rsa, by_certificate };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        CLEANUP(buf_done) struct buf bytes = BUF_INIT(8192), back = BUF_INIT(8192), text = BUF_INIT(16384);
        struct sshsig s;
        uint8_t digest[DIGEST_MAX_BYTES];
        assert_ok(sshsig_unarmour(view_str(all[i]), &bytes));
        assert_ok(sshsig_parse(buf_view(&bytes), &s));
        assert_view(s.name_space, "file");
        assert_int_equal(s.hash, DIGEST_SHA512);
        digest_of("hi\n", s.hash, digest);
        assert_ok(sshsig_verify(&s, digest));
        digest[0] ^= 1;
        assert_int_equal(sshsig_verify(&s, digest), ERR_SIGNATURE);
        assert_ok(sshsig_put(&s, &back));
        assert_ok(sshsig_armour(buf_view(&back), &text));
        assert_view(buf_view(&text), all[i]);
    }
}

static void our_signatures_hold(UNUSED void **state)
{
    static const char *const keys[] = { test_ed25519_private, test_ecdsa_private, test_ecdsa521_private, test_rsa_private };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        CLEANUP(key_unrefp) struct key *k = test_private(keys[i]);
        CLEANUP(buf_done) struct buf bytes = BUF_INIT(8192);
        uint8_t digest[DIGEST_MAX_BYTES];
        struct sshsig s;
        digest_of("text", DIGEST_SHA256, digest);
        assert_int_equal(sshsig_sign(k, VIEW_EMPTY, DIGEST_SHA256, digest, &bytes), ERR_FORMAT);
        assert_int_equal(sshsig_sign(k, VIEW_LIT("n"), DIGEST_SHA1, digest, &bytes), ERR_UNSUPPORTED);
        assert_ok(sshsig_sign(k, VIEW_LIT("n"), DIGEST_SHA256, digest, &bytes));
        assert_ok(sshsig_parse(buf_view(&bytes), &s));
        assert_ok(sshsig_verify(&s, digest));
        s.name_space = VIEW_LIT("m");
        assert_int_equal(sshsig_verify(&s, digest), ERR_SIGNATURE);
    }
}

/* The signature with one of its fields changed. */
static int parse_changed(const struct sshsig *s, const char *magic, uint32_t version, const char *hash, const char *behind)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(8192);
    struct wr w = wr_of(&bytes);
    struct sshsig got;
    wr_bytes(&w, view_str(magic));
    wr_u32(&w, version);
    wr_string(&w, s->key_blob);
    wr_string(&w, s->name_space);
    wr_string(&w, VIEW_EMPTY);
    wr_cstr(&w, hash);
    wr_string(&w, s->signature);
    wr_bytes(&w, view_str(behind));
    assert_ok(wr_end(&w));
    return sshsig_parse(buf_view(&bytes), &got);
}

static void broken_signatures_are_refused(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(8192), none = BUF_INIT(8192);
    struct sshsig s, got;
    assert_ok(sshsig_unarmour(view_str(by_ed25519), &bytes));
    for (size_t len = 0; len < buf_len(&bytes); len++) assert_true(sshsig_parse(view_sub(buf_view(&bytes), 0, len), &got) < 0);
    assert_ok(sshsig_parse(buf_view(&bytes), &s));
    assert_ok(parse_changed(&s, "SSHSIG", 1, "sha512", ""));
    assert_int_equal(parse_changed(&s, "SSHSIH", 1, "sha512", ""), ERR_FORMAT);
    assert_int_equal(parse_changed(&s, "SSHSIG", 2, "sha512", ""), ERR_UNSUPPORTED);
    assert_int_equal(parse_changed(&s, "SSHSIG", 1, "md5", ""), ERR_UNSUPPORTED);
    assert_int_equal(parse_changed(&s, "SSHSIG", 1, "sha512", "x"), ERR_TRAILING);
    s.name_space = VIEW_EMPTY;
    assert_int_equal(parse_changed(&s, "SSHSIG", 1, "sha512", ""), ERR_FORMAT);
    assert_int_equal(sshsig_unarmour(VIEW_LIT("text"), &none), ERR_FORMAT);
    assert_int_equal(sshsig_unarmour(view_sub(view_str(by_ed25519), 0, 200), &none), ERR_FORMAT);
    assert_int_equal(sshsig_unarmour(VIEW_LIT("-----BEGIN SSH SIGNATURE-----\n!\n-----END SSH SIGNATURE-----"), &none), ERR_FORMAT);
    assert_int_equal(buf_len(&none), 0);
}

/* RSA with SHA-1 is a signature of RFC 4253, but not of this format. */
static void sha1_is_refused(UNUSED void **state)
{
    CLEANUP(key_unrefp) struct key *k = test_private(test_rsa_private);
    CLEANUP(buf_done) struct buf data = BUF_INIT(8192), signature = BUF_INIT(8192);
    struct sshsig s = { .key_blob = key_blob(k), .name_space = VIEW_LIT("n"), .hash = DIGEST_SHA256 };
    uint8_t digest[DIGEST_MAX_BYTES];
    digest_of("text", DIGEST_SHA256, digest);
    assert_ok(sshsig_put_signed_data(&s, digest, &data));
    assert_ok(key_sign(k, VIEW_LIT("ssh-rsa"), buf_view(&data), &signature));
    s.signature = buf_view(&signature);
    assert_int_equal(sshsig_verify(&s, digest), ERR_KEY_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_signatures_hold),
        cmocka_unit_test(our_signatures_hold),
        cmocka_unit_test(broken_signatures_are_refused),
        cmocka_unit_test(sha1_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
