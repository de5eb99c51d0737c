/* What all options have in common, whichever program's: setting, defaults, copies, dumps, origins, transfer. Knows rows and types,
 * no keyword. */
#include "conf/conf_int.h"

#include "base/rd.h"
#include "base/wr.h"

#include <stdlib.h>

enum {
    VALUE_BYTES_MAX = 256,
    WORDS_FAST = 32,
    EXPORT_LINE_MAX = 1 << 20
};

static struct conf_origin *origins(const struct conf_table *t, const void *o)
{
    return (struct conf_origin *)(void *)((char *)(uintptr_t)o + t->origin_offset);
}
static struct strv *files(const struct conf_table *t, const void *o)
{
    return (struct strv *)(void *)((char *)(uintptr_t)o + t->files_offset);
}

struct conf_origin *conf_any_origin(struct conf_any a, unsigned idx) { return &origins(a.table, a.options)[idx]; }
void *conf_any_field(struct conf_any a, unsigned idx) { return (char *)a.options + a.table->options[idx].offset; }
void conf_any_init(struct conf_any a) { memset(a.options, 0, a.table->options_size); }

static void value_done(const struct conf_option *opt, void *value)
{
    if (opt->type->done) opt->type->done(value);
    memset(value, 0, opt->type->size);
}

void conf_any_done(struct conf_any a)
{
    for (size_t i = 0; i < a.table->n_options; i++) value_done(&a.table->options[i], conf_any_field(a, (unsigned)i));
    strv_done(files(a.table, a.options));
    conf_any_init(a);
}

void conf_any_forget(struct conf_any a, unsigned idx)
{
    value_done(&a.table->options[idx], conf_any_field(a, idx));
    *conf_any_origin(a, idx) = (struct conf_origin){ CONF_UNSET, 0, 0 };
}

static int copy_fields(struct conf_any ret, const void *from)
{
    const struct conf_table *t = ret.table;
    for (size_t i = 0; i < t->n_options; i++) {
        const struct conf_type *type = t->options[i].type;
        void *to = conf_any_field(ret, (unsigned)i);
        const void *value = (const char *)from + t->options[i].offset;
        if (type->copy)
            TRY(type->copy(to, value));
        else
            memcpy(to, value, type->size);
    }
    memcpy(origins(t, ret.options), origins(t, from), t->n_options * sizeof(struct conf_origin));
    return strv_copy(files(t, ret.options), files(t, from));
}

int conf_any_copy(struct conf_any ret, const void *from)
{
    conf_any_init(ret);
    int err = copy_fields(ret, from);
    if (err < 0) conf_any_done(ret);
    return err;
}

int conf_option_check(const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx)
{
    ctx->message[0] = '\0';
    if (words->n == 0 && (!opt->type->wants_raw || words->raw.len == 0)) return conf_complain(ctx, "no argument");
    if (opt->type->max_words && words->n > opt->type->max_words) return conf_complain(ctx, "extra arguments");
    return opt->type->parse(opt, words, ctx, NULL);
}

/* Whether an earlier value keeps this one out. */
static bool is_closed(const struct conf_option *opt, struct conf_origin before, enum conf_source source)
{
    if (before.source == CONF_UNSET || before.source == CONF_DEFAULT) return false;
    /* sshd: a Match block overrides the command line; its list replaces the global one */
    if (source == CONF_MATCH) return before.source == CONF_MATCH && opt->combine == CONF_FIRST;
    return opt->combine == CONF_FIRST || before.source == CONF_MATCH;
}

int conf_any_apply(struct conf_any a, const struct conf_option *opt, const struct conf_words *words, struct conf_origin origin,
                   struct conf_parse_ctx *ctx)
{
    struct conf_origin *before = conf_any_origin(a, opt->idx);
    void *value = conf_any_field(a, opt->idx);
    if (is_closed(opt, *before, origin.source)) return 0;
    if (before->source == CONF_DEFAULT || (origin.source == CONF_MATCH && before->source != CONF_MATCH)) {
        value_done(opt, value);
        before->source = CONF_UNSET;
    }
    TRY(conf_option_check(opt, words, ctx));
    TRY(opt->type->parse(opt, words, ctx, value));
    if (before->source == CONF_UNSET) *before = origin;
    return 0;
}

static int file_index(struct strv *names, struct view name, uint16_t *ret)
{
    for (size_t i = names->n; i-- > 0;) {
        if (!view_eq_str(name, names->v[i])) continue;
        *ret = (uint16_t)i;
        return 0;
    }
    if (names->n > UINT16_MAX) return ERR_LIMIT;
    *ret = (uint16_t)names->n;
    return strv_add(names, name);
}

int conf_any_apply_record(struct conf_any a, const struct conf_image *img, const struct conf_record *r, enum conf_source source)
{
    const struct conf_option *opt = &a.table->options[r->kind];
    struct view fast[WORDS_FAST];
    CLEANUP(freep) struct view *slow = NULL;
    if (is_closed(opt, *conf_any_origin(a, opt->idx), source)) return 0;
    struct conf_words words = { .v = fast };
    if (r->n_args > WORDS_FAST) {
        slow = calloc(r->n_args, sizeof(*slow));
        if (!slow) return ERR_NOMEM;
        words.v = slow;
    }
    struct view *to = slow ? slow : fast;
    struct conf_args_it it = conf_record_args(r);
    while (conf_args_next(&it, &to[words.n])) words.n++;
    if (opt->type->wants_raw && words.n) words.raw = words.v[0];
    struct conf_origin origin = { .source = (uint16_t)source, .line = r->line };
    TRY(file_index(files(a.table, a.options), conf_record_file(img, r), &origin.file_idx));
    struct conf_parse_ctx ctx = { .is_server = a.table->program == CONF_SSHD };
    return conf_any_apply(a, opt, &words, origin, &ctx);
}

/* One line of text, as of default_text, into a value. */
static int parse_line(const struct conf_option *opt, struct conf_lex *lex, struct view line, struct conf_parse_ctx *ctx,
                      void *value)
{
    TRY(conf_lex_words(lex, line));
    struct conf_words words = { .v = lex->words, .n = lex->n, .raw = line };
    TRY(conf_option_check(opt, &words, ctx));
    return value ? opt->type->parse(opt, &words, ctx, value) : 0;
}

static int parse_default(const struct conf_option *opt, struct conf_lex *lex, void *value)
{
    struct conf_parse_ctx ctx = { .algs = NULL };
    const char *text = opt->default_text;
    while (text) {
        const char *end = strchr(text, '\n');
        TRY(parse_line(opt, lex, view_of(text, end ? (size_t)(end - text) : strlen(text)), &ctx, value));
        text = end ? end + 1 : NULL;
    }
    return 0;
}

static void lex_freep(struct conf_lex **lex)
{
    if (!*lex) return;
    conf_lex_done(*lex);
    free(*lex);
}

static int lex_new(struct conf_lex **ret)
{
    struct conf_lex *lex = malloc(sizeof(*lex));
    if (!lex) return ERR_NOMEM;
    lex->n = lex->cap = 0;
    lex->unquoted = NULL;
    *ret = lex;
    return 0;
}

static int expand_algs(const struct conf_option *opt, const struct conf_algorithms *algs, char **value)
{
    struct view bad;
    char *expanded;
    TRY(conf_algorithms_expand(opt->algs, algs, *value, &expanded, &bad));
    free(*value);
    *value = expanded;
    return 0;
}

int conf_any_fill_defaults(struct conf_any a, const struct conf_algorithms *algs)
{
    CLEANUP(lex_freep) struct conf_lex *lex = NULL;
    TRY(lex_new(&lex));
    for (size_t i = 0; i < a.table->n_options; i++) {
        const struct conf_option *opt = &a.table->options[i];
        struct conf_origin *origin = conf_any_origin(a, (unsigned)i);
        void *value = conf_any_field(a, (unsigned)i);
        if (origin->source == CONF_UNSET) {
            TRY(parse_default(opt, lex, value));
            origin->source = CONF_DEFAULT;
        }
        if (opt->type == &conf_type_ALGS && algs) TRY(expand_algs(opt, algs, value));
    }
    return 0;
}

static bool value_equal(const struct conf_option *opt, const void *a, const void *b)
{
    return opt->type->equal ? opt->type->equal(a, b) : memcmp(a, b, opt->type->size) == 0;
}

int conf_option_asks_for_more(const struct conf_option *opt, const void *value, bool *ret)
{
    CLEANUP(lex_freep) struct conf_lex *lex = NULL;
    _Alignas(16) uint8_t standard[VALUE_BYTES_MAX] = { 0 };
    *ret = false;
    if (opt->state != CONF_STATE_LATER) return 0;
    TRY(lex_new(&lex));
    int err = parse_default(opt, lex, standard);
    if (err == 0) *ret = !value_equal(opt, value, standard);
    value_done(opt, standard);
    return err;
}

int conf_any_origin_text(struct conf_any a, unsigned idx, struct buf *out)
{
    const struct conf_origin *o = conf_any_origin(a, idx);
    const struct strv *names = files(a.table, a.options);
    switch (o->source) {
    case CONF_UNSET:
    case CONF_DEFAULT:
        return buf_put_str(out, "default");
    case CONF_COMMAND_LINE:
        return buf_put_str(out, "command line");
    default:
        return buf_printf(out, "%s line %u", o->file_idx < names->n ? names->v[o->file_idx] : "?", o->line);
    }
}

int conf_any_check(struct conf_any a, struct conf_diag *diag)
{
    int result = 0;
    for (size_t i = 0; i < a.table->n_options; i++) {
        const struct conf_option *opt = &a.table->options[i];
        CLEANUP(buf_done) struct buf where = BUF_INIT(CONF_LINE_BYTES_MAX);
        bool more = false;
        if (conf_any_origin(a, (unsigned)i)->source <= CONF_DEFAULT) continue;
        TRY(conf_option_asks_for_more(opt, conf_any_field(a, (unsigned)i), &more));
        if (!more) continue;
        TRY(conf_any_origin_text(a, (unsigned)i, &where));
        const char *text = buf_cstr(&where);
        conf_diag_error(diag, "%s: %s: this version cannot do it yet (%s); remove the option", text ? text : "", opt->name,
                        opt->lacks);
        result = ERR_UNSUPPORTED;
    }
    return result;
}

static int set_words(struct conf_any a, const struct conf_option *opt, const struct conf_words *words, struct conf_parse_ctx *ctx,
                     struct conf_diag *diag)
{
    struct conf_origin origin = { .source = CONF_COMMAND_LINE };
    const struct conf_where where = { .program = a.table->program, .file = "command-line", .line = 0, .diag = diag };
    if (ctx->keyword.len == 0) ctx->keyword = view_str(opt->name);
    ctx->is_server = a.table->program == CONF_SSHD;
    int err = conf_option_check(opt, words, ctx);
    if (err == 0) err = conf_any_apply(a, opt, words, origin, ctx);
    if (err == ERR_FORMAT) conf_diag_option_error(&where, ctx);
    return err;
}

int conf_any_set_value(struct conf_any a, unsigned idx, const char *value, const struct conf_algorithms *algs,
                       struct conf_diag *diag)
{
    struct view word = view_str(value);
    struct conf_words words = { .v = &word, .n = 1, .raw = word };
    struct conf_parse_ctx ctx = { .algs = algs, .is_flag = true };
    return set_words(a, &a.table->options[idx], &words, &ctx, diag);
}

int conf_any_set(struct conf_any a, const char *setting, const struct conf_algorithms *algs, struct conf_diag *diag)
{
    CLEANUP(lex_freep) struct conf_lex *lex = NULL;
    struct conf_index index;
    struct view line = conf_trim(view_str(setting)), keyword;
    const struct conf_option *opt = NULL;
    const struct conf_word *word = NULL;
    const struct conf_where where = { .program = a.table->program, .file = "command-line", .line = 0, .diag = diag };
    if (line.len == 0 || line.p[0] == '#') return 0; /* as in a file; scripts have -o "$SOMETHING" */
    TRY(lex_new(&lex));
    conf_index_init(&index, a.table);
    int err = conf_lex_keyword(&line, &keyword);
    if (err == 0 && conf_keyword_resolve(&index, a.table, keyword, a.table->ignore_unknown(a.options), &where, &opt, &word) < 0)
        return ERR_NOT_FOUND;
    if (word) {
        conf_diag_error(diag, "%s directive not supported as a command-line option", word->name);
        return ERR_FORMAT;
    }
    if (!opt && err == 0) return 0; /* an old keyword: a warning was enough */
    if (err == 0) err = conf_lex_words(lex, line);
    if (err < 0) {
        conf_diag_at(&where, "invalid quotes");
        return ERR_FORMAT;
    }
    struct conf_words words = { .v = lex->words, .n = lex->n, .raw = line };
    struct conf_parse_ctx ctx = { .algs = algs, .keyword = keyword };
    return set_words(a, opt, &words, &ctx, diag);
}

static int put_lower(struct buf *out, const char *s)
{
    for (; *s; s++) TRY(buf_put_u8(out, (uint8_t)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s)));
    return 0;
}

int conf_any_dump_option(struct conf_any a, const struct conf_option *opt, struct buf *out)
{
    const void *value = conf_any_field(a, opt->idx);
    size_t n = opt->type->n_lines ? opt->type->n_lines(opt, value) : 1;
    bool quote = opt->combine == CONF_FIRST && opt->type->max_words != 1 && !opt->type->wants_raw;
    if (n == 0 && opt->unset_text) {
        TRY(put_lower(out, opt->name));
        return buf_printf(out, " %s\n", opt->unset_text);
    }
    for (size_t line = 0; line < n; line++) {
        CLEANUP(strv_done) struct strv words = STRV_INIT;
        TRY(opt->type->print(opt, value, line, &words));
        TRY(put_lower(out, opt->name));
        for (size_t i = 0; i < words.n; i++) {
            TRY(buf_put_u8(out, ' '));
            struct view word = view_str(words.v[i]);
            TRY(quote && words.n > 1 ? conf_put_quoted(out, word) : buf_put_view(out, word));
        }
        TRY(buf_put_u8(out, '\n'));
    }
    return 0;
}

/* Transfer: for each option that is set: u32 index + 1, origin, number of lines and of words in each, words; then 0; then the
 * files. */
static int export_option(struct conf_any a, const struct conf_option *opt, struct wr *w)
{
    const void *value = conf_any_field(a, opt->idx);
    const struct conf_origin *origin = conf_any_origin(a, opt->idx);
    size_t n = opt->type->n_lines ? opt->type->n_lines(opt, value) : 1;
    wr_u32(w, opt->idx + 1u);
    wr_u16(w, origin->source);
    wr_u16(w, origin->file_idx);
    wr_u32(w, origin->line);
    wr_u32(w, (uint32_t)n);
    for (size_t line = 0; line < n; line++) {
        CLEANUP(strv_done) struct strv words = STRV_INIT;
        TRY(opt->type->print(opt, value, line, &words));
        wr_u32(w, (uint32_t)words.n);
        for (size_t i = 0; i < words.n; i++) wr_cstr(w, words.v[i]);
    }
    return 0;
}

int conf_any_export(struct conf_any a, struct buf *out)
{
    struct wr w = wr_of(out);
    const struct strv *names = files(a.table, a.options);
    wr_u32(&w, conf_table_mark(a.table));
    for (size_t i = 0; i < a.table->n_options; i++)
        if (conf_any_origin(a, (unsigned)i)->source != CONF_UNSET) TRY(export_option(a, &a.table->options[i], &w));
    wr_u32(&w, 0);
    wr_u32(&w, (uint32_t)names->n);
    for (size_t i = 0; i < names->n; i++) wr_cstr(&w, names->v[i]);
    return wr_end(&w);
}

static int import_line(const struct conf_table *t, const struct conf_option *opt, struct rd *r, void *value)
{
    struct conf_parse_ctx ctx = { .is_server = t->program == CONF_SSHD };
    uint32_t n = rd_u32(r);
    if (n > CONF_ARGS_MAX || n > rd_left(r)) return ERR_FORMAT;
    CLEANUP(freep) struct view *words = calloc(n + 1u, sizeof(*words));
    if (!words) return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++) words[i] = rd_cstring(r);
    TRY(rd_stop(r));
    struct conf_words w = { .v = words, .n = n, .raw = n ? words[0] : VIEW_EMPTY };
    TRY(conf_option_check(opt, &w, &ctx));
    return opt->type->parse(opt, &w, &ctx, value);
}

static int import_options(struct rd *r, struct conf_any ret)
{
    uint32_t idx;
    if (rd_u32(r) != conf_table_mark(ret.table)) return ERR_FORMAT;
    while ((idx = rd_u32(r)) != 0) {
        if (idx > ret.table->n_options) return ERR_FORMAT;
        struct conf_origin *origin = conf_any_origin(ret, idx - 1);
        if (origin->source != CONF_UNSET) return ERR_FORMAT;
        origin->source = rd_u16(r);
        origin->file_idx = rd_u16(r);
        origin->line = rd_u32(r);
        if (origin->source == CONF_UNSET || origin->source > CONF_MATCH) return ERR_FORMAT;
        for (uint32_t n = rd_u32(r); n > 0 && r->err == 0; n--)
            TRY(import_line(ret.table, &ret.table->options[idx - 1], r, conf_any_field(ret, idx - 1)));
    }
    for (uint32_t n = rd_u32(r); n > 0 && r->err == 0; n--) {
        struct view name = rd_cstring(r);
        TRY(rd_stop(r));
        TRY(strv_add(files(ret.table, ret.options), name));
    }
    return rd_end(r);
}

int conf_any_import(struct view bytes, struct conf_any ret)
{
    struct rd r = rd_of(bytes);
    conf_any_init(ret);
    int err = import_options(&r, ret);
    if (err < 0) conf_any_done(ret);
    return err;
}
