/* Both halves of the old protocol: records, refusals, names, and one against the other with input cut at every byte. */
#include "base/log.h"
#include "proto/scp/scp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* ---- sink: one script of bytes, its events as text ---- */

struct talk {
    struct scp_sink sink;
    char said[4096];
    int err;
};

static void note(struct talk *t, const char *fmt, ...) PRINTF(2, 3);
static void note(struct talk *t, const char *fmt, ...)
{
    size_t len = strlen(t->said);
    va_list args;
    va_start(args, fmt);
    vsnprintf(t->said + len, sizeof t->said - len, fmt, args);
    va_end(args);
}

static void note_event(struct talk *t, const struct scp_sink_event *e)
{
    const struct scp_head *h = &e->head;
    switch (e->kind) {
    case SCP_SINK_FILE:
    case SCP_SINK_DIR:
        note(t, "%s %.*s %o %llu", e->kind == SCP_SINK_FILE ? "file" : "dir", VIEW_ARG(h->name), h->mode,
             (unsigned long long)h->size);
        if (h->has_times) note(t, " %lld %lld", (long long)h->mtime_s, (long long)h->atime_s);
        note(t, "|");
        break;
    case SCP_SINK_LEAVE:
        note(t, "leave|");
        break;
    case SCP_SINK_DATA:
        note(t, "%.*s", VIEW_ARG(e->text));
        break;
    case SCP_SINK_FILE_END:
        note(t, e->failed ? "|bad end %.*s|" : "|end|", VIEW_ARG(e->text));
        break;
    case SCP_SINK_FAILED:
        note(t, "%s %.*s|", e->fatal ? "fatal" : "failed", VIEW_ARG(e->text));
        break;
    }
}

/* refuse: answers every question with that. */
static void feed(struct talk *t, struct view in, size_t cut, const char *refuse)
{
    struct scp_sink_event e;
    while (in.len && t->err == 0) {
        struct view part = view_sub(in, 0, cut);
        int got;
        in = view_sub(in, part.len, in.len);
        while ((got = scp_sink_next(&t->sink, &part, &e)) == 1) {
            note_event(t, &e);
            if (t->sink.asks) assert_int_equal(scp_sink_answer(&t->sink, refuse), 0);
        }
        t->err = got;
    }
}

static void hear(struct talk *t, const char *bytes, size_t len, const char *pattern, bool recursive, size_t cut, const char *refuse)
{
    struct strv wanted = STRV_INIT;
    *t = (struct talk){ .err = 0 };
    if (pattern) assert_int_equal(scp_request_patterns(view_str(pattern), recursive, &wanted), 0);
    assert_int_equal(scp_sink_init(&t->sink, &wanted, recursive), 0);
    feed(t, view_of(bytes, len), cut, refuse);
    t->sink.wanted = NULL;
    strv_done(&wanted);
}
#define HEAR(t, lit, pattern, recursive) hear(t, lit, sizeof(lit) - 1, pattern, recursive, SIZE_MAX, NULL)

static void test_sink_takes_records(UNUSED void **state)
{
    static const char script[] =
        "C0644 5 a b\nhello\0T1 0 2 0\nD0755 0 dir\nC0600 0 e\n\0E\n\1scp: x: gone\nC0400 2 f\nxy\1scp: f: bad\n";
    for (size_t cut = 1; cut < sizeof script; cut++) {
        struct talk t;
        hear(&t, script, sizeof script - 1, NULL, true, cut, NULL);
        assert_int_equal(t.err, 0);
        assert_string_equal(t.said, "file a b 644 5|hello|end|dir dir 755 0 1 2|file e 600 0||end|leave|failed scp: x: gone|"
                                    "file f 400 2|xy|bad end scp: f: bad|");
        assert_true(scp_sink_is_complete(&t.sink));
        assert_int_equal(buf_len(&t.sink.out), 10); /* at first; times; dir and leave; heads and ends of three files */
        scp_sink_done(&t.sink);
    }
}

static void test_sink_refuses_files_and_goes_on(UNUSED void **state)
{
    static const char script[] = "C0644 5 a\nD0755 0 d\nC0644 1 b\n";
    struct talk t;
    hear(&t, script, sizeof script - 1, NULL, true, SIZE_MAX, "no\nroom");
    assert_string_equal(t.said, "file a 644 5|dir d 755 0|file b 644 1|");
    assert_true(scp_sink_is_complete(&t.sink));
    assert_int_equal(buf_len(&t.sink.out), 1 + 3 * 14);
    assert_memory_equal(buf_bytes(&t.sink.out) + 1, "\1scp: no room\n", 14);
    scp_sink_done(&t.sink);
}

static void assert_bad(const char *script, size_t len, const char *pattern, bool recursive, int err)
{
    struct talk t;
    struct scp_sink_event e;
    struct view more = VIEW_LIT("C0644 0 x\n");
    hear(&t, script, len, pattern, recursive, SIZE_MAX, NULL);
    if (t.err != err) fail_msg("\"%s\" gave %d", script, t.err);
    assert_non_null(scp_sink_why(&t.sink));
    assert_int_equal(scp_sink_next(&t.sink, &more, &e), err); /* for good */
    assert_false(scp_sink_is_complete(&t.sink));
    scp_sink_done(&t.sink);
}
#define BAD(lit, pattern, recursive, err) assert_bad(lit, sizeof(lit) - 1, pattern, recursive, err)

static void test_sink_rejects_what_cannot_be_trusted(UNUSED void **state)
{
    BAD("C0644 1 ../x\n", NULL, false, ERR_DENIED);
    BAD("C0644 1 /x\n", NULL, false, ERR_DENIED);
    BAD("C0644 1 a/b\n", NULL, false, ERR_DENIED);
    BAD("C0644 1 ..\n", NULL, false, ERR_DENIED);
    BAD("C0644 1 .\n", NULL, false, ERR_DENIED);
    BAD("C0644 1 \n", NULL, false, ERR_DENIED);
    BAD("C0644 1 a\0b\n", NULL, false, ERR_DENIED);
    BAD("D0755 0 ..\n", NULL, true, ERR_DENIED);
    BAD("D0755 0 d\n", NULL, false, ERR_DENIED);
    BAD("C0644 1 b\n", "a", false, ERR_DENIED);
    BAD("C0644 1 .bashrc\n", "/x/y*.c", false, ERR_DENIED);
    BAD("D0755 0 .ssh\n", "dir", true, ERR_DENIED);
    BAD("C064 1 a\n", NULL, false, ERR_FORMAT);
    BAD("C0644 -1 a\n", NULL, false, ERR_FORMAT);
    BAD("C0648 1 a\n", NULL, false, ERR_FORMAT);
    BAD("C06441 1 a\n", NULL, false, ERR_FORMAT);
    BAD("C0644 99999999999999999999999 a\n", NULL, false, ERR_RANGE);
    BAD("C0644 9223372036854775808 a\n", NULL, false, ERR_RANGE);
    BAD("C0644 1\n", NULL, false, ERR_FORMAT);
    BAD("T1 0 2\n", NULL, false, ERR_FORMAT);
    BAD("T1 0 2 1000000\n", NULL, false, ERR_RANGE);
    BAD("T-1 0 2 0\n", NULL, false, ERR_FORMAT);
    BAD("E\n", NULL, true, ERR_FORMAT);
    BAD("\n", NULL, true, ERR_FORMAT);
    BAD("Welcome to this machine\n", NULL, true, ERR_FORMAT);
    BAD("C0644 1 a\nxC\n", NULL, false, ERR_FORMAT);
}

static void test_sink_bounds_lines_and_depth(UNUSED void **state)
{
    static char line[SCP_LINE_MAX_BYTES + 2];
    struct talk t;
    memset(line, 'a', sizeof line);
    memcpy(line, "C0644 1 ", 8);
    hear(&t, line, sizeof line, NULL, false, 100, NULL);
    assert_int_equal(t.err, ERR_LIMIT);
    scp_sink_done(&t.sink);
    line[8 + SCP_NAME_MAX_BYTES + 1] = '\n';
    hear(&t, line, 8 + SCP_NAME_MAX_BYTES + 2, NULL, false, SIZE_MAX, NULL);
    assert_int_equal(t.err, ERR_DENIED);
    scp_sink_done(&t.sink);
    struct scp_sink sink;
    struct scp_sink_event e;
    int got = 1;
    assert_int_equal(scp_sink_init(&sink, NULL, true), 0);
    for (size_t i = 0; i <= SCP_DEPTH_MAX; i++) {
        struct view in = VIEW_LIT("D0755 0 d\n");
        got = scp_sink_next(&sink, &in, &e);
        if (got == 1) assert_int_equal(scp_sink_answer(&sink, NULL), 0);
        buf_reset(&sink.out);
    }
    assert_int_equal(got, ERR_LIMIT);
    assert_int_equal(scp_sink_answer(&sink, NULL), ERR_STATE);
    scp_sink_done(&sink);
}

/* ---- requests ---- */

static void assert_patterns(const char *path, bool recursive, const char *expected)
{
    CLEANUP(strv_done) struct strv got = STRV_INIT;
    char text[1024] = "";
    assert_int_equal(scp_request_patterns(view_str(path), recursive, &got), 0);
    for (size_t i = 0; i < got.n; i++) {
        if (i) strncat(text, " ", sizeof text - 1 - strlen(text));
        strncat(text, got.v[i], sizeof text - 1 - strlen(text));
    }
    assert_string_equal(text, expected);
}

static void test_requests(UNUSED void **state)
{
    CLEANUP(strv_done) struct strv none = STRV_INIT;
    assert_patterns("a", false, "a");
    assert_patterns("/x/y/a*", false, "a*");
    assert_patterns("dir//", true, "dir");
    assert_patterns("{a,b}", false, "a b");
    assert_patterns("x/{a,b/c}{1,2}", false, "a1 a2 c1 c2");
    assert_patterns("f{a,{b,c}d}", false, "fa fbd fcd");
    assert_patterns("a{}b", false, "a{}b");
    assert_patterns("a{b", false, "a{b");
    assert_patterns("a\\{b,c\\}", false, "a\\{b,c\\}");
    assert_patterns("[{,}]", false, "[{,}]");
    assert_patterns("{a,}x", false, "ax x");
    assert_patterns("$HOME", true, "");
    assert_patterns("~", true, "");
    assert_patterns("$HOME", false, "$HOME");
    assert_patterns("$HOME/x", true, "x");
    assert_patterns("", false, "");
    assert_int_equal(scp_request_patterns(view_str("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"), false, &none),
                     ERR_LIMIT);
    struct talk t;
    HEAR(&t, "C0644 0 b1\n\0", "d/{a,b}?", false);
    assert_int_equal(t.err, 0);
    scp_sink_done(&t.sink);
}

/* ---- source ---- */

static void expect_out(struct scp_source *s, const char *text, size_t len)
{
    assert_int_equal(buf_len(&s->out), len);
    if (len) assert_memory_equal(buf_bytes(&s->out), text, len);
    buf_reset(&s->out);
}
#define EXPECT(s, lit) expect_out(s, lit, sizeof(lit) - 1)

static int hear_status(struct scp_source *s, struct view in, struct scp_answer *ret) { return scp_source_next(s, &in, ret); }

static void test_source_says_and_hears(UNUSED void **state)
{
    static const struct view good = VIEW_LIT("\0");
    struct scp_source s;
    struct scp_answer a;
    const struct scp_head plain = { .name = VIEW_LIT("a\nb"), .mode = 0100644, .size = 3 };
    const struct scp_head timed = {
        .name = VIEW_LIT("d"), .mode = 0755, .size = 7, .has_times = true, .mtime_s = 5, .atime_s = -6
    };
    scp_source_init(&s);
    assert_int_equal(scp_source_file(&s, &plain), ERR_STATE); /* the sink speaks first */
    assert_int_equal(hear_status(&s, good, &a), 1);
    assert_int_equal(scp_source_file(&s, &plain), 0);
    EXPECT(&s, "C0644 3 a\\^Jb\n");
    assert_int_equal(scp_source_file_end(&s, NULL), ERR_STATE);
    assert_int_equal(hear_status(&s, good, &a), 1);
    assert_true(a.good);
    scp_source_sent(&s, 3);
    assert_int_equal(scp_source_file_end(&s, "a: too bad"), 0);
    EXPECT(&s, "\1scp: a: too bad\n");
    assert_int_equal(hear_status(&s, VIEW_LIT("\1disk"), &a), 0);
    assert_int_equal(hear_status(&s, VIEW_LIT(" full\n"), &a), 1);
    assert_true(!a.good && !a.fatal && view_eq_str(a.text, "disk full"));
    assert_int_equal(scp_source_dir(&s, &timed), 0);
    EXPECT(&s, "T5 0 0 0\n");
    assert_int_equal(hear_status(&s, good, &a), 0);
    EXPECT(&s, "D0755 0 d\n");
    assert_int_equal(hear_status(&s, VIEW_LIT("\2no\n"), &a), 1);
    assert_true(!a.good && a.fatal);
    assert_int_equal(scp_source_leave(&s), 0);
    EXPECT(&s, "E\n");
    assert_int_equal(hear_status(&s, VIEW_LIT("what?\n"), &a), ERR_FORMAT);
    assert_true(view_eq_str(s.words, "what?"));
    assert_int_equal(hear_status(&s, good, &a), ERR_FORMAT);
    scp_source_done(&s);
}

static void test_source_refuses_names(UNUSED void **state)
{
    static const char *const names[] = { "", ".", "..", "a/b" };
    struct scp_source s;
    struct scp_answer a;
    scp_source_init(&s);
    assert_int_equal(hear_status(&s, VIEW_LIT("\0"), &a), 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct scp_head h = { .name = view_str(names[i]), .has_times = i % 2 };
        assert_int_equal(scp_source_file(&s, &h), ERR_FORMAT);
        assert_int_equal(buf_len(&s.out), 0);
    }
    assert_int_equal(scp_source_failed(&s, "x: gone"), 0);
    EXPECT(&s, "\1scp: x: gone\n");
    scp_source_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sink_takes_records),
        cmocka_unit_test(test_sink_refuses_files_and_goes_on),
        cmocka_unit_test(test_sink_rejects_what_cannot_be_trusted),
        cmocka_unit_test(test_sink_bounds_lines_and_depth),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_source_says_and_hears),
        cmocka_unit_test(test_source_refuses_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
