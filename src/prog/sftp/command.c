/* Splitting and understanding lines. */
#include "prog/sftp/command.h"

#include "base/buf.h"
#include "prog/sftp/sftp.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the table ---- */

#define R WORD_REMOTE
#define L WORD_LOCAL
/* clang-format off */
const struct command commands[] = {
    { "bye", "", NULL, 0, false, { 0 }, 0, cmd_quit, "", "Quit sftp" },
    { "cd", "", NULL, 0, false, { R }, 0, cmd_cd, "path", "Change remote directory to 'path'" },
    { "chdir", "", NULL, 0, false, { R }, 0, cmd_cd, NULL, NULL },
    { "chgrp", "h", "a path", 1, true, { R, R }, 10, cmd_chgrp, "[-h] grp path", "Change group of file 'path' to 'grp'" },
    { "chmod", "h", "a path", 1, true, { R, R }, 8, cmd_chmod, "[-h] mode path", "Change permissions of file 'path' to 'mode'" },
    { "chown", "h", "a path", 1, true, { R, R }, 10, cmd_chown, "[-h] own path", "Change owner of file 'path' to 'own'" },
    { "copy", "", "two paths", 2, false, { R, R }, 0, cmd_copy, "oldpath newpath", "Copy remote file" },
    { "cp", "", "two paths", 2, false, { R, R }, 0, cmd_copy, "oldpath newpath", "Copy remote file" },
    { "df", "hi", NULL, 0, false, { R }, 0, cmd_df, "[-hi] [path]", "Display statistics for current directory or\n"
      "                                   filesystem containing 'path'" },
    { "dir", "1afhlnrSt", NULL, 0, false, { R }, 0, cmd_ls, NULL, NULL },
    { "exit", "", NULL, 0, false, { 0 }, 0, cmd_quit, "", "Quit sftp" },
    { "get", "afpPRr", "at least one path", 1, false, { R, L }, 0, cmd_get, "[-afpR] remote [local]", "Download file" },
    { "help", "", NULL, 0, false, { 0 }, 0, cmd_help, "", "Display this help text" },
    { "lcd", "", NULL, 0, false, { L }, 0, cmd_lcd, "path", "Change local directory to 'path'" },
    { "lchdir", "", NULL, 0, false, { L }, 0, cmd_lcd, NULL, NULL },
    { "lls", NULL, NULL, 0, false, { L, L }, 0, cmd_lls, "[ls-options [path]]", "Display local directory listing" },
    { "lmkdir", "", "a path", 1, false, { L }, 0, cmd_lmkdir, "path", "Create local directory" },
    { "ln", "s", "two paths", 2, false, { R, R }, 0, cmd_link, "[-s] oldpath newpath", "Link remote file (-s for symlink)" },
    { "lpwd", "", NULL, 0, false, { 0 }, 0, cmd_lpwd, "", "Print local working directory" },
    { "ls", "1afhlnrSt", NULL, 0, false, { R }, 0, cmd_ls, "[-1afhlnrSt] [path]", "Display remote directory listing" },
    { "lumask", "", NULL, 0, true, { 0 }, 8, cmd_lumask, "umask", "Set local umask to 'umask'" },
    { "mget", "afpPRr", "at least one path", 1, false, { R, L }, 0, cmd_get, NULL, NULL },
    { "mkdir", "", "a path", 1, false, { R }, 0, cmd_mkdir, "path", "Create remote directory" },
    { "mput", "afpPRr", "at least one path", 1, false, { L, R }, 0, cmd_put, NULL, NULL },
    { "progress", "", NULL, 0, false, { 0 }, 0, cmd_progress, "", "Toggle display of progress meter" },
    { "put", "afpPRr", "at least one path", 1, false, { L, R }, 0, cmd_put, "[-afpR] local [remote]", "Upload file" },
    { "pwd", "", NULL, 0, false, { 0 }, 0, cmd_pwd, "", "Display remote working directory" },
    { "quit", "", NULL, 0, false, { 0 }, 0, cmd_quit, "", "Quit sftp" },
    { "reget", "afpPRr", "at least one path", 1, false, { R, L }, 0, cmd_reget, "[-fpR] remote [local]", "Resume download file" },
    { "rename", "l", "two paths", 2, false, { R, R }, 0, cmd_rename, "[-l] oldpath newpath", "Rename remote file" },
    { "reput", "afpPRr", "at least one path", 1, false, { L, R }, 0, cmd_reput, "[-fpR] local [remote]", "Resume upload file" },
    { "rm", "", "a path", 1, false, { R, R }, 0, cmd_rm, "path", "Delete remote file" },
    { "rmdir", "", "a path", 1, false, { R }, 0, cmd_rmdir, "path", "Remove remote directory" },
    { "symlink", "", "two paths", 2, false, { R, R }, 0, cmd_symlink, "oldpath newpath", "Symlink remote file" },
    { "version", "", NULL, 0, false, { 0 }, 0, cmd_version, "", "Show SFTP version" },
    { "!", NULL, NULL, 0, false, { L, L }, 0, cmd_shell, NULL, NULL },
    { "?", "", NULL, 0, false, { 0 }, 0, cmd_help, NULL, NULL },
};
/* clang-format on */
#undef R
#undef L
const size_t n_commands = ARRAY_LEN(commands);

const struct command *command_find(struct view name)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strlen(commands[i].name) == name.len && strncasecmp(commands[i].name, (const char *)name.p, name.len) == 0)
            return &commands[i];
    return NULL;
}

/* ---- words ---- */

struct splitter {
    struct view text;
    size_t at;
    char quote;
};

/* A character that stands for itself. */
static int put_literal(struct buf *word, uint8_t c)
{
    if (memchr("*?[]\\", c, 5)) TRY(buf_put_u8(word, '\\'));
    return buf_put_u8(word, c);
}

static int put_quoted(struct splitter *s, struct buf *word)
{
    uint8_t c = s->text.p[s->at];
    uint8_t next = s->at + 1 < s->text.len ? s->text.p[s->at + 1] : 0;
    if (c == '\\' && (next == s->quote || next == '\\')) {
        s->at++;
        return put_literal(word, next);
    }
    if (c != s->quote) return put_literal(word, c);
    s->quote = 0;
    return 0;
}

static int put_plain(struct splitter *s, struct buf *word)
{
    uint8_t c = s->text.p[s->at];
    if (c == '\'' || c == '"') {
        s->quote = (char)c;
        return 0;
    }
    if (c != '\\') return buf_put_u8(word, c);
    if (s->at + 1 == s->text.len) return 0;
    return put_literal(word, s->text.p[++s->at]);
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f'; }

static void skip_blanks(struct splitter *s)
{
    while (s->at < s->text.len && is_blank(s->text.p[s->at])) s->at++;
}

/* 1: a word is there; 0: the end. s->quote is not 0 if its quote has no end. */
static int next_word(struct splitter *s, struct buf *word)
{
    skip_blanks(s);
    buf_reset(word);
    if (s->at == s->text.len || s->text.p[s->at] == '#') return 0;
    for (; s->at < s->text.len; s->at++) {
        uint8_t c = s->text.p[s->at];
        if (!s->quote && (is_blank(c) || c == '#')) break;
        TRY(s->quote ? put_quoted(s, word) : put_plain(s, word));
    }
    return 1;
}

int words_split(struct view text, struct strv *ret)
{
    struct splitter s = { .text = text };
    CLEANUP(buf_done) struct buf word = BUF_INIT(2 * COMMAND_LINE_MAX_BYTES);
    int got;
    while ((got = next_word(&s, &word)) == 1) {
        if (s.quote) return ERR_FORMAT;
        if (ret->n == COMMAND_WORDS_MAX) return ERR_LIMIT;
        TRY(strv_add(ret, buf_view(&word)));
    }
    return got;
}

int words_last(struct view text, struct last_word *ret)
{
    struct splitter s = { .text = text };
    CLEANUP(buf_done) struct buf word = BUF_INIT(2 * COMMAND_LINE_MAX_BYTES);
    struct last_word l = { .begin = text.len };
    for (;;) {
        skip_blanks(&s);
        l.begin = s.at;
        int got = next_word(&s, &word);
        TRY(got);
        if (got == 0 || s.at == text.len) break;
        l.n_before++;
    }
    l.quote = s.quote;
    CLEANUP(freep) char *pattern = view_dup_str(buf_view(&word));
    l.word = pattern ? remote_glob_unescape(pattern) : NULL;
    if (!l.word) return ERR_NOMEM;
    *ret = l;
    return 0;
}

char *word_quote(const char *word, char quote)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(4 * COMMAND_LINE_MAX_BYTES);
    const char own[] = { quote, '\\', 0 };
    const char *special = quote ? own : " \t\r\n\v\f'\"\\#*?[]";
    for (; *word; word++) {
        if (strchr(special, *word) && buf_put_u8(&b, '\\') < 0) return NULL;
        if (buf_put_u8(&b, (uint8_t)*word) < 0) return NULL;
    }
    return view_dup_str(buf_view(&b));
}

/* ---- lines ---- */

void line_done(struct line *l)
{
    strv_done(&l->words);
    l->command = NULL;
}

static const char *take_prefixes(const char *text, struct line *l)
{
    text += strspn(text, " \t");
    for (; *text == '@' || *text == '-'; text++) {
        bool *which = *text == '@' ? &l->quiet : &l->may_fail;
        if (*which) break;
        *which = true;
    }
    return text + strspn(text, " \t");
}

#define WHY(...) (snprintf(ret_why, COMMAND_WHY_BYTES, __VA_ARGS__), ERR_FORMAT)

/* Flags end at the first word that is none. *ret_used: words that are flags. */
static int take_flags(struct line *l, const struct strv *words, size_t *ret_used, char ret_why[COMMAND_WHY_BYTES])
{
    const struct command *c = l->command;
    size_t at = 1;
    for (; at < words->n && words->v[at][0] == '-' && words->v[at][1]; at++) {
        if (strcmp(words->v[at], "--") == 0) {
            at++;
            break;
        }
        for (const char *f = words->v[at] + 1; *f; f++) {
            bool known = *f != '\\' && (unsigned char)*f < ARRAY_LEN(l->flags) && strchr(c->flags, *f);
            if (!known && isprint((unsigned char)*f)) return WHY("%s: Invalid flag -%c", c->name, *f);
            if (!known) return WHY("%s: Invalid flag", c->name);
            l->flags[(unsigned char)*f] = true;
        }
    }
    *ret_used = at;
    return 0;
}

static bool read_number(const char *text, unsigned base, unsigned long *ret)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, (int)base);
    if (errno || !isdigit((unsigned char)*text) || *end || n > (base == 8 ? 07777 : UINT32_MAX)) return false;
    *ret = n;
    return true;
}

static int take_words(struct line *l, const struct strv *words, char ret_why[COMMAND_WHY_BYTES])
{
    const struct command *c = l->command;
    size_t at;
    TRY(take_flags(l, words, &at, ret_why));
    if (c->number && (at == words->n || !read_number(words->v[at++], c->base, &l->number)))
        return WHY("You must supply a numeric argument to the %s command.", c->name);
    if (words->n - at < c->n_needed) return WHY("You must specify %s after a %s command.", c->needs, c->name);
    for (; at < words->n; at++) TRY(strv_add(&l->words, view_str(words->v[at])));
    return 0;
}

int line_parse(const char *text, struct line *ret, char ret_why[COMMAND_WHY_BYTES])
{
    CLEANUP(strv_done) struct strv words = STRV_INIT;
    *ret = (struct line){ .words = STRV_INIT };
    text = take_prefixes(text, ret);
    size_t len = *text == '!' ? 1 : strcspn(text, " \t\r\n");
    if (len == 0 || *text == '#') return 0;
    ret->command = command_find(view_of(text, len));
    if (ret->command && !ret->command->flags) {
        ret->rest = text + len + strspn(text + len, " \t");
        return 0;
    }
    int err = strlen(text) > COMMAND_LINE_MAX_BYTES ? ERR_LIMIT : words_split(view_str(text), &words);
    if (err == ERR_FORMAT) return WHY("Unterminated quoted argument");
    if (err == ERR_LIMIT) return WHY("Too many arguments.");
    TRY(err);
    ret->command = words.n ? command_find(view_str(words.v[0])) : NULL;
    if (words.n == 0) return 0;
    if (!ret->command || !ret->command->flags) return WHY("Invalid command.");
    return take_words(ret, &words, ret_why);
}
