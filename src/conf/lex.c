/* Lines into words, as ssh_config(5) has it: blanks and tabs separate, single and double quotes group, a backslash keeps a quote, a
 * backslash or (outside quotes) a blank, a word that begins with # starts a comment. */
#include "conf/conf_int.h"

#include <stdlib.h>

/* What ends the fast run through a plain word: blanks, and what needs unquote. */
enum {
    BLANK = 1,
    SPECIAL = 2
};
static const uint8_t class_of[256] = { [' '] = BLANK,  ['\t'] = BLANK,  ['\r'] = BLANK,   ['\f'] = BLANK,
                                       ['\v'] = BLANK, ['"'] = SPECIAL, ['\''] = SPECIAL, ['\\'] = SPECIAL };

static bool is_blank(uint8_t c) { return class_of[c] == BLANK; }

void conf_lex_done(struct conf_lex *lex)
{
    free(lex->unquoted);
    lex->unquoted = NULL;
    lex->cap = lex->n = 0;
}

struct view conf_trim(struct view line)
{
    size_t from = 0, end = line.len;
    while (from < end && is_blank(line.p[from])) from++;
    while (from < end && is_blank(line.p[end - 1])) end--;
    return view_of(line.p + from, end - from);
}

static struct view skip_blanks(struct view line)
{
    size_t from = 0;
    while (from < line.len && is_blank(line.p[from])) from++;
    return view_of(line.p + from, line.len - from);
}

int conf_lex_keyword(struct view *line, struct view *ret_keyword)
{
    struct view in = *line;
    size_t n = 0, behind;
    if (in.len && in.p[0] == '"') {
        in = view_of(in.p + 1, in.len - 1);
        while (n < in.len && in.p[n] != '"') n++;
        if (n == in.len) return ERR_FORMAT;
        behind = n + 1;
    } else {
        while (n < in.len && !is_blank(in.p[n]) && in.p[n] != '=') n++;
        behind = n;
    }
    *ret_keyword = view_of(in.p, n);
    in = skip_blanks(view_of(in.p + behind, in.len - behind));
    if (in.len && in.p[0] == '=') in = skip_blanks(view_of(in.p + 1, in.len - 1));
    *line = in;
    return 0;
}

static bool is_escape(struct view in, size_t i, uint8_t quote)
{
    if (in.p[i] != '\\' || i + 1 >= in.len) return false;
    uint8_t next = in.p[i + 1];
    return next == '\'' || next == '"' || next == '\\' || (next == ' ' && quote == 0);
}

/* Copies one word with quotes or escapes from in[0..] to `to`. */
static int unquote(struct view in, char *to, size_t *ret_used, size_t *ret_len)
{
    size_t i = 0, n = 0;
    uint8_t quote = 0;
    for (; i < in.len && (quote || !is_blank(in.p[i])); i++) {
        uint8_t c = in.p[i];
        if (is_escape(in, i, quote))
            to[n++] = (char)in.p[++i];
        else if (quote == 0 && (c == '"' || c == '\''))
            quote = c;
        else if (quote && c == quote)
            quote = 0;
        else
            to[n++] = (char)c;
    }
    if (quote) return ERR_FORMAT;
    *ret_used = i;
    *ret_len = n;
    return 0;
}

static int reserve_unquoted(struct conf_lex *lex, size_t len)
{
    if (lex->cap >= len) return 0;
    char *p = realloc(lex->unquoted, len * 2);
    if (!p) return ERR_NOMEM;
    lex->unquoted = p;
    lex->cap = len * 2;
    return 0;
}

int conf_lex_words(struct conf_lex *lex, struct view line)
{
    size_t unquoted_len = 0;
    lex->n = 0;
    for (line = skip_blanks(line); line.len && line.p[0] != '#'; line = skip_blanks(line)) {
        if (lex->n == ARRAY_LEN(lex->words)) return ERR_LIMIT;
        size_t n = 0;
        while (n < line.len && class_of[line.p[n]] == 0) n++;
        if (n == line.len || is_blank(line.p[n])) {
            lex->words[lex->n++] = view_of(line.p, n);
        } else {
            size_t len;
            if (unquoted_len == 0) TRY(reserve_unquoted(lex, line.len));
            TRY(unquote(line, lex->unquoted + unquoted_len, &n, &len));
            lex->words[lex->n++] = view_of(lex->unquoted + unquoted_len, len);
            unquoted_len += len;
        }
        line = view_of(line.p + n, line.len - n);
    }
    return 0;
}

int conf_command_split(const char *command, struct strv *ret_words)
{
    struct conf_lex *lex = calloc(1, sizeof *lex);
    if (!lex) return ERR_NOMEM;
    int err = conf_lex_words(lex, view_str(command));
    for (size_t i = 0; err == 0 && i < lex->n; i++) err = strv_add(ret_words, lex->words[i]);
    conf_lex_done(lex);
    free(lex);
    return err;
}

int conf_lex_first(struct view line, char *to, size_t *ret_len, struct view *ret_rest)
{
    size_t used;
    line = skip_blanks(line);
    TRY(unquote(line, to, &used, ret_len));
    *ret_rest = skip_blanks(view_of(line.p + used, line.len - used));
    return 0;
}

static bool needs_quotes(struct view word)
{
    if (word.len == 0 || word.p[0] == '#') return true;
    for (size_t i = 0; i < word.len; i++)
        if (is_blank(word.p[i]) || word.p[i] == '"' || word.p[i] == '\'' || word.p[i] == '\\') return true;
    return false;
}

int conf_put_quoted(struct buf *out, struct view word)
{
    if (!needs_quotes(word)) return buf_put_view(out, word);
    TRY(buf_put_u8(out, '"'));
    for (size_t i = 0; i < word.len; i++) {
        if (word.p[i] == '"' || word.p[i] == '\'' || word.p[i] == '\\') TRY(buf_put_u8(out, '\\'));
        TRY(buf_put_u8(out, word.p[i]));
    }
    return buf_put_u8(out, '"');
}
