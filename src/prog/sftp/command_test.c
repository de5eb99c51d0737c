/* Lines as users type them: quoting as sftp(1) of OpenSSH 9.2 takes it, flags, numbers, what is missing; and the unfinished ones.
 */
#include "prog/sftp/command.h"

#include "io/remote_glob.h"
#include "prog/sftp/sftp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* The words, joined by '|'; "open": a quote has no end. */
static void assert_words(const char *text, const char *expected)
{
    CLEANUP(strv_done) struct strv words = STRV_INIT;
    char said[512] = "";
    int err = words_split(view_str(text), &words);
    for (size_t i = 0; i < words.n; i++) {
        if (i) strcat(said, "|");
        strcat(said, words.v[i]);
    }
    assert_string_equal(err == ERR_FORMAT ? "open" : said, expected);
}

static void test_quoting(void **state)
{
    (void)state;
    assert_words("a b\tc  ", "a|b|c");
    assert_words("a\\ b", "a b");
    assert_words("\"c\\\"d\"", "c\"d");
    assert_words("'e\\f'", "e\\\\f"); /* a backslash that is only itself */
    assert_words("g\\*h *", "g\\*h|*");
    assert_words("\"i\\nj\"", "i\\\\nj");
    assert_words("k\"l\"m", "klm");
    assert_words("n#o p", "n");
    assert_words("'n#o' p # q", "n#o|p");
    assert_words("\"p*q\" '?' \\[x]", "p\\*q|\\?|\\[x]");
    assert_words("r\\qs", "rqs");
    assert_words("x'y\\'z'", "xy'z");
    assert_words("'t\"u' \"v'w\"", "t\"u|v'w");
    assert_words("\"a\\\\b\"", "a\\\\b");
    assert_words("bb\\", "bb");
    assert_words("\"\" ''", "|");
    assert_words("", "");
    assert_words("\"a", "open");
    assert_words("a 'b\\'", "open");
    assert_words("h\xc3\xa9 \xff", "h\xc3\xa9|\xff");
}

static void assert_bad(const char *text, const char *expected)
{
    CLEANUP(line_done) struct line l;
    char why[COMMAND_WHY_BYTES];
    assert_int_equal(line_parse(text, &l, why), ERR_FORMAT);
    assert_string_equal(why, expected);
}

static void test_complaints(void **state)
{
    (void)state;
    assert_bad("foo", "Invalid command.");
    assert_bad("- -pwd", "Invalid command.");
    assert_bad("\"!\" x", "Invalid command.");
    assert_bad("get", "You must specify at least one path after a get command.");
    assert_bad("rm", "You must specify a path after a rm command.");
    assert_bad("rename a", "You must specify two paths after a rename command.");
    assert_bad("chmod", "You must supply a numeric argument to the chmod command.");
    assert_bad("chmod 9 a", "You must supply a numeric argument to the chmod command.");
    assert_bad("chmod 0644x a", "You must supply a numeric argument to the chmod command.");
    assert_bad("chmod 644", "You must specify a path after a chmod command.");
    assert_bad("chown 99999999999 a", "You must supply a numeric argument to the chown command.");
    assert_bad("lumask x", "You must supply a numeric argument to the lumask command.");
    assert_bad("ls -lZ", "ls: Invalid flag -Z");
    assert_bad("ls '-*'", "ls: Invalid flag -\\");
    assert_bad("ls -\xc3\xa9", "ls: Invalid flag");
    assert_bad("get 'a", "Unterminated quoted argument");
}

static void test_lines(void **state)
{
    (void)state;
    struct line l;
    char why[COMMAND_WHY_BYTES];
    assert_int_equal(line_parse(" -@ get -rp -a 'x y' z", &l, why), 0);
    assert_true(l.quiet && l.may_fail && l.flags['r'] && l.flags['p'] && l.flags['a'] && !l.flags['f']);
    assert_ptr_equal(l.command->run, cmd_get);
    assert_int_equal(l.words.n, 2);
    assert_string_equal(l.words.v[0], "x y");
    line_done(&l);
    assert_int_equal(line_parse("get -- -p", &l, why), 0);
    assert_true(l.words.n == 1 && !l.flags['p']);
    line_done(&l);
    assert_int_equal(line_parse("get b -p", &l, why), 0); /* flags come first */
    assert_true(l.words.n == 2 && !l.flags['p']);
    line_done(&l);
    assert_int_equal(line_parse("CHMOD -h 0755 x", &l, why), 0);
    assert_true(l.number == 0755 && l.flags['h'] && l.words.n == 1);
    line_done(&l);
    assert_int_equal(line_parse("!echo 'a", &l, why), 0);
    assert_string_equal(l.rest, "echo 'a");
    line_done(&l);
    assert_int_equal(line_parse("lls -l \"x\"", &l, why), 0);
    assert_string_equal(l.rest, "-l \"x\"");
    line_done(&l);
    static const char *const nothing[] = { "", "   ", "# get x", "-# x", "@", "-" };
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
        assert_int_equal(line_parse(nothing[i], &l, why), 0);
        assert_null(l.command);
        line_done(&l);
    }
}

static void assert_last(const char *text, const char *word, char quote, size_t n_before)
{
    struct last_word last;
    assert_int_equal(words_last(view_str(text), &last), 0);
    assert_string_equal(last.word, word);
    assert_int_equal(last.quote, quote);
    assert_int_equal(last.n_before, n_before);
    free(last.word);
}

static void test_unfinished(void **state)
{
    (void)state;
    assert_last("", "", 0, 0);
    assert_last("ge", "ge", 0, 0);
    assert_last("get ", "", 0, 1);
    assert_last("get a\\ b", "a b", 0, 1);
    assert_last("get \"a b", "a b", '"', 1);
    assert_last("get 'x' \"a\\\"", "a\"", '"', 2);
    static const char *const names[] = { "plain", "a b", "q'\"\\*?[]#", "\xc3\xa9", "" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (size_t q = 0; q < 3; q++) {
            char quote = "\0'\""[q], typed[128];
            CLEANUP(freep) char *quoted = word_quote(names[i], quote);
            snprintf(typed, sizeof typed, "get %s%s", quote ? (char[]){ quote, 0 } : "", quoted);
            assert_last(typed, names[i], quote, 1);
        }
    }
}

static void test_scaled(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = { { 0, "0B" },
                 { 89, "89B" },
                 { 999, "999B" },
                 { 1650, "1.6K" },
                 { 4096, "4.0K" },
                 { 573928, "561K" },
                 { 20722229248, "19.3G" },
                 { 270553174016, "252G" },
                 { UINT64_MAX, "16.0E" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[SCALED_BYTES];
        scaled(rows[i].bytes, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_modes(void **state)
{
    (void)state;
    static const struct {
        uint32_t mode;
        const char *text;
    } rows[] = { { 0100644, "-rw-r--r--" }, { 0040755, "drwxr-xr-x" }, { 0107777, "-rwsrwsrwt" }, { 0106000, "---S--S---" },
                 { 0041777, "drwxrwxrwt" }, { 0041000, "d--------T" }, { 0120777, "lrwxrwxrwx" }, { 0010000, "p---------" },
                 { 0020600, "crw-------" }, { 0060600, "brw-------" }, { 0140600, "srw-------" }, { 0, "?---------" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[MODE_TEXT_BYTES];
        mode_text(rows[i].mode, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting),    cmocka_unit_test(test_complaints), cmocka_unit_test(test_lines),
        cmocka_unit_test(test_unfinished), cmocka_unit_test(test_scaled),     cmocka_unit_test(test_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
