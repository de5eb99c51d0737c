/* Choosing a line of a moduli file: time, type, tests, trials, size, generator, modulus. */
#include "key/moduli.h"

#include "key/line_int.h"
#include "key/public_line.h"

#include <ctype.h>

void moduli_group_done(struct moduli_group *g)
{
    buf_done(&g->p);
    buf_done(&g->g);
}

static bool get_number(struct view *line, unsigned *ret)
{
    struct view word = line_take_word(line);
    unsigned n = 0;
    if (word.len == 0 || word.len > 6) return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.p[i] < '0' || word.p[i] > '9') return false;
        n = n * 10 + (word.p[i] - '0');
    }
    *ret = n;
    return true;
}

bool moduli_line_parse(struct view text, struct moduli_line *ret)
{
    struct moduli_line l;
    text = line_trim(line_trim_left(text));
    if (text.len == 0 || text.p[0] == '#') return false;
    struct view time = line_take_word(&text);
    if (time.len == 0 || !get_number(&text, &l.type) || !get_number(&text, &l.tests) || !get_number(&text, &l.trials) ||
        !get_number(&text, &l.bits) || !get_number(&text, &l.generator))
        return false;
    l.bits++; /* the file counts from the highest bit's position */
    l.hex = line_take_word(&text);
    if (l.hex.len == 0 || l.hex.len > 2 * MODULI_NUMBER_BYTES_MAX) return false;
    *ret = l;
    return true;
}

/* A group that may be given to a client. */
static bool parse_group(struct view line, struct moduli_line *ret)
{
    return moduli_line_parse(line, ret) && ret->type == MODULI_TYPE_SAFE && ret->tests && !(ret->tests & MODULI_TESTS_COMPOSITE) &&
           ret->generator > 1;
}

/* Closer to what is wanted: above it the smaller, below it the larger. */
static bool is_better(unsigned bits, unsigned best, unsigned want)
{
    if (best == 0) return true;
    if (best >= want) return bits >= want && bits < best;
    return bits > best;
}

static int nibble(uint8_t c) { return isdigit(c) ? c - '0' : (c | 32) - 'a' + 10; }

int moduli_line_number(const struct moduli_line *l, struct buf *out)
{
    int high = 0;
    bool half = l->hex.len % 2; /* an odd number of digits: the first stands alone */
    for (size_t i = 0; i < l->hex.len; i++) {
        if (!isxdigit(l->hex.p[i])) return ERR_FORMAT;
        int n = nibble(l->hex.p[i]);
        if (half) TRY(buf_put_u8(out, (uint8_t)(high << 4 | n)));
        high = half ? 0 : n;
        half = !half;
    }
    return 0;
}

static unsigned bits_of(struct view number)
{
    while (number.len && number.p[0] == 0) number = view_sub(number, 1, number.len);
    return number.len ? (unsigned)(8 * number.len) - (unsigned)__builtin_clz(number.p[0]) + 24 : 0;
}

int moduli_line_put(const struct moduli_line *l, const char *time, struct view number, struct buf *out)
{
    TRY(buf_printf(out, "%s %u %u %u %u %x ", time, l->type, l->tests, l->trials, bits_of(number) - 1, l->generator));
    while (number.len && number.p[0] == 0) number = view_sub(number, 1, number.len);
    for (size_t i = 0; i < number.len; i++) TRY(buf_printf(out, i ? "%02X" : "%X", number.p[i]));
    return buf_put_str(out, "\n");
}

/* A number below n, without the bias of a plain remainder mattering: n is a few hundred. */
static int random_below(const struct random *random, size_t n, size_t *ret)
{
    uint64_t x;
    TRY(random_fill(random, &x, sizeof(x)));
    *ret = (size_t)(x % n);
    return 0;
}

static size_t count_best(struct view file, unsigned min_bits, unsigned want_bits, unsigned max_bits, unsigned *ret_best)
{
    struct view line;
    struct moduli_line c;
    unsigned best = 0;
    size_t n = 0;
    while (public_file_next_line(&file, &line)) {
        if (!parse_group(line, &c) || c.bits < min_bits || c.bits > max_bits) continue;
        if (is_better(c.bits, best, want_bits)) {
            best = c.bits;
            n = 0;
        }
        n += c.bits == best;
    }
    *ret_best = best;
    return n;
}

int moduli_choose(struct view file, unsigned min_bits, unsigned want_bits, unsigned max_bits, const struct random *random,
                  struct moduli_group *ret)
{
    unsigned best;
    size_t n = count_best(file, min_bits, want_bits, max_bits, &best), skip;
    if (n == 0) return ERR_NOT_FOUND;
    TRY(random_below(random, n, &skip));
    struct view line;
    struct moduli_line c = {};
    while (public_file_next_line(&file, &line))
        if (parse_group(line, &c) && c.bits == best && skip-- == 0) break;
    CLEANUP(moduli_group_done)
    struct moduli_group g = { .bits = best, .p = BUF_INIT(MODULI_NUMBER_BYTES_MAX), .g = BUF_INIT(MODULI_NUMBER_BYTES_MAX) };
    TRY(moduli_line_number(&c, &g.p));
    TRY(buf_put_u8(&g.g, (uint8_t)c.generator));
    *ret = g;
    g = (struct moduli_group){};
    return 0;
}
