/* Any line: it is understood or not, and a word that is quoted is the same word again. */
#include "prog/sftp/sftp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_quoting(const char *word)
{
    for (size_t q = 0; q < 3; q++) {
        char quote = "\0'\""[q];
        CLEANUP(freep) char *quoted = word_quote(word, quote);
        CLEANUP(buf_done) struct buf line = BUF_INIT(8 * COMMAND_LINE_MAX_BYTES);
        struct last_word last;
        CHECK(quoted);
        CHECK(buf_printf(&line, "x %.1s%s", quote ? &quote : "", quoted) == 0);
        if (words_last(buf_view(&line), &last) < 0) continue;
        CHECK(strcmp(last.word, word) == 0);
        CHECK(last.quote == quote);
        free(last.word);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = view_dup_str(view_of(data, MIN(size, (size_t)4096)));
    CLEANUP(line_done) struct line l = { .words = STRV_INIT };
    char why[COMMAND_WHY_BYTES];
    struct last_word last;
    CHECK(text);
    if (strlen(text) != MIN(size, (size_t)4096)) return 0;
    (void)!line_parse(text, &l, why);
    for (size_t i = 0; i < l.words.n; i++) {
        CLEANUP(freep) char *word = remote_glob_unescape(l.words.v[i]);
        CHECK(word);
        check_quoting(word);
    }
    if (words_last(view_str(text), &last) == 0) {
        CHECK(last.begin <= strlen(text));
        free(last.word);
    }
    return 0;
}
