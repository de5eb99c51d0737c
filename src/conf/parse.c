/* Stage one: the bytes of a file, and of what it includes, into an image. Checks everything that does not depend on who connects
 * where. */
#include "conf/conf_int.h"

#include "base/pattern.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct conf_include {
    const struct conf_parse_args *args;
    const struct conf_table *table;
    struct conf_index index;
    struct conf_lex lex;
    struct buf out;
    struct conf_writer writer;
    struct conf_where where;   /* the line being read */
    struct conf_parse_ctx ctx; /* too large to be cleared for each line */
    struct view match[2 * CONF_ARGS_MAX];
    char *ignore_unknown;
    uint32_t block; /* open Host or Match record of this file, 0: none */
    unsigned depth;
    bool in_match; /* sshd: this line, or the Include that led here, is in a Match block */
};

int conf_keyword_resolve(const struct conf_index *x, const struct conf_table *t, struct view keyword, const char *ignore_unknown,
                         const struct conf_where *where, const struct conf_option **ret_opt, const struct conf_word **ret_word)
{
    const struct conf_option *opt;
    const struct conf_word *word;
    char shown[CONF_KEYWORD_MAX];
    conf_index_find(x, t, keyword, &opt, &word);
    *ret_opt = opt;
    *ret_word = NULL;
    if (opt) return 0;
    if (!word) {
        if (ignore_unknown && pattern_list_match_nocase(keyword, view_str(ignore_unknown)) == 1) return 0;
        const char *near = conf_nearest(t, keyword);
        conf_diag_error(where->diag,
                        near ? "%s: line %u: Bad configuration option: %s (did you mean %s?)"
                             : "%s: line %u: Bad configuration option: %s",
                        where->file, where->line, conf_shown(where->program == CONF_SSHD, keyword, shown), near);
        return ERR_FORMAT;
    }
    if (word->kind == CONF_WORD_ALIAS) *ret_opt = &t->options[word->target];
    if (word->kind >= CONF_WORD_HOST) *ret_word = word;
    if (word->kind == CONF_WORD_DEPRECATED || word->kind == CONF_WORD_UNSUPPORTED) {
        bool is_server = where->program == CONF_SSHD;
        conf_shown(is_server, keyword, shown);
        const char *kind = word->kind == CONF_WORD_DEPRECATED ? "Deprecated" : "Unsupported";
        conf_diag_warn(where->diag, is_server ? "%s line %u: %s option %s%s%s" : "%s line %u: %s option \"%s\"%s%s", where->file,
                       where->line, kind, shown, word->advice ? "; use " : "", word->advice ? word->advice : "");
    }
    return 0;
}

static void close_block(struct conf_include *p)
{
    if (p->block) conf_writer_skip_here(&p->writer, p->block);
    p->block = 0;
}

static int put_record(struct conf_include *p, unsigned kind, const struct view *args, size_t n, uint32_t *ret_off)
{
    return conf_writer_put(&p->writer, kind, p->where.line, args, n, ret_off);
}

static int parse_host(struct conf_include *p, const struct conf_words *words, struct conf_parse_ctx *ctx UNUSED)
{
    uint32_t off;
    close_block(p);
    TRY(put_record(p, CONF_REC_HOST, words->v, words->n, &off));
    p->block = off;
    return 0;
}

static int parse_match(struct conf_include *p, const struct conf_words *words, struct conf_parse_ctx *ctx)
{
    size_t n = 0;
    uint32_t off;
    close_block(p);
    p->in_match = true;
    int err = conf_match_compile(p->args->program, words, ctx, p->match, &n);
    if (err == ERR_FORMAT) {
        conf_diag_at(&p->where, "Bad Match condition: %s", ctx->message);
        return 0;
    }
    TRY(err);
    TRY(put_record(p, CONF_REC_MATCH, p->match, n, &off));
    p->block = off;
    return 0;
}

static int include_pattern(struct conf_include *p, struct view pattern)
{
    CLEANUP(freep) char *text = view_dup_str(pattern);
    if (!text) return ERR_NOMEM;
    size_t n_errors = p->args->diag->n_errors;
    int err = p->args->reader->include(p->args->reader->arg, text, p);
    if (err == ERR_NOMEM || err == ERR_LIMIT) return err;
    if (err < 0 && p->args->diag->n_errors == n_errors) conf_diag_at(&p->where, "Include %s: %s", text, err_text(err));
    return 0;
}

static int parse_include(struct conf_include *p, const struct conf_words *words, struct conf_parse_ctx *ctx UNUSED)
{
    uint32_t off;
    if (!p->args->reader) {
        conf_diag_at(&p->where, "Include is not possible here");
        return 0;
    }
    if (p->depth >= CONF_INCLUDE_DEPTH_MAX) {
        conf_diag_at(&p->where, "Too many recursive configuration includes (at most %d)", CONF_INCLUDE_DEPTH_MAX);
        return 0;
    }
    TRY(put_record(p, CONF_REC_INCLUDE, NULL, 0, &off));
    /* the patterns are views of this file or of lex, which the included file is going to use */
    CLEANUP(strv_done) struct strv patterns = STRV_INIT;
    for (size_t i = 0; i < words->n; i++) TRY(strv_add(&patterns, words->v[i]));
    for (size_t i = 0; i < patterns.n; i++) TRY(include_pattern(p, view_str(patterns.v[i])));
    conf_writer_skip_here(&p->writer, off);
    return 0;
}

static void note_ignore_unknown(struct conf_include *p, const struct conf_option *opt, struct view patterns)
{
    if (p->ignore_unknown || p->args->program != CONF_SSH || strcmp(opt->name, "IgnoreUnknown") != 0) return;
    p->ignore_unknown = view_dup_str(patterns); /* without memory the next unknown keyword is an error, which is the safe side */
}

static int parse_option(struct conf_include *p, const struct conf_option *opt, const struct conf_words *words,
                        struct conf_parse_ctx *ctx)
{
    uint32_t off;
    char shown[CONF_KEYWORD_MAX];
    if (opt->scope == CONF_SCOPE_GLOBAL && p->in_match) {
        conf_diag_at(&p->where, "Directive '%s' is not allowed within a Match block", conf_shown(true, ctx->keyword, shown));
        return 0;
    }
    int err = conf_option_check(opt, words, ctx);
    if (err == ERR_FORMAT) {
        conf_diag_option_error(&p->where, ctx);
        return 0;
    }
    TRY(err);
    if (opt->type->wants_raw) return put_record(p, opt->idx, &words->raw, 1, &off);
    note_ignore_unknown(p, opt, words->v[0]);
    return put_record(p, opt->idx, words->v, words->n, &off);
}

static int parse_block_word(struct conf_include *p, const struct conf_word *word, const struct conf_words *words,
                            struct conf_parse_ctx *ctx)
{
    static int (*const handlers[])(struct conf_include *, const struct conf_words *, struct conf_parse_ctx *) = {
        [CONF_WORD_HOST] = parse_host, [CONF_WORD_MATCH] = parse_match, [CONF_WORD_INCLUDE] = parse_include
    };
    if (words->n) return handlers[word->kind](p, words, ctx);
    conf_complain(ctx, "no argument");
    conf_diag_option_error(&p->where, ctx);
    return 0;
}

static int parse_line(struct conf_include *p, struct view line)
{
    struct view keyword;
    const struct conf_option *opt;
    const struct conf_word *word;
    line = conf_trim(line);
    if (line.len == 0 || line.p[0] == '#') return 0;
    if (line.len > CONF_LINE_BYTES_MAX) {
        conf_diag_at(&p->where, "line too long: %zu bytes, at most %d are allowed", line.len, CONF_LINE_BYTES_MAX);
        return 0;
    }
    int err = conf_lex_keyword(&line, &keyword);
    if (err == 0 && keyword.len == 0) return 0;
    if (err == 0) {
        const char *ignore = p->args->ignore_unknown ? p->args->ignore_unknown : p->ignore_unknown;
        err = conf_keyword_resolve(&p->index, p->table, keyword, ignore, &p->where, &opt, &word);
        if (err == ERR_FORMAT || (err == 0 && !opt && !word)) return 0;
        TRY(err);
        err = conf_lex_words(&p->lex, line);
    }
    if (err == ERR_NOMEM) return err;
    if (err < 0) {
        conf_diag_at(&p->where, err == ERR_LIMIT ? "too many words" : "invalid quotes");
        return 0;
    }
    p->ctx.keyword = keyword;
    struct conf_words words = { .v = p->lex.words, .n = p->lex.n, .raw = line };
    return opt ? parse_option(p, opt, &words, &p->ctx) : parse_block_word(p, word, &words, &p->ctx);
}

static int parse_lines(struct conf_include *p, struct view bytes)
{
    p->where.line = 0;
    while (bytes.len) {
        const uint8_t *newline = memchr(bytes.p, '\n', bytes.len);
        size_t n = newline ? (size_t)(newline - bytes.p) : bytes.len;
        p->where.line++;
        TRY(parse_line(p, view_of(bytes.p, n)));
        bytes = view_sub(bytes, n + 1, SIZE_MAX);
    }
    return 0;
}

static int parse_file(struct conf_include *p, const char *name, struct view bytes)
{
    p->where.file = name;
    p->where.line = 1;
    if (bytes.len > CONF_FILE_BYTES_MAX) {
        conf_diag_at(&p->where, "file too large: at most %d bytes are allowed", CONF_FILE_BYTES_MAX);
        return 0;
    }
    const uint8_t *nul = bytes.len ? memchr(bytes.p, '\0', bytes.len) : NULL;
    if (nul) {
        for (const uint8_t *c = bytes.p; c < nul; c++) p->where.line += *c == '\n';
        conf_diag_at(&p->where, "NUL character: this is not a configuration file");
        return 0;
    }
    /* an image is about twice the size of its file */
    uint8_t *room;
    if (bytes.len * 2 + 256 < buf_room(&p->out)) TRY(buf_reserve(&p->out, bytes.len * 2 + 256, &room));
    TRY(conf_writer_file(&p->writer, name));
    TRY(parse_lines(p, bytes));
    close_block(p);
    return 0;
}

int conf_include_file(struct conf_include *into, const char *file_name, struct view bytes)
{
    const struct conf_where where = into->where;
    const uint32_t block = into->block, file = into->writer.file;
    const bool in_match = into->in_match;
    into->depth++;
    into->block = 0;
    int err = parse_file(into, file_name, bytes);
    into->depth--;
    into->where = where;
    into->block = block;
    into->writer.file = file;
    into->in_match = in_match;
    return err;
}

void conf_include_error(struct conf_include *into, const char *fmt, ...)
{
    char message[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    conf_diag_at(&into->where, "%s", message);
}

static void parser_freep(struct conf_include **p)
{
    if (!*p) return;
    conf_lex_done(&(*p)->lex);
    buf_done(&(*p)->out);
    free((*p)->ignore_unknown);
    free(*p);
}

int conf_parse(const struct conf_parse_args *args, struct view bytes, struct conf_image *ret)
{
    CLEANUP(parser_freep) struct conf_include *p = calloc(1, sizeof(*p));
    if (!p) return ERR_NOMEM;
    p->args = args;
    p->table = conf_table_of(args->program);
    p->where = (struct conf_where){ .program = args->program, .file = args->file_name, .diag = args->diag };
    buf_init(&p->out, CONF_IMAGE_BYTES_MAX);
    p->writer.out = &p->out;
    p->ctx.algs = args->algs;
    p->ctx.is_server = args->program == CONF_SSHD;
    conf_index_init(&p->index, p->table);
    size_t n_errors = args->diag->n_errors;
    TRY(conf_writer_begin(&p->writer, p->table));
    TRY(parse_file(p, args->file_name, bytes));
    n_errors = args->diag->n_errors - n_errors;
    if (n_errors) {
        conf_diag_error(args->diag, "%s: terminating, %zu bad configuration options", args->file_name, n_errors);
        return ERR_FORMAT;
    }
    conf_writer_end(&p->writer);
    ret->mem = p->out;
    buf_init(&p->out, 0);
    ret->bytes = buf_view(&ret->mem);
    return 0;
}
