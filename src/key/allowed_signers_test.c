#include "key/allowed_signers.h"
#include "key/test_util.h"

#include <stdio.h>

/* The certificate is key's, by ca, for me@x and b, in the years 2020 to 2029 of the maker's time zone. */
static const char key[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBeHf11N33MsL6hqwgHSWDNhkuo0kc0fmpXB17JcksZK";
static const char ca[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbdLn2/gMKinC9bL7QydJDtE9hnW641JXYAWzXZW1k4";
static const char certificate[] =
    "ssh-ed25519-cert-v01@openssh.com "
    "AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIJ9mN1XEiCjqdl92tEMmttPVQwE9q7SyaIIgE+"
    "7XnT71AAAAIBeHf11N33MsL6hqwgHSWDNhkuo0kc0fmpXB17JcksZKAAAAAAAAAAAAAAABAAAAAmlkAAAADQAAAARtZUB4AAAAAWIAAAAAXgvhAAAAAABw29iAAAAA"
    "AAAAAIIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2FyZGluZwAAAA"
    "AAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAADMAAAALc3NoLWVkMjU1MTkAAAAght0ufb+"
    "AwqKcL1svtDJ0kO0T2GdbrjUldgBbNdlbWTgAAABTAAAAC3NzaC1lZDI1NTE5AAAAQPRLR2oH7YZjvjs+"
    "SqxyY6vjfGisoOKA3WyjcziXyXc8scukOBBqwUekdqlpDjHO65zfJrkAEKtSfqKw+07emgw=";

enum {
    IN_2019 = 1546300800 + 86400,
    IN_2024 = 1704067200,
    IN_2031 = 1925000000
};

static char complaint[512];

static void keep_complaint(UNUSED void *arg, size_t line_number, const char *text)
{
    snprintf(complaint, sizeof(complaint), "%zu: %s", line_number, text);
}

struct question {
    struct buf blob;
    struct allowed_signers_query q;
};

static void question_done(struct question *x) { buf_done(&x->blob); }

static struct question question_of(const char *file, const char *public_line, const char *principal, const char *name_space,
                                   int64_t at_s)
{
    struct question x = { .blob = BUF_INIT(8192) };
    struct public_line l;
    *complaint = '\0';
    assert_ok(public_line_split(view_str(public_line), &l));
    assert_ok(base64_get(l.base64, &x.blob));
    x.q = (struct allowed_signers_query){ .file = view_str(file),
                                          .key_blob = buf_view(&x.blob),
                                          .principal = view_str(principal),
                                          .name_space = view_str(name_space),
                                          .at_s = at_s,
                                          .complain = keep_complaint };
    return x;
}

static int check(const char *file, const char *public_line, const char *principal, const char *name_space, int64_t at_s)
{
    CLEANUP(question_done) struct question x = question_of(file, public_line, principal, name_space, at_s);
    return allowed_signers_check(&x.q);
}

/* What _find or _match put out, with # for the ends of lines; "" for ERR_NOT_FOUND. */
static const char *found(int fn(const struct allowed_signers_query *, struct buf *), const char *file, const char *public_line,
                         const char *principal, int64_t at_s)
{
    static char text[1024];
    CLEANUP(question_done) struct question x = question_of(file, public_line, principal, "", at_s);
    CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
    int err = fn(&x.q, &out);
    assert_int_equal(err, buf_len(&out) ? 0 : ERR_NOT_FOUND);
    snprintf(text, sizeof(text), "%.*s", (int)buf_len(&out), (const char *)buf_bytes(&out));
    for (char *c = text; *c; c++)
        if (*c == '\n') *c = '#';
    return text;
}

static const char *line(const char *before, const char *public_key)
{
    static char texts[4][4096];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof(texts[0]), "%s %s", before, public_key);
    return text;
}

static void principals_are_patterns(UNUSED void **state)
{
    assert_ok(check(line("me@x,you@y", key), key, "you@y", "file", IN_2024));
    assert_ok(check(line("*@x", key), key, "me@x", "file", IN_2024));
    assert_ok(check(line("\"a b,c\"", key), key, "a b", "file", IN_2024));
    assert_ok(check(line("# c\n\n  me@x  ", key), key, "me@x", "file", IN_2024));
    assert_int_equal(check(line("!me@x,*@x", key), key, "me@x", "file", IN_2024), ERR_NOT_FOUND);
    assert_int_equal(check(line("ME@x", key), key, "me@x", "file", IN_2024), ERR_NOT_FOUND);
    assert_int_equal(check(line("me@x", ca), key, "me@x", "file", IN_2024), ERR_NOT_FOUND);
    assert_string_equal(complaint, "");
}

static void namespaces_and_times_bound_a_key(UNUSED void **state)
{
    assert_ok(check(line("me namespaces=\"file,git\"", key), key, "me", "git", IN_2024));
    assert_ok(check(line("me NAMESPACES=\"!git,*\"", key), key, "me", "file", IN_2024));
    assert_int_equal(check(line("me namespaces=\"git\"", key), key, "me", "file", IN_2024), ERR_NOT_FOUND);
    assert_string_equal(complaint, "1: key is not permitted for use in signature namespace \"file\"");
    const char *times = line("me valid-after=\"20200101Z\",valid-before=\"20300101Z\"", key);
    assert_ok(check(times, key, "me", "file", IN_2024));
    assert_int_equal(check(times, key, "me", "file", IN_2019), ERR_NOT_FOUND);
    assert_memory_equal(complaint, "1: key is not yet valid: verify time 2019", 41);
    assert_int_equal(check(times, key, "me", "file", IN_2031), ERR_NOT_FOUND);
    assert_memory_equal(complaint, "1: key has expired: verify time 2031", 36);
}

static void certificates_are_asked_for_time_and_name(UNUSED void **state)
{
    const char *by_ca = line("me@x,a,* cert-authority", ca);
    assert_ok(check(by_ca, certificate, "me@x", "file", IN_2024));
    assert_ok(check(by_ca, certificate, "b", "file", IN_2024));
    assert_int_equal(check(by_ca, certificate, "a", "file", IN_2024), ERR_NOT_FOUND);
    assert_string_equal(complaint, "1: certificate not authorized: Certificate invalid: name is not a listed principal");
    assert_int_equal(check(by_ca, certificate, "b", "file", IN_2031), ERR_NOT_FOUND);
    assert_string_equal(complaint, "1: certificate not authorized: Certificate invalid: expired");
    assert_int_equal(check(by_ca, key, "b", "file", IN_2024), ERR_NOT_FOUND);
    assert_int_equal(check(line("*", ca), certificate, "b", "file", IN_2024), ERR_NOT_FOUND);
    assert_int_equal(check(line("*", key), certificate, "b", "file", IN_2024), ERR_NOT_FOUND);
    assert_ok(check(line("*", certificate), certificate, "b", "file", IN_2024));
    /* a certificate that somebody made up */
    CLEANUP(question_done) struct question x = question_of(by_ca, certificate, "b", "file", IN_2024);
    buf_bytes(&x.blob)[buf_len(&x.blob) - 1] ^= 1;
    assert_int_equal(allowed_signers_check(&x.q), ERR_NOT_FOUND);
}

static void principals_are_found(UNUSED void **state)
{
    char two[2048];
    assert_string_equal(found(allowed_signers_find, line("me@x,you@y", key), key, "", IN_2024), "me@x#you@y#");
    assert_string_equal(found(allowed_signers_find, line("me@x", ca), key, "", IN_2024), "");
    assert_string_equal(found(allowed_signers_find, line("* cert-authority", ca), certificate, "", IN_2024), "me@x#b#");
    assert_string_equal(found(allowed_signers_find, line("!b,* cert-authority", ca), certificate, "", IN_2024), "me@x#");
    assert_string_equal(found(allowed_signers_find, line("* cert-authority", ca), certificate, "", IN_2031), "");
    assert_string_equal(complaint, "1: no valid principals found");
    snprintf(two, sizeof(two), "one %s\nthe,two %s\nthree %s\n", ca, key, key);
    assert_string_equal(found(allowed_signers_find, two, key, "", IN_2024), "the#two#");
    assert_string_equal(found(allowed_signers_match, two, key, "two", IN_2024), "the,two#");
    assert_string_equal(found(allowed_signers_match, two, key, "four", IN_2024), "");
}

static void bad_lines_are_told_and_passed_over(UNUSED void **state)
{
    static const struct bad {
        const char *before, *complaint;
    } bad[] = {
        { "me bogus", "1: bad options: unknown key option" },
        { "me bogus=\"x\"", "1: bad options: unknown key option" },
        { "me namespaces=file", "1: bad options: missing start quote" },
        { "me namespaces=\"a\",namespaces=\"b\"", "1: bad options: multiple \"namespaces\" clauses" },
        { "me valid-after=\"bad\"", "1: bad options: invalid \"valid-after\" time" },
        { "me valid-before=\"20201301\"", "1: bad options: invalid \"valid-before\" time" },
        { "me valid-after=\"20200101\",valid-after=\"20200101\"", "1: bad options: multiple \"valid-after\" clauses" },
        { "me valid-after=\"20200101\",valid-before=\"20190101\"",
          "1: bad options: \"valid-before\" time is before \"valid-after\"" },
        { "me cert-authority,", "1: bad options: unexpected end-of-options" },
        { "me ssh-ed25519 AAAA\nx", "1: invalid key" },
        { "me\nx", "1: missing key" },
        { "me ssh-ed25519\nx", "1: missing key" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char file[4096];
        assert_int_equal(check(line(bad[i].before, key), key, "me", "file", IN_2024), ERR_NOT_FOUND);
        assert_string_equal(complaint, bad[i].complaint);
        snprintf(file, sizeof(file), "%s\nme %s\n", line(bad[i].before, key), key);
        assert_ok(check(file, key, "me", "file", IN_2024));
    }
    assert_int_equal(check(line("\"me", key), key, "me", "file", IN_2024), ERR_NOT_FOUND);
    assert_string_equal(complaint, "1: invalid line");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(principals_are_patterns),
        cmocka_unit_test(namespaces_and_times_bound_a_key),
        cmocka_unit_test(certificates_are_asked_for_time_and_name),
        cmocka_unit_test(principals_are_found),
        cmocka_unit_test(bad_lines_are_told_and_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
