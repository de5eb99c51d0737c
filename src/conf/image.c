/* The record format of images: writing, and the one check after which eval may believe every offset. */
#include "conf/conf_int.h"

static const char image_magic[8] = "NacreCf1";

uint32_t conf_table_mark(const struct conf_table *t)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < t->n_options; i++)
        for (const char *s = t->options[i].name; *s; s++) h = (h ^ (uint8_t)*s) * 16777619u;
    return h ^ (uint32_t)t->n_options;
}

void conf_image_done(struct conf_image *img)
{
    buf_done(&img->mem);
    img->bytes = VIEW_EMPTY;
}

bool conf_args_next(struct conf_args_it *it, struct view *ret)
{
    uint32_t len;
    if (it->n == 0) return false;
    memcpy(&len, it->p, sizeof(len));
    *ret = view_of(it->p + sizeof(len), len);
    it->p += sizeof(len) + len + 1;
    it->n--;
    return true;
}

int conf_writer_begin(struct conf_writer *w, const struct conf_table *t)
{
    struct conf_image_header h = { .program = t->program, .table_mark = conf_table_mark(t) };
    memcpy(h.magic, image_magic, sizeof(h.magic));
    return buf_put(w->out, &h, sizeof(h));
}

int conf_writer_put(struct conf_writer *w, unsigned kind, uint32_t line, const struct view *args, size_t n, uint32_t *ret_off)
{
    size_t size = sizeof(struct conf_record);
    for (size_t i = 0; i < n; i++) size += sizeof(uint32_t) + args[i].len + 1;
    size = (size + 3) & ~(size_t)3;
    if (size > UINT32_MAX / 2 || n > UINT16_MAX) return ERR_LIMIT;
    uint8_t *p;
    size_t off = buf_len(w->out);
    TRY(buf_reserve(w->out, size, &p));
    struct conf_record r = { .size = (uint32_t)size, .kind = (uint16_t)kind, .n_args = (uint16_t)n, .line = line, .file = w->file };
    memset(p + size - 4, 0, 4);
    memcpy(p, &r, sizeof(r));
    uint8_t *to = p + sizeof(r);
    for (size_t i = 0; i < n; i++) {
        uint32_t len = (uint32_t)args[i].len;
        memcpy(to, &len, sizeof(len));
        if (len) memcpy(to + sizeof(len), args[i].p, len);
        to[sizeof(len) + len] = '\0';
        to += sizeof(len) + len + 1;
    }
    buf_commit(w->out, size);
    *ret_off = (uint32_t)off;
    return 0;
}

int conf_writer_file(struct conf_writer *w, const char *name)
{
    struct view v = view_str(name);
    uint32_t off;
    TRY(conf_writer_put(w, CONF_REC_FILE, 0, &v, 1, &off));
    w->file = off;
    return 0;
}

void conf_writer_skip_here(struct conf_writer *w, uint32_t off)
{
    ((struct conf_record *)(void *)(buf_bytes(w->out) + off))->skip = (uint32_t)buf_len(w->out);
}

void conf_writer_end(struct conf_writer *w)
{
    ((struct conf_image_header *)(void *)buf_bytes(w->out))->size = (uint32_t)buf_len(w->out);
}

struct view conf_record_file(const struct conf_image *img, const struct conf_record *r)
{
    const size_t size = img->bytes.len;
    if (r->file % 4 != 0 || size < sizeof(*r) || r->file > size - sizeof(*r)) return VIEW_EMPTY;
    const struct conf_record *file = conf_record_at(img, r->file);
    uint32_t len;
    if (file->kind != CONF_REC_FILE || size - r->file - sizeof(*file) < sizeof(len)) return VIEW_EMPTY;
    memcpy(&len, file + 1, sizeof(len));
    if (len > size - r->file - sizeof(*file) - sizeof(len)) return VIEW_EMPTY;
    return view_of((const uint8_t *)(file + 1) + sizeof(len), len);
}

static bool args_are_good(const struct conf_record *r)
{
    const uint8_t *p = (const uint8_t *)(r + 1), *end = (const uint8_t *)r + r->size;
    for (unsigned i = 0; i < r->n_args; i++) {
        uint32_t len;
        if ((size_t)(end - p) < sizeof(len) + 1) return false;
        memcpy(&len, p, sizeof(len));
        p += sizeof(len);
        if (len > (size_t)(end - p) - 1 || p[len] != '\0' || memchr(p, '\0', len)) return false;
        p += len + 1;
    }
    return true;
}

/* Checks the records of [off, end). Blocks are nested, and what one holds ends no later than itself: so a skip never leaves the
 * image nor goes back. */
static int check_records(const struct conf_image *img, const struct conf_table *t, size_t off)
{
    const size_t size = img->bytes.len;
    uint32_t ends[2 * CONF_INCLUDE_DEPTH_MAX + 4];
    size_t depth = 0;
    while (off < size) {
        while (depth && ends[depth - 1] <= off)
            if (ends[--depth] < off) return ERR_FORMAT;
        if (size - off < sizeof(struct conf_record)) return ERR_FORMAT;
        const struct conf_record *r = conf_record_at(img, (uint32_t)off);
        if (r->size < sizeof(*r) || r->size % 4 != 0 || r->size > size - off || !args_are_good(r)) return ERR_FORMAT;
        bool is_block = r->kind == CONF_REC_HOST || r->kind == CONF_REC_MATCH || r->kind == CONF_REC_INCLUDE;
        if (!is_block && r->kind != CONF_REC_FILE && r->kind >= t->n_options) return ERR_FORMAT;
        if (is_block) {
            uint32_t limit = depth ? ends[depth - 1] : (uint32_t)size;
            if (r->skip < off + r->size || r->skip > limit || depth == ARRAY_LEN(ends)) return ERR_FORMAT;
            ends[depth++] = r->skip;
        }
        if (r->kind == CONF_REC_MATCH && r->n_args % 2 != 0) return ERR_FORMAT;
        off += r->size;
    }
    while (depth) /* a block ends between records, not within the last one */
        if (ends[--depth] != size) return ERR_FORMAT;
    return 0;
}

int conf_image_open(enum conf_program program, struct view bytes, struct conf_image *ret)
{
    const struct conf_table *t = conf_table_of(program);
    struct conf_image_header h;
    if (bytes.len < sizeof(h) || bytes.len > CONF_IMAGE_BYTES_MAX || (uintptr_t)bytes.p % 4 != 0) return ERR_FORMAT;
    memcpy(&h, bytes.p, sizeof(h));
    if (memcmp(h.magic, image_magic, sizeof(h.magic)) != 0 || h.program != (uint32_t)program || h.size < sizeof(h) ||
        h.size > bytes.len || h.table_mark != conf_table_mark(t))
        return ERR_FORMAT;
    struct conf_image img = { .bytes = view_of(bytes.p, h.size), .mem = BUF_INIT(CONF_IMAGE_BYTES_MAX) };
    TRY(check_records(&img, t, sizeof(h)));
    *ret = img;
    return 0;
}
