#include "base/wr.h"
#include "key/cert.h"
#include "key/krl.h"
#include "key/revoked.h"
#include "key/test_util.h"

#include <stdio.h>

/* By OpenSSH's ssh-keygen -k for the CA: serials 1 to 100 in threes, 1000 to 1004, 5000000, 4000 to 4900, the last of all. */
static const char foreign_serials[] =
    "U1NIS1JMCgAAAAABAAAAAAAAAAcAAAAAawM92gAAAAAAAAAAAAAAAAAAAAABAAAAlQAAADMAAAALc3NoLWVkMjU1MTkAAAAght0ufb+"
    "AwqKcL1svtDJ0kO0T2GdbrjUldgBbNdlbWTgAAAAAIgAAABkAAAAAAAAAAQAAAA0BJJJJJJJJJJJJJJJJIgAAAA0AAAAAAAAD6AAAAAEfIQAAABAAAAAAAAAPoAAAA"
    "AAAABMkIAAAABAAAAAAAExLQP//////////";
/* The same, for every CA: key ids "x" and "any". */
static const char foreign_every_ca[] =
    "U1NIS1JMCgAAAAABAAAAAAAAAAAAAAAAawM97AAAAAAAAAAAAAAAAAAAAAABAAAAGQAAAAAAAAAAIwAAAAwAAAADYW55AAAAAXg=";

static struct krl *decode(const char *base64)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(1 << 16);
    struct krl *k = NULL;
    test_decode(base64, &file);
    assert_ok(krl_parse(buf_view(&file), &k));
    return k;
}

static void again(struct krl **k)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(KRL_BYTES_MAX);
    assert_ok(krl_format(*k, &out));
    krl_free(*k);
    *k = NULL;
    assert_ok(krl_parse(buf_view(&out), k));
}

static size_t count(struct krl *k, enum krl_entry_kind kind)
{
    size_t n = 0;
    struct krl_cursor cursor = {};
    for (struct krl_entry e; krl_next(k, &cursor, &e);) n += e.kind == kind;
    return n;
}

static bool has_serial(struct krl *k, uint64_t serial)
{
    struct krl_cursor cursor = {};
    for (struct krl_entry e; krl_next(k, &cursor, &e);)
        if (e.kind == KRL_ENTRY_SERIALS && e.serials.first <= serial && serial <= e.serials.last) return true;
    return false;
}

static void foreign_lists_are_read(UNUSED void **state)
{
    CLEANUP(krl_freep) struct krl *k = decode(foreign_serials), *any = decode(foreign_every_ca);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(krl_header_get(k).version, 7);
        assert_int_equal(count(k, KRL_ENTRY_CA), 1);
        for (uint64_t s = 1; s < 120; s++) assert_int_equal(has_serial(k, s), s < 100 && s % 3 == 1);
        for (uint64_t s = 999; s < 1010; s++) assert_int_equal(has_serial(k, s), s >= 1000 && s <= 1004);
        assert_true(has_serial(k, 5000000) && has_serial(k, 4000) && has_serial(k, 4900) && has_serial(k, UINT64_MAX));
        assert_false(has_serial(k, 3999) || has_serial(k, 4901) || has_serial(k, UINT64_MAX - 1));
        assert_int_equal(count(any, KRL_ENTRY_KEY_ID), 2);
        again(&k);
        again(&any);
    }
}

static const struct view every_ca = { NULL, 0 };

static void certificates_are_found_by_serial_id_and_ca(UNUSED void **state)
{
    CLEANUP(key_unrefp)
    struct key *ed = test_public(test_ed25519_cert), *ec = test_public(test_ecdsa_cert), *ca = test_public(test_ca_public),
               *plain = test_public(test_ed25519_public);
    struct view ca_blob = key_blob(ca), blob = key_blob(ed);
    struct krl_serials its_own = { 77, 77 }, beside = { 78, UINT64_MAX };
    for (int which = 0; which < 9; which++) {
        CLEANUP(krl_freep) struct krl *k = NULL;
        assert_ok(krl_new(&k));
        bool cert = true, also_plain = false, also_ca = false;
        switch (which) {
        case 0:
            assert_ok(krl_add_serials(k, ca_blob, its_own));
            break;
        case 1:
            assert_ok(krl_add_serials(k, every_ca, its_own));
            break;
        case 2:
            assert_ok(krl_add_key_id(k, ca_blob, VIEW_LIT("user id")));
            break;
        case 3:
            assert_ok(krl_add_key_id(k, every_ca, VIEW_LIT("user id")));
            break;
        case 4:
            assert_ok(krl_add_key(k, ca_blob)), also_ca = true;
            break;
        case 5:
            assert_ok(krl_add_key_by_digest(k, DIGEST_SHA1, blob)), also_plain = true;
            break;
        case 6:
            assert_ok(krl_add_key_by_digest(k, DIGEST_SHA256, ca_blob)), also_ca = true;
            break;
        case 7: /* none of these is it */
            assert_ok(krl_add_serials(k, ca_blob, beside));
            assert_ok(krl_add_serials(k, key_blob(plain), its_own));
            assert_ok(krl_add_key_id(k, ca_blob, VIEW_LIT("user i")));
            assert_ok(krl_add_key(k, key_blob(ec)));
            cert = false;
            break;
        case 8:
            assert_ok(krl_add_certificate(k, blob));
            break;
        }
        for (int round = 0; round < 2; round++) {
            assert_int_equal(krl_has(k, blob), cert);
            assert_int_equal(krl_has(k, key_blob(plain)), also_plain);
            assert_int_equal(krl_has(k, ca_blob), also_ca);
            again(&k);
        }
    }
}

static void a_serial_of_zero_names_nothing(UNUSED void **state)
{
    CLEANUP(krl_freep) struct krl *k = NULL;
    CLEANUP(key_unrefp) struct key *rsa = test_public(test_rsa_cert);
    struct cert c;
    assert_ok(cert_parse(key_blob(rsa), &c));
    assert_int_equal(c.serial, 0);
    assert_ok(krl_new(&k));
    assert_int_equal(krl_add_serials(k, every_ca, (struct krl_serials){ 0, 9 }), ERR_RANGE);
    assert_int_equal(krl_add_serials(k, every_ca, (struct krl_serials){ 9, 8 }), ERR_RANGE);
    assert_ok(krl_add_serials(k, every_ca, (struct krl_serials){ 1, UINT64_MAX }));
    assert_false(krl_has(k, key_blob(rsa)));
    assert_ok(krl_add_certificate(k, key_blob(rsa)));
    assert_true(krl_has(k, key_blob(rsa)));
    assert_int_equal(count(k, KRL_ENTRY_KEY_ID), 1);
}

/* Every shape of neighbourhood comes back as it was put, whatever form it was written in. */
static void serials_survive_in_every_form(UNUSED void **state)
{
    uint64_t seed = 1;
    for (int round = 0; round < 200; round++) {
        CLEANUP(krl_freep) struct krl *k = NULL;
        CLEANUP(buf_done) struct buf first = BUF_INIT(KRL_BYTES_MAX), second = BUF_INIT(KRL_BYTES_MAX);
        assert_ok(krl_new(&k));
        for (int i = 0; i < 100; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            uint64_t s = 1 + (seed >> 33) % (UINT64_C(1) << (4 + round % 24)), more = (seed >> 20) % 8 ? 0 : (seed >> 24) % 300;
            if (round % 5 == 0) s = UINT64_MAX - s - more;
            assert_ok(krl_add_serials(k, every_ca, (struct krl_serials){ s, s + more }));
        }
        size_t n = count(k, KRL_ENTRY_SERIALS);
        assert_ok(krl_format(k, &first));
        again(&k);
        assert_int_equal(count(k, KRL_ENTRY_SERIALS), n);
        assert_ok(krl_format(k, &second));
        assert_true(view_eq(buf_view(&first), buf_view(&second)));
    }
}

static void put_head(struct wr *w, uint32_t format)
{
    wr_bytes(w, VIEW_LIT("SSHKRL\n\0"));
    wr_u32(w, format);
    for (int i = 0; i < 3; i++) wr_u64(w, 0);
    wr_string(w, VIEW_EMPTY);
    wr_cstr(w, "a comment");
}

static void put_part(struct wr *w, uint8_t type, struct view content)
{
    wr_u8(w, type);
    wr_string(w, content);
}

static int parse_section(uint8_t type, struct view content, struct krl **ret)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(KRL_BYTES_MAX);
    struct wr w = wr_of(&file);
    put_head(&w, 1);
    put_part(&w, type, content);
    assert_ok(wr_end(&w));
    return krl_parse(buf_view(&file), ret);
}

static int parse_cert_part(uint8_t type, struct view content, struct krl **ret)
{
    CLEANUP(buf_done) struct buf section = BUF_INIT(KRL_BYTES_MAX);
    struct wr w = wr_of(&section);
    wr_string(&w, VIEW_EMPTY);
    wr_string(&w, VIEW_EMPTY);
    put_part(&w, type, content);
    assert_ok(wr_end(&w));
    return parse_section(1, buf_view(&section), ret);
}

static void what_has_to_be_understood_refuses_the_list(UNUSED void **state)
{
    static const uint8_t harmless[] = "\0\0\0\1x\0\0\0\0", critical[] = "\0\0\0\1x\1\0\0\0";
    struct view ok = view_of(harmless, 10), bad = view_of(critical, 10);
    CLEANUP(krl_freep) struct krl *k = NULL, *k2 = NULL;
    assert_ok(parse_section(255, ok, &k));
    assert_true(view_eq_str(krl_header_get(k).comment, "a comment"));
    assert_ok(parse_cert_part(0x39, ok, &k2));
    struct krl *none = NULL;
    assert_int_equal(parse_section(255, bad, &none), ERR_UNSUPPORTED);
    assert_int_equal(parse_cert_part(0x39, bad, &none), ERR_UNSUPPORTED);
    assert_int_equal(parse_section(4, VIEW_EMPTY, &none), ERR_UNSUPPORTED);
    assert_int_equal(parse_section(6, VIEW_EMPTY, &none), ERR_UNSUPPORTED);
    assert_int_equal(parse_cert_part(0x24, VIEW_EMPTY, &none), ERR_UNSUPPORTED);
    CLEANUP(buf_done) struct buf file = BUF_INIT(4096);
    struct wr w = wr_of(&file);
    put_head(&w, 2);
    assert_int_equal(krl_parse(buf_view(&file), &none), ERR_UNSUPPORTED);
    assert_null(none);
}

static void broken_lists_are_refused(UNUSED void **state)
{
    struct krl *none = NULL;
    static const uint8_t range[] = { 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 8 }, zero[8] = {};
    static const uint8_t wraps[] = { 255, 255, 255, 255, 255, 255, 255, 250, 0, 0, 0, 1, 127 };
    assert_int_equal(parse_cert_part(0x21, view_of(range, 16), &none), ERR_RANGE);
    assert_int_equal(parse_cert_part(0x21, view_of(range, 15), &none), ERR_TRUNCATED);
    assert_int_equal(parse_cert_part(0x20, view_of(zero, 8), &none), ERR_RANGE);
    assert_int_equal(parse_cert_part(0x20, view_of(zero, 7), &none), ERR_TRUNCATED);
    assert_int_equal(parse_cert_part(0x22, view_of(wraps, 13), &none), ERR_RANGE);
    assert_int_equal(parse_cert_part(0x23, view_of("\0\0\0\2a", 6), &none), ERR_FORMAT);
    assert_int_equal(parse_section(3, view_of("\0\0\0\2ab", 6), &none), ERR_FORMAT);
    assert_int_equal(parse_section(1, view_of("\0\0\0\2ab\0\0\0", 10), &none), ERR_TRUNCATED);
    CLEANUP(buf_done) struct buf file = BUF_INIT(1 << 16);
    test_decode(foreign_serials, &file);
    for (size_t len = 0; len < buf_len(&file); len++) {
        struct krl *k = NULL;
        if (krl_parse(view_sub(buf_view(&file), 0, len), &k) == 0) assert_true(len == 44); /* only the header */
        krl_free(k);
    }
    assert_null(none);
}

/* A little file must not become much memory: a bitmap's length is bounded, and so are its ranges. */
static void bombs_are_refused(UNUSED void **state)
{
    CLEANUP(buf_done) struct buf bitmap = BUF_INIT(KRL_BYTES_MAX);
    struct wr w = wr_of(&bitmap);
    wr_u64(&w, 1);
    wr_u32(&w, KRL_BITMAP_BITS_MAX / 8 + 1);
    uint8_t *p;
    assert_ok(buf_reserve(&bitmap, KRL_BITMAP_BITS_MAX / 8 + 1, &p));
    memset(p, 0x55, KRL_BITMAP_BITS_MAX / 8 + 1);
    buf_commit(&bitmap, KRL_BITMAP_BITS_MAX / 8 + 1);
    struct krl *none = NULL;
    assert_int_equal(parse_cert_part(0x22, buf_view(&bitmap), &none), ERR_LIMIT);
    struct view any = VIEW_LIT("\0\0\0\1x");
    CLEANUP(krl_freep) struct krl *k = NULL;
    assert_ok(krl_new(&k));
    int err = 0;
    for (uint32_t i = 0; i < KRL_CAS_MAX + 1 && err == 0; i++) err = krl_add_key_id(k, view_of(&i, sizeof(i)), any);
    assert_int_equal(err, ERR_FORMAT); /* a NUL in the id */
    err = 0;
    for (uint32_t i = 0; i < KRL_CAS_MAX + 1 && err == 0; i++) err = krl_add_key_id(k, view_of(&i, sizeof(i)), VIEW_LIT("id"));
    assert_int_equal(err, ERR_LIMIT);
}

static struct revoked *revoked_of(const char *text)
{
    struct revoked *r = NULL;
    assert_ok(revoked_parse(view_str(text), &r));
    return r;
}

static void text_lists_are_read(UNUSED void **state)
{
    CLEANUP(key_unrefp)
    struct key *ed = test_public(test_ed25519_cert), *ec = test_public(test_ecdsa_public), *ca = test_public(test_ca_public),
               *plain = test_public(test_ed25519_public);
    char text[8192];
    snprintf(text, sizeof(text), "# gone\n\n  \t%s\r\n  # and\n", test_ca_public);
    CLEANUP(revoked_freep)
    struct revoked *by_ca = revoked_of(text), *by_cert = revoked_of(test_ed25519_cert), *empty = revoked_of("");
    assert_true(revoked_has(by_ca, key_blob(ed)) && revoked_has(by_ca, key_blob(ca)));
    assert_false(revoked_has(by_ca, key_blob(plain)) || revoked_has(by_ca, key_blob(ec)));
    assert_true(revoked_has(by_cert, key_blob(ed)) && revoked_has(by_cert, key_blob(plain)));
    assert_false(revoked_has(empty, key_blob(ed)));
    assert_true(revoked_has(empty, VIEW_LIT("no key")));
    struct revoked *none = NULL;
    assert_true(revoked_parse(VIEW_LIT("junk\n"), &none) < 0);
    snprintf(text, sizeof(text), "restrict %s\n", test_ca_public);
    assert_true(revoked_parse(view_str(text), &none) < 0);
    assert_true(revoked_parse(VIEW_LIT("SSHKRL\n"), &none) < 0);
    assert_true(revoked_parse(view_of("SSHKRL\n\0", 8), &none) < 0);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_lists_are_read),
        cmocka_unit_test(certificates_are_found_by_serial_id_and_ca),
        cmocka_unit_test(a_serial_of_zero_names_nothing),
        cmocka_unit_test(serials_survive_in_every_form),
        cmocka_unit_test(what_has_to_be_understood_refuses_the_list),
        cmocka_unit_test(broken_lists_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(text_lists_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
