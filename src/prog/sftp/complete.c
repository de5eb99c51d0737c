/* What an unfinished line can become: commands, names here, names there. */
#include "os/file.h"
#include "prog/sftp/sftp.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static int add_commands(const char *word, struct strv *ret)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strncasecmp(commands[i].name, word, strlen(word)) == 0 && commands[i].name[0] != '?' && commands[i].name[0] != '!')
            TRY(strv_add(ret, view_str(commands[i].name)));
    return 0;
}

/* Everything in front of the last slash, with it. Caller frees. */
static char *front_of(const char *word)
{
    const char *slash = strrchr(word, '/');
    return view_dup_str(view_of(word, slash ? (size_t)(slash - word) + 1 : 0));
}

static bool fits(const char *name, const char *part)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
    if (name[0] == '.' && part[0] != '.') return false;
    return strncmp(name, part, strlen(part)) == 0;
}

static int add_name(struct strv *ret, const char *front, const char *name, bool is_dir)
{
    CLEANUP(buf_done) struct buf b = BUF_INIT(COMMAND_LINE_MAX_BYTES);
    TRY(buf_printf(&b, "%s%s%s", front, name, is_dir ? "/" : ""));
    return strv_add(ret, buf_view(&b));
}

static int add_remote(struct sftp *s, const char *word, struct strv *ret)
{
    CLEANUP(remote_names_done) struct remote_names names = REMOTE_NAMES_INIT;
    CLEANUP(freep) char *front = front_of(word);
    uint32_t status;
    if (!front) return ERR_NOMEM;
    CLEANUP(freep) char *dir = *front == '/' ? view_dup_str(view_str(front)) : remote_path_join(s->pwd, view_str(front));
    if (!dir) return ERR_NOMEM;
    TRY(remote_list(s->conn, dir, &s->interrupted, &names, &status));
    remote_names_sort(&names);
    for (size_t i = 0; i < names.n; i++) {
        const struct remote_name *n = &names.v[i];
        bool is_dir = n->attrs.flags & SFTP_ATTR_PERMISSIONS && S_ISDIR(n->attrs.permissions);
        if (fits(n->name, word + strlen(front))) TRY(add_name(ret, front, n->name, is_dir));
    }
    return 0;
}

/* As a pattern, so that glob(3) may sort and read. */
static int add_local(const char *word, struct strv *ret)
{
    CLEANUP(strv_done) struct strv paths = STRV_INIT;
    CLEANUP(freep) char *front = front_of(word);
    CLEANUP(freep) char *quoted = word_quote(word, 0);
    CLEANUP(buf_done) struct buf pattern = BUF_INIT(4 * COMMAND_LINE_MAX_BYTES);
    if (!front || !quoted) return ERR_NOMEM;
    TRY(buf_printf(&pattern, "%s*", quoted));
    const char *text = buf_cstr(&pattern);
    if (!text) return ERR_NOMEM;
    TRY(file_glob(text, &paths));
    for (size_t i = 0; i < paths.n; i++) {
        const char *path = paths.v[i], *name = path + strlen(front);
        if (fits(name, word + strlen(front))) TRY(add_name(ret, front, name, file_is_dir(path)));
    }
    return 0;
}

static size_t skip_prefixes(struct view line)
{
    size_t at = 0;
    while (at < line.len && memchr(" \t@-", line.p[at], 4)) at++;
    return at;
}

/* Which word it is, behind flags and a number. */
static enum word_kind kind_of(struct view line, const struct last_word *last)
{
    CLEANUP(strv_done) struct strv words = STRV_INIT;
    if (words_split(view_sub(line, 0, last->begin), &words) < 0 || words.n == 0) return WORD_NONE;
    const struct command *c = command_find(view_str(words.v[0]));
    size_t place = words.n - 1;
    if (!c) return WORD_NONE;
    for (size_t i = 1; i < words.n && words.v[i][0] == '-'; i++) place--;
    if (c->number && place-- == 0) return WORD_NONE;
    return c->kinds[MIN(place, ARRAY_LEN(c->kinds) - 1)];
}

int complete(struct sftp *s, struct view line, struct strv *ret_names, struct last_word *ret_last)
{
    size_t skipped = skip_prefixes(line);
    struct last_word last;
    line = view_sub(line, skipped, line.len);
    TRY(words_last(line, &last));
    int err = 0;
    if (last.n_before == 0) {
        err = add_commands(last.word, ret_names);
    } else {
        enum word_kind kind = kind_of(line, &last);
        if (kind == WORD_REMOTE) err = add_remote(s, last.word, ret_names);
        if (kind == WORD_LOCAL) err = add_local(last.word, ret_names);
    }
    last.begin += skipped;
    *ret_last = last;
    return err;
}
